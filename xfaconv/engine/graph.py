"""Writes the dask graph by hand: one task per segment runs the network, small tasks on top of it give each output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from numpy.typing import NDArray

from xfaconv.adapt import TimeAxis
from xfaconv.engine.runtime import (
    Block,
    Maps,
    Steps,
    Work,
    only_state,
    run_segment,
    take_attention,
    take_embedding,
    take_hidden,
    take_importance,
    take_predictions,
)
from xfaconv.engine.segments import Segment, Segmentation

Key = str | tuple[Any, ...]
# Which part of each of some blocks is read.
Cuts = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class SegmentGraph:
    """The network's tasks of one call, shared by everything that is computed from them.

    Parameters
    ----------
    graph : HighLevelGraph
        Data, the shared node and one task per member and segment.
    name : str
        First entry of the keys ``(name, member, segment)``.
    work_key : str
        Key of the node that holds `Work`.
    token : str
        Decides the names of outputs.
    members : int or None
        Number of members; None where there is no such axis.
    kept : tuple of int
        Steps kept by each segment.
    length : int
        Steps kept by a whole segment.
    steps : ndarray of int64, optional
        Positions of the steps that outputs hold; None for all. Segments that hold none of them have no task.
    network_calls : int
        Number of tasks that run the network.
    """

    graph: HighLevelGraph
    name: str
    work_key: str
    token: str
    members: int | None
    kept: tuple[int, ...]
    length: int
    steps: NDArray[np.int64] | None
    network_calls: int


def _task(key: Key, function: Callable[..., Any], literal: Iterable[Any], needs: Iterable[Key]) -> Any:
    """Write one task of the graph: a function of literal arguments and then of the results of other tasks.

    The classes belong to a private module of dask. The public form of a task, a tuple, is turned into them every time
    that a graph is optimised: 50 microseconds for a segment that reads ten blocks, 18 when they are made once, here.
    """
    from dask._task_spec import Task, TaskRef

    return Task(key, function, *literal, *map(TaskRef, needs))


def segment_graph(
    work: Work,
    time: TimeAxis,
    segments: Segmentation,
    arrays: Sequence[da.Array],
    steps: NDArray[np.int64] | None = None,
) -> SegmentGraph:
    """Write one task per member and segment.

    Parameters
    ----------
    work : Work
        The model and how to use it.
    time : TimeAxis
        The steps of the data.
    segments : Segmentation
        How they are cut.
    arrays : sequence of dask array ([member,] time, latitude, longitude), float32
        Standardised anomalies of each variable in the model's order, with a single chunk in latitude and longitude.
    steps : ndarray of int64, optional
        Positions of the steps that are asked for.

    Returns
    -------
    SegmentGraph
        Its keys depend on the data, the weights, the segmentation and the policies, not on what is asked for.
    """
    # What decides the numbers and nothing else: embed() and attention() of the same data then have equal keys, and dask
    # runs the network once for both where they are computed together.
    token = tokenize(
        work,
        [array.name for array in arrays],
        tokenize(time.index, time.year_phase, time.day_phase),
        (segments.length, segments.warmup, segments.mode),
    )
    name, work_name, state_name = f"faconv-segment-{token}", f"faconv-work-{token}", f"faconv-state-{token}"
    members = next((array.shape[0] for array in arrays if array.ndim == 4), None)
    shared_edges = {array.chunks[-3]: np.cumsum((0, *array.chunks[-3])) for array in arrays}
    layouts = [_Layout.of(array, shared_edges[array.chunks[-3]]) for array in arrays]
    tasks: dict[Key, Any] = {}
    listed, needed = list(segments), segments.holding(steps).tolist()
    for member in range(members or 1):
        blocks = [layout.keys(member) for layout in layouts]
        inside = tuple(layout.member_inside(member) for layout in layouts)
        for number, segment in enumerate(listed):
            if not needed[number]:
                continue
            cuts, needs = _reads(layouts, blocks, segment)
            before = [(state_name, member, number - 1)] if segment.continues else []
            key = (name, member, number)
            tasks[key] = _task(key, run_segment, [_steps(time, segment, cuts, inside)], [work_name, *before, *needs])
            if number + 1 < len(listed) and needed[number + 1] and listed[number + 1].continues:
                # A task of its own, so that the next segment holds the state alone and not all outputs of this one.
                state_key = (state_name, member, number)
                tasks[state_key] = _task(state_key, only_state, [], [key])
    graph = HighLevelGraph.merge(*{array.name: array.dask for array in arrays}.values())
    # One node for the model, so that it is not in every task; states refer back to segments and share their layer.
    layers = {**graph.layers, work_name: MaterializedLayer({work_name: work}), name: MaterializedLayer(tasks)}
    dependencies = {layer: set(needs) for layer, needs in graph.dependencies.items()}
    dependencies[work_name] = set()
    dependencies[name] = {work_name} | {array.name for array in arrays}
    whole = HighLevelGraph(layers, dependencies)
    calls = sum(needed) * (members or 1)
    return SegmentGraph(whole, name, work_name, token, members, segments.kept, segments.length, steps, calls)


def embedding_array(source: SegmentGraph, size: int) -> da.Array:
    """Give the embeddings ([member,] time, embedding)."""
    return _output(source, "embedding", (), take_embedding, (), (size,), with_work=False)


def importance_array(source: SegmentGraph, variables: int) -> da.Array:
    """Give the importance of the variables ([member,] time, variable)."""
    return _output(source, "importance", (), take_importance, (), (variables,))


def attention_array(source: SegmentGraph, maps: Maps, heads: int, grid: tuple[int, int]) -> da.Array:
    """Give the attention maps ([member,] base point, time, [head,] latitude, longitude)."""
    behind = (heads, *grid) if maps.heads else grid
    return _output(source, "attention", (len(maps.cells),), take_attention, (maps,), behind)


def hidden_array(source: SegmentGraph, channels: int, grid: tuple[int, int]) -> da.Array:
    """Give the hidden states after the attention ([member,] time, channel, latitude, longitude)."""
    return _output(source, "hidden", (), take_hidden, (), (channels, *grid))


def prediction_array(source: SegmentGraph, lead: int, variables: int, grid: tuple[int, int]) -> da.Array:
    """Give the predictions at one of the leads asked for ([member,] time, variable, latitude, longitude)."""
    return _output(source, "prediction", (), take_predictions, (lead,), (variables, *grid), with_work=False)


def _output(
    source: SegmentGraph,
    kind: str,
    before_time: tuple[int, ...],
    function: Callable[..., Any],
    literal: tuple[Any, ...],
    behind_time: tuple[int, ...],
    *,
    with_work: bool = True,
) -> da.Array:
    """One small task per block of output; all axes but member and time are single chunks.

    Blocks are as long as a segment but begin with the record, because Zarr wants all chunks but the last of one size.
    """
    steps = () if source.steps is None else (source.steps,)
    name = f"faconv-{kind}-{tokenize(source.token, *literal, *steps) if (*literal, *steps) else source.token}"
    has_member = source.members is not None
    front, back = (0,) * len(before_time), (0,) * len(behind_time)
    work = [source.work_key] if with_work else []
    blocks = [(Block(cuts, int(has_member)), touched) for touched, cuts in _writes(source)]
    tasks = {}
    for member in range(source.members or 1):
        place = (member, *front) if has_member else front
        for number, (block, touched) in enumerate(blocks):
            key = (name, *place, number, *back)
            results = [(source.name, member, segment) for segment in touched]
            tasks[key] = _task(key, function, [block, *literal], [*work, *results])
    lengths = tuple(sum(stop - start for start, stop in block.cuts) for block, _ in blocks)
    chunks = [*((length,) for length in before_time), lengths, *((length,) for length in behind_time)]
    if source.members is not None:
        chunks.insert(0, (1,) * source.members)
    layers = {**source.graph.layers, name: MaterializedLayer(tasks)}
    graph = HighLevelGraph(layers, {**source.graph.dependencies, name: {source.name, *work}})
    meta = np.empty((0,) * len(chunks), dtype=np.float32)
    return da.Array(graph, name, tuple(chunks), meta=meta)  # type: ignore[no-untyped-call]


def _writes(source: SegmentGraph) -> list[tuple[Sequence[int], Cuts]]:
    """For each block of output, the segments that it touches and which of their kept steps it takes."""
    ends = np.cumsum(source.kept)
    starts = ends - source.kept
    out: list[tuple[Sequence[int], Cuts]] = []
    if source.steps is not None:
        for begin in range(0, len(source.steps), source.length):
            steps = source.steps[begin : begin + source.length]
            segments = np.searchsorted(ends, steps, side="right")
            # Steps in a row within one segment are one cut.
            runs = np.flatnonzero(np.r_[True, (np.diff(steps) != 1) | (np.diff(segments) != 0)])
            lengths = np.diff(np.r_[runs, len(steps)])
            inside = (steps - starts[segments])[runs]
            out.append((segments[runs].tolist(), tuple(zip(inside.tolist(), (inside + lengths).tolist(), strict=True))))
        return out
    # Segments end at multiples of their length in absolute time, blocks at multiples counted from the first step: where
    # a record begins inside a segment, each block touches two.
    for begin in range(0, int(ends[-1]), source.length):
        end = min(begin + source.length, int(ends[-1]))
        first = int(np.searchsorted(ends, begin, side="right"))
        last = int(np.searchsorted(starts, end, side="left"))
        lower = np.maximum(begin - starts[first:last], 0).tolist()
        upper = (np.minimum(end, ends[first:last]) - starts[first:last]).tolist()
        out.append((range(first, last), tuple(zip(lower, upper, strict=True))))
    return out


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where the blocks of one array begin."""

    name: str
    edges: NDArray[np.int64]
    member_edges: NDArray[np.int64] | None

    @classmethod
    def of(cls, array: da.Array, edges: NDArray[np.int64]) -> _Layout:
        return cls(array.name, edges, np.cumsum((0, *array.chunks[0])) if array.ndim == 4 else None)

    def member_inside(self, member: int) -> int | None:
        """Give the number of a member within its block, None where the variable has no member axis."""
        if self.member_edges is None:
            return None
        return member - int(self.member_edges[_block_of(self.member_edges, member)])

    def keys(self, member: int) -> list[Key]:
        """Give the keys of the blocks of a member in the order of time."""
        place = () if self.member_edges is None else (_block_of(self.member_edges, member),)
        return [(self.name, *place, number, 0, 0) for number in range(len(self.edges) - 1)]


