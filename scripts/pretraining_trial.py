"""Whether the simulation helps the monthly model: `python scripts/pretraining_trial.py --data FOLDER`.

The first stage of the monthly recipe, shortened, learns from the reanalysis before 2004 alone, or first from monthly
means of the simulation. Every sixth point of the grid; measured on 2004-2009, the test years are not looked at. The
table goes into docs/reference/training.md.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from xfaconv.nn import Network, build_network
from xfaconv.training.evaluation import forecast_skill, hidden_skill
from xfaconv.training.loop import start_from_damped_persistence, train
from xfaconv.training.preparation import Prepared, prepare
from xfaconv.training.recipes import MONTHLY

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "training.md"
BEGIN, END = "<!-- pretraining: begin -->", "<!-- pretraining: end -->"
BEFORE, HELD_BACK = ("1981-12", "2003-12"), ("2004-01", "2009-12")
SIMULATED = ("2000-01", "2009-12")
# What stands for what: the simulation has no sst, whose anomalies the air just above open water follows, and nothing
# for z200, which stays missing.
STANDS_FOR = {"sst": "t2m", "z500": "z500", "v200": "v250", "t995": "t2m"}
NAMES = [variable.name for variable in MONTHLY.variables]
STAGE = MONTHLY.stages[0]
UPDATES = 1200


def simulated_months(data: Path, work: Path) -> Path:
    """Write monthly means of the simulation under the names and on the grid of the monthly recipe."""
    file = work / "simulated-months.nc"
    if file.exists():
        return file
    with xr.open_dataset(data / MONTHLY.files) as real:
        sea = real["sst"].notnull().any("time").load()
    latitude, longitude = (name for name in sea.dims)
    months = []
    for path in sorted(data.glob("amip/amip-daily-5p6deg-*.nc")):
        with xr.open_dataset(path) as year:
            months.append(year[sorted(set(STANDS_FOR.values()))].resample(time="MS").mean().load())
    means = xr.concat(months, "time")
    around = means.isel(longitude=[0]).assign_coords(longitude=means["longitude"][[0]] + 360)
    placed = xr.concat([means, around], "longitude").interp(
        latitude=sea[latitude].values.clip(float(means["latitude"].min()), float(means["latitude"].max())),
        longitude=sea[longitude].values % 360,
    )
    placed = placed.rename(latitude=latitude, longitude=longitude)
    placed = placed.assign_coords({latitude: sea[latitude], longitude: sea[longitude]})
    out = xr.Dataset({name: placed[other] for name, other in STANDS_FOR.items()})
    out["sst"] = out["sst"].where(sea)
    out["z200"] = xr.full_like(out["z500"], np.nan)
    work.mkdir(parents=True, exist_ok=True)
    out.astype("float32").to_netcdf(file)
    return file


def learn(network: Network, prepared: Prepared, span: tuple[str, str], updates: int, seed: int, file: Path) -> None:
    """Train a network in place, or take the weights of an earlier run from a checkpoint."""
    train(
        network,
        prepared.source(span, STAGE.every),
        prepared.thinned_grid(STAGE.every),
        replace(STAGE.schedule, updates=updates, seed=seed),
        STAGE.objective or MONTHLY.objective,
        checkpoint=file,
    )


def fresh(prepared: Prepared, seed: int) -> Network:
    """Give a new network that starts at the damped persistence of the reanalysis."""
    torch.manual_seed(seed)
    network = build_network(MONTHLY.network)
    source, grid = prepared.source(BEFORE, STAGE.every), prepared.thinned_grid(STAGE.every)
    start_from_damped_persistence(network, source, grid, seed)
    return network


def line(what: str, network: Network, prepared: Prepared) -> str:
    """Measure a network on the years held back: a line of the table."""
    every = STAGE.every
    source, grid = prepared.source(BEFORE, every), prepared.thinned_grid(every)
    test, (window, warm_steps) = prepared.stretch(HELD_BACK), MONTHLY.hidden_window
    hidden = hidden_skill(network, source, grid, NAMES, test=test, window=window, warm_steps=warm_steps, repeats=4)
    forecast = forecast_skill(
        network,
        source,
        grid,
        prepared.climatology.scale[:, ::every, ::every],
        NAMES,
        train=prepared.stretch(BEFORE),
        test=test,
        segment=MONTHLY.segment,
        warmup=MONTHLY.warmup,
    )["lead 1"]
    ratios = [forecast[name]["standardised_rmse_to_damped_persistence"] for name in NAMES]
    cells = [f"{hidden[name]:.3f}" for name in (*NAMES, "all")] + [f"{np.mean(ratios):.3f}"]
    return f"| {what} | " + " | ".join(cells) + " |"


def main() -> None:
    """Train what is not trained yet, and rewrite the table in the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--work", type=Path, default=Path("training-runs/pretraining"), help="folder of checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    work, seed = arguments.work, arguments.seed
    real = prepare(replace(MONTHLY, train=BEFORE, test=HELD_BACK), arguments.data)
    file = simulated_months(arguments.data, work)
    simulated = prepare(replace(MONTHLY, files=file.name, train=SIMULATED, test=SIMULATED), file.parent)
    lines = [
        "| | " + " | ".join([*NAMES, "all", "next month"]) + " |",
        "|---" * (len(NAMES) + 3) + "|",
    ]

    def note(what: str, network: Network) -> None:
        lines.append(line(what, network, real))
        print(lines[-1], f"{time.process_time():.0f} s", flush=True)

    for updates in (UPDATES, 2 * UPDATES):
        network = fresh(real, seed)
        learn(network, real, BEFORE, updates, seed, work / f"reanalysis-{updates}-{seed}.checkpoint")
        note(f"reanalysis, {updates} updates", network)
    network = fresh(real, seed)
    learn(network, simulated, SIMULATED, UPDATES, seed, work / f"simulation-{seed}.checkpoint")
    note(f"simulation, {UPDATES} updates", network)
    learn(network, real, BEFORE, UPDATES, seed, work / f"then-reanalysis-{seed}.checkpoint")
    note(f"simulation, {UPDATES} updates, then reanalysis, {UPDATES}", network)
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
