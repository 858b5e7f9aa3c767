"""The cell without gradients: weights laid out once, buffers that stay, gates tile by tile inside the cache."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xfaconv.nn.cell import FAConvLSTMCell
from xfaconv.nn.geometry import Geometry
from xfaconv.nn.padding import PaddedBuffer

_GATE_TILE_CELLS = 1024
_PROJECTION_TILE_CELLS = 4096
_BLOCK_CELLS = 2**16


class FastCell:
    """What `FAConvLSTMCell` computes, without gradients and several times faster.

    The plain cell is bound by memory traffic: its 4 F gates travel to memory and back at every operation. Here the
    gates of about a thousand cells at a time are formed, activated and used up in place while they are in the cache.
    Each tile's part of the next step's recurrent bottleneck is formed at once, so that H_t is not read again.
    All four activations are one call: ``sigmoid(x) = (1 + tanh(x / 2)) / 2``, its halves folded into the weights.

    Parameters
    ----------
    cell : FAConvLSTMCell
        Whose weights to use; some are copied, so make a new object when they change.
    geometry : Geometry
        The grid, on the cell's device and of its floating type.
    """

    def __init__(self, cell: FAConvLSTMCell, geometry: Geometry) -> None:
        hidden, bottleneck = cell.hidden, cell.bottleneck
        self._cell = cell
        self._geometry = geometry
        self._rows, self._columns = geometry.shape
        self._area = geometry.normalised_area.reshape(1, -1)
        weight = cell.gates.weight
        halves = torch.cat([weight.new_full((3 * hidden,), 0.5), weight.new_ones(hidden)])
        bias = weight.new_zeros(4 * hidden) if cell.gates.bias is None else cell.gates.bias
        self._gate_weight = torch.cat([(weight * halves[:, None]).T, (bias * halves)[None]]).contiguous()
        self._peepholes = 0.5 * torch.stack([cell.peephole_input, cell.peephole_forget])
        threads = torch.get_num_threads()
        self._gate_rows = max(1, min(self._rows, _GATE_TILE_CELLS * threads // self._columns))
        self._projection_rows = max(self._gate_rows, min(self._rows, _PROJECTION_TILE_CELLS // self._columns))
        tile = self._gate_rows * self._columns
        self._scaled = weight.new_empty(tile, 2 * bottleneck)
        self._normed = weight.new_ones(tile, 2 * bottleneck + 1)
        self._gates = weight.new_empty(tile, 4 * hidden)
        self._projected = weight.new_empty(self._projection_rows * self._columns, bottleneck)
        self._state = PaddedBuffer(1, bottleneck, cell.mixing.reach, geometry, weight)
        self._input: PaddedBuffer | None = None

    @property
    def block_steps(self) -> int:
        """How many steps `prepare` should be given at once: many on a small grid, one on a large one."""
        return max(1, _BLOCK_CELLS // (self._rows * self._columns))

    def prepare(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Input branch of a block of steps.

        Parameters
        ----------
        fields : Tensor (time, lat, lon, C)
            Input X_t; any strides.

        Returns
        -------
        prepared : Tensor (time, lat * lon, C_b)
            Z_t after its half of the depthwise sum.
        pooled : Tensor (time, C_b)
            Its area-weighted mean.
        """
        cell, padded = self._cell, self._input
        if padded is None or len(fields) != len(padded.values):
            padded = PaddedBuffer(len(fields), cell.bottleneck, cell.mixing.reach, self._geometry, self._gates)
            self._input = padded
        for field, interior in zip(fields, padded.interior, strict=True):
            for start in range(0, self._rows, self._projection_rows):
                part = slice(start, start + self._projection_rows)
                self._project(field[part].flatten(0, 1), cell.input_projection, cell.input_norm, interior[part])
        mixed = self._mix(padded, slice(0, cell.bottleneck)).flatten(1, 2)
        return mixed, torch.matmul(self._area, mixed).squeeze(1)

    def take_state(self, hidden: Tensor) -> None:
        """Take a hidden state that `step` has not left behind: the initial one, or one that attention has changed.

        Parameters
        ----------
        hidden : Tensor (lat * lon, F)
            H_{t-1}.
        """
        for start in range(0, self._rows, self._projection_rows):
            rows = slice(start, start + self._projection_rows)
            self._project_state(hidden[start * self._columns : rows.stop * self._columns], rows)

    def step(self, prepared: Tensor, pooled: Tensor, hidden: Tensor, memory: Tensor) -> Tensor:
        """Advance the state by one step, in place.

        Parameters
        ----------
        prepared : Tensor (lat * lon, C_b)
            This step's input branch.
        pooled : Tensor (C_b,)
            Its area-weighted mean.
        hidden, memory : Tensor (lat * lon, F)
            H_{t-1}, which `step` or `take_state` has seen, and C_{t-1}; contiguous, overwritten with H_t and C_t.

        Returns
        -------
        Tensor (2 C_b,)
            Squeeze-excitation gates of this step.
        """
        mixed = self._mix(self._state, slice(self._cell.bottleneck, None)).flatten(0, 2)
        recalibration = self._cell.squeeze_excitation
        both = torch.cat([pooled, torch.matmul(self._area, mixed).squeeze(0)])
        excitation = torch.sigmoid(recalibration.excite(torch.relu(recalibration.squeeze(both))))
        for start in range(0, self._rows, self._gate_rows):
            rows = slice(start, start + self._gate_rows)
            part = slice(start * self._columns, rows.stop * self._columns)
            self._update(prepared[part], mixed[part], excitation, hidden[part], memory[part])
            self._project_state(hidden[part], rows)
        return excitation

    def _project_state(self, hidden: Tensor, rows: slice) -> None:
        cell = self._cell
        self._project(hidden, cell.hidden_projection, cell.hidden_norm, self._state.interior[0, rows])

    def _project(self, source: Tensor, projection: nn.Linear, norm: nn.LayerNorm, target: Tensor) -> None:
        """Write phi(W source), (cell, C_b), into a window (lat, lon, C_b) of a padded buffer."""
        projected = self._projected[: len(source)]
        torch.addmm(projection.bias, source, projection.weight.T, out=projected)
        target.copy_(norm(projected).view(target.shape))

    def _mix(self, padded: PaddedBuffer, part: slice) -> Tensor:
        """Depthwise sum of a padded buffer, (time, lat, lon, C_b); the widest branch first, the others added to it.

        Narrower branches read whole rows of the buffer and are cut afterwards: a window cut in longitude would first
        be copied.
        """
        padded.fill_edges()
        mixing, total = self._cell.mixing, None
        order = sorted(zip(mixing.scales, mixing.kernels, strict=True), key=lambda s: -(s[0][0] // 2) * s[0][1])
        for (size, dilation), kernel in order:
            own = (size // 2) * dilation
            cut = mixing.reach - own
            window = padded.values[:, cut : cut + self._rows + 2 * own].permute(0, 3, 1, 2)
            branch = F.conv2d(window, kernel[part], dilation=dilation, groups=window.shape[1]).permute(0, 2, 3, 1)
            branch = branch[:, :, cut : cut + self._columns]
            total = branch.contiguous() if total is None else total.add_(branch)
        assert total is not None  # noqa: S101 - scales are checked when the mixing is built
        return total

    def _update(self, prepared: Tensor, mixed: Tensor, excitation: Tensor, hidden: Tensor, memory: Tensor) -> None:
        """Gates, C_t and H_t of one tile."""
        cell, cells = self._cell, len(hidden)
        scaled, normed, gates = self._scaled[:cells], self._normed[:cells], self._gates[:cells]
        half = cell.bottleneck
        torch.mul(prepared, excitation[:half], out=scaled[:, :half])
        torch.mul(mixed, excitation[half:], out=scaled[:, half:])
        normed[:, : 2 * half].copy_(cell.mixing_norm(scaled))
        torch.mm(normed, self._gate_weight, out=gates)
        gates[:, : 2 * cell.hidden].unflatten(1, (2, -1)).addcmul_(memory[:, None], self._peepholes)
        input_gate, forget_gate, output_gate, candidate = gates.tanh_().chunk(4, dim=1)
        memory.addcmul_(memory, forget_gate)
        memory.lerp_(candidate.addcmul_(candidate, input_gate), 0.5)
        torch.tanh(memory, out=hidden)
        hidden.lerp_(output_gate.mul_(hidden), 0.5)
