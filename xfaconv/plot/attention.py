"""Maps of attention, relative to what a uniform map would have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from xfaconv.errors import ArgumentError
from xfaconv.grid import nearest_cell
from xfaconv.plot.coordinates import area_of_cells, canonical
from xfaconv.plot.maps import arrange, draw_map, map_title
from xfaconv.plot.overlays import BasePoint, Point, base_points
from xfaconv.plot.style import INK, MapStyle, check_figure, figure, is_diverging

STYLE = MapStyle(robust=True)
_SUM_TOLERANCE = 1e-2
# Below this share of the variance in time the figure says that its maps hardly change.
_HARDLY_CHANGES = 0.2
# A stripe has more attention than the lines so many cells beside it, by this factor. Packaged global models, six base
# points: 0.9 to 1.3 along meridians, 0.9 to 9.6 along latitude circles.
_BESIDE, _STRIPE = 3, 1.5


@figure(STYLE)
def plot_attention(
    attention: xr.DataArray,
    *,
    base_point: BasePoint = None,
    great_circles: int = 0,
    relative: bool = True,
    **options: Any,
) -> Any:
    """Draw what a base point attends to.

    Parameters
    ----------
    attention : DataArray ([base_point,] [head,] [time,] latitude, longitude) [1]
        As `xfaconv.attention` gives it: each map sums to 1 over the domain. A difference of two such (sums to 0) is
        drawn about zero. Time is averaged over unless it is `row` or `col`; another dimension becomes `col`.
    base_point : (float, float), mapping of name to (float, float) or False, optional
        Latitude and longitude [degrees] to mark; by default as the coordinates of `attention` say; False for none.
    great_circles : int, default 0
        Draw the great circles to this many of the strongest places at least 2,500 km away.
    relative : bool, default True
        Divide by the attention that the cell's area alone would get: 1 is uniform, 5 is five times as much. False
        draws the weights as they are.
    title : str, optional
        By default the base point and the dates. One of your own takes the place of the first line.
    row, col : hashable, optional
        Dimensions to make panels of; "season" makes them of time.
    add_colorbar : bool, default True
        Draw one colour bar for all panels. Where the model's card says that little of the variance of its maps is in
        time, the label of the colour bar says it too; and where stripes run through the base point, what makes them.

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
    check_figure(great_circles=great_circles, relative=relative)
    style = STYLE.updated(options)
    points = base_points(attention, base_point)
    field, period, style = arrange(attention, style)
    if relative:
        field = relative_to_uniform(field)
    about_zero = is_diverging(field.values)
    style = replace(
        style,
        title=map_title("Attention from", points, period, style),
        # Zero is no attention at all: a sequential colour map that began elsewhere would hide where that is.
        vmin=0.0 if style.vmin is None and style.norm is None and not about_zero else style.vmin,
    )
    result = draw_map(field, style, points, great_circles)
    if style.add_colorbar:
        bar = result.cbar if style.panels else result.colorbar
        if relative and not about_zero:
            _mark_uniform(bar)
        if "label" not in (style.cbar_kwargs or {}):
            _say_how_little_changes(bar, attention)
            if not about_zero:
                _explain_stripes(bar, field, points)
    return result


