"""The time axis: which coordinate it is, its stamps, their calendar and step, gaps, and the phases of year and day."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.adapt.intervals import read_intervals, show_stamp
from xfaconv.adapt.problems import refusal
from xfaconv.adapt.undated import line_of_dates, line_of_parts, offer_dates
from xfaconv.climatology import fraction_of_year
from xfaconv.errors import XFaconvError
from xfaconv.names import FoundCoordinate, candidates, holds_dates
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
_LONGEST_MONTH = 31 * _DAY
_KNOWN_STEPS = ", ".join(STEP_NAMES.values())
# Dimensions that count parts of the calendar, in which people look for the time.
_PARTS = frozenset({"month", "day", "year", "t", "dayofyear", "season"})
_refused = partial(refusal, "time")


@dataclass(frozen=True, eq=False)
class Stamps:
    """The time coordinate of the data.

    Parameters
    ----------
    coordinate : FoundCoordinate
        The coordinate that holds the stamps, and the dimension it runs along ("" where it is a scalar).
    values : ndarray (time,)
        datetime64 or cftime: the middle of the interval of each step where the data have bounds, else the stamps.
    notes : tuple of str
        What was done to read them.
    step : str or None
        Step that the length of the intervals tells.
    restamp : str
        Code that puts the middle of the intervals in place of the stamps; "" where there are no intervals.
    outside : bool
        Whether any of the user's stamps lies outside its interval, or at its end.
    """

    coordinate: FoundCoordinate
    values: NDArray[Any]
    notes: tuple[str, ...] = ()
    step: str | None = None
    restamp: str = ""
    outside: bool = False


def read_stamps(ds: xr.Dataset) -> Stamps:
    """Find the time coordinate and read its stamps.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.

    Returns
    -------
    Stamps

    Raises
    ------
    TimeError
        If there is no time axis, more than one, or one that cannot be read without a guess.

    Examples
    --------
    >>> ds = xr.Dataset(coords={"date": [19840101, 19840201]})
    >>> read_stamps(ds).values.astype("M8[D]")
    array(['1984-01-01', '1984-02-01'], dtype='datetime64[D]')
    """
    rules = candidates(ds, "time")
    by_size: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for name in rules:
        if name in ds.coords:
            by_size[min(ds[name].ndim, 2)].append(name)
    scalars, flat, forecasts = by_size.values()
    dims = sorted({str(ds[name].dims[0]) for name in flat})
    if not (scalars or flat or forecasts):
        raise _without_time(ds, rules)
    if len(dims) > 1:
        if any(set(dims) <= set(variable.dims) for variable in ds.data_vars.values()):
            # What holds is said by the other: "valid_time", "verifying_time".
            first, second = sorted(dims[:2], key=lambda dim: dim.lower() != "time")
            raise _refused("two of one field", ", ".join(map(repr, dims)), first=first, second=second)
        raise _refused("ambiguous", ", ".join(map(repr, dims)), name=dims[0])
    if forecasts:
        name = forecasts[0]
        # Of one start and many leads the start is chosen, of many starts and few leads the lead.
        first, second = sorted(map(str, ds[name].dims[:2]), key=lambda dim: -ds.sizes[dim])
        words = {"name": name, "ndim": ds[name].ndim, "first": first, "second": second}
        raise _refused("forecasts", f"dimensions {first}, {second}", **words)
    # Valid time is when the field holds; the start of a forecast is not.
    usable = sorted(
        flat or scalars,
        key=lambda name: name.lower() != "valid_time" and ds[name].attrs.get("standard_name") != "time",
    )
    readable = [name for name in usable if holds_dates(ds[name])]
    name = (readable or usable)[0]
    notes: tuple[str, ...] = ()
    if ds[name].chunks is not None:
        lazy, name = name, _start_in_memory(ds, name, usable)
        values = ds[name].values + ds["step"].values
        notes = (f"valid times are {name!r} plus 'step', since {lazy!r} is lazy",)
    elif readable:
        values = np.array(ds[name].values)
    else:
        values, notes = _decoded(ds[name], name)
    found = FoundCoordinate("time", name, str(ds[name].dims[0]) if ds[name].ndim else "", rules[name])
    values = np.atleast_1d(values)
    if values.size == 0:
        return Stamps(found, values, notes)
    calendars = {stamp.calendar for stamp in values if hasattr(stamp, "calendar")} if values.dtype.kind == "O" else ()
    if len(calendars) > 1:
        raise _refused("two calendars", ", ".join(sorted(calendars)), name=name)
    intervals, said = read_intervals(ds, found, values)
    if intervals is None:
        return Stamps(found, values, (*notes, said) if said else notes)
    notes = (*notes, intervals.note)
    return Stamps(found, intervals.middle, notes, intervals.step, intervals.restamp, intervals.outside)


def _without_time(ds: xr.Dataset, bare: dict[str, str]) -> XFaconvError:
    """Tell a dimension without stamps, a part of the calendar alone, and data without any time apart."""
    sizes = {str(dim): size for dim, size in ds.sizes.items()}
    parts = [dim for dim in sizes if dim.lower() in _PARTS]
    name = next(iter(bare), parts[0] if parts else "")
    kind = "without stamps" if bare else "parts alone" if parts else "absent"
    line = line_of_parts(ds, name, parts)
    found = f"{sizes[name]} steps without stamps" if bare else f"dimensions {', '.join(sizes) or 'none'}"
    renamed = "" if bare else f".rename({{{name or 'its name'!r}: 'time'}})"
    offered = offer_dates(name if bare else "time", sizes.get(name))
    return _refused(kind, found, name=name, line=line or f"ds = ds{renamed}{offered}")


def _start_in_memory(ds: xr.Dataset, name: str, others: list[str]) -> str:
    """Name the start of the forecast where valid time is lazy (GRIB in chunks) but known: start plus step."""
    step = ds.coords.get("step")
    known = step is not None and step.ndim == 0 and step.dtype.kind == "m" and step.chunks is None
    for other in others:
        in_memory = ds[other].ndim == 1 and ds[other].chunks is None and ds[other].dtype.kind == "M"
        if name.lower() == "valid_time" and known and other != name and in_memory:
            return other
    raise _refused("lazy", "a dask array", name=name)


def _decoded(array: xr.DataArray, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Read integer dates such as 19840101 where the name says that they are dates."""
    # Older xarray gives such an index out as objects.
    kept = str(array.indexes[name].dtype if name in array.indexes else array.dtype)
    if kept.startswith("period") or (kept.startswith("datetime64") and "," in kept):
        change = "to_timestamp()" if kept.startswith("period") else "tz_convert(None)"
        raise _refused("no dates", kept, name=name, line=f"ds = ds.assign_coords({name}=ds.indexes[{name!r}].{change})")
    values = np.atleast_1d(np.array(array.values))
    words = f"{name} {array.attrs.get('long_name', '')}".lower()
    units = str(array.attrs.get("units", ""))
    if values.size and array.dtype.kind in "iu" and ("date" in words or "yyyymm" in words) and " since " not in units:
        decoded = _integer_dates(values)
        if decoded is not None:
            return decoded, (f"time axis {name!r}: integers such as {values[0]} are read as dates",)
    found = (
        f"numbers in {units!r}" if " since " in units else f"{array.dtype} such as {values[0] if values.size else 0}"
    )
    raise _refused(
        "not decoded" if " since " in units else "no dates", found, name=name, line=line_of_dates(array, name)
    )


