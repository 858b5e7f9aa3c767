"""Which coordinates of a DataArray are latitude, longitude and time, and the field in the order that a map needs."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xfaconv.errors import ArgumentError, CoordinateError, GridError
from xfaconv.grid import Grid
from xfaconv.names import find_dimension

# Cells touch the edge of a map from inside: at the edge itself the projection may throw them to the other side.
_EDGE = 1e-4
# Larger cells are drawn in parts of this size [degrees], so that their straight edges follow the curves of a map.
_ROW, _COLUMN = 3.0, 6.0


def drawn_dimension(data: xr.DataArray, kind: str) -> Hashable | None:
    """Find the dimension of a figure's data that is latitude, longitude or time.

    Parameters
    ----------
    data : DataArray
        Any dimensions.
    kind : {"latitude", "longitude", "time"}
        What is looked for.

    Returns
    -------
    hashable or None
        As `xfaconv.names.find_dimension` says.

    Raises
    ------
    ArgumentError
        If the data are no DataArray.

    Examples
    --------
    >>> drawn_dimension(xr.DataArray(np.zeros(2), dims="lat"), "latitude")
    'lat'
    """
    if not isinstance(data, xr.DataArray):
        raise ArgumentError(
            "only a DataArray can be drawn",
            expected="an xarray.DataArray, as the functions of xfaconv give it",
            found=type(data).__name__,
            fix="plot_attention(ds.faconv.attention(0, -140)), or one variable of a Dataset: ds['attention']",
        )
    return find_dimension(data, kind)


def horizontal_dimensions(data: xr.DataArray) -> tuple[Hashable, Hashable]:
    """Names of the latitude and longitude dimensions.

    Parameters
    ----------
    data : DataArray
        With 1-D latitude and longitude coordinates.

    Returns
    -------
    tuple of hashable
        Latitude name, longitude name.

    Raises
    ------
    CoordinateError
        If either is missing.

    Examples
    --------
    >>> horizontal_dimensions(xr.DataArray(np.zeros((2, 2)), {"lat": [0, 1], "lon": [5, 6]}, ("lat", "lon")))
    ('lat', 'lon')
    """
    found = []
    for kind in ("latitude", "longitude"):
        name = drawn_dimension(data, kind)
        if name is None or name not in data.coords:
            raise CoordinateError(
                f"{_called(data)} has no {kind} coordinate along a dimension, so it cannot be put on a map",
                expected=f"a 1-D coordinate with standard_name {kind!r}",
                found=f"dimensions {tuple(str(dim) for dim in data.dims)}",
                fix=f"data = data.rename({{'<its name>': '{kind}'}})",
            )
        found.append(name)
    return found[0], found[1]


def _called(data: xr.DataArray) -> str:
    return f"{data.name!r}" if data.name is not None else "the DataArray"


def canonical(data: xr.DataArray) -> tuple[xr.DataArray, Grid]:
    """Put a field from south to north and eastward, each meridian once, latitude and longitude last.

    Parameters
    ----------
    data : DataArray (..., latitude, longitude)
        In any order and convention.

    Returns
    -------
    field : DataArray (..., latitude, longitude)
        Names as in the data; longitudes strictly ascending, so that a domain across the date line is in one piece.
    grid : Grid
        Its grid.

    Raises
    ------
    CoordinateError
        If latitude or longitude is missing.
    GridError
        If the grid is not rectilinear.

    Examples
    --------
    >>> da = xr.DataArray([[1.0, 2.0, 3.0]] * 2, {"lat": [10, 0], "lon": [175, 180, -175]}, ("lat", "lon"))
    >>> field, grid = canonical(da)
    >>> grid.latitude, grid.longitude
    ((0.0, 10.0), (175.0, 180.0, 185.0))
    """
    latitude, longitude = horizontal_dimensions(data)
    degrees = np.asarray(data[longitude].values, dtype=np.float64)
    rows = np.argsort(np.asarray(data[latitude].to_numpy(), dtype=np.float64), kind="stable")
    order, eastward = _eastward(degrees)
    field = data.isel({latitude: rows, longitude: order}).transpose(..., latitude, longitude)
    field = field.assign_coords({longitude: (longitude, eastward, data[longitude].attrs)})
    try:
        grid = Grid(tuple(float(v) for v in field[latitude].to_numpy()), tuple(eastward))
    except GridError as problem:
        raise GridError(
            f"{_called(data)} cannot be drawn on a map: {problem.problem}",
            expected=problem.expected,
            found=problem.found,
        ) from problem
    return field, grid


def _eastward(degrees: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Order and values of longitudes going east without a jump, a repeated meridian left out."""
    around = np.mod(degrees, 360)
    around[around > 360 - 1e-6] = 0.0
    order = np.argsort(around, kind="stable")
    steps = np.diff(around[order], append=around[order][0] + 360)
    keep = np.concatenate([[True], steps[:-1] > 1e-3]) if order.size > 1 else np.array([True])
    order = order[keep]
    steps = np.diff(around[order], append=around[order][0] + 360)
    if steps.size > 1 and steps.max() > 1.5 * np.median(steps):
        start = (int(np.argmax(steps)) + 1) % order.size
    else:
        start = int(np.argmin(degrees[order]))
    order = np.roll(order, -start)
    values = around[order]
    values = values[0] + np.mod(values - values[0], 360)
    return order.astype(np.int64), values + (degrees[order[0]] - values[0])


