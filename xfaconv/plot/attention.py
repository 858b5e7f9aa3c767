"""Maps of attention and influence: where a base point looks, as times what uniform looking would give."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from xfaconv.errors import ArgumentError
from xfaconv.plot.arrangement import arrange, map_title
from xfaconv.plot.base_points import BasePoint, base_points, marking, middle_of
from xfaconv.plot.colours import INK, is_diverging
from xfaconv.plot.coordinates import canonical, horizontal_dimensions
from xfaconv.plot.labels import is_influence
from xfaconv.plot.looks import check_looks
from xfaconv.plot.maps import Kind, MapStyle, draw_map

if TYPE_CHECKING:
    from cartopy import crs as ccrs
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

    from xfaconv.plot.coastlines import Resolution
    from xfaconv.plot.projections import Extent

UNIFORM_UNITS = "times uniform"
_SUM_TOLERANCE = 1e-2
# Below this share of the variance in time, what a map shows is said to be mostly the same whenever one looks.
_HABIT = 0.2


def plot_attention(
    attention: xr.DataArray,
    *,
    base_point: BasePoint = None,
    great_circles: int = 0,
    relative: bool = True,
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
    """Draw where a base point looks, or what it depends on.

    Parameters
    ----------
    attention : DataArray ([base_point,] [head,] [time,] latitude, longitude) [1]
        As `xfaconv.attention` gives it: each map sums to 1 over the domain. A difference of two such (sums to 0) is
        drawn about zero. Time is averaged over unless it is `row` or `col`; another dimension becomes `col`. What
        `xfaconv.influence` gives, known by its name, is drawn in the same way: each map's size over its sum.
    base_point : (float, float), mapping of name to (float, float) or False, optional
        Latitude and longitude [degrees] to mark; by default as the coordinates of `attention` say; False for none.
    great_circles : int, default 0
        Draw the great circles to this many of the strongest places at least 2,500 km away.
    relative : bool, default True
        Divide by the attention that the cell's area alone would get: 1 is uniform, 5 is five times as much. False
        draws the weights (or the influence, with its sign) as they are.
    stippling : DataArray ([row,] [col,] latitude, longitude), bool, optional
        Dots where True.
    projection : str or cartopy.crs.CRS, optional
        Such as "Robinson" or "NorthPolarStereo"; by default what suits the domain.
    extent : (float, float, float, float), optional
        West, east, south, north [degrees] to show.
    coastlines : {"110m", "50m", "10m"} or False, default "110m"
        110m is embedded; finer ones come through cartopy, which may download them.
    borders : bool, default False
        Draw land borders of countries too.
    kind : {"pcolormesh", "contourf"}, default "pcolormesh"
        Cells as they are, or filled contours.
    title : str, optional
        By default the base point and the dates.
    ax : GeoAxes, optional
        Where to draw; by default a new figure.
    figsize, size, aspect : optional
        Of the figure, or height [inches] and width over height of each map, as in xarray.
    row, col : hashable, optional
        Dimensions to make panels of; "season" makes them of time.
    col_wrap : int, optional
        Panels in a row; by default at most three.
    cmap, center, robust, levels, vmin, vmax, norm : optional
        Colours, as in xarray; `robust` is on, so that a peak at the base point does not drown the rest.
    add_colorbar : bool, default True
        Draw one colour bar for all panels; where the model's card says that its maps hardly change, its label does too.
    cbar_kwargs, subplot_kws : mapping, optional
        Passed to the colour bar and to the axes.
    **kwargs
        Passed to matplotlib.

    Returns
    -------
    QuadMesh, QuadContourSet or FacetGrid
        The artist of a single map; xarray's FacetGrid where there are panels.

    Raises
    ------
    ArgumentError
        If dimensions are left without a panel, or the maps do not sum to 1 (or 0) while `relative` is asked for.
    CoordinateError
        If latitude or longitude is missing.

    Examples
    --------
    >>> latitude, longitude = np.arange(-85, 90, 10.0), np.arange(0, 360, 10.0)
    >>> weight = np.cos(np.deg2rad(latitude))[:, None] * np.ones(36)
    >>> da = xr.DataArray(weight / weight.sum(), {"lat": latitude, "lon": longitude}, ("lat", "lon"))
    >>> artist = plot_attention(da, base_point=(0, -140))
    >>> artist.axes.get_title()
    'Attention from 0°, 140°W'
    >>> float(np.round(artist.get_array().mean(), 2))
    1.0
    """
    check_looks(locals())
    points = base_points(attention, base_point)
    influence = is_influence(attention)
    # Derivatives of both signs would cancel in the mean over time.
    shown, period, row, col = arrange(abs(attention) if influence and relative else attention, row, col)
    field = times_uniform(_shares(shown) if influence else shown) if relative else shown
    if influence and relative:
        field = field.assign_attrs(long_name="influence")
    marks_uniform = relative and not is_diverging(field.values)
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
        vmax=vmax,
        norm=norm,
        add_colorbar=add_colorbar,
        # Zero is where nothing is looked at: a sequential colour map that began elsewhere would hide it.
        vmin=0.0 if vmin is None and norm is None and not is_diverging(field.values) else vmin,
        cbar_kwargs=cbar_kwargs,
        subplot_kws=subplot_kws,
        kind=kind,
        projection=projection,
        extent=extent,
        stippling=stippling,
        coastlines=coastlines,
        borders=borders,
        title=title
        if title is not None
        else map_title(
            "Influence on" if influence else "Attention from", points, period, panels=row is not None or col is not None
        ),
        extra=kwargs,
    )
    result = draw_map(field, style, base_longitude=middle_of(points), decorate=marking(points, great_circles))
    if marks_uniform and add_colorbar:
        _mark_uniform(result)
    if add_colorbar and "label" not in (cbar_kwargs or {}):
        _say_habit(result, attention)
    return result


def times_uniform(attention: xr.DataArray) -> xr.DataArray:
    """Attention over what uniform looking would give each cell: its share of the domain's area.

    Parameters
    ----------
    attention : DataArray (..., latitude, longitude) [1]
        Weights that sum to 1 over the domain, or to 0 for a difference. NaN maps stay NaN.

    Returns
    -------
    DataArray (..., latitude, longitude) [times uniform]
        Unchanged where its units say that it is relative already.

    Raises
    ------
    ArgumentError
        If the sum of a map is neither 1 nor 0, as after a part of the domain was selected.

    Examples
    --------
    >>> da = xr.DataArray(np.full((2, 4), 0.125), {"lat": [-45, 45], "lon": [0, 90, 180, 270]}, ("lat", "lon"))
    >>> times_uniform(da).values[0].round(6).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    if attention.attrs.get("units") == UNIFORM_UNITS:
        return attention
    field, grid = canonical(attention)
    latitude, longitude = field.dims[-2:]
    sums = field.sum([latitude, longitude], skipna=False).values
    known = sums[np.isfinite(sums)]
    if not np.all(np.minimum(np.abs(known - 1), np.abs(known)) < _SUM_TOLERANCE):
        raise ArgumentError(
            "attention does not sum to 1 over the map, so it cannot be set against uniform attention",
            expected="maps over the whole domain (sum 1), or their difference (sum 0)",
            found=f"sums from {known.min():.3g} to {known.max():.3g}",
            fix="extent=(west, east, south, north) to show a part of the whole map, or relative=False",
        )
    share = xr.DataArray(grid.area / grid.area.sum(), dims=(latitude, longitude)).astype(field.dtype)
    out = (field / share).assign_attrs({**attention.attrs, "long_name": "attention", "units": UNIFORM_UNITS})
    return out.rename(attention.name)


