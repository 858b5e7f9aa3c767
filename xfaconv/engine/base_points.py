"""Base points of attention maps: where the user means, and the model's cell that stands for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xfaconv.arguments import Place, as_place
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid


@dataclass(frozen=True)
class BasePoints:
    """Named cells of a grid.

    Parameters
    ----------
    names : tuple of str
        As the user named them.
    cells : tuple of (int, int)
        Row and column of the nearest cell.
    latitude : tuple of float
        Centres of those cells [degrees north].
    single : bool
        Whether one unnamed point was asked for, so that results have no base point axis.
    """

    names: tuple[str, ...]
    cells: tuple[tuple[int, int], ...]
    latitude: tuple[float, ...]
    single: bool


def nearest_cell(grid: Grid, latitude: float, longitude: float) -> tuple[int, int]:
    """Find the cell whose centre is nearest, on either longitude convention.

    Parameters
    ----------
    grid : Grid
        The grid.
    latitude, longitude : float
        Where [degrees]; -140 and 220 are the same longitude.

    Returns
    -------
    tuple of (int, int)
        Row and column.

    Raises
    ------
    ArgumentError
        If the point lies outside the grid's outer edges.

    Examples
    --------
    >>> grid = Grid.regular(5.0)
    >>> nearest_cell(grid, 1, -140) == nearest_cell(grid, 1, 220)
    True
    """
    south, north = float(grid.latitude_edges[0]), float(grid.latitude_edges[-1])
    west, east = float(grid.longitude_edges[0]), float(grid.longitude_edges[-1])
    # The middle of the grid plus a difference in -180..180 puts the longitude on the grid's own branch.
    middle = (west + east) / 2
    branch = middle + (longitude - middle + 180) % 360 - 180
    # On a closed circle every longitude has a cell, and the seam belongs to both of its ends.
    inside = grid.periodic or west <= branch <= east
    if not (np.isfinite(latitude) and np.isfinite(longitude) and south <= latitude <= north and inside):
        raise ArgumentError(
            f"the base point latitude={latitude:g}, longitude={longitude:g} lies outside the model's domain",
            expected=grid.describe(),
            found=f"latitude {latitude:g}, longitude {longitude:g}",
            fix=f"a place with latitude from {south:g} to {north:g} and longitude from {west:g} to {east:g}",
        )
    row = int(np.abs(np.asarray(grid.latitude) - latitude).argmin())
    distance = np.abs((np.asarray(grid.longitude) - longitude + 180) % 360 - 180)
    return row, int(distance.argmin())


def locate(
    grid: Grid, latitude: float | None, longitude: float | None, base_points: Mapping[str, Place] | None
) -> BasePoints:
    """Find the cells of the base points of a call.

    Parameters
    ----------
    grid : Grid
        The grid that the network runs on.
    latitude, longitude : float, optional
        One point [degrees].
    base_points : Mapping of str to (float, float), optional
        Several named points as (latitude, longitude).

    Returns
    -------
    BasePoints

    Raises
    ------
    ArgumentError
        If neither or both forms are given, a point is malformed, or one lies outside the domain.

    Examples
    --------
    >>> locate(Grid.regular(5.0), None, None, {"nino34": (0, -140)}).names
    ('nino34',)
    """
    example = 'latitude=0, longitude=-140, or base_points={"nino34": (0, -140)}'
    one = latitude is not None or longitude is not None
    if one == (base_points is not None) or (one and (latitude is None or longitude is None)):
        given = {"latitude": latitude, "longitude": longitude, "base_points": base_points}
        named = ", ".join(name for name, value in given.items() if value is not None)
        raise ArgumentError(
            "attention needs one base point, or a mapping of named ones",
            expected=example,
            found=named or "none of them",
        )
    if base_points is not None and not isinstance(base_points, Mapping):
        raise ArgumentError(
            "base_points must be a mapping of names to places",
            expected='{"nino34": (0, -140)}',
            found=repr(base_points),
            fix=example,
        )
    wanted = {"base point": (latitude, longitude)} if one else dict(base_points or {})
    if not wanted:
        raise ArgumentError("base_points is empty", expected=example, found="{}", fix=example)
    cells = [nearest_cell(grid, *as_place(place, name)) for name, place in wanted.items()]
    return BasePoints(
        names=tuple(map(str, wanted)),
        cells=tuple(cells),
        latitude=tuple(grid.latitude[row] for row, _ in cells),
        single=one,
    )
