"""Labels to tensors and back: cuts time into segments, applies a network lazily, labels what comes out."""

from xfaconv.arguments import Arguments
from xfaconv.engine.api import attention, conform, embed, encode, hidden
from xfaconv.engine.planning import Plan, plan
from xfaconv.engine.writing import write_zarr

__all__ = [
    "Arguments",
    "Plan",
    "attention",
    "conform",
    "embed",
    "encode",
    "hidden",
    "plan",
    "write_zarr",
]
