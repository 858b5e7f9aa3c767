"""Seasons by the initials of their months, and the breaks that a selected season leaves in a time axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.arguments import is_whole
from xfaconv.errors import ArgumentError, TimeError
from xfaconv.names import INTERVAL_MIDDLE

Season = str | Sequence[int] | None

_INITIALS = "JFMAMJJASOND"


def season_months(season: Season) -> tuple[int, ...]:
    """Months of a season, in order.

    Parameters
    ----------
    season : str, sequence of int, or None
        Initials such as ``"DJF"`` or ``"NDJFM"``, month numbers, or None for the whole year.

    Returns
    -------
    tuple of int

    Raises
    ------
    ArgumentError
        If the initials are not those of months that follow each other.

    Examples
    --------
    >>> season_months("DJF")
    (12, 1, 2)
    """
    if season is None:
        return tuple(range(1, 13))
    if isinstance(season, str):
        start = (_INITIALS * 2).find(season.upper())
        if 2 <= len(season) <= 12 and start >= 0:
            return tuple((start + offset) % 12 + 1 for offset in range(len(season)))
    elif isinstance(season, Iterable) and not isinstance(season, Mapping):
        months = tuple(season)
        if months and all(is_whole(month, 1, 12) for month in months):
            return months
    wanted = "initials of two or more months that follow each other, such as 'DJF', or numbers 1 to 12"
    fix = "season='DJF'  # or season=[12] for one month"
    raise ArgumentError("unknown season", expected=wanted, found=repr(season)[:200], fix=fix)


def season_name(season: Season) -> str:
    """Name of a season for attributes.

    Examples
    --------
    >>> season_name("DJF"), season_name(None)
    ('DJF', 'all')
    """
    return "all" if season is None else str(season)


def covered(time: xr.DataArray, season: Season) -> dict[str, str | int]:
    """Attributes of a result without a time dimension: the season, the first and last date, the number of steps.

    Parameters
    ----------
    time : DataArray (time,)
        Of the steps that the result is made of.
    season : str or sequence of int, optional
        By which they were selected.

    Returns
    -------
    dict
        ``season``, ``number_of_steps``, and ``period`` where the times are dates.

    Examples
    --------
    >>> covered(xr.DataArray(xr.date_range("2000-01-01", periods=2, freq="MS"), dims="time"), None)
    {'season': 'all', 'number_of_steps': 2, 'period': '2000-01-01 to 2000-02-01'}
    """
    out: dict[str, str | int] = {"season": season_name(season), "number_of_steps": time.size}
    if time.size and (time.dtype.kind == "M" or hasattr(time.values[0], "isoformat")):
        first, last = (
            np.datetime_as_string(stamp, "D") if time.dtype.kind == "M" else str(stamp)[:10]
            for stamp in time.values[[0, -1]]
        )
        out["period"] = f"{first} to {last}"
    return out


def in_season(time: xr.DataArray, season: Season) -> NDArray[np.bool_]:
    """Mark the times inside a season.

    Examples
    --------
    >>> times = xr.DataArray(xr.date_range("2000-01-01", periods=4, freq="MS"), dims="time")
    >>> in_season(times, "DJF")
    array([ True,  True, False, False])
    """
    if season is None:
        return np.ones(time.size, dtype=bool)
    try:
        return np.isin(_dates(time).dt.month.values, season_months(season))
    except (AttributeError, TypeError) as problem:
        raise TimeError(f"coordinate '{time.name}' holds no dates", found=str(time.dtype)) from problem


def steps_of_season(
    time: xr.DataArray, season: Season, usable: NDArray[np.bool_] | bool = True, *, among: str = "in the data"
) -> NDArray[np.bool_]:
    """Mark the usable times inside a season, of which there must be one.

    Parameters
    ----------
    time : DataArray (time)
        The times.
    season : str, sequence of int, or None
        The season.
    usable : ndarray (time,), bool, or True
        Times that may be taken.
    among : str
        What makes a time usable, for the message.

    Returns
    -------
    ndarray (time,), bool

    Raises
    ------
    TimeError
        If there is none.

    Examples
    --------
    >>> times = xr.DataArray(xr.date_range("2000-01-01", periods=4, freq="MS"), dims="time")
    >>> int(steps_of_season(times, "JF").sum())
    2
    """
    chosen = in_season(time, season) & usable
    if not chosen.any():
        problem = f"no step {among}" + ("" if season is None else f" is in the season {season}")
        fix = "give a longer record" if season is None else "season=None  # for all months"
        raise TimeError(problem, found=f"{time.size} steps", fix=fix)
    return chosen


def season_years(time: xr.DataArray, season: Season) -> NDArray[np.int64]:
    """Give the year of the season that each time belongs to: December 1999 belongs to the DJF of 2000.

    Examples
    --------
    >>> times = xr.DataArray(xr.date_range("1999-12-01", periods=3, freq="MS"), dims="time")
    >>> season_years(times, "DJF")
    array([2000, 2000, 2000])
    """
    months, dates = season_months(season), _dates(time)
    years = np.asarray(dates.dt.year.values, dtype=np.int64)
    if any(later < earlier for earlier, later in pairwise(months)):
        years = years + (dates.dt.month.values >= months[0])
    return years


def spread_evenly(positions: NDArray[np.int64], samples: int | None) -> NDArray[np.int64]:
    """Choose some positions, the first and the last among them, at even distances; all where there are no more.

    Examples
    --------
    >>> spread_evenly(np.arange(10), 4)
    array([0, 3, 6, 9])
    """
    if samples is None or samples >= len(positions):
        return positions
    return np.asarray(positions[np.unique(np.linspace(0, len(positions) - 1, samples).round().astype(int))])


def adjacent_steps(data: xr.DataArray, dim: str) -> NDArray[np.bool_]:
    """Mark the steps that directly follow the one before, by the median step; a DJF selection has breaks.

    Parameters
    ----------
    data : DataArray (time, ...)
        With datetime64, cftime or numbers as times; without times all steps are adjacent.
    dim : str
        Name of the time dimension.

    Returns
    -------
    ndarray (time - 1,), bool

    Examples
    --------
    >>> adjacent_steps(xr.DataArray(np.zeros(5), {"time": [0, 1, 2, 12, 13]}), "time")
    array([ True,  True, False,  True])
    """
    if dim not in data.coords or data.sizes[dim] < 2:
        return np.ones(max(data.sizes[dim] - 1, 0), dtype=bool)
    elapsed = _elapsed(data[dim])
    steps = np.diff(elapsed)
    return np.asarray(np.abs(steps) <= 1.5 * np.abs(np.median(steps)))


def step_numbers(data: xr.DataArray, dim: str) -> NDArray[np.int64]:
    """Give each step a number in which breaks count with their length: months of winters are 0, 1, 2, 12, ...

    Parameters
    ----------
    data : DataArray (time, ...)
        With datetime64, cftime or numbers as times.
    dim : str
        Name of the time dimension.

    Returns
    -------
    ndarray (time,), int64
        From 0; calendar months where the median step is a month. Even steps where there are no times or they do not
        ascend.

    Examples
    --------
    >>> step_numbers(xr.DataArray(np.zeros(5), {"time": [0, 1, 2, 12, 13]}), "time")
    array([ 0,  1,  2, 12, 13])
    """
    even = np.arange(data.sizes[dim], dtype=np.int64)
    if dim not in data.coords or len(even) < 2:
        return even
    time = data[dim]
    elapsed = _elapsed(time)
    median = float(np.median(np.diff(elapsed)))
    if _has_dates(time) and 27 < median < 32:
        # Months are 28 to 31 days: by their length, two months could be numbered as one.
        months = np.asarray(time.dt.year.values, dtype=np.int64) * 12 + np.asarray(time.dt.month.values)
        numbers = months - months[0]
    else:
        numbers = np.rint(elapsed / median).astype(np.int64) if median > 0 else even
    return numbers if (np.diff(numbers) > 0).all() else even


def _dates(time: xr.DataArray) -> xr.DataArray:
    """Give the times that tell months and years: the middle of its interval where a stamp stands for another time."""
    found: xr.DataArray = time.coords.get(INTERVAL_MIDDLE, time)
    return found


def _has_dates(time: xr.DataArray) -> bool:
    return time.dtype.kind in "MO"


def _elapsed(time: xr.DataArray) -> NDArray[np.float64]:
    """Time since the first step, in days where there are dates."""
    apart = np.asarray(time.values) - np.asarray(time.values)[0]
    if time.dtype.kind == "O":
        return np.array([span.total_seconds() / 86400 for span in apart])
    return np.asarray(apart / np.timedelta64(1, "D") if time.dtype.kind == "M" else apart, dtype=np.float64)
