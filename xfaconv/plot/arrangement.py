"""From a record to the maps that are drawn: a mean over time or seasons, a dimension for the panels, a title."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import xarray as xr

from xfaconv.plot.base_points import Point
from xfaconv.plot.coordinates import drawn_dimension, horizontal_dimensions
from xfaconv.plot.labels import period_text, place_text

_SEASONS = ("DJF", "MAM", "JJA", "SON")


def arrange(
    data: xr.DataArray, row: Hashable | None, col: Hashable | None
) -> tuple[xr.DataArray, str, Hashable | None, Hashable | None]:
    """Bring a record to the maps that will be drawn: seasons or a mean over time, and a dimension for the panels.

    Parameters
    ----------
    data : DataArray (..., latitude, longitude)
        Any chunks; it is computed here, once.
    row, col : hashable, optional
        Dimensions of the panels, "season" for the mean of each season.

    Returns
    -------
    field : DataArray ([row,] [col,] latitude, longitude)
        In memory.
    period : str
        Which time it stands for, empty where that is unknown or the panels say it.
    row, col : hashable or None
        With a dimension that was left over as `col`.

    Examples
    --------
    >>> import numpy as np
    >>> da = xr.DataArray(np.ones((3, 2, 2)), {"head": [1, 2, 3], "lat": [0, 1], "lon": [0, 1]},
    ...                   ("head", "lat", "lon"))
    >>> arrange(da, None, None)[1:]
    ('', None, 'head')
    """
    time = drawn_dimension(data, "time")
    period = ""
    if time is not None and time not in (row, col):
        period = period_text(data[time])
        if "season" in (row, col) and "season" not in data.dims:
            data = data.groupby(f"{time}.season").mean(skipna=True, keep_attrs=True)
            data = data.sel(season=[name for name in _SEASONS if name in data["season"].values])
        else:
            data = data.mean([time], keep_attrs=True)
    elif time is None:
        scalars = [coord for coord in data.coords.values() if coord.ndim == 0]
        period = next((text for coord in scalars if (text := period_text(coord))), "")
    single = [dim for dim in data.dims if data.sizes[dim] == 1 and dim not in (row, col)]
    horizontal = horizontal_dimensions(data)
    data = data.squeeze([dim for dim in single if dim not in horizontal])
    left = [dim for dim in data.dims if dim not in horizontal and dim not in (row, col)]
    if len(left) == 1 and col is None:
        col = left[0]
    return data.compute(), period, row, col


def map_title(what: str, points: Mapping[str, Point], period: str, *, panels: bool) -> str:
    """Title of a figure of maps.

    Parameters
    ----------
    what : str
        Quantity and the word before the base point, such as "Attention from".
    points : mapping of str to (float, float)
        Base points; named in the title where there is one.
    period : str
        Which time the maps stand for.
    panels : bool
        Whether there are several maps: the title then is one line.

    Returns
    -------
    str

    Examples
    --------
    >>> map_title("Attention from", {"nino34": (0.0, -140.0)}, "Jan 2000", panels=True)
    'Attention from nino34 (0°, 140°W), Jan 2000'
    """
    head = what.rsplit(" ", 1)[0]
    if len(points) == 1:
        ((name, point),) = points.items()
        head = f"{what} {name} ({place_text(*point)})" if name else f"{what} {place_text(*point)}"
    return f"{head}{', ' if panels else chr(10)}{period}" if period else head
