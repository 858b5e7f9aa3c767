"""The horizontal axes of the data: how the user's order becomes south to north and eastward, and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.adapt.problems import refusal
from xfaconv.grid import Grid
from xfaconv.names import FoundCoordinate, candidates

Indexer = NDArray[np.intp]
Degrees = NDArray[np.float64]
_refused = partial(refusal, "horizontal")
# Rounding may put a pole or a meridian this far beyond its range [degrees].
_SLACK = 1e-3
# Columns closer than this are one meridian [degrees]; a longitude that rounding left just below 360 is 0.
_SAME_MERIDIAN = 1e-4
# A gap between columns that is this many times the usual one is where a regional grid ends.
_SEAM = 1.5


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
    """

    latitude: FoundCoordinate
    longitude: FoundCoordinate
    grid: Grid
    rows: Indexer
    columns: Indexer
    user_rows: Indexer
    user_columns: Indexer
    user_latitude: Degrees
    user_longitude: Degrees

    @property
    def repeated(self) -> int:
        """How many of the user's columns repeat a meridian."""
        return len(self.user_columns) - len(self.columns)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found about order and convention."""
        name, out = self.longitude.name, []
        if self.rows[0] != 0:
            out.append(f"latitude {self.latitude.name!r} runs from north to south")
        if self.repeated:
            out.append(f"longitude {name!r} repeats one meridian; it is read once")
        out.append(
            f"longitude {name!r} in the convention {'-180 to 180' if self.user_longitude.min() < 0 else '0 to 360'}"
        )
        out.append(f"longitude {'closes' if self.grid.periodic else 'does not close'} around the globe")
        return tuple(out)


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
        If latitude or longitude is missing or ambiguous, or its values cannot be read.
    GridError
        If the grid is not rectilinear, leaves the sphere, or has fewer than two rows or columns.

    Examples
    --------
    >>> ds = xr.Dataset(coords={"lat": [10.0, 0.0, -10.0], "lon": [350.0, 0.0, 10.0]})
    >>> axes = read_horizontal(ds)
    >>> axes.grid.latitude, axes.grid.longitude
    ((-10.0, 0.0, 10.0), (-10.0, 0.0, 10.0))
    """
    latitude, longitude = _find(ds, "latitude"), _find(ds, "longitude")
    if latitude.dim == longitude.dim:
        words = {"name": latitude.name, "other": longitude.name, "dim": latitude.dim}
        raise _refused("unstructured", f"{ds.sizes[latitude.dim]} points", **words)
    user_latitude, user_longitude = _values(ds, latitude), _values(ds, longitude)
    rows = _latitude_order(latitude, user_latitude)
    columns, eastward, user_columns = _longitude_order(longitude, user_longitude)
    grid = Grid(tuple(user_latitude[rows]), tuple(eastward))
    user_rows = np.argsort(rows)
    return Horizontal(latitude, longitude, grid, rows, columns, user_rows, user_columns, user_latitude, user_longitude)


def _find(ds: xr.Dataset, role: str) -> FoundCoordinate:
    """Find the latitude or the longitude of the fields, one dimension long."""
    rules = candidates(ds, role)
    used = {dim for variable in ds.data_vars.values() if variable.ndim >= 2 for dim in variable.dims}
    names = [name for name in rules if name in ds.variables and ds[name].ndim > 0]
    names = [name for name in names if set(ds[name].dims) <= used or not used]
    flat = [name for name in names if ds[name].ndim == 1]
    # The coordinate of a dimension goes before others along it, such as the latitude of the nearest station.
    chosen = [name for name in flat if ds[name].dims == (name,)] or flat
    if len(chosen) == 1:
        return FoundCoordinate(role, chosen[0], str(ds[chosen[0]].dims[0]), rules[chosen[0]])
    if chosen:
        raise _refused("ambiguous", ", ".join(map(repr, chosen)), role=role, name=chosen[1])
    if names:
        first, dims = ds[names[0]], tuple(map(str, ds[names[0]].dims))
        words = {"role": role, "name": names[0], "ndim": first.ndim, "dims": dims}
        raise _refused("curvilinear", f"shape {first.shape}", **words)
    bare = next((name for name in rules if name in ds.dims and name not in ds.variables), None)
    if bare is not None:
        raise _refused("without values", f"a dimension of {ds.sizes[bare]} without values", role=role, name=bare)
    every = f"dimensions {', '.join(map(str, ds.dims)) or 'none'}"
    projected = next((dim for dim in ds.dims if str(dim) in candidates(ds, "projected")), None)
    if projected is not None:
        raise _refused("projected", every, role=role, name=projected)
    coords = ", ".join(map(str, ds.coords)) or "none"
    raise _refused("absent", f"coordinates {coords}; {every}", role=role)


