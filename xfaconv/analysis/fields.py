"""The field that an index is computed from, found in a Dataset by its usual names, and reduced around the globe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from xfaconv.analysis.axes import cell_area, horizontal_axes
from xfaconv.errors import ArgumentError, CoordinateError, VariableError

NAMES: Mapping[str, tuple[str, ...]] = {
    "sst": ("sst", "tos", "sea_surface_temperature", "analysed_sst", "ssta"),
    "msl": ("msl", "psl", "prmsl", "slp", "mslp", "mean_sea_level_pressure", "air_pressure_at_mean_sea_level"),
    "z500": ("z500", "zg500", "hgt500", "gh500", "z", "zg", "hgt", "gh", "geopotential", "geopotential_height"),
}
_LEVELS = ("level", "pressure_level", "isobaricinhpa", "plev", "lev")


def _at_500(field: xr.DataArray) -> xr.DataArray | None:
    """Take the 500 hPa level, whether levels are in hPa or Pa; None where it is not among them."""
    level = next((str(dim) for dim in field.dims if str(dim).lower() in _LEVELS), None)
    if level is None:
        return field
    values = np.asarray(field[level].values, dtype=np.float64)
    pascal = str(field[level].attrs.get("units", "")).lower() in ("pa", "pascal") or values.max() > 2000
    near = np.flatnonzero(np.abs(values / (100 if pascal else 1) - 500) < 0.5)
    return field.isel({level: int(near[0])}, drop=True) if len(near) else None


def find_field(data: xr.Dataset | xr.DataArray, wanted: Sequence[str]) -> xr.DataArray:
    """Find the first of several fields, by standard name or usual name.

    Parameters
    ----------
    data : Dataset or DataArray
        A DataArray is taken as the field itself (its 500 hPa level where z500 is wanted and it has levels).
    wanted : sequence of {"sst", "msl", "z500"}
        In order of preference.

    Returns
    -------
    DataArray (time, latitude, longitude)

    Raises
    ------
    VariableError
        If none is there.

    Examples
    --------
    >>> field = xr.DataArray(np.zeros((1, 1, 1)), dims=("time", "lat", "lon"))
    >>> find_field(xr.Dataset({"tos": field}), ("sst",)).name
    'tos'
    """
    if isinstance(data, xr.DataArray):
        found = _at_500(data)
        if found is not None:
            return found if data.name is not None else found.rename(wanted[0])
        data = data.to_dataset(name=wanted[0] if data.name is None else str(data.name))
    if not isinstance(data, xr.Dataset):
        raise ArgumentError("the data are no xarray object", expected="a Dataset", found=type(data).__name__)
    lowered = {str(name).lower(): name for name in data.data_vars}
    standard = {str(variable.attrs.get("standard_name", "")): name for name, variable in data.data_vars.items()}
    for field in wanted:
        for name in NAMES[field]:
            key = lowered.get(name, standard.get(name))
            if key is None:
                continue
            found = _at_500(data[key]) if field == "z500" else data[key]
            if found is not None:
                return found
    names = ", ".join(str(name) for name in data.data_vars)
    raise VariableError(
        f"no variable for {' or '.join(wanted)}",
        expected=", ".join(name for field in wanted for name in NAMES[field][:5]),
        found=names or "no variables",
        fix=f"ds = ds.rename({{'the_name_of_the_variable': '{wanted[0]}'}})",
    )


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
    rows = np.asarray(field[axes.latitude].values, dtype=np.float64)
    widths = cell_area(field).sum(axes.latitude)
    span = float(np.ptp(np.asarray(field[axes.longitude].values, dtype=np.float64)))
    step = float(np.median(np.abs(np.diff(field[axes.longitude].values))))
    if span + 1.5 * step < 360 or not rows.min() <= latitude <= rows.max():
        raise CoordinateError(
            f"no full latitude circle at {latitude:g}",
            expected=f"latitudes around {latitude:g} and longitudes that close around the globe",
            found=f"latitude {rows.min():g} to {rows.max():g}, {span:g} degrees of longitude",
            fix="give a Dataset that covers the hemisphere",
        )
    order = np.argsort(rows)
    above = int(np.clip(np.searchsorted(rows[order], latitude), 1, len(rows) - 1))
    low, high = order[above - 1], order[above]
    share = (latitude - rows[low]) / (rows[high] - rows[low])
    circle = field.astype(np.float64).weighted(widths).mean(axes.longitude)
    mixed = (1 - share) * circle.isel({axes.latitude: low}, drop=True) + share * circle.isel(
        {axes.latitude: high}, drop=True
    )
    out: xr.DataArray = mixed.astype(np.result_type(field.dtype, np.float32)).rename(field.name)
    return out
