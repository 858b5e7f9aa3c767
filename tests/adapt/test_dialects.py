"""Whatever the dialect: the same numbers, nothing computed early, nothing of the user's changed."""

from __future__ import annotations

from copy import deepcopy

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings

from tests.adapt.dialects import DEFAULT, GRID, SPECS, Dialect, era5_like, replace, target, tell, truth
from tests.conftest import raise_if_dask_computes
from xfaconv.adapt import adapt, pipeline, recognise
from xfaconv.climatology import Climatology
from xfaconv.grid import Grid
from xfaconv.specs import VariableSpec


def oracle(grid: Grid = GRID) -> dict[str, np.ndarray]:
    """Standardised anomalies by plain numpy from the truth."""
    used = target(grid).climatology
    day = np.arange(9) + 55  # 25 February is day 56 of the year
    phase = (day + 0.5) / 365
    basis = np.stack([np.ones(9), *(f(2 * np.pi * k * phase) for k in (1, 2) for f in (np.cos, np.sin))])
    out = {}
    for number, spec in enumerate(SPECS):
        mean = np.tensordot(basis.T, used.coefficients[number].astype("f8"), axes=(1, 0))
        out[spec.name] = (truth(grid)[spec.name] - mean) / used.scale[number]
    return out


def same(left: xr.Dataset, right: xr.Dataset) -> bool:
    """Identical in values, attributes and encodings."""
    encodings = all(left[name].encoding == right[name].encoding for name in left.variables)
    return left.identical(right) and left.encoding == right.encoding and encodings


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(era5_like())
def test_any_dialect_gives_the_same_anomalies(dialect):
    ds = tell(dialect)
    before = deepcopy(ds) if dialect.chunks is None else ds.copy()
    with raise_if_dask_computes():
        conformed = adapt(ds, target())
    assert list(conformed.data.data_vars) == [spec.name for spec in SPECS]
    for name, values in oracle().items():
        result = conformed.data[name]
        assert result.dims == ("time", "latitude", "longitude")
        assert result.dtype == np.float32
        assert dask.is_dask_collection(result.data) == (dialect.chunks is not None)
        # float32 input holds a mean sea level pressure to 0.004 Pa, a geopotential to 0.002 m2 s-2
        np.testing.assert_allclose(result.values, values, atol=2e-5)
    assert same(ds, before)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(era5_like())
def test_results_come_back_in_the_users_own_labels(dialect):
    ds = tell(dialect)
    with raise_if_dask_computes():
        conformed = adapt(ds, target(), climatology=None)
        restored = conformed.labels.restore(conformed.data["t2m"])
    own = ds[dict(dialect.names)["t2m"]]
    assert set(restored.dims) == {dialect.time, dialect.latitude, dialect.longitude}
    for dim in restored.dims:
        xr.testing.assert_identical(restored[dim].variable, ds[dim].variable)
    if dialect.expver != "dimension":
        factor = {"K": 0.0, "kelvin": 0.0}.get(dict(dialect.units)["t2m"], 273.15)
        expected = own.squeeze().transpose(*restored.dims) + factor
        np.testing.assert_allclose(restored.values, expected.values, rtol=2e-7, atol=3e-5)


@pytest.mark.parametrize(
    "units", [("t2m", "degC"), ("z", "m"), ("z", "gpm"), ("msl", "hPa"), ("tp", "mm"), ("tp", "kg m-2 s-1")]
)
def test_units_are_converted_and_said(units):
    told = dict(DEFAULT.units) | dict([units])
    conformed = adapt(tell(replace(DEFAULT, units=tuple(told.items()))), target(), climatology=None)
    name = {"z": "z500"}.get(units[0], units[0])
    np.testing.assert_allclose(conformed.data[name], truth()[name], rtol=1e-6)
    assert any(note.startswith(f"{name}: {units[1]} to ") for note in conformed.notes)


def test_height_and_geopotential_differ_by_gravity_and_by_nothing_else():
    heights = tell(replace(DEFAULT, units=(("t2m", "K"), ("z", "m"), ("msl", "Pa"), ("tp", "m"))))
    potential = adapt(tell(DEFAULT), target(), climatology=None).data.z500
    np.testing.assert_allclose(adapt(heights, target(), climatology=None).data.z500, potential, rtol=1e-6)
    metres = target()
    metres = replace(metres, variables=(VariableSpec("z500", "m", ""),), climatology=None)
    np.testing.assert_allclose(adapt(heights, metres, climatology=None).data.z500 * 9.80665, potential, rtol=1e-6)


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "standard"])
def test_calendars_shift_the_seasons_as_they_should(calendar):
    conformed = adapt(tell(replace(DEFAULT, calendar=calendar)), target())
    assert conformed.time.calendar.replace("proleptic_gregorian", "standard") == calendar
    first_day, length = (54, 360) if calendar == "360_day" else (55, 365)
    np.testing.assert_allclose(conformed.time.year_phase, (first_day + 0.5 + np.arange(9)) / length)
    assert conformed.time.spans == (slice(0, 9),)


