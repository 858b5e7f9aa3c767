"""Time along the bottom of a panel: any calendar, gaps left open, steps without a full warm-up marked."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from matplotlib import dates as matplotlib_dates
from numpy.typing import NDArray

from xfaconv.errors import TimeError
from xfaconv.plot.coordinates import drawn_dimension
from xfaconv.plot.labels import sizes_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP = 1.8
# Matplotlib ships no types for its dates.
_dates: Any = matplotlib_dates


def time_dimension(data: xr.DataArray, what: str) -> Hashable:
    """Name of the time dimension.

    Parameters
    ----------
    data : DataArray
        With a time coordinate.
    what : str
        What it is, for the error.

    Returns
    -------
    hashable

    Raises
    ------
    TimeError
        If there is none.

    Examples
    --------
    >>> time_dimension(xr.DataArray(np.zeros(1), {"time": np.array(["2000-01-01"], "M8[ns]")}, ("time",)), "index")
    'time'
    """
    name = drawn_dimension(data, "time")
    if name is None or name not in data.coords:
        raise TimeError(
            f"{what} has no time coordinate, so it cannot be drawn over time",
            expected="a dimension with dates",
            found=f"dimensions {tuple(str(dim) for dim in data.dims)}",
            fix="data = data.rename({'<its name>': 'time'})",
        )
    return name


def is_calendar(time: xr.DataArray) -> bool:
    """Whether dates are of a calendar that matplotlib knows not: they are then drawn as decimal years.

    Parameters
    ----------
    time : DataArray
        Dates.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_calendar(xr.DataArray(np.array(["2000-01-01"], "M8[ns]")))
    False
    """
    return time.dtype.kind == "O"


def positions(time: xr.DataArray, *, years: bool) -> NDArray[np.float64]:
    """Where dates stand on the axis.

    Parameters
    ----------
    time : DataArray (time,)
        Dates of any calendar.
    years : bool
        Decimal years of the dates' own calendar; otherwise matplotlib's day numbers.

    Returns
    -------
    ndarray (time,)

    Examples
    --------
    >>> positions(xr.DataArray(np.array(["2000-07-02"], "M8[ns]"), dims="time"), years=True).round(2)
    array([2000.5])
    """
    if not years:
        return np.asarray(_dates.date2num(time.values), dtype=np.float64)
    days = time.dt.days_in_year.values
    within = time.dt.dayofyear.values - 1 + time.dt.hour.values / 24
    return np.asarray(time.dt.year.values + within / days, dtype=np.float64)


def open_gaps(
    where: NDArray[np.float64], values: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.floating]]:
    """Insert a missing step in each gap, so that nothing is drawn across it.

    Parameters
    ----------
    where : ndarray (time,)
        Ascending positions.
    values : ndarray (time, ...)
        What is drawn.

    Returns
    -------
    tuple of ndarray
        Positions and values, with one or two missing steps in each gap wider than 1.8 of the median step.

    Examples
    --------
    >>> open_gaps(np.array([0.0, 1.0, 2.0, 9.0]), np.ones((4, 1)))[0]
    array([0., 1., 2., 3., 8., 9.])
    """
    if where.size < 3:
        return where, values
    steps = np.diff(where)
    usual = float(np.median(steps))
    after = np.flatnonzero(steps > _GAP * usual) + 1
    wide = after[steps[after - 1] > 2.5 * usual]
    places = np.concatenate([after, wide])
    inserted = np.concatenate([where[after - 1] + usual, where[wide] - usual])
    missing = np.full((places.size, *values.shape[1:]), np.nan)
    return np.insert(where, places, inserted), np.insert(values.astype(np.float64), places, missing, axis=0)


def step_edges(where: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of the steps, each at most a usual step wide.

    Parameters
    ----------
    where : ndarray (time,)
        Ascending positions.

    Returns
    -------
    ndarray (time + 1,)

    Examples
    --------
    >>> step_edges(np.array([0.0, 1.0, 2.0]))
    array([-0.5,  0.5,  1.5,  2.5])
    """
    if where.size == 1:
        return np.array([where[0] - 0.5, where[0] + 0.5])
    steps = np.diff(where)
    return np.concatenate([[where[0] - steps[0] / 2], where[:-1] + steps / 2, [where[-1] + steps[-1] / 2]])


def format_time_axis(ax: Axes, *, years: bool, name: str = "") -> None:
    """Write few, short dates along the bottom.

    Parameters
    ----------
    ax : Axes
        The panel.
    years : bool
        Whether positions are decimal years.
    name : str
        Label of the axis where positions are decimal years.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> format_time_axis(Figure().add_subplot(), years=False)
    """
    sizes = sizes_in(ax)
    if years:
        ax.ticklabel_format(axis="x", useOffset=False)
        ax.set_xlabel(name, fontsize=sizes["label"])
    else:
        locator = _dates.AutoDateLocator(minticks=3, maxticks=7)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(_dates.ConciseDateFormatter(locator))
        ax.xaxis.get_offset_text().set_fontsize(sizes["tick"])
    ax.tick_params(labelsize=sizes["tick"], width=0.6)


def shade_warmup(ax: Axes, data: xr.DataArray, where: NDArray[np.float64]) -> list[Any]:
    """Hatch the steps whose warm-up was not wholly inside the data.

    Parameters
    ----------
    ax : Axes
        The panel.
    data : DataArray (time, ...)
        With the coordinate `full_warmup`, or without: then nothing is drawn.
    where : ndarray (time,)
        Positions of its steps.

    Returns
    -------
    list of Polygon
        With gid "warm-up".

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> data = xr.DataArray(np.zeros(3), {"full_warmup": ("time", [False, True, True])}, ("time",))
    >>> len(shade_warmup(Figure().add_subplot(), data, np.arange(3.0)))
    1
    """
    if "full_warmup" not in data.coords or data.coords["full_warmup"].ndim != 1:
        return []
    short = ~data.coords["full_warmup"].values.astype(bool)
    edges = step_edges(where)
    changes = np.flatnonzero(np.diff(np.concatenate([[False], short, [False]]).astype(int)))
    spans = []
    for first, last in zip(changes[::2], changes[1::2], strict=True):
        span = ax.axvspan(
            edges[first],
            edges[last],
            facecolor="white",
            edgecolor="0.5",
            alpha=0.6,
            hatch="////",
            linewidth=0,
            zorder=3,
        )
        span.set_gid("warm-up")
        spans.append(span)
    return spans
