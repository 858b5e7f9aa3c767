"""Gridded noise with memory, for tests that need a map without any signal."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.signal import lfilter


def autoregressive(cells: int, steps: int = 240, phi: float = 0.7, seed: int = 0) -> np.ndarray:
    """First-order autoregressive series (cell, time), stationary from the start."""
    noise = np.random.default_rng(seed).normal(size=(cells, steps + 200))
    return lfilter([1.0], [1.0, -phi], noise, axis=-1)[:, 200:]


def gridded(values: np.ndarray, rows: int, columns: int, freq: str | None = None) -> xr.DataArray:
    """(cell, time) -> (time, lat, lon) on a global grid, with dates if a frequency is given."""
    steps = values.shape[1]
    coords = {
        "time": np.arange(steps) if freq is None else xr.date_range("1980-01-01", periods=steps, freq=freq),
        "lat": np.linspace(-80, 80, rows),
        "lon": np.arange(columns) * 360 / columns,
    }
    return xr.DataArray(values.T.reshape(-1, rows, columns), coords, ("time", "lat", "lon"), name="z")
