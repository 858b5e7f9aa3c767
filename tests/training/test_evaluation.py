"""Skill against sums written out, the bootstrap against known coverage, and planted linear relations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.records import data_of
from xfaconv.bootstrap import block_bootstrap
from xfaconv.grid import Grid
from xfaconv.nn import Geometry, build_network
from xfaconv.specs import NetworkSpec
from xfaconv.training.data import TrainingData
from xfaconv.training.evaluation import (
    compare,
    damping,
    forecast_skill,
    hidden_skill,
    linear_answer,
    one_step_skill,
    verify,
    without_attention,
)

GRID = Grid.regular(30.0)
SPEC = NetworkSpec(
    variables=2,
    hidden=8,
    bottleneck=4,
    scales=((3, 1),),
    attention_width=8,
    attention_heads=2,
    embedding=8,
    look_back=3,
    leads=(0, 1, 2),
)


def noise(steps: int = 40, train: int = 20, test: int = 10) -> TrainingData:
    """Two variables of noise, with a spread of 3; training steps up to one position, test steps from another."""
    random = np.random.default_rng(0)
    fields = [random.normal(size=(steps, *GRID.shape)).astype("f4") for _ in range(2)]
    fields[0][:, 0, 0] = np.nan
    return data_of(fields, GRID, slice(0, train), slice(test, steps), scale=3.0)


def test_forecast_skill_equals_brute_force() -> None:
    record = noise()
    torch.manual_seed(1)
    network = build_network(SPEC).eval()
    found = forecast_skill(network, record, segment=4, warmup=3)
    geometry = Geometry.from_grid(GRID)
    data = np.stack(record.fields, axis=1)
    errors, persistence, weights = [], [], []
    for first in range(10, 40 - 2 - 4 + 1, 4):
        window = torch.from_numpy(data[None, first - 3 : first + 4])
        phase = torch.from_numpy(record.time.year_phase[None, first - 3 : first + 4].astype("f4"))
        seen = torch.isfinite(window).float().mean(2)
        values = torch.nan_to_num(window)
        with torch.no_grad():
            encoded = network.encode(values, seen, phase, 0 * phase, geometry, keep_from=3, keep_refined=True)
            predicted = network.predict(encoded.refined, values[:, 3:], Geometry.from_grid(GRID))[0, :, 1].numpy()
        truth = data[first + 1 : first + 5]
        errors.append((predicted - truth)[:, 0])
        persistence.append((np.nan_to_num(data[first : first + 4]) - truth)[:, 0])
        weights.append(np.broadcast_to(GRID.area, errors[-1].shape) * np.isfinite(truth[:, 0]))
    error, held, weight = (np.concatenate(part) for part in (errors, persistence, weights))
    rmse = np.sqrt(np.nansum(weight * error**2) / weight.sum())
    ratio = np.sqrt(np.nansum(weight * error**2) / np.nansum(weight * held**2))
    assert np.isclose(found["lead 1"]["a"]["rmse"], 3 * rmse, rtol=2e-3)
    assert np.isclose(found["lead 1"]["a"]["standardised_rmse_to_persistence"], ratio, rtol=2e-3)


def test_damping_recovers_a_planted_autocorrelation() -> None:
    random = np.random.default_rng(3)
    series = np.zeros((4000, *GRID.shape), "f4")
    for step in range(1, len(series)):
        series[step] = 0.7 * series[step - 1] + random.normal(size=GRID.shape)
    data = data_of([series], GRID, slice(0, 4000), slice(4000, 4000), scale=1.0)
    assert np.isclose(damping(data, 1)[0], 0.7, atol=0.01)
    assert np.isclose(damping(data, 3)[0], 0.343, atol=0.015)


def test_damping_is_fitted_to_the_training_steps_alone_and_is_zero_where_nothing_varies() -> None:
    data = noise(300, train=280)
    data.fields[1][:] = 0.0
    assert damping(data, 1)[1] == 0.0
    before = damping(data, 2)
    data.fields[0][280:] = 50.0
    assert np.array_equal(damping(data, 2), before)


def test_predicting_nothing_explains_nothing() -> None:
    network = build_network(SPEC).eval()
    with torch.no_grad():
        for parameter in [*network.read_out.parameters(), network.persistence]:
            parameter.zero_()
    found = hidden_skill(network, noise(test=0), window=6, warm_steps=2)
    assert found == {"a": 0.0, "b": 0.0, "all": 0.0}


def test_attention_is_taken_out_of_a_copy_only() -> None:
    network = build_network(SPEC)
    bare = without_attention(network)
    assert network.attention_module is not None
    assert bare.attention_module is None
    assert torch.equal(bare.read_out[0].weight, network.read_out[0].weight)


def test_linear_answer_finds_a_planted_global_mode_and_nothing_in_noise() -> None:
    random = np.random.default_rng(5)
    pattern = random.normal(size=(2, *GRID.shape))
    amplitude = random.normal(size=300)
    mode = amplitude[:, None, None, None] * pattern + 0.1 * random.normal(size=(300, 2, *GRID.shape))
    for data, least, most in ((mode, 0.9, 1.0), (random.normal(size=mode.shape), -0.5, 0.02)):
        fields = [data[:, i].astype("f4") for i in range(2)]
        found = linear_answer(data_of(fields, GRID, slice(0, 200), slice(200, 300), scale=1.0), sectors=3)
        assert least < found["all"] < most


def test_scores_equal_sums_written_out() -> None:
    random = np.random.default_rng(0)
    truth, guess = random.normal(size=(2, 9, 2, *GRID.shape))
    truth[:, 0, 0, 0] = np.nan
    scale = random.uniform(1, 4, size=(2, *GRID.shape))
    found = verify(guess, truth, np.asarray(GRID.area), scale)
    for variable in range(2):
        squared = product = ours = theirs = weights = 0.0
        for step in range(9):
            for i in range(GRID.shape[0]):
                for j in range(GRID.shape[1]):
                    seen = truth[step, variable, i, j] * scale[variable, i, j]
                    if np.isnan(seen):
                        continue
                    said, weight = guess[step, variable, i, j] * scale[variable, i, j], GRID.area[i, j]
                    squared += weight * (said - seen) ** 2
                    product += weight * said * seen
                    ours += weight * said**2
                    theirs += weight * seen**2
                    weights += weight
        assert found.rmse()[variable] == pytest.approx((squared / weights) ** 0.5)
        assert found.anomaly_correlation()[variable] == pytest.approx(product / (ours * theirs) ** 0.5)


def _red(steps: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    series = np.zeros(steps)
    for step in range(1, steps):
        series[step] = 0.8 * series[step - 1] + random.normal()
    return series[:, None]


def test_intervals_of_red_noise_cover_its_mean_with_blocks_and_not_without() -> None:
    steps, trials = 400, 150

    def covered(block: int) -> float:
        inside = 0
        for seed in range(trials):
            low, high = block_bootstrap(_red(steps, seed), lambda s: s[:, 0] / steps, block, repeats=200, seed=seed)
            inside += low < 0 < high
        return inside / trials

    assert covered(30) > 0.85
    assert covered(1) < 0.6


def test_the_same_seed_draws_the_same_blocks() -> None:
    series = _red(50, 0)
    first, second = (block_bootstrap(series, lambda s: s[:, 0], 5, repeats=50, seed=3) for _ in range(2))
    assert first == second


def test_a_forecast_beside_itself_has_the_ratio_one() -> None:
    random = np.random.default_rng(0)
    truth, guess = random.normal(size=(2, 30, 1, *GRID.shape))
    found = verify(guess, truth, np.asarray(GRID.area), np.ones((1, *GRID.shape)))
    half = verify(truth + (guess - truth) / 2, truth, np.asarray(GRID.area), np.ones((1, *GRID.shape)))
    row = compare({"model": found, "itself": found, "half the error": half}, ["a"], 6)["a"]
    assert row["itself"]["ratio"] == pytest.approx([1, 1, 1])
    assert row["half the error"]["ratio"] == pytest.approx([2, 2, 2])


def test_one_step_skill_agrees_with_forecast_skill() -> None:
    data = noise(60, train=30, test=36)
    torch.manual_seed(0)
    sizes = {"hidden": 8, "bottleneck": 4, "embedding": 8, "attention_width": 8, "attention_heads": 2}
    spec = NetworkSpec(variables=2, scales=((3, 1),), leads=(0, 1), **sizes)
    network = build_network(spec).eval()
    before = forecast_skill(network, data, segment=4, warmup=3)["lead 1"]
    found = one_step_skill(network, data, segment=4, warmup=3, block=4)
    for name in ("a", "b"):
        assert found[name]["model"]["rmse"] == pytest.approx(before[name]["rmse"], rel=1e-3)
        assert found[name]["persistence"]["rmse"] == pytest.approx(before[name]["rmse_persistence"], rel=1e-3)
        assert found[name]["damped persistence"]["rmse"] == pytest.approx(
            before[name]["rmse_damped_persistence"], rel=1e-3
        )
        assert [key for key in found[name] if key.startswith("LIM")]
        low, high = found[name]["persistence"]["ratio"][1:]
        assert low <= found[name]["persistence"]["ratio"][0] <= high
