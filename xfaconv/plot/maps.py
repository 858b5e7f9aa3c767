"""One way to draw a field on the sphere, alone or in panels, that every map of the package shares."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from cartopy import crs as ccrs
from cartopy.mpl.geoaxes import GeoAxes
from cartopy.mpl.ticker import LatitudeLocator, LongitudeLocator
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.ticker import MaxNLocator

from xfaconv.errors import ArgumentError
from xfaconv.plot import projections
from xfaconv.plot.coastlines import add_layer
from xfaconv.plot.colours import DIVERGING, FAINT, INK, MISSING, is_diverging, sequential
from xfaconv.plot.coordinates import as_cells, as_points, canonical
from xfaconv.plot.labels import panel_text, quantity_text, sizes_in
from xfaconv.plot.stippling import add_stippling, matched_stippling

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

    from xfaconv.grid import Grid
    from xfaconv.plot.coastlines import Resolution

Kind = Literal["pcolormesh", "contourf"]
Decorate = Callable[[GeoAxes, xr.DataArray, Mapping[Hashable, Any]], None]
_MOST_PANELS = 36
MAP_X, MAP_Y = "x on the map", "y on the map"
# Beyond this many cells a vector file is slow to open, so the field (not the lines and the text) becomes an image.
_MOST_VECTOR_CELLS = 20_000


@dataclass(frozen=True)
class MapStyle:
    """How a map looks: xarray's plotting arguments and those that maps add, as the public functions document them."""

    ax: Axes | None = None
    figsize: tuple[float, float] | None = None
    size: float | None = None
    aspect: float | None = None
    row: Hashable | None = None
    col: Hashable | None = None
    col_wrap: int | None = None
    cmap: str | Colormap | None = None
    center: float | Literal[False] | None = None
    robust: bool | None = None
    levels: int | Sequence[float] | None = None
    vmin: float | None = None
    vmax: float | None = None
    norm: Normalize | None = None
    add_colorbar: bool = True
    cbar_kwargs: Mapping[str, Any] | None = None
    subplot_kws: Mapping[str, Any] | None = None
    kind: Kind = "pcolormesh"
    projection: str | ccrs.CRS | None = None
    extent: projections.Extent | None = None
    stippling: xr.DataArray | Literal[False] | None = None
    coastlines: Resolution | Literal[False] = "110m"
    borders: bool = False
    title: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def draw_map(
    data: xr.DataArray, style: MapStyle, *, base_longitude: float | None = None, decorate: Decorate | None = None
) -> Any:
    """Draw a field, one map or one per value of `row` and `col`.

    Parameters
    ----------
    data : DataArray ([row,] [col,] latitude, longitude)
        In memory.
    style : MapStyle
        How it looks.
    base_longitude : float, optional
        Longitude [degrees] that the map should not have at its edge.
    decorate : callable, optional
        Draws more on each panel: called with the axes, the panel's field and the values of `row` and `col`.

    Returns
    -------
    QuadMesh, QuadContourSet or FacetGrid

    Raises
    ------
    ArgumentError
        If dimensions are left that no panel is given to, or `ax` is not a map.
    """
    _check_dimensions(data, style)
    plain, grid = canonical(data)
    projection = _projection(style, grid, base_longitude)
    stipples = matched_stippling(style.stippling, plain) if isinstance(style.stippling, xr.DataArray) else None
    drawn = _prepared(plain, grid, projection, style.kind)
    options = _drawing_options(drawn, plain, style)
    method = drawn.plot.contourf if style.kind == "contourf" else drawn.plot.pcolormesh
    panels: list[tuple[Any, dict[Hashable, Any]]]
    if style.row is None and style.col is None:
        ax = _single_axes(style, projection, grid)
        artist = method(ax=ax, add_colorbar=False, **options)
        panels, result = [(ax, {})], artist
    else:
        facets = _facets(plain, style, projection, grid)
        result = method(row=style.row, col=style.col, add_colorbar=False, **facets, **options)
        named = zip(result.axs.flat, result.name_dicts.flat, strict=True)
        panels = [(ax, names) for ax, names in named if names is not None]
        artist = _drawn_artist(result.axs.flat[0])
        for ax, names in zip(result.axs.flat, result.name_dicts.flat, strict=True):
            if names is None:
                ax.remove()
        result.fig.set_layout_engine("compressed", h_pad=0.06, w_pad=0.06, hspace=0.06)
    for ax, names in panels:
        panel = plain.sel(names)
        _finish(ax, grid, style)
        if stipples is not None:
            add_stippling(ax, stipples.sel({dim: value for dim, value in names.items() if dim in stipples.dims}))
        if decorate is not None:
            decorate(ax, panel, names)
    _titles(result, panels, plain, style)
    if style.add_colorbar:
        _colour_bar(result, artist, panels, plain, style)
    return result


