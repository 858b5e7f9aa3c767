"""What memory does to the number of independent values, in records with and without breaks."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import is_adjacent

# Longer lags are left out once memory has fallen below this.
_FORGOTTEN = 1e-4
LONGEST_MEMORY = 0.999


def step_numbers(time: xr.DataArray) -> NDArray[np.int64]:
    """Give each step of a time axis a number in which breaks count with their length: DJF months are 0, 1, 2, 12, ...

    Parameters
    ----------
    time : DataArray (time)
        datetime64, cftime or numbers.

    Returns
    -------
    ndarray (time,), int64
        From 0; calendar months where the median step is a month. Even steps where the times do not ascend.

    Examples
    --------
    >>> step_numbers(xr.DataArray([0, 1, 2, 12, 13], dims="time"))
    array([ 0,  1,  2, 12, 13])
    """
    values = np.asarray(time.values)
    even = np.arange(len(values), dtype=np.int64)
    if len(values) < 2:
        return even
    apart = values - values[0]
    dated = values.dtype.kind == "M" or values.dtype == object
    if values.dtype == object:
        elapsed = np.array([span.total_seconds() / 86400 for span in apart])
    elif dated:
        elapsed = apart / np.timedelta64(1, "D")
    else:
        elapsed = apart.astype(np.float64)
    median = float(np.median(np.diff(elapsed)))
    if dated and 27 < median < 32:
        months = np.asarray(time.dt.year.values, dtype=np.int64) * 12 + np.asarray(time.dt.month.values)
        numbers = months - months[0]
    else:
        numbers = np.rint(elapsed / median).astype(np.int64) if median > 0 else even
    return numbers if (np.diff(numbers) > 0).all() else even


def variance_inflation(
    memory: NDArray[np.floating], weights: NDArray[np.float64], numbers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Variance of a weighted sum of a first-order autoregressive series, over that of independent values.

    ``1 + 2 sum_k memory^k sum_t w_t w_{t+k} / sum_t w_t^2``, over pairs that are k steps apart, breaks included.

    Parameters
    ----------
    memory : ndarray (...)
        Lag-one autocorrelations.
    weights : ndarray (time,)
        Weights of the values.
    numbers : ndarray (time,), int
        Number of each step, ascending.

    Returns
    -------
    ndarray (...)
        At least 1.

    Examples
    --------
    >>> variance_inflation(np.array([0.0, 0.5]), np.ones(3), np.array([0, 1, 12])).round(2)
    array([1.  , 1.33])
    """
    strength = np.nan_to_num(np.asarray(memory, dtype=np.float64))
    strongest = min(float(np.abs(strength).max(initial=0.0)), LONGEST_MEMORY)
    whole = np.zeros(int(numbers[-1] - numbers[0]) + 1)
    whole[numbers - numbers[0]] = weights
    power = float((weights**2).sum())
    total = np.zeros(strength.shape)
    if strongest > 0 and power > 0:
        longest = min(int(np.ceil(np.log(_FORGOTTEN) / np.log(strongest))), len(whole) - 1)
        for lag in range(longest, 0, -1):
            total = (total + float(whole[:-lag] @ whole[lag:]) / power) * strength
    return np.maximum(1 + 2 * total, 1.0)


def _inflation_of_breaks(memory: NDArray[np.floating], *, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    return variance_inflation(memory, np.ones(len(numbers)), numbers)


def effective_number(memory: xr.DataArray, count: xr.DataArray, time: xr.DataArray | None) -> xr.DataArray:
    """Count independent values by Bretherton et al. (1999): eq. 31 for an even record, the sum of eq. 30 with breaks.

    Parameters
    ----------
    memory : DataArray (...)
        Product of the two lag-one autocorrelations.
    count : DataArray (...)
        Valid pairs.
    time : DataArray (time), optional
        The times; None is an even record.

    Returns
    -------
    DataArray (...)
        At most the count; lazy if the memory is.

    Examples
    --------
    >>> float(effective_number(xr.DataArray(0.5), xr.DataArray(90), None))
    30.0
    """
    if time is None or is_adjacent(time).all():
        return (count * (1 - memory) / (1 + memory)).clip(max=count)
    inflation: xr.DataArray = xr.apply_ufunc(
        _inflation_of_breaks,
        memory,
        dask="parallelized",
        output_dtypes=[np.float64],
        kwargs={"numbers": step_numbers(time)},
    )
    return count / inflation
