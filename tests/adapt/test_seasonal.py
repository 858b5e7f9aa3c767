"""Climatologies: the data's own against least squares by scipy, a given one by hand, and records that are too short."""

from __future__ import annotations

from dataclasses import replace

import cftime
import dask
import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import xarray as xr

from tests.conftest import raise_if_dask_computes
from xfaconv.adapt import InputSpec, adapt, recognise
from xfaconv.adapt.anomalies import standardise_block
from xfaconv.adapt.survey import squeeze
from xfaconv.climatology import Climatology
from xfaconv.errors import ArgumentError, CoordinateError, GridError, TimeError, UnitsError, VariableError
from xfaconv.grid import Grid
from xfaconv.options import set_options
from xfaconv.specs import VariableSpec

GRID = Grid.regular(45.0)


@pytest.fixture
def any_values():
    """Let climatologies that are made up for a test pass."""
    with set_options(implausible="ignore"):
        yield


TARGET = InputSpec((VariableSpec("t2m", "K", "2 metre temperature"),), GRID, None)


def record(time, seed=0, phase=None):
    """A seasonal cycle with weather on it."""
    random = np.random.default_rng(seed)
    phase = np.linspace(0, len(time) / 365.25, len(time)) if phase is None else phase
    cycle = 280 + 12 * np.cos(2 * np.pi * (phase - 0.05)) + 3 * np.sin(4 * np.pi * phase)
    values = cycle[:, None, None] + random.normal(size=(len(time), *GRID.shape)) * (1 + random.random(GRID.shape))
    coords = {"time": time, "latitude": list(GRID.latitude), "longitude": list(GRID.longitude)}
    return xr.Dataset({"t2m": (("time", "latitude", "longitude"), values, {"units": "K"})}, coords)


def least_squares(values, phase):
    """Standardised residuals of each cell by scipy's own solver, over its valid steps."""
    basis = np.stack(
        [np.ones_like(phase), *(f(2 * np.pi * k * phase) for k in (1, 2) for f in (np.cos, np.sin))], axis=1
    )
    flat = values.reshape(len(values), -1)
    out, spread = np.full(flat.shape, np.nan), np.full(flat.shape[1], np.nan)
    for cell in range(flat.shape[1]):
        valid = np.isfinite(flat[:, cell])
        fitted, *_ = scipy.linalg.lstsq(basis[valid], flat[valid, cell])
        residual = flat[valid, cell] - basis[valid] @ fitted
        spread[cell] = np.sqrt((residual**2).sum() / (valid.sum() - 5))
        out[valid, cell] = residual / spread[cell]
    return out.reshape(values.shape), spread.reshape(values.shape[1:])


TIMES = {
    "daily": pd.date_range("2001-01-01", "2004-12-31", freq="D"),
    "monthly": pd.date_range("1981-12-01", periods=445, freq="MS"),
    "6-hourly": pd.date_range("2001-01-01", "2003-12-31T18", freq="6h"),
    "noleap": np.array(xr.date_range("2001-01-01", periods=4 * 365, freq="D", calendar="noleap", use_cftime=True)),
    "360_day": np.array(xr.date_range("2001-01-01", periods=4 * 360, freq="D", calendar="360_day", use_cftime=True)),
}


def phase_of(time):
    """Fraction of the year in the stamps' own calendar."""
    if isinstance(time, pd.DatetimeIndex):
        return np.array(time.day_of_year - 1 + time.hour / 24) / np.where(time.is_leap_year, 366, 365)
    length = {"noleap": 365, "360_day": 360}[time[0].calendar]
    return np.array([(stamp.dayofyr - 1) / length for stamp in time])


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("chunks", [None, 37])
def test_least_squares_by_scipy(name, chunks):
    time = TIMES[name]
    ds = record(time)
    values = ds.t2m.to_numpy()
    if chunks:
        ds = ds.chunk(time=chunks * 10, latitude=2)
    with raise_if_dask_computes():
        conformed = adapt(ds, TARGET, climatology="data")
    assert dask.is_dask_collection(conformed.data) == bool(chunks)
    phase = np.array((time.month - 0.5) / 12) if name == "monthly" else phase_of(time)
    oracle, _ = least_squares(values, phase)
    assert conformed.data.t2m.dtype == np.float32
    np.testing.assert_allclose(conformed.data.t2m, oracle, atol=1e-4)


