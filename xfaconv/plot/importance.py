"""Importance of the variables over time, with its mean beside it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from matplotlib.ticker import FuncFormatter

from xfaconv.errors import ArgumentError
from xfaconv.plot.colours import FAINT, INK, categorical, sequential
from xfaconv.plot.heat_map import draw_heat_map
from xfaconv.plot.labels import quantity_text, sizes_in
from xfaconv.plot.looks import check_looks
from xfaconv.plot.series import Record, new_figure, read_record, tidy
from xfaconv.plot.time_axis import format_time_axis, shade_warmup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

Kind = Literal["area", "line", "heatmap"]
# Shares that move less than this would stack into level stripes.
_LEAST_SWING = 0.1


def plot_importance(
    importance: xr.DataArray,
    *,
    kind: Kind | None = None,
    mean: bool = True,
    order: bool = True,
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
    """Draw how much each variable matters over time, and on average.

    Parameters
    ----------
    importance : DataArray (time, variable) [1]
        As `xfaconv.importance` gives it: non-negative, 1 in sum over the variables.
    kind : {"area", "line", "heatmap"}, optional
        Shares stacked on each other, a line for each variable, or a row of colours for each. By default shares where
        the values are shares and any of them moves by a tenth, else lines.
    mean : bool, default True
        Add a panel of the mean over time beside it; it names the variables and their colours. Not with `ax`.
    order : bool, default True
        From the most important variable to the least; False keeps the order of the data.
    title : str, optional
        Above the figure.
    ax : Axes, optional
        Where to draw; by default a new figure.
    figsize, size, aspect : optional
        Of the figure, or its height [inches] and width over height.
    row, col, col_wrap : optional
        Panels of further dimensions (members), for lines and heat maps, as in xarray.
    cmap, center, robust, levels, vmin, vmax, norm : optional
        Colours of a heat map, as in xarray.
    add_colorbar : bool, default True
        Draw a colour bar beside a heat map.
    cbar_kwargs, subplot_kws : mapping, optional
        Passed to the colour bar and to the axes.
    **kwargs
        Passed to matplotlib.

    Returns
    -------
    list of PolyCollection, list of Line2D, QuadMesh or FacetGrid
        In the order in which the variables are drawn.

    Raises
    ------
    ArgumentError
        If `kind` is unknown, or shares are asked for that cannot be stacked.
    TimeError
        If there is no time coordinate.

    Examples
    --------
    >>> time = np.array(["2000-01-01", "2000-02-01", "2000-03-01"], "M8[ns]")
    >>> da = xr.DataArray([[0.7, 0.3]] * 3, {"time": time, "variable": ["sst", "z500"]}, ("time", "variable"))
    >>> [bar.get_text() for bar in plot_importance(da)[0].axes.figure.axes[1].get_yticklabels()]
    ['z500', 'sst']
    """
    check_looks(locals())
    if kind not in (None, "area", "line", "heatmap"):
        raise ArgumentError("kind is unknown", expected="'area', 'line' or 'heatmap'", found=repr(kind))
    record = _ordered(read_record(importance, "importance", (row, col)), order)
    shares = _are_shares(record.values)
    if kind is None:
        single = row is None and col is None
        kind = "area" if shares and single and _swing(record.values) >= _LEAST_SWING else "line"
    label = quantity_text(record.data, "importance", longest=24)
    if row is not None or col is not None:
        return _facets(
            importance,
            record,
            kind,
            row=row,
            col=col,
            col_wrap=col_wrap,
            figsize=figsize,
            size=size,
            aspect=aspect,
            cmap=cmap or sequential(),
            center=center,
            robust=robust,
            levels=levels,
            vmin=vmin,
            vmax=vmax,
            norm=norm,
            add_colorbar=add_colorbar,
            cbar_kwargs=cbar_kwargs,
            subplot_kws=subplot_kws,
            **kwargs,
        )
    if kind == "area" and not shares:
        raise ArgumentError(
            "importance cannot be stacked",
            expected="non-negative shares that sum to 1 over the variables",
            found=f"values from {np.nanmin(record.values):.3g} to {np.nanmax(record.values):.3g}",
            fix='kind="line"',
        )
    beside = None
    if ax is None:
        height = size or 2.8
        figure = new_figure(*(figsize or (height * (aspect or 2.5), height)))
        if mean:
            ax, beside = figure.subplots(1, 2, width_ratios=(3, 1.15), subplot_kw=dict(subplot_kws or {}))
        else:
            ax = figure.add_subplot(**dict(subplot_kws or {}))
    colours = categorical(len(record.names))[::-1] if kind != "heatmap" else ["0.35"] * len(record.names)
    artists: Any
    if kind == "heatmap":
        artists = draw_heat_map(
            ax,
            record,
            label=label,
            default=sequential(),
            cmap=cmap,
            center=center,
            robust=robust,
            levels=levels,
            vmin=0.0 if vmin is None and shares and norm is None else vmin,
            vmax=vmax,
            norm=norm,
            add_colorbar=add_colorbar,
            cbar_kwargs=cbar_kwargs,
            percent=shares,
            **kwargs,
        )
    else:
        artists = _draw_curves(ax, record, kind, colours, shares, label, legend=beside is None, **kwargs)
    shade_warmup(ax, record.data, record.steps)
    format_time_axis(ax, years=record.years, name=record.time)
    if beside is not None:
        _draw_mean(beside, record, colours, shares)
    if title:
        ax.figure.suptitle(title, fontsize=sizes_in(ax)["title"] + 0.5, color=INK)
    return artists


def _ordered(record: Record, order: bool) -> Record:
    """Variables so that the most important one comes last: it is drawn at the top."""
    means = np.nan_to_num(np.nanmean(record.values, axis=0)) if record.values.size else np.zeros(0)
    places = np.argsort(means, kind="stable") if order else np.arange(means.size)[::-1]
    data = record.data.isel({record.component: places})
    return Record(
        data, record.component, record.where, record.values[:, places], record.steps, record.years, record.time
    )


def _swing(values: Any) -> float:
    """Widest range over time of any variable, leaving out the extremes."""
    low, high = np.nanpercentile(values, (2, 98), axis=0)
    return float(np.max(high - low))


def _are_shares(values: Any) -> bool:
    known = values[np.isfinite(values).all(axis=1)]
    return bool(known.size and (known >= -1e-6).all() and np.allclose(known.sum(axis=1), 1, atol=1e-3))


def _draw_curves(
    ax: Any, record: Record, kind: Kind, colours: list[str], shares: bool, label: str, *, legend: bool, **kwargs: Any
) -> list[Any]:
    sizes = sizes_in(ax)
    if kind == "area":
        artists = list(
            ax.stackplot(
                record.where,
                record.values.T,
                colors=colours,
                labels=record.names,
                **{"edgecolor": "white", "linewidth": 0.25, **kwargs},
            )
        )
        ax.set_ylim(0, 1)
    else:
        artists = [
            ax.plot(record.where, column, color=colour, label=name, **{"linewidth": 1.0, **kwargs})[0]
            for column, colour, name in zip(record.values.T, colours, record.names, strict=True)
        ]
    ax.set_xlim(record.where[0], record.where[-1])
    ax.set_ylabel(label, fontsize=sizes["label"], color=INK)
    if shares:
        ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
    if legend:
        ax.legend(
            artists[::-1],
            record.names[::-1],
            fontsize=sizes["tick"],
            frameon=False,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            handlelength=1.2,
        )
    tidy(ax)
    return artists


def _draw_mean(ax: Any, record: Record, colours: list[str], shares: bool) -> None:
    sizes = sizes_in(ax)
    means = np.nanmean(record.values, axis=0)
    places = np.arange(means.size)
    bars = ax.barh(places, means, color=colours, height=0.75)
    digits = 0 if float(np.ptp(means)) >= _LEAST_SWING else 1
    texts = [f"{value:.{digits}%}" if shares else f"{value:.2g}" for value in means]
    patch = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    ax.bar_label(bars, texts, padding=3, fontsize=sizes["tick"], color=INK, bbox=patch)
    ax.set_yticks(places, record.names, fontsize=sizes["tick"])
    ax.set_ylim(-0.5, means.size - 0.5)
    ax.set_xlim(min(0.0, float(means.min())) * 1.2, max(float(means.max()), 0.0) * 1.25 or 1.0)
    tidy(ax)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set_title("mean", fontsize=sizes["label"], color=INK)
    if shares:
        line = ax.axvline(1 / means.size, color=FAINT, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0.9)
        line.set_gid("equal shares")
        ax.set_xlabel("dashed: equal shares", fontsize=sizes["tick"] - 0.5, color=FAINT)


def _facets(importance: xr.DataArray, record: Record, kind: Kind, **options: Any) -> Any:
    if kind == "area":
        raise ArgumentError("shares are stacked in one panel only", fix='kind="line" or kind="heatmap" with row or col')
    data = importance.sel({record.component: record.data[record.component].values[::-1]}).sortby(record.time).compute()
    options = {name: value for name, value in options.items() if value is not None}
    if kind == "heatmap":
        return data.plot.pcolormesh(x=record.time, y=record.component, **options)
    colours = ("cmap", "center", "robust", "levels", "vmin", "vmax", "norm", "add_colorbar", "cbar_kwargs")
    lines = {name: value for name, value in options.items() if name not in colours}
    return data.plot.line(x=record.time, hue=record.component, **lines)
