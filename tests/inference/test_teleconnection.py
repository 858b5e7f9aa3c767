"""One call about a teleconnection: series, scores, composites and sums beside plain numpy or their own functions."""

from __future__ import annotations

from threading import Lock

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine.worlds import GRID
from tests.inference.worlds import BOX, TRAINED, model, waves
from xfaconv.analysis.explanation.network_probe import shuffled_copy
from xfaconv.analysis.statistics.seasons import spread_evenly
from xfaconv.errors import ArgumentError, TimeError, XFaconvError
from xfaconv.inference import check_attribution, checks
from xfaconv.models import Model

TARGET = (-20, 20, 110, 190)
ALL = ("t2m", "msl", "sst")


def index(ds: xr.Dataset) -> xr.DataArray:
    """Mean anomaly of a visible box: it shares its waves with the target."""
    field = xfaconv.conform(ds, model=model()).t2m
    inside = (abs(field.latitude) < 40) & (field.longitude > 240) & (field.longitude < 300)
    return field.where(inside).mean(["latitude", "longitude"]).compute().rename("box")


def ask(ds: xr.Dataset, **more: object) -> xr.Dataset:
    if "lead" not in more:
        more.setdefault("hide", BOX)
    options = {"model": None if "models" in more else model(), "method": "gradient", "samples": 3, "lags": (0, 1)}
    options |= {"checks": 0}
    return xfaconv.teleconnection(ds, TARGET, "msl", **(options | more))


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return waves()


@pytest.fixture(scope="module")
def found(ds: xr.Dataset) -> xr.Dataset:
    return ask(ds, index=index(ds))


def mean(field: xr.DataArray) -> xr.DataArray:
    weights = xr.DataArray(
        GRID.area, {"latitude": list(GRID.latitude), "longitude": list(GRID.longitude)}, ("latitude", "longitude")
    )
    south, north, west, east = TARGET
    inside = (
        (weights.latitude >= south)
        & (weights.latitude <= north)
        & (weights.longitude >= west)
        & (weights.longitude <= east)
    )
    return field.weighted(weights.where(inside, 0)).mean(["latitude", "longitude"])


def unseen(found: xr.Dataset) -> np.ndarray:
    return np.flatnonzero(~found.in_training.values & found.observed.notnull().values)


@pytest.mark.parametrize("method", ["network", "linear"])
def test_the_series_are_the_means_of_what_is_inferred(ds: xr.Dataset, found: xr.Dataset, method: str) -> None:
    whole = xfaconv.infer(ds, BOX, method=method, model=model()).sel(time=found.time)
    np.testing.assert_allclose(found.predicted.sel(prediction=method), mean(whole.msl), atol=0.02)
    np.testing.assert_allclose(found.observed, mean(whole.msl_observed), atol=0.02)
    assert found.predicted.attrs["units"] == "Pa"
    assert found.full_warmup.all()


def test_the_regression_is_that_of_the_training_steps(ds: xr.Dataset, found: xr.Dataset) -> None:
    given = index(ds).sel(time=found.time).values
    trained = found.in_training.values
    slope, constant = np.polyfit(given[trained], found.observed.values[trained], 1)
    np.testing.assert_allclose(found.predicted.sel(prediction="index"), slope * given + constant, rtol=1e-3, atol=0.05)


def test_scores_are_those_of_unseen_steps_alone(found: xr.Dataset) -> None:
    chosen = unseen(found)
    assert len(chosen) == found.attrs["unseen_steps"] == 100 - TRAINED
    seen = found.observed.values[chosen].astype(float)
    for number, name in enumerate(found.prediction.values):
        guess = found.predicted.values[number, chosen].astype(float)
        scores = found.sel(prediction=name)
        np.testing.assert_allclose(scores.correlation, np.corrcoef(guess, seen)[0, 1], atol=1e-6)
        np.testing.assert_allclose(
            scores.explained_variance, 1 - ((guess - seen) ** 2).sum() / (seen**2).sum(), atol=1e-6
        )
        assert scores.correlation_low <= scores.correlation <= scores.correlation_high


