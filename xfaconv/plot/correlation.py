"""Maps of teleconnections: correlation or regression of the world with a base point or an index."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import xarray as xr

from xfaconv.plot.coordinates import horizontal_dimensions
from xfaconv.plot.labels import quantity_name
from xfaconv.plot.maps import arrange, draw_map, map_title
from xfaconv.plot.overlays import BasePoint, base_points
from xfaconv.plot.style import MapStyle, check_figure, figure

STYLE = MapStyle(center=0.0)


@figure(STYLE)
def plot_correlation(
    correlation: xr.DataArray | xr.Dataset, *, base_point: BasePoint = None, great_circles: int = 0, **options: Any
) -> Any:
    """Draw a field of correlations (or the like) about zero, with dots where it is significant.

    Parameters
    ----------
    correlation : DataArray or Dataset ([lag,] [season,] [time,] latitude, longitude)
        A Dataset holds ``correlation`` and ``significant``, as `xfaconv.analysis.correlation_map` gives them.
        Time is averaged over unless it is `row` or `col`; another dimension becomes `col`.
    base_point : (float, float), mapping of name to (float, float) or False, optional
        Latitude and longitude [degrees] to mark; by default as the coordinates say; False for none.
    great_circles : int, default 0
        Draw the great circles to this many of the strongest places at least 2,500 km away.
    title : str, optional
        By default the base point, the dates and what the dots mean. One of your own takes the place of the first line.
    row, col : hashable, optional
        Dimensions to make panels of; "season" makes them of time.
    robust : bool, default False
        Let the colours cover the 2nd to the 98th percentile. Influence always does, unless `vmin` or `vmax` is given:
        it is so large at the base point that the rest would be white.
    stippling : DataArray ([row,] [col,] latitude, longitude), bool, or False, optional
        Dots where True; by default the coordinate `significant` where the field has one; False for none.

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
    >>> artist = plot_correlation(da, base_point=(0, -140), stippling=abs(da) > 0.5)
    >>> artist.axes.get_title()
    'Correlation with 0°, 140°W'
    """
    check_figure(great_circles=great_circles)
    whole = isinstance(correlation, xr.Dataset) and {"correlation", "significant"} <= set(correlation.variables)
    given: Any = correlation.set_coords("significant")["correlation"] if whole else correlation
    horizontal_dimensions(given, "the correlation")
    style = STYLE.updated(options)
    points = base_points(given, base_point)
    if style.stippling is None and "significant" in given.coords:
        style = replace(style, stippling=given.coords["significant"].reset_coords(drop=True))
    field, period, style = arrange(given.drop_vars("significant", errors="ignore"), style)
    name = quantity_name(given, "correlation")
    what = f"{name[:1].upper()}{name[1:]} with"
    if not points and "base" in field.attrs:
        # Correlation with an index has no place, but a name. The word that follows is left out where no place does.
        what = f"{what} {field.attrs['base']} at"
    style = replace(style, title=map_title(what, points, period, style))
    # A norm says itself what is in the middle.
    return draw_map(field, replace(style, center=style.center if style.norm is None else None), points, great_circles)
