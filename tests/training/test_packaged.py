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

import xfaconv
from tests.training.records import data_of
from xfaconv.climatology import seasonal_basis
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.models import load_model
from xfaconv.nn import Network, build_network
from xfaconv.specs import NetworkSpec, VariableSpec
from xfaconv.training import packaged
from xfaconv.training.data import TrainingData
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
from xfaconv.training.recipes import RECIPES, Measured, Recipe, Stage, Words, read_recipe, recipe_data

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
        Stage(Schedule(updates=3, batch=2, window=3, seed=1), stride=2),
        Stage(Schedule(updates=2, batch=1, window=4, seed=2, blend=True)),
    ),
    train=("2000-01", "2002-12"),
    test=("2003-01", "2003-12"),
    segment=4,
    warmup=2,
    objective=Objective(warm_steps=1),
    measured=Measured(hidden_window=(4, 2), hidden_repeats=2, linear_stride=2, linear_sectors=8, block=12),
    words=Words(
        source="simulation",
        description="Noise of no meaning.",
        data="random numbers",
        licence="none needed",
        citation="nobody",
        known_failures=("It knows nothing.",),
    ),
)
TRAIN, TEST = slice(0, 36), slice(36, 48)


@pytest.fixture
def data() -> TrainingData:
    grid = Grid.regular(30.0)
    noise = np.random.default_rng(0).standard_normal((2, 48, *grid.shape)).astype(np.float32)
    return data_of(list(noise), grid, TRAIN, TEST, scale=1.0)


def test_stages_go_on_from_each_other_and_from_their_checkpoints(data: TrainingData, tmp_path: Path) -> None:
    first = train_recipe(RECIPE, data, tmp_path / "first", stages=1).state_dict()
    whole = train_recipe(RECIPE, data, tmp_path / "whole").state_dict()
    resumed = train_recipe(RECIPE, data, tmp_path / "first").state_dict()
    statistics = {f"core.squeeze_excitation.{name}" for name in ("mean", "variance", "observed")}
    moved = max(float((whole[name] - first[name]).abs().max()) for name in whole if name not in statistics)
    assert 0 < moved < 0.1, "two updates move the weights of the first stage a little; fresh ones would lie far away"
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_the_control_differs_in_its_attention_alone(data: TrainingData, tmp_path: Path) -> None:
    control = control_recipe(RECIPE)
    assert replace(control, name=RECIPE.name, network=RECIPE.network) == RECIPE
    network = train_recipe(control, data, tmp_path, stages=1)
    assert network.attention_module is None
    assert network.spec == replace(RECIPE.network, attention_every=0)
    assert (tmp_path / "tiny-control-1.jsonl").exists()


def test_a_stage_with_another_network_takes_over_what_both_have(data: TrainingData, tmp_path: Path) -> None:
    schedule = Schedule(updates=2, batch=1, window=7, seed=5)
    start = replace(NETWORK, located=True)
    embedding = RECIPES["amip-daily-5p6deg"].stages[-1]
    recipe = replace(RECIPE, network=start, stages=(RECIPE.stages[0], replace(embedding, schedule=schedule)))
    first = train_recipe(recipe, data, tmp_path, stages=1).state_dict()
    network = train_recipe(recipe, data, tmp_path)
    assert (network.spec.pooling, network.spec.outlook) == ("patterns", True)
    for name, value in network.state_dict().items():
        if not name.startswith(("head.", "patterns.", "outlook.")):
            assert torch.equal(value, first[name]), name
    assert network.head.projection.weight.shape != first["head.projection.weight"].shape
    assert finish(recipe, data, network, tmp_path).card.network == network.spec
    control = train_recipe(control_recipe(recipe), data, tmp_path)
    assert control.spec == replace(network.spec, attention_every=0)


