"""Fields in which a part can be inferred from the rest, and a tiny model that knows which steps it was trained on."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from tests.engine import worlds
from tests.engine.worlds import GRID, LAND, SPREADS, VARIABLES
from xfaconv.models import Model
from xfaconv.nn import Geometry

STEPS, TRAINED = 100, 60
BOX = (-40, 40, 100, 200)


@cache
def model(start: str = "2001-02-20", step: str = "1D") -> Model:
    """Random weights; the first 60 steps of `waves` are those of its training."""
    stamps = worlds.dates(STEPS, step, start)
    used = worlds.model(step)
    years = {"train": f"{str(stamps[0])[:10]} to {str(stamps[TRAINED - 1])[:10]}"}
    return Model.from_network(replace(used.card, years=years), used.network(), used.climatology)


def waves(
    steps: int = STEPS, *, strength: float = 1.0, noise: float = 0.3, seed: int = 2, **choices: object
) -> xr.Dataset:
    """Three waves around the globe that all variables share, noise, and the seasonal mean of the tiny model."""
    random = np.random.default_rng(seed)
    ds = worlds.world(steps, **choices)
    amplitudes = random.normal(size=(STEPS * 3, 3))[:steps]
    patterns = random.normal(size=(len(VARIABLES), 3, *GRID.shape))
    rest = noise * random.normal(size=(len(VARIABLES), STEPS * 3, *GRID.shape))[:, :steps]
    phase, _ = worlds.phases(ds.time.to_numpy(), str(choices.get("step", "1D")))
    used = worlds.climatology()
    mean = -worlds.anomalies(xr.zeros_like(ds), phase, used).astype("f8") * used.scale
    for number, variable in enumerate(VARIABLES):
        values = strength * np.einsum("tm,mij->tij", amplitudes, patterns[number]) + rest[number]
        values = mean[:, number] + SPREADS[number] * values
        if variable.partly_missing:
            values[:, LAND] = np.nan
        ds[variable.name] = ds[variable.name].copy(data=values.astype("f4"))
    return ds


def mask(box: tuple[float, float, float, float] = BOX) -> NDArray[np.bool_]:
    """Cells of a box, one by one."""
    south, north, west, east = box
    return np.array([[south <= i <= north and west <= j <= east for j in GRID.longitude] for i in GRID.latitude])


def predictions(ds: xr.Dataset, hide: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Standardised predictions (time, lead, variable, latitude, longitude), segment by segment with plain loops."""
    used = model()
    card = used.card
    stamps = ds.time.to_numpy()
    numbers = worlds.step_numbers(stamps, card.step)
    year_phase, day_phase = worlds.phases(stamps, card.step)
    fields = worlds.anomalies(ds, year_phase, used.climatology)
    seen = np.isfinite(fields)
    if hide is not None:
        seen[:, :, hide] = False
    fields = np.where(seen, fields, 0).astype("f4")
    network, geometry = used.network(), Geometry.from_grid(card.grid)
    out = np.empty((len(ds.time), 2, *fields.shape[1:]), "f4")
    for first in sorted({int(number - number % card.segment) for number in numbers}):
        kept = np.flatnonzero((numbers >= first) & (numbers < first + card.segment))
        read = np.flatnonzero((numbers >= first - card.warmup) & (numbers < first + card.segment))
        with torch.inference_mode():
            values = torch.from_numpy(fields[read])[None]
            phases = (torch.from_numpy(phase[read].astype("f4"))[None] for phase in (year_phase, day_phase))
            share = torch.from_numpy(seen[read].mean(axis=1).astype("f4"))[None]
            encoded = network.encode(
                values, share, *phases, geometry, first_index=int(numbers[read[0]]), keep_refined=True
            )
            found = network.predict(encoded.refined, values, geometry)[0].numpy()
        out[kept] = found[np.isin(read, kept)]
    return out


def spread_of(name: str) -> NDArray[np.float64]:
    """Standard deviation of a variable (latitude, longitude), NaN where it is missing."""
    number = [variable.name for variable in VARIABLES].index(name)
    return (
        np.where(LAND, np.nan, SPREADS[number])
        if VARIABLES[number].partly_missing
        else np.full(GRID.shape, SPREADS[number])
    )
