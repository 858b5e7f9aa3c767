"""The horizontal grid: cell centres, edges, exact areas, and whether it closes around the globe or reaches a pole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xfaconv.arguments import is_number
from xfaconv.errors import ArgumentError, GridError

# Centres that differ by less are the same: single precision keeps longitudes to 3e-5, text files to 1e-3 [degrees].
SAME_DEGREES = 2e-3
# In steps of latitude.
_ROOM_AT_POLE = 0.4


def cell_edges(centres: Sequence[float]) -> NDArray[np.float64]:
    """Edges half-way between centres, the outer ones half a step outside.

    Parameters
    ----------
    centres : sequence of float
        Strictly ascending cell centres [degrees], at least two.

    Returns
    -------
    ndarray (n + 1,)
        Cell edges [degrees].

    Examples
    --------
    >>> cell_edges([0.0, 2.0, 4.0])
    array([-1.,  1.,  3.,  5.])
    """
    values = np.asarray(centres, dtype=np.float64)
    middle = (values[1:] + values[:-1]) / 2
    first = values[0] - (values[1] - values[0]) / 2
    last = values[-1] + (values[-1] - values[-2]) / 2
    return np.concatenate([[first], middle, [last]])


def great_circle_degrees(latitude: ArrayLike, longitude: ArrayLike, point: tuple[float, float]) -> NDArray[np.float64]:
    """Great-circle distance from a point, as an angle.

    Parameters
    ----------
    latitude, longitude : array_like
        Degrees, in any convention; broadcast together.
    point : (float, float)
        Latitude and longitude [degrees].

    Returns
    -------
    ndarray
        Distance [degrees], 0 to 180; one degree is 111.2 km.

    Examples
    --------
    >>> great_circle_degrees([[0.0], [10.0]], [0.0, 90.0], (0.0, 0.0)).round(1)
    array([[ 0., 90.],
           [10., 90.]])
    """
    rows, here = np.deg2rad(np.asarray(latitude, dtype=np.float64)), np.deg2rad(point[0])
    turn = np.deg2rad(np.asarray(longitude, dtype=np.float64) - point[1])
    # The haversine keeps its digits at small distances, where the cosine of the angle is 1 to rounding.
    half = np.sin((rows - here) / 2) ** 2 + np.cos(rows) * np.cos(here) * np.sin(turn / 2) ** 2
    return np.asarray(np.rad2deg(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))))


def same_degrees(step: float) -> float:
    """How far apart two values of the same centre may be [degrees]: rounding, and less than a tenth of a step.

    Examples
    --------
    >>> same_degrees(2.5), same_degrees(0.01)
    (0.002, 0.001)
    """
    return min(SAME_DEGREES, abs(step) / 10)


@dataclass(frozen=True)
class Grid:
    """A rectilinear grid in canonical order: latitude from south to north, longitude eastward.

    Parameters
    ----------
    latitude : tuple of float
        Cell centres [degrees north], strictly ascending.
    longitude : tuple of float
        Cell centres [degrees east], strictly ascending, spanning at most 360 degrees.

    Raises
    ------
    GridError
        If either axis has fewer than two values, is not strictly ascending, or leaves its range.

    Examples
    --------
    >>> grid = Grid.regular(5.625)
    >>> grid.shape, grid.periodic, grid.reaches_south_pole
    ((32, 64), True, True)
    >>> float(grid.area.mean().round(6))
    1.0
    """

    latitude: tuple[float, ...]
    longitude: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("latitude", "longitude"):
            try:
                values = tuple(float(v) for v in getattr(self, name))
            except (TypeError, ValueError) as problem:
                raise GridError(
                    f"{name} holds no numbers", expected="degrees", found=repr(getattr(self, name))[:200]
                ) from problem
            object.__setattr__(self, name, values)
            if len(values) < 2:
                raise GridError(f"{name} has too few values", expected="at least 2", found=str(len(values)))
            steps = np.diff(values)
            if not (np.isfinite(values).all() and (steps > 0).all()):
                raise GridError(
                    f"{name} is not strictly ascending",
                    expected="finite, strictly ascending degrees",
                    found=f"{values[0]:g}, {values[1]:g} ... {values[-1]:g}",
                )
        if self.latitude[0] < -90 - SAME_DEGREES or self.latitude[-1] > 90 + SAME_DEGREES:
            raise GridError(
                "latitude leaves the sphere",
                expected="-90 to 90 degrees",
                found=f"{self.latitude[0]:g} to {self.latitude[-1]:g}",
            )
        if self.longitude[-1] - self.longitude[0] >= 360 - SAME_DEGREES:
            raise GridError(
                "longitude covers a meridian twice",
                expected="a span below 360 degrees",
                found=f"{self.longitude[0]:g} to {self.longitude[-1]:g}",
            )

    @classmethod
    def regular(cls, step: float, *, pole_points: bool = False) -> Grid:
        """Build a global grid of equal steps, cell-centred or with points on the poles.

        Parameters
        ----------
        step : float
            Spacing [degrees]; must divide 180.
        pole_points : bool, default False
            Put the first and last latitude on the poles, as ERA5 and NCEP do.

        Returns
        -------
        Grid
            Longitudes start at 0.

        Raises
        ------
        GridError
            If the step does not divide 180.

        Examples
        --------
        >>> Grid.regular(2.5, pole_points=True).shape
        (73, 144)
        """
        rows = 180 / step if is_number(step, 1e-3, 90) else 0.5
        if abs(rows - round(rows)) > 1e-6:
            raise GridError("a regular global grid needs a step that divides 180", found=repr(step)[:200])
        count = round(rows)
        latitude = np.linspace(-90, 90, count + 1)
        if not pole_points:
            latitude = (latitude[1:] + latitude[:-1]) / 2
        return cls(tuple(latitude), tuple(np.arange(2 * count) * step))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of latitudes and of longitudes."""
        return len(self.latitude), len(self.longitude)

    @cached_property
    def latitude_edges(self) -> NDArray[np.float64]:
        """Edges of the rows [degrees], shape (latitude + 1,), clipped to the poles; a Gaussian grid is closed there."""
        edges = np.clip(cell_edges(self.latitude), -90, 90)
        # A Gaussian grid ends a quarter of a step short of the pole; where a row is missing, half a step or more is.
        if 90 + edges[0] < _ROOM_AT_POLE * (self.latitude[1] - self.latitude[0]):
            edges[0] = -90
        if 90 - edges[-1] < _ROOM_AT_POLE * (self.latitude[-1] - self.latitude[-2]):
            edges[-1] = 90
        return edges

    @cached_property
    def longitude_edges(self) -> NDArray[np.float64]:
        """Edges of the columns [degrees], shape (longitude + 1,); on a periodic grid they span exactly 360."""
        edges = cell_edges(self.longitude)
        if self.periodic:
            seam = (self.longitude[-1] + self.longitude[0] + 360) / 2
            edges[0], edges[-1] = seam - 360, seam
        return edges

    @cached_property
    def periodic(self) -> bool:
        """Whether the columns close around the globe: the seam is no wider than 1.5 of the widest step."""
        widest = float(np.diff(self.longitude).max())
        seam = 360 - (self.longitude[-1] - self.longitude[0])
        return seam < 1.5 * widest

    @property
    def reaches_south_pole(self) -> bool:
        """Whether the southernmost row ends at the South Pole."""
        return bool(self.latitude_edges[0] < -90 + SAME_DEGREES)

    @property
    def reaches_north_pole(self) -> bool:
        """Whether the northernmost row ends at the North Pole."""
        return bool(self.latitude_edges[-1] > 90 - SAME_DEGREES)

    @property
    def is_global(self) -> bool:
        """Whether the grid covers the whole sphere."""
        return self.periodic and self.reaches_south_pole and self.reaches_north_pole

    @cached_property
    def row_area(self) -> NDArray[np.float64]:
        """Exact area of a row's band, sin(upper edge) - sin(lower edge), shape (latitude,)."""
        return np.diff(np.sin(np.deg2rad(self.latitude_edges)))

    @cached_property
    def area(self) -> NDArray[np.float64]:
        """Exact cell areas normalised to mean 1, shape (latitude, longitude)."""
        area = np.outer(self.row_area, np.diff(self.longitude_edges))
        return np.asarray(area / area.mean())

    @property
    def resolution(self) -> tuple[float, float]:
        """Median spacing of latitude and of longitude [degrees]."""
        return float(np.median(np.diff(self.latitude))), float(np.median(np.diff(self.longitude)))

    def matches(self, other: Grid) -> bool:
        """Whether both grids have the same centres in the same order, to rounding and in any longitude convention.

        Examples
        --------
        >>> Grid.regular(5.0).matches(Grid.regular(2.5))
        False
        """
        if self.shape != other.shape:
            return False
        rows, columns = np.subtract(self.latitude, other.latitude), np.subtract(self.longitude, other.longitude)
        columns = np.mod(columns + 180, 360) - 180
        apart = (np.abs(rows).max(), np.abs(columns).max())
        return all(far <= same_degrees(step) for far, step in zip(apart, other.resolution, strict=True))

    def describe(self, west: float | None = None) -> str:
        """Say in one line what the grid is.

        Parameters
        ----------
        west : float, optional
            First meridian of the convention that longitudes are written in [degrees], by default -180.

        Returns
        -------
        str

        Examples
        --------
        >>> Grid.regular(5.625).describe()
        'global, 32 x 64 (5.625 x 5.625 degrees), longitude periodic'
        >>> region = Grid((0.0, 10.0), (275.0, 285.0, 295.0))
        >>> region.describe()[:24], region.describe(west=0.0)[:23]
        ('0 to 10 N, -85 to -65 E,', '0 to 10 N, 275 to 295 E')
        """
        rows, columns = self.shape
        south_north, west_east = self.resolution
        low = -180.0 if west is None else west
        # Rounded first: a longitude that single precision left below the first meridian lies on it.
        first, last = ((round(degrees, 3) - low) % 360 + low for degrees in (self.longitude[0], self.longitude[-1]))
        extent = f"{self.latitude[0]:g} to {self.latitude[-1]:g} N, "
        extent += f"{first:g} {'eastward to' if first > last else 'to'} {last:g} E"
        extent = "global" if self.is_global else extent
        closes = "longitude periodic" if self.periodic else "longitude not periodic"
        return f"{extent}, {rows} x {columns} ({south_north:g} x {west_east:g} degrees), {closes}"


