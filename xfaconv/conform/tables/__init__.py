"""Data tables of names, units and levels, one YAML file per subject."""
