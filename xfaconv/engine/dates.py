"""Which steps of a time axis are asked for by a date, a range or several dates, and which have their warm-up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.errors import ArgumentError, TimeError

Positions = NDArray[np.int64]


def steps_at(stamps: NDArray[Any], label: Any, name: str = "time") -> Positions:
    """Find the steps of a label, a slice of labels, or several labels.

    Parameters
    ----------
    stamps : ndarray (time,)
        datetime64 or cftime, ascending.
    label : str, date, datetime64, cftime, slice of them, or sequence of them
        A part of a date stands for all steps in it: ``"2016"``, ``"2016-01"``.
    name : str
        Name of the argument, for messages.

    Returns
    -------
    ndarray, int64
        Positions, in the order of the labels.

    Raises
    ------
    ArgumentError
        If it is no label of a time.
    TimeError
        If there is no such step, naming the nearest.

    Examples
    --------
    >>> months = np.arange("2015-11", "2016-03", dtype="M8[M]").astype("M8[ns]")
    >>> steps_at(months, "2016"), steps_at(months, ["2016-02", "2015-12"])
    (array([2, 3]), array([3, 1]))
    """
    numbers = xr.DataArray(np.arange(len(stamps)), {"time": stamps}, ("time",))
    found = []
    for one in _each(label, stamps, name):
        ends = (one.start, one.stop) if isinstance(one, slice) else (one,)
        known = [
            None if end is None and isinstance(one, slice) else _as_label(end, stamps, label, name) for end in ends
        ]
        try:
            chosen = numbers.sel(time=slice(known[0], known[1], one.step) if isinstance(one, slice) else known[0])
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as problem:
            raise _absent(stamps, one, ends, name) from problem
        if not chosen.size:
            raise _absent(stamps, one, ends, name)
        found.append(np.atleast_1d(chosen.values))
    return np.concatenate(found).astype(np.int64)


def _each(label: Any, stamps: NDArray[Any], name: str) -> Iterator[Any]:
    """Give the labels of a call one by one."""
    label = label.values if isinstance(label, xr.DataArray) else label
    if isinstance(label, np.ndarray) and label.ndim == 0:
        label = label[()]
    if isinstance(label, str | bytes | Mapping | xr.Dataset) or not isinstance(label, Iterable):
        yield label
        return
    labels = list(label)
    if not labels:
        raise _refused(label, stamps, name)
    yield from labels


def _as_label(value: Any, stamps: NDArray[Any], whole: object, name: str) -> Any:
    """Give a label as the index of the stamps takes it: a part of a date as text, cftime as it is on its calendar."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    on_calendar = stamps.dtype.kind == "O"
    if hasattr(value, "calendar") and hasattr(value, "isoformat"):
        same = on_calendar and value.calendar == stamps[0].calendar
        return value if same else value.isoformat()
    if isinstance(value, date):
        # A day stands for all its steps, a moment for itself.
        value = np.datetime64(value.replace(tzinfo=None) if isinstance(value, datetime) else value)
    if isinstance(value, np.datetime64) and not np.isnat(value):
        fine = np.datetime_data(value.dtype)[0] not in ("Y", "M", "W", "D", "h", "m", "s")
        return np.datetime_as_string(value, unit="s") if fine and on_calendar else str(value)
    raise _refused(whole, stamps, name)


def _refused(label: object, stamps: NDArray[Any], name: str) -> ArgumentError:
    year = isinstance(label, int) and not isinstance(label, bool) and 1 <= label <= 9999
    return ArgumentError(
        f"{name} is not a date, a range of dates, or several dates",
        expected="such as '2016', '2016-01', slice('2015-12', '2016-02'), or dates of the data",
        found=repr(label)[:200],
        fix=f"{name}='{label:04d}'" if year else f"{name}='{show_date(stamps[-1])}'",
    )


def _absent(stamps: NDArray[Any], label: object, ends: tuple[Any, ...], name: str) -> TimeError:
    """Say that no step is there, and which are the nearest."""
    nearest = _around(stamps, next((end for end in ends if end is not None), None))
    shown = [show_date(stamp) for stamp in nearest]
    first, last = show_date(stamps[0]), show_date(stamps[-1])
    said = f"nearest: {', '.join(shown)}; " if shown else ""
    return TimeError(
        f"the data have no step at {name}={_typed(label)}",
        expected="a date of the data, or a part of one that holds steps, such as '2016-01'",
        found=f"{said}{len(stamps)} steps from {first} to {last}",
        fix=f"{name}='{shown[0] if shown else last}'",
    )


