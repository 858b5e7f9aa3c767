"""The projection of a map: by name, as a cartopy CRS, or chosen for the domain; and the frame around the domain."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
from cartopy import crs as ccrs
from matplotlib.path import Path

from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.plot.coordinates import SAME, east_of

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes

Extent = tuple[float, float, float, float]
_POLAR = (ccrs.NorthPolarStereo, ccrs.SouthPolarStereo)


def central_longitude(grid: Grid, base_longitude: float | None) -> float:
    """Longitude at the middle of the map.

    Parameters
    ----------
    grid : Grid
        Of the field.
    base_longitude : float, optional
        Longitude of the base point [degrees].

    Returns
    -------
    float
        On a periodic grid 0 or 180: where the base point lies well inside the map, else as the data's own convention
        has it. On other grids the middle of the domain.

    Examples
    --------
    >>> central_longitude(Grid.regular(5.0), -140.0), central_longitude(Grid.regular(5.0), -20.0)
    (180.0, 0.0)
    """
    if not grid.periodic:
        return float((grid.longitude_edges[0] + grid.longitude_edges[-1]) / 2)
    if base_longitude is not None:
        return 180.0 if abs((base_longitude + 180) % 360 - 180) > 90 else 0.0
    return 180.0 if grid.longitude[0] > -90 else 0.0


def choose(grid: Grid, centre: float, extent: Extent | None = None) -> ccrs.Projection:
    """Projection that suits a domain.

    Parameters
    ----------
    grid : Grid
        Of the field.
    centre : float
        Longitude at the middle of the map [degrees].
    extent : tuple of float, optional
        West, east, south, north [degrees] where only a part is shown.

    Returns
    -------
    cartopy.crs.Projection
        Robinson for the globe, polar stereographic for a hemispheric cap, Lambert conformal for a region of middle or
        high latitude, equirectangular for the rest.

    Examples
    --------
    >>> type(choose(Grid.regular(5.0), 180.0)).__name__
    'Robinson'
    """
    south, north = float(grid.latitude_edges[0]), float(grid.latitude_edges[-1])
    width = 360.0 if grid.periodic else float(grid.longitude_edges[-1] - grid.longitude_edges[0])
    if extent is not None:
        _, _, south, north = extent
        width, centre = _width_and_middle(extent)
    if width > 300:
        if south > -5 and north > 75:
            return ccrs.NorthPolarStereo(central_longitude=0.0)
        if north < 5 and south < -75:
            return ccrs.SouthPolarStereo(central_longitude=0.0)
        if north - south > 120:
            return ccrs.Robinson(central_longitude=_half_turn(centre))
        return ccrs.PlateCarree(central_longitude=_half_turn(centre))
    middle = (south + north) / 2
    if south * north > 0 and abs(middle) > 25 and width <= 120 and max(abs(south), abs(north)) < 85:
        sixth = (north - south) / 6
        return ccrs.LambertConformal(
            central_longitude=_half_turn(centre),
            central_latitude=middle,
            standard_parallels=(south + sixth, north - sixth),
            # Cartopy cuts the cone at the far side of the equator; for a southern region that is the north.
            cutoff=-30 if middle > 0 else 30,
        )
    return ccrs.PlateCarree(central_longitude=_half_turn(centre) if crosses_date_line(centre, width) else 0.0)


def _width_and_middle(extent: Extent) -> tuple[float, float]:
    """Degrees of longitude that are shown, 360 for the full circle, and the meridian in their middle."""
    west, east, _, _ = extent
    width = (east - west) % 360
    # West and east are the same meridian to rounding.
    width = 360.0 if min(width, 360 - width) < SAME else width
    return width, west + width / 2


def crosses_date_line(centre: float, width: float) -> bool:
    """Whether a domain crosses the date line, so that an equirectangular map must be turned to hold it in one piece.

    Parameters
    ----------
    centre, width : float
        Middle and width of the domain [degrees].

    Returns
    -------
    bool

    Examples
    --------
    >>> crosses_date_line(175.0, 40.0), crosses_date_line(-60.0, 40.0)
    (True, False)
    """
    return abs(_half_turn(centre)) + width / 2 > 180 + SAME


def _half_turn(longitude: float) -> float:
    return 180 - (180 - longitude) % 360


def resolve(projection: str | ccrs.CRS | None, grid: Grid, centre: float, extent: Extent | None) -> ccrs.Projection:
    """Projection from a name, a cartopy CRS, or None for the one that suits the domain.

    Parameters
    ----------
    projection : str or cartopy.crs.CRS, optional
        Name of a class in `cartopy.crs`, in any case.
    grid, centre, extent
        As in `choose`.

    Returns
    -------
    cartopy.crs.Projection

    Raises
    ------
    ArgumentError
        If there is no projection of that name.

    Examples
    --------
    >>> type(resolve("robinson", Grid.regular(5.0), 180.0, None)).__name__
    'Robinson'
    """
    if projection is None:
        return choose(grid, centre, extent)
    if isinstance(projection, ccrs.Projection):
        return projection
    known: dict[str, Any] = {
        name.lower(): found
        for name, found in vars(ccrs).items()
        if inspect.isclass(found) and issubclass(found, ccrs.Projection) and not name.startswith("_")
    }
    found = known.get(str(projection).lower()) if isinstance(projection, str) else None
    if found is None or found is ccrs.Projection:
        raise ArgumentError(
            "projection is not one that a map can have",
            expected="a name such as 'Robinson', 'PlateCarree', 'NorthPolarStereo', or a cartopy.crs.Projection",
            found=repr(projection),
            fix='projection="Robinson"',
        )
    centred = "central_longitude" in inspect.signature(found).parameters
    if centred and found not in _POLAR:
        width, middle = (360.0, centre) if extent is None else _width_and_middle(extent)
        # A part is in the middle of its map, so that the map's edge does not cut it.
        return found(central_longitude=_half_turn(middle if width < 360 else centre))
    return found()


def left_edge(projection: ccrs.Projection) -> float | None:
    """Longitude at which a map of the whole world is cut open.

    Parameters
    ----------
    projection : cartopy.crs.Projection
        Of the map.

    Returns
    -------
    float or None
        Degrees; None where the projection is not cut along a meridian.

    Examples
    --------
    >>> left_edge(ccrs.Robinson(central_longitude=180))
    0.0
    """
    parameters = projection.proj4_params
    # Equirectangular projections call the longitude in their middle their prime meridian.
    centre = parameters.get("lon_0", parameters.get("pm"))
    return None if centre is None else float(centre) - 180.0


def visible_latitudes(projection: ccrs.Projection) -> tuple[float, float]:
    """Latitudes that a projection can show: polar ones leave out most of the other hemisphere.

    Parameters
    ----------
    projection : cartopy.crs.Projection
        Of the map.

    Returns
    -------
    tuple of float
        South, north [degrees].

    Examples
    --------
    >>> visible_latitudes(ccrs.NorthPolarStereo())
    (0.0, 90.0)
    """
    if isinstance(projection, ccrs.NorthPolarStereo):
        return 0.0, 90.0
    if isinstance(projection, ccrs.SouthPolarStereo):
        return -90.0, 0.0
    return -90.0, 90.0


def frame(ax: GeoAxes, grid: Grid, extent: Extent | None) -> None:
    """Show exactly the domain: the globe, a round cap, a fan between meridians, or a box.

    Parameters
    ----------
    ax : GeoAxes
        The map.
    grid : Grid
        Of the field that is drawn.
    extent : tuple of float, optional
        West, east, south, north [degrees]; None shows the whole domain.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot(projection=ccrs.PlateCarree())
    >>> frame(ax, Grid((0.0, 10.0), (20.0, 30.0)), None)
    >>> [float(edge) for edge in ax.get_extent()]
    [15.0, 35.0, -5.0, 15.0]
    """
    projection = ax.projection
    south, north = float(grid.latitude_edges[0]), float(grid.latitude_edges[-1])
    west, east = float(grid.longitude_edges[0]), float(grid.longitude_edges[-1])
    if extent is not None:
        west, east, south, north = extent
        east = west + _width_and_middle(extent)[0]
    low, high = visible_latitudes(projection)
    if isinstance(projection, _POLAR):
        ax.set_extent((-180, 180, max(south, low), min(north, high)), ccrs.PlateCarree())
        ax.set_boundary(_circle(), transform=ax.transAxes)
    elif isinstance(projection, ccrs.LambertConformal) and east - west < 300:
        # Gridlines and their labels need the convention from -180 to 180: a region from 340 to 380 has few of them.
        turns = 360.0 * np.ceil(((west + east) / 2 - 180) / 360)
        path = _fan(west - turns, east - turns, south, north)
        ax.set_boundary(path, transform=ccrs.PlateCarree())
        points = projection.transform_points(ccrs.PlateCarree(), *np.asarray(path.vertices).T)
        ax.set_xlim(points[:, 0].min(), points[:, 0].max())
        ax.set_ylim(points[:, 1].min(), points[:, 1].max())
    elif east - west > 359 and north - south > 179:
        ax.set_global()
    elif isinstance(projection, ccrs.PlateCarree):
        # Here x is the longitude from the centre: the box can be set as it is, the full circle included.
        # What begins at the map's left edge, to rounding, begins there and not at its right edge.
        left = left_edge(projection)
        start = 0.0 if left is None or east - west > 359 else float(east_of(left, west))
        ax.set_xlim(start - 180.0, start - 180.0 + min(east - west, 360.0))
        ax.set_ylim(south, north)
    elif east - west > 359:
        ax.set_global()
    else:
        ax.set_extent((west, east, south, north), ccrs.PlateCarree())


def _circle() -> Path:
    angle = np.linspace(0, 2 * np.pi, 200)
    return Path(0.5 + 0.5 * np.column_stack([np.sin(angle), np.cos(angle)]))


def _fan(west: float, east: float, south: float, north: float) -> Path:
    along = np.linspace(west, east, 100)
    up = np.linspace(south, north, 100)
    x = np.concatenate([along, np.full(100, east), along[::-1], np.full(100, west)])
    y = np.concatenate([np.full(100, south), up, np.full(100, north), up[::-1]])
    return Path(np.column_stack([x, y]))


def map_aspect(projection: ccrs.Projection, grid: Grid, extent: Extent | None) -> float:
    """Width of a map over its height, to size a figure before it is drawn.

    Parameters
    ----------
    projection : cartopy.crs.Projection
        Of the map.
    grid : Grid
        Of the field.
    extent : tuple of float, optional
        As in `frame`.

    Returns
    -------
    float
        Between 0.5 and 4.

    Examples
    --------
    >>> round(map_aspect(ccrs.PlateCarree(), Grid.regular(5.0), None), 2)
    2.0
    """
    from matplotlib.figure import Figure

    ax: Any = Figure().add_subplot(projection=projection)
    frame(ax, grid, extent)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    return float(np.clip((right - left) / (top - bottom), 0.5, 4.0))
