"""Standardised anomalies: how blocks of values become float32 anomalies from a seasonal mean, all lazily."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import delayed
from dask.layers import ArrayValuesDep
from numpy.typing import NDArray

from xfaconv.adapt.arrays import without_mask
from xfaconv.adapt.plausible import Subject, check_plausible
from xfaconv.adapt.problems import refusal
from xfaconv.adapt.regrid import Remap, same_cells
from xfaconv.adapt.time_axis import TimeAxis
from xfaconv.climatology import Climatology, seasonal_basis, seasonal_mean, standardise
from xfaconv.errors import warn_user
from xfaconv.grid import Grid

Array = Any
_BATCH_BYTES = 8e6
_SHORT_YEARS = 2.0
_WORST_CONDITION = 1e4


def check_record(axis: TimeAxis, harmonics: int) -> tuple[str, ...]:
    """Say whether a record is long enough for a seasonal cycle of its own.

    Parameters
    ----------
    axis : TimeAxis
        The steps.
    harmonics : int
        Harmonics of the year.

    Returns
    -------
    tuple of str
        What to tell about a short record.

    Raises
    ------
    TimeError
        If the stamps do not cover the year.
    """
    basis = seasonal_basis(axis.year_phase, harmonics).astype(np.float64)
    condition = np.linalg.cond(basis.T @ basis / len(axis))
    if len(axis) <= basis.shape[1] or condition > _WORST_CONDITION or axis.years < 0.9:
        raise refusal("climatology", "no year", axis.describe(), harmonics=harmonics)
    if axis.years >= _SHORT_YEARS:
        return ()
    message = (
        f"the seasonal cycle is estimated from {axis.years:.1f} years: anomalies are too small, because the cycle "
        "follows the weather of these years; climatology='model' does not have this fault"
    )
    warn_user(message)
    return (message,)


def climatology_on(climatology: Climatology, model_grid: Grid | None, grid: Grid) -> Climatology:
    """Take the part of a model's climatology that belongs to a grid.

    Parameters
    ----------
    climatology : Climatology
        On the model's grid.
    model_grid : Grid or None
        The model's grid.
    grid : Grid
        Grid of the data, cells of the model's grid.

    Returns
    -------
    Climatology

    Raises
    ------
    GridError
        If the grid is not made of cells of the model's grid.
    """
    if model_grid is not None and grid.matches(model_grid):
        return climatology
    cells = same_cells(model_grid, grid) if model_grid is not None else None
    if cells is None:
        expected = model_grid.describe() if model_grid is not None else "the model's grid"
        raise refusal("climatology", "another grid", grid.describe(), grid=expected)
    rows, columns = cells
    return Climatology(
        climatology.coefficients[:, :, rows[:, None], columns[None]], climatology.scale[:, rows[:, None], columns[None]]
    )


def standardise_block(
    block: NDArray[Any],
    basis: NDArray[Any] | None = None,
    coefficients: NDArray[np.floating] | None = None,
    scale: NDArray[np.floating] | None = None,
    *,
    remap: Remap | None = None,
    factor: float = 1.0,
    offset: float = 0.0,
    subject: Subject | None = None,
) -> NDArray[np.float32]:
    """Bring a block to the grid, to the model's units, and to standardised anomalies.

    Parameters
    ----------
    block : ndarray ([member,] time, latitude, longitude)
        Values on the user's grid, or on the goal grid where there is no remap.
    basis : ndarray (time, 1 + 2 * harmonics), or (time, 1) of int, optional
        Harmonics of the year, or the position in a table of seasonal means.
    coefficients : ndarray (term, latitude, longitude), optional
        Seasonal mean in the model's units; physical values are given where it is absent.
    scale : ndarray (latitude, longitude), optional
        Standard deviation of the anomalies.
    remap : Remap, optional
        How the block comes to the grid.
    factor, offset : float
        Change of units.
    subject : Subject, optional
        The variable, where its values are to be held against the seasonal mean.

    Returns
    -------
    ndarray, float32
        Computed in double precision step by step, so that a large mean costs no digits.

    Raises
    ------
    UnitsError
        If the values of the subject cannot be in the model's units.
    """
    block = np.asarray(without_mask(block))
    remapped = block if remap is None else remap(block)
    out = np.empty(remapped.shape, dtype=np.float32)
    steps = max(1, int(_BATCH_BYTES / (8 * max(1, int(np.prod(remapped.shape[-2:]))))))
    flat = remapped.reshape(-1, *remapped.shape[-3:])
    target = out.reshape(-1, *out.shape[-3:])
    for member in range(flat.shape[0]):
        for start in range(0, flat.shape[1], steps):
            part = slice(start, start + steps)
            values: NDArray[np.float64] = flat[member, part].astype(np.float64)
            if factor != 1.0 or offset != 0.0:
                values = values * factor + offset
            if basis is not None and coefficients is not None and scale is not None:
                mean = seasonal_mean(basis[part], coefficients)
                if subject is not None:
                    check_plausible(values, mean, scale, subject)
                values = standardise(values, mean, scale)
            target[member, part] = values
            # Infinite values count as missing, also where nothing is averaged.
            infinite = np.isinf(target[member, part])
            if infinite.any():
                target[member, part][infinite] = np.nan
    return out


@dataclass(frozen=True, eq=False)
class Scaled:
    """How the anomalies of a variable are brought back to the user's units.

    Parameters
    ----------
    basis : ndarray (time, term), or (time, 1) of int, optional
        Harmonics of the year, or the position in a table of seasonal means; None where values were not standardised.
    mean : array (term, latitude, longitude), optional
        Seasonal mean in the model's units.
    spread : array (latitude, longitude), optional
        Standard deviation of the anomalies in the model's units.
    factor, offset : float
        Change from the user's units to the model's.
    units : str
        The user's units.
    """

    basis: NDArray[Any] | None
    mean: Any
    spread: Any
    factor: float = 1.0
    offset: float = 0.0
    units: str = "1"

    def restore(self, array: Array, steps: NDArray[np.int64] | None = None, *, anomalies: bool = True) -> Array:
        """Bring standardised anomalies to the user's units.

        Parameters
        ----------
        array : numpy or dask array ([member,] time, latitude, longitude)
            Standardised anomalies.
        steps : ndarray of int64, optional
            Positions along time of these; None for all.
        anomalies : bool, default True
            Give anomalies, not full values.

        Returns
        -------
        numpy or dask array, float32
        """
        if self.basis is None:
            return array
        basis = self.basis if steps is None else self.basis[steps]
        change = {"factor": self.factor, "offset": self.offset, "anomalies": anomalies}
        return apply_to_blocks(array, _restore_block, array.shape[-2:], basis, (self.mean, self.spread), **change)


def _restore_block(
    block: NDArray[Any],
    basis: NDArray[Any],
    mean: NDArray[np.floating],
    spread: NDArray[np.floating],
    *,
    factor: float,
    offset: float,
    anomalies: bool,
) -> NDArray[np.float32]:
    values = np.asarray(block, dtype=np.float64) * spread
    if not anomalies:
        values = values + seasonal_mean(basis, mean) - offset
    return np.asarray(values / factor, dtype=np.float32)


def apply_to_blocks(
    array: Array,
    function: Callable[..., NDArray[np.float32]],
    shape: tuple[int, int],
    basis: NDArray[Any] | None = None,
    fields: Sequence[Array] = (),
    **options: Any,
) -> Array:
    """Apply a block function to an array, lazily where it is lazy, one task per block of time.

    Parameters
    ----------
    array : numpy or dask array ([member,] time, latitude, longitude)
        Blocks in latitude and longitude are joined.
    function : callable
        ``function(block, basis, *fields, **options)``.
    shape : (int, int)
        Latitude and longitude of the result.
    basis : ndarray (time, term), optional
        Cut along time as the array is.
    fields : sequence of array (..., latitude, longitude)
        Given whole to each block; numpy or dask.
    **options
        Given to the function.

    Returns
    -------
    numpy or dask array, float32
    """
    if not isinstance(array, da.Array):
        return function(np.asarray(array), *(() if basis is None else (basis, *fields)), **options)
    if array.numblocks[-2:] != (1, 1):
        array = array.rechunk({array.ndim - 2: -1, array.ndim - 1: -1})  # type: ignore[no-untyped-call]
    dims = "mtyx"[-array.ndim :]
    pairs: list[Any] = [array, dims]
    if basis is not None:
        pairs += [_rows_of_blocks(basis, array.chunks[-3]), "t"]
        for field in fields:
            pairs += [_shared(field), None]
    # No axis is summed over, so blocks are neither copied nor joined, and dask fuses this layer with the one that reads
    # the data where both say the same about joining: a block as it was read never waits for its own task.
    above = array.dask.layers.get(array.name)
    return da.blockwise(  # type: ignore[no-untyped-call]
        function,
        dims,
        *pairs,
        name=f"standardise-{tokenize(array.name, function, shape, basis, list(fields), options)}",
        adjust_chunks={"y": shape[0], "x": shape[1]},
        align_arrays=False,
        concatenate=getattr(above, "concatenate", None),
        dtype=np.float32,
        meta=np.empty((0,) * array.ndim, dtype=np.float32),
        **options,
    )


def _rows_of_blocks(basis: NDArray[Any], lengths: tuple[int, ...]) -> ArrayValuesDep:
    """Give each block its own rows, which travel inside its task."""
    edges = np.cumsum((0, *lengths)).tolist()
    rows = {(number,): basis[start:stop] for number, (start, stop) in enumerate(pairwise(edges))}
    return ArrayValuesDep((lengths,), rows)


def _shared(field: Array) -> Any:
    """Put a field into the graph once, however many blocks read it."""
    if isinstance(field, da.Array):
        return field.rechunk(-1).to_delayed().item()  # type: ignore[no-untyped-call]
    return delayed(field, pure=True, traverse=False)
