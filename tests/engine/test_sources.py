"""However xarray opened the data, the numbers are those of the data in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv.climatology import Climatology
from xfaconv.errors import XFaconvError
from xfaconv.grid import Grid
from xfaconv.models import Model
from xfaconv.nn import build_network
from xfaconv.specs import ModelCard, VariableSpec

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata:UserWarning")


def write(folder: Path) -> None:
    ds = worlds.world(30)
    packed = {
        name: {
            "dtype": "int16",
            "scale_factor": 0.001 * worlds.SPREADS[i],
            "add_offset": worlds.MEANS[i],
            "_FillValue": -32768,
        }
        for i, name in enumerate(ds)
    }
    ds.to_zarr(folder / "all.zarr", encoding={name: {"chunks": (7, 4, 8)} for name in ds})
    ds.isel(time=slice(0, 13)).to_netcdf(folder / "part-0.nc")
    ds.isel(time=slice(13, 30)).to_netcdf(folder / "part-1.nc")
    ds.to_netcdf(folder / "all.nc")
    ds.to_netcdf(folder / "packed.nc", encoding=packed)


OPENERS = {
    "open_zarr": lambda folder: xr.open_zarr(folder / "all.zarr"),
    "open_zarr without dask": lambda folder: xr.open_zarr(folder / "all.zarr", chunks=None),
    "open_mfdataset": lambda folder: xr.open_mfdataset(sorted(folder.glob("part-*.nc")), combine="by_coords"),
    "open_dataset": lambda folder: xr.open_dataset(folder / "all.nc"),
    "open_dataset with chunks": lambda folder: xr.open_dataset(folder / "all.nc", chunks={"time": 11}),
    "h5netcdf": lambda folder: xr.open_dataset(folder / "all.nc", engine="h5netcdf", chunks={}),
    "packed integers": lambda folder: xr.open_dataset(folder / "packed.nc", chunks={}),
}


def virtually(folder: Path) -> xr.Dataset:
    """Two NetCDF files as one Zarr store of references, as Kerchunk writes it."""
    hdf = pytest.importorskip("kerchunk.hdf")
    combine = pytest.importorskip("kerchunk.combine")
    references = []
    for number, steps in enumerate([slice(0, 15), slice(15, 30)]):
        part = worlds.world(30).isel(time=steps)
        path = folder / f"virtual-{number}.nc"
        layout = {name: {"chunksizes": (5, 8, 16), "zlib": True} for name in part}
        part.to_netcdf(path, engine="h5netcdf", encoding=layout)
        references.append(hdf.SingleHdf5ToZarr(str(path), inline_threshold=0).translate())
    joined = combine.MultiZarrToZarr(
        references, concat_dims=["time"], identical_dims=["latitude", "longitude"], coo_map={"time": "cf:time"}
    ).translate()
    (folder / "virtual.json").write_text(json.dumps(joined))
    return xr.open_dataset(str(folder / "virtual.json"), engine="kerchunk", chunks={})


def versioned(folder: Path) -> xr.Dataset:
    """An Icechunk repository on disk, read at its newest snapshot."""
    icechunk = pytest.importorskip("icechunk")
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(folder / "icechunk")))
    session = repository.writable_session("main")
    ds = worlds.world(30)
    ds.to_zarr(session.store, consolidated=False, encoding={name: {"chunks": (7, 4, 8)} for name in ds})
    session.commit("a month")
    return xr.open_zarr(repository.readonly_session("main").store, consolidated=False)


@pytest.mark.parametrize("opener", [virtually, versioned])
def test_virtual_and_versioned_stores(tmp_path, opener: Callable[[Path], xr.Dataset], no_computes):
    ds = opener(tmp_path)
    assert all(field.chunks is not None for field in ds.data_vars.values())
    with no_computes(0):
        lazy = xfaconv.embed(ds, model=worlds.model())
    expected = xfaconv.embed(worlds.world(30), model=worlds.model())
    np.testing.assert_allclose(lazy.compute(scheduler="threads").values, expected.values, atol=1e-5)
    # What another process gets of the store is enough to read it there.
    travelled = cloudpickle.loads(cloudpickle.dumps(lazy))
    np.testing.assert_allclose(travelled.compute(scheduler="threads").values, expected.values, atol=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sources")
    write(path)
    return path


@pytest.mark.parametrize("opener", OPENERS)
def test_every_way_to_open_gives_the_same_and_stays_lazy(folder, opener, no_computes):
    if opener == "h5netcdf":
        pytest.importorskip("h5netcdf")
    ds = OPENERS[opener](folder)
    with no_computes(0):
        lazy = xfaconv.embed(ds, model=worlds.model())
    assert lazy.chunks is not None
    tolerance = 5e-3 if opener == "packed integers" else 1e-5
    expected = xfaconv.embed(worlds.world(30), model=worlds.model())
    np.testing.assert_allclose(lazy.values, expected.values, atol=tolerance)
    assert not any(ds[name].variable._in_memory for name in ds.data_vars)
    ds.close()


def test_data_in_memory_stay_in_memory():
    out = xfaconv.encode(worlds.world(30), model=worlds.model(), base_points={"a": (0, 0)})
    assert all(isinstance(variable.data, np.ndarray) for variable in out.variables.values())


def test_grib_through_cfgrib(shared_data):
    pytest.importorskip("cfgrib")
    grid = Grid(tuple(np.arange(50.5, 58, 1.0)), tuple(np.arange(350.5, 362, 1.0)))
    used = Climatology(np.zeros((1, 5, *grid.shape), "f4"), np.full((1, *grid.shape), 3, "f4"))
    used.coefficients[0, 0] = 280
    card = ModelCard(
        name="uk-hourly",
        title="tiny",
        description="random weights",
        source="user",
        data="none",
        years={},
        variables=(VariableSpec("t2m", "K", "2 metre temperature"),),
        grid=grid,
        step="1h",
        segment=24,
        warmup=12,
        network=worlds.spec(variables=1, periodic=False, domain=(50.0, 58.0, 350.0, 362.0)),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Model.from_network(card, build_network(card.network, card.step), used)
    path = shared_data / "awkward" / "era5-2mt-2019-03-uk.grib"
    with xr.open_dataset(path, engine="cfgrib", backend_kwargs={"indexpath": ""}) as ds:
        few = ds.isel(time=slice(0, 60))
        lazy = xfaconv.attention(few, model=model, latitude=52.2, longitude=-1.3)
        assert lazy.sizes["time"] == 60
        eager = xfaconv.attention(few.load(), model=model, latitude=52.2, longitude=-1.3)
        np.testing.assert_allclose(lazy.values, eager.values, atol=1e-5)
        np.testing.assert_allclose(eager.sum(["latitude", "longitude"]).values, 1, atol=1e-5)
        assert eager.attrs["periodic"] == "no"


def test_a_damaged_zarr_chunk_is_named_by_its_times(tmp_path):
    from xfaconv.engine import write_zarr

    write(tmp_path)
    undisturbed = xfaconv.embed(xr.open_zarr(tmp_path / "all.zarr"), model=worlds.model()).compute()
    victim = tmp_path / "all.zarr" / "t2m" / "c" / "2" / "0" / "0"
    assert victim.exists()
    whole = victim.read_bytes()
    victim.write_bytes(b"not a chunk")
    lazy = xfaconv.embed(xr.open_zarr(tmp_path / "all.zarr"), model=worlds.model())
    with pytest.raises(XFaconvError, match="2001-03") as caught:
        write_zarr(lazy, tmp_path / "out.zarr", blocks_per_part=2)
    assert caught.value.__cause__ is not None
    found = xr.open_zarr(tmp_path / "out.zarr").embeddings.values
    there = np.isfinite(found).all(axis=1)
    assert 0 < there.sum() < 30
    np.testing.assert_array_equal(found[there], undisturbed.values[there])
    victim.write_bytes(whole)
    write_zarr(lazy, tmp_path / "out.zarr")
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / "out.zarr").embeddings.values, undisturbed.values)
