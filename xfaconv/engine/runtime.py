"""What runs inside the tasks of a graph: blocks of data in, one pass of the network over a segment, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from xfaconv.engine.cost import note_run, operations
from xfaconv.engine.guards import inference, resolve_device, threads_for_task
from xfaconv.engine.missing import Expected, Filled, Policy, fill
from xfaconv.errors import XFaconvError
from xfaconv.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor

    from xfaconv.models import Model
    from xfaconv.nn import Geometry, Network

FloatArray = NDArray[np.float32]
# One network pass prepares all its steps at once; above this size of hidden states it goes on in shorter batches.
_BATCH_BYTES = 2**29
# Maps of attention are computed for so many bytes of hidden states at a time.
_MAPS_BYTES = 2**26
_LEAST_STEPS = 4
_OUTPUTS = ("embedding", "gates", "energy", "hidden", "maps", "predictions")


@dataclass(frozen=True)
class Maps:
    """Which maps of attention are wanted.

    Parameters
    ----------
    cells : tuple of (int, int)
        Row and column of each base point.
    heads : bool
        Whether the heads stay apart.
    weigh : {"attention", "values"}
        The weights, or the weights times the norm of what is read.
    """

    cells: tuple[tuple[int, int], ...]
    heads: bool
    weigh: Literal["attention", "values"] = "attention"

    def of(self, network: Network, geometry: Geometry, hidden: Tensor, phases: Sequence[Tensor]) -> FloatArray:
        """Compute them for one batch element, (time, base point, [head,] latitude, longitude)."""
        found = network.attention(hidden, geometry, self.cells, phases, weigh=self.weigh, heads=self.heads)
        return found[0].cpu().numpy()

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Give what makes two of these equal."""
        return self.cells, self.heads, self.weigh


@dataclass(frozen=True, eq=False)
class Work:
    """What all tasks of one call share; it travels as one node of the graph.

    Parameters
    ----------
    model : Model
        A handle (name and hash) for packaged models; loaded once per process.
    grid : Grid
        Grid of the fields.
    expected : Expected
        What may be missing.
    missing : {"fill", "raise", "propagate"}
        What to do about other missing values.
    serial : bool
        Whether segments form a chain.
    device : str
        Where the network runs.
    threads : int or None
        Threads for torch; None chooses.
    keep_hidden : bool
        Whether segments keep the hidden states for maps and `hidden`.
    maps : Maps, optional
        Maps of attention to make while the network runs, where the hidden states are too large to be kept.
    hide : ndarray (latitude, longitude) of bool, optional
        Cells that are hidden in all variables at all steps, the warm-up included.
    leads : tuple of int
        Positions of the leads that are predicted.
    """

    model: Model
    grid: Grid
    expected: Expected
    missing: Policy
    serial: bool
    device: str
    threads: int | None
    keep_hidden: bool
    maps: Maps | None = None
    hide: NDArray[np.bool_] | None = None
    leads: tuple[int, ...] = ()

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Give what decides the numbers; the number of threads does not."""
        return (
            self.model.sha256,
            self.grid.latitude,
            self.grid.longitude,
            self.expected.__dask_tokenize__(),
            self.missing,
            self.device,
            self.keep_hidden,
            self.maps,
            None if self.hide is None else np.packbits(self.hide).tobytes(),
            self.leads,
        )


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one segment.

    Parameters
    ----------
    first_index : int
        Absolute number of the first step read.
    kept_from : int
        Steps read before the first one kept.
    year_phase, day_phase : ndarray (time,)
        Phases of the steps read.
    stamps : ndarray (time,)
        Their time stamps, for messages.
    cuts : tuple of tuple of (int, int)
        For each variable, which part of each of its blocks belongs to the segment.
    member : tuple of int or None
        For each variable, the member inside its blocks.
    continues : bool
        Whether the state comes from the segment before.
    """

    first_index: int
    kept_from: int
    year_phase: NDArray[np.float64]
    day_phase: NDArray[np.float64]
    stamps: NDArray[Any]
    cuts: tuple[tuple[tuple[int, int], ...], ...]
    member: tuple[int | None, ...]
    continues: bool


