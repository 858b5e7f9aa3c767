"""Maps of contributions to an inferred or forecast value, about zero, with its target and what is hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from xfaconv.errors import ArgumentError
from xfaconv.plot.coordinates import area_of_cells, canonical, horizontal_dimensions
from xfaconv.plot.labels import place_text, units_text
from xfaconv.plot.maps import arrange, draw_map
from xfaconv.plot.overlays import GREAT_CIRCLE, Point, add_outline, base_points
from xfaconv.plot.style import DIVERGING, MapStyle, check_figure, figure

STYLE = MapStyle(robust=True, center=0.0, cmap=DIVERGING)
# Square kilometres of a steradian of the Earth, in millions.
_MILLION_KM2 = 6371.0**2 / 1e6
_SUMMED = ("variable", "lag")


@figure(STYLE)
def plot_attribution(attribution: xr.Dataset | xr.DataArray, *, per_area: bool = True, **options: Any) -> Any:
    """Draw what each place adds to an inferred or forecast value.

    Parameters
    ----------
    attribution : Dataset, or DataArray ([time,] [lag,] [variable,] latitude, longitude)
        As `xfaconv.attribution` gives it; of a Dataset the title says the value and what was observed. Variables and
        lags are summed, and time is averaged over, unless they are `row` or `col`.
    per_area : bool, default True
        Divide by the area of the cells, so that colour times area on the globe is the contribution; False draws the
        contribution of each cell, which depends on the grid.
    title : str, optional
        By default the target, the dates, the value and what was observed.
    row, col : hashable, optional
        Dimensions to make panels of, such as ``col="variable"``; "season" makes them of time.

    Returns
    -------
    QuadMesh, QuadContourSet or FacetGrid
        The artist of a single map; xarray's FacetGrid where there are panels. A black line surrounds the hidden area, a
        green one the target; a target of one cell has a star.

    Raises
    ------
    ArgumentError
        If it is no attribution of cells.
    CoordinateError
        If latitude or longitude is missing.

    Examples
    --------
    >>> latitude, longitude = np.arange(-85, 90, 10.0), np.arange(0, 360, 10.0)
    >>> wave = np.cos(np.deg2rad(latitude))[:, None] * np.sin(np.deg2rad(longitude))
    >>> attrs = {"target_variable": "z500", "target_area": "nino34", "units": "m", "lead": 0}
    >>> da = xr.DataArray(wave, {"lat": latitude, "lon": longitude}, ("lat", "lon"), "attribution", attrs)
    >>> plot_attribution(da).axes.get_title()
    'Contributions to z500 inferred at nino34'
    """
    check_figure(relative=per_area)
    style = STYLE.updated(options)
    given = attribution.get("attribution") if isinstance(attribution, xr.Dataset) else attribution
    if given is not None:
        horizontal_dimensions(given, "the attribution")
    if given is None or "region" in given.dims:
        expected = "the result of xfaconv.attribution, of any method but occlusion"
        found = ", ".join(map(str, attribution if given is None else given.dims))
        raise ArgumentError("this is no attribution of cells", expected=expected, found=found)
    summed = [dim for dim in _SUMMED if dim in given.dims and dim not in (style.row, style.col)]
    # The outlines come once, and xarray would carry the masks along as coordinates of every panel.
    masks = {name: given.coords[name] for name in ("hidden", "target") if name in given.coords}
    plain = given.reset_coords(list(masks), drop=True).sum(summed, keep_attrs=True, skipna=False)
    field, period, style = arrange(plain, style)
    units = units_text(str(given.attrs.get("units", "1")))
    if per_area:
        _, grid = canonical(field)
        area = area_of_cells(field, grid) / float(grid.area.sum()) * _steradians(grid) * _MILLION_KM2
        field = (field / area.astype(field.dtype)).transpose(*field.dims)
        units = f"{units} per million km²"
    field.attrs = given.attrs | {"long_name": "contribution", "units": units}
    points = base_points(given, None)
    if style.title is None:
        style = replace(style, title=_title(attribution, given, period, masks, style, points))
    result = draw_map(field, style, points)
    for ax in result.axs.flat if style.panels else [result.axes]:
        if ax.figure is None:
            continue
        if "hidden" in masks:
            add_outline(ax, masks["hidden"], gid="hidden area")
        if "target" in masks and not points:
            add_outline(ax, masks["target"], colors=GREAT_CIRCLE, linewidths=1.6, gid="target")
    return result


def _steradians(grid: Any) -> float:
    """Area of a grid on the unit sphere."""
    height = np.diff(np.sin(np.deg2rad(np.clip(grid.latitude_edges, -90, 90)))).sum()
    return float(height * np.deg2rad(grid.longitude_edges[-1] - grid.longitude_edges[0]))


def _title(
    whole: xr.Dataset | xr.DataArray,
    given: xr.DataArray,
    period: str,
    masks: Any,
    style: MapStyle,
    points: Mapping[str, Point],
) -> str:
    """Say what is explained, when, its value and what was observed, and what the lines are."""
    attrs, lead = given.attrs, int(given.attrs.get("lead", 0))
    said = "inferred" if lead == 0 else f"forecast {lead} step{'s' if lead > 1 else ''} ahead"
    head = f"Contributions to {attrs.get('target_variable', 'the value')} {said}"
    place = place_text(*next(iter(points.values()))) if points else attrs.get("target_area")
    head += f" at {place}" if place else ""
    facts = [period]
    series = whole.get("value", given) if isinstance(whole, xr.Dataset) else given
    time_in_panels = any(str(dim) in ("season", *map(str, series.dims)) for dim in (style.row, style.col))
    if isinstance(whole, xr.Dataset) and not time_in_panels:
        units = units_text(str(attrs.get("units", "1")))
        for name, words in (("value", said.partition(" ")[0]), ("observed", "observed")):
            if name in whole:
                number = float(whole[name].mean())
                facts.append(f"{words} {number:.3g} {units}" if np.isfinite(number) else "")
    lines = {"hidden": "black line: hidden area", "target": "" if points else "green line: target"}
    facts += [words for name, words in lines.items() if name in masks]
    rest = ", ".join(fact for fact in facts if fact)
    return f"{head}\n{rest}" if rest else head
