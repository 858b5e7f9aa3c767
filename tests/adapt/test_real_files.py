"""Real files that break naive code: read right, against arithmetic of the tests' own, or refused with reasons."""

from __future__ import annotations

import re
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import cftime
import netCDF4
import numpy as np
import pytest
import xarray as xr

from tests.conftest import raise_if_dask_computes
from xfaconv.adapt import InputSpec, adapt, recognise
from xfaconv.errors import ArgumentError, CoordinateError, GridError, TimeError, UnitsError, VariableError
from xfaconv.grid import Grid
from xfaconv.specs import VariableSpec

UNITS = {"t": "K", "z": "m2 s-2", "u": "m s-1", "v": "m s-1", "q": "kg kg-1"}


def wants(*names, grid=None, step=None, **units):
    """A target of variables by name, in ERA5's units unless told otherwise."""
    known = {"sst": "K", "msl": "Pa", "sp": "Pa", "tp": "m", "olr": "W m-2", "d2m": "K", "mx2t": "K", "sro": "m"}
    specs = [VariableSpec(name, units.get(name) or known.get(name) or UNITS[name[0]], name) for name in names]
    return InputSpec(tuple(specs), grid, step)


def raw(path, name):
    """Values as they lie in the file, unpacked here by hand."""
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        variable = file[name]
        stored = variable[:]
        values = stored.astype("f8")
        for attribute in {"_FillValue", "missing_value"} & set(variable.ncattrs()):
            values[stored == variable.getncattr(attribute)] = np.nan
        packing = [getattr(variable, key, default) for key, default in (("scale_factor", 1.0), ("add_offset", 0.0))]
        return values * packing[0] + packing[1]


def conformed(path, target, **options):
    """Read lazily, adapt, prove that nothing was computed, and that the way back has the file's own labels."""
    with xr.open_dataset(path, **options) as ds:
        before = ds.copy()
        with raise_if_dask_computes():
            out = adapt(ds, target, climatology=None)
            back = out.labels.restore(out.data[target.variables[0].name])
        assert not any(ds[name]._in_memory for name in ds.data_vars)
        assert ds.identical(before)
        for dim in back.dims:
            xr.testing.assert_identical(back[dim].variable, ds[dim].variable)
        return replace(out, data=out.data.load()), back.load()