@pytest.mark.parametrize("name", ["number", "member", "realization", "ensemble"])
def test_members_are_kept_and_given_back(name):
    ds = xr.concat([tell(DEFAULT, seed=seed) for seed in (0, 1, 2)], dim=xr.Variable(name, [4, 5, 6]))
    ds = ds.transpose(..., name).chunk({name: 1})
    with raise_if_dask_computes():
        conformed = adapt(ds, target(), climatology=None)
        back = conformed.labels.restore(conformed.data.t2m)
    assert conformed.data.t2m.dims == ("member", "time", "latitude", "longitude")
    for number in range(3):
        np.testing.assert_allclose(conformed.data.t2m[number], truth(seed=number)["t2m"], rtol=1e-6)
    assert back.dims == (name, "time", "latitude", "longitude")
    assert back[name].values.tolist() == [4, 5, 6]


def test_a_scalar_time_is_one_step():
    conformed = adapt(tell(DEFAULT).isel(time=0), target())
    assert conformed.data.sizes["time"] == 1
    np.testing.assert_allclose(conformed.data.t2m[0], oracle()["t2m"][0], atol=1e-5)


def test_valid_time_wins_over_the_start_of_the_forecast():
    ds = tell(DEFAULT)
    shifted = ds.time.values + np.timedelta64(6, "h")
    ds = ds.assign_coords(valid_time=("time", shifted, {"standard_name": "time"}), step=np.timedelta64(6, "h"))
    conformed = adapt(ds, target(), climatology=None)
    np.testing.assert_array_equal(conformed.time.values, shifted)
    back = conformed.labels.restore(conformed.data.t2m)
    xr.testing.assert_identical(back.time.variable, ds.time.variable)


@pytest.mark.parametrize("index", [True, False])
def test_coordinates_along_dimensions_of_other_names_come_back(index):
    ds = tell(replace(DEFAULT, north_to_south=True, chunks=(3, 8, 16)))[["t2m"]]
    ds = ds.rename(latitude="y", longitude="x", time="t")
    ds = ds.rename_vars(y="lat", x="lon", t="time")
    if index:
        ds = ds.drop_indexes(["lat", "lon"]).assign_coords(y=np.arange(8) * 10, x=np.arange(16) * 7)
    wanted = replace(target(), variables=SPECS[:1], climatology=None)
    conformed = adapt(ds, wanted, climatology=None)
    back = conformed.labels.restore(conformed.data.t2m)
    assert back.dims == ("t", "y", "x")
    assert set(back.coords) == set(ds.coords)
    for name in ds.coords:
        xr.testing.assert_identical(back[name].variable.to_base_variable(), ds[name].variable.to_base_variable())
    np.testing.assert_allclose(back, ds.t2m, rtol=1e-7)


def test_float16_is_read_in_double_precision():
    ds = tell(DEFAULT)[["t2m"]].astype("float16")
    wanted = replace(target(), variables=SPECS[:1], climatology=None)
    conformed = adapt(ds, wanted, climatology=None)
    np.testing.assert_array_equal(conformed.data.t2m, ds.t2m.values.astype("f4"))