def _drawn_artist(ax: Any) -> Any:
    """Find the field on a panel that nothing else was drawn on yet."""
    return next(artist for artist in ax.get_children() if isinstance(artist, ScalarMappable))


def _check_dimensions(data: xr.DataArray, style: MapStyle) -> None:
    if style.ax is not None and (style.row is not None or style.col is not None):
        raise ArgumentError(
            "ax cannot be combined with row or col", fix="leave ax out: panels need a figure of their own"
        )
    if style.ax is not None and not isinstance(style.ax, GeoAxes):
        raise ArgumentError(
            "ax is not a map",
            expected="a cartopy GeoAxes",
            found=type(style.ax).__name__,
            fix="ax = plt.axes(projection=cartopy.crs.Robinson(central_longitude=180))",
        )
    if style.kind not in ("pcolormesh", "contourf"):
        raise ArgumentError("kind is unknown", expected="'pcolormesh' or 'contourf'", found=repr(style.kind))
    for dim in (style.row, style.col):
        if dim is not None and dim not in data.dims:
            raise ArgumentError(
                f"{dim!r} is not a dimension that panels can be made of",
                expected=f"one of {tuple(str(name) for name in data.dims[:-2])}",
                found=repr(dim),
            )
    left = [dim for dim in canonical(data)[0].dims[:-2] if dim not in (style.row, style.col)]
    if left:
        raise ArgumentError(
            f"a map has two dimensions, and {', '.join(repr(dim) for dim in left)} would be left",
            expected="latitude, longitude, and one or two dimensions for row and col",
            found=", ".join(f"{dim}: {data.sizes[dim]}" for dim in data.dims),
            fix=f"col={left[0]!r}, or data.isel({left[0]}=0)",
        )
    count = int(np.prod([data.sizes[dim] for dim in (style.row, style.col) if dim is not None]))
    if count > _MOST_PANELS:
        dim = style.col if style.col is not None else style.row
        raise ArgumentError(
            f"{count} maps are too many for one figure",
            expected=f"at most {_MOST_PANELS}",
            fix=f"data.isel({dim}=slice(0, 12))",
        )


def _projection(style: MapStyle, grid: Grid, base_longitude: float | None) -> Any:
    if isinstance(style.ax, GeoAxes):
        if style.projection is not None:
            raise ArgumentError(
                "ax has a projection already, so projection= cannot be given as well",
                found=f"ax with {type(style.ax.projection).__name__}",
                fix="leave projection out",
            )
        return style.ax.projection
    given = (style.subplot_kws or {}).get("projection", style.projection)
    return projections.resolve(given, grid, projections.central_longitude(grid, base_longitude), style.extent)


def _prepared(plain: xr.DataArray, grid: Grid, projection: Any, kind: Kind) -> xr.DataArray:
    left = projections.left_edge(projection)
    drawn = as_cells(plain, grid, left) if kind == "pcolormesh" else as_points(plain, grid, left)
    low, high = projections.visible_latitudes(projection)
    places = drawn[drawn.dims[-2]].to_numpy()
    rows = np.array([cell.mid for cell in places]) if kind == "pcolormesh" else places
    # Rows far on the other side of a polar projection would be drawn at infinity.
    drawn = drawn.isel({drawn.dims[-2]: np.flatnonzero((rows >= low - 10) & (rows <= high + 10))})
    return drawn if kind == "pcolormesh" else _on_the_map(drawn, projection)


def _on_the_map(points: xr.DataArray, projection: Any) -> xr.DataArray:
    """Add 2-D coordinates on the map itself: contours made there cannot fall apart at its edge."""
    latitude, longitude = points.dims[-2:]
    columns, rows = np.meshgrid(points[longitude].to_numpy(), points[latitude].to_numpy())
    x, y, _ = np.moveaxis(projection.transform_points(ccrs.PlateCarree(), columns, rows), -1, 0)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return points
    return points.assign_coords({MAP_X: ((latitude, longitude), x), MAP_Y: ((latitude, longitude), y)})


