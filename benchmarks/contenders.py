"""The layers that `layer.py` measures: Keras' ConvLSTM2D, a clean ConvLSTM, a naive FAConvLSTM, and ours."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xfaconv.grid import Grid
from xfaconv.nn import FAConvLSTM

VARIABLES, HIDDEN, KERNEL, BOTTLENECK = 7, 64, 3, 16
SCALES = ((3, 1), (3, 2), (5, 3))
EVERY, WIDTH, HEADS = 4, 32, 4
_HOISTED_BYTES = 2**29


class CleanConvLSTM(nn.Module):
    """A dense ConvLSTM written as usual: channels_last, all gates at once, the input convolution hoisted."""

    def __init__(self) -> None:
        super().__init__()
        self.input_convolution = nn.Conv2d(VARIABLES, 4 * HIDDEN, KERNEL, padding=1)
        self.hidden_convolution = nn.Conv2d(HIDDEN, 4 * HIDDEN, KERNEL, padding=1, bias=False)
        self.to(memory_format=torch.channels_last)

    def forward(self, sequence: Tensor) -> Tensor:
        """Last hidden state of (time, channel, lat, lon), batch 1."""
        steps, _, rows, columns = sequence.shape
        hidden = sequence.new_zeros(1, HIDDEN, rows, columns).to(memory_format=torch.channels_last)
        cell = torch.zeros_like(hidden)
        block = max(1, _HOISTED_BYTES // (16 * HIDDEN * rows * columns))
        for first in range(0, steps, block):
            for from_input in self.input_convolution(sequence[first : first + block]).split(1):
                gates = self.hidden_convolution(hidden).add_(from_input)
                i, f, o, g = gates.chunk(4, dim=1)
                cell = torch.addcmul(torch.sigmoid(i) * torch.tanh(g), torch.sigmoid(f), cell)
                hidden = torch.sigmoid(o) * torch.tanh(cell)
        return hidden


class TunedConvLSTM(CleanConvLSTM):
    """The fastest form of it that we found: one convolution of input and state side by side, gates in place.

    With gradients it is the clean one: an operation in place would destroy what the backward pass needs.
    """

    def forward(self, sequence: Tensor) -> Tensor:
        """Last hidden state of (time, channel, lat, lon), batch 1."""
        if torch.is_grad_enabled():
            return super().forward(sequence)
        _, _, rows, columns = sequence.shape
        weight = torch.cat([self.input_convolution.weight, self.hidden_convolution.weight], dim=1)
        weight = weight.contiguous(memory_format=torch.channels_last)
        both = sequence.new_zeros(1, VARIABLES + HIDDEN, rows, columns).to(memory_format=torch.channels_last)
        hidden = both[:, VARIABLES:]
        cell = sequence.new_zeros(1, HIDDEN, rows, columns).to(memory_format=torch.channels_last)
        for field in sequence.split(1):
            both[:, :VARIABLES] = field
            gates = F.conv2d(both, weight, self.input_convolution.bias, padding=1)
            gates[:, : 3 * HIDDEN].sigmoid_()
            i, f, o, g = gates.chunk(4, dim=1)
            cell.mul_(f).addcmul_(i, g.tanh_())
            torch.tanh(cell, out=hidden).mul_(o)
        return hidden


class NaiveFAConvLSTM(nn.Module):
    """The paper's equations without attention, written down one after the other as torch modules in NCHW."""

    def __init__(self) -> None:
        super().__init__()
        self.w_x, self.w_h = nn.Conv2d(VARIABLES, BOTTLENECK, 1), nn.Conv2d(HIDDEN, BOTTLENECK, 1)
        self.norm_x, self.norm_h = nn.LayerNorm(BOTTLENECK), nn.LayerNorm(BOTTLENECK)
        self.norm_d = nn.LayerNorm(2 * BOTTLENECK)
        self.branches = nn.ModuleList(
            nn.Conv2d(
                2 * BOTTLENECK, 2 * BOTTLENECK, k, dilation=d, padding=(k // 2) * d, groups=2 * BOTTLENECK, bias=False
            )
            for k, d in SCALES
        )
        self.squeeze = nn.Linear(2 * BOTTLENECK, BOTTLENECK // 2)
        self.excite = nn.Linear(BOTTLENECK // 2, 2 * BOTTLENECK)
        self.gates = nn.Conv2d(2 * BOTTLENECK, 4 * HIDDEN, 1)
        self.peephole_i = nn.Parameter(torch.zeros(HIDDEN, 1, 1))
        self.peephole_f = nn.Parameter(torch.zeros(HIDDEN, 1, 1))

    def forward(self, sequence: Tensor) -> Tensor:
        """Last hidden state of (time, channel, lat, lon), batch 1."""
        hidden = sequence.new_zeros(1, HIDDEN, *sequence.shape[-2:])
        cell = torch.zeros_like(hidden)
        for x in sequence.split(1):
            z = _over_channels(self.norm_x, self.w_x(x))
            r = _over_channels(self.norm_h, self.w_h(hidden))
            u = torch.cat([z, r], dim=1)
            d = torch.stack([branch(u) for branch in self.branches]).sum(0)
            d = d * torch.sigmoid(self.excite(torch.relu(self.squeeze(d.mean((2, 3))))))[:, :, None, None]
            i, f, o, g = self.gates(_over_channels(self.norm_d, d)).chunk(4, dim=1)
            i = torch.sigmoid(i + self.peephole_i * cell)
            f = torch.sigmoid(f + self.peephole_f * cell)
            cell = f * cell + i * torch.tanh(g)
            hidden = torch.sigmoid(o) * torch.tanh(cell)
        return hidden


def _over_channels(norm: nn.LayerNorm, field: Tensor) -> Tensor:
    return norm(field.movedim(1, -1)).movedim(-1, 1)


class _Ours(nn.Module):
    def __init__(self, grid: Grid, *, width: int = 0, heads: int = 0) -> None:
        super().__init__()
        self.layer = FAConvLSTM(
            VARIABLES,
            HIDDEN,
            scales=SCALES,
            bottleneck=BOTTLENECK,
            attention_every=EVERY if width else 0,
            attention_width=width or WIDTH,
            attention_heads=heads or HEADS,
            data_format="channels_first",
            grid=grid,
        )

    def forward(self, sequence: Tensor) -> Tensor:
        """Last hidden state of (time, channel, lat, lon), batch 1."""
        return self.layer(sequence[None])


class _Keras(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        os.environ["KERAS_BACKEND"] = "torch"
        import keras

        self.layer = keras.layers.ConvLSTM2D(HIDDEN, KERNEL, padding="same")

    def forward(self, sequence: Tensor) -> Tensor:
        """Last hidden state of (time, channel, lat, lon), batch 1; Keras is fed its own channels_last."""
        return self.layer(sequence.permute(0, 2, 3, 1)[None].contiguous())


def grid_of(rows: int, columns: int) -> Grid:
    """Build the global grid of this size, with points on the poles where the number of rows is odd.

    Parameters
    ----------
    rows, columns : int
        Size.

    Returns
    -------
    Grid
    """
    if rows % 2:
        latitude = [-90 + 180 * i / (rows - 1) for i in range(rows)]
    else:
        latitude = [-90 + 180 * (i + 0.5) / rows for i in range(rows)]
    return Grid(tuple(latitude), tuple(360 * j / columns for j in range(columns)))


CONTENDERS: dict[str, Callable[[Grid], nn.Module]] = {
    "Keras ConvLSTM2D": lambda grid: _Keras(),  # noqa: ARG005 - all are made alike
    "clean torch ConvLSTM": lambda grid: CleanConvLSTM(),  # noqa: ARG005
    "tuned torch ConvLSTM": lambda grid: TunedConvLSTM(),  # noqa: ARG005
    "naive FAConvLSTM": lambda grid: NaiveFAConvLSTM(),  # noqa: ARG005
    "FAConvLSTM": _Ours,
    "FAConvLSTM with attention": lambda grid: _Ours(grid, width=WIDTH, heads=HEADS),
    "FAConvLSTM with narrow attention": lambda grid: _Ours(grid, width=WIDTH // 2, heads=HEADS // 2),
}
