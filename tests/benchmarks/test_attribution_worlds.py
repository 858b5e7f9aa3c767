"""Attributions of a small network in a linear world find the known contributions, and occlusion of boxes agrees.

The full trial (`benchmarks/attribution.py planted`) trains the network of the paper. This one is fully connected and
learns in seconds from fewer days, so the thresholds of the contributions are wider. They, and those of the boxes, were
set before the seed below was run.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import xfaconv
from benchmarks import attribution as script
from xfaconv.climatology import Climatology
from xfaconv.grid import Grid
from xfaconv.models import Model
from xfaconv.nn import Geometry, build_network, register_core
from xfaconv.specs import ModelCard, NetworkSpec, VariableSpec
from xfaconv.tutorial import planted, target_points

SEED, DAYS, TESTED, UPDATES = 4, 12_000, 60, 1800
LEAST_CORRELATION, SLOPES, MOST_UNLINKED = 0.9, (0.7, 1.3), 0.15
GRID = Grid.regular(15.0)
NAMES = ("driver_a", "driver_b", "response", "noise")


@register_core("all-to-all")
class AllToAll(nn.Module):
    """All variables of all cells to a state in every cell; it remembers nothing."""

    def __init__(self, channels: int, spec: NetworkSpec) -> None:
        super().__init__()
        self.hidden, cells = spec.hidden, GRID.shape[0] * GRID.shape[1]
        self.layers = nn.Sequential(
            nn.Linear(cells * spec.variables, 48), nn.GELU(), nn.Linear(48, cells * spec.hidden)
        )

    def prepare(self, fields: Tensor, geometry: Geometry) -> Tensor:
        return self.layers(fields[..., : len(NAMES)].flatten(2)).unflatten(2, (*GRID.shape, self.hidden))

    def step(
        self, prepared: Tensor, hidden: Tensor, cell: Tensor, geometry: Geometry
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        return prepared, cell, None

    def size_of_input_weights(self, variables: int) -> Tensor:
        return torch.ones(variables)


def trained(data: xr.Dataset) -> Model:
    """Learn the response of the next day."""
    spec = NetworkSpec(
        variables=len(NAMES), hidden=2, architecture="all-to-all", attention_every=0, located=False, outlook=False,
        pooling="mean", embedding=8, leads=(1,), look_back=1,
    )  # fmt: skip
    values = torch.from_numpy(np.stack([data[name].values for name in NAMES], axis=-1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = build_network(spec, "1D")
        network.persistence.data.zero_()
        learned = [*network.core.parameters(), *network.read_out.parameters()]
        optimiser = torch.optim.AdamW(learned, 1e-3, weight_decay=0.1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=UPDATES)
        for _ in range(UPDATES):
            some, cells = (
                torch.randint(0, len(values) - 1, (64,)),
                torch.randint(0, GRID.shape[0] * GRID.shape[1], (32,)),
            )
            state = network.core.prepare(values[some][:, None], None)[:, 0].flatten(1, 2)[:, cells]
            found = network.read_out(state)[..., NAMES.index("response")]
            loss = (found - values[some + 1][..., NAMES.index("response")].flatten(1)[:, cells]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    card = ModelCard(
        name="linear-world", title="linear world", description="for a test", source="user", data="none", years={},
        variables=tuple(VariableSpec(name, "1", name) for name in NAMES), grid=GRID, step="1D", segment=1, warmup=1,
        network=spec,
    )  # fmt: skip
    shape = (len(NAMES), *GRID.shape)
    flat = Climatology(np.zeros((shape[0], 5, *shape[1:]), "f4"), np.ones(shape, "f4"))
    return Model.from_network(card, network, flat)


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Model, xr.Dataset, xr.Dataset]]:
    """A network, days that it has not seen, and the truth."""
    data, truth = planted(
        DAYS + TESTED, grid=GRID, modes=script.MODES, links=script.LINKS, noise=script.NOISE, season=0.0, seed=SEED
    )
    data = data[list(NAMES)]
    # The model reads the numbers as they are: nothing of them is a climatology.
    with xfaconv.set_options(implausible="ignore"):
        yield trained(data.isel(time=slice(0, DAYS))), data.isel(time=slice(DAYS, None)), truth


@pytest.mark.timeout(900)  # some seconds of one core, longer on a busy machine
def test_known_contributions_are_found(world: tuple[Model, xr.Dataset, xr.Dataset]) -> None:
    found = script.scores(*world, samples=30)
    assert float(found.correlation.min()) >= LEAST_CORRELATION
    assert SLOPES[0] <= float(found.slope.min()) <= float(found.slope.max()) <= SLOPES[1]
    assert float(found.unlinked.mean()) < MOST_UNLINKED
    # Weights that have learned nothing meet none of it.
    model, data, truth = world
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        fresh = Model.from_network(model.card, build_network(model.card.network, "1D"), model.climatology)
    found = script.scores(fresh, data, truth, samples=10)
    assert float(found.correlation.min()) < LEAST_CORRELATION
    assert float(found.unlinked.mean()) > 2 * MOST_UNLINKED


@pytest.mark.timeout(900)
def test_occlusion_of_boxes_agrees_in_sign_and_order(world: tuple[Model, xr.Dataset, xr.Dataset]) -> None:
    model, data, truth = world
    place = target_points(truth)["north_target"]
    found = script.compared_boxes(data, place, "response", lead=1, model=model, samples=5)
    assert float(found.large.sum()) >= 5
    assert (found.same_sign.dropna("time") == 1).all()
    assert (found.rank_correlation >= script.LEAST_RANK).all()


def test_boxes_share_no_cell_and_disagreement_is_seen() -> None:
    from xfaconv.inference.regions import read_regions

    _, masks = read_regions(Grid.regular(10.0), script.boxes_of())
    inside = masks.sum(axis=0)
    assert inside.max() == 1
    assert inside.sum() == 36 * 12
    parts = xr.DataArray([[5.0, -3.0, 0.2, 0.1]], dims=("time", "region"))
    found = script.agreement(parts, xr.DataArray([[4.0, 3.0, 0.1, 0.2]], dims=("time", "region")))
    assert found.same_sign.item() == 0.5
    assert found.by_size.item() == pytest.approx(5.3 / 8.3)
    assert found.rank_correlation.item() < 1
