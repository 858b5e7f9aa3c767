"""What cannot be used is refused: each case with its error, words and fix, nothing computed, nothing changed."""

# ruff: noqa: PD013
from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.adapt.dialects import DEFAULT, SPECS, Dialect, target, tell
from tests.conftest import raise_if_dask_computes
from xfaconv.adapt import InputSpec, adapt, recognise
from xfaconv.climatology import Climatology
from xfaconv.errors import (
    ArgumentError,
    CoordinateError,
    GridError,
    TimeError,
    UnitsError,
    VariableError,
    XFaconvError,
)
from xfaconv.grid import Grid
from xfaconv.specs import VariableSpec


@dataclass(frozen=True)
class Case:
    """A Dataset, or what stands in its place, and what is said about it."""

    name: str
    ds: Any
    error: type[XFaconvError]
    words: str
    fix: str = ""
    target: InputSpec = field(default_factory=target)
    options: dict[str, Any] = field(default_factory=dict)


@cache
def told(dialect: Dialect) -> xr.Dataset:
    return tell(dialect)


def base(**changes: Any) -> xr.Dataset:
    return told(replace(DEFAULT, chunks=(4, 8, 16), **changes)).copy(deep=True)


def only(name: str, units: str, level: float | None = None, step: str | None = "1D") -> InputSpec:
    return InputSpec((VariableSpec(name, units, name, level),), None, step)


def attrs(ds: xr.Dataset, name: str, **changes: Any) -> xr.Dataset:
    out = ds.copy()
    out[name] = ds[name].assign_attrs(changes) if None not in changes.values() else ds[name].drop_attrs()
    return out


def times(values: Any, name: str = "time") -> xr.Dataset:
    values = np.asarray(values)
    ds = base().isel(time=[0] * len(values)).drop_vars("time")
    return (
        ds.assign_coords({name: (("time",), values)})
        if name == "time"
        else ds.rename(time=name).assign_coords({name: values})
    )


def coordinate(name: str, values: Any, **attributes: Any) -> xr.Dataset:
    return base().assign_coords({name: (name, np.asarray(values), attributes)})


def level(**changes: Any) -> xr.Dataset:
    values = changes.pop("values", [850.0, 500.0, 250.0])
    name = changes.pop("name", "level")
    return base(level=name).assign_coords({name: (name, np.asarray(values), changes)})


def two_dimensional() -> xr.Dataset:
    ds = base().rename(latitude="y", longitude="x")
    south, east = np.meshgrid(np.arange(8.0), np.arange(16.0), indexing="ij")
    south = south + east / 10
    return ds.drop_vars(["y", "x"]).assign_coords(lat=(("y", "x"), south), lon=(("y", "x"), east))


def unstructured() -> xr.Dataset:
    return (
        base()[["t2m"]]
        .stack({"cell": ("latitude", "longitude")})
        .reset_index("cell")
        .rename(latitude="lat", longitude="lon")
    )