def nearest_cell(grid: Grid, latitude: float, longitude: float) -> tuple[int, int]:
    """Find the cell whose centre is nearest, on either longitude convention.

    Parameters
    ----------
    grid : Grid
        The grid.
    latitude, longitude : float
        The point [degrees]; -140 and 220 are the same longitude.

    Returns
    -------
    tuple of (int, int)
        Row and column.

    Raises
    ------
    ArgumentError
        If the point lies outside the grid's outer edges.

    Examples
    --------
    >>> grid = Grid.regular(5.0)
    >>> nearest_cell(grid, 1, -140) == nearest_cell(grid, 1, 220)
    True
    """
    south, north = float(grid.latitude_edges[0]), float(grid.latitude_edges[-1])
    west, east = float(grid.longitude_edges[0]), float(grid.longitude_edges[-1])
    # The middle of the grid plus a difference in -180..180 puts the longitude on the grid's own branch.
    middle = (west + east) / 2
    branch = middle + (longitude - middle + 180) % 360 - 180
    # On a closed circle every longitude has a cell, and the seam belongs to both of its ends.
    inside = grid.periodic or west <= branch <= east
    if not (np.isfinite(latitude) and np.isfinite(longitude) and south <= latitude <= north and inside):
        place = f"latitude={latitude:g}, longitude={longitude:g}"
        fix = f"a place with latitude from {south:g} to {north:g} and longitude from {west:g} to {east:g}"
        what = f"the base point {place} lies outside the model's domain"
        raise ArgumentError(what, expected=grid.describe(), found=place, fix=fix)
    row = int(np.abs(np.asarray(grid.latitude) - latitude).argmin())
    distance = np.abs((np.asarray(grid.longitude) - longitude + 180) % 360 - 180)
    return row, int(distance.argmin())
