"""What optimal interpolation alone infers and forecasts, without a network.

    python scripts/interpolation_trials.py --data ../shared/data                 all recipes
    python scripts/interpolation_trials.py NAME --eofs 64 128 --leading 20 40    one recipe, other numbers of EOFs

Fitted to the first three quarters of the training years of a recipe and scored on the last quarter, so that the test
years are not looked at. For each number of EOFs: share of the variance explained in hidden boxes and sectors, beside
the ridge regression from the EOFs of what is visible that does best on these very years (10 to 80 EOFs); and root mean
square error at each lead over that of damped persistence.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xfaconv.eofs import RANKS, leading_modes, ridge_errors
from xfaconv.nn import Geometry, Network, build_network
from xfaconv.training.data import TrainingData
from xfaconv.training.evaluation import linear_part
from xfaconv.training.interpolation import fit_interpolation
from xfaconv.training.loop import start_from_damped_persistence
from xfaconv.training.objective import hidden_box, hidden_sector, network_input
from xfaconv.training.recipes import Recipe, read_recipes, recipe_data

STRIDES = {"ncep-monthly-2p5deg": 2, "era5-peru-monthly-0p25deg": 3}
EOFS = {
    "ncep-monthly-2p5deg": 128,
    "amip-daily-5p6deg": 80,
    "erai-natl-daily-1p5deg": 256,
    "era5-peru-monthly-0p25deg": 128,
}
_HELD_BACK = 0.25
_MASKS = 6
_MOST_STEPS = 400


def held_back(recipe: Recipe, folder: Path) -> TrainingData:
    """Give the training years of a recipe, the last quarter of them in place of the test years."""
    data = recipe_data(recipe, folder).strided(STRIDES.get(recipe.name, 1))
    first = data.train.stop - round(_HELD_BACK * (data.train.stop - data.train.start))
    return replace(data, train=slice(data.train.start, first), test=slice(first, data.train.stop))


def linear_network(recipe: Recipe, data: TrainingData, eofs: int, leading: int) -> Network:
    """Build the network of a recipe with its interpolation fitted and nothing else learned."""
    torch.manual_seed(0)
    spec = replace(recipe.network, eofs=eofs, leading_eofs=leading)
    network = build_network(spec, recipe.step).eval()
    start_from_damped_persistence(network, data.windows(), data.grid)
    fit_interpolation(network, data.windows(), data.grid)
    return linear_part(network, data)


def explained(
    network: Network, data: TrainingData, masks: list[NDArray[np.bool_]], steps: NDArray[np.int64]
) -> list[float]:
    """Share of the hidden variance that the interpolation explains, for each hidden area."""
    geometry = Geometry.from_grid(data.grid, network.spec.domain, network.spec.periodic)
    truth = torch.from_numpy(data.steps(steps))[None]
    found = []
    for mask in masks:
        with torch.inference_mode():
            filled, _ = network.fill(*network_input(truth, torch.from_numpy(mask)), geometry)
        weight = torch.from_numpy(data.grid.area * mask) * torch.isfinite(truth)
        present = torch.nan_to_num(truth)
        found.append(1 - float((weight * (filled - present) ** 2).sum() / (weight * present**2).sum()))
    return found


def best_ridge(data: TrainingData, masks: list[NDArray[np.bool_]], steps: NDArray[np.int64]) -> list[float]:
    """Share that ridge regression explains, its rank and penalty chosen on these very steps for each area."""
    root = np.sqrt(data.grid.area)
    past, future = (np.nan_to_num(data.steps(part)).astype(np.float64) * root for part in (data.train, steps))
    found = []
    for mask in masks:
        visible = past[:, :, ~mask].reshape(len(past), -1), future[:, :, ~mask].reshape(len(future), -1)
        modes = leading_modes(visible[0], max(RANKS))
        series = visible[0] @ modes.patterns.T, visible[1] @ modes.patterns.T
        wanted = past[:, :, mask].reshape(len(past), -1), future[:, :, mask].reshape(len(future), -1)
        errors = ridge_errors(series, wanted, float(modes.variance[0])).sum(axis=-1)
        found.append(1 - float(errors.min() / (wanted[1] ** 2).sum()))
    return found


def forecasts(network: Network, data: TrainingData, steps: NDArray[np.int64]) -> dict[int, NDArray[np.float64]]:
    """Root mean square error of each variable over that of damped persistence, for each lead above 0."""
    geometry = Geometry.from_grid(data.grid, network.spec.domain, network.spec.periodic)
    found = {}
    for position, lead in enumerate(network.spec.leads):
        if not lead:
            continue
        starts = steps[steps + lead < data.test.stop]
        truth = data.steps(starts + lead)
        weight, present = data.grid.area * np.isfinite(truth), np.nan_to_num(truth)
        with torch.inference_mode():
            now = torch.from_numpy(data.steps(starts))[None]
            values, visible = network_input(now, torch.zeros(1, dtype=torch.bool))
            filled, _ = network.fill(values, visible, geometry)
            kept = network.persistence[position][:, None, None]
            nothing = torch.zeros(*filled.shape[:2], *data.grid.shape, network.spec.hidden)
            guess = network.predict(nothing, filled, geometry)[0, :, position].numpy()
            guesses = guess, (kept * values)[0].numpy()
        errors = [(weight * (guess - present) ** 2).sum(axis=(0, 2, 3)) for guess in guesses]
        found[lead] = np.sqrt(errors[0] / errors[1])
    return found


def main() -> None:
    """Print a line for every number of EOFs of every recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(EOFS))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--eofs", type=int, nargs="*")
    parser.add_argument("--leading", type=int, nargs="*", default=[40])
    given = parser.parse_args()
    for name in given.names:
        recipe = read_recipes()[name]
        data = held_back(recipe, given.data)
        random = np.random.default_rng(0)
        masks = [
            hidden_box(data.grid, random) if number % 2 else hidden_sector(data.grid, random, (120.0, 200.0))
            for number in range(_MASKS)
        ]
        steps = np.arange(data.test.start, data.test.stop)
        steps = steps[:: -(-len(steps) // _MOST_STEPS)]
        print(name, "best ridge", " ".join(f"{value:.3f}" for value in best_ridge(data, masks, steps)), flush=True)
        for eofs in given.eofs or [EOFS[name]]:
            for leading in given.leading:
                network = linear_network(recipe, data, eofs, leading)
                share = " ".join(f"{value:.3f}" for value in explained(network, data, masks, steps))
                ahead = forecasts(network, data, steps)
                words = "; ".join(f"lead {lead} {np.round(ratio, 3).tolist()}" for lead, ratio in ahead.items())
                print(name, f"{eofs} EOFs, {leading} leading:", share, "|", words, flush=True)


if __name__ == "__main__":
    main()
