"""Training data: one way in for recipes and users, the anomalies of `climatology="data"`, and the split in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import xarray as xr

from tests.conftest import raise_if_dask_computes
from tests.training.records import months, waves
from xfaconv import tutorial
from xfaconv.adapt import InputSpec, adapt
from xfaconv.adapt.survey import survey
from xfaconv.climatology import fit_climatology, month_basis, seasonal_basis
from xfaconv.models import Model, list_models, load_model
from xfaconv.training.data import TrainingData, chosen_variables, user_data
from xfaconv.training.recipes import RECIPES, recipe_data


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_has_its_packaged_model(name: str) -> None:
    recipe, card = RECIPES[name], load_model(name).card
    assert name in list_models()
    changes = {entry: value for stage in recipe.stages for entry, value in stage.changes.items()}
    kept = {} if recipe.kept_eofs is None else {"eofs": recipe.kept_eofs}
    assert card.network == replace(recipe.network, **changes, **kept)
    assert card.metrics["updates"] == recipe.updates()
    assert (card.known_failures, card.description) == (recipe.words.known_failures, recipe.words.description)
    assert card.variables == recipe.variables
    assert (card.segment, card.warmup, card.step) == (recipe.segment, recipe.warmup, recipe.step)


def target(model: Model) -> InputSpec:
    return InputSpec(model.card.variables, model.card.grid, model.card.step, model.climatology)


def test_conform_gives_what_the_monthly_network_was_trained_on(shared_data: Path) -> None:
    """Apart from the spread: that of the packaged weights has another floor, the unweighted root mean square."""
    recipe, model = RECIPES["ncep-monthly-2p5deg"], load_model("ncep-monthly-2p5deg")
    data = recipe_data(recipe, shared_data)
    last = slice(-12, None)
    with xr.open_dataset(shared_data / recipe.files, chunks={}) as ds:
        conformed = adapt(ds.isel(time=last), target(model))
        assert conformed.grid.matches(data.grid)
        for position, variable in enumerate(model.card.variables):
            packaged = model.climatology.scale[position]
            found = conformed.data[variable.name].values * packaged
            expected = data.fields[position][last] * data.climatology.scale[position]
            error = np.abs(found - expected) / packaged
            assert np.nanmax(error) < 5e-3, variable.name
            assert (np.isnan(found) == np.isnan(expected)).all()


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


def test_absent_training_data_are_named(tmp_path: Path) -> None:
    from xfaconv.errors import VariableError

    with pytest.raises(VariableError, match="no training data ncep-oisst-monthly"):
        recipe_data(RECIPES["ncep-monthly-2p5deg"], tmp_path)


def with_holes(ds: xr.Dataset) -> xr.Dataset:
    """Missing values here and there, a cell with a value in summer only, and one with too few values."""
    random = np.random.default_rng(2)
    holes = random.random(ds.t2m.shape) < 0.25
    holes[:, 2, 3] = ds.time.dt.month.values % 12 > 2
    holes[10:, 3, 3] = True
    return ds.assign(t2m=ds.t2m.where(~holes).assign_attrs(ds.t2m.attrs))


def noisy(ds: xr.Dataset) -> xr.Dataset:
    random = np.random.default_rng(1)
    return ds.map(lambda field: (field + random.normal(0, 2, field.shape)).astype("f4").assign_attrs(field.attrs))


RECORDS = {
    "ncep-oisst": lambda: tutorial.open_dataset("ncep-oisst").load(),
    "missing values": lambda: with_holes(noisy(waves(120))),
}


def standardised(ds: xr.Dataset, names: Sequence[str]) -> list[np.ndarray]:
    specs = chosen_variables(survey(ds), names)
    conformed = adapt(ds, InputSpec(specs), regrid=None, climatology="data").data
    return [conformed[spec.name].values for spec in specs]


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("chunks", [None, {"time": 17}])
def test_training_standardises_as_conform_does_with_the_datas_own_climatology(
    name: str, chunks: dict[str, int] | None
) -> None:
    """To 1e-6, whichever of the two is lazy: a network reads what it was trained on."""
    ds = RECORDS[name]()
    names = [str(name) for name in ds.data_vars]
    given = ds.chunk(chunks) if chunks else ds
    with raise_if_dask_computes(allowed=1):
        data = user_data(given, None, names, validation=0.0, length=4)
    for found, expected in zip(data.fields, standardised(ds, names), strict=True):
        found = np.asarray(found)
        assert np.isfinite(expected).any()
        assert (np.isnan(found) == np.isnan(expected)).all()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_recipes_and_users_read_the_same_data_in_the_same_way(shared_data: Path) -> None:
    recipe = replace(RECIPES["ncep-monthly-2p5deg"], train=("1981-12", "2009-12"), test=("2013-09", "2018-12"))
    data = recipe_data(recipe, shared_data)
    names = [variable.name for variable in recipe.variables]
    with xr.open_dataset(shared_data / recipe.files, chunks={}) as ds:
        users = user_data(ds, None, names, validation=108 / 445, length=44)
        assert (users.train, users.test) == (data.train, data.test)
        trained = standardised(ds.isel(time=data.train), names)
    assert users.grid.matches(data.grid)
    assert [v.partly_missing for v in users.variables] == [v.partly_missing for v in recipe.variables]
    for ours, theirs, conformed in zip(data.fields, users.fields, trained, strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=0, atol=1e-6)
        np.testing.assert_allclose(ours[data.train], conformed, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(data.climatology.scale, users.climatology.scale)


def climatology_of(ds: xr.Dataset, name: str = "t2m") -> tuple[np.ndarray, np.ndarray]:
    data: TrainingData = user_data(ds[[name]], None, [name], validation=0.0, length=4)
    return data.climatology.coefficients[0], data.climatology.scale[0]


def test_climatology_of_a_lazy_record_equals_least_squares_in_numpy() -> None:
    ds = waves()
    phase = (np.arange(80) % 12 + 0.5) / 12
    columns = [np.ones_like(phase)]
    for k in (1, 2):
        columns += [np.cos(2 * np.pi * k * phase), np.sin(2 * np.pi * k * phase)]
    basis = np.stack(columns, 1)
    values = ds.t2m.values[:, ::-1].reshape(len(phase), -1).astype("f8")
    expected, *_ = np.linalg.lstsq(basis, values, rcond=None)
    coefficients, spread = climatology_of(ds.chunk(time=7, latitude=2))
    assert np.allclose(coefficients.reshape(5, -1), expected, atol=1e-3)
    residual = values - basis @ expected
    assert np.allclose(spread.reshape(-1), np.sqrt((residual**2).sum(0) / (80 - 5)), atol=1e-3)
    coefficients, _ = climatology_of(ds, "sst")
    assert np.isnan(coefficients[:, -1, 0]).all()
    assert np.isfinite(coefficients[:, 1, 1]).all()


def test_one_missing_step_costs_a_variable_nothing() -> None:
    ds = waves()
    holes = ds.assign(t2m=ds.t2m.where(ds.time != ds.time[7]).assign_attrs(ds.t2m.attrs))
    found = climatology_of(holes.chunk(time=11))
    for one, other in zip(found, climatology_of(ds), strict=True):
        assert np.allclose(one, other, atol=0.2)
    basis = seasonal_basis((np.arange(80) % 12 + 0.5) / 12, 2)
    there = np.arange(80) != 7
    area = np.ones(6)
    alone = fit_climatology(ds.t2m.values[there], basis[there], area)
    for one, other in zip(fit_climatology(holes.t2m.values, basis, area), alone, strict=True):
        assert np.allclose(one, other, atol=1e-9)


def values(seed: int, steps: int = 96) -> np.ndarray:
    """Noise on a large mean, (time, latitude, longitude), with cells of other spreads and missing values."""
    random = np.random.default_rng(seed)
    out = 280 + random.normal(size=(steps, 4, 6)) * np.linspace(0.05, 3, 24).reshape(4, 6)
    out[random.random(out.shape) < 0.1] = np.nan
    out[10:, 1, 1] = np.nan
    out[11:, 1, 2] = np.nan
    return out


def test_a_cell_needs_more_than_twice_as_many_values_as_terms() -> None:
    full = values(0)
    full[:11, 1, 1:3] = 280 + np.random.default_rng(9).normal(size=(11, 2))
    full[10, 1, 1] = np.nan
    coefficients, spread = fit_climatology(full, seasonal_basis(np.arange(96) / 12, 2), np.ones(4))
    assert np.isnan(spread[1, 1])
    assert np.isnan(coefficients[:, 1, 1]).all()
    assert np.isfinite(spread[1, 2])
    assert np.isfinite(np.delete(spread.ravel(), 7)).all()


def test_the_floor_is_three_tenths_of_the_area_weighted_root_mean_square() -> None:
    full, area = values(1), np.array([1.0, 2.0, 2.0, 1.0])
    basis = seasonal_basis(np.arange(96) / 12, 2)
    _, free = fit_climatology(full, basis)
    _, floored = fit_climatology(full, basis, area)
    weight = np.where(np.isfinite(free), area[:, None], 0.0)
    floor = 0.3 * np.sqrt(np.nansum(weight * free**2) / weight.sum())
    assert (free < floor).any()
    np.testing.assert_allclose(floored, np.maximum(free, floor), rtol=1e-5)


@pytest.mark.parametrize("chunks", [(96, 4, 6), (17, 4, 6), (17, 3, 2)])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_fit_does_not_depend_on_chunks_and_computes_nothing_beforehand(
    chunks: tuple[int, ...], weighted: bool
) -> None:
    import dask.array as da

    full, basis, area = values(2), seasonal_basis(np.arange(96) / 12, 2), np.ones(4) if weighted else None
    expected = fit_climatology(full, basis, area)
    with raise_if_dask_computes():
        found = fit_climatology(da.from_array(full, chunks=chunks), basis, area)
    for lazy, eager in zip(found, expected, strict=True):
        np.testing.assert_allclose(lazy.compute(), eager, rtol=1e-9, atol=1e-9)


def test_months_have_their_means_and_one_without_values_none() -> None:
    full, month = values(3), np.arange(96) % 12 + 1
    full[month == 5, 0, 0] = np.nan
    coefficients, spread = fit_climatology(full, month_basis(month), fewest=1)
    expected = xr.DataArray(full, {"time": months(96)}, ("time", "y", "x")).groupby("time.month").mean().values
    np.testing.assert_allclose(coefficients, expected, rtol=1e-12)
    assert np.isnan(coefficients[4, 0, 0])
    residual = full - coefficients[month - 1]
    count = np.isfinite(residual).sum(axis=0)
    several = count > 24
    variance = np.nansum(residual**2, axis=0) / np.maximum(count - 12, 1)
    np.testing.assert_allclose(spread[several] ** 2, variance[several], rtol=1e-7)


def test_members_are_more_years_and_any_axis_of_time_is_taken() -> None:
    members, basis = np.stack([values(4), values(5)]), seasonal_basis(np.arange(96) / 12, 2)
    both = fit_climatology(members, basis, np.ones(4))
    long = fit_climatology(np.concatenate(list(members)), np.concatenate([basis, basis]), np.ones(4))
    series = fit_climatology(members[0, :, 2, 3], basis, axis=0)
    alone = fit_climatology(members[0], basis)
    for one, other in zip(both, long, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    np.testing.assert_allclose(series[0], alone[0][:, 2, 3], rtol=1e-9, atol=1e-9)


def test_a_short_season_of_every_year_is_fitted_by_least_squares_without_a_ridge() -> None:
    """Winter days alone hardly determine three harmonics; what is fitted to them is least squares all the same."""
    day = np.concatenate([np.arange(90) + 365 * year for year in range(4)])
    basis = seasonal_basis(day / 365, 3)
    series = 280 + 0.1 * (day % 365) + np.random.default_rng(6).normal(size=(len(day), 1, 1))
    coefficients, _ = fit_climatology(series, basis)
    expected = basis.astype("f8") @ scipy.linalg.lstsq(basis.astype("f8"), series[:, 0, 0])[0]
    np.testing.assert_allclose(basis.astype("f8") @ coefficients[:, 0, 0], expected, atol=1e-4)