def test_missing_values_are_left_out_of_the_fit():
    ds = record(TIMES["daily"])
    holes = np.random.default_rng(1).random(ds.t2m.shape) < 0.3
    holes[:, 1, 2] = True
    ds["t2m"] = ds.t2m.where(~holes).assign_attrs(units="K")
    phase = phase_of(TIMES["daily"])
    oracle = np.full(ds.t2m.shape, np.nan)
    some = ~holes.all(axis=0)
    oracle[:, some] = least_squares(ds.t2m.to_numpy()[:, some][:, None], phase)[0][:, 0]
    np.testing.assert_allclose(adapt(ds.chunk(time=100), TARGET, climatology="data").data.t2m, oracle, atol=1e-4)


def test_members_count_as_more_years():
    members = xr.concat([record(TIMES["daily"], seed) for seed in (0, 1)], "number").chunk(number=1, time=200)
    anomalies = adapt(members, TARGET, climatology="data").data.t2m
    phase = phase_of(TIMES["daily"])
    both = np.concatenate([members.t2m.to_numpy()[0], members.t2m.to_numpy()[1]])
    oracle, _ = least_squares(both, np.concatenate([phase, phase]))
    np.testing.assert_allclose(anomalies.to_numpy().reshape(both.shape), oracle, atol=1e-4)


def test_the_spread_has_a_floor():
    ds = record(TIMES["daily"])
    ds.t2m[:, 0, 0] = 280.0
    calm = adapt(ds, TARGET, climatology="data").data.t2m
    assert abs(calm[:, 0, 0]).max() < 1e-3
    assert np.isfinite(calm).all()
    flat = adapt(
        xr.full_like(ds, 280.0).assign(t2m=(ds.t2m * 0 + 280).assign_attrs(units="K")), TARGET, climatology="data"
    )
    assert abs(flat.data.t2m).max() < 1e-3


def test_the_wrong_calendar_would_be_seen():
    """The oracle can fail: phases of another calendar leave anomalies that are plainly different."""
    ds = record(TIMES["360_day"], phase=phase_of(TIMES["360_day"]))
    wrong, _ = least_squares(ds.t2m.to_numpy(), np.arange(1440) % 365 / 365)
    assert abs(adapt(ds, TARGET, climatology="data").data.t2m - wrong).max() > 0.1


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (pd.date_range("2001-01-01", periods=100, freq="D"), "the data do not cover a year"),
        (pd.date_range("2001-01-01", periods=8, freq="MS"), "the data do not cover a year"),
        (pd.date_range("2001-01-01", periods=2, freq="h"), "the data do not cover a year"),
        (
            pd.DatetimeIndex(np.concatenate([pd.date_range(f"{y}-06-01", f"{y}-06-30") for y in range(2000, 2020)])),
            "cover",
        ),
    ],
)
def test_records_without_a_whole_year_are_refused(time, words):
    with pytest.raises(TimeError, match=words) as error:
        adapt(record(time), TARGET, climatology="data")
    assert "climatology='model'" in str(error.value)


def test_short_records_are_told():
    with pytest.warns(UserWarning, match="the seasonal cycle is estimated from 1.0 years"):
        conformed = adapt(record(pd.date_range("2001-01-01", periods=365)), TARGET, climatology="data")
    assert any("1.0 years" in note for note in conformed.notes)


def given_climatology(ds, season):
    """What a user would make with groupby."""
    groups = ds.groupby(f"time.{season}")
    mean = groups.mean()
    mean["t2m_std"] = (groups - mean).t2m.std("time")
    mean["t2m"].attrs["units"] = "K"
    return mean.drop_vars("time", errors="ignore")


@pytest.mark.parametrize("season", ["month", "dayofyear"])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_given_climatology_is_taken_as_it_is(season, lazy):
    ds = record(TIMES["daily"])
    climatology = given_climatology(ds, season)
    groups = ds.groupby(f"time.{season}")
    oracle = (groups - climatology[["t2m"]]).t2m / climatology.t2m_std
    with raise_if_dask_computes():
        told = climatology.chunk(latitude=2, longitude=3), ds.chunk(time=100)
        conformed = adapt(told[1] if lazy else ds, TARGET, climatology=told[0] if lazy else climatology)
    np.testing.assert_allclose(conformed.data.t2m, oracle.transpose("time", ...), atol=1e-4)


@pytest.mark.parametrize("season", ["month", "dayofyear"])
def test_seasons_without_labels_begin_at_one(season):
    ds = record(TIMES["daily"])
    climatology = given_climatology(ds, season)
    labelled = adapt(ds, TARGET, climatology=climatology).data.t2m
    found = adapt(ds, TARGET, climatology=climatology.drop_vars(season)).data.t2m
    np.testing.assert_array_equal(found, labelled)


