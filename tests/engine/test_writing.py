"""Results on disk: the same after NetCDF and Zarr, and written part by part through faults."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv.engine import write_zarr
from xfaconv.errors import ArgumentError, XFaconvError
from xfaconv.nn import Network

zarr = pytest.importorskip("zarr")

POINTS = {"pacific": (11.25, -157.5), "iceland": (56.25, -22.5)}
pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata:UserWarning")


def lazy(ds: xr.Dataset | None = None) -> xr.Dataset:
    source = worlds.world(60) if ds is None else ds
    return xfaconv.encode(source.chunk(time=9), model=worlds.model(), base_points=POINTS)


@pytest.mark.parametrize("members", [0, 2])
@pytest.mark.parametrize("what", ["encode", "embed", "importance", "attention", "single", "hidden", "conform"])
def test_netcdf_and_zarr_give_back_what_was_written(tmp_path, what, members):
    ds, model = worlds.world(30, members=members).chunk(time=7), worlds.model()
    result = {
        "encode": lambda: xfaconv.encode(ds, model=model, base_points=POINTS),
        "embed": lambda: xfaconv.embed(ds, model=model),
        "importance": lambda: xfaconv.importance(ds, model=model),
        "attention": lambda: xfaconv.attention(ds, model=model, base_points=POINTS, heads=True),
        "single": lambda: xfaconv.attention(ds, model=model, latitude=0, longitude=-140),
        "hidden": lambda: xfaconv.hidden(ds, model=model),
        "conform": lambda: xfaconv.conform(ds, model=model),
    }[what]()
    result.to_netcdf(tmp_path / "result.nc")
    result.to_zarr(tmp_path / "result.zarr")
    read, read_zarr = (xr.open_dataset, xr.open_zarr)
    if isinstance(result, xr.DataArray):
        read, read_zarr = xr.open_dataarray, lambda path: xr.open_dataarray(path, engine="zarr")
    with read(tmp_path / "result.nc") as from_netcdf, read_zarr(tmp_path / "result.zarr") as from_zarr:
        xr.testing.assert_identical(from_netcdf.load(), result.compute())
        xr.testing.assert_identical(from_zarr.load(), result.compute())


def count_calls(monkeypatch) -> list[int]:
    calls: list[int] = []
    original = Network.encode

    def encode(self, *arguments, **options):
        calls.append(1)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Network, "encode", encode)
    return calls


@pytest.mark.parametrize("what", ["encode", "embed"])
@pytest.mark.parametrize("blocks", [1, 3, 100])
def test_part_by_part_is_the_same_as_at_once(tmp_path, what, blocks):
    result = lazy() if what == "encode" else xfaconv.embed(worlds.world(60).chunk(time=9), model=worlds.model())
    write_zarr(result, tmp_path / "out.zarr", blocks_per_part=blocks)
    found = xr.open_zarr(tmp_path / "out.zarr")
    found = found if what == "encode" else found.embeddings
    expected = result.compute()
    for name in found.coords:
        xr.testing.assert_identical(found[name].load().variable, expected[name].variable)
    np.testing.assert_array_equal(
        found["embeddings" if what == "encode" else slice(None)].values,
        expected["embeddings" if what == "encode" else slice(None)].values,
    )
    assert found.attrs == expected.attrs
    assert not [
        name
        for name in zarr.open_group(tmp_path / "out.zarr", use_consolidated=False).array_keys()
        if name.startswith("_")
    ]


def test_an_interrupted_run_goes_on_without_computing_what_is_there(tmp_path, monkeypatch):
    # Equal to the bit needs equal threads in all runs, whatever a probe of the machine says meanwhile.
    monkeypatch.setattr("xfaconv.engine.guards.own_threads_pay", lambda: False)
    result = lazy()
    undisturbed = result.compute(scheduler="synchronous")
    calls = count_calls(monkeypatch)
    counting = Network.encode

    def interrupted(self, *arguments, **options):
        if len(calls) == 5:
            raise KeyboardInterrupt
        return counting(self, *arguments, **options)

    monkeypatch.setattr(Network, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_zarr(result, tmp_path / "out.zarr", blocks_per_part=2)
    monkeypatch.setattr(Network, "encode", counting)
    marks = zarr.open_group(tmp_path / "out.zarr", use_consolidated=False)["_xfaconv_written"][:]
    assert 0 < marks.sum() < len(marks)
    calls.clear()
    write_zarr(lazy(), tmp_path / "out.zarr", blocks_per_part=2)
    left = len(marks) - marks.sum()
    # Segments lie across two blocks of output, so a part of two blocks runs three.
    assert left <= len(calls) <= left + -(-left // 2)
    calls.clear()
    write_zarr(lazy(), tmp_path / "out.zarr", blocks_per_part=2)
    assert calls == []
    found = xr.open_zarr(tmp_path / "out.zarr").load()
    for name in ("embeddings", "importance", "attention"):
        np.testing.assert_array_equal(found[name].values, undisturbed[name].values)


def corrupt(block: np.ndarray, block_info=None) -> np.ndarray:
    if block_info[0]["chunk-location"][0] == 3 and corrupt.broken:
        raise OSError("checksum mismatch")
    return block


corrupt.broken = True


@pytest.mark.parametrize("blocks", [1, 4])
def test_a_corrupt_chunk_costs_only_what_reads_it(tmp_path, blocks):
    ds = worlds.world(60).chunk(time=9)
    undisturbed = lazy(ds).compute()
    ds["t2m"] = ds.t2m.copy(data=ds.t2m.data.map_blocks(corrupt, dtype="f4", meta=ds.t2m.data._meta))
    result = lazy(ds)
    corrupt.broken = True
    with pytest.raises(XFaconvError, match="blocks could not be computed") as caught:
        write_zarr(result, tmp_path / "out.zarr", blocks_per_part=blocks)
    assert "checksum mismatch" in str(caught.value)
    # Positions 27 to 36 cannot be read; the blocks of output are 8 steps long.
    assert str(ds.time.values[24]) in str(caught.value)
    found = xr.open_zarr(tmp_path / "out.zarr").load()
    marks = zarr.open_group(tmp_path / "out.zarr", use_consolidated=False)["_xfaconv_written"][:]
    for block, written in enumerate(marks):
        part = slice(8 * block, 8 * block + 8)
        values, expected = found.embeddings[part].values, undisturbed.embeddings[part].values
        assert np.array_equal(values, expected) if written else np.isnan(values).all()
    assert marks.sum() >= len(marks) - 4
    corrupt.broken = False
    write_zarr(result, tmp_path / "out.zarr")
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / "out.zarr").embeddings.values, undisturbed.embeddings.values)


def test_a_full_disk_is_named_and_the_run_goes_on_afterwards(tmp_path, monkeypatch):
    from zarr.storage import LocalStore

    original = LocalStore.set
    written = []

    async def limited(self, key, value, *arguments, **options):
        if "embeddings/c/" in key:
            written.append(key)
            if len(written) > 3:
                raise OSError(errno.ENOSPC, "No space left on device")
        return await original(self, key, value, *arguments, **options)

    result = lazy()
    monkeypatch.setattr(LocalStore, "set", limited)
    with pytest.raises(XFaconvError, match="cannot be written any more") as caught:
        write_zarr(result, tmp_path / "out.zarr", blocks_per_part=1)
    assert "No space left" in str(caught.value)
    monkeypatch.setattr(LocalStore, "set", original)
    write_zarr(result, tmp_path / "out.zarr", blocks_per_part=1)
    expected = result.compute()
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / "out.zarr").embeddings.values, expected.embeddings.values)


def test_another_result_is_not_mixed_in(tmp_path):
    write_zarr(lazy(), tmp_path / "out.zarr")
    other = xfaconv.encode(worlds.world(60).chunk(time=9), model=worlds.model(seed=1), base_points=POINTS)
    with pytest.raises(ArgumentError, match="something else"):
        write_zarr(other, tmp_path / "out.zarr")
    with pytest.raises(ArgumentError, match="something else"):
        write_zarr(lazy(worlds.world(60, start="1990-01-01")), tmp_path / "out.zarr")


def test_results_in_memory_and_strangers_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="in memory"):
        write_zarr(xfaconv.embed(worlds.world(20), model=worlds.model()), tmp_path / "out.zarr")
    with pytest.raises(ArgumentError, match="not a result"):
        write_zarr(worlds.world(20).chunk(), tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()
