"""The way back: results in the user's own names, orientation, longitude convention and stamps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.adapt.horizontal import Horizontal, convention
from xfaconv.adapt.problems import refusal
from xfaconv.grid import SAME_DEGREES, Grid
from xfaconv.names import FoundCoordinate

_refused = partial(refusal, "result")


@dataclass(frozen=True, eq=False)
class Labels:
    """What is needed to label a result as the user's data are labelled.

    Parameters
    ----------
    names : dict of str to str
        Canonical dimension ("member", "time", "latitude", "longitude") to the user's.
    coordinates : dict of str to dict of str to xarray.Variable
        Canonical dimension to the user's coordinates along it, by name, in the user's order.
    stamps : ndarray (time,)
        Canonical stamps in the same order.
    rows, columns : ndarray of int
        Position in the canonical grid of each of the user's rows and columns.
    grid : Grid
        Canonical grid of the results.
    """

    names: dict[str, str]
    coordinates: dict[str, dict[str, xr.Variable]]
    stamps: NDArray[np.generic]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    grid: Grid

    @property
    def latitude(self) -> xr.Variable:
        """The user's latitudes, in the user's order, on the grid of the results."""
        return next(iter(self.coordinates["latitude"].values()))

    @property
    def longitude(self) -> xr.Variable:
        """The user's longitudes, in the user's order and convention, on the grid of the results."""
        return next(iter(self.coordinates["longitude"].values()))

    def restore(self, array: xr.DataArray) -> xr.DataArray:
        """Give a result the user's names, orientation, convention and stamps.

        Parameters
        ----------
        array : xarray.DataArray
            Any of the dims member, time, latitude, longitude in canonical order and values; other dims are left alone.

        Returns
        -------
        xarray.DataArray
            Lazy where the input is.

        Raises
        ------
        CoordinateError
            If a canonical dimension has values that the conformed data do not have.

        Examples
        --------
        >>> from xfaconv.adapt import recognise
        >>> time = xr.date_range("2000-01-01", periods=2)
        >>> ds = xr.Dataset(coords={"lat": [2.5, 0.0, -2.5], "lon": [-2.5, 0.0, 2.5], "time": time})
        >>> labels = recognise(ds).labels
        >>> south_to_north = xr.DataArray([1.0, 2.0, 3.0], dims="latitude")
        >>> labels.restore(south_to_north).lat.values
        array([ 2.5,  0. , -2.5])
        """
        out = array
        for dim, order, canonical in (
            ("latitude", self.rows, self.grid.latitude),
            ("longitude", self.columns, self.grid.longitude),
        ):
            if dim not in out.dims:
                continue
            positions = _positions(out, dim, np.asarray(canonical))
            place = {int(position): number for number, position in enumerate(positions)}
            kept = np.flatnonzero(np.isin(order, positions))
            where = np.array([place[int(position)] for position in order[kept]], dtype=np.intp)
            out = self._relabel(out.drop_vars(dim, errors="ignore").isel({dim: _as_slice(where)}), dim, kept)
        if "time" in out.dims:
            steps = self._time_positions(out)
            out = self._relabel(out.drop_vars("time", errors="ignore"), "time", steps)
        if "member" in out.dims and self.names.get("member", "member") != "member":
            out = out.rename({"member": self.names["member"]})
        return out

    def _relabel(self, array: xr.DataArray, dim: str, kept: NDArray[np.intp]) -> xr.DataArray:
        name = self.names[dim]
        renamed = array.rename({dim: name}) if name != dim else array
        coords = {}
        for own, variable in self.coordinates[dim].items():
            chosen = variable.isel({variable.dims[0]: kept})
            coords[own] = xr.Variable((name,), chosen.values, chosen.attrs, chosen.encoding)
        return renamed.assign_coords(coords)

    def _time_positions(self, array: xr.DataArray) -> NDArray[np.intp]:
        if "time" not in array.coords:
            if array.sizes["time"] != len(self.stamps):
                raise _refused("no stamps", f"{array.sizes['time']} steps", size=len(self.stamps))
            return np.arange(len(self.stamps), dtype=np.intp)
        values = array["time"].values
        where = np.searchsorted(self.stamps, values)
        if (where >= len(self.stamps)).any() or (self.stamps[np.minimum(where, len(self.stamps) - 1)] != values).any():
            raise _refused("other stamps", f"{values[0]} to {values[-1]}")
        return where.astype(np.intp)


def _positions(array: xr.DataArray, dim: str, canonical: NDArray[np.float64]) -> NDArray[np.intp]:
    """Where the array's cells are in the canonical axis."""
    if dim not in array.coords:
        if array.sizes[dim] != canonical.size:
            raise _refused("no values", f"{array.sizes[dim]} cells", dim=dim, size=canonical.size)
        return np.arange(canonical.size, dtype=np.intp)
    distance = np.abs(array[dim].values[:, None] - canonical[None])
    if distance.size and distance.min(axis=1).max() > 1e-3:
        raise _refused("other values", f"values up to {distance.min(axis=1).max():g} degrees apart", dim=dim)
    return np.asarray(distance.argmin(axis=1), dtype=np.intp)


