"""Inference mode and threads hold inside the task and nowhere else."""

from __future__ import annotations

import threading

import pytest
import torch
import xarray as xr
from dask.callbacks import Callback

import xfaconv
from xfaconv.engine import guards
from xfaconv.engine.guards import inference, resolve_device, threads_for_task
from xfaconv.errors import DependencyError


def test_everything_is_put_back():
    before = torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_rng_state()
    with inference(threads=1):
        assert torch.is_inference_mode_enabled()
        assert torch.get_num_threads() == 1
    assert (torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()) == before[:3]
    assert torch.equal(torch.get_rng_state(), before[3])


def test_threads_are_put_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), inference(threads=before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before
    assert not torch.is_inference_mode_enabled()


def test_tasks_that_overlap_leave_the_original_number_of_threads():
    original = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        first_inside, second_inside, first_left = (threading.Event() for _ in range(3))
        seen = []

        def first():
            with inference(threads=1):
                first_inside.set()
                second_inside.wait(10)
            first_left.set()

        def second():
            first_inside.wait(10)
            # A new thread starts from torch's number for the process, which the first task has changed.
            with inference(threads=1):
                second_inside.set()
                first_left.wait(10)
                seen.append(torch.get_num_threads())

        workers = [threading.Thread(target=first), threading.Thread(target=second)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        fresh = []
        reader = threading.Thread(target=lambda: fresh.append(torch.get_num_threads()))
        reader.start()
        reader.join()
        assert seen == [1]
        assert fresh == [3]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(original)


def test_threads_that_a_task_gets(monkeypatch):
    # What a probe of this machine says, now or in another test, is not the question.
    monkeypatch.setattr(guards, "own_threads_pay", lambda: True)
    assert threads_for_task(None, serial=False) is None
    assert threads_for_task(2, serial=True) == 2
    found = []
    worker = threading.Thread(
        target=lambda: found.extend([threads_for_task(None, serial=False), threads_for_task(None, serial=True)])
    )
    worker.start()
    worker.join()
    assert found == [1, None]


def test_devices():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(DependencyError, match="cuda:3"):
            resolve_device("cuda:3")


@pytest.mark.parametrize(("together", "threads"), [(0.5, None), (2.0, 1)])
def test_threads_are_used_where_they_are_faster_and_measured_once(monkeypatch, together, threads):
    asked = []

    def time_of_rounds(most):
        asked.append(torch.get_num_threads())
        return 1.0 if len(asked) == 1 else together

    monkeypatch.setattr(guards, "_time_of_rounds", time_of_rounds)
    monkeypatch.setattr(guards, "_measured", {"until": 0.0, "pays": 1.0})
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert [threads_for_task(None, serial) for serial in (False, True, False)] == [threads] * 3
    finally:
        torch.set_num_threads(before)
    assert asked == [1, 3]
    # In a pool of worker threads nothing is measured, and what the user asks for wins.
    assert threads_for_task(4, serial=True) == 4


def test_data_in_memory_are_computed_in_segments_side_by_side():
    ds = xfaconv.tutorial.open_dataset("amip").isel(time=slice(0, 60)).load()
    before, workers = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    try:
        with Callback(posttask=lambda *done: workers.add(done[-1])):
            found = xfaconv.embed(ds)
    finally:
        torch.set_num_threads(before)
    assert len(workers) == 2
    xr.testing.assert_allclose(found, xfaconv.embed(ds.chunk(time=13)).compute(scheduler="synchronous"), atol=1e-5)
    with xfaconv.set_options(threads=1):
        xr.testing.assert_allclose(found, xfaconv.embed(ds), atol=1e-5)
