"""What the engine costs: ``python benchmarks/engine.py [PARTS]`` writes docs/reference/benchmarks-engine.md.

Parts: overhead, disk, xbatcher, workers, memory, graph. Every ratio is of times taken in turn in one run; the results
of parts are kept in the folder of the data, so that they can be run one by one on a quiet machine. The record has 8
variables and one field a day at 0.25 degrees, in blocks of 8 days, and needs 5 GB of disk for a year.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
from engine_page import page
from quarter_degree import MODEL, generated, model_of, size_on_disk, stored, times

import xfaconv
from xfaconv.climatology import seasonal_basis
from xfaconv.engine import write_zarr
from xfaconv.models import Model

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "benchmarks-engine.md"
Result = dict[str, Any]


def timed(function: Callable[[], object]) -> float:
    """Give the wall time of a call [s]."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ratio(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> Result:
    """Time two calls in turn, after one call of each, and give the median of the ratios."""
    theirs()
    ours()
    pairs = [(timed(ours), timed(theirs)) for _ in range(repeats)]
    return {
        "ours_s": round(median(a for a, _ in pairs), 2),
        "theirs_s": round(median(b for _, b in pairs), 2),
        "ratio": round(median(a / b for a, b in pairs), 3),
        "ratios": [round(a / b, 3) for a, b in pairs],
    }


def phase_of_year(stamps: np.ndarray) -> np.ndarray:
    """Give the fraction of the year of daily stamps."""
    years = stamps.astype("datetime64[Y]")
    length = ((years + 1).astype("datetime64[D]") - years.astype("datetime64[D]")).astype(int)
    return (stamps.astype("datetime64[D]") - years.astype("datetime64[D]")).astype(int) / length


def standardised(model: Model, fields: np.ndarray, year_phase: np.ndarray) -> np.ndarray:
    """Give standardised anomalies (time, variable, latitude, longitude)."""
    known = model.climatology
    mean = np.einsum("tk,vkij->tvij", seasonal_basis(year_phase, known.harmonics), known.coefficients, optimize=True)
    return ((fields - mean) / known.scale).astype("f4")


def run_window(model: Model, fields: np.ndarray, year_phase: np.ndarray, kept_from: int) -> np.ndarray:
    """Run the network over one window of standardised anomalies, the way one would by hand."""
    import torch

    from xfaconv.nn import Geometry

    phase = torch.from_numpy(year_phase.astype("f4"))[None]
    seen = torch.ones(1, len(fields), *model.card.grid.shape)
    with torch.inference_mode():
        encoded = model.network().encode(
            torch.from_numpy(fields)[None],
            seen,
            phase,
            phase * 0,
            Geometry.from_grid(model.card.grid),
            keep_from=kept_from,
        )
    return encoded.embedding[0].numpy()


def overhead(given: argparse.Namespace) -> Result:
    """Accessor on data in memory, on the model's grid, against a torch loop written by hand."""
    model, days = xfaconv.load_model(MODEL), 300
    segment, warmup, grid, known = model.card.segment, model.card.warmup, model.card.grid, model.climatology
    noise = np.random.default_rng(0).normal(size=(days, len(model.card.variables), *grid.shape))
    fields = (known.coefficients[:, 0] + noise * known.scale).astype("f4")
    data = {
        variable.name: (
            ("time", "latitude", "longitude"),
            np.ascontiguousarray(fields[:, number]),
            {"units": variable.units},
        )
        for number, variable in enumerate(model.card.variables)
    }
    ds = xr.Dataset(data, {"time": times(days), "latitude": list(grid.latitude), "longitude": list(grid.longitude)})
    phases = phase_of_year(times(days))

    def by_hand() -> np.ndarray:
        ready = standardised(model, fields, phases)
        kept = [(start, min(start + segment, days)) for start in range(warmup - segment, days, segment)]
        windows = [(max(start - warmup, 0), max(start, 0), stop) for start, stop in kept]
        return np.concatenate(
            [run_window(model, ready[read:stop], phases[read:stop], keep - read) for read, keep, stop in windows]
        )

    difference = float(np.abs(ds.faconv.embed(model=model).values - by_hand()).max())
    found = ratio(lambda: ds.faconv.embed(model=model), by_hand, max(given.repeats, 5))
    return found | {"days": days, "largest_difference": difference}