def as_cells(field: xr.DataArray, grid: Grid, left: float | None) -> xr.DataArray:
    """Replace centres by intervals, so that every cell is drawn at its true edges.

    Parameters
    ----------
    field : DataArray (..., latitude, longitude)
        From `canonical`.
    grid : Grid
        Its grid.
    left : float, optional
        Longitude of the left edge of the map [degrees]. A periodic field begins there; the cell that the edge
        cuts is drawn on both sides, and no cell crosses it. None leaves the columns as they are.

    Returns
    -------
    DataArray (..., latitude, longitude)
        With `pandas.Interval` coordinates; large cells in several equal parts.

    Examples
    --------
    >>> grid = Grid((-45.0, 45.0), (0.0, 90.0, 180.0, 270.0))
    >>> field = xr.DataArray(np.zeros(grid.shape), {"lat": list(grid.latitude), "lon": list(grid.longitude)},
    ...                      ("lat", "lon"))
    >>> cells = as_cells(field, grid, left=-180.0)
    >>> round(cells.lon.values[0].left), round(cells.lon.values[-1].right)
    (-180, 180)
    """
    latitude, longitude = field.dims[-2:]
    edges = grid.longitude_edges
    columns = np.arange(len(grid.longitude))
    if grid.periodic and left is not None:
        columns, edges = _cut(edges, left)
    rows, heights = _divided(grid.latitude_edges, _ROW)
    parts, edges = _divided(edges, _COLUMN)
    return field.isel({latitude: rows, longitude: columns[parts]}).assign_coords(
        {
            latitude: (latitude, _intervals(heights), field[latitude].attrs),
            longitude: (longitude, _intervals(edges), field[longitude].attrs),
        }
    )


