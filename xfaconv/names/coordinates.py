"""Which coordinate is latitude, longitude, level, member and version: by CF attributes and by known names."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.errors import CoordinateError, GridError
from xfaconv.names.tables import read_table
from xfaconv.names.units import parse_units

_UNSTRUCTURED = "a grid with one latitude and one longitude axis (rectilinear)"
_HIGHEST_PRESSURE = 1100.0


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
        Its dimension.
    rule : str
        The rule that matched, in words.
    """

    role: str
    name: str
    dim: str
    rule: str


@cache
def known_names(role: str) -> frozenset[str]:
    """Lower-case names that a role is known under."""
    table = read_table("coordinates")[role]
    return frozenset(table["names"] if isinstance(table, dict) else table)


def _by_attributes(ds: xr.Dataset, role: str) -> list[str]:
    """Coordinates that cf-xarray finds for latitude and longitude, or for their axes where they are in degrees."""
    import cf_xarray  # noqa: F401  (registers ds.cf)

    names = [str(name) for name in ds.cf.coordinates.get(role, [])]
    on_axis = ds.cf.axes.get("Y" if role == "latitude" else "X", [])
    in_degrees = [str(name) for name in on_axis if str(ds[name].attrs.get("units", "")).lower().startswith("deg")]
    return names or [name for name in in_degrees if ds[name].attrs.get("standard_name", role) == role]


def _by_name(names: Iterable[Hashable], role: str) -> list[str]:
    known = known_names(role)
    return [str(name) for name in names if str(name).lower() in known]


def _dims_in_use(ds: xr.Dataset) -> set[Hashable]:
    """Dimensions of the data variables that could be fields."""
    return {dim for variable in ds.data_vars.values() if variable.ndim >= 2 for dim in variable.dims}


def find_horizontal(ds: xr.Dataset, role: str) -> FoundCoordinate:
    """Find the latitude or the longitude.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.
    role : {"latitude", "longitude"}
        Which of the two.

    Returns
    -------
    FoundCoordinate

    Raises
    ------
    CoordinateError
        If there is none, or more than one.
    GridError
        If it has two dimensions.
    """
    by_rule = dict.fromkeys(_by_name(ds.variables, role), "known name")
    by_rule.update(dict.fromkeys(_by_attributes(ds, role), "CF attributes"))
    used = _dims_in_use(ds)
    names = [name for name in by_rule if ds[name].ndim > 0 and (set(ds[name].dims) <= used or not used)]
    flat = [name for name in names if ds[name].ndim == 1]
    if not flat and names:
        raise _curvilinear(ds, role, names[0])
    on_axis = [name for name in flat if ds[name].dims == (name,)]
    chosen = on_axis or flat
    if len(chosen) > 1:
        raise CoordinateError(
            f"more than one coordinate can be the {role}",
            expected="one",
            found=", ".join(repr(name) for name in chosen),
            fix=f"ds = ds.drop_vars({chosen[1]!r})  # or ds.drop_dims: keep the {role} of the fields",
        )
    if chosen:
        name = chosen[0]
        return FoundCoordinate(role, name, str(ds[name].dims[0]), by_rule[name])
    raise _no_horizontal(ds, role)


def _curvilinear(ds: xr.Dataset, role: str, name: str) -> GridError:
    return GridError(
        f"{role} {name!r} has {ds[name].ndim} dimensions {tuple(map(str, ds[name].dims))}: the grid is curvilinear",
        expected=_UNSTRUCTURED,
        found=f"shape {ds[name].shape}",
        fix="regrid to latitude and longitude first, "
        "e.g. xesmf.Regridder(ds, xesmf.util.grid_global(1, 1), 'conservative')(ds)",
    )


def _no_horizontal(ds: xr.Dataset, role: str) -> CoordinateError:
    without_values = _by_name((dim for dim in ds.dims if dim not in ds.variables), role)
    short = "lat" if role == "latitude" else "lon"
    if without_values:
        dim = without_values[0]
        return CoordinateError(
            f"dimension {dim!r} has no coordinate: where its cells are is not known",
            expected=f"{role} values [degrees]",
            found=f"a dimension of {ds.sizes[dim]} without values",
            fix=f"ds = ds.assign_coords({dim}=...)  # the {ds.sizes[dim]} {role}s in degrees",
        )
    projected = [str(dim) for dim in ds.dims if str(dim).lower() in known_names("projected")]
    if projected:
        return GridError(
            f"no {role}: the grid is projected, rotated or unstructured (dimension {projected[0]!r})",
            expected=_UNSTRUCTURED,
            found=f"dimensions {', '.join(map(str, ds.dims))}",
            fix="regrid to latitude and longitude first, e.g. with xesmf or cdo remapcon,global_1",
        )
    return CoordinateError(
        f"no {role} was found",
        expected=f"a coordinate named {role} or {short}, or one with standard_name={role!r}",
        found=f"coordinates {', '.join(map(str, ds.coords)) or 'none'}; "
        f"dimensions {', '.join(map(str, ds.dims)) or 'none'}",
        fix=f"ds = ds.rename({{'your_name': {role!r}}})",
    )


