"""One step of FAConvLSTM: bottlenecks, shared mixing, recalibration, fused gates and peepholes (paper, section IV)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from xfaconv.nn.cores import register_core
from xfaconv.nn.gates import update_state
from xfaconv.nn.geometry import POSITION_FEATURES, SPHERE_FEATURES, Geometry
from xfaconv.nn.mixing import DepthwiseMixing, Scales, SqueezeExcitation
from xfaconv.specs import NetworkSpec


class FAConvLSTMCell(nn.Module):
    """The recurrent part of the paper's layer, without its axial attention.

    Per step t, with X_t the input of C channels, H_t and C_t the hidden and the cell state of F channels each, phi a
    layer norm over the channels of each cell followed by dropout, and [ , ] a concatenation of channels::

        Z_t = phi(W_x X_t)              R_{t-1} = phi(W_h H_{t-1})       C_b channels each, the bottleneck
        U_t = [Z_t, R_{t-1}]
        D_t = sum over (k, d_k) of DWConv_{k, d_k}(U_t)                 the only mixing in space
        D_t = D_t * sigmoid(W_2 f(W_1 s_t)), s_t = GAP(D_t) or moments  squeeze-excitation
        i, f, o, c = W_g LN(D_t)                                        input, forget, output gate and candidate
        C_t = sigmoid(f + W_cf C_{t-1}) C_{t-1} + sigmoid(i + W_ci C_{t-1}) tanh(c)
        H_t = sigmoid(o) tanh(C_t)

    A depthwise convolution treats each channel by itself, so that D_t = [mix(Z_t), mix(R_{t-1})]: the input's half does
    not depend on the state, `prepare` computes it for all steps at once, and `step` only adds the state's half.

    Parameters
    ----------
    in_channels : int
        Input channels C.
    hidden : int
        Hidden channels F.
    bottleneck : int
        Bottleneck channels C_b.
    scales : tuple of (int, int)
        Kernel size and dilation (k, d_k) of each depthwise branch.
    dropout, recurrent_dropout : float
        Dropout in phi, on Z_t and on R_{t-1}, in training only; as in Keras the same at all steps of a sequence.
    use_bias, unit_forget_bias : bool
        Biases of the gates, and whether the forget gate's starts at 1.
    squeeze, season
        What the squeeze-excitation gates know: see `SqueezeExcitation`.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        *,
        bottleneck: int = 16,
        scales: Scales = ((3, 1), (3, 2), (5, 3)),
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        use_bias: bool = True,
        unit_forget_bias: bool = True,
        squeeze: Literal["mean", "moments"] = "mean",
        season: int = 0,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.bottleneck = bottleneck
        self.input_projection = nn.Linear(in_channels, bottleneck)
        self.input_norm = nn.LayerNorm(bottleneck)
        self.input_dropout = nn.Dropout(dropout)
        self.hidden_projection = nn.Linear(hidden, bottleneck)
        self.hidden_norm = nn.LayerNorm(bottleneck)
        self.hidden_dropout = nn.Dropout(recurrent_dropout)
        self.mixing = DepthwiseMixing(2 * bottleneck, scales)
        self.squeeze_excitation = SqueezeExcitation(2 * bottleneck, squeeze, season)
        self.mixing_norm = nn.LayerNorm(2 * bottleneck)
        self.gates = nn.Linear(2 * bottleneck, 4 * hidden, bias=use_bias)
        self.peephole_input = nn.Parameter(torch.zeros(hidden))
        self.peephole_forget = nn.Parameter(torch.zeros(hidden))
        # A forget gate that starts at sigmoid(1) = 0.73 keeps the cell state through the first updates, as in Keras.
        if use_bias:
            with torch.no_grad():
                self.gates.bias.zero_()
                if unit_forget_bias:
                    self.gates.bias[hidden : 2 * hidden] = 1.0

    def prepare(self, fields: Tensor, geometry: Geometry) -> Tensor:
        """Input branch of all steps: Z_t = phi(W_x X_t) and its half of the depthwise sum.

        Parameters
        ----------
        fields : Tensor (batch, time, lat, lon, C)
            Input X_t.
        geometry : Geometry
            Says what lies beyond each edge.

        Returns
        -------
        Tensor (batch, time, lat, lon, C_b)
        """
        bottleneck = self.input_norm(self.input_projection(fields))
        # One mask for all steps, as in Keras (Gal and Ghahramani 2016): the mask of one step, broadcast along time.
        if self.training and self.input_dropout.p:
            bottleneck = bottleneck * self.input_dropout(torch.ones_like(bottleneck[:, :1]))
        mixed = self.mixing(bottleneck.flatten(0, 1), geometry, slice(0, self.bottleneck))
        return mixed.unflatten(0, fields.shape[:2])

    def recurrent_mask(self, hidden: Tensor) -> Tensor | None:
        """Draw what is dropped of R_{t-1} at all steps of a sequence.

        Parameters
        ----------
        hidden : Tensor (batch, lat, lon, F)
            Any hidden state.

        Returns
        -------
        Tensor (batch, lat, lon, C_b) or None
            0 or 1 / (1 - dropout); None where nothing is dropped.
        """
        if not (self.training and self.hidden_dropout.p):
            return None
        return self.hidden_dropout(hidden.new_ones(*hidden.shape[:-1], self.bottleneck))

    def step(
        self,
        prepared: Tensor,
        hidden: Tensor,
        cell: Tensor,
        geometry: Geometry,
        mask: Tensor | None = None,
        season: Tensor | None = None,
        first: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Advance the state by one step.

        Parameters
        ----------
        prepared : Tensor (batch, lat, lon, C_b)
            This step's input branch, from `prepare`.
        hidden, cell : Tensor (batch, lat, lon, F)
            H_{t-1} and C_{t-1}.
        geometry : Geometry
            Areas and edges.
        mask : Tensor (batch, lat, lon, C_b), optional
            From `recurrent_mask`.
        season, first
            Of `SqueezeExcitation.forward`.

        Returns
        -------
        hidden, cell : Tensor (batch, lat, lon, F)
            H_t and C_t.
        excitation : Tensor (batch, 2 C_b)
            Squeeze-excitation gates of this step.
        """
        recurrent = self.hidden_norm(self.hidden_projection(hidden))
        if mask is not None:
            recurrent = recurrent * mask
        mixed_state = self.mixing(recurrent, geometry, slice(self.bottleneck, None))
        mixed = torch.cat([prepared, mixed_state], dim=-1)
        excitation = self.squeeze_excitation(mixed, geometry, season, first)
        mixed = self.mixing_norm(mixed * excitation[:, None, None, :])
        hidden, cell = update_state(self.gates(mixed), cell, self.peephole_input, self.peephole_forget)
        return hidden, cell, excitation

    def size_of_input_weights(self, variables: int) -> Tensor:
        """How large the weights of each variable are, (variables,): root sum of squares of its column of W_x."""
        return self.input_projection.weight[:, :variables].norm(dim=0)

    def variable_weights(self, variables: int) -> Tensor:
        """How strongly each variable enters each bottleneck channel of D_t.

        Parameters
        ----------
        variables : int
            The first so many input channels are variables.

        Returns
        -------
        Tensor (C_b, variables)
            |W_x|; where the gates know moments the share in the variance of the channel: the square of W_x, centred
            and scaled as the layer norm does it, times the sums of squares of the kernels and of the columns of W_g.
        """
        weight = self.input_projection.weight[:, :variables]
        if not self.squeeze_excitation.moments:
            return weight.abs()
        scale = self.input_norm.weight.square() * self.mixing.gain[: self.bottleneck]
        # Without W_g a variable that enters a channel which nobody reads would count, as noise did in planted data.
        read = (self.gates.weight * self.mixing_norm.weight).square().sum(0)
        scale = scale * read[: self.bottleneck]
        return (weight - weight.mean(0)).square() * scale[:, None]


@register_core("faconvlstm")
def _faconvlstm(channels: int, spec: NetworkSpec) -> nn.Module:
    # The context channels that are the same everywhere are the functions of time.
    located = SPHERE_FEATURES + (POSITION_FEATURES if spec.located else 0)
    season = channels - spec.variables - 1 - located
    return FAConvLSTMCell(
        channels, spec.hidden, bottleneck=spec.bottleneck, scales=spec.scales, squeeze=spec.squeeze, season=season
    )
