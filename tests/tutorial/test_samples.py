"""Samples: what they hold, that they open lazily, and downloads that are verified."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from scripts import samples as cutter
from tests.local_server import LocalServer, local_server
from xfaconv.errors import ArgumentError, DownloadError
from xfaconv.tutorial import list_datasets, open_dataset, register_dataset, samples

FOLDER = Path(samples.__file__).parent / "data"


@pytest.fixture
def server() -> object:
    with local_server() as running:
        yield running


@pytest.fixture
def own_registry_and_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(samples, "SAMPLES", replace(samples.SAMPLES, registered={}))
    monkeypatch.setenv("XFACONV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)


def test_the_real_sample_is_the_last_dozen_years() -> None:
    ds = open_dataset("ncep-oisst")
    assert list(ds) == ["sst", "z500", "z200", "v200", "t995"]
    assert dict(ds.sizes) == {"time": 144, "lat": 73, "lon": 144}
    assert str(ds.time.values[0])[:7] == "2007-01"
    assert str(ds.time.values[-1])[:7] == "2018-12"
    assert "NOAA" in ds.attrs["source"]
    assert "public domain" in ds.attrs["license"]


def test_nino34_of_the_real_sample_peaks_in_november_2015_at_the_known_value() -> None:
    box = open_dataset("ncep-oisst").sst.sel(lat=slice(-5, 5), lon=slice(190, 240)).load()
    index = box.weighted(np.cos(np.deg2rad(box.lat))).mean(("lat", "lon"))
    # The known anomaly, 2.68 K, is against other years than the sample's: November 2015 itself must stand out.
    anomaly = index.groupby("time.month") - index.groupby("time.month").mean()
    assert str(anomaly.idxmax().values)[:7] == "2015-11"
    assert anomaly.max().item() == pytest.approx(2.68, abs=0.35)


def test_the_simulated_sample_says_that_it_is_a_simulation() -> None:
    ds = open_dataset("amip")
    assert ds.sizes["time"] == 90
    assert ds.attrs["title"].startswith("SIMULATION")
    assert list(ds) == ["t2m", "u10", "v10", "msl", "z500", "t850", "q850", "u850", "u250", "v250", "tp", "olr"]
    assert 190 < ds.t2m.min() < 260 < ds.t2m.max() < 330


@pytest.mark.parametrize(("name", "largest"), [("ncep-oisst", 7_000_000), ("amip", 2_000_000)])
def test_embedded_files_are_small_and_packed(name: str, largest: int) -> None:
    assert (FOLDER / f"{name}.nc").stat().st_size <= largest
    assert {variable.encoding["dtype"] for variable in open_dataset(name).data_vars.values()} == {np.dtype("int16")}


@pytest.mark.parametrize("name", ["ncep-oisst", "amip"])
def test_opening_computes_nothing(name: str, no_computes) -> None:
    with no_computes():
        ds = open_dataset(name)
    assert all(variable.chunks is not None for variable in ds.data_vars.values())
    assert len(ds.chunks["time"]) > 1
    without_dask = open_dataset(name, chunks=None)
    assert not any(variable._in_memory for variable in without_dask.data_vars.values())


def test_chunks_can_be_chosen() -> None:
    assert set(open_dataset("ncep-oisst", chunks={"time": 24}).chunks["time"]) == {24}
    # How many dask makes of them depends on its version.
    assert sum(open_dataset("ncep-oisst", chunks="auto").chunks["time"]) == 144


@pytest.mark.parametrize("name", ["ncep", "AMIP", None, 3])
def test_an_unknown_name_is_refused_with_the_names_that_exist(name: object) -> None:
    with pytest.raises(ArgumentError, match="no sample") as caught:
        open_dataset(name)
    assert "amip or ncep-oisst" in caught.value.expected
    assert "open_dataset" in caught.value.fix


@pytest.mark.usefixtures("own_registry_and_cache")
def test_a_registered_sample_is_downloaded_once_and_opened_lazily(server: LocalServer) -> None:
    content = (FOLDER / "amip.nc").read_bytes()
    register_dataset("storms", url=server.serve("/storms.nc", content), sha256=hashlib.sha256(content).hexdigest())
    assert list_datasets() == ["amip", "ncep-oisst", "storms"]
    for _ in range(2):
        with open_dataset("storms") as ds:
            assert ds.t2m.chunks is not None
            xr.testing.assert_identical(ds.isel(time=0).load(), open_dataset("amip").isel(time=0).load())
    assert server.requests == ["/storms.nc"]


@pytest.mark.usefixtures("own_registry_and_cache")
@pytest.mark.parametrize("served", [b"", b"<html>Please sign in</html>", b"half"])
def test_a_download_that_is_not_the_right_file_is_refused(served: bytes, server: LocalServer, tmp_path: Path) -> None:
    register_dataset("storms", url=server.serve("/storms.nc", served), sha256="0" * 64)
    with pytest.raises(DownloadError, match="storms"):
        open_dataset("storms")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.usefixtures("own_registry_and_cache")
def test_a_right_download_that_is_not_netcdf_is_refused(server: LocalServer) -> None:
    content = b"column one, column two"
    register_dataset("storms", url=server.serve("/storms.nc", content), sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(DownloadError, match="cannot be opened"):
        open_dataset("storms")


@pytest.mark.usefixtures("own_registry_and_cache")
def test_an_embedded_name_cannot_be_taken() -> None:
    with pytest.raises(ArgumentError, match="sample of the package"):
        register_dataset("amip", url="https://example.org/a.nc", sha256="0" * 64)


def test_the_samples_are_what_the_script_makes(shared_data: Path, tmp_path: Path) -> None:
    for name in cutter.CUTS:
        made = cutter.make(name, shared_data, tmp_path)
        with (
            xr.open_dataset(made, mask_and_scale=False) as again,
            xr.open_dataset(FOLDER / f"{name}.nc", mask_and_scale=False) as embedded,
        ):
            xr.testing.assert_identical(again.load(), embedded.load())


def test_a_sample_holds_exactly_the_numbers_of_its_source(shared_data: Path) -> None:
    source = xr.open_dataset(shared_data / "ncep-oisst-monthly-global-1981-2018.nc").sel(time=slice("2007", "2018"))
    sample = open_dataset("ncep-oisst")
    for name in source:
        np.testing.assert_array_equal(sample[name], source[name])
        assert sample[name].attrs == source[name].attrs


def test_absent_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="absent") as caught:
        cutter.make("amip", tmp_path, tmp_path)
    assert "amip-daily-5p6deg-2008.nc" in caught.value.expected
