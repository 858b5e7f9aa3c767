"""Dataset in, the model's variables, units, levels, grid, order and anomalies out, lazily; and labels back."""

from xfaconv.adapt.labels import Labels
from xfaconv.adapt.pipeline import Conformed, adapt
from xfaconv.adapt.survey import Survey, recognise
from xfaconv.adapt.time_axis import TimeAxis
from xfaconv.specs import InputSpec

__all__ = ["Conformed", "InputSpec", "Labels", "Survey", "TimeAxis", "adapt", "recognise"]