def test_a_stage_that_reinitialises_the_gates_changes_nothing_else(data: TrainingData, tmp_path: Path) -> None:
    stage = Stage(Schedule(updates=1, batch=1, window=4, seed=5, learning_rate=0.0), reinitialise_gates=True)
    stage = replace(stage, learning=("core.squeeze_excitation",))
    recipe = replace(RECIPE, stages=(RECIPE.stages[0], stage))
    first = train_recipe(recipe, data, tmp_path, stages=1).state_dict()
    network = train_recipe(recipe, data, tmp_path)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, first[name])}
    middle = "core.squeeze_excitation."
    new = ("squeeze.weight", "squeeze.bias", "excite.weight", "mean", "variance", "observed")
    assert changed == {f"{middle}{name}" for name in new}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"stages": [{"schedule": {"updates": 1}, "strides": 2}]}, "strides"),
        ({"network": {"hiden": 8}}, "hiden"),
        ({"stages": [{"schedule": {"updates": 1}, "changes": {"poling": "mean"}}]}, "poling"),
        ({"words": {}}, "source"),
        ({"harmonic": 3}, "harmonic"),
    ],
)
def test_an_entry_of_a_recipe_that_is_unknown_or_lacking_is_named(change: dict[str, object], found: str) -> None:
    words = dict.fromkeys(("source", "description", "data", "licence", "citation", "known_failures"), "")
    entry = {
        "title": "", "files": "*", "step": "1M", "variables": [{"name": "a", "units": "K", "long_name": "A"}],
        "network": {}, "stages": [{"schedule": {"updates": 1}}], "train": ["2000-01", "2000-12"],
        "test": ["2001-01", "2001-12"], "segment": 2, "warmup": 2, "words": words,
    }  # fmt: skip
    assert read_recipe("mine", entry).network.variables == 1
    with pytest.raises(ArgumentError, match="recipe 'mine' cannot be read") as refused:
        read_recipe("mine", {**entry, **change})
    assert found in str(refused.value)


def test_years_of_testing_among_those_of_training_are_refused() -> None:
    with pytest.raises(ArgumentError, match="the years of testing must follow"):
        replace(RECIPE, test=("2002-01", "2003-12"))


def test_a_recipe_without_stages_is_refused(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="at least one stage"):
        train_recipe(replace(RECIPE, stages=()), data, tmp_path)


def untrained(spec: NetworkSpec = NETWORK) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build_network(spec)


def persistence(data: TrainingData) -> dict[str, float]:
    """RMSE of lead 1 on windows of four steps that tile 2003, written out."""
    now, later = data.steps(slice(36, 44)), data.steps(slice(37, 45))
    area = np.asarray(data.grid.area)
    error = ((later - now) ** 2 * area).sum(axis=(0, 2, 3)) / (8 * area.sum())
    return dict(zip("ab", np.sqrt(error), strict=True))