def disk(given: argparse.Namespace) -> Result:
    """0.25 degree from chunked Zarr to embeddings against reading and decompressing the same chunks."""
    model = model_of(given.variables)
    ds = stored(model, given.days, given.folder)

    def read() -> None:
        parts = [
            ds[name].data.map_blocks(lambda block: block[:, :1, :1], chunks=(ds[name].chunks[0], (1,), (1,)))
            for name in ds
        ]
        dask.compute(*parts)

    found = ratio(lambda: xfaconv.embed(ds, model=model).compute(), read, given.repeats)
    return found | {"days": given.days, "bytes": ds.nbytes, "on_disk": size_on_disk(model, given.days, given.folder)}


def by_xbatcher(model: Model, ds: xr.Dataset) -> np.ndarray:
    """Run the pipeline that a user would write: xbatcher, conservative regridding by xarray-regrid, torch."""
    import xarray_regrid  # noqa: F401 - registers .regrid
    import xbatcher

    grid = model.card.grid
    target = xr.Dataset(coords={"latitude": list(grid.latitude), "longitude": list(grid.longitude)})
    segment, warmup = model.card.segment, model.card.warmup
    names = [variable.name for variable in model.card.variables]
    sizes = {"time": segment + warmup, "latitude": ds.sizes["latitude"], "longitude": ds.sizes["longitude"]}
    out = []
    for batch in xbatcher.BatchGenerator(ds, input_dims=sizes, input_overlap={"time": warmup}, preload_batch=True):
        coarse = batch.regrid.conservative(target, latitude_coord="latitude")
        fields = coarse[names].to_dataarray().transpose("time", "variable", "latitude", "longitude").values
        phases = phase_of_year(batch.time.values)
        out.append(run_window(model, standardised(model, fields, phases), phases, warmup))
    return np.concatenate(out)


def xbatcher_pipeline(given: argparse.Namespace) -> Result:
    """Both pipelines from half of the stored record, each in its own process, imports not counted."""
    stored(model_of(given.variables), given.days, given.folder)
    ours, theirs = child("part-ours", given), child("part-xbatcher", given)
    warmup = model_of(given.variables).card.warmup
    a, b = (np.load(given.folder / f"{name}.npy") for name in ("part-ours", "part-xbatcher"))
    both = a[warmup : warmup + len(b)]
    return {
        "days": len(a),
        "ours_s": ours["seconds"],
        "theirs_s": theirs["seconds"],
        "times_faster": round(theirs["seconds"] / ours["seconds"], 2),
        "ours_peak_MB": round(ours["peak"] / 1e6),
        "theirs_peak_MB": round(theirs["peak"] / 1e6),
        "days_that_theirs_gives": len(b),
        "largest_difference": float(np.abs(both - b).max()),
    }


