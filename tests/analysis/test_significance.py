"""Correlations and their p-values against scipy, slow loops, and the rejection rate on fields without any signal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from xfaconv.analysis.statistics.correlation import correlate
from xfaconv.analysis.statistics.significance import correlation_p_value, effective_sample_size, false_discovery
from xfaconv.errors import ArgumentError, CoordinateError, MissingDataError, TimeError

sys.path.insert(0, str(Path(__file__).parent))
from fields import autoregressive, gridded


def slow_pair(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Correlation, effective n and p of two series by plain loops."""
    valid = np.isfinite(x) & np.isfinite(y)
    count = valid.sum()
    a, b = x - x[valid].mean(), y - y[valid].mean()
    r = sum(a[i] * b[i] for i in range(len(x)) if valid[i])
    r /= np.sqrt((a[valid] ** 2).sum() * (b[valid] ** 2).sum())
    lag = []
    for series in (a, b):
        product = sum(series[i] * series[i + 1] for i in range(len(x) - 1) if valid[i] and valid[i + 1])
        lag.append(product / (series[valid] ** 2).sum())
    effective = min(count, count * (1 - lag[0] * lag[1]) / (1 + lag[0] * lag[1]))
    return r, effective, 2 * stats.t.sf(abs(r) * np.sqrt((effective - 2) / (1 - r**2)), effective - 2)


def test_correlation_matches_scipy_and_a_slow_loop() -> None:
    x, y = autoregressive(1, 60, seed=1)[0], autoregressive(1, 60, seed=2)[0]
    got = correlate(xr.DataArray(x, dims="time"), xr.DataArray(y, dims="time"))
    assert float(got.correlation) == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-12)
    r, effective, p = slow_pair(x, y)
    assert float(got.effective_sample_size) == pytest.approx(effective, rel=1e-10)
    assert float(got.p_value) == pytest.approx(p, rel=1e-9)
    assert r == pytest.approx(float(got.correlation))


def test_missing_values_are_left_out_in_pairs() -> None:
    x, y = autoregressive(1, 80, seed=3)[0], autoregressive(1, 80, seed=4)[0]
    x[10:14], y[40] = np.nan, np.nan
    got = correlate(xr.DataArray(x, dims="time"), xr.DataArray(y, dims="time"))
    r, effective, _ = slow_pair(x, y)
    assert float(got.correlation) == pytest.approx(r, abs=1e-12)
    assert float(got.effective_sample_size) == pytest.approx(effective, rel=1e-10)


def test_p_value_without_memory_is_scipys() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 30))
    r, p = stats.pearsonr(x, y)
    assert float(correlation_p_value(xr.DataArray(r), 30.0)) == pytest.approx(p, rel=1e-10)


@pytest.mark.parametrize("null", ["effective", "phase"])
def test_five_per_cent_of_a_field_without_signal_is_rejected(null: str) -> None:
    """Memory 0.7, 240 steps: nominal 5% must reject 4 to 6% of 6,000 independent pairs, where naive p rejects 25%."""
    values = gridded(autoregressive(6000, seed=11), 60, 100)
    rates, naive = [], []
    for start in range(0, 60, 5):  # a new base series for each 500 cells
        base = xr.DataArray(autoregressive(1, seed=100 + start)[0], {"time": values.time}, ("time",))
        part = values.isel(lat=slice(start, start + 5))
        out = correlate(base, part, null=null, surrogates=399)
        rates.append(float((out.p_value <= 0.05).mean()))
        naive.append(float((correlation_p_value(out.correlation, 240) <= 0.05).mean()))
    assert 0.04 <= np.mean(rates) <= 0.06
    assert np.mean(naive) > 0.20


def test_white_noise_is_rejected_at_the_nominal_rate() -> None:
    values = gridded(autoregressive(4000, phi=0.0, seed=5), 40, 100)
    base = xr.DataArray(autoregressive(1, phi=0.0, seed=6)[0], {"time": values.time}, ("time",))
    assert 0.04 <= float((correlate(base, values).p_value <= 0.05).mean()) <= 0.06


