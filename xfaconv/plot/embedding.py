"""The embedding over time, as rows of colours or as lines, with a known index below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr

from xfaconv.arguments import check_choice
from xfaconv.errors import ArgumentError
from xfaconv.plot.coordinates import select_labels
from xfaconv.plot.labels import quantity_text
from xfaconv.plot.series import (
    Record,
    draw_heat_map,
    draw_index,
    draw_panels,
    draw_rows,
    format_time_axis,
    read_record,
    shade_warmup,
    step_edges,
)
from xfaconv.plot.style import DIVERGING, INK, Style, check_figure, figure, sizes_in

STYLE = Style(robust=True)
Kind = Literal["heatmap", "line"]


@figure(STYLE)
def plot_embedding(
    embedding: xr.DataArray,
    *,
    kind: Kind = "heatmap",
    index: xr.DataArray | None = None,
    components: Sequence[Any] | None = None,
    anomalies: bool = True,
    **options: Any,
) -> Any:
    """Draw the embedding over time.

    Parameters
    ----------
    embedding : DataArray (time, embedding)
        As `xfaconv.embed` gives it, in its own order; `xfaconv.analysis.name_components` orders the components by the
        indices that they resemble and names them. Steps whose coordinate `full_warmup` is False are hatched.
    kind : {"heatmap", "line"}, default "heatmap"
        A row of colours for each component, or a line for each, one above the other on the same scale.
    index : DataArray (time,), optional
        A known index such as Nino3.4, drawn below on the same time axis. Not with `ax`, `row` or `col`.
    components : sequence, optional
        Labels of the components to draw; by default all.
    anomalies : bool, default True
        Draw each component about its own mean over the steps with a complete warm-up: this shows what changes, not
        the level that a component always has. Lines always are anomalies; panels of members never are.
    center : float or False, optional
        Value in the middle of the colours of a heat map; by default zero.

    Returns
    -------
    QuadMesh, list of Line2D or FacetGrid

    Raises
    ------
    ArgumentError
        If `kind` is unknown, or `index` is given together with `ax`.
    TimeError
        If there is no time coordinate.

    Examples
    --------
    >>> time = np.array(["2000-01-01", "2000-02-01", "2000-03-01"], "M8[ns]")
    >>> da = xr.DataArray(np.eye(3), {"time": time}, ("time", "embedding"))
    >>> type(plot_embedding(da)).__name__
    'QuadMesh'
    """
    check_choice("kind", kind, ("heatmap", "line"))
    check_figure(components=components, anomalies=anomalies)
    style = STYLE.updated(options)
    style = replace(
        style,
        cmap=DIVERGING if style.cmap is None else style.cmap,
        center=0.0 if style.center is None else style.center,
    )
    if index is not None and (style.ax is not None or style.panels):
        raise ArgumentError(
            "index needs a panel of its own, so it cannot be combined with ax, row or col",
            fix="leave ax, row and col out",
        )
    record = read_record(embedding, "embedding", style)
    if components is not None:
        embedding = select_labels(embedding, record.component, components, "components")
        record = read_record(embedding, "embedding", style)
    if style.panels:
        return draw_panels(embedding, record, style, kind)
    ax, below = style.ax, None
    if ax is None:
        height = style.size or (3.0 if index is None else 4.0)
        new = style.new_figure(height * (style.aspect or 7.0 / height), height, "constrained")
        if index is None:
            ax = new.add_subplot(**dict(style.subplot_kws or {}))
        else:
            ax, below = new.subplots(2, 1, height_ratios=(3, 1), sharex=True, subplot_kw=dict(style.subplot_kws or {}))
    label = quantity_text(record.data, "embedding", longest=24)
    if anomalies or kind == "line":
        record, label = _about_the_mean(record), f"{label} anomaly"
    heat = kind == "heatmap"
    artists = draw_heat_map(ax, record, style, label) if heat else draw_rows(ax, record, **style.extra)
    ax.set_ylabel("component", fontsize=sizes_in(ax)["label"], color=INK)
    shade_warmup(ax, record.data, record.steps)
    if below is not None and index is not None:
        draw_index(below, index, record.years)
        edges = step_edges(record.where)
        below.set_xlim(edges[0], edges[-1])
        ax.tick_params(axis="x", labelbottom=False, width=0.6)
    else:
        format_time_axis(ax, years=record.years, name=record.time)
    style.draw_title(ax.figure)
    return artists


def _about_the_mean(record: Record) -> Record:
    """Subtract the mean of each component over the steps with a complete warm-up, or over all where none has one."""
    warm = record.data.coords.get("full_warmup")
    steady = np.ones(record.steps.size, dtype=bool) if warm is None or not warm.any() else warm.to_numpy().astype(bool)
    return replace(record, values=record.values - np.nanmean(record.data.to_numpy()[steady], axis=0))