def test_files_stay_on_disk_until_results_are_computed(tmp_path, monkeypatch):
    pytest.importorskip("h5netcdf")
    tell(DEFAULT).to_netcdf(tmp_path / "era5.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "era5.nc", engine="h5netcdf") as ds:
        conformed = adapt(ds, target())
        assert dask.is_dask_collection(conformed.data)
        assert not any(ds[name]._in_memory for name in ds.data_vars), "the user's object must not cache the file"
        # A field of nine steps is smaller than one chunk may be.
        assert conformed.data.t2m.chunks[0] == (9,)
        monkeypatch.setattr(pipeline, "_CHUNK_BYTES", 2 * ds.t2m.nbytes / 9)
        assert adapt(ds, target()).data.t2m.chunks[0] == (2, 2, 2, 2, 1)
        np.testing.assert_allclose(conformed.data.t2m, oracle()["t2m"], atol=2e-5)


@pytest.mark.parametrize("chunks", [(4, 8, 5), (4, 3, 16), (9, 3, 5)])
def test_chunks_in_space_change_nothing(chunks):
    whole = adapt(tell(DEFAULT), target()).data
    cut = adapt(tell(replace(DEFAULT, chunks=chunks)), target()).data
    for name in whole:
        np.testing.assert_allclose(cut[name], whole[name], atol=1e-6)
    # A map is one piece of work, whatever the file's chunks.
    assert cut.t2m.data.numblocks[1:] == (1, 1)


def test_packed_files_are_read(tmp_path):
    encoding = {"t2m": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32767}}
    tell(DEFAULT).to_netcdf(tmp_path / "packed.nc", encoding=encoding)
    with xr.open_dataset(tmp_path / "packed.nc", chunks={"time": 4}) as ds:
        conformed = adapt(ds, target(), climatology=None)
        np.testing.assert_allclose(conformed.data.t2m, truth()["t2m"], atol=0.0051)


@pytest.mark.parametrize("absent", [["msl"], ["t2m", "z"]])
def test_absent_variables_are_named_and_left_missing(absent):
    ds = tell(DEFAULT).drop_vars(absent).chunk(time=3)
    named = ", ".join({"z": "z500"}.get(name, name) for name in absent)
    with pytest.warns(UserWarning, match=f"the data lack {named}: the model reads its climatology instead"):
        conformed = adapt(ds, target(), absent="climatology")
    assert conformed.absent == tuple({"z": "z500"}.get(name, name) for name in absent)
    assert f"absent, read as the climatology: {named}" in conformed.notes
    assert list(conformed.data.data_vars) == [spec.name for spec in SPECS]
    for name in conformed.absent:
        assert conformed.data[name].isnull().all()
        assert conformed.data[name].dtype == np.float32
    np.testing.assert_allclose(conformed.data.tp, oracle()["tp"], atol=1e-5)


def test_few_tasks_per_block():
    ds = tell(DEFAULT).drop_vars("z").chunk(time=1)
    wanted = replace(target(), variables=tuple(s for s in SPECS if s.name != "z500"), climatology=None)
    graph = dask.optimize(adapt(ds, wanted, climatology=None).data)[0].__dask_graph__()
    assert len(graph) <= 3 * 9 * 3


def test_recognise_computes_nothing_and_knows_everything():
    ds = tell(replace(DEFAULT, chunks=(3, 4, 5), north_to_south=True))
    with raise_if_dask_computes():
        found = recognise(ds, target())
        text = repr(found)
    assert found.problems == ()
    assert found.available == {"t2m", "z850", "z500", "z250", "msl", "tp"}
    assert found.step == "1D"
    assert found.periodic
    assert found.grid.matches(GRID)
    assert "latitude 'latitude' runs from north to south" in text


def test_a_climatology_with_missing_cells_leaves_them_missing():
    used = target().climatology
    coefficients, scale = used.coefficients.copy(), used.scale.copy()
    coefficients[0, :, 2, 3] = scale[0, 2, 3] = np.nan
    wanted = replace(target(), climatology=Climatology(coefficients, scale))
    anomalies = adapt(tell(DEFAULT), wanted).data.t2m
    assert anomalies[:, 2, 3].isnull().all()
    assert int(anomalies[0].isnull().sum()) == 1


def test_another_dialect_by_hand():
    """The strategy's own oracle, checked on numbers that can be read."""
    ds = tell(Dialect(north_to_south=True, west_of_greenwich=True))
    assert ds.latitude[0] > 0 > ds.longitude[0]
    np.testing.assert_array_equal(ds.t2m.sel(latitude=33.75, longitude=-90.0), truth()["t2m"][:, 5, 12])


def test_lazy_valid_time_is_start_plus_step():
    ds = tell(replace(DEFAULT, chunks=(3, 8, 16)))
    shifted = ds.time.values + np.timedelta64(6, "h")
    eager = ds.assign_coords(valid_time=("time", shifted, {"standard_name": "time"}), step=np.timedelta64(6, "h"))
    lazy = eager.assign_coords(valid_time=eager.valid_time.chunk(time=3))
    with raise_if_dask_computes():
        conformed = adapt(lazy, target())
    np.testing.assert_array_equal(conformed.time.values, shifted)
    xr.testing.assert_allclose(conformed.data.compute(), adapt(eager, target()).data.compute())
    back = conformed.labels.restore(conformed.data.t2m)
    xr.testing.assert_identical(back.time.variable, lazy.time.variable)
