"""What every analysis asks of a labelled field: its axes, the areas of its cells, means over boxes, points."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.arguments import Box, Place
from xfaconv.errors import ArgumentError, CoordinateError, TimeError
from xfaconv.grid import Grid, great_circle_degrees, nearest_cell
from xfaconv.names import axis_values, find_dimension

Cells = Literal["overlap", "centres"]
Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)

_LEAST_COVER = 0.9
_ONE_SERIES = "[:, 0, 0]  # one number for each time"
# Centres are stored in single precision: a centre on the edge of a box is inside [degrees].
_ON_THE_EDGE = 1e-4


class Axes(NamedTuple):
    """Names of the horizontal dimensions of an array.

    Parameters
    ----------
    latitude, longitude : str
        Names of the dimensions.
    """

    latitude: str
    longitude: str


def check_arrays(**arrays: object) -> None:
    """Refuse what is no DataArray.

    Parameters
    ----------
    **arrays
        Arguments by the names that users write.

    Raises
    ------
    ArgumentError
        Naming the first that is none.

    Examples
    --------
    >>> check_arrays(field=xr.DataArray([1.0]))
    """
    for name, value in arrays.items():
        if not isinstance(value, xr.DataArray):
            kind = type(value).__name__
            series = name in ("index", "regime")
            fix = f"{name}=ds['z500']{_ONE_SERIES if series else ''}"
            raise ArgumentError(f"{name} is not a DataArray", found=kind, fix=fix)


def _dimension(data: xr.DataArray | xr.Dataset, role: str, dim: str | None = None) -> str:
    """Name of the dimension of a role, or the one that is given for it."""
    if not isinstance(data, xr.DataArray | xr.Dataset):
        raise ArgumentError("the data are no xarray object", found=type(data).__name__, fix="ds['z500']")
    name = find_dimension(data, role) if dim is None else dim
    valued = role == "time" or axis_values(data, role) is not None
    if isinstance(name, str) and name in data.dims and valued:
        return name
    error, what = (TimeError, "dimension") if role == "time" else (CoordinateError, "coordinate")
    wanted = f"a known name, or standard_name='{role}'" if dim is None else str(dim)
    fix = f"data = data.rename({{'its name': '{role}'}})" if dim is None else "dim=None"
    raise error(f"no {role} {what}", expected=wanted, found=f"dimensions {tuple(data.dims)}", fix=fix)


def require_dimension(data: xr.DataArray, dim: str, name: str) -> None:
    """Refuse a series that has not the time dimension of another.

    Examples
    --------
    >>> require_dimension(xr.DataArray([1.0], dims="time"), "time", "the index")
    """
    if dim not in data.dims:
        raise TimeError(f"{name} has no time", expected=f"dimension {dim!r}", found=f"dimensions {data.dims}")


def horizontal_axes(data: xr.DataArray | xr.Dataset) -> Axes:
    """Find the latitude and longitude dimensions.

    Parameters
    ----------
    data : DataArray or Dataset
        With one-dimensional latitude and longitude coordinates [degrees].

    Returns
    -------
    Axes

    Raises
    ------
    CoordinateError
        If either is missing.

    Examples
    --------
    >>> field = xr.DataArray(np.zeros((2, 2)), {"lat": [0.0, 1.0], "lon": [0.0, 1.0]}, ("lat", "lon"))
    >>> horizontal_axes(field)
    Axes(latitude='lat', longitude='lon')
    """
    return Axes(_dimension(data, "latitude"), _dimension(data, "longitude"))


def time_axis(data: xr.DataArray | xr.Dataset, dim: str | None = None) -> str:
    """Find the time dimension.

    Parameters
    ----------
    data : DataArray or Dataset
        With a time dimension.
    dim : str, optional
        Its name, when known.

    Returns
    -------
    str

    Raises
    ------
    TimeError
        If there is none.

    Examples
    --------
    >>> time_axis(xr.DataArray(np.zeros(3), dims="valid_time"))
    'valid_time'
    """
    return _dimension(data, "time", dim)


def in_one_chunk(data: Labelled, dims: Iterable[Hashable]) -> Labelled:
    """Put some dimensions of a lazy array into one chunk each; an array in memory stays as it is.

    Examples
    --------
    >>> in_one_chunk(xr.DataArray(np.zeros(4), dims="time").chunk(time=1), ["time"]).chunks
    ((4,),)
    """
    return data.chunk(dict.fromkeys(dims, -1)) if data.chunks else data


def horizontal_coordinates(data: xr.DataArray | xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Latitude and longitude of the axes, whatever their dimensions are called.

    Parameters
    ----------
    data : DataArray or Dataset
        With latitude and longitude.

    Returns
    -------
    latitude, longitude : DataArray
        In the order of the data [degrees].

    Raises
    ------
    CoordinateError
        If either is missing.

    Examples
    --------
    >>> field = xr.DataArray(np.zeros((1, 2)), {"lat": ("y", [5.0]), "lon": ("x", [0.0, 1.0])}, ("y", "x"))
    >>> [found.name for found in horizontal_coordinates(field)]
    ['lat', 'lon']
    """
    axes, found = horizontal_axes(data), [axis_values(data, role) for role in ("latitude", "longitude")]
    latitude, longitude = (data[name] if values is None else values for name, values in zip(axes, found, strict=True))
    return latitude, longitude


