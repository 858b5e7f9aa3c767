"""fit: from scratch and from a model, the same seed, a lazy record, what the card says, and its errors."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import xfaconv
from tests.training.records import waves
from xfaconv.climatology import Climatology
from xfaconv.errors import ArgumentError, ModelFileError, TimeError, VariableError
from xfaconv.training.objective import Objective

SMALL = {
    "hidden": 8, "bottleneck": 4, "attention_width": 8, "attention_heads": 2, "embedding": 8,
    "look_back": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> object:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained(ds: xr.Dataset, model: Any = None, **changes: Any) -> xfaconv.Model:
    settings = {"updates": 3, "batch": 2, "window": 5, "leads": (0, 1), "network": SMALL} | changes
    if model is not None:
        settings = {key: value for key, value in settings.items() if key not in ("leads", "network")}
    return xfaconv.fit(ds, model, **settings)


def same(first: xfaconv.Model, second: xfaconv.Model) -> bool:
    return first.sha256 == second.sha256


def test_same_seed_same_weights_lazy_or_not_and_the_data_are_left_alone() -> None:
    ds = waves()
    untouched = ds.copy(deep=True)
    first, second = trained(ds, seed=5), trained(ds.chunk(time=9, longitude=4), seed=5)
    assert same(first, second)
    assert not same(first, trained(ds, seed=6))
    xr.testing.assert_identical(ds, untouched)


def test_card_says_what_it_was_trained_on() -> None:
    card = trained(waves(), name="waves").card
    assert (card.name, card.source, card.step, card.data) == ("waves", "user", "1M", "planted waves")
    assert [variable.name for variable in card.variables] == ["t2m", "sst"]
    assert [variable.partly_missing for variable in card.variables] == [False, True]
    assert card.years["train"] == "2000-01-01 to 2005-04-01"
    assert card.years["validation"].endswith("2006-08-01")
    assert card.metrics["history"][-1]["update"] == 3
    assert card.network.domain == (29.0, 41.0, 339.0, 359.0)
    assert not card.network.periodic


def test_trained_model_embeds_its_own_data_after_save_and_load(tmp_path: Path) -> None:
    ds = waves()
    model = trained(ds)
    model.save(tmp_path / "waves.safetensors")
    loaded = xfaconv.load_model(tmp_path / "waves.safetensors")
    assert same(model, loaded)
    xr.testing.assert_equal(xfaconv.embed(ds, model=model), xfaconv.embed(ds, model=loaded))


def test_fine_tuning_starts_from_the_model_and_keeps_its_climatology(tmp_path: Path) -> None:
    ds = waves()
    start = trained(ds, updates=5)
    tuned = trained(ds, start, updates=1, learning_rate=1e-6)
    assert tuned.card.title.endswith("fine-tuned")
    # The statistics that gates standardise by follow the data at once, whatever the learning rate.
    before, after = (dict(model.trainable_network().named_parameters()) for model in (start, tuned))
    assert all(torch.allclose(before[name], after[name], atol=1e-5) for name in before)
    assert isinstance(tuned.climatology, Climatology)
    assert np.array_equal(tuned.climatology.scale, start.climatology.scale, equal_nan=True)


def test_interrupted_fit_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    ds = waves()
    shorter = trained(ds, updates=5)

    class Interrupted(Exception):
        pass

    from xfaconv.training import loop

    original, calls = loop.training_loss, []

    def interrupting(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) > 55:
            raise Interrupted
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "training_loss", interrupting)
        with pytest.raises(Interrupted):
            trained(ds, updates=60, checkpoint=tmp_path / "run.checkpoint")
    assert (tmp_path / "run.checkpoint").exists()
    resumed = trained(ds, updates=60, checkpoint=tmp_path / "run.checkpoint")
    assert same(resumed, trained(ds, updates=60))
    assert not same(resumed, shorter)


def test_a_finished_fit_comes_back_without_work_and_can_be_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xfaconv.training import fitting, loop

    ds, file = waves(), tmp_path / "run.checkpoint"
    first = trained(ds, updates=6, checkpoint=file, validation=0.3)
    assert first.card.metrics["forecast"]
    extended_file = tmp_path / "extended.checkpoint"
    extended_file.write_bytes(file.read_bytes())

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("work that was done before")

    with monkeypatch.context() as patch:
        for module, name in (
            (loop, "training_loss"),
            (fitting, "forecast_skill"),
            (fitting, "start_from_damped_persistence"),
        ):
            patch.setattr(module, name, refuse)
        again = trained(ds, updates=6, checkpoint=file, validation=0.3)
    assert same(first, again)
    assert again.card.metrics == first.card.metrics
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "forecast_skill", lambda *_, **__: {"measured": "again"})
        extended = trained(ds, updates=9, checkpoint=extended_file, validation=0.3)
    assert [entry["update"] for entry in extended.card.metrics["history"]] == [6, 9]
    assert extended.card.metrics["updates"] == 9
    assert extended.card.metrics["extended"] == [6, 9]
    assert extended.card.metrics["forecast"] == {"measured": "again"}, "not those of the shorter run"
    with pytest.raises(ModelFileError, match="another schedule"):
        trained(ds, updates=6, checkpoint=extended_file, validation=0.3)


def test_progress_shows_both_losses_and_the_time_that_remains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.checkpoint"
    model = trained(waves(), updates=52, checkpoint=file, progress=True)
    shown = capsys.readouterr().err.split("\r")[-1]
    validation = model.card.metrics["history"][-1]["validation"]
    assert "52/52" in shown
    assert f"loss={model.card.metrics['history'][-1]['loss']:.3f}" in shown
    assert f"validation={validation:.3f}" in shown
    assert "<00:00" in shown
    trained(waves(), updates=52, checkpoint=file, progress=True)
    assert "52/52" in capsys.readouterr().err.split("\r")[-1]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"updates": 0}, ArgumentError, "updates cannot be used"),
        ({"window": 1}, ArgumentError, "window cannot be used"),
        ({"validation": 0.9}, ArgumentError, "validation cannot be used"),
        ({"leads": (3, 1)}, ArgumentError, "leads cannot be used"),
        ({"variables": ["t2m", "q"]}, VariableError, r"variables \['q'\] are not in the Dataset"),
        ({"window": 79}, TimeError, "the record is too short to train on"),
    ],
)
def test_bad_arguments_say_what_and_how_to_mend_it(change: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        trained(waves(), **change)


def test_unknown_variables_are_named() -> None:
    ds = waves().rename(t2m="foo", sst="bar")
    for name in ds.data_vars:
        ds[name].attrs = {"units": "1"}
    with pytest.raises(VariableError, match="no variable of the Dataset is recognised"):
        trained(ds)
    assert [v.name for v in trained(ds, variables=["bar"]).card.variables] == ["bar"]


def test_members_are_refused() -> None:
    ds = xr.concat([waves(), waves()], xr.DataArray([0, 1], dims="number", name="number"))
    with pytest.raises(ArgumentError, match="fit takes one member"):
        trained(ds)


def test_a_checkpoint_of_other_data_or_another_question_is_refused(tmp_path: Path) -> None:
    """Whatever decides the run: were it taken, the card would describe what the weights never saw."""
    ds = waves()
    model = trained(ds)
    file = tmp_path / "run.checkpoint"
    trained(ds, checkpoint=file)
    assert same(trained(ds, checkpoint=file), model), "that of the same run is taken"
    moved = ds.assign_coords(time=xr.date_range("1990-01-01", periods=ds.sizes["time"], freq="MS"))
    others: list[tuple[str, xr.Dataset, dict[str, Any]]] = [
        ("data", ds.assign(t2m=ds.t2m + 0.5 * ds.t2m.isel(longitude=slice(None, None, -1)).values), {}),
        ("network", ds.assign_coords(latitude=ds.latitude + 1), {}),
        ("network", ds, {"leads": (0, 2)}),
        ("network", ds, {"network": {**SMALL, "hidden": 12}}),
        ("objective", ds, {"objective": Objective(warm_steps=4, sector_share=0.1)}),
        ("spans", ds, {"validation": 0.3}),
        ("years", moved, {}),
        ("variables", ds.rename(t2m="skt"), {"variables": ["skt", "sst"]}),
    ]
    for what, other, changes in others:
        with pytest.raises(ModelFileError, match=f"belongs to a run with another {what}"):
            trained(other, checkpoint=file, **changes)
    tuned = tmp_path / "tuned.checkpoint"
    trained(ds, model, checkpoint=tuned)
    with pytest.raises(ModelFileError, match="another model to start from"):
        trained(ds, trained(ds, seed=9), checkpoint=tuned)


def test_a_variable_that_is_nearly_always_missing_is_refused() -> None:
    ds = waves()
    with pytest.raises(VariableError, match="'t2m' has too few values for a climatology in every cell"):
        trained(ds.assign(t2m=ds.t2m.where(ds.time < ds.time[8])))


def test_the_forecast_of_variables_that_are_missing_or_constant_is_left_out() -> None:
    """Without some of the model's variables, and with one that is constant, cards can be written."""
    ds = waves(160)
    start = trained(ds)
    with xfaconv.set_options(absent="climatology"), pytest.warns(UserWarning, match="the data lack sst"):
        tuned = trained(ds[["t2m"]], start)
    assert list(tuned.card.metrics["forecast"]["lead 1"]) == ["t2m"]
    still = trained(ds.assign(sst=ds.sst * 0 + 280))
    assert set(still.card.metrics["forecast"]["lead 1"]["sst"]) == {
        "rmse", "rmse_persistence", "rmse_damped_persistence"
    }  # fmt: skip