DAYS = pd.date_range("2001-01-01", periods=9, freq="D").to_numpy()
NOT_DATASETS = [
    Case("a data array", base().t2m, ArgumentError, "the data are not an xarray.Dataset", "da.to_dataset(name='t2m')"),
    Case(
        "an array without a name",
        xr.DataArray([1.0]),
        ArgumentError,
        "not an xarray.Dataset",
        "da.to_dataset(name='t2m')",
    ),
    Case("a path", "era5.nc", ArgumentError, "not an xarray.Dataset", "ds = xr.open_dataset('era5.nc', chunks={})"),
    Case("a dict", {"t2m": 1}, ArgumentError, "not an xarray.Dataset", "xr.open_dataset("),
    Case("None", None, ArgumentError, "not an xarray.Dataset", "xr.open_dataset("),
    Case("a frame", pd.DataFrame({"t2m": [1]}), ArgumentError, "not an xarray.Dataset", "xr.open_dataset("),
    Case("numpy", np.zeros(3), ArgumentError, "not an xarray.Dataset", "xr.open_dataset("),
]
OPTIONS = [
    Case("regrid", base(), ArgumentError, "regrid cannot be used", "regrid='model'", options={"regrid": "linear"}),
    Case("regrid true", base(), ArgumentError, "regrid cannot be used", "regrid='model'", options={"regrid": True}),
    Case("absent", base(), ArgumentError, "absent cannot be used", "absent='raise'", options={"absent": "ignore"}),
    Case("absent none", base(), ArgumentError, "absent cannot be used", "absent='raise'", options={"absent": None}),
    Case(
        "climatology",
        base(),
        ArgumentError,
        "climatology cannot be used",
        "climatology=",
        options={"climatology": "mean"},
    ),
    Case(
        "climatology number",
        base(),
        ArgumentError,
        "climatology cannot be used",
        "climatology=",
        options={"climatology": 3},
    ),
    Case(
        "no climatology",
        base(),
        ArgumentError,
        "the model has no climatology",
        "climatology='data'",
        target(climatology=False),
    ),
    Case(
        "share above one",
        base(),
        ArgumentError,
        "min_valid is not a share",
        "min_valid=0.5",
        options={"min_valid": 1.5},
    ),
    Case(
        "negative share",
        base(),
        ArgumentError,
        "min_valid is not a share",
        "min_valid=0.5",
        options={"min_valid": -0.1},
    ),
    Case(
        "no variables",
        base(),
        ArgumentError,
        "the model reads no variables",
        "",
        InputSpec((), None),
        {"climatology": None},
    ),
    Case(
        "unknown model name",
        base(),
        ArgumentError,
        "names 'sst', which the model does not read",
        "variables=",
        options={"variables": {"sst": "t2m"}},
    ),
    Case(
        "unknown data name",
        base(),
        ArgumentError,
        "names 'temp', which is not in the Dataset",
        "variables=",
        options={"variables": {"t2m": "temp"}},
    ),
    Case(
        "a coordinate as variable",
        base(),
        ArgumentError,
        "names 'latitude', which is not in the Dataset",
        "variables=",
        options={"variables": {"t2m": "latitude"}},
    ),
]
LATITUDES = [
    Case(
        "no latitude",
        base().drop_vars("latitude").rename(latitude="row"),
        CoordinateError,
        "no latitude was found",
        "ds.rename",
    ),
    Case(
        "no longitude",
        base().drop_vars("longitude").rename(longitude="col"),
        CoordinateError,
        "no longitude was found",
        "rename",
    ),
    Case(
        "latitude without values",
        base().drop_vars("latitude"),
        CoordinateError,
        "dimension 'latitude' has no coordinate",
        "assign_coords",
    ),
    Case(
        "longitude without values",
        base().drop_vars("longitude"),
        CoordinateError,
        "dimension 'longitude' has no coordinate",
        "assign",
    ),
    Case(
        "two latitudes",
        base()
        .assign_coords(lat=("latitude", np.arange(8.0)))
        .drop_vars("latitude")
        .assign_coords(nav_lat=("latitude", np.arange(8.0))),
        CoordinateError,
        "more than one coordinate can be the latitude",
        "drop_vars",
    ),
    Case(
        "curvilinear",
        two_dimensional(),
        GridError,
        "latitude 'lat' has 2 dimensions ('y', 'x'): the grid is curvilinear",
        "xesmf",
    ),
    Case(
        "points of a grid in a row",
        unstructured(),
        GridError,
        "share dimension 'cell': the points of a grid are in a row",
        "ds.set_index({'cell': ['lat', 'lon']}).unstack('cell')",
    ),
    Case(
        "stations",
        unstructured().isel(cell=slice(3, 90, 7)).rename(cell="station"),
        GridError,
        "share dimension 'station': the grid is unstructured, or these are stations",
        "cdo remapcon",
    ),
    Case(
        "rotated",
        base().drop_vars(["latitude", "longitude"]).rename(latitude="rlat", longitude="rlon"),
        GridError,
        "no latitude: the grid is projected, rotated",
        "cdo",
    ),
    Case(
        "projected",
        base().drop_vars(["latitude", "longitude"]).rename(latitude="y", longitude="x"),
        GridError,
        "projected",
        "cdo",
    ),
    Case(
        "healpix",
        base()[["t2m"]].stack({"cell": ("latitude", "longitude")}).drop_vars(["cell", "latitude", "longitude"]),
        GridError,
        "projected, rotated or unstructured (dimension 'cell')",
        "cdo",
    ),
    Case(
        "text",
        coordinate("latitude", list("abcdefgh")),
        CoordinateError,
        "latitude 'latitude' holds text",
        "'the true first'",
    ),
    Case(
        "text longitude",
        coordinate("longitude", [f"{n}E" for n in range(16)]),
        CoordinateError,
        "longitude 'longitude' holds text",
        "'the true first'",
    ),
    Case(
        "missing",
        coordinate("latitude", [0, 1, np.nan, 3, 4, 5, 6, 7]),
        CoordinateError,
        "latitude 'latitude' has missing values",
        "isfinite",
    ),
    Case(
        "infinite",
        coordinate("longitude", [np.inf, *range(15)]),
        CoordinateError,
        "longitude 'longitude' has missing values",
        "isfinite",
    ),
    Case(
        "radians",
        coordinate("latitude", np.linspace(-1.5, 1.5, 8), units="radians"),
        CoordinateError,
        "latitude 'latitude' is in radians",
        "np.rad2deg",
    ),
    Case(
        "radians east",
        coordinate("longitude", np.arange(16) * 0.39, units="radian"),
        CoordinateError,
        "longitude 'longitude' is in radians",
        "np.rad2deg",
    ),
    Case(
        "metres",
        coordinate("latitude", np.arange(8) * 1e4, units="m"),
        GridError,
        "latitude 'latitude' is a distance",
        "cdo",
    ),
    Case(
        "beyond the pole",
        coordinate("latitude", np.linspace(-100, 100, 8)),
        GridError,
        "latitude 'latitude' leaves the sphere",
        "<= 90",
    ),
    Case(
        "swapped axes",
        base().drop_attrs().rename(latitude="longitude", longitude="latitude"),
        GridError,
        "leaves the sphere",
        "swapped",
    ),
    Case(
        "names against units",
        base().rename(latitude="longitude", longitude="latitude"),
        CoordinateError,
        "more than one coordinate can be the latitude",
        "drop_vars",
    ),
    Case(
        "a latitude twice",
        coordinate("latitude", [0, 1, 2, 2, 3, 4, 5, 6]),
        GridError,
        "latitude 'latitude' has a value twice",
        "drop_duplicates('latitude')",
    ),
    Case(
        "meridians twice",
        coordinate("longitude", [*range(0, 80, 10), *range(0, 80, 10)]),
        GridError,
        "longitude 'longitude' has 8 repeated meridians",
        "drop_duplicates('longitude')",
    ),
    Case("one meridian", coordinate("longitude", np.array([0.0] * 16)), GridError, "too few distinct values"),
    Case(
        "longitude far off",
        coordinate("longitude", np.arange(16) * 100.0),
        GridError,
        "longitude 'longitude' is out of range",
        "% 360",
    ),
    Case("one row", base().isel(latitude=[3]), GridError, "latitude 'latitude' has too few values", "box"),
    Case("one column", base().isel(longitude=[3]), GridError, "longitude 'longitude' has too few values", "box"),
    Case("a point", base().isel(latitude=3, longitude=3), GridError, "latitude 'latitude' is a single value", "a box"),
    Case(
        "no coordinates at all",
        xr.Dataset({"t2m": (("a", "b", "c"), np.zeros((2, 3, 4)))}),
        CoordinateError,
        "no latitude was found",
        "rename",
    ),
    Case("empty", xr.Dataset(), CoordinateError, "no latitude was found", "rename"),
    Case(
        "lazy latitude",
        base()
        .drop_vars("latitude")
        .assign_coords(lat=("latitude", xr.DataArray(np.arange(8.0), dims="latitude").chunk().data)),
        CoordinateError,
        "latitude 'lat' is lazy and would have to be computed",
        ".compute()",
    ),
]
STAMPS = [
    Case(
        "no time",
        base().isel(time=0, drop=True),
        TimeError,
        "there is no time axis",
        "assign_coords(time=xr.date_range(",
    ),
    Case(
        "months alone",
        base().drop_vars("time").rename(time="month"),
        TimeError,
        "'month' alone does not say when",
        "rename({'month': 'time'})",
    ),
    Case(
        "years alone",
        base().drop_vars("time").rename(time="year"),
        TimeError,
        "'year' alone does not say when",
        "rename({'year': 'time'})",
    ),
    Case(
        "time without stamps",
        base().drop_vars("time"),
        TimeError,
        "dimension 'time' has no coordinate",
        "xr.date_range('the true first date', periods=9",
    ),
    Case("unsorted", base().isel(time=[1, 0, 2]), TimeError, "time axis 'time' is not sorted", "ds.sortby('time')"),
    Case(
        "backwards",
        base().isel(time=slice(None, None, -1)),
        TimeError,
        "time axis 'time' is not sorted",
        "ds.sortby('time')",
    ),
    Case(
        "twice",
        base().isel(time=[0, 1, 1, 2]),
        TimeError,
        "time axis 'time' has a stamp twice",
        "ds.drop_duplicates('time')",
    ),
    Case(
        "joined from files that overlap",
        base().isel(time=[0, 1, 2, 1, 2, 3]),
        TimeError,
        "time axis 'time' is not sorted, and has 2 stamps twice",
        "ds.drop_duplicates('time').sortby('time')",
    ),
    Case(
        "not a time",
        times([DAYS[0], np.datetime64("NaT"), DAYS[2]]),
        TimeError,
        "time axis 'time' has missing stamps",
        "notnull()",
    ),
    Case("empty", base().isel(time=slice(0, 0)), TimeError, "time axis 'time' is empty"),
    Case(
        "irregular",
        times(DAYS[[0, 1, 2]] + np.array([0, 0, 5], "m8[h]")),
        TimeError,
        "the steps of time axis 'time' are irregular",
        "resample(time='1D')",
    ),
    Case(
        "two hours",
        times(pd.date_range("2001", periods=9, freq="2h")),
        TimeError,
        "the step of time axis 'time' is not one that models have",
        "resample",
    ),
    Case(
        "minutes",
        times(pd.date_range("2001", periods=9, freq="10min")),
        TimeError,
        "the step of time axis 'time' is not one",
        "resample",
    ),
    Case(
        "ten days",
        times(pd.date_range("2001", periods=9, freq="10D")),
        TimeError,
        "the step of time axis 'time' is not one",
        "resample",
    ),
    Case(
        "years",
        times(pd.date_range("1981", periods=9, freq="YS")),
        TimeError,
        "the steps of time axis 'time' are longer than a month",
        "the data are coarser than any model",
    ),
    Case(
        "seasons",
        times(pd.date_range("1981-01", periods=9, freq="QS")),
        TimeError,
        "the steps of time axis 'time' are longer than a month",
        "the data are coarser than any model",
    ),
    Case(
        "hourly for daily",
        times(pd.date_range("2001", periods=9, freq="h")),
        TimeError,
        "time axis 'time' has another step than the model",
        "ds.resample(time='1D').mean(",
    ),
    Case(
        "monthly for daily",
        times(pd.date_range("2001", periods=9, freq="MS")),
        TimeError,
        "another step than the model",
        "choose a model with step '1M'",
    ),
    Case(
        "daily for monthly",
        base(),
        TimeError,
        "another step than the model",
        "resample(time='1MS').mean(",
        target(step="1M"),
    ),
    Case(
        "daily for hourly",
        base(),
        TimeError,
        "another step than the model",
        "choose a model with step '1D'",
        target(step="1h"),
    ),
    Case(
        "daily for pentads",
        base(),
        TimeError,
        "another step than the model",
        "resample(time='5D').mean(",
        target(step="5D"),
    ),
    Case("one stamp", base().isel(time=[0]), TimeError, "time axis 'time' has one stamp", "model=", target(step=None)),
    Case(
        "pairs",
        times(
            np.sort(
                np.concatenate(
                    [m := pd.date_range("2001", periods=4, freq="MS").to_numpy(), m + np.timedelta64(6, "h")]
                )
            )
        ),
        TimeError,
        "come in pairs: variables stamped at different hours were merged",
        "dt.floor('D')",
    ),
    Case(
        "pairs of days",
        times(np.sort(np.concatenate([DAYS, DAYS + np.timedelta64(6, "h")]))),
        TimeError,
        "come in pairs",
        "dt.floor('D')",
    ),
    Case(
        "not decoded",
        base().assign_coords(time=("time", np.arange(9), {"units": "hours since 1900-01-01"})),
        TimeError,
        "time axis 'time' is not decoded",
        "xr.decode_cf(ds)",
    ),
    Case("integers", times(np.arange(9)), TimeError, "time axis 'time' does not hold dates", "the true first date"),
    Case(
        "integer dates under a name that is none",
        times(20010101 + np.arange(9)),
        TimeError,
        "does not hold dates",
        "format='%Y%m%d'",
    ),
    Case(
        "impossible dates",
        times(20010230 + np.arange(9), "date"),
        TimeError,
        "time axis 'date' does not hold dates",
        "the true first date",
    ),
    Case(
        "month 13",
        times(200110 + np.arange(9), "yyyymm"),
        TimeError,
        "time axis 'yyyymm' does not hold dates",
        "the true first date",
    ),
    Case("years as integers", times(1981 + np.arange(9)), TimeError, "does not hold dates", "format='%Y'"),
    Case("decimal years", times(1981 + np.arange(9) / 12), TimeError, "does not hold dates", "astype('datetime64[M]')"),
    Case(
        "text dates",
        times([str(d)[:10] for d in DAYS]),
        TimeError,
        "time axis 'time' does not hold dates",
        "pd.to_datetime(ds['time'].values)",
    ),
    Case(
        "mixed objects",
        times(np.array([*DAYS[:2].astype("M8[D]").astype(object), None], dtype=object)),
        TimeError,
        "does not hold dates",
        "notnull()",
    ),
    Case(
        "forecasts",
        base()
        .expand_dims(step=np.arange(2).astype("m8[h]").astype("m8[ns]"))
        .assign_coords(valid_time=(("time", "step"), DAYS[:, None] + np.arange(2).astype("m8[h]"))),
        TimeError,
        "time coordinate 'valid_time' has 2 dimensions: these are forecasts",
        "ds.isel(step=0)",
    ),
    Case(
        "two time axes",
        base()[["t2m"]].merge(base()[["msl"]].rename(time="valid_time")),
        TimeError,
        "more than one dimension can be time",
        "ds[['t2m']]",
    ),
    Case(
        "lazy stamps",
        base().drop_vars("time").assign_coords(valid_time=("time", xr.DataArray(DAYS, dims="time").chunk().data)),
        TimeError,
        "time coordinate 'valid_time' is lazy",
        ".compute()",
    ),
    Case(
        "noleap unsorted",
        times(np.array([cftime.DatetimeNoLeap(2001, 1, d) for d in (2, 1, 3)])),
        TimeError,
        "is not sorted",
        "sortby",
    ),
    Case(
        "360 days twice",
        times(np.array([cftime.Datetime360Day(2001, 2, d) for d in (29, 30, 30)])),
        TimeError,
        "has a stamp twice",
        "drop_duplicates",
    ),
]
STAMPS += [
    Case(
        "time zones",
        base().assign_coords(time=pd.date_range("2001", periods=9, tz="UTC")),
        TimeError,
        "time axis 'time' does not hold dates",
        "ds.indexes['time'].tz_convert(None)",
    ),
    Case(
        "periods",
        base().assign_coords(time=pd.period_range("2001", periods=9, freq="D")),
        TimeError,
        "time axis 'time' does not hold dates",
        "ds.indexes['time'].to_timestamp()",
    ),
]
OPTIONS += [
    Case(
        "a list of variables",
        base(),
        ArgumentError,
        "variables is not a mapping",
        "variables={'t2m': 'its name'}",
        options={"variables": ["t2m"]},
    ),
    Case(
        "a number as a name",
        base().assign({5: base().msl}),
        ArgumentError,
        "the name 5 in the Dataset is not text",
        "'5'",
    ),
]
LATITUDES += [
    Case("no member", base().expand_dims(number=[]), CoordinateError, "dimension 'number' is empty"),
]
UNITS = (
    [
        Case(
            f"no units of {name}",
            attrs(base(), name, units=None),
            UnitsError,
            f"variable {name!r} has no units",
            f"ds[{name!r}].attrs['units']",
        )
        for name in ("t2m", "z", "msl", "tp")
    ]
    + [
        Case(f"units of {name}: {units!r}", attrs(base(), name, units=units), UnitsError, words, f"ds[{name!r}]")
        for name, units, words in (
            ("t2m", "", "variable 't2m' has no units"),
            ("t2m", " ", "variable 't2m' has no units"),
            ("t2m", "unknown", "the units of variable 't2m' are not known"),
            ("t2m", "as stored", "the units of variable 't2m' are not known"),
            ("t2m", "~", "the units of variable 't2m' are not known"),
            ("t2m", "2", "the units of variable 't2m' are not known"),
            ("t2m", "Pa", "variable 't2m' has units that are not those of the model's variable"),
            ("t2m", "m s-1", "variable 't2m' has units that are not those"),
            ("t2m", "1", "variable 't2m' has units that are not those"),
            ("t2m", "%", "variable 't2m' has units that are not those"),
            ("msl", "m", "variable 'msl' has units that are not those"),
            ("msl", "K", "variable 'msl' has units that are not those"),
            ("z", "K", "variable 'z' has units that are not those"),
            ("z", "hPa", "variable 'z' has units that are not those"),
            ("z", "m s-1", "variable 'z' has units that are not those"),
            ("z", "m3 s-2", "variable 'z' has units that are not those"),
            ("z", "gpm or m2 s-2", "the units of variable 'z' are not known"),
            ("z", "__import__('os')", "the units of variable 'z' are not known"),
            ("tp", "K", "variable 'tp' has units that are not those"),
            ("tp", "W m-2", "variable 'tp' has units that are not those"),
            ("tp", "kg m-3", "variable 'tp' has units that are not those"),
        )
    ]
    + [
        Case(
            "an amount for a rate",
            base(),
            UnitsError,
            "'tp' is an amount and the model reads a rate",
            "seconds of the sum",
            only("tp", "kg m-2 s-1"),
            {"climatology": None},
        ),
        Case(
            "a monthly rate for an amount",
            attrs(times(pd.date_range("2001", periods=9, freq="MS")), "tp", units="mm/day"),
            UnitsError,
            "is a rate and the model reads an amount",
            "86400 for daily totals",
            only("tp", "m", step="1M"),
            {"climatology": None},
        ),
        Case(
            "energy for a flux",
            attrs(times(pd.date_range("2001", periods=9, freq="MS")).rename(tp="ttr"), "ttr", units="J m-2"),
            UnitsError,
            "variable 'ttr' is accumulated: the time over which it is summed is not known",
            "86400 in ERA5's monthly means",
            only("ttr", "W m-2", step="1M"),
            {"climatology": None},
        ),
        Case(
            "units of the model",
            base(),
            UnitsError,
            "the model's units of 't2m' are not known",
            "",
            only("t2m", "warmth"),
            {"climatology": None},
        ),
    ]
)
LEVELS = [
    Case(
        "sigma", level(units="sigma_level"), CoordinateError, "level coordinate 'level' is not pressure", "interpolate"
    ),
    Case("metres", level(units="m"), CoordinateError, "level coordinate 'level' is not pressure", "interpolate"),
    Case(
        "hybrid",
        level(standard_name="hybrid"),
        CoordinateError,
        "level coordinate 'level' is not pressure",
        "isel(level=0",
    ),
    Case(
        "model levels",
        level(values=[135.0, 136.0, 137.0]),
        CoordinateError,
        "has no units and its values do not tell",
        "attrs['units'] = 'hPa'",
    ),
    Case(
        "numbers", level(values=[0, 1, 2]), CoordinateError, "has no units and its values do not tell", "attrs['units']"
    ),
    Case(
        "stratosphere without units",
        level(values=[10.0, 20.0, 50.0]),
        CoordinateError,
        "do not tell whether they are pressures",
        "attrs['units']",
    ),
    Case("text", level(values=["850", "500", "250"]), CoordinateError, "is not pressure", "interpolate"),
    Case(
        "another level",
        level(values=[850.0, 700.0, 250.0], units="hPa"),
        VariableError,
        "'z' has levels 850, 700, 250 hPa, not 500 hPa",
        "absent='climatology'",
    ),
    Case(
        "pascals called hPa",
        level(values=[85000.0, 50000.0, 25000.0], units="hPa"),
        VariableError,
        "the data lack 'z500'",
        "variables=",
    ),
    Case(
        "hectopascals called Pa",
        level(values=[850.0, 500.0, 250.0], units="Pa"),
        VariableError,
        "the data lack 'z500'",
        "variables=",
    ),
    Case("no level", base().isel(level=1, drop=True), VariableError, "'z' has no level, not 500 hPa", "variables="),
    Case(
        "given without the level",
        level(values=[850.0, 700.0, 250.0], units="hPa"),
        CoordinateError,
        "variable 'z' has no level 500 hPa",
        "absent='climatology'",
        options={"variables": {"z500": "z"}},
    ),
]
VARIABLES = [
    Case(
        "absent",
        base().drop_vars("msl"),
        VariableError,
        "the data lack 'msl', which the model reads",
        "absent='climatology'",
    ),
    Case(
        "several absent",
        base().drop_vars(["msl", "tp"]),
        VariableError,
        "the data lack 'msl', 'tp', which the model reads",
        "variables={'msl': 'its name'}",
    ),
    Case(
        "all absent",
        base().drop_vars(["t2m", "z", "msl", "tp"]).assign(x=base().t2m),
        VariableError,
        "the data lack 't2m', 'z500', 'msl', 'tp'",
        "variables={'t2m': 'x'}",
        options={"absent": "climatology"},
    ),
    Case(
        "an unknown name",
        base().rename(t2m="my_temperature"),
        VariableError,
        "the data lack 't2m'",
        "variables={'t2m': 'my_temperature'}",
    ),
    Case("a maximum is no mean", base().rename(t2m="tasmax"), VariableError, "the data lack 't2m'", "variables="),
    Case(
        "a standard name without height",
        base().rename(t2m="x").assign(x=lambda d: d.x.assign_attrs(standard_name="air_temperature")),
        VariableError,
        "the data lack 't2m'",
        "variables=",
    ),
    Case(
        "ambiguous aliases",
        base().rename(t2m="tas").assign({"2t": base().t2m}),
        VariableError,
        "more than one variable can be 't2m'",
        "variables={'t2m': 'tas'}",
    ),
    Case(
        "ambiguous pressure",
        base().rename(msl="psl").assign(prmsl=base().msl),
        VariableError,
        "more than one variable can be 'msl'",
        "variables={'msl': 'psl'}",
    ),
    Case(
        "an extra dimension",
        base().assign(t2m=lambda d: d.t2m.expand_dims(quantile=[0.1, 0.9])),
        VariableError,
        "has a dimension 'quantile' that the model does not know",
        "ds.isel(quantile=0",
    ),
    Case(
        "no time",
        base().assign(t2m=lambda d: d.t2m.isel(time=0, drop=True)),
        VariableError,
        "the data lack 't2m'",
        "variables=",
    ),
    Case(
        "static, given by name",
        base().assign(t2m=lambda d: d.t2m.isel(time=0, drop=True)),
        VariableError,
        "variable 't2m' has no dimension 'time'",
        "changes with time",
        options={"variables": {"t2m": "t2m"}},
    ),
    Case(
        "no longitude",
        base().assign(t2m=lambda d: d.t2m.isel(longitude=0, drop=True)),
        VariableError,
        "the data lack 't2m'",
        "variables=",
    ),
    Case(
        "zonal mean, given by name",
        base().assign(t2m=lambda d: d.t2m.isel(longitude=0, drop=True)),
        VariableError,
        "variable 't2m' has no dimension 'longitude'",
        "",
        options={"variables": {"t2m": "t2m"}},
    ),
    Case(
        "packed",
        attrs(base(), "t2m", scale_factor=0.01),
        VariableError,
        "variable 't2m' is not decoded: its attributes hold scale_factor",
        "xr.decode_cf(ds)",
    ),
    Case(
        "offset",
        attrs(base(), "msl", add_offset=1e5),
        VariableError,
        "variable 'msl' is not decoded: its attributes hold add_offset",
        "xr.decode_cf(ds)",
    ),
    Case(
        "fill value",
        attrs(base(), "tp", _FillValue=-999.0),
        VariableError,
        "variable 'tp' is not decoded: its attributes hold _FillValue",
        "xr.decode_cf(ds)",
    ),
    Case(
        "missing value",
        attrs(base(), "z", missing_value=-9999.0),
        VariableError,
        "variable 'z' is not decoded: its attributes hold missing_value",
        "xr.decode_cf(ds)",
    ),
    Case(
        "complex",
        base().assign(t2m=lambda d: (d.t2m * 1j).assign_attrs(units="K")),
        VariableError,
        "variable 't2m' does not hold real numbers",
        "astype('float32')",
    ),
    Case(
        "booleans",
        base().assign(t2m=lambda d: (d.t2m > 280).assign_attrs(units="K")),
        VariableError,
        "variable 't2m' does not hold real numbers",
        "astype('float32')",
    ),
    Case(
        "objects",
        base().assign(t2m=lambda d: d.t2m.astype(object).assign_attrs(units="K")),
        VariableError,
        "variable 't2m' does not hold real numbers",
        "astype('float32')",
    ),
    Case(
        "text",
        base().assign(t2m=lambda d: d.t2m.astype(str).assign_attrs(units="K")),
        VariableError,
        "the data lack 't2m'",
        "variables=",
    ),
]
COARSE = Grid.regular(45.0)
GRIDS = [
    Case(
        "finer than the data",
        base(),
        GridError,
        "the data are coarser than the model in latitude",
        "regrid=None",
        InputSpec(SPECS, Grid.regular(10.0), "1D"),
        {"climatology": None},
    ),
    Case(
        "slightly finer",
        base(),
        GridError,
        "the data are coarser than the model in latitude: regridding would invent detail",
        "regrid=None",
        InputSpec(SPECS, Grid.regular(18.0), "1D"),
        {"climatology": None},
    ),
    Case(
        "finer in longitude",
        base().isel(longitude=slice(None, None, 2)),
        GridError,
        "coarser than the model in longitude",
        "regrid=None",
    ),
    Case(
        "a corner",
        base().isel(latitude=slice(2, 4), longitude=slice(2, 5)),
        GridError,
        "the data cover too few cells",
        "climatology='data'",
        InputSpec(SPECS, COARSE, "1D"),
        {"climatology": None},
    ),
    Case(
        "elsewhere",
        base().isel(latitude=slice(0, 3), longitude=slice(0, 3)),
        GridError,
        "the data and the model do not overlap",
        "regrid=None",
        InputSpec(SPECS, Grid((40.0, 60.0, 80.0), (200.0, 220.0, 240.0)), "1D"),
        {"climatology": None},
    ),
    Case(
        "the model's climatology elsewhere",
        base().isel(latitude=slice(None, None, 2)),
        GridError,
        "the model's climatology is on the model's grid",
        "climatology='data'",
        options={"regrid": None},
    ),
    Case(
        "a climatology of no known grid",
        base(),
        GridError,
        "the model's climatology is on the model's grid",
        "climatology='data'",
        replace(target(), grid=None),
        {"regrid": None},
    ),
    Case(
        "too short for its own climatology",
        base(),
        TimeError,
        "the data do not cover a year",
        "climatology='model'",
        options={"climatology": "data"},
    ),
    Case(
        "an empty climatology",
        base(),
        CoordinateError,
        "no latitude was found",
        "rename",
        options={"climatology": xr.Dataset()},
    ),
]
CASES = [*NOT_DATASETS, *OPTIONS, *LATITUDES, *STAMPS, *UNITS, *LEVELS, *VARIABLES, *GRIDS]


