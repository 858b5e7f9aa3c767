"""What the engine costs, as ratios measured in one run; parts: overhead disk xbatcher workers memory graph."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import dask
import dask.array as da
import numpy as np
import xarray as xr

import xfaconv
from xfaconv.climatology import harmonic_basis
from xfaconv.models import Model

MODEL = "amip-daily-5p6deg"
QUARTER = {"latitude": np.linspace(90, -90, 721), "longitude": np.arange(1440) * 0.25}


def model_of(variables: int) -> Model:
    """Give the packaged daily model, or one of its size with fewer variables and fresh weights."""
    import torch

    from xfaconv.climatology import Climatology
    from xfaconv.nn import build_network

    packaged = xfaconv.load_model(MODEL)
    if variables >= len(packaged.card.variables):
        return packaged
    from dataclasses import replace

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
    return np.datetime64("1980-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D")


def _pattern(block_info: dict, mean: float, spread: float) -> np.ndarray:
    """Make one block: a travelling wave, cheap to compute and different every day."""
    (start, stop), _, _ = block_info[None]["array-location"]
    latitude = np.deg2rad(QUARTER["latitude"])[:, None].astype("f4")
    longitude = np.deg2rad(QUARTER["longitude"])[None].astype("f4")
    out = np.empty((stop - start, 721, 1440), "f4")
    for row, day in enumerate(range(start, stop)):
        np.multiply(np.cos(latitude), np.cos(4 * longitude - np.float32(0.3 * day)) * np.float32(spread), out=out[row])
        out[row] += np.float32(mean)
    return out


def generated(model: Model, days: int, block: int = 8) -> xr.Dataset:
    """Give a lazily generated record of 0.25 degree, nothing of which is ever held."""
    data = {}
    for number, variable in enumerate(model.card.variables):
        mean = float(np.nanmean(model.climatology.coefficients[number, 0]))
        spread = float(np.nanmean(model.climatology.scale[number]))
        blocks = (tuple([block] * (days // block) + ([days % block] if days % block else [])), (721,), (1440,))
        array = da.map_blocks(
            _pattern, mean=mean, spread=spread, chunks=blocks, dtype="f4", meta=np.empty((0, 0, 0), "f4")
        )
        data[variable.name] = (("time", "latitude", "longitude"), array, {"units": variable.units})
    coords = {
        "time": times(days),
        "latitude": ("latitude", QUARTER["latitude"], {"units": "degrees_north"}),
        "longitude": ("longitude", QUARTER["longitude"], {"units": "degrees_east"}),
    }
    return xr.Dataset(data, coords)


def stored(model: Model, days: int, folder: Path) -> xr.Dataset:
    """Write a record of 0.25 degree with noise (so that it compresses as analyses do) and open it."""
    path = folder / f"quarter-{days}-{len(model.card.variables)}.zarr"
    if not path.exists():
        random = np.random.default_rng(0)
        noise = random.normal(size=(1, 721, 1440)).astype("f4")
        ds = generated(model, days)
        for number, variable in enumerate(model.card.variables):
            spread = float(np.nanmean(model.climatology.scale[number]))
            step = np.float32(spread / 200)
            rough = ds[variable.name].data.map_blocks(
                lambda block, step=step: np.round((block + noise * 20 * step) / step) * step, dtype="f4"
            )
            ds[variable.name] = ds[variable.name].copy(data=rough)
        ds.to_zarr(path)
    return xr.open_zarr(path)


def timed(function: Callable[[], object]) -> float:
    """Give the wall time of a call [s]."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ratio(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> dict[str, float]:
    """Time two calls in turn and give the median of the ratios."""
    pairs = [(timed(ours), timed(theirs)) for _ in range(repeats)]
    return {
        "ours_s": round(median(a for a, _ in pairs), 3),
        "theirs_s": round(median(b for _, b in pairs), 3),
        "ratio": round(median(a / b for a, b in pairs), 3),
    }


