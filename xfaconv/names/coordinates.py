"""Which coordinate is latitude, longitude, time, level or member: by CF attributes, known names and session aliases."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.errors import CoordinateError
from xfaconv.names.tables import HIGHEST_PRESSURE, read_table, session_aliases
from xfaconv.names.units import parse_units, spelled_as

Data = xr.Dataset | xr.DataArray
CF_ATTRIBUTES, KNOWN_NAME, DATES = RULES = ("CF attributes", "known name", "dates")
_HORIZONTAL = ("latitude", "longitude")
# Coordinate of results along time where the stamps of the data lie outside the intervals that they stand for.
INTERVAL_MIDDLE = "interval_middle"


@dataclass(frozen=True)
class FoundCoordinate:
    """A coordinate and the rule that recognised it.

    Parameters
    ----------
    role : str
        "latitude", "longitude", "time", "level", "member" or "expver".
    name : str
        Name in the Dataset.
    dim : str
        Its dimension, "" where it is a scalar.
    rule : str
        The rule that matched: "CF attributes", "known name" or "dates".
    """

    role: str
    name: str
    dim: str
    rule: str


def known_names(role: str) -> frozenset[str]:
    """Lower-case names that a role is known under, those of the session included."""
    added = (name for name, key in session_aliases().items() if key == role)
    return frozenset(read_table("coordinates")["roles"][role]["names"]).union(added)


def holds_dates(array: xr.DataArray) -> bool:
    """Whether a coordinate in memory holds datetime64 or cftime stamps."""
    # Time zones and periods have dtypes of pandas, which are no dates here.
    if not isinstance(array.dtype, np.dtype):
        return False
    if array.dtype.kind != "O" or array.size == 0:
        return array.dtype.kind == "M"
    return hasattr(np.ravel(array.values)[0], "calendar")


def _states(attrs: dict[str, Any], role: str, name: str) -> bool:
    """Whether attributes say that a coordinate has a role."""
    table = read_table("coordinates")["roles"][role]
    said = {str(key).lower(): str(value).strip().lower() for key, value in attrs.items()}
    if any(said.get(key) in values for key, values in table.get("attributes", {}).items()):
        return True
    # Rotated and projected grids have a Y axis as well: it is latitude only in degrees, and under no name of theirs.
    axes = {said.get(key) for key in ("axis", "cartesian_axis", "grads_dim")}
    return (
        table.get("axis", "") in axes
        and said.get("standard_name", role) == role
        and said.get("units", "deg").startswith("deg")
        and name.lower() not in known_names("projected")
    )


def candidates(data: Data, role: str) -> dict[str, str]:
    """Find all that can be a coordinate of a role, and the rule by which.

    Parameters
    ----------
    data : Dataset or DataArray
        Any. Of a Dataset, data variables can be latitude and longitude too: some files do not say what a coordinate is.
    role : str
        "latitude", "longitude", "time", "level", "member", "expver", "height" or "projected".

    Returns
    -------
    dict of str to str
        Name of the coordinate, or of a dimension without one, to the rule: "CF attributes", "known name" or "dates".

    Examples
    --------
    >>> da = xr.DataArray([[0.0]], {"rows": ("rows", [1.0], {"units": "degrees_north"})}, ("rows", "lons"))
    >>> candidates(da, "latitude"), candidates(da, "longitude")
    ({'rows': 'CF attributes'}, {'lons': 'known name'})
    """
    known, out = known_names(role), {}
    every = isinstance(data, xr.Dataset) and role in _HORIZONTAL
    variables = data.variables if every else {name: data[name].variable for name in data.coords}
    for name, variable in variables.items():
        if _states(variable.attrs, role, str(name)) or (role == "level" and _is_pressure(variable)):
            out[str(name)] = CF_ATTRIBUTES
        elif str(name).lower() in known:
            out[str(name)] = KNOWN_NAME
        elif role == "time" and variable.dims == (name,) and holds_dates(data[name]):
            out[str(name)] = DATES
    bare = {str(dim): KNOWN_NAME for dim in data.dims if dim not in variables and str(dim).lower() in known}
    return out | bare


def _is_pressure(variable: xr.Variable) -> bool:
    # Pa alone does not decide: hybrid levels come with a reference pressure p0 [Pa] as a scalar coordinate.
    return variable.ndim <= 1 and spelled_as(str(variable.attrs.get("units", ""))) in ("hPa", "kPa")


def find_dimension(data: Data, role: str) -> Hashable | None:
    """Find the dimension that is latitude, longitude, time, level or member, by attributes first and by name second.

    Parameters
    ----------
    data : DataArray or Dataset
        Any dimensions.
    role : {"latitude", "longitude", "time", "level", "member"}
        What is asked for.

    Returns
    -------
    hashable or None
        Name of the dimension; None where there is none. Time is also what holds dates, and latitude and longitude are
        also the dimensions along which their only coordinates lie, whatever they are called.

    Examples
    --------
    >>> da = xr.DataArray([0.0, 0.0], {"rows": ("rows", [0.0, 1.0], {"standard_name": "latitude"})})
    >>> find_dimension(da, "latitude")
    'rows'
    """
    found = candidates(data, role)
    dims = [dim for dim in data.dims if str(dim) in found]
    if not dims and role in _HORIZONTAL:
        # Latitude along a dimension of another name, such as lat(y); points in a row have both along one dimension.
        along = {other: _dims_of(data, other, found if other == role else None) for other in _HORIZONTAL}
        only = along[role] - set().union(*(along[other] for other in _HORIZONTAL if other != role))
        return next(iter(only)) if len(along[role]) == len(only) == 1 else None
    return min(dims, key=lambda dim: RULES.index(found[str(dim)]), default=None)


def _dims_of(data: Data, role: str, found: dict[str, str] | None = None) -> set[Hashable]:
    """Dimensions of the one-dimensional coordinates of a role."""
    names = candidates(data, role) if found is None else found
    return {data[name].dims[0] for name in names if name in data.coords and data[name].ndim == 1}


def axis_values(data: Data, role: str) -> xr.DataArray | None:
    """Find the coordinate along the dimension that is latitude or longitude, whatever the dimension is called.

    Parameters
    ----------
    data : DataArray or Dataset
        Any dimensions.
    role : {"latitude", "longitude"}
        What is asked for.

    Returns
    -------
    DataArray or None
        The coordinate; None where there is none.

    Examples
    --------
    >>> da = xr.DataArray([0.0, 0.0], {"lat": ("y", [30.0, 40.0])}, ("y",))
    >>> find_dimension(da, "latitude"), axis_values(da, "latitude").values.tolist()
    ('y', [30.0, 40.0])
    """
    dim, found = find_dimension(data, role), candidates(data, role)
    names = [name for name in found if name in data.coords and data[name].dims == (dim,)]
    # The coordinate of the dimension itself goes before others along it.
    best = min(names, key=lambda name: (name != dim, RULES.index(found[name])), default=None)
    return None if best is None else data[best]


def find_coordinate(data: Data, role: str) -> FoundCoordinate | None:
    """Find the first coordinate of a role, a scalar one too, or a dimension without coordinate; None if there is none.

    Examples
    --------
    >>> find_coordinate(xr.Dataset(coords={"number": 3}), "member")
    FoundCoordinate(role='member', name='number', dim='', rule='known name')
    """
    for name, rule in candidates(data, role).items():
        dims = data[name].dims if name in data.coords else (name,)
        return FoundCoordinate(role, name, str(dims[0]) if dims else "", rule)
    return None


def level_coordinate(array: xr.DataArray) -> str | None:
    """Find the level coordinate of a variable: one that it has as a dimension, else a scalar one."""
    names = [name for name in candidates(array, "level") if name in array.coords]
    return next((name for ndim in (1, 0) for name in names if array[name].ndim == ndim), None)


def level_values(ds: Data, name: str) -> NDArray[np.float64]:
    """Values of a pressure level coordinate [hPa].

    Parameters
    ----------
    ds : Dataset or DataArray
        The user's data.
    name : str
        The level coordinate.

    Returns
    -------
    ndarray (n,), float64

    Raises
    ------
    CoordinateError
        If the levels are not pressures, or their units are absent and the values do not tell.
    """
    array = ds[name]
    table = read_table("coordinates")
    standard = str(array.attrs.get("standard_name", "")).lower()
    units = str(array.attrs.get("units", "") or table["level_units"].get(name.lower(), "")).strip()
    parsed = parse_units(units) if units not in ("", "1") else parse_units("hPa")
    numeric = array.dtype.kind in "fiu"
    if standard in table["not_pressure"] or not numeric or parsed is None or not parsed.is_compatible_with("Pa"):
        reason = standard if standard in table["not_pressure"] else f"units {units!r}" if numeric else str(array.dtype)
        fix = f"ds = ds.isel({name}=0, drop=True)  # a single surface; or interpolate to pressure levels first"
        what, expected = f"level coordinate {name!r} is not pressure", "pressure levels [hPa or Pa]"
        raise CoordinateError(what, expected=expected, found=reason, fix=fix)
    values = np.atleast_1d(np.array(array.values, dtype=np.float64))
    if units not in ("", "1"):
        return np.asarray((values * parsed).to("hPa").magnitude)
    if values.max() > HIGHEST_PRESSURE:
        return values / 100
    # Model levels are small consecutive numbers (ERA5 has 137); tropospheric pressures in hPa are not.
    if values.max() < 200 or (values.size > 1 and bool(np.all(np.abs(np.diff(values)) == 1))):
        what = f"level coordinate {name!r} has no units and its values do not tell whether they are pressures"
        fix = f"ds[{name!r}].attrs['units'] = 'hPa'  # if that is what they are"
        raise CoordinateError(what, expected="units hPa or Pa", found=f"{values[0]:g} to {values[-1]:g}", fix=fix)
    return values
