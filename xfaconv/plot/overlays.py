"""What is drawn over a field: the base point, great circles to the strongest places, and stippling."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from cartopy import crs as ccrs
from matplotlib.collections import LineCollection
from matplotlib.patheffects import Normal, withStroke

from xfaconv.arguments import as_place
from xfaconv.errors import ArgumentError, CoordinateError
from xfaconv.grid import great_circle_degrees
from xfaconv.plot.coordinates import canonical, horizontal_dimensions, same_degrees
from xfaconv.plot.style import INK

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes

Point = tuple[float, float]
BasePoint = Point | Mapping[str, Point] | Literal[False] | None
MARKER = "#3DDC97"
GREAT_CIRCLE = "#00795A"
# 2,500 km and 1,200 km on a sphere of 6,371 km [degrees].
_REMOTE, _NEARBY = np.rad2deg(2500 / 6371), np.rad2deg(1200 / 6371)
_ROWS_OF_DOTS = 45


def base_points(data: xr.DataArray, given: BasePoint) -> dict[str, Point]:
    """Find the base points of a DataArray: as given, else from its coordinates or attributes.

    Parameters
    ----------
    data : DataArray
        Coordinates or attributes `base_latitude` and `base_longitude` are read, scalar or along `base_point`.
    given : (float, float), mapping of name to (float, float), False or None
        Latitude and longitude [degrees]; False for none; None to read them from the data.

    Returns
    -------
    dict of str to (float, float)
        By name; the name is empty for a single point without one.

    Raises
    ------
    ArgumentError
        If a point is not a latitude and a longitude.

    Examples
    --------
    >>> field = xr.DataArray(np.zeros((2, 2)), {"lat": [0, 1], "lon": [0, 1]}, ("lat", "lon"))
    >>> base_points(field, {"Niño 3.4": (0, -140)})
    {'Niño 3.4': (0.0, -140.0)}
    """
    horizontal_dimensions(data)
    if given is None:
        return _from_data(data)
    if given is False:
        return {}
    points = given if isinstance(given, Mapping) else {"": given}
    return {str(name): as_place(point, name or "base_point") for name, point in points.items()}


def _from_data(data: xr.DataArray) -> dict[str, Point]:
    if {"base_latitude", "base_longitude"} <= set(data.coords):
        latitude, longitude = data.coords["base_latitude"], data.coords["base_longitude"]
        names = data[latitude.dims[0]] if latitude.ndim else data.coords.get("base_point", np.array(""))
        columns = (np.atleast_1d(values).tolist() for values in (latitude, longitude))
        return dict(zip(map(str, np.atleast_1d(names)), zip(*columns, strict=True), strict=True))
    if {"base_latitude", "base_longitude"} <= set(data.attrs):
        return {"": (float(data.attrs["base_latitude"]), float(data.attrs["base_longitude"]))}
    return {}


def add_base_points(
    ax: GeoAxes, panel: xr.DataArray, points: Mapping[str, Point], names: Mapping[Hashable, Any], great_circles: int = 0
) -> None:
    """Mark the base points of a panel: its own where panels are base points, else all.

    Parameters
    ----------
    ax : GeoAxes
        The map.
    panel : DataArray (latitude, longitude)
        Its field.
    points : mapping of str to (float, float)
        From `base_points`.
    names : mapping
        Coordinate values of the panel.
    great_circles : int, default 0
        How many great circles from each.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot(projection=ccrs.Robinson())
    >>> add_base_points(ax, xr.DataArray(0.0), {"a": (0.0, 1.0), "b": (2.0, 3.0)}, {"base_point": "b"})
    >>> [(line.get_gid(), float(line.get_xdata()[0])) for line in ax.lines]
    [('base point', 3.0)]
    """
    own = [points[str(value)] for value in names.values() if str(value) in points]
    for point in own or points.values():
        if great_circles:
            add_great_circles(ax, panel, point, great_circles)
        add_marker(ax, point)


def add_marker(ax: GeoAxes, point: Point) -> Any:
    """Mark the base point with a star that stands out on every colour map.

    Parameters
    ----------
    ax : GeoAxes
        The map.
    point : (float, float)
        Latitude, longitude [degrees].

    Returns
    -------
    Line2D
        With gid "base point".

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> add_marker(Figure().add_subplot(projection=ccrs.Robinson()), (0.0, -140.0)).get_gid()
    'base point'
    """
    width = ax.get_position().width * ax.figure.figure.get_figwidth()
    size = 7.5 if width < 2.5 else 9.0 if width < 4.0 else 12.0
    (line,) = ax.plot(
        point[1],
        point[0],
        marker="*",
        markersize=size,
        color=MARKER,
        markeredgecolor=INK,
        markeredgewidth=0.5,
        # A dark rim and a light one around it: one of them stands out on every colour.
        path_effects=[withStroke(linewidth=2.0, foreground="white"), Normal()],
        linestyle="none",
        transform=ccrs.PlateCarree(),
        zorder=4.0,
    )
    line.set_gid("base point")
    return line


def strongest_places(panel: xr.DataArray, point: Point, count: int) -> list[Point]:
    """Cells of the largest magnitude, far from the base point and from each other.

    Parameters
    ----------
    panel : DataArray (latitude, longitude)
        One map.
    point : (float, float)
        The base point.
    count : int
        How many at most.

    Returns
    -------
    list of (float, float)
        At least 2,500 km apart.

    Examples
    --------
    >>> da = xr.DataArray([[9.0, 1.0, 5.0]], {"lat": [0], "lon": [0, 90, 180]}, ("lat", "lon"))
    >>> strongest_places(da, (0.0, 0.0), 1)
    [(0.0, 180.0)]
    """
    latitude, longitude = (np.asarray(panel[dim].values, dtype=np.float64) for dim in panel.dims)
    rows, columns = np.meshgrid(latitude, longitude, indexing="ij")
    strength = np.abs(np.nan_to_num(panel.values.astype(np.float64)))
    free = great_circle_degrees(rows, columns, point) >= _REMOTE
    found: list[Point] = []
    # The flank of a stronger place is not a place of its own: it has a stronger cell nearby.
    for cell in np.argsort(strength, axis=None)[::-1][: strength.size // 4 + 10]:
        here = np.unravel_index(cell, strength.shape)
        if len(found) == count or strength[here] <= 0:
            break
        if not free[here]:
            continue
        place = (float(rows[here]), float(columns[here]))
        away = great_circle_degrees(rows, columns, place)
        if strength[here] >= strength[away < _NEARBY].max():
            found.append(place)
            free &= away >= _REMOTE
    return found


def add_great_circles(ax: GeoAxes, panel: xr.DataArray, point: Point, count: int) -> list[Any]:
    """Draw the great circles from the base point to the strongest places.

    Parameters
    ----------
    ax : GeoAxes
        The map.
    panel : DataArray (latitude, longitude)
        One map.
    point : (float, float)
        The base point.
    count : int
        How many places.

    Returns
    -------
    list of Line2D
        With gid "great circle".

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> da = xr.DataArray([[9.0, 1.0, 5.0]], {"lat": [0], "lon": [0, 90, 180]}, ("lat", "lon"))
    >>> len(add_great_circles(Figure().add_subplot(projection=ccrs.Robinson()), da, (0.0, 0.0), 2))
    2
    """
    limits = ax.get_xlim(), ax.get_ylim()
    lines = []
    for latitude, longitude in strongest_places(panel, point, count):
        (line,) = ax.plot(
            [point[1], longitude],
            [point[0], latitude],
            color=GREAT_CIRCLE,
            linewidth=1.0,
            marker="o",
            markersize=2.5,
            markevery=[1],
            transform=ccrs.Geodetic(),
            path_effects=[withStroke(linewidth=2.2, foreground="white")],
            zorder=3.0,
        )
        line.set_gid("great circle")
        lines.append(line)
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    return lines


def add_outline(ax: GeoAxes, mask: xr.DataArray, **style: Any) -> Any:
    """Draw the edge of the cells that are True.

    Parameters
    ----------
    ax : GeoAxes
        The map.
    mask : DataArray (latitude, longitude), bool
        Cells of an area.
    **style
        Passed to `LineCollection`; `gid` names the line.

    Returns
    -------
    LineCollection

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot(projection=ccrs.PlateCarree())
    >>> mask = xr.DataArray(np.eye(3, dtype=bool), {"lat": [-60, 0, 60], "lon": [0, 10, 20]}, ("lat", "lon"))
    >>> len(add_outline(ax, mask).get_paths())
    12
    """
    plain, grid = canonical(mask)
    inside = plain.values.astype(bool)
    south_north, west_east = np.asarray(grid.latitude_edges), np.asarray(grid.longitude_edges)
    # An edge lies where two cells beside each other differ; those around the grid are outside, except across its seam.
    beside = np.concatenate([inside[:, -1:], inside], axis=1) if grid.periodic else np.pad(inside, ((0, 0), (1, 0)))
    beside = np.concatenate([beside, inside[:, :1] if grid.periodic else np.zeros((len(inside), 1), bool)], axis=1)
    rows, columns = np.nonzero(beside[:, 1:] != beside[:, :-1])
    meridians = [
        [(west_east[j], south_north[i]), (west_east[j], south_north[i + 1])] for i, j in zip(rows, columns, strict=True)
    ]
    rows, columns = np.nonzero(np.diff(np.pad(inside, ((1, 1), (0, 0))).astype(int), axis=0))
    circles = [
        [(west_east[j], south_north[i]), (west_east[j + 1], south_north[i])] for i, j in zip(rows, columns, strict=True)
    ]
    limits = ax.get_xlim(), ax.get_ylim()
    look = {"colors": INK, "linewidths": 1.0, "zorder": 3.0, "capstyle": "projecting", **style}
    lines = LineCollection(meridians + circles, transform=ccrs.PlateCarree()._as_mpl_transform(ax), **look)  # noqa: SLF001
    ax.add_collection(lines, autolim=False)
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    return lines


def matched_stippling(stippling: xr.DataArray, field: xr.DataArray) -> xr.DataArray:
    """Check that dots belong to a field and put them in its order.

    Parameters
    ----------
    stippling : DataArray ([row,] [col,] latitude, longitude), bool
        True where a dot is wanted; in any order and convention of longitude.
    field : DataArray ([row,] [col,] latitude, longitude)
        From `canonical`.

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
        found = f"a DataArray of {stippling.dtype}"
        raise ArgumentError(
            "stippling is not boolean", found=found, fix="give a boolean array, such as where p-values are below 0.05"
        )
    dots, _ = canonical(stippling)
    # Grids of the same meridians may begin at different ones: 0 to 360 and -180 to 180.
    first = same_degrees(dots[dots.dims[-1]], field[field.dims[-1]][0])
    dots = dots.roll({dots.dims[-1]: -int(np.argmax(first))}, roll_coords=True)
    for dim, own in zip(dots.dims[-2:], field.dims[-2:], strict=True):
        if dots.sizes[dim] != field.sizes[own] or not same_degrees(dots[dim], field[own]).all():
            expected, found = (
                f"{values.size} values from {float(values[0]):g} to {float(values[-1]):g}"
                for values in (field[own], dots[dim])
            )
            raise CoordinateError(f"stippling and field differ in {own!r}", expected=expected, found=found)
    strange = [dim for dim in dots.dims[:-2] if dim not in field.dims]
    if strange:
        problem = f"stippling has the dimension {strange[0]!r}, which the maps do not have"
        raise ArgumentError(problem, fix=f"stippling=stippling.isel({strange[0]}=0)")
    return dots


def add_stippling(ax: GeoAxes, dots: xr.DataArray, **style: Any) -> Any:
    """Draw a dot at the centre of the cells that are True, in about forty-five rows at most.

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