def _integer_dates(values: NDArray[Any]) -> NDArray[Any] | None:
    """Yyyymmdd or yyyymm as dates; None unless every value is one between 1600 and 2399."""
    numbers = values.astype(np.int64)
    if ((numbers >= 160001) & (numbers <= 239912)).all():
        numbers = numbers * 100 + 1
    years, months, days = numbers // 10000, numbers // 100 % 100, numbers % 100
    if not ((years >= 1600) & (years <= 2399) & (months >= 1) & (months <= 12) & (days >= 1)).all():
        return None
    month_start = ((years - 1970) * 12 + months - 1).astype("datetime64[M]")
    dates = month_start.astype("datetime64[D]") + (days - 1)
    # 30 February would be a day in March.
    return np.asarray(dates.astype("datetime64[ns]")) if (dates.astype("datetime64[M]") == month_start).all() else None


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
    spans : tuple of slice
        Longest ranges of steps without a gap.
    calendar : str
        CF name of the calendar.
    restamp : str
        Code that puts the middle of the intervals in place of the stamps, for lines that resample the data.

    Examples
    --------
    >>> axis = time_axis(np.array(["2000-01", "2000-02", "2000-03"], "M8[M]"))
    >>> axis.step, axis.index.tolist(), axis.spans
    ('1M', [24000, 24001, 24002], (slice(0, 3, None),))
    """

    values: NDArray[Any]
    step: str
    index: NDArray[np.int64]
    year_phase: NDArray[np.float64]
    day_phase: NDArray[np.float64]
    spans: tuple[slice, ...]
    calendar: str
    restamp: str = ""

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
        gaps = len(self.spans) - 1
        first, last = (show_stamp(self.values[i]) for i in (0, -1))
        return (
            f"{STEP_NAMES[self.step]}, {len(self)} steps from {first} to {last}, calendar {self.calendar}, "
            f"{gaps or 'no'} gap{'' if gaps == 1 else 's'}"
        )


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
    # The length of a year is asked of the calendar: 360, 365 or 366 days.
    years, which = np.unique(parts[:, 0], return_inverse=True)
    starts = [[cftime.datetime(year + turn, 1, 1, calendar=calendar) for year in years] for turn in (0, 1)]
    lengths = np.array([(after - start).days for start, after in zip(*starts, strict=True)], dtype=np.int64)
    return _Clock(
        seconds=seconds,
        year=parts[:, 0],
        month=parts[:, 1],
        day_of_year=parts[:, 2],
        days_in_year=lengths[which],
        calendar=str(calendar),
    )


def time_axis(values: NDArray[Any], name: str = "time", step: str | None = None, *, restamp: str = "") -> TimeAxis:
    """Read the stamps: check their order, find the step, number the steps.

    Parameters
    ----------
    values : ndarray (time,)
        Stamps, datetime64 or cftime.
    name : str, default "time"
        Name of the user's coordinate, for messages.
    step : str, optional
        Step of the model; needed only where the data have a single stamp.
    restamp : str, optional
        Code that puts the middle of the intervals in place of the stamps, for lines that resample the data.

    Returns
    -------
    TimeAxis

    Raises
    ------
    TimeError
        If stamps are missing, unsorted or repeated, or their step is irregular or unknown.
    """
    if values.size == 0:
        raise _refused("empty", 0, name=name)
    missing = np.isnat(values) if values.dtype.kind == "M" else [not hasattr(value, "calendar") for value in values]
    if np.any(missing):
        raise _refused("missing", f"{np.sum(missing)} of {values.size} missing", name=name)
    clock = _read_clock(values)
    steps = np.diff(clock.seconds)
    if (steps <= 0).any():
        repeated = clock.seconds.size - np.unique(clock.seconds).size
        kind = "twice" if (steps >= 0).all() else "not sorted and twice" if repeated else "not sorted"
        where = int(np.argmax(steps < 0 if kind != "twice" else steps == 0))
        raise _refused(
            kind, f"{show_stamp(values[where])} before {show_stamp(values[where + 1])}", name=name, repeated=repeated
        )
    if steps.size == 0 and step is None:
        raise _refused("one stamp", show_stamp(values[0]), name=name)
    found = _step_of(clock, steps, step)
    if found is None:
        raise _step_refused(values, steps, step, name=name, restamp=restamp)
    index = _numbers(clock, steps, found)
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
        spans=tuple(slice(a, b) for a, b in itertools.pairwise(edges)),
        calendar=clock.calendar,
        restamp=restamp,
    )


def _step_of(clock: _Clock, steps: NDArray[np.int64], hint: str | None) -> str | None:
    """Tell the step; None where no model has it."""
    if steps.size == 0:
        return hint
    shortest, months = int(steps.min()), np.diff(clock.months)
    if 28 * _DAY <= shortest <= _LONGEST_MONTH and months.min() == 1:
        return "1M"
    if _six_days(steps) and shortest == 5 * _DAY and (np.diff(_pentads(clock)) == 1).all():
        return "5D"
    if _in_pairs(steps, hint):
        return None
    regular = (label for label, seconds in STEP_SECONDS.items() if shortest == seconds and not (steps % seconds).any())
    return next(regular, None)


def _numbers(clock: _Clock, steps: NDArray[np.int64], step: str) -> NDArray[np.int64]:
    """Absolute number of each step: consecutive numbers mean no gap."""
    if step == "1M":
        return clock.months
    return _pentads(clock) if step == "5D" and _six_days(steps) else clock.seconds // STEP_SECONDS[step]


def _six_days(steps: NDArray[np.int64]) -> bool:
    return bool((steps == 6 * _DAY).any()) and set(steps.tolist()) <= {5 * _DAY, 6 * _DAY}


def _pentads(clock: _Clock) -> NDArray[np.int64]:
    """73 pentads a year, counted as if there were no 29 February: the one that holds it is a day longer."""
    day = clock.day_of_year - ((clock.days_in_year == 366) & (clock.day_of_year >= 60))
    return np.asarray(clock.year * 73 + (day - 1) // 5)


def _in_pairs(steps: NDArray[np.int64], hint: str | None) -> bool:
    """Whether a short and a long step take turns, as where monthly or daily fields of two different hours meet."""
    if steps.size < 3 or steps[::2].max() >= steps[1::2].min() or np.ptp(steps[::2]) > 0:
        return False
    both = int(steps[0] + steps[1])
    return both >= 28 * _DAY or (hint == "1D" and both == _DAY)


def _step_refused(values: NDArray[Any], steps: NDArray[np.int64], hint: str | None, **words: object) -> XFaconvError:
    words["known"] = _KNOWN_STEPS
    if _in_pairs(steps, hint):
        return _refused("pairs", ", ".join(show_stamp(value) for value in values[:3]), **words)
    lengths = [int(seconds) for seconds in np.unique(steps)[:4]]
    said = ", ".join(f"{s // _DAY} d" if s % _DAY == 0 else f"{s / 3600:g} h" for s in lengths)
    usual = float(np.median(steps))
    kind = "irregular" if (steps % steps.min()).any() else "unknown step"
    kind = "coarser than monthly" if usual > _LONGEST_MONTH else kind
    # Never to a step that is finer than the data's: that would leave most steps empty.
    rule = "1D" if steps.min() <= _DAY and usual < 2 * _DAY else "1MS"
    return _refused(kind, f"steps of {said}", rule=rule, **words)


def match_step(axis: TimeAxis, wanted: str | None, name: str, line: Callable[[str], str]) -> None:
    """Refuse data of another step than the model's.

    Parameters
    ----------
    axis : TimeAxis
        The data's steps.
    wanted : str or None
        The model's step, None for any.
    name : str
        Name of the user's coordinate, for messages.
    line : callable
        Writes the line that brings the data to a coarser step: see `resampling_line`.

    Raises
    ------
    TimeError
        If the steps differ.
    """
    if wanted is None or axis.step == wanted:
        return
    order = [*STEP_SECONDS, "1M"]
    kind = "finer" if order.index(axis.step) < order.index(wanted) else "coarser"
    words = {"name": name, "known": f"{STEP_NAMES.get(wanted, wanted)} ({wanted})", "step": axis.step}
    if kind == "finer":
        words["line"] = line(wanted)
    raise _refused(f"{kind} than the model", f"{STEP_NAMES[axis.step]} ({axis.step})", **words)
