# ruff: noqa: PD011
"""Time axes that hold no dates: the line of the error gives the right dates, or asks for the true first date."""

from __future__ import annotations

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapt.test_geometry import follow
from tests.adapt.test_intervals import SPEC, data
from xfaconv.adapt import InputSpec, adapt, recognise
from xfaconv.errors import TimeError

cheap = settings(deadline=None, max_examples=60)
ASKS = "the true first date"


def months(start: str, count: int) -> pd.DatetimeIndex:
    return pd.date_range(start, periods=count, freq="MS")


def year_share(dates: pd.DatetimeIndex) -> np.ndarray:
    return np.asarray((dates.day_of_year - 0.5) / (365 + dates.is_leap_year))


LAYOUTS = {
    "yyyymm": ("MS", lambda dates: dates.year * 100 + dates.month),
    "yyyymmdd": ("D", lambda dates: dates.year * 10000 + dates.month * 100 + dates.day),
    "yyyymmdd of months": ("MS", lambda dates: dates.year * 10000 + dates.month * 100 + 1),
    "yyyymmdd.f": ("6h", lambda dates: dates.year * 10000 + dates.month * 100 + dates.day + dates.hour / 24),
    "yyyymmddhh": (
        "6h",
        lambda dates: ((dates.year.astype("i8") * 100 + dates.month) * 100 + dates.day) * 100 + dates.hour,
    ),
    "decimal months": ("MS", lambda dates: dates.year + (dates.month - 0.5) / 12),
    "decimal months, starts rounded": ("MS", lambda dates: np.round(dates.year + (dates.month - 1) / 12, 4)),
    "decimal months by days": (
        "MS",
        lambda dates: dates.year + (dates.day_of_year + 14.5) / (365 + dates.is_leap_year),
    ),
    "decimal days": ("D", lambda dates: dates.year + year_share(dates)),
}


@cheap
@given(
    st.sampled_from(sorted(LAYOUTS)),
    st.integers(1700, 2200),
    st.integers(1, 12),
    st.integers(3, 40),
    st.sampled_from(["time", "t"]),
)
def test_numbers_that_are_dates(layout, year, month, count, dim):
    freq, told = LAYOUTS[layout]
    dates = pd.date_range(f"{year}-{month:02}-01", periods=count, freq=freq)
    numbers = np.asarray(told(dates))
    right = data(dates.to_numpy())
    for kind in ("f8", "i8") if (numbers == np.floor(numbers)).all() else ("f8",):
        ds = right.assign_coords(time=numbers.astype(kind))
        ds = ds if dim == "time" else ds.rename_dims(time=dim).reset_index("time")
        problem = recognise(ds).problems[0]
        assert isinstance(problem, TimeError)
        found = recognise(follow(problem.fix, ds))
        assert not found.problems, (problem.fix, found.problems)
        np.testing.assert_array_equal(found.time.values.astype("M8[m]"), dates.to_numpy().astype("M8[m]"))


