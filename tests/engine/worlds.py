"""Small worlds for the engine's tests: a tiny model, Datasets that it reads, and a slow oracle that knows no dask."""

from __future__ import annotations

from functools import cache

import cftime
import numpy as np
import pandas as pd
import torch
import xarray as xr

from xfaconv.climatology import Climatology
from xfaconv.grid import Grid
from xfaconv.models import Model
from xfaconv.nn import Geometry, build_network
from xfaconv.specs import ModelCard, NetworkSpec, VariableSpec

GRID = Grid.regular(22.5)
VARIABLES = (
    VariableSpec("t2m", "K", "2 metre temperature"),
    VariableSpec("msl", "Pa", "mean sea level pressure"),
    VariableSpec("sst", "K", "sea surface temperature", partly_missing=True),
)
LAND = np.zeros(GRID.shape, dtype=bool)
LAND[2:5, 3:7] = True
MEANS = np.array([280.0, 101000.0, 290.0])
SPREADS = np.array([5.0, 500.0, 2.0])


@cache
def climatology() -> Climatology:
    random = np.random.default_rng(5)
    coefficients = random.normal(size=(3, 5, *GRID.shape)) * SPREADS[:, None, None, None]
    coefficients[:, 0] += MEANS[:, None, None]
    scale = np.broadcast_to(SPREADS[:, None, None], (3, *GRID.shape)).copy()
    coefficients[2][:, LAND] = np.nan
    scale[2][LAND] = np.nan
    return Climatology(coefficients.astype("f4"), scale.astype("f4"))


def spec(**changes: object) -> NetworkSpec:
    choices: dict[str, object] = {
        "variables": 3,
        "hidden": 8,
        "bottleneck": 4,
        "scales": ((3, 1),),
        "attention_width": 8,
        "attention_heads": 2,
        "embedding": 6,
        "look_back": 4,
        "leads": (0, 1),
    }
    return NetworkSpec(**(choices | changes))


