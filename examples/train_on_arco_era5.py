"""Train or fine-tune on ERA5 from a Zarr store, as ARCO-ERA5 and WeatherBench 2 lay it out.

    # WeatherBench 2, 5.625 degrees, daily means of the 6-hourly fields, from scratch
    python examples/train_on_arco_era5.py --out era5-daily.safetensors

    # the same years, going on from the packaged simulation model
    python examples/train_on_arco_era5.py --model amip-daily-5p6deg --out era5-daily.safetensors

    # ARCO-ERA5, hourly at 0.25 degrees, averaged over boxes of 10 x 10 points
    python examples/train_on_arco_era5.py --store arco --box 10 --first 1990-01-01 --last 1999-12-31 --out era5.st

Public stores need gcsfs (``pip install "xfaconv[cloud]"``); a path is read as it is. Everything is lazy: training reads
the windows that it draws. The fit of the climatology reads the training years once, which for ARCO-ERA5 is most of the
time: write the averaged fields to a store of your own first (``--cache FOLDER``) to train on them more than once. A
cache remembers what was asked for, and is refused where something else is asked for later.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import xfaconv

STORES = {
    "weatherbench": "gs://weatherbench2/datasets/era5/1959-2023_01_10-6h-64x32_equiangular_conservative.zarr",
    "arco": "gs://gcp-public-data-arco-era5/ar/full_37-1h-0p25deg-chunk-1.zarr-v3",
}
VARIABLES = (
    "2m_temperature",
    "10m_u_component_of_wind",
    "10m_v_component_of_wind",
    "mean_sea_level_pressure",
    "geopotential",
    "temperature",
)
LEVELS = (500, 850)
# Arguments that decide what the averaged fields are, and the attribute of a cache that remembers them.
DECISIVE = ("store", "variables", "levels", "first", "last", "step", "box")
REQUEST = "train_on_arco_era5_request"


def open_store(store: str, variables: Sequence[str], levels: Sequence[int], first: str, last: str) -> xr.Dataset:
    """Open a store lazily and choose variables, levels and years."""
    store = STORES.get(store, store)
    remote = {"token": "anon"} if store.startswith("gs://") else None
    ds = xr.open_zarr(store, chunks={}, storage_options=remote)[list(variables)].sel(time=slice(first, last))
    if "level" in ds.dims:
        ds = ds.sel(level=list(levels))
    return ds.assign_attrs(title=f"ERA5, {store.rsplit('/', 1)[-1]}")


def averaged(ds: xr.Dataset, step: str, box: int) -> xr.Dataset:
    """Average over days, or over months, and over boxes of points weighted by area, lazily."""
    with xr.set_options(keep_attrs=True):
        ds = ds.resample(time={"1D": "1D", "1M": "MS"}[step]).mean()
        if box > 1:
            weight = np.cos(np.deg2rad(ds["latitude"])).clip(1e-6).rename("area")
            total = weight.coarsen(latitude=box, boundary="trim").mean()
            ds = (ds * weight).coarsen(latitude=box, longitude=box, boundary="trim").mean() / total
    return ds


def cached(folder: Path, request: dict[str, Any], make: Callable[[], xr.Dataset]) -> xr.Dataset:
    """Open the averaged fields in a folder, which are written there first where the folder does not exist.

    They are written beside their place and moved when they are complete: an interruption leaves no half of a record.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Threads that still write when one of them fails must not hide why: what they leave has a name of its own.
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f".{folder.name}.", ignore_cleanup_errors=True
        ) as beside:
            ds = make().chunk(time=64).drop_encoding().assign_attrs({REQUEST: json.dumps(request)})
            ds.to_zarr(Path(beside) / "fields")
            (Path(beside) / "fields").rename(folder)
    way_out = f"give another --cache, or delete {folder} to write it anew"
    try:
        ds = xr.open_zarr(folder)
        written = json.loads(ds.attrs[REQUEST])
    except (KeyError, ValueError, OSError) as problem:
        raise SystemExit(f"--cache {folder} was not written by this script: {problem!r}; {way_out}") from problem
    differences = [
        f"--{name} was {written.get(name)!r} and is now {request[name]!r}"
        for name in request
        if written.get(name) != request[name]
    ]
    if differences:
        raise SystemExit(f"--cache {folder} holds other fields: {'; '.join(differences)}; {way_out}")
    return ds


def main(argv: Sequence[str] | None = None) -> None:
    """Open, average, train and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="weatherbench", help="weatherbench, arco, a path, or gs://...")
    parser.add_argument("--variables", nargs="+", default=list(VARIABLES), help="names in the store")
    parser.add_argument("--levels", nargs="+", type=int, default=list(LEVELS), help="pressure levels [hPa]")
    parser.add_argument("--first", default="1979-01-01", help="first day")
    parser.add_argument("--last", default="2018-12-31", help="last day")
    parser.add_argument("--step", choices=("1D", "1M"), default="1D", help="daily or monthly means")
    parser.add_argument("--box", type=int, default=1, help="average over boxes of so many points a side")
    parser.add_argument("--cache", type=Path, help="Zarr store of your own for the averaged fields")
    parser.add_argument("--model", help="model to go on from; by default a new one on the averaged grid")
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--window", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path, help="file to go on from after an interruption")
    parser.add_argument("--out", type=Path, required=True, help="file of the trained model")
    given = parser.parse_args(argv)

    def make() -> xr.Dataset:
        raw = open_store(given.store, given.variables, given.levels, given.first, given.last)
        return averaged(raw, given.step, given.box)

    request = {name: getattr(given, name) for name in DECISIVE} | {"store": STORES.get(given.store, given.store)}
    ds = make() if given.cache is None else cached(given.cache, request, make)
    with xfaconv.set_options(absent="climatology"):
        # A model may know variables that the store lacks; it was trained to do without some of them.
        model = xfaconv.fit(
            ds,
            model=given.model,
            name=given.out.stem,
            updates=given.updates,
            batch=given.batch,
            window=given.window,
            seed=given.seed,
            checkpoint=given.checkpoint,
            progress=True,
        )
    model.save(given.out)
    print(f"{given.out}: {', '.join(variable.name for variable in model.card.variables)}; {model.card.years}")
    for lead, scores in model.card.metrics.get("forecast", {}).items():
        for variable, row in scores.items():
            ratio = row["standardised_rmse_to_damped_persistence"]
            print(f"  {lead}, {variable}: {ratio:.3f} of the error of damped persistence on the held-back years")


if __name__ == "__main__":
    main()
