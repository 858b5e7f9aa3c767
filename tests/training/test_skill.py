"""Verification against sums written out, the bootstrap against known coverage, and forecasts against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xfaconv.grid import Grid
from xfaconv.nn import build_network
from xfaconv.specs import NetworkSpec
from xfaconv.training.evaluation import forecast_skill
from xfaconv.training.sampling import WindowSource
from xfaconv.training.skill import block_bootstrap, compare, one_step_skill, verify

GRID = Grid.regular(30.0)


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
    random = np.random.default_rng(0)
    fields = [random.normal(size=(60, *GRID.shape)).astype("f4") for _ in range(2)]
    source = WindowSource(fields, np.linspace(0, 1, 60), np.zeros(60), (slice(0, 60),))
    torch.manual_seed(0)
    sizes = {"hidden": 8, "bottleneck": 4, "embedding": 8, "attention_width": 8, "attention_heads": 2}
    spec = NetworkSpec(variables=2, scales=((3, 1),), leads=(0, 1), **sizes)
    network = build_network(spec).eval()
    scale = np.full((2, *GRID.shape), 3.0, "f4")
    parts = {"train": slice(0, 30), "test": slice(36, 60), "segment": 4, "warmup": 3}
    before = forecast_skill(network, source, GRID, scale, ["a", "b"], **parts)["lead 1"]
    found = one_step_skill(network, source, GRID, scale, ["a", "b"], block=4, **parts)
    for name in ("a", "b"):
        assert found[name]["model"]["rmse"] == pytest.approx(before[name]["rmse"], rel=1e-3)
        assert found[name]["persistence"]["rmse"] == pytest.approx(before[name]["rmse_persistence"], rel=1e-3)
        assert found[name]["damped persistence"]["rmse"] == pytest.approx(
            before[name]["rmse_damped_persistence"], rel=1e-3
        )
        assert [key for key in found[name] if key.startswith("LIM")]
        low, high = found[name]["persistence"]["ratio"][1:]
        assert low <= found[name]["persistence"]["ratio"][0] <= high
