"""What a model reads, as conform needs to know it."""

from __future__ import annotations

from dataclasses import dataclass

from xfaconv.climatology import Climatology
from xfaconv.grid import Grid
from xfaconv.specs import VariableSpec


@dataclass(frozen=True, eq=False)
class Target:
    """What a model reads.

    Parameters
    ----------
    variables : tuple of VariableSpec
        In the model's order.
    grid : Grid or None
        The model's grid; None keeps the data's own.
    step : str or None
        The model's time step; None takes the data's.
    climatology : Climatology or None
        On the model's grid, variables in order.
    harmonics : int, default 2
        Harmonics of the year where the climatology is taken from the data.
    """

    variables: tuple[VariableSpec, ...]
    grid: Grid | None = None
    step: str | None = None
    climatology: Climatology | None = None
    harmonics: int = 2
