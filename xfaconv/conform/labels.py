"""The way back: results in the user's own names, orientation, longitude convention and stamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.conform.horizontal import Horizontal
from xfaconv.errors import CoordinateError
from xfaconv.grid import Grid

_CANONICAL = ("member", "time", "latitude", "longitude")


@dataclass(frozen=True, eq=False)
class Labels:
    """What is needed to label a result as the user's data are labelled.

    Parameters
    ----------
    names : dict of str to str
        Canonical dimension ("member", "time", "latitude", "longitude") to the user's.
    time : xarray.Variable
        The user's time coordinate, with its attributes.
    stamps : ndarray (time,)
        Canonical stamps in the same order.
    latitude, longitude : xarray.Variable
        Values and attributes in the user's orientation and convention, on the grid of the results.
    rows, columns : ndarray of int
        Position in the canonical grid of each of these.
    grid : Grid
        Canonical grid of the results.
    """

    names: dict[str, str]
    time: xr.Variable
    stamps: NDArray[np.generic]
    latitude: xr.Variable
    longitude: xr.Variable
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    grid: Grid

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
        >>> from xfaconv.conform import recognise
        >>> time = xr.date_range("2000-01-01", periods=2)
        >>> ds = xr.Dataset(coords={"lat": [2.5, 0.0, -2.5], "lon": [-2.5, 0.0, 2.5], "time": time})
        >>> labels = recognise(ds).labels
        >>> south_to_north = xr.DataArray([1.0, 2.0, 3.0], dims="latitude")
        >>> labels.restore(south_to_north).lat.values
        array([ 2.5,  0. , -2.5])
        """
        out = array
        for dim, order, coordinate, canonical in (
            ("latitude", self.rows, self.latitude, self.grid.latitude),
            ("longitude", self.columns, self.longitude, self.grid.longitude),
        ):
            if dim not in out.dims:
                continue
            positions = _positions(out, dim, np.asarray(canonical))
            chosen = order[np.isin(order, positions)]
            kept = np.flatnonzero(np.isin(order, positions))
            place = {int(p): i for i, p in enumerate(positions)}
            where = np.array([place[int(p)] for p in chosen], dtype=np.intp)
            out = out.drop_vars(dim, errors="ignore").isel({dim: _as_slice(where)})
            out = _relabel(out, dim, self.names[dim], coordinate.isel({coordinate.dims[0]: kept}))
        if "time" in out.dims:
            where = self._time_positions(out)
            out = _relabel(
                out.drop_vars("time", errors="ignore"),
                "time",
                self.names["time"],
                self.time.isel({self.time.dims[0]: where}),
            )
        if "member" in out.dims and self.names.get("member", "member") != "member":
            out = out.rename({"member": self.names["member"]})
        return out

    def _time_positions(self, array: xr.DataArray) -> NDArray[np.intp]:
        if "time" not in array.coords:
            if array.sizes["time"] != len(self.stamps):
                raise CoordinateError(
                    "time of the result has no stamps",
                    expected=f"{len(self.stamps)} steps or a time coordinate",
                    found=f"{array.sizes['time']} steps",
                )
            return np.arange(len(self.stamps), dtype=np.intp)
        values = array["time"].values
        where = np.searchsorted(self.stamps, values)
        if (where >= len(self.stamps)).any() or (self.stamps[np.minimum(where, len(self.stamps) - 1)] != values).any():
            raise CoordinateError("time of the result has stamps that the data do not have")
        return where.astype(np.intp)


def _positions(array: xr.DataArray, dim: str, canonical: NDArray[np.float64]) -> NDArray[np.intp]:
    """Where the array's cells are in the canonical axis."""
    if dim not in array.coords:
        if array.sizes[dim] != canonical.size:
            raise CoordinateError(
                f"{dim} of the result has no values",
                expected=f"{canonical.size} cells or a {dim} coordinate",
                found=f"{array.sizes[dim]} cells",
            )
        return np.arange(canonical.size, dtype=np.intp)
    distance = np.abs(array[dim].values[:, None] - canonical[None])
    if distance.size and distance.min(axis=1).max() > 1e-3:
        raise CoordinateError(f"{dim} of the result has values that the conformed grid does not have")
    return np.asarray(distance.argmin(axis=1), dtype=np.intp)


def _as_slice(where: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Give a slice where the order is a plain run forwards or backwards, which keeps a lazy graph small."""
    if where.size > 1 and (np.diff(where) == 1).all():
        return slice(int(where[0]), int(where[-1]) + 1)
    if where.size > 1 and (np.diff(where) == -1).all():
        return slice(int(where[0]), int(where[-1]) - 1 if where[-1] > 0 else None, -1)
    return where


def _relabel(array: xr.DataArray, dim: str, name: str, coordinate: xr.Variable) -> xr.DataArray:
    if name != dim:
        array = array.rename({dim: name})
    return array.assign_coords({name: xr.Variable((name,), coordinate.values, coordinate.attrs, coordinate.encoding)})


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
    named = dim if dim in ds.coords and ds[dim].ndim == 1 else time_name
    coordinate = ds[named].variable
    time = xr.Variable(("time",), np.atleast_1d(coordinate.values), dict(coordinate.attrs), dict(coordinate.encoding))
    if grid == axes.grid or axes.grid.matches(grid):
        latitude, longitude = axes.user_latitude, axes.user_longitude
        latitude = _typed(ds, axes.latitude.name, latitude)
        longitude = _typed(ds, axes.longitude.name, longitude)
        rows, columns = axes.user_rows, axes.user_columns
    else:
        rows, latitude, columns, longitude = _in_convention(axes, grid)
    return Labels(
        names={
            "time": dim,
            "latitude": axes.latitude.dim,
            "longitude": axes.longitude.dim,
            **({"member": member} if member else {}),
        },
        time=time,
        stamps=stamps,
        latitude=xr.Variable(("latitude",), latitude, dict(ds[axes.latitude.name].attrs)),
        longitude=xr.Variable(("longitude",), longitude, dict(ds[axes.longitude.name].attrs)),
        rows=rows,
        columns=columns,
        grid=grid,
    )


def _typed(ds: xr.Dataset, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values.astype(ds[name].dtype) if ds[name].dtype.kind == "f" else values


def _in_convention(
    axes: Horizontal, grid: Grid
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """Another grid than the user's, in the user's direction and longitude convention."""
    rows = np.arange(grid.shape[0], dtype=np.intp)
    if axes.user_latitude[0] > axes.user_latitude[-1]:
        rows = rows[::-1]
    low, high = axes.user_longitude.min(), axes.user_longitude.max()
    west = 0.0 if low >= 0 and high <= 360 else -180.0 if low >= -180 and high <= 180 else float(low)
    longitude = np.asarray(grid.longitude)
    wrapped = np.mod(longitude - west, 360.0) + west
    columns = np.argsort(wrapped, kind="stable").astype(np.intp)
    if (np.diff(axes.user_longitude) < 0).all():
        columns = columns[::-1]
    return rows, np.asarray(grid.latitude)[rows], columns, wrapped[columns]
