"""Maps of teleconnections: correlation, regression or influence of the world with a base point or an index."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from xfaconv.plot.arrangement import arrange, map_title
from xfaconv.plot.base_points import BasePoint, base_points, marking, middle_of
from xfaconv.plot.labels import is_influence, quantity_name
from xfaconv.plot.looks import check_looks
from xfaconv.plot.maps import Kind, MapStyle, draw_map

if TYPE_CHECKING:
    from cartopy import crs as ccrs
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

    from xfaconv.plot.coastlines import Resolution
    from xfaconv.plot.projections import Extent


def plot_teleconnection(
    teleconnection: xr.DataArray,
    *,
    base_point: BasePoint = None,
    great_circles: int = 0,
    stippling: xr.DataArray | Literal[False] | None = None,
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
    center: float | Literal[False] | None = 0.0,
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
    """Draw a field of correlations (or the like) about zero, with dots where it is significant.

    Parameters
    ----------
    teleconnection : DataArray ([lag,] [season,] [time,] latitude, longitude)
        Time is averaged over unless it is `row` or `col`; another dimension becomes `col`. The influence of
        `xfaconv.influence` keeps its sign here; its size is for `plot_attention`.
    base_point : (float, float), mapping of name to (float, float) or False, optional
        Latitude and longitude [degrees] to mark; by default as the coordinates say; False for none.
    great_circles : int, default 0
        Draw the great circles to this many of the strongest places at least 2,500 km away.
    stippling : DataArray ([row,] [col,] latitude, longitude), bool or False, optional
        Dots where True; by default the coordinate `significant` where the field has one; False for none.
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
        Colours, as in xarray; zero is in the middle. Influence is always robust: it is so large at the base point
        that the rest would be white.
    add_colorbar : bool, default True
        Draw one colour bar for all panels.
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
        If dimensions are left without a panel, or `stippling` is not boolean.
    CoordinateError
        If latitude or longitude is missing, or `stippling` is on another grid.

    Examples
    --------
    >>> import numpy as np
    >>> latitude, longitude = np.arange(-85, 90, 10.0), np.arange(0, 360, 10.0)
    >>> wave = np.cos(np.deg2rad(latitude))[:, None] * np.cos(np.deg2rad(longitude))
    >>> da = xr.DataArray(wave, {"lat": latitude, "lon": longitude}, ("lat", "lon"), name="correlation")
    >>> artist = plot_teleconnection(da, base_point=(0, -140), stippling=abs(da) > 0.5)
    >>> artist.axes.get_title()
    'Correlation with 0°, 140°W'
    """
    check_looks(locals())
    points = base_points(teleconnection, base_point)
    if stippling is None and "significant" in teleconnection.coords:
        stippling = teleconnection.coords["significant"].reset_coords(drop=True)
    field, period, row, col = arrange(teleconnection.drop_vars("significant", errors="ignore"), row, col)
    influence = is_influence(teleconnection)
    if influence:
        # Its long name fills two lines beside a bar; the sign and the unit are what the bar needs.
        field = field.assign_attrs(long_name="influence per standard deviation")
        what = "Influence on"
    else:
        name = quantity_name(teleconnection, "teleconnection")
        what = f"{name[:1].upper()}{name[1:]} with"
    several = row is not None or col is not None
    heading = map_title(what, points, period, panels=several)
    style = MapStyle(
        ax=ax,
        figsize=figsize,
        size=size,
        aspect=aspect,
        row=row,
        col=col,
        col_wrap=col_wrap,
        cmap=cmap,
        center=center if norm is None else None,
        robust=robust or (influence and vmin is None and vmax is None),
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
        title=title if title is not None else heading,
        extra=kwargs,
    )
    return draw_map(field, style, base_longitude=middle_of(points), decorate=marking(points, great_circles))
