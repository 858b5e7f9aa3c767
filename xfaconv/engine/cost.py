"""How long runs of a network will take, told before they are made."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import TypeVar

from xfaconv.specs import NetworkSpec

T = TypeVar("T")
# Multiplications and additions a second, measured with the packaged models on one core of a cloud machine; used until
# a network has run in this process. The network is bound by memory: this is far below what the core can do.
_USUAL_RATE = 8e9
# A backward pass costs about twice a forward one.
GRADIENT_RUNS = 3
# An integral begins with so many gradients along its path, and two runs more give its ends.
FEWEST_NODES = 4
INTEGRAL_RUNS = GRADIENT_RUNS * FEWEST_NODES + 2
# A shorter call needs no announcement.
_LONG_SECONDS = 10.0
_rates = [_USUAL_RATE]


def operations(spec: NetworkSpec, shape: tuple[int, int]) -> float:
    """Count the multiplications and additions of one step of a network.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    shape : (int, int)
        Rows and columns of its grid.

    Returns
    -------
    float

    Examples
    --------
    >>> operations(NetworkSpec(variables=2), (64, 128)) / operations(NetworkSpec(variables=2), (32, 64)) > 4
    True
    """
    rows, columns = shape
    mixing = 2 * spec.bottleneck * sum(size * size for size, _ in spec.scales)
    cell = (spec.variables + spec.hidden) * spec.bottleneck + mixing + 8 * spec.bottleneck * spec.hidden
    if spec.attention_every:
        # Both passes: queries, keys, values and their mean, then the scores and the sums along a row and a column.
        cell += 2 * (4 * spec.hidden + rows + columns) * spec.attention_width // spec.attention_every
    return 2.0 * cell * rows * columns


def note_run(done: float, seconds: float, threads: int) -> None:
    """Remember how fast a network ran in this process, for the next estimates."""
    if seconds > 0:
        _rates[0] = done / seconds / max(threads, 1)


def seconds_for(spec: NetworkSpec, shape: tuple[int, int], steps: float, cores: int | None = None) -> float:
    """Estimate how long a network takes for some steps.

    Parameters
    ----------
    spec, shape
        See `operations`.
    steps : float
        Steps that are run in all.
    cores : int, optional
        Cores that work at once; by default all.

    Returns
    -------
    float
        Seconds, by the speed of the last run in this process, else by that of a usual machine.

    Examples
    --------
    >>> seconds_for(NetworkSpec(variables=2), (32, 64), 1000) > 0
    True
    """
    return operations(spec, shape) * steps / _rates[0] / min(cores or _cores(), _cores())


def _cores() -> int:
    return os.cpu_count() or 1


def duration(seconds: float) -> str:
    """Write a time for people.

    Examples
    --------
    >>> duration(0.2), duration(75), duration(4000), duration(200000)
    ('less than 1 s', 'about 1 min', 'about 1.1 h', 'about 2.3 days')
    """
    if seconds < 1:
        return "less than 1 s"
    units = ((86400, "{:.1f} days"), (3600, "{:.1f} h"), (60, "{:.0f} min"), (1, "{:.0f} s"))
    size, words = next(unit for unit in units if seconds >= unit[0])
    return f"about {words.format(seconds / size)}"


def announce(call: str, work: str, seconds: float, *, shown: bool) -> None:
    """Say on the error stream, before a long call, what it takes.

    Parameters
    ----------
    call, work : str
        The function, and what it does so many times.
    seconds : float
        Estimated time; nothing is said of a short call.
    shown : bool
        Whether a progress bar is shown anyway.
    """
    if seconds > _LONG_SECONDS:
        hint = "" if shown else "; progress=True shows how far it is"
        sys.stderr.write(f"xfaconv.{call}: {work}, {duration(seconds)} (an estimate{hint})\n")


def watched(items: Sequence[T], call: str, work: str, *, shown: bool) -> Iterator[T]:
    """Go through items, and say after the first how long the others will take; with a progress bar where it is shown.

    Examples
    --------
    >>> list(watched([1, 2, 3], "regimes", "surrogates", shown=False))
    [1, 2, 3]
    """
    from tqdm.auto import tqdm

    begin = perf_counter()
    for number, item in enumerate(tqdm(items, desc=f"{call}: {work}", disable=not shown)):
        if number == 1:
            announce(call, f"{len(items)} {work}", (perf_counter() - begin) * len(items), shown=shown)
        yield item
