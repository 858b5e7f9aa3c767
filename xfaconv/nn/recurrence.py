"""Running a recurrent core through time: plainly with gradients, fast without; both give the same numbers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from xfaconv.nn.attention import AxialAttention
from xfaconv.nn.cell import FAConvLSTMCell
from xfaconv.nn.cores import Core
from xfaconv.nn.fast_attention import FastAttention
from xfaconv.nn.fast_cell import FastCell
from xfaconv.nn.geometry import Geometry

# Without gradients the input branch of so many cells is prepared at once: 64 MiB of a bottleneck of 16 channels.
_PLAIN_BLOCK_CELLS = 2**20
# Up to here (16 x 32 cells) several samples together in plain torch are faster than one after the other in place: three
# times with ten samples of 8 x 16 cells, where calls of torch cost more than what they compute; equal at 32 x 64 cells.
_TOGETHER_CELLS = 512
# Options of glibc's mallopt: M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 2**28
_LARGEST_BLOCK = 2**25


@cache
def keep_freed_memory() -> None:
    """Let the C library keep up to 256 MiB of freed blocks of up to 32 MiB each for the next tensor, once per process.

    glibc gives large freed blocks back to the kernel. A recurrent step that allocates the outcome of its convolutions,
    or a sequence that allocates its states, would otherwise spend up to a third of its time on page faults. Other C
    libraries know no such setting; there nothing happens.

    Examples
    --------
    >>> keep_freed_memory()
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    set_option(_MMAP_THRESHOLD, _LARGEST_BLOCK)
    set_option(_TRIM_THRESHOLD, _KEPT_BYTES)


