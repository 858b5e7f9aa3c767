"""The horizontal axes of the data: how the user's order becomes south to north and eastward, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.errors import GridError
from xfaconv.grid import Grid
from xfaconv.names.coordinates import FoundCoordinate, find_horizontal, horizontal_values

Indexer = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Horizontal:
    """The user's horizontal axes and the canonical grid that they hold.

    Parameters
    ----------
    latitude, longitude : FoundCoordinate
        The user's coordinates.
    grid : Grid
        The same cells from south to north and eastward.
    rows, columns : ndarray of int
        Position in the user's axis of each canonical row and column.
    user_rows, user_columns : ndarray of int
        Position in the canonical axis of each of the user's rows and columns; a repeated column has its twin's.
    user_latitude, user_longitude : ndarray of float
        The user's values [degrees].
    sentences : tuple of str
        What was found about order and convention.
    """

    latitude: FoundCoordinate
    longitude: FoundCoordinate
    grid: Grid
    rows: Indexer
    columns: Indexer
    user_rows: Indexer
    user_columns: Indexer
    user_latitude: NDArray[np.float64]
    user_longitude: NDArray[np.float64]
    sentences: tuple[str, ...]

    @property
    def repeated(self) -> int:
        """How many of the user's columns repeat a meridian."""
        return len(self.user_columns) - len(self.columns)


def read_horizontal(ds: xr.Dataset) -> Horizontal:
    """Find the horizontal axes and put them in canonical order.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.

    Returns
    -------
    Horizontal

    Raises
    ------
    CoordinateError
        If latitude or longitude is missing or ambiguous.
    GridError
        If the grid is not rectilinear, leaves the sphere, or has fewer than two rows or columns.

    Examples
    --------
    >>> ds = xr.Dataset(coords={"lat": [10.0, 0.0, -10.0], "lon": [350.0, 0.0, 10.0]})
    >>> axes = read_horizontal(ds)
    >>> axes.grid.latitude, axes.grid.longitude
    ((-10.0, 0.0, 10.0), (-10.0, 0.0, 10.0))
    """
    latitude, longitude = find_horizontal(ds, "latitude"), find_horizontal(ds, "longitude")
    if latitude.dim == longitude.dim:
        raise GridError(
            f"latitude {latitude.name!r} and longitude {longitude.name!r} share dimension {latitude.dim!r}: "
            "the grid is unstructured",
            expected="a grid with one latitude and one longitude axis (rectilinear)",
            found=f"{ds.sizes[latitude.dim]} points",
            fix="regrid to latitude and longitude first, e.g. with xesmf or cdo remapcon,global_1; "
            "points of a rectilinear grid: ds.set_index(point=['lat', 'lon']).unstack('point')",
        )
    user_latitude, user_longitude = horizontal_values(ds, latitude), horizontal_values(ds, longitude)
    for found, values in ((latitude, user_latitude), (longitude, user_longitude)):
        if values.size < 2:
            raise GridError(
                f"{found.role} {found.name!r} has too few values for a grid",
                expected="at least 2",
                found=str(values.size),
                fix="select a box instead of a point or a single row, e.g. ds.sel(latitude=slice(10, -10))",
            )
    rows = _latitude_order(latitude, user_latitude)
    columns, ascending, user_columns = _longitude_order(longitude, user_longitude)
    user_rows = np.empty_like(rows)
    user_rows[rows] = np.arange(rows.size)
    grid = Grid(tuple(user_latitude[rows]), tuple(ascending))
    out = Horizontal(
        latitude, longitude, grid, rows, columns, user_rows, user_columns, user_latitude, user_longitude, ()
    )
    object.__setattr__(out, "sentences", _sentences(out))
    return out


def _latitude_order(found: FoundCoordinate, values: NDArray[np.float64]) -> Indexer:
    if values.min() < -90.001 or values.max() > 90.001:
        raise GridError(
            f"latitude {found.name!r} leaves the sphere",
            expected="-90 to 90 degrees",
            found=f"{values.min():g} to {values.max():g}",
            fix=f"ds = ds.sel({found.dim}=abs(ds[{found.name!r}]) <= 90)  # or check whether the axes are swapped",
        )
    order = np.argsort(values, kind="stable")
    steps = np.diff(values[order])
    if (steps <= 0).any():
        twice = values[order][1:][steps <= 0][0]
        raise GridError(
            f"latitude {found.name!r} has a value twice",
            expected="distinct latitudes",
            found=f"{twice:g}",
            fix=f"ds = ds.drop_duplicates({found.dim!r})",
        )
    return order.astype(np.intp)


def _longitude_order(
    found: FoundCoordinate, values: NDArray[np.float64]
) -> tuple[Indexer, NDArray[np.float64], Indexer]:
    """Eastward order starting east of the widest gap, without repeated meridians."""
    if values.min() < -360.001 or values.max() > 720.001:
        raise GridError(
            f"longitude {found.name!r} is out of range",
            expected="degrees, -180 to 180 or 0 to 360",
            found=f"{values.min():g} to {values.max():g}",
            fix=f"ds = ds.assign_coords({found.name}=ds[{found.name!r}] % 360)",
        )
    wrapped = np.mod(values, 360.0)
    # a longitude that rounding left just below 360 is 0
    wrapped[wrapped > 360 - 1e-4] = 0.0
    order = np.argsort(wrapped, kind="stable")
    sorted_values = wrapped[order]
    first = np.concatenate([[True], np.diff(sorted_values) > 1e-4])
    columns, unique = order[first], sorted_values[first]
    if unique.size < 2:
        raise GridError(f"longitude {found.name!r} has too few distinct values", expected="at least 2", found="1")
    repeats = values.size - unique.size
    if repeats > 1:
        raise GridError(
            f"longitude {found.name!r} has {repeats} repeated meridians",
            expected="at most one repeated column, at the seam",
            found=f"{values.size} columns, {unique.size} distinct meridians",
            fix=f"ds = ds.drop_duplicates({found.dim!r})",
        )
    gaps = np.diff(np.concatenate([unique, [unique[0] + 360]]))
    start = 0
    if gaps.max() >= 1.5 * np.median(gaps):
        start = (int(np.argmax(gaps)) + 1) % unique.size
    shift = np.roll(unique, -start)
    shift[unique.size - start :] += 360 if start else 0
    if shift[-1] >= 360:
        shift = shift - 360
    canonical_columns = np.roll(columns, -start).astype(np.intp)
    position = np.empty(unique.size, dtype=np.intp)
    position[(np.arange(unique.size) + start) % unique.size] = np.arange(unique.size)
    user_columns = np.empty(values.size, dtype=np.intp)
    user_columns[order] = position[np.cumsum(first) - 1]
    return canonical_columns, shift, user_columns


def _sentences(axes: Horizontal) -> tuple[str, ...]:
    out = []
    if axes.rows[0] != 0:
        out.append(f"latitude {axes.latitude.name!r} runs from north to south")
    if axes.repeated:
        out.append(f"longitude {axes.longitude.name!r} repeats one meridian; it is read once")
    convention = "-180 to 180" if axes.user_longitude.min() < 0 else "0 to 360"
    out.append(f"longitude {axes.longitude.name!r} in the convention {convention}")
    out.append(
        "longitude closes around the globe" if axes.grid.periodic else "longitude does not close around the globe"
    )
    return tuple(out)
