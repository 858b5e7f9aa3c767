"""Depthwise sums of several scales over a padded field, with a backward pass that avoids oneDNN's slow kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_DENSE_EXTENT = 5
_FAST_SIZE = 3

Scales = tuple[tuple[int, int], ...]
Branch = tuple[int, int, Tensor]


def merged_kernels(scales: Scales, kernels: Sequence[Tensor]) -> list[Branch]:
    """Reach, dilation and kernel of each branch, widest first; the narrow ones merged into one dense kernel.

    A convolution this small costs the passing over the field, not its products.

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
    branches = [
        (_reach(k, d), d, kernel.contiguous())
        for (k, d), kernel in zip(scales, kernels, strict=True)
        if not _is_narrow(k, d)
    ]
    narrow = [(k, d, kernel) for (k, d), kernel in zip(scales, kernels, strict=True) if _is_narrow(k, d)]
    if narrow:
        reach = max(_reach(k, d) for k, d, _ in narrow)
        dense = narrow[0][2].new_zeros(len(narrow[0][2]), 1, 2 * reach + 1, 2 * reach + 1)
        for k, d, kernel in narrow:
            dense[_taps(k, d, reach)] += kernel
        branches.append((reach, 1, dense))
    return sorted(branches, key=lambda branch: -branch[0])


def dense_kernel(branches: list[Branch]) -> list[Branch]:
    """Put all branches into one kernel without dilation: more products, but on a small grid fewer operations count.

    Parameters
    ----------
    branches : list of (int, int, Tensor)
        From `merged_kernels`.

    Returns
    -------
    list of (int, int, Tensor)
        One branch.

    Examples
    --------
    >>> [(reach, d, tuple(kernel.shape)) for reach, d, kernel in dense_kernel([(6, 3, torch.ones(2, 1, 5, 5))])]
    [(6, 1, (2, 1, 13, 13))]
    """
    reach = branches[0][0]
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
    total: Tensor | None = None
    for own, dilation, kernel in branches:
        cut = reach - own
        window = padded if len(padded) > 1 else padded[:, cut : cut + rows + 2 * own]
        branch = F.conv2d(window.permute(0, 3, 1, 2), kernel, dilation=dilation, groups=len(kernel))
        branch = branch.permute(0, 2, 3, 1)[:, (branch.shape[2] - rows) // 2 :][:, :rows, cut : cut + columns]
        total = branch.contiguous() if total is None else total.add_(branch)
    assert total is not None  # noqa: S101 - scales are checked when the mixing is built
    return total


def mix_with_gradient(padded: Tensor, scales: Scales, kernels: Sequence[Tensor]) -> Tensor:
    """Compute what `mix_padded` gives, with gradients.

    oneDNN differentiates a dilated depthwise convolution, or one wider than 3 cells, ten times slower than it computes
    one. Here the gradient of the field is itself a convolution, and that of a kernel is pieced together from kernels of
    3 x 3 cells, dilation taken away by sorting the cells into d x d interleaved lattices.

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
        by_branch = {
            (own, dilation): _kernel_gradient(_inner(padded, branches[0][0] - own), grad, kernel.shape[-1], dilation)
            for own, dilation, kernel in branches
        }
        dense = max((_reach(k, d) for k, d in ctx.scales if _is_narrow(k, d)), default=0)
        grad_kernels = [
            by_branch[dense, 1][_taps(k, d, dense)] if _is_narrow(k, d) else by_branch[_reach(k, d), d]
            for k, d in ctx.scales
        ]
        return grad_padded, None, *grad_kernels


def _is_narrow(size: int, dilation: int) -> bool:
    return (size - 1) * dilation < _DENSE_EXTENT


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
    total: Tensor | None = None
    for own, dilation, kernel in branches:
        around = F.pad(grad, (0, 0, 2 * own, 2 * own, 2 * own, 2 * own)).permute(0, 3, 1, 2)  # oneDNN's own is slow
        part = F.conv2d(around, kernel.flip(2, 3), dilation=dilation, groups=len(kernel)).permute(0, 2, 3, 1)
        if total is None:
            total = part
        else:
            _inner(total, branches[0][0] - own).add_(part)
    assert total is not None  # noqa: S101 - scales are checked when the mixing is built
    return total


def _kernel_gradient(window: Tensor, grad: Tensor, size: int, dilation: int) -> Tensor:
    """Gradient (channel, 1, k, k) of a kernel from the cells it saw (batch, lat + ..., lon + ..., channel)."""
    if size < _FAST_SIZE:
        return (window * grad).sum((0, 1, 2))[:, None, None, None]
    if dilation > 1:
        rows, columns = (-length % dilation for length in grad.shape[1:3])
        window, grad = (_lattices(F.pad(part, (0, 0, 0, columns, 0, rows)), dilation) for part in (window, grad))
    channels = grad.shape[-1]
    outcome = grad.permute(0, 3, 1, 2)
    found = grad.new_empty(channels, 1, size, size)
    like = grad.new_empty(channels, 1, _FAST_SIZE, _FAST_SIZE)
    starts = [*range(0, size - _FAST_SIZE, _FAST_SIZE), size - _FAST_SIZE]
    rows, columns = (length + _FAST_SIZE - 1 for length in grad.shape[1:3])
    for i in starts:
        for j in starts:
            seen = window[:, i : i + rows, j : j + columns].permute(0, 3, 1, 2)
            found[:, :, i : i + _FAST_SIZE, j : j + _FAST_SIZE] = torch.ops.aten.convolution_backward(
                outcome, seen, like, None, [1, 1], [0, 0], [1, 1], False, [0, 0], channels, [False, True, False]
            )[1]
    return found


def _lattices(field: Tensor, dilation: int) -> Tensor:
    """Every d-th cell in both directions, (batch * d * d, lat / d, lon / d, channel)."""
    parts = field.unflatten(2, (-1, dilation)).unflatten(1, (-1, dilation))
    return parts.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