def run_segment(steps: Steps, work: Work, *read: Any) -> dict[str, Any]:
    """Run the network over one segment.

    Parameters
    ----------
    steps : Steps
        What to read and to keep.
    work : Work
        The model and how to use it.
    *read : ndarray ([member,] time, latitude, longitude), float32
        Blocks of the first variable, of the second, and so on; before them, where the state is carried on, a dict with
        the ``"state"`` of the segment before.

    Returns
    -------
    dict
        ``embedding (time, D)``, ``gates (time, 2 C_b)``, ``energy (time, variable)``, ``hidden (time, latitude,
        longitude, F)`` before the attention, ``predictions (time, lead, variable, latitude, longitude)`` and ``maps``
        (None where not kept), ``first_index`` and ``phases (2, time)`` of the kept steps, ``state`` (None unless
        carried on).

    Raises
    ------
    XFaconvError
        If anything fails, naming the model and the time range; the cause is chained.
    """
    (carried, was_spoiled), blocks = (read[0]["state"], read[1:]) if steps.continues else ((None, False), read)
    try:
        filled = read_fields(steps, work, blocks)
        # The state carries a missing value on into every later step, also into the next segment of a chain.
        spoiled = np.logical_or.accumulate(filled.spoiled) | was_spoiled
        with inference(threads_for_task(work.threads, work.serial)):
            network, geometry = network_and_geometry(work)
            begin = perf_counter()
            out = _encode(work, steps, network, geometry, filled.fields, filled.visible, carried)
            _note(work, len(filled.fields), perf_counter() - begin)
    except Exception as problem:
        raise located(work, steps, problem) from problem
    # The absolute number of a step decides whether the network attends at it (every K-th), which `hidden` needs.
    out["first_index"] = steps.first_index + steps.kept_from
    out["phases"] = np.stack(_phases(steps))[:, steps.kept_from :]
    if work.serial:
        out["state"] = (out["state"], bool(spoiled[-1]))
    if work.missing == "propagate" and spoiled.any():
        _blank(out, spoiled[steps.kept_from :])
    return out


def read_fields(steps: Steps, work: Work, blocks: tuple[FloatArray, ...]) -> Filled:
    """Put the blocks of all variables together, and treat what is missing and what is hidden.

    Parameters
    ----------
    steps : Steps
        What to read.
    work : Work
        What may be missing and what is hidden.
    blocks : tuple of ndarray ([member,] time, latitude, longitude), float32
        Blocks of the first variable, of the second, and so on.

    Returns
    -------
    Filled
        Of all steps that are read.
    """
    filled = fill(_gather(steps, blocks), work.expected, work.missing, steps.stamps)
    if work.hide is not None:
        # As in training: no value of any variable.
        filled.fields[:, :, work.hide] = 0
        filled.visible[:, :, work.hide] = False
    return filled


def _note(work: Work, steps: int, seconds: float) -> None:
    import torch

    # A step or two say more about the beginning of a run than about its speed.
    if work.device in ("cpu", "auto") and steps >= _LEAST_STEPS:
        note_run(steps * operations(work.model.card.network, work.grid.shape), seconds, torch.get_num_threads())


def only_state(result: dict[str, Any]) -> dict[str, Any]:
    """Let go of everything but the state, so that a chain of segments does not hold the outputs."""
    return {"state": result["state"]}


@dataclass(frozen=True, slots=True)
class Block:
    """Where the steps of one block of output come from.

    Parameters
    ----------
    cuts : tuple of (int, int)
        For each segment that the block touches, which of its kept steps belong to the block.
    lead : int
        Axes of length 1 to put in front: 1 where there are members, else 0.
    """

    cuts: tuple[tuple[int, int], ...]
    lead: int

    def joined(self, parts: Sequence[FloatArray], axis: int = 0) -> FloatArray:
        """Join what the segments gave."""
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)
        return whole.reshape((1,) * self.lead + whole.shape)


def take_embedding(block: Block, *results: dict[str, Any]) -> FloatArray:
    """Give the embeddings of a block, ([member,] time, embedding)."""
    return block.joined([found["embedding"][a:b] for found, (a, b) in zip(results, block.cuts, strict=True)])


