"""How much slower regridding is than reading: 0.25 degree Zarr to 5.625 degrees, as a ratio to reading the same bytes.

Run with ``python benchmarks/conform.py``; options: ``--steps 96 --chunk 12 --repeats 5 --threads 2 --folder DIR``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr

from xfaconv.adapt import InputSpec, adapt
from xfaconv.climatology import Climatology
from xfaconv.grid import Grid
from xfaconv.specs import VariableSpec

GOAL = Grid.regular(5.625)
SOURCE = Grid.regular(0.25, pole_points=True)


def write_store(folder: Path, steps: int, chunk: int, missing: float) -> Path:
    """Write smooth fields with noise, compressed as Zarr does by default; a share of the cells may be land."""
    path = folder / f"era5-{missing:g}.zarr"
    random = np.random.default_rng(0)
    latitude = np.array(SOURCE.latitude)[::-1]
    smooth = 288 - 40 * np.sin(np.deg2rad(latitude)) ** 2
    values = np.empty((steps, *SOURCE.shape), dtype=np.float32)
    for field in values:
        field[:] = smooth[:, None] + random.normal(size=SOURCE.shape).astype("f4")
    if missing:
        values[:, random.random(SOURCE.shape) < missing] = np.nan
    coords = {
        "time": np.arange(steps).astype("M8[D]").astype("M8[ns]"),
        "latitude": latitude,
        "longitude": list(SOURCE.longitude),
    }
    ds = xr.Dataset({"t2m": (("time", "latitude", "longitude"), values, {"units": "K"})}, coords)
    ds.chunk(time=chunk).to_zarr(path, mode="w", consolidated=False)
    return path


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor time of one run; the second is not disturbed by other processes."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def measure(path: Path, repeats: int, threads: int) -> dict[str, float]:
    """Read alone, regrid, and regrid to anomalies, taking turns so that a busy machine slows all alike."""
    ds = xr.open_zarr(path, consolidated=False)
    flat = Climatology(np.full((1, 5, *GOAL.shape), 280, "f4"), np.ones((1, *GOAL.shape), "f4"))
    target = InputSpec((VariableSpec("t2m", "K", "2 metre temperature"),), GOAL, "1D", flat)
    reading = ds.t2m.data.map_blocks(lambda block: block[:, :1, :1].copy(), dtype="f4", chunks=(ds.t2m.chunks[0], 1, 1))
    works = {
        "read": reading,
        "regrid": adapt(ds, target, climatology=None).data.t2m.data,
        "anomalies": adapt(ds, target).data.t2m.data,
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    with dask.config.set(scheduler="threads", num_workers=threads):
        for _ in range(repeats):
            for name, work in works.items():
                times[name].append(seconds(work.compute))
    wall, processor = ({name: min(t[kind] for t in runs) for name, runs in times.items()} for kind in (0, 1))
    return {
        "gigabytes": ds.t2m.nbytes / 1e9,
        "read_gigabytes_per_second": ds.t2m.nbytes / 1e9 / wall["read"],
        "regrid_to_read": wall["regrid"] / wall["read"],
        "anomalies_to_read": wall["anomalies"] / wall["read"],
        "regrid_to_read_processor_time": processor["regrid"] / processor["read"],
        "anomalies_to_read_processor_time": processor["anomalies"] / processor["read"],
    }


def main() -> None:
    """Measure with and without missing cells and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=96)
    parser.add_argument("--chunk", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for missing in (0.0, 0.3):
            path = write_store(Path(folder), options.steps, options.chunk, missing)
            print(json.dumps({"missing": missing} | measure(path, options.repeats, options.threads)))


if __name__ == "__main__":
    main()
