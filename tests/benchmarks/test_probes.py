"""Blocked ridge regression against scikit-learn, planted relations and planted leaks."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from benchmarks import probes
from xfaconv.errors import ArgumentError


def test_ridge_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    features, new = random.normal(2, 3, size=(50, 6)), random.normal(size=(7, 6))
    target = random.normal(size=50)
    found = probes.ridge(features, target, new)
    mean, spread = features.mean(0), features.std(0)
    for row, penalty in zip(found, probes.PENALTIES, strict=True):
        oracle = Ridge(alpha=penalty * 50).fit((features - mean) / spread, target)
        assert np.allclose(row, oracle.predict((new - mean) / spread))


@pytest.mark.parametrize("lead", [0, 2])
def test_a_planted_relation_is_found_at_its_lead(lead: int) -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(300, 4))
    target = np.full(300, np.nan)
    target[lead:] = (features @ [1.0, -2.0, 0.0, 0.5])[: 300 - lead]
    target[100] = np.nan
    found = probes.blocked_ridge(features, target, lead)
    kept = np.isfinite(target) & np.isfinite(found)
    assert np.isnan(found[:lead]).all()
    assert np.corrcoef(found[kept], target[kept])[0, 1] > 0.99


def test_noise_explains_nothing() -> None:
    random = np.random.default_rng(2)
    features, target = random.normal(size=(300, 20)), random.normal(size=300)
    error = target - probes.blocked_ridge(features, target)
    assert (error**2).mean() > 0.9 * target.var()


def test_neighbours_in_time_cannot_leak() -> None:
    # A clock predicts a smooth random walk perfectly where the neighbours of each step may be used.
    random = np.random.default_rng(3)
    walk = np.cumsum(random.normal(size=400))
    clock = np.arange(400)[:, None] == np.arange(0, 400, 1)[None]
    features = np.stack([np.convolve(column, np.ones(9), "same") for column in clock.T.astype(float)], axis=1)
    found = probes.blocked_ridge(features[:, ::8], walk, gap=12)
    shuffled = random.permutation(400)
    leaking = probes.ridge(features[shuffled[:360], ::8], walk[shuffled[:360]], features[shuffled[360:], ::8])[0]
    assert np.corrcoef(leaking, walk[shuffled[360:]])[0, 1] > 0.9
    assert np.corrcoef(found, walk)[0, 1] < 0.5


def test_no_step_within_the_gap_is_used() -> None:
    for inside, apart in probes.folds_of(np.arange(100), 7, 6):
        assert abs(inside[:, None] - apart[None, :]).min() == 7


def test_season_is_written_in_harmonics() -> None:
    phase = np.arange(12) / 12
    rows = probes.seasonal_features(phase, 2)
    wanted = [
        np.cos(2 * np.pi * phase),
        np.sin(2 * np.pi * phase),
        np.cos(4 * np.pi * phase),
        np.sin(4 * np.pi * phase),
    ]
    assert np.allclose(rows, np.stack(wanted, axis=1))


def test_a_short_record_is_refused() -> None:
    with pytest.raises(ArgumentError, match="too short"):
        probes.blocked_ridge(np.zeros((40, 2)), np.zeros(40), gap=12)
