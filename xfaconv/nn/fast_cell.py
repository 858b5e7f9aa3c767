"""The cell without gradients: weights laid out once, buffers that stay, gates tile by tile inside the cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xfaconv.nn.cell import FAConvLSTMCell
from xfaconv.nn.geometry import Geometry
from xfaconv.nn.mixing import SqueezeExcitation, dense_kernel, merged_kernels, mix_padded, moments
from xfaconv.nn.padding import PaddedBuffer

# With F = 64 two gates, H and C of 1,024 cells are 1 MiB: a tile stays in the second-level cache of one core.
_TILE_CELLS = 1024
_TILE_CELLS_PER_THREAD = 2048
# Input is prepared for many steps of a small grid at once, which saves calls, and for one step of a large one, so that
# what is prepared is still in the cache when it is used.
_BLOCK_CELLS = 2**16
_INPUT_CELLS = 2**14
# Up to here (64 x 64 cells) one large dense kernel is faster than two passes with fewer products.
_DENSE_CELLS = 2**12


class FastCell:
    """What `FAConvLSTMCell` computes, without gradients and several times faster.

    The plain cell is bound by memory traffic: its 4 F gates travel to memory and back at every operation. Here the
    gates of a few thousand cells at a time are formed, activated and used up one by one, in buffers that stay in the
    cache. Each tile's part of the next step's recurrent bottleneck is formed at once, so that H_t is not read again.
    The layer norms are products too: centring and the recalibration are folded into the weights. Measured at 73 x 144
    with F = 64 (docs/reference/benchmarks-layer.md): 3.4 ms a step, the equations in plain torch 10.1 ms.

    Parameters
    ----------
    cell : FAConvLSTMCell
        Whose weights to use; they are copied, so make a new object when they change.
    geometry : Geometry
        The grid, on the cell's device and of its floating type.
    hidden, cell_state : Tensor (lat * lon, F)
        H_{t-1} and C_{t-1}; contiguous, overwritten with H_t and C_t by `step`.
    """

    def __init__(self, cell: FAConvLSTMCell, geometry: Geometry, hidden: Tensor, cell_state: Tensor) -> None:
        width, bottleneck = cell.hidden, cell.bottleneck
        weight = cell.gates.weight
        self._geometry = geometry
        self._bottleneck = bottleneck
        self._rows, self._columns = geometry.shape
        self._squeeze = FastSqueeze(cell.squeeze_excitation, geometry, bottleneck)
        # LN(D) = g (D - mean) / s + b, so W_g LN(D) + w = (W_g g) ((D - mean) / s) + (W_g b + w): scale and shift go
        # into the gates' weight and bias, and the bias into a last row that meets a channel of ones.
        self._centring = _centring(2 * bottleneck, weight)
        gate_bias = weight.new_zeros(4 * width) if cell.gates.bias is None else cell.gates.bias
        by_gate = (weight * cell.mixing_norm.weight).unflatten(0, (4, width))
        bias_by_gate = (gate_bias + weight @ cell.mixing_norm.bias).view(4, width)
        with_bias = torch.cat([by_gate.transpose(1, 2), bias_by_gate[:, None]], dim=1).contiguous()
        self._input_gate, self._forget_gate, self._output_gate, self._candidate = with_bias.unbind()
        self._input_peephole, self._forget_peephole = cell.peephole_input, cell.peephole_forget
        self._input_kernels, self._hidden_kernels = (
            merged_kernels(cell.mixing.scales, [kernel[part] for kernel in cell.mixing.kernels])
            for part in (slice(0, bottleneck), slice(bottleneck, None))
        )
        if self._rows * self._columns <= _DENSE_CELLS:
            self._hidden_kernels = dense_kernel(self._hidden_kernels)
        self._reach = cell.mixing.reach
        threads = torch.get_num_threads()
        wanted = _TILE_CELLS if threads == 1 else _TILE_CELLS_PER_THREAD * threads
        self._tile_rows = max(1, min(self._rows, wanted // self._columns))
        self._tile_cells = self._tile_rows * self._columns
        self._state = PaddedBuffer(1, bottleneck, self._reach, geometry, weight)
        self._input: PaddedBuffer | None = None
        self._normalise = _Normalisation(cell.mixing_norm.eps, 2 * bottleneck, self._tile_cells, weight)
        self._project_hidden = _Projection(cell.hidden_projection, cell.hidden_norm, self._tile_cells)
        self._project_input = _Projection(cell.input_projection, cell.input_norm, max(_INPUT_CELLS, self._columns))
        normed = weight.new_ones(self._tile_cells, 2 * bottleneck + 1)
        gates = weight.new_empty(2, self._tile_cells, width)
        states = (state.split(self._tile_cells) for state in (hidden, cell_state))
        self._tiles = [
            _Tile(h, c, target, gates[0, : len(h)], gates[1, : len(h)], normed[: len(h)])
            for h, c, target in zip(*states, self._state.interior.split(self._tile_rows, dim=1), strict=True)
        ]
        self.take_state()

    @property
    def block_steps(self) -> int:
        """How many steps `prepare` should be given at once: many on a small grid, one on a large one."""
        return max(1, _BLOCK_CELLS // (self._rows * self._columns))

    def prepare(self, fields: Tensor, season: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Input branch of a block of steps.

        Parameters
        ----------
        fields : Tensor (time, lat, lon, C)
            Input X_t; any strides.
        season : Tensor (time, S), optional
            The functions of time, where the gates read any.

        Returns
        -------
        prepared : Tensor (time, lat * lon, C_b)
            Z_t after its half of the depthwise sum.
        squeezed : Tensor (time, C_s)
            Its half of the squeeze-excitation's middle.
        """
        padded = self._input
        if padded is None or len(fields) != len(padded.values):
            padded = PaddedBuffer(len(fields), self._bottleneck, self._reach, self._geometry, self._centring)
            self._input = padded
        rows = max(1, _INPUT_CELLS // (len(fields) * self._columns))
        for part, target in zip(fields.split(rows, dim=1), padded.interior.split(rows, dim=1), strict=True):
            self._project_input(part.flatten(1, 2), target)
        padded.fill_edges()
        mixed = mix_padded(padded.values, self._input_kernels).flatten(1, 2)
        return mixed, self._squeeze.of_input(mixed, season)

    def take_state(self) -> None:
        """Take a hidden state that `step` has not left behind: the initial one, or one that attention has changed."""
        for tile in self._tiles:
            self._project_hidden(tile.hidden[None], tile.target)

    def step(self, prepared: Tensor, squeezed: Tensor, *, changing: bool = False) -> Tensor:
        """Advance the state by one step, in place; `take_state` or `step` has seen H_{t-1}.

        Parameters
        ----------
        prepared : Tensor (lat * lon, C_b)
            This step's input branch.
        squeezed : Tensor (C_s,)
            Its half of the squeeze-excitation's middle.
        changing : bool
            Whether H_t is about to be changed from outside, so that `take_state` must see it anyway.

        Returns
        -------
        Tensor (2 C_b,)
            Squeeze-excitation gates of this step.
        """
        self._state.fill_edges()
        mixed = mix_padded(self._state.values, self._hidden_kernels).view(-1, self._bottleneck)
        excitation = self._squeeze.gates(squeezed, mixed)
        # Recalibrate, then subtract the mean over channels: (D * e) M = D (diag(e) M), one small matrix for all cells.
        from_input, from_state = (self._centring * excitation).split(self._bottleneck)
        parts = zip(self._tiles, prepared.split(self._tile_cells), mixed.split(self._tile_cells), strict=True)
        for tile, prepared_part, mixed_part in parts:
            centred = tile.normed[:, :-1]
            torch.mm(prepared_part, from_input, out=centred)
            torch.addmm(centred, mixed_part, from_state, out=centred)
            self._normalise(centred)
            self._update(tile)
            if not changing:
                self._project_hidden(tile.hidden[None], tile.target)
        return excitation[:, 0]

    def _update(self, tile: _Tile) -> None:
        """Gates, C_t and H_t of one tile: C = sigmoid(f) C + sigmoid(i) tanh(c), H = sigmoid(o) tanh(C)."""
        # Gate by gate in two buffers: at no time do more than two of the four gates exist.
        normed, state, gate, other = tile.normed, tile.cell_state, tile.one_gate, tile.another_gate
        torch.mul(state, self._input_peephole, out=gate)
        torch.addmm(gate, normed, self._input_gate, out=gate).sigmoid_()
        gate.mul_(torch.mm(normed, self._candidate, out=other).tanh_())
        torch.mul(state, self._forget_peephole, out=other)
        torch.addmm(other, normed, self._forget_gate, out=other).sigmoid_()
        torch.addcmul(gate, state, other, out=state)
        torch.mm(normed, self._output_gate, out=other).sigmoid_()
        torch.mul(other, torch.tanh(state, out=gate), out=tile.hidden)


class FastSqueeze:
    """What `SqueezeExcitation` computes, in two halves: that of the input is known for many steps at once.

    What is known of a channel is known of it alone: W_1 s(D) = W_1x s(mixed input) + W_1h s(mixed state).

    Parameters
    ----------
    gates : SqueezeExcitation
        Whose weights to use.
    geometry : Geometry
        Cell areas.
    bottleneck : int
        Channels of each half.
    """

    def __init__(self, gates: SqueezeExcitation, geometry: Geometry, bottleneck: int) -> None:
        self._moments = gates.moments
        self._area = geometry.normalised_area.reshape(1, -1)
        weight, self._bias = gates.first_map()
        known = weight.shape[1] - gates.season
        # Channels are innermost in what is known of the input and of the state, which comes side by side.
        halves = weight[:, :known].unflatten(1, (-1, 2, bottleneck)).unbind(2)
        self._input, self._state = (half.flatten(1).T.contiguous() for half in halves)
        self._season = weight[:, known:].T
        self._excite, self._excite_bias = gates.excite.weight, gates.excite.bias[:, None]

    def of_input(self, mixed: Tensor, season: Tensor | None) -> Tensor:
        """Half of the middle from the input branch of some steps (time, cell, C_b), (time, middle)."""
        squeezed = torch.addmm(self._bias, self._known(mixed), self._input)
        return squeezed if season is None or not len(self._season) else squeezed.addmm_(season, self._season)

    def gates(self, squeezed: Tensor, mixed: Tensor) -> Tensor:
        """Gates (2 C_b, 1) from the input's half (1, middle) and the state's branch (cell, C_b)."""
        squeezed = torch.addmm(squeezed, self._known(mixed[None]), self._state)
        squeezed = squeezed.tanh_() if self._moments else squeezed.relu_()
        return torch.addmm(self._excite_bias, self._excite, squeezed.T).sigmoid_()

    def _known(self, cells: Tensor) -> Tensor:
        if self._moments:
            return moments(cells, self._area)
        return torch.matmul(self._area, cells).squeeze(1)


@dataclass(frozen=True)
class _Tile:
    """Views of some whole rows: the states, where their bottleneck goes, and buffers for two gates and D_t."""

    hidden: Tensor
    cell_state: Tensor
    target: Tensor
    one_gate: Tensor
    another_gate: Tensor
    normed: Tensor


class _Normalisation:
    """Layer norm of channels that are centred already, without its scale and shift."""

    def __init__(self, epsilon: float, channels: int, cells: int, like: Tensor) -> None:
        self._mean = like.new_full((channels, 1), 1 / channels)
        self._epsilon = like.new_full((1, 1), epsilon)
        self._squares = like.new_empty(cells, channels)
        self._deviation = like.new_empty(cells, 1)

    def __call__(self, centred: Tensor) -> None:
        """Divide (cell, channel) by the standard deviation over channels, in place."""
        # The mean square as a product with a column of 1 / channels: 15 us for 1,024 cells of 32 channels, torch's mean
        # over the channels takes 24 us.
        squares, deviation = self._squares[: len(centred)], self._deviation[: len(centred)]
        torch.mul(centred, centred, out=squares)
        torch.addmm(self._epsilon, squares, self._mean, out=deviation)
        centred.mul_(deviation.rsqrt_())


class _Projection:
    """The paper's phi(W x): a linear map and a layer norm, the centring folded into the map."""

    def __init__(self, linear: nn.Linear, norm: nn.LayerNorm, cells: int) -> None:
        channels = linear.out_features
        centring = _centring(channels, linear.weight)
        self._weight = (linear.weight.T @ centring)[None]
        self._bias = linear.bias @ centring
        self._scale, self._shift = norm.weight, norm.bias
        self._normalise = _Normalisation(norm.eps, channels, cells, linear.weight)
        self._projected = linear.weight.new_empty(cells, channels)

    def __call__(self, source: Tensor, target: Tensor) -> None:
        """Write what comes of (time, cell, C) into a window (time, lat, lon, C_b) of a padded buffer."""
        times, cells, _ = source.shape
        projected = self._projected[: times * cells]
        weight = self._weight.expand(times, -1, -1)
        torch.baddbmm(self._bias, source, weight, out=projected.view(times, cells, -1))
        self._normalise(projected)
        torch.addcmul(self._shift, projected.view(target.shape), self._scale, out=target)


def _centring(channels: int, like: Tensor) -> Tensor:
    """Symmetric matrix that takes the mean over channels away."""
    return torch.eye(channels, dtype=like.dtype, device=like.device) - 1 / channels
