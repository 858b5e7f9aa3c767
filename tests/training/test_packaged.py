"""Recipes: stages go on from each other and from their checkpoints, and the control differs in its attention alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xfaconv.climatology import Climatology
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.specs import NetworkSpec, VariableSpec
from xfaconv.training.loop import Schedule
from xfaconv.training.objective import Objective
from xfaconv.training.packaged import control_recipe, train_recipe
from xfaconv.training.preparation import Prepared
from xfaconv.training.recipes import Recipe, Stage

NETWORK = NetworkSpec(
    variables=2,
    hidden=6,
    bottleneck=4,
    attention_width=4,
    attention_heads=2,
    embedding=8,
    pooling_heads=4,
    leads=(0, 1),
    scales=((3, 1),),
)
RECIPE = Recipe(
    name="tiny",
    title="Noise",
    files="",
    step="1M",
    variables=(VariableSpec("a", "K", "A"), VariableSpec("b", "K", "B")),
    network=NETWORK,
    stages=(
        Stage(Schedule(updates=3, batch=2, window=3, seed=1), every=2),
        Stage(Schedule(updates=2, batch=1, window=4, seed=2, blend=True)),
    ),
    train=("2000-01", "2002-12"),
    test=("2003-01", "2003-12"),
    segment=4,
    warmup=2,
    objective=Objective(warm_steps=1),
)


@pytest.fixture
def prepared() -> Prepared:
    grid, months = Grid.regular(30.0), 48
    anomalies = np.random.default_rng(0).standard_normal((months, 2, *grid.shape)).astype(np.float32)
    dates = np.arange("2000-01", "2004-01", dtype="datetime64[M]").astype("datetime64[ns]")
    flat = np.zeros((2, 5, *grid.shape), np.float32)
    climatology = Climatology(flat, np.ones_like(flat[:, 0]))
    return Prepared(anomalies, dates, (np.arange(months) % 12 + 0.5) / 12, np.zeros(months), grid, climatology)


def test_stages_go_on_from_each_other_and_from_their_checkpoints(prepared: Prepared, tmp_path: Path) -> None:
    first = train_recipe(RECIPE, prepared, tmp_path / "first", stages=1).state_dict()
    whole = train_recipe(RECIPE, prepared, tmp_path / "whole").state_dict()
    resumed = train_recipe(RECIPE, prepared, tmp_path / "first").state_dict()
    moved = max(float((whole[name] - first[name]).abs().max()) for name in whole)
    assert 0 < moved < 0.1, "two updates move the weights of the first stage a little; fresh ones would lie far away"
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_the_control_differs_in_its_attention_alone(prepared: Prepared, tmp_path: Path) -> None:
    control = control_recipe(RECIPE)
    assert replace(control, name=RECIPE.name, network=RECIPE.network) == RECIPE
    network = train_recipe(control, prepared, tmp_path, stages=1)
    assert not network.has_attention
    assert network.spec == replace(RECIPE.network, attention_every=0)
    assert (tmp_path / "tiny-control-1.jsonl").exists()


def test_a_recipe_without_stages_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="at least one stage"):
        train_recipe(replace(RECIPE, stages=()), prepared, tmp_path)