def _values(ds: xr.Dataset, found: FoundCoordinate) -> Degrees:
    """Values of the latitude or longitude in degrees, checked but not sorted."""
    array, words = ds[found.name], {"role": found.role, "name": found.name, "dim": found.dim}
    if array.chunks is not None:
        raise _refused("lazy", "a dask array", **words)
    if array.dtype.kind not in "fiu":
        raise _refused("not numeric", f"dtype {array.dtype}", **words)
    values = np.array(array.values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise _refused("missing", f"{int((~np.isfinite(values)).sum())} of {values.size} not finite", **words)
    units = str(array.attrs.get("units", "degrees")).lower()
    if units.startswith("rad"):
        raise _refused("radians", units, **words)
    if units in ("m", "km", "metre", "meter", "metres", "meters"):
        raise _refused("distance", units, **words)
    if values.size < 2:
        raise _refused("too few", str(values.size), **words)
    return values


def _latitude_order(found: FoundCoordinate, values: Degrees) -> Indexer:
    words = {"name": found.name, "dim": found.dim}
    if np.abs(values).max() > 90 + _SLACK:
        raise _refused("off the sphere", f"{values.min():g} to {values.max():g}", **words)
    order = np.argsort(values, kind="stable")
    again = np.diff(values[order]) <= 0
    if again.any():
        raise _refused("twice", f"{values[order][1:][again][0]:g}", name=found.name, dim=found.dim)
    return order.astype(np.intp)


def _longitude_order(found: FoundCoordinate, values: Degrees) -> tuple[Indexer, Degrees, Indexer]:
    """Eastward order starting east of the widest gap, without repeated meridians.

    Returns the user's column of each canonical column, the longitudes, and the canonical column of each of the user's.
    """
    words = {"name": found.name, "dim": found.dim}
    if values.min() < -360 - _SLACK or values.max() > 720 + _SLACK:
        raise _refused("out of range", f"{values.min():g} to {values.max():g}", **words)
    wrapped = np.mod(values, 360.0)
    wrapped[wrapped > 360 - _SAME_MERIDIAN] = 0.0
    order = np.argsort(wrapped, kind="stable")
    ordered = wrapped[order]
    first = np.concatenate([[True], np.diff(ordered) > _SAME_MERIDIAN])
    columns, unique = order[first], ordered[first]
    repeats = values.size - unique.size
    if unique.size < 2:
        raise _refused("one meridian", "1", **words)
    if repeats > 1:
        raise _refused(
            "repeated",
            f"{values.size} columns, {unique.size} distinct meridians",
            repeats=repeats,
            **words,
        )
    gaps = np.diff(unique, append=unique[0] + 360)
    start = (int(np.argmax(gaps)) + 1) % unique.size if gaps.max() >= _SEAM * np.median(gaps) else 0
    # The columns west of the start come last, a turn further east: 350, 0, 10 become 350, 360, 370, that is -10, 0, 10.
    eastward = np.roll(unique, -start)
    eastward[unique.size - start :] += 360 if start else 0
    eastward = eastward - 360 if eastward[-1] >= 360 else eastward
    position = np.roll(np.arange(unique.size), start)
    user_columns = np.empty(values.size, dtype=np.intp)
    user_columns[order] = position[np.cumsum(first) - 1]
    return np.roll(columns, -start).astype(np.intp), eastward, user_columns