def test_each_member_is_standardised_by_itself():
    random = np.random.default_rng(5)
    block, coefficients = random.normal(280, 5, (3, 7, *GRID.shape)), random.normal(280, 1, (1, *GRID.shape))
    scale, basis = random.uniform(1, 2, GRID.shape), np.ones((7, 1))
    given = {"basis": basis, "coefficients": coefficients, "scale": scale}
    found = standardise_block(block, **given)
    assert found.shape == block.shape
    np.testing.assert_allclose(found, (block - coefficients[0]) / scale, rtol=1e-5, atol=1e-5)
    for member in range(3):
        np.testing.assert_array_equal(found[member], standardise_block(block[member], **given))


def test_the_plan_says_first_how_the_grid_changes():
    goal = replace(TARGET, grid=Grid.regular(90.0))
    grid, variable = recognise(record(TIMES["monthly"]), goal, regrid="model").plan
    assert grid.startswith("grid: ")
    assert variable == "t2m [K] from t2m: as it is"


@pytest.mark.parametrize("dim", ["surface", "height", "ensemble"])
def test_a_dimension_of_one_entry_is_dropped_and_a_date_is_not(dim):
    ds = record(TIMES["monthly"])
    plain = adapt(ds, TARGET, climatology="data").data.t2m
    wrapped = adapt(ds.expand_dims({dim: [2.0]}), TARGET, climatology="data").data.t2m
    np.testing.assert_array_equal(wrapped, plain)
    dated = squeeze(ds.isel(time=[0]).rename(time="stamp").expand_dims({dim: [2.0]}))
    assert dated.t2m.dims == ("stamp", "latitude", "longitude")


def test_a_given_climatology_may_be_finer_and_in_other_units_and_names():
    fine = Grid.regular(15.0)
    ds = record(TIMES["monthly"])
    month = np.arange(1, 13)
    coords = {"month": month, "lat": list(fine.latitude)[::-1], "lon": list(fine.longitude)}
    mean = np.broadcast_to((month - 5.0)[:, None, None], (12, *fine.shape))
    climatology = xr.Dataset(
        {
            "tas": (("month", "lat", "lon"), mean, {"units": "degC"}),
            "tas_std": (("lat", "lon"), np.full(fine.shape, 2.0)),
        },
        coords,
    )
    anomalies = adapt(ds, TARGET, climatology=climatology).data.t2m
    oracle = (ds.t2m - (ds.time.dt.month - 5 + 273.15)) / 2
    np.testing.assert_allclose(anomalies, oracle, atol=2e-5)


@pytest.mark.usefixtures("any_values")
@pytest.mark.parametrize(
    ("calendar", "date", "length", "day_of_table"),
    [
        # as groupby("time.dayofyear") counts, so that the table and the data made from one record agree
        ("standard", (2000, 3, 1), 366, 61),
        ("standard", (2001, 3, 1), 366, 60),
        ("standard", (2000, 12, 30), 365, 365),
        ("standard", (2000, 12, 31), 365, 365),
        ("noleap", (2000, 3, 1), 365, 60),
        ("noleap", (2000, 12, 31), 366, 365),
        ("360_day", (2000, 12, 30), 360, 360),
        # a year of 360 days is stretched over the table, and the other way round
        ("360_day", (2000, 7, 1), 366, 184),
        ("360_day", (2000, 12, 30), 366, 365),
        ("standard", (2001, 12, 31), 360, 360),
    ],
)
def test_the_day_of_the_table_is_found_in_every_calendar(calendar, date, length, day_of_table):
    day = cftime.datetime(2, 1, 2) - cftime.datetime(2, 1, 1)
    ds = record(np.array([cftime.datetime(*date, calendar=calendar) + n * day for n in (0, 1)]))
    table = np.broadcast_to(np.arange(1.0, length + 1)[:, None, None], (length, *GRID.shape))
    dims = ("dayofyear", "latitude", "longitude")
    coords = {"dayofyear": np.arange(length) + 1, "latitude": list(GRID.latitude), "longitude": list(GRID.longitude)}
    spread = (dims[1:], np.ones(GRID.shape))
    climatology = xr.Dataset({"t2m": (dims, table, {"units": "K"}), "t2m_std": spread}, coords)
    anomalies = adapt(ds, TARGET, climatology=climatology).data.t2m
    np.testing.assert_allclose(ds.t2m[0] - anomalies[0], day_of_table, atol=1e-4)