@pytest.mark.parametrize("stride", [1, 2])
def test_measurements_are_of_the_test_years_on_the_strided_grid(data: TrainingData, stride: int) -> None:
    coarse = data.strided(stride)
    assert coarse.grid.shape == (6 // stride, 12 // stride)
    found = measure(RECIPE, coarse, untrained())
    expected = persistence(coarse)
    for name in "ab":
        assert found["forecast"]["lead 1"][name]["rmse_persistence"] == pytest.approx(expected[name], rel=1e-3)
    assert set(found["hidden_sectors"]) == {"a", "b", "all"}
    changed = replace(coarse, fields=tuple(field.copy() for field in coarse.fields))
    for field in changed.fields:
        field[:20] *= -3
    other = measure(RECIPE, changed, untrained())
    assert other["hidden_sectors"] == found["hidden_sectors"], "training years of another sort change no test score"
    for field in changed.fields:
        field[40:44] *= -3
    assert measure(RECIPE, changed, untrained())["hidden_sectors"] != found["hidden_sectors"]


def test_the_comparison_with_networks_without_attention(data: TrainingData, tmp_path: Path) -> None:
    recipe = replace(RECIPE, start_from_persistence=True)
    found = measure_control(recipe, data, tmp_path)
    assert (found["updates"], found["stride"]) == (3, 2), "of the first stage, the one that is compared"
    attentive = train_recipe(recipe, data, tmp_path, stages=1)
    assert found["with_attention"] == measure(recipe, data.strided(2), attentive)
    assert found["attention_removed"] == measure(recipe, data.strided(2), without_attention(attentive))
    bare = train_recipe(control_recipe(recipe), data, tmp_path, stages=1)
    assert found["trained_without_attention"] == measure(recipe, data.strided(2), bare)
    assert found["attention_removed"] != found["trained_without_attention"] != found["with_attention"]


def test_share_of_the_variance_of_attention_in_time_by_hand(data: TrainingData) -> None:
    network = untrained()
    with torch.no_grad():
        for parameter in network.attention_module.parameters():
            parameter.mul_(4)
    found = attention_variation(RECIPE, data, network)
    area = np.asarray(data.grid.area) / np.asarray(data.grid.area).sum()
    fields = torch.from_numpy(data.steps(slice(36, 48)))[None]
    phase = torch.from_numpy(data.time.year_phase[36:48]).float()[None]
    geometry = packaged.Geometry.from_grid(data.grid)
    shares = []
    with torch.inference_mode():
        whole = network.encode(fields, torch.ones(1, 12, *data.grid.shape), phase, phase * 0, geometry)
        for row, column in ((2, 7), (5, 11), (4, 6), (3, 2), (0, 8), (3, 4)):  # the centres nearest to the base points
            maps = network.attention(whole.hidden, geometry, [(row, column)], (phase, phase * 0))
            maps = maps[0, 2:, 0].numpy().mean(axis=1) / area
            in_time = (maps.var(axis=0) * area).sum()
            shares.append(in_time / (in_time + ((maps.mean(axis=0) - 1) ** 2 * area).sum()))
    assert 0 < found < 1
    assert found == pytest.approx(np.mean(shares), rel=0.002)


def test_attention_that_never_changes_has_no_variance_in_time(data: TrainingData) -> None:
    axis = replace(data.time, year_phase=data.time.year_phase * 0)
    still = replace(data, fields=tuple(field * 0 for field in data.fields), time=axis)
    long_warm_up = replace(RECIPE, warmup=9)
    assert attention_variation(long_warm_up, still, untrained()) < 0.01


def test_base_points_of_a_region_lie_inside_it(data: TrainingData) -> None:
    grid = Grid(tuple(np.arange(30.0, 62, 4)), tuple(np.arange(-20.0, 12, 2)))
    domain = (28.0, 60.0, -21.0, 11.0)
    fields = tuple(np.repeat(np.repeat(field[:, :1, :1], 8, axis=1), 16, axis=2) for field in data.fields)
    region = replace(data, fields=fields, grid=grid)
    network = untrained(replace(NETWORK, domain=domain, periodic=False))
    points = packaged.usual_base_points(grid)
    assert points == [(2, 4), (2, 8), (2, 12), (4, 4), (4, 8), (4, 12), (6, 4), (6, 8), (6, 12)]
    assert 0 <= attention_variation(RECIPE, region, network) <= 1


def write_record(folder: Path) -> xr.Dataset:
    """Four years of months, north first, in two files: a cycle of the year, a spread of each variable, noise."""
    grid = Grid.regular(30.0)
    time = xr.date_range("2000-01-01", periods=48, freq="MS", unit="ns")
    noise = np.random.default_rng(4).standard_normal((2, 48, *grid.shape))
    cycle = np.cos(2 * np.pi * (np.arange(48) % 12 + 0.5) / 12)[:, None, None]
    dims, units = ("time", "lat", "lon"), {"units": "K"}
    ds = xr.Dataset(
        {"a": (dims, 280 + 10 * cycle + 2 * noise[0], units), "b": (dims, 5 - 3 * cycle + 0.5 * noise[1], units)},
        {"time": time, "lat": list(grid.latitude), "lon": list(grid.longitude)},
    ).sortby("lat", ascending=False)
    ds.isel(time=slice(0, 24)).to_netcdf(folder / "tiny-1.nc")
    ds.isel(time=slice(24, None)).to_netcdf(folder / "tiny-2.nc")
    return ds


def test_the_record_is_read_in_order_and_standardised_by_its_training_years(tmp_path: Path) -> None:
    ds = write_record(tmp_path)
    data = recipe_data(RECIPE, tmp_path)
    assert data.grid.matches(Grid.regular(30.0))
    assert (data.train, data.test) == (TRAIN, TEST)
    np.testing.assert_allclose(data.time.year_phase[:3], [0.5 / 12, 1.5 / 12, 2.5 / 12])
    south_first = ds.sortby("lat")
    waves = seasonal_basis(data.time.year_phase, 2).astype(np.float64)
    for position, (name, spread) in enumerate([("a", 2.0), ("b", 0.5)]):
        series = south_first[name].values.reshape(48, -1)
        mean = waves @ np.linalg.lstsq(waves[TRAIN], series[TRAIN], rcond=None)[0]
        scale = data.climatology.scale[position]
        found = data.fields[position] * scale
        np.testing.assert_allclose(found.reshape(48, -1), series - mean, atol=2e-3 * spread)
        assert abs(scale.mean() / spread - 1) < 0.1


def test_the_command_measures_the_control_and_writes_a_model_whose_card_says_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(tmp_path)
    threads = torch.get_num_threads()
    monkeypatch.setattr(packaged, "read_recipes", lambda file: {"tiny": RECIPE})
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
    data = recipe_data(RECIPE, tmp_path)
    network = train_recipe(RECIPE, data, tmp_path / "work").half().float()
    loaded = model.network().state_dict()
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, loaded[name]), name
    assert metrics["forecast"] == measure(RECIPE, data, network)["forecast"]
    assert metrics["attention_removed"] == measure(RECIPE, data, without_attention(network))
    rmse = metrics["one_step"]["a"]["persistence"]["rmse"]
    assert rmse == pytest.approx(metrics["forecast"]["lead 1"]["a"]["rmse_persistence"], rel=1e-3)
    assert 0 <= metrics["attention_variance_in_time"] <= 1
    assert metrics["hidden_sectors_linear"]["rank"] in (10, 20, 40, 80)