def _typed(label: object) -> str:
    return f"'{label}'" if isinstance(label, str | np.datetime64) else repr(label)[:100]


def _around(stamps: NDArray[Any], label: object) -> list[Any]:
    """Give the stamps before and after a date that is not there, the nearer one first."""
    parts = re.match(r"\s*(\d{4})(?:-?(\d\d))?(?:-?(\d\d))?", label if isinstance(label, str) else str(label))
    if parts is None:
        return []
    asked = tuple(int(part or 1) for part in parts.groups())
    dates = [tuple(map(int, show_date(stamp)[:10].split("-"))) for stamp in stamps]
    after = int(np.searchsorted([_day(*stamp) for stamp in dates], _day(*asked)))
    beside = [place for place in (after - 1, after) if 0 <= place < len(stamps)]
    return [stamps[place] for place in sorted(beside, key=lambda place: abs(_day(*dates[place]) - _day(*asked)))]


def _day(year: int, month: int, day: int) -> float:
    """Give a day a number, as if all months had 31 days: enough to tell which of two dates is nearer."""
    return 372 * year + 31 * month + day


def show_date(stamp: Any) -> str:
    """Write a stamp as a label that `steps_at` finds.

    Examples
    --------
    >>> show_date(np.datetime64("2000-01-01")), show_date(np.datetime64("2000-01-16T12:00:00"))
    ('2000-01-01', '2000-01-16T12:00')
    """
    text = stamp.isoformat() if hasattr(stamp, "isoformat") else str(stamp)
    return text[:16].removesuffix("T00:00")


def season_of(time: xr.DataArray) -> str | None:
    """Give the part of the year that all times lie in as an argument, None where it is the whole year.

    Examples
    --------
    >>> months = xr.DataArray(xr.date_range("1999-12-01", periods=3, freq="MS"), dims="time")
    >>> season_of(months), season_of(months[:1])
    ("season='DJF'", 'season=[12]')
    """
    months = set(time.dt.month.values.tolist())
    first = [month for month in months if (month - 2) % 12 + 1 not in months]
    if not first:
        return None
    if len(first) > 1 or len(months) == 1:
        return f"season={sorted(months)}"
    return "season='{}'".format(("JFMAMJJASOND" * 2)[first[0] - 1 : first[0] - 1 + len(months)])


def lacking_warmup(time: xr.DataArray, spans: Sequence[int], warmup: int) -> TimeError:
    """Make the error for data in which no step has its whole warm-up before it.

    Parameters
    ----------
    time : DataArray (time)
        The stamps.
    spans : sequence of int
        Steps of each span without a gap.
    warmup : int
        Steps of the warm-up.

    Returns
    -------
    TimeError

    Examples
    --------
    >>> winters = xr.DataArray(xr.date_range("1999-12-01", periods=3, freq="MS"), dims="time")
    >>> print(lacking_warmup(winters, [3, 3], 12))
    no step has its whole warm-up inside the data
      expected: spans without a gap that are longer than the warm-up of 12 steps
      found:    each span is 3 steps, the warm-up 12
      fix:      give whole years, and season='DJF' to choose the season afterwards
    """
    longest, season = max(spans), season_of(time) if len(spans) > 1 else None
    length = "each span is" if max(spans) == min(spans) else "the longest span is"
    if longest > warmup:
        expected, fix = "a whole segment behind the warm-up", "give a longer record"
    elif season is not None:
        expected, fix = "", f"give whole years, and {season} to choose the season afterwards"
    else:
        expected, fix = "", "give a longer record" if len(spans) == 1 else "give a record without gaps"
    expected = expected or f"spans without a gap that are longer than the warm-up of {warmup} steps"
    said = f"{length if len(spans) > 1 else 'the record is'} {longest} steps, the warm-up {warmup}"
    return TimeError("no step has its whole warm-up inside the data", expected=expected, found=said, fix=fix)
