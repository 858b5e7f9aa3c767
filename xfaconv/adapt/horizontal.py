"""The horizontal axes of the data: how the user's order becomes south to north and eastward, and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.adapt.problems import refusal
from xfaconv.errors import XFaconvError
from xfaconv.grid import SAME_DEGREES, Grid, same_degrees
from xfaconv.names import FoundCoordinate, candidates, known_names
from xfaconv.names.tables import read_table

Indexer = NDArray[np.intp]
Degrees = NDArray[np.float64]
_refused = partial(refusal, "horizontal")
# A gap between columns that is this many times the usual one is where a regional grid ends.
_SEAM = 1.5
# A step this many times the median of its three neighbours on either side is a hole: one row is missing, or more. Where
# a finer grid meets a coarser one the ratio stays below 2 whatever their steps. With few neighbours more is needed.
_HOLE, _HOLE_AMONG_FEW = 1.9, 3.0
# A gap inside the user's axis of longitudes that is wider than this [degrees] is the outside of a region across the
# seam of the file (330 ... 357.5, 0 ... 30); where all around the globe less is missing, it is a hole.
_OUTSIDE = 90.0


def convention(longitude: Degrees) -> float | None:
    """First meridian of the convention that longitudes are in, to rounding: 0, -180, or None where it is another.

    Examples
    --------
    >>> convention(np.array([-20.0, 15.0])), convention(np.array([-0.5, 359.5]))
    (-180.0, None)
    """
    low, high = longitude.min() + SAME_DEGREES, longitude.max() - SAME_DEGREES
    return next((west for west in (0.0, -180.0) if west <= low and high <= west + 360), None)


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

    def describe(self) -> str:
        """Say in one line what the grid is, with the user's longitudes."""
        return self.grid.describe(convention(self.user_longitude))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found about order and convention."""
        name, out = self.longitude.name, []
        if self.rows[0] != 0:
            out.append(f"latitude {self.latitude.name!r} runs from north to south")
        if self.repeated:
            out.append(f"longitude {name!r} repeats one meridian; it is read once")
        west, ends = convention(self.user_longitude), self.user_longitude[[0, -1]]
        told = (
            f"runs from {ends[0]:g} to {ends[1]:g}" if west is None else f"in the convention {west:g} to {west + 360:g}"
        )
        out.append(f"longitude {name!r} {told}")
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
        raise _in_a_row(ds, latitude, longitude)
    user_latitude, user_longitude = _values(ds, latitude), _values(ds, longitude)
    rows = _latitude_order(latitude, user_latitude)
    columns, eastward, user_columns = _longitude_order(longitude, user_longitude)
    grid = Grid(tuple(user_latitude[rows]), tuple(eastward))
    user_rows = np.argsort(rows)
    return Horizontal(latitude, longitude, grid, rows, columns, user_rows, user_columns, user_latitude, user_longitude)


def with_axes(ds: xr.Dataset) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Make axes of latitude and longitude that have more dimensions but change along one of them only.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data, left alone.

    Returns
    -------
    Dataset, tuple of str
        With one-dimensional coordinates of the same names, and what was done; the same Dataset where nothing was.

    Examples
    --------
    >>> lon, lat = np.meshgrid([0.0, 10.0, 20.0], [50.0, 40.0])
    >>> ds = xr.Dataset(coords={"lat": (("y", "x"), lat), "lon": (("y", "x"), lon)})
    >>> with_axes(ds)[0].lat.dims
    ('y',)
    """
    axes: dict[str, xr.Variable] = {}
    for role in ("latitude", "longitude"):
        names = [name for name in candidates(ds, role) if name in ds.variables and ds[name].ndim > 0]
        if any(ds[name].ndim == 1 for name in names):
            return ds, ()
        # A slice of a variable is a new one: what lies in a file is not kept in the user's object.
        along = {name: _along_one(ds[name].variable[...]) for name in names}
        axes |= {name: variable for name, variable in along.items() if variable is not None}
    if len(axes) != len({variable.dims for variable in axes.values()}) or len(axes) != 2:
        return ds, ()
    notes = tuple(f"{name!r} of {ds[name].ndim} dimensions is an axis along {axes[name].dims[0]!r}" for name in axes)
    return ds.drop_vars(list(axes)).assign_coords(axes), notes


