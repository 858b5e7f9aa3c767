"""Regimes: planted ones are found and believed, those in noise are not, and the counts are right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from xfaconv.analysis.clustering import choose_count, recoloured, regimes, transitions
from xfaconv.analysis.statistics.composites import regime_composites
from xfaconv.analysis.statistics.surrogates import surrogate_vectors
from xfaconv.errors import ArgumentError, MissingDataError, TimeError, VariableError

sys.path.insert(0, str(Path(__file__).parent))
from fields import autoregressive, gridded

METHODS = ("kmeans", "mixture", "hierarchical")


def chain(steps: int = 600, seed: int = 0, spread: float = 0.25) -> tuple[xr.DataArray, np.ndarray]:
    """Vectors around four points of a plane in six dimensions, visited by a chain that stays 5 steps on average."""
    rng = np.random.default_rng(seed)
    states = np.zeros(steps, dtype=int)
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    for step in range(1, steps):
        states[step] = states[step - 1] if rng.uniform() < 0.8 else rng.choice(4, p=weights)
    points = np.eye(6)[:4] * 2
    values = points[states] + spread * rng.normal(size=(steps, 6))
    times = xr.date_range("2000-01-01", periods=steps, freq="D")
    return xr.DataArray(values, {"time": times}, ("time", "embedding")), states


@pytest.mark.parametrize("method", METHODS)
def test_planted_regimes_are_found_and_believed(method: Any) -> None:
    from sklearn.metrics import adjusted_rand_score

    data, states = chain()
    out = regimes(data, 4, method=method, repeats=4, surrogates=19)
    assert adjusted_rand_score(states, out.label) > 0.98
    assert out.p_value == pytest.approx(0.05)
    assert float(out.half_stability) > 0.95
    assert float(out.silhouette) > float(out.surrogate_silhouette) + 0.2
    frequency = out.frequency.values
    assert (np.diff(frequency) <= 0).all()
    assert frequency.sum() == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
def test_noise_is_not_believed(method: Any) -> None:
    """Gaussian noise with memory is cut into regimes by any method; its surrogates separate as well."""
    values = [
        float(
            regimes(
                xr.DataArray(autoregressive(4, 300, seed=seed).T, dims=("time", "embedding")),
                4,
                method=method,
                repeats=0,
                surrogates=19,
            ).p_value
        )
        for seed in range(5)
    ]
    assert np.median(values) > 0.1


def test_noise_of_a_season_is_judged_by_the_covariance_of_the_season() -> None:
    """Winters of stretched noise in years of round noise hold no regimes: about one in ten is at a tenth or below."""
    times = xr.date_range("2000-01-01", periods=6 * 365, freq="D")
    winter = np.isin(times.month, [12, 1, 2])
    spread = np.where(winter[:, None], [4.0, 1, 1, 1], [1.0, 2, 2, 2])
    found = [
        float(
            regimes(
                xr.DataArray(autoregressive(4, len(times), seed=seed).T * spread, {"time": times}, ("time", "e"))[::3],
                3,
                season="DJF",
                repeats=0,
                surrogates=9,
            ).p_value
        )
        for seed in range(20)
    ]
    assert np.sum(np.array(found) <= 0.1) <= 5
    assert np.median(found) > 0.2


def test_recoloured_vectors_have_the_covariance_asked_for_where_there_is_one() -> None:
    rng = np.random.default_rng(0)
    like = rng.normal(size=(50, 5)) @ rng.normal(size=(5, 5)) + 3
    like[:, 4] = like[:, 0]  # one direction without variance
    made = recoloured(rng.normal(size=(70, 5)), like)
    np.testing.assert_allclose(np.cov(made.T), np.cov(like.T), atol=1e-10)
    np.testing.assert_allclose(made.mean(0), like.mean(0))
    few = rng.normal(size=(4, 6))  # fewer vectors than components
    np.testing.assert_allclose(np.cov(recoloured(rng.normal(size=(9, 6)), few).T), np.cov(few.T), atol=1e-10)
    np.testing.assert_allclose(recoloured(like, like), like)
    assert np.isfinite(recoloured(np.ones((9, 5)), like)).all()


def test_scores_equal_scikit_learn() -> None:
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

    data, _ = chain(300)
    out = regimes(data, 4, repeats=0, surrogates=0)
    labels = out.label.values
    assert float(out.silhouette) == pytest.approx(silhouette_score(data, labels))
    assert float(out.davies_bouldin) == pytest.approx(davies_bouldin_score(data, labels))
    assert float(out.calinski_harabasz) == pytest.approx(calinski_harabasz_score(data, labels))
    for number in range(1, 5):
        np.testing.assert_allclose(out.centre.sel(regime=number), data.values[labels == number].mean(0))
    assert np.isnan(out.p_value)
    assert np.isnan(out.seed_stability)


def test_choice_of_n_is_the_planted_one_or_none() -> None:
    data, _ = chain(400)
    found = choose_count(data, (2, 3, 4, 5, 6), repeats=3, surrogates=19)
    assert int(found.suggested) == 4
    noise = xr.DataArray(autoregressive(3, 300, seed=2).T, dims=("time", "embedding"))
    assert int(choose_count(noise, (2, 3, 4), repeats=3, surrogates=19).suggested) == 0


def test_the_suggested_number_weighs_stability(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two numbers that stand out alike, the one whose clusters come back is suggested."""
    import xfaconv.analysis.clustering as module

    def scored(_: Any, number: int, **__: Any) -> xr.Dataset:
        excess, seeds, halves = {3: (0.30, 0.4, 0.6), 4: (0.25, 0.9, 0.8), 5: (0.40, 0.9, 0.3)}[number]
        values = dict.fromkeys(module._SCORES, 0.5) | {
            "silhouette": excess, "surrogate_silhouette": 0.0, "surrogate_deviation": 0.01,
            "seed_stability": seeds, "half_stability": halves,
        }  # fmt: skip
        return xr.Dataset({name: ((), value) for name, value in values.items()})

    monkeypatch.setattr(module, "regimes", scored)
    found = choose_count(chain(50)[0], (3, 4, 5))
    assert int(found.suggested) == 4
    np.testing.assert_allclose(found.support, [0.30 * 0.4 * 0.6, 0.25 * 0.9 * 0.8, 0.40 * 0.9 * 0.3])