def test_there_are_many_cases():
    assert len(CASES) >= 120
    assert len({(case.name, case.words) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}")
def test_bad_input_is_refused_with_reasons(case):
    before = case.ds.copy(deep=True) if isinstance(case.ds, xr.Dataset) else None
    encodings = {name: dict(case.ds[name].encoding) for name in case.ds.variables} if before is not None else {}
    with raise_if_dask_computes(), pytest.raises(XFaconvError) as caught:
        adapt(case.ds, case.target, **case.options)
    error = caught.value
    assert type(error) is case.error, str(error)
    assert case.words in str(error)
    assert case.fix in str(error.fix or "")
    if before is not None:
        with raise_if_dask_computes(allowed=10**6):
            assert case.ds.identical(before)
        assert {name: dict(case.ds[name].encoding) for name in case.ds.variables} == encodings


@pytest.mark.parametrize("case", [*LATITUDES, *STAMPS, *VARIABLES, *LEVELS], ids=lambda case: case.name)
def test_the_report_lists_what_adapt_would_refuse(case):
    with raise_if_dask_computes():
        found = recognise(case.ds, case.target, variables=case.options.get("variables"))
        text, html = repr(found), found._repr_html_()
    said = " ".join(str(problem) for problem in found.problems)
    if "given by name" in case.name or case.options.get("absent") or case.name == "an extra dimension":
        return
    assert case.words in said
    assert case.words in text
    assert "<details" in html


def test_an_error_of_the_model_is_no_error_of_the_data():
    """Climatology arrays that fit the grid are taken; the case that they do not is the model file's to refuse."""
    used = target().climatology
    assert isinstance(used, Climatology)
    adapt(base(), target())
