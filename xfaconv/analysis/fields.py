"""The field that an index is computed from, found in a Dataset by its usual names, and reduced around the globe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from xfaconv.analysis.axes import cell_area, horizontal_axes
from xfaconv.errors import ArgumentError, CoordinateError, VariableError
from xfaconv.names import find_dimension, find_variable


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
        name = wanted[0] if data.name is None else str(data.name)
        if find_dimension(data, "level") is None:
            return data.rename(name)
        # Only heights are wanted on levels: whatever the array is called, it is them.
        found = find_variable(data.to_dataset(name="z"), "z500")
        if found is not None:
            return found.rename(name)
        data = data.to_dataset(name=name)
    if not isinstance(data, xr.Dataset):
        raise ArgumentError("the data are no xarray object", expected="a Dataset", found=type(data).__name__)
    for key in wanted:
        # A height or geopotential that states no level is taken for the one at 500 hPa.
        for other in (key, "z") if key == "z500" else (key,):
            found = find_variable(data, other)
            if found is not None:
                return found
    what, names = f"no variable for {' or '.join(wanted)}", ", ".join(str(name) for name in data.data_vars)
    fix = f"ds = ds.rename({{'the_name_of_the_variable': '{wanted[0]}'}})"
    expected = f"{' or '.join(wanted)} by a name of ERA5, CDS, GRIB or CMIP, or by its CF standard name"
    raise VariableError(what, expected=expected, found=names or "no variables", fix=fix)


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
