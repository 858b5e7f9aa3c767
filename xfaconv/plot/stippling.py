"""Dots where something holds, such as significance: matched to the field by coordinates, thinned to stay legible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from cartopy import crs as ccrs

from xfaconv.errors import ArgumentError, CoordinateError
from xfaconv.plot.colours import INK
from xfaconv.plot.coordinates import canonical

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes

_ROWS_OF_DOTS = 45


def matched_stippling(stippling: xr.DataArray, field: xr.DataArray) -> xr.DataArray:
    """Check that dots belong to a field and put them in its order.

    Parameters
    ----------
    stippling : DataArray ([row,] [col,] latitude, longitude), bool
        True where a dot is wanted.
    field : DataArray ([row,] [col,] latitude, longitude)
        In canonical order.

    Returns
    -------
    DataArray
        In the order of the field.

    Raises
    ------
    ArgumentError
        If it is not boolean or has a dimension that the field lacks.
    CoordinateError
        If its grid is another one.

    Examples
    --------
    >>> field = xr.DataArray(np.ones((2, 2)), {"lat": [0, 1], "lon": [0, 1]}, ("lat", "lon"))
    >>> int(matched_stippling(field > 0, field).sum())
    4
    """
    if stippling.dtype != bool:
        raise ArgumentError(
            "stippling must say yes or no in each cell",
            expected="a boolean DataArray",
            found=f"dtype {stippling.dtype}",
            fix="stippling=pvalue < 0.05",
        )
    dots, _ = canonical(stippling)
    for dim, own in zip(dots.dims[-2:], field.dims[-2:], strict=True):
        same = dots.sizes[dim] == field.sizes[own] and np.allclose(
            np.asarray(dots[dim].values - field[own].values, dtype=np.float64), 0, atol=1e-3
        )
        if not same:
            raise CoordinateError(
                f"stippling and field differ in {own!r}",
                expected=f"{field.sizes[own]} values from {float(field[own][0]):g} to {float(field[own][-1]):g}",
                found=f"{dots.sizes[dim]} values from {float(dots[dim][0]):g} to {float(dots[dim][-1]):g}",
                fix="stippling = stippling.sel(latitude=field.latitude, longitude=field.longitude)",
            )
    strange = [dim for dim in dots.dims[:-2] if dim not in field.dims]
    if strange:
        raise ArgumentError(
            f"stippling has the dimension {strange[0]!r}, which the maps do not have",
            expected=f"dimensions among {tuple(str(dim) for dim in field.dims)}",
            fix=f"stippling=stippling.isel({strange[0]}=0)",
        )
    return dots


def add_stippling(ax: GeoAxes, dots: xr.DataArray, **style: Any) -> Any:
    """Draw a dot at the centre of the cells that are True, in at most about seventy rows.

    Parameters
    ----------
    ax : GeoAxes
        The map.
    dots : DataArray (latitude, longitude), bool
        From `matched_stippling`.
    **style
        Passed to `scatter`.

    Returns
    -------
    PathCollection
        With gid "stippling".

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot(projection=ccrs.PlateCarree())
    >>> dots = xr.DataArray(np.ones((2, 2), bool), {"lat": [0, 1], "lon": [0, 1]}, ("lat", "lon"))
    >>> add_stippling(ax, dots).get_offsets().shape
    (4, 2)
    """
    step = max(1, round(dots.sizes[dots.dims[-2]] / _ROWS_OF_DOTS))
    thin = dots.isel({dots.dims[-2]: slice(step // 2, None, step), dots.dims[-1]: slice(step // 2, None, step)})
    rows, columns = np.nonzero(thin.values)
    latitude = np.asarray(thin[thin.dims[-2]].values, dtype=np.float64)
    longitude = np.asarray(thin[thin.dims[-1]].values, dtype=np.float64)
    # Meridians meet at the poles: there every second, fourth, ... dot is left out so that their density is even.
    every = 2 ** np.floor(-np.log2(np.maximum(np.cos(np.deg2rad(latitude)), 0.02)) + 1e-9).astype(int)
    shown = columns % every[rows] == 0
    limits = ax.get_xlim(), ax.get_ylim()
    artist = ax.scatter(
        longitude[columns[shown]],
        latitude[rows[shown]],
        **{
            "s": 2.5,
            "color": INK,
            # A light rim keeps the dots visible on the dark ends of a colour map.
            "edgecolors": "white",
            "linewidths": 0.3,
            "transform": ccrs.PlateCarree(),
            "zorder": 1.8,
            **style,
        },
    )
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    artist.set_gid("stippling")
    return artist
