"""A tiny model, and a server that can misbehave."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.local_server import LocalServer, local_server
from xfaconv.climatology import Climatology
from xfaconv.grid import Grid
from xfaconv.models import Model
from xfaconv.nn import build_network
from xfaconv.specs import ModelCard, NetworkSpec, VariableSpec

GRID = Grid.regular(30.0)
SPEC = NetworkSpec(
    variables=2, hidden=8, bottleneck=4, scales=((3, 1),), attention_width=8, attention_heads=2, embedding=8,
    look_back=2, leads=(0, 1),
)  # fmt: skip


def tiny_card(**changes: object) -> ModelCard:
    card = ModelCard(
        name="tiny-monthly-30deg",
        title="A tiny model",
        description="Random numbers.",
        source="user",
        data="none",
        years={"training": "2000-2001"},
        variables=(
            VariableSpec("sst", "K", "sea surface temperature", partly_missing=True),
            VariableSpec("z500", "m2 s-2", "geopotential", level=500.0),
        ),
        grid=GRID,
        step="1M",
        segment=12,
        warmup=6,
        network=SPEC,
        metrics={"skill": {"sst": [0.25, 0.5]}, "command": "none"},
        known_failures=("everything",),
    )
    return card.updated(**changes)


def tiny_climatology(seed: int = 0) -> Climatology:
    random = np.random.default_rng(seed)
    coefficients = random.normal(280, 10, (2, 5, *GRID.shape)).astype(np.float32)
    scale = np.exp(random.normal(size=(2, *GRID.shape))).astype(np.float32)
    coefficients[0, :, 2], scale[0, 2] = np.nan, np.nan
    return Climatology(coefficients, scale)


def make_tiny_model(seed: int = 0, **changes: object) -> Model:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(SPEC)
    return Model.from_network(tiny_card(**changes), network, tiny_climatology(seed))


@pytest.fixture(scope="session")
def tiny_model() -> Model:
    return make_tiny_model()


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with local_server() as running:
        yield running
