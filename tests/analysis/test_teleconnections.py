"""Correlation maps, composites, teleconnectivity and surrogates against loops, planted links and nominal rates."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from xfaconv.analysis.axes import cell_area
from xfaconv.analysis.statistics.composites import composite, membership_test
from xfaconv.analysis.statistics.correlation import correlation_map, pattern_correlation, teleconnectivity
from xfaconv.analysis.statistics.seasons import in_season, season_months, season_years
from xfaconv.analysis.statistics.significance import effective_sample_of_events, lag_one_autocorrelation
from xfaconv.analysis.statistics.surrogates import phase_randomised, surrogate_series
from xfaconv.errors import ArgumentError, GridError, MissingDataError, TimeError

sys.path.insert(0, str(Path(__file__).parent))
from fields import autoregressive, gridded


def test_lag_pairs_the_base_with_the_field_before_it() -> None:
    data = gridded(autoregressive(12, 200, seed=1), 3, 4, "MS")
    base = data[:, 2, 3]
    out = correlation_map(data, (80, 270), lag=[-3, 0, 2], deseasonalise=False)
    for lag in (-3, 0, 2):
        x = base.values[max(lag, 0) : 200 + min(lag, 0)]
        y = data.values[max(-lag, 0) : 200 - max(lag, 0), 0, 1]
        assert float(out.correlation.sel(lag=lag)[0, 1]) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    assert float(out.correlation.sel(lag=0)[2, 3]) == pytest.approx(1.0)


def test_season_selects_the_base_point_and_lag_reaches_out_of_it() -> None:
    data = gridded(autoregressive(12, 240, seed=1), 3, 4, "MS")
    out = correlation_map(data, (0, 0), lag=1, season="DJF", deseasonalise=False)
    winter = np.flatnonzero(np.isin(data.time.dt.month, [12, 1, 2]))
    winter = winter[winter > 0]
    expected = np.corrcoef(data.values[winter, 1, 0], data.values[winter - 1, 2, 2])[0, 1]
    assert float(out.correlation[2, 2]) == pytest.approx(expected, abs=1e-12)


def test_a_lag_across_breaks_is_refused() -> None:
    data = gridded(autoregressive(12, 240, seed=1), 3, 4, "MS")
    winter = data.isel(time=np.isin(data.time.dt.month, [12, 1, 2]))
    with pytest.raises(TimeError, match="without breaks"):
        correlation_map(winter, (0, 0), lag=1, deseasonalise=False)
    with pytest.raises(ArgumentError, match="longer than the record"):
        correlation_map(data, (0, 0), lag=400, deseasonalise=False)


def test_enso_correlates_with_the_pacific_north_american_arc(shared_data: Path) -> None:
    """The winter height field answers Nino 3.4 with a low over the North Pacific and a high over Canada."""
    from xfaconv.analysis.indices import nino34

    ds = xr.open_dataset(shared_data / "ncep-oisst-monthly-global-1981-2018.nc")
    out = correlation_map(ds.z500, nino34(ds), season="DJF")
    at = {name: out.sel(lat=lat, lon=lon) for name, lat, lon in (("aleutian", 47.5, 195), ("canada", 60, 260))}
    assert float(at["aleutian"].correlation) < -0.4
    assert bool(at["aleutian"].significant)
    assert float(at["canada"].correlation) > 0.3
    assert 0.2 < float(out.significant.mean()) < 0.9
    assert out.attrs["alpha"] == 0.05
    assert out.attrs["number_of_cells"] == 73 * 144


def test_lazy_map_computes_nothing_and_equals_the_eager_one(no_computes: Any) -> None:
    data = gridded(autoregressive(30, 120, seed=2), 5, 6, "MS").astype("float32")
    with no_computes():
        lazy = correlation_map(data.chunk(time=50, lat=2), (0, 0), lag=[0, 1])
        partners = teleconnectivity(data.chunk(time=50, lat=2))
        phases = composite(data.chunk(time=50, lat=2), data.chunk(time=50)[:, 0, 0], threshold=0.5)
    assert lazy.correlation.dtype == np.float32
    xr.testing.assert_allclose(lazy.compute(), correlation_map(data, (0, 0), lag=[0, 1]), rtol=1e-4, atol=1e-6)
    xr.testing.assert_allclose(partners.compute(), teleconnectivity(data))
    xr.testing.assert_allclose(phases.compute(), composite(data, data[:, 0, 0], threshold=0.5), rtol=1e-4, atol=1e-6)


def test_teleconnectivity_equals_the_correlation_matrix() -> None:
    data = gridded(autoregressive(20, 100, seed=3), 4, 5)
    data[:, 1, 2] = np.nan
    out = teleconnectivity(data, deseasonalise=False)
    matrix = np.corrcoef(data.values.reshape(100, -1).T)
    with np.errstate(invalid="ignore"):
        lowest = np.nanmin(np.where(np.isnan(matrix), np.inf, matrix), axis=1).reshape(4, 5)
    lowest[1, 2] = np.nan
    np.testing.assert_allclose(out.teleconnectivity, -lowest, atol=1e-6)
    assert np.isnan(out.partner_latitude[1, 2])
    row, column = np.unravel_index(np.where(np.isnan(matrix[0]), np.inf, matrix[0]).argmin(), (4, 5))
    assert float(out.partner_longitude[0, 0]) == float(data.lon[column])
    assert float(out.partner_latitude[0, 0]) == float(data.lat[row])


@pytest.mark.parametrize("test", ["effective", "years"])
def test_composites_of_noise_reject_at_the_nominal_rate(test: str) -> None:
    """Memory 0.7 in field and index, 240 months: 4 to 6% of cells at 5%; a plain t-test has 19%."""
    rates, plain = [], []
    for trial in range(40):
        data = gridded(autoregressive(200, 240, seed=trial), 10, 20, "MS")
        index = xr.DataArray(autoregressive(1, 240, seed=900 + trial)[0], {"time": data.time}, ("time",))
        out = membership_test(data, index >= 1.0, test=test, shuffles=199)  # type: ignore[arg-type]
        rates.append(float((out.p_value <= 0.05).mean()))
        inside = (index >= 1.0).values
        a, b = data.values[inside], data.values[~inside]
        t = (a.mean(0) - b.mean(0)) / np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
        plain.append(float((np.abs(t) > 1.97).mean()))
    assert 0.04 <= np.mean(rates) <= 0.06
    assert np.mean(plain) > 0.12


@pytest.mark.parametrize(("phi", "season"), [(0.9, None), (0.7, "NDJFM"), (0.0, "DJF")])
def test_events_of_any_memory_and_season_reject_at_the_nominal_rate(phi: float, season: str | None) -> None:
    rates = []
    for trial in range(40):
        data = gridded(autoregressive(200, 480, phi=phi, seed=trial), 10, 20, "MS")
        index = autoregressive(1, 480, phi=phi, seed=400 + trial)[0] * np.sqrt(1 - phi**2)
        kept = in_season(data.time, season)
        members = xr.DataArray(index >= 0.8, {"time": data.time}, ("time",))
        rates.append(float((membership_test(data[kept], members[kept]).p_value <= 0.05).mean()))
    assert 0.04 <= np.mean(rates) <= 0.06


def test_effective_sample_of_events_equals_the_full_covariance() -> None:
    """The variance of d y is d' C d with C the covariance of an AR(1) field, breaks included, formed whole here."""
    months = np.arange(150)
    data = gridded(autoregressive(6, 150, seed=3), 2, 3)
    winter = months % 12 < 5
    field = data[winter]
    members = xr.DataArray(autoregressive(1, 150, seed=4)[0][winter] > 0.5, {"time": field.time}, ("time",))
    got = effective_sample_of_events(field, members)
    step = months[winter]
    departure = members.values - members.values.mean()
    for cell in np.ndindex(2, 3):
        phi = float(lag_one_autocorrelation(field[:, *cell]))
        phi += (1 + 4 * phi) / len(field)
        apart = np.abs(step[:, None] - step[None])
        covariance = phi**apart
        inflation = departure @ covariance @ departure / (departure @ departure)
        assert float(got[cell]) == pytest.approx(len(field) / max(inflation, 1), rel=1e-3)