@cheap
@given(
    st.sampled_from(["months", "month", "years", "days", "hours"]),
    st.integers(1, 2100),
    st.integers(1, 12),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from(["", " 00:00:00"]),
)
def test_numbers_since_a_date(unit, year, month, half, clock):
    """Counted from any date; the first step is in March 1981."""
    first = (1981 - year) * 12 + 3 - month
    if unit == "years":
        numbers, half = (1981 - year) + (3 - month) / 12 + np.arange(9) / 12 + half / 12, 0.0
    elif unit.startswith("month"):
        numbers = first + np.arange(9) + half
    else:
        days = [cftime.DatetimeGregorian(1981 + n // 12, n % 12 + 1, 1) for n in range(2, 11)]
        numbers = cftime.date2num(days, f"{unit} since {year:04d}-{month:02d}-01", calendar="standard")
    attrs = {"units": f"{unit} since {year:04d}-{month:02d}-01{clock}"}
    ds = data(months("1981-03", 9).to_numpy()).assign_coords(time=("time", np.asarray(numbers, dtype="f8"), attrs))
    problem = recognise(ds).problems[0]
    assert "not decoded" in problem.problem
    found = recognise(follow(problem.fix, ds))
    assert found.time.index.tolist() == [1981 * 12 + 2 + n for n in range(9)], problem.fix


@pytest.mark.parametrize(
    "numbers",
    [
        np.arange(24),
        np.arange(1.0, 25),
        np.arange(1.0, 13),
        np.full(24, 9.97e36),
        np.full(24, np.nan),
        20010230 + np.arange(9),
        np.array([2007] * 12 + [2008] * 12),
        np.arange(719164.0, 719188),
    ],
)
def test_numbers_that_tell_nothing_ask_for_the_true_dates(numbers):
    ds = data(months("2007-01", len(numbers)).to_numpy()).assign_coords(time=numbers)
    fix = recognise(ds).problems[0].fix
    assert ASKS in fix
    answered = fix.replace(ASKS, "2007-01-01").replace("the true step", "MS")
    assert recognise(follow(answered, ds)).time.index[0] == 2007 * 12


def test_fill_values_leave_the_axis_first():
    numbers = np.array([*(200700.0 + np.arange(1, 13)), 9.96921e36])
    ds = data(months("2007-01", 13).to_numpy()).assign_coords(time=numbers)
    for _ in range(2):
        ds = follow(recognise(ds).problems[0].fix, ds)
    assert recognise(ds).time.index.tolist() == [2007 * 12 + n for n in range(12)]


@pytest.mark.parametrize(
    "texts",
    [
        ["2007-01-01", "2007-02-01", "2007-03-01"],
        ["200701", "200702", "200703"],
        ["20070101", "20070102", "20070103"],
        ["2007-01-01_00:00:00", "2007-01-02_00:00:00", "2007-01-03_00:00:00"],
        [b"2007-01-01_00:00:00", b"2007-01-02_00:00:00", b"2007-01-03_00:00:00"],
    ],
)
def test_texts(texts):
    ds = data(months("2007-01", 3).to_numpy()).assign_coords(time=texts)
    found = recognise(follow(recognise(ds).problems[0].fix, ds))
    assert str(found.time.values[0])[:10] == "2007-01-01"


@pytest.mark.parametrize("layout", ["index", "coordinates", "dimensions"])
def test_years_and_months(layout):
    dates = months("2007-01", 24)
    ds = data(dates.to_numpy()).assign_coords(year=("time", dates.year), month=("time", dates.month)).drop_vars("time")
    ds = ds if layout == "coordinates" else ds.set_index(time=["year", "month"])
    ds = ds.unstack("time") if layout == "dimensions" else ds  # noqa: PD010
    for _ in range(2 if layout == "dimensions" else 1):
        ds = follow(recognise(ds).problems[0].fix, ds)
    found = recognise(ds)
    assert not found.problems
    assert found.time.index.tolist() == [2007 * 12 + n for n in range(24)]


@pytest.mark.parametrize("dims", [{}, {"time": "month"}, {"time": "row"}])
def test_no_dates_are_invented(dims):
    ds = data(months("2007-01", 12).to_numpy()).drop_vars("time").rename(dims)
    problem = recognise(ds).problems[0]
    assert ASKS in problem.fix
    assert "2000" not in problem.fix


@cheap
@given(
    st.sampled_from(["h", "D", "timedelta", "minutes"]),
    st.sampled_from([("reftime", "leadtime"), ("forecast_reference_time", "forecast_period"), ("a", "b")]),
    st.sampled_from(["time", "step", "record"]),
    st.booleans(),
)
def test_forecasts_hold_at_their_reference_time_and_lead(unit, names, dim, one_start):
    """Several starts of one lead, or one start and several leads: either way the days of a month."""
    starts = pd.date_range("1960-11-01", periods=9, freq="D")
    leads = np.full(9, 5.0)
    if one_start:
        starts, leads = pd.DatetimeIndex([starts[0]] * 9), leads + np.arange(9)
    count = {"h": 24.0, "D": 1.0, "timedelta": 86400e9, "minutes": 1440.0}[unit] * leads
    lead = count.astype("m8[ns]") if unit == "timedelta" else count
    attrs = {"standard_name": "forecast_period"} | (
        {} if unit == "timedelta" else {"units": {"h": "hours", "D": "days"}.get(unit, unit)}
    )
    ds = data(starts.to_numpy()).drop_vars("time")
    ds = ds if dim == "time" else ds.rename_dims(time=dim)
    first = xr.Variable((), np.datetime64(starts[0], "ns")) if one_start else xr.Variable((dim,), starts)
    first.attrs["standard_name"] = "forecast_reference_time"
    ds = ds.assign_coords({names[0]: first, names[1]: xr.Variable((dim,), lead, attrs)})
    found = recognise(ds)
    assert not found.problems
    expected = pd.date_range("1960-11-06", periods=9, freq="D").to_numpy().astype("M8[ns]")
    np.testing.assert_array_equal(found.time.values.astype("M8[ns]"), expected)
    assert f"valid times are {names[0]!r} plus {names[1]!r}" in found.notes
    conformed = adapt(ds, SPEC, climatology=None)
    back = conformed.labels.restore(conformed.data.t2m)
    np.testing.assert_array_equal(back, ds.t2m.astype("f4"))


def test_leads_without_units_ask():
    ds = data(months("2007-01", 9).to_numpy()).drop_vars("time")
    ds = ds.assign_coords(reftime=("time", [np.datetime64("1960-11-01", "ns")] * 9), leadtime=("time", np.arange(9)))
    assert ASKS in recognise(ds).problems[0].fix


@cheap
@given(st.sampled_from(["YS", "QS", "2MS", "YS-DEC", "10D", "2h", "8D", "45D", "15min", "36h"]), st.booleans())
def test_no_line_makes_the_step_finer(freq, regular):
    stamps = pd.date_range("1981-01-01", periods=30, freq=freq)
    ds = data((stamps if regular else stamps[[*range(20), *range(23, 30)]]).to_numpy())
    problem = recognise(ds).problems[0]
    if np.median(np.diff(stamps)) > np.timedelta64(31, "D"):
        assert "longer than a month" in problem.problem
        assert "resample" not in problem.fix
        assert "monthly or daily" in problem.fix
        return
    finer = follow(problem.fix, ds)
    assert finer.sizes["time"] <= ds.sizes["time"] + 1
    # Of less than a day one stamp is left.
    found = recognise(finer, InputSpec(SPEC.variables, None, "1D") if finer.sizes["time"] == 1 else None)
    assert not found.problems
    assert found.step in ("1D", "1M")


def test_one_stamp_gets_the_line_that_works():
    import xfaconv

    for name in ("amip", "ncep-oisst"):
        ds = xfaconv.tutorial.open_dataset(name).isel(time=[5])
        with pytest.raises(TimeError) as caught:
            ds.faconv.embed()
        known = {"ds": ds}
        exec(caught.value.fix, known)
        assert known["emb"].sizes["time"] == 1
        assert "model=" in recognise(ds).problems[0].fix
    assert recognise(ds, InputSpec(SPEC.variables, None, "1M")).time.step == "1M"


@pytest.mark.parametrize("rows", [[1, 0, 2], [0, 1, 1, 2], [0, 1, 2, 1, 2, 3]])
def test_lines_for_times_along_a_dimension_of_another_name(rows):
    ds = data(pd.date_range("2001-01-01", periods=5, freq="D").to_numpy()).isel(time=rows)
    ds = ds.rename_dims(time="t").reset_index("time")
    found = recognise(follow(recognise(ds).problems[0].fix, ds))
    assert not found.problems
    assert len(found.time) == len(set(rows))