def _as_slice(where: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Give a slice where the positions are consecutive, forwards or backwards, which keeps a lazy graph small."""
    if where.size > 1 and (np.diff(where) == 1).all():
        return slice(int(where[0]), int(where[-1]) + 1)
    if where.size > 1 and (np.diff(where) == -1).all():
        return slice(int(where[0]), int(where[-1]) - 1 if where[-1] > 0 else None, -1)
    return where


def make_labels(
    ds: xr.Dataset,
    axes: Horizontal,
    time_name: str,
    time_dim: str,
    stamps: NDArray[np.generic],
    member: str | None,
    grid: Grid,
) -> Labels:
    """Prepare the way back to the user's labels.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.
    axes : Horizontal
        The user's horizontal axes.
    time_name, time_dim : str
        The user's time coordinate and its dimension ("" where it is a scalar).
    stamps : ndarray (time,)
        Canonical stamps.
    member : str or None
        The user's member dimension.
    grid : Grid
        Canonical grid of the results.

    Returns
    -------
    Labels
    """
    dim = time_dim or time_name
    own = ds[dim if dim in ds.coords and ds[dim].ndim == 1 else time_name].variable
    time = xr.Variable(("time",), np.atleast_1d(own.values), dict(own.attrs), dict(own.encoding))
    if axes.grid.matches(grid):
        rows, columns = axes.user_rows, axes.user_columns
        latitudes, longitudes = _own(ds, axes.latitude), _own(ds, axes.longitude)
    else:
        rows, latitude, columns, longitude = _in_convention(axes, grid)
        latitudes = {axes.latitude.name: _like(ds, axes.latitude, latitude)}
        longitudes = {axes.longitude.name: _like(ds, axes.longitude, longitude)}
    times = {dim if dim in ds.coords or not time_dim else time_name: time}
    return Labels(
        names={
            "time": dim,
            "latitude": axes.latitude.dim,
            "longitude": axes.longitude.dim,
            **({"member": member} if member else {}),
        },
        coordinates={"time": times, "latitude": latitudes, "longitude": longitudes},
        stamps=stamps,
        rows=rows,
        columns=columns,
        grid=grid,
    )


def _own(ds: xr.Dataset, found: FoundCoordinate) -> dict[str, xr.Variable]:
    """Copy the user's coordinate, and the index of its dimension where that is another one."""
    names = [found.name] + ([found.dim] if found.dim in ds.coords and found.dim != found.name else [])
    return {name: ds[name].variable.to_base_variable().copy() for name in names}


def _like(ds: xr.Dataset, found: FoundCoordinate, values: NDArray[np.float64]) -> xr.Variable:
    return xr.Variable((found.dim,), values, dict(ds[found.name].attrs))


def _in_convention(
    axes: Horizontal, grid: Grid
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """Another grid than the user's, in the user's direction and longitude convention."""
    rows = np.arange(grid.shape[0], dtype=np.intp)
    if axes.user_latitude[0] > axes.user_latitude[-1]:
        rows = rows[::-1]
    west = convention(axes.user_longitude)
    west = float(axes.user_longitude.min()) if west is None else west
    wrapped = np.mod(np.asarray(grid.longitude) - west, 360.0) + west
    # A meridian that rounding left just west of the first one is the first.
    wrapped[wrapped > west + 360 - SAME_DEGREES] -= 360.0
    columns = np.argsort(wrapped, kind="stable").astype(np.intp)
    if (np.diff(axes.user_longitude) < 0).all():
        columns = columns[::-1]
    return rows, np.asarray(grid.latitude)[rows], columns, wrapped[columns]
