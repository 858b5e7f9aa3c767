"""What is hidden: sizes of sectors and boxes, absent variables, and that hidden values never reach the network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.nn import Geometry, build_network
from xfaconv.specs import NetworkSpec
from xfaconv.training.data import Batch
from xfaconv.training.objective import (
    Objective,
    draw_masks,
    hidden_box,
    hidden_sector,
    network_input,
    training_loss,
)

GLOBAL = Grid.regular(5.0)
REGION = Grid(tuple(np.arange(-20.0, 2.25, 0.5)), tuple(np.arange(275.0, 295.25, 0.5)))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_sector_spans_all_latitudes_and_the_stated_width(seed: int) -> None:
    mask = hidden_sector(GLOBAL, np.random.default_rng(seed), (120.0, 200.0))
    assert (mask == mask[0]).all()
    assert 120 - 5 <= mask[0].sum() * 5.0 <= 200 + 5


@pytest.mark.parametrize("grid", [GLOBAL, REGION])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_box_hides_some_but_not_all(grid: Grid, seed: int) -> None:
    mask = hidden_box(grid, np.random.default_rng(seed))
    assert 0 < mask.sum() < mask.size / 2


@given(seed=st.integers(0, 10_000), dropout=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=50, deadline=None)
def test_one_variable_always_stays(seed: int, dropout: float) -> None:
    objective = Objective(variable_dropout=dropout)
    _, absent = draw_masks(objective, GLOBAL, 3, 4, np.random.default_rng(seed))
    assert (absent.sum(dim=2) < 4).all()


def test_hidden_and_missing_values_do_not_reach_the_network() -> None:
    fields = torch.full((1, 2, 2, 3, 4), 7.0)
    fields[:, :, 1, 0, 0] = torch.nan
    hide = torch.zeros(1, 1, 1, 3, 4, dtype=torch.bool)
    hide[..., 2, :] = True
    values, visible = network_input(fields, hide)
    assert (values[..., 2, :] == 0).all()
    assert values[0, 0, 1, 0, 0] == 0
    assert visible[0, 0, :, 0, 0].tolist() == [True, False]
    assert not visible[..., 2, :].any()
    assert (values[0, 0, 0, 0] == 7).all()


INPUT_WEIGHTS = {
    "faconvlstm": "core.input_projection.weight",
    "convlstm": "core.first.convolution.weight",
    "cnn-lstm": "core.first.convolution.weight",
    "cnn": "core.first.convolution.weight",
}


@pytest.mark.parametrize("architecture", INPUT_WEIGHTS)
def test_the_weight_of_the_input_is_that_of_the_sizes_of_its_weights(architecture: Any) -> None:
    """Formed by hand from the input weights of each architecture; a variable that is shut out costs nothing."""
    grid = Grid.regular(30.0)
    small: dict[str, Any] = {"hidden": 6, "bottleneck": 4, "scales": ((3, 1),), "embedding": 16, "leads": (1,)}
    spec = NetworkSpec(variables=3, attention_width=4, attention_heads=2, **small)
    torch.manual_seed(1)
    # Out of training, where gates would take in the statistics of each batch.
    network = build_network(replace(spec, architecture=architecture)).eval()
    batch = Batch(torch.randn(2, 6, 3, *grid.shape), torch.rand(2, 6), torch.rand(2, 6))
    weight = dict(network.named_parameters())[INPUT_WEIGHTS[architecture]]

    def loss(price: float) -> float:
        asked = Objective(input_weight=price)
        geometry = Geometry.from_grid(grid)
        return float(training_loss(network, batch, geometry, grid, asked, np.random.default_rng(0))[0])

    for silent in (False, True):
        if silent:
            with torch.no_grad():
                weight[:, 2] = 0
        values = weight.detach().numpy()[:, :3]
        price = sum(np.sqrt((values[:, variable] ** 2).sum()) for variable in range(3))
        assert loss(0.5) - loss(0.0) == pytest.approx(0.5 * price, rel=1e-4)


def test_a_target_alone_carries_the_loss() -> None:
    """What is predicted elsewhere and of other variables has no gradient; the mean is over the box, by hand."""
    grid = Grid.regular(30.0)
    small: dict[str, Any] = {"hidden": 6, "bottleneck": 4, "scales": ((3, 1),), "embedding": 16, "leads": (1,)}
    torch.manual_seed(1)
    network = build_network(NetworkSpec(variables=3, attention_width=4, attention_heads=2, **small)).eval()
    box = (0.0, 50.0, 310.0, 400.0)
    everything = Objective(
        sector_share=0, box_share=0, variable_dropout=0, warm_steps=1, reconstruction_weight=0, laplacian_weight=0,
        temporal_weight=0, outlook_weight=0,
    )  # fmt: skip
    asked = replace(everything, target=box, target_variable=1)
    inside = asked.asked(grid, 3)
    assert [inside[number].sum() for number in range(3)] == [0, 2 * 3, 0]
    assert inside[1][:, [0, 1, 11]].sum() == 6  # columns of 0, 30 and 330 degrees
    assert everything.asked(grid, 3).all()

    def loss(objective: Objective, fields: torch.Tensor) -> float:
        batch = Batch(fields, torch.zeros(2, 4), torch.zeros(2, 4))
        geometry = Geometry.from_grid(grid)
        return float(training_loss(network, batch, geometry, grid, objective, np.random.default_rng(0))[0])

    fields = torch.randn(2, 4, 3, *grid.shape)
    changed = torch.where(torch.from_numpy(inside.copy()), fields, fields + 5)
    later = torch.cat([fields[:, :3], changed[:, 3:]], dim=1)
    assert loss(asked, later) == pytest.approx(loss(asked, fields), rel=1e-6)
    assert loss(everything, later) > 2 * loss(everything, fields)


@pytest.mark.parametrize(
    "wrong", [{"target": (0, 1, 0, 1)}, {"target_variable": 3}, {"target_variable": "t2m"}, {"target_variable": -1}]
)
def test_a_target_that_is_not_there_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="target"):
        Objective(**wrong).asked(Grid.regular(30.0), 3)