def _along_one(variable: xr.Variable) -> xr.Variable | None:
    """Take a coordinate along the one dimension that it changes along; None where there are more, or none."""
    if variable.chunks is not None or variable.dtype.kind not in "fiu" or variable.size == 0:
        return None
    values = np.asarray(variable.values, dtype=np.float64)
    change = [dim for axis, dim in enumerate(variable.dims) if not np.ptp(values, axis=axis).max() <= SAME_DEGREES]
    return variable.isel({dim: 0 for dim in variable.dims if dim != change[0]}) if len(change) == 1 else None


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
    scalar = next((name for name in rules if name in ds.variables), None)
    if scalar is not None:
        raise _refused("scalar", every, role=role, name=scalar)
    projected = next((str(dim) for dim in ds.dims if str(dim).lower() in known_names("projected")), None)
    if projected is not None:
        pair = next((pair for pair in read_table("coordinates")["pairs"] if _hold_degrees(ds, *pair)), None)
        if pair is not None:
            words = {"rows": pair[0], "columns": pair[1]}
            raise _refused("maybe degrees", every, role=role, name=projected, **words)
        raise _refused("projected", every, role=role, name=projected)
    coords = ", ".join(map(str, ds.coords)) or "none"
    raise _refused("absent", f"coordinates {coords}; {every}", role=role)


def _in_a_row(ds: xr.Dataset, latitude: FoundCoordinate, longitude: FoundCoordinate) -> XFaconvError:
    """Tell the points of a rectilinear grid from unstructured grids and stations."""
    names, dim = [latitude.name, longitude.name], latitude.dim
    rows, columns = (np.unique(ds[name].values).size for name in names)
    whole = rows * columns == ds.sizes[dim] and min(rows, columns) > 1
    indexed = "" if getattr(ds.indexes.get(dim), "nlevels", 1) > 1 else f".set_index({{{dim!r}: {names}}})"
    words = {"name": names[0], "other": names[1], "dim": dim, "indexed": indexed}
    return _refused("stacked" if whole else "unstructured", f"{ds.sizes[dim]} points", **words)


def _hold_degrees(ds: xr.Dataset, rows: str, columns: str) -> bool:
    """Whether two dimensions under names of a projection hold numbers that can be latitudes and longitudes."""
    if not {rows, columns} <= set(ds.dims) & set(ds.coords):
        return False
    north, east = (ds[name].values for name in (rows, columns))
    if any(values.dtype.kind not in "fiu" or values.size < 2 or np.ptp(values) < 1 for values in (north, east)):
        return False
    stated = {str(ds[name].attrs.get("standard_name", "")) for name in (rows, columns)}
    return bool(np.abs(north).max() <= 90 and east.min() >= -180 and east.max() <= 360 and stated == {""})


def _are_numbers(array: xr.DataArray) -> bool:
    """Whether values that are not stored as numbers can be read as such."""
    try:
        array.values.astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True


def _values(ds: xr.Dataset, found: FoundCoordinate) -> Degrees:
    """Values of the latitude or longitude in degrees, checked but not sorted."""
    array, words = ds[found.name], {"role": found.role, "name": found.name, "dim": found.dim}
    if array.chunks is not None:
        raise _refused("lazy", "a dask array", **words)
    if array.dtype.kind not in "fiu":
        raise _refused("not numeric" if _are_numbers(array) else "text", f"dtype {array.dtype}", **words)
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
    if np.abs(values).max() > 90 + SAME_DEGREES:
        raise _refused("off the sphere", f"{values.min():g} to {values.max():g}", **words)
    order = np.argsort(values, kind="stable")
    _refuse_repeated(found, values, values[order], _usual(np.diff(values[order])), allowed=0)
    _refuse_holes(found, values[order])
    return order.astype(np.intp)


def _usual(steps: Degrees) -> float:
    """Usual step of an axis, where up to half of its values may be there twice, to rounding."""
    return float(np.quantile(steps, 0.75))


def _refuse_repeated(found: FoundCoordinate, values: Degrees, ordered: Degrees, step: float, allowed: int) -> None:
    """Refuse an axis that has values twice; longitude may have one meridian twice, at the seam."""
    repeats = int((np.diff(ordered) <= same_degrees(step)).sum())
    if repeats <= allowed:
        return
    exact = np.unique(values).size == values.size - repeats
    turned = " % 360" if found.role == "longitude" else ""
    kind = "nearly repeated" if not exact else "twice" if found.role == "latitude" else "repeated"
    words = {"role": found.role, "name": found.name, "dim": found.dim, "repeats": repeats, "turned": turned}
    raise _refused(kind, f"{values.size} values, {values.size - repeats} distinct", **words)