def test_expver_as_a_dimension_is_merged(shared_data):
    path = shared_data / "awkward/expver-dimension.nc"
    out, back = conformed(path, wants("u100", "v100", step="1M"))
    values = raw(path, "u100")
    final, preliminary = values[:, 0], values[:, 1]
    assert np.isnan(final).any()
    assert np.isnan(preliminary).any()
    oracle = np.where(np.isnan(final), preliminary, final)
    np.testing.assert_allclose(out.data.u100, oracle[:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(back, oracle, rtol=1e-6)
    assert np.isfinite(back).all()
    assert "ERA5 and ERA5T are joined along 'expver'" in out.notes


def test_a_zip_named_nc_is_explained(shared_data):
    path = shared_data / "awkward/zip-named-nc.nc"
    members = zipfile.ZipFile(path).namelist()
    with pytest.raises(ArgumentError) as error:
        recognise(path)
    assert str(error.value).splitlines() == [
        "zip-named-nc.nc is a ZIP archive, as the Climate Data Store gives it, not a NetCDF file",
        "  expected: a NetCDF, GRIB or Zarr file",
        f"  found:    {', '.join(members)}",
        (
            f"  fix:      zipfile.ZipFile({str(path)!r}).extractall('era5'); "
            "ds = xr.merge([xr.open_dataset(f) for f in sorted(Path('era5').glob('*.nc'))], compat='no_conflicts')"
        ),
    ]


def test_hourly_of_the_new_store(shared_data):
    path = shared_data / "awkward/newcds-hourly.nc"
    out, back = conformed(path, wants("d2m", "tp", "sp", step="1h", tp="mm"))
    np.testing.assert_allclose(out.data.tp, raw(path, "tp")[:, ::-1] * 1000, rtol=1e-6)
    np.testing.assert_array_equal(back, raw(path, "d2m").astype("f4"))
    assert back.dims == ("valid_time", "latitude", "longitude")
    assert out.time.step == "1h"
    assert out.time.day_phase[:3].tolist() == [0, 1 / 24, 2 / 24]


def test_daily_of_the_new_store_with_the_sea_missing(shared_data):
    path = shared_data / "awkward/newcds-daily-kerala-2022.nc"
    out, back = conformed(path, wants("t2m", "tp", "u10", step="1D"))
    values = raw(path, "t2m")
    assert 0.1 < np.isnan(values).mean() < 0.9
    np.testing.assert_array_equal(back, values.astype("f4"))
    assert out.time.year_phase[[0, -1]].tolist() == [0, 364 / 365]


def test_monthly_of_the_new_store(shared_data):
    temperature = shared_data / "awkward/newcds-monthly-t2m.nc"
    rain = shared_data / "awkward/newcds-monthly-tp.nc"
    out, _ = conformed(temperature, wants("t2m", step="1M", t2m="degC"))
    np.testing.assert_allclose(out.data.t2m, raw(temperature, "t2m")[:, ::-1] - 273.15, atol=2e-5)
    other, _ = conformed(rain, wants("tp", step="1M"))
    np.testing.assert_array_equal(other.data.tp, raw(rain, "tp")[:, ::-1].astype("f4"))
    # stamped at different hours, but the same months
    assert (out.time.values != other.time.values).all()
    np.testing.assert_array_equal(out.time.index, other.time.index)
    with xr.open_dataset(temperature) as one, xr.open_dataset(rain) as two:
        merged = xr.merge([one, two], join="outer", compat="override")
    with pytest.raises(TimeError) as error:
        adapt(merged, wants("t2m", "tp", step="1M"), climatology=None)
    assert str(error.value).splitlines() == [
        "the stamps of time axis 'valid_time' come in pairs: variables stamped at different hours were merged",
        "  expected: hourly, 3-hourly, 6-hourly, 12-hourly, daily, pentads, weekly, monthly",
        "  found:    2005-01-01, 2005-01-01T06:00, 2005-02-01",
        (
            "  fix:      give them the same stamps before xr.merge: "
            "tp = tp.assign_coords(valid_time=tp['valid_time'].dt.floor('D'))"
        ),
    ]
    with xr.open_dataset(temperature) as one, xr.open_dataset(rain) as tp:
        tp = tp.assign_coords(valid_time=tp["valid_time"].dt.floor("D"))
        both = adapt(xr.merge([one, tp], compat="override"), wants("t2m", "tp", step="1M"), climatology=None)
    np.testing.assert_array_equal(both.data.tp, raw(rain, "tp")[:, ::-1].astype("f4"))


def test_an_integer_date_axis_is_read_and_given_back(shared_data):
    path = shared_data / "awkward/integer-date-axis.nc"
    out, back = conformed(path, wants("t2m", "d2m", "msl", "sro", step="1M"))
    assert out.time.values[[0, -1]].astype("M8[D]").astype(str).tolist() == ["1984-01-01", "2024-10-01"]
    assert back.date.values[:2].tolist() == [19840101, 19840201]
    np.testing.assert_array_equal(back, raw(path, "t2m").astype("f4"))
    assert "time axis 'date': integers such as 19840101 are read as dates" in out.notes


def test_pressure_levels_in_netcdf(shared_data):
    path = shared_data / "awkward/pressure-levels.nc"
    out, _ = conformed(path, wants("z500", "t700", "u925", "v600", step="1h"))
    levels = raw(path, "pressure_level").tolist()
    for name, variable, level in (("z500", "z", 500), ("t700", "t", 700), ("u925", "u", 925), ("v600", "v", 600)):
        values = raw(path, variable)[:, levels.index(level)]
        np.testing.assert_array_equal(out.data[name], values[:, ::-1].astype("f4"))
    assert len(out.time.spans) == 30
    assert sum(run.stop - run.start for run in out.time.spans) == 270
    with (
        xr.open_dataset(path) as ds,
        pytest.raises(VariableError, match="the data lack 'z850', which the model reads") as error,
    ):
        adapt(ds, wants("z850", step="1h"), climatology=None)
    assert "'z' has levels 975, 925, 875, 825, 775, 700, 600, 500 hPa, not 850 hPa" in str(error.value)


GRIB = {"engine": "cfgrib", "backend_kwargs": {"indexpath": ""}}


def grib_messages(path):
    """Every message of a GRIB file as eccodes alone reads it: keys and values from north to south."""
    eccodes = pytest.importorskip("eccodes", reason="eccodes is not installed: pip install xfaconv[grib]")
    pytest.importorskip("cfgrib", reason="cfgrib is not installed: pip install xfaconv[grib]")
    with path.open("rb") as file:
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            keys = {key: eccodes.codes_get(handle, key) for key in ("shortName", "level", "dataDate", "dataTime")}
            shape = eccodes.codes_get(handle, "Nj"), eccodes.codes_get(handle, "Ni")
            yield keys, eccodes.codes_get_values(handle).reshape(shape)
            eccodes.codes_release(handle)


def test_pressure_levels_in_grib(shared_data):
    path = shared_data / "awkward/pressure-levels.grib"
    messages = list(grib_messages(path))
    out, back = conformed(path, wants("u925", "v1000", step="6h"), **GRIB)
    for keys, values in messages:
        name = f"{keys['shortName']}{keys['level']}"
        if name in out.data:
            step = keys["dataTime"] // 600
            np.testing.assert_allclose(out.data[name][step], values[::-1], rtol=1e-6, atol=1e-5)
    assert back.dims == ("time", "latitude", "longitude")


def test_hourly_grib(shared_data):
    path = shared_data / "awkward/era5-2mt-2019-03-uk.grib"
    messages = list(grib_messages(path))
    out, _ = conformed(path, wants("t2m", step="1h", t2m="degC"), **GRIB)
    assert len(messages) == out.data.sizes["time"] == 744
    for step in (0, 100, 743):
        np.testing.assert_allclose(out.data.t2m[step], messages[step][1][::-1] - 273.15, atol=2e-5)


def test_degrees_celsius_and_a_rate_of_rain(shared_data):
    path = shared_data / "awkward/t2m-in-degC.nc"
    out, back = conformed(path, wants("t2m", "msl", step="1M"))
    np.testing.assert_allclose(back, raw(path, "t2m") + 273.15, rtol=1e-6)
    assert back.mean() > 280
    assert "t2m: deg C to K" in out.notes
    with xr.open_dataset(path) as ds:
        with pytest.raises(UnitsError) as error:
            adapt(ds, wants("t2m", "u10", step="1M"), climatology=None)
        assert str(error.value).splitlines() == [
            "variable 'u10' has no units",
            "  expected: m s-1",
            "  fix:      ds['u10'].attrs['units'] = 'm s-1'  # if that is what they are",
        ]
        with pytest.raises(UnitsError) as error:
            adapt(ds, wants("tp", step="1M"), climatology=None)
        assert str(error.value).splitlines() == [
            "variable 'tp' is a rate and the model reads an amount: the time over which it is summed is not known",
            "  expected: m",
            "  found:    kg/m2/s, step 1M",
            (
                "  fix:      ds['tp'] = (ds['tp'] * 86400 * 0.001).assign_attrs(units='m')  "
                "# seconds of the sum, 86400 for daily totals"
            ),
        ]
        rate = adapt(ds, wants("tp", step="1M", tp="mm/day"), climatology=None).data.tp
    np.testing.assert_allclose(rate, raw(path, "tp") * 86400, rtol=1e-5, atol=1e-6)


def test_a_calendar_of_360_days(shared_data):
    path = shared_data / "awkward/calendar-360day.nc"
    out, back = conformed(path, wants("mx2t", step="1D"))
    np.testing.assert_array_equal(back, raw(path, "tasmax").astype("f4"))
    assert out.time.calendar == "360_day"
    assert out.time.values[-1] == cftime.Datetime360Day(2095, 12, 30)
    np.testing.assert_allclose(out.time.year_phase, np.arange(360) / 360)
    assert out.time.spans == (slice(0, 360),)
    with xr.open_dataset(path) as ds, pytest.raises(VariableError) as error:
        adapt(ds, wants("t2m", step="1D"), climatology=None)
    assert str(error.value).splitlines() == [
        "the data lack 't2m', which the model reads",
        "  expected: t2m [K] t2m",
        "  found:    tasmax: mx2t [K] by known name, missing values declared as nan; not recognised: time_vectors",
        "  fix:      variables={'t2m': 'time_vectors'}  # if that is what it is; or absent='climatology' to go without",
    ]


def test_no_time_axis_is_refused(shared_data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xr.SerializationWarning)
        ds = xr.open_dataset(shared_data / "awkward/eraint-uvz-no-time.nc")
    with ds, pytest.raises(TimeError) as error:
        adapt(ds, wants("z500"), climatology=None)
    assert str(error.value).splitlines() == [
        "there is no time axis: 'month' alone does not say when",
        "  expected: a coordinate named time or valid_time that holds dates",
        f"  found:    dimensions {', '.join(map(str, ds.dims))}",
        (
            "  fix:      ds = ds.rename({'month': 'time'})"
            ".assign_coords(time=xr.date_range('the true first date', periods=2, freq='the true step'))"
            "  # the true dates, e.g. from '1979-01-01' in steps of 'MS' or 'D'"
        ),
    ]
    with ds:
        given = ds.rename(month="time").assign_coords(time=np.array(["2000-01-01", "2000-02-01"], "M8[ns]"))
        out = adapt(given, wants("z500", step="1M"), climatology=None)
        assert out.grid.is_global
        north = out.data.z500.isel(latitude=-1)
        values = raw(shared_data / "awkward/eraint-uvz-no-time.nc", "z")[:, 1, 0]
        # from -180 ... 179.25 to 0 ... 359.25
        np.testing.assert_allclose(north, np.roll(values, 240, axis=1), rtol=1e-6)


def test_a_repeated_meridian(shared_data):
    path = shared_data / "ncep-hgt500-monthly-nh-1981-2010.nc"
    out, back = conformed(path, wants("z500", step="1M"))
    values = raw(path, "hgt")
    assert values.shape[2] == 145
    assert out.grid.shape == (29, 144)
    assert out.grid.periodic
    np.testing.assert_allclose(back, values * 9.80665, rtol=1e-6)
    np.testing.assert_allclose(out.data.z500[:, :, 0], values[:, :, 72] * 9.80665, rtol=1e-6)
    height, _ = conformed(path, wants("z500", step="1M", z500="m"))
    np.testing.assert_allclose(height.data.z500 * 9.80665, out.data.z500, rtol=1e-6)


def test_sea_surface_with_land_missing_on_a_coarser_grid(shared_data):
    path = shared_data / "ersst-monthly-2010-2020.nc"
    grid = Grid.regular(5.0)
    with xr.open_dataset(path) as ds, raise_if_dask_computes():
        out = adapt(ds, wants("sst", grid=grid, step="1M"), climatology=None)
    values = raw(path, "sst")[0, ::-1]
    # the cell of 0 to 5 N, 217.5 to 222.5 E holds these rows and columns of 2 degrees with these areas
    row = grid.latitude.index(2.5)
    rows = {0.0: (0, 1), 2.0: (1, 3), 4.0: (3, 5)}
    columns = {218.0: (217.5, 219), 220.0: (219, 221), 222.0: (221, 222.5)}
    latitude, longitude = np.arange(-88, 89, 2.0), np.arange(0, 360, 2.0)
    total = area = 0.0
    for north, (low, high) in rows.items():
        for east, (west, far) in columns.items():
            weight = (np.sin(np.deg2rad(high)) - np.sin(np.deg2rad(low))) * (far - west)
            total += weight * values[np.where(latitude == north)[0][0], np.where(longitude == east)[0][0]]
            area += weight
    assert float(out.data.sst[0, row, 44]) == pytest.approx(total / area + 273.15, rel=1e-6)
    land = out.data.sst.sel(latitude=52.5, longitude=100.0)
    assert land.isnull().all()
    assert 0.25 < float(out.data.sst[0].isnull().mean()) < 0.45


def test_units_that_are_no_units_are_refused(shared_data):
    path = shared_data / "erai-sst-nino34-monthly-1981-2010.nc"
    with xr.open_dataset(path) as ds:
        with pytest.raises(UnitsError) as error:
            adapt(ds, wants("sst", step="1M"), climatology=None)
        assert str(error.value).splitlines() == [
            "the units of variable 'sst' are not known",
            "  expected: K",
            "  found:    as stored: see values",
            "  fix:      ds['sst'].attrs['units'] = 'K'  # if that is what they are",
        ]
        told = ds.assign(sst=ds.sst.assign_attrs(units="K"))
        out = adapt(told, wants("sst", step="1M", sst="degC"), climatology=None)
    np.testing.assert_allclose(out.data.sst, raw(path, "sst") - 273.15, atol=2e-5)


def test_the_monthly_world(shared_data):
    path = shared_data / "ncep-oisst-monthly-global-1981-2018.nc"
    target = wants("sst", "z500", "z200", "v200", "t995", grid=Grid.regular(2.5, pole_points=True), step="1M", z200="m")
    out, _ = conformed(path, target)
    for name, factor, offset in (
        ("sst", 1, 273.15),
        ("z500", 9.80665, 0),
        ("z200", 1, 0),
        ("v200", 1, 0),
        ("t995", 1, 273.15),
    ):
        np.testing.assert_allclose(out.data[name], raw(path, name) * factor + offset, rtol=2e-7, atol=1e-5)


def test_a_sigma_level_is_no_pressure_level(shared_data):
    path = shared_data / "ncep-air-monthly-1948-2026.nc"
    _, back = conformed(path, wants("t995", step="1M", t995="degC"))
    np.testing.assert_array_equal(back, raw(path, "air").astype("f4"))
    with xr.open_dataset(path) as ds, pytest.raises(VariableError, match="the data lack 't850', which the model reads"):
        adapt(ds, wants("t850", step="1M"), climatology=None)


def test_the_region_of_the_andes(shared_data):
    path = shared_data / "era5-monthly-peru-1960-2015.nc"
    out, back = conformed(path, wants("t2m", "u10", "v10", "tp", step="1M", tp="mm"))
    np.testing.assert_allclose(back, raw(path, "t2m"), rtol=2e-7)
    np.testing.assert_allclose(out.data.tp, raw(path, "tp")[:, ::-1] * 1000, rtol=1e-6)
    with xr.open_dataset(path) as ds:
        # the surface geopotential has no time and is no level
        with pytest.raises(VariableError, match="the data lack 'z500'"):
            adapt(ds, wants("z500", step="1M"), climatology=None)
        coarse = adapt(ds, wants("t2m", grid=Grid.regular(2.5, pole_points=True), step="1M"), climatology=None)
    assert coarse.grid.shape == (8, 7)
    values = raw(path, "t2m")[:, ::-1]
    # the cell around 10 S, 80 W: rows -11.25 ... -8.75, the outermost by half
    rows = np.arange(-11.25, -8.74, 0.25)
    weights = np.sin(np.deg2rad(np.minimum(rows + 0.125, -8.75))) - np.sin(np.deg2rad(np.maximum(rows - 0.125, -11.25)))
    across = np.where(np.isin(np.arange(-81.25, -78.74, 0.25), [-81.25, -78.75]), 0.5, 1.0)
    block = values[:, 35:46, 15:26]
    oracle = (block * weights[:, None] * across).sum(axis=(1, 2)) / (weights.sum() * across.sum())
    np.testing.assert_allclose(coarse.data.t2m.sel(latitude=-10, longitude=280), oracle, rtol=1e-6)


def test_the_daily_north_atlantic(shared_data):
    path = shared_data / "erai-daily-natl-2000-2009.nc"
    out, back = conformed(path, wants("msl", "z500", "t850", step="1D", msl="hPa"))
    np.testing.assert_allclose(back, raw(path, "msl") / 100, rtol=1e-6)
    np.testing.assert_allclose(out.data.z500, raw(path, "z500")[:, ::-1], rtol=1e-6)
    assert out.grid.longitude[0] == -20


def test_the_simulation(shared_data):
    path = min((shared_data / "amip").glob("*.nc"))
    names = ("t2m", "u10", "v10", "msl", "z500", "t850", "q850", "u850", "u250", "v250", "tp", "olr")
    out, _ = conformed(path, wants(*names, grid=Grid.regular(5.625), step="1D"))
    for name in names:
        np.testing.assert_allclose(out.data[name], raw(path, name), rtol=2e-7, atol=1e-9)
    with xr.open_dataset(path) as ds:
        with pytest.raises(GridError, match="the data are coarser than the model in latitude"):
            adapt(ds, wants("t2m", grid=Grid.regular(1.0), step="1D"), climatology=None)
        with pytest.raises(TimeError) as error:
            adapt(ds, wants("t2m", step="1M"), climatology=None)
    assert str(error.value).splitlines() == [
        "time axis 'time' has another step than the model",
        "  expected: monthly (1M)",
        "  found:    daily (1D)",
        "  fix:      ds = ds.resample(time='1MS').mean(keep_attrs=True)",
    ]


def test_the_report_names_every_problem_of_every_file(shared_data):
    problems = {}
    for path in sorted([*shared_data.glob("*.nc"), *shared_data.glob("awkward/*.nc")]):
        if zipfile.is_zipfile(path):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xr.SerializationWarning)
            ds = xr.open_dataset(path)
        with ds, raise_if_dask_computes():
            found = recognise(ds)
            assert "<script" not in found._repr_html_()
            problems[path.stem] = [problem.problem for problem in found.problems]
            assert all(problem.fix for problem in found.problems)
    assert {name: what for name, what in problems.items() if what} == {
        "eraint-uvz-no-time": ["there is no time axis: 'month' alone does not say when"],
        "erai-sst-nino34-monthly-1981-2010": ["the units of variable 'sst' are not known"],
        "t2m-in-degC": ["variable 'u10' has no units"],
    }


def test_every_awkward_file_has_a_test(shared_data):
    text = Path(__file__).read_text()
    for path in (shared_data / "awkward").iterdir():
        if path.suffix == ".idx":  # what cfgrib leaves beside a file that it has read
            continue
        assert re.search(re.escape(path.name), text), path.name


def test_levels_that_are_no_pressures_are_refused(shared_data):
    with xr.open_dataset(shared_data / "awkward/pressure-levels.nc") as ds:
        sigma = ds.rename(pressure_level="lev").assign_coords(lev=("lev", np.linspace(0.1, 1, 8), {"units": "sigma"}))
        with pytest.raises(CoordinateError, match="level coordinate 'lev' is not pressure"):
            adapt(sigma, wants("z500", step="1h"), climatology=None)