def take_importance(block: Block, work: Work, *results: dict[str, Any]) -> FloatArray:
    """Map the gates of a block to the variables, ([member,] time, variable)."""
    gates, energy = (
        np.concatenate([found[name][a:b] for found, (a, b) in zip(results, block.cuts, strict=True)])[None]
        for name in ("gates", "energy")
    )
    with inference(threads_for_task(work.threads, work.serial)):
        network, _ = network_and_geometry(work)
        device = _device_of(network)
        importance = network.importance(_tensor(gates, device), _tensor(energy, device))[0].cpu().numpy()
    present = ~np.array(work.expected.absent, dtype=bool)
    if not present.all():
        # A gate stays open whether or not there is something behind it; what is not there has no share.
        total = np.where(present, importance, 0).sum(axis=1, keepdims=True)
        importance = np.where(present, importance / np.where(total > 0, total, 1), 0).astype(np.float32)
    return block.joined([importance])


def take_attention(block: Block, maps: Maps, work: Work, *results: dict[str, Any]) -> FloatArray:
    """Compute the attention maps of a block, ([member,] base point, time, [head,] latitude, longitude)."""
    if work.maps is not None:
        parts = [found["maps"][a:b] for found, (a, b) in zip(results, block.cuts, strict=True)]
    else:
        with inference(threads_for_task(work.threads, work.serial)):
            network, geometry = network_and_geometry(work)
            parts = _in_batches(
                block,
                results,
                _device_of(network),
                lambda hidden, _, phases: maps.of(network, geometry, hidden, phases),
            )
    return block.joined([np.ascontiguousarray(np.concatenate(parts).swapaxes(0, 1))])


def take_hidden(block: Block, work: Work, *results: dict[str, Any]) -> FloatArray:
    """Give the hidden states of a block after the attention, ([member,] time, channel, latitude, longitude)."""
    with inference(threads_for_task(work.threads, work.serial)):
        network, geometry = network_and_geometry(work)
        parts = _in_batches(
            block,
            results,
            _device_of(network),
            lambda hidden, index, phases: network.refine(hidden, geometry, index, phases)[0].cpu().numpy(),
        )
    return block.joined([np.ascontiguousarray(np.moveaxis(np.concatenate(parts), -1, 1))])


def take_part(block: Block, part: str, *results: dict[str, Any]) -> FloatArray:
    """Give one part of the results of a block, ([member,] time, ...)."""
    return block.joined([found[part][a:b] for found, (a, b) in zip(results, block.cuts, strict=True)])


def take_predictions(block: Block, lead: int, *results: dict[str, Any]) -> FloatArray:
    """Give the predictions of a block at one of the leads, ([member,] time, variable, latitude, longitude)."""
    return block.joined([found["predictions"][a:b, lead] for found, (a, b) in zip(results, block.cuts, strict=True)])


def network_and_geometry(work: Work) -> tuple[Network, Geometry]:
    """Give the network of this process on the device asked for, and the grid as it sees it."""
    from xfaconv.nn import Geometry

    spec = work.model.card.network
    device = resolve_device(work.device)
    geometry = Geometry.from_grid(work.grid, spec.domain, spec.periodic)
    return work.model.network(device), geometry if device == "cpu" else geometry.to(device)


def _gather(steps: Steps, blocks: tuple[FloatArray, ...]) -> FloatArray:
    """Put the blocks of all variables into one array (time, variable, latitude, longitude)."""
    rows, columns = blocks[0].shape[-2:]
    fields = np.empty((len(steps.year_phase), len(steps.cuts), rows, columns), dtype=np.float32)
    number = 0
    for variable, (cuts, member) in enumerate(zip(steps.cuts, steps.member, strict=True)):
        position = 0
        for start, stop in cuts:
            block = blocks[number] if member is None else blocks[number][member]
            fields[position : position + stop - start, variable] = block[start:stop]
            position += stop - start
            number += 1
    return fields


