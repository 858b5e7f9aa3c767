"""Verdicts in words that are made when the numbers behind them are computed, and not before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray


def with_verdict(
    data: xr.Dataset, values: Sequence[xr.DataArray], judge: Callable[..., tuple[bool, str]]
) -> xr.Dataset:
    """Add ``passed`` and ``verdict``, computed from some scalars when they are.

    Parameters
    ----------
    data : Dataset
        What a check measured; changed in place.
    values : sequence of DataArray ()
        The numbers that decide.
    judge : callable
        From those numbers to whether the check is passed, and a sentence.

    Returns
    -------
    Dataset
        The same object.

    Examples
    --------
    >>> out = with_verdict(xr.Dataset(), [xr.DataArray(0.7)], lambda value: (value > 0.5, f"{value:.1f}"))
    >>> bool(out.passed), out.verdict.item()
    (True, '0.7')
    """
    scalars = [value.reset_coords(drop=True).astype(np.float64) for value in values]
    judged: xr.DataArray = xr.apply_ufunc(
        _judged, *scalars, dask="parallelized", output_dtypes=[object], kwargs={"judge": judge}
    )
    data["passed"] = xr.apply_ufunc(_first, judged, dask="parallelized", output_dtypes=[bool])
    data["verdict"] = xr.apply_ufunc(_second, judged, dask="parallelized", output_dtypes=[object])
    data["passed"].attrs = {"long_name": "whether the check is passed"}
    data["verdict"].attrs = {"long_name": "what the check says"}
    return data


def _judged(*numbers: Any, judge: Callable[..., tuple[bool, str]]) -> NDArray[Any]:
    out = np.empty((), dtype=object)
    out[()] = judge(*(float(number) for number in numbers))
    return out


def _first(judged: Any) -> NDArray[np.bool_]:
    return np.asarray(np.asarray(judged, dtype=object).item()[0], dtype=bool)


def _second(judged: Any) -> NDArray[Any]:
    # Text of variable length: a fixed width would cut it, and Zarr has no such type.
    return np.asarray(np.asarray(judged, dtype=object).item()[1], dtype=object)


def errors_above_zero(values: xr.DataArray) -> xr.DataArray:
    """Mean over times in standard errors; windows that overlap make this generous, so samples should lie apart.

    Examples
    --------
    >>> float(errors_above_zero(xr.DataArray([1.0, 2.0, 3.0], dims="time")).round(2))
    3.46
    """
    count = values.notnull().sum("time")
    error = values.std("time", ddof=1) / count**0.5
    return values.mean("time") / error.where(error > 1e-12)
