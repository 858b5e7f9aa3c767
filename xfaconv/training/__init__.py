"""Training: the data, the loss, the loop, skill on unseen years, `fit` for users and the recipes of packaged models."""

from xfaconv.errors import require_torch

require_torch()

from xfaconv.training.fitting import fit
from xfaconv.training.loop import Schedule, train
from xfaconv.training.objective import Objective

__all__ = ["Objective", "Schedule", "fit", "train"]
