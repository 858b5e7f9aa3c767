"""What figures over time share: the record in order, heat maps, panels, the time axis, a companion index."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import dates as matplotlib_dates
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from xfaconv.plot.coordinates import intervals, time_dimension
from xfaconv.plot.labels import quantity_text, wrong_dimensions
from xfaconv.plot.style import INK, MISSING, NEGATIVE, POSITIVE, Style, check_panels, sizes_in

_GAP = 1.8
_MOST_NAMES = 16
# Matplotlib ships no types for its dates.
_dates: Any = matplotlib_dates


@dataclass(frozen=True, eq=False)
class Record:
    """A record over time with one other dimension, ready to be drawn.

    Parameters
    ----------
    data : DataArray (time, embedding)
        In memory, in the order of time.
    component : hashable
        Name of the other dimension.
    where : ndarray (time + gaps,)
        Positions along the axis, gaps opened.
    values : ndarray (time + gaps, component)
        Missing in the gaps.
    steps : ndarray (time,)
        Positions of the steps that are there.
    years : bool
        Whether positions are decimal years.
    time : str
        Name of the time dimension.
    """

    data: xr.DataArray
    component: Hashable
    where: NDArray[np.float64]
    values: NDArray[np.floating]
    steps: NDArray[np.float64]
    years: bool
    time: str

    @property
    def names(self) -> list[str]:
        """Names of the components."""
        return [str(value) for value in self.data[self.component].values]


def read_record(data: xr.DataArray, what: str, style: Style) -> Record:
    """Compute a record and find its dimensions.

    Parameters
    ----------
    data : DataArray (time, embedding)
        Any order, any chunks.
    what : str
        What it is, for the errors.
    style : Style
        With the dimensions that panels are made of.

    Returns
    -------
    Record
        Of the first panel where there are several.

    Raises
    ------
    TimeError
        If there is no time.
    ArgumentError
        If there is not exactly one other dimension.

    Examples
    --------
    >>> months = np.array(["2000-02-01", "2000-01-01"], "M8[ns]")
    >>> data = xr.DataArray([[1.0], [2.0]], {"time": months}, ("time", "k"))
    >>> read_record(data, "embedding", Style()).values.tolist()
    [[2.0], [1.0]]
    """
    time = time_dimension(data, what)
    panels = [dim for dim in (style.row, style.col) if dim is not None]
    check_panels(panels, [dim for dim in data.dims if dim != time])
    data = data.isel(dict.fromkeys(panels, 0))
    data = data.squeeze([dim for dim in data.dims if data.sizes[dim] == 1 and dim != time and data.ndim > 2])
    others = [dim for dim in data.dims if dim != time]
    if len(others) != 1:
        fix = f"{what} = {what}" + (f".isel({others[0]}=0)" if others else ".expand_dims('variable')")
        raise wrong_dimensions(data, f"{what} is drawn over time and one other dimension", "two dimensions", fix)
    data = data.transpose(time, others[0]).sortby(time).compute()
    years = is_calendar(data[time])
    steps = positions(data[time], years=years)
    where, values = open_gaps(steps, data.values)
    return Record(data, others[0], where, values, steps, years, str(time))


def tidy(ax: Axes) -> None:
    """Leave out what a reader does not need: the frame above and at the right, heavy ticks.

    Parameters
    ----------
    ax : Axes
        The panel.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> tidy(Figure().add_subplot())
    """
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_linewidth(0.6)
        ax.spines[side].set_color(INK)
    ax.tick_params(labelsize=sizes_in(ax)["tick"], width=0.6, colors=INK)


def percent() -> FuncFormatter:
    """Write shares in percent; a new formatter, because matplotlib ties each to its axis."""
    return FuncFormatter(lambda share, _: f"{100 * share:g}%")


def draw_heat_map(ax: Axes, record: Record, style: Style, label: str, *, in_percent: bool = False) -> Any:
    """Draw a record as rows of colours, the first component at the bottom.

    Parameters
    ----------
    ax : Axes
        The panel.
    record : Record
        What is drawn.
    style : Style
        Its colours and its colour bar.
    label : str
        Of the colour bar.
    in_percent : bool, default False
        Write the colour bar in percent.

    Returns
    -------
    QuadMesh
    """
    edges = step_edges(record.where)
    rows = np.arange(record.values.shape[1])
    # Cells are handed over as intervals: xarray draws those at their true edges, gaps included.
    cells = xr.DataArray(
        record.values.T,
        {"row": ("row", intervals(np.arange(rows.size + 1) - 0.5)), "step": ("step", intervals(edges))},
        ("row", "step"),
    )
    options = {**_colours(style), "rasterized": cells.size > 20_000, **style.extra}
    artist = cells.plot.pcolormesh(x="step", y="row", ax=ax, add_labels=False, add_colorbar=False, **options)
    ax.set_facecolor(MISSING)
    ax.set_xlim(edges[0], edges[-1])
    _name_rows(ax, rows, record.names)
    ax.tick_params(axis="y", length=0)
    for side in ax.spines.values():
        side.set_linewidth(0.6)
        side.set_color(INK)
    if style.add_colorbar:
        as_percent = {"format": percent()} if in_percent else {}
        style.draw_colour_bar(artist, [ax], label=label, pad=0.02, aspect=25, **as_percent)
    return artist


def draw_rows(ax: Axes, record: Record, **options: Any) -> list[Any]:
    """Draw lines one above the other, a unit of the axis being a common robust range, so that sizes can be compared.

    Parameters
    ----------
    ax : Axes
        The panel.
    record : Record
        What is drawn, about zero.
    **options
        Passed to `plot`.

    Returns
    -------
    list of Line2D
    """
    scale = float(np.nanpercentile(np.abs(record.values), 99)) or 1.0
    rows = np.arange(record.values.shape[1])
    lines = []
    for place, column in zip(rows, record.values.T, strict=True):
        ax.axhline(float(place), color="0.85", linewidth=0.4, zorder=1)
        lines += ax.plot(record.where, place + 0.5 * column / scale, **{"color": INK, "linewidth": 0.8, **options})
    _name_rows(ax, rows, record.names)
    ax.set_ylim(-0.8, rows.size - 0.2)
    ax.set_xlim(record.where[0], record.where[-1])
    tidy(ax)
    return lines


def _name_rows(ax: Axes, rows: NDArray[np.int64], names: list[str]) -> None:
    step = -(-rows.size // _MOST_NAMES)
    ax.set_yticks(rows[::step], names[::step], fontsize=sizes_in(ax)["tick"])


def draw_panels(data: xr.DataArray, record: Record, style: Style, kind: str) -> Any:
    """Draw panels of further dimensions as xarray does.

    Parameters
    ----------
    data : DataArray (time, component, ...)
        With the dimensions of the panels.
    record : Record
        Of the first panel.
    style : Style
        Its arguments.
    kind : {"heatmap", "line"}
        Rows of colours or lines.

    Returns
    -------
    FacetGrid
    """
    data = data.sortby(record.time).compute()
    names = ("row", "col", "col_wrap", "figsize", "size", "aspect", "subplot_kws")
    options: dict[str, Any] = {"x": record.time, **{name: getattr(style, name) for name in names}}
    if kind == "heatmap":
        options |= {**_colours(style), "y": record.component}
        options |= {"add_colorbar": style.add_colorbar, "cbar_kwargs": style.cbar_kwargs}
    method = data.plot.pcolormesh if kind == "heatmap" else data.plot.line
    options |= {} if kind == "heatmap" else {"hue": record.component}
    return method(**{name: value for name, value in options.items() if value is not None}, **style.extra)


def _colours(style: Style) -> dict[str, Any]:
    names = ("cmap", "center", "robust", "levels", "vmin", "vmax", "norm")
    # With a norm, xarray takes no centre.
    return {name: getattr(style, name) for name in names if name != "center" or style.norm is None}


def is_calendar(time: xr.DataArray) -> bool:
    """Whether dates are of a calendar that matplotlib lacks: they are then drawn as decimal years.

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
    """Positions of dates on the axis.

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
    """Hatch the steps whose warm-up is incomplete.

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
    look: dict[str, Any] = {"facecolor": "white", "edgecolor": "0.5", "alpha": 0.6, "hatch": "////", "linewidth": 0}
    return [
        ax.axvspan(edges[first], edges[last], gid="warm-up", zorder=3, **look)
        for first, last in zip(changes[::2], changes[1::2], strict=True)
    ]