def _shares(influence: xr.DataArray) -> xr.DataArray:
    """Each map over its sum, so that it can be set against a uniform one; a map of zeros stays one."""
    total = influence.astype(np.float64).sum(horizontal_dimensions(influence), skipna=False)
    return influence / total.where(total != 0, 1.0)


def _say_habit(result: Any, attention: xr.DataArray) -> None:
    """Say below the colour bar that the maps of this model hardly change, where its card says so."""
    in_time = attention.attrs.get("variance_in_time")
    if isinstance(in_time, float) and in_time < _HABIT:
        bar = result.cbar if hasattr(result, "cbar") else result.colorbar
        label = bar.ax.xaxis.label if bar.orientation == "horizontal" else bar.ax.yaxis.label
        bar.set_label(f"{label.get_text()}\nhabit: {in_time:.0%} of the variance of this model's maps is in time")


def _mark_uniform(result: Any) -> None:
    """Draw a line at 1 on the colour bar."""
    bar = result.cbar if hasattr(result, "cbar") else result.colorbar
    low, high = bar.vmin, bar.vmax
    if bar is not None and low < 1 < high:
        draw = bar.ax.axvline if bar.orientation == "horizontal" else bar.ax.axhline
        draw(1.0, color=INK, linewidth=1.0, linestyle=(0, (2, 1)))
