"""The false discovery rate over a domain of tests, a map of p-values being one family."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import horizontal_axes
from xfaconv.arguments import check_arguments, check_choice
from xfaconv.errors import ArgumentError, CoordinateError


def _adjusted(p_value: NDArray[np.floating], *, method: str, core: int) -> NDArray[np.floating]:
    from scipy.stats import false_discovery_control

    lead = p_value.shape[: p_value.ndim - core]
    flat = np.asarray(p_value, dtype=np.float64).reshape(int(np.prod(lead, dtype=int)), -1)
    out = np.full(flat.shape, np.nan)
    for row, values in zip(out, flat, strict=True):
        tested = np.isfinite(values)
        if tested.any():
            row[tested] = false_discovery_control(np.clip(values[tested], 0, 1), method=method)
    return out.reshape(p_value.shape)


def describe_domain(data: xr.DataArray, dims: Sequence[str]) -> str:
    """Say in words which cells a family of tests covers.

    Examples
    --------
    >>> field = xr.DataArray(np.zeros((2, 2)), {"lat": [0.0, 10.0], "lon": [20.0, 30.0]}, ("lat", "lon"))
    >>> describe_domain(field, ("lat", "lon"))
    'lat 0 to 10 (2), lon 20 to 30 (2)'
    """
    parts = []
    for dim in dims:
        size = data.sizes[dim]
        if dim in data.coords and np.issubdtype(data[dim].dtype, np.number):
            parts.append(f"{dim} {float(data[dim].min()):g} to {float(data[dim].max()):g} ({size})")
        else:
            parts.append(f"{dim} ({size})")
    return ", ".join(parts)


def false_discovery(
    p_value: xr.DataArray,
    *,
    alpha: float = 0.05,
    dim: Sequence[str] | None = None,
    method: Literal["bh", "by"] = "bh",
) -> xr.Dataset:
    """Control the false discovery rate over a domain (Benjamini-Hochberg, as Wilks 2016 asks of maps).

    Parameters
    ----------
    p_value : DataArray (..., latitude, longitude)
        Each cell's p-value; NaN cells are not tested and do not count.
    alpha : float
        Expected share of false discoveries among the discoveries.
    dim : sequence of str, optional
        The dims that make one family of tests. Default: latitude and longitude; each base point, phase or time
        beside them is a family of its own.
    method : {"bh", "by"}
        Benjamini-Hochberg, or Benjamini-Yekutieli for any dependence.

    Returns
    -------
    Dataset (..., latitude, longitude)
        ``adjusted_p_value`` (float64, so that no cell changes sides by rounding), ``significant`` (adjusted p at
        most alpha) and ``number_of_tests`` (...). Attrs give alpha, the domain and its number of cells, and the
        number of tests where that is known without computing. The family is one lazy task.

    Raises
    ------
    ArgumentError
        If alpha is not in (0, 1) or the method is unknown.
    CoordinateError
        If a dim is missing.

    Examples
    --------
    >>> p = xr.DataArray([[0.001, 0.02], [0.04, np.nan]], {"lat": [0.0, 1.0], "lon": [0.0, 1.0]}, ("lat", "lon"))
    >>> false_discovery(p).significant.values
    array([[ True,  True],
           [ True, False]])
    """
    check_arguments(alpha=alpha)
    check_choice("method", method, ("bh", "by"))
    if not (dim is None or isinstance(dim, Iterable)):
        raise ArgumentError("dim is no sequence of names", expected="['lat', 'lon']", found=repr(dim)[:200])
    dims = list(dim) if dim is not None else list(horizontal_axes(p_value).both)
    absent = [name for name in dims if name not in p_value.dims]
    if absent:
        raise CoordinateError("the domain has dims that p_value lacks", expected=f"{p_value.dims}", found=f"{absent}")
    lazy = p_value.chunks is not None
    family = p_value.chunk(dict.fromkeys(dims, -1)) if lazy else p_value
    adjusted = xr.apply_ufunc(
        _adjusted,
        family,
        input_core_dims=[dims],
        output_core_dims=[dims],
        dask="parallelized",
        output_dtypes=[np.float64],
        kwargs={"method": method, "core": len(dims)},
    ).transpose(*p_value.dims)
    tests = p_value.notnull().sum(dims)
    attrs: dict[str, object] = {
        "alpha": alpha,
        "method": {"bh": "Benjamini-Hochberg", "by": "Benjamini-Yekutieli"}[method],
        "domain": describe_domain(p_value, dims),
        "number_of_cells": int(np.prod([p_value.sizes[name] for name in dims])),
    }
    if not lazy:
        attrs["number_of_tests"] = int(tests) if tests.ndim == 0 else [int(count) for count in tests.values.ravel()]
    significant = adjusted <= alpha
    # Set whole: what the p-values were called is not what is made of them.
    significant.attrs = {"long_name": "significant at the false discovery rate", **attrs}
    adjusted.attrs = {"long_name": "p-value adjusted for the false discovery rate", "units": "1", **attrs}
    tests.attrs = {"long_name": "number of tests in the family", "units": "1"}
    return xr.Dataset({"adjusted_p_value": adjusted, "significant": significant, "number_of_tests": tests}, attrs=attrs)