def workers(given: argparse.Namespace) -> Result:
    """Two worker processes of one thread against one, from Zarr."""
    import distributed

    model = model_of(given.variables)
    ds = stored(model, given.days, given.folder).isel(time=slice(0, given.days // 2))
    seconds = {}
    for count in (1, 2):
        with (
            distributed.LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster),
        ):
            # Every worker imports torch and loads the model before the clock starts.
            xfaconv.embed(ds.isel(time=slice(0, 80)), model=model).compute()
            runs = [timed(lambda: xfaconv.embed(ds, model=model).compute()) for _ in range(2)]
            seconds[count] = min(runs)
    return {
        "days": ds.sizes["time"],
        "one_s": round(seconds[1], 2),
        "two_s": round(seconds[2], 2),
        "speed_up": round(seconds[1] / seconds[2], 2),
    }


def memory(given: argparse.Namespace) -> Result:
    """Peak memory of writing the embeddings of generated records, each in its own process; earlier rows are kept."""
    rows = {(row["days"], row["block"], row["way"]): row for row in given.earlier.get("memory", {}).get("rows", [])}
    for days in given.spans:
        for block, way in ((8, "to_zarr"), (8, "write_zarr"), (30, "to_zarr"))[: 3 if days < 1000 else 1]:
            found = child("part-memory", given, "--days", str(days), "--block", str(block), "--way", way)
            rows[days, block, way] = {"days": days, "block": block, "way": way, **found}
    return {"rows": [rows[key] for key in sorted(rows)]}


def graph(given: argparse.Namespace) -> Result:
    """Build the graph of 350,000 hourly steps of 12 variables on the model's grid."""
    packaged = xfaconv.load_model(MODEL)
    model = packaged.updated(step="1h", segment=96, warmup=24)
    steps, grid = 350_000, model.card.grid
    stamps = np.datetime64("1980-01-01", "ns") + np.arange(steps) * np.timedelta64(1, "h")
    data = {
        variable.name: (
            ("time", "latitude", "longitude"),
            da.zeros((steps, *grid.shape), chunks=(720, -1, -1), dtype="f4"),
            {"units": variable.units},
        )
        for variable in model.card.variables
    }
    ds = xr.Dataset(data, {"time": stamps, "latitude": list(grid.latitude), "longitude": list(grid.longitude)})
    seconds = [timed(lambda: xfaconv.embed(ds, model=model)) for _ in range(max(given.repeats, 3))]
    return {"seconds": round(median(seconds), 2), "tasks": len(xfaconv.embed(ds, model=model).data.dask)}


def child(name: str, given: argparse.Namespace, *more: str) -> Result:
    """Run a part of this file in a process of its own, for its time and its peak memory."""
    common = ["--days", str(given.days), "--variables", str(given.variables), "--folder", str(given.folder)]
    done = subprocess.run(  # noqa: S603 - this very file
        [sys.executable, __file__, name, *common, *more], check=True, stdout=subprocess.PIPE, text=True
    )
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def run_part(name: str, given: argparse.Namespace) -> Result:
    """Run what `child` asks for."""
    import torch  # noqa: F401 - imported before the clock starts

    model = model_of(given.variables)
    if name == "part-memory":
        ds = generated(model, given.days, given.block)
        predicted = xfaconv.plan(ds, model=model, workers=2).peak_memory
        write = write_zarr if given.way == "write_zarr" else lambda result, path: result.to_zarr(path)
        with tempfile.TemporaryDirectory() as folder, dask.config.set(scheduler="threads", num_workers=2):
            seconds = timed(lambda: write(xfaconv.embed(ds, model=model), Path(folder) / "out.zarr"))
        return {"peak": peak(), "predicted": predicted, "seconds": round(seconds, 1)}
    ds = stored(model, given.days, given.folder).isel(time=slice(0, given.days // 2))
    run = (lambda: xfaconv.embed(ds, model=model).values) if name == "part-ours" else (lambda: by_xbatcher(model, ds))
    found: list[np.ndarray] = []
    seconds = timed(lambda: found.append(run()))
    np.save(given.folder / f"{name}.npy", found[0])
    return {"seconds": round(seconds, 2), "peak": peak()}


def peak() -> int:
    """Give the peak resident memory of this process [bytes]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Run the parts that are named, all of them by default, and write the page from all results at hand."""
    parts: dict[str, Callable[[argparse.Namespace], Result]] = {
        "overhead": overhead,
        "disk": disk,
        "xbatcher": xbatcher_pipeline,
        "workers": workers,
        "memory": memory,
        "graph": graph,
    }
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", default=list(parts))
    parser.add_argument("--days", type=int, default=365, help="length of the stored record")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--variables", type=int, default=8)
    parser.add_argument("--spans", type=int, nargs="*", default=[365, 3650], help="lengths for memory [days]")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "xfaconv-benchmarks")
    parser.add_argument("--output", type=Path, default=PAGE)
    parser.add_argument("--block", type=int, default=8, help=argparse.SUPPRESS)
    parser.add_argument("--way", default="to_zarr", help=argparse.SUPPRESS)
    given = parser.parse_args()
    # One thread for each BLAS call: the threads of dask fill the processors.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    given.folder.mkdir(exist_ok=True)
    if given.names[0].startswith("part-"):
        print(json.dumps(run_part(given.names[0], given)))
        return
    kept = given.folder / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    given.earlier = results
    for name in given.names:
        results[name] = parts[name](given) | {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "python": platform.python_version(),
        }
        print(name, json.dumps(results[name]), flush=True)
        kept.write_text(json.dumps(results, indent=1))
    given.output.write_text(page(results))
    print(f"wrote {given.output}")


if __name__ == "__main__":
    main()
