"""What a lazy result reads: the sizes of the arrays at the beginning of its graph, behind whatever is done to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import dask.array as da
import numpy as np
from dask.core import flatten

# About 30 microseconds a task: what follows a graph must not take longer than a few seconds.
_MOST_TASKS = 100_000


@dataclass(frozen=True)
class Sources:
    """What is read.

    Parameters
    ----------
    read : int
        Bytes, decoded.
    largest : int
        Bytes of the largest block.
    hidden : tuple of str
        Tasks that read something of unknown size; what they give is counted instead.
    """

    read: int
    largest: int
    hidden: tuple[str, ...]


def sources_of(result: da.Array, data: Iterable[da.Array]) -> Sources:
    """Find out what the tasks of a result read of some data; computes nothing.

    A selection, a mean over days or a regridding stands between the blocks of a file and the data that are given: the
    graph is followed back to the arrays that it begins with, and only blocks that the result needs are counted. Of a
    very large graph the middle is followed, and counted for the whole.

    Parameters
    ----------
    result : dask array
        Made from the data.
    data : iterable of dask array
        The data as they are given.

    Returns
    -------
    Sources

    Examples
    --------
    >>> hours = da.from_array(np.zeros((48, 2), "f4"), chunks=(24, 2))
    >>> days = hours.reshape(2, 24, 2).mean(axis=1)
    >>> days.nbytes, sources_of(days, [days]).read, sources_of(days[:1], [days]).read
    (16, 384, 192)
    """
    arrays = {array.name: array for array in data}
    # Blocks of each part of the graph behind the data, by the name that begins their keys.
    blocks = {name: len(layer) for array in arrays.values() for name, layer in array.dask.layers.items()}
    keys = list(flatten(result.__dask_keys__()))  # type: ignore[no-untyped-call]
    part = keys
    if (tasks := len(result.dask)) > _MOST_TASKS:
        length = max(1, len(keys) * _MOST_TASKS // tasks)
        part = keys[(len(keys) - length) // 2 :][:length]
    read = largest = 0
    hidden = []
    for key, value, needs in _walk(result, part, blocks):
        name = _name(key)
        whole = [found for found in (*_parts(value), *needs) if _is_source(found)]
        if isinstance(value, np.ndarray):
            size = value.nbytes
        elif whole:
            size = _bytes(whole[0]) // blocks[name]
        elif not needs and name in arrays:
            size = int(arrays[name].nbytes) // blocks[name]
        else:
            hidden += [] if needs or _is_source(value) else [name.partition("-")[0]]
            continue
        read, largest = read + size, max(largest, size)
    return Sources(read * len(keys) // len(part), largest, tuple(dict.fromkeys(hidden)))


def _walk(result: da.Array, keys: Sequence[Any], known: Mapping[str, int]) -> Iterator[tuple[Any, Any, list[Any]]]:
    """Go back from blocks of a result to the tasks of the data, each once: its key, what it is, and what it reads."""
    layers: dict[str, Mapping[Any, Any]] = {}
    for name, layer in result.dask.layers.items():
        layers[name] = layer
        if name not in known or len(layer) == 1:
            # Some layers hold keys by other names, such as single nodes.
            layers |= dict.fromkeys({_name(key) for key in layer}, layer)
    todo = list(keys)
    seen = set(todo)
    while todo:
        key = todo.pop()
        layer = layers.get(_name(key), {})
        if key not in layer:
            continue
        value = _plain(layer[key])
        needs = [need for need in _keys(value) if need in layers.get(_name(need), {})]
        fresh = [need for need in needs if need not in seen]
        seen.update(fresh)
        todo += fresh
        if _name(key) in known:
            yield key, value, [_plain(layers[_name(need)][need]) for need in needs]


def _name(key: Any) -> str:
    return str(key[0]) if isinstance(key, tuple) and key else str(key)


def _plain(value: Any) -> Any:
    """Take what is no task out of dask's node for it."""
    return value.value if type(value).__name__ == "DataNode" else value


def _parts(task: Any) -> Iterator[Any]:
    """Give what a task is called with; those of older graphs are tuples."""
    for part in map(_plain, task if isinstance(task, tuple | list) else getattr(task, "args", ())):
        yield part
        if isinstance(part, tuple | list):
            yield from _parts(part)


def _keys(task: Any) -> Iterable[Any]:
    """Give what may be keys that a task reads."""
    if hasattr(task, "dependencies"):
        return list(task.dependencies)
    parts = (task, *_parts(task)) if isinstance(task, tuple | list) else ()
    return [part for part in parts if isinstance(part, str) or (isinstance(part, tuple) and _is_key(part))]


def _is_key(part: tuple[Any, ...]) -> bool:
    return bool(part) and isinstance(part[0], str) and all(isinstance(entry, str | int) for entry in part)


def _is_source(value: Any) -> bool:
    """Whether something is an array in a file or in memory, and not a block of one."""
    known = hasattr(value, "shape") and hasattr(value, "dtype") and not hasattr(value, "dask")
    return known and not isinstance(value, np.ndarray | np.generic)


def _bytes(array: Any) -> int:
    return int(prod(array.shape) * np.dtype(array.dtype).itemsize)