def test_what_a_given_climatology_lacks_is_named():
    ds = record(TIMES["daily"])
    good = given_climatology(ds, "month")
    with pytest.raises(VariableError, match="the climatology has no standard deviation of 't2m'"):
        adapt(ds, TARGET, climatology=good.drop_vars("t2m_std"))
    with pytest.raises(VariableError, match="the climatology lacks 't2m'"):
        adapt(ds, TARGET, climatology=good.drop_vars("t2m"))
    with pytest.raises(CoordinateError, match="the climatology has no month 5"):
        adapt(ds, TARGET, climatology=good.isel(month=slice(0, 4)))
    with pytest.raises(GridError, match="the climatology does not cover the grid of the data"):
        adapt(ds, TARGET, climatology=good.isel(latitude=slice(0, 3)))
    bare = good.copy()
    bare["t2m"] = good.t2m.drop_attrs()
    with pytest.raises(UnitsError, match="variable 't2m' has no units"):
        adapt(ds, TARGET, climatology=bare)


@pytest.mark.usefixtures("any_values")
def test_the_models_climatology_is_cut_to_the_region_and_refused_elsewhere():
    random = np.random.default_rng(0)
    climatology = Climatology(
        random.normal(size=(1, 5, *GRID.shape)).astype("f4"), 1 + random.random((1, *GRID.shape)).astype("f4")
    )
    target = replace(TARGET, climatology=climatology)
    ds = record(TIMES["daily"])
    whole = adapt(ds, target).data.t2m
    part = adapt(ds.isel(latitude=slice(1, 3), longitude=slice(2, 6)), target)
    np.testing.assert_array_equal(part.data.t2m, whole[:, 1:3, 2:6])
    fine = xr.Dataset(
        {"t2m": (("time", "lat", "lon"), np.zeros((2, 18, 36)), {"units": "K"})},
        {"time": TIMES["daily"][:2], "lat": np.arange(-85, 90, 10), "lon": np.arange(0, 360, 10)},
    )
    with pytest.raises(
        GridError, match="the model's climatology is on the model's grid, the data are on another"
    ) as error:
        adapt(fine, target, regrid=None)
    assert "climatology='data'" in str(error.value)
    with pytest.raises(ArgumentError, match="the model has no climatology"):
        adapt(ds, TARGET)


@pytest.mark.usefixtures("any_values")
@pytest.mark.parametrize("spread_on_levels", [True, False])
def test_the_level_of_a_given_climatology_is_taken(spread_on_levels):
    daily = record(TIMES["daily"]).isel(time=slice(0, 90))
    heights = xr.DataArray([54000.0, 14000.0], {"level": ("level", [500.0, 850.0], {"units": "hPa"})})
    ds = xr.Dataset(
        {"z": ((daily.t2m - 280) * 10 + heights).transpose("time", "level", ...).assign_attrs(units="m2 s-2")}
    )
    mean = ds.z.groupby("time.month").mean()
    spread = xr.full_like(mean.isel(month=0, drop=True), 1.0) * xr.DataArray([20.0, 5.0], {"level": [500.0, 850.0]})
    spread = spread if spread_on_levels else spread.sel(level=500.0, drop=True)
    mean.level.attrs["units"] = "hPa"
    climatology = xr.Dataset({"z": mean.assign_attrs(units="m2 s-2"), "z_std": spread})
    target = InputSpec((VariableSpec("z500", "m2 s-2", "Geopotential", level=500.0),), GRID, None)
    found = adapt(ds, target, climatology=climatology).data.z500
    upper = ds.z.sel(level=500.0)
    np.testing.assert_allclose(found, (upper.groupby("time.month") - mean.sel(level=500.0)) / 20.0, atol=1e-3)


@pytest.mark.usefixtures("any_values")
def test_a_given_climatology_without_seasons_is_the_same_all_year():
    ds = record(TIMES["daily"]).isel(time=slice(0, 60))
    mean = ds.mean("time").assign(t2m_std=ds.t2m.std("time"))
    mean["t2m"].attrs["units"] = "K"
    found = adapt(ds, TARGET, climatology=mean).data.t2m
    np.testing.assert_allclose(found, (ds.t2m - mean.t2m) / mean.t2m_std, atol=1e-4)


@pytest.mark.parametrize("name", ["t2m", "t2m_std"])
def test_a_given_climatology_with_more_dimensions_is_refused(name):
    ds = record(TIMES["daily"])
    climatology = given_climatology(ds, "month")
    climatology[name] = climatology[name].expand_dims(decade=2)
    with pytest.raises(VariableError, match=f"variable '{name}' of the climatology has other dimensions") as error:
        adapt(ds, TARGET, climatology=climatology)
    assert "decade" in str(error.value)
