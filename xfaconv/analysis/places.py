"""Places on a grid: the cell that holds one, and how far every cell is from it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xfaconv.analysis.axes import horizontal_axes
from xfaconv.errors import CoordinateError


def nearest_point(field: xr.DataArray, latitude: float, longitude: float) -> xr.DataArray:
    """Give the series of the cell that holds a place, whichever longitude convention is used.

    Parameters
    ----------
    field : DataArray (..., latitude, longitude)
        In memory or lazy.
    latitude, longitude : float
        The place [degrees]; longitude in any convention.

    Returns
    -------
    DataArray (...)
        With the cell's own latitude and longitude as scalar coordinates.

    Raises
    ------
    CoordinateError
        If the place lies outside the grid.

    Examples
    --------
    >>> field = xr.DataArray(np.arange(4.0).reshape(2, 2), {"lat": [0.0, 10.0], "lon": [190.0, 200.0]}, ("lat", "lon"))
    >>> float(nearest_point(field, 9, -161))
    3.0
    """
    axes = horizontal_axes(field)
    rows = np.asarray(field[axes.latitude].values, dtype=np.float64)
    columns = np.asarray(field[axes.longitude].values, dtype=np.float64)
    apart = np.abs((columns - longitude + 180) % 360 - 180)
    # Ties go south and then to the smaller eastward longitude, so that the order of storage does not matter.
    row = int(np.lexsort((rows, np.abs(rows - latitude).round(6)))[0])
    column = int(np.lexsort((columns % 360, apart.round(6)))[0])
    reach_rows = np.abs(np.diff(rows)).max() if len(rows) > 1 else 180.0
    reach_columns = np.median(np.abs(np.diff(columns))) if len(columns) > 1 else 360.0
    if not -90 <= latitude <= 90 or abs(rows[row] - latitude) > reach_rows or apart[column] > reach_columns:
        raise CoordinateError(
            f"the point ({latitude:g}, {longitude:g}) lies outside the grid",
            expected=f"latitude {rows.min():g} to {rows.max():g}, longitude {columns.min():g} to {columns.max():g}",
            fix="choose latitude and longitude inside the grid",
        )
    return field.isel({axes.latitude: row, axes.longitude: column})


def great_circle(data: xr.DataArray | xr.Dataset, latitude: float, longitude: float) -> xr.DataArray:
    """Angular distance of every cell centre from a place.

    Parameters
    ----------
    data : DataArray or Dataset
        With latitude and longitude.
    latitude, longitude : float
        The place [degrees].

    Returns
    -------
    DataArray (latitude, longitude), float64
        Distance [degrees], 0 to 180.

    Examples
    --------
    >>> field = xr.DataArray(np.zeros((2, 2)), {"lat": [0.0, 10.0], "lon": [0.0, 90.0]}, ("lat", "lon"))
    >>> great_circle(field, 0, 0).values.round(1)
    array([[ 0., 90.],
           [10., 90.]])
    """
    axes = horizontal_axes(data)
    rows = np.deg2rad(data[axes.latitude].astype(np.float64))
    columns = np.deg2rad(data[axes.longitude].astype(np.float64))
    place = np.deg2rad(latitude), np.deg2rad(longitude)
    # The half-angle form keeps its digits at small distances.
    half = np.sin((rows - place[0]) / 2) ** 2 + np.cos(rows) * np.cos(place[0]) * np.sin((columns - place[1]) / 2) ** 2
    distance: xr.DataArray = np.rad2deg(2 * np.arcsin(np.sqrt(half.clip(0, 1)))).transpose(*axes.both)
    distance.attrs = {"units": "degree", "long_name": "great-circle distance from the point"}
    return distance
