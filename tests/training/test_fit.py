"""fit: from scratch and from a model, the same seed, a lazy record, what the card says, and its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import xfaconv
from xfaconv.climatology import Climatology
from xfaconv.errors import ArgumentError, TimeError, VariableError
from xfaconv.training.seasonal import fit_record_climatology

SMALL = {
    "hidden": 8, "bottleneck": 4, "squeeze": 2, "attention_width": 8, "attention_heads": 2, "embedding": 8,
    "pooling_heads": 4, "temporal_heads": 2, "look_back": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> object:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def record(steps: int = 80, **coords: Any) -> xr.Dataset:
    """A regional record: a seasonal cycle, a wave that moves eastward, its opposite; one cell always missing."""
    time = xr.date_range("2000-01-01", periods=steps, freq="MS")
    latitude, longitude = np.arange(40.0, 28.0, -2.0), np.arange(-20.0, 0.0, 2.0)
    step = np.arange(steps)[:, None, None]
    season = 10 * np.cos(2 * np.pi * step / 12)
    wave = np.sin(np.arange(longitude.size)[None, None] * 0.6 - 0.5 * step) * np.ones((1, latitude.size, 1))
    sst = 290 + season + wave
    sst[:, 0, 0] = np.nan
    dims = ("time", "latitude", "longitude")
    return xr.Dataset(
        {
            "t2m": (dims, (280 + season - wave).astype("f4"), {"units": "K", "long_name": "2 metre temperature"}),
            "sst": (dims, sst.astype("f4"), {"units": "K", "long_name": "Sea surface temperature"}),
        },
        {"time": time, "latitude": latitude, "longitude": longitude, **coords},
        {"title": "planted waves"},
    )


def trained(ds: xr.Dataset, model: Any = None, **changes: Any) -> xfaconv.Model:
    settings = {"updates": 3, "batch": 2, "window": 5, "leads": (0, 1), "network": SMALL} | changes
    if model is not None:
        settings = {key: value for key, value in settings.items() if key not in ("leads", "network")}
    return xfaconv.fit(ds, model, **settings)


def same(first: xfaconv.Model, second: xfaconv.Model) -> bool:
    return first.sha256 == second.sha256


def test_climatology_of_a_lazy_record_equals_least_squares_in_numpy() -> None:
    ds = record()
    phase = (ds.time.dt.month.values - 0.5) / 12
    found = fit_record_climatology(ds.chunk(time=7, latitude=2), phase, 2)
    columns = [np.ones_like(phase)]
    for k in (1, 2):
        columns += [np.cos(2 * np.pi * k * phase), np.sin(2 * np.pi * k * phase)]
    basis = np.stack(columns, 1)
    values = ds.t2m.values.reshape(len(phase), -1).astype("f8")
    expected, *_ = np.linalg.lstsq(basis, values, rcond=None)
    assert np.allclose(found.coefficients[0].reshape(5, -1), expected, atol=1e-3)
    assert np.allclose(found.scale[0].reshape(-1), (values - basis @ expected).std(0), atol=1e-3)
    assert np.isnan(found.coefficients[1, :, 0, 0]).all()
    assert np.isfinite(found.coefficients[1, :, 1, 1]).all()


def test_same_seed_same_weights_lazy_or_not_and_the_data_are_left_alone() -> None:
    ds = record()
    untouched = ds.copy(deep=True)
    first, second = trained(ds, seed=5), trained(ds.chunk(time=9, longitude=4), seed=5)
    assert same(first, second)
    assert not same(first, trained(ds, seed=6))
    xr.testing.assert_identical(ds, untouched)


def test_card_says_what_it_was_trained_on() -> None:
    card = trained(record(), name="waves").card
    assert (card.name, card.source, card.step, card.data) == ("waves", "user", "1M", "planted waves")
    assert [variable.name for variable in card.variables] == ["t2m", "sst"]
    assert [variable.partly_missing for variable in card.variables] == [False, True]
    assert card.years["train"] == "2000-01-01 to 2005-04-01"
    assert card.years["validation"].endswith("2006-08-01")
    assert card.metrics["history"][-1]["update"] == 3
    assert card.network.domain == (29.0, 41.0, 339.0, 359.0)
    assert not card.network.periodic


def test_trained_model_embeds_its_own_data_after_save_and_load(tmp_path: Path) -> None:
    ds = record()
    model = trained(ds)
    model.save(tmp_path / "waves.safetensors")
    loaded = xfaconv.load_model(tmp_path / "waves.safetensors")
    assert same(model, loaded)
    xr.testing.assert_equal(xfaconv.embed(ds, model=model), xfaconv.embed(ds, model=loaded))


def test_fine_tuning_starts_from_the_model_and_keeps_its_climatology(tmp_path: Path) -> None:
    ds = record()
    start = trained(ds, updates=5)
    tuned = trained(ds, start, updates=1, learning_rate=1e-6)
    assert tuned.card.title.endswith("fine-tuned")
    before, after = start.trainable_network().state_dict(), tuned.trainable_network().state_dict()
    assert all(torch.allclose(before[name], after[name], atol=1e-5) for name in before)
    assert isinstance(tuned.climatology, Climatology)
    assert np.array_equal(tuned.climatology.scale, start.climatology.scale, equal_nan=True)


def test_interrupted_fit_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    ds = record()
    whole = trained(ds, updates=60)

    class Interrupted(Exception):
        pass

    from xfaconv.training import loop

    original, calls = loop.training_loss, []

    def interrupting(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) > 70:
            raise Interrupted
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "training_loss", interrupting)
        with pytest.raises(Interrupted):
            trained(ds, updates=120, checkpoint=tmp_path / "run.checkpoint")
    resumed = trained(ds, updates=120, checkpoint=tmp_path / "run.checkpoint")
    assert same(resumed, trained(ds, updates=120))
    assert not same(resumed, whole)


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
        trained(record(), **change)


def test_unknown_variables_are_named() -> None:
    ds = record().rename(t2m="foo", sst="bar")
    for name in ds.data_vars:
        ds[name].attrs = {"units": "1"}
    with pytest.raises(VariableError, match="no variable of the Dataset is recognised"):
        trained(ds)
    assert [v.name for v in trained(ds, variables=["bar"]).card.variables] == ["bar"]


def test_members_are_refused() -> None:
    ds = xr.concat([record(), record()], xr.DataArray([0, 1], dims="number", name="number"))
    with pytest.raises(ArgumentError, match="fit takes one member"):
        trained(ds)