def test_false_discoveries_among_composites_are_at_most_alpha() -> None:
    shares = []
    for trial in range(30):
        data = gridded(autoregressive(200, 240, seed=7000 + trial), 10, 20, "MS")
        index = xr.DataArray(autoregressive(1, 240, seed=300 + trial)[0], {"time": data.time}, ("time",))
        data[:, :2] += 1.5 * index
        found = membership_test(data, index >= 1.0, alpha=0.1).significant.values
        shares.append(found[2:].sum() / max(found.sum(), 1))
        assert found[:2].mean() > 0.5
    assert np.mean(shares) <= 0.1


def test_composites_find_what_is_planted_and_report_the_mean() -> None:
    data = gridded(autoregressive(200, 360, seed=5), 10, 20, "MS")
    index = xr.DataArray(autoregressive(1, 360, seed=6)[0], {"time": data.time}, ("time",), name="seesaw")
    data[:, :2] += 1.5 * index
    out = composite(data, index, season="DJF", alpha=0.1)
    assert out.significant.sel(phase="high")[:2].mean() > 0.9
    assert out.significant.sel(phase="high")[2:].mean() < 0.05
    winter = np.isin(data.time.dt.month, [12, 1, 2])
    departure = data.groupby("time.month") - data.groupby("time.month").mean()
    expected = departure.values[winter & (index.values >= 1)].mean(0)
    np.testing.assert_allclose(out["mean"].sel(phase="high"), expected, atol=1e-12)
    assert int(out["count"].sel(phase="low")) == int((winter & (index.values <= -1)).sum())
    assert out.attrs["index"] == "seesaw"


