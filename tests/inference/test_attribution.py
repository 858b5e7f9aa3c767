"""Attributions: they sum to what is inferred or forecast, follow its labels, and agree with captum's integral."""

from __future__ import annotations

from dataclasses import replace

import dask
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xfaconv
from tests.engine import worlds
from tests.engine.worlds import GRID, LAND, model, world
from xfaconv.errors import ArgumentError, MissingDataError, ModelError, TimeError, VariableError, XFaconvError
from xfaconv.inference import sum_by_region
from xfaconv.nn import Geometry

HIDE = (-50, 50, 90, 220)
TARGET = (-30, 30, 100, 200)
SPREAD = dict(zip(("t2m", "msl", "sst"), worlds.SPREADS, strict=True))


def explain(ds: xr.Dataset | None = None, target=TARGET, variable="msl", **more) -> xr.Dataset:
    if not {"hide", "lead"} & set(more):
        more["hide"] = HIDE
    used = more.pop("model", None) or model()
    return xfaconv.attribution(world(40) if ds is None else ds, target, variable, model=used, **more)


def area_mean(field: xr.DataArray, south: float, north: float, west: float, east: float) -> xr.DataArray:
    """Mean over cells whose centres are inside, by exact cell areas; missing cells are left out."""
    latitude, longitude = field.latitude, field.longitude
    inside = (latitude >= south) & (latitude <= north) & (longitude >= west) & (longitude <= east)
    weights = xr.DataArray(GRID.area, dims=("latitude", "longitude"), coords={"latitude": list(GRID.latitude)})
    weights = weights.assign_coords(longitude=list(GRID.longitude))
    return field.weighted(weights.where(inside, 0)).mean(["latitude", "longitude"])


def assert_sums(found: xr.Dataset, spread: float) -> None:
    parts = [dim for dim in found.attribution.dims if dim not in ("time", "number")]
    total = found.attribution.astype("f8").sum(parts) + found.baseline + found.remainder
    np.testing.assert_allclose(total, found.value, atol=1e-5 * spread)


@pytest.mark.parametrize("variable", list(SPREAD))
@pytest.mark.parametrize("mode", ["windowed", "stateful"])
def test_value_and_observed_are_the_means_of_what_is_inferred(variable: str, mode: str) -> None:
    ds = world(40)
    asked = {"model": model(), "mode": mode, "time": slice("2001-02-27", "2001-03-15")}
    found = explain(ds, variable=variable, method="gradient", mode=mode, time=asked["time"])
    wanted = xfaconv.infer(ds, hide=HIDE, **asked)
    for name, whole in (("value", wanted[variable]), ("observed", wanted[f"{variable}_observed"])):
        np.testing.assert_allclose(found[name], area_mean(whole, *TARGET), atol=2e-6 * SPREAD[variable] * 10)
    assert found.time.identical(wanted.time)
    for name in ("hidden", "in_training", "full_warmup"):
        np.testing.assert_array_equal(found[name], wanted[name])


def test_value_of_a_forecast_is_what_is_forecast() -> None:
    ds = world(40)
    found = explain(ds, (11, 101), lead=1, method="gradient")
    wanted = (
        xfaconv.forecast(ds, leads=[1], model=model()).sel(lead=1).sel(latitude=11.25, longitude=101, method="nearest")
    )
    wanted = wanted.sel(time=found.time)
    np.testing.assert_allclose(found.value, wanted.msl, atol=1e-5 * SPREAD["msl"])
    np.testing.assert_allclose(found.observed, wanted.msl_observed, atol=1e-6 * SPREAD["msl"])
    assert found.observed.isnull().values.tolist() == [*[False] * (found.time.size - 1), True]
    assert found.full_warmup.all()
    assert found.attribution.attrs["base_latitude"] == 11.25


