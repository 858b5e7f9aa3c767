"""Writes the dask graph by hand: one task per segment runs the network, small tasks on top of it give each output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import DataNode, Task, TaskRef
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray

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
)
from xfaconv.engine.segments import Piece, Segmentation


@dataclass(frozen=True, eq=False)
class Clock:
    """The time axis as the tasks need it.

    Parameters
    ----------
    index : ndarray (time,), int64
        Absolute step numbers.
    year_phase, day_phase : ndarray (time,)
        Phases.
    stamps : ndarray (time,)
        Time stamps, for messages.
    """

    index: NDArray[np.int64]
    year_phase: NDArray[np.float64]
    day_phase: NDArray[np.float64]
    stamps: NDArray[Any]


@dataclass(frozen=True, eq=False)
class SegmentGraph:
    """The network's tasks of one call, shared by everything that is computed from them.

    Parameters
    ----------
    graph : HighLevelGraph
        Data, the shared node and one task per member and segment.
    name : str
        First entry of the keys ``(name, member, piece)``.
    work_key : str
        Key of the node that holds `Work`.
    token : str
        Decides the names of outputs.
    members : int or None
        Number of members; None where there is no such axis.
    kept : tuple of int
        Steps kept by each piece.
    segment : int
        Steps kept by a whole piece.
    """

    graph: HighLevelGraph
    name: str
    work_key: str
    token: str
    members: int | None
    kept: tuple[int, ...]
    segment: int

    @property
    def network_calls(self) -> int:
        """Number of tasks that run the network."""
        return len(self.kept) * (self.members or 1)


def segment_graph(work: Work, clock: Clock, pieces: Segmentation, arrays: Sequence[da.Array]) -> SegmentGraph:
    """Write one task per member and segment.

    Parameters
    ----------
    work : Work
        The model and how to use it.
    clock : Clock
        The time axis.
    pieces : Segmentation
        How it is cut.
    arrays : sequence of dask array ([member,] time, latitude, longitude), float32
        Standardised anomalies of each variable in the model's order, with a single chunk in latitude and longitude.

    Returns
    -------
    SegmentGraph
        Its keys depend on the data, the weights, the segmentation and the policies, not on what is asked for.
    """
    token = tokenize(
        work,
        [array.name for array in arrays],
        tokenize(clock.index, clock.year_phase, clock.day_phase),
        (pieces.segment, pieces.warmup, pieces.mode),
    )
    name, work_name, state_name = f"faconv-segment-{token}", f"faconv-work-{token}", f"faconv-state-{token}"
    members = next((array.shape[0] for array in arrays if array.ndim == 4), None)
    shared_edges = {array.chunks[-3]: np.cumsum((0, *array.chunks[-3])) for array in arrays}
    layouts = [_Layout.of(array, shared_edges[array.chunks[-3]]) for array in arrays]
    work_reference = TaskRef(work_name)
    tasks: dict[Any, Task] = {}
    states: dict[Any, Task] = {}
    listed = list(pieces)
    for member in range(members or 1):
        blocks = [layout.references(member) for layout in layouts]
        inside = tuple(layout.member_inside(member) for layout in layouts)
        for number, piece in enumerate(listed):
            cuts, references = _reads(layouts, blocks, piece)
            before = TaskRef((state_name, member, number - 1)) if piece.continues else None
            key = (name, member, number)
            tasks[key] = Task(key, run_segment, work_reference, _steps(clock, piece, cuts, inside), before, *references)
            if number + 1 < len(listed) and listed[number + 1].continues:
                state_key = (state_name, member, number)
                states[state_key] = Task(state_key, only_state, TaskRef(key))
    graph = HighLevelGraph.merge(*{array.name: array.dask for array in arrays}.values())
    layers = dict(graph.layers)
    dependencies = {layer: set(needs) for layer, needs in graph.dependencies.items()}
    # The chain of states refers back to segments, so both live in one layer.
    layers[work_name] = _materialised({work_name: DataNode(work_name, work)})
    layers[name] = _materialised(tasks | states)
    dependencies[work_name] = set()
    dependencies[name] = {work_name} | {array.name for array in arrays}
    whole = HighLevelGraph(layers, dependencies)
    return SegmentGraph(whole, name, work_name, token, members, pieces.kept, pieces.segment)


def embedding_array(source: SegmentGraph, size: int) -> da.Array:
    """Give the embeddings ([member,] time, embedding)."""
    return _output(source, "embedding", (), source.token, take_embedding, (), (size,), with_work=False)


def importance_array(source: SegmentGraph, variables: int) -> da.Array:
    """Give the importance of the variables ([member,] time, variable)."""
    return _output(source, "importance", (), source.token, take_importance, (), (variables,))


def attention_array(source: SegmentGraph, maps: Maps, heads: int, grid: tuple[int, int]) -> da.Array:
    """Give the attention maps ([member,] base point, time, [head,] latitude, longitude)."""
    behind = (heads, *grid) if maps.heads else grid
    token = tokenize(source.token, maps)
    return _output(source, "attention", (len(maps.cells),), token, take_attention, (maps,), behind)


def hidden_array(source: SegmentGraph, channels: int, grid: tuple[int, int]) -> da.Array:
    """Give the hidden states after the attention ([member,] time, channel, latitude, longitude)."""
    return _output(source, "hidden", (), source.token, take_hidden, (), (channels, *grid))


def _output(
    source: SegmentGraph,
    kind: str,
    before_time: tuple[int, ...],
    token: str,
    function: Callable[..., Any],
    extra: tuple[Any, ...],
    behind_time: tuple[int, ...],
    *,
    with_work: bool = True,
) -> da.Array:
    """One small task per block of output; all axes but member and time are single chunks.

    Blocks are as long as a segment but begin with the record, because Zarr wants all chunks but the last of one size.
    """
    name = f"faconv-{kind}-{token}"
    has_member = source.members is not None
    front, back = (0,) * len(before_time), (0,) * len(behind_time)
    shared: tuple[Any, ...] = (TaskRef(source.work_key),) if with_work else ()
    blocks = [(Block(cuts, int(has_member)), numbers) for numbers, cuts in _writes(source)]
    tasks = {}
    for member in range(source.members or 1):
        place = (member, *front) if has_member else front
        for number, (block, touched) in enumerate(blocks):
            key = (name, *place, number, *back)
            results = [TaskRef((source.name, member, piece)) for piece in touched]
            tasks[key] = Task(key, function, *shared, block, *extra, *results)
    lengths = tuple(sum(stop - start for start, stop in block.cuts) for block, _ in blocks)
    chunks = [*((length,) for length in before_time), lengths, *((length,) for length in behind_time)]
    if source.members is not None:
        chunks.insert(0, (1,) * source.members)
    layers = dict(source.graph.layers)
    dependencies = dict(source.graph.dependencies)
    layers[name] = _materialised(tasks)
    dependencies[name] = {source.name, source.work_key} if with_work else {source.name}
    graph = HighLevelGraph(layers, dependencies)
    meta = np.empty((0,) * len(chunks), dtype=np.float32)
    return da.Array(graph, name, tuple(chunks), meta=meta)  # type: ignore[no-untyped-call]


def _writes(source: SegmentGraph) -> list[tuple[range, tuple[tuple[int, int], ...]]]:
    """For each block of output, the pieces that it touches and which of their kept steps it takes."""
    ends = np.cumsum(source.kept)
    starts = ends - source.kept
    out = []
    for begin in range(0, int(ends[-1]), source.segment):
        end = min(begin + source.segment, int(ends[-1]))
        first = int(np.searchsorted(ends, begin, side="right"))
        last = int(np.searchsorted(starts, end, side="left"))
        lower = np.maximum(begin - starts[first:last], 0).tolist()
        upper = (np.minimum(end, ends[first:last]) - starts[first:last]).tolist()
        out.append((range(first, last), tuple(zip(lower, upper, strict=True))))
    return out


def _materialised(tasks: dict[Any, Any]) -> Any:
    from dask.highlevelgraph import MaterializedLayer

    return MaterializedLayer(tasks)


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

    def references(self, member: int) -> list[TaskRef]:
        """Refer to the blocks of a member in the order of time."""
        place = () if self.member_edges is None else (_block_of(self.member_edges, member),)
        return [TaskRef((self.name, *place, number, 0, 0)) for number in range(len(self.edges) - 1)]


def _block_of(edges: NDArray[np.int64], position: int) -> int:
    return int(np.searchsorted(edges, position, side="right")) - 1


def _reads(
    layouts: Sequence[_Layout], blocks: Sequence[list[TaskRef]], piece: Piece
) -> tuple[tuple[tuple[tuple[int, int], ...], ...], list[TaskRef]]:
    """Which blocks a piece reads, and which part of each."""
    references: list[TaskRef] = []
    cuts = []
    known: dict[int, tuple[int, tuple[tuple[int, int], ...]]] = {}
    for layout, available in zip(layouts, blocks, strict=True):
        # Variables usually share their chunks: one look-up and one tuple then serve them all.
        identity = id(layout.edges)
        if identity not in known:
            edges = layout.edges
            first = int(np.searchsorted(edges, piece.read_start, side="right")) - 1
            last = int(np.searchsorted(edges, piece.stop, side="left"))
            starts, stops = edges[first:last].tolist(), edges[first + 1 : last + 1].tolist()
            cut = tuple(
                (max(piece.read_start - start, 0), min(piece.stop, stop) - start)
                for start, stop in zip(starts, stops, strict=True)
            )
            known[identity] = (first, cut)
        first, cut = known[identity]
        cuts.append(cut)
        references += available[first : first + len(cut)]
    return tuple(cuts), references


def _steps(
    clock: Clock, piece: Piece, cuts: tuple[tuple[tuple[int, int], ...], ...], member: tuple[int | None, ...]
) -> Steps:
    read = slice(piece.read_start, piece.stop)
    return Steps(
        first_index=int(clock.index[piece.read_start]),
        kept_from=piece.keep_start - piece.read_start,
        year_phase=clock.year_phase[read],
        day_phase=clock.day_phase[read],
        stamps=clock.stamps[read],
        cuts=cuts,
        member=member,
    )