def test_seasons_and_their_years() -> None:
    assert season_months("ndjfm") == (11, 12, 1, 2, 3)
    assert season_months([7]) == (7,)
    times = xr.DataArray(xr.date_range("1999-11-01", periods=5, freq="MS"), dims="time", name="time")
    assert list(in_season(times, "DJF")) == [False, True, True, True, False]
    assert list(season_years(times, "DJF"))[1:4] == [2000, 2000, 2000]
    assert list(season_years(times, None)) == [1999, 1999, 2000, 2000, 2000]
    for bad in ("DFJ", "XX", "D", [0], []):
        with pytest.raises(ArgumentError, match="unknown"):
            season_months(bad)  # type: ignore[arg-type]


def test_too_few_years_to_shuffle() -> None:
    data = gridded(autoregressive(4, 36), 2, 2, "MS")
    with pytest.raises(TimeError, match="too few years"):
        membership_test(data, data[:, 0, 0] > 0, test="years")
    with pytest.raises(ArgumentError, match="test cannot be used"):
        membership_test(data, data[:, 0, 0] > 0, test="naive")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="threshold"):
        composite(data, data[:, 0, 0], threshold=-1)


def test_pattern_correlation_weighs_by_area() -> None:
    rng = np.random.default_rng(0)
    x, y = (gridded(rng.normal(size=(200, 3)), 10, 20) for _ in range(2))
    y = y.where(y < 1.5)
    area = cell_area(x).values
    got = pattern_correlation(x, y)
    for time in range(3):
        kept = np.isfinite(y.values[time])
        weight = area[kept]
        matrix = np.cov(x.values[time][kept], y.values[time][kept], aweights=weight)
        assert float(got[time]) == pytest.approx(matrix[0, 1] / np.sqrt(matrix[0, 0] * matrix[1, 1]), abs=1e-12)
    assert float(pattern_correlation(x[0], x[0] ** 3, kind="rank")) == pytest.approx(1.0)
    with pytest.raises(GridError, match="differ in lat"):
        pattern_correlation(x, y.isel(lat=slice(1, None)))


