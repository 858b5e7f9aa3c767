"""What surrounds the network inside a task: inference mode, device and number of threads, put back afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, perf_counter

from xfaconv.errors import DependencyError

# Other jobs come and go: whether several threads pay is measured again after so many seconds.
_MEASURED_FOR = 60.0
_ROUNDS = 30


def resolve_device(device: str) -> str:
    """Choose where the network runs, on the machine that runs it.

    Parameters
    ----------
    device : str
        ``"auto"`` is a CUDA device where there is one, else the CPU; any other name is taken as it is.

    Returns
    -------
    str
        A device that torch knows.

    Raises
    ------
    DependencyError
        If the device is absent.

    Examples
    --------
    >>> resolve_device("cpu")
    'cpu'
    """
    if device == "cpu":
        return device
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    available = torch.backends.mps.is_available() if device == "mps" else torch.cuda.is_available()
    if not available:
        raise DependencyError(
            f"device {device!r} is not available on the machine that runs the network",
            expected=f"a {device.partition(':')[0]} device that torch can use",
            found=f"torch {torch.__version__} without it",
            fix="device='auto'  # CUDA where there is one, else the CPU",
        )
    return device


def threads_for_task(asked: int | None, serial: bool) -> int | None:
    """Choose how many threads torch may use in this task.

    A task in a pool of worker threads gets one, because the pool already fills the cores; a task that runs alone (one
    segment of data in memory, the synchronous scheduler, a process of its own, a chain of tasks) gets what torch has
    where that is faster than one.

    Parameters
    ----------
    asked : int or None
        What the user set; it wins.
    serial : bool
        Whether the tasks form a chain, so that only one runs at a time.

    Returns
    -------
    int or None
        None leaves torch as it is.

    Examples
    --------
    >>> threads_for_task(3, serial=False)
    3
    """
    if asked is not None:
        return asked
    if serial or threading.current_thread() is threading.main_thread():
        return None if own_threads_pay() else 1
    return 1


_measured = {"until": 0.0, "pays": 1.0}


def own_threads_pay() -> bool:
    """Whether torch's own number of threads is not slower than one on this machine now; measured in milliseconds.

    All threads wait for the last one after every operator. Where other jobs hold a core, the last one waits for its
    turn, some milliseconds, thousands of times: embedding 24 months took 27 s instead of 4 beside six other jobs.

    Returns
    -------
    bool
    """
    import torch

    threads = torch.get_num_threads()
    if threads == 1 or monotonic() < _measured["until"]:
        return threads == 1 or bool(_measured["pays"])
    with _thread_count.limited(1):
        alone = _time_of_rounds(float("inf"))
    together = _time_of_rounds(alone)
    _measured.update(until=monotonic() + _MEASURED_FOR, pays=float(together < alone))
    return together < alone


def _time_of_rounds(most: float) -> float:
    """Seconds for some products and exponentials of the size of a step on a coarse grid; given up above `most`."""
    import torch

    with torch.inference_mode():
        cells, weights = torch.ones(4096, 64), torch.ones(64, 64)
        torch.exp(cells @ weights)
        begin = perf_counter()
        for _ in range(_ROUNDS):
            torch.exp(cells @ weights)
            if perf_counter() - begin > most:
                break
        return perf_counter() - begin


class _ThreadCount:
    """Torch's number of threads, changed by tasks that overlap and put back when the last one leaves.

    torch keeps one number for the process, from which new threads start, and one per thread. Were each task to put back
    what it found, a task that starts while another runs would find the other's choice and make it permanent.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._original = 0

    @contextmanager
    def limited(self, threads: int | None) -> Iterator[None]:
        import torch

        if threads is None:
            yield
            return
        with self._lock:
            # Asking also makes torch set up this thread now: doing so later would undo the choice below.
            found = torch.get_num_threads()
            if self._inside == 0:
                self._original = found
            self._inside += 1
            original = self._original
            torch.set_num_threads(threads)
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                torch.set_num_threads(original)


_thread_count = _ThreadCount()


@contextmanager
def gradients(threads: int | None) -> Iterator[None]:
    """Run torch with gradients and with a number of threads, whatever mode surrounds; both are as before afterwards.

    Parameters
    ----------
    threads : int or None
        Threads for torch's operators; None leaves them as they are.

    Examples
    --------
    >>> import torch
    >>> with inference(threads=1), gradients(threads=1):
    ...     torch.is_grad_enabled(), torch.zeros(1).is_inference()
    (True, False)
    """
    import torch

    with _thread_count.limited(threads), torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def inference(threads: int | None) -> Iterator[None]:
    """Run torch without gradients and with a number of threads; both are as before afterwards.

    torch's guards belong to a thread, and dask runs tasks in threads of its own: so they are entered inside the task.

    Parameters
    ----------
    threads : int or None
        Threads for torch's operators; None leaves them as they are.

    Examples
    --------
    >>> import torch
    >>> with inference(threads=1):
    ...     torch.is_inference_mode_enabled(), torch.get_num_threads()
    (True, 1)
    """
    import torch

    with _thread_count.limited(threads), torch.inference_mode():
        yield


@contextmanager
def training_threads(asked: int | None) -> Iterator[None]:
    """Run torch with the threads that were asked for, else with all of them where that is faster than one.

    Parameters
    ----------
    asked : int or None
        What the user set; it wins.

    Examples
    --------
    >>> import torch
    >>> with training_threads(1):
    ...     torch.get_num_threads()
    1
    """
    with _thread_count.limited(asked if asked or own_threads_pay() else 1):
        yield
