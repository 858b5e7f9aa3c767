"""What is in memory at once depends on blocks, segments and the tasks at once, never on the length of the record."""

from __future__ import annotations

import threading
import weakref

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv.adapt.anomalies import apply_to_blocks
from xfaconv.engine import write_zarr

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata:UserWarning")

BLOCK = 5
ROWS, COLUMNS = 32, 64


class Census:
    """Counts the blocks of input that are alive, by watching them go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.made = self.alive = self.most = 0

    def born(self, block: np.ndarray) -> np.ndarray:
        with self._lock:
            self.made += 1
            self.alive += 1
            self.most = max(self.most, self.alive)
        weakref.finalize(block, self._gone)
        return block

    def _gone(self) -> None:
        with self._lock:
            self.alive -= 1

    def __dask_tokenize__(self) -> tuple[str, int]:
        return "census", id(self)


def generated(steps: int, census: Census) -> xr.Dataset:
    """Fields four times as fine as the model's grid, made block by block and counted while they live."""

    def make(mean: float, block_info=None) -> np.ndarray:
        (start, stop), _, _ = block_info[None]["array-location"]
        wave = np.cos(np.linspace(0, 12, ROWS * COLUMNS)).reshape(ROWS, COLUMNS)
        return census.born((mean + wave + np.sin(np.arange(start, stop))[:, None, None]).astype("f4"))

    chunks = (tuple([BLOCK] * (steps // BLOCK) + [steps % BLOCK] * (steps % BLOCK > 0)), (ROWS,), (COLUMNS,))
    data = {}
    for variable, mean in zip(worlds.VARIABLES, worlds.MEANS, strict=True):
        array = da.map_blocks(make, mean, chunks=chunks, dtype="f4", meta=np.empty((0, 0, 0), "f4"))
        data[variable.name] = (("time", "latitude", "longitude"), array, {"units": variable.units})
    height, width = 180 / ROWS, 360 / COLUMNS
    coords = {
        "time": worlds.dates(steps),
        "latitude": np.arange(ROWS) * height - 90 + height / 2,
        "longitude": np.arange(COLUMNS) * width,
    }
    return xr.Dataset(data, coords)


def most_alive(steps: int, write, **schedule: object) -> int:
    census = Census()
    with dask.config.set(**schedule):
        write(xfaconv.embed(generated(steps, census), model=worlds.model()))
    # Every block is made once; write_zarr reads again what two of its parts share.
    assert census.made >= 3 * -(-steps // BLOCK)
    assert census.alive == 0
    return census.most


def test_blocks_in_memory_do_not_grow_with_the_record(tmp_path):
    found = [
        most_alive(steps, lambda result, steps=steps: result.to_zarr(tmp_path / f"{steps}.zarr"), scheduler="sync")
        for steps in (40, 240)
    ]
    # A block is regridded as soon as it is there, so that the next one takes its place.
    assert found == [1, 1]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_each_task_at_once_holds_a_block_or_two(tmp_path, workers):
    most = most_alive(
        200, lambda result: result.to_zarr(tmp_path / "out.zarr"), scheduler="threads", num_workers=workers
    )
    assert most <= 2 * workers


def test_parts_hold_no_more_than_the_whole(tmp_path):
    write = lambda result: write_zarr(result, tmp_path / "out.zarr", blocks_per_part=4)  # noqa: E731
    assert most_alive(240, write, scheduler="threads", num_workers=2) <= 4


def test_regridded_fields_wait_for_few_segments(monkeypatch):
    """What lies between reading and the network is bounded too: fields of the segments that are being gathered."""
    from xfaconv.adapt import pipeline
    from xfaconv.engine import graph

    original = pipeline.standardise_block
    model = worlds.model()

    def no_network(steps, work, *blocks) -> dict:
        return {"embedding": np.zeros((len(steps.year_phase) - steps.kept_from, 6), "f4")}

    monkeypatch.setattr(graph, "run_segment", no_network)
    of_a_segment = 3 * (-(-(model.card.segment + model.card.warmup) // BLOCK) + 1)
    for steps in (480, 1440):
        census = Census()
        monkeypatch.setattr(
            pipeline, "standardise_block", lambda *args, census=census, **more: census.born(original(*args, **more))
        )
        xfaconv.embed(generated(steps, Census()), model=model).compute(scheduler="sync")
        assert census.made == 3 * steps // BLOCK
        assert census.most <= 4 * of_a_segment


def test_a_block_is_not_copied_on_its_way_to_the_regridding():
    blocks = [np.random.default_rng(number).normal(size=(3, 4, 5)).astype("f4") for number in range(4)]
    array = da.map_blocks(
        lambda block_info: blocks[block_info[None]["chunk-location"][0]], chunks=((3,) * 4, (4,), (5,)), dtype="f4"
    )
    seen = []

    def coarse(block: np.ndarray, basis: np.ndarray) -> np.ndarray:
        seen.append(any(np.shares_memory(block, known) for known in blocks))
        return block[:, :2, :2] + basis[:, :1, None]

    found = apply_to_blocks(array, coarse, (2, 2), np.ones((12, 1)))
    np.testing.assert_allclose(found.compute(scheduler="sync"), np.concatenate(blocks)[:, :2, :2] + 1, atol=1e-6)
    assert seen == [True] * 4
