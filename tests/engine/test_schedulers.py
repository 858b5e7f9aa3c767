"""The same numbers from every scheduler, after pickling, and when workers die."""

from __future__ import annotations

import os
import pickle
import signal
import time
from pathlib import Path

import cloudpickle
import dask
import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds

distributed = pytest.importorskip("distributed")

POINTS = {"pacific": (11.25, -157.5)}


def build(ds: xr.Dataset | None = None, **options) -> xr.Dataset:
    source = worlds.world(40) if ds is None else ds
    return xfaconv.encode(source.chunk(time=9), model=worlds.model(), base_points=POINTS, **options)


@pytest.fixture(scope="module")
def expected() -> xr.Dataset:
    return xfaconv.encode(worlds.world(40), model=worlds.model(), base_points=POINTS)


def check(found: xr.Dataset, expected: xr.Dataset) -> None:
    for name in ("embeddings", "importance", "attention"):
        np.testing.assert_allclose(found[name].values, expected[name].values, atol=1e-5)


@pytest.fixture(scope="module")
def cluster():
    with (
        dask.config.set({"distributed.worker.daemon": False, "distributed.admin.tick.limit": "1h"}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as running,
        distributed.Client(running) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("scheduler", "mode"),
    [("synchronous", "windowed"), ("threads", "windowed"), ("threads", "stateful"), ("processes", "windowed")],
)
def test_local_schedulers(scheduler, mode, expected):
    found = build(mode=mode).compute(scheduler=scheduler, num_workers=2)
    if mode == "windowed":
        check(found, expected)
    else:
        check(found, xfaconv.encode(worlds.world(40), model=worlds.model(), base_points=POINTS, mode=mode))


@pytest.mark.parametrize("mode", ["windowed", "stateful"])
def test_distributed(cluster, mode):
    check(
        build(mode=mode).compute(),
        xfaconv.encode(worlds.world(40), model=worlds.model(), base_points=POINTS, mode=mode),
    )


@pytest.mark.parametrize("tool", [pickle, cloudpickle])
def test_lazy_results_travel(tool, expected):
    lazy = build()
    back = tool.loads(tool.dumps(lazy))
    assert back.embeddings.chunks is not None
    assert back.embeddings.data.name == lazy.embeddings.data.name
    check(back.compute(scheduler="threads"), expected)


def test_eager_data_do_not_touch_the_cluster(cluster, expected):
    before = len(cluster.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes)))
    check(xfaconv.encode(worlds.world(40), model=worlds.model(), base_points=POINTS), expected)
    assert len(cluster.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes))) == before


def fail_once(block: np.ndarray, marker: str) -> np.ndarray:
    """Kill the process that reads the last block, the first time that anyone does."""
    path = Path(marker)
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return block
    os.kill(os.getpid(), signal.SIGKILL)
    return block


def slowly(block: np.ndarray) -> np.ndarray:
    time.sleep(0.05)
    return block


# The last tests of the file, on the same cluster: a worker that has died is started again.


def test_a_killed_worker_changes_no_bit(cluster, tmp_path):
    undisturbed = build().compute()
    ds = worlds.world(40).chunk(time=9)
    ds["t2m"] = ds.t2m.copy(
        data=ds.t2m.data.map_blocks(fail_once, str(tmp_path / "killed"), dtype="f4", meta=ds.t2m.data._meta)
    )
    found = build(ds).compute()
    assert (tmp_path / "killed").exists()
    for name in ("embeddings", "importance", "attention"):
        np.testing.assert_array_equal(found[name].values, undisturbed[name].values)


def test_a_restarted_worker_changes_no_bit(cluster):
    cluster.wait_for_workers(2)
    undisturbed = build().compute()
    ds = worlds.world(40).chunk(time=9)
    ds["t2m"] = ds.t2m.copy(data=ds.t2m.data.map_blocks(slowly, dtype="f4", meta=ds.t2m.data._meta))
    future = cluster.compute(build(ds))
    worker = next(iter(cluster.scheduler_info()["workers"]))
    cluster.restart_workers([worker], timeout=200)
    found = future.result()
    for name in ("embeddings", "importance", "attention"):
        np.testing.assert_array_equal(found[name].values, undisturbed[name].values)
