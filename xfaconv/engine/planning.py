"""Says what a call will cost before it is made: network calls, tasks, bytes read, memory and the size of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Unpack

import dask.array as da
import dask.config
import xarray as xr
from dask.system import CPU_COUNT

from xfaconv.arguments import Arguments, check_arguments, shared_arguments
from xfaconv.engine.cost import duration, seconds_for
from xfaconv.engine.graph import embedding_array
from xfaconv.engine.prepare import HIDDEN_BYTES, Prepared, prepare
from xfaconv.engine.sources import Sources, sources_of
from xfaconv.formatting import Row, html_box, html_section, text_section

# Measured: a process that has imported xarray, dask and torch and has run a network once.
_PROCESS_BYTES = 480e6
# A block is there as it is read, once decoded, and in double precision for a batch of steps at a time. From 1 to 5 were
# measured: the fewer, the larger the blocks.
_COPIES_READ = 1.9
# The network holds its prepared input, both branches of the mixing and the states, not all at the same time.
_COPIES_NETWORK = 1.0
# A usual disk or a network of data: what is read in a second, and from what size on it is worth saying.
_READ_RATE = 200e6
_LONG_TO_READ = 10e9
# Data that are read but not given on, as a multiple of those that are.
_MUCH_MORE = 1.5


@dataclass(frozen=True)
class Plan:
    """What a call will cost.

    Parameters
    ----------
    model, choice : str
        The model, and how it was chosen.
    grid : str
        The grid that the network runs on.
    variables, absent : tuple of str
        Variables that the model reads, and those of them that the data lack.
    lazy : bool
        Whether the data are dask arrays; data in memory are computed at once.
    steps, members : int
        Steps of the results, members of the ensemble (1 without that axis).
    steps_without_full_warmup : int
        Steps whose warm-up reaches beyond the data or a gap.
    segment, warmup : int
        Steps that one run of the network keeps, and steps of the warm-up before them.
    mode : str
        Whether segments run in parallel or as a chain.
    network_calls : int
        Runs of the network, one per segment and member, for all outputs together.
    steps_run : int
        Steps that the network runs in all, with warm-up and members.
    tasks : int
        Tasks of the graph of `embed`, before dask fuses any.
    seconds : float
        Estimated time of the network with so many tasks at once [s]; reading comes on top.
    bytes_read : int
        Size of what is read, decoded: of lazy data the blocks at the beginning of their graph, behind a selection, a
        mean over days or another operation.
    bytes_given : int
        Size of the variables that the model reads, as they are given.
    largest_block : int
        Bytes of the largest block that is read.
    workers : int
        Tasks at once that the prediction of memory is for.
    peak_memory : int
        Predicted peak of the memory of one process [bytes], for `embed`.
    outputs : Mapping of str to int
        Bytes of each result; ``attention`` is for one base point.
    notes : tuple of str
        What was done to the data, and what would make the call cheaper.
    """

    model: str
    choice: str
    grid: str
    variables: tuple[str, ...]
    absent: tuple[str, ...]
    lazy: bool
    steps: int
    members: int
    steps_without_full_warmup: int
    segment: int
    warmup: int
    mode: str
    network_calls: int
    steps_run: int
    tasks: int
    seconds: float
    bytes_read: int
    bytes_given: int
    largest_block: int
    workers: int
    peak_memory: int
    outputs: Mapping[str, int]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Give the plan as text."""
        parts = [text_section(f"<xfaconv.Plan {self.model}>", self._model_rows())]
        parts += [text_section(title, rows) for title, rows in self._sections()]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        sections = [html_section("Model", self._model_rows())]
        sections += [html_section(title, rows) for title, rows in self._sections()]
        return html_box("xfaconv.Plan", self.model, sections)

    def _reads(self) -> str:
        said = f"{_size(self.bytes_read)}, largest block {_size(self.largest_block)}"
        if self.bytes_read > _MUCH_MORE * self.bytes_given:
            said += f"; the data that are made of it: {_size(self.bytes_given)}"
        if self.lazy and self.bytes_read > _LONG_TO_READ:
            said += f"; {duration(self.bytes_read / _READ_RATE)} at {_READ_RATE / 1e6:.0f} MB/s"
        return said

    def _model_rows(self) -> list[Row]:
        rows = [("choice", self.choice), ("grid", self.grid), ("reads", ", ".join(self.variables))]
        if self.absent:
            rows.append(("absent", f"{', '.join(self.absent)}: read as the climatology"))
        return rows

    def _sections(self) -> list[tuple[str, list[Row]]]:
        members = f" x {self.members} members" if self.members > 1 else ""
        run = "in parallel" if self.mode == "windowed" else "one after the other"
        work = [
            ("steps", f"{self.steps:,}{members}, {self.steps_without_full_warmup:,} with their warm-up incomplete"),
            (
                "network",
                f"{self.network_calls:,} calls {run}, {self.segment} steps each after {self.warmup} to warm up",
            ),
            ("tasks", f"{self.tasks:,}" if self.lazy else "none: the data are in memory and computed at once"),
            ("time", f"{duration(self.seconds)} for the network with {self.workers} tasks at once, an estimate"),
            ("reads", self._reads()),
            ("memory", f"about {_size(self.peak_memory)} at the peak with {self.workers} tasks at once"),
        ]
        results = [(name, _size(size)) for name, size in self.outputs.items()]
        out = [("Work", work), ("Results", results)]
        if self.notes:
            out.append(("Notes", [(str(number), note) for number, note in enumerate(self.notes, 1)]))
        return out