@cache
def model(step: str = "1D", segment: int = 8, warmup: int = 5, seed: int = 0, **changes: object) -> Model:
    card = ModelCard(
        name=f"tiny-{step}-{seed}",
        title="tiny",
        description="random weights",
        source="user",
        data="none",
        years={},
        variables=VARIABLES,
        grid=GRID,
        step=step,
        segment=segment,
        warmup=warmup,
        network=spec(**changes),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network(card.network, step)
    return Model.from_network(card, network, climatology())


def dates(steps: int, step: str = "1D", start: str = "2001-02-20", calendar: str = "standard") -> np.ndarray:
    frequency = {"1D": "D", "6h": "6h", "1h": "h", "1M": "MS"}[step]
    return xr.date_range(start, periods=steps, freq=frequency, calendar=calendar).to_numpy()


def world(
    steps: int = 40,
    step: str = "1D",
    *,
    members: int = 0,
    seed: int = 1,
    start: str = "2001-02-20",
    calendar: str = "standard",
) -> xr.Dataset:
    """Numpy-backed fields on the model's grid, with land missing in sst."""
    random = np.random.default_rng(seed)
    shape = (members, steps, *GRID.shape) if members else (steps, *GRID.shape)
    dims = ("number", "time", "latitude", "longitude") if members else ("time", "latitude", "longitude")
    coords = {
        "time": dates(steps, step, start, calendar),
        "latitude": ("latitude", list(GRID.latitude), {"units": "degrees_north"}),
        "longitude": ("longitude", list(GRID.longitude), {"units": "degrees_east"}),
    }
    if members:
        coords["number"] = np.arange(members)
    data = {}
    for variable, mean, spread in zip(VARIABLES, MEANS, SPREADS, strict=True):
        values = (random.normal(size=shape) * spread * 1.5 + mean).astype("f4")
        if variable.partly_missing:
            values[..., LAND] = np.nan
        data[variable.name] = (dims, values, {"units": variable.units, "long_name": variable.long_name})
    return xr.Dataset(data, coords, {"history": "made for a test"})


def step_numbers(stamps: np.ndarray, step: str) -> np.ndarray:
    """Absolute step numbers, one stamp at a time."""
    numbers = []
    for stamp in stamps:
        if isinstance(stamp, cftime.datetime):
            year, month = stamp.year, stamp.month
            seconds = (stamp - type(stamp)(1970, 1, 1)).total_seconds()
        else:
            moment = pd.Timestamp(stamp)
            year, month = moment.year, moment.month
            seconds = (moment - pd.Timestamp(1970, 1, 1)).total_seconds()
        length = {"1D": 86400, "6h": 21600, "1h": 3600}.get(step)
        numbers.append(year * 12 + month - 1 if step == "1M" else int(seconds // length))
    return np.array(numbers)


def phases(stamps: np.ndarray, step: str) -> tuple[np.ndarray, np.ndarray]:
    """Phases of year and day, one stamp at a time."""
    year, day = [], []
    for stamp in stamps:
        moment = stamp if isinstance(stamp, cftime.datetime) else pd.Timestamp(stamp)
        if isinstance(moment, cftime.datetime):
            first, following = type(moment)(moment.year, 1, 1), type(moment)(moment.year + 1, 1, 1)
            length = (following - first).days
            ordinal = (moment - first).days
        else:
            length = 366 if moment.is_leap_year else 365
            ordinal = moment.day_of_year - 1
        fraction = (moment.hour + moment.minute / 60) / 24
        year.append((moment.month - 0.5) / 12 if step == "1M" else (ordinal + fraction) / length)
        day.append(0.0 if step == "1M" else fraction)
    return np.array(year), np.array(day)


def anomalies(ds: xr.Dataset, year_phase: np.ndarray, used: Climatology) -> np.ndarray:
    """Standardised anomalies (time, variable, latitude, longitude) by a plain formula, NaN where missing."""
    out = []
    for number, variable in enumerate(VARIABLES):
        coefficients = used.coefficients[number].astype("f8")
        mean = coefficients[0][None].repeat(len(year_phase), axis=0)
        for harmonic in (1, 2):
            angle = 2 * np.pi * harmonic * year_phase[:, None, None]
            mean = mean + np.cos(angle) * coefficients[2 * harmonic - 1] + np.sin(angle) * coefficients[2 * harmonic]
        out.append((ds[variable.name].to_numpy().astype("f8") - mean) / used.scale[number])
    return np.stack(out, axis=1).astype("f4")


def oracle(
    ds: xr.Dataset, used: Model, *, base_point: tuple[int, int] = (4, 9), mode: str = "windowed"
) -> dict[str, np.ndarray]:
    """Run the network segment by segment with plain loops over one member on the model's grid, in order of time."""
    card = used.card
    stamps = ds.time.to_numpy()
    numbers = step_numbers(stamps, card.step)
    year_phase, day_phase = phases(stamps, card.step)
    fields = anomalies(ds, year_phase, used.climatology)
    network, geometry = used.network(), Geometry.from_grid(card.grid)
    out: dict[str, list[np.ndarray]] = {"embedding": [], "importance": [], "attention": [], "hidden": [], "full": []}
    begin, state = 0, None
    for step in range(len(stamps)):
        if step and numbers[step] != numbers[step - 1] + 1:
            begin, state = step, None
        first_of_segment = numbers[step] - numbers[step] % card.segment
        last_of_piece = (
            step + 1 == len(stamps) or numbers[step + 1] != numbers[step] + 1 or (numbers[step + 1]) % card.segment == 0
        )
        if not last_of_piece:
            continue
        kept = [k for k in range(begin, step + 1) if numbers[k] >= first_of_segment]
        if mode == "windowed":
            read = [k for k in range(begin, step + 1) if numbers[k] >= first_of_segment - card.warmup]
            full = [numbers[begin] <= first_of_segment - card.warmup] * len(kept)
            state = None
        else:
            read = kept
            full = [numbers[k] - numbers[begin] >= card.warmup for k in kept]
        x = fields[read]
        with torch.inference_mode():
            kept_phases = [torch.tensor(phase[kept], dtype=torch.float32)[None] for phase in (year_phase, day_phase)]
            encoded = network.encode(
                torch.tensor(np.nan_to_num(x, nan=0.0))[None],
                torch.tensor(np.isfinite(x).mean(axis=1).astype("f4"))[None],
                torch.tensor(year_phase[read], dtype=torch.float32)[None],
                torch.tensor(day_phase[read], dtype=torch.float32)[None],
                geometry,
                state=state,
                first_index=int(numbers[read[0]]),
                keep_from=len(read) - len(kept),
                keep_refined=True,
            )
            state = encoded.state
            out["embedding"].append(encoded.embedding[0].numpy())
            out["hidden"].append(encoded.refined[0].movedim(-1, 1).numpy())
            if encoded.gates.shape[-1]:
                out["importance"].append(network.importance(encoded.gates, encoded.energy)[0].numpy())
            if network.attention_module is not None:
                maps = network.attention(encoded.hidden, geometry, [base_point], kept_phases)
                out["attention"].append(maps[0, :, 0].mean(dim=1).numpy())
        out["full"].append(np.array(full))
    return {name: np.concatenate(parts) for name, parts in out.items() if parts}
