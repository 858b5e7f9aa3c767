"""How alike two maps are: area-weighted correlations, of values and of ranks, over the cells that both have."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import cell_area, check_arrays, horizontal_axes
from xfaconv.arguments import check_choice
from xfaconv.errors import GridError


def weighted_correlation(x: NDArray[np.floating], y: NDArray[np.floating], weight: NDArray[np.floating]) -> float:
    """Pearson correlation of two vectors with weights; NaN pairs are left out, NaN where either is constant.

    Examples
    --------
    >>> weighted_correlation(np.array([1.0, 2, 3]), np.array([2.0, 4, 6]), np.ones(3))
    1.0
    """
    kept = np.isfinite(x) & np.isfinite(y) & (weight > 0)
    if kept.sum() < 3:
        return float("nan")
    a, b, w = (np.asarray(part, dtype=np.float64)[kept] for part in (x, y, weight))
    w = w / w.sum()
    a, b = a - (w * a).sum(), b - (w * b).sum()
    scale = np.sqrt((w * a * a).sum() * (w * b * b).sum())
    return float(np.clip((w * a * b).sum() / scale, -1, 1)) if scale > 0 else float("nan")


def _ranks(values: NDArray[np.floating], weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the weight that lies below each value, ties in the middle: ranks that do not count small cells twice."""
    out = np.full(values.shape, np.nan)
    kept = np.isfinite(values) & (weight > 0)
    distinct, group = np.unique(values[kept], return_inverse=True)
    mass = np.bincount(group, weight[kept], minlength=len(distinct))
    out[kept] = (np.cumsum(mass) - mass / 2)[group] / max(mass.sum(), np.finfo(np.float64).tiny)
    return out


def _maps(
    x: NDArray[np.floating], y: NDArray[np.floating], weight: NDArray[np.float64], *, kind: str
) -> NDArray[np.floating]:
    shape = np.broadcast_shapes(x.shape, y.shape)
    flat = [np.broadcast_to(part, shape).reshape(-1, shape[-2] * shape[-1]) for part in (x, y)]
    area = weight.ravel()
    out = np.empty(len(flat[0]))
    for number, pair in enumerate(zip(*flat, strict=True)):
        kept = np.where(np.isfinite(pair[0]) & np.isfinite(pair[1]), area, 0.0)
        first, second = (_ranks(values, kept) for values in pair) if kind == "rank" else pair
        out[number] = weighted_correlation(first, second, area)
    return out.reshape(shape[:-2]).astype(np.result_type(x.dtype, y.dtype, np.float32))


def pattern_correlation(
    x: xr.DataArray, y: xr.DataArray, *, kind: Literal["value", "rank"] = "value", where: xr.DataArray | None = None
) -> xr.DataArray:
    """Correlate two maps over the sphere, each cell counting by its area.

    Parameters
    ----------
    x, y : DataArray (..., latitude, longitude)
        On one grid; other dims are broadcast. NaN cells are left out.
    kind : {"value", "rank"}
        Pearson, or Spearman with ranks by area.
    where : DataArray (latitude, longitude), optional
        Cells that count.

    Returns
    -------
    DataArray (...)
        -1 to 1, lazy if either is.

    Raises
    ------
    GridError
        If the grids differ.
    ArgumentError
        If the kind is unknown.

    Examples
    --------
    >>> coords = {"lat": [-30.0, 0.0, 30.0], "lon": [0.0, 120.0, 240.0]}
    >>> x = xr.DataArray(np.arange(9.0).reshape(3, 3), coords, ("lat", "lon"))
    >>> float(pattern_correlation(x, -x)), float(pattern_correlation(x, x**3, kind="rank").round(6))
    (-1.0, 1.0)
    """
    check_choice("kind", kind, ("value", "rank"))
    check_arrays(x=x, y=y, **({} if where is None else {"where": where}))
    axes = horizontal_axes(x)
    if where is not None and not set(axes.both) == set(where.dims):
        raise GridError("where is no map", expected=f"dimensions {axes.both}", found=f"dimensions {where.dims}")
    for name in axes.both:
        if name not in y.dims or x.sizes[name] != y.sizes[name] or not np.allclose(x[name], y[name], atol=1e-3):
            raise GridError(f"the maps differ in {name}", fix="y = y.interp_like(x)")
    area = cell_area(x)
    if where is not None:
        area = area * where.transpose(*axes.both).values
    core = list(axes.both)
    first, second = (part.chunk(dict.fromkeys(core, -1)) if part.chunks is not None else part for part in (x, y))
    second = second.assign_coords({name: first[name] for name in core})
    out: xr.DataArray = xr.apply_ufunc(
        _maps,
        first,
        second,
        area.assign_coords({name: first[name] for name in core}),
        input_core_dims=[core, core, core],
        dask="parallelized",
        output_dtypes=[np.result_type(x.dtype, y.dtype, np.float32)],
        kwargs={"kind": kind},
    )
    out.attrs = {"long_name": f"area-weighted {kind} correlation of two maps", "units": "1"}
    return out