def test_the_limit_of_the_surrogates_is_said() -> None:
    data, _ = chain(120)
    out = regimes(data, 4, repeats=0, surrogates=20).p_value
    assert float(out) == pytest.approx(1 / 21)
    assert out.smallest_possible == pytest.approx(1 / 21)
    assert "0.048 is the limit of 20 surrogates" in out.comment
    usual = regimes(data, 4, repeats=0)
    assert usual.surrogates >= 199
    assert float(usual.p_value) == pytest.approx(usual.p_value.smallest_possible)
    assert "not tested" in regimes(data, 4, repeats=0, surrogates=0).p_value.comment
    for option in ({"repeats": 0}, {"surrogates": 1}):
        with pytest.raises(ArgumentError, match="cannot be used"):
            choose_count(data, (2, 3), **option)


def test_transitions_by_hand() -> None:
    labels = np.array([0, 0, 1, -1, 1, 1, 0, 0])
    follows = np.array([True, True, True, True, True, True, False])
    chance, stay = transitions(labels, follows, 3)
    # pairs: 0-0, 0-1, (1,-1) (-1,1) void, 1-1, 1-0, the last 0-0 is broken
    np.testing.assert_allclose(chance[0], [0.5, 0.5, 0])
    np.testing.assert_allclose(chance[1], [0.5, 0.5, 0])
    assert np.isnan(chance[2]).all()
    # visits: 00, 1, 11, 0, 0
    np.testing.assert_allclose(stay[:2], [4 / 3, 3 / 2])
    assert np.isnan(stay[2])


def test_a_season_keeps_its_times_and_breaks_its_chain() -> None:
    data, _ = chain(800)
    out = regimes(data, 3, season="DJF", repeats=0, surrogates=5)
    assert set(out.time.dt.month.values.tolist()) == {12, 1, 2}
    labels = np.where(np.isin(data.time.dt.month, [12, 1, 2]), 0, -1)
    labels[labels == 0] = out.label.values - 1
    expected, stay = transitions(labels, np.ones(799, dtype=bool), 3)
    np.testing.assert_allclose(out.transition, expected)
    np.testing.assert_allclose(out.persistence, stay)


