"""Networks trained alike on the records of the packaged models, for the tables of skill and of ablation."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from xfaconv.training.peru import PERU
from xfaconv.training.preparation import prepare
from xfaconv.training.sampling import WindowSource
from xfaconv.training.skill import Verification, verify_network

from xfaconv.grid import Grid
from xfaconv.nn import Geometry, Network, build_network
from xfaconv.specs import NetworkSpec
from xfaconv.training.evaluation import hidden_skill
from xfaconv.training.loop import Schedule, start_from_damped_persistence, train
from xfaconv.training.objective import Objective, network_input
from xfaconv.training.recipes import DAILY, MONTHLY, REGIONAL, Recipe


@dataclass(frozen=True)
class Case:
    """A record, and how networks are trained and verified on it.

    Parameters
    ----------
    recipe : Recipe
        The packaged model's: data, years, domain.
    every : int
        Every so-manyth point of the grid in both directions.
    words : str
        The record and its grid.
    seeds : tuple of int
        Seeds of the runs.
    windows : tuple of str
        "plain" and "blended".
    learning_rate : float
        Highest learning rate.
    bottleneck, scales : int, tuple
        Of FAConvLSTM: more variables need more of both.
    segment, warmup : int
        Steps kept and spun up in each window of the verification.
    block : int
        Steps in a block of the bootstrap.
    """

    recipe: Recipe
    every: int
    words: str
    seeds: tuple[int, ...] = (0,)
    windows: tuple[str, ...] = ("plain",)
    learning_rate: float = 6e-3
    bottleneck: int = 16
    scales: tuple[tuple[int, int], ...] = ((3, 1), (3, 2))
    segment: int = 20
    warmup: int = 10
    block: int = 30

    @property
    def spec(self) -> NetworkSpec:
        """Sizes of the networks."""
        network = self.recipe.network
        return replace(
            SPEC,
            variables=len(self.recipe.variables),
            bottleneck=self.bottleneck,
            scales=self.scales,
            domain=network.domain,
            periodic=network.periodic,
        )

    @property
    def schedule(self) -> Schedule:
        """Length and pace of the training."""
        return replace(SCHEDULE, learning_rate=self.learning_rate)

    @property
    def setting(self) -> str:
        """Say how the networks were trained and tested."""
        recipe, unit = self.recipe, "months" if self.recipe.step == "1M" else "days"
        return (
            f"{self.words}; trained on {recipe.train[0]} to {recipe.train[1]}, tested on {recipe.test[0]} to "
            f"{recipe.test[1]}. Each network has {SPEC.hidden} hidden channels and the same head and read-out, starts "
            f"at damped persistence, and is trained for {SCHEDULE.updates} updates of {SCHEDULE.batch} windows of "
            f"{SCHEDULE.window} {unit}, learning rate {self.learning_rate:g}, to forecast the next of them, and to "
            "rebuild it and the present one from its embedding. FAConvLSTM has attention at every third step, a "
            f"bottleneck of {self.bottleneck} channels and {len(self.scales)} scales."
        )


# Chosen on 2004-2009 held back from training, with seed 10, which is in no table.
OBJECTIVE = Objective(
    sector_share=0.0,
    box_share=0.0,
    variable_dropout=0.0,
    warm_steps=2,
    lead_weight=1.0,
    reconstruction_weight=0.25,
)
# The same and, in half of the windows, a sector of the world hidden, to be inferred from the rest.
HIDING = replace(OBJECTIVE, sector_share=0.5)
SPEC = NetworkSpec(
    variables=len(MONTHLY.variables),
    hidden=48,
    bottleneck=16,
    scales=((3, 1), (3, 2)),
    attention_every=3,
    attention_width=16,
    attention_heads=2,
    embedding=16,
    look_back=6,
    leads=(0, 1),
)
SCHEDULE = Schedule(updates=400, batch=4, window=6, learning_rate=1e-2, weight_decay=1e-2, averaging=0.98)
MONTHS = Case(
    MONTHLY,
    every=4,
    words="NCEP/NCAR reanalysis 1 and OISST v2, monthly means, every 4th point of the 2.5 degree grid (10 degrees)",
    seeds=(0, 1, 2),
    windows=("plain", "blended"),
    learning_rate=1e-2,
    segment=12,
    warmup=8,
    block=12,
)
CASES = (
    MONTHS,
    Case(PERU, every=3, words="ERA5, monthly means, every 3rd point (0.75 degrees)", segment=12, warmup=8, block=12),
    Case(REGIONAL, every=1, words="ERA-Interim, daily fields at 12 UTC, 1.5 degrees"),
    Case(
        DAILY,
        every=2,
        words="The SIMULATION, daily means, every 2nd point (11.25 degrees)",
        learning_rate=1.5e-2,
        bottleneck=56,
        scales=((3, 1), (3, 2), (5, 1)),
    ),
)


@dataclass(frozen=True, eq=False)
class World:
    """A record, standardised and thinned.

    Parameters
    ----------
    case : Case
        What it is.
    source : WindowSource
        Standardised anomalies of all steps; windows come from the training years.
    grid : Grid
        The thinned grid.
    scale : ndarray (variable, lat, lon)
        Standard deviation of the anomalies in physical units.
    names : list of str
        Variables.
    train, test : slice
        Positions of the training and of the test steps.
    """

    case: Case
    source: WindowSource
    grid: Grid
    scale: NDArray[np.float32]
    names: list[str]
    train: slice
    test: slice


def open_world(data: Path, case: Case = MONTHS) -> World:
    """Read and standardise a record."""
    recipe, every = case.recipe, case.every
    prepared = prepare(recipe, data)
    return World(
        case,
        prepared.source(recipe.train, every),
        prepared.thinned_grid(every),
        prepared.climatology.scale[:, ::every, ::every],
        [variable.name for variable in recipe.variables],
        prepared.stretch(recipe.train),
        prepared.stretch(recipe.test),
    )


def train_alike(
    world: World,
    spec: NetworkSpec,
    seed: int,
    *,
    objective: Objective = OBJECTIVE,
    blend: bool = False,
    prune: Callable[[Network], None] | None = None,
) -> tuple[Network, float]:
    """Train one network and give it with the CPU seconds it took.

    Parameters
    ----------
    world : World
        The record.
    spec : NetworkSpec
        The network.
    seed : int
        Seed of weights, windows and dropout.
    objective : Objective
        What training asks for.
    blend : bool
        Whether each window is blended with another one of the same time of year.
    prune : callable, optional
        Takes parts of the new network out.

    Returns
    -------
    network : Network
    seconds : float
    """
    torch.manual_seed(seed)
    network = build_network(spec)
    if prune is not None:
        prune(network)
    # What was taken out must not learn its way back.
    everything = dict(network.named_parameters())
    learning = [name for name, values in everything.items() if values.requires_grad]
    learning = learning if len(learning) < len(everything) else []
    start_from_damped_persistence(network, world.source, world.grid, seed)
    schedule = replace(world.case.schedule, seed=seed, blend=blend)
    began = time.process_time()
    train(network, world.source, world.grid, schedule, objective, learning=learning)
    return network, time.process_time() - began


def verify_alike(world: World, network: Network) -> tuple[Verification, NDArray[np.int64]]:
    """Verify the forecasts of the next step on the test years."""
    return verify_network(
        network,
        world.source,
        world.grid,
        world.scale,
        test=world.test,
        segment=world.case.segment,
        warmup=world.case.warmup,
    )


def hidden_alike(world: World, network: Network) -> float:
    """Share of the variance of hidden sectors that is inferred from the rest of the world, test years."""
    shares = hidden_skill(network, world.source, world.grid, world.names, test=world.test, window=10, warm_steps=4)
    return shares["all"]


def embedding_alike(world: World, network: Network) -> NDArray[np.float32]:
    """Embeddings (time, number) of all steps, from one pass through the record."""
    batch = world.source.read([0], len(world.source.year_phase))
    geometry = Geometry.from_grid(world.grid, network.spec.domain, network.spec.periodic)
    with torch.inference_mode():
        values, seen = network_input(batch.fields, torch.zeros(1, dtype=torch.bool))
        encoded = network.encode(values, seen, batch.year_phase, batch.day_phase, geometry)
    return encoded.embedding[0].numpy()


def parameters(network: Network) -> int:
    """Trainable numbers of the core and its attention; head and read-out are the same for all."""
    parts = [network.core, *([network.attention_module] if network.attention_module is not None else [])]
    return sum(p.numel() for part in parts for p in part.parameters() if p.requires_grad)


def kept(file: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Give the contents of a JSON file, made and written first where it is not there."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(make()), encoding="utf-8")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def arguments(description: str | None, *, write: str = "") -> argparse.Namespace:
    """Read the arguments that the scripts share, `--write` where a script has one, and take one thread."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of the reanalysis files")
    parser.add_argument("--work", type=Path, default=Path("training-runs/alike"), help="folder of finished runs")
    if write:
        parser.add_argument("--write", action="store_true", help=write)
    torch.set_num_threads(1)
    return parser.parse_args()
