"""`FAConvLSTM`: the paper's layer with the arguments and the behaviour of Keras' ConvLSTM2D, as a torch module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor, nn

from xfaconv.errors import ArgumentError, GridError
from xfaconv.grid import Grid
from xfaconv.nn.attention import AxialAttention
from xfaconv.nn.cell import FAConvLSTMCell
from xfaconv.nn.geometry import Geometry
from xfaconv.nn.mixing import Scales
from xfaconv.nn.recurrence import Collected, Run, start_run

DEFAULT_SCALES = ((3, 1), (3, 2), (5, 3))
# Arguments of Keras' ConvLSTM2D that this layer refuses: the one value that it takes, and what to do instead.
_REFUSED: dict[str, tuple[object, str]] = {
    "strides": (1, "the recurrence needs the input's own grid; coarsen the input first"),
    "padding": ("same", 'padding="same"'),
    "activation": ("tanh", "leave it out: the paper's cell has tanh"),
    "recurrent_activation": ("sigmoid", "leave it out: the paper's gates are sigmoids"),
    "bias_initializer": (None, "torch.nn.init on layer.cell.gates.bias"),
    "activity_regularizer": (None, "add xfaconv.nn.laplacian_smoothness(output, geometry) to the loss"),
    "seed": (None, "torch.manual_seed(seed)"),
}
for _part in ("kernel", "recurrent", "bias"):
    _REFUSED.setdefault(f"{_part}_initializer", (None, "torch.nn.init on layer.parameters()"))
    _REFUSED[f"{_part}_regularizer"] = (None, "add it to the loss, or weight_decay of the optimiser")
    _REFUSED[f"{_part}_constraint"] = (None, "torch.nn.utils.parametrize")


class FAConvLSTM(nn.Module):
    """Factorized-attention ConvLSTM over sequences of fields, in place of a ConvLSTM2D.

    Weights, states and sequences behave as in Keras; which of Keras' arguments are honoured and which are refused is
    listed in the reference under "Conformance". Without gradients and dropout, on a CPU, a faster way to the same
    numbers is taken.

    Parameters
    ----------
    in_channels : int
        Number of input channels C (Keras finds it when it builds the layer).
    filters : int
        Number of hidden channels F.
    kernel_size : int, optional
        One depthwise branch of this kernel size; by default the branches of `scales`.
    strides : int
        Must be 1.
    padding : {"same"}
        Must be "same": zeros beyond an edge, or the rest of the sphere where a grid says so.
    data_format : {"channels_last", "channels_first"}
        Order of the axes: (batch, time, lat, lon, channel) or (batch, time, channel, lat, lon).
    dilation_rate : int
        Dilation of the branch that `kernel_size` asks for.
    use_bias, unit_forget_bias : bool
        Biases of the gates, and whether the forget gate's starts at 1.
    dropout, recurrent_dropout : float
        Share of the bottleneck of input and state that is dropped in training; the same at all steps of a call.
    return_sequences, return_state : bool
        Give all steps instead of the last; give hidden and cell state too.
    go_backwards : bool
        Run from the last step to the first, and give the steps in that order.
    stateful : bool
        Start each call from the state of the one before, until `reset_states`.
    scales : tuple of (int, int), optional
        Kernel size and dilation of each depthwise branch, by default ((3, 1), (3, 2), (5, 3)).
    bottleneck : int
        Bottleneck channels C_b.
    attention_every : int
        Axial attention at every K-th step; 0 means none.
    attention_width, attention_heads : int
        Channels and heads of the axial attention.
    season : int
        Number S of functions of time, such as cosine and sine of the time of year, that the preferences of the
        attention for places follow; each call then needs their values.
    grid : Grid, optional
        The grid, from south to north; by default a plane with equal cells.
    latitude, longitude : array_like, optional
        The grid by its coordinates [degrees], latitude either way, longitude eastward from anywhere.
    checkpointed : bool
        Compute each step again in the backward pass instead of keeping its intermediate results.
    **keras_arguments
        Any other argument of ConvLSTM2D: refused unless it asks for what this layer does.

    Raises
    ------
    ArgumentError
        If an argument cannot be honoured.

    Examples
    --------
    >>> import torch
    >>> layer = FAConvLSTM(7, 16, return_sequences=True, data_format="channels_first")
    >>> layer(torch.zeros(2, 5, 7, 16, 24)).shape
    torch.Size([2, 5, 16, 16, 24])
    """

    def __init__(
        self,
        in_channels: int,
        filters: int,
        kernel_size: int | Sequence[int] | None = None,
        strides: int | Sequence[int] = 1,
        padding: str = "same",
        data_format: Literal["channels_last", "channels_first"] | None = None,
        dilation_rate: int | Sequence[int] = 1,
        *,
        use_bias: bool = True,
        unit_forget_bias: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        scales: Scales | None = None,
        bottleneck: int = 16,
        attention_every: int = 4,
        attention_width: int = 32,
        attention_heads: int = 4,
        season: int = 0,
        grid: Grid | None = None,
        latitude: ArrayLike | None = None,
        longitude: ArrayLike | None = None,
        checkpointed: bool = False,
        **keras_arguments: Any,
    ) -> None:
        super().__init__()
        refuse_keras_arguments(strides=strides, padding=padding, **keras_arguments)
        if data_format not in (None, "channels_last", "channels_first"):
            raise ArgumentError("data_format", expected="'channels_last' or 'channels_first'", found=repr(data_format))
        if attention_every < 0:
            raise ArgumentError("attention_every", expected="0 for none, or a period", found=str(attention_every))
        for name, share in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if not 0 <= share < 1:
                raise ArgumentError(name, expected="a share from 0 to below 1", found=repr(share))
        self.in_channels = in_channels
        self.filters = filters
        self.data_format = data_format or "channels_last"
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.attention_every = attention_every
        self.checkpointed = checkpointed
        self.grid, self._flipped = _canonical_grid(grid, latitude, longitude)
        self.cell = FAConvLSTMCell(
            in_channels,
            filters,
            bottleneck=bottleneck,
            scales=_branches(kernel_size, dilation_rate, scales),
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            use_bias=use_bias,
            unit_forget_bias=unit_forget_bias,
        )
        sizes = filters, attention_width, attention_heads
        self.attention = AxialAttention(*sizes, season=season) if attention_every else None
        self._steps_done = 0
        self._hidden: Tensor | None
        self._cell_state: Tensor | None
        self.register_buffer("_hidden", None, persistent=False)
        self.register_buffer("_cell_state", None, persistent=False)
        self._geometries: dict[tuple[object, ...], Geometry] = {}

    def forward(
        self,
        sequences: Tensor,
        initial_state: Sequence[Tensor] | None = None,
        mask: None = None,
        training: None = None,
        *,
        first_index: int | None = None,
        season: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Run over a batch of sequences.

        Parameters
        ----------
        sequences : Tensor (batch, time, lat, lon, C) or (batch, time, C, lat, lon)
            Input, in the order of `data_format`.
        initial_state : (Tensor, Tensor), optional
            Hidden and cell state to start from, without the time axis; by default zeros, or the state of the call
            before where the layer is stateful.
        mask, training : None
            Refused: this layer masks no steps, and torch knows training from ``layer.train()``.
        first_index : int, optional
            Absolute index of the first step, which anchors the axial attention at every K-th step; by default 0, or the
            number of steps since `reset_states` where the layer is stateful.
        season : Tensor (batch, time, S), optional
            Functions of time, in the order of the input; needed where the attention follows them.

        Returns
        -------
        Tensor or (Tensor, Tensor, Tensor)
            All hidden states or the last one; with ``return_state`` followed by the hidden and the cell state.

        Raises
        ------
        ArgumentError
            If the input, the state or an argument does not fit.
        """
        if mask is not None or training is not None:
            fix = "cut masked steps away; call layer.train() or layer.eval()"
            raise ArgumentError("mask and training are not arguments of this layer", fix=fix)
        fields = self._inward(sequences, dims=5)
        if fields.shape[1] == 0 or fields.shape[-1] != self.in_channels:
            raise ArgumentError(
                "the input does not fit the layer",
                expected=f"at least one step, {self.in_channels} channels, {self.data_format}",
                found=f"shape {tuple(sequences.shape)}",
            )
        hidden, cell = self._start(fields, initial_state)
        index = first_index if first_index is not None else (self._steps_done if self.stateful else 0)
        run = start_run(self.cell, self.attention, self._geometry(fields), hidden, cell, checkpointed=self.checkpointed)
        if self.go_backwards:
            fields, season = fields.flip(1), None if season is None else season.flip(1)
        states = self._run(run, fields, season, index)
        if self.stateful:
            self._hidden, self._cell_state = run.hidden.detach(), run.cell.detach()
            self._steps_done = index + fields.shape[1]
        output = self._outward(run.hidden if states is None else states)
        if not self.return_state:
            return output
        return output, self._outward(run.hidden), self._outward(run.cell)

    def reset_states(self) -> None:
        """Forget the state that a stateful layer carries from call to call."""
        self._hidden = self._cell_state = None
        self._steps_done = 0

    def _run(self, run: Run, fields: Tensor, season: Tensor | None, index: int) -> Tensor | None:
        """Advance through all steps; gives the hidden states when they are asked for."""
        steps = fields.shape[1]
        kept = Collected(steps, run.overwrites)
        block = run.block_steps(steps)
        for first in range(0, steps, block):
            part = slice(first, first + block)
            run.prepare(fields[:, part], None if season is None else season[:, part])
            for step in range(first, min(first + block, steps)):
                due = self.attention_every > 0 and (index + step) % self.attention_every == 0
                run.advance(step - first, refining=due)
                if due:
                    run.refine(step - first)
                if self.return_sequences:
                    kept.add(run.hidden)
        return kept.stacked() if self.return_sequences else None

    def _start(self, fields: Tensor, initial_state: Sequence[Tensor] | None) -> tuple[Tensor, Tensor]:
        """Give the state to start from, (batch, lat, lon, F)."""
        shape = (len(fields), *fields.shape[2:4], self.filters)
        if initial_state is not None:
            if len(initial_state) != 2:
                raise ArgumentError("initial_state", expected="(hidden, cell)", found=f"{len(initial_state)} tensors")
            hidden, cell = (self._inward(state, dims=4) for state in initial_state)
        elif self.stateful and self._hidden is not None and self._cell_state is not None:
            # Gradients cannot flow from a tensor of inference mode, but from its copy.
            hidden, cell = (s.clone() if s.is_inference() else s for s in (self._hidden, self._cell_state))
        else:
            zeros = fields.new_zeros(1).expand(shape)
            return zeros, zeros
        for state in (hidden, cell):
            if tuple(state.shape) != shape:
                problem, expected = "the state does not fit the input", f"batch, lat, lon, channels {shape}"
                fix = "layer.reset_states()" if initial_state is None else None
                raise ArgumentError(problem, expected=expected, found=str(tuple(state.shape)), fix=fix)
        return hidden.to(fields.dtype), cell.to(fields.dtype)

    def _geometry(self, fields: Tensor) -> Geometry:
        """Give the geometry on the input's device and of its floating type."""
        rows, columns = fields.shape[2:4]
        if self.grid is not None and self.grid.shape != (rows, columns):
            expected, fix = self.grid.describe(), "give the layer the latitude= and longitude= of its input"
            problem, found = "the input does not lie on the layer's grid", f"{rows} x {columns}"
            raise GridError(problem, expected=expected, found=found, fix=fix)
        key = (rows, columns, fields.device, fields.dtype)
        if key not in self._geometries:
            plain = Geometry.plane(rows, columns) if self.grid is None else Geometry.from_grid(self.grid)
            self._geometries = {key: plain.to(fields.device, fields.dtype)}
        return self._geometries[key]

    def _inward(self, tensor: Tensor, dims: int) -> Tensor:
        """From the user's order of axes and latitudes to (batch, [time,] lat, lon, channel), south to north."""
        if tensor.ndim != dims:
            raise ArgumentError("a tensor has a wrong number of axes", expected=str(dims), found=str(tensor.ndim))
        inward = tensor.movedim(-3, -1) if self.data_format == "channels_first" else tensor
        return inward.flip(-3) if self._flipped else inward

    def _outward(self, tensor: Tensor) -> Tensor:
        """From (batch, [time,] lat, lon, channel) back to the user's order; never a view of the layer's own state."""
        outward = tensor.flip(-3) if self._flipped else tensor
        if self.data_format == "channels_first":
            outward = outward.movedim(-1, -3)
        return outward.clone() if self.stateful and not self._flipped else outward

    def extra_repr(self) -> str:
        """Say what the layer is in its repr."""
        where = "plane" if self.grid is None else self.grid.describe()
        return f"{self.in_channels}, {self.filters}, data_format={self.data_format!r}, grid={where}"