def test_composites_are_means_of_attributions(ds: xr.Dataset) -> None:
    events = {"first": ["2001-03-10", "2001-03-25", "2001-04-20"], "second": ["2001-03-15", "2001-04-02", "2001-05-01"]}
    found = ask(ds, events=events, samples=None)
    names = ["first", "second"]
    parts = {
        name: xfaconv.attribution(ds, TARGET, "msl", hide=BOX, method="gradient", model=model(), time=dates)
        for name, dates in events.items()
    }
    means = [parts[name].attribution.mean("time") for name in names]
    assert found.phase.values.tolist() == [*names, "difference"]
    for name, wanted in zip(found.phase.values, [*means, means[0] - means[1]], strict=True):
        np.testing.assert_allclose(found.attribution.sel(phase=name), wanted, atol=1e-3)
    np.testing.assert_allclose(found.mean_observed.sel(phase="first"), parts["first"].observed.mean(), atol=0.02)
    np.testing.assert_allclose(
        found.mean_predicted.sel(phase="second", prediction="network"), parts["second"].value.mean(), atol=0.02
    )
    assert "index" not in found.prediction
    assert found.attrs["steps_of_high"] == found.attrs["steps_of_low"] == 3


def test_sums_by_region_add_up_to_the_whole(ds: xr.Dataset, found: xr.Dataset) -> None:
    np.testing.assert_allclose(
        found.by_region.sum("region"), found.attribution.sum(["latitude", "longitude"]), atol=1e-2
    )
    assert found.region.values[-1] == "elsewhere"
    total = found.by_region.sel(phase="difference").sum("variable")
    assert (found.by_region_low <= total + 1e-3).all()
    assert (total <= found.by_region_high + 1e-3).all()
    named = ask(ds, index=index(ds), regions={"east": (-60, 60, 250, 300)})
    east = named.attribution.sel(latitude=slice(-60, 60), longitude=slice(250, 300))
    if not east.size:  # from north to south
        east = named.attribution.sel(latitude=slice(60, -60), longitude=slice(250, 300))
    np.testing.assert_allclose(named.by_region.sel(region="east"), east.sum(["latitude", "longitude"]), atol=1e-2)


def test_the_phases_are_those_of_the_index(ds: xr.Dataset) -> None:
    given = index(ds)
    found = ask(ds, index=given, threshold=0.3, method="linear", samples=None)
    of_record = given.sel(time=found.time)
    assert found.attrs["steps_of_high"] == int((of_record >= 0.3).sum())
    assert found.attrs["steps_of_low"] == int((of_record <= -0.3).sum())
    high = found.observed.values[(of_record >= 0.3).values].mean()
    np.testing.assert_allclose(found.mean_observed.sel(phase="high index"), high, rtol=1e-4)


def test_without_an_index_the_phases_are_those_of_the_observed_value(ds: xr.Dataset) -> None:
    found = ask(ds, method="linear", samples=None)
    assert found.prediction.values.tolist() == ["network", "linear"]  # a regression on itself would be perfect
    limit = found.observed.values.std()
    assert found.attrs["steps_of_high"] == int((found.observed >= limit).sum())
    assert float(found.mean_observed.sel(phase="high observed msl")) > limit


def test_a_forecast_is_verified_by_what_came_later(ds: xr.Dataset) -> None:
    events = {"first": slice("2001-03-10", "2001-03-20"), "second": slice("2001-04-01", "2001-04-11")}
    found = ask(ds, lead=1, events=events, index=index(ds))
    whole = xfaconv.forecast(ds, leads=[1], model=model()).sel(lead=1, time=found.time)
    np.testing.assert_allclose(found.predicted.sel(prediction="network"), mean(whole.msl), atol=0.02)
    np.testing.assert_allclose(found.observed[:-1], mean(whole.msl_observed)[:-1], atol=0.02)
    assert bool(found.observed[-1].isnull())
    # The last training step is followed by an unseen one: both count as seen.
    assert found.attrs["unseen_steps"] == 100 - TRAINED - 1
    assert set(found.prediction.values) == {"network", "linear", "index"}
    assert found.attrs["hidden_area"] == "none"


def test_the_correlation_map_is_that_of_the_observed_value(ds: xr.Dataset, found: xr.Dataset) -> None:
    field = xfaconv.conform(ds, model=model())["t2m"].sel(time=slice("2001-03-15", None))
    seen = mean(xfaconv.infer(ds, BOX, model=model()).msl_observed).sel(time=field.time)
    drawn = found.correlation_map.sel(variable="t2m", lag=0)
    place = {"latitude": GRID.latitude[5], "longitude": GRID.longitude[12]}
    # The whole record counts in the map; most of it gives nearly the same.
    assert abs(float(drawn.sel(place)) - np.corrcoef(field.sel(place), seen)[0, 1]) < 0.15
    assert set(found.correlation_map.lag.values) == {0, 1}


