"""How many independent values a difference of two means rests on, given which times are events."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import time_axis
from xfaconv.analysis.memory import LONGEST_MEMORY, step_numbers, variance_inflation
from xfaconv.analysis.significance import lag_one_autocorrelation


def _inflation(
    memory: NDArray[np.floating], members: NDArray[np.floating], *, numbers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Variance of the difference of means of a field with this memory, over that of one without any."""
    inside = np.nan_to_num(np.asarray(members, dtype=np.float64))
    departure = inside - inside.mean()
    return variance_inflation(memory, departure, numbers)


def effective_sample_of_events(field: xr.DataArray, members: xr.DataArray, *, dim: str | None = None) -> xr.DataArray:
    """Count the independent values that the difference between events and the rest is worth.

    The events are taken as given and each cell as a first-order autoregressive series. With the departures d of the
    membership from its mean, the variance of the difference is that of independent values times
    ``1 + 2 sum_k phi^k sum_t d_t d_{t+k} / sum_t d_t^2``. Bretherton's formula would take the membership for an
    autoregressive series too, which a series of zeros and ones is not: it forgets faster at first and slower later,
    so that 6 to 11% of noise would be found significant at 5%. The memory phi is freed of its bias in short records
    (Marriott and Pope 1954).

    Parameters
    ----------
    field : DataArray (time, ...)
        Anomalies. A break in time (between two winters) counts with its length.
    members : DataArray (time)
        True inside.
    dim : str, optional
        Name of the time dimension.

    Returns
    -------
    DataArray (...), float64
        Effective number, at most the number of valid values; lazy if the field or the members are.

    Raises
    ------
    TimeError
        If there is no time dimension.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=400)
    >>> slow = xr.DataArray(np.convolve(noise, np.ones(20) / 20, "same"), dims="time")
    >>> members = xr.DataArray(np.arange(400) < 200, dims="time")
    >>> float(effective_sample_of_events(slow, members)) < 60
    True
    """
    name = time_axis(field, dim)
    numbers = step_numbers(field[name]) if name in field.coords else np.arange(field.sizes[name])
    count = field.notnull().sum(name)
    memory = lag_one_autocorrelation(field, dim=name)
    unbiased = (memory + (1 + 4 * memory) / count.where(count > 0)).clip(-LONGEST_MEMORY, LONGEST_MEMORY)
    inside = members.astype(np.float64).reset_coords(drop=True)
    inflation = xr.apply_ufunc(
        _inflation,
        unbiased,
        inside.chunk({name: -1}) if inside.chunks is not None else inside,
        input_core_dims=[[], [name]],
        dask="parallelized",
        output_dtypes=[np.float64],
        kwargs={"numbers": numbers},
    )
    effective: xr.DataArray = (count / inflation).where(memory.notnull())
    effective.attrs = {"long_name": "effective sample size given the events", "units": "1"}
    return effective.rename("effective_sample_size")