def refuse_keras_arguments(**arguments: Any) -> None:
    """Refuse what this layer does not do; arguments that ask for what it does anyway pass.

    Parameters
    ----------
    **arguments
        Keyword arguments of ConvLSTM2D.

    Raises
    ------
    ArgumentError
        For the first argument that is refused or unknown.

    Examples
    --------
    >>> refuse_keras_arguments(strides=(1, 1), activation="tanh", kernel_regularizer=None)
    >>> refuse_keras_arguments(padding="valid")
    Traceback (most recent call last):
    xfaconv.errors.ArgumentError: FAConvLSTM cannot honour padding='valid'
      expected: padding='same'
      fix:      padding="same"
    """
    for name, value in arguments.items():
        if name not in _REFUSED:
            raise ArgumentError(f"FAConvLSTM has no argument {name!r}", found=f"{name}={value!r}")
        only, fix = _REFUSED[name]
        if (_one_integer(name, value) if name == "strides" else value) != only:
            raise ArgumentError(f"FAConvLSTM cannot honour {name}={value!r}", expected=f"{name}={only!r}", fix=fix)


def _branches(
    kernel_size: int | Sequence[int] | None, dilation_rate: int | Sequence[int], scales: Scales | None
) -> Scales:
    """Give the depthwise branches that kernel_size and dilation_rate, or scales, ask for."""
    dilation = _one_integer("dilation_rate", dilation_rate)
    if kernel_size is None:
        if dilation != 1:
            raise ArgumentError(
                "dilation_rate needs a kernel_size", fix=f"kernel_size=3  # or scales=((3, {dilation}),)"
            )
        return scales or DEFAULT_SCALES
    if scales is not None:
        raise ArgumentError(
            "kernel_size and scales say the same thing twice", fix="kernel_size=None, dilation_rate=1  # or scales=None"
        )
    return ((_one_integer("kernel_size", kernel_size), dilation),)


def _canonical_grid(
    grid: Grid | None, latitude: ArrayLike | None, longitude: ArrayLike | None
) -> tuple[Grid | None, bool]:
    """Give the grid from south to north, and whether the data must be flipped to lie on it."""
    if (latitude is None) != (longitude is None) or (grid is not None and latitude is not None):
        raise ArgumentError("give either a grid, or both latitude and longitude, or nothing")
    if latitude is None or longitude is None:
        return grid, False
    rows = np.asarray(latitude, dtype=np.float64)
    columns = np.asarray(longitude, dtype=np.float64)
    columns = columns + 360.0 * np.concatenate([[0], np.cumsum(np.diff(columns) < 0)])
    flipped = len(rows) > 1 and bool(rows[0] > rows[-1])
    return Grid(tuple(rows[::-1] if flipped else rows), tuple(columns)), flipped


def _one_integer(name: str, value: int | Sequence[int]) -> int:
    """Read a size that must be the same along latitude and longitude."""
    numbers = {value} if isinstance(value, int) else set(value)
    if len(numbers) != 1:
        raise ArgumentError(f"{name} must be the same in both directions", expected="one integer", found=repr(value))
    return int(numbers.pop())
