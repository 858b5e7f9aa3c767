"""Attention along lines with gradients against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from xfaconv.nn import attention_lines
from xfaconv.nn.attention_lines import attend_lines

HEADS = 2


def oracle(query: Tensor, key: Tensor, value: Tensor, area: Tensor) -> Tensor:
    query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (query, key, value))
    read = F.scaled_dot_product_attention(
        query, key, value, attn_mask=area.log().expand(1, 1, len(area), -1), scale=1.0
    )
    return read.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("size", [1.0, 60.0], ids=["usual logits", "logits that overflow"])
@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
def test_result_and_gradients_are_torch_s(size: float, turned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two lines at a time, and a last block of one.
    monkeypatch.setattr(attention_lines, "_CACHE_BYTES", 2 * 8 * 7 * 7)
    torch.manual_seed(3)
    shape = (7, 5, 6) if turned else (5, 7, 6)
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    area = torch.rand(7, dtype=torch.float64) + 0.1
    grad = torch.randn(5, 7, 6, dtype=torch.float64)

    def run(function: object) -> tuple[Tensor, ...]:
        query, key, value = (part.transpose(0, 1) if turned else part for part in inputs)
        more = (area, HEADS) if function is attend_lines else (area,)
        found = function(size * query, key, value, *more)  # type: ignore[operator]
        return (found, *torch.autograd.grad(found, inputs, grad))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for found, wanted in zip(run(attend_lines), run(oracle), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    finally:
        torch.set_num_threads(threads)
