"""What every analysis asks of a labelled array: which axis is which, how large a cell is, and what lies in a box."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.arguments import is_number
from xfaconv.errors import ArgumentError, CoordinateError, TimeError
from xfaconv.grid import Grid
from xfaconv.names import find_dimension

Box = tuple[float, float, float, float]
Cells = Literal["overlap", "centres"]

_LEAST_COVER = 0.9


@dataclass(frozen=True)
class Axes:
    """Names of the horizontal axes of one array, and the order they are stored in.

    Parameters
    ----------
    latitude, longitude : str
        Names of the dimensions.
    """

    latitude: str
    longitude: str

    @property
    def both(self) -> tuple[str, str]:
        """Latitude and longitude, in this order."""
        return self.latitude, self.longitude


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
            raise ArgumentError(
                f"{name} is not a DataArray",
                expected="an xarray.DataArray",
                found=type(value).__name__,
                fix=f"{name}=ds['z500']",
            )


def _dimension(data: xr.DataArray | xr.Dataset, kind: str) -> str | None:
    if not isinstance(data, xr.DataArray | xr.Dataset):
        raise ArgumentError(
            "the data are no xarray object",
            expected="an xarray.DataArray",
            found=repr(type(data)),
            fix="da = ds['z500']",
        )
    found = find_dimension(data, kind)
    return None if found is None else str(found)


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
    names = []
    for name in ("latitude", "longitude"):
        found = _dimension(data, name)
        if found is None or found not in data.coords:
            raise CoordinateError(
                f"no {name} coordinate",
                expected=f"a dimension coordinate named {name}, or one with standard_name={name!r}",
                found=f"dimensions {tuple(data.dims)}",
                fix=f"ds = ds.rename({{'the_{name}_name': '{name}'}})",
            )
        names.append(found)
    return Axes(*names)


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
    name = dim if isinstance(dim, str) else _dimension(data, "time")
    if name is None or name not in data.dims or not (dim is None or isinstance(dim, str)):
        raise TimeError(
            "no time dimension",
            expected=str(dim) if dim is not None else "time, or a dimension of dates",
            found=f"dimensions {tuple(data.dims)}",
            fix="ds = ds.rename({'the_time_name': 'time'})",
        )
    return name


def _row_overlap(latitude: NDArray[np.float64], south: float, north: float) -> NDArray[np.float64]:
    order = np.argsort(latitude)
    edges = Grid(tuple(latitude[order]), (0.0, 1.0)).latitude_edges
    lower = np.clip(edges[:-1], south, north)
    upper = np.clip(edges[1:], south, north)
    overlap = np.empty(len(latitude))
    overlap[order] = np.sin(np.deg2rad(upper)) - np.sin(np.deg2rad(lower))
    return overlap


def _column_overlap(longitude: NDArray[np.float64], west: float, east: float) -> NDArray[np.float64]:
    order = np.argsort(longitude)
    ordered = longitude[order]
    # A repeated meridian (-180 and 180) counts once: the last column is dropped from the weights.
    repeated = len(ordered) > 2 and ordered[-1] - ordered[0] >= 360 - 1e-3
    kept = order[:-1] if repeated else order
    edges = Grid((0.0, 1.0), tuple(longitude[kept])).longitude_edges
    overlap = np.zeros(len(longitude))
    for turn in (-720, -360, 0, 360, 720):
        lower = np.clip(edges[:-1] + turn, west, east)
        upper = np.clip(edges[1:] + turn, west, east)
        overlap[kept] += np.deg2rad(upper - lower)
    return overlap


def as_box(value: object, name: str = "region") -> Box:
    """Read a box on Earth.

    Parameters
    ----------
    value : (south, north, west, east)
        Edges [degrees]; west may be greater than east across the date line.
    name : str
        Its name, for messages.

    Returns
    -------
    tuple of (float, float, float, float)

    Raises
    ------
    ArgumentError
        If it is no four numbers, or its latitudes are not on Earth, south first.

    Examples
    --------
    >>> as_box((-10, 10, 160, 270))
    (-10.0, 10.0, 160.0, 270.0)
    """
    several = list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) else []
    if len(several) != 4 or not all(is_number(edge) for edge in several):
        problem = "is not four edges in degrees"
    elif not -90 <= several[0] <= several[1] <= 90:
        problem = "has no latitudes from south to north"
    else:
        south, north, west, east = (float(edge) for edge in several)
        return south, north, west, east
    raise ArgumentError(
        f"{name} {problem}",
        expected="(south, north, west, east), latitudes from -90 to 90, south first",
        found=repr(value)[:200],
        fix=f"{name}=(-10, 10, 160, 270)",
    )


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
    south, north, west, east = box
    if east - west >= 360:
        west, east = 0.0, 360.0
    else:
        west = west % 360
        east = west + (box[3] - box[2]) % 360
    latitude = np.asarray(data[axes.latitude].values, dtype=np.float64)
    longitude = np.asarray(data[axes.longitude].values, dtype=np.float64)
    if cells == "overlap":
        rows = _row_overlap(latitude, south, north)
        columns = _column_overlap(longitude, west, east)
    else:
        tolerance = 1e-4
        rows = _row_overlap(latitude, -90.0, 90.0)
        rows = np.where((latitude >= south - tolerance) & (latitude <= north + tolerance), rows, 0.0)
        columns = _column_overlap(longitude, 0.0, 360.0)
        columns = np.where((longitude - west + tolerance) % 360 <= east - west + 2 * tolerance, columns, 0.0)
    return xr.DataArray(
        np.outer(rows, columns),
        {axes.latitude: data[axes.latitude], axes.longitude: data[axes.longitude]},
        axes.both,
        name="cell_area",
        attrs={"units": "sr"},
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
    axes = horizontal_axes(field)
    weights = cell_area(field, box, cells=cells)
    inside = weights > 0
    south, north, west, east = box
    whole = np.deg2rad(min(east - west, 360.0) if east > west else (east - west) % 360)
    whole *= np.sin(np.deg2rad(north)) - np.sin(np.deg2rad(south))
    covered = float(cell_area(field, box).sum()) / whole
    if covered < _LEAST_COVER or not inside.any():
        raise CoordinateError(
            f"the grid covers {100 * covered:.0f}% of the box"
            + ("" if inside.any() else ", and no cell has its centre in it: its cells are too large"),
            expected=f"at least {100 * _LEAST_COVER:.0f}% of "
            + "latitude {:g} to {:g}, longitude {:g} to {:g}".format(*box),
            found=f"latitude {float(field[axes.latitude].min()):g} to {float(field[axes.latitude].max()):g}, "
            f"longitude {float(field[axes.longitude].min()):g} to {float(field[axes.longitude].max()):g}",
            fix="give a Dataset that covers the box",
        )
    rows = {axes.latitude: inside.any(axes.longitude).values, axes.longitude: inside.any(axes.latitude).values}
    part, weights = field.isel(rows), weights.isel(rows)
    dtype = np.result_type(field.dtype, np.float32)
    return part.astype(np.float64).weighted(weights).mean(axes.both).astype(dtype)


def is_adjacent(time: xr.DataArray) -> NDArray[np.bool_]:
    """Mark the steps that directly follow the one before, by the median step; a DJF selection has breaks.

    Parameters
    ----------
    time : DataArray (time)
        datetime64, cftime or numbers.

    Returns
    -------
    ndarray (time - 1,), bool

    Examples
    --------
    >>> is_adjacent(xr.DataArray([0, 1, 2, 12, 13], dims="time"))
    array([ True,  True, False,  True])
    """
    values = np.asarray(time.values)
    if len(values) < 2:
        return np.zeros(0, dtype=bool)
    steps = np.diff(values)
    seconds = np.array([step.total_seconds() for step in steps]) if steps.dtype == object else steps.astype(np.float64)
    return np.asarray(np.abs(seconds) <= 1.5 * np.abs(np.median(seconds)))
