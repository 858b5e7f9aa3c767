"""A record as rows of colours: time along the bottom, one row for each variable or component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from matplotlib.ticker import FuncFormatter

from xfaconv.plot.colours import INK, MISSING
from xfaconv.plot.labels import sizes_in
from xfaconv.plot.series import Record
from xfaconv.plot.time_axis import step_edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

_MOST_NAMES = 16


def draw_heat_map(
    ax: Axes,
    record: Record,
    *,
    label: str,
    default: str | Colormap,
    cmap: str | Colormap | None,
    center: float | Literal[False] | None,
    robust: bool,
    levels: int | Sequence[float] | None,
    vmin: float | None,
    vmax: float | None,
    norm: Normalize | None,
    add_colorbar: bool,
    cbar_kwargs: Mapping[str, Any] | None,
    percent: bool = False,
    **kwargs: Any,
) -> Any:
    """Draw a record as rows of colours, the first component at the bottom.

    Parameters
    ----------
    ax : Axes
        The panel.
    record : Record
        What is drawn.
    label : str
        Of the colour bar.
    default : str or Colormap
        Colour map where `cmap` is None.
    cmap, center, robust, levels, vmin, vmax, norm
        Colours, as in xarray.
    add_colorbar, cbar_kwargs
        As in xarray.
    percent : bool, default False
        Write the colour bar in percent.
    **kwargs
        Passed to `pcolormesh`.

    Returns
    -------
    QuadMesh
    """
    edges = step_edges(record.where)
    rows = np.arange(record.values.shape[1])
    # Cells are handed over as intervals: xarray draws those at their true edges, gaps included.
    cells = xr.DataArray(
        record.values.T,
        {"row": ("row", _intervals(rows - 0.5, rows + 0.5)), "step": ("step", _intervals(edges[:-1], edges[1:]))},
        ("row", "step"),
    )
    options: dict[str, Any] = {
        "cmap": cmap if cmap is not None else default,
        "robust": robust,
        "levels": levels,
        "vmin": vmin,
        "vmax": vmax,
        "norm": norm,
    }
    if norm is None:
        options["center"] = center
    artist = cells.plot.pcolormesh(
        x="step",
        y="row",
        ax=ax,
        add_labels=False,
        add_colorbar=False,
        **{**options, "rasterized": cells.size > 20_000, **kwargs},
    )
    sizes = sizes_in(ax)
    ax.set_facecolor(MISSING)
    ax.set_xlim(edges[0], edges[-1])
    step = -(-rows.size // _MOST_NAMES)
    ax.set_yticks(rows[::step], record.names[::step], fontsize=sizes["tick"])
    ax.tick_params(axis="y", length=0)
    for side in ax.spines.values():
        side.set_linewidth(0.6)
        side.set_color(INK)
    if add_colorbar:
        bar_options: dict[str, Any] = {"label": label, "pad": 0.02, "aspect": 25, **(cbar_kwargs or {})}
        if percent:
            bar_options.setdefault("format", FuncFormatter(lambda share, _: f"{100 * share:g}%"))
        if "cax" not in bar_options:
            bar_options["ax"] = ax
        bar = ax.figure.colorbar(artist, **bar_options)
        bar.ax.tick_params(labelsize=sizes["tick"], width=0.6, colors=INK)
        bar.set_label(bar_options["label"], size=sizes["label"], color=INK)
        bar.outline.set_linewidth(0.6)
    return artist


def _intervals(low: Any, high: Any) -> Any:
    import pandas as pd

    out = np.empty(len(low), dtype=object)
    out[:] = [pd.Interval(first, last) for first, last in zip(low, high, strict=True)]
    return out
