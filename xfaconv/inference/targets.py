"""The value that is explained: the mean of a variable over an area, inferred or forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import Delayed, delayed
from numpy.typing import NDArray

from xfaconv.engine.prepare import Prepared
from xfaconv.errors import ArgumentError, MissingDataError, VariableError
from xfaconv.grid import great_circle_degrees
from xfaconv.inference.areas import Area, Cells, find_cells
from xfaconv.inference.prediction import find_hidden, observed, require_lead


@dataclass(frozen=True, eq=False)
class Target:
    """The number that is explained: a weighted mean of a variable, inferred or forecast.

    Parameters
    ----------
    ready : Prepared
        The data, the model, and the steps that are asked for.
    name : str
        The variable.
    lead : int
        Steps ahead; 0 for inference.
    cells : Cells
        Where, without the cells in which the variable is always missing.
    hidden : Cells or None
        What is hidden.
    """

    ready: Prepared
    name: str
    lead: int
    cells: Cells
    hidden: Cells | None

    def at(self, steps: NDArray[np.int64]) -> Target:
        """Ask the same of other steps."""
        return replace(self, ready=replace(self.ready, steps=steps))

    @property
    def hide(self) -> NDArray[np.bool_] | None:
        """Which cells are hidden (latitude, longitude)."""
        return None if self.hidden is None else self.hidden.mask

    @property
    def variable(self) -> int:
        """Position of the variable among those of the model."""
        return [entry.name for entry in self.ready.model.card.variables].index(self.name)

    @property
    def in_units(self) -> Delayed:
        """Weights (latitude, longitude) of the standardised anomalies whose sum is the mean in the user's units."""
        scaled = self.ready.conformed.scaled[self.name]
        spread = np.ones(self.ready.grid.shape) if scaled.spread is None else scaled.spread
        found: Delayed = delayed(_in_units, pure=True)(self.cells.weights, spread, scaled.factor)
        return found

    @property
    def units(self) -> str:
        """The user's units."""
        return self.ready.conformed.scaled[self.name].units


def _in_units(weights: NDArray[np.float64], spread: NDArray[Any], factor: float) -> NDArray[np.float64]:
    known = np.where(np.isfinite(spread), weights, 0)
    return np.asarray(known / known.sum() * np.nan_to_num(np.asarray(spread, dtype=np.float64)) / factor)


def find_target(ready: Prepared, target: Area, variable: str, hide: Area | None, lead: int | None) -> Target:
    """Find the value that is explained, and refuse one that cannot be.

    Parameters
    ----------
    ready : Prepared
        The data and the model.
    target, variable, hide, lead : object
        See `attribution`.

    Returns
    -------
    Target

    Raises
    ------
    VariableError, ModelError, MissingDataError, ArgumentError
        As `attribution` does.
    """
    names = [entry.name for entry in ready.model.card.variables]
    if variable not in names:
        raise VariableError(
            f"the model has no variable {variable!r}", expected=", ".join(names), fix=f"variable={names[0]!r}"
        )
    ahead = 0 if lead is None else int(lead)
    require_lead(ready, ahead, "lead={}")
    hidden = None if hide is None else find_hidden(ready, hide)
    cells = find_cells(ready.grid, target, "target")
    if hidden is not None and (cells.mask & ~hidden.mask).any():
        share = float(np.abs(cells.weights[~hidden.mask]).sum() / np.abs(cells.weights).sum())
        raise ArgumentError(
            "the target is not inside the hidden area: what is visible is not inferred",
            expected=f"a part of {hidden.words}",
            found=f"{cells.words}, {share:.0%} of it visible",
            fix=f"hide=[{typed(hide)}, {typed(target)}]" if not isinstance(hide, list | xr.DataArray) else None,
        )
    missing = ready.lacks_values(variable)
    if missing[cells.mask].all():
        row, column = _nearest_with_values(ready, cells, missing if hidden is None else missing | ~hidden.mask)
        place = f"target=({ready.grid.latitude[row]:g}, {ready.grid.longitude[column]:g})"
        raise MissingDataError(
            f"{variable!r} has no values in the target: it is masked there",
            expected="an area with values, or another variable",
            found=f"{cells.words}: missing at all times in all {int(cells.mask.sum())} cells",
            fix=f"{place}  # the nearest with values",
        )
    weights = np.where(missing, 0, cells.weights)
    return Target(ready, variable, ahead, Cells(weights / weights.sum(), cells.words), hidden)


def _nearest_with_values(ready: Prepared, cells: Cells, without: NDArray[np.bool_]) -> tuple[int, int]:
    latitude, longitude = (np.asarray(axis) for axis in (ready.grid.latitude, ready.grid.longitude))
    row, column = np.unravel_index(np.abs(cells.weights).argmax(), cells.weights.shape)
    distance = great_circle_degrees(latitude[:, None], longitude[None], (latitude[row], longitude[column]))
    found = np.unravel_index(np.where(without, np.inf, distance).argmin(), distance.shape)
    return int(found[0]), int(found[1])


def predicted_mean(target: Target, array: da.Array) -> da.Array:
    """Mean of predicted standardised anomalies (time, latitude, longitude) over the target, in its units (time,)."""
    whole = array.rechunk({1: -1, 2: -1})  # type: ignore[no-untyped-call]
    meta = np.empty(0, np.float32)
    found: da.Array = da.map_blocks(  # type: ignore[no-untyped-call]
        _mean_predicted, whole, target.in_units, drop_axis=(1, 2), dtype=np.float32, meta=meta
    )
    return found


def _mean_predicted(block: NDArray[np.floating], in_units: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray((np.where(in_units != 0, block, 0) * in_units).sum(axis=(-2, -1)), dtype=np.float32)


def observed_mean(target: Target) -> da.Array:
    """Mean of what was observed over the cells that have values ([member,] time)."""
    ready = target.ready
    array = observed(ready, target.name, target.lead)
    array = array.rechunk((*((1,) * (array.ndim - 2)), -1, -1))  # type: ignore[no-untyped-call]
    drop = (array.ndim - 2, array.ndim - 1)
    meta = np.empty((0,) * (array.ndim - 2), np.float32)
    weights = target.cells.weights
    found: da.Array = da.map_blocks(  # type: ignore[no-untyped-call]
        _mean_observed, array, weights, target.in_units, drop_axis=drop, dtype=np.float32, meta=meta
    )
    return found


def _mean_observed(
    block: NDArray[np.floating], weights: NDArray[np.float64], in_units: NDArray[np.float64]
) -> NDArray[np.float32]:
    there = np.isfinite(block)
    share = (there * weights).sum(axis=(-2, -1)) / weights[in_units != 0].sum()
    total = (np.where(there, block, 0) * in_units).sum(axis=(-2, -1))
    return np.where(share != 0, total / np.where(share != 0, share, 1), np.nan).astype(np.float32)


def typed(value: Any) -> Any:
    """Write an argument for the history; arrays by their name."""
    if isinstance(value, xr.DataArray):
        return f"<DataArray {value.name!r}>"
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | tuple) and len(value) > 6:
        return f"<{len(value)} values>"
    return cast("Any", value)
