"""Maps of what the components of the embedding stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from xfaconv.arguments import check_choice
from xfaconv.plot.coordinates import horizontal_dimensions, select_labels
from xfaconv.plot.maps import arrange, draw_map
from xfaconv.plot.style import MapStyle, check_figure, figure

STYLE = MapStyle(center=0.0, robust=True)


@figure(STYLE)
def plot_component_maps(
    maps: xr.DataArray, *, components: Sequence[Any] | None = None, variable: str | None = None, **options: Any
) -> Any:
    """Draw what components of the embedding stand for.

    Parameters
    ----------
    maps : DataArray ([embedding,] [variable,] latitude, longitude)
        As `xfaconv.component_maps` gives it. Variables of different units share a figure in standard deviations.
    components : sequence, optional
        Labels of the components to draw, each in all variables; by default all in one variable.
    variable : str, optional
        The variable to draw; by default the first where all components are drawn.
    row, col : hashable, optional
        Dimensions to make panels of.

    Returns
    -------
    FacetGrid, QuadMesh or QuadContourSet

    Raises
    ------
    ArgumentError
        If `components` or `variable` are not in the maps.
    CoordinateError
        If latitude or longitude is missing.

    Examples
    --------
    >>> import numpy as np
    >>> coords = {"embedding": [1, 2], "variable": ["t", "z"]}
    >>> coords |= {"lat": np.arange(-85, 90, 10.0), "lon": np.arange(0, 360, 10.0)}
    >>> da = xr.DataArray(np.random.default_rng(0).normal(size=(2, 2, 18, 36)), coords, tuple(coords))
    >>> [ax.get_title() for ax in plot_component_maps(da, components=[2]).axs.flat]
    ['t', 'z']
    """
    check_figure(components=components)
    horizontal_dimensions(maps, "the maps of components")
    style = STYLE.updated(options)
    if components is not None:
        maps = select_labels(maps, "embedding", components, "components")
    if variable is None and components is None and maps.sizes.get("embedding", 1) > 1 and "variable" in maps.dims:
        variable = str(maps["variable"].values[0])
    if variable is not None and "variable" in maps.dims:
        known = [str(name) for name in maps["variable"].values]
        check_choice("variable", variable, known)
        maps = maps.isel(variable=known.index(variable))
    maps = _comparable(maps)
    several = [dim for dim in ("embedding", "variable") if maps.sizes.get(dim, 1) > 1 and dim in maps.dims]
    if not style.panels and len(several) == 2:
        style = replace(style, row="embedding", col="variable")
    field, period, style = arrange(maps, style)
    if style.title is None:
        one = "" if "embedding" in field.dims or "embedding" not in field.coords else f" {field['embedding'].item()}"
        what = f" in {field['variable'].item()}" if "variable" in field.coords and "variable" not in field.dims else ""
        head = f"Regression on component{one or 's of the embedding'}{what}"
        style = replace(style, title=f"{head}\n{period}" if period else head)
    return draw_map(field, style)


def _comparable(maps: xr.DataArray) -> xr.DataArray:
    """Give maps that one colour bar can hold: variables of different units in standard deviations."""
    plain = maps.drop_vars(["spread", "units"], errors="ignore")
    if "units" not in maps.coords:
        return plain
    units = sorted({str(name) for name in np.atleast_1d(maps["units"].values)})
    if len(units) == 1:
        return plain.assign_attrs({**maps.attrs, "units": units[0]})
    words = {"long_name": "standard deviations per standard deviation of the component", "units": "1"}
    spread = maps["spread"].drop_vars(["units", "spread"], errors="ignore")
    return (plain / spread).transpose(*maps.dims).assign_attrs(maps.attrs | words)
