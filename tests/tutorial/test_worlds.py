"""The worlds hold what their truth says, by correlations and regressions made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xfaconv.errors import ArgumentError
from xfaconv.tutorial.worlds import WORLDS, world


def correlation(x: xr.DataArray, y: xr.DataArray) -> float:
    return float(np.corrcoef(x.values, y.values)[0, 1])


@pytest.mark.parametrize("name", WORLDS)
def test_the_expected_value_is_the_sum_of_the_contributions_and_forecasts_the_target(name: str) -> None:
    data, truth = world(name, 3000)
    xr.testing.assert_allclose(
        truth.contribution.sum("region"), truth.expected.drop_vars("region", errors="ignore"), atol=1e-5
    )
    target = truth.series.sel(region="target")
    # A forecast of one day explains the strength that was planted, 0.85, and no more.
    assert correlation(truth.expected[:-1], target[1:]) == pytest.approx(0.85, abs=0.03)
    drivers = truth.region[truth.role == "driver"].values
    parts = truth.contribution.sel(region=drivers).values[:, :-1]
    slopes = np.linalg.lstsq(parts.T, target.values[1:], rcond=None)[0]
    np.testing.assert_allclose(slopes, 1, atol=0.12)
    others = truth.region[truth.role != "driver"].values
    assert not truth.contribution.sel(region=others).any()
    assert set(data) == {"driver", "response", "noise"}
    assert data.driver.dtype == np.float32


@pytest.mark.parametrize("name", ["common driver", "chain", "mirror"])
def test_what_is_confounded_correlates_and_adds_nothing(name: str) -> None:
    _, truth = world(name, 3000)
    target = truth.series.sel(region="target").values
    driver = str(truth.region[truth.role == "driver"].values[0])
    lag = int(truth.lag.sel(region=driver))
    (confounded,) = truth.region[truth.role == "confounded"].values
    own = truth.series.sel(region=confounded).values
    most = max(abs(np.corrcoef(own[: -back or None], target[back:])[0, 1]) for back in (1, 2, 3))
    assert most > 0.4
    assert abs(np.corrcoef(truth.series.sel(region="unlinked").values[:-1], target[1:])[0, 1]) < 0.2
    # Given the driver, with its lag, the confounded region explains nothing more.
    both = np.stack([truth.series.sel(region=driver).values[3 - lag : -lag], own[2:-1]])
    slopes = np.linalg.lstsq(both.T, target[3:], rcond=None)[0]
    assert abs(slopes[1]) < 0.1 < abs(slopes[0])


@pytest.mark.parametrize("name", ["season", "switch", "square and product"])
def test_a_region_that_drives_nothing_correlates_more_than_a_driver(name: str) -> None:
    _, truth = world(name, 4000)
    target = truth.series.sel(region="target").values[1:]
    size = {
        str(region): abs(np.corrcoef(truth.series.sel(region=region).values[:-1], target)[0, 1])
        for region in truth.region.values
    }
    (confounded,) = truth.region[truth.role == "confounded"].values
    assert size[str(confounded)] > 0.4
    drivers = truth.region[truth.role == "driver"].values
    # The driver of nine months correlates most; that of the winter, little.
    others = [size[str(driver)] for driver in drivers if (str(driver), name) != ("b", "season")]
    assert size[str(confounded)] > max(others) + 0.1


def test_drivers_of_a_season_and_of_a_switch_act_then_alone() -> None:
    _, truth = world("season", 1500)
    winter = truth.time.dt.month.isin([12, 1, 2])
    assert not truth.contribution.sel(region="a")[~winter].any()
    assert not truth.contribution.sel(region="b")[winter].any()
    _, truth = world("switch", 1500)
    on = truth.series.sel(region="c") > 0
    assert not truth.contribution.sel(region="a")[~on].any()
    assert not truth.contribution.sel(region="b")[on].any()


def test_squares_and_products_have_no_linear_correlation() -> None:
    _, truth = world("square and product", 4000)
    target = truth.series.sel(region="target").values[1:]
    for name in ("a", "b", "c"):
        assert abs(np.corrcoef(truth.series.sel(region=name).values[:-1], target)[0, 1]) < 0.08
    assert (truth["sign"] == 0).all()


def test_a_trend_is_common_and_missing_cells_are_never_observed() -> None:
    data, _ = world("trend", 2400)
    ends = data.noise.isel(time=slice(-365, None)).mean("time") - data.noise.isel(time=slice(0, 365)).mean("time")
    assert float(ends.min()) > 1
    data, truth = world("missing", 200)
    lost = data.driver.isnull()
    assert lost.any()
    assert (lost.all("time") == lost.any("time")).all()
    assert (truth.footprint.sel(region="a").where(lost[0]).min()) > 0.6


def test_seeds_decide_everything_and_unknown_worlds_are_refused() -> None:
    first, second = world("chain", 60, seed=3)[0], world("chain", 60, seed=3)[0]
    xr.testing.assert_identical(first, second)
    assert not np.allclose(first.driver, world("chain", 60, seed=4)[0].driver)
    with pytest.raises(ArgumentError, match="unknown name"):
        world("flat")