@shared_arguments
def plan(ds: xr.Dataset, *, workers: int | None = None, **arguments: Unpack[Arguments]) -> Plan:
    """Say what `embed` and the other functions will cost on some data; computes nothing.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    workers : int, optional
        Tasks that run at once in a process; by default dask's setting, else the number of processors.
    **arguments
        The shared arguments of the engine.

    Returns
    -------
    Plan

    Raises
    ------
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> cost = xfaconv.plan(ds)
    >>> cost.steps, cost.model
    (144, 'ncep-monthly-2p5deg')
    """
    check_arguments(workers=workers)
    return plan_of(prepare(ds, arguments), workers)


def plan_of(ready: Prepared, workers: int | None = None) -> Plan:
    """Say what `embed` and the other functions will cost on data that are prepared: see `plan`."""
    card, segments = ready.model.card, ready.segments
    members = ready.members or 1
    at_once = workers or dask.config.get("num_workers", None) or CPU_COUNT
    source = ready.source(needs_hidden=False)
    result = embedding_array(source, card.network.embedding)
    reading, given, loose = _reading(ready, result)
    runs = segments.holding(ready.steps)
    steps_run = int(segments.steps_read[runs].sum()) * members
    warm = segments.full_warmup if ready.steps is None else segments.full_warmup[ready.steps]
    return Plan(
        model=card.name,
        choice=ready.choice.reason,
        grid=ready.grid.describe(),
        variables=tuple(variable.name for variable in card.variables),
        absent=ready.conformed.absent,
        lazy=ready.lazy,
        steps=len(warm),
        members=members,
        steps_without_full_warmup=int((~warm).sum()),
        segment=segments.length,
        warmup=segments.warmup,
        mode=segments.mode,
        network_calls=source.network_calls,
        steps_run=steps_run,
        tasks=len(result.dask) if ready.lazy else 0,
        seconds=seconds_for(card.network, ready.grid.shape, steps_run, at_once if ready.lazy else None),
        bytes_read=reading.read,
        bytes_given=given,
        largest_block=reading.largest,
        workers=at_once,
        peak_memory=_peak(ready, reading.largest, at_once, given),
        outputs=_outputs(ready, len(warm) * members),
        notes=(*ready.conformed.notes, *loose, *_large(ready)),
    )


def _reading(ready: Prepared, result: da.Array) -> tuple[Sources, int, tuple[str, ...]]:
    """Say what is read, the bytes of the data as they are given, and what to say about them."""
    given = plain = 0
    notes: list[str] = []
    lazy: list[da.Array] = []
    for match in ready.conformed.matches:
        if match.source is None:
            continue
        array = ready.conformed.survey.ds[match.source.name]
        along, levels = None, 1
        if match.level_index is not None and array[match.source.level_coordinate].ndim:
            along = array[match.source.level_coordinate].dims[0]
            levels = array.sizes[along]
        given += array.nbytes // levels
        if isinstance(array.data if array.chunks is not None else None, da.Array):
            lazy.append(array.data)
            if along is not None and array.chunksizes[along][0] > 1:
                notes.append(
                    f"blocks of {match.source.name} hold several levels, one of which is read: chunk them by 1"
                )
        else:
            plain += array.nbytes // levels
    if not lazy:
        return Sources(plain, 0, ()), given, tuple(notes)
    found = sources_of(result, lazy)
    if found.hidden:
        largest = max(array.dtype.itemsize * prod(array.chunksize) for array in lazy)
        named = ", ".join(found.hidden[:3])
        notes.append(f"what tasks such as {named} read is not known: counted is what they give, or the data as given")
        found = Sources(max(found.read, given - plain), max(found.largest, largest), found.hidden)
    if found.read > _MUCH_MORE * given:
        notes.append("most of what is read is averaged or cut away: for several calls write the data to a file first")
    return replace(found, read=found.read + plain), given, tuple(dict.fromkeys(notes))


def _large(ready: Prepared) -> tuple[str, ...]:
    if ready.hidden_bytes <= HIDDEN_BYTES:
        return ()
    size = _size(ready.hidden_bytes)
    return (f"hidden states of a segment are {size}, too large to share: one encode() is cheaper than several calls",)


def _peak(ready: Prepared, block: int, workers: int, read: int) -> int:
    """Predict the peak memory of a process that runs `embed`."""
    spec = ready.model.card.network
    rows, columns = ready.grid.shape
    cell_step = 4 * rows * columns
    steps = int(ready.segments.steps_read.max())
    channels = spec.variables + 2 * spec.bottleneck + spec.hidden
    network = _COPIES_NETWORK * cell_step * steps * channels
    fields = cell_step * steps * spec.variables * 2
    held = read if not ready.lazy else 0
    return int(_PROCESS_BYTES + held + workers * (_COPIES_READ * block + network + fields))


def _outputs(ready: Prepared, steps: int) -> dict[str, int]:
    spec = ready.model.card.network
    rows, columns = ready.grid.shape
    return {
        "embeddings": 4 * steps * spec.embedding,
        "importance": 4 * steps * spec.variables,
        "attention": 4 * steps * rows * columns,
        "hidden": 4 * steps * spec.hidden * rows * columns,
    }


def _size(size: float) -> str:
    """Write a number of bytes for people.

    Examples
    --------
    >>> _size(1_500_000)
    '1.5 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
