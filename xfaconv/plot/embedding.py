"""The embedding over time, as rows of colours or as lines, with a known index below it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from xfaconv.errors import ArgumentError
from xfaconv.plot.colours import DIVERGING, INK
from xfaconv.plot.heat_map import draw_heat_map
from xfaconv.plot.labels import quantity_text, sizes_in
from xfaconv.plot.looks import check_looks
from xfaconv.plot.series import Record, draw_index, new_figure, read_record, tidy
from xfaconv.plot.time_axis import format_time_axis, shade_warmup, step_edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

Kind = Literal["heatmap", "line"]


def plot_embedding(
    embedding: xr.DataArray,
    *,
    kind: Kind = "heatmap",
    index: xr.DataArray | None = None,
    components: Sequence[Any] | None = None,
    anomalies: bool = True,
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
    robust: bool = True,
    levels: int | Sequence[float] | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    norm: Normalize | None = None,
    add_colorbar: bool = True,
    cbar_kwargs: Mapping[str, Any] | None = None,
    subplot_kws: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Draw the embedding over time.

    Parameters
    ----------
    embedding : DataArray (time, embedding)
        As `xfaconv.embed` gives it. Steps whose coordinate `full_warmup` is False are hatched.
    kind : {"heatmap", "line"}, default "heatmap"
        A row of colours for each component, or a line for each, one above the other on the same scale.
    index : DataArray (time,), optional
        A known index such as Nino3.4, drawn below on the same time axis. Not with `ax`.
    components : sequence, optional
        Labels of the components to draw; by default all.
    anomalies : bool, default True
        Draw each component about its own mean over the steps with a full warm-up: what changes is then seen, not the
        level that a component always has. Lines always are; panels of members never.
    title : str, optional
        Above the figure.
    ax : Axes, optional
        Where to draw; by default a new figure.
    figsize, size, aspect : optional
        Of the figure, or its height [inches] and width over height.
    row, col, col_wrap : optional
        Panels of further dimensions (members), as in xarray.
    cmap, center, robust, levels, vmin, vmax, norm : optional
        Colours of a heat map, as in xarray; zero is in the middle and `robust` is on by default.
    add_colorbar : bool, default True
        Draw a colour bar beside a heat map.
    cbar_kwargs, subplot_kws : mapping, optional
        Passed to the colour bar and to the axes.
    **kwargs
        Passed to matplotlib.

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
    check_looks(locals())
    if kind not in ("heatmap", "line"):
        raise ArgumentError("kind is unknown", expected="'heatmap' or 'line'", found=repr(kind))
    if index is not None and (ax is not None or row is not None or col is not None):
        raise ArgumentError(
            "index needs a panel of its own, so it cannot be combined with ax, row or col",
            fix="leave ax, row and col out",
        )
    record = read_record(embedding, "embedding", (row, col))
    if components is not None:
        embedding = _selected(embedding, record.component, components)
        record = read_record(embedding, "embedding", (row, col))
    if row is not None or col is not None:
        options = {
            "row": row,
            "col": col,
            "col_wrap": col_wrap,
            "figsize": figsize,
            "size": size,
            "aspect": aspect,
            "subplot_kws": subplot_kws,
            **kwargs,
        }
        if kind == "heatmap":
            options |= {
                "cmap": cmap or DIVERGING,
                "center": 0.0 if center is None and norm is None else center,
                "robust": robust,
                "levels": levels,
                "vmin": vmin,
                "vmax": vmax,
                "norm": norm,
                "add_colorbar": add_colorbar,
                "cbar_kwargs": cbar_kwargs,
            }
        return _facets(embedding.sortby(record.time).compute(), record, kind, options)
    below = None
    if ax is None:
        height = size or (3.0 if index is None else 4.0)
        figure = new_figure(*(figsize or (height * (aspect or 7.0 / height), height)))
        if index is None:
            ax = figure.add_subplot(**dict(subplot_kws or {}))
        else:
            ax, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True, subplot_kw=dict(subplot_kws or {}))
    sizes = sizes_in(ax)
    label = quantity_text(record.data, "embedding", longest=24)
    if anomalies or kind == "line":
        record, label = _about_the_mean(record), f"{label} anomaly"
    artists: Any
    if kind == "heatmap":
        artists = draw_heat_map(
            ax,
            record,
            label=label,
            default=DIVERGING,
            cmap=cmap,
            center=0.0 if center is None and norm is None else center,
            robust=robust,
            levels=levels,
            vmin=vmin,
            vmax=vmax,
            norm=norm,
            add_colorbar=add_colorbar,
            cbar_kwargs=cbar_kwargs,
            **kwargs,
        )
        ax.set_ylabel("component", fontsize=sizes["label"], color=INK)
    else:
        artists = _draw_lines(ax, record, **kwargs)
    shade_warmup(ax, record.data, record.steps)
    if below is not None and index is not None:
        draw_index(below, index, record.years)
        edges = step_edges(record.where)
        below.set_xlim(edges[0], edges[-1])
        ax.tick_params(axis="x", labelbottom=False, width=0.6)
    else:
        format_time_axis(ax, years=record.years, name=record.time)
    if title:
        ax.figure.suptitle(title, fontsize=sizes["title"] + 0.5, color=INK)
    return artists


def _selected(embedding: xr.DataArray, component: Hashable, wanted: Sequence[Any]) -> xr.DataArray:
    try:
        return embedding.sel({component: list(wanted)})
    except (KeyError, IndexError) as problem:
        raise ArgumentError(
            f"components are not all in the coordinate {component!r}",
            expected=f"labels among {embedding[component].values.tolist()}",
            found=repr(list(wanted)),
            fix=f"components={embedding[component].values[:3].tolist()}",
        ) from problem


def _about_the_mean(record: Record) -> Record:
    """Subtract the mean of each component over the steps with a full warm-up, or over all where none has one."""
    warm = record.data.coords.get("full_warmup")
    steady = np.ones(record.steps.size, dtype=bool) if warm is None or not warm.any() else warm.to_numpy().astype(bool)
    return replace(record, values=record.values - np.nanmean(record.data.to_numpy()[steady], axis=0))


def _draw_lines(ax: Any, record: Record, **kwargs: Any) -> list[Any]:
    """Lines one above the other, a unit of the axis being a common robust range, so that amplitudes can be compared."""
    sizes = sizes_in(ax)
    centred = record.values
    scale = float(np.nanpercentile(np.abs(centred), 99)) or 1.0
    rows = np.arange(centred.shape[1])
    lines = []
    for place, column in zip(rows, centred.T, strict=True):
        ax.axhline(place, color="0.85", linewidth=0.4, zorder=1)
        lines += ax.plot(record.where, place + 0.5 * column / scale, **{"color": INK, "linewidth": 0.8, **kwargs})
    step = -(-rows.size // 16)
    ax.set_yticks(rows[::step], record.names[::step], fontsize=sizes["tick"])
    ax.set_ylim(-0.8, rows.size - 0.2)
    ax.set_xlim(record.where[0], record.where[-1])
    ax.set_ylabel("component", fontsize=sizes["label"], color=INK)
    tidy(ax)
    return lines


def _facets(data: xr.DataArray, record: Record, kind: Kind, options: dict[str, Any]) -> Any:
    options = {name: value for name, value in options.items() if value is not None}
    if kind == "heatmap":
        return data.plot.pcolormesh(x=record.time, y=record.component, **options)
    return data.plot.line(x=record.time, hue=record.component, **options)