def horizontal_values(ds: xr.Dataset, coordinate: FoundCoordinate) -> NDArray[np.float64]:
    """Values of the latitude or longitude in degrees, checked but not sorted.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.
    coordinate : FoundCoordinate
        As `find_horizontal` gives it.

    Returns
    -------
    ndarray (n,), float64

    Raises
    ------
    CoordinateError
        If the values are lazy, not numbers, missing, or in radians.
    """
    array = ds[coordinate.name]
    name, role = coordinate.name, coordinate.role
    if array.chunks is not None:
        raise CoordinateError(
            f"{role} {name!r} is lazy and would have to be computed",
            expected="values in memory",
            found="a dask array",
            fix=f"ds = ds.assign_coords({name}=ds[{name!r}].compute())",
        )
    if array.dtype.kind not in "fiu":
        raise CoordinateError(
            f"{role} {name!r} is not numeric",
            expected="degrees",
            found=f"dtype {array.dtype}",
            fix=f"ds = ds.assign_coords({name}=ds[{name!r}].astype('float64'))",
        )
    values = np.array(array.values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise CoordinateError(
            f"{role} {name!r} has missing values",
            expected="finite degrees",
            found=f"{int((~np.isfinite(values)).sum())} of {values.size} not finite",
            fix=f"ds = ds.isel({coordinate.dim}=np.isfinite(ds[{name!r}].values))",
        )
    units = str(array.attrs.get("units", "degrees")).lower()
    if units.startswith("rad"):
        raise CoordinateError(
            f"{role} {name!r} is in radians",
            expected="degrees",
            found=units,
            fix=f"ds = ds.assign_coords({name}=np.rad2deg(ds[{name!r}]).assign_attrs(units='degrees'))",
        )
    if units in ("m", "km", "metre", "meter", "metres", "meters"):
        raise GridError(
            f"{role} {name!r} is a distance: the grid is projected",
            expected="degrees",
            found=units,
            fix="regrid to latitude and longitude first, e.g. with xesmf or cdo remapcon,global_1",
        )
    return values


def find_by_name(ds: xr.Dataset, role: str) -> FoundCoordinate | None:
    """Find a member, experiment version or height by its known names or CF standard name; None if there is none."""
    candidates = _by_name([*ds.coords, *(dim for dim in ds.dims if dim not in ds.coords)], role)
    rule = "known name"
    if not candidates and role == "member":
        candidates = [str(n) for n, c in ds.coords.items() if c.attrs.get("standard_name") == "realization"]
        rule = "CF standard_name"
    for name in candidates:
        dims = ds[name].dims if name in ds.coords else (name,)
        return FoundCoordinate(role, name, str(dims[0]) if dims else "", rule)
    return None


def is_level(ds: xr.Dataset, name: Hashable) -> bool:
    """Whether a coordinate is a pressure level, by its name or its attributes."""
    if name not in ds.coords:
        return False
    attrs = ds[name].attrs
    if str(attrs.get("standard_name", "")).lower() == "air_pressure" or str(name).lower() in known_names("level"):
        return True
    units = read_table("units")["spellings"].get(str(attrs.get("units", "")).lower())
    return ds[name].ndim <= 1 and units in ("hPa", "Pa", "kPa")


def level_values(ds: xr.Dataset, name: str) -> NDArray[np.float64]:
    """Values of a pressure level coordinate [hPa].

    Parameters
    ----------
    ds : xarray.Dataset
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
    if standard in table["not_pressure"] or array.dtype.kind not in "fiu":
        raise _not_pressure(name, standard or str(array.dtype))
    values = np.atleast_1d(np.array(array.values, dtype=np.float64))
    if units and units != "1":
        parsed = parse_units(units)
        if parsed is None or not parsed.is_compatible_with(parse_units("Pa")):
            raise _not_pressure(name, f"units {units!r}")
        return np.asarray((values * parsed).to("hPa").magnitude)
    if values.max() > _HIGHEST_PRESSURE:
        return values / 100
    consecutive = values.size > 1 and bool(np.all(np.abs(np.diff(values)) == 1))
    # model levels are small consecutive numbers (ERA5 has 137); tropospheric pressures in hPa are not
    if values.max() < 200 or consecutive:
        raise CoordinateError(
            f"level coordinate {name!r} has no units and its values do not tell whether they are pressures",
            expected="units hPa or Pa",
            found=f"{values[0]:g} to {values[-1]:g}",
            fix=f"ds[{name!r}].attrs['units'] = 'hPa'  # if that is what they are",
        )
    return values


def _not_pressure(name: str, found: str) -> CoordinateError:
    return CoordinateError(
        f"level coordinate {name!r} is not pressure",
        expected="pressure levels [hPa or Pa]",
        found=found,
        fix=f"interpolate to pressure levels first, or ds = ds.isel({name}=0, drop=True) for a single surface",
    )