def grid_of(data: xr.DataArray | xr.Dataset) -> tuple[Grid, NDArray[np.intp], NDArray[np.intp]]:
    """Give the grid in ascending order, and the positions of its rows and columns in the data."""
    latitude, longitude = (np.asarray(found, dtype=np.float64) for found in horizontal_coordinates(data))
    rows, columns = np.argsort(latitude), np.argsort(longitude)
    # A repeated meridian (-180 and 180) counts once: the last column is no cell of the grid.
    if len(columns) > 2 and np.ptp(longitude) >= 360 - 1e-3:
        columns = columns[:-1]
    return Grid(tuple(latitude[rows]), tuple(longitude[columns])), rows, columns


def cell_area(
    data: xr.DataArray | xr.Dataset, box: Box = (-90.0, 90.0, 0.0, 360.0), *, cells: Cells = "overlap"
) -> xr.DataArray:
    """Area of each cell inside a box, on the unit sphere.

    Parameters
    ----------
    data : DataArray or Dataset
        With latitude and longitude.
    box : (south, north, west, east)
        Edges [degrees]; west may be greater than east across the date line. Default: the whole sphere.
    cells : {"overlap", "centres"}
        Count the exact part of each cell inside the box, or the whole of each cell whose centre is inside.

    Returns
    -------
    DataArray (latitude, longitude), float64
        Area [steradian], 0 outside.

    Raises
    ------
    CoordinateError
        If a coordinate is missing.

    Examples
    --------
    >>> field = xr.DataArray(np.zeros((2, 4)), {"lat": [-45.0, 45.0], "lon": [0.0, 90.0, 180.0, 270.0]}, ("lat", "lon"))
    >>> bool(np.isclose(cell_area(field).sum(), 4 * np.pi))
    True
    """
    axes = horizontal_axes(data)
    grid, rows, columns = grid_of(data)
    south, north, west, east = box
    west, east = (0.0, 360.0) if east - west >= 360 else (west % 360, west % 360 + (east - west) % 360)
    whole = cells == "centres"
    bounds = (-90.0, 90.0, 0.0, 360.0) if whole else (south, north, west, east)
    height = np.zeros(data.sizes[axes.latitude])
    width = np.zeros(data.sizes[axes.longitude])
    # The area of a cell on the unit sphere is (sin north - sin south) (east - west), with its edges cut by the box.
    height[rows] = np.diff(np.sin(np.deg2rad(np.clip(grid.latitude_edges, *bounds[:2]))))
    for turn in (-720, -360, 0, 360, 720):
        width[columns] += np.deg2rad(np.diff(np.clip(grid.longitude_edges + turn, *bounds[2:])))
    if whole:
        latitude, longitude = (np.asarray(found, dtype=np.float64) for found in horizontal_coordinates(data))
        height[(latitude < south - _ON_THE_EDGE) | (latitude > north + _ON_THE_EDGE)] = 0
        width[(longitude - west + _ON_THE_EDGE) % 360 > east - west + 2 * _ON_THE_EDGE] = 0
    return xr.DataArray(np.outer(height, width), _labels(data, axes), axes, name="cell_area", attrs={"units": "sr"})


