"""Importance, the checks and their verdicts, on a tiny network with known wiring or random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import xfaconv
from xfaconv.analysis import (
    check_attention,
    compare_attention,
    importance,
    importance_agreement,
    importance_for_card,
    regimes,
)
from xfaconv.analysis.explanation.checks import _claim, check_skill, surrogate_windows
from xfaconv.analysis.explanation.network_probe import (
    Probe,
    Window,
    attention_maps,
    cut_windows,
    find_target,
    shuffled_copy,
)
from xfaconv.analysis.explanation.occlusion import cut_boxes
from xfaconv.analysis.statistics.correlation import partial_rank_correlation
from xfaconv.climatology import Climatology
from xfaconv.errors import ArgumentError, ModelError, TimeError
from xfaconv.grid import Grid
from xfaconv.models import Model
from xfaconv.specs import ModelCard, NetworkSpec, VariableSpec
from xfaconv.tutorial import planted

GRID = Grid.regular(22.5)
NAMES = ("driver_a", "driver_b", "response")


def small_model(seed: int = 0, **changes: Any) -> Model:
    import torch

    from xfaconv.nn import build_network

    spec = NetworkSpec(
        **{
            "variables": 3,
            "hidden": 8,
            "bottleneck": 6,
            "scales": ((3, 1),),
            "attention_width": 8,
            "attention_heads": 2,
            "embedding": 8,
            "look_back": 3,
            "leads": (0, 1),
            **changes,
        }
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(spec)
        with torch.no_grad():  # visible attention, and a read-out that is not zero
            for values in network.parameters():
                values.add_(0.3 * torch.randn_like(values))
    card = ModelCard(
        name="small",
        title="small",
        description="random weights for tests",
        source="user",
        data="none",
        years={},
        variables=tuple(VariableSpec(name, "1", name) for name in NAMES),
        grid=GRID,
        step="1D",
        segment=6,
        warmup=3,
        network=spec,
    )
    flat = Climatology(np.zeros((3, 5, *GRID.shape), "f4"), np.ones((3, *GRID.shape), "f4"))
    return Model.from_network(card, network, flat)


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model()


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return planted(120, grid=GRID, seed=1, season=0.0)[0][list(NAMES)]


def options(model: Model) -> dict[str, Any]:
    return {"model": model}


def window_of(model: Model, data: xr.Dataset) -> tuple[Probe, Window]:
    windows = cut_windows(data, (0, 90), samples=3, **options(model))
    fields, clock = windows.fields.values, windows.clock.values
    return Probe(model, windows.grid, windows.cell), Window.of(fields[1], clock[1])


@pytest.mark.parametrize("target", ["hidden", "embedding", ("response", 1)])
def test_gradients_equal_finite_differences(model: Model, data: xr.Dataset, target: Any) -> None:
    """A small push of one input value changes the target by the derivative."""
    import torch

    probe, window = window_of(model, data)
    wanted = find_target(model, target)
    derivative = probe.gradient(window, wanted)

    def value(fields: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            tensor = torch.from_numpy(fields)[None]
            encoded, _ = probe._encode(tensor, torch.from_numpy(window.present)[None], window)
            if wanted.kind == "forecast":
                predicted = probe.network.predict(encoded.refined[:, -1:], tensor[:, -1:], probe.geometry)
                return (
                    predicted[0, 0, wanted.lead, wanted.variable, probe.cell[0], probe.cell[1]].double().abs().numpy()
                )
            found = (
                encoded.embedding[0, -1]
                if wanted.kind == "embedding"
                else (encoded.refined[0, -1, probe.cell[0], probe.cell[1]])
            )
            return found.double().norm().numpy()

    rng = np.random.default_rng(0)
    strongest = np.unravel_index(np.abs(derivative).argsort(axis=None)[-5:], derivative.shape)
    places = [
        *zip(*strongest, strict=True),
        *(tuple(rng.integers(0, size) for size in derivative.shape) for _ in range(5)),
    ]
    largest = np.abs(derivative).max()
    assert largest > 0
    for place in places:
        pushed, pulled = window.fields.copy(), window.fields.copy()
        pushed[place] += 2e-2
        pulled[place] -= 2e-2
        slope = float(value(pushed) - value(pulled)) / 4e-2
        assert slope == pytest.approx(float(derivative[place]), abs=0.03 * float(largest))


def norms(probe: Probe, window: Window, fields: np.ndarray, target: Any) -> np.ndarray:
    """What the probe differentiates, for many inputs (case, step, variable, latitude, longitude)."""
    import torch

    present = torch.from_numpy(window.present)[None].expand(len(fields), -1, -1, -1, -1)
    with torch.no_grad():
        tensor = torch.from_numpy(fields)
        encoded, _ = probe._encode(tensor, present, window)
        if target == "embedding":
            return encoded.embedding[:, -1].norm(dim=1).numpy()
        if target == "hidden":
            return encoded.refined[:, -1, probe.cell[0], probe.cell[1]].norm(dim=1).numpy()
        predicted = probe.network.predict(encoded.refined[:, -1:], tensor[:, -1:], probe.geometry)
        return predicted[:, 0, 1, 2, probe.cell[0], probe.cell[1]].abs().numpy()


@pytest.mark.parametrize("target", ["hidden", "embedding", ("response", 1)])
def test_gradients_agree_with_occlusion(model: Model, data: xr.Dataset, target: Any) -> None:
    """Occlusion as oracle: what a cell without a variable changes is what the gradient predicts.

    With anomalies a tenth as large the network is nearly linear there, so that the first-order answer must be the
    whole one; on the anomalies themselves the strongest cells must still be found.
    """
    for scale, least in ((0.1, 0.98), (1.0, 0.75)):
        with xr.set_options(keep_attrs=True):
            small = data * scale
        probe, window = window_of(model, small)
        found = probe.gradient(window, find_target(model, target))
        predicted_change = np.einsum("lvij,lvij->vij", found, window.fields)

        plain = norms(probe, window, window.fields[None], target)[0]
        change = np.empty_like(predicted_change)
        for variable in range(3):
            for row in range(GRID.shape[0]):
                occluded = np.repeat(window.fields[None], GRID.shape[1], axis=0)
                occluded[np.arange(GRID.shape[1]), :, variable, row, np.arange(GRID.shape[1])] = 0
                change[variable, row] = plain - norms(probe, window, occluded, target)
        assert np.corrcoef(predicted_change.ravel(), change.ravel())[0, 1] > least
        strongest = np.argsort(-np.abs(predicted_change), axis=None)[:20]
        assert np.abs(change).ravel()[strongest].mean() > 3 * np.abs(change).mean()


def test_one_time_for_each_segment_by_default(model: Model, data: xr.Dataset) -> None:
    windows = cut_windows(data, (0, 90), **options(model))
    days = (windows.fields.time.values - np.datetime64("1970-01-01")) // np.timedelta64(1, "D")
    assert len(np.unique(days // 6)) == len(days)
    assert (days[:-1] % 6 == 5).all()
    assert windows.fields.sizes["step"] == 4


def deaf_to_driver_b(model: Model) -> Model:
    """The same network with input weights that ignore the second variable."""
    import torch

    network = model.trainable_network()
    with torch.no_grad():
        network.core.input_projection.weight[:, 1] = 0
    return Model.from_network(model.card, network, model.climatology)


@pytest.mark.parametrize("method", ["gate", "occlusion", "gradient"])
@pytest.mark.parametrize("place", [{}, {"base_point": (0, 90)}, {"region": (-30, 30, 60, 150)}])
def test_importance_of_a_variable_without_weights_is_zero(data: xr.Dataset, method: Any, place: dict[str, Any]) -> None:
    """A network whose input weights ignore the second variable: every method gives it (next to) nothing."""
    deaf = deaf_to_driver_b(small_model())
    if method == "gate" and place:
        with pytest.raises(ArgumentError, match="know no place"):
            importance(data, method=method, **place, **options(deaf))
        return
    out = importance(data, method=method, samples=3, **place, **options(deaf))
    assert out.sizes["time"] == 3
    np.testing.assert_allclose(out.sum("variable"), 1, rtol=1e-5)
    assert float(out.sel(variable="driver_b").max()) < 1e-5
    assert float(out.sel(variable="driver_a").min()) > 0.05
    assert out.attrs["method"] == method


def test_importance_of_one_cell_is_that_of_its_base_point(model: Model, data: xr.Dataset) -> None:
    """A region that holds one centre is that place; a larger one is the area-weighted whole, formed here by hand."""
    for method in ("occlusion", "gradient"):
        place = importance(data, method=method, base_point=(11.25, 90), samples=2, **options(model))
        cell = importance(data, method=method, region=(5, 15, 80, 100), samples=2, **options(model))
        np.testing.assert_allclose(place, cell, atol=1e-6)
    probe, window = window_of(model, data)
    states = []
    for gone in range(-1, 3):
        fields = window.fields.copy()
        if gone >= 0:
            fields[:, gone] = 0
        import torch

        with torch.no_grad():
            encoded, _ = probe._encode(torch.from_numpy(fields)[None], torch.from_numpy(window.present)[None], window)
        states.append(encoded.refined[0, -1].numpy()[2:6, 3:7])
    area = np.asarray(GRID.area)[2:6, 3:7, None]
    change = np.array([np.sqrt((area * (state - states[0]) ** 2).sum()) for state in states[1:]])
    south, north = GRID.latitude[2] - 1, GRID.latitude[5] + 1
    west, east = GRID.longitude[3] - 1, GRID.longitude[6] + 1
    got = importance(data, method="occlusion", region=(south, north, west, east), samples=3, **options(model))
    np.testing.assert_allclose(got[1], change / change.sum(), rtol=1e-3)


def test_importance_of_a_forecast_is_the_change_of_that_number(model: Model, data: xr.Dataset) -> None:
    """Formed by hand: the forecast of the response without each variable; a place and its cell are the same."""
    import torch

    asked = {"target": ("response", 1), "samples": 3, **options(model)}
    got = importance(data, method="occlusion", base_point=(0, 90), **asked)
    probe, window = window_of(model, data)
    row, column = probe.cell
    forecasts = []
    for gone in range(-1, 3):
        fields, present = torch.from_numpy(window.fields.copy())[None], torch.from_numpy(window.present)[None]
        if gone >= 0:
            fields[:, :, gone] = 0
        with torch.no_grad():
            encoded, _ = probe._encode(fields, present, window)
            forecast = probe.network.predict(encoded.refined[:, -1:], fields[:, -1:], probe.geometry)
        forecasts.append(float(forecast[0, 0, 1, 2, row, column]))
    change = np.abs(np.array(forecasts[1:]) - forecasts[0])
    np.testing.assert_allclose(got[1], change / change.sum(), rtol=1e-3)
    assert got.attrs["of"] == "forecast of response at lead 1 of the base point (0, 90)"
    slope = importance(data, method="gradient", base_point=(0, 90), **asked)
    lags = probe.gradient(window, find_target(model, ("response", 1))) * window.fields
    size = np.sqrt((lags.astype(float) ** 2).sum(axis=(0, 2, 3)))
    np.testing.assert_allclose(slope[1], size / size.sum(), rtol=1e-3)
    for wrong in ({"target": ("foo", 1)}, {"target": ("response", 7)}):
        with pytest.raises(ArgumentError, match="unknown target"):
            importance(data, method="occlusion", base_point=(0, 90), **{**asked, **wrong})
    with pytest.raises(ArgumentError, match="a forecast is one of a place"):
        importance(data, method="occlusion", **asked)
    with pytest.raises(ArgumentError, match="know no place"):
        importance(data, **asked)


def test_importance_by_season_is_lazy_and_in_the_users_names(model: Model, data: xr.Dataset, no_computes: Any) -> None:
    renamed = data.rename(time="valid_time")
    for method in ("gate", "occlusion", "gradient"):
        with no_computes():
            lazy = importance(renamed.chunk(valid_time=40), method=method, season="JF", samples=4, **options(model))
        assert lazy.chunks is not None
        assert lazy.dims == ("valid_time", "variable")
        assert set(lazy.valid_time.dt.month.values.tolist()) <= {1, 2}
        eager = importance(renamed, method=method, season="JF", samples=4, **options(model))
        xr.testing.assert_allclose(lazy.compute(), eager, atol=1e-6)
    gates = xfaconv.importance(renamed, **options(model))
    assert "not what changes" in gates.attrs["comment"]
    assert gates.sizes["valid_time"] == renamed.sizes["valid_time"]
    with pytest.raises(TimeError, match="in the season"):
        importance(renamed.isel(valid_time=slice(0, 20)), season="JJA", **options(model))
    with pytest.raises(ArgumentError, match="unknown"):
        importance(renamed, method="shapley", **options(model))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no cell"):
        importance(renamed, method="gradient", region=(1, 2, 1, 2), **options(model))


def test_agreement_of_importances_is_spearmans(model: Model, data: xr.Dataset) -> None:
    found = [importance(data, method=method, samples=3, **options(model)) for method in ("gate", "occlusion")]
    table = importance_agreement(*found)
    ranks = [np.argsort(np.argsort(values.mean("time").values)) for values in found]
    assert float(table.sel(one_method="gate", other_method="occlusion")) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    card = importance_for_card(data, model, samples=3)
    assert card["rank_correlation"]["gate and occlusion"] == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=0.01)
    assert set(card["gradient"]) == set(NAMES)
    with pytest.raises(ArgumentError, match="two importances"):
        importance_agreement(found[0])


@pytest.mark.parametrize("changes", [{}, {"attention_season": False, "squeeze": "mean"}], ids=["seasonal", "constant"])
def test_attention_of_windows_equals_the_engines(data: xr.Dataset, changes: dict[str, Any]) -> None:
    chosen = small_model(**changes)
    windows = cut_windows(data, (0, 90), **options(chosen))
    maps = attention_maps(windows).compute()
    engine = xfaconv.attention(data, latitude=0, longitude=90, **options(chosen)).sel(time=maps.time)
    np.testing.assert_allclose(maps.sum(["latitude", "longitude"]), 1, rtol=1e-5)
    # The last step begins a segment, which has then read what its window has.
    np.testing.assert_allclose(maps[-1], engine[-1], atol=1e-6)
    # Other segments spin up from their own beginning: maps that hardly follow the state are still alike.
    assert not changes or float(xr.corr(maps, engine)) > 0.95


def test_shuffled_weights_keep_their_values_and_spare_the_original(model: Model) -> None:
    network = model.trainable_network()
    before = {name: values.clone() for name, values in network.named_parameters()}
    changed = dict(shuffled_copy(network, ("attention_module",), 1).named_parameters())
    for name, values in network.named_parameters():
        assert (values == before[name]).all()
        if name.startswith("attention_module"):
            np.testing.assert_allclose(np.sort(changed[name].detach().ravel()), np.sort(values.detach().ravel()))
        else:
            assert (changed[name] == values).all()
    assert not (changed["attention_module.row_query.weight"] == before["attention_module.row_query.weight"]).all()


def test_surrogate_windows_keep_the_labels_and_change_the_values(model: Model, data: xr.Dataset) -> None:
    windows = cut_windows(data, (0, 90), samples=3, **options(model))
    other = surrogate_windows(windows, seed=1)
    assert other.fields.dims == windows.fields.dims
    assert (other.fields.time == windows.fields.time).all()
    assert abs(float(xr.corr(other.fields.compute(), windows.fields.compute()))) < 0.3
    assert float(other.fields.std()) == pytest.approx(float(windows.fields.std()), rel=0.3)


def test_boxes_cover_the_world_but_the_surroundings() -> None:
    boxes = cut_boxes(Grid.regular(5.0), (20, 30), side=22.5, near=15)
    assert (boxes.number[boxes.distance < 15] == -1).all()
    assert (boxes.number[boxes.distance >= 15] >= 0).all()
    assert boxes.size.sum() == pytest.approx(boxes.area[boxes.distance >= 15].sum())
    order = np.arange(boxes.count)
    for share in (0.05, 0.3, 0.7):
        got = boxes.size[boxes.first(order, share)].sum() / boxes.size.sum()
        assert got == pytest.approx(share, abs=1.5 / boxes.count)


def test_partial_correlation_removes_what_a_control_explains() -> None:
    rng = np.random.default_rng(0)
    control, own = rng.normal(size=(2, 2000))
    x, y = control + 0.3 * rng.normal(size=2000), control + 0.3 * rng.normal(size=2000)
    assert partial_rank_correlation(x, y, []) > 0.8
    assert abs(partial_rank_correlation(x, y, [control])) < 0.1
    assert partial_rank_correlation(x + own, y + own, [control]) > 0.6
    assert np.isnan(partial_rank_correlation(control, y, [control]))


def test_the_checks_are_lazy_and_say_what_may_be_claimed(model: Model, data: xr.Dataset, no_computes: Any) -> None:
    with no_computes():
        lazy = check_attention(data.chunk(time=40), (0, 90), samples=3, **options(model))
    out = lazy.compute(scheduler="synchronous")
    assert out.check.values.tolist() == ["faithfulness", "skill", "parameters", "data", "gradients"]
    assert out.passed.dtype == bool
    assert all(len(str(words)) > 30 for words in out.verdict.values)
    assert str(out.claim.values).split()[0] in ("You", "No")
    np.testing.assert_allclose(out.attention.sum(["latitude", "longitude"]), 1, rtol=1e-4)
    assert (out.deletion >= 0).all()
    assert out.effect.isnull().any()
    for name in set(out.data_vars) - {"passed", "verdict", "claim"}:
        assert out[name].attrs["units"] == "1", name
        assert "standard_name" not in out[name].attrs
        assert len(out[name].attrs["long_name"]) > 10
    assert np.isnan(out.insertion.sel(order=["distance", "latitude", "variance"])).all()
    with pytest.raises(ArgumentError, match="samples cannot be used"):
        check_attention(data, (0, 90), samples=2, **options(model))


def test_a_network_that_attends_nowhere_in_particular_is_not_believed(data: xr.Dataset) -> None:
    """With queries at zero the map is uniform: no check may find it faithful or skilful."""
    import torch

    model = small_model()
    network = model.trainable_network()
    with torch.no_grad():
        for name, values in network.attention_module.named_parameters():
            if "query" in name or "key" in name or "position" in name:
                values.zero_()
    flat = Model.from_network(model.card, network, model.climatology)
    out = check_attention(data, (0, 90), samples=4, **options(flat))
    density = out.attention.isel(time=0).values / np.asarray(GRID.area)
    np.testing.assert_allclose(density, density.mean(), rtol=1e-3)
    assert not bool(out.passed.sel(check="skill"))
    assert not str(out.claim.values).startswith("You may claim that this base point uses")


@pytest.mark.parametrize("good", [True, False])
def test_the_verdict_on_skill_names_the_best_simple_order_and_does_not_judge_by_it(good: bool) -> None:
    """Planted numbers: nearness changes more than attention does, whichever way the check goes."""
    orders = ["attention", "least", "random", "distance", "latitude", "variance"]
    deletion = np.broadcast_to(np.array([0.71, 0.1, 0.5, 0.78, 0.2, 0.4])[None, :, None], (3, 6, 5))
    predictors = ["attention", "distance", "latitude", "variance", "attention beyond simple maps"]
    skill = np.array([0.8, 0.6, 0.1, 0.2, 0.7]) * (1 if good else -1) + np.array([[0.0], [0.01], [0.02]])
    faithful = xr.Dataset(
        {"deletion": (("time", "order", "share"), deletion), "skill": (("time", "predictor"), skill)},
        {"order": orders, "predictor": predictors},
    )
    out = check_skill(faithful)
    assert bool(out.passed) is good
    assert "in the order of distance, the best simple order, changes the base point by 0.78" in out.verdict.item()
    assert out.verdict.item().endswith("in the order of attention by 0.71")


def test_models_without_attention_and_short_records_are_refused(data: xr.Dataset, model: Model) -> None:
    blind = small_model(attention_every=0)
    with pytest.raises(ModelError, match="no axial attention"):
        check_attention(data, (0, 90), **options(blind))
    assert importance(data, method="gradient", base_point=(0, 90), samples=2, **options(blind)).sizes["time"] == 2
    with pytest.raises(TimeError, match="whole warm-up"):
        importance(data.isel(time=slice(0, 3)), method="gradient", base_point=(0, 90), **options(model))


def test_teleconnection_puts_attention_beside_correlation(model: Model, data: xr.Dataset, no_computes: Any) -> None:
    with no_computes():
        lazy = compare_attention(data.chunk(time=40), (0, 90), variable="response", lag=1, **options(model))
    out = lazy.compute()
    np.testing.assert_allclose(out.attention.sum(), 1, rtol=1e-4)
    assert -1 <= float(out.pattern_correlation) <= 1
    standard = xfaconv.conform(data, **options(model)).response
    row, column = int(np.abs(standard.latitude.values).argmin()), int(np.abs(standard.longitude.values - 90).argmin())
    x, y = standard.values[1:, row, column], standard.values[:-1, 2, 3]
    assert float(out.correlation[2, 3]) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-5)
    for name in ("alpha", "domain", "number_of_cells"):
        assert name in out.attrs
    maps = xfaconv.attention(data, latitude=0, longitude=90, **options(model))
    np.testing.assert_allclose(out.attention, maps.isel(time=maps.full_warmup.values).mean("time"), atol=1e-6)


def test_regimes_of_fields_go_through_the_engine(model: Model, data: xr.Dataset) -> None:
    out = regimes(data, 3, repeats=0, surrogates=0, **options(model))
    again = regimes(xfaconv.embed(data, **options(model)), 3, repeats=0, surrogates=0)
    xr.testing.assert_equal(out, again)
    assert (out.label[:3] == 0).all()


@pytest.mark.parametrize(
    ("passed", "may", "words"),
    [
        ((1, 1, 1, 1, 1), True, "uses the regions it attends to, in these data."),
        ((1, 1, 1, 1, 0), True, "recurrence carries part of the information"),
        ((1, 1, 1, 0, 1), False, "may not claim that the map shows a relation in these data"),
        ((1, 0, 1, 1, 1), False, "may not claim that attention identifies them better"),
        ((0, 1, 1, 1, 1), False, "as what the network computes"),
        ((1, 1, 0, 1, 1), False, "No claim"),
    ],
)
def test_what_may_be_claimed_follows_from_what_passed(passed: tuple[int, ...], may: bool, words: str) -> None:
    found, claim = _claim(*passed)
    assert found is may
    assert words in claim