def _encode(
    work: Work,
    steps: Steps,
    network: Network,
    geometry: Geometry,
    fields: FloatArray,
    visible: NDArray[np.bool_],
    state: Any,
) -> dict[str, Any]:
    device = _device_of(network)
    spec = work.model.card.network
    rows, columns = work.grid.shape
    count = len(fields)
    # The widest array of a pass is the hidden state (F channels) or the bottleneck before the gates (4 C_b), 4 bytes a
    # value. The length of a batch depends on the network and the grid alone, so it changes no number between calls.
    widest = max(spec.hidden, 4 * spec.bottleneck)
    batch = max(1, _BATCH_BYTES // (4 * rows * columns * widest))
    parts: dict[str, list[FloatArray]] = {name: [] for name in _OUTPUTS}
    year_phase, day_phase = _phases(steps)
    for start in range(0, count, batch):
        stop = min(start + batch, count)
        # The network gives at least one step: of a batch inside the warm-up only the state is used.
        keep_from = min(max(steps.kept_from - start, 0), stop - start - 1)
        phases = [_tensor(phase[None, start:stop], device) for phase in (year_phase, day_phase)]
        present = _tensor(visible[None, start:stop], device)
        read, seen = network.fill(_tensor(fields[None, start:stop], device), present, geometry)
        encoded = network.encode(
            read,
            seen,
            phases[0],
            phases[1],
            geometry,
            state=state,
            first_index=steps.first_index + start,
            keep_from=keep_from,
            keep_refined=bool(work.leads),
        )
        state = encoded.state
        if stop <= steps.kept_from:
            continue
        parts["embedding"].append(encoded.embedding[0].cpu().numpy())
        parts["gates"].append(encoded.gates[0].cpu().numpy())
        parts["energy"].append(encoded.energy[0].cpu().numpy())
        if work.keep_hidden:
            parts["hidden"].append(encoded.hidden[0].cpu().numpy())
        if work.maps is not None:
            kept = [phase[:, keep_from:] for phase in phases]
            parts["maps"].append(work.maps.of(network, geometry, encoded.hidden, kept))
        if encoded.refined is not None:
            predicted = network.predict(encoded.refined, read[:, keep_from:], geometry)
            parts["predictions"].append(predicted[0][:, list(work.leads)].cpu().numpy())
    out: dict[str, Any] = {name: _joined(values) for name, values in parts.items()}
    out["state"] = tuple(tensor.cpu() for tensor in state) if work.serial else None
    return out


def _phases(steps: Steps) -> tuple[FloatArray, FloatArray]:
    return steps.year_phase.astype(np.float32), steps.day_phase.astype(np.float32)


def _joined(parts: list[FloatArray]) -> FloatArray | None:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else None


def _in_batches(
    block: Block,
    results: Sequence[dict[str, Any]],
    device: Any,
    compute: Callable[[Tensor, int, Sequence[Tensor]], FloatArray],
) -> list[FloatArray]:
    """Apply a function of hidden states, the number of their first step and their phases to a few steps at a time."""
    parts = []
    for found, (first, last) in zip(results, block.cuts, strict=True):
        hidden: FloatArray = found["hidden"]
        batch = max(1, _MAPS_BYTES // max(hidden[0].nbytes, 1))
        for start in range(first, last, batch):
            part = slice(start, min(start + batch, last))
            phases = [_tensor(phase[None, part], device) for phase in found["phases"]]
            parts.append(compute(_tensor(hidden[None, part], device), found["first_index"] + start, phases))
    return parts


def _blank(out: dict[str, Any], spoiled: NDArray[np.bool_]) -> None:
    for name in _OUTPUTS:
        if out[name] is not None and spoiled.any():
            out[name] = np.array(out[name])
            out[name][spoiled] = np.nan


def _tensor(values: NDArray[Any], device: Any) -> Tensor:
    import torch

    # torch warns about arrays that cannot be written; dask hands such blocks over.
    values = np.ascontiguousarray(values)
    return torch.from_numpy(values if values.flags.writeable else values.copy()).to(device)


def _device_of(network: Network) -> Any:
    return next(network.parameters()).device


def located(work: Work, steps: Steps, problem: Exception) -> XFaconvError:
    """Name the model and the times in an error, which otherwise surfaces far from the call that made the graph."""
    where = f"the segment that reads {steps.stamps[0]} to {steps.stamps[-1]}"
    if isinstance(problem, XFaconvError):
        problem_there = f"{problem.problem} (model {work.model.card.name!r}, {where})"
        return type(problem)(problem_there, expected=problem.expected, found=problem.found, fix=problem.fix)
    return XFaconvError(
        f"model {work.model.card.name!r} failed on {where}",
        found=f"{type(problem).__name__}: {problem}",
        fix="look at this time range of the data first: ds.sel(time=slice(...)).load()",
    )
