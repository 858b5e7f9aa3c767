"""Inputs rebuilt from reports in the trackers of other projects, as docs/developer/files-tried.md lists them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xfaconv
from tests.trust.advice import follow
from xfaconv.errors import CoordinateError, TimeError, UnitsError, VariableError, XFaconvError

MONTHLY, DAILY = "ncep-monthly-2p5deg", "amip-daily-5p6deg"


@cache
def months() -> xr.Dataset:
    return xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 24)).load()


@cache
def days() -> xr.Dataset:
    ds = xfaconv.tutorial.open_dataset("amip").isel(time=slice(0, 30)).load()
    return ds.assign_coords(time=ds.time.dt.floor("D"))


def read(ds: xr.Dataset) -> Any:
    return xfaconv.conform(ds)


def same(found: xr.Dataset, right: xr.Dataset) -> None:
    """Compare the values of all variables, whatever the labels of the time."""
    for name in right.data_vars:
        # A repeated meridian is given back as the data have it.
        own = found[name].squeeze()[..., : right[name].shape[-1]]
        np.testing.assert_allclose(own, right[name], atol=1e-4)


def seam(ds: xr.Dataset, longitude: float, change: float = 0.0) -> xr.Dataset:
    column = ds.isel(lon=[0]).assign_coords(lon=[longitude])
    column = column.map(lambda v: (v + change).assign_attrs(v.attrs))
    return xr.concat([ds, column], "lon", combine_attrs="override")


def of_both_versions(ds: xr.Dataset) -> xr.Dataset:
    both = ds.expand_dims(expver=[1, 5], axis=1).copy(deep=True)
    for name, values in both.data_vars.items():
        values[20:, 0], values[:20, 1] = np.nan, np.nan
        values.attrs = ds[name].attrs
    return both


def at_the_end(ds: xr.Dataset) -> xr.Dataset:
    ends = pd.date_range("2007-02-01", periods=24, freq="MS")
    bounds = np.stack([ds.time.to_numpy(), ends], 1)
    stamped = ds.assign_coords(time=("time", ends, {"bounds": "time_bounds"}))
    return stamped.assign(time_bound=(("time", "d2"), bounds))


def as_flux(ds: xr.Dataset) -> xr.Dataset:
    rate = (ds.tp / 86.4).assign_attrs(units="kg m-2 s-1", standard_name="precipitation_flux")
    return ds.drop_vars("tp").assign(pr=rate)


def land_at_zero_kelvin(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign(sst=(ds.sst + 273.15).fillna(0).assign_attrs(ds.sst.attrs | {"units": "K"}))


READ: dict[str, tuple[Callable[[], xr.Dataset], Callable[[xr.Dataset], xr.Dataset]]] = {
    "bounds of another name than the attribute says": (months, at_the_end),
    "a year 0": (months, lambda ds: ds.assign_coords(
        time=cftime.num2date(np.arange(24) * 365 / 12 + 15, "days since 0000-01-01", calendar="noleap"))),
    "two versions of ERA5": (days, of_both_versions),
    "whole numbers called date": (months, lambda ds: ds.rename(time="date").assign_coords(
        date=("date", [int(f"{stamp:%Y%m%d}") for stamp in ds.indexes["time"]]))),
    "0 and 360 degrees": (months, lambda ds: seam(ds, 360.0)),
    "0 and 360 degrees, not the same": (months, lambda ds: seam(ds, 360.0, 2.0)),
    "land at 0 K": (months, land_at_zero_kelvin),
    "temperatures at heights beside": (days, lambda ds: ds.assign(
        t=(("time", "heightAboveGround", *ds.t2m.dims[1:]), np.stack([ds.t2m - 6, ds.t2m - 26], 1), {"units": "K"})
    ).assign_coords(heightAboveGround=[1000.0, 4000.0])),
    "a flux of rain": (days, as_flux),
    "geopotential metres": (days, lambda ds: ds.assign(
        z500=(ds.z500 / 9.80665).assign_attrs(units="gpm", standard_name="geopotential_height"))),
    "one variable with a level": (days, lambda ds: ds.drop_vars("z500").assign(
        z=ds.z500.expand_dims(level=[500.0], axis=1).assign_attrs(ds.z500.attrs))),
    "a count of days that xarray took for durations": (days, lambda ds: ds.assign(
        wet=(ds.tp.dims, np.ones(ds.tp.shape, "m8[D]").astype("m8[ns]")))),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_it_is_read_rightly(name: str) -> None:
    make, change = READ[name]
    same(read(change(make())), read(make()))


def test_one_model_of_a_multi_model_ensemble_is_a_member() -> None:
    both = xr.concat([months()] * 2, pd.Index(["r1i1p1f1", "r2i1p1f1"], name="variant_label"), combine_attrs="override")
    found = xfaconv.embed(both, stride=4)
    assert found.dims[0] == "variant_label"
    np.testing.assert_allclose(found[1], xfaconv.embed(months(), stride=4), atol=1e-4)


def two_calendars() -> xr.Dataset:
    stamps = [cftime.DatetimeNoLeap(2007, month, 15) for month in range(1, 13)]
    stamps += [cftime.DatetimeJulian(2008, month, 15) for month in range(1, 13)]
    return months().drop_vars("time").assign_coords(time=("time", np.array(stamps, dtype=object)))


def starts_and_months() -> xr.Dataset:
    ds = months().rename(time="forecastMonth").assign_coords(forecastMonth=np.arange(1, 25))
    return ds.expand_dims(forecast_reference_time=[np.datetime64("2007-01-01", "ns")], axis=0)


def starts_and_times() -> xr.Dataset:
    ds = months().rename(time="verifying_time")
    return ds.expand_dims(time=pd.to_datetime(["2006-12-01", "2007-01-01"]), axis=0)


def hybrid() -> xr.Dataset:
    said = {"units": "hPa", "standard_name": "atmosphere_hybrid_sigma_pressure_coordinate"}
    z = days().z500.expand_dims(lev=[250.0, 500.0, 850.0], axis=1).assign_attrs(days().z500.attrs)
    return days().drop_vars("z500").assign(z=z).assign_coords(lev=("lev", [250.0, 500.0, 850.0], said))


def geopotential_called_metres() -> xr.Dataset:
    return days().assign(z500=days().z500.assign_attrs(units="m"))


@pytest.mark.parametrize(
    "make",
    [two_calendars, starts_and_months, starts_and_times, geopotential_called_metres],
    ids=lambda make: make.__name__,
)
def test_it_is_refused_and_the_line_leads_to_the_right_values(make: Callable[[], xr.Dataset]) -> None:
    with pytest.raises((TimeError, UnitsError)) as caught:
        read(make())
    known = {"ds": make(), "pd": pd, "xr": xr, "np": np}
    exec(str(caught.value.fix), known)
    same(read(known["ds"]), read(months() if make is not geopotential_called_metres else days()))


def durations() -> xr.Dataset:
    return days().assign(tp=(days().tp.dims, (days().tp.to_numpy() * 1e9).astype("m8[ns]")))


def test_levels_that_are_no_pressure_are_named() -> None:
    with pytest.raises(CoordinateError, match="level coordinate 'lev' is not pressure"):
        read(hybrid())


def test_rain_that_xarray_took_for_durations_is_named() -> None:
    with pytest.raises(VariableError, match="'tp' does not hold real numbers") as caught:
        read(durations())
    assert "decode_timedelta=False" in str(caught.value.fix)


def test_rain_that_accumulates_through_the_day_is_refused_after_the_sum() -> None:
    """ERA5-Land: the advice for the step leads to sums of sums, which are refused, and why is said."""
    stamps = pd.date_range("2008-12-01", periods=24 * 20, freq="h")
    hours = days().sel(time=stamps, method="ffill").assign_coords(time=stamps)
    rain = hours.tp.to_numpy().reshape(20, 24, *hours.tp.shape[1:]).cumsum(1).reshape(hours.tp.shape) / 24
    ds = hours.assign(tp=(hours.tp.dims, rain, hours.tp.attrs))
    with pytest.raises(XFaconvError) as caught:
        read(ds)
    known = {"ds": ds}
    exec(str(caught.value.fix), known)
    with pytest.raises(UnitsError, match="'tp'") as caught:
        read(known["ds"])
    assert "accumulate through the day" in str(caught.value.fix)


def test_what_nobody_can_know_is_asked() -> None:
    ds = months().assign_coords(time=("time", np.arange(24.0) * 30, {"units": "days since beginning of run"}))
    assert follow(read, {"ds": ds}) == "placeholder"
