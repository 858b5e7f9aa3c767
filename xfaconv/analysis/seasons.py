"""Seasons by the initials of their months, and the year that a winter across New Year belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.arguments import is_whole
from xfaconv.errors import ArgumentError, TimeError

_INITIALS = "JFMAMJJASOND"


def season_months(season: str | Sequence[int] | None) -> tuple[int, ...]:
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
        If the initials are no run of months.

    Examples
    --------
    >>> season_months("DJF")
    (12, 1, 2)
    """
    if season is None:
        return tuple(range(1, 13))
    if isinstance(season, str):
        start = (_INITIALS * 2).find(season.upper())
        if len(season) < 2 or len(season) > 12 or start < 0:
            raise ArgumentError(
                "unknown season",
                expected="initials of two or more months that follow each other, such as 'DJF'",
                found=repr(season),
                fix="season='DJF', or season=[12] for one month",
            )
        return tuple((start + offset) % 12 + 1 for offset in range(len(season)))
    months = tuple(season) if isinstance(season, Iterable) and not isinstance(season, Mapping) else ()
    if not months or not all(is_whole(month, 1, 12) for month in months):
        raise ArgumentError("unknown months", expected="numbers 1 to 12", found=repr(season), fix="season=[12, 1, 2]")
    return months


def in_season(time: xr.DataArray, season: str | Sequence[int] | None) -> NDArray[np.bool_]:
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
        return np.isin(time.dt.month.values, season_months(season))
    except (AttributeError, TypeError) as problem:
        raise TimeError(
            f"coordinate '{time.name}' holds no dates", expected="datetime64 or cftime", found=str(time.dtype)
        ) from problem


def season_years(time: xr.DataArray, season: str | Sequence[int] | None) -> NDArray[np.int64]:
    """Give the year of the season that each time belongs to: December 1999 belongs to the DJF of 2000.

    Examples
    --------
    >>> times = xr.DataArray(xr.date_range("1999-12-01", periods=3, freq="MS"), dims="time")
    >>> season_years(times, "DJF")
    array([2000, 2000, 2000])
    """
    months = season_months(season)
    years = np.asarray(time.dt.year.values, dtype=np.int64)
    wraps = any(later < earlier for earlier, later in pairwise(months))
    if wraps:
        years = years + (time.dt.month.values >= months[0])
    return years
