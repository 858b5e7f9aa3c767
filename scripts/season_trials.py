"""Short trials of attention and gates that know the season: ``python scripts/season_trials.py --data ../shared/data``.

The first stage of the monthly recipe, with fewer updates and boxes hidden as often as sectors, learns from the years
before 2004 and is measured on 2004 to 2009, one seed each. Prints a table; nothing is chosen by the test years.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xfaconv.grid import Grid
from xfaconv.nn import Geometry, Network, build_network
from xfaconv.specs import NetworkSpec
from xfaconv.training.data import TrainingData
from xfaconv.training.evaluation import hidden_skill, predict_windows, without_attention
from xfaconv.training.objective import hidden_box, network_input
from xfaconv.training.packaged import train_recipe, usual_base_points
from xfaconv.training.recipes import RECIPES, Recipe, recipe_data

UPDATES, WARMUP, WINDOW, HIDDEN_WARMUP = 600, 12, 10, 4
MONTHLY = replace(RECIPES["ncep-monthly-2p5deg"], train=("1981-12", "2003-12"), test=("2004-01", "2009-12"))
SEASON = {"attention_season": True}
HEARING = {**SEASON, "squeeze": "moments"}
# The network that was packaged before these parts.
BEFORE = {"attention_season": False, "squeeze": "mean", "attention_heads": 8, "attention_width": 64, "eofs": 0}
TRIALS = {
    "former network": {},
    "attention that follows the season": SEASON,
    "and gates that know moments": HEARING,
    "and 4 heads, width 64": {**HEARING, "attention_heads": 4},
    "and 4 heads, width 32": {**HEARING, "attention_heads": 4, "attention_width": 32},
}


def trial(title: str, changes: dict[str, object]) -> Recipe:
    """Give the recipe of one trial, on every sixth grid point."""
    stage = MONTHLY.stages[0]
    objective = replace(stage.objective or MONTHLY.objective, sector_share=0.45, box_share=0.45)
    stage = replace(stage, stride=1, objective=objective, schedule=replace(stage.schedule, updates=UPDATES))
    network = replace(MONTHLY.network, **(BEFORE | changes))
    return replace(MONTHLY, name=title.replace(" ", "-"), network=network, stages=(stage,), compared_stages=1)


def boxes_explained(network: Network, data: TrainingData) -> float:
    """Share of the variance of hidden boxes that is explained, the mean over the variables."""
    random = np.random.default_rng(0)
    starts = list(range(data.test.start, data.test.stop - WINDOW + 1, 3)) * 3
    hide = np.stack([hidden_box(data.grid, random) for _ in starts])
    errors, squares = [], []
    predictions = predict_windows(network, data, starts, WINDOW, HIDDEN_WARMUP, hide)
    for (start, predicted), hidden in zip(predictions, hide, strict=True):
        truth = data.steps(slice(start + HIDDEN_WARMUP, start + WINDOW))
        weight, truth = data.grid.area * hidden * np.isfinite(truth), np.nan_to_num(truth)
        errors.append((weight * (predicted[:, 0] - truth) ** 2).sum((0, 2, 3)))
        squares.append((weight * truth**2).sum((0, 2, 3)))
    return float((1 - np.sum(errors, axis=0) / np.sum(squares, axis=0)).mean())


def of_season(values: NDArray[np.float64], month: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the month in place of each month's values."""
    return np.stack([values[month == number].mean(0) for number in month])


def variation(network: Network, data: TrainingData) -> dict[str, float]:
    """How much attention maps and gates vary in time, and with the season, where nothing is hidden."""
    batch = data.windows().read([data.test.start - WARMUP], data.test.stop - data.test.start + WARMUP)
    geometry = Geometry.from_grid(data.grid)
    phases = batch.year_phase[:, WARMUP:], batch.day_phase[:, WARMUP:]
    with torch.inference_mode():
        fields, seen = network.fill(*network_input(batch.fields, torch.zeros(1, dtype=torch.bool)), geometry)
        encoded = network.encode(fields, seen, batch.year_phase, batch.day_phase, geometry, keep_from=WARMUP)
        maps = network.attention(encoded.hidden, geometry, usual_base_points(data.grid), phases, heads=False)[0]
    month = np.floor(phases[0][0].numpy() * 12).astype(int)
    area = geometry.normalised_area.numpy()
    density, gates = maps.numpy() / area, encoded.gates[0].numpy().astype(float)
    in_time, in_season = (
        (part.var(0) * area).sum((-1, -2)) for part in (density, of_season(density.astype(float), month))
    )
    whole = in_time + ((density.mean(0) - 1) ** 2 * area).sum((-1, -2))
    return {
        "maps": float((in_time / whole).mean()),
        "maps, season": float((in_season / whole).mean()),
        "gates": float((gates.std(0) / gates.mean(0)).mean()),
        "gates, season": float((of_season(gates, month).std(0) / gates.mean(0)).mean()),
    }


def milliseconds(spec: NetworkSpec) -> float:
    """CPU time of one month at 2.5 degrees, one thread: the least of four passes over six months."""
    grid, network = Grid.regular(2.5, pole_points=True), build_network(spec, "1M").eval()
    geometry, phase = Geometry.from_grid(grid), torch.arange(6)[None] / 12
    fields, seen, times = torch.randn(1, 6, spec.variables, *grid.shape), torch.ones(1, 6, *grid.shape), []
    with torch.inference_mode():
        for _ in range(4):
            began = time.process_time()
            network.encode(fields, seen, phase, phase * 0, geometry)
            times.append(time.process_time() - began)
    return 1000 * min(times) / 6


def main() -> None:
    """Train what has no checkpoint in the work folder yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the reanalysis files")
    parser.add_argument("--work", type=Path, default=Path("training-runs/season"), help="folder of checkpoints")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = recipe_data(MONTHLY, given.data).strided(MONTHLY.stages[0].stride)
    print("| | sectors | attention removed | boxes | maps (season) | gates (season) | ms |\n" + "|---" * 7 + "|")
    for title, changes in TRIALS.items():
        recipe = trial(title, changes)
        network = train_recipe(recipe, data, given.work)
        sectors, bare = (
            hidden_skill(each, data, window=WINDOW, warm_steps=HIDDEN_WARMUP, repeats=4)["all"]
            for each in (network, without_attention(network))
        )
        found = variation(network, data)
        cells = [f"{value:.3f}" for value in (sectors, bare, boxes_explained(network, data))]
        cells += [f"{found[name]:.2f} ({found[f'{name}, season']:.2f})" for name in ("maps", "gates")]
        print(f"| {title} | {' | '.join(cells)} | {milliseconds(recipe.network):.0f} |", flush=True)


if __name__ == "__main__":
    main()