def test_fine_tuning_on_a_part_of_the_models_grid_gives_a_model_of_that_part() -> None:
    ds = waves()
    start = trained(ds)
    part = ds.isel(latitude=slice(1, 5), longitude=slice(2, 9))
    tuned = trained(part, start)
    assert tuned.card.grid.shape == (4, 7)
    assert tuned.card.network.domain == start.card.network.domain
    found = xfaconv.embed(part, model=tuned).compute()
    assert np.isfinite(found).all()


def test_validation_stands_behind_a_gap_that_the_card_tells() -> None:
    time = waves(80).time.values
    for steps, validation, gap in ((80, 0.2, 6), (80, 0.1, 2)):
        card = trained(waves(steps), validation=validation).card
        held = round(validation * steps)
        assert card.years["gap"] == f"{gap} steps between training and validation"
        assert card.years["validation"].startswith(str(time[steps - held + gap])[:10])
        assert any("optimistic" in text for text in card.known_failures)
    with pytest.raises(TimeError, match="what is held back is too short to validate on"):
        trained(waves(60), validation=0.05)


@pytest.mark.parametrize(
    "changes",
    [
        {"look_back": 0}, {"pooling": "max"}, {"hidden": 0}, {"architecture": "foo"}, {"variables": 3},
        {"leads": (0, 1)}, {"attention_every": -1}, {"periodic": "yes"},
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_is_refused_before_it_is_trained(changes: dict[str, Any]) -> None:
    module = importlib.import_module("xfaconv.training.fitting")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "train", lambda *_, **__: pytest.fail("it was trained first"))
        with pytest.raises(ArgumentError, match="network"):
            trained(waves(), network={**SMALL, **changes})


def test_a_fine_tuned_card_keeps_the_words_of_the_first_model_apart() -> None:
    ds = waves()
    start = trained(ds).updated(
        description="Nothing in it has seen an observation.", known_failures=("It knows little.",)
    )
    card = trained(ds, start).card
    assert card.description.startswith("Fine-tuned by its user on: planted waves.")
    assert "Initial model: Nothing in it has seen an observation." in card.description
    assert "Known failure of the initial model: It knows little." in card.known_failures
    assert any("2000-01-01 to 2005-04-01" in text for text in card.known_failures), "years that are not new to it"


def test_arguments_that_would_be_ignored_are_refused() -> None:
    ds = waves()
    start = trained(ds)
    with pytest.raises(ArgumentError, match="network is the model's own"):
        xfaconv.fit(ds, start, updates=1, window=5, network=SMALL)
    with pytest.raises(ArgumentError, match="variables is the model's own"):
        xfaconv.fit(ds, start, updates=1, window=5, variables=["t2m"])
    with pytest.raises(ArgumentError, match="patience needs years held back"):
        trained(ds, validation=0, patience=2)
    with pytest.raises(ArgumentError, match="mixed_precision cannot be used"):
        trained(ds, mixed_precision="bfloat16")


def test_mixed_precision_learns_alike_and_keeps_weights_in_single_precision() -> None:
    """On a CPU as on a GPU by torch's autocast: other digits, the same weights to a percent of their updates' size."""
    ds = waves()
    plain, mixed = trained(ds, updates=20), trained(ds, updates=20, mixed_precision=True)
    assert not same(plain, mixed)
    first, second = plain.trainable_network().state_dict(), mixed.trainable_network().state_dict()
    assert all(value.dtype == torch.float32 for value in second.values())
    losses = [model.card.metrics["history"][-1]["loss"] for model in (plain, mixed)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 0.05


def test_gradients_are_clipped_to_the_norm_asked_for() -> None:
    from xfaconv.training import loop

    norms: list[float] = []
    original = torch.nn.utils.clip_grad_norm_

    def watching(parameters: Any, largest: float) -> Any:
        parameters = list(parameters)
        out = original(parameters, largest)
        grads = [value.grad for value in parameters if value.grad is not None]
        norms.append(float(torch.stack([grad.norm() for grad in grads]).norm()))
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.nn.utils, "clip_grad_norm_", watching)
        trained(waves().map(lambda field: field + 30 * np.sin(field)))
    assert len(norms) == 3
    assert max(norms) <= 1.0 + 1e-4


def test_an_interpolation_is_fitted_to_the_years_of_training_alone_and_kept(tmp_path: Path) -> None:
    """The held-back years do not reach the patterns; folds leave none of their own behind; a run goes on exactly."""
    ds, network = waves(), SMALL | {"eofs": 4, "leading_eofs": 2}
    whole = trained(ds, network=network)
    changed = ds.copy(deep=True)
    changed["t2m"][-10:] += 3.0
    other = trained(changed, network=network)
    found, same_found = (model.network().interpolation for model in (whole, other))
    assert int(found.patterns.abs().max()) == 127
    assert torch.equal(found.patterns, same_found.patterns)
    assert torch.equal(found.regression, same_found.regression)
    options = {"network": network, "checkpoint": tmp_path / "run.checkpoint"}
    trained(ds, **options, updates=2)
    assert same(trained(ds, **options), trained(ds, network=network))


def test_a_record_too_short_for_the_eofs_is_refused() -> None:
    with pytest.raises(ArgumentError, match="too short for the EOFs"):
        trained(waves(), network=SMALL | {"eofs": 500})
