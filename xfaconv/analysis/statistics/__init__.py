"""Statistics of labelled fields: anomalies, significance with autocorrelation, correlation, composites, EOFs."""