def relative_to_uniform(attention: xr.DataArray) -> xr.DataArray:
    """Attention over what uniform attention would give each cell: its share of the domain's area.

    Parameters
    ----------
    attention : DataArray (..., latitude, longitude)
        Weights that sum to 1 over the domain, or to 0 for a difference. NaN maps stay NaN.

    Returns
    -------
    DataArray (..., latitude, longitude) [1]
        1 is uniform. Unchanged where its `long_name` says that it is relative already.

    Raises
    ------
    ArgumentError
        If the sum of a map is neither 1 nor 0, as after a part of the domain was selected.

    Examples
    --------
    >>> da = xr.DataArray(np.full((2, 4), 0.125), {"lat": [-45, 45], "lon": [0, 90, 180, 270]}, ("lat", "lon"))
    >>> relative_to_uniform(da).values[0].round(6).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    long_name = "attention relative to uniform attention"
    if attention.attrs.get("long_name") == long_name:
        return attention
    field, grid = canonical(attention)
    sums = field.sum(field.dims[-2:], skipna=False).values
    known = sums[np.isfinite(sums)]
    if not np.all(np.minimum(np.abs(known - 1), np.abs(known)) < _SUM_TOLERANCE):
        raise ArgumentError(
            "attention does not sum to 1 over the map, so it cannot be set against uniform attention",
            expected="maps over the whole domain (sum 1), or their difference (sum 0)",
            found=f"sums from {known.min():.3g} to {known.max():.3g}",
            fix="relative=False  # or the whole map, and extent= to show a part of it",
        )
    share = area_of_cells(attention, grid)
    share = share / float(grid.area.sum())
    out = (
        (attention / share.astype(attention.dtype))
        .transpose(*attention.dims)
        .assign_attrs({**attention.attrs, "long_name": long_name, "units": "1"})
    )
    return out.rename(attention.name)


def stripes(field: xr.DataArray, points: Mapping[str, Point]) -> list[str]:
    """Find the lines through a base point along which a map of attention has a stripe.

    Parameters
    ----------
    field : DataArray (..., latitude, longitude)
        Attention relative to uniform attention, or weights.
    points : mapping of str to (float, float)
        Base points; only one can be named.

    Returns
    -------
    list of str
        Of "latitude circle" and "meridian".

    Examples
    --------
    >>> latitude, longitude = np.arange(-85, 90, 10.0), np.arange(0, 360, 10.0)
    >>> da = xr.DataArray(np.ones((18, 36)), {"lat": latitude, "lon": longitude}, ("lat", "lon"))
    >>> stripes(da.where(da.lon != 220, 4.0), {"": (5.0, -140.0)})
    ['meridian']
    """
    if len(points) != 1:
        return []
    ((latitude, longitude),) = points.values()
    plain, grid = canonical(field)
    values = plain.values.reshape(-1, *grid.shape).mean(axis=0)
    row, column = nearest_cell(grid, latitude, longitude)
    found = []
    for name, rows, place, periodic in (
        ("latitude circle", values, row, False),
        ("meridian", values.T, column, grid.periodic),
    ):
        across = column if rows is values else row
        away = np.abs(np.arange(rows.shape[1]) - across) > _BESIDE
        beside = [place - _BESIDE, place + _BESIDE]
        beside = [number % len(rows) if periodic else number for number in beside]
        beside = [number for number in beside if 0 <= number < len(rows)]
        if beside and away.any() and rows[place, away].mean() > _STRIPE * rows[beside][:, away].mean():
            found.append(name)
    return found


def _explain_stripes(bar: Any, field: xr.DataArray, points: Mapping[str, Point]) -> None:
    """Say below the colour bar what makes stripes through the base point, where there are any."""
    found = stripes(field, points)
    if found:
        _add_line(bar, f"stripe along its {' and '.join(found)}: the layer attends along rows, then along columns")


def _say_how_little_changes(bar: Any, attention: xr.DataArray) -> None:
    """Say below the colour bar that the maps of this model hardly change, where its card says so."""
    in_time = attention.attrs.get("variance_in_time")
    if isinstance(in_time, float) and in_time < _HARDLY_CHANGES:
        _add_line(bar, f"only {in_time:.0%} of map variance is temporal")


def _add_line(bar: Any, words: str) -> None:
    label = bar.ax.xaxis.label if bar.orientation == "horizontal" else bar.ax.yaxis.label
    bar.set_label(f"{label.get_text()}\n{words}")


def _mark_uniform(bar: Any) -> None:
    """Draw a line at 1 on the colour bar."""
    if bar.vmin < 1 < bar.vmax:
        draw = bar.ax.axvline if bar.orientation == "horizontal" else bar.ax.axhline
        draw(1.0, color=INK, linewidth=1.0, linestyle=(0, (2, 1)))