@settings(max_examples=12, deadline=None)
@given(
    method=st.sampled_from(["integrated", "gradient", "occlusion"]),
    variable=st.sampled_from(list(SPREAD)),
    asked=st.sampled_from([{"hide": HIDE}, {"lead": 1}, {"hide": [HIDE, {"sector": (300, 340)}]}]),
    lags=st.booleans(),
    baseline=st.sampled_from(["climatology", "2001-03-10", ["2001-03-07", "2001-03-25"]]),
    date=st.integers(14, 39),
    seed=st.integers(0, 3),
)
def test_contributions_baseline_and_remainder_sum_to_the_value(
    method: str, variable: str, asked: dict, lags: bool, baseline: object, date: int, seed: int
) -> None:
    more = {"lags": lags, "baseline": baseline}
    if method == "occlusion":
        more = {"regions": {"a": (20, 80, 0, 80), "b": (-80, -20, 200, 300)}}
    ds = world(40, seed=seed)
    found = explain(ds, variable=variable, method=method, time=ds.time.values[date], **asked, **more)
    assert_sums(found, SPREAD[variable])
    if method == "integrated":
        assert (abs(found.remainder) <= 0.0101 * SPREAD[variable]).all()


@pytest.mark.parametrize("asked", [{"hide": HIDE}, {"lead": 1}], ids=["hidden", "forecast"])
@pytest.mark.parametrize("baseline", ["climatology", ["2001-03-05", "2001-03-15"]])
def test_integral_is_captum_s(asked: dict, baseline: object) -> None:
    captum = pytest.importorskip("captum.attr")
    ds = world(40)
    date = 27
    found = explain(ds, **asked, baseline=baseline, time=ds.time.values[date], lags=True)
    card, network = model().card, model().network()
    stamps = ds.time.to_numpy()
    numbers = worlds.step_numbers(stamps, "1D")
    first = int(numbers[date] - numbers[date] % card.segment) - card.warmup - int(numbers[0])
    phases = [torch.from_numpy(phase[first : date + 1].astype("f4"))[None] for phase in worlds.phases(stamps, "1D")]
    fields = worlds.anomalies(ds, worlds.phases(stamps, "1D")[0], model().climatology)
    mask = np.zeros(GRID.shape, dtype=bool) if "lead" in asked else found.hidden.values

    def window(last: int) -> torch.Tensor:
        raw = fields[last + first - date : last + 1].copy()
        raw[:, :, mask] = np.nan
        return torch.from_numpy(np.nan_to_num(raw).astype("f4"))[None]

    seen = np.isfinite(fields[first : date + 1]).mean(axis=1)
    seen[:, mask] = 0
    share = torch.from_numpy(seen.astype("f4"))[None]
    days = (
        [] if baseline == "climatology" else [int(np.flatnonzero(stamps == np.datetime64(day))[0]) for day in baseline]
    )
    start = torch.zeros_like(window(date)) if baseline == "climatology" else sum(window(day) for day in days) / 2
    weights = torch.from_numpy((found.target.values * GRID.area).astype("f4"))
    weights = weights / weights.sum() * SPREAD["msl"]
    geometry = Geometry.from_grid(card.grid)

    def value(cases: torch.Tensor) -> torch.Tensor:
        many = [part.expand(len(cases), *part.shape[1:]) for part in (share, *phases)]
        encoded = network.encode(cases, *many, geometry, first_index=int(numbers[first]), keep_refined=True)
        predicted = network.predict(encoded.refined[:, -1:], cases[:, -1:], geometry)
        return (predicted[:, 0, asked.get("lead", 0), 1] * weights).sum((1, 2))

    oracle = captum.IntegratedGradients(value)
    # The same nodes: where a rectifier of the squeeze-excitation bends the path, the sum converges slowly.
    wanted = oracle.attribute(window(date), start, n_steps=int(found.nodes.item()), method="gausslegendre")
    by_lag = wanted[0].flip(0).detach().numpy()
    assert found.attribution.shape[1:] == by_lag.shape
    scale = np.abs(by_lag).max()
    assert scale > 1e-4 * SPREAD["msl"]
    np.testing.assert_allclose(found.attribution[0], by_lag, atol=5e-5 * scale)


def test_lags_sum_to_the_attribution_and_begin_with_the_window() -> None:
    ds = world(40)
    dates = ds.time.values[[20, 26]]
    found = explain(ds, time=dates, lags=True)
    assert found.attribution.dims == ("time", "lag", "variable", "latitude", "longitude")
    total = explain(ds, time=dates).attribution
    np.testing.assert_allclose(found.attribution.sum("lag"), total, atol=1e-5 * SPREAD["msl"])
    numbers = worlds.step_numbers(dates, "1D")
    lengths = 5 + numbers % 8 + 1
    assert found.sizes["lag"] == lengths.max()
    for one, length in zip(found.attribution, lengths, strict=True):
        assert (one.isel(lag=slice(length, None)) == 0).all()
        assert (one.isel(lag=length - 1) != 0).any()


