"""Dataset in, the model's variables, units, levels, grid, order and anomalies out, lazily; and labels back."""

from xfaconv.adapt.files import open_dataset
from xfaconv.adapt.labels import Labels
from xfaconv.adapt.matching import InputSpec
from xfaconv.adapt.pipeline import Conformed, adapt
from xfaconv.adapt.survey import Survey, recognise
from xfaconv.adapt.timeaxis import TimeAxis

__all__ = ["Conformed", "InputSpec", "Labels", "Survey", "TimeAxis", "adapt", "open_dataset", "recognise"]
