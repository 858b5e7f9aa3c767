"""The base point of a map: where it is, its marker, and great circles to the places that stand out most."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from cartopy import crs as ccrs
from matplotlib.patheffects import Normal, withStroke
from numpy.typing import NDArray

from xfaconv.errors import ArgumentError
from xfaconv.plot.colours import INK
from xfaconv.plot.coordinates import horizontal_dimensions

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes

Point = tuple[float, float]
BasePoint = Point | Mapping[str, Point] | Literal[False] | None
MARKER = "#3DDC97"
GREAT_CIRCLE = "#00795A"
_COORDINATES = (("base_latitude", "base_longitude"), ("base_point_latitude", "base_point_longitude"))
_EARTH_RADIUS = 6371.0
_REMOTE = 2500.0
_NEARBY = 1200.0


def base_points(data: xr.DataArray, given: BasePoint) -> dict[str, Point]:
    """Find the base points of a DataArray: as given, else from its coordinates or attributes.

    Parameters
    ----------
    data : DataArray
        Coordinates or attributes `base_latitude` and `base_longitude` are read, scalar or along `base_point`.
    given : (float, float), mapping of name to (float, float), False or None
        Latitude and longitude [degrees]; False for none; None to look at the data.

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
    >>> base_points(xr.DataArray(0.0), {"Niño 3.4": (0, -140)})
    {'Niño 3.4': (0.0, -140.0)}
    """
    if given is False:
        return {}
    if given is None:
        return _from_data(data)
    points = given if isinstance(given, Mapping) else {"": given}
    return {str(name): _checked(point) for name, point in points.items()}


def _checked(point: Any) -> Point:
    try:
        latitude, longitude = (float(part) for part in point)
    except (TypeError, ValueError):
        latitude = longitude = np.nan
    if not (abs(latitude) <= 90 and -360 <= longitude <= 360):
        raise ArgumentError(
            "base_point is not a place on the globe",
            expected="(latitude, longitude) in degrees, or a mapping of names to them",
            found=repr(point),
            fix="base_point=(0, -140)",
        )
    return latitude, longitude


def _from_data(data: xr.DataArray) -> dict[str, Point]:
    horizontal_dimensions(data)
    for latitude, longitude in _COORDINATES:
        if latitude in data.coords and longitude in data.coords:
            south_north, west_east = data.coords[latitude], data.coords[longitude]
            if south_north.ndim == 0:
                name = str(data.coords["base_point"].values) if "base_point" in data.coords else ""
                return {name: (float(south_north), float(west_east))}
            names = [str(name) for name in data.coords[south_north.dims[0]].values]
            return dict(
                zip(names, zip(south_north.values.tolist(), west_east.values.tolist(), strict=True), strict=True)
            )
        if latitude in data.attrs and longitude in data.attrs:
            return {"": (float(data.attrs[latitude]), float(data.attrs[longitude]))}
    return {}


def points_of_panel(points: Mapping[str, Point], names: Mapping[Hashable, Any]) -> list[Point]:
    """Pick the base points that belong to a panel: its own where panels are base points, else all.

    Parameters
    ----------
    points : mapping of str to (float, float)
        From `base_points`.
    names : mapping
        Coordinate values of the panel.

    Returns
    -------
    list of (float, float)

    Examples
    --------
    >>> points_of_panel({"a": (0.0, 1.0), "b": (2.0, 3.0)}, {"base_point": "b"})
    [(2.0, 3.0)]
    """
    own = [points[str(value)] for value in names.values() if str(value) in points]
    return own or list(points.values())


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


def distances(latitude: NDArray[np.float64], longitude: NDArray[np.float64], point: Point) -> NDArray[np.float64]:
    """Great-circle distance from a point.

    Parameters
    ----------
    latitude, longitude : ndarray
        Degrees, broadcast together.
    point : (float, float)
        Latitude, longitude [degrees].

    Returns
    -------
    ndarray
        Distance [km].

    Examples
    --------
    >>> distances(np.array([0.0]), np.array([180.0]), (0.0, 0.0)).round()
    array([20015.])
    """
    phi, here = np.deg2rad(latitude), np.deg2rad(point[0])
    turn = np.deg2rad(longitude - point[1])
    half = np.sin((phi - here) / 2) ** 2 + np.cos(phi) * np.cos(here) * np.sin(turn / 2) ** 2
    return np.asarray(2 * _EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


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
    free = distances(rows, columns, point) >= _REMOTE
    found: list[Point] = []
    # The flank of a stronger place is not a place of its own: it has a stronger cell nearby.
    for cell in np.argsort(strength, axis=None)[::-1][: strength.size // 4 + 10]:
        here = np.unravel_index(cell, strength.shape)
        if len(found) == count or strength[here] <= 0:
            break
        if not free[here]:
            continue
        place = (float(rows[here]), float(columns[here]))
        away = distances(rows, columns, place)
        if strength[here] >= strength[away < _NEARBY].max():
            found.append(place)
            free &= away >= _REMOTE
    return found


def add_great_circles(ax: GeoAxes, panel: xr.DataArray, point: Point, count: int) -> list[Any]:
    """Draw the shortest way from the base point to the places that stand out most.

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


def middle_of(points: Mapping[str, Point]) -> float | None:
    """Longitude that a map of the world should not cut: that of the first base point.

    Parameters
    ----------
    points : mapping of str to (float, float)
        From `base_points`.

    Returns
    -------
    float or None

    Examples
    --------
    >>> middle_of({"nino34": (0.0, -140.0)})
    -140.0
    """
    return next((longitude for _, longitude in points.values()), None)


def marking(
    points: Mapping[str, Point], great_circles: int
) -> Callable[[Any, xr.DataArray, Mapping[Hashable, Any]], None]:
    """Make the function that draws markers and great circles on each panel.

    Parameters
    ----------
    points : mapping of str to (float, float)
        From `base_points`.
    great_circles : int
        How many great circles from each point.

    Returns
    -------
    callable
        Takes the axes, the panel's field and its coordinate values.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot(projection=ccrs.Robinson())
    >>> marking({"": (0.0, 20.0)}, 0)(ax, xr.DataArray(0.0), {})
    >>> [line.get_gid() for line in ax.lines]
    ['base point']
    """

    def decorate(ax: Any, panel: xr.DataArray, names: Mapping[Hashable, Any]) -> None:
        for point in points_of_panel(points, names):
            if great_circles:
                add_great_circles(ax, panel, point, great_circles)
            add_marker(ax, point)

    return decorate
