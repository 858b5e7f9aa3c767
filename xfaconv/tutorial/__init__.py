"""Sample data: real and simulated Datasets to try things on, opened lazily."""

from xfaconv.tutorial.samples import list_datasets, open_dataset, register_dataset

__all__ = ["list_datasets", "open_dataset", "register_dataset"]
