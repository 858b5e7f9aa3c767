"""Deterministic gates: what is computed when, how often the network runs, how large the graph is, what its keys say."""

from __future__ import annotations

import cProfile
import threading

import cloudpickle
import dask
import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv.nn import Network

POINTS = {"pacific": (11.25, -157.5)}


@pytest.fixture
def calls(monkeypatch):
    """Count the passes of any network."""
    counted = []
    lock = threading.Lock()
    original = Network.encode

    def encode(self, *arguments, **options):
        with lock:
            counted.append(arguments[0].shape[1])
        return original(self, *arguments, **options)

    monkeypatch.setattr(Network, "encode", encode)
    return counted


def lazy(steps: int = 40, **options) -> xr.Dataset:
    return worlds.world(steps, **options).chunk(time=9)


def build_all(ds: xr.Dataset, model) -> list:
    return [
        xfaconv.embed(ds, model=model),
        xfaconv.importance(ds, model=model),
        xfaconv.attention(ds, model=model, base_points=POINTS),
        xfaconv.attention(ds, model=model, latitude=0, longitude=30, heads=True),
        xfaconv.hidden(ds, model=model),
        xfaconv.encode(ds, model=model, base_points=POINTS),
        xfaconv.conform(ds, model=model),
    ]


def test_building_computes_nothing(no_computes, calls):
    ds = lazy(members=2)
    model = worlds.model()
    with no_computes(0):
        for mode in ("windowed", "stateful"):
            for missing in ("fill", "raise", "propagate"):
                xfaconv.embed(ds, model=model, mode=mode, missing=missing)
        results = build_all(ds, model)
    assert calls == []
    for result in results:
        for variable in result.data_vars.values() if isinstance(result, xr.Dataset) else [result]:
            assert variable.chunks is not None


def test_metadata_is_what_comes_out():
    for result in build_all(lazy(members=2), worlds.model()):
        computed = result.compute(scheduler="synchronous")
        pairs = (
            [(result[name], computed[name]) for name in result.data_vars]
            if isinstance(result, xr.Dataset)
            else [(result, computed)]
        )
        for before, after in pairs:
            assert before.shape == after.values.shape
            assert before.dtype == after.values.dtype == np.float32
            assert isinstance(before.data._meta, np.ndarray)


