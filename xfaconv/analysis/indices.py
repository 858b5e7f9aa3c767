"""Indices of the large-scale climate from a Dataset: El Nino regions, SOI, NAO, PNA, AO and SAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import xarray as xr

from xfaconv.analysis.axes import (
    box_mean,
    cell_area,
    nearest_point,
    part_with_cells,
    time_axis,
    zonal_mean,
)
from xfaconv.analysis.statistics.anomalies import BasePeriod, anomalies, standardised
from xfaconv.analysis.statistics.eofs import leading_eofs
from xfaconv.arguments import Box, Place, check_choice
from xfaconv.errors import ArgumentError, VariableError
from xfaconv.names import find_dimension, find_variable, named_regions

NAO_SOUTH: Box = (35.0, 45.0, 280.0, 350.0)
NAO_NORTH: Box = (55.0, 70.0, 280.0, 350.0)
TAHITI, DARWIN = (-17.5, -149.6), (-12.4, 130.9)
PNA_POINTS: Mapping[Place, float] = {
    (20.0, -160.0): 0.25,
    (45.0, -165.0): -0.25,
    (55.0, -115.0): 0.25,
    (30.0, -85.0): -0.25,
}


def find_field(data: xr.Dataset | xr.DataArray, wanted: Sequence[str]) -> xr.DataArray:
    """Find the first of several fields by the names that the package knows.

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
    >>> import numpy as np
    >>> field = xr.DataArray(np.zeros((1, 1, 1)), dims=("time", "lat", "lon"))
    >>> find_field(xr.Dataset({"tos": field}), ("sst",)).name
    'tos'
    """
    if isinstance(data, xr.DataArray):
        name = wanted[0] if data.name is None else str(data.name)
        if find_dimension(data, "level") is None:
            return data.rename(name)
        # Only heights are wanted on levels: whatever the array is called, it is them.
        taken = find_variable(data.to_dataset(name="z"), "z500")
        if taken is not None:
            return taken.rename(name)
        data = data.to_dataset(name=name)
    if not isinstance(data, xr.Dataset):
        raise ArgumentError(
            "the data are no xarray object", found=type(data).__name__, fix="xfaconv.analysis.nino34(ds)"
        )
    for key in wanted:
        # A height or geopotential that states no level is taken for the one at 500 hPa.
        for other in (key, "z") if key == "z500" else (key,):
            taken = find_variable(data, other)
            if taken is not None:
                return taken
    found = ", ".join(map(str, data.data_vars)) or "no variables"
    fix = f"ds = ds.rename({{'its name': '{wanted[0]}'}})"
    raise VariableError(f"no variable for {' or '.join(wanted)}", found=found, fix=fix)


def _named(index: xr.DataArray, name: str, definition: str, units: str = "1") -> xr.DataArray:
    out = index.reset_coords(drop=True).rename(name)
    # What the field was called and measured in is not what the index is.
    out.attrs = {"long_name": name.upper(), "units": units, "definition": definition}
    return out


def _nino(data: xr.Dataset | xr.DataArray, name: str, base_period: BasePeriod | None) -> xr.DataArray:
    field = find_field(data, ("sst",))
    box = named_regions()[name]
    index = anomalies(box_mean(field, box), base_period=base_period)
    units = str(field.attrs.get("units", "K"))
    where = "{:g} to {:g} N, {:g} to {:g} E".format(*box)
    return _named(index, name, f"area mean of the anomaly of {field.name}, {where}", "K" if "F" not in units else units)


def nino34(data: xr.Dataset | xr.DataArray, *, base_period: BasePeriod | None = None) -> xr.DataArray:
    """Nino 3.4: sea surface temperature anomaly over 5S-5N, 170W-120W.

    Against the ERSSTv5 tables of the Climate Prediction Center (CPC), OISST v2 of 1981 to 2018 correlates above 0.985
    here, 0.98 in `nino3`, 0.95 in `nino4` and 0.93 in `nino12`.

    Parameters
    ----------
    data : Dataset or DataArray (time, latitude, longitude)
        With sea surface temperature [K or degC]; a DataArray is taken as it.
    base_period : (first, last), optional
        The years of the climatology. Default: all.

    Returns
    -------
    DataArray (time)
        Anomaly [K], lazy if the data are.

    Raises
    ------
    VariableError
        If there is no sea surface temperature.
    CoordinateError
        If the grid does not cover the box.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> times = xr.date_range("2000-01-01", periods=24, freq="MS")
    >>> coords = {"time": times, "lat": [-3.0, 3.0], "lon": np.arange(150.0, 290.0, 10)}
    >>> warm = xr.DataArray(np.ones((24, 2, 14)), coords, ("time", "lat", "lon"), name="sst")
    >>> warm[12:] += 2
    >>> nino34(warm.to_dataset()).values[[0, -1]]
    array([-1.,  1.])
    """
    return _nino(data, "nino34", base_period)


def nino3(data: xr.Dataset | xr.DataArray, *, base_period: BasePeriod | None = None) -> xr.DataArray:
    """Nino 3: sea surface temperature anomaly [K] over 5S-5N, 150W-90W; see `nino34`.

    Parameters
    ----------
    data : Dataset or DataArray (time, latitude, longitude)
        See `nino34`.
    base_period : (str, str), optional
        See `nino34`.

    Returns
    -------
    DataArray (time)
    """
    return _nino(data, "nino3", base_period)


def nino4(data: xr.Dataset | xr.DataArray, *, base_period: BasePeriod | None = None) -> xr.DataArray:
    """Nino 4: sea surface temperature anomaly [K] over 5S-5N, 160E-150W; see `nino34`.

    Parameters
    ----------
    data : Dataset or DataArray (time, latitude, longitude)
        See `nino34`.
    base_period : (str, str), optional
        See `nino34`.

    Returns
    -------
    DataArray (time)
    """
    return _nino(data, "nino4", base_period)


def nino12(data: xr.Dataset | xr.DataArray, *, base_period: BasePeriod | None = None) -> xr.DataArray:
    """Nino 1+2: sea surface temperature anomaly [K] over 10S-0, 90W-80W; see `nino34`.

    Parameters
    ----------
    data : Dataset or DataArray (time, latitude, longitude)
        See `nino34`.
    base_period : (str, str), optional
        See `nino34`.

    Returns
    -------
    DataArray (time)
    """
    return _nino(data, "nino12", base_period)


def soi(data: xr.Dataset | xr.DataArray, *, base_period: BasePeriod | None = None) -> xr.DataArray:
    """Southern Oscillation: standardised pressure at Tahiti less that at Darwin, standardised again.

    SOI-like, because cells of a grid stand for the two stations. Checked on a simulation alone, an
    atmosphere over observed sea surface temperature: its five-month means follow CPC's table (above 0.3) and Nino 3.4
    (below -0.3). It was not set against the table with a reanalysis.

    Parameters
    ----------
    data : Dataset or DataArray (time, latitude, longitude)
        With sea-level pressure.
    base_period : (first, last), optional
        The years of mean and spread. Default: all.

    Returns
    -------
    DataArray (time)
        Dimensionless; negative in El Nino. Lazy if the data are.

    Raises
    ------
    VariableError
        If there is no sea-level pressure.
    CoordinateError
        If the grid does not hold both stations.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> coords = {"time": xr.date_range("2000-01-01", periods=36, freq="MS"), "lat": [-15.0, -5.0],
    ...           "lon": np.arange(0.0, 360.0, 10)}
    >>> noise = np.random.default_rng(0).normal(size=(36, 2, 36))
    >>> soi(xr.DataArray(noise, coords, ("time", "lat", "lon"), name="msl")).sizes
    Frozen({'time': 36})
    """
    field = find_field(data, ("msl",))
    tahiti = standardised(nearest_point(field, TAHITI), base_period=base_period)
    darwin = standardised(nearest_point(field, DARWIN), base_period=base_period)
    difference = tahiti.reset_coords(drop=True) - darwin.reset_coords(drop=True)
    index = _unit_variance(difference, field)
    return _named(index, "soi", f"standardised {field.name} at Tahiti less Darwin (nearest cells), standardised")


def _unit_variance(index: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    spread = index.std(time_axis(like))
    return index / spread.where(spread > 0)


def _annular(
    data: xr.Dataset | xr.DataArray,
    name: str,
    box: Box,
    positive: Box,
    negative: Box,
    variables: Sequence[str],
    base_period: BasePeriod | None,
) -> xr.DataArray:
    """Leading principal component over a box, its sign such that `positive` exceeds `negative`."""
    field = find_field(data, variables)
    # Refuses a grid that covers a part of the box: the EOF of a part is another pattern.
    box_mean(field.isel({time_axis(field): slice(0, 1)}), box)
    part = part_with_cells(field, cell_area(field, box, cells="centres"))
    eofs = leading_eofs(anomalies(part, base_period=base_period))
    pattern = eofs.pattern.isel(mode=0, drop=True)
    difference = box_mean(pattern, positive) - box_mean(pattern, negative)
    sign = ((difference >= 0) * 2 - 1).astype(eofs.series.dtype)
    index = eofs.series.isel(mode=0, drop=True) * sign
    where = "{:g} to {:g} N, {:g} to {:g} E".format(*box)
    return _named(index, name, f"leading principal component of {field.name} anomalies, {where}")


def nao(
    data: xr.Dataset | xr.DataArray,
    *,
    method: Literal["box", "eof"] = "box",
    base_period: BasePeriod | None = None,
) -> xr.DataArray:
    """North Atlantic Oscillation from 500 hPa height or sea-level pressure.

    Against CPC's table, the boxes on NCEP/NCAR heights of 1981 to 2010 correlate at 0.80 (0.91 in winter), the
    principal component of winters above 0.85.

    Parameters
    ----------
    data : Dataset or DataArray (time, latitude, longitude)
        With z500 or sea-level pressure, in any units: the index is standardised.
    method : {"box", "eof"}
        Standardised mean over 35-45N, 80-10W less that over 55-70N, 80-10W; or the leading principal component
        over 20-80N, 90W-40E. The western edge of the boxes is the one of about ten that agreed best with CPC's index.
    base_period : (first, last), optional
        The years of mean and spread. Default: all.

    Returns
    -------
    DataArray (time)
        Dimensionless, positive when pressure is low over Iceland. Lazy if the data are.

    Raises
    ------
    VariableError
        If neither variable is there.
    CoordinateError
        If the grid does not cover the boxes.
    ArgumentError
        If the method is unknown.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> coords = {"time": xr.date_range("2000-01-01", periods=36, freq="MS"), "lat": np.arange(22.5, 90, 5),
    ...           "lon": np.arange(0.0, 360.0, 10)}
    >>> noise = np.random.default_rng(0).normal(size=(36, 14, 36))
    >>> nao(xr.DataArray(noise, coords, ("time", "lat", "lon"), name="z500")).attrs["long_name"]
    'NAO'
    """
    check_choice("method", method, ("box", "eof"))
    if method == "eof":
        return _annular(data, "nao", (20.0, 80.0, 270.0, 400.0), NAO_SOUTH, NAO_NORTH, ("z500", "msl"), base_period)
    field = find_field(data, ("z500", "msl"))
    south, north = (standardised(box_mean(field, box), base_period=base_period) for box in (NAO_SOUTH, NAO_NORTH))
    return _named(
        _unit_variance(south - north, field),
        "nao",
        f"standardised {field.name}, 35-45N 80-10W less 55-70N 80-10W, standardised",
    )


def pna(data: xr.Dataset | xr.DataArray, *, base_period: BasePeriod | None = None) -> xr.DataArray:
    """Pacific/North American pattern from four points of 500 hPa height (Wallace and Gutzler 1981).

    Against CPC's table, which has another definition, NCEP/NCAR heights of 1981 to 2010 correlate at 0.68 (0.87 in
    winter).

    Parameters
    ----------
    data : Dataset or DataArray (time, latitude, longitude)
        With z500, in any units: the index is standardised.
    base_period : (first, last), optional
        The years of mean and spread. Default: all.

    Returns
    -------
    DataArray (time)
        Mean of standardised anomalies at 20N 160W and 55N 115W less 45N 165W and 30N 85W, dimensionless.

    Raises
    ------
    VariableError
        If there is no z500.
    CoordinateError
        If the grid does not hold the four points.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> coords = {"time": xr.date_range("2000-01-01", periods=36, freq="MS"), "lat": np.arange(20.0, 90, 5),
    ...           "lon": np.arange(0.0, 360.0, 10)}
    >>> noise = np.random.default_rng(0).normal(size=(36, 14, 36))
    >>> pna(xr.DataArray(noise, coords, ("time", "lat", "lon"), name="z500")).sizes["time"]
    36
    """
    field = find_field(data, ("z500",))
    parts = [
        weight * standardised(nearest_point(field, point), base_period=base_period).reset_coords(drop=True)
        for point, weight in PNA_POINTS.items()
    ]
    index = parts[0] + parts[1] + parts[2] + parts[3]
    return _named(index, "pna", f"standardised {field.name} at 4 points (Wallace and Gutzler 1981)")


def ao(data: xr.Dataset | xr.DataArray, *, base_period: BasePeriod | None = None) -> xr.DataArray:
    """Arctic Oscillation: leading principal component north of 20N, positive when the polar cap is low.

    Set against no table of its own: winters of NCEP/NCAR heights correlate above 0.6 with CPC's table of the NAO.

    Parameters
    ----------
    data : Dataset or DataArray (time, latitude, longitude)
        With sea-level pressure, or z500 where there is none.
    base_period : (first, last), optional
        The years of the climatology. Default: all.

    Returns
    -------
    DataArray (time)
        Unit variance, dimensionless; lazy if the data are.

    Raises
    ------
    VariableError
        If neither variable is there.
    CoordinateError
        If the grid does not cover 20-90N all around.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> coords = {"time": xr.date_range("2000-01-01", periods=36, freq="MS"), "lat": np.arange(22.5, 90, 5),
    ...           "lon": np.arange(0.0, 360.0, 10)}
    >>> noise = np.random.default_rng(0).normal(size=(36, 14, 36))
    >>> float(ao(xr.DataArray(noise, coords, ("time", "lat", "lon"), name="msl")).std().round(3))
    1.0
    """
    box, low, cap = (20.0, 90.0, 0.0, 360.0), (35.0, 50.0, 0.0, 360.0), (65.0, 90.0, 0.0, 360.0)
    return _annular(data, "ao", box, low, cap, ("msl", "z500"), base_period)


def sam(
    data: xr.Dataset | xr.DataArray,
    *,
    method: Literal["zonal", "eof"] = "zonal",
    base_period: BasePeriod | None = None,
) -> xr.DataArray:
    """Southern Annular Mode, positive when the polar cap is low.

    Set against no table: the two methods correlate above 0.8 with each other on NCEP/NCAR heights.

    Parameters
    ----------
    data : Dataset or DataArray (time, latitude, longitude)
        With sea-level pressure, or z500 where there is none.
    method : {"zonal", "eof"}
        Standardised zonal mean at 40S less that at 65S (Gong and Wang 1999), or the leading principal component
        south of 20S.
    base_period : (first, last), optional
        The years of mean and spread. Default: all.

    Returns
    -------
    DataArray (time)
        Dimensionless; lazy if the data are.

    Raises
    ------
    VariableError
        If neither variable is there.
    CoordinateError
        If the grid does not reach the latitudes all around.
    ArgumentError
        If the method is unknown.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> coords = {"time": xr.date_range("2000-01-01", periods=36, freq="MS"), "lat": np.arange(-87.5, 0, 5),
    ...           "lon": np.arange(0.0, 360.0, 10)}
    >>> noise = np.random.default_rng(0).normal(size=(36, 18, 36))
    >>> sam(xr.DataArray(noise, coords, ("time", "lat", "lon"), name="msl")).attrs["long_name"]
    'SAM'
    """
    check_choice("method", method, ("zonal", "eof"))
    if method == "eof":
        box, low, cap = (-90.0, -20.0, 0.0, 360.0), (-50.0, -35.0, 0.0, 360.0), (-90.0, -65.0, 0.0, 360.0)
        return _annular(data, "sam", box, low, cap, ("msl", "z500"), base_period)
    field = find_field(data, ("msl", "z500"))
    north, south = (standardised(zonal_mean(field, latitude), base_period=base_period) for latitude in (-40.0, -65.0))
    return _named(north - south, "sam", f"standardised zonal mean of {field.name}, 40S less 65S (Gong and Wang 1999)")
