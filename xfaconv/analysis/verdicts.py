"""Verdicts in words that are made when the numbers behind them are computed, and not before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr


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

    def passed(*numbers: Any) -> bool:
        return judge(*(float(number) for number in numbers))[0]

    def words(*numbers: Any) -> str:
        return judge(*(float(number) for number in numbers))[1]

    options: dict[str, Any] = {"vectorize": True, "dask": "parallelized"}
    scalars = [value.reset_coords(drop=True).astype(np.float64) for value in values]
    data["passed"] = xr.apply_ufunc(passed, *scalars, output_dtypes=[bool], **options)
    data["verdict"] = xr.apply_ufunc(words, *scalars, output_dtypes=[np.dtype("<U400")], **options)
    return data


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
