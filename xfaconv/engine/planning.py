"""Says what a call will cost before it is made: network calls, tasks, bytes read, memory and the size of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Unpack

import dask.config
import xarray as xr
from dask.system import CPU_COUNT

from xfaconv.arguments import Arguments, check_arguments, shared_arguments
from xfaconv.engine.graph import embedding_array
from xfaconv.engine.prepare import HIDDEN_BYTES, Prepared, prepare
from xfaconv.formatting import Row, html_box, html_section, text_section

# Measured: a process that has imported xarray, dask and torch and has run a network once.
_PROCESS_BYTES = 480e6
# A block is there as it is read, once decoded, and in double precision for a batch of steps at a time. From 1 to 5 were
# measured: the fewer, the larger the blocks.
_COPIES_READ = 1.9
# The network holds its prepared input, both branches of the mixing and the states, not all at the same time.
_COPIES_NETWORK = 1.0


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
        Length of the record, members of the ensemble (1 without that axis).
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
    bytes_read : int
        Size of the data that are read, decoded.
    largest_block : int
        Bytes of the largest block of the data.
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
    bytes_read: int
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
            ("reads", f"{_size(self.bytes_read)}, largest block {_size(self.largest_block)}"),
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
    read, block, loose = _reading(ready)
    source = ready.source(needs_hidden=False)
    tasks = len(embedding_array(source, card.network.embedding).dask) if ready.lazy else 0
    return Plan(
        model=card.name,
        choice=ready.choice.reason,
        grid=ready.grid.describe(),
        variables=tuple(variable.name for variable in card.variables),
        absent=ready.conformed.absent,
        lazy=ready.lazy,
        steps=len(segments.full_warmup),
        members=members,
        steps_without_full_warmup=int((~segments.full_warmup).sum()),
        segment=segments.length,
        warmup=segments.warmup,
        mode=segments.mode,
        network_calls=source.network_calls,
        steps_run=int(segments.steps_read.sum()) * members,
        tasks=tasks,
        bytes_read=read,
        largest_block=block,
        workers=at_once,
        peak_memory=_peak(ready, block, at_once, read),
        outputs=_outputs(ready, members),
        notes=(*ready.conformed.notes, *loose, *_large(ready)),
    )


def _reading(ready: Prepared) -> tuple[int, int, tuple[str, ...]]:
    """Bytes of the data that the model reads, of their largest block, and what to say about the blocks."""
    total = largest = 0
    notes: list[str] = []
    for match in ready.conformed.matches:
        if match.source is None:
            continue
        array = ready.conformed.survey.ds[match.source.name]
        along, levels = None, 1
        if match.level_index is not None and array[match.source.level_coordinate].ndim:
            along = array[match.source.level_coordinate].dims[0]
            levels = array.sizes[along]
        total += array.nbytes // levels
        if array.chunks is not None:
            largest = max(largest, array.dtype.itemsize * prod(max(sizes) for sizes in array.chunks))
            if along is not None and array.chunksizes[along][0] > 1:
                notes.append(
                    f"blocks of {match.source.name} hold several levels, one of which is read: chunk them by 1"
                )
    return total, largest, tuple(notes)


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


def _outputs(ready: Prepared, members: int) -> dict[str, int]:
    spec = ready.model.card.network
    steps = len(ready.segments.full_warmup) * members
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