def test_missing_and_cold_steps_have_no_regime() -> None:
    data, _ = chain(200)
    data[50] = np.nan
    data = data.assign_coords(full_warmup=("time", np.arange(200) >= 10))
    out = regimes(data, 4, repeats=0, surrogates=3)
    assert (out.label[:10] == 0).all()
    assert int(out.label[50]) == 0
    assert int((out.label == 0).sum()) == 11
    with pytest.raises(MissingDataError, match="too few"):
        regimes(data * np.nan, 4)


def test_the_same_seed_gives_the_same_and_the_global_state_is_left_alone() -> None:
    data = xr.DataArray(autoregressive(4, 200, seed=2).T, dims=("time", "embedding"))
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (regimes(data, 5, seed=3, repeats=2, surrogates=2) for _ in range(2))
    xr.testing.assert_identical(first, second)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_lazy_regimes_compute_nothing_at_build(no_computes: Any) -> None:
    data, _ = chain(300)
    field = gridded(autoregressive(6, 300), 2, 3, "D").assign_coords(time=data.time)
    with no_computes():
        lazy = regimes(data.chunk(time=70), 4, repeats=2, surrogates=2)
        maps = regime_composites(field.chunk(time=70), lazy)
        choice = choose_count(data.chunk(time=70), (2, 4), repeats=1, surrogates=2)
    eager = regimes(data, 4, repeats=2, surrogates=2)
    xr.testing.assert_identical(lazy.compute(), eager)
    xr.testing.assert_allclose(maps.compute(), regime_composites(field, eager))
    assert choice.compute().silhouette.dims == ("n",)


def test_composites_of_regimes_are_means_over_their_members() -> None:
    data, _ = chain(600)
    out = regimes(data, 4, repeats=0, surrogates=0)
    field = gridded(autoregressive(20, 600, seed=4), 4, 5, "D").assign_coords(time=data.time)
    field[:, 0, 0] += (out.label == 2) * 3.0
    maps = regime_composites(field, out, deseasonalise=False)
    for number in range(1, 5):
        inside = out.label.values == number
        np.testing.assert_allclose(maps["mean"].sel(regime=number), field.values[inside].mean(0))
        assert int(maps["count"].sel(regime=number)) == inside.sum()
    assert bool(maps.significant.sel(regime=2)[0, 0])
    assert float(maps.significant[:, 1:].mean()) < 0.05
    xr.testing.assert_allclose(regime_composites(field, out.label, deseasonalise=False), maps)


def test_surrogate_vectors_keep_spectra_and_covariance() -> None:
    values = autoregressive(5, 101, seed=1).T
    values[:, 1] += values[:, 0]
    made = surrogate_vectors(values, 4)
    np.testing.assert_allclose(np.cov(made.T), np.cov(values.T), atol=1e-10)
    np.testing.assert_allclose(np.abs(np.fft.rfft(made, axis=0)), np.abs(np.fft.rfft(values, axis=0)), atol=1e-9)
    assert not np.allclose(made, values)


def test_bad_input_is_refused() -> None:
    data, _ = chain(100)
    for count in (1, 100):
        with pytest.raises(ArgumentError, match="n cannot be used"):
            regimes(data, count)
    with pytest.raises(ArgumentError, match="unknown method"):
        regimes(data, 3, method="som")  # type: ignore[arg-type]
    with pytest.raises(VariableError, match="one series"):
        regimes(data.expand_dims(member=2), 3)
    with pytest.raises(ArgumentError, match="engine"):
        regimes(data, 3, model="ncep")
    with pytest.raises(ArgumentError, match="lazy DataArray"):
        regime_composites(gridded(autoregressive(4, 100), 2, 2, "D"), regimes(data.chunk(), 3).label)
    with pytest.raises(TimeError, match="in the season JJA"):
        regimes(data, 3, season="JJA")
    with pytest.raises(MissingDataError, match="whole warm-up"):
        regimes(data.assign_coords(full_warmup=("time", np.zeros(100, dtype=bool))), 3)
    with pytest.raises(ArgumentError, match="candidates cannot be used"):
        choose_count(data, ())
