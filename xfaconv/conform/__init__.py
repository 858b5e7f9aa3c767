"""Dataset in, the model's variables, units, levels, grid, order and anomalies out, lazily; and labels back."""

from xfaconv.conform.comparison import recognise
from xfaconv.conform.files import open_dataset
from xfaconv.conform.labels import Labels
from xfaconv.conform.pipeline import Conformed, adapt
from xfaconv.conform.recognition import Recognition
from xfaconv.conform.target import Target
from xfaconv.conform.timeaxis import TimeAxis

__all__ = ["Conformed", "Labels", "Recognition", "Target", "TimeAxis", "adapt", "open_dataset", "recognise"]
