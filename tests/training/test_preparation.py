"""The packaged models are applied to what they were trained on: conform gives what the training script prepared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from xfaconv.adapt import InputSpec, adapt
from xfaconv.models import Model, list_models, load_model
from xfaconv.training.preparation import prepare
from xfaconv.training.recipes import RECIPES


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_has_its_packaged_model(name: str) -> None:
    recipe, card = RECIPES[name], load_model(name).card
    assert name in list_models()
    changes = {name: value for stage in recipe.stages for name, value in stage.changes.items()}
    assert card.network == replace(recipe.network, **changes)
    assert card.metrics["updates"] == sum(stage.schedule.updates for stage in recipe.stages)
    assert (card.known_failures, card.description) == (recipe.text["known_failures"], recipe.text["description"])
    assert card.variables == recipe.variables
    assert (card.segment, card.warmup, card.step) == (recipe.segment, recipe.warmup, recipe.step)


def test_conform_gives_what_the_monthly_network_was_trained_on(shared_data: Path) -> None:
    recipe, model = RECIPES["ncep-monthly-2p5deg"], load_model("ncep-monthly-2p5deg")
    prepared = prepare(recipe, shared_data)
    last = slice(-12, None)
    with xr.open_dataset(shared_data / recipe.files, chunks={}) as ds:
        conformed = adapt(ds.isel(time=last), target(model))
        assert conformed.grid.matches(prepared.grid)
        for position, variable in enumerate(model.card.variables):
            found = conformed.data[variable.name].values
            np.testing.assert_allclose(found, prepared.anomalies[last, position], atol=5e-3, err_msg=variable.name)


def test_conform_gives_anomalies_of_the_simulation_by_hand(shared_data: Path) -> None:
    model = load_model("amip-daily-5p6deg")
    assert model.climatology is not None
    with xr.open_dataset(shared_data / "amip" / "amip-daily-5p6deg-2008.nc", chunks={}) as ds:
        part = ds.isel(time=slice(50, 70))
        found = adapt(part, target(model)).data
        phase = (part.time.dt.dayofyear.values - 1 + 0.5) / 366
        mean = model.climatology.evaluate(phase)
        for position, variable in enumerate(model.card.variables):
            expected = (part[variable.name].values - mean[:, position]) / model.climatology.scale[position]
            np.testing.assert_allclose(found[variable.name].values, expected, atol=5e-3, err_msg=variable.name)


def target(model: Model) -> InputSpec:
    return InputSpec(model.card.variables, model.card.grid, model.card.step, model.climatology)


def test_absent_training_data_are_named(tmp_path: Path) -> None:
    from xfaconv.errors import VariableError

    with pytest.raises(VariableError, match="no training data ncep-oisst-monthly"):
        prepare(RECIPES["ncep-monthly-2p5deg"], tmp_path)