@pytest.mark.parametrize("steps", [1, 7, 40, 64])
def test_the_network_runs_once_per_segment_however_it_is_asked(calls, steps):
    ds, model = lazy(steps), worlds.model()
    segments = len(np.unique(worlds.step_numbers(ds.time.values, "1D") // model.card.segment))
    dask.compute(xfaconv.embed(ds, model=model), scheduler="threads")
    assert len(calls) == segments
    calls.clear()
    dask.compute(
        xfaconv.embed(ds, model=model),
        xfaconv.importance(ds, model=model),
        xfaconv.attention(ds, model=model, base_points=POINTS),
        xfaconv.attention(ds, model=model, latitude=-30, longitude=60),
        xfaconv.hidden(ds, model=model),
        xfaconv.encode(ds, model=model, base_points=POINTS),
        scheduler="threads",
    )
    assert len(calls) == segments


def test_the_network_runs_once_per_segment_and_member_on_data_in_memory(calls):
    ds, model = worlds.world(40, members=3), worlds.model()
    segments = len(np.unique(worlds.step_numbers(ds.time.values, "1D") // model.card.segment))
    out = xfaconv.encode(ds, model=model, base_points=POINTS)
    assert len(calls) == 3 * segments
    assert all(variable.chunks is None for variable in out.variables.values())


def test_a_segment_reads_only_its_own_steps_and_its_warmup(calls):
    model = worlds.model()
    xfaconv.embed(lazy(64), model=model).compute(scheduler="synchronous")
    assert max(calls) == model.card.segment + model.card.warmup


def test_stateful_runs_each_step_once(calls):
    xfaconv.embed(lazy(64), model=worlds.model(), mode="stateful").compute(scheduler="threads")
    assert sum(calls) == 64


def own_tasks(result: xr.DataArray) -> int:
    layers = result.data.dask.layers
    return sum(len(layer) for name, layer in layers.items() if name.startswith("faconv-"))


def test_tasks_are_linear_in_segments_and_bounded():
    model = worlds.model()
    counts = {steps: own_tasks(xfaconv.embed(lazy(steps, start="2001-01-03"), model=model)) for steps in (80, 160, 320)}
    # One task per segment and one per block of output, and one node that all share.
    for steps, tasks in counts.items():
        assert tasks <= 2 * (steps // model.card.segment + 1) + 1
    assert counts[320] - counts[160] == 2 * (counts[160] - counts[80])
    everything = own_tasks(xfaconv.attention(lazy(320), model=model, base_points=POINTS))
    assert everything <= 2 * (320 // model.card.segment + 2) + 1


def without_data(result: xr.DataArray) -> dict:
    """The tasks that this package wrote, without the data."""
    return {
        key: task
        for name, layer in result.data.dask.layers.items()
        if name.startswith("faconv-")
        for key, task in layer.items()
    }


def test_the_graph_does_not_grow_with_the_model(tmp_path):
    sizes = {}
    for hidden in (8, 48):
        model = worlds.model(hidden=hidden)
        path = tmp_path / f"model-{hidden}.safetensors"
        model.save(path)
        tasks = without_data(xfaconv.embed(lazy(), model=model))
        network = next(key for key in tasks if str(key).startswith("faconv-work"))
        sizes[hidden] = len(cloudpickle.dumps({key: task for key, task in tasks.items() if key != network}))
        # The model in memory is there once: tasks refer to its node.
        assert len(cloudpickle.dumps(tasks[network])) < 2 * path.stat().st_size + 50_000
    assert abs(sizes[48] - sizes[8]) < 0.01 * sizes[8]


def test_a_packaged_model_travels_as_a_handle():
    names = xfaconv.list_models("amip-daily*")
    if not names:
        pytest.skip("no packaged daily model")
    assert len(cloudpickle.dumps(xfaconv.load_model(names[0]))) < 2000


def test_bytes_per_segment_are_bounded():
    model = worlds.model()

    def size(steps: int) -> int:
        return len(cloudpickle.dumps(without_data(xfaconv.embed(lazy(steps), model=model))))

    assert (size(640) - size(320)) / 40 < 3000


def test_a_long_record_is_cut_into_as_many_tasks_as_it_has_segments():
    import dask.array as da

    steps = 350_000
    model = worlds.model(step="1h", segment=96, warmup=24)
    coords = {
        "time": np.datetime64("1980-01-01T00", "ns") + np.arange(steps) * np.timedelta64(1, "h"),
        "latitude": list(worlds.GRID.latitude),
        "longitude": list(worlds.GRID.longitude),
    }
    data = {
        variable.name: (
            ("time", "latitude", "longitude"),
            da.zeros((steps, *worlds.GRID.shape), chunks=(720, -1, -1), dtype="f4"),
            {"units": variable.units},
        )
        for variable in worlds.VARIABLES
    }
    ds = xr.Dataset(data, coords)
    xfaconv.embed(ds.isel(time=slice(0, 96)), model=model)
    profile = cProfile.Profile()
    result = profile.runcall(xfaconv.embed, ds, model=model)
    # 1.4 million when this was written, about a second: a count does not depend on how busy the machine is.
    assert sum(entry.callcount for entry in profile.getstats()) < 3_000_000
    segments = -(-steps // 96) + 1
    assert own_tasks(result) <= 2 * segments + 1
    assert len(result.data.dask) <= 2 * segments + 1 + 6 * 3 * (steps // 720 + 1)


def test_equal_calls_have_equal_keys_and_other_weights_others():
    ds = lazy()
    again = worlds.world(40).chunk(time=9)
    name = xfaconv.embed(ds, model=worlds.model()).data.name
    assert xfaconv.embed(ds, model=worlds.model()).data.name == name
    assert xfaconv.embed(again, model=worlds.model()).data.name == name
    others = [
        xfaconv.embed(ds, model=worlds.model(seed=1)),
        xfaconv.embed(ds, model=worlds.model(warmup=4)),
        xfaconv.embed(ds, model=worlds.model(segment=9)),
        xfaconv.embed(ds, model=worlds.model(), mode="stateful"),
        xfaconv.embed(ds, model=worlds.model(), missing="propagate"),
        xfaconv.embed(lazy(seed=2), model=worlds.model()),
        xfaconv.embed(ds.isel(time=slice(1, None)), model=worlds.model()),
        xfaconv.embed(ds.assign_coords(time=ds.time + np.timedelta64(1, "D")), model=worlds.model()),
    ]
    names = [other.data.name for other in others]
    assert len({name, *names}) == len(names) + 1


def test_base_points_decide_the_keys_of_maps_alone():
    ds, model = lazy(), worlds.model()
    first = xfaconv.attention(ds, model=model, base_points={"a": (0, 0)})
    second = xfaconv.attention(ds, model=model, base_points={"b": (45, 90)})
    assert first.data.name != second.data.name
    shared = {name for name in first.data.dask.layers if name.startswith("faconv-segment")}
    assert shared == {name for name in second.data.dask.layers if name.startswith("faconv-segment")}


def test_sixteen_threads_build_and_compute_at_once():
    ds, model = lazy(), worlds.model(seed=3)
    expected = xfaconv.embed(ds, model=worlds.model(seed=3)).compute(scheduler="synchronous").values
    found = [None] * 16

    def work(number):
        found[number] = xfaconv.embed(ds, model=model).compute(scheduler="synchronous").values

    workers = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for values in found:
        np.testing.assert_allclose(values, expected, atol=1e-6)
