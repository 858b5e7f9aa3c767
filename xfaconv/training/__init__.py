"""Training: what is asked of a network, windows, the loop, evaluation, and the script behind the packaged weights."""

from xfaconv.training.fit import fit
from xfaconv.training.loop import Schedule, train
from xfaconv.training.objective import Objective

__all__ = ["Objective", "Schedule", "fit", "train"]
