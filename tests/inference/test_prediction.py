"""What is inferred and forecast, against plain loops over the network and scikit-learn's ridge regression."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

import xfaconv
from tests.engine import worlds as engine_worlds
from tests.inference import worlds
from tests.inference.worlds import BOX, GRID, STEPS, TRAINED, model, waves
from xfaconv.errors import ArgumentError, ModelError, TimeError

NAMES = ("t2m", "msl", "sst")
CALLS = {
    "infer": lambda ds, **more: xfaconv.infer(ds, hide=BOX, **({"model": model()} | more)),
    "infer, linear": lambda ds, **more: xfaconv.infer(ds, hide=BOX, method="linear", **({"model": model()} | more)),
    "forecast": lambda ds, **more: xfaconv.forecast(ds, **({"model": model()} | more)),
    "forecast, linear": lambda ds, **more: xfaconv.forecast(ds, method="linear", **({"model": model()} | more)),
    "forecast, persistence": lambda ds, **more: xfaconv.forecast(
        ds, method="persistence", **({"model": model()} | more)
    ),
}


def close(found: xr.Dataset, expected: xr.Dataset, tolerance: float = 1e-4) -> None:
    """Equal to within a small part of a standard deviation, with the same labels."""
    assert list(found) == list(expected)
    for name in found.data_vars:
        spread = dict(zip(NAMES, engine_worlds.SPREADS, strict=True)).get(str(name).removesuffix("_observed"), 1.0)
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=tolerance * spread)


@pytest.fixture(scope="module", params=CALLS)
def call(request):
    return CALLS[request.param]


def test_hidden_cells_are_those_of_plain_loops_over_the_network() -> None:
    ds, hide = waves(), worlds.mask()
    expected = worlds.predictions(ds, hide)[:, 0]
    found = xfaconv.infer(ds, hide=BOX, model=model())
    np.testing.assert_array_equal(found.hidden, hide)
    for number, name in enumerate(NAMES):
        inside = np.where(hide, expected[:, number] * worlds.spread_of(name), np.nan)
        np.testing.assert_allclose(found[name], inside, rtol=1e-3, atol=1e-3 * engine_worlds.SPREADS[number])


def test_forecasts_are_those_of_plain_loops_over_the_network() -> None:
    ds = waves()
    expected = worlds.predictions(ds)[:, 1]
    found = xfaconv.forecast(ds, model=model())
    assert found.lead.values.tolist() == [1]
    for number, name in enumerate(NAMES):
        wanted = expected[:, number] * worlds.spread_of(name)
        np.testing.assert_allclose(found[name][0], wanted, rtol=1e-3, atol=1e-3 * engine_worlds.SPREADS[number])


def test_what_is_hidden_does_not_matter_and_what_is_not_does() -> None:
    ds = waves()
    found = xfaconv.infer(ds, hide=BOX, model=model())
    changed = ds.copy(deep=True)
    for name in NAMES:
        changed[name].values[:, worlds.mask()] = np.nan
    again = xfaconv.infer(changed, hide=BOX, model=model())
    close(again[list(NAMES)], found[list(NAMES)], 1e-6)
    changed["t2m"].values[:, 0, 0] += 5
    assert abs(xfaconv.infer(changed, hide=BOX, model=model()).t2m - found.t2m).max() > 1e-3


def test_observed_values_are_the_users_own() -> None:
    ds = waves()
    whole = xfaconv.infer(ds, hide=BOX, model=model(), anomalies=False)
    for name in NAMES:
        np.testing.assert_allclose(whole[f"{name}_observed"], ds[name], rtol=1e-6)
    later = xfaconv.forecast(ds, model=model(), anomalies=False)
    np.testing.assert_allclose(later.msl_observed[0, :-1], ds.msl[1:], rtol=1e-6)
    assert later.msl_observed[0, -1].isnull().all()
    assert later.msl[0, -1].notnull().all()


def test_full_values_are_anomalies_and_the_seasonal_mean_of_the_step_that_is_forecast() -> None:
    ds = waves()
    for give in (CALLS["infer"], CALLS["forecast"]):
        parts, whole = give(ds), give(ds, anomalies=False)
        mean = whole.t2m_observed - parts.t2m_observed
        good = mean.notnull() & parts.t2m.notnull()
        np.testing.assert_allclose(
            (parts.t2m + mean).values[good.values], whole.t2m.values[good.values], rtol=0, atol=1e-3
        )


def test_the_linear_answer_is_scikit_learns_ridge_on_principal_components() -> None:
    ds, hide = waves(), worlds.mask()
    fields = xfaconv.conform(ds, model=model()).to_dataarray().transpose("time", "variable", "latitude", "longitude")
    values = np.nan_to_num(fields.values.astype("f8"))
    weight = np.sqrt(np.asarray(GRID.area))[~hide]
    predictors = (values[:, :, ~hide] * weight).reshape(STEPS, -1)
    targets = values[:, :, hide].reshape(STEPS, -1)
    components = PCA(59, svd_solver="full").fit(predictors[:TRAINED])
    series = components.transform(predictors)
    leading = (series[:TRAINED, 0] ** 2).sum()
    best = (np.inf, 0, 0.0)
    for rank in (10, 20, 40, 59):
        for penalty in (0.01, 0.03, 0.1, 0.3, 1.0):
            error = 0.0
            for out in np.array_split(np.arange(TRAINED), 5):
                kept = np.setdiff1d(np.arange(TRAINED), out)
                fitted = Ridge(alpha=penalty * leading).fit(series[kept, :rank], targets[kept])
                error += ((fitted.predict(series[out, :rank]) - targets[out]) ** 2).sum()
            best = min(best, (error, rank, penalty))
    _, rank, penalty = best
    fitted = Ridge(alpha=penalty * leading).fit(series[:TRAINED, :rank], targets[:TRAINED])
    expected = fitted.predict(series[:, :rank]).reshape(STEPS, 3, -1)
    found = xfaconv.infer(ds.chunk(time=17), hide=BOX, method="linear", model=model())
    for number, name in enumerate(NAMES):
        wanted = expected[:, number] * worlds.spread_of(name)[hide]
        np.testing.assert_allclose(
            found[name].values[:, hide], wanted, rtol=1e-4, atol=2e-4 * engine_worlds.SPREADS[number]
        )
    unseen = ~found.in_training
    error = float(((found.t2m - found.t2m_observed)[unseen] ** 2).sum())
    assert error < 0.3 * float((found.t2m_observed.where(found.hidden)[unseen] ** 2).sum())


def test_damped_persistence_is_one_regression_for_each_variable() -> None:
    ds = waves()
    found = xfaconv.forecast(ds, method="persistence", model=model())
    now = found.t2m_observed[0, :-1].drop_vars("time")
    here = xfaconv.infer(ds, hide=BOX, model=model()).t2m_observed.drop_vars("time")
    area = xr.DataArray(np.asarray(GRID.area), dims=("latitude", "longitude"))
    first, second = here[: TRAINED - 1], now[: TRAINED - 1]
    slope = float((area * first * second).sum() / (area * first**2).sum())
    np.testing.assert_allclose(found.t2m[0], slope * here, rtol=1e-3, atol=1e-4)


def test_steps_of_training_are_marked() -> None:
    found = xfaconv.infer(waves(), hide=BOX, model=model())
    assert found.in_training.values.tolist() == [step < TRAINED for step in range(STEPS)]
    assert found.in_training.attrs["training_years"] == "2001-02-20 to 2001-04-20"


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "julian"])
def test_calendars(calendar: str, call) -> None:
    found = call(waves(calendar=calendar, start="2001-02-20"))
    assert found.in_training.values.sum() in (TRAINED, TRAINED - 1, TRAINED + 1, TRAINED - 2)
    assert found.time.dt.calendar == calendar
    assert found.t2m.notnull().any()


def test_the_end_of_training_may_be_no_date_of_the_calendar() -> None:
    """The 31st of a month is not in a calendar of 360 days."""
    from dataclasses import replace

    used = replace(model().card, years={"train": "2001-02-20 to 2001-03-31"})
    trained = xfaconv.Model.from_network(used, model().network(), model().climatology)
    found = xfaconv.infer(waves(calendar="360_day"), hide=BOX, model=trained)
    assert int(found.in_training.sum()) == 41


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(CALLS)), st.integers(1, STEPS), st.integers(1, 8))
def test_chunks_change_nothing(name: str, steps: int, rows: int) -> None:
    lazy = CALLS[name](waves().chunk(time=steps, latitude=rows))
    assert all(array.chunks is not None for array in lazy.data_vars.values())
    close(lazy.compute(), _in_memory(name))


_KNOWN: dict[str, xr.Dataset] = {}


def _in_memory(name: str) -> xr.Dataset:
    if name not in _KNOWN:
        _KNOWN[name] = CALLS[name](waves())
    return _KNOWN[name]


def test_nothing_is_computed_while_it_is_built(call) -> None:
    ds = waves()
    asked: list[int] = []

    def read(block, block_info=None):
        asked.append(1)
        return block

    lazy = ds.chunk(time=20)
    for name in NAMES:
        lazy[name] = lazy[name].copy(data=lazy[name].data.map_blocks(read, dtype="f4", meta=np.empty((0, 0, 0), "f4")))
    found = call(lazy)
    assert not asked
    found.t2m.compute()
    assert asked


def test_the_latitudes_and_longitudes_of_the_user(call) -> None:
    ds = waves()
    expected = call(ds)
    turned = ds.isel(latitude=slice(None, None, -1)).assign_coords(longitude=(ds.longitude + 180) % 360 - 180)
    turned = turned.sortby("longitude").rename(latitude="lat", longitude="lon", time="valid_time", t2m="T2")
    found = call(turned, variables={"t2m": "T2"})
    assert found.t2m.dims[-3:] == ("valid_time", "lat", "lon")
    np.testing.assert_array_equal(found.lat, turned.lat)
    np.testing.assert_array_equal(found.lon, turned.lon)
    back = found.assign_coords(lon=found.lon % 360).sortby("lon").rename(lat="latitude", lon="longitude")
    close(back.rename(valid_time="time").reindex(latitude=expected.latitude).transpose(*expected.dims), expected)


def test_the_units_of_the_user(call) -> None:
    ds = waves()
    other = ds.assign(t2m=(ds.t2m - 273.15).assign_attrs(units="degC"), msl=(ds.msl / 100).assign_attrs(units="hPa"))
    for options in ({}, {"anomalies": False}):
        expected, found = call(ds, **options), call(other, **options)
        assert (found.t2m.units, found.msl.units, found.sst.units) == ("degC", "hPa", "K")
        moved = 0 if options == {} else 273.15
        np.testing.assert_allclose(found.t2m + moved, expected.t2m, atol=2e-3)
        np.testing.assert_allclose(found.msl * 100, expected.msl, atol=0.2)
        np.testing.assert_allclose(found.msl_observed * 100, expected.msl_observed, atol=0.2)


def test_geopotential_of_the_user() -> None:
    ds = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 36)).load()
    as_geopotential = ds.drop_vars("z500")
    as_geopotential["z"] = (ds.z500 * 9.80665).assign_attrs(
        units="m2 s-2", long_name="geopotential", standard_name="geopotential"
    )
    options = {"hide": (20, 80, 140, 250), "time": "2009-12", "stride": 4}
    expected = xfaconv.infer(ds, **options)
    found = xfaconv.infer(as_geopotential, **options, variables={"z500": "z"})
    np.testing.assert_allclose(found.z500 / 9.80665, expected.z500, atol=0.1)
    assert found.z500.units == "m2 s-2"


def test_a_climatology_of_the_data(call) -> None:
    ds = _four_times()
    with pytest.warns(UserWarning, match="seasonal cycle"):
        found = call(ds, climatology="data", anomalies=False)
    np.testing.assert_allclose(
        found.msl_observed.values[found.msl_observed.notnull().values],
        np.broadcast_to(_later(ds.msl, found).values, found.msl_observed.shape)[found.msl_observed.notnull().values],
        rtol=1e-5,
    )


def _four_times() -> xr.Dataset:
    one = waves()
    longer = xr.concat([one] * 4, "time")
    return longer.assign_coords(time=engine_worlds.dates(4 * STEPS))


def _later(field: xr.DataArray, found: xr.Dataset) -> xr.DataArray:
    return field.shift(time=-1) if "lead" in found.dims else field


@pytest.mark.parametrize("time", ["2001-05", slice("2001-05-10", None), ["2001-03-01", "2001-05-20"], "2001-05-30"])
def test_steps_that_are_asked_for_have_the_numbers_of_the_whole_record(time, call) -> None:
    ds = waves().chunk(time=30)
    whole, some = call(ds), call(ds, time=time)
    chosen = xfaconv.embed(ds, model=model(), time=time).time
    assert some.indexes["time"].equals(chosen.indexes["time"])
    close(some.compute(), whole.sel(time=chosen).compute())
    assert len(some.t2m.__dask_graph__()) > 0


def test_only_the_segments_that_hold_them_run() -> None:
    ds = waves().chunk(time=10)
    graph = dict(xfaconv.infer(ds, hide=BOX, model=model(), time="2001-05-30").t2m.__dask_graph__())
    runs = [key for key in graph if isinstance(key, tuple) and str(key[0]).startswith("faconv-segment-")]
    assert len(runs) == 1


def test_members_are_inferred_one_by_one() -> None:
    members = engine_worlds.world(30, members=2)
    found = xfaconv.infer(members, hide=BOX, model=model())
    assert found.t2m.dims == ("number", "time", "latitude", "longitude")
    for member in range(2):
        close(found.isel(number=member), xfaconv.infer(members.isel(number=member), hide=BOX, model=model()))
    later = xfaconv.forecast(members, model=model())
    assert later.t2m.dims == ("number", "lead", "time", "latitude", "longitude")
    close(later.isel(number=1), xfaconv.forecast(members.isel(number=1), model=model()))


def test_gaps_are_not_forecast_across() -> None:
    ds = waves().isel(time=[*range(50), *range(53, STEPS)])
    found = xfaconv.forecast(ds, model=model())
    assert found.t2m_observed[0, 49].isnull().all()
    assert found.t2m_observed[0, 48].notnull().all()
    close(found.isel(time=slice(0, 40)), xfaconv.forecast(waves(), model=model()).isel(time=slice(0, 40)))


def test_threads(call) -> None:
    lazy = call(waves().chunk(time=25))
    close(lazy.compute(scheduler="threads", num_workers=2), lazy.compute(scheduler="synchronous"))


def test_processes() -> None:
    lazy = [CALLS[name](waves().chunk(time=25), time="2001-05") for name in ("infer", "infer, linear")]
    for found, expected in zip(
        *(dask.compute(*lazy, scheduler=name) for name in ("processes", "synchronous")), strict=True
    ):
        close(found, expected)


def test_distributed() -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as running,
        distributed.Client(running),
    ):
        for name, call in CALLS.items():
            close(call(waves().chunk(time=25)).compute(), _in_memory(name))


def test_the_data_are_left_as_they_are(call) -> None:
    ds = waves()
    before = ds.copy(deep=True)
    call(ds)
    xr.testing.assert_identical(ds, before)


@pytest.mark.parametrize("engine", ["netcdf4", "scipy"])
def test_netcdf(engine: str, call, tmp_path) -> None:
    found = call(waves().chunk(time=25), time="2001-05").compute()
    found.to_netcdf(tmp_path / "a.nc", engine=engine)
    with xr.open_dataset(tmp_path / "a.nc", engine=engine) as again:
        for name in found.data_vars:
            np.testing.assert_array_equal(again[name], found[name])
            assert again[name].attrs["units"] == found[name].attrs["units"]
        np.testing.assert_array_equal(again.in_training.astype(bool), found.in_training)
        assert again.attrs["model"] == found.attrs["model"]


def test_zarr(call, tmp_path) -> None:
    pytest.importorskip("zarr")
    found = call(waves().chunk(time=25))
    xfaconv.write_zarr(found, tmp_path / "a.zarr", progress=False)
    close(xr.open_zarr(tmp_path / "a.zarr").compute()[list(found)], found.compute())


def test_all_variables_share_the_runs_of_the_network() -> None:
    ds = waves().chunk(time=25)
    graph = dict(xfaconv.infer(ds, hide=BOX, model=model()).__dask_graph__())
    runs = [key for key in graph if isinstance(key, tuple) and str(key[0]).startswith("faconv-segment-")]
    assert len(runs) == xfaconv.plan(ds, model=model()).network_calls


def test_what_cannot_be_done_is_refused() -> None:
    ds = waves()
    with pytest.raises(ArgumentError, match="nothing visible"):
        xfaconv.infer(ds, hide=(-90, 90, 0, 360), model=model())
    with pytest.raises(ArgumentError, match="holds no cell"):
        xfaconv.infer(ds, hide=(1, 2, 1, 2), model=model())
    with pytest.raises(ModelError, match="does not forecast 4"):
        xfaconv.forecast(ds, leads=[4], model=model())
    with pytest.raises(ModelError, match="not trained to infer"):
        xfaconv.infer(ds, hide=BOX, model=engine_worlds.model(leads=(1,)))
    with pytest.raises(TimeError, match="training years"):
        xfaconv.infer(ds.isel(time=slice(TRAINED, None)), hide=BOX, method="linear", model=model())
    with pytest.raises(ArgumentError, match="one member"):
        xfaconv.infer(engine_worlds.world(90, members=2), hide=BOX, method="linear", model=model())
