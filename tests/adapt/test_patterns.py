"""Values are held against the pattern of the climatology: true ones pass however they are cut, spoiled ones do not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xfaconv
from tests.conftest import raise_if_dask_computes
from xfaconv.adapt import InputSpec, adapt
from xfaconv.adapt.plausible import Subject, check_plausible
from xfaconv.climatology import Climatology, seasonal_basis, seasonal_mean
from xfaconv.errors import UnitsError, XFaconvError
from xfaconv.grid import Grid

MODELS = {"amip": "amip-daily-5p6deg", "ncep-oisst": "ncep-monthly-2p5deg"}
# Steps that are surely enough for every variable, v250 and the tropics of tp among them.
ENOUGH = {"amip": 30, "ncep-oisst": 24}
NAMES = {sample: tuple(xfaconv.tutorial.open_dataset(sample).data_vars) for sample in MODELS}
PAIRS = [(sample, str(name)) for sample, names in NAMES.items() for name in names]


@cache
def sample(name: str) -> xr.Dataset:
    return xfaconv.tutorial.open_dataset(name).load()


@cache
def spec(name: str, variable: str) -> InputSpec:
    """What the model reads of one variable alone."""
    model = xfaconv.load_model(MODELS[name])
    card, number = model.card, [entry.name for entry in model.card.variables].index(variable)
    own = slice(number, number + 1)
    climatology = Climatology(model.climatology.coefficients[own], model.climatology.scale[own])
    return InputSpec(card.variables[own], card.grid, card.step, climatology)


@cache
def physical(name: str, variable: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, seasonal mean and spread on the model's grid."""
    target = spec(name, variable)
    read = adapt(sample(name)[[variable]], target, climatology=None)
    basis = seasonal_basis(read.time.year_phase, target.climatology.harmonics)
    mean = seasonal_mean(basis, target.climatology.coefficients[0])
    return read.data[variable].values.astype("f8"), mean, target.climatology.scale[0]


def changed(ds: xr.Dataset, name: str, change: Callable[[xr.DataArray], xr.DataArray]) -> xr.Dataset:
    return ds.assign({name: change(ds[name]).assign_attrs(ds[name].attrs)})


def lines_of(fix: str) -> list[str]:
    return re.findall(r"ds\[[^\]]*\] = .*?(?=  #|; if)", fix)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    pair=st.sampled_from(PAIRS),
    steps=st.sampled_from([1, 1, 2, 7, 30, 90]),
    cut=st.tuples(*[st.floats(0, 1)] * 5),
    whole=st.booleans(),
)
def test_true_values_pass_however_they_are_cut(pair, steps, cut, whole):
    values, mean, scale = physical(*pair)
    grid = spec(*pair).grid
    size = (values.shape[0] - steps, *(length - 2 for length in grid.shape))
    start, south, west = (round(length * part) for length, part in zip(size, cut, strict=False))
    height, width = (2 + round(part * (length - 2)) for part, length in zip(cut[3:], grid.shape, strict=True))
    rows = slice(None) if whole else slice(south, south + height)
    columns = slice(None) if whole else slice(west, west + width)
    region = Grid(grid.latitude[rows], grid.longitude[columns])
    part = np.s_[start : start + steps, rows, columns]
    subject = Subject(pair[1], "", region, "raise", persistence=5 if pair[0] == "amip" else 2)
    check_plausible(values[part], mean[part], scale[rows, columns], subject)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("chunk", [1, 11, None])
def test_the_samples_pass_in_any_chunks_without_a_warning(name, chunk):
    ds = sample(name).isel(time=slice(5, 40))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xfaconv.conform(ds if chunk is None else ds.chunk(time=chunk)).compute(scheduler="synchronous")


