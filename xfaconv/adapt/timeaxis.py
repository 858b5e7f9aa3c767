"""The time axis: the user's stamps, their calendar and step, gaps, and the phase of the year and of the day."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfaconv.climatology import fraction_of_year
from xfaconv.errors import TimeError
from xfaconv.names.units import STEP_SECONDS

STEP_NAMES = {
    "1h": "hourly",
    "3h": "3-hourly",
    "6h": "6-hourly",
    "12h": "12-hourly",
    "1D": "daily",
    "5D": "pentads",
    "7D": "weekly",
    "1M": "monthly",
}
_DAY = 86400


@dataclass(frozen=True, eq=False)
class TimeAxis:
    """The steps of the data.

    Parameters
    ----------
    values : ndarray (time,)
        The user's stamps, datetime64 or cftime, in the order of the data (ascending).
    step : str
        "1h", "3h", "6h", "12h", "1D", "5D", "7D" or "1M" (calendar month).
    index : ndarray (time,) of int64
        Absolute number of the step; consecutive numbers mean no gap.
    year_phase, day_phase : ndarray (time,) of float64
        Fraction of the year and of the day, in [0, 1).
    runs : tuple of slice
        Longest stretches without a gap.
    calendar : str
        CF name of the calendar.

    Examples
    --------
    >>> axis = time_axis(np.array(["2000-01", "2000-02", "2000-03"], "M8[M]"))
    >>> axis.step, axis.index.tolist(), axis.runs
    ('1M', [24000, 24001, 24002], (slice(0, 3, None),))
    """

    values: NDArray[Any]
    step: str
    index: NDArray[np.int64]
    year_phase: NDArray[np.float64]
    day_phase: NDArray[np.float64]
    runs: tuple[slice, ...]
    calendar: str

    def __len__(self) -> int:
        return len(self.values)

    @property
    def years(self) -> float:
        """Length of the record [years], gaps not counted."""
        if self.step == "1M":
            return len(self) / 12
        return len(self) * STEP_SECONDS[self.step] / (365.25 * _DAY)

    def describe(self) -> str:
        """Say in one line what the axis is.

        Examples
        --------
        >>> time_axis(np.array(["2000-01-01", "2000-01-02", "2000-01-05"], "M8[ns]")).describe()
        'daily, 3 steps from 2000-01-01 to 2000-01-05, calendar proleptic_gregorian, 1 gap'
        """
        gaps = len(self.runs) - 1
        first, last = (_show(self.values[i]) for i in (0, -1))
        return (
            f"{STEP_NAMES[self.step]}, {len(self)} steps from {first} to {last}, calendar {self.calendar}, "
            f"{gaps or 'no'} gap{'' if gaps == 1 else 's'}"
        )


def _show(stamp: Any) -> str:
    text = np.datetime_as_string(stamp, unit="m") if isinstance(stamp, np.datetime64) else stamp.isoformat()[:16]
    return str(text).removesuffix("T00:00")


@dataclass(frozen=True, eq=False)
class _Clock:
    """Stamps as whole seconds since 1970-01-01 in their own calendar, with the parts of the date."""

    seconds: NDArray[np.int64]
    year: NDArray[np.int64]
    month: NDArray[np.int64]
    day_of_year: NDArray[np.int64]
    days_in_year: NDArray[np.int64]
    calendar: str

    @property
    def months(self) -> NDArray[np.int64]:
        return self.year * 12 + self.month - 1

    @property
    def second_of_day(self) -> NDArray[np.int64]:
        return np.mod(self.seconds, _DAY)


def _read_clock(values: NDArray[Any]) -> _Clock:
    if values.dtype.kind == "M":
        # stamps decoded from floating point days may be off by a few microseconds: round to seconds
        seconds = (values.astype("datetime64[ms]").astype(np.int64) + 500) // 1000
        whole = seconds.astype("datetime64[s]")
        year = whole.astype("datetime64[Y]")
        day = whole.astype("datetime64[D]")
        days_in_year = (year + 1).astype("datetime64[D]") - year.astype("datetime64[D]")
        return _Clock(
            seconds=seconds,
            year=year.astype(np.int64) + 1970,
            month=whole.astype("datetime64[M]").astype(np.int64) % 12 + 1,
            day_of_year=(day - year.astype("datetime64[D]")).astype(np.int64) + 1,
            days_in_year=days_in_year.astype(np.int64),
            calendar="proleptic_gregorian",
        )
    import cftime

    calendar = values[0].calendar
    numbers = cftime.date2num(values, "seconds since 1970-01-01", calendar=calendar)
    seconds = np.round(np.asarray(numbers, dtype=np.float64)).astype(np.int64)
    whole = cftime.num2date(seconds, "seconds since 1970-01-01", calendar=calendar)
    parts = np.array([(t.year, t.month, t.dayofyr) for t in whole], dtype=np.int64)
    lengths = {
        int(year): (
            cftime.datetime(year + 1, 1, 1, calendar=calendar) - cftime.datetime(year, 1, 1, calendar=calendar)
        ).days
        for year in np.unique(parts[:, 0])
    }
    return _Clock(
        seconds=seconds,
        year=parts[:, 0],
        month=parts[:, 1],
        day_of_year=parts[:, 2],
        days_in_year=np.array([lengths[int(year)] for year in parts[:, 0]], dtype=np.int64),
        calendar=str(calendar),
    )


def time_axis(values: NDArray[Any], name: str = "time", step: str | None = None) -> TimeAxis:
    """Read the stamps: check their order, find the step, number the steps.

    Parameters
    ----------
    values : ndarray (time,)
        Stamps, datetime64 or cftime.
    name : str, default "time"
        Name of the user's coordinate, for messages.
    step : str, optional
        Step of the model; needed only where the data have a single stamp.

    Returns
    -------
    TimeAxis

    Raises
    ------
    TimeError
        If stamps are missing, unsorted or repeated, or their step is irregular or unknown.
    """
    clock = _read_clock(_checked(values, name))
    steps = np.diff(clock.seconds)
    if (steps < 0).any():
        where = int(np.argmax(steps < 0))
        repeated = clock.seconds.size - np.unique(clock.seconds).size
        raise TimeError(
            f"time axis {name!r} is not sorted" + (f", and has {repeated} stamps twice" if repeated else ""),
            expected="ascending stamps",
            found=f"{_show(values[where])} before {_show(values[where + 1])}",
            fix=f"ds = ds{f'.drop_duplicates({name!r})' if repeated else ''}.sortby({name!r})",
        )
    if (steps == 0).any():
        where = int(np.argmax(steps == 0))
        raise TimeError(
            f"time axis {name!r} has a stamp twice",
            expected="distinct stamps",
            found=_show(values[where]),
            fix=f"ds = ds.drop_duplicates({name!r})",
        )
    found, index = _step_and_index(clock, steps, values, name, step)
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    edges = [0, *breaks.tolist(), len(index)]
    day_phase = clock.second_of_day / _DAY
    return TimeAxis(
        values=values,
        step=found,
        index=index.astype(np.int64),
        year_phase=fraction_of_year(
            clock.month, clock.day_of_year, clock.days_in_year, day_phase, monthly=found == "1M"
        ),
        day_phase=np.asarray(day_phase, dtype=np.float64),
        runs=tuple(slice(a, b) for a, b in itertools.pairwise(edges)),
        calendar=clock.calendar,
    )


def _checked(values: NDArray[Any], name: str) -> NDArray[Any]:
    if values.size == 0:
        raise TimeError(f"time axis {name!r} is empty", expected="at least one step", found="0")
    if values.dtype.kind == "M":
        missing = np.isnat(values)
    else:
        missing = np.array([not hasattr(value, "calendar") for value in values])
    if missing.any():
        raise TimeError(
            f"time axis {name!r} has missing stamps",
            expected="a stamp for every step",
            found=f"{int(missing.sum())} of {values.size} missing",
            fix=f"ds = ds.isel({name}=ds[{name!r}].notnull().values)",
        )
    return values


def _step_and_index(
    clock: _Clock, steps: NDArray[np.int64], values: NDArray[Any], name: str, hint: str | None
) -> tuple[str, NDArray[np.int64]]:
    if steps.size == 0:
        if hint is None:
            raise TimeError(
                f"time axis {name!r} has one stamp: its step cannot be told",
                expected="at least two stamps, or a model with a step",
                found=_show(values[0]),
            )
        return hint, clock.months if hint == "1M" else clock.seconds // STEP_SECONDS[hint]
    shortest = int(steps.min())
    months = clock.months
    if shortest >= 28 * _DAY and (np.diff(months) >= 1).all() and np.diff(months).min() == 1:
        return "1M", months
    if shortest == 5 * _DAY and set(steps.tolist()) <= {5 * _DAY, 6 * _DAY} and (steps == 6 * _DAY).any():
        # 73 pentads a year, counted as if there were no 29 February: the one that holds it is a day longer
        day = clock.day_of_year - ((clock.days_in_year == 366) & (clock.day_of_year >= 60))
        pentads = clock.year * 73 + (day - 1) // 5
        if (np.diff(pentads) == 1).all():
            return "5D", pentads
    if _in_pairs(steps, hint):
        raise TimeError(
            f"the stamps of time axis {name!r} come in pairs: variables stamped at different hours were merged",
            expected=", ".join(STEP_NAMES.values()),
            found=", ".join(_show(value) for value in values[:3]),
            fix=f"give them the same stamps before xr.merge: tp = tp.assign_coords({name}=tp[{name!r}].dt.floor('D'))",
        )
    for label, seconds in STEP_SECONDS.items():
        if shortest == seconds and not (steps % seconds).any():
            return label, clock.seconds // seconds
    raise _irregular(steps, shortest, name)


def _in_pairs(steps: NDArray[np.int64], hint: str | None) -> bool:
    """Whether a short and a long step take turns, as where monthly or daily fields of two different hours meet."""
    if steps.size < 3 or steps[::2].max() >= steps[1::2].min() or np.ptp(steps[::2]) > 0:
        return False
    both = int(steps[0] + steps[1])
    return both >= 28 * _DAY or (hint == "1D" and both == _DAY)


def _irregular(steps: NDArray[np.int64], shortest: int, name: str) -> TimeError:
    described = ", ".join(_duration(int(s)) for s in np.unique(steps)[:4])
    known = ", ".join(STEP_NAMES.values())
    if (steps % shortest).any():
        return TimeError(
            f"the steps of time axis {name!r} are irregular",
            expected=known,
            found=f"steps of {described}",
            fix=f"ds = ds.resample({name}='1D').mean()  # or ds.asfreq: bring the data to one step",
        )
    return TimeError(
        f"the step of time axis {name!r} is not one that models have",
        expected=known,
        found=f"steps of {described}",
        fix=f"ds = ds.resample({name}='1D').mean()  # or another known step",
    )


def _duration(seconds: int) -> str:
    if seconds % _DAY == 0:
        return f"{seconds // _DAY} d"
    return f"{seconds / 3600:g} h"


def match_step(axis: TimeAxis, wanted: str | None, name: str) -> None:
    """Refuse data of another step than the model's.

    Parameters
    ----------
    axis : TimeAxis
        The data's steps.
    wanted : str or None
        The model's step, None for any.
    name : str
        Name of the user's coordinate, for messages.

    Raises
    ------
    TimeError
        If the steps differ.
    """
    if wanted is None or axis.step == wanted:
        return
    order = [*STEP_SECONDS, "1M"]
    rule = {"1M": "1MS"}.get(wanted, wanted)
    if order.index(axis.step) < order.index(wanted):
        fix = f"ds = ds.resample({name}={rule!r}).mean()  # sums for precipitation"
    else:
        fix = f"choose a model with step {axis.step!r}, see xfaconv.list_models()"
    raise TimeError(
        f"time axis {name!r} has another step than the model",
        expected=f"{STEP_NAMES.get(wanted, wanted)} ({wanted})",
        found=f"{STEP_NAMES[axis.step]} ({axis.step})",
        fix=fix,
    )
