"""What the engine costs: ``python benchmarks/engine.py [PARTS]`` writes docs/reference/benchmarks-engine.md.

    python benchmarks/engine.py             all parts; needs 5 GB of disk for a year at 0.25 degrees
    python benchmarks/engine.py import      what `import xfaconv` adds to `import xarray`
    python benchmarks/engine.py regrid      regridding and anomalies against reading the same chunks

Parts: overhead, disk, xbatcher, workers, memory, graph, regrid, import, busy. The two times of every ratio are taken in
turn in one run. Results are kept in the folder of the data, so that parts can be run one by one on an idle machine. The
record has 8 variables and one field a day at 0.25 degrees, in blocks of 8 days.
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
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import dask
import dask.array as da
import numpy as np
import torch
import xarray as xr

import xfaconv
from xfaconv.climatology import Climatology, seasonal_basis
from xfaconv.engine import write_zarr
from xfaconv.models import Model
from xfaconv.nn import Geometry, build_network

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "benchmarks-engine.md"
MODEL = "amip-daily-5p6deg"
LATITUDE, LONGITUDE = np.linspace(90, -90, 721), np.arange(1440) * 0.25
# The tenth day of this record begins a segment, so that windows cut from its beginning are those of the engine.
START = "1980-01-19"
PACKAGES = ("torch", "dask", "distributed", "xarray", "zarr", "xbatcher", "xarray-regrid")
HEAVY = ("torch", "matplotlib", "cartopy", "sklearn", "scipy")
IMPORTS = f"""
import json, sys, time
start = time.perf_counter()
import xarray
middle = time.perf_counter()
import xfaconv
end = time.perf_counter()
print(json.dumps([middle - start, end - middle, [name for name in {HEAVY} if name in sys.modules]]))
"""
# The first call of a process, on data in memory, beside other jobs; 13 months are one segment and 24 are two or three.
FIRST_CALL = """
import sys, time
import xfaconv
ds = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(int(sys.argv[1]))).load()
start = time.perf_counter()
ds.faconv.embed()
print(time.perf_counter() - start)
"""
COMPETING = "while True: sum(range(10_000))"
Result = dict[str, Any]
# Quantity, measured, target, and whether it is met.
Row = tuple[str, str, str, bool | None]


def model_of(variables: int) -> Model:
    """Give the packaged daily model, or one of its size with fewer variables and random weights."""
    packaged = xfaconv.load_model(MODEL)
    if variables >= len(packaged.card.variables):
        return packaged
    card = packaged.card.updated(
        name=f"benchmark-{variables}",
        variables=packaged.card.variables[:variables],
        network=replace(packaged.card.network, variables=variables),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(card.network)
    known = packaged.climatology
    climatology = Climatology(known.coefficients[:variables], known.scale[:variables])
    return Model.from_network(card, network, climatology)


def times(days: int) -> np.ndarray:
    """Give daily stamps."""
    return np.datetime64(START, "ns") + np.arange(days) * np.timedelta64(1, "D")


def _pattern(block_info: dict, mean: float, spread: float) -> np.ndarray:
    """Make one block of a travelling wave, cheap to compute and different every day."""
    (start, stop), _, _ = block_info[None]["array-location"]
    latitude = np.deg2rad(LATITUDE)[:, None].astype("f4")
    longitude = np.deg2rad(LONGITUDE)[None].astype("f4")
    out = np.empty((stop - start, 721, 1440), "f4")
    for row, day in enumerate(range(start, stop)):
        np.multiply(np.cos(latitude), np.cos(4 * longitude - np.float32(0.3 * day)) * np.float32(spread), out=out[row])
        out[row] += np.float32(mean)
    return out


def generated(model: Model, days: int, block: int = 8) -> xr.Dataset:
    """Give a record that is generated block by block when it is read."""
    blocks = (tuple([block] * (days // block) + [days % block] * (days % block > 0)), (721,), (1440,))
    data = {}
    for number, variable in enumerate(model.card.variables):
        mean = float(np.nanmean(model.climatology.coefficients[number, 0]))
        spread = float(np.nanmean(model.climatology.scale[number]))
        array = da.map_blocks(
            _pattern, mean=mean, spread=spread, chunks=blocks, dtype="f4", meta=np.empty((0, 0, 0), "f4")
        )
        data[variable.name] = (("time", "latitude", "longitude"), array, {"units": variable.units})
    coords = {
        "time": times(days),
        "latitude": ("latitude", LATITUDE, {"units": "degrees_north"}),
        "longitude": ("longitude", LONGITUDE, {"units": "degrees_east"}),
    }
    return xr.Dataset(data, coords)


def store_of(model: Model, days: int, folder: Path, missing: float = 0.0) -> Path:
    """Name the folder of a stored record."""
    share = f"-{missing:g}-missing" if missing else ""
    return folder / f"quarter-{days}-{len(model.card.variables)}{share}.zarr"


def stored(model: Model, days: int, folder: Path, missing: float = 0.0) -> xr.Dataset:
    """Write a record with noise (seed 0), rounded so that it compresses about threefold, and open it.

    A share of the cells may be missing at all times, as land is in sea surface temperature.
    """
    path = store_of(model, days, folder, missing)
    if not path.exists():
        noise = np.random.default_rng(0).normal(size=(1, 721, 1440)).astype("f4")
        ds = generated(model, days)
        for number, variable in enumerate(model.card.variables):
            step = np.float32(np.nanmean(model.climatology.scale[number]) / 200)
            rough = ds[variable.name].data.map_blocks(
                lambda block, step=step: np.round((block + noise * 20 * step) / step) * step, dtype="f4"
            )
            ds[variable.name] = ds[variable.name].copy(data=rough)
        if missing:
            ds = ds.where(
                xr.DataArray(np.random.default_rng(1).random((721, 1440)) >= missing, dims=("latitude", "longitude"))
            )
        ds.to_zarr(path)
    return xr.open_zarr(path)


def size_on_disk(path: Path) -> int:
    """Give the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


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
    """Run the network over one window of standardised anomalies in plain torch."""
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
    """Accessor on data in memory, on the model's grid, against a loop in plain torch."""
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

    def plain_loop() -> np.ndarray:
        ready = standardised(model, fields, phases)
        kept = [(start, min(start + segment, days)) for start in range(warmup - segment, days, segment)]
        windows = [(max(start - warmup, 0), max(start, 0), stop) for start, stop in kept]
        return np.concatenate(
            [run_window(model, ready[read:stop], phases[read:stop], keep - read) for read, keep, stop in windows]
        )

    difference = float(np.abs(ds.faconv.embed(model=model).values - plain_loop()).max())
    found = ratio(lambda: ds.faconv.embed(model=model), plain_loop, max(given.repeats, 5))
    return found | {"days": days, "largest_difference": difference}


