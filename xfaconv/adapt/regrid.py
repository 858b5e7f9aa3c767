"""Conservative averaging to a coarser grid with exact cell areas: one small sparse matrix per axis, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from xfaconv.adapt.horizontal import Horizontal
from xfaconv.adapt.problems import refusal
from xfaconv.grid import Grid, same_degrees

MIN_VALID = 0.5
# Data may be this many times coarser than the model: spacings of Gaussian and of regular grids differ by a few percent.
_FINER = 1.1
# Share of a goal cell that the data may leave uncovered, besides rounding, when only part of the goal is covered.
_UNCOVERED = 1e-4, 1e-2
# From this share of the goal's area on, the goal is kept whole and cells without data are missing.
_NEARLY_GLOBAL = 0.9

Array = NDArray[Any]
_refused = partial(refusal, "regridding")


def _overlap(goal: NDArray[np.float64], source: NDArray[np.float64]) -> NDArray[np.float64]:
    """Length that each goal interval shares with each source interval, both given by their edges."""
    lower = np.maximum(goal[:-1, None], source[None, :-1])
    upper = np.minimum(goal[1:, None], source[None, 1:])
    return np.asarray(np.clip(upper - lower, 0, None))


def row_weights(source: Grid, goal: Grid) -> NDArray[np.float64]:
    """Share of each goal row's area that lies in each source row, shape (goal latitude, source latitude)."""
    # The area of a band of the sphere is proportional to sin(north) - sin(south), so lengths in the sine are areas.
    sines = [np.sin(np.deg2rad(grid.latitude_edges)) for grid in (source, goal)]
    return _overlap(sines[1], sines[0]) / np.diff(sines[1])[:, None]


def column_weights(source: Grid, goal: Grid) -> NDArray[np.float64]:
    """Share of each goal column's width that lies in each source column, modulo 360, shape (goal, source longitude)."""
    edges, goal_edges = source.longitude_edges, goal.longitude_edges
    # The two grids may lie two turns apart: longitudes run from -360 to 720.
    shared = sum(_overlap(goal_edges, edges + turn) for turn in (-720.0, -360.0, 0.0, 360.0, 720.0))
    return np.asarray(shared / np.diff(goal_edges)[:, None])


@dataclass(frozen=True, eq=False)
class Remap:
    """How a block on the user's grid becomes a block on the goal grid.

    An average over the valid part of a goal cell is sum(w v x) / sum(w v), with w the share of the goal cell's area in
    a source cell, v 1 where the source is valid, and x its value. On rectilinear grids w is a product of a row's share
    and a column's, so two small matrices do the work of one with a row for every goal cell.

    Parameters
    ----------
    grid : Grid
        The goal grid.
    rows, columns : ndarray of int, or scipy.sparse.csr_array
        Positions in the user's axes where cells are only reordered, weights (goal, user) where they are averaged.
    note : str
        What is done, in words; empty where the cells are the model's.
    min_valid : float
        Share of a goal cell's area that must be valid.
    """

    grid: Grid
    rows: Any
    columns: Any
    note: str = ""
    min_valid: float = MIN_VALID

    @property
    def averages(self) -> bool:
        """Whether cells are averaged."""
        return not isinstance(self.rows, np.ndarray)

    def __call__(self, block: Array) -> Array:
        """Apply to an array (..., user latitude, user longitude) in memory; averages are in double precision."""
        if not self.averages:
            return np.asarray(block[..., self.rows[:, None], self.columns[None, :]])
        fields = block.reshape(-1, *block.shape[-2:])
        averaged = np.empty((len(fields), *self.grid.shape))
        sums = CellSums(self.rows, self.columns, block.dtype)
        for number, field in enumerate(fields):
            averaged[number] = finish(*sums(field), self.min_valid)
        return averaged.reshape(*block.shape[:-2], *self.grid.shape)


