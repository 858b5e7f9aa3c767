"""Scores against formulas written out for what infer() and forecast() give, and planted cases."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.inference import worlds
from tests.inference.worlds import BOX, GRID, STEPS, TRAINED, model, waves
from xfaconv.errors import ArgumentError, ModelError, TimeError, XFaconvError

AREA = np.asarray(GRID.area)
REGION = (-30, 30, 110, 160)


def by_hand(guess: xr.DataArray, truth: xr.DataArray, weight: np.ndarray, spread: np.ndarray) -> dict[str, list[float]]:
    """Both scores, of cells and of the mean; the fields (time, latitude, longitude) in units."""
    guess, truth = (field.values.astype("f8") / spread for field in (guess, truth))
    good = np.isfinite(guess) & np.isfinite(truth)
    weight = np.where(good, weight, 0.0)
    g, t = np.where(good, guess, 0), np.where(good, truth, 0)
    cells = 1 - (weight * (g - t) ** 2).sum() / (weight * t**2).sum()
    correlation = (weight * g * t).sum() / np.sqrt((weight * g * g).sum() * (weight * t * t).sum())
    g, t = ((weight * field).sum((1, 2)) / weight.sum((1, 2)) for field in (g, t))
    return {
        "explained_variance": [cells, 1 - ((g - t) ** 2).sum() / (t**2).sum()],
        "correlation": [correlation, np.corrcoef(g, t)[0, 1]],
    }


@pytest.fixture(scope="module")
def inferred() -> xr.Dataset:
    return xfaconv.skill(waves(), hide=BOX, region=REGION, model=model(), repeats=50)


@pytest.mark.parametrize("method", ["network", "linear"])
@pytest.mark.parametrize("name", ["t2m", "sst"])
def test_scores_of_a_hidden_part_by_hand(method: str, name: str, inferred: xr.Dataset) -> None:
    found = xfaconv.infer(waves(), hide=BOX, method=method, model=model())
    found = found.isel(time=np.flatnonzero(~found.in_training & found.full_warmup))
    weight = np.where(worlds.mask(BOX) & worlds.mask(REGION), AREA, 0)
    expected = by_hand(found[name], found[f"{name}_observed"], weight, worlds.spread_of(name))
    for score, values in expected.items():
        np.testing.assert_allclose(inferred[score].sel(prediction=method, variable=name), values, atol=1e-4)
    assert inferred.attrs["number_of_steps"] == found.sizes["time"] == STEPS - TRAINED


@pytest.mark.parametrize("method", ["network", "linear", "persistence"])
def test_scores_of_forecasts_by_hand(method: str) -> None:
    scores = xfaconv.skill(waves(), season="AMJ", model=model(), repeats=50)
    found = xfaconv.forecast(waves(), method=method, model=model())
    found = found.isel(time=slice(TRAINED, STEPS - 1), lead=0)
    expected = by_hand(found.msl, found.msl_observed, AREA, worlds.spread_of("msl"))
    for score, values in expected.items():
        np.testing.assert_allclose(scores[score].sel(prediction=method, variable="msl", lead=1), values, atol=1e-4)


def test_climatology_explains_nothing_and_differences_are_to_the_network(inferred: xr.Dataset) -> None:
    assert (inferred.explained_variance.sel(prediction="climatology") == 0).all()
    for score in ("explained_variance", "correlation"):
        difference = inferred[score].sel(prediction="network", drop=True) - inferred[score]
        np.testing.assert_allclose(inferred[f"{score}_difference"], difference.transpose(*inferred[score].dims))
        for name in (score, f"{score}_difference"):
            low, value, high = (inferred[f"{name}{end}"].sel(prediction="linear") for end in ("_low", "", "_high"))
            assert ((low < value) & (value < high)).all()


def test_a_planted_part_is_inferred_by_regression_and_noise_is_not() -> None:
    planted = xfaconv.skill(waves(noise=0.1), hide=BOX, model=model(), repeats=100)
    linear = planted.sel(prediction="linear", variable="t2m", of="cells")
    assert linear.explained_variance_low > 0.9
    assert linear.correlation_low > 0.95
    assert planted.explained_variance_difference_high.sel(prediction="linear", variable="t2m", of="cells") < 0
    noise = xfaconv.skill(waves(strength=0), hide=BOX, model=model(), methods=["linear"], repeats=100)
    assert (noise.explained_variance.sel(of="cells") < 0.05).all()


def test_the_interval_is_that_of_blocks_drawn_by_hand(inferred: xr.Dataset) -> None:
    found = xfaconv.infer(waves(), hide=BOX, method="linear", model=model())
    found = found.isel(time=slice(TRAINED, None))
    weight = np.where(worlds.mask(BOX) & worlds.mask(REGION), AREA, 0)
    guess, truth = (field.values.astype("f8") / worlds.spread_of("t2m") for field in (found.t2m, found.t2m_observed))
    weight = np.where(np.isfinite(guess[0]), weight, 0)
    errors, squares = ((weight * np.nan_to_num(part) ** 2).sum((1, 2)) for part in (guess - truth, truth))
    length, steps = inferred.attrs["block"], len(errors)
    assert length == 5
    random = np.random.default_rng(0)
    starts = random.integers(steps, size=(50, -(-steps // length)))
    values = []
    for row in starts:
        drawn = [(start + k) % steps for start in row for k in range(length)][:steps]
        values.append(1 - errors[drawn].sum() / squares[drawn].sum())
    low, high = np.quantile(values, [0.025, 0.975])
    entry = inferred.sel(prediction="linear", variable="t2m", of="cells")
    np.testing.assert_allclose([entry.explained_variance_low, entry.explained_variance_high], [low, high], atol=1e-4)


def test_the_season_region_and_times_choose_what_is_scored(inferred: xr.Dataset) -> None:
    may = xfaconv.skill(waves(), hide=BOX, season=[5], model=model(), repeats=10)
    same = xfaconv.skill(waves(), hide=BOX, time="2001-05", model=model(), repeats=10)
    xr.testing.assert_equal(may, same)
    assert (may.attrs["season"], may.attrs["number_of_steps"]) == ("[5]", 30)
    assert may.attrs["region"] == may.attrs["hidden_area"] == "40 S to 40 N, 100 to 200 E"
    assert not np.allclose(may.explained_variance, inferred.explained_variance)
    trained = xfaconv.skill(waves(), hide=BOX, training=True, model=model(), methods=["linear"], repeats=10)
    assert trained.attrs["number_of_steps"] > STEPS - TRAINED


def test_lazy_data_give_a_lazy_table_of_the_same_numbers(inferred: xr.Dataset) -> None:
    lazy = xfaconv.skill(waves().chunk(time=13, latitude=3), hide=BOX, region=REGION, model=model(), repeats=50)
    assert all(array.chunks is not None for array in lazy.data_vars.values())
    xr.testing.assert_allclose(lazy.compute(), inferred, atol=1e-4)
    table = inferred.to_dataframe()
    assert set(table.index.names) == {"prediction", "variable", "of"}
    assert len(table) == 18


def test_files(tmp_path, inferred: xr.Dataset) -> None:
    for engine in ("netcdf4", "scipy"):
        inferred.to_netcdf(tmp_path / f"{engine}.nc", engine=engine)
        with xr.open_dataset(tmp_path / f"{engine}.nc", engine=engine) as again:
            np.testing.assert_array_equal(again.explained_variance, inferred.explained_variance)


def test_forecasts_whose_target_was_seen_are_not_unseen() -> None:
    """The steps before the training years are unseen, but not those that are forecast from the last of them."""
    later = model(start="2001-03-10")
    ds = waves(start="2001-02-20")
    scores = xfaconv.skill(ds, model=later, methods=["network"], repeats=5, time=slice(None, "2001-03-15"))
    assert scores.attrs["period"].endswith("to 2001-03-08")


REFUSED = {
    "nothing visible": ({"hide": (-90, 90, 0, 360)}, ArgumentError),
    "region outside": ({"hide": BOX, "region": (60, 90, 0, 90)}, ArgumentError),
    "hide and leads": ({"hide": BOX, "leads": [1]}, ArgumentError),
    "no such method": ({"hide": BOX, "methods": ["magic"]}, ArgumentError),
    "persistence of the same step": ({"hide": BOX, "methods": ["persistence"]}, ArgumentError),
    "a method twice": ({"methods": ["network", "network"]}, ArgumentError),
    "no method": ({"methods": []}, ArgumentError),
    "a season without unseen steps": ({"hide": BOX, "season": "MAM", "time": slice(None, "2001-04-10")}, TimeError),
    "no unseen step": ({"hide": BOX, "time": "2001-03"}, TimeError),
    "a season that is not there": ({"hide": BOX, "season": "SON"}, TimeError),
    "a date outside": ({"hide": BOX, "time": "1890"}, TimeError),
    "no such lead": ({"leads": [7]}, ModelError),
    "a block of nothing": ({"hide": BOX, "block": 0}, ArgumentError),
    "an unknown argument": ({"hide": BOX, "regions": BOX}, ArgumentError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_scored_is_refused(name: str) -> None:
    options, kind = REFUSED[name]
    with pytest.raises(kind) as caught:
        xfaconv.skill(waves(), model=model(), **options)
    assert isinstance(caught.value, XFaconvError)
    assert caught.value.fix
