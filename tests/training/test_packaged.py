"""Recipes: stages go on from each other, a control differs in its attention alone, cards say what was measured."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from xfaconv.climatology import Climatology
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.models import load_model
from xfaconv.nn import Network, build_network
from xfaconv.specs import NetworkSpec, VariableSpec
from xfaconv.training import packaged
from xfaconv.training.evaluation import without_attention
from xfaconv.training.loop import Schedule
from xfaconv.training.objective import Objective
from xfaconv.training.packaged import (
    attention_variation,
    control_recipe,
    finish,
    measure,
    measure_control,
    train_recipe,
)
from xfaconv.training.preparation import Prepared, prepare
from xfaconv.training.recipes import Recipe, Stage, embedding_stage

NETWORK = NetworkSpec(
    variables=2,
    hidden=6,
    bottleneck=4,
    attention_width=4,
    attention_heads=2,
    embedding=8,
    leads=(0, 1),
    scales=((3, 1),),
    pooling="attention",
    located=False,
    outlook=False,
)
RECIPE = Recipe(
    name="tiny",
    title="Noise",
    files="tiny-*.nc",
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
    hidden_window=(4, 2),
    text={
        "source": "simulation",
        "description": "Noise of no meaning.",
        "data": "random numbers",
        "licence": "none needed",
        "citation": "nobody",
        "known_failures": ("It knows nothing.",),
    },
)
TRAIN, TEST = slice(0, 36), slice(36, 48)


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


def test_a_stage_with_another_network_takes_over_what_both_have(prepared: Prepared, tmp_path: Path) -> None:
    schedule = Schedule(updates=2, batch=1, window=7, seed=5)
    start = replace(NETWORK, located=True)
    recipe = replace(RECIPE, network=start, stages=(RECIPE.stages[0], embedding_stage(schedule)))
    first = train_recipe(recipe, prepared, tmp_path, stages=1).state_dict()
    network = train_recipe(recipe, prepared, tmp_path)
    assert (network.spec.pooling, network.spec.outlook) == ("patterns", True)
    for name, value in network.state_dict().items():
        if not name.startswith(("head.", "patterns.", "outlook.")):
            assert torch.equal(value, first[name]), name
    assert network.head.projection.weight.shape != first["head.projection.weight"].shape
    assert finish(recipe, prepared, network, tmp_path).card.network == network.spec
    control = train_recipe(control_recipe(recipe), prepared, tmp_path)
    assert control.spec == replace(network.spec, attention_every=0)


def test_a_stage_that_restarts_the_gates_changes_nothing_else(prepared: Prepared, tmp_path: Path) -> None:
    stage = Stage(Schedule(updates=1, batch=1, window=4, seed=5, learning_rate=0.0), restart_gates=True)
    stage = replace(stage, learning=("core.squeeze_excitation",))
    recipe = replace(RECIPE, stages=(RECIPE.stages[0], stage))
    first = train_recipe(recipe, prepared, tmp_path, stages=1).state_dict()
    network = train_recipe(recipe, prepared, tmp_path)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, first[name])}
    middle = "core.squeeze_excitation."
    assert changed == {f"{middle}squeeze.weight", f"{middle}squeeze.bias", f"{middle}excite.weight"}


def test_a_recipe_without_stages_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="at least one stage"):
        train_recipe(replace(RECIPE, stages=()), prepared, tmp_path)


def untrained(spec: NetworkSpec = NETWORK) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build_network(spec)


def persistence(prepared: Prepared, every: int) -> dict[str, float]:
    """RMSE of lead 1 on windows of four steps that tile 2003, written out."""
    now = prepared.anomalies[36:44, :, ::every, ::every]
    later = prepared.anomalies[37:45, :, ::every, ::every]
    area = np.asarray(prepared.thinned_grid(every).area)
    error = ((later - now) ** 2 * area).sum(axis=(0, 2, 3)) / (8 * area.sum())
    return dict(zip("ab", np.sqrt(error), strict=True))


@pytest.mark.parametrize("every", [1, 2])
def test_measurements_are_of_the_test_years_on_the_thinned_grid(prepared: Prepared, every: int) -> None:
    found = measure(RECIPE, prepared, untrained(), every=every)
    expected = persistence(prepared, every)
    for name in "ab":
        assert found["forecast"]["lead 1"][name]["rmse_persistence"] == pytest.approx(expected[name], rel=1e-3)
    assert set(found["hidden_sectors"]) == {"a", "b", "all"}
    changed = replace(prepared, anomalies=prepared.anomalies.copy())
    changed.anomalies[:20] *= -3
    other = measure(RECIPE, changed, untrained(), every=every)
    assert other["hidden_sectors"] == found["hidden_sectors"], "training years of another sort change no test score"
    changed.anomalies[40:44] *= -3
    assert measure(RECIPE, changed, untrained(), every=every)["hidden_sectors"] != found["hidden_sectors"]


def test_the_comparison_with_networks_without_attention(prepared: Prepared, tmp_path: Path) -> None:
    recipe = replace(RECIPE, start_from_persistence=True)
    found = measure_control(recipe, prepared, tmp_path)
    assert (found["updates"], found["every"]) == (3, 2), "of the first stage, the one that is compared"
    attentive = train_recipe(recipe, prepared, tmp_path, stages=1)
    assert found["with_attention"] == measure(recipe, prepared, attentive, every=2)
    assert found["attention_removed"] == measure(recipe, prepared, without_attention(attentive), every=2)
    bare = train_recipe(control_recipe(recipe), prepared, tmp_path, stages=1)
    assert found["trained_without_attention"] == measure(recipe, prepared, bare, every=2)
    assert found["attention_removed"] != found["trained_without_attention"] != found["with_attention"]


def test_share_of_the_variance_of_attention_in_time_by_hand(prepared: Prepared) -> None:
    network = untrained()
    with torch.no_grad():
        for parameter in network.attention_module.parameters():
            parameter.mul_(4)
    found = attention_variation(RECIPE, prepared, network)
    area = np.asarray(prepared.grid.area) / np.asarray(prepared.grid.area).sum()
    fields = torch.from_numpy(prepared.anomalies[36:48])[None]
    phase = torch.from_numpy(prepared.year_phase[36:48]).float()[None]
    geometry = packaged.Geometry.from_grid(prepared.grid)
    shares = []
    with torch.inference_mode():
        whole = network.encode(fields, torch.ones(1, 12, *prepared.grid.shape), phase, phase * 0, geometry)
        for row, column in ((2, 7), (5, 11), (4, 6), (3, 2), (1, 8), (3, 4)):  # the centres nearest to the base points
            maps = network.attention(whole.hidden, geometry, [(row, column)])[0, 2:, 0].numpy().mean(axis=1) / area
            in_time = (maps.var(axis=0) * area).sum()
            shares.append(in_time / (in_time + ((maps.mean(axis=0) - 1) ** 2 * area).sum()))
    assert 0 < found < 1
    assert found == pytest.approx(np.mean(shares), rel=0.02)


def test_attention_that_never_changes_has_no_variance_in_time(prepared: Prepared) -> None:
    still = replace(prepared, anomalies=np.zeros_like(prepared.anomalies), year_phase=prepared.year_phase * 0)
    long_warm_up = replace(RECIPE, warmup=9)
    assert attention_variation(long_warm_up, still, untrained()) < 0.01


def test_base_points_of_a_region_lie_inside_it(prepared: Prepared) -> None:
    grid = Grid(tuple(np.arange(30.0, 62, 4)), tuple(np.arange(-20.0, 12, 2)))
    domain = (28.0, 60.0, -21.0, 11.0)
    region = Prepared(
        prepared.anomalies[:, :, :1, :1].repeat(8, axis=2).repeat(16, axis=3),
        prepared.dates,
        prepared.year_phase,
        prepared.day_phase,
        grid,
        prepared.climatology,
    )
    network = untrained(replace(NETWORK, domain=domain, periodic=False))
    points = packaged._base_points(grid)
    assert points == [(2, 4), (2, 8), (2, 12), (4, 4), (4, 8), (4, 12), (6, 4), (6, 8), (6, 12)]
    assert 0 <= attention_variation(RECIPE, region, network) <= 1


def write_record(folder: Path) -> xr.Dataset:
    """Four years of months, north first, in two files: a cycle of the year, a spread of each variable, noise."""
    grid = Grid.regular(30.0)
    time = xr.date_range("2000-01-01", periods=48, freq="MS", unit="ns")
    noise = np.random.default_rng(4).standard_normal((2, 48, *grid.shape))
    cycle = np.cos(2 * np.pi * (np.arange(48) % 12 + 0.5) / 12)[:, None, None]
    dims = ("time", "lat", "lon")
    ds = xr.Dataset(
        {"a": (dims, 280 + 10 * cycle + 2 * noise[0]), "b": (dims, 5 - 3 * cycle + 0.5 * noise[1])},
        {"time": time, "lat": list(grid.latitude), "lon": list(grid.longitude)},
    ).sortby("lat", ascending=False)
    ds.isel(time=slice(0, 24)).to_netcdf(folder / "tiny-1.nc")
    ds.isel(time=slice(24, None)).to_netcdf(folder / "tiny-2.nc")
    return ds


def test_the_record_is_read_in_order_and_standardised_by_its_training_years(tmp_path: Path) -> None:
    ds = write_record(tmp_path)
    prepared = prepare(RECIPE, tmp_path)
    assert prepared.grid.matches(Grid.regular(30.0))
    assert (prepared.stretch(RECIPE.train), prepared.stretch(RECIPE.test)) == (TRAIN, TEST)
    np.testing.assert_allclose(prepared.year_phase[:3], [0.5 / 12, 1.5 / 12, 2.5 / 12])
    south_first = ds.sortby("lat")
    angle = 2 * np.pi * prepared.year_phase
    waves = np.stack([angle * 0 + 1, np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=1)
    for position, (name, spread) in enumerate([("a", 2.0), ("b", 0.5)]):
        series = south_first[name].values.reshape(48, -1)
        mean = waves @ np.linalg.lstsq(waves[TRAIN], series[TRAIN], rcond=None)[0]
        scale = prepared.climatology.scale[position]
        found = prepared.anomalies[:, position] * scale
        np.testing.assert_allclose(found.reshape(48, -1), series - mean, atol=2e-3 * spread)
        assert abs(scale.mean() / spread - 1) < 0.1


def test_the_command_measures_the_control_and_writes_a_model_whose_card_says_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(tmp_path)
    threads = torch.get_num_threads()
    monkeypatch.setattr(packaged, "RECIPES", {"tiny": RECIPE})
    command = ["packaged", "tiny", "--data", str(tmp_path), "--work", str(tmp_path / "work"), "--out", str(tmp_path)]
    command += ["--threads", str(threads)]
    monkeypatch.setattr(sys, "argv", [*command, "--control"])
    packaged.main()
    control = json.loads((tmp_path / "work" / "tiny-control.json").read_text())
    assert not list(tmp_path.glob("*.safetensors")), "the control alone gives no model"
    monkeypatch.setattr(sys, "argv", command)
    packaged.main()
    model = load_model(tmp_path / "tiny.safetensors")
    card, metrics = model.card, model.card.metrics
    assert (card.name, card.step, card.source, card.known_failures) == (
        "tiny",
        "1M",
        "simulation",
        ("It knows nothing.",),
    )
    assert card.years == {"train": "2000-01 to 2002-12", "test": "2003-01 to 2003-12"}
    assert metrics["updates"] == 5
    assert metrics["attention_worth"]["with_attention"] == control["with_attention"]
    prepared = prepare(RECIPE, tmp_path)
    network = train_recipe(RECIPE, prepared, tmp_path / "work")
    loaded = model.network().state_dict()
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, loaded[name]), name
    assert metrics["forecast"] == measure(RECIPE, prepared, network)["forecast"]
    assert metrics["attention_removed"] == measure(RECIPE, prepared, without_attention(network))
    rmse = metrics["one_step"]["a"]["persistence"]["rmse"]
    assert rmse == pytest.approx(metrics["forecast"]["lead 1"]["a"]["rmse_persistence"], rel=1e-3)
    assert 0 <= metrics["attention_variance_in_time"] <= 1
    assert metrics["hidden_sectors_linear"]["rank"] in (10, 20, 40, 80)


def test_a_model_whose_control_was_not_trained_says_nothing_of_it(prepared: Prepared, tmp_path: Path) -> None:
    model = finish(RECIPE, prepared, untrained(), tmp_path)
    assert "attention_worth" not in model.card.metrics
