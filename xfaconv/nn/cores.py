"""The recurrent cores that a network can have: the paper's cell or one of its baselines."""

from __future__ import annotations

from torch import nn

from xfaconv.nn.baselines import CNNCell, CNNLSTMCell, ConvLSTMCell
from xfaconv.nn.cell import FAConvLSTMCell
from xfaconv.specs import NetworkSpec


def build_core(spec: NetworkSpec, channels: int) -> nn.Module:
    """Build a core with fresh weights.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture and sizes.
    channels : int
        Input channels: variables and context.

    Returns
    -------
    Module
        Has `prepare`, `step` and `size_of_input_weights`.
    """
    if spec.architecture == "faconvlstm":
        return FAConvLSTMCell(
            channels,
            spec.hidden,
            bottleneck=spec.bottleneck,
            scales=spec.scales,
            squeeze=spec.squeeze,
            dropout=spec.dropout,
            recurrent_dropout=spec.dropout,
        )
    baselines = {"convlstm": ConvLSTMCell, "cnn-lstm": CNNLSTMCell, "cnn": CNNCell}
    return baselines[spec.architecture](channels, spec.hidden)
