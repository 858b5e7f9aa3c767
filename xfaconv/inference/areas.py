"""Parts of the Earth as users write them: a place, a box, a sector, a circle, a name, a mask, or several of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.arguments import as_box, as_place, is_number
from xfaconv.errors import ArgumentError, CoordinateError, closest_name
from xfaconv.grid import Grid, great_circle_degrees, nearest_cell
from xfaconv.names import axis_values, find_dimension, named_regions, region_title

Area = Any
KM_PER_DEGREE = 111.195
# Centres are stored in single precision: one on the edge of a box is inside [degrees].
_ON_THE_EDGE = 1e-4
_FORMS = (
    "a box (south, north, west, east), a place (latitude, longitude), {'place': (50, -165), 'radius': 3000} [km], "
    "{'sector': (west, east)}, the name of a region, a DataArray on a grid, or a list of these"
)


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a grid that belong to an area.

    Parameters
    ----------
    weights : ndarray (latitude, longitude), float64
        Share of each cell in a mean over the area; they sum to 1.
    words : str
        The area as it would be written.
    """

    weights: NDArray[np.float64]
    words: str

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Whether each cell belongs to the area (latitude, longitude)."""
        return np.asarray(self.weights != 0)


def find_cells(grid: Grid, area: Area, name: str = "hide") -> Cells:
    """Find the cells whose centres lie in an area, weighted by their sizes.

    Parameters
    ----------
    grid : Grid
        The grid.
    area : tuple, mapping, str, DataArray or list
        A box (south, north, west, east), a place (latitude, longitude), ``{"place": (latitude, longitude), "radius":
        km}``, ``{"sector": (west, east)}``, the name of a region such as ``"nino34"``, a DataArray (latitude,
        longitude) that is a mask (bool) or weights (numbers, multiplied by the cell areas), or a list of these for all
        together.
    name : str
        Name of the argument, for messages.

    Returns
    -------
    Cells

    Raises
    ------
    ArgumentError
        If it is none of these, or no cell lies inside.
    CoordinateError
        If a mask has no latitude or longitude.

    Examples
    --------
    >>> grid = Grid.regular(5.0)
    >>> [int(find_cells(grid, area).mask.sum()) for area in ((-10, 10, 160, 270), (0, -140), {"sector": (0, 90)})]
    [92, 1, 684]
    """
    if isinstance(area, list):
        parts = [find_cells(grid, part, name) for part in area]
        if not parts:
            raise _refused(name, "is an empty list", area)
        mask = np.logical_or.reduce([part.mask for part in parts])
        return _weighted(grid, mask.astype(float), " and ".join(part.words for part in parts), name)
    if isinstance(area, xr.DataArray):
        return _weighted(grid, _on_grid(grid, area, name), "a mask" if area.name is None else str(area.name), name)
    if isinstance(area, str):
        known = named_regions()
        if area not in known:
            close = closest_name(area, list(known)) or next(iter(known))
            raise ArgumentError(
                f"{name} names no region", expected=", ".join(known), found=repr(area), fix=f"{name}={close!r}"
            )
        return _weighted(grid, _in_box(grid, known[area]), region_title(area), name)
    if isinstance(area, Mapping):
        return _weighted(grid, *_of_mapping(grid, area, name), name)
    several = list(area) if isinstance(area, tuple | np.ndarray) else []
    if len(several) == 2 and all(map(is_number, several)):
        place = as_place(several, name)
        weights = np.zeros(grid.shape)
        weights[nearest_cell(grid, *place)] = 1
        return Cells(weights, f"{_degrees(place[0], 'NS')}, {_degrees(place[1], 'EW')}")
    if len(several) == 4 and all(map(is_number, several)):
        box = as_box(several, name)
        return _weighted(grid, _in_box(grid, box), f"{_span(*box[:2], 'NS')}, {_span(*box[2:], 'EW')}", name)
    raise _refused(name, "is no area", area)


def _degrees(value: float, ways: str) -> str:
    return f"{abs(value):g} {ways[value < 0]}"


def _span(first: float, last: float, ways: str) -> str:
    """Write two edges, with one letter where both lie on one side of the equator or of Greenwich."""
    same = (first < 0) == (last < 0)
    return f"{abs(first):g} to {_degrees(last, ways)}" if same else f"{_degrees(first, ways)} to {_degrees(last, ways)}"


def _refused(name: str, problem: str, area: object) -> ArgumentError:
    fix = f"{name}=(20, 80, 140, 250)  # south, north, west, east"
    return ArgumentError(f"{name} {problem}", expected=_FORMS, found=repr(area)[:200], fix=fix)


def _of_mapping(grid: Grid, area: Mapping[Any, Any], name: str) -> tuple[NDArray[np.float64], str]:
    if set(area) == {"sector"} and len(np.atleast_1d(area["sector"])) == 2:
        west, east = as_box((-90, 90, *area["sector"]), name)[2:]
        return _in_box(grid, (-90.0, 90.0, west, east)), f"all latitudes, {_span(west, east, 'EW')}"
    if set(area) == {"place", "radius"} and is_number(area["radius"], 1e-9):
        place = as_place(area["place"], name)
        latitude, longitude = np.asarray(grid.latitude), np.asarray(grid.longitude)
        distance = great_circle_degrees(latitude[:, None], longitude[None], place) * KM_PER_DEGREE
        words = f"{area['radius']:g} km around {_degrees(place[0], 'NS')}, {_degrees(place[1], 'EW')}"
        return (distance <= float(area["radius"])).astype(float), words
    raise _refused(name, "is no area", dict(area))


def _in_box(grid: Grid, box: tuple[float, float, float, float]) -> NDArray[np.float64]:
    south, north, west, east = box
    latitude, longitude = np.asarray(grid.latitude), np.asarray(grid.longitude)
    rows = (latitude >= south - _ON_THE_EDGE) & (latitude <= north + _ON_THE_EDGE)
    # A box as wide as the globe has all meridians; any other width is counted eastward from its western edge.
    width = 360.0 if east - west >= 360 else (east - west) % 360
    columns = (longitude - west + _ON_THE_EDGE) % 360 <= width + 2 * _ON_THE_EDGE
    return np.outer(rows, columns).astype(float)


def _on_grid(grid: Grid, mask: xr.DataArray, name: str) -> NDArray[np.float64]:
    """Take the nearest value of a map for each cell, 0 beyond its edges and where it is missing."""
    dims = [find_dimension(mask, role) for role in ("latitude", "longitude")]
    axes = [axis_values(mask, role) for role in ("latitude", "longitude")]
    if None in dims or mask.ndim != 2 or any(axis is None for axis in axes):
        raise CoordinateError(
            f"{name} is no map",
            expected="a DataArray of latitude and longitude, with both coordinates",
            found=f"dimensions {mask.dims}",
            fix=f"{name}=ds['sst'].isel(time=0, drop=True).isnull()",
        )
    values = np.nan_to_num(mask.transpose(*dims).values.astype(float))
    found = []
    for axis, centres, period in zip(axes, (grid.latitude, grid.longitude), (None, 360.0), strict=True):
        own = np.asarray(axis, dtype=float)
        apart = np.abs(np.asarray(centres)[:, None] - own[None])
        if period:
            apart = np.minimum(apart % period, period - apart % period)
        steps = np.abs(np.diff(own))
        reach = (float(np.median(steps)) if steps.size else np.inf) / 2 + _ON_THE_EDGE
        found.append((apart.argmin(axis=1), apart.min(axis=1) <= reach))
    (rows, in_rows), (columns, in_columns) = found
    return np.asarray(values[np.ix_(rows, columns)] * np.outer(in_rows, in_columns))


def some_box(grid: Grid) -> str:
    """Write a box that holds a quarter of a domain, for messages."""
    half = [axis[len(axis) // 2] for axis in (grid.latitude, grid.longitude)]
    return f"({grid.latitude[0]:g}, {half[0]:g}, {grid.longitude[0]:g}, {half[1]:g})"


def _weighted(grid: Grid, shares: NDArray[np.float64], words: str, name: str) -> Cells:
    weights = shares * grid.area
    total = weights.sum()
    if not np.any(weights) or abs(total) < 1e-12 * np.abs(weights).sum():
        raise ArgumentError(
            f"{name} holds no cell of the grid",
            expected=f"an area with a cell centre inside {grid.describe()}",
            found=words,
            fix=f"{name}={some_box(grid)}",
        )
    return Cells(weights / total, words)
