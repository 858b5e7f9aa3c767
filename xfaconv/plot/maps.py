"""One way from a record to maps, alone or in panels: arranged, drawn, titled, explained by a colour bar."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from cartopy import crs as ccrs
from cartopy.mpl.geoaxes import GeoAxes
from cartopy.mpl.ticker import LatitudeLocator, LongitudeLocator
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.ticker import FuncFormatter, MaxNLocator

from xfaconv.arguments import check_choice
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.names import find_dimension
from xfaconv.plot import projections
from xfaconv.plot.coastlines import add_layer
from xfaconv.plot.coordinates import as_cells, as_points, canonical, horizontal_dimensions, with_degrees
from xfaconv.plot.labels import (
    covered_text,
    dots_text,
    panel_text,
    period_text,
    place_text,
    quantity_text,
    wrong_dimensions,
)
from xfaconv.plot.overlays import Point, add_base_points, add_stippling, matched_stippling
from xfaconv.plot.style import (
    DIVERGING,
    FAINT,
    INK,
    MISSING,
    MapStyle,
    check_panels,
    is_diverging,
    sequential,
    sizes_in,
)

Panels = list[tuple[Any, dict[Hashable, Any]]]
_SEASONS = ("DJF", "MAM", "JJA", "SON")
_MOST_PANELS = 36
_LONGEST_TITLE = 80
# Letters in a line below a title, however small the map.
_NARROWEST = 24
# A grid from -180 to 180 may end at 180.0001 in single precision.
_HALF_TURN = 180.01
MAP_X, MAP_Y = "x on the map", "y on the map"
# Beyond this many cells a vector file is slow to open, so the field (not the lines and the text) becomes an image.
_MOST_VECTOR_CELLS = 20_000


def arrange(data: xr.DataArray, style: MapStyle) -> tuple[xr.DataArray, str, MapStyle]:
    """Bring a record to the maps that will be drawn: seasons or a mean over time, and a dimension for the panels.

    Parameters
    ----------
    data : DataArray (..., latitude, longitude)
        Any chunks; it is computed here, once.
    style : MapStyle
        With the dimensions of the panels, "season" for the mean of each season.

    Returns
    -------
    field : DataArray ([row,] [col,] latitude, longitude)
        In memory.
    period : str
        The time that it represents, empty where that is unknown or the panels say it.
    style : MapStyle
        With a dimension that was left over as `col`.

    Examples
    --------
    >>> da = xr.DataArray(np.ones((3, 2, 2)), {"head": [1, 2, 3], "lat": [0, 1], "lon": [0, 1]},
    ...                   ("head", "lat", "lon"))
    >>> arrange(da, MapStyle())[2].col
    'head'
    """
    horizontal = horizontal_dimensions(data)
    faceted = (style.row, style.col)
    time = find_dimension(data, "time")
    period = ""
    if time is None:
        scalars = [coord for coord in data.coords.values() if coord.ndim == 0]
        period = next((text for coord in scalars if (text := period_text(coord))), "") or covered_text(data.attrs)
    elif time not in faceted:
        period = period_text(data[time])
        if "season" in faceted and "season" not in data.dims:
            data = data.groupby(f"{time}.season").mean(skipna=True, keep_attrs=True)
            data = data.sel(season=[name for name in _SEASONS if name in data["season"].values])
        else:
            data = data.mean([time], keep_attrs=True)
    others = [dim for dim in data.dims if dim not in horizontal and dim not in faceted]
    data = data.squeeze([dim for dim in others if data.sizes[dim] == 1])
    left = [dim for dim in others if dim in data.dims]
    if len(left) == 1 and style.col is None:
        style = replace(style, col=left[0])
    return data.compute(), period, style


def map_title(what: str, points: Mapping[str, Point], period: str, style: MapStyle) -> str:
    r"""Title of a figure of maps: what it shows and of which base point, when, and what the dots mean.

    Parameters
    ----------
    what : str
        Quantity and the word before the base point, such as "Attention from".
    points : mapping of str to (float, float)
        Base points; named in the title where there is one.
    period : str
        The time that the maps represent.
    style : MapStyle
        Its title takes the place of the first line, and the rest stays, so that no figure loses its base point and its
        dates; a title of two lines, or an empty one, is taken as it is. The titles of panels are one line if it fits.

    Returns
    -------
    str

    Examples
    --------
    >>> map_title("Attention from", {"nino34": (0.0, -140.0)}, "Jan 2000", MapStyle(col="head"))
    'Attention from nino34 (0°, 140°W), Jan 2000'
    >>> map_title("Attention from", {"": (0.0, -140.0)}, "", MapStyle(title="Mean"))
    'Mean\nbase point 0°, 140°W'
    """
    given = style.title
    if given is not None and (not given or "\n" in given):
        return given
    base = ""
    if len(points) == 1:
        ((name, point),) = points.items()
        base = f"{name} ({place_text(*point)})" if name else place_text(*point)
    head = given or (f"{what} {base}" if base else what.rsplit(" ", 1)[0])
    known = not given or not base or base.partition(" (")[0] in given
    facts = ["" if known else f"base point {base}", period, dots_text(style.stippling)]
    rest = ", ".join(fact for fact in facts if fact)
    one_line = style.panels and len(head) + len(rest) < _LONGEST_TITLE
    return f"{head}{', ' if one_line else chr(10)}{rest}" if rest else head


def draw_map(
    data: xr.DataArray, style: MapStyle, points: Mapping[str, Point] | None = None, great_circles: int = 0
) -> Any:
    """Draw a field, one map or one per value of `row` and `col`.

    Parameters
    ----------
    data : DataArray ([row,] [col,] latitude, longitude)
        In memory.
    style : MapStyle
        Its arguments.
    points : mapping of str to (float, float), optional
        Base points to mark, by name; the map is not cut near the first. In panels of base points each marks its own.
    great_circles : int, default 0
        Draw the great circles from each base point to this many of the strongest places.

    Returns
    -------
    QuadMesh, QuadContourSet or FacetGrid

    Raises
    ------
    ArgumentError
        If dimensions are left that no panel is given to, or `ax` is not a map.

    Examples
    --------
    >>> latitude, longitude = np.arange(-85, 90, 10.0), np.arange(0, 360, 10.0)
    >>> da = xr.DataArray(np.ones((18, 36)), {"lat": latitude, "lon": longitude}, ("lat", "lon"))
    >>> draw_map(da, MapStyle(title="One")).axes.get_title()
    'One'
    """
    data = with_degrees(data)
    plain, grid = canonical(data)
    _check(plain, style)
    # Labels speak of the user's longitudes: 0 to 360 where they go beyond 180, though `plain` may go beyond 360.
    east_only = bool(np.nanmax(np.asarray(data[plain.dims[-1]].values, dtype=np.float64)) > _HALF_TURN)
    points = points or {}
    projection = _projection(style, grid, next((longitude for _, longitude in points.values()), None))
    stipples = matched_stippling(style.stippling, plain) if isinstance(style.stippling, xr.DataArray) else None
    drawn = _prepared(plain, grid, projection, style.kind)
    options = _drawing_options(drawn, plain, style)
    method = drawn.plot.contourf if style.kind == "contourf" else drawn.plot.pcolormesh
    panels: Panels
    if style.panels:
        facets = _facets(plain, style, projection, grid)
        result = method(row=style.row, col=style.col, add_colorbar=False, **facets, **options)
        named = list(zip(result.axs.flat, result.name_dicts.flat, strict=True))
        panels = [(ax, names) for ax, names in named if names is not None]
        artist = next(found for found in panels[0][0].get_children() if isinstance(found, ScalarMappable))
        for ax, names in named:
            if names is None:
                ax.remove()
        result.fig.set_layout_engine("compressed", h_pad=0.06, w_pad=0.06, hspace=0.06)
    else:
        ax = _single_axes(style, projection, grid)
        result = artist = method(ax=ax, add_colorbar=False, **options)
        panels = [(ax, {})]
    for ax, names in panels:
        _finish(ax, grid, style, east_only=east_only)
        if stipples is not None:
            add_stippling(ax, stipples.sel({dim: value for dim, value in names.items() if dim in stipples.dims}))
        add_base_points(ax, plain.sel(names), points, names, great_circles)
    _titles(result, panels, plain, style)
    if style.add_colorbar:
        _colour_bar(result, artist, panels, plain, style)
    return result


def _check(plain: xr.DataArray, style: MapStyle) -> None:
    check_choice("kind", style.kind, ("pcolormesh", "contourf"))
    if style.ax is not None and not isinstance(style.ax, GeoAxes):
        raise ArgumentError(
            "ax is not a map",
            expected="a cartopy GeoAxes",
            found=type(style.ax).__name__,
            fix="import cartopy.crs; ax = plt.axes(projection=cartopy.crs.Robinson(central_longitude=180))",
        )
    own = plain.dims[:-2]
    faceted = [dim for dim in (style.row, style.col) if dim is not None]
    check_panels(faceted, own)
    left = [dim for dim in own if dim not in faceted]
    if left:
        problem = f"a map has two dimensions, and {', '.join(repr(dim) for dim in left)} would be left"
        expected = "latitude, longitude, and one or two dimensions for row and col"
        raise wrong_dimensions(plain, problem, expected, f"col={left[0]!r}  # or one of them, with .isel({left[0]}=0)")
    count = int(np.prod([plain.sizes[dim] for dim in faceted]))
    if count > _MOST_PANELS:
        raise ArgumentError(
            f"{count} maps are too many for one figure",
            expected=f"at most {_MOST_PANELS}",
            fix=f"draw fewer, such as with .isel({faceted[-1]}=slice(0, 12))",
        )


def _projection(style: MapStyle, grid: Grid, base_longitude: float | None) -> Any:
    if isinstance(style.ax, GeoAxes):
        if style.projection is not None:
            raise ArgumentError(
                "ax has a projection already, so projection= cannot be given as well", fix="leave projection out"
            )
        return style.ax.projection
    given = (style.subplot_kws or {}).get("projection", style.projection)
    return projections.resolve(given, grid, projections.central_longitude(grid, base_longitude), style.extent)


def _prepared(plain: xr.DataArray, grid: Grid, projection: Any, kind: str) -> xr.DataArray:
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
    # 0.0 == False, so False is recognised by identity: zero is a centre, False is none.
    diverging = is_diverging(plain.to_numpy()) if style.center is None else style.center is not False
    options: dict[str, Any] = {
        "x": longitude,
        "y": latitude,
        "transform": ccrs.PlateCarree(),
        "add_labels": False,
        "cmap": style.cmap if style.cmap is not None else (DIVERGING if diverging else sequential()),
        **{name: getattr(style, name) for name in ("robust", "levels", "vmin", "vmax", "norm")},
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
    size = _figure_size(style, projections.map_aspect(projection, grid, style.extent), 1, 1)
    options = {**(style.subplot_kws or {}), "projection": projection}
    return style.new_figure(*size, "compressed").add_subplot(**options)


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


def _finish(ax: Any, grid: Grid, style: MapStyle, *, east_only: bool) -> None:
    ax.set_facecolor(MISSING)
    projections.frame(ax, grid, style.extent)
    if style.coastlines:
        add_layer(ax, "coastline", style.coastlines)
    if style.borders:
        add_layer(ax, "borders")
    boxed = isinstance(ax.projection, ccrs.PlateCarree | ccrs.Mercator | ccrs.LambertConformal)
    slanted = isinstance(ax.projection, ccrs.LambertConformal)
    sides = {"bottom": "x", "left": "y", "geo": "y"} if slanted else {"bottom": "x", "left": "y"}
    look = {"linewidth": 0.3, "color": "0.5", "alpha": 0.5, "zorder": 1.5}
    lines = ax.gridlines(draw_labels=sides if boxed else False, x_inline=False, y_inline=False, **look)
    if boxed:
        lines.xlocator, lines.ylocator = LongitudeLocator(nbins=6), LatitudeLocator(nbins=6)
        lines.xlabel_style = lines.ylabel_style = {"size": sizes_in(ax)["tick"] - 0.5, "color": INK}
        lines.rotate_labels = False
        if east_only:
            lines.xformatter = FuncFormatter(lambda value, _: f"{value % 360:g}°{'E' if value % 180 else ''}")
    ax.spines["geo"].set_linewidth(0.6)
    ax.spines["geo"].set_edgecolor(INK)


def _titles(result: Any, panels: Panels, plain: xr.DataArray, style: MapStyle) -> None:
    if not style.panels:
        _title_in_two_sizes(panels[0][0], str(style.title or ""))
        return
    size = sizes_in(panels[0][0])["title"]
    for label in [*result.row_labels, *result.col_labels]:
        if label is not None:
            label.set_visible(False)
    columns = result.axs.shape[1]
    for position, (ax, names) in enumerate(panels):
        above, beside = panel_text(names, plain), ""
        if style.row is not None and style.col is not None:
            above = panel_text({style.col: names[style.col]}, plain) if position < columns else ""
            beside = panel_text({style.row: names[style.row]}, plain) if position % columns == 0 else ""
        ax.set_title(above, fontsize=size, color=INK)
        if beside:
            place = {"rotation": 90, "ha": "right", "va": "center", "transform": ax.transAxes}
            ax.text(-0.04, 0.5, beside, fontsize=size, color=INK, **place)
    style.draw_title(panels[0][0].figure)


def _title_in_two_sizes(ax: Any, title: str) -> None:
    """Write the first line large and the rest small, in as many lines as the width of the map needs."""
    sizes = sizes_in(ax)
    head, _, rest = title.partition("\n")
    # A letter is about half as wide as it is high.
    width = int(ax.get_position().width * ax.figure.figure.get_figwidth() * 72 / (0.5 * sizes["label"]))
    lines = [
        line
        for part in rest.splitlines()
        for line in textwrap.wrap(part.replace("dots: ", "dots:\u00a0"), max(width, _NARROWEST))
    ]
    ax.set_title(head, fontsize=sizes["title"], color=INK, pad=5.0 + 1.4 * sizes["label"] * len(lines))
    if lines:
        place = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "center", "va": "bottom"}
        small = ax.annotate("\n".join(lines), (0.5, 1.0), (0, 5), fontsize=sizes["label"], color=FAINT, **place)
        # The title above it keeps its room; a line a little wider than the map must not make all maps narrower.
        small.set_in_layout(False)


def _colour_bar(result: Any, artist: Any, panels: Panels, plain: xr.DataArray, style: MapStyle) -> None:
    vertical = (style.cbar_kwargs or {}).get("orientation") == "vertical"
    defaults = {
        "orientation": "horizontal",
        "shrink": 0.8 if vertical else 0.6,
        "aspect": 25 if vertical else 35,
        "pad": 0.04,
        "label": quantity_text(plain, "field"),
    }
    if style.kind == "pcolormesh":
        defaults["extend"] = _extend(plain, artist)
    bar = style.draw_colour_bar(artist, [ax for ax, _ in panels], **defaults)
    if style.panels:
        result.cbar = bar


def _extend(plain: xr.DataArray, artist: Any) -> str:
    """Which ends of the colour bar point on, because values lie beyond them."""
    if isinstance(artist.norm, BoundaryNorm):
        return str(artist.norm.extend)
    below = bool(np.nanmin(plain.values) < artist.norm.vmin)
    above = bool(np.nanmax(plain.values) > artist.norm.vmax)
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, above]