def _drawing_options(drawn: xr.DataArray, plain: xr.DataArray, style: MapStyle) -> dict[str, Any]:
    latitude, longitude = plain.dims[-2:]
    # 0.0 equals False, so False is asked for by identity: zero is a centre, False is none.
    diverging = is_diverging(plain.to_numpy()) if style.center is None else style.center is not False
    options: dict[str, Any] = {
        "x": longitude,
        "y": latitude,
        "transform": ccrs.PlateCarree(),
        "add_labels": False,
        "cmap": style.cmap if style.cmap is not None else (DIVERGING if diverging else sequential()),
        "robust": bool(style.robust),
        "levels": style.levels,
        "vmin": style.vmin,
        "vmax": style.vmax,
        "norm": style.norm,
        "zorder": 1.0,
    }
    if style.norm is None:
        options["center"] = 0.0 if diverging and style.center is None else style.center
    if style.kind == "contourf":
        if MAP_X in drawn.coords:
            options |= {"x": MAP_X, "y": MAP_Y}
            del options["transform"]
        if style.levels is None and style.norm is None:
            options["levels"] = _round_levels(plain, style, diverging)
            options["extend"] = "both" if diverging else "max"
    else:
        options["rasterized"] = plain.sizes[latitude] * plain.sizes[longitude] > _MOST_VECTOR_CELLS
    return {**options, **style.extra}


def _round_levels(plain: xr.DataArray, style: MapStyle, diverging: bool) -> list[float]:
    """Round contour levels over the range that the colours cover."""
    low, high = np.nanpercentile(plain.values, (2, 98) if style.robust else (0, 100))
    if diverging:
        high = max(abs(low), abs(high))
        low = -high
    low, high = (low if style.vmin is None else style.vmin), (high if style.vmax is None else style.vmax)
    return [float(level) for level in MaxNLocator(12).tick_values(low, high)]


def _single_axes(style: MapStyle, projection: Any, grid: Grid) -> Any:
    if style.ax is not None:
        return style.ax
    width, height = _figure_size(style, projections.map_aspect(projection, grid, style.extent), 1, 1)
    current = plt.gcf() if plt.get_fignums() and style.figsize is None and style.size is None else None
    figure = (
        current
        if current is not None and not current.axes
        else plt.figure(figsize=(width, height), layout="compressed")
    )
    return figure.add_subplot(**{**(style.subplot_kws or {}), "projection": projection})


def _figure_size(style: MapStyle, map_aspect: float, rows: int, columns: int) -> tuple[float, float]:
    if style.figsize is not None:
        return style.figsize
    aspect = style.aspect if style.aspect is not None else map_aspect
    if style.size is not None:
        return columns * style.size * aspect, rows * style.size + 0.9
    width = 6.4 if columns == 1 else 7.2
    panel = min(width / columns / aspect, 4.8 if rows == 1 else 3.0)
    return panel * aspect * columns, rows * (panel + 0.3) + 0.7


