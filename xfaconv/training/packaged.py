"""Make a packaged model from the shared data: ``python -m xfaconv.training.packaged NAME --data ../shared/data``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from xfaconv.nn import Network, build_network
from xfaconv.training.loop import train
from xfaconv.training.preparation import Prepared, prepare
from xfaconv.training.recipes import RECIPES, Recipe


def train_recipe(recipe: Recipe, prepared: Prepared, work: Path) -> Network:
    """Run all stages of a recipe, going on from the checkpoints in a folder.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    prepared : Prepared
        Its data.
    work : Path
        Folder of checkpoints and logs.

    Returns
    -------
    Network
        With the averaged weights of the last stage.
    """
    torch.manual_seed(recipe.stages[0].schedule.seed)
    network = build_network(recipe.network)
    for number, stage in enumerate(recipe.stages, start=1):
        train(
            network,
            prepared.source(recipe.train, stage.every),
            prepared.thinned_grid(stage.every),
            stage.schedule,
            recipe.objective,
            checkpoint=work / f"{recipe.name}-{number}.checkpoint",
            log=work / f"{recipe.name}-{number}.jsonl",
        )
    return network


def main() -> None:
    """Train, evaluate and write one packaged model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--work", type=Path, default=Path("training-runs"), help="folder of checkpoints and logs")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = RECIPES[arguments.name]
    prepared = prepare(recipe, arguments.data)
    train_recipe(recipe, prepared, arguments.work)


if __name__ == "__main__":
    main()