def test_a_model_whose_control_was_not_trained_says_nothing_of_it(data: TrainingData, tmp_path: Path) -> None:
    model = finish(RECIPE, data, untrained(), tmp_path)
    assert "attention_worth" not in model.card.metrics


# A recipe of one's own, as a user of the command would write it.
OUTSIDE = """
recipes:
  toy-model:
    title: Waves
    files: toy-*.nc
    step: 1D
    variables:
      - {name: t2m, units: K, long_name: 2 metre temperature}
      - {name: msl, units: Pa, long_name: Mean sea level pressure}
    network: {hidden: 6, bottleneck: 4, attention_width: 4, attention_heads: 2, embedding: 8, leads: [0, 1]}
    stages:
      - schedule: {updates: 3, batch: 2, window: 3, seed: 1}
    train: [2001-01-01, 2002-12-31]
    test: [2003-01-01, 2003-04-30]
    segment: 4
    warmup: 2
    objective: {warm_steps: 1}
    measured: {hidden_window: [4, 2], hidden_repeats: 1, linear_stride: 1, linear_sectors: 1, block: 10}
    words:
      source: simulation
      description: Waves of no meaning.
      data: random numbers
      licence: none needed
      citation: nobody
      known_failures: [It knows nothing.]
"""


def waves() -> xr.Dataset:
    time = xr.date_range("2001-01-01", "2003-04-30")
    latitude, longitude = np.arange(-75.0, 90.0, 30.0), np.arange(0.0, 360.0, 30.0)
    random = np.random.default_rng(0)
    shape = (len(time), len(latitude), len(longitude))
    dims = ("time", "latitude", "longitude")
    return xr.Dataset(
        {
            "t2m": (dims, 280 + random.normal(size=shape).astype("f4"), {"units": "K"}),
            "msl": (dims, 1e5 + 500 * random.normal(size=shape).astype("f4"), {"units": "Pa"}),
        },
        {"time": time, "latitude": latitude, "longitude": longitude},
    )


def test_a_recipe_from_outside_the_package_gives_a_model(tmp_path: Path) -> None:
    waves().to_netcdf(tmp_path / "toy-1.nc")
    (tmp_path / "recipes.yaml").write_text(OUTSIDE)
    folders = ["--data", str(tmp_path), "--work", str(tmp_path / "work"), "--out", str(tmp_path)]
    packaged.main(["toy-model", "--recipes", str(tmp_path / "recipes.yaml"), *folders, "--threads", "1"])
    model = load_model(tmp_path / "toy-model.safetensors")
    assert model.card.known_failures == ("It knows nothing.",)
    embedded = xfaconv.embed(waves().isel(time=slice(0, 9)), model=model)
    assert embedded.shape == (9, 8)
    assert np.isfinite(embedded).all()


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        packaged.main(["monthly", "--data", str(tmp_path)])
    assert "there is no recipe 'monthly'; choose from amip-daily-5p6deg" in capsys.readouterr().err