def _holes(values: Degrees) -> list[int]:
    """Positions of the steps of an ascending axis that are far larger than their neighbours."""
    steps = np.diff(values)
    if steps.size < 2 or steps.max() <= _HOLE * steps.min():
        return []
    found = []
    for number, step in enumerate(steps):
        around = np.concatenate([steps[max(0, number - 3) : number], steps[number + 1 : number + 4]])
        limit = _HOLE if around.size >= 3 else _HOLE_AMONG_FEW
        if step > limit * np.median(around):
            found.append(number)
    return found


def _refuse_holes(found: FoundCoordinate, values: Degrees) -> None:
    """Refuse an ascending axis with a hole, and offer its longest part."""
    holes = _holes(values)
    if not holes:
        return
    steps = np.diff(values)
    widest = holes[int(np.argmax(steps[holes]))]
    parts = np.split(values, np.asarray(holes) + 1)
    part = max(parts, key=len)
    centre, usual = (part[0] + part[-1]) / 2, float(np.median(steps))
    east = f"ds[{found.name!r}] {-centre:+g}"
    east = f"({east} + 180) % 360 - 180" if found.role == "longitude" else east
    words = {"keep": f"abs({east}) < {(part[-1] - part[0]) / 2 + usual / 4:g}", "usual": f"{usual:g}"}
    raise _hole(found, values[widest], values[widest + 1], "hole", words)


def _hole(found: FoundCoordinate, low: float, high: float, kind: str, words: dict[str, str]) -> XFaconvError:
    edges = {"low": f"{low:g}", "high": f"{high:g}", "role": found.role, "name": found.name, "dim": found.dim}
    return _refused(kind, f"a step of {high - low:g} degrees from {low:g} to {high:g}", **edges, **words)


def _longitude_order(found: FoundCoordinate, values: Degrees) -> tuple[Indexer, Degrees, Indexer]:
    """Eastward order starting east of the widest gap, without repeated meridians.

    Returns the user's column of each canonical column, the longitudes, and the canonical column of each of the user's.
    """
    words = {"name": found.name, "dim": found.dim}
    if values.min() < -360 - SAME_DEGREES or values.max() > 720 + SAME_DEGREES:
        raise _refused("out of range", f"{values.min():g} to {values.max():g}", **words)
    wrapped = np.sort(np.mod(values, 360.0))
    step = _usual(np.diff(wrapped, append=wrapped[0] + 360))
    same = same_degrees(step)
    # A longitude that rounding left just below 360 is 0.
    wrapped = np.mod(values, 360.0)
    wrapped[wrapped > 360 - same] -= 360.0
    order = np.argsort(wrapped, kind="stable")
    ordered = wrapped[order]
    first = np.concatenate([[True], np.diff(ordered) > same])
    # Of a meridian that is there twice the user's first column is read, whichever way rounding put them.
    columns = np.minimum.reduceat(order, np.flatnonzero(first))
    unique = wrapped[columns]
    if unique.size < 2:
        raise _refused("one meridian", "1", **words)
    _refuse_repeated(found, values, ordered, step, allowed=1)
    gaps = np.diff(unique, append=unique[0] + 360)
    widest = int(np.argmax(gaps))
    start = (widest + 1) % unique.size if gaps[widest] >= _SEAM * np.median(gaps) else 0
    # The columns west of the start come last, a turn further east: 350, 0, 10 become 350, 360, 370, that is -10, 0, 10.
    eastward = np.roll(unique, -start)
    eastward[unique.size - start :] += 360 if start else 0
    eastward = eastward - 360 if eastward[-1] >= 360 - same else eastward
    _refuse_holes(found, eastward)
    beside = float(np.median(np.take(gaps, widest + np.array([-3, -2, -1, 1, 2, 3]), mode="wrap")))
    west, east = (int(columns[number]) for number in (widest, start))
    if _HOLE * beside < gaps[widest] < _OUTSIDE and abs(west - east) == 1 < unique.size - 1:
        said = {"usual": f"{beside:g}", "columns": str(max(west, east))}
        raise _hole(found, unique[widest], unique[widest] + gaps[widest], "hole around the globe", said)
    position = np.roll(np.arange(unique.size), start)
    user_columns = np.empty(values.size, dtype=np.intp)
    user_columns[order] = position[np.cumsum(first) - 1]
    return np.roll(columns, -start).astype(np.intp), eastward, user_columns
