"""Attention along many short lines with gradients, block by block inside the cache and without a copy of the heads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Two blocks of logits of one head stay in a core's second-level cache.
_CACHE_BYTES = 2**19
# exp(logit) overflows float32 above 3e38 and loses small terms below 1e-38: sums in these bounds are far from both.
_LEAST_TOTAL, _GREATEST_TOTAL = 1e-20, 1e28


def attend_lines(query: Tensor, key: Tensor, value: Tensor, area: Tensor, heads: int) -> Tensor:
    """Attention of every cell to the cells of its line, weighted by their areas.

    With a_k the area of key k the result for query q is ``sum_k a_k exp(q k) v_k / sum_k a_k exp(q k)``. Nothing of the
    size of the logits is kept for the backward pass, which forms them again. With O the result, G its gradient,
    P_qk = a_k exp(q k) / sum_k a_k exp(q k)::

        gradient of v_k     sum_q P_qk G_q
        gradient of q k     P_qk (G_q v_k - G_q O_q)

    For torch's `scaled_dot_product_attention` see the comparison in ``benchmarks/attribution.py``.

    Parameters
    ----------
    query, key, value : Tensor (line, cell, width)
        Queries scaled, heads side by side; any strides with channels next to each other.
    area : Tensor (cell,)
        Areas, above 0.
    heads : int
        Number of heads.

    Returns
    -------
    Tensor (line, cell, width)
    """
    found: Tensor = _Attend.apply(query, key, value, area, heads)  # type: ignore[no-untyped-call]
    return found


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, area: Tensor, heads: int) -> Tensor:
        out, total, shifted = _attend(query, key, value, area, heads, shifted=False)
        ctx.save_for_backward(query, key, value, area, out, total)
        ctx.heads, ctx.shifted = heads, shifted
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, area, out, total = ctx.saved_tensors
        # (G / total) and (G O / total): with them the exponentials need not be normalised.
        scaled = grad.unflatten(-1, (ctx.heads, -1)) / total[..., None]
        both = torch.cat([scaled, -(scaled * out.unflatten(-1, (ctx.heads, -1))).sum(-1, keepdim=True)], dim=-1)
        with_area = _with_area(value, area, ctx.heads)
        grads = [torch.empty_like(out) for _ in range(3)]
        weights, slopes = _buffers(query, area, 2)
        for lines, head, channels in _blocks(query, area, ctx.heads):
            q, k = query[lines, :, channels], key[lines, :, channels]
            g, v = both[lines, :, head], with_area[lines, :, head]
            weight, slope = _weights(q, k, weights, ctx.shifted), slopes[: len(q)]
            torch.bmm(v, g.transpose(1, 2), out=slope)
            slope.mul_(weight)
            products = (k, slope), (q, slope.transpose(1, 2)), (g[..., :-1], weight.transpose(1, 2))
            for found, (left, right) in zip(grads, products, strict=True):
                found[lines, :, channels] = torch.bmm(left.transpose(1, 2), right).transpose(1, 2)
        grads[2].mul_(area[:, None])
        return (*grads, None, None)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, area: Tensor, heads: int, *, shifted: bool
) -> tuple[Tensor, Tensor, bool]:
    """Give the result, the sums of the weights (line, cell, head), and whether the greatest logit was subtracted."""
    with_area = _with_area(value, area, heads)
    sums = torch.empty_like(with_area)
    (weights,) = _buffers(query, area, 1)
    for lines, head, channels in _blocks(query, area, heads):
        q, k = query[lines, :, channels], key[lines, :, channels]
        weight = _weights(q, k, weights, shifted)
        sums[lines, :, head] = torch.bmm(with_area[lines, :, head].transpose(1, 2), weight).transpose(1, 2)
    total = sums[..., -1]
    if not shifted:
        least, greatest = (float(bound) for bound in torch.aminmax(total))
        if not (least > _LEAST_TOTAL and greatest < _GREATEST_TOTAL):
            return _attend(query, key, value, area, heads, shifted=True)
    return (sums[..., :-1] / total[..., None]).flatten(-2), total.contiguous(), shifted


def _weights(query: Tensor, key: Tensor, space: Tensor, shifted: bool) -> Tensor:
    """Exponentials of the logits (line, key, query)."""
    # Keys first: products whose outcome has few rows and many columns, such as (channel, query), are four times faster
    # than those with few columns.
    weight = space[: len(query)]
    torch.bmm(key, query.transpose(1, 2), out=weight)
    if shifted:
        weight.sub_(weight.amax(dim=1, keepdim=True))
    return weight.exp_()


def _with_area(value: Tensor, area: Tensor, heads: int) -> Tensor:
    """Values times area, and the area behind them (line, cell, head, channel + 1)."""
    by_head = value.unflatten(-1, (heads, -1))
    out = value.new_empty(*by_head.shape[:-1], by_head.shape[-1] + 1)
    torch.mul(by_head, area[:, None, None], out=out[..., :-1])
    out[..., -1] = area[:, None]
    return out


def _buffers(query: Tensor, area: Tensor, count: int) -> list[Tensor]:
    lines, cells = _lines_at_once(query, area), len(area)
    return [query.new_empty(lines, cells, cells) for _ in range(count)]


def _lines_at_once(query: Tensor, area: Tensor) -> int:
    size = _CACHE_BYTES * torch.get_num_threads() // query.element_size()
    return max(1, min(len(query), size // len(area) ** 2))


def _blocks(query: Tensor, area: Tensor, heads: int) -> Iterator[tuple[slice, int, slice]]:
    """Give some lines of one head at a time: the lines, the number of the head, and its channels."""
    each, width = _lines_at_once(query, area), query.shape[-1] // heads
    for first in range(0, len(query), each):
        for head in range(heads):
            yield slice(first, first + each), head, slice(head * width, (head + 1) * width)
