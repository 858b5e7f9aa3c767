"""Many threads and processes at once: the serial results, one load of each model, options that stay apart."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import dask
import numpy as np
import pytest
import torch
import xarray as xr

import xfaconv
from tests.engine import worlds
from tests.trust.calls import ANALYSIS, ENGINE, MODELS, Call, result
from xfaconv.models import Model
from xfaconv.models import model as model_module

BUSY = [
    call
    for call in (*ENGINE, *ANALYSIS, *MODELS)
    if call.name
    not in {"check_attention", "analysis.choose_count", "tutorial.planted", "plan", "tutorial.open_dataset"}
]


def arrays_of(found: Any) -> dict[str, np.ndarray]:
    """The numbers of a result; nothing where it is no xarray object."""
    if isinstance(found, xr.DataArray):
        found = found.to_dataset(name="result")
    if not isinstance(found, xr.Dataset):
        return {}
    return {str(name): values.values for name, values in found.data_vars.items()}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], name: str) -> None:
    assert found.keys() == expected.keys(), name
    for key, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[key], values, rtol=1e-4, atol=1e-5, err_msg=f"{name}: {key}")
        else:
            np.testing.assert_array_equal(found[key], values, err_msg=f"{name}: {key}")


def test_sixteen_threads_call_everything_at_once() -> None:
    expected = {call.name: arrays_of(call()) for call in BUSY}
    # Filters of warnings are not compared: xarray's own means change them, which no lock of ours makes safe in threads.
    before = torch.get_num_threads(), torch.is_grad_enabled()
    start = threading.Barrier(16)

    def work(number: int) -> list[tuple[str, dict[str, np.ndarray]]]:
        start.wait(60)
        first = number * len(BUSY) // 16
        mine = (BUSY[first:] + BUSY[:first])[: len(BUSY) // 4]
        return [(call.name, arrays_of(call())) for call in mine]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(work, range(16)))
    assert {name for mine in found for name, _ in mine} == set(expected)
    for mine in found:
        for name, arrays in mine:
            assert_same(arrays, expected[name], name)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == before


def test_a_model_is_built_once_however_many_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    original = Model.trainable_network

    def counted(self: Model) -> Any:
        built.append(self.sha256)
        return original(self)

    monkeypatch.setattr(Model, "trainable_network", counted)
    monkeypatch.setattr(model_module, "_NETWORKS", type(model_module._NETWORKS)())
    model = worlds.model(seed=11)
    built.clear()
    start = threading.Barrier(16)

    def work(_: int) -> int:
        start.wait(60)
        return id(model.network())

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(work, range(16)))) == 1
    ds = worlds.world(40).chunk(time=9)
    dask.compute(xfaconv.embed(ds, model=model), xfaconv.hidden(ds, model=model), scheduler="threads", num_workers=8)
    assert built == [model.sha256]


def test_options_of_sixteen_threads_stay_apart() -> None:
    start = threading.Barrier(16)

    def work(number: int) -> bool:
        wanted = ["fill", "propagate", "raise"][number % 3]
        seen = []
        start.wait(60)
        for _ in range(50):
            with xfaconv.set_options(missing=wanted, threads=number + 1):
                seen.append((xfaconv.get_options()["missing"], xfaconv.get_options()["threads"]))
            seen.append((xfaconv.get_options()["missing"], xfaconv.get_options()["threads"]))
        return seen == [(wanted, number + 1), ("fill", None)] * 50

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))
    assert xfaconv.get_options()["missing"] == "fill"


def _in_a_process(names: list[str]) -> tuple[list[tuple[str, dict[str, np.ndarray]]], list[str]]:
    """Call some functions by two threads in this process; say which networks were kept."""
    calls = {call.name: call for call in BUSY}
    # The world of the tests draws its weights from torch's one generator, so it is made before the threads are.
    result("embedding")
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda name: (name, arrays_of(calls[name]())), names))
    return found, [sha256 for sha256, _ in model_module._NETWORKS]


@pytest.mark.timeout(900)
def test_four_processes_call_at_once() -> None:
    wanted = ["embed", "importance", "attention", "encode", "attribution", "regimes"]
    calls: dict[str, Call] = {call.name: call for call in BUSY}
    expected = {name: arrays_of(calls[name]()) for name in wanted}
    # A child that dies breaks this pool, where another kind would start it again for ever.
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(_in_a_process, [wanted[n:] + wanted[:n] for n in range(4)]))
    assert len(found) == 4
    for mine, networks in found:
        assert worlds.model().sha256 in networks
        for name, arrays in mine:
            assert_same(arrays, expected[name], name)