class PlainRun:
    """Advance a core with operations that gradients flow through.

    Parameters
    ----------
    core : Core
        The recurrent core.
    attention : AxialAttention or None
        The axial attention.
    geometry : Geometry
        The grid.
    hidden, cell : Tensor (batch, lat, lon, F)
        Initial state.
    checkpointed : bool
        Compute each step again in the backward pass instead of keeping its intermediate results.
    """

    overwrites = False

    def __init__(
        self,
        core: Core,
        attention: AxialAttention | None,
        geometry: Geometry,
        hidden: Tensor,
        cell: Tensor,
        checkpointed: bool = False,
    ) -> None:
        self.hidden, self.cell = hidden, cell
        self._core, self._attention, self._geometry = core, attention, geometry
        self._checkpointed = checkpointed and torch.is_grad_enabled()
        # What queries and keys know of places is computed once; the functions of time combine it at each step.
        self._positions = None if attention is None else attention.positions(geometry)
        self._prepared = hidden
        self._season: Tensor | None = None
        self._mask = core.recurrent_mask(hidden) if isinstance(core, FAConvLSTMCell) else None
        self._gates = core.squeeze_excitation if isinstance(core, FAConvLSTMCell) else None
        self._first_map = None if self._gates is None else self._gates.first_map()

    def block_steps(self, steps: int) -> int:
        """All steps where gradients are on, as many as memory likes otherwise."""
        if torch.is_grad_enabled() or self._mask is not None:
            return steps
        return max(1, min(steps, _PLAIN_BLOCK_CELLS // self.hidden[..., 0].numel()))

    def prepare(self, fields: Tensor, season: Tensor | None = None) -> None:
        """Take the input (batch, time, lat, lon, C) and the functions of time (batch, time, S) of the next steps."""
        self._prepared, self._season = self._core.prepare(fields, self._geometry), season

    def advance(self, step: int, *, refining: bool = False) -> Tensor | None:  # noqa: ARG002 - nothing to gain here
        """Advance by one step of the block; gives the squeeze-excitation gates (batch, 2 C_b), if there are any."""
        arguments: tuple[object, ...] = self._prepared[:, step], self.hidden, self.cell, self._geometry
        if self._gates is not None:
            arguments += self._mask, _at(self._season, step), self._first_map
        self.hidden, self.cell, excitation = self._call(self._core.step, *arguments)
        if self._gates is not None:
            self._gates.observe()
        return excitation

    def refine(self, step: int) -> None:
        """Add the axial attention to the hidden state of this step of the block."""
        if self._attention is not None:
            known = self._geometry, self._positions, _at(self._season, step)
            self.hidden = self.hidden + self._call(self._attention, self.hidden, *known)

    def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        return checkpoint(function, *arguments, use_reentrant=False) if self._checkpointed else function(*arguments)


class FastRun:
    """Advance FAConvLSTM in place, without gradients.

    Parameters
    ----------
    core : FAConvLSTMCell
        The paper's layer.
    attention : AxialAttention or None
        The axial attention.
    geometry : Geometry
        The grid.
    hidden, cell : Tensor (batch, lat, lon, F)
        Initial state; copied.
    """

    overwrites = True

    def __init__(
        self, core: FAConvLSTMCell, attention: AxialAttention | None, geometry: Geometry, hidden: Tensor, cell: Tensor
    ) -> None:
        self.hidden, self.cell = (state.clone(memory_format=torch.contiguous_format) for state in (hidden, cell))
        geometry = geometry.to(hidden.device, hidden.dtype)
        # One for each sample: tiles and buffers are of one field's size, so that they stay in the cache.
        self._cores = [
            FastCell(core, geometry, *states)
            for states in zip(self.hidden.flatten(1, 2), self.cell.flatten(1, 2), strict=True)
        ]
        self._attention, self._geometry = attention, geometry
        self._fast_attention: FastAttention | None = None
        self._prepared: list[tuple[Tensor, Tensor]] = []
        self._season: Tensor | None = None

    def block_steps(self, steps: int) -> int:
        """As many as the cache likes."""
        return min(steps, self._cores[0].block_steps)

    def prepare(self, fields: Tensor, season: Tensor | None = None) -> None:
        """Take the input (batch, time, lat, lon, C) and the functions of time (batch, time, S) of the next steps."""
        self._season = season
        seasons = [None] * len(fields) if season is None else season
        self._prepared = [core.prepare(*one) for core, *one in zip(self._cores, fields, seasons, strict=True)]

    def advance(self, step: int, *, refining: bool = False) -> Tensor:
        """Advance by one step of the block, in place; with `refining` the caller promises that `refine` comes next."""
        # H_t is then about to change: its part of the next step's bottleneck is formed after the attention instead.
        leave = refining and self._attention is not None
        return torch.stack(
            [
                core.step(mixed[step], squeezed[step], changing=leave)
                for core, (mixed, squeezed) in zip(self._cores, self._prepared, strict=True)
            ]
        )

    def refine(self, step: int) -> None:
        """Add the axial attention to the hidden state of this step of the block, in place."""
        if self._attention is None:
            return
        # Made when it is first due: a short call with attention at every K-th step may need none.
        if self._fast_attention is None:
            self._fast_attention = FastAttention(self._attention, self._geometry)
        season = _at(self._season, step)
        for number, sample in enumerate(self.hidden):
            self._fast_attention.add_to(sample, None if season is None else season[number])
        # The next step's R_t = phi(W_h H_t) is of the hidden state that the attention has changed.
        for core in self._cores:
            core.take_state()


# One pass through time: a block of steps is prepared; then each is advanced, and refined where the attention is due.
Run = PlainRun | FastRun


def start_run(
    core: nn.Module,
    attention: AxialAttention | None,
    geometry: Geometry,
    hidden: Tensor,
    cell: Tensor,
    *,
    checkpointed: bool = False,
) -> Run:
    """Choose the fast way where no gradient, no dropout and no change of precision asks for the plain one.

    Several samples on a small grid are advanced together in the plain way, which is faster there.

    Parameters
    ----------
    core : nn.Module
        The recurrent core.
    attention : AxialAttention or None
        The axial attention.
    geometry : Geometry
        The grid.
    hidden, cell : Tensor (batch, lat, lon, F)
        Initial state; never changed.
    checkpointed : bool
        Spend time instead of memory where gradients are on.

    Returns
    -------
    Run
    """
    if not torch.compiler.is_compiling():
        keep_freed_memory()
    if isinstance(core, FAConvLSTMCell):
        dropping = core.training and (core.input_dropout.p > 0 or core.hidden_dropout.p > 0)
        together = len(hidden) > 1 and hidden[0, ..., 0].numel() <= _TOGETHER_CELLS
        if not (dropping or together) and _may_be_fast(hidden, core.gates.weight):
            return FastRun(core, attention, geometry, hidden, cell)
    return PlainRun(core, attention, geometry, hidden, cell, checkpointed)  # type: ignore[arg-type]


def _at(season: Tensor | None, step: int) -> Tensor | None:
    return None if season is None else season[:, step]


def refine_states(
    attention: AxialAttention | None,
    geometry: Geometry,
    hidden: Tensor,
    due: Sequence[bool],
    season: Tensor | None = None,
) -> Tensor:
    """Add the axial attention to the states of the steps where it is due.

    Parameters
    ----------
    attention : AxialAttention or None
        The axial attention.
    geometry : Geometry
        The grid.
    hidden : Tensor (batch, time, lat, lon, F)
        Hidden states before it.
    due : sequence of bool
        One per step.
    season : Tensor (batch, time, S), optional
        The functions of time, where the attention has any.

    Returns
    -------
    Tensor (batch, time, lat, lon, F)
    """
    if attention is None or not any(due):
        return hidden
    if not _may_be_fast(hidden, attention.value.weight):
        positions = attention.positions(geometry)
        steps = enumerate(zip(hidden.unbind(1), due, strict=True))
        states = [h + attention(h, geometry, positions, _at(season, t)) if wanted else h for t, (h, wanted) in steps]
        return torch.stack(states, dim=1)
    refined = hidden.clone(memory_format=torch.contiguous_format)
    fast = FastAttention(attention, geometry.to(hidden.device, hidden.dtype))
    for number, sample in enumerate(refined):
        for step, (state, wanted) in enumerate(zip(sample, due, strict=True)):
            if wanted:
                fast.add_to(state, None if season is None else season[number, step])
    return refined


def _may_be_fast(hidden: Tensor, weight: Tensor) -> bool:
    # The fast way writes in place, which gradients do not survive, and lays out the weights in one type of number.
    return (
        not torch.is_grad_enabled()
        and hidden.device.type == "cpu"
        and hidden.dtype in (torch.float32, torch.float64)
        and hidden.dtype == weight.dtype
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class Collected:
    """States of several steps, copied into one tensor as they come when the run overwrites them.

    Parameters
    ----------
    steps : int
        How many will come.
    overwrites : bool
        Whether the run will overwrite what it gives.
    """

    def __init__(self, steps: int, overwrites: bool) -> None:
        self._steps, self._overwrites = steps, overwrites
        self._whole = torch.empty(0)
        self._parts: list[Tensor] = []

    def add(self, state: Tensor) -> None:
        """Take the state (batch, ...) of the next step."""
        if self._overwrites and not self._parts:
            self._whole = state.new_empty(len(state), self._steps, *state.shape[1:])
        self._parts.append(self._whole[:, len(self._parts)].copy_(state) if self._overwrites else state)

    def stacked(self) -> Tensor:
        """Give all of them, (batch, time, ...)."""
        return self._whole if self._overwrites else torch.stack(self._parts, dim=1)
