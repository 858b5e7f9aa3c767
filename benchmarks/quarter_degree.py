"""Records at 0.25 degrees for the benchmarks of the engine: generated block by block, or stored as Zarr."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import torch
import xarray as xr

import xfaconv
from xfaconv.climatology import Climatology
from xfaconv.models import Model
from xfaconv.nn import build_network

MODEL = "amip-daily-5p6deg"
LATITUDE, LONGITUDE = np.linspace(90, -90, 721), np.arange(1440) * 0.25
# The tenth day of this record begins a segment, so that windows cut from its beginning are those of the engine.
START = "1980-01-19"


def model_of(variables: int) -> Model:
    """Give the packaged daily model, or one of its size with fewer variables and fresh weights."""
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
    """Make one block: a travelling wave, cheap to compute and different every day."""
    (start, stop), _, _ = block_info[None]["array-location"]
    latitude = np.deg2rad(LATITUDE)[:, None].astype("f4")
    longitude = np.deg2rad(LONGITUDE)[None].astype("f4")
    out = np.empty((stop - start, 721, 1440), "f4")
    for row, day in enumerate(range(start, stop)):
        np.multiply(np.cos(latitude), np.cos(4 * longitude - np.float32(0.3 * day)) * np.float32(spread), out=out[row])
        out[row] += np.float32(mean)
    return out


def generated(model: Model, days: int, block: int = 8) -> xr.Dataset:
    """Give a lazily generated record, nothing of which is ever held."""
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


def stored(model: Model, days: int, folder: Path) -> xr.Dataset:
    """Write a record with noise (seed 0), rounded so that it compresses about threefold, and open it."""
    path = folder / f"quarter-{days}-{len(model.card.variables)}.zarr"
    if not path.exists():
        noise = np.random.default_rng(0).normal(size=(1, 721, 1440)).astype("f4")
        ds = generated(model, days)
        for number, variable in enumerate(model.card.variables):
            step = np.float32(np.nanmean(model.climatology.scale[number]) / 200)
            rough = ds[variable.name].data.map_blocks(
                lambda block, step=step: np.round((block + noise * 20 * step) / step) * step, dtype="f4"
            )
            ds[variable.name] = ds[variable.name].copy(data=rough)
        ds.to_zarr(path)
    return xr.open_zarr(path)


def size_on_disk(model: Model, days: int, folder: Path) -> int:
    """Give the bytes of the files of a stored record."""
    path = folder / f"quarter-{days}-{len(model.card.variables)}.zarr"
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
