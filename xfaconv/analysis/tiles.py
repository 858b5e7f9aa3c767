"""Coherent boxes of about equal area that parts of the input are hidden by, and the orders to hide them in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xfaconv.grid import Grid

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tiles:
    """A grid cut into boxes of about equal area, the surroundings of a base point left out.

    Parameters
    ----------
    number : ndarray (latitude, longitude)
        Box of each cell; -1 near the base point.
    area : ndarray (latitude, longitude)
        Area of each cell, mean 1.
    distance : ndarray (latitude, longitude)
        Great-circle distance from the base point [degrees].
    """

    number: NDArray[np.int64]
    area: FloatArray
    distance: FloatArray

    @property
    def count(self) -> int:
        """Number of boxes."""
        return int(self.number.max()) + 1

    @property
    def size(self) -> FloatArray:
        """Area of each box."""
        inside = self.number >= 0
        return np.bincount(self.number[inside], self.area[inside], minlength=self.count).astype(np.float64)

    def mean(self, field: NDArray[np.floating]) -> FloatArray:
        """Area-weighted mean of a map over each box (box,)."""
        inside = self.number >= 0
        total = np.bincount(self.number[inside], (field * self.area)[inside], minlength=self.count)
        return np.asarray(total / self.size)

    def mask(self, boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Mark the cells of some boxes."""
        return np.isin(self.number, boxes)

    def first(self, order: NDArray[np.int64], share: float) -> NDArray[np.int64]:
        """Boxes from the beginning of an order that together make the share of the area, to the nearest box."""
        filled = np.cumsum(self.size[order]) / self.size.sum()
        return order[: max(1, int(np.searchsorted(filled, share - 0.5 / self.count, side="left")) + 1)]


def cut_tiles(grid: Grid, cell: tuple[int, int], *, box: float, near: float) -> Tiles:
    """Cut a grid into boxes.

    Parameters
    ----------
    grid : Grid
        The grid.
    cell : (int, int)
        Row and column of the base point.
    box : float
        Side of a box [degrees]; its width grows with latitude so that areas stay alike.
    near : float
        Cells within this distance [degrees] of the base point belong to no box.

    Returns
    -------
    Tiles

    Examples
    --------
    >>> tiles = cut_tiles(Grid.regular(5.0), (18, 0), box=20, near=15)
    >>> bool(tiles.count > 90), bool(tiles.size.max() / np.median(tiles.size) < 1.6)
    (True, True)
    """
    latitude, longitude = (np.asarray(axis) for axis in (grid.latitude, grid.longitude))
    south, north = grid.latitude_edges[0], grid.latitude_edges[-1]
    west, east = grid.longitude_edges[0], grid.longitude_edges[-1]
    bands = max(1, round((north - south) / box))
    band = np.minimum(((latitude - south) / (north - south) * bands).astype(int), bands - 1)
    number = np.full(grid.shape, -1, dtype=np.int64)
    start = 0
    for position in range(bands):
        middle = south + (position + 0.5) * (north - south) / bands
        boxes = max(1, round((east - west) * np.cos(np.deg2rad(middle)) / box))
        column = np.minimum(((longitude - west) / (east - west) * boxes).astype(int), boxes - 1)
        number[band == position] = start + column
        start += boxes
    rows, columns = np.deg2rad(latitude)[:, None], np.deg2rad(longitude)[None, :]
    row, meridian = rows[cell[0], 0], columns[0, cell[1]]
    half = np.sin((rows - row) / 2) ** 2 + np.cos(rows) * np.cos(row) * np.sin((columns - meridian) / 2) ** 2
    distance = np.rad2deg(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))
    number[distance < near] = -1
    # Boxes that the surroundings swallowed leave no gap in the numbering.
    kept = np.unique(number[number >= 0])
    renumbered = np.full(grid.shape, -1, dtype=np.int64)
    renumbered[number >= 0] = np.searchsorted(kept, number[number >= 0])
    return Tiles(renumbered, np.asarray(grid.area), distance)


def trivial_maps(tiles: Tiles, grid: Grid, fields: NDArray[np.floating]) -> dict[str, FloatArray]:
    """Give maps that need no model: nearness, cosine of latitude, and variance of the input window.

    Examples
    --------
    >>> grid = Grid.regular(30.0)
    >>> tiles = cut_tiles(grid, (3, 0), box=30, near=10)
    >>> sorted(trivial_maps(tiles, grid, np.zeros((2, 1, 6, 12))))
    ['distance', 'latitude', 'variance']
    """
    cosine = np.cos(np.deg2rad(np.asarray(grid.latitude)))[:, None]
    return {
        "distance": -tiles.distance,
        "latitude": np.broadcast_to(cosine, grid.shape).astype(np.float64),
        "variance": np.asarray((np.asarray(fields, dtype=np.float64) ** 2).mean(axis=(0, 1))),
    }


def partial_rank_correlation(x: FloatArray, y: FloatArray, controls: list[FloatArray]) -> float:
    """Spearman correlation of what the controls do not explain, by least squares on ranks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> common, x, y = rng.normal(size=(3, 500))
    >>> round(abs(partial_rank_correlation(common + 0.1 * x, common + 0.1 * y, [common])), 0)
    0.0
    """
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (x, y, *controls)]
    basis = np.stack([np.ones(len(x)), *ranks[2:]], axis=1)
    rest = [values - basis @ np.linalg.lstsq(basis, values, rcond=None)[0] for values in ranks[:2]]
    scale = float(np.sqrt((rest[0] ** 2).sum() * (rest[1] ** 2).sum()))
    # What least squares leaves of a vector that the controls explain whole is rounding.
    tiny = 1e-9 * float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((rest[0] * rest[1]).sum() / scale) if scale > tiny else float("nan")