def test_rank_correlation_on_equal_areas_is_spearmans() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    coords = {"lat": [-1e-4, 1e-4], "lon": np.arange(0.0, 360, 6)}  # two rows of equal area
    x, y = (xr.DataArray(rng.integers(0, 20, size=(2, 60)).astype(float), coords, ("lat", "lon")) for _ in range(2))
    assert float(pattern_correlation(x, y, kind="rank")) == pytest.approx(
        spearmanr(x.values.ravel(), y.values.ravel())[0], abs=1e-10
    )


@pytest.mark.parametrize("steps", [99, 100])
def test_surrogates_keep_the_periodogram_and_the_mean(steps: int) -> None:
    series = 5 + autoregressive(1, steps)[0]
    made = surrogate_series(series, 50, seed=3)
    np.testing.assert_allclose(np.abs(np.fft.rfft(made)), np.abs(np.fft.rfft(series))[None].repeat(50, 0), atol=1e-9)
    assert np.abs([np.corrcoef(row, series)[0, 1] for row in made]).mean() < 0.4
    assert not np.allclose(made[0], made[1])
    np.testing.assert_array_equal(made, surrogate_series(series, 50, seed=3))


def test_field_surrogates_keep_near_relations_and_lose_far_ones(no_computes: Any) -> None:
    """Cells 9 degrees apart stay alike, regions 180 degrees apart and other variables are no longer tied."""
    steps = 600
    waves = autoregressive(2, steps, seed=4)
    longitude, latitude = np.arange(0, 360, 9.0), np.arange(-40, 41, 10.0)
    near = np.exp(-(((longitude - 90 + 180) % 360 - 180) ** 2) / 900)
    far = np.exp(-(((longitude - 270 + 180) % 360 - 180) ** 2) / 900)
    values = waves[0][:, None, None] * (near + far) + 0.05 * np.random.default_rng(0).normal(
        size=(steps, len(latitude), len(longitude))
    )
    coords = {"time": np.arange(steps), "latitude": latitude, "longitude": longitude}
    a = xr.DataArray(values, coords, ("time", "latitude", "longitude")).astype("float32")
    a[:, 0, 0] = np.nan
    ds = xr.Dataset({"a": a, "b": a, "height": a[0]})
    with no_computes():
        lazy = phase_randomised(ds.chunk(time=100), seed=1)
    made = lazy.compute()
    xr.testing.assert_identical(made, phase_randomised(ds, seed=1))
    xr.testing.assert_identical(made.height, ds.height)
    assert np.isnan(made.a[:, 0, 0]).all()
    power = np.abs(np.fft.rfft(made.a.values[:, 4, 10]))
    np.testing.assert_allclose(power, np.abs(np.fft.rfft(a.values[:, 4, 10])), rtol=1e-3, atol=1e-2)

    def tie(x: xr.DataArray, y: xr.DataArray) -> float:
        return abs(float(xr.corr(x, y)))

    at_90, at_99, at_270 = (made.a.sel(latitude=0, longitude=east) for east in (90, 99, 270))
    assert tie(at_90, at_99) > 0.7
    assert tie(at_90, at_270) < 0.3
    assert tie(at_90, made.b.sel(latitude=0, longitude=90)) < 0.3
    assert tie(a.sel(latitude=0, longitude=90), a.sel(latitude=0, longitude=270)) > 0.9


def test_surrogates_refuse_gaps() -> None:
    data = gridded(autoregressive(4, 50), 2, 2)
    data[3, 0, 0] = np.nan
    with pytest.raises(MissingDataError, match="at some times only"):
        phase_randomised(data.to_dataset())
    with pytest.raises(ArgumentError, match="length"):
        phase_randomised(data.to_dataset(), length=0)