def _block_of(edges: NDArray[np.int64], position: int) -> int:
    return int(np.searchsorted(edges, position, side="right")) - 1


def _reads(
    layouts: Sequence[_Layout], blocks: Sequence[list[Key]], segment: Segment
) -> tuple[tuple[Cuts, ...], list[Key]]:
    """Which blocks a segment reads, and which part of each."""
    needs: list[Key] = []
    cuts = []
    known: dict[int, tuple[int, Cuts]] = {}
    for layout, available in zip(layouts, blocks, strict=True):
        # Variables usually share their chunks: one look-up and one tuple then serve them all.
        identity = id(layout.edges)
        if identity not in known:
            edges = layout.edges
            first = _block_of(edges, segment.read_start)
            last = int(np.searchsorted(edges, segment.stop, side="left"))
            starts, stops = edges[first:last].tolist(), edges[first + 1 : last + 1].tolist()
            cut = tuple(
                (max(segment.read_start - start, 0), min(segment.stop, stop) - start)
                for start, stop in zip(starts, stops, strict=True)
            )
            known[identity] = (first, cut)
        first, cut = known[identity]
        cuts.append(cut)
        needs += available[first : first + len(cut)]
    return tuple(cuts), needs


def _steps(time: TimeAxis, segment: Segment, cuts: tuple[Cuts, ...], member: tuple[int | None, ...]) -> Steps:
    read = slice(segment.read_start, segment.stop)
    return Steps(
        first_index=int(time.index[segment.read_start]),
        kept_from=segment.keep_start - segment.read_start,
        year_phase=time.year_phase[read],
        day_phase=time.day_phase[read],
        stamps=time.values[read],
        cuts=cuts,
        member=member,
        continues=segment.continues,
    )
