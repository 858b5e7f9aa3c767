"""Where bounds of time exist, the interval decides when a step is; the stamp may stand at its start, middle or end."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xfaconv
from xfaconv.adapt import adapt, recognise
from xfaconv.specs import InputSpec, VariableSpec

STEPS = {"1M": "MS", "1D": "D", "6h": "6h", "1h": "h"}
SPELLINGS = (
    "time_bnds",
    "time_bounds",
    "bounds",
    "TIME_BNDS",
    "time:bounds",
    "time_bound",
    "time_edges",
    "climatology_bounds",
)
SPEC = InputSpec((VariableSpec("t2m", "K", "2 metre temperature"),), None, None)
UNITS = "days since 1990-01-01"
cheap = settings(deadline=None, max_examples=40)


def data(stamps: np.ndarray) -> xr.Dataset:
    rows, columns = np.arange(-80.0, 90, 20), np.arange(0, 360, 20.0)
    values = 280 + np.arange(float(len(stamps)))[:, None, None] + np.zeros((1, 9, 18))
    coords = {"time": stamps, "latitude": rows, "longitude": columns}
    return xr.Dataset({"t2m": (("time", "latitude", "longitude"), values, {"units": "K"})}, coords)


def edges(step: str, calendar: str, count: int = 14) -> np.ndarray:
    """Edges of steps from an odd date on."""
    index = xr.date_range(
        "2003-11-01", periods=count + 1, freq=STEPS[step], calendar=calendar, use_cftime=calendar != "standard"
    )
    return np.array(index)


@st.composite
def bounded(draw: st.DrawFn) -> tuple[xr.Dataset, xr.Dataset, str, str]:
    """Data with bounds told in some way, the same stamped in the middle of the steps, their step and their bounds."""
    step, calendar = draw(st.sampled_from(sorted(STEPS))), draw(st.sampled_from(["standard", "noleap", "360_day"]))
    name, where = draw(st.sampled_from(SPELLINGS)), draw(st.sampled_from([0.0, 0.5, 1.0]))
    cut = edges(step, calendar)
    low, high = cut[:-1], cut[1:]
    middle = low + (high - low) / 2
    plain = data(middle)
    stamps = middle if where == 0.5 else high if where else low
    stated = draw(st.booleans())
    key = "climatology" if name.startswith("clim") else "bounds"
    attrs = {key: name} if stated else {}
    ds = data(stamps).assign_coords(time=("time", stamps, attrs))
    both = np.stack([low, high] if draw(st.booleans()) else [high, low], axis=1)
    dims = ("time", draw(st.sampled_from(["nbnd", "bnds", "nv", "d2"])))
    told = xr.Variable(dims, both)
    if draw(st.booleans()):
        import cftime

        numbers = cftime.date2num(
            [[pd.Timestamp(t).to_pydatetime() if calendar == "standard" else t for t in row] for row in both],
            UNITS, calendar=calendar,
        )  # fmt: skip
        told = xr.Variable(dims, np.asarray(numbers, dtype="f8"))
        # Bounds have the units of their coordinate, which xarray keeps aside when it decodes it.
        if draw(st.booleans()):
            told.attrs = {"units": UNITS, "calendar": calendar}
        else:
            ds.time.encoding = {"units": UNITS, "calendar": calendar}
    told = told.transpose() if draw(st.booleans()) else told
    ds = ds.assign_coords({name: told}) if draw(st.booleans()) else ds.assign({name: told})
    ds = ds.chunk(time=5) if draw(st.booleans()) else ds
    return ds, plain, step, name


@cheap
@given(bounded())
def test_the_interval_decides(case):
    ds, plain, step, name = case
    before = ds.copy()
    found, right = recognise(ds), recognise(plain)
    assert not found.problems
    assert found.step == right.step == step
    np.testing.assert_array_equal(found.time.index, right.time.index)
    np.testing.assert_allclose(found.time.year_phase, right.time.year_phase, atol=1e-6)
    np.testing.assert_allclose(found.time.day_phase, right.time.day_phase, atol=1e-5)
    assert any(f"the middle of {name!r} says when each step is" in note for note in found.notes)
    # Results have the user's own stamps.
    conformed = adapt(ds, SPEC, climatology=None)
    back = conformed.labels.restore(conformed.data.t2m)
    np.testing.assert_array_equal(back.time, ds.time)
    assert ds.identical(before)


@pytest.mark.parametrize("where", [0, 1])
def test_starts_and_ends_in_two_variables(where):
    cut = edges("1M", "standard")
    ds = data(cut[where:][:14]).assign(average_T1=("time", cut[:-1]), average_T2=("time", cut[1:]))
    assert recognise(ds).time.index.tolist() == list(range(2003 * 12 + 10, 2003 * 12 + 24))


@pytest.mark.parametrize("where", [0, 1])
def test_a_climatology_is_of_its_part_of_the_year(where):
    """The mean January of thirty years reaches from one January to another."""
    cut = pd.date_range("1981-01-01", periods=13, freq="MS")
    low, high = cut[:-1], pd.DatetimeIndex([stamp + pd.DateOffset(years=29) for stamp in cut[1:]])
    stamps = (low, pd.DatetimeIndex([stamp + pd.DateOffset(years=14) for stamp in cut[1:]]))[where]
    bounds = np.stack([low, high], axis=1)
    ds = data(stamps.to_numpy()).assign_coords(time=("time", stamps, {"climatology": "climatology_bounds"}))
    found = recognise(ds.assign(climatology_bounds=(("time", "nv"), bounds)))
    np.testing.assert_allclose(found.time.year_phase, (np.arange(12) + 0.5) / 12)


def test_one_stamp_with_bounds_has_a_step():
    cut = edges("1M", "standard")
    ds = data(cut[1:2]).assign(time_bnds=(("time", "nv"), cut[None, :2]))
    found = recognise(ds)
    assert not found.problems
    assert found.step == "1M"
    assert found.time.index.tolist() == [2003 * 12 + 10]


@pytest.mark.parametrize(
    "bounds",
    [
        np.zeros((14, 2)),  # no dates
        np.full((14, 2), np.datetime64("NaT", "ns")),
        np.stack([edges("1M", "standard")[:-1] + np.timedelta64(9999, "D")] * 2, axis=1),  # of other stamps
        np.stack([edges("1M", "standard")[:-1]] * 2, axis=1),  # instants
    ],
)
def test_bounds_that_say_nothing_are_left_alone(bounds):
    stamps = edges("1M", "standard")[:-1]
    found = recognise(data(stamps).assign(time_bnds=(("time", "nv"), bounds)))
    assert not found.problems
    np.testing.assert_array_equal(found.time.values, stamps)
    assert any(note.startswith("'time_bnds' is not read") for note in found.notes)


@pytest.mark.parametrize("step", sorted(STEPS))
def test_bounds_that_were_guessed_from_the_stamps_say_nothing(step):
    """As iris makes them: half-way between the stamps, which stand at the starts of the steps."""
    stamps = edges(step, "standard")
    half = stamps[:-1] + np.diff(stamps) / 2
    bounds = np.stack([half[:-1], half[1:]], axis=1)
    found = recognise(data(stamps[1:-1]).assign(time_bnds=(("time", "bnds"), bounds)))
    assert not found.problems
    np.testing.assert_array_equal(found.time.values, stamps[1:-1])


def test_what_lies_in_a_file_is_not_kept_in_memory(tmp_path):
    cut = edges("1M", "standard")
    ds = data(cut[1:]).assign(time_bnds=(("time", "nv"), np.stack([cut[:-1], cut[1:]], axis=1)))
    ds.time.attrs["bounds"], ds.time.encoding["units"] = "time_bnds", UNITS
    ds.to_netcdf(tmp_path / "cesm.nc")
    for chunks in (None, {}):
        with xr.open_dataset(tmp_path / "cesm.nc", chunks=chunks) as opened:
            assert recognise(opened).time.index[0] == 2003 * 12 + 10
            assert not opened.time_bnds._in_memory
        with xr.open_dataset(tmp_path / "cesm.nc", chunks=chunks, decode_coords="all") as opened:
            assert recognise(opened).time.index[0] == 2003 * 12 + 10


def test_a_changed_calendar_leaves_bounds_of_the_old_one():
    cut = edges("1M", "noleap")
    ds = data(cut[1:]).assign(time_bnds=(("time", "nv"), np.stack([cut[:-1], cut[1:]], axis=1)))
    changed = ds.convert_calendar("standard")
    assert recognise(changed).time.index[0] == 2003 * 12 + 10


@cheap
@given(st.sampled_from(["6h", "1h"]), st.sampled_from(["1D", "1M"]))
def test_the_line_of_the_step_counts_each_interval_once(step, wanted):
    count = {"6h": 4, "1h": 24}[step] * 3
    cut = edges(step, "standard", count)
    ds = data(cut[1:]).assign(time_bnds=(("time", "nv"), np.stack([cut[:-1], cut[1:]], axis=1)))
    found = recognise(ds, InputSpec(SPEC.variables, None, wanted))
    known = {"ds": ds, "xr": xr}
    exec(found.problems[0].fix, known)
    right = data(cut[:-1]).resample(time={"1D": "1D", "1M": "1MS"}[wanted]).mean()
    np.testing.assert_allclose(known["ds"].t2m, right.t2m)
    assert not recognise(known["ds"], InputSpec(SPEC.variables, None, wanted)).problems


def test_the_embedding_of_the_months_that_bounds_tell():
    month = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 24)).load()
    starts, ends = (pd.date_range(first, periods=24, freq="MS") for first in ("2007-01-01", "2007-02-01"))
    cesm = month.assign_coords(time=("time", ends, {"bounds": "time_bnds"}))
    cesm = cesm.assign(time_bnds=(("nbnd", "time"), np.stack([starts, ends])))
    found = cesm.faconv.embed(stride=4)
    np.testing.assert_array_equal(found, month.faconv.embed(stride=4))
    np.testing.assert_array_equal(found.time, ends)
    assert "the middle of 'time_bnds' says when each step is" in found.attrs["processing"]
    # Seasons of results are those of the intervals too.
    by_season = [ds.faconv.importance(method="gate", season="DJF", stride=4) for ds in (cesm, month)]
    np.testing.assert_array_equal(*by_season)
    assert set(by_season[0].time.dt.month.values) == {1, 2, 3}
    asked = {"variable": "z500", "season": "DJF", "surrogates": 19, "stride": 4}
    maps = [ds.faconv.compare_attention((0, -140), **asked) for ds in (cesm, month)]
    np.testing.assert_allclose(maps[0].attention, maps[1].attention)
    np.testing.assert_allclose(maps[0].correlation, maps[1].correlation)
