"""Indices against the published tables, and anomalies, EOFs and box means against slow or closed forms."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from xfaconv.analysis import indices
from xfaconv.analysis.axes import box_mean, cell_area, distance_from, nearest_point
from xfaconv.analysis.statistics.anomalies import anomalies, standardised
from xfaconv.analysis.statistics.eofs import leading_eofs
from xfaconv.errors import ArgumentError, CoordinateError, MissingDataError, TimeError, VariableError

sys.path.insert(0, str(Path(__file__).parent))
import tables

WINTER = (12, 1, 2)


def world(steps: int = 120, freq: str = "MS", seed: int = 0, step: float = 10.0) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    latitude = np.arange(-90 + step / 2, 90, step)
    longitude = np.arange(0, 360, step)
    times = xr.date_range("1991-01-01", periods=steps, freq=freq)
    values = rng.normal(size=(steps, len(latitude), len(longitude)))
    values += 10 * np.cos(2 * np.pi * (times.month.values + times.day.values / 31) / 12)[:, None, None]
    coords = {"time": times, "latitude": latitude, "longitude": longitude}
    return xr.DataArray(values, coords, ("time", "latitude", "longitude"))


@pytest.fixture(scope="module")
def real(shared_data: Path) -> xr.Dataset:
    return xr.open_dataset(shared_data / "ncep-oisst-monthly-global-1981-2018.nc")


@pytest.fixture(scope="module")
def heights(shared_data: Path) -> xr.Dataset:
    return xr.open_dataset(shared_data / "ncep-hgt500-monthly-nh-1981-2010.nc")


def test_nino34_has_the_known_extremes(real: xr.Dataset) -> None:
    index = indices.nino34(real)
    assert str(index.idxmax().values)[:7] == "2015-11"
    assert str(index.idxmin().values)[:7] == "1988-11"
    for month, value in (("2015-11", 2.68), ("1983-01", 2.57), ("1988-11", -2.25)):
        assert float(index.sel(time=month).item()) == pytest.approx(value, abs=0.05)


@pytest.mark.parametrize(("name", "least"), [("nino34", 0.985), ("nino3", 0.98), ("nino4", 0.95), ("nino12", 0.93)])
def test_nino_regions_follow_the_published_table(real: xr.Dataset, shared_data: Path, name: str, least: float) -> None:
    published = tables.nino(shared_data / "indices", name)
    assert tables.correlation(getattr(indices, name)(real), published) > least


def test_era_interim_box_follows_ersst(shared_data: Path) -> None:
    box = xr.open_dataset(shared_data / "erai-sst-nino34-monthly-1981-2010.nc")
    published = tables.nino(shared_data / "indices", "nino34")
    assert tables.correlation(indices.nino34(box), published) == pytest.approx(0.987, abs=0.003)


def test_box_nao_follows_cpc(heights: xr.Dataset, shared_data: Path) -> None:
    published = tables.teleconnection(shared_data / "indices", "nao")
    index = indices.nao(heights)
    assert tables.correlation(index, published) == pytest.approx(0.80, abs=0.01)
    assert tables.correlation(index, published, WINTER) == pytest.approx(0.91, abs=0.01)


def test_eof_nao_follows_cpc_in_winter(heights: xr.Dataset, shared_data: Path) -> None:
    winter = heights.isel(time=np.isin(heights.time.dt.month, WINTER))
    published = tables.teleconnection(shared_data / "indices", "nao")
    assert tables.correlation(indices.nao(winter, method="eof"), published, WINTER) > 0.85


def test_pna_follows_cpc(heights: xr.Dataset, shared_data: Path) -> None:
    published = tables.teleconnection(shared_data / "indices", "pna")
    index = indices.pna(heights)
    assert tables.correlation(index, published) == pytest.approx(0.68, abs=0.01)
    assert tables.correlation(index, published, WINTER) == pytest.approx(0.87, abs=0.01)


def test_arctic_oscillation_resembles_the_nao(heights: xr.Dataset, shared_data: Path) -> None:
    winter = heights.isel(time=np.isin(heights.time.dt.month, WINTER))
    published = tables.teleconnection(shared_data / "indices", "nao")
    assert tables.correlation(indices.ao(winter), published, WINTER) > 0.6


def test_southern_annular_mode_agrees_with_its_eof(real: xr.Dataset) -> None:
    zonal, eof = indices.sam(real[["z500"]]), indices.sam(real[["z500"]], method="eof")
    assert tables.correlation(zonal, eof) > 0.8


def test_soi_of_a_simulation_driven_by_observed_sst(shared_data: Path) -> None:
    """An atmosphere that was forced with the observed sea surface must follow the observed oscillation."""
    files = sorted((shared_data / "amip").glob("amip-daily-5p6deg-200?.nc"))
    monthly = xr.concat(
        [xr.open_dataset(file)[["msl"]].resample(time="MS").mean() for file in files], "time", join="exact"
    )
    index = indices.soi(monthly).rolling(time=5, center=True).mean()
    folder = shared_data / "indices"
    assert tables.correlation(index, tables.soi(folder).rolling(time=5, center=True).mean()) > 0.3
    assert tables.correlation(index, tables.nino(folder, "nino34").rolling(time=5, center=True).mean()) < -0.3


def test_soi_equals_its_definition() -> None:
    data = world(60).rename("msl")
    tahiti, darwin = data.sel(latitude=-15, longitude=210).values, data.sel(latitude=-15, longitude=130).values
    difference = np.empty(60)
    for month in range(12):
        a, b = tahiti[month::12], darwin[month::12]
        difference[month::12] = (a - a.mean()) / a.std() - (b - b.mean()) / b.std()
    np.testing.assert_allclose(indices.soi(data).values, difference / difference.std(), rtol=1e-9)


def test_table_reader_splits_touching_columns(shared_data: Path) -> None:
    folder = shared_data / "indices"
    assert float(tables.teleconnection(folder, "pol").sel(time="1950-01").item()) == -0.71
    assert np.isnan(tables.teleconnection(folder, "pt").sel(time="1950-01").item())
    assert np.isnan(tables.teleconnection(folder, "tnh").sel(time="1950-03").item())
    assert float(tables.teleconnection(folder, "pol").sel(time="1950-03").item()) == 0.78
    assert float(tables.soi(folder).sel(time="1951-01").item()) == 2.5


@pytest.mark.parametrize("change", ["descending", "west", "rolled", "repeated", "level", "names", "float32", "lazy"])
@pytest.mark.parametrize("name", ["nino34", "soi", "nao", "pna", "ao", "sam"])
def test_indices_do_not_depend_on_the_dialect(name: str, change: str, no_computes: Any) -> None:
    """Any orientation, longitude convention, repeated meridian, level axis, name or chunking gives the same index."""
    ds = xr.Dataset({"sst": world(seed=1), "msl": world(seed=2), "z500": world(seed=3)})
    expected = getattr(indices, name)(ds)
    if change == "descending":
        ds = ds.isel(latitude=slice(None, None, -1))
    elif change == "west":
        ds = ds.assign_coords(longitude=(ds.longitude + 180) % 360 - 180).sortby("longitude")
    elif change == "rolled":
        ds = ds.roll(longitude=7, roll_coords=False).assign_coords(longitude=ds.longitude - 70)
    elif change == "repeated":
        last = ds.isel(longitude=[0]).assign_coords(longitude=[360.0])
        ds = xr.concat([ds, last], "longitude", join="outer")
    elif change == "level":
        z = xr.concat([ds.z500 * 0 + 1, ds.z500], "level", join="exact").assign_coords(level=[850.0, 500.0])
        ds = ds.drop_vars("z500").assign(z=z)
    elif change == "names":
        ds = ds.rename(sst="tos", msl="psl", z500="zg500", latitude="lat", longitude="lon")
    elif change == "float32":
        ds = ds.astype("float32")
    elif change == "lazy":
        ds = ds.chunk(time=17, latitude=9)
    before = ds.copy(deep=True)
    with no_computes():
        got = getattr(indices, name)(ds)
    xr.testing.assert_identical(ds, before)
    assert got.dtype == (np.float32 if change == "float32" else np.float64)
    assert (got.chunks is not None) == (change == "lazy")
    np.testing.assert_allclose(got.values, expected.values, atol=2e-4 if change == "float32" else 1e-9)


@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_other_calendars(calendar: str) -> None:
    data = world(240)
    data = data.assign_coords(
        time=xr.date_range("1991-01-01", periods=240, freq="MS", calendar=calendar, use_cftime=True)
    )
    index = indices.nino34(data.rename("sst"))
    np.testing.assert_allclose(index.values, indices.nino34(world(240).rename("sst")).values)


def test_monthly_anomalies_equal_groupby() -> None:
    data = world(100).where(lambda field: field > -12)
    data[:, 3, 4] = np.nan
    expected = data.groupby("time.month") - data.groupby("time.month").mean()
    np.testing.assert_allclose(anomalies(data).values, expected.values, atol=1e-12)
    scaled = expected.groupby("time.month") / expected.groupby("time.month").std()
    np.testing.assert_allclose(standardised(data).values, scaled.values, atol=1e-9)


def test_base_period_sets_the_mean() -> None:
    data = world(120)
    base = data.sel(time=slice("1993", "1996")).groupby("time.month").mean()
    expected = data.groupby("time.month") - base
    np.testing.assert_allclose(anomalies(data, base_period=("1993", "1996")).values, expected.values, atol=1e-12)
    with pytest.raises(TimeError, match="base period"):
        anomalies(data, base_period=("1961", "1990"))


@pytest.mark.parametrize("lazy", [False, True])
def test_daily_anomalies_equal_least_squares(lazy: bool, no_computes: Any) -> None:
    data = world(900, "D", step=30.0)
    data[100:200, 1, 1] = np.nan
    data[:, 2, 2] = np.nan
    days = np.where(data.time.dt.is_leap_year, 366, 365)
    phase = 2 * np.pi * (data.time.dt.dayofyear.values - 1) / days
    basis = np.stack([np.ones(900)] + [f(k * phase) for k in (1, 2, 3) for f in (np.cos, np.sin)], axis=1)
    with no_computes():
        got = anomalies(data.chunk(time=200, latitude=2) if lazy else data)
    for cell in ((0, 0), (1, 1)):
        series = data.values[:, cell[0], cell[1]]
        valid = np.isfinite(series)
        fitted = basis @ np.linalg.lstsq(basis[valid], series[valid], rcond=None)[0]
        np.testing.assert_allclose(got.values[:, cell[0], cell[1]], series - fitted, atol=1e-5)
    assert np.isnan(got.values[:, 2, 2]).all()


def test_eofs_equal_a_singular_value_decomposition() -> None:
    for steps in (36, 900):  # fewer and more steps than cells
        data = anomalies(world(steps, "D" if steps == 900 else "MS", step=30.0))
        got = leading_eofs(data, 3)
        weight = np.sqrt(cell_area(data).values)
        flat = (data - data.mean("time")).values * weight
        left, size, _ = np.linalg.svd(flat.reshape(steps, -1), full_matrices=False)
        for mode in range(3):
            correlation = np.corrcoef(got.series.values[:, mode], left[:, mode])[0, 1]
            assert abs(correlation) == pytest.approx(1.0, abs=1e-8)
        np.testing.assert_allclose(got.variance_share, (size**2 / (size**2).sum())[:3], rtol=1e-8)


def test_eofs_refuse_gaps() -> None:
    data = world(36)
    data[3, 2, 2] = np.nan
    with pytest.raises(MissingDataError, match="gaps"):
        leading_eofs(data)
    data[:, 2, 2] = np.nan
    assert np.isnan(leading_eofs(data).pattern.values[0, 2, 2])


def test_areas_of_boxes_add_up_to_the_sphere() -> None:
    data = world(1, step=7.5)
    total = sum(
        float(cell_area(data, (south, south + 40, west, west + 90)).sum())
        for south in (-80, -40, 0, 40)
        for west in (-130, -40, 50, 140)
    )
    caps = sum(float(cell_area(data, box).sum()) for box in ((-90, -80, 0, 360), (80, 90, 0, 360)))
    assert total + caps == pytest.approx(4 * np.pi, rel=1e-12)


def test_distance_of_antipodes_and_neighbours() -> None:
    distance = distance_from(world(1), (45.0, 10.0))
    assert float(distance.sel(latitude=45, longitude=10)) == 0
    assert float(distance.sel(latitude=-45, longitude=190)) == pytest.approx(180)


def test_parts_of_a_region_are_refused(shared_data: Path) -> None:
    europe = xr.open_dataset(shared_data / "erai-daily-natl-2000-2009.nc")
    with pytest.raises(CoordinateError, match="of the box"):
        indices.nao(europe)
    with pytest.raises(CoordinateError, match="outside the grid"):
        indices.pna(europe)
    with pytest.raises(CoordinateError, match="latitude circle"):
        indices.sam(europe)
    with pytest.raises(VariableError, match="sst"):
        indices.nino34(europe)


def test_bad_arguments_are_refused() -> None:
    data = world(24).rename("msl")
    with pytest.raises(ArgumentError, match="unknown method"):
        indices.nao(data, method="map")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="unknown method"):
        indices.sam(data, method="map")  # type: ignore[arg-type]
    with pytest.raises(TimeError, match="no dates"):
        indices.nino34(data.assign_coords(time=np.arange(24)).rename("sst"))
    with pytest.raises(CoordinateError, match="no latitude"):
        indices.nino34(data.rename(latitude="row").rename("sst"))
    with pytest.raises(CoordinateError, match="outside the grid"):
        nearest_point(data.sel(longitude=slice(0, 90)), (0, 180))
    with pytest.raises(CoordinateError, match="of the box"):
        box_mean(data.sel(longitude=slice(0, 90)), (-10, 10, 60, 140))