class CellSums:
    """Weighted sums of the valid cells of one field after another, with what fields of a block have in common kept.

    Fields in single precision are added up as deviations from one of their values, which costs half the memory traffic
    of double precision and keeps a constant exact.

    Parameters
    ----------
    rows, columns : scipy.sparse.csr_array
        Weights (goal, user) of the axes of the fields, or of a tile of them.
    dtype : numpy dtype
        Of the fields.
    """

    def __init__(self, rows: Any, columns: Any, dtype: np.dtype[Any]) -> None:
        single = dtype.kind == "f" and dtype.itemsize <= 4
        self._kind = np.dtype(np.float32 if single else np.float64)
        self._exact_rows, self._rows, self._columns = rows, rows.astype(self._kind), columns
        self._values = np.empty((rows.shape[1], columns.shape[1]), dtype=self._kind)
        self._bits: Array = self._values.view(np.int32 if single else np.int64)
        self._mask = np.empty(0, dtype=self._bits.dtype)
        self._valid: NDArray[np.bool_] | None = None
        self._full = np.outer(rows.sum(axis=1), columns.sum(axis=1))
        self._area = self._full
        self._reference: float | None = None

    def __call__(self, field: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Add up one field.

        Parameters
        ----------
        field : ndarray (user latitude, user longitude)
            Values, NaN where missing.

        Returns
        -------
        total, area : ndarray (goal latitude, goal longitude), float64
        """
        if self._reference is None:
            first = field.reshape(-1)[np.argmax(np.isfinite(field))]
            self._reference = float(first) if np.isfinite(first) else 0.0
        np.subtract(field, self._kind.type(self._reference), out=self._values, dtype=self._kind)
        # Most fields have no missing value. NaN anywhere makes the sum NaN, so one sum over the banded values, which
        # are fewer by the ratio of the grids, tells this without a pass over the field for the mask.
        if self._valid is None:
            banded = self._rows @ self._values
            if np.isfinite(banded.sum(dtype=np.float64)):
                return self._across(banded) + self._reference * self._full, self._full
        # The mask of land is the same at every step: areas are computed again only where it changed.
        valid = np.isfinite(field)
        if self._valid is None or not np.array_equal(valid, self._valid):
            self._valid, self._area = valid, self._across(self._exact_rows @ valid.astype(np.float64))
            self._mask = -valid.astype(self._bits.dtype)
        # Missing values become 0 by their bits: the mask is -1 (all bits) where valid, else 0. With ragged coasts this
        # is four times as fast as choosing by a boolean mask.
        self._bits &= self._mask
        return self._across(self._rows @ self._values) + self._reference * self._area, self._area

    def _across(self, banded: Array) -> NDArray[np.float64]:
        return np.asarray((self._columns @ banded.T.astype(np.float64)).T)


def finish(total: NDArray[np.float64], area: NDArray[np.float64], min_valid: float) -> NDArray[np.float64]:
    """Mean over the valid area; NaN where that is less than the stated share."""
    enough = area >= max(min_valid, 1e-9) - 1e-9
    return np.where(enough, total / np.where(enough, area, 1.0), np.nan)


def plan_remap(axes: Horizontal, goal: Grid | None, min_valid: float = MIN_VALID) -> Remap:
    """Decide how the data come to a grid: reordered where the cells are the same, averaged where they are finer.

    Parameters
    ----------
    axes : Horizontal
        The user's axes.
    goal : Grid or None
        The model's grid; None keeps the data's cells.
    min_valid : float, default 0.5
        Share of a goal cell's area that must be valid.

    Returns
    -------
    Remap
        Regional data give the part of the goal grid that they cover.

    Raises
    ------
    GridError
        If the data are coarser than the goal, or cover too little of it.
    """
    own = axes.grid
    if goal is None:
        return Remap(own, axes.rows, axes.columns, f"kept on the data's grid ({axes.describe()})")
    if own.matches(goal):
        return Remap(own if own == goal else goal, axes.rows, axes.columns)
    shares = row_weights(own, goal), column_weights(own, goal)
    kept = _covered(own, goal, *(share.sum(axis=1) for share in shares))
    part = _sub_grid(goal, *kept)
    said = (
        f", the {part.shape[0]} x {part.shape[1]} of its cells that the data cover" if part.shape != goal.shape else ""
    )
    same = same_cells(own, part)
    if same is not None:
        note = f"cells of the model's grid ({part.describe()}){said}"
        return Remap(part, axes.rows[same[0]], axes.columns[same[1]], note)
    refuse_finer(own, goal)
    note = (
        f"averaged conservatively from {_steps(own)} to {_steps(goal)} degrees{said}; "
        f"a cell is missing where less than {min_valid:.0%} of it is valid"
    )
    sizes, orders = (len(axes.user_latitude), len(axes.user_longitude)), (axes.rows, axes.columns)
    rows, columns = (
        _in_user_order(share[cells], order, size)
        for share, cells, order, size in zip(shares, kept, orders, sizes, strict=True)
    )
    return Remap(part, rows, columns, note, min_valid)


def _in_user_order(weights: NDArray[np.float64], order: NDArray[np.intp], size: int) -> scipy.sparse.csr_array:
    """Spread weights (goal, canonical) over the user's axis; a column that repeats a meridian gets none."""
    spread = np.zeros((len(weights), size))
    spread[:, order] = weights
    return scipy.sparse.csr_array(spread)


def _steps(grid: Grid) -> str:
    return f"{grid.resolution[0]:g} x {grid.resolution[1]:g}"


def refuse_finer(own: Grid, goal: Grid) -> None:
    """Refuse to bring data to a grid that is finer than their own, which would invent detail."""
    for axis, have, want in zip(("latitude", "longitude"), own.resolution, goal.resolution, strict=True):
        if have > want * _FINER:
            raise _refused("coarser than the model", f"{have:.3g} degrees", axis=axis, most=want * _FINER)


def _covered(
    own: Grid, goal: Grid, rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the goal that the data cover, columns in eastward order of the data."""
    area = float(np.outer(rows * goal.row_area, columns).sum() / np.outer(goal.row_area, np.ones(columns.size)).sum())
    if area >= _NEARLY_GLOBAL:
        # A few rows at the poles or columns at the edge that the data do not cover stay, missing.
        return np.arange(rows.size), np.arange(columns.size)
    if area <= 0:
        raise _refused("elsewhere", own.describe(), goal=goal.describe())
    # At a pole the sine makes twice the share of what rounding moves an edge.
    least, most = _UNCOVERED
    open_rows, open_columns = (min(least + 3 * same_degrees(step) / step, most) for step in goal.resolution)
    chosen_rows, full_columns = np.flatnonzero(rows >= 1 - open_rows), columns >= 1 - open_columns
    chosen_columns = np.flatnonzero(full_columns)
    if chosen_columns.size and not full_columns.all() and full_columns[0] and full_columns[-1] and goal.periodic:
        # The covered columns cross the goal's seam: start east of those that are not covered.
        start = int(np.flatnonzero(~full_columns)[-1]) + 1
        chosen_columns = np.roll(np.arange(columns.size), -start)[: full_columns.sum()]
    if chosen_rows.size < 2 or chosen_columns.size < 2:
        found = f"{own.describe()}: {chosen_rows.size} x {chosen_columns.size} whole cells"
        raise _refused("too few cells", found, steps=_steps(goal))
    return chosen_rows.astype(np.intp), chosen_columns.astype(np.intp)


def _sub_grid(goal: Grid, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Grid:
    """Take some rows and columns of a grid; columns that cross its seam go on eastward, a turn further."""
    longitude = np.asarray(goal.longitude)[columns]
    longitude = longitude + 360.0 * np.cumsum(np.diff(longitude, prepend=longitude[0]) < 0)
    if longitude[-1] >= 360:
        longitude = longitude - 360
    return Grid(tuple(np.asarray(goal.latitude)[rows]), tuple(longitude))


def same_cells(own: Grid, part: Grid) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Find the cells of one grid among those of another, to the rounding of their centres.

    Parameters
    ----------
    own : Grid
        The larger grid.
    part : Grid
        The grid whose cells are looked for.

    Returns
    -------
    (ndarray, ndarray) or None
        Rows and columns of `own`; None where a cell of `part` is not one of `own`.
    """
    tolerance = [same_degrees(step) for step in part.resolution]
    if any(abs(a - b) > most for a, b, most in zip(own.resolution, part.resolution, tolerance, strict=True)):
        return None
    rows = np.abs(np.asarray(own.latitude)[None] - np.asarray(part.latitude)[:, None])
    columns = np.asarray(own.longitude)[None] - np.asarray(part.longitude)[:, None]
    columns = np.abs(np.mod(columns + 180, 360) - 180)
    if rows.min(axis=1).max() > tolerance[0] or columns.min(axis=1).max() > tolerance[1]:
        return None
    return rows.argmin(axis=1).astype(np.intp), columns.argmin(axis=1).astype(np.intp)


def average_tiles(array: da.Array, remap: Remap) -> da.Array:
    """Average an array that is cut in latitude and longitude: each tile gives its share, the shares are added.

    Parameters
    ----------
    array : dask.array.Array ([member,] time, user latitude, user longitude)
        Cut in space.
    remap : Remap
        A remap that averages.

    Returns
    -------
    dask.array.Array ([member,] time, latitude, longitude), float64
        One block in latitude and longitude.
    """
    # A tile cannot give a mean, as it does not know what the others hold of a goal cell, but it gives the two sums
    # whose ratio is the mean. It gives them on the whole goal grid (p: total and area; y, x: its place among the
    # tiles), so the cost grows with the number of tiles: with many, joining them first is cheaper.
    leading = "mt"[-(array.ndim - 2) :]
    rows, columns = (
        da.from_array(weights.toarray().T, chunks=(sizes, -1))  # type: ignore[no-untyped-call]
        for weights, sizes in ((remap.rows, array.chunks[-2]), (remap.columns, array.chunks[-1]))
    )
    shares = da.blockwise(  # type: ignore[no-untyped-call]
        _tile_shares,
        f"{leading}yxpij",
        array,
        f"{leading}yx",
        rows,
        "yk",
        columns,
        "xl",
        new_axes={"p": 2, "i": remap.grid.shape[0], "j": remap.grid.shape[1]},
        adjust_chunks={"y": 1, "x": 1},
        concatenate=True,
        dtype=np.float64,
        meta=np.empty((0,) * (array.ndim + 3)),
    )
    added = shares.sum(axis=(array.ndim - 2, array.ndim - 1), split_every=8)
    averaged: da.Array = da.blockwise(  # type: ignore[no-untyped-call]
        _finish_tiles,
        f"{leading}ij",
        added,
        f"{leading}pij",
        min_valid=remap.min_valid,
        concatenate=True,
        dtype=np.float64,
        meta=np.empty((0,) * array.ndim),
    )
    return averaged


def _tile_shares(block: Array, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    by_row, by_column = scipy.sparse.csr_array(rows.T), scipy.sparse.csr_array(columns.T)
    fields = block.reshape(-1, *block.shape[-2:])
    shares = np.empty((len(fields), 1, 1, 2, rows.shape[1], columns.shape[1]))
    sums = CellSums(by_row, by_column, block.dtype)
    for number, field in enumerate(fields):
        shares[number, 0, 0] = sums(field)
    return shares.reshape(*block.shape[:-2], *shares.shape[1:])


def _finish_tiles(shares: NDArray[np.float64], min_valid: float) -> NDArray[np.float64]:
    return finish(shares[..., 0, :, :], shares[..., 1, :, :], min_valid)