def _facets(plain: xr.DataArray, style: MapStyle, projection: Any, grid: Grid) -> dict[str, Any]:
    columns = 1 if style.col is None else plain.sizes[style.col]
    rows = 1 if style.row is None else plain.sizes[style.row]
    out: dict[str, Any] = {"subplot_kws": {**(style.subplot_kws or {}), "projection": projection}}
    if style.col is not None and style.row is None:
        wrap = style.col_wrap or (columns if columns <= 3 else 2 if columns == 4 else 3)
        out["col_wrap"] = columns = min(wrap, columns)
        rows = -(-plain.sizes[style.col] // columns)
    out["figsize"] = _figure_size(style, projections.map_aspect(projection, grid, style.extent), rows, columns)
    return out


def _finish(ax: Any, grid: Grid, style: MapStyle) -> None:
    ax.set_facecolor(MISSING)
    projections.frame(ax, grid, style.extent)
    if style.coastlines:
        add_layer(ax, "coastline", style.coastlines)
    if style.borders:
        add_layer(ax, "borders")
    size = sizes_in(ax)["tick"] - 0.5
    boxed = isinstance(ax.projection, ccrs.PlateCarree | ccrs.Mercator | ccrs.LambertConformal)
    slanted = isinstance(ax.projection, ccrs.LambertConformal)
    sides = {"bottom": "x", "left": "y", "geo": "y"} if slanted else {"bottom": "x", "left": "y"}
    lines = ax.gridlines(
        draw_labels=sides if boxed else False,
        linewidth=0.3,
        color="0.5",
        alpha=0.5,
        zorder=1.5,
        x_inline=False,
        y_inline=False,
    )
    if boxed:
        lines.xlocator, lines.ylocator = LongitudeLocator(nbins=6), LatitudeLocator(nbins=6)
        lines.xlabel_style = lines.ylabel_style = {"size": size, "color": INK}
        lines.rotate_labels = False
    ax.spines["geo"].set_linewidth(0.6)
    ax.spines["geo"].set_edgecolor(INK)


def _titles(result: Any, panels: list[tuple[Any, dict[Hashable, Any]]], plain: xr.DataArray, style: MapStyle) -> None:
    figure = panels[0][0].figure
    sizes = sizes_in(panels[0][0])
    if style.row is None and style.col is None:
        if style.title:
            head, _, rest = style.title.partition("\n")
            pad = 5.0 + (1.4 * sizes["label"] if rest else 0.0)
            panels[0][0].set_title(head, fontsize=sizes["title"], color=INK, pad=pad)
            panels[0][0].annotate(
                rest,
                (0.5, 1.0),
                (0, 5),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=sizes["label"],
                color=FAINT,
            )
        return
    for label in [*result.row_labels, *result.col_labels]:
        if label is not None:
            label.set_visible(False)
    for position, (ax, names) in enumerate(panels):
        if style.row is not None and style.col is not None:
            columns = result.axs.shape[1]
            top = panel_text({style.col: names[style.col]}, plain) if position < columns else ""
            ax.set_title(top, fontsize=sizes["title"], color=INK)
            if position % columns == 0:
                side = panel_text({style.row: names[style.row]}, plain)
                ax.text(
                    -0.04,
                    0.5,
                    side,
                    rotation=90,
                    ha="right",
                    va="center",
                    transform=ax.transAxes,
                    fontsize=sizes["title"],
                    color=INK,
                )
        else:
            ax.set_title(panel_text(names, plain), fontsize=sizes["title"], color=INK)
    if style.title:
        figure.suptitle(style.title, fontsize=sizes["title"] + 0.5, color=INK)


def _colour_bar(
    result: Any, artist: Any, panels: list[tuple[Any, dict[Hashable, Any]]], plain: xr.DataArray, style: MapStyle
) -> None:
    axes = [ax for ax, _ in panels]
    sizes = sizes_in(axes[0])
    defaults: dict[str, Any] = {
        "orientation": "horizontal",
        "shrink": 0.6,
        "aspect": 35,
        "pad": 0.04,
        "label": quantity_text(plain, "field"),
    }
    if style.kind == "pcolormesh":
        defaults["extend"] = _extend(plain, artist)
    if "cax" in (style.cbar_kwargs or {}):
        defaults = {name: value for name, value in defaults.items() if name not in ("shrink", "aspect", "pad")}
    elif style.cbar_kwargs and style.cbar_kwargs.get("orientation") == "vertical":
        defaults.update(shrink=0.8, aspect=25)
    options = {**defaults, **(style.cbar_kwargs or {})}
    bar = axes[0].figure.colorbar(artist, **({} if "cax" in options else {"ax": axes}), **options)
    bar.ax.tick_params(labelsize=sizes["tick"], width=0.6, colors=INK)
    bar.set_label(options["label"], size=sizes["label"], color=INK)
    bar.outline.set_linewidth(0.6)
    if style.row is not None or style.col is not None:
        result.cbar = bar


def _extend(plain: xr.DataArray, artist: Any) -> str:
    """Which ends of the colour bar point on, because values lie beyond them."""
    if isinstance(artist.norm, BoundaryNorm):
        return str(artist.norm.extend)
    below = bool(np.nanmin(plain.values) < artist.norm.vmin)
    above = bool(np.nanmax(plain.values) > artist.norm.vmax)
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, above]