def test_missing_and_hidden_values_add_nothing() -> None:
    ds = world(40)
    ds.t2m[:, 6, 14] = np.nan
    found = explain(ds, time="2001-03-10").attribution[0]
    assert (found.where(explain(ds, time="2001-03-10").hidden, 0) == 0).all()
    assert (found.sel(variable="sst").values[LAND] == 0).all()
    assert (found.sel(variable="t2m").values[6, 14] == 0).all()
    assert (found.sel(variable="msl").values[6, 14] != 0).all()


def test_missing_values_blank_the_steps_that_read_them() -> None:
    ds = world(40)
    ds.t2m[18, 6, 14] = np.nan
    found = explain(ds, missing="propagate", time=slice("2001-03-05", "2001-03-31"), method="gradient")
    spoiled = found.value.isnull()
    assert spoiled.any()
    assert not spoiled.all()
    np.testing.assert_array_equal(found.attribution.isnull().all(["variable", "latitude", "longitude"]), spoiled)


def test_labels_are_the_user_s() -> None:
    ds = world(40)
    plain = explain(ds, time="2001-03-10")
    turned = ds.isel(latitude=slice(None, None, -1)).rename(latitude="lat", longitude="lon", time="valid_time")
    turned = turned.assign_coords(lon=(turned.lon + 180) % 360 - 180).sortby("lon")
    turned["msl"] = (turned.msl / 100).assign_attrs(units="hPa")
    found = explain(turned, time="2001-03-10")
    assert found.attribution.dims == ("valid_time", "variable", "lat", "lon")
    np.testing.assert_array_equal(found.lat, turned.lat)
    np.testing.assert_array_equal(found.lon, turned.lon)
    assert found.attribution.attrs["units"] == found.value.attrs["units"] == "hPa"
    back = found.attribution.rename(lat="latitude", lon="longitude", valid_time="time")
    back = back.assign_coords(longitude=back.longitude % 360).sortby(["latitude", "longitude"])
    np.testing.assert_allclose(back * 100, plain.attribution, atol=1e-4 * abs(plain.attribution).max())
    assert_sums(found.rename(valid_time="time"), SPREAD["msl"] / 100)
    assert {"target_area", "hidden_area", "target_variable", "lead", "method"} <= set(found.attribution.attrs)


def test_members_are_explained_one_by_one() -> None:
    ds = world(30, members=2)
    found = explain(ds, time="2001-03-10", method="gradient")
    assert found.attribution.dims == ("number", "time", "variable", "latitude", "longitude")
    for number in range(2):
        alone = explain(ds.isel(number=number, drop=True), time="2001-03-10", method="gradient")
        np.testing.assert_allclose(found.attribution[number], alone.attribution, atol=1e-3)
        np.testing.assert_allclose(found.observed[number], alone.observed, atol=1e-3)
    assert_sums(found, SPREAD["msl"])


@pytest.mark.parametrize(
    "more", [{}, {"baseline": "2001-03-05"}, {"method": "occlusion", "regions": {"a": (20, 80, 0, 80)}}]
)
def test_lazy_data_are_not_read_and_chunks_change_no_number(more: dict) -> None:
    ds = world(40)
    asked = {"time": slice("2001-03-08", "2001-03-20"), "samples": 3, **more}
    wanted = explain(ds, **asked)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was computed")

    for chunks in ({"time": 7}, {"time": 1}, {"time": 40, "latitude": 3}):
        with dask.config.set(scheduler=refuse):
            lazy = explain(ds.chunk(chunks), **asked)
        assert all(array.chunks is not None for array in lazy.data_vars.values())
        assert lazy.attribution.chunks[0] == (1, 1, 1)
        xr.testing.assert_allclose(lazy.compute(scheduler="threads"), wanted, atol=1e-3)


@pytest.mark.parametrize("scheduler", ["processes", "distributed"])
def test_every_scheduler_gives_the_same(scheduler: str) -> None:
    ds, asked = world(30), {"time": slice("2001-03-08", "2001-03-20"), "samples": 2}
    wanted, lazy = explain(ds, **asked), explain(ds.chunk(time=9), **asked)
    if scheduler == "processes":
        found = lazy.compute(scheduler="processes", num_workers=2)
    else:
        distributed = pytest.importorskip("distributed")
        with distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None):
            found = lazy.compute()
    xr.testing.assert_allclose(found, wanted, atol=1e-3)


