"""Records of known values for the tests of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.adapt.time_axis import time_axis
from xfaconv.climatology import Climatology
from xfaconv.grid import Grid
from xfaconv.specs import VariableSpec
from xfaconv.training.data import TrainingData


def months(count: int) -> NDArray[np.datetime64]:
    """Stamps of months from January 2000."""
    return (np.datetime64("2000-01") + np.arange(count)).astype("datetime64[s]")


def data_of(fields: Sequence[NDArray[np.float32]], grid: Grid, train: slice, test: slice, scale: float) -> TrainingData:
    """Anomalies as training data: monthly steps, a mean of zero, and one spread everywhere."""
    variables = tuple(VariableSpec(name, "K", name.upper()) for name in "abcdefgh"[: len(fields)])
    spread = np.full((len(fields), *grid.shape), scale, np.float32)
    climatology = Climatology(np.zeros((len(fields), 5, *grid.shape), np.float32), spread)
    axis = time_axis(months(len(fields[0])))
    return TrainingData(variables, tuple(fields), axis, grid, climatology, train, test)


def waves(steps: int = 80) -> xr.Dataset:
    """A regional record: a seasonal cycle, a wave that moves eastward, its opposite; one cell always missing."""
    latitude, longitude = np.arange(40.0, 28.0, -2.0), np.arange(-20.0, 0.0, 2.0)
    step = np.arange(steps)[:, None, None]
    season = 10 * np.cos(2 * np.pi * step / 12)
    wave = np.sin(np.arange(longitude.size)[None, None] * 0.6 - 0.5 * step) * np.ones((1, latitude.size, 1))
    sst = 290 + season + wave
    sst[:, 0, 0] = np.nan
    dims = ("time", "latitude", "longitude")
    return xr.Dataset(
        {
            "t2m": (dims, (280 + season - wave).astype("f4"), {"units": "K", "long_name": "2 metre temperature"}),
            "sst": (dims, sst.astype("f4"), {"units": "K", "long_name": "Sea surface temperature"}),
        },
        {"time": xr.date_range("2000-01-01", periods=steps, freq="MS"), "latitude": latitude, "longitude": longitude},
        {"title": "planted waves"},
    )
