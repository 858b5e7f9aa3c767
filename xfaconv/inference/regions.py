"""Sums of attributions over named regions: boxes, names, masks, or the regions of the package regionmask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import check_arrays, grid_of, horizontal_axes
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.inference.areas import find_cells

Regions = Any
ELSEWHERE = "elsewhere"


def read_regions(grid: Grid, regions: Regions) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Find the cells of named regions.

    Parameters
    ----------
    grid : Grid
        The grid.
    regions : mapping of str to area, sequence of names, DataArray (latitude, longitude), or regionmask.Regions
        Areas as `xfaconv.infer` takes them, by name; names of regions; or a mask.

    Returns
    -------
    names : tuple of str
    masks : ndarray (region, latitude, longitude) of bool

    Raises
    ------
    ArgumentError
        If there is none, or one is no area or unknown.

    Examples
    --------
    >>> names, masks = read_regions(Grid.regular(5.0), {"tropics": (-20, 20, 0, 360), "pole": (60, 90, 0, 360)})
    >>> names, masks.sum(axis=(1, 2)).tolist()
    (('tropics', 'pole'), [576, 432])
    """
    if hasattr(regions, "mask_3D"):
        return _of_regionmask(grid, regions)
    if isinstance(regions, str):
        regions = [regions]
    if isinstance(regions, xr.DataArray):
        regions = {"mask" if regions.name is None else str(regions.name): regions}
    if isinstance(regions, Iterable) and not isinstance(regions, Mapping | tuple | np.ndarray):
        listed = list(regions)
        regions = {name: name for name in listed} if all(isinstance(name, str) for name in listed) else None
    if not isinstance(regions, Mapping) or not regions:
        raise ArgumentError(
            "regions are no named areas",
            expected="areas by name, names such as ['nino34'], a mask, or regionmask.Regions",
            found=repr(regions)[:200],
            fix="regions={'tropical Pacific': (-15, 15, 160, 280)}",
        )
    cells = [find_cells(grid, area, "region") for area in regions.values()]
    return tuple(map(str, regions)), np.stack([one.mask for one in cells])


def _of_regionmask(grid: Grid, regions: Any) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    found = regions.mask_3D(np.asarray(grid.longitude), np.asarray(grid.latitude))
    return tuple(map(str, found["names"].values)), np.asarray(found.values, dtype=bool)


def sum_by_region(attribution: xr.DataArray, regions: Regions) -> xr.DataArray:
    """Sum contributions over named regions.

    Parameters
    ----------
    attribution : DataArray (..., latitude, longitude)
        As `xfaconv.attribution` gives it: contributions of cells, which are summed and not averaged.
    regions : mapping of str to area, sequence of names, DataArray (latitude, longitude), or regionmask.Regions
        Areas as `xfaconv.infer` takes them, by name; names of regions such as ``"nino34"``; a mask; or regions of the
        package regionmask, where that is installed.

    Returns
    -------
    DataArray (..., region)
        In the units of `attribution`; lazy if it is. The last region is ``"elsewhere"``: the cells in none of the
        others. Where regions overlap, cells count in each of them.

    Raises
    ------
    ArgumentError
        If a region is no area or unknown.
    CoordinateError
        If latitude or longitude is missing.

    Examples
    --------
    >>> field = xr.DataArray(np.ones((18, 36)), {"lat": np.arange(-85, 90, 10.0), "lon": np.arange(0, 360, 10.0)},
    ...                      ("lat", "lon"))
    >>> sum_by_region(field, {"north": (0, 90, 0, 360)}).to_series().to_dict()
    {'north': 324.0, 'elsewhere': 324.0}
    """
    check_arrays(attribution=attribution)
    axes = horizontal_axes(attribution)
    grid, rows, columns = grid_of(attribution)
    names, masks = read_regions(grid, regions)
    whole = np.concatenate([masks, ~masks.any(axis=0, keepdims=True)])
    placed = np.zeros((len(whole), attribution.sizes[axes.latitude], attribution.sizes[axes.longitude]))
    placed[:, rows[:, None], columns[None]] = whole
    coords = {"region": np.array([*names, ELSEWHERE], dtype=object)}
    weights = xr.DataArray(placed, coords, ("region", *axes))
    out: xr.DataArray = xr.dot(attribution.astype(np.float64), weights, dim=list(axes))
    return out.astype(attribution.dtype).assign_attrs(attribution.attrs).rename(attribution.name)