def test_nodes_are_doubled_until_the_remainder_is_small() -> None:
    few = explain(time="2001-03-10", tolerance=1)
    many = explain(time="2001-03-10", tolerance=1e-4)
    assert few.nodes.item() == 4
    assert many.nodes.item() > 4
    with pytest.warns(RuntimeWarning, match="more than the tolerance"):
        explain(time="2001-03-10", tolerance=1e-9)


def test_occlusion_is_the_change_when_a_region_is_hidden_too() -> None:
    ds = world(40)
    regions = {"north": (20, 80, 0, 80), "south": (-80, -20, 230, 300)}
    found = explain(ds, method="occlusion", regions=regions, season=[3, 4])
    plain = xfaconv.infer(ds, hide=HIDE, model=model()).sel(time=found.time).msl
    for name, box in regions.items():
        changed = xfaconv.infer(ds, hide=[HIDE, box], model=model()).sel(time=found.time).msl
        change = area_mean(plain, *TARGET) - area_mean(changed, *TARGET)
        np.testing.assert_allclose(found.attribution.sel(region=name), change, atol=1e-4 * SPREAD["msl"])
    size = abs(found.attribution)
    for month in (3,):
        same = size.time.dt.month == month
        larger = np.array([(size[same] > one).sum("time") for one in size[same]])
        np.testing.assert_array_equal(found["rank"][same], 1 + larger)
    assert found["rank"].max() > 4


def test_sums_by_region() -> None:
    found = explain(time="2001-03-10").attribution
    regions = {"north": (20, 80, 0, 80), "south": (-80, -20, 230, 300), "land": xr.zeros_like(found[0, 0]) + LAND}
    total = sum_by_region(found, regions)
    assert total.region.values.tolist() == ["north", "south", "land", "elsewhere"]
    inside = found.sel(latitude=slice(20, 80), longitude=slice(0, 80))
    np.testing.assert_allclose(total.sel(region="north"), inside.sum(["latitude", "longitude"]), rtol=1e-5)
    np.testing.assert_allclose(total.sum("region"), found.sum(["latitude", "longitude"]), rtol=1e-3, atol=1e-2)
    turned = found.isel(latitude=slice(None, None, -1))
    turned = turned.assign_coords(longitude=(turned.longitude + 180) % 360 - 180).sortby("longitude")
    np.testing.assert_allclose(sum_by_region(turned, regions), total, rtol=1e-5)
    named = sum_by_region(found.chunk(), ["tropical_pacific"])
    assert named.chunks is not None
    assert named.sizes["region"] == 2
    with pytest.raises(ArgumentError, match="region names no region"):
        sum_by_region(found, ["tropical_pacifik"])
    with pytest.raises(ArgumentError, match="no named areas"):
        sum_by_region(found, (0, 10, 20, 30))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_sums_by_regions_of_regionmask() -> None:
    regionmask = pytest.importorskip("regionmask")
    found = explain(time="2001-03-10").attribution
    # No cell lies on an edge: there regionmask counts some that boxes do not, and the reverse.
    corners = np.array([[10, 20], [10, 80], [80, 80], [80, 20]])
    regions = regionmask.Regions([corners], names=["north"])
    wanted = sum_by_region(found, {"north": (20, 80, 10, 80)})
    np.testing.assert_allclose(sum_by_region(found, regions), wanted, rtol=1e-5)