def _labels(data: xr.DataArray | xr.Dataset, axes: Axes) -> dict[Hashable, xr.DataArray]:
    """Coordinates along one of the horizontal axes, for a map of the same cells."""
    return {name: coord for name, coord in data.coords.items() if coord.ndim == 1 and coord.dims[0] in axes}


def part_with_cells(data: xr.DataArray, weights: xr.DataArray) -> xr.DataArray:
    """Cut out the rows and columns that hold a cell of positive weight; nothing else of a lazy array is read.

    Examples
    --------
    >>> field = xr.DataArray(np.eye(3), {"lat": [-45.0, 0.0, 45.0], "lon": [0.0, 120.0, 240.0]}, ("lat", "lon"))
    >>> part_with_cells(field, cell_area(field, (-10, 10, 0, 360))).sizes["lat"]
    1
    """
    axes = horizontal_axes(data)
    inside = weights > 0
    return data.isel(
        {
            axes.latitude: inside.any(axes.longitude).values,
            axes.longitude: inside.any(axes.latitude).values,
        }
    )


def box_mean(field: xr.DataArray, box: Box, *, cells: Cells = "centres") -> xr.DataArray:
    """Area-weighted mean over a box; missing cells are left out.

    Parameters
    ----------
    field : DataArray (..., latitude, longitude)
        In memory or lazy.
    box : (south, north, west, east)
        Edges [degrees].
    cells : {"centres", "overlap"}
        Which cells count: those whose centres are inside, as index tables have it, or each with its part inside.

    Returns
    -------
    DataArray (...)
        In the units of the field and of its precision; lazy if the field is lazy.

    Raises
    ------
    CoordinateError
        If the grid covers less than 90% of the box: the mean of a part is another number.

    Examples
    --------
    >>> field = xr.DataArray(np.eye(2), {"lat": [-45.0, 45.0], "lon": [0.0, 180.0]}, ("lat", "lon"))
    >>> float(box_mean(field, (-90, 90, 0, 360)))
    0.5
    """
    weights = cell_area(field, box, cells=cells)
    south, north, west, east = box
    whole = np.deg2rad(min(east - west, 360.0) if east > west else (east - west) % 360)
    whole *= np.sin(np.deg2rad(north)) - np.sin(np.deg2rad(south))
    covered = float(cell_area(field, box).sum()) / whole
    centres = int((weights > 0).sum())
    if covered < _LEAST_COVER or not centres:
        where = "latitude {:g} to {:g}, longitude {:g} to {:g}".format(*box)
        problem = (
            f"the grid covers {100 * covered:.0f}% of the box"
            if centres
            else "its cells are too large: none has its centre in the box"
        )
        wanted = f"at least {100 * _LEAST_COVER:.0f}%, and a cell centre inside {where}"
        raise CoordinateError(problem, expected=wanted, found=grid_of(field)[0].describe())
    axes = horizontal_axes(field)
    dtype = np.result_type(field.dtype, np.float32)
    part = part_with_cells(field, weights).astype(np.float64)
    return part.weighted(part_with_cells(weights, weights)).mean(axes).astype(dtype)


