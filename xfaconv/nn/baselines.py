"""The baselines of the paper's Table I as recurrent cores: CNN, CNN-LSTM and ConvLSTM, padded on the sphere alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xfaconv.nn.cores import register_core
from xfaconv.nn.gates import lstm_equations
from xfaconv.nn.geometry import Geometry
from xfaconv.nn.padding import pad_sphere
from xfaconv.specs import NetworkSpec

_KERNEL = 3


class _SphericalConvolution(nn.Module):
    """A dense 3 x 3 convolution on (batch, lat, lon, channel)."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, _KERNEL, bias=bias)

    def forward(self, field: Tensor, geometry: Geometry) -> Tensor:
        padded = pad_sphere(field, _KERNEL // 2, geometry)
        return self.convolution(padded.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class _Baseline(nn.Module):
    """A core whose first layer is a convolution of the input."""

    def __init__(self, channels: int, hidden: int, first_channels: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.first = _SphericalConvolution(channels, first_channels)

    def size_of_input_weights(self, variables: int) -> Tensor:
        """How large the weights of each variable are, (variables,): root sum of squares."""
        return self.first.convolution.weight[:, :variables].transpose(0, 1).flatten(1).norm(dim=1)


@register_core("convlstm")
class ConvLSTMCell(_Baseline):
    """Dense ConvLSTM (Shi et al. 2015) without peepholes, as in Keras; the input convolution is done for all steps.

    Parameters
    ----------
    channels : int
        Input channels.
    spec : NetworkSpec
        Says how many hidden channels.
    """

    def __init__(self, channels: int, spec: NetworkSpec) -> None:
        hidden = spec.hidden
        super().__init__(channels, hidden, 4 * hidden)
        self.hidden_convolution = _SphericalConvolution(hidden, 4 * hidden, bias=False)
        with torch.no_grad():
            self.first.convolution.bias.zero_()  # type: ignore[union-attr]
            self.first.convolution.bias[hidden : 2 * hidden] = 1.0  # type: ignore[index]

    def prepare(self, fields: Tensor, geometry: Geometry) -> Tensor:
        """Input convolution of all steps, (batch, time, lat, lon, 4 F)."""
        return self.first(fields.flatten(0, 1), geometry).unflatten(0, fields.shape[:2])

    def step(self, prepared: Tensor, hidden: Tensor, cell: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor, None]:
        """Advance the state by one step."""
        return (*lstm_equations(prepared + self.hidden_convolution(hidden, geometry), cell), None)


@register_core("cnn-lstm")
class CNNLSTMCell(_Baseline):
    """Convolutions in space at each step, then an LSTM in time in each cell.

    Parameters
    ----------
    channels : int
        Input channels.
    spec : NetworkSpec
        Says how many hidden channels.
    """

    def __init__(self, channels: int, spec: NetworkSpec) -> None:
        hidden = spec.hidden
        super().__init__(channels, hidden, hidden)
        self.second = _SphericalConvolution(hidden, hidden)
        self.input_gates = nn.Linear(hidden, 4 * hidden)
        self.hidden_gates = nn.Linear(hidden, 4 * hidden, bias=False)
        with torch.no_grad():
            self.input_gates.bias[hidden : 2 * hidden] = 1.0

    def prepare(self, fields: Tensor, geometry: Geometry) -> Tensor:
        """Convolutions and input gates of all steps, (batch, time, lat, lon, 4 F)."""
        features = F.relu(self.first(fields.flatten(0, 1), geometry))
        return self.input_gates(F.relu(self.second(features, geometry))).unflatten(0, fields.shape[:2])

    def step(self, prepared: Tensor, hidden: Tensor, cell: Tensor, _: Geometry) -> tuple[Tensor, Tensor, None]:
        """Advance the state by one step."""
        return (*lstm_equations(prepared + self.hidden_gates(hidden), cell), None)


@register_core("cnn")
class CNNCell(_Baseline):
    """Convolutions in space at each step, without any state.

    Parameters
    ----------
    channels : int
        Input channels.
    spec : NetworkSpec
        Says how many hidden channels.
    """

    def __init__(self, channels: int, spec: NetworkSpec) -> None:
        super().__init__(channels, spec.hidden, spec.hidden)
        self.second = _SphericalConvolution(spec.hidden, spec.hidden)
        self.third = _SphericalConvolution(spec.hidden, spec.hidden)

    def prepare(self, fields: Tensor, geometry: Geometry) -> Tensor:
        """Features of all steps, (batch, time, lat, lon, F)."""
        features = F.relu(self.first(fields.flatten(0, 1), geometry))
        features = F.relu(self.second(features, geometry))
        return torch.tanh(self.third(features, geometry)).unflatten(0, fields.shape[:2])

    def step(self, prepared: Tensor, _: Tensor, cell: Tensor, __: Geometry) -> tuple[Tensor, Tensor, None]:
        """Replace the state by this step's features."""
        return prepared, cell, None