SPOILS: Mapping[str, tuple[Callable[[xr.DataArray], xr.DataArray], bool]] = {
    "the other sign": (lambda v: -v, True),
    "ten times": (lambda v: v * 10, True),
    "a tenth": (lambda v: v / 10, True),
    "upside down": (lambda v: v.copy(data=v.values[:, ::-1]), True),
    "half round": (lambda v: v.copy(data=np.roll(v.values, v.shape[2] // 2, axis=2)), True),
    "upside down and counted the other way": (lambda v: -v.copy(data=v.values[:, ::-1]), False),
    "anomalies from their mean": (lambda v: v - v.mean("time"), False),
    "anomalies from the months": (lambda v: v.groupby("time.month") - v.groupby("time.month").mean(), False),
    "anomalies about zero degrees": (lambda v: v - v.mean("time") + 273.15 * (v.attrs["units"] == "K"), False),
}


@settings(derandomize=True, max_examples=80, deadline=None)
@given(pair=st.sampled_from(PAIRS), spoil=st.sampled_from(list(SPOILS)), start=st.floats(0, 1), lazy=st.booleans())
def test_spoiled_values_are_caught_and_what_is_offered_restores_them(pair, spoil, start, lazy):
    name, variable = pair
    enough, change = ENOUGH[name], SPOILS[spoil][0]
    first = round(start * (sample(name).sizes["time"] - enough))
    part = slice(first, first + enough)
    ds = changed(sample(name)[[variable]], variable, change).isel(time=part)
    ds = ds.chunk(time=enough) if lazy else ds
    with pytest.raises(XFaconvError) as caught:
        adapt(ds, spec(*pair)).data.compute(scheduler="synchronous")
    assert repr(variable) in caught.value.problem
    assert "implausible='ignore'" in caught.value.fix
    lines = lines_of(caught.value.fix)
    if spoil.startswith("anomalies"):
        assert "anomalies" in caught.value.problem or "not that of the climatology" in caught.value.problem
        assert "+ 273.15" not in caught.value.fix
    elif not SPOILS[spoil][1]:
        assert lines == [] or "'the true fill value'" in lines[0]
    else:
        assert lines
        exec(lines[0], {"ds": ds})
        right = adapt(sample(name)[[variable]].isel(time=part), spec(*pair)).data
        np.testing.assert_allclose(adapt(ds, spec(*pair)).data[variable], right[variable], atol=2e-2)


@settings(derandomize=True, max_examples=12, deadline=None)
@given(steps_a_day=st.sampled_from([24, 8, 4]), start=st.integers(0, 70), steps=st.integers(14, 20))
def test_means_of_amounts_are_told_by_their_number(steps_a_day, start, steps):
    right = sample("amip")[["tp"]].isel(time=slice(start, start + steps))
    ds = changed(right, "tp", lambda v: v / steps_a_day)
    with pytest.raises(UnitsError) as caught:
        adapt(ds, spec("amip", "tp"))
    assert f"(ds['tp'] * {steps_a_day})" in caught.value.fix
    assert "means of" in caught.value.fix
    exec(lines_of(caught.value.fix)[0], {"ds": ds})
    found, true = (adapt(one, spec("amip", "tp")).data.tp for one in (ds, right))
    np.testing.assert_allclose(found, true, atol=1e-5)


@pytest.mark.parametrize("units", ["K", "degC"])
def test_anomalies_are_not_offered_a_zero(units):
    ds = changed(sample("amip")[["t2m"]], "t2m", lambda v: v - v.mean("time"))
    ds["t2m"] = ds.t2m.assign_attrs(units=units)
    with pytest.raises(UnitsError, match="look like anomalies; give the values themselves") as caught:
        adapt(ds, spec("amip", "t2m"))
    assert "climatology='data'" in caught.value.fix


def test_anomalies_of_a_region_too_small_to_tell_are_not_offered_a_zero():
    ds = sample("amip")[["t2m"]].isel(time=slice(0, 30), latitude=slice(20, 25), longitude=slice(3, 9))
    anomalies = changed(ds, "t2m", lambda v: v - v.mean("time"))
    with pytest.raises(UnitsError, match="they look like anomalies, or are not in K") as caught:
        adapt(anomalies, spec("amip", "t2m"))
    assert "273.15" not in caught.value.fix
    celsius = changed(ds, "t2m", lambda v: v - 273.15)
    with pytest.raises(UnitsError) as caught:
        adapt(celsius, spec("amip", "t2m"))
    exec(lines_of(caught.value.fix)[0], {"ds": celsius})
    xr.testing.assert_allclose(*(adapt(one, spec("amip", "t2m")).data for one in (celsius, ds)), atol=1e-3)


def test_a_field_without_variance_is_no_map():
    ds = changed(sample("amip")[["tp"]], "tp", lambda v: v * 0)
    adapt(ds, spec("amip", "tp"))


@settings(derandomize=True, max_examples=30, deadline=None)
@given(
    pair=st.sampled_from(PAIRS),
    attribute=st.sampled_from(["long_name", "standard_name"]),
    words=st.sampled_from(["{} anomaly", "Anomalies of {}", "{}_anomaly", "ANOMALOUS {}"]),
    region=st.booleans(),
)
def test_what_is_called_anomalies_is_refused_before_anything_is_read(pair, attribute, words, region):
    name, variable = pair
    ds = sample(name)[[variable]].isel(time=slice(0, 3)).chunk()
    ds[variable] = ds[variable].assign_attrs({attribute: words.format(variable)})
    ds = ds.isel({ds[variable].dims[1]: slice(4, 9)}) if region else ds
    with raise_if_dask_computes(), pytest.raises(UnitsError, match="holds anomalies, by its") as caught:
        adapt(ds, spec(*pair))
    exec(caught.value.fix.split("anomalies: ")[1], {"ds": ds})
    with raise_if_dask_computes():
        adapt(ds, spec(*pair))


def test_the_option_holds_for_patterns_and_names():
    ds = changed(sample("amip")[["u850"]].isel(time=slice(0, 30)), "u850", lambda v: -v)
    ds["u850"].attrs["long_name"] = "zonal wind anomaly"
    with xfaconv.set_options(implausible="warn"), pytest.warns(UserWarning, match="holds anomalies") as told:
        adapt(ds, spec("amip", "u850"))
    assert any("not that of the climatology" in str(one.message) for one in told)
    with xfaconv.set_options(implausible="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        adapt(ds, spec("amip", "u850"))


def zonal(mean: np.ndarray) -> np.ndarray:
    known = np.isfinite(mean)
    rows = np.where(known, mean, 0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    return np.broadcast_to(rows[..., None], mean.shape)


CLIMATES: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "warmer everywhere": lambda mean, scale: mean + 5 * np.nanmean(scale),
    "a gradient larger by 30 %": lambda mean, scale: mean + 0.3 * (zonal(mean) - np.nanmean(mean)),
    "half the contrast": lambda mean, scale: np.nanmean(mean) + 0.5 * (mean - np.nanmean(mean)),
    "a model with errors of its own": lambda mean, scale: mean + 1.5 * np.roll(scale, 9, axis=1),
    "no continents": lambda mean, scale: zonal(mean),
}
# What continents make, and a planet without them lacks: docs/howto/units.md says that these are refused there.
CONTINENTAL = {"msl", "v10", "v250", "v200", "tp"}
WORLDS = [
    (*pair, climate) for pair in PAIRS for climate in CLIMATES if climate[:3] != "no " or pair[1] not in CONTINENTAL
]


@pytest.mark.parametrize("world", WORLDS, ids="-".join)
@pytest.mark.parametrize("steps", [1, 30])
def test_other_climates_pass(world, steps):
    *pair, climate = world
    _, mean, scale = physical(*pair)
    weather = np.random.default_rng(3).normal(size=(steps, *scale.shape)) * scale
    weather = np.maximum(weather, -mean[:steps]) if pair[1] == "tp" else weather
    values = CLIMATES[climate](mean[:steps], scale) + weather
    subject = Subject(pair[1], "", spec(*pair).grid, "raise", persistence=5 if pair[0] == "amip" else 2)
    check_plausible(values, mean[:steps], scale, subject)


def test_the_simulation_and_the_reanalysis_read_each_other():
    """One climate on the other's grid, for what both have: nothing is refused."""
    coarse, fine = spec("amip", "t2m").grid, spec("ncep-oisst", "t995").grid

    def on_coarse(fields: np.ndarray) -> np.ndarray:
        there = xr.DataArray(fields, {"lat": list(fine.latitude), "lon": list(fine.longitude)}, ("lat", "lon"))
        return there.interp(lat=list(coarse.latitude), lon=list(coarse.longitude)).values

    shared = (("t2m", "t995", 1, 273.15), ("z500", "z500", 9.80665, 0), ("v250", "v200", 1, 0))
    for mine, theirs, factor, offset in shared:
        values, mean, _ = physical("amip", mine)
        scale = physical("amip", mine)[2]
        other, other_mean, other_scale = physical("ncep-oisst", theirs)
        subject = Subject(mine, "", coarse, "raise")
        # The winter of the simulation's sample is December to February.
        januaries = np.stack([on_coarse(field) for field in other[24::12]]) * factor + offset
        check_plausible(januaries, mean[45:46].repeat(len(januaries), 0), scale, subject)
        january = on_coarse(other_mean[24]) * factor + offset
        check_plausible(values, january[None].repeat(len(values), 0), on_coarse(other_scale) * factor, subject)


def test_a_given_climatology_is_compared_too():
    right = sample("ncep-oisst")[["t995"]]
    months = right.groupby("time.month")
    table = months.mean().assign(t995_std=(months - months.mean()).t995.std("time"))
    table["t995"].attrs["units"] = "degC"
    adapt(right, spec("ncep-oisst", "t995"), climatology=table)
    turned = changed(right, "t995", SPOILS["half round"][0])
    with pytest.raises(XFaconvError, match="half way round the globe"):
        adapt(turned, spec("ncep-oisst", "t995"), climatology=table)
    # Anomalies are the values where the climatology says so.
    zero = xr.zeros_like(table) + xr.Dataset({"t995": 0, "t995_std": 1})
    anomalies = (months - months.mean()).drop_vars("month")
    anomalies["t995"] = anomalies.t995.assign_attrs(units="degC", long_name="temperature anomaly")
    adapt(anomalies, spec("ncep-oisst", "t995"), climatology=zero.assign(t995=zero.t995.assign_attrs(units="degC")))