def windows(model: Model, days: int) -> list[tuple[int, int, int]]:
    """Give (read from, keep from, stop) of each segment of a record that begins in 1980."""
    segment, warmup = model.card.segment, model.card.warmup
    first = int(times(1)[0].astype("datetime64[D]").astype(int))
    starts = range(first // segment * segment - first, days, segment)
    return [(max(start - warmup, 0), max(start, 0), min(start + segment, days)) for start in starts]


def run_windows(model: Model, fields: np.ndarray, year_phase: np.ndarray) -> np.ndarray:
    """Run the network over standardised anomalies the way one would by hand."""
    import torch

    from xfaconv.nn import Geometry

    network, geometry = model.network(), Geometry.from_grid(model.card.grid)
    out = []
    with torch.inference_mode():
        for read, keep, stop in windows(model, len(fields)):
            part = torch.from_numpy(fields[read:stop])[None]
            phase = torch.from_numpy(year_phase[read:stop].astype("f4"))[None]
            seen = torch.ones(1, stop - read, *model.card.grid.shape)
            out.append(
                network.encode(part, seen, phase, phase * 0, geometry, keep_from=keep - read).embedding[0].numpy()
            )
    return np.concatenate(out)


def phase_of_year(stamps: np.ndarray) -> np.ndarray:
    """Give the fraction of the year of daily stamps."""
    years = stamps.astype("datetime64[Y]")
    length = ((years + 1).astype("datetime64[D]") - years.astype("datetime64[D]")).astype(int)
    return (stamps.astype("datetime64[D]") - years.astype("datetime64[D]")).astype(int) / length


def standardised(model: Model, fields: np.ndarray, year_phase: np.ndarray) -> np.ndarray:
    """Give standardised anomalies (time, variable, latitude, longitude)."""
    known = model.climatology
    basis = harmonic_basis(year_phase, known.harmonics)
    mean = np.einsum("tk,vkij->tvij", basis, known.coefficients, optimize=True)
    return ((fields - mean) / known.scale).astype("f4")


def overhead(days: int, repeats: int) -> dict[str, float]:
    """Accessor on data in memory against a torch loop written by hand: at most 1.10."""
    model = xfaconv.load_model(MODEL)
    random = np.random.default_rng(0)
    known = model.climatology
    grid = model.card.grid
    noise = random.normal(size=(days, len(model.card.variables), *grid.shape))
    fields = (known.coefficients[:, 0] + noise * known.scale).astype("f4")
    coords = {"time": times(days), "latitude": list(grid.latitude), "longitude": list(grid.longitude)}
    dims = ("time", "latitude", "longitude")
    ds = xr.Dataset(
        {
            variable.name: (dims, np.ascontiguousarray(fields[:, number]), {"units": variable.units})
            for number, variable in enumerate(model.card.variables)
        },
        coords,
    )
    phases = phase_of_year(times(days))

    def by_hand() -> np.ndarray:
        return run_windows(model, standardised(model, fields, phases), phases)

    difference = float(np.abs(ds.faconv.embed(model=model).values - by_hand()).max())
    return ratio(lambda: ds.faconv.embed(model=model), by_hand, repeats) | {"largest_difference": difference}


def disk(days: int, repeats: int, folder: Path, variables: int) -> dict[str, float]:
    """0.25 degree from chunked Zarr to embeddings against reading and decompressing the same chunks: at most 1.5."""
    model = model_of(variables)
    ds = stored(model, days, folder)

    def read() -> None:
        parts = [
            ds[name].data.map_blocks(lambda block: block[:, :1, :1], chunks=(ds[name].chunks[0], (1,), (1,)))
            for name in ds
        ]
        dask.compute(*parts)

    read()
    return ratio(lambda: xfaconv.embed(ds, model=model).compute(), read, repeats) | {"bytes": ds.nbytes}


def by_xbatcher(model: Model, ds: xr.Dataset) -> np.ndarray:
    """Run the pipeline that a user would write: xbatcher, conservative regridding by xarray-regrid, torch."""
    import xarray_regrid  # noqa: F401 - registers .regrid
    import xbatcher

    grid = model.card.grid
    target = xr.Dataset(coords={"latitude": list(grid.latitude), "longitude": list(grid.longitude)})
    segment, warmup = model.card.segment, model.card.warmup
    sizes = {"time": segment + warmup, "latitude": ds.sizes["latitude"], "longitude": ds.sizes["longitude"]}
    out = []
    for batch in xbatcher.BatchGenerator(ds, input_dims=sizes, input_overlap={"time": warmup}, preload_batch=True):
        coarse = batch.regrid.conservative(target, latitude_coord="latitude")
        order = ("time", "variable", "latitude", "longitude")
        fields = coarse.to_dataarray().transpose(*order).values
        phases = phase_of_year(batch.time.values)
        out.append(run_windows(model, standardised(model, fields, phases), phases)[warmup:])
    return np.concatenate(out)


def child(arguments: list[str], threads: int = 1) -> dict[str, float]:
    """Run a part of this file in a process of its own, for its time and its peak memory."""
    done = subprocess.run(  # noqa: S603 - this very file
        [sys.executable, __file__, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "MALLOC_TRIM_THRESHOLD_": "0"},
    )
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def peak() -> int:
    """Give the peak resident memory of this process [bytes]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def xbatcher_pipeline(days: int, folder: Path, variables: int) -> dict[str, float]:
    """Both pipelines from the same Zarr, each in its own process: at least 3 times faster, a fraction of the memory."""
    stored(model_of(variables), days, folder)
    common = ["--days", str(days), "--variables", str(variables), "--folder", str(folder)]
    ours, theirs = child(["part-ours", *common]), child(["part-xbatcher", *common])
    return {
        "ours_s": ours["seconds"],
        "theirs_s": theirs["seconds"],
        "times_faster": round(theirs["seconds"] / ours["seconds"], 2),
        "ours_peak_MB": round(ours["peak"] / 1e6),
        "theirs_peak_MB": round(theirs["peak"] / 1e6),
    }


def workers(days: int, variables: int) -> dict[str, float]:
    """Two worker processes of one thread against one: at least 1.7."""
    import distributed

    model = model_of(variables)
    seconds = {}
    for count in (1, 2):
        with (
            distributed.LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster),
        ):
            # Every worker imports torch and loads the model before the clock starts.
            xfaconv.embed(generated(model, 80), model=model).compute()
            seconds[count] = timed(lambda: xfaconv.embed(generated(model, days), model=model).compute())
    return {"one_s": round(seconds[1], 2), "two_s": round(seconds[2], 2), "speed_up": round(seconds[1] / seconds[2], 2)}


def memory(spans: list[int], variables: int, block: int) -> dict[str, float]:
    """Peak memory of embed().to_zarr() on generated records of different length, each in its own process."""
    found = {}
    for days in spans:
        part = child(["part-memory", "--days", str(days), "--variables", str(variables), "--block", str(block)])
        found[f"{days}_days_MB"] = round(part["peak"] / 1e6)
        found[f"{days}_days_predicted_MB"] = round(part["predicted"] / 1e6)
        found[f"{days}_days_s"] = round(part["seconds"], 1)
    return found


def graph() -> dict[str, float]:
    """Build the graph of 350,000 hourly steps: under 3 s."""
    packaged = xfaconv.load_model(MODEL)
    model = packaged.updated(step="1h", segment=96, warmup=24)
    steps = 350_000
    grid = model.card.grid
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
    result = None

    def build() -> None:
        nonlocal result
        result = xfaconv.embed(ds, model=model)

    seconds = [timed(build) for _ in range(3)]
    return {"seconds": round(median(seconds), 2), "tasks": len(result.data.dask)}


def part(name: str, given: argparse.Namespace) -> dict[str, float]:
    """Run what `child` asks for."""
    model = model_of(given.variables)
    if name == "part-memory":
        ds = generated(model, given.days, given.block)
        predicted = xfaconv.plan(ds, model=model, workers=2).peak_memory
        with tempfile.TemporaryDirectory() as folder:
            lazy = xfaconv.embed(ds, model=model)
            with dask.config.set(scheduler="threads", num_workers=2):
                seconds = timed(lambda: lazy.to_zarr(Path(folder) / "out.zarr"))
        return {"peak": peak(), "predicted": predicted, "seconds": seconds}
    ds = stored(model, given.days, given.folder)
    run = (
        (lambda: xfaconv.embed(ds, model=model).compute()) if name == "part-ours" else (lambda: by_xbatcher(model, ds))
    )
    return {"seconds": round(timed(run), 2), "peak": peak()}


def main() -> None:
    """Run the benchmarks that are named, all of them by default."""
    known = ["overhead", "disk", "xbatcher", "workers", "memory", "graph"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=known)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--variables", type=int, default=8)
    parser.add_argument("--block", type=int, default=8, help="days to a block of the generated record")
    parser.add_argument("--spans", type=int, nargs="*", default=[365, 3650], help="lengths for memory [days]")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "xfaconv-benchmarks")
    given = parser.parse_args()
    given.folder.mkdir(exist_ok=True)
    for name in given.names:
        if name.startswith("part-"):
            sys.stdout.write(json.dumps(part(name, given)) + "\n")
            continue
        found = {
            "overhead": lambda: overhead(given.days * 5, given.repeats),
            "disk": lambda: disk(given.days, given.repeats, given.folder, given.variables),
            "xbatcher": lambda: xbatcher_pipeline(given.days, given.folder, given.variables),
            "workers": lambda: workers(given.days * 2, given.variables),
            "memory": lambda: memory(given.spans, given.variables, given.block),
            "graph": graph,
        }[name]()
        sys.stdout.write(json.dumps({name: found}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
