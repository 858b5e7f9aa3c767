"""An additive non-linear benchmark in the manner of Mamalakis and others (2022): the truth is known cell by cell.

A number is the sum of one piecewise linear function of each cell, y = sum_i C_i(x_i), and x are correlated fields. A
fully connected network learns y from x; its attribution at cell i is compared with C_i(x_i) over days that it has not
seen. Sizes (32 cells, 20,000 days of training) and thresholds were set with a seed that is not the one below.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import xfaconv
from xfaconv.climatology import Climatology
from xfaconv.grid import Grid, great_circle_degrees
from xfaconv.models import Model
from xfaconv.nn import Geometry, build_network, register_core
from xfaconv.specs import ModelCard, NetworkSpec, VariableSpec

SEED, DAYS, TESTED, UPDATES = 1, 20_000, 300, 3000
GRID = Grid.regular(45.0)
CELLS = GRID.shape[0] * GRID.shape[1]
LEAST_CORRELATION = 0.8


@register_core("fully-connected")
class FullyConnected(nn.Module):
    """All cells of the first variable to one state that is the same everywhere; it remembers nothing."""

    def __init__(self, channels: int, spec: NetworkSpec) -> None:
        super().__init__()
        self.hidden = spec.hidden
        self.layers = nn.Sequential(nn.Linear(CELLS, 256), nn.ReLU(), nn.Linear(256, spec.hidden), nn.ReLU())

    def prepare(self, fields: Tensor, geometry: Geometry) -> Tensor:
        return self.layers(fields[..., 0].flatten(2))

    def step(
        self, prepared: Tensor, hidden: Tensor, cell: Tensor, geometry: Geometry
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        return prepared[:, None, None].expand_as(hidden), cell, None

    def size_of_input_weights(self, variables: int) -> Tensor:
        return torch.ones(variables)


def fields(days: int, random: np.random.Generator) -> np.ndarray:
    """Gaussian fields whose correlation falls with distance over 40 degrees, of unit variance."""
    rows, columns = (axis.ravel() for axis in np.meshgrid(GRID.latitude, GRID.longitude, indexing="ij"))
    apart = np.array([great_circle_degrees(rows, columns, place) for place in zip(rows, columns, strict=True)])
    covariance = (np.exp(-0.5 * (apart / 40) ** 2) + 0.05 * np.eye(CELLS)) / 1.05
    return (random.normal(size=(days, CELLS)) @ np.linalg.cholesky(covariance).T).astype("f4")


def contributions(values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Piecewise linear in each cell: four slopes below -1, up to 0, up to 1 and above, and 0 at 0."""
    pieces = (
        np.minimum(values + 1, 0), np.clip(values, -1, 0), np.clip(values, 0, 1), np.maximum(values - 1, 0)
    )  # fmt: skip
    return sum(slope * piece for slope, piece in zip(slopes, pieces, strict=True))


def trained(values: np.ndarray, wanted: np.ndarray) -> Model:
    spec = NetworkSpec(
        variables=1, hidden=64, architecture="fully-connected", attention_every=0, located=False, outlook=False,
        pooling="mean", embedding=8, leads=(1,), look_back=1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = build_network(spec, "1D")
        network.persistence.data.zero_()
        learned = [*network.core.parameters(), *network.read_out.parameters()]
        optimiser = torch.optim.AdamW(learned, 2e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=UPDATES)
        x, y = torch.from_numpy(values), torch.from_numpy(wanted.astype("f4"))
        for _ in range(UPDATES):
            some = torch.randint(0, len(x), (256,))
            loss = (network.read_out(network.core.layers(x[some]))[:, 0] - y[some]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    card = ModelCard(
        name="additive", title="additive", description="for a test", source="user", data="none", years={},
        variables=(VariableSpec("field", "1", "field"),), grid=GRID, step="1D", segment=1, warmup=1, network=spec,
    )  # fmt: skip
    flat = Climatology(np.zeros((1, 5, *GRID.shape), "f4"), np.ones((1, *GRID.shape), "f4"))
    return Model.from_network(card, network, flat)


@pytest.mark.timeout(900)  # about 10 s of one core, longer on a busy machine
def test_contributions_of_single_cells_are_found_and_gradients_find_less() -> None:
    random = np.random.default_rng(SEED)
    slopes = fields(4, random)
    values = fields(DAYS + TESTED, random)
    truth = contributions(values, slopes)
    size = truth.sum(axis=1).std()
    model = trained(values[:DAYS], truth[:DAYS].sum(axis=1) / size)
    unseen, truth = values[DAYS:].reshape(-1, *GRID.shape), truth[DAYS:] / size
    coords = {
        "time": xr.date_range("2000-01-01", periods=TESTED, freq="D"),
        "latitude": ("latitude", list(GRID.latitude), {"units": "degrees_north"}),
        "longitude": ("longitude", list(GRID.longitude), {"units": "degrees_east"}),
    }
    ds = xr.Dataset({"field": (("time", "latitude", "longitude"), unseen, {"units": "1"})}, coords)
    skill = {}
    for method in ("integrated", "gradient"):
        found = xfaconv.attribution(ds, (22.5, 22.5), "field", lead=1, model=model, method=method, tolerance=0.05)
        given = found.attribution.isel(variable=0).values.reshape(len(found.time), CELLS)
        known = truth[1:]
        skill[method] = np.mean([np.corrcoef(given[:, cell], known[:, cell])[0, 1] for cell in range(CELLS)])
        assert np.corrcoef(found.value, known.sum(axis=1))[0, 1] > 0.98
    assert skill["integrated"] >= LEAST_CORRELATION
    assert skill["gradient"] < skill["integrated"] - 0.1