def fix_of(problem: pytest.ExceptionInfo[XFaconvError]) -> dict:
    """The argument of the line that fixes an error, as a user would type it."""
    return eval(f"dict({str(problem.value.fix).partition('  #')[0]})")


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"hide": None, "lead": None, "target": (45, 190)}, ArgumentError, "not clear what value"),
        ({"hide": HIDE, "lead": 1}, ArgumentError, "not clear what value"),
        ({"lead": 0}, ArgumentError, "lead cannot be used"),
        ({"lead": 3}, ModelError, "does not forecast 3 steps"),
        ({"variable": "z500"}, VariableError, "no variable 'z500'"),
        (
            {"variable": "sst", "target": (0, 90), "hide": (-80, 80, 60, 180)},
            MissingDataError,
            "no values in the target",
        ),
        ({"target": (0, 300)}, ArgumentError, "not inside the hidden area"),
        ({"target": "nino43"}, ArgumentError, "names no region"),
        ({"method": "shap"}, ArgumentError, "unknown method"),
        ({"method": "occlusion"}, ArgumentError, "none is given"),
        ({"method": "occlusion", "regions": {"a": "nino43"}}, ArgumentError, "names no region"),
        ({"regions": ["nino34"]}, ArgumentError, "takes no regions"),
        ({"season": "JJA"}, TimeError, "season"),
        ({"time": "1999"}, TimeError, "no step at time"),
        ({"time": "2001-02-20"}, TimeError, "warm-up"),
        ({"baseline": "1999"}, TimeError, "no step at baseline"),
        ({"baseline": "2001-02-21"}, TimeError, "whole window"),
        ({"lags": 3}, ArgumentError, "lags cannot be used"),
        ({"tolerance": 0}, ArgumentError, "tolerance cannot be used"),
        ({"samples": 0}, ArgumentError, "samples cannot be used"),
    ],
)
def test_errors_name_a_fix_that_works(asked: dict, error: type[XFaconvError], words: str) -> None:
    given = {"hide": HIDE} if "lead" not in asked else {}
    given |= {"samples": 1, **asked}
    with pytest.raises(error, match=words) as problem:
        explain(world(40), **given)
    if words == "names no region":
        return
    given |= fix_of(problem) | ({} if "method" in asked else {"method": "gradient"})
    if words == "no step at time":
        # The nearest step has no warm-up, and the next error says so.
        with pytest.raises(TimeError, match="warm-up") as problem:
            explain(world(40), **given)
        given |= fix_of(problem)
    explain(world(40), **given)


def trained(years: str = "2001-02-20 to 2001-04-20") -> xfaconv.Model:
    used = model()
    return xfaconv.Model.from_network(replace(used.card, years={"train": years}), used.network(), used.climatology)


@pytest.mark.parametrize("asked", [{"hide": HIDE}, {"lead": 1}], ids=["hidden", "forecast"])
def test_linear_contributions_are_coefficient_times_anomaly(asked: dict) -> None:
    ds, used = world(80), trained()
    lags = "lead" in asked
    found = explain(ds, method="linear", model=used, lags=lags, time=slice("2001-03-01", "2001-04-30"), **asked)
    call = {"hide": xfaconv.infer, "lead": xfaconv.forecast}[next(iter(asked))]
    more = {"leads": [1]} if lags else asked
    wanted = call(ds, method="linear", model=used, time=slice("2001-03-01", "2001-04-30"), **more).msl
    wanted = area_mean(wanted.isel(lead=0) if lags else wanted, *TARGET)
    np.testing.assert_allclose(found.value, wanted, atol=1e-4 * SPREAD["msl"])
    assert_sums(found, SPREAD["msl"])
    np.testing.assert_allclose(found.remainder, 0, atol=1e-5 * SPREAD["msl"])
    np.testing.assert_allclose(found.baseline, found.baseline[0], rtol=1e-6)
    given = found.attribution.isel(lag=0, drop=True) if lags else found.attribution
    anomalies = xfaconv.conform(ds, model=used).to_dataarray("variable").sel(time=found.time)
    # The same coefficient at all times: the ratio does not change.
    ratio = (given / anomalies.where(abs(anomalies) > 0.5)).transpose("time", ...)
    np.testing.assert_allclose((ratio - ratio.mean("time")).fillna(0), 0, atol=1e-3 * float(abs(ratio).max()))
    other = explain(ds, method="linear", model=used, baseline=["2001-03-05", "2001-03-09"], time="2001-03-20", **asked)
    assert_sums(other, SPREAD["msl"])
    assert abs(other.baseline - found.baseline[0]).max() > 1e-3 * SPREAD["msl"]
    np.testing.assert_allclose(other.value, found.value.sel(time=other.time), rtol=1e-5)
    chunked = explain(ds.chunk(time=7), method="linear", model=used, lags=lags, time="2001-03-20", **asked)
    assert chunked.attribution.chunks is not None
    np.testing.assert_allclose(
        chunked.attribution, found.attribution.sel(time=chunked.time), atol=1e-4 * abs(given).max()
    )
