"""Importance of the variables over time, with its mean beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from xfaconv.arguments import check_choice
from xfaconv.errors import ArgumentError
from xfaconv.plot.labels import quantity_text
from xfaconv.plot.series import (
    Record,
    draw_heat_map,
    draw_panels,
    format_time_axis,
    percent,
    read_record,
    shade_warmup,
    tidy,
)
from xfaconv.plot.style import FAINT, INK, Style, categorical, check_figure, figure, sequential, sizes_in

STYLE = Style()
Kind = Literal["area", "line", "heatmap"]
# Shares that move less than this would stack into level stripes.
_LEAST_SWING = 0.1


@figure(STYLE)
def plot_importance(
    importance: xr.DataArray, *, kind: Kind | None = None, mean: bool = True, order: bool = True, **options: Any
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
    row, col : hashable, optional
        Dimensions to make panels of (members), for lines and heat maps.

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
    if kind is not None:
        check_choice("kind", kind, ("area", "line", "heatmap"))
    check_figure(mean=mean, order=order)
    style = STYLE.updated(options)
    style = replace(style, cmap=sequential() if style.cmap is None else style.cmap)
    record = _ordered(read_record(importance, "importance", style), order)
    shares = _are_shares(record.values)
    if kind is None:
        kind = "area" if shares and not style.panels and _swing(record.values) >= _LEAST_SWING else "line"
    if style.panels:
        if kind == "area":
            raise ArgumentError("shares are stacked in one panel only", fix='kind="line"  # or no row and col')
        top_first = record.data[record.component].values[::-1]
        return draw_panels(importance.sel({record.component: top_first}), record, style, kind)
    if kind == "area" and not shares:
        raise ArgumentError(
            "importance cannot be stacked",
            expected="non-negative shares that sum to 1 over the variables",
            found=f"values from {np.nanmin(record.values):.3g} to {np.nanmax(record.values):.3g}",
            fix='kind="line"',
        )
    ax, beside = style.ax, None
    if ax is None:
        height = style.size or 2.8
        new = style.new_figure(height * (style.aspect or 2.5), height, "constrained")
        if mean:
            ax, beside = new.subplots(1, 2, width_ratios=(3, 1.15), subplot_kw=dict(style.subplot_kws or {}))
        else:
            ax = new.add_subplot(**dict(style.subplot_kws or {}))
    label = quantity_text(record.data, "importance", longest=24)
    colours = categorical(len(record.names))[::-1] if kind != "heatmap" else ["0.35"] * len(record.names)
    if kind == "heatmap":
        if shares and style.vmin is None and style.norm is None:
            style = replace(style, vmin=0.0)
        artists = draw_heat_map(ax, record, style, label, in_percent=shares)
    else:
        artists = _draw_curves(ax, record, kind, colours, shares, label, legend=beside is None, **style.extra)
    shade_warmup(ax, record.data, record.steps)
    format_time_axis(ax, years=record.years, name=record.time)
    if beside is not None:
        _draw_mean(beside, record, colours, shares)
    style.draw_title(ax.figure)
    return artists


def _ordered(record: Record, order: bool) -> Record:
    """Variables so that the most important one comes last: it is drawn at the top."""
    means = np.nan_to_num(np.nanmean(record.values, axis=0)) if record.values.size else np.zeros(0)
    places = np.argsort(means, kind="stable") if order else np.arange(means.size)[::-1]
    return replace(record, data=record.data.isel({record.component: places}), values=record.values[:, places])


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
        look = {"colors": colours, "labels": record.names, "edgecolor": "white", "linewidth": 0.25}
        artists = list(ax.stackplot(record.where, record.values.T, **{**look, **kwargs}))
        ax.set_ylim(0, 1)
    else:
        artists = [
            ax.plot(record.where, column, color=colour, label=name, **{"linewidth": 1.0, **kwargs})[0]
            for column, colour, name in zip(record.values.T, colours, record.names, strict=True)
        ]
    ax.set_xlim(record.where[0], record.where[-1])
    ax.set_ylabel(label, fontsize=sizes["label"], color=INK)
    if shares:
        ax.yaxis.set_major_formatter(percent())
    if legend:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False, "handlelength": 1.2}
        ax.legend(artists[::-1], record.names[::-1], fontsize=sizes["tick"], **place)
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