def _divided(edges: NDArray[np.float64], largest: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cut cells into equal parts no wider than a limit: a straight edge then follows a curved map.

    Returns the cell that each part belongs to, and the edges of the parts.
    """
    counts = np.maximum(np.ceil(np.diff(edges) / largest - 1e-6).astype(int), 1)
    parts = [
        np.linspace(low, high, count, endpoint=False)
        for (low, high), count in zip(pairwise(edges), counts, strict=True)
    ]
    return np.repeat(np.arange(counts.size), counts), np.concatenate([*parts, edges[-1:]])


def _between(values: NDArray[np.floating], places: NDArray[np.float64], largest: float, axis: int) -> Any:
    """Linear interpolation of points onto places no further apart than a limit."""
    cell, finer = _divided(places, largest)
    cell = np.append(cell, places.size - 1)
    upper = np.minimum(cell + 1, places.size - 1)
    width = np.where(upper > cell, places[upper] - places[cell], 1.0)
    weight = ((finer - places[cell]) / width)[(slice(None),) + (None,) * (-1 - axis)]
    low, high = np.take(values, cell, axis=axis), np.take(values, upper, axis=axis)
    # A point that was there stays as it was, whatever its neighbour lacks.
    return np.where(weight == 0, low, low * (1 - weight) + high * weight), finer


def _cut(edges: NDArray[np.float64], left: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Columns and edges of a closed circle of cells cut open at a meridian."""
    count = edges.size - 1
    shifted = left + np.mod(edges[:-1] - left, 360)
    order = np.argsort(shifted, kind="stable")
    starts = shifted[order]
    if starts[0] - left < 1e-6:
        return order, np.concatenate([[left + _EDGE], starts[1:], [left + 360 - _EDGE]])
    columns = np.concatenate([order[-1:], order])
    cut = np.concatenate([[left + _EDGE], starts, [left + 360 - _EDGE]])
    return columns.astype(np.int64) % count, cut


def _intervals(edges: NDArray[np.float64]) -> NDArray[np.object_]:
    out = np.empty(edges.size - 1, dtype=object)
    out[:] = [pd.Interval(low, high) for low, high in pairwise(edges)]
    return out


def as_points(field: xr.DataArray, grid: Grid, left: float | None) -> xr.DataArray:
    """Extend the centres to the edges of the domain, so that contours fill it without a seam.

    Parameters
    ----------
    field : DataArray (..., latitude, longitude)
        From `canonical`.
    grid : Grid
        Its grid.
    left : float, optional
        Longitude of the left edge of the map [degrees]; a periodic field begins there, interpolated.

    Returns
    -------
    DataArray (..., latitude, longitude)
        With rows and columns to the edges: at a pole the mean of the last row, elsewhere the last values.

    Examples
    --------
    >>> grid = Grid((-45.0, 45.0), (0.0, 90.0, 180.0, 270.0))
    >>> field = xr.DataArray([[0.0, 1.0, 2.0, 3.0]] * 2,
    ...                      {"lat": list(grid.latitude), "lon": list(grid.longitude)}, ("lat", "lon"))
    >>> points = as_points(field, grid, left=-45.0)
    >>> points.sel(lon=[0.0, 90.0], lat=45.0).values
    array([0., 1.])
    >>> float(points.lat[0]), float(points.lat[-1])
    (-90.0, 90.0)
    """
    latitude, longitude = field.dims[-2:]
    degrees, inner = np.asarray(grid.longitude), field.to_numpy()
    if grid.periodic and left is not None:
        shifted = left + np.mod(degrees - left, 360)
        order = np.argsort(shifted, kind="stable")
        inner, degrees = inner[..., order], shifted[order]
        weight = (left + 360 - degrees[-1]) / (degrees[0] + 360 - degrees[-1])
        seam = inner[..., -1:] * (1 - weight) + inner[..., :1] * weight
        first, last, ends = seam, seam, (left + _EDGE, left + 360 - _EDGE)
    else:
        first, last = inner[..., :1], inner[..., -1:]
        ends = (float(grid.longitude_edges[0]), float(grid.longitude_edges[-1]))
    values = np.concatenate([first, inner, last], axis=-1)
    columns = np.concatenate([ends[:1], degrees, ends[1:]])
    south, north = values[..., :1, :], values[..., -1:, :]
    if grid.periodic and grid.reaches_south_pole:
        south = np.broadcast_to(inner[..., :1, :].mean(axis=-1, keepdims=True), south.shape)
    if grid.periodic and grid.reaches_north_pole:
        north = np.broadcast_to(inner[..., -1:, :].mean(axis=-1, keepdims=True), north.shape)
    values = np.concatenate([south, values, north], axis=-2)
    rows = np.concatenate([grid.latitude_edges[:1], grid.latitude, grid.latitude_edges[-1:]])
    # Where a centre lies on the edge already (points on a pole, a meridian at the seam), it stands there once.
    keep_rows = np.concatenate([np.diff(rows) > 1e-6, [True]])
    inside = (degrees > ends[0] + 2 * _EDGE) & (degrees < ends[1] - 2 * _EDGE)
    keep_columns = np.concatenate([[True], inside, [True]])
    rows, columns = rows[keep_rows], columns[keep_columns]
    values, rows = _between(values[..., keep_rows, :][..., keep_columns], rows, _ROW, -2)
    values, columns = _between(values, columns, _COLUMN, -1)
    others = {name: coord for name, coord in field.coords.items() if not {latitude, longitude} & set(coord.dims)}
    return xr.DataArray(
        values,
        {**others, latitude: (latitude, rows), longitude: (longitude, columns)},
        field.dims,
        name=field.name,
        attrs=field.attrs,
    )