def test_false_discovery_rate_is_at_most_alpha() -> None:
    """Share of false among all discoveries, over maps with 30 of 300 cells linked to the base series."""
    shares = []
    for trial in range(40):
        values = autoregressive(300, seed=1000 + trial)
        base = autoregressive(1, seed=5000 + trial)[0]
        values[:30] += 1.2 * base
        data = gridded(values, 15, 20)
        out = correlate(xr.DataArray(base, {"time": data.time}, ("time",)), data)
        found = false_discovery(out.p_value, alpha=0.1).significant.values.ravel()
        shares.append(found[30:].sum() / max(found.sum(), 1))
        assert found[:30].sum() >= 15
    assert np.mean(shares) <= 0.1


def test_maps_without_signal_hold_no_discoveries() -> None:
    """The family-wise share of null maps with any discovery is about alpha; with naive p it is nearly all of them."""
    wrong, naive = 0, 0
    for trial in range(60):
        data = gridded(autoregressive(200, seed=2000 + trial), 10, 20)
        base = xr.DataArray(autoregressive(1, seed=8000 + trial)[0], {"time": data.time}, ("time",))
        out = correlate(base, data)
        wrong += bool(false_discovery(out.p_value).significant.any())
        naive += bool(false_discovery(correlation_p_value(out.correlation, 240)).significant.any())
    assert wrong <= 9
    assert naive >= 50


def brute_force_bh(p: np.ndarray, alpha: float) -> np.ndarray:
    """Reject the k smallest with k the largest rank whose p is at most alpha k / m; NaN is not tested."""
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    largest = 0
    for rank, cell in enumerate(order, start=1):
        if p[cell] * len(order) / rank <= alpha:
            largest = rank
    reject = np.zeros(p.shape, dtype=bool)
    reject[order[:largest]] = True
    return reject


@given(
    st.lists(
        st.one_of(
            st.floats(0, 1, allow_subnormal=False), st.just(float("nan")), st.floats(0, 0.02, allow_subnormal=False)
        ),
        min_size=12,
        max_size=12,
    ),
    st.sampled_from([0.01, 0.05, 0.2]),
)
@settings(max_examples=200, deadline=None)
def test_discoveries_equal_the_brute_force(values: list[float], alpha: float) -> None:
    p = np.array(values)
    ordered = np.sort(p[np.isfinite(p)])
    # On the very edge rounding decides: neither answer is wrong there.
    assume(np.all(np.abs(ordered * ordered.size / np.arange(1, ordered.size + 1) - alpha) > 1e-12))
    data = xr.DataArray(p.reshape(3, 4), dims=("lat", "lon"), coords={"lat": [0, 1, 2], "lon": [0, 1, 2, 3]})
    out = false_discovery(data, alpha=alpha)
    np.testing.assert_array_equal(out.significant.values.ravel(), brute_force_bh(p, alpha))
    assert out.attrs["number_of_tests"] == int(np.isfinite(p).sum()) == int(out.number_of_tests)


def test_each_base_point_is_a_family_of_its_own() -> None:
    p = np.random.default_rng(0).uniform(size=(3, 4, 5)) ** 4
    data = xr.DataArray(p, {"lat": np.arange(4.0), "lon": np.arange(5.0)}, ("base_point", "lat", "lon"))
    got = false_discovery(data).significant
    for number in range(3):
        expected = brute_force_bh(p[number].ravel(), 0.05)
        np.testing.assert_array_equal(got[number].values.ravel(), expected)


def test_attrs_say_alpha_and_domain() -> None:
    data = xr.DataArray(np.full((2, 3), 0.5), {"lat": [0.0, 5.0], "lon": [10.0, 20.0, 30.0]}, ("lat", "lon"))
    attrs = false_discovery(data, alpha=0.1).significant.attrs
    assert attrs["alpha"] == 0.1
    assert attrs["domain"] == "lat 0 to 5 (2), lon 10 to 30 (3)"
    assert attrs["number_of_tests"] == attrs["number_of_cells"] == 6


@pytest.mark.parametrize("null", ["effective", "phase"])
@pytest.mark.parametrize("chunks", [{"time": 50, "lat": 2}, {"time": -1, "lon": 3}])
def test_lazy_equals_eager_and_computes_nothing_at_build(null: str, chunks: dict[str, int], no_computes: Any) -> None:
    values = gridded(autoregressive(40, 120, seed=9), 5, 8).astype("float32")
    values[3, 1, 2] = np.nan
    base = values[:, 0, 0]
    eager = correlate(base, values, null=null, surrogates=99)
    lazy_values = values.chunk(chunks)
    with no_computes():
        lazy = correlate(lazy_values[:, 0, 0], lazy_values, null=null, surrogates=99)
        found = false_discovery(lazy.p_value)
    xr.testing.assert_allclose(lazy.compute(), eager, rtol=1e-5)
    xr.testing.assert_equal(found.significant.compute(), false_discovery(lazy.p_value.compute()).significant)
    assert eager.correlation.dtype == eager.p_value.dtype == np.float32
    assert lazy.p_value.dtype == np.float32


