"""What the page that compares packages says of others, measured: ``python benchmarks/comparison.py``.

Needs xeofs, xbatcher and Keras (``pip install ".[bench]"``). All data are random with a fixed seed.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import xarray as xr
import xbatcher
import xeofs


def precision_of_xeofs() -> str:
    """Type of what EOFs of float32 fields are."""
    field = xr.DataArray(
        np.random.default_rng(0).normal(size=(40, 6, 8)).astype("float32"),
        {"time": np.arange(40), "lat": np.linspace(-60, 60, 6), "lon": np.arange(8) * 45.0},
        ("time", "lat", "lon"),
    )
    return str(xeofs.single.EOF(n_modes=2).fit(field, dim="time").components().dtype)


def covered_by_xbatcher(steps: int = 1000, window: int = 12) -> int:
    """Count the steps of a record that are in some batch."""
    record = xr.Dataset({"x": ("time", np.arange(steps))})
    batches = xbatcher.BatchGenerator(record, {"time": window})
    return len(set(np.concatenate([batch.x.values for batch in batches]).tolist()))


def changes_of_a_convlstm() -> tuple[float, float]:
    """Give the relative L2 change of a ConvLSTM2D by rolled longitudes, and by a restart two steps before the end."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.linspace(0, np.pi, 32), np.linspace(0, 2 * np.pi, 64, endpoint=False), indexing="ij")
    waves = sum(random.normal() * np.cos(k * columns + random.normal()) * np.sin(rows) for k in range(1, 6))
    fields = (waves + 0.3 * random.normal(size=(12, 32, 64)))[None, ..., None].astype("float32")
    layers = keras.Sequential([keras.layers.ConvLSTM2D(16, 5, padding="same", return_sequences=True) for _ in range(4)])
    whole = np.asarray(layers.predict(fields, verbose=0))[0, -1]
    rolled = np.asarray(layers.predict(np.roll(fields, 32, axis=3), verbose=0))[0, -1]
    restarted = np.asarray(layers.predict(fields[:, 10:], verbose=0))[0, -1]
    size = np.linalg.norm(whole)
    by_roll = np.linalg.norm(np.roll(rolled, -32, axis=1) - whole) / size
    return float(by_roll), float(np.linalg.norm(restarted - whole) / size)


def main() -> None:
    """Print every number of the page."""
    by_roll, by_restart = changes_of_a_convlstm()
    print(f"xeofs {xeofs.__version__}: EOFs of float32 are {precision_of_xeofs()}")
    print(f"xbatcher {xbatcher.__version__}: windows of 12 cover {covered_by_xbatcher()} of 1000 steps")
    print(f"Keras {keras.__version__} ConvLSTM2D, four layers, random weights, zero padding:")
    print(f"  {by_roll:.0%} change by rolling the longitudes, {by_restart:.0%} by a restart two steps before the end")


if __name__ == "__main__":
    main()
