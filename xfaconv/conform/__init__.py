"""Dataset in, the model's variables, units, levels, grid, order and anomalies out, lazily; and labels back."""

from xfaconv.conform.labels import Labels
from xfaconv.conform.pipeline import Conformed, Target, adapt
from xfaconv.conform.recognition import Recognition, recognise
from xfaconv.conform.timeaxis import TimeAxis

__all__ = ["Conformed", "Labels", "Recognition", "Target", "TimeAxis", "adapt", "recognise"]
