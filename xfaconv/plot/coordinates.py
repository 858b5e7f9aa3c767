"""Which coordinates of a DataArray are latitude, longitude and time, and the field in the order that a map needs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xfaconv.errors import ArgumentError, CoordinateError, GridError, TimeError
from xfaconv.grid import Grid
from xfaconv.names import axis_values, find_dimension

# Degrees that differ by less are the same: single precision keeps longitudes to 3e-5, text files often to 1e-3.
SAME = 1e-3
# Cells touch the edge of a map from inside: at the edge itself the projection may throw them to the other side.
_EDGE = 1e-4
# Larger cells are drawn in parts of this size [degrees], so that their straight edges follow the curves of a map.
_ROW, _COLUMN = 3.0, 6.0


def horizontal_dimensions(data: xr.DataArray, what: str = "the DataArray") -> tuple[Hashable, Hashable]:
    """Names of the latitude and longitude dimensions.

    Parameters
    ----------
    data : DataArray
        With 1-D latitude and longitude coordinates.
    what : str, default "the DataArray"
        What it is, for the errors, where it has no name.

    Returns
    -------
    tuple of hashable
        Latitude name, longitude name.

    Raises
    ------
    ArgumentError
        If the data are no DataArray.
    CoordinateError
        If either is missing.

    Examples
    --------
    >>> horizontal_dimensions(xr.DataArray(np.zeros((2, 2)), {"lat": [0, 1], "lon": [5, 6]}, ("lat", "lon")))
    ('lat', 'lon')
    """
    what = repr(data.name) if getattr(data, "name", None) is not None else what
    return _dimension(data, "latitude", what), _dimension(data, "longitude", what)


def time_dimension(data: xr.DataArray, what: str) -> Hashable:
    """Name of the time dimension.

    Parameters
    ----------
    data : DataArray
        With a time coordinate.
    what : str
        What it is, for the error.

    Returns
    -------
    hashable

    Raises
    ------
    ArgumentError
        If the data are no DataArray.
    TimeError
        If there is none.

    Examples
    --------
    >>> time_dimension(xr.DataArray(np.zeros(1), {"time": np.array(["2000-01-01"], "M8[ns]")}, ("time",)), "index")
    'time'
    """
    return _dimension(data, "time", what)


def _dimension(data: xr.DataArray, role: str, what: str) -> Hashable:
    if not isinstance(data, xr.DataArray):
        raise ArgumentError(
            "only a DataArray can be drawn",
            expected="an xarray.DataArray, as the functions of xfaconv give it",
            found=f"{what} of type {type(data).__name__}",
            fix="xfaconv.plot_attention(ds.faconv.attention(0, -140))  # or one variable of a Dataset: ds['attention']",
        )
    name = find_dimension(data, role)
    valued = name in data.coords if role == "time" else axis_values(data, role) is not None
    if name is None or not valued:
        error, purpose = (TimeError, "over time") if role == "time" else (CoordinateError, "on a map")
        raise error(
            f"{what} has no {role} coordinate along a dimension, so it cannot be drawn {purpose}",
            expected=f"a dimension with a coordinate that is recognised as {role}",
            found=f"dimensions {tuple(map(str, data.dims))}",
            fix=f"data = data.rename({{'its name': '{role}'}})",
        )
    return name


def select_labels(data: xr.DataArray, dim: Hashable, labels: Sequence[Any], argument: str) -> xr.DataArray:
    """Select labels along a dimension.

    Parameters
    ----------
    data : DataArray
        With a coordinate along the dimension.
    dim : hashable
        The dimension.
    labels : sequence
        What is selected.
    argument : str
        Name of the argument that gave them, for the error.

    Returns
    -------
    DataArray

    Raises
    ------
    ArgumentError
        If they are not all in the coordinate.

    Examples
    --------
    >>> select_labels(xr.DataArray([3, 4], {"channel": [1, 2]}), "channel", [2], "channels").values
    array([4])
    """
    known = data[dim].to_numpy().tolist()
    try:
        return data.sel({dim: list(labels)})
    except (KeyError, IndexError) as problem:
        raise ArgumentError(
            f"{argument} are not all in the coordinate {dim!r}",
            expected=f"labels among {known}",
            found=repr(list(labels)),
            fix=f"{argument}={known[:3]}",
        ) from problem


def same_degrees(first: Any, second: Any) -> NDArray[np.bool_]:
    """Whether latitudes or longitudes are the same to the rounding of a file, longitudes in any convention.

    Parameters
    ----------
    first, second : array_like
        Degrees, broadcast together.

    Returns
    -------
    ndarray of bool

    Examples
    --------
    >>> same_degrees([0.0, 190.0], [359.9999, -170.0]).tolist()
    [True, True]
    """
    apart = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return np.asarray(np.abs(np.mod(apart + 180, 360) - 180) < SAME)


def with_degrees(data: xr.DataArray) -> xr.DataArray:
    """Give the dimensions of latitude and longitude their degrees as coordinates, where these have other names.

    Parameters
    ----------
    data : DataArray (..., latitude, longitude)
        In any order and convention.

    Returns
    -------
    DataArray
        Order and values unchanged.

    Examples
    --------
    >>> da = xr.DataArray(np.zeros((2, 2)), {"lat": ("y", [0, 1]), "lon": ("x", [5, 6])}, ("y", "x"))
    >>> with_degrees(da).x.values.tolist()
    [5, 6]
    """
    for dim, role in zip(horizontal_dimensions(data), ("latitude", "longitude"), strict=True):
        values = axis_values(data, role)
        if values is not None and values.name != dim:
            data = data.assign_coords({dim: values.variable})
    return data


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
    data = with_degrees(data)
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
            f"{'the DataArray' if data.name is None else repr(data.name)} cannot be drawn on a map: {problem.problem}",
            expected=problem.expected,
            found=problem.found,
        ) from problem
    return field, grid


def area_of_cells(data: xr.DataArray, grid: Grid) -> xr.DataArray:
    """Give the area of each cell in the order of the data.

    Parameters
    ----------
    data : DataArray (..., latitude, longitude)
        A record.
    grid : Grid
        Its grid, from `canonical`.

    Returns
    -------
    DataArray (latitude, longitude)
        As `Grid.area` has it, mean 1 over the grid; without coordinates.

    Examples
    --------
    >>> da = xr.DataArray(np.ones((2, 2)), {"lat": [45, -45], "lon": [0, 180]}, ("lat", "lon"))
    >>> area_of_cells(da, canonical(da)[1]).values.round(6).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    latitude, longitude = horizontal_dimensions(data)
    own = with_degrees(data)
    rows = np.searchsorted(grid.latitude, own[latitude].to_numpy())
    columns = same_degrees(np.asarray(grid.longitude)[:, None], own[longitude].to_numpy()).argmax(axis=0)
    return xr.DataArray(np.asarray(grid.area)[np.ix_(rows, columns)], dims=(latitude, longitude))


