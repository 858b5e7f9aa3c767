"""Maps of teleconnectivity: what is inferred from afar, by the network and by linear regression."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import xarray as xr

from xfaconv.errors import ArgumentError
from xfaconv.plot.coordinates import horizontal_dimensions
from xfaconv.plot.labels import dots_text
from xfaconv.plot.maps import arrange, draw_map, map_title
from xfaconv.plot.style import MapStyle, figure

STYLE = MapStyle(vmin=0.0, center=False)


@figure(STYLE)
def plot_teleconnectivity(teleconnectivity: xr.Dataset | xr.DataArray, **options: Any) -> Any:
    """Draw the share of each place's variance that is inferred from afar.

    Parameters
    ----------
    teleconnectivity : Dataset or DataArray ([prediction,] [variable,] latitude, longitude)
        As `xfaconv.teleconnectivity` gives it, or its ``explained_variance``. A panel for each prediction, and a row
        for each variable where there are several.
    title : str, optional
        By default what is hidden, the dates and what the dots mean. One of your own takes the place of the first line.
    vmin : float, default 0.0
        Where nothing is explained, or less than by climatology, the map has its lowest colour.
    stippling : DataArray ([row,] [col,] latitude, longitude), bool, or False, optional
        Dots where True; by default, of a Dataset, where a prediction explains significantly more than the other; False
        for none.

    Returns
    -------
    QuadMesh, QuadContourSet or FacetGrid

    Raises
    ------
    ArgumentError
        If a Dataset has no ``explained_variance``.
    CoordinateError
        If latitude or longitude is missing.

    Examples
    --------
    >>> import numpy as np
    >>> coords = {"prediction": ["network", "linear"], "lat": np.arange(-85, 90, 10.0), "lon": np.arange(0, 360, 10.0)}
    >>> da = xr.DataArray(np.ones((2, 18, 36)), coords, ("prediction", "lat", "lon"), attrs={"width": 60.0})
    >>> grid = plot_teleconnectivity(da)
    >>> [ax.get_title() for ax in grid.axs.flat]
    ['network', 'linear']
    """
    style = STYLE.updated(options)
    if isinstance(teleconnectivity, xr.Dataset):
        if "explained_variance" not in teleconnectivity:
            raise ArgumentError(
                "the Dataset holds no teleconnectivity",
                expected="explained_variance, as xfaconv.teleconnectivity gives it",
                found=", ".join(map(str, teleconnectivity.data_vars))[:200],
                fix="ds.faconv.plot_teleconnectivity()",
            )
        if style.stippling is None and "significant" in teleconnectivity:
            style = replace(style, stippling=_better(teleconnectivity))
        field = teleconnectivity["explained_variance"]
    else:
        field = teleconnectivity
    horizontal_dimensions(field, "teleconnectivity")
    several = [dim for dim in ("variable", "prediction") if dim in field.dims and field.sizes[dim] > 1]
    if style.row is None and style.col is None and len(several) == 2:
        style = replace(style, row="variable", col="prediction")
    field, period, style = arrange(field, style)
    width, variable = field.attrs.get("width"), field.attrs.get("variable")
    what = "Variance" if variable is None else f"Variance of {variable}"
    what += " inferred from afar" if width is None else f" inferred with a sector of {width:g}° hidden"
    # The last word is for a base point, which these maps do not have; the dots need a line of their own.
    title = map_title(f"{what} at", {}, period, replace(style, stippling=None))
    dots = dots_text(style.stippling) if style.title is None else ""
    return draw_map(field, replace(style, title=f"{title}\n{dots}" if dots else title))


def _better(found: xr.Dataset) -> xr.DataArray:
    """Mark where each prediction explains significantly more than the other (prediction, ...)."""
    ahead = {"network": found["difference"] > 0, "linear": found["difference"] < 0}
    dots = xr.concat([ahead[name] & found["significant"] for name in ahead], xr.Variable("prediction", list(ahead)))
    dots = dots.sel(prediction=found["prediction"].values).astype(bool)
    more = {"meaning": "significantly more than the other"}
    return dots.assign_attrs(found["significant"].attrs | more)