def draw_index(ax: Axes, index: xr.DataArray, years: bool) -> list[Any]:
    """Draw an index above and below zero in two colours.

    Parameters
    ----------
    ax : Axes
        The panel; its limits along time stay.
    index : DataArray (time,)
        Such as Nino3.4, with `long_name` and `units` where known.
    years : bool
        Whether the panel's positions are decimal years.

    Returns
    -------
    list of artists

    Raises
    ------
    ArgumentError
        If it has other dimensions than time.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> months = np.array(["2000-01-01", "2000-02-01"], "M8[ns]")
    >>> len(draw_index(Figure().add_subplot(), xr.DataArray([1.0, -1.0], {"time": months}, ("time",)), False))
    3
    """
    time = time_dimension(index, "index")
    if index.ndim != 1:
        fix = f"index=index.isel({', '.join(f'{dim}=0' for dim in index.dims if dim != time)})  # or another"
        raise wrong_dimensions(index, "index is one series over time", "one dimension", fix)
    index = index.sortby(time).compute()
    where, values = open_gaps(positions(index[time], years=years), index.values)
    sizes = sizes_in(ax)
    above = ax.fill_between(where, np.maximum(values, 0), color=POSITIVE, linewidth=0, alpha=0.85)
    below = ax.fill_between(where, np.minimum(values, 0), color=NEGATIVE, linewidth=0, alpha=0.85)
    (line,) = ax.plot(where, values, color=INK, linewidth=0.5)
    ax.axhline(0.0, color=INK, linewidth=0.5)
    ax.set_ylabel(quantity_text(index, "index"), fontsize=sizes["label"], color=INK)
    tidy(ax)
    format_time_axis(ax, years=years, name=str(time))
    return [above, below, line]