def test_float32_with_a_large_mean_keeps_its_digits() -> None:
    x, y = autoregressive(1, 200, seed=1)[0], autoregressive(1, 200, seed=2)[0]
    low = correlate(*(xr.DataArray((54_000 + 50 * v).astype("float32"), dims="time") for v in (x, y)))
    assert float(low.correlation) == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-4)


@pytest.mark.parametrize("null", ["effective", "phase"])
def test_constant_series_have_no_p_value(null: str) -> None:
    base = xr.DataArray(autoregressive(1, 50)[0], dims="time")
    values = xr.DataArray(np.full((50, 2), 271.35, dtype="float32"), dims=("time", "cell"))
    out = correlate(base, values, null=null, surrogates=19)
    assert out.p_value.isnull().all()
    assert correlate(base, values).correlation.isnull().all()


@pytest.mark.parametrize("freq", [None, "MS"])
def test_winters_with_breaks_are_summed_over_their_pairs(freq: str | None) -> None:
    """n over the mean of the full matrix of memory to the power of the distance in time, formed whole here."""
    months = np.arange(600)
    x, y = (gridded(autoregressive(1, 600, phi=0.9, seed=seed), 1, 1, freq)[:, 0, 0] for seed in (1, 2))
    winter = (months % 12) < 3
    x, y = x[winter], y[winter]
    memory = 1.0
    for series in (x.values, y.values):
        d = series - series.mean()
        pairs = np.diff(months[winter]) == 1
        lagged = (d[:-1] * d[1:])[pairs].sum() / pairs.sum()
        memory *= lagged / (d**2).mean()
    apart = np.abs(months[winter][:, None] - months[winter][None])
    expected = len(x) / (memory**apart).mean() / len(x)
    assert float(effective_sample_size(x, y)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("phi", "length"), [(0.9, 3), (0.7, 5)])
def test_winters_without_signal_are_rejected_at_the_nominal_rate(phi: float, length: int) -> None:
    """A formula for unbroken records would reject next to nothing of slow fields in short winters."""
    rates = []
    for trial in range(25):
        data = gridded(autoregressive(200, 480, phi=phi, seed=trial), 10, 20, "MS")
        base = xr.DataArray(autoregressive(1, 480, phi=phi, seed=700 + trial)[0], {"time": data.time}, ("time",))
        kept = (np.arange(480) % 12) < length
        rates.append(float((correlate(base[kept], data[kept]).p_value <= 0.05).mean()))
    assert 0.04 <= np.mean(rates) <= 0.06


def test_bad_input_is_refused() -> None:
    x = xr.DataArray(np.arange(5.0), {"time": np.arange(5)}, ("time",))
    with pytest.raises(TimeError, match="different lengths"):
        correlate(x, x[:4])
    with pytest.raises(TimeError, match="different times"):
        correlate(x, x.assign_coords(time=np.arange(5) + 1))
    with pytest.raises(ArgumentError, match="null cannot be used"):
        correlate(x, x, null="naive")  # type: ignore[arg-type]
    with pytest.raises(MissingDataError, match="missing values"):
        correlate(x.where(x > 0), x, null="phase", surrogates=9)
    broken = x.assign_coords(time=[0, 1, 2, 13, 14])
    with pytest.raises(TimeError, match="breaks"):
        correlate(broken, broken, null="phase")
    with pytest.raises(ArgumentError, match="alpha"):
        false_discovery(x, alpha=0.0, dim=["time"])
    with pytest.raises(CoordinateError, match="lacks"):
        false_discovery(x, dim=["lat"])


def test_input_is_not_changed() -> None:
    values = gridded(autoregressive(4, 50), 2, 2).assign_attrs(units="m")
    before = values.copy(deep=True)
    correlate(values[:, 0, 0], values, null="phase", surrogates=9)
    xr.testing.assert_identical(values, before)
