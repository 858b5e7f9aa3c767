"""What can be known of a hidden or a future part of the Earth: inference, forecasts, the linear answer, attribution."""

from xfaconv.inference.prediction import forecast, infer

__all__ = ["forecast", "infer"]