def _eastward(degrees: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Order and values of longitudes going east without a jump, a repeated meridian left out."""
    around = np.mod(degrees, 360)
    order = np.argsort(around, kind="stable")
    # The meridian before the first is the last: 359.99997 and 0 are the same. NaN stays, for Grid to raise its error.
    order = order[~(np.diff(around[order], prepend=around[order][-1] - 360) <= SAME)]
    steps = np.diff(around[order], append=around[order][0] + 360)
    if steps.size > 1 and steps.max() > 1.5 * np.median(steps):
        start = (int(np.argmax(steps)) + 1) % order.size
    else:
        start = int(np.argmin(degrees[order]))
    order = np.roll(order, -start)
    first = degrees[order[0]]
    return order.astype(np.int64), first + np.mod(degrees[order] - first, 360)


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
            latitude: (latitude, intervals(heights), field[latitude].attrs),
            longitude: (longitude, intervals(edges), field[longitude].attrs),
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
    # With weight 0 the neighbour does not count, so that its NaN does not spread.
    return np.where(weight == 0, low, low * (1 - weight) + high * weight), finer


def east_of(left: float, degrees: Any) -> NDArray[np.float64]:
    """Degrees east of a meridian: those within rounding of it are near 0 on either side, never near 360.

    Parameters
    ----------
    left : float
        The meridian [degrees].
    degrees : array_like
        Longitudes in any convention [degrees].

    Returns
    -------
    ndarray
        From -0.001 to 359.999.

    Examples
    --------
    >>> east_of(-180.0, [-180.0, 179.99999, 90.0]).round(5)
    array([ 0.e+00, -1.e-05,  2.7e+02])
    """
    east = np.mod(np.asarray(degrees, dtype=np.float64) - left, 360)
    return np.asarray(np.where(east > 360 - SAME, east - 360, east))


def _cut(edges: NDArray[np.float64], left: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Columns and edges of a closed circle of cells cut open at a meridian."""
    east = east_of(left, edges[:-1])
    order = np.argsort(east, kind="stable").astype(np.int64)
    inner = east[order]
    # An edge within rounding of the meridian lies on it; else the cell that the meridian cuts is on both sides.
    on_the_edge = abs(inner[0]) < SAME
    columns, inner = (order, inner[1:]) if on_the_edge else (np.concatenate([order[-1:], order]), inner)
    return columns, left + np.concatenate([[_EDGE], inner, [360 - _EDGE]])


def _apart_from_ends(places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Leave out centres that lie on an end, which is there already: points on a pole, a meridian at the seam."""
    inside = (places[1:-1] > places[0] + SAME) & (places[1:-1] < places[-1] - SAME)
    return np.concatenate([[True], inside, [True]])


def intervals(edges: NDArray[np.floating]) -> NDArray[np.object_]:
    """Intervals between edges: xarray draws such coordinates at their true edges."""
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
        east = east_of(left, degrees)
        order = np.argsort(east, kind="stable")
        inner, degrees = inner[..., order], left + east[order]
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
    kept_rows, kept_columns = _apart_from_ends(rows), _apart_from_ends(columns)
    values, rows = _between(values[..., kept_rows, :][..., kept_columns], rows[kept_rows], _ROW, -2)
    values, columns = _between(values, columns[kept_columns], _COLUMN, -1)
    others = {name: coord for name, coord in field.coords.items() if not {latitude, longitude} & set(coord.dims)}
    return xr.DataArray(
        values,
        {**others, latitude: (latitude, rows), longitude: (longitude, columns)},
        field.dims,
        name=field.name,
        attrs=field.attrs,
    )
