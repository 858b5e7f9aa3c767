"""Units that convert but are wrong are refused where the values are read; odd climates are not."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv.adapt.plausible import Subject, check_plausible
from xfaconv.errors import ArgumentError, UnitsError
from xfaconv.grid import Grid


def relabelled(ds: xr.Dataset, name: str, units: str) -> xr.Dataset:
    return ds.assign({name: ds[name].assign_attrs(units=units)})


def celsius(ds: xr.Dataset, name: str) -> xr.Dataset:
    return ds.assign({name: (ds[name] - 273.15).assign_attrs(ds[name].attrs)})


def times(ds: xr.Dataset, name: str, factor: float) -> xr.Dataset:
    return ds.assign({name: (ds[name] * factor).assign_attrs(ds[name].attrs)})


def filled(ds: xr.Dataset, name: str, value: float) -> xr.Dataset:
    values = ds[name].values.copy()
    values[3, 2, 2] = value
    return ds.assign({name: (ds[name].dims, values, ds[name].attrs)})


WRONG = {
    "celsius called kelvin": (lambda ds: celsius(ds, "sst"), "sst", "+ 273.15"),
    "kelvin called celsius": (lambda ds: relabelled(ds, "t2m", "degC"), "t2m", "- 273.15"),
    "hectopascal called pascal": (lambda ds: times(ds, "msl", 0.01), "msl", "* 100"),
    "pascal called hectopascal": (lambda ds: relabelled(ds, "msl", "hPa"), "msl", "/ 100"),
    "a fill value": (lambda ds: filled(ds, "t2m", -9999.0), "t2m", "'the true fill value'"),
    "the fill value of netCDF": (lambda ds: filled(ds, "msl", 9.969209968386869e36), "msl", "'the true fill value'"),
}
CALLS = {
    "embed": lambda ds, model: xfaconv.embed(ds, model=model),
    "attention": lambda ds, model: xfaconv.attention(ds, 0, 30, model=model),
    "conform": lambda ds, model: xfaconv.conform(ds, model=model),
    "influence": lambda ds, model: xfaconv.influence(ds, (0, 30), model=model),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("lazy", [True, False])
def test_wrong_units_are_refused_and_mended(case: str, lazy: bool, no_computes) -> None:
    spoil, name, fix = WRONG[case]
    ds, model = spoil(worlds.world(20)), worlds.model()
    ds = ds.chunk(time=7) if lazy else ds
    with no_computes(0 if lazy else 10**6):
        results = [] if not lazy else [xfaconv.embed(ds, model=model)]
    with pytest.raises(UnitsError, match=f"variable {name!r} cannot be in units") as caught:
        [result.compute(scheduler="synchronous") for result in results] or xfaconv.embed(ds, model=model)
    assert fix in caught.value.fix
    assert "implausible='ignore'" in caught.value.fix
    assert caught.value.expected
    assert caught.value.found


@pytest.mark.parametrize("call", CALLS)
def test_every_reader_of_values_is_told(call: str) -> None:
    ds = celsius(worlds.world(20), "sst")
    with pytest.raises(UnitsError, match="variable 'sst'"):
        CALLS[call](ds, worlds.model()).compute()


def test_the_fix_is_code_that_works() -> None:
    ds = celsius(worlds.world(20), "sst")
    with pytest.raises(UnitsError) as caught:
        xfaconv.embed(ds, model=worlds.model())
    line = caught.value.fix.partition("  #")[0]
    exec(line, {"ds": ds})
    found = xfaconv.embed(ds, model=worlds.model())
    np.testing.assert_allclose(found, xfaconv.embed(worlds.world(20), model=worlds.model()), atol=1e-3)


def test_the_option_says_what_to_do() -> None:
    ds, model = celsius(worlds.world(20), "sst"), worlds.model()
    with xfaconv.set_options(implausible="warn"), pytest.warns(UserWarning, match="variable 'sst' cannot be"):
        warned = xfaconv.embed(ds, model=model)
    with xfaconv.set_options(implausible="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        ignored = xfaconv.embed(ds, model=model)
    np.testing.assert_array_equal(warned, ignored)
    assert np.isfinite(ignored).all()
    with pytest.raises(ArgumentError, match="implausible"):
        xfaconv.set_options(implausible="no")


def test_a_climatology_of_the_data_is_not_asked() -> None:
    ds = celsius(worlds.world(800), "sst")
    found = xfaconv.embed(ds, model=worlds.model(), climatology="data")
    np.testing.assert_allclose(
        found, xfaconv.embed(worlds.world(800), model=worlds.model(), climatology="data"), atol=1e-3
    )


MEAN, SCALE = worlds.climatology().coefficients[:, :1].astype("f8"), worlds.climatology().scale
CLIMATES = {
    "an ice age": lambda mean, scale: mean - 12,
    "a warm climate": lambda mean, scale: mean + 10,
    "a biased model": lambda mean, scale: mean + 8 * scale,
    "a still world": lambda mean, scale: mean,
    "storms": lambda mean, scale: mean + 12 * scale * np.sign(np.sin(np.arange(mean.size)).reshape(mean.shape)),
}


@pytest.mark.parametrize("climate", CLIMATES)
@pytest.mark.parametrize("number", range(3))
def test_odd_climates_are_let_through(climate: str, number: int) -> None:
    values = CLIMATES[climate](MEAN[number], SCALE[number])
    check_plausible(values, MEAN[number], SCALE[number], Subject("x", "K", worlds.GRID, "raise"))


def rain(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rain of a day [m]: mostly dry, a desert, and one cloudburst."""
    random = np.random.default_rng(seed)
    mean = np.broadcast_to(np.geomspace(1e-6, 8e-3, 40)[:, None], (40, 80))[None]
    values = mean * random.gamma(0.2, 5, mean.shape)
    values[0, 0, 5] = 0.02
    return values, mean, 2.2 * mean[0]


def test_rain_in_the_desert_is_let_through_and_wrong_powers_of_ten_are_not() -> None:
    values, mean, scale = rain()
    grid = Grid(tuple(np.arange(-87.75, 88, 4.5)), tuple(np.arange(80) * 4.5))
    region = Grid(tuple(np.linspace(-4, 4, 40)), tuple(np.linspace(0, 16, 80)))
    subject = Subject("tp", "m", grid, "raise", "water", never_negative=True)
    check_plausible(values, mean, scale, subject)
    check_plausible(values * 0, mean, scale, subject)
    check_plausible(values, mean, scale, replace(subject, grid=region))
    for factor, fix in ((1000, "/ 1000"), (1 / 1000, "* 1000")):
        with pytest.raises(UnitsError) as caught:
            check_plausible(values * factor, mean, scale, subject)
        assert f"(ds['tp'] {fix})" in caught.value.fix


@pytest.mark.parametrize("name", ["ncep-oisst", "amip"])
def test_the_samples_are_let_through(name: str) -> None:
    ds = xfaconv.tutorial.open_dataset(name)
    for variable in xfaconv.conform(ds).data_vars.values():
        assert np.abs(variable.compute()).max() < 30
