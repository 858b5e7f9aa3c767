"""Weather regimes: a map of each with its frequency, or the calendar of when each one held."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from xfaconv.errors import ArgumentError
from xfaconv.plot.coordinates import horizontal_dimensions, time_dimension
from xfaconv.plot.labels import date_precision, period_text, wrong_dimensions
from xfaconv.plot.maps import arrange, draw_map
from xfaconv.plot.series import tidy
from xfaconv.plot.style import INK, MISSING, MapStyle, categorical, figure, sizes_in

STYLE = MapStyle()
_MONTHS = ("J", "F", "M", "A", "M", "J", "J", "A", "S", "O", "N", "D")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@figure(STYLE)
def plot_regimes(regimes: xr.DataArray | xr.Dataset, composites: xr.DataArray | None = None, **options: Any) -> Any:
    """Draw regimes: with composites a map of each, without them the calendar of when each one held.

    The calendar takes `title`, `ax`, `figsize`, `size`, `aspect`, `cmap` (colours of the regimes), `add_colorbar`,
    `cbar_kwargs` (both of its legend) and `subplot_kws`; the other arguments are for maps.

    Parameters
    ----------
    regimes : DataArray or Dataset (time,)
        Regime of each time, numbers or names; negative numbers, NaN and empty names are none.
    composites : DataArray (regime, latitude, longitude), optional
        Mean field of each regime, such as z500 anomalies; its labels along `regime` are those of `regimes`.
    title : str, optional
        Above the figure; by default the dates.
    row, col : hashable, optional
        Dimensions of `composites` to make panels of; by default the regime is `col`.

    Returns
    -------
    FacetGrid or QuadMesh
        Of the maps; of the calendar.

    Raises
    ------
    ArgumentError
        If `composites` have no regime dimension, or regimes that `regimes` lack.
    TimeError
        If `regimes` have no time coordinate.

    Examples
    --------
    >>> time = np.arange("2001-01-01", "2001-09-28", dtype="M8[D]").astype("M8[ns]")
    >>> regimes = xr.DataArray((np.arange(time.size) // 9) % 3, {"time": time}, ("time",))
    >>> [text.get_text() for text in plot_regimes(regimes).axes.get_legend().get_texts()]
    ['0 (33%)', '1 (33%)', '2 (33%)']
    """
    style = STYLE.updated(options)
    regimes = regimes["label"] if isinstance(regimes, xr.Dataset) else regimes
    time = time_dimension(regimes, "regimes")
    if regimes.ndim != 1:
        raise wrong_dimensions(regimes, "regimes are one label for each time", "one dimension")
    regimes = regimes.sortby(time).compute()
    shares = _shares(regimes)
    period = period_text(regimes[time]).partition(", ")[2]
    if composites is None:
        return _draw_calendar(regimes, shares, replace(style, title=period if style.title is None else style.title))
    dim = _regime_dimension(composites, shares)
    if style.row != dim and style.col is None:
        style = replace(style, col=dim)
    field, _, style = arrange(composites, style)
    named = field.assign_coords({dim: [f"{label} ({shares[_label(label)]:.0%})" for label in field[dim].to_numpy()]})
    if isinstance(style.stippling, xr.DataArray) and dim in style.stippling.dims:
        dots = style.stippling.sel({dim: field[dim].to_numpy()})
        style = replace(style, stippling=dots.assign_coords({dim: named[dim].to_numpy()}))
    if style.title is None:
        style = replace(style, title=f"Regimes, {period}" if period else "Regimes")
    return draw_map(named, style)


def _held(regimes: xr.DataArray) -> Any:
    """Where some regime held: not where the label is missing, negative, empty or flagged as none (CF conventions)."""
    values = regimes.to_numpy()
    meanings = str(regimes.attrs.get("flag_meanings", "")).split()
    flags = np.atleast_1d(regimes.attrs.get("flag_values", [])).tolist()
    none = [flag for flag, meaning in zip(flags, meanings, strict=False) if meaning == "none"]
    if values.dtype.kind == "f":
        return np.isfinite(values) & (values >= 0) & ~np.isin(values, none)
    if values.dtype.kind in "iu":
        return (values >= 0) & ~np.isin(values, none)
    return np.array([bool(str(value)) for value in values])


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def _shares(regimes: xr.DataArray) -> dict[str, float]:
    """Share of the time that each regime held, of the time that any did, in the order of the labels."""
    held = regimes.to_numpy()[_held(regimes)]
    if held.size == 0:
        raise ArgumentError("regimes hold at no time", expected="labels such as 0, 1, 2", found="none")
    labels, counts = np.unique(held, return_counts=True)
    return {_label(label): count / held.size for label, count in zip(labels, counts, strict=True)}


def _regime_dimension(composites: xr.DataArray, shares: Mapping[str, float]) -> Hashable:
    horizontal = horizontal_dimensions(composites, "composites")
    others = [dim for dim in composites.dims if dim not in horizontal]
    dim = "regime" if "regime" in others else others[0] if len(others) == 1 else None
    if dim is None or dim not in composites.coords:
        expected = "dimensions (regime, latitude, longitude) with a coordinate regime"
        fix = "give the mean of xfaconv.analysis.regime_composites, or name the dimension and number its regimes"
        raise wrong_dimensions(composites, "composites have no labelled dimension of regimes", expected, fix)
    labels = [_label(value) for value in composites[dim].to_numpy()]
    if not set(labels) <= set(shares):
        problem = "composites have regimes that hold at no time"
        raise ArgumentError(problem, expected=f"labels among {list(shares)}", found=str(labels))
    return dim


def _colours(style: MapStyle, count: int) -> list[Any]:
    if style.cmap is None:
        return categorical(count)
    return list(mpl.colormaps.get_cmap(style.cmap)(np.linspace(0, 1, count)))


@dataclass(frozen=True, eq=False)
class _Calendar:
    """Axes of the calendar: a row for each year, the months that hold regimes along the bottom.

    Parameters
    ----------
    years : ndarray (row,)
        Years in which the rows begin.
    months : list of str
        Initials of the months, in the order of the axis.
    ends : list of int
        Columns at which months end, the beginning of the first included.
    turned : bool
        Whether rows begin within a year, so that a winter is in one piece.
    """

    years: NDArray[np.int64]
    months: list[str]
    ends: list[int]
    turned: bool


def _calendar(regimes: xr.DataArray, labels: list[str]) -> tuple[NDArray[np.float64], _Calendar]:
    """Give the number of the regime in each cell of the calendar, NaN where none held."""
    time = regimes[regimes.dims[0]]
    held = _held(regimes)
    months = time.dt.month.to_numpy() - 1
    order = _months_in_order(np.unique(months[held]))
    widths = np.ones(12, dtype=int) if date_precision(time) == "month" else np.array(_DAYS)
    ends = np.concatenate([[0], np.cumsum(widths[order])])
    begin = np.full(12, -1)
    begin[order] = ends[:-1]
    within = np.zeros(months.size, dtype=int) if widths[0] == 1 else time.dt.day.to_numpy() - 1
    first = time.dt.year.to_numpy() - (months < order[0])
    years = np.arange(first[held].min(), first[held].max() + 1)
    number = {label: place for place, label in enumerate(labels)}
    cells = np.full((years.size, int(ends[-1])), np.nan)
    codes = np.array([number.get(_label(value), np.nan) for value in regimes.to_numpy()])
    cells[first[held] - years[0], (begin[months] + within)[held]] = codes[held]
    turned = bool(order[0] > order[-1])
    return cells, _Calendar(years, [_MONTHS[month] for month in order], ends.tolist(), turned)


def _months_in_order(present: NDArray[np.int64]) -> NDArray[np.int64]:
    """Months that are there, beginning after the longest break, so that a winter is not cut at New Year."""
    if present.size == 12:
        return present
    breaks = np.mod(present - np.roll(present, 1), 12)
    return np.roll(present, -int(np.argmax(breaks)))


def _draw_calendar(regimes: xr.DataArray, shares: Mapping[str, float], style: MapStyle) -> Any:
    """Draw a row for each year, a cell for each day or month."""
    cells, calendar = _calendar(regimes, list(shares))
    ax: Any = style.ax
    if ax is None:
        height = style.size or 3.0
        ax = style.new_figure(height * (style.aspect or 1.6), height, "constrained").add_subplot(
            **(style.subplot_kws or {})
        )
    ax.set_facecolor(MISSING)
    colours = _colours(style, len(shares))
    look = {
        "cmap": ListedColormap(colours),
        "norm": BoundaryNorm(np.arange(len(shares) + 1) - 0.5, len(shares)),
        "rasterized": cells.size > 20_000,
    }
    rows = np.append(calendar.years - 0.5, calendar.years[-1] + 0.5)
    artist = ax.pcolormesh(np.arange(cells.shape[1] + 1), rows, cells, **{**look, **style.extra})
    sizes = sizes_in(ax)
    tidy(ax)
    ends = np.asarray(calendar.ends)
    ax.set_xticks(ends, [""] * ends.size)
    ax.set_xticks((ends[1:] + ends[:-1]) / 2, calendar.months, minor=True, fontsize=sizes["tick"], color=INK)
    if calendar.turned:
        ax.set_ylabel("year of the first month", fontsize=sizes["label"], color=INK)
    ax.tick_params(axis="x", which="minor", length=0)
    ax.yaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.invert_yaxis()
    ax.set_title(style.title, fontsize=sizes["title"], color=INK)
    if style.add_colorbar:
        labels = [f"{label} ({share:.0%})" for label, share in shares.items()]
        patches = [Patch(color=colour, label=label) for colour, label in zip(colours, labels, strict=True)]
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False, "handlelength": 1.0}
        ax.legend(handles=patches, **{**place, "fontsize": sizes["tick"], **(style.cbar_kwargs or {})})
    return artist
