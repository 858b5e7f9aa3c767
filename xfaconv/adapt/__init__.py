"""Dataset in, the model's variables, units, levels, grid, order and anomalies out, lazily; and labels back."""

from xfaconv.adapt.comparison import recognise
from xfaconv.adapt.files import open_dataset
from xfaconv.adapt.labels import Labels
from xfaconv.adapt.pipeline import Conformed, adapt
from xfaconv.adapt.recognition import Recognition
from xfaconv.adapt.target import Target
from xfaconv.adapt.timeaxis import TimeAxis

__all__ = ["Conformed", "Labels", "Recognition", "Target", "TimeAxis", "adapt", "open_dataset", "recognise"]
