"""Weather regimes: a map of each with its frequency, or the calendar of when each one held."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from xfaconv.errors import ArgumentError
from xfaconv.plot.arrangement import arrange
from xfaconv.plot.colours import INK, MISSING, categorical
from xfaconv.plot.coordinates import horizontal_dimensions
from xfaconv.plot.labels import date_precision, period_text, sizes_in
from xfaconv.plot.looks import check_looks
from xfaconv.plot.maps import Kind, MapStyle, draw_map
from xfaconv.plot.series import new_figure, tidy
from xfaconv.plot.time_axis import time_dimension

if TYPE_CHECKING:
    from cartopy import crs as ccrs
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

    from xfaconv.plot.coastlines import Resolution
    from xfaconv.plot.projections import Extent

_MONTHS = ("J", "F", "M", "A", "M", "J", "J", "A", "S", "O", "N", "D")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def plot_regimes(
    regimes: xr.DataArray,
    composites: xr.DataArray | None = None,
    *,
    stippling: xr.DataArray | None = None,
    projection: str | ccrs.CRS | None = None,
    extent: Extent | None = None,
    coastlines: Resolution | Literal[False] = "110m",
    borders: bool = False,
    kind: Kind = "pcolormesh",
    title: str | None = None,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
    size: float | None = None,
    aspect: float | None = None,
    row: Hashable | None = None,
    col: Hashable | None = None,
    col_wrap: int | None = None,
    cmap: str | Colormap | None = None,
    center: float | Literal[False] | None = None,
    robust: bool = False,
    levels: int | Sequence[float] | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    norm: Normalize | None = None,
    add_colorbar: bool = True,
    cbar_kwargs: Mapping[str, Any] | None = None,
    subplot_kws: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Draw regimes: with composites a map of each, without them the calendar of when each one held.

    Parameters
    ----------
    regimes : DataArray (time,)
        Regime of each time, numbers or names; negative numbers, NaN and empty names are none.
    composites : DataArray (regime, latitude, longitude), optional
        Mean field of each regime, such as z500 anomalies; its labels along `regime` are those of `regimes`.
    stippling : DataArray (regime, latitude, longitude), bool, optional
        Dots where True.
    projection, extent, coastlines, borders, kind, col_wrap, center, robust, levels, vmin, vmax, norm : optional
        Of the maps, as in `plot_attention`; the calendar has none of them.
    title : str, optional
        Above the figure; by default the dates.
    ax : Axes, optional
        Where to draw the calendar; by default a new figure.
    figsize, size, aspect : optional
        Of the figure, or height [inches] and width over height of each map, as in xarray.
    row, col : hashable, optional
        Dimensions of `composites` to make panels of; by default the regime is `col`.
    cmap : str or Colormap, optional
        Of the maps; in the calendar the colours of the regimes.
    add_colorbar : bool, default True
        Draw the colour bar of the maps, or the legend of the calendar.
    cbar_kwargs, subplot_kws : mapping, optional
        Passed to the colour bar (or the legend) and to the axes.
    **kwargs
        Passed to matplotlib.

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
    check_looks(locals())
    time = time_dimension(regimes, "regimes")
    if regimes.ndim != 1:
        raise ArgumentError(
            "regimes are one label for each time",
            expected="one dimension",
            found=", ".join(f"{dim}: {regimes.sizes[dim]}" for dim in regimes.dims),
        )
    regimes = regimes.sortby(time).compute()
    shares = _shares(regimes)
    period = period_text(regimes[time]).partition(", ")[2]
    if composites is None:
        colours = categorical(len(shares)) if cmap is None else _sampled(cmap, len(shares))
        return _draw_calendar(
            regimes,
            shares,
            colours,
            ax=ax,
            figsize=figsize or ((size or 3.0) * (aspect or 1.6), size or 3.0),
            legend=add_colorbar,
            legend_options=cbar_kwargs or {},
            subplot_kws=subplot_kws or {},
            title=period if title is None else title,
            **kwargs,
        )
    dim = _regime_dimension(composites, shares)
    field, _, row, col = arrange(composites, row, col if row == dim else (col or dim))
    named = field.assign_coords({dim: [f"{label} ({shares[str(label)]:.0%})" for label in field[dim].to_numpy()]})
    if isinstance(stippling, xr.DataArray) and dim in stippling.dims:
        stippling = stippling.sel({dim: field[dim].to_numpy()}).assign_coords({dim: named[dim].to_numpy()})
    style = MapStyle(
        ax=ax,
        figsize=figsize,
        size=size,
        aspect=aspect,
        row=row,
        col=col,
        col_wrap=col_wrap,
        cmap=cmap,
        center=center,
        robust=robust,
        levels=levels,
        vmin=vmin,
        vmax=vmax,
        norm=norm,
        add_colorbar=add_colorbar,
        cbar_kwargs=cbar_kwargs,
        subplot_kws=subplot_kws,
        kind=kind,
        projection=projection,
        extent=extent,
        stippling=stippling,
        coastlines=coastlines,
        borders=borders,
        title=(f"Regimes, {period}" if period else "Regimes") if title is None else title,
        extra=kwargs,
    )
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
    horizontal = horizontal_dimensions(composites)
    others = [dim for dim in composites.dims if dim not in horizontal]
    dim = "regime" if "regime" in others else others[0] if len(others) == 1 else None
    if dim is None or dim not in composites.coords:
        raise ArgumentError(
            "composites have no labelled dimension of regimes",
            expected="dimensions (regime, latitude, longitude) with a coordinate regime",
            found=f"dimensions {tuple(str(name) for name in composites.dims)}",
            fix="field.groupby(regimes.rename('regime')).mean()",
        )
    unknown = [_label(value) for value in composites[dim].to_numpy() if _label(value) not in shares]
    if unknown:
        raise ArgumentError(
            f"composites have regimes that hold at no time: {', '.join(unknown)}",
            expected=f"labels among {list(shares)}",
            found=str([_label(value) for value in composites[dim].to_numpy()]),
        )
    return dim


def _sampled(cmap: str | Colormap, count: int) -> list[Any]:
    import matplotlib as mpl

    colours = mpl.colormaps[cmap] if isinstance(cmap, str) else cmap
    return [colours(place) for place in np.linspace(0, 1, count)]


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


def _draw_calendar(
    regimes: xr.DataArray,
    shares: Mapping[str, float],
    colours: list[Any],
    *,
    ax: Any,
    figsize: tuple[float, float],
    legend: bool,
    legend_options: Mapping[str, Any],
    subplot_kws: Mapping[str, Any],
    title: str,
    **kwargs: Any,
) -> Any:
    """Draw a row for each year, a cell for each day or month."""
    cells, calendar = _calendar(regimes, list(shares))
    if ax is None:
        ax = new_figure(*figsize).add_subplot(**subplot_kws)
    ax.set_facecolor(MISSING)
    artist = ax.pcolormesh(
        np.arange(cells.shape[1] + 1),
        np.append(calendar.years - 0.5, calendar.years[-1] + 0.5),
        cells,
        **{
            "cmap": ListedColormap(colours),
            "norm": BoundaryNorm(np.arange(len(shares) + 1) - 0.5, len(shares)),
            "rasterized": cells.size > 20_000,
            **kwargs,
        },
    )
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
    if title:
        ax.set_title(title, fontsize=sizes["title"], color=INK)
    if legend:
        patches = [
            Patch(color=colour, label=f"{label} ({share:.0%})")
            for colour, (label, share) in zip(colours, shares.items(), strict=True)
        ]
        options = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False, "handlelength": 1.0}
        ax.legend(handles=patches, **{**options, "fontsize": sizes["tick"], **legend_options})
    return artist