def test_a_link_that_all_share_is_found_by_the_linear_answer_and_said(found: xr.Dataset) -> None:
    """The three waves are everywhere: regression knows the target, random weights do not."""
    sentence = found.attrs["sentence"]
    linear, network = (found.sel(prediction=name) for name in ("linear", "network"))
    assert float(linear.correlation) > 0.8 > float(network.correlation)
    assert f"fitted to {TRAINED} training steps" in sentence
    assert "the linear answer is better than the network" in sentence
    assert "not causes" in sentence
    assert "e+0" not in sentence


def test_noise_is_not_claimed() -> None:
    found = ask(waves(strength=0.0, noise=1.0), method="linear")
    assert "the network shows no skill in inferring" in found.attrs["sentence"]
    assert float(found.sel(prediction="linear").correlation_low) < 0


def test_a_dataset_in_pieces_gives_the_same_and_is_left_alone(ds: xr.Dataset, found: xr.Dataset) -> None:
    lazy = ds.chunk(time=7)
    before = lazy.copy(deep=True)
    again = ask(lazy, index=index(ds))
    xr.testing.assert_identical(lazy, before)
    for name in found.data_vars:
        if found[name].dtype.kind == "f":
            np.testing.assert_allclose(again[name], found[name], rtol=1e-4, atol=1e-2, err_msg=str(name))
    assert again.chunks == {}


