"""Steps, gaps, phases and numbers of steps, in every calendar."""

from __future__ import annotations

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xfaconv.adapt.time_axis import time_axis
from xfaconv.errors import TimeError


@pytest.mark.parametrize(
    ("freq", "step"),
    [
        ("h", "1h"),
        ("3h", "3h"),
        ("6h", "6h"),
        ("12h", "12h"),
        ("D", "1D"),
        ("5D", "5D"),
        ("7D", "7D"),
        ("MS", "1M"),
        ("ME", "1M"),
    ],
)
@pytest.mark.parametrize("offset", ["0h", "30min", "12h"])
def test_steps_are_told_whatever_the_hour(freq, step, offset):
    stamps = pd.date_range("1999-11-28", periods=40, freq=freq) + pd.Timedelta(offset)
    axis = time_axis(stamps.to_numpy())
    assert axis.step == step
    assert (np.diff(axis.index) == 1).all()
    assert axis.spans == (slice(0, 40),)
    assert axis.calendar == "proleptic_gregorian"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_any_resolution_of_stamps(unit):
    stamps = np.array(["1850-01-01", "1850-01-02", "1850-01-04"], f"M8[{unit}]")
    axis = time_axis(stamps)
    assert axis.values.dtype == stamps.dtype  # noqa: PD011
    assert axis.index.tolist() == [-43829, -43828, -43826]
    assert axis.spans == (slice(0, 2), slice(2, 3))


def test_stamps_a_few_microseconds_off_are_rounded():
    stamps = pd.date_range("2000", periods=9, freq="6h").to_numpy() + np.array([0, 1, -1] * 3, "m8[us]")
    assert time_axis(stamps).step == "6h"
    assert (np.diff(time_axis(stamps).index) == 1).all()


def test_months_in_the_middle():
    stamps = [np.datetime64(f"2001-{m:02}-{d}") for m, d in ((1, 16), (2, 15), (3, 16), (4, 16), (5, 16))]
    axis = time_axis(np.array(stamps, "M8[ns]"))
    assert axis.step == "1M"
    assert axis.index.tolist() == [24012, 24013, 24014, 24015, 24016]
    np.testing.assert_allclose(axis.year_phase, (np.arange(5) + 0.5) / 12)


def test_winters_have_gaps():
    stamps = pd.date_range("2000-01-01", "2004-12-31", freq="D")
    axis = time_axis(stamps[stamps.month.isin([12, 1, 2])].to_numpy())
    assert axis.step == "1D"
    assert [run.stop - run.start for run in axis.spans] == [60, 90, 90, 90, 91, 31]
    assert "5 gaps" in axis.describe()
    months = pd.date_range("2000-01-01", "2004-12-31", freq="MS")
    axis = time_axis(months[months.month.isin([12, 1, 2])].to_numpy())
    assert axis.step == "1M"
    assert len(axis.spans) == 6


def test_pentads_of_a_leap_year():
    days = [d for year in (2003, 2004, 2005) for d in pd.date_range(f"{year}-01-01", f"{year}-12-31")]
    days = [d for d in days if not (d.month == 2 and d.day == 29)][::5]
    axis = time_axis(pd.DatetimeIndex(days).to_numpy())
    assert axis.step == "5D"
    assert len(axis.spans) == 1


@pytest.mark.parametrize(("calendar", "days"), [("noleap", 365), ("360_day", 360), ("all_leap", 366), ("julian", 365)])
def test_calendars(calendar, days):
    stamps = np.array(xr.date_range("2001-01-01", periods=2 * days, freq="D", calendar=calendar, use_cftime=True))
    axis = time_axis(stamps)
    assert axis.calendar == calendar
    assert axis.step == "1D"
    np.testing.assert_allclose(axis.year_phase[:days], np.arange(days) / days)
    assert axis.year_phase[days] == 0
    epoch = cftime.datetime(1970, 1, 1, calendar=calendar)
    assert axis.index[0] == (stamps[0] - epoch).days
    months = np.array(xr.date_range("2001-01-01", periods=30, freq="MS", calendar=calendar, use_cftime=True))
    assert time_axis(months).step == "1M"
    assert (np.diff(time_axis(months).index) == 1).all()


def test_numpy_and_cftime_agree():
    numpy_stamps = pd.date_range("1999-02-25T06", periods=800, freq="D")
    cf_stamps = np.array([cftime.DatetimeProlepticGregorian(d.year, d.month, d.day, d.hour) for d in numpy_stamps])
    left, right = time_axis(numpy_stamps.to_numpy()), time_axis(cf_stamps)
    for name in ("index", "year_phase", "day_phase"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


def test_phases_by_the_definition():
    axis = time_axis(np.array(["2000-12-31T18:00", "2001-01-01T00:00", "2001-01-01T06:00"], "M8[ns]"))
    np.testing.assert_allclose(axis.year_phase, [365.75 / 366, 0, 0.25 / 365])
    np.testing.assert_allclose(axis.day_phase, [0.75, 0, 0.25])


def test_a_single_stamp_takes_the_models_step():
    stamp = np.array(["2000-03-15"], "M8[ns]")
    assert time_axis(stamp, step="1M").index.tolist() == [24002]
    assert time_axis(stamp, step="1D").index.tolist() == [11031]
    with pytest.raises(TimeError, match="has one stamp"):
        time_axis(stamp)
