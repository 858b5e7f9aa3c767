"""Networks trained alike on real monthly reanalysis at 10 degrees, for the tables of skill and of ablation."""

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

from xfaconv.grid import Grid
from xfaconv.nn import Geometry, Network, build_network
from xfaconv.specs import NetworkSpec
from xfaconv.training.loop import Schedule, start_from_damped_persistence, train
from xfaconv.training.objective import Objective, network_input
from xfaconv.training.preparation import prepare
from xfaconv.training.recipes import MONTHLY
from xfaconv.training.sampling import WindowSource
from xfaconv.training.skill import Verification, verify_network

EVERY = 4
SEGMENT, WARMUP, BLOCK = 12, 8, 12
OBJECTIVE = Objective(
    sector_share=0.0,
    box_share=0.0,
    variable_dropout=0.0,
    warm_steps=2,
    lead_weight=1.0,
    reconstruction_weight=0.25,
)
SPEC = NetworkSpec(
    variables=len(MONTHLY.variables),
    hidden=24,
    bottleneck=12,
    scales=((3, 1), (3, 2)),
    attention_width=16,
    attention_heads=2,
    embedding=16,
    pooling_heads=16,
    temporal_heads=2,
    look_back=6,
    leads=(1,),
)
SCHEDULE = Schedule(updates=200, batch=4, window=6, learning_rate=4e-3, weight_decay=1e-2, averaging=0.98)
SETTING = (
    f"NCEP/NCAR reanalysis 1 and OISST v2, monthly means, every {EVERY}th point of the 2.5 degree grid (10 degrees); "
    f"trained on {MONTHLY.train[0]} to {MONTHLY.train[1]}, tested on {MONTHLY.test[0]} to {MONTHLY.test[1]}. Each "
    f"network has {SPEC.hidden} hidden channels and the same head and read-out, starts at damped persistence, and is "
    f"trained for {SCHEDULE.updates} updates of {SCHEDULE.batch} windows of {SCHEDULE.window} months, learning rate "
    f"{SCHEDULE.learning_rate:g}, to forecast the next month and to rebuild the present one from its embedding."
)


@dataclass(frozen=True, eq=False)
class World:
    """The monthly record, standardised and thinned.

    Parameters
    ----------
    source : WindowSource
        Standardised anomalies of all months; windows come from the training years.
    grid : Grid
        The thinned grid.
    scale : ndarray (variable, lat, lon)
        Standard deviation of the anomalies in physical units.
    names : list of str
        Variables.
    train, test : slice
        Positions of the training and of the test months.
    """

    source: WindowSource
    grid: Grid
    scale: NDArray[np.float32]
    names: list[str]
    train: slice
    test: slice


def open_world(data: Path) -> World:
    """Read and standardise the record."""
    prepared = prepare(MONTHLY, data)
    return World(
        prepared.source(MONTHLY.train, EVERY),
        prepared.thinned_grid(EVERY),
        prepared.climatology.scale[:, ::EVERY, ::EVERY],
        [variable.name for variable in MONTHLY.variables],
        prepared.stretch(MONTHLY.train),
        prepared.stretch(MONTHLY.test),
    )


def train_alike(
    world: World,
    spec: NetworkSpec,
    seed: int,
    *,
    objective: Objective = OBJECTIVE,
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
    start_from_damped_persistence(network, world.source, world.grid, seed)
    began = time.process_time()
    train(network, world.source, world.grid, replace(SCHEDULE, seed=seed), objective)
    return network, time.process_time() - began


def verify_alike(world: World, network: Network) -> tuple[Verification, NDArray[np.int64]]:
    """Verify the forecasts of the next month on the test years."""
    return verify_network(
        network, world.source, world.grid, world.scale, test=world.test, segment=SEGMENT, warmup=WARMUP
    )


def embedding_alike(world: World, network: Network) -> NDArray[np.float32]:
    """Embeddings (time, number) of all months, from one pass through the record."""
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


def arguments(description: str | None) -> argparse.Namespace:
    """Read the arguments that the scripts share, and take one thread."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of the reanalysis files")
    parser.add_argument("--work", type=Path, default=Path("training-runs/alike"), help="folder of finished runs")
    torch.set_num_threads(1)
    return parser.parse_args()