@pytest.mark.parametrize(
    ("asked", "error", "problem", "better"),
    [
        ({"hide": None}, ArgumentError, "not clear what value is explained", {"hide": BOX}),
        ({"events": {"one": "2001-03-10"}}, ArgumentError, "events are not two phases", {"events": None}),
        ({"index": "nino43"}, ArgumentError, "unknown index", {"index": None}),
        ({"index": 3.0}, ArgumentError, "index is no series", {"index": None}),
        ({"threshold": 1e9}, TimeError, "too few steps", {"threshold": None}),
        ({"method": "occlusion"}, ArgumentError, "unknown method", {"method": "linear"}),
        ({"checks": True}, ArgumentError, "checks cannot be used", {"checks": 0}),
        ({"models": "a-model"}, ArgumentError, "models are no list of models", {"models": None, "model": model()}),
        ({"models": [model()], "model": model()}, ArgumentError, "one model and several", {"models": None}),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_with_what_helps(
    ds: xr.Dataset, asked: dict, error: type, problem: str, better: dict
) -> None:
    with pytest.raises(error, match=problem) as caught:
        ask(ds, **({"method": "linear"} | asked))
    assert caught.value.fix
    assert ask(ds, **({"method": "linear"} | asked | better)).attrs["sentence"]


def test_a_temperature_is_taken_as_its_anomaly(ds: xr.Dataset) -> None:
    """In degC, with its seasonal cycle, the phases are those of the anomalies, and the threshold is in degC."""
    kelvin = index(ds)
    cycle = 3 * np.cos(2 * np.pi * (ds.time.dt.dayofyear - 20) / 365.25)
    found = ask(ds, index=kelvin + 27 + cycle, threshold=0.3, method="linear", samples=None)
    whole = xfaconv.analysis.anomalies(kelvin + 27 + cycle).sel(time=found.time)
    assert found.attrs["steps_of_high"] == int((whole >= 0.3).sum()) > 3
    assert found.attrs["steps_of_low"] == int((whole <= -0.3).sum()) > 3
    assert "its anomaly from its seasonal cycle" in found.attrs["phases"]
    # One that lies on both sides of zero is taken as it is, though its mean is not zero.
    moved = ask(ds, index=kelvin + 0.1, threshold=0.3, method="linear", samples=None)
    assert moved.attrs["steps_of_high"] == int((kelvin.sel(time=found.time) + 0.1 >= 0.3).sum())


@pytest.fixture(scope="module")
def both(ds: xr.Dataset) -> xr.Dataset:
    """The tiny model twice, once with other weights."""
    return ask(ds, index=index(ds), models=[model(), other_model()], checks=2)


def other_model() -> Model:
    used = model()
    return Model.from_network(used.card, shuffled_copy(used.network(), ("core",), 3), used.climatology)


def test_several_models_stand_side_by_side(ds: xr.Dataset, found: xr.Dataset, both: xr.Dataset) -> None:
    alone = ask(ds, index=index(ds), model=other_model())
    name = model().card.name
    assert both.model.values.tolist() == [f"{name} (1)", f"{name} (2)"]
    for number, one in enumerate((found, alone)):
        network = one.sel(prediction="network")
        row = both.isel(model=number)
        np.testing.assert_allclose(row.predicted_of_models, network.predicted, rtol=1e-5)
        np.testing.assert_allclose(row.correlation_of_models, network.correlation, atol=1e-6)
        np.testing.assert_allclose(row.explained_variance_of_models, network.explained_variance, atol=1e-6)
        np.testing.assert_allclose(row.mean_predicted_of_models, network.mean_predicted, rtol=1e-4)
        np.testing.assert_allclose(row.by_region_of_models, one.by_region.sum("variable"), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(both.attribution, found.attribution, atol=1e-3)
    r = both.correlation_of_models.values
    assert f"Mean and range of 2 models: the correlation is {r.mean():.3f}"[:60] in both.attrs["sentence"]


def test_the_checks_are_those_of_the_same_steps(ds: xr.Dataset) -> None:
    """With up to four steps of each phase: here all three; the mean size over both seeds."""
    given = index(ds)
    both = ask(ds, index=given, method="integrated", checks=2)
    chosen = [np.flatnonzero(np.isin(ds.time, found)) for found in phase_dates(both, given)]
    sizes = []
    for seed in (0, 1):
        dates = [ds.time.values[steps] for steps in chosen]
        asked = {"hide": BOX, "model": model(), "seed": seed}
        sizes.append(abs(check_attribution(ds, TARGET, "msl", *dates, **asked).similarity))
    np.testing.assert_allclose(both.check_similarity, (sizes[0] + sizes[1]) / 2, atol=1e-4)
    assert both.check_passed.values.tolist() == (both.check_similarity <= 0.5).values.tolist()
    assert "phase-randomised data" in both.attrs["sentence"]


def phase_dates(found: xr.Dataset, given: xr.DataArray) -> list[np.ndarray]:
    """Dates of the phases: the steps beyond one standard deviation, three of each, spread evenly."""
    of_steps = given.sel(time=found.time)
    limit = float(of_steps.std())
    return [
        of_steps.time.values[spread_evenly(np.flatnonzero(beyond), 3)]
        for beyond in (of_steps >= limit, of_steps <= -limit)
    ]


def test_a_map_that_survives_destruction_is_not_interpreted(ds: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "shuffled_copy", lambda network, *_: network)
    kept = ask(ds, index=index(ds), checks=1)
    assert not kept.check_passed.sel(check="parameters")
    assert "its pattern is much the same, or reversed, with shuffled weights" in kept.attrs["sentence"]
    without = ask(ds, index=index(ds))
    assert "check_passed" not in without
    assert "was not checked" in without.attrs["sentence"]


def test_models_that_read_other_steps_are_refused(ds: xr.Dataset) -> None:
    with pytest.raises(XFaconvError):
        ask(ds, models=[model(), model("2001-02-20", "6h")])


class Counted:
    """An array that counts how often each step is read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.reads = values, np.zeros(len(values), dtype=int)
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim
        self.lock = Lock()

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        with self.lock:
            self.reads[key[0]] += 1
        return self.values[key]


def test_the_record_is_read_once_and_the_windows_of_the_phases_once_more(ds: xr.Dataset) -> None:
    """Training steps twice more, for EOFs and regression; with checks, which need the whole record, all once more."""
    sources = {name: Counted(ds[name].values) for name in ALL}
    lazy = ds.assign(
        {
            name: (ds[name].dims, da.from_array(source, chunks=(5, -1, -1), asarray=False, fancy=False), ds[name].attrs)
            for name, source in sources.items()
        }
    )
    for checks_made, least, most in ((0, 1, 2), (1, 2, 2)):
        ask(lazy, index=index(ds), samples=2, checks=checks_made)
        for name, source in sources.items():
            later = source.reads[TRAINED:]
            assert (later.min(), later.max()) == (least, most), name
            assert source.reads.max() == most + 2, name
            source.reads[:] = 0


def test_a_record_of_training_years_alone_is_refused(ds: xr.Dataset) -> None:
    with pytest.raises(TimeError, match="too few steps of the season are unseen"):
        ask(ds.isel(time=slice(0, TRAINED)), method="linear")