def read(ds: xr.Dataset) -> None:
    """Read and decompress all chunks, one value of each kept."""
    parts = [
        ds[name].data.map_blocks(lambda block: block[:, :1, :1], chunks=(ds[name].chunks[0], (1,), (1,))) for name in ds
    ]
    dask.compute(*parts)


def disk(given: argparse.Namespace) -> Result:
    """0.25 degree from chunked Zarr to embeddings against reading and decompressing the same chunks."""
    model = model_of(given.variables)
    ds = stored(model, given.days, given.folder)
    found = ratio(lambda: xfaconv.embed(ds, model=model).compute(), lambda: read(ds), given.repeats)
    return found | {
        "days": given.days,
        "bytes": ds.nbytes,
        "on_disk": size_on_disk(store_of(model, given.days, given.folder)),
    }


def regrid(given: argparse.Namespace) -> Result:
    """One variable from Zarr to the model's grid, and to anomalies on it, against reading the same chunks."""
    from xfaconv.adapt import InputSpec, adapt

    model = model_of(1)
    target = InputSpec(model.card.variables, model.card.grid, model.card.step, model.climatology)
    found: Result = {"days": given.days // 4}
    for name, missing in (("whole", 0.0), ("30% missing", 0.3)):
        ds = stored(model, given.days // 4, given.folder, missing)
        regridded = adapt(ds, target, climatology=None).data
        anomalies = adapt(ds, target).data
        found[name] = {
            "regrid": ratio(lambda data=regridded: data.compute(), lambda ds=ds: read(ds), given.repeats)["ratio"],
            "anomalies": ratio(lambda data=anomalies: data.compute(), lambda ds=ds: read(ds), given.repeats)["ratio"],
        }
    return found


def import_cost(given: argparse.Namespace) -> Result:
    """Import xarray and then xfaconv in new processes: milliseconds, and heavy packages that come with xfaconv."""
    repeats = max(given.repeats, 9)
    runs = [json.loads(subprocess.check_output([sys.executable, "-c", IMPORTS])) for _ in range(repeats)]  # noqa: S603
    xarray, ours = (median(run[place] for run in runs) for place in (0, 1))
    return {
        "xarray_ms": round(xarray * 1e3),
        "ours_ms": round(ours * 1e3),
        "least_ms": round(min(run[1] for run in runs) * 1e3),
        "ratio": round(ours / xarray, 3),
        "heavy": sorted({name for *_, names in runs for name in names}),
    }


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


def busy(given: argparse.Namespace) -> Result:
    """First call of a process with the threads that the package chooses, against one thread, beside other jobs."""

    def first_call(steps: int, **environment: str) -> float:
        own = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | environment
        command = [sys.executable, "-W", "ignore", "-c", FIRST_CALL, str(steps)]
        ended = subprocess.run(command, env=own, check=True, capture_output=True, text=True)  # noqa: S603 - own code
        return float(ended.stdout)

    found: Result = {}
    for jobs in (0, os.cpu_count() or 1, 2 * (os.cpu_count() or 1)):
        others = [subprocess.Popen([sys.executable, "-c", COMPETING]) for _ in range(jobs)]  # noqa: S603 - own code
        try:
            for steps in (13, 24):
                pairs = [(first_call(steps), first_call(steps, OMP_NUM_THREADS="1")) for _ in range(given.repeats)]
                chosen, one = (median(column) for column in zip(*pairs, strict=True))
                found[f"{jobs} other jobs, {steps} months"] = {"chosen": chosen, "one": one, "ratio": chosen / one}
        finally:
            for other in others:
                other.kill()
    return found


def workers(given: argparse.Namespace) -> Result:
    """Two worker processes of one thread against one, from Zarr."""
    import distributed

    model = model_of(given.variables)
    ds = stored(model, given.days, given.folder).isel(time=slice(0, given.days // 2))
    seconds = {}
    for count in (1, 2):
        with (
            distributed.LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0") as cluster,
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
    """Peak memory of writing the embeddings of generated records, each in its own process; earlier rows stay."""
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
    """Run what `child` asks for; torch is imported before the clock starts."""
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


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Give the page in Markdown; parts that were not run are named at its end."""
    lines = [
        "# Computational cost",
        "",
        "Written by `python benchmarks/engine.py`: "
        f"{processor()}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES if find_spec(name.replace("-", "_")))
        + ". Packaged model `amip-daily-5p6deg`, or one of its size with 8 variables and random weights (speed and "
        "memory do not depend on the values). Each ratio compares times measured alternately in one run and "
        "is the median over the repetitions.",
        "",
        "| quantity | measured | target | met | date |",
        "|---|---|---|---|---|",
    ]
    for name, write in ROWS.items():
        if name in results:
            for what, measured, bar, met in write(results[name]):
                verdict = {True: "yes", False: "**no**", None: ""}[met]
                cells = (what, measured, bar, verdict, results[name]["date"])
                lines.append(f"| {' | '.join(cells)} |")
    if "memory" in results:
        lines += _memory(results["memory"])
    missing = [name for name in (*ROWS, "memory") if name not in results]
    lines += ["", "## Methods", "", *METHODS]
    if missing:
        lines += ["", f"Not run for this page: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


STORED = (
    "- *Stored record*: a travelling wave with noise (seed 0), rounded to 1/200 of a standard deviation, float32, "
    "written with Zarr's default compression, one file per variable and block. It is read once before the measurement, "
    "so that it comes from the page cache. A slower disk adds the same time to both sides and brings the ratio closer "
    "to 1."
)
READING = (
    "- *Reading*: the same dask blocks with the same scheduler, each reduced to one value as soon as it has been read."
)
XBATCHER = (
    "- *xbatcher*: half of the stored record; windows of 30 days that overlap by 10, loaded by xbatcher, averaged by "
    "xarray-regrid, standardised by numpy, and passed to the same network, one call per window. Both run in new "
    "processes, and imports are not counted. The steps at the end that do not fill a window are left out."
)
WORKERS = "- *Workers*: `LocalCluster`, one thread per process, half of the stored record, the better of two runs each."
MEMORY = (
    "- *Memory*: the peak resident memory of a separate process that generates a record block by block, embeds it and "
    "writes the result to Zarr, with 2 threads. It includes Python, torch and all imports."
)
METHODS = (STORED, READING, XBATCHER, WORKERS, MEMORY)
TARGETS = "Targets: equal within 15 % for all lengths of the record, less than 3 GB, and `plan` correct within 30 %."


def _overhead(found: Mapping[str, Any]) -> list[Row]:
    said = f"{found['ratio']:.2f} times ({found['ours_s']:.2f} s and {found['theirs_s']:.2f} s)"
    what = f"`ds.faconv.embed()` on {found['days']} days in memory, compared with a loop in plain torch"
    return [(what, said, "at most 1.10", found["ratio"] <= 1.10)]


def _disk(found: Mapping[str, Any]) -> list[Row]:
    said = f"{found['ratio']:.2f} times ({found['ours_s']:.1f} s and {found['theirs_s']:.1f} s)"
    size = f"{found['bytes'] / 1e9:.1f} GB, {found['on_disk'] / 1e9:.1f} GB on disk"
    what = (
        f"{found['days']} days at 0.25 degrees ({size}) from Zarr to embeddings, compared with reading the same chunks"
    )
    return [(what, said, "at most 1.5", found["ratio"] <= 1.5)]


def _xbatcher(found: Mapping[str, Any]) -> list[Row]:
    what = f"{found['days']} of these days, compared with xbatcher, xarray-regrid and torch"
    said = f"{found['times_faster']:.1f} times faster ({found['ours_s']:.1f} s and {found['theirs_s']:.1f} s)"
    peak = f"{found['ours_peak_MB']} MB and {found['theirs_peak_MB']} MB"
    agree = f"embeddings differ by at most {found['largest_difference']:.1g} in {found['days_that_theirs_gives']} days"
    return [
        (what, f"{said}; {agree}", "at least 3 times", found["times_faster"] >= 3),
        ("peak memory of the two", peak, "a fraction", found["ours_peak_MB"] < found["theirs_peak_MB"] / 2),
    ]


def _workers(found: Mapping[str, Any]) -> list[Row]:
    what = f"{found['days']} of these days: 2 worker processes of one thread each, compared with 1"
    said = f"{found['speed_up']:.2f} times faster ({found['two_s']:.1f} s and {found['one_s']:.1f} s)"
    return [(what, said, "at least 1.7 times", found["speed_up"] >= 1.7)]


def _graph(found: Mapping[str, Any]) -> list[Row]:
    what = "building the graph of 350,000 hourly steps of 12 variables"
    return [(what, f"{found['seconds']:.2f} s, {found['tasks']:,} tasks", "under 3 s", found["seconds"] < 3)]


def _regrid(found: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for name in ("whole", "30% missing"):
        what = (
            f"one variable ({name}), {found['days']} days at 0.25 degrees, to the model's grid, compared with reading"
        )
        said = f"{found[name]['regrid']:.2f} times, with anomalies {found[name]['anomalies']:.2f} times"
        rows.append((what, said, "", None))
    return rows


def _import(found: Mapping[str, Any]) -> list[Row]:
    said = f"{found['ours_ms']} ms ({found['xarray_ms']} ms for xarray); heavy packages: "
    met = found["ours_ms"] <= 60 and not found["heavy"]
    return [("`import xfaconv` after `import xarray`", said + (", ".join(found["heavy"]) or "none"), "60 ms", met)]


def _busy(found: Mapping[str, Any]) -> list[Row]:
    rows = ((name, entry) for name, entry in found.items() if isinstance(entry, Mapping))
    return [
        (
            f"first `embed` of a process in memory beside {name}: threads chosen, over one thread",
            f"{entry['ratio']:.2f} ({entry['chosen']:.1f} s and {entry['one']:.1f} s)",
            "at most 1.3",
            entry["ratio"] <= 1.3,
        )
        for name, entry in rows
    ]


def _memory(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        f"## Memory ({found['date']})",
        "",
        f"8 generated variables at 0.25 degrees. {TARGETS}",
        "",
        "| record | blocks of | written by | peak | `plan` | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        cells = (
            f"{row['days']:,} days ({row['days'] * 8 * 721 * 1440 * 4 / 1e9:,.0f} GB)",
            f"{row['block']} days",
            f"`{row['way']}`",
            f"{row['peak'] / 1e6:,.0f} MB",
            f"{row['predicted'] / 1e6:,.0f} MB ({row['predicted'] / row['peak'] - 1:+.0%})",
            f"{row['seconds']:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    peaks = [row["peak"] for row in found["rows"] if row["block"] == 8 and row["way"] == "to_zarr"]
    lines += [
        "",
        f"Ratio of the largest to the smallest peak over the lengths of the record: {max(peaks) / min(peaks):.2f}.",
    ]
    return lines


ROWS = {
    "overhead": _overhead,
    "disk": _disk,
    "xbatcher": _xbatcher,
    "workers": _workers,
    "graph": _graph,
    "regrid": _regrid,
    "import": _import,
    "busy": _busy,
}


def processor() -> str:
    """Name the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Run the parts that are named, all of them by default, and write the page from all results at hand."""
    parts: dict[str, Callable[[argparse.Namespace], Result]] = {
        "overhead": overhead,
        "disk": disk,
        "xbatcher": xbatcher_pipeline,
        "workers": workers,
        "memory": memory,
        "graph": graph,
        "regrid": regrid,
        "import": import_cost,
        "busy": busy,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
