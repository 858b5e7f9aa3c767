"""Sample data: real and simulated Datasets, opened lazily, and made ones whose teleconnections are known."""

from xfaconv.tutorial.planted_data import Link, Mode, planted, target_points
from xfaconv.tutorial.samples import list_datasets, open_dataset, register_dataset
from xfaconv.tutorial.worlds import world

__all__ = [
    "Link",
    "Mode",
    "list_datasets",
    "open_dataset",
    "planted",
    "register_dataset",
    "target_points",
    "world",
]