def zonal_mean(field: xr.DataArray, latitude: float) -> xr.DataArray:
    """Mean around a latitude circle, linear between the rows beside it.

    Parameters
    ----------
    field : DataArray (..., latitude, longitude)
        Its longitudes must close around the globe.
    latitude : float
        The circle [degrees].

    Returns
    -------
    DataArray (...)
        In the units of the field; lazy if it is.

    Raises
    ------
    CoordinateError
        If the grid does not reach the latitude or does not go all around.

    Examples
    --------
    >>> coords = {"lat": [-50.0, -30.0], "lon": [0.0, 120.0, 240.0]}
    >>> field = xr.DataArray([[1.0, 1, 1], [3, 3, 3]], coords, ("lat", "lon"))
    >>> float(zonal_mean(field, -40))
    2.0
    """
    axes = horizontal_axes(field)
    grid, order, _ = grid_of(field)
    if not (grid.periodic and grid.latitude[0] <= latitude <= grid.latitude[-1]):
        what = f"no full latitude circle at {latitude:g}"
        raise CoordinateError(what, expected="a grid that covers the hemisphere", found=grid.describe())
    above = int(np.clip(np.searchsorted(grid.latitude, latitude), 1, len(order) - 1))
    south, north = grid.latitude[above - 1], grid.latitude[above]
    share = (latitude - south) / (north - south)
    circle = field.astype(np.float64).weighted(cell_area(field).sum(axes.latitude)).mean(axes.longitude)
    low, high = (circle.isel({axes.latitude: order[row]}, drop=True) for row in (above - 1, above))
    mixed: xr.DataArray = (1 - share) * low + share * high
    return mixed.astype(np.result_type(field.dtype, np.float32)).rename(field.name)


def nearest_point(field: xr.DataArray, point: Place) -> xr.DataArray:
    """Give the series of the cell that holds a place, whichever longitude convention is used.

    Parameters
    ----------
    field : DataArray (..., latitude, longitude)
        In memory or lazy.
    point : (latitude, longitude)
        The place [degrees]; longitude in any convention.

    Returns
    -------
    DataArray (...)
        With the cell's own latitude and longitude as scalar coordinates.

    Raises
    ------
    CoordinateError
        If the place lies outside the grid.

    Examples
    --------
    >>> field = xr.DataArray(np.arange(4.0).reshape(2, 2), {"lat": [0.0, 10.0], "lon": [190.0, 200.0]}, ("lat", "lon"))
    >>> float(nearest_point(field, (9, -161)))
    3.0
    """
    axes = horizontal_axes(field)
    grid, rows, columns = grid_of(field)
    try:
        row, column = nearest_cell(grid, *point)
    except ArgumentError as outside:
        problem = f"the point ({point[0]:g}, {point[1]:g}) lies outside the grid"
        raise CoordinateError(problem, expected=grid.describe(), fix=outside.fix) from outside
    return field.isel({axes.latitude: rows[row], axes.longitude: columns[column]})


def distance_from(data: xr.DataArray | xr.Dataset, point: Place) -> xr.DataArray:
    """Angular distance of every cell centre from a place.

    Parameters
    ----------
    data : DataArray or Dataset
        With latitude and longitude.
    point : (latitude, longitude)
        The place [degrees].

    Returns
    -------
    DataArray (latitude, longitude), float64
        Distance [degrees], 0 to 180.

    Examples
    --------
    >>> field = xr.DataArray(np.zeros((2, 2)), {"lat": [0.0, 10.0], "lon": [0.0, 90.0]}, ("lat", "lon"))
    >>> distance_from(field, (0, 0)).values.round(1)
    array([[ 0., 90.],
           [10., 90.]])
    """
    axes = horizontal_axes(data)
    latitude, longitude = (found.values for found in horizontal_coordinates(data))
    distance = great_circle_degrees(latitude[:, None], longitude[None, :], point)
    attrs = {"units": "degree", "long_name": "great-circle distance from the point"}
    return xr.DataArray(distance, _labels(data, axes), axes, attrs=attrs)
