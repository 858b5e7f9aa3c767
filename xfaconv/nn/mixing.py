"""Shared multi-scale depthwise mixing, D_t = sum_k DWConv_{k, d_k}(U_t), and squeeze-excitation (paper, section IV)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from xfaconv.errors import ArgumentError
from xfaconv.nn.geometry import Geometry
from xfaconv.nn.padding import pad_sphere

# Kernels that reach up to 2 cells, dilation included, are merged into one: (3, 1) and (3, 2) cost one pass.
_NARROW_REACH = 2
_FAST_SIZE = 3
# W_1 of the squeeze-excitation gives a quarter of the channels; no packaged model has used another reduction.
_REDUCTION = 4
# Channels are layer norms mixed by kernels of order one; a variance below this is rounding and is not blown up.
_LEAST_SQUARE = 1e-6
_LEAST_VARIANCE = 1e-4
_STATISTICS_RATE = 0.005

Scales = tuple[tuple[int, int], ...]
Branch = tuple[int, int, Tensor]


class DepthwiseMixing(nn.Module):
    """The paper's M(U_t): one spatial kernel per channel and scale, the scales summed.

    Parameters
    ----------
    channels : int
        Number of channels, 2 C_b.
    scales : tuple of (int, int)
        Kernel size and dilation (k, d_k) of each branch.

    Raises
    ------
    ArgumentError
        If there is no branch, a kernel size is even, or a number is not positive.
    """

    def __init__(self, channels: int, scales: Scales) -> None:
        super().__init__()
        if not scales or any(k < 1 or k % 2 == 0 or d < 1 for k, d in scales):
            raise ArgumentError(
                "scales must be pairs of an odd kernel size and a dilation",
                expected="for example ((3, 1), (3, 2), (5, 3))",
                found=repr(scales),
            )
        self.reach = max(_reach(k, d) for k, d in scales)
        self.scales = scales
        # Taps of variance 1 / (3 k^2 n) in n branches of k^2 taps: the sum has a third of the variance of white input.
        # On the meta device, where networks of files are built, a quotient would import torch's compiler: a second.
        self.kernels = nn.ParameterList()
        for k, _ in scales:
            taps = torch.empty(channels, 1, k, k).uniform_(-1, 1)
            self.kernels.append(nn.Parameter(taps if taps.is_meta else taps / (k * math.sqrt(len(scales)))))

    @property
    def gain(self) -> Tensor:
        """By how much each channel's variance grows where neighbours are independent, (channel,)."""
        return sum((kernel.square().sum((1, 2, 3)) for kernel in self.kernels), start=self.kernels[0].new_zeros(()))

    def forward(self, field: Tensor, geometry: Geometry, part: slice) -> Tensor:
        """Mix some of the channels in space.

        Parameters
        ----------
        field : Tensor (batch, lat, lon, channel)
            The channels named by `part`.
        geometry : Geometry
            Says what lies beyond each edge.
        part : slice
            Which of the kernels' channels these are: the first half of U is the input Z, the second the state R.

        Returns
        -------
        Tensor (batch, lat, lon, channel)
        """
        padded = pad_sphere(field, self.reach, geometry)
        kernels = [kernel[part] for kernel in self.kernels]
        # Elsewhere torch differentiates the sums itself: on a GPU, under autocast and where a compiler does.
        if field.device.type == "cpu" and not (torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")):
            return mix_with_gradient(padded, self.scales, kernels)
        return mix_padded(padded, merged_kernels(self.scales, kernels))


class SqueezeExcitation(nn.Module):
    """Channel recalibration D_t * sigmoid(W_2 f(W_1 s_t)), where s_t is what the gates know of D_t.

    Parameters
    ----------
    channels : int
        Number of channels, 2 C_b.
    squeeze : {"mean", "moments"}
        The paper's s_t = GAP(D_t), the mean over the sphere, with f = relu; or the mean and the logarithm of the mean
        square of each channel, standardised by running statistics, and the functions of time, with f = tanh. Means over
        the sphere of anomalies hardly change in time: gates that know nothing else are nearly constant.
    season : int
        Number S of functions of time that "moments" reads too.
    """

    mean: Tensor
    variance: Tensor
    observed: Tensor

    def __init__(self, channels: int, squeeze: Literal["mean", "moments"] = "mean", season: int = 0) -> None:
        super().__init__()
        middle = max(channels // _REDUCTION, 1)
        self.moments = squeeze == "moments"
        self.season = season if self.moments else 0
        known = 2 * channels if self.moments else channels
        self.squeeze = nn.Linear(known + self.season, middle)
        self.excite = nn.Linear(middle, channels)
        if self.moments:
            # Statistics over batch and time, of training alone; `observed` counts the steps that they have seen.
            self.register_buffer("mean", torch.zeros(known))
            self.register_buffer("variance", torch.ones(known))
            self.register_buffer("observed", torch.zeros(()))
            self._widen()
        self._last: Tensor | None = None

    def _widen(self) -> None:
        # An update of Adam moves each weight by the learning rate, and the middle by as many times that as numbers are
        # known: with the moments in three bands of latitude it was saturated, and the gates constant, within 600
        # updates at 0.02. Numbers divided by the root of how many they are, and weights multiplied by it, give the same
        # middle at first and smaller steps.
        with torch.no_grad():
            self.squeeze.weight *= math.sqrt(self.squeeze.in_features)

    def reinitialise(self) -> None:
        """Give W_1 fresh weights and set W_2 to zero, so that each gate starts at its bias.

        At a high learning rate all middle units can end below zero for every input (dead ReLUs, as happened to the
        monthly model): the gates are then constant and no gradient reaches W_1. In that state this changes no output,
        and the gates can learn again.
        """
        self.squeeze.reset_parameters()
        if self.moments:
            self._widen()
        nn.init.zeros_(self.excite.weight)

    def forward(
        self,
        mixed: Tensor,
        geometry: Geometry,
        season: Tensor | None = None,
        first: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Compute the gates.

        Parameters
        ----------
        mixed : Tensor (batch, lat, lon, channel)
            D_t before recalibration.
        geometry : Geometry
            Cell areas.
        season : Tensor (batch, S), optional
            The functions of time, where the gates read any.
        first : (Tensor, Tensor), optional
            From `first_map`, computed once for many steps.

        Returns
        -------
        Tensor (batch, channel)
            Gates between 0 and 1.
        """
        weight, bias = self.first_map() if first is None else first
        # Weighted by area: a plain mean over the cells of a regular grid would count polar rows like the equator.
        area = geometry.normalised_area.to(mixed.dtype).reshape(1, 1, -1)
        if not self.moments:
            pooled = torch.matmul(area, mixed.flatten(1, 2)).squeeze(1)
            return torch.sigmoid(self.excite(torch.relu(F.linear(pooled, weight, bias))))
        known = moments(mixed.flatten(1, 2), area)
        # Where the gates do not learn, what they are standardised by stays too.
        self._last = known.detach() if self.training and self.squeeze.weight.requires_grad else None
        known = known if season is None else torch.cat([known, season.to(known.dtype)], dim=1)
        return torch.sigmoid(self.excite(torch.tanh(F.linear(known, weight, bias))))

    def first_map(self) -> tuple[Tensor, Tensor]:
        """W_1 and its bias, (middle, known + S) and (middle,), the standardisation of what is known folded in."""
        weight, bias = self.squeeze.weight, self.squeeze.bias
        if not self.moments:
            return weight, bias
        scale = (self.variance + _LEAST_VARIANCE).rsqrt()
        weight = weight * F.pad(scale, (0, self.season), value=1.0) / math.sqrt(weight.shape[1])
        return weight, bias - weight[:, : len(scale)] @ self.mean

    def observe(self) -> None:
        """Let the running statistics take in the step that `forward` has just seen in training.

        The gates of a sequence are computed with the statistics at its start, which `first_map` holds.
        """
        if self._last is None:
            return
        rate = torch.clamp(1 / (self.observed + 1), min=_STATISTICS_RATE)
        # In mixed precision the step is in half precision, the statistics are not.
        last = self._last.to(self.mean.dtype)
        mean = self.mean.lerp(last.mean(0), rate)
        self.variance = self.variance.lerp((last - mean).square().mean(0), rate)
        self.mean, self.observed, self._last = mean, self.observed + 1, None


def moments(cells: Tensor, area: Tensor) -> Tensor:
    """Mean and logarithm of the mean square of each channel.

    Parameters
    ----------
    cells : Tensor (batch, cell, channel)
        A field.
    area : Tensor (1, cell) or (1, 1, cell)
        Weights that sum to 1.

    Returns
    -------
    Tensor (batch, 2 channel)
        Means first.
    """
    mean, square = torch.matmul(area, cells), torch.matmul(area, cells.square())
    return torch.cat([mean, (square + _LEAST_SQUARE).log()], dim=-1).squeeze(1)


def merged_kernels(scales: Scales, kernels: Sequence[Tensor]) -> list[Branch]:
    """Reach, dilation and kernel of each branch, widest first; the narrow ones merged into one dense kernel.

    A depthwise convolution does k^2 products for each number it reads: its time is that of passing over the field, so
    that one 5 x 5 kernel is cheaper than two of 3 x 3.

    Parameters
    ----------
    scales : tuple of (int, int)
        Kernel size and dilation (k, d_k) of each branch.
    kernels : sequence of Tensor (channel, 1, k, k)
        One per branch.

    Returns
    -------
    list of (int, int, Tensor)

    Examples
    --------
    >>> [(reach, d, tuple(kernel.shape)) for reach, d, kernel in merged_kernels(
    ...     ((3, 1), (3, 2), (5, 3)), [torch.ones(2, 1, k, k) for k in (3, 3, 5)])]
    [(6, 3, (2, 1, 5, 5)), (2, 1, (2, 1, 5, 5))]
    """
    every = [(_reach(k, d), d, kernel.contiguous()) for (k, d), kernel in zip(scales, kernels, strict=True)]
    narrow = [branch for branch in every if branch[0] <= _NARROW_REACH]
    wide = [branch for branch in every if branch[0] > _NARROW_REACH]
    return sorted([*wide, *(dense_kernel(narrow) if narrow else [])], key=lambda branch: -branch[0])


def dense_kernel(branches: list[Branch]) -> list[Branch]:
    """Put all branches into one kernel without dilation: more products, but fewer calls, which count on a small grid.

    Parameters
    ----------
    branches : list of (int, int, Tensor)
        Reach, dilation and kernel.

    Returns
    -------
    list of (int, int, Tensor)
        One branch.

    Examples
    --------
    >>> [(reach, d, tuple(kernel.shape)) for reach, d, kernel in dense_kernel([(6, 3, torch.ones(2, 1, 5, 5))])]
    [(6, 1, (2, 1, 13, 13))]
    """
    reach = max(own for own, _, _ in branches)
    dense = branches[0][2].new_zeros(len(branches[0][2]), 1, 2 * reach + 1, 2 * reach + 1)
    for _, dilation, kernel in branches:
        dense[_taps(kernel.shape[-1], dilation, reach)] += kernel
    return [(reach, 1, dense)]


def mix_padded(padded: Tensor, branches: list[Branch]) -> Tensor:
    """Sum of depthwise convolutions, the widest first and the others added to it.

    Narrower branches read whole rows of one field, or several fields as they are, and are cut afterwards: any other
    window would first be copied.

    Parameters
    ----------
    padded : Tensor (batch, lat + 2 reach, lon + 2 reach, channel)
        The field and what lies around it, as far as the first branch reaches.
    branches : list of (int, int, Tensor)
        From `merged_kernels`.

    Returns
    -------
    Tensor (batch, lat, lon, channel)
    """
    reach = branches[0][0]
    rows, columns = padded.shape[1] - 2 * reach, padded.shape[2] - 2 * reach
    total = padded.new_empty(0)
    for own, dilation, kernel in branches:
        cut = reach - own
        window = padded if len(padded) > 1 else padded[:, cut : cut + rows + 2 * own]
        branch = F.conv2d(window.permute(0, 3, 1, 2), kernel, dilation=dilation, groups=len(kernel))
        branch = branch.permute(0, 2, 3, 1)[:, (branch.shape[2] - rows) // 2 :][:, :rows, cut : cut + columns]
        total = total.add_(branch) if total.numel() else branch.contiguous()
    return total


def mix_with_gradient(padded: Tensor, scales: Scales, kernels: Sequence[Tensor]) -> Tensor:
    """Compute what `mix_padded` gives, with gradients.

    oneDNN differentiates a dilated depthwise convolution, or one wider than 3 cells, ten times slower than it computes
    one (a sixth of a whole training step of the layer). Here, with D = sum_a K_a U(. + a d) and G the gradient of D::

        gradient of U     sum_a K_a G(. - a d)            a convolution of G with the mirrored kernel
        gradient of K_a   sum over cells of G U(. + a d)  computed for 3 x 3 taps at a time

    Dilation is taken away by sorting the cells into d x d interleaved grids of every d-th cell.

    Parameters
    ----------
    padded : Tensor (batch, lat + 2 reach, lon + 2 reach, channel)
        The field and what lies around it, as far as the widest branch reaches.
    scales : tuple of (int, int)
        Kernel size and dilation (k, d_k) of each branch.
    kernels : sequence of Tensor (channel, 1, k, k)
        One per branch.

    Returns
    -------
    Tensor (batch, lat, lon, channel)
    """
    return _Mix.apply(padded, scales, *kernels)  # type: ignore[no-untyped-call]


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, padded: Tensor, scales: Scales, *kernels: Tensor) -> Tensor:
        ctx.scales = scales
        ctx.save_for_backward(padded, *kernels)
        return mix_padded(padded, merged_kernels(scales, kernels))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        padded, *kernels = ctx.saved_tensors
        branches = merged_kernels(ctx.scales, kernels)
        grad = grad.contiguous()
        grad_padded = _field_gradient(grad, branches) if ctx.needs_input_grad[0] else None
        if not any(ctx.needs_input_grad[2:]):
            return grad_padded, None, *(None for _ in kernels)
        by_branch = {
            (own, dilation): _kernel_gradient(_inner(padded, branches[0][0] - own), grad, kernel.shape[-1], dilation)
            for own, dilation, kernel in branches
        }
        # A narrow kernel is added into the dense one: its gradient is that of its taps there.
        reaches = [(k, d, _reach(k, d)) for k, d in ctx.scales]
        dense = max((own for _, _, own in reaches if own <= _NARROW_REACH), default=0)
        grad_kernels = (
            by_branch[dense, 1][_taps(k, d, dense)] if own <= _NARROW_REACH else by_branch[own, d]
            for k, d, own in reaches
        )
        return grad_padded, None, *grad_kernels


def _reach(size: int, dilation: int) -> int:
    return (size // 2) * dilation


def _taps(size: int, dilation: int, reach: int) -> tuple[slice, ...]:
    """Where a kernel's taps lie in a dense one of this reach."""
    own = _reach(size, dilation)
    along = slice(reach - own, reach + own + 1, dilation)
    return slice(None), slice(None), along, along


def _inner(padded: Tensor, cut: int) -> Tensor:
    return padded[:, cut : padded.shape[1] - cut, cut : padded.shape[2] - cut]


def _field_gradient(grad: Tensor, branches: list[Branch]) -> Tensor:
    """Gradient of the padded field: the mirrored kernels over the outcome's gradient, as far as they reach it."""
    total = grad.new_empty(0)
    for own, dilation, kernel in branches:
        around = F.pad(grad, (0, 0, 2 * own, 2 * own, 2 * own, 2 * own)).permute(0, 3, 1, 2)
        part = F.conv2d(around, kernel.flip(2, 3), dilation=dilation, groups=len(kernel)).permute(0, 2, 3, 1)
        if not total.numel():
            total = part
        else:
            _inner(total, branches[0][0] - own).add_(part)
    return total


def _kernel_gradient(window: Tensor, grad: Tensor, size: int, dilation: int) -> Tensor:
    """Gradient (channel, 1, k, k) of a kernel from the cells it saw (batch, lat + ..., lon + ..., channel)."""
    if size < _FAST_SIZE:
        return (window * grad).sum((0, 1, 2))[:, None, None, None]
    # A convolution dilated by d is d x d convolutions without dilation, each on its own grid of every d-th cell.
    if dilation > 1:
        rows, columns = (-length % dilation for length in grad.shape[1:3])
        window, grad = (_interleaved(F.pad(part, (0, 0, 0, columns, 0, rows)), dilation) for part in (window, grad))
    channels = grad.shape[-1]
    outcome = grad.permute(0, 3, 1, 2)
    found = grad.new_empty(channels, 1, size, size)
    like = grad.new_empty(channels, 1, _FAST_SIZE, _FAST_SIZE)
    # Blocks of 3 x 3 taps; the last may overlap the one before, whose taps it computes again.
    starts = [*range(0, size - _FAST_SIZE, _FAST_SIZE), size - _FAST_SIZE]
    rows, columns = (length + _FAST_SIZE - 1 for length in grad.shape[1:3])
    for i in starts:
        for j in starts:
            seen = window[:, i : i + rows, j : j + columns].permute(0, 3, 1, 2)
            found[:, :, i : i + _FAST_SIZE, j : j + _FAST_SIZE] = torch.ops.aten.convolution_backward(
                outcome, seen, like, None, [1, 1], [0, 0], [1, 1], False, [0, 0], channels, [False, True, False]
            )[1]
    return found


def _interleaved(field: Tensor, dilation: int) -> Tensor:
    """Sort cells into d x d grids of every d-th cell, (batch * d * d, lat / d, lon / d, channel)."""
    parts = field.unflatten(2, (-1, dilation)).unflatten(1, (-1, dilation))
    return parts.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
