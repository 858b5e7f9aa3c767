"""Peepholes, gates and state update, with a backward pass written by hand that spares memory traffic."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_TILE_CELLS = 2048


def update_state(
    gates: Tensor, memory: Tensor, peephole_input: Tensor, peephole_forget: Tensor
) -> tuple[Tensor, Tensor]:
    """Advance the cell state and give the hidden state.

    ``i = s(i + Wci C)``, ``f = s(f + Wcf C)``, ``C' = f C + i tanh(c)``, ``H' = s(o) tanh(C')``.

    Parameters
    ----------
    gates : Tensor (..., 4 F)
        Input gate, forget gate, output gate and candidate before their activations.
    memory : Tensor (..., F)
        C_{t-1}.
    peephole_input, peephole_forget : Tensor (F,)
        W_ci and W_cf.

    Returns
    -------
    hidden, memory : Tensor (..., F)
        H_t and C_t.

    Examples
    --------
    >>> hidden, memory = update_state(torch.zeros(1, 8), torch.ones(1, 2), torch.zeros(2), torch.zeros(2))
    >>> memory
    tensor([[0.5000, 0.5000]])
    """
    dtype = torch.promote_types(gates.dtype, memory.dtype)
    flat = gates.to(dtype).flatten(0, -2), memory.to(dtype).flatten(0, -2)
    if torch.compiler.is_compiling():  # a compiler fuses the equations itself
        return _equations(gates, memory, peephole_input, peephole_forget)
    hidden, updated = _Update.apply(  # type: ignore[no-untyped-call]
        *flat, peephole_input.to(dtype), peephole_forget.to(dtype)
    )
    return hidden.view_as(memory), updated.view_as(memory)


def _equations(gates: Tensor, memory: Tensor, peephole_input: Tensor, peephole_forget: Tensor) -> tuple[Tensor, Tensor]:
    input_gate, forget_gate, output_gate, candidate = gates.chunk(4, dim=-1)
    input_gate = torch.sigmoid(input_gate + peephole_input * memory)
    forget_gate = torch.sigmoid(forget_gate + peephole_forget * memory)
    updated = forget_gate * memory + input_gate * torch.tanh(candidate)
    return torch.sigmoid(output_gate) * torch.tanh(updated), updated


def _tiles(cells: int, device: torch.device) -> list[slice]:
    """Parts that stay in a processor's cache; on other devices everything at once."""
    size = _TILE_CELLS if device.type == "cpu" else max(cells, 1)
    return [slice(start, start + size) for start in range(0, cells, size)]


class _Update(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, memory: Tensor, peephole_input: Tensor, peephole_forget: Tensor
    ) -> tuple[Tensor, Tensor]:
        width = memory.shape[1]
        peepholes = torch.stack([peephole_input, peephole_forget])
        activated = torch.empty_like(gates)
        hidden, updated, squashed = (torch.empty_like(memory) for _ in range(3))
        for part in _tiles(len(memory), memory.device):
            tile = activated[part].copy_(gates[part])
            tile[:, : 2 * width].unflatten(1, (2, -1)).addcmul_(memory[part][:, None], peepholes)
            tile[:, : 3 * width].sigmoid_()
            tile[:, 3 * width :].tanh_()
            i, f, o, candidate = tile.chunk(4, dim=1)
            torch.mul(f, memory[part], out=updated[part]).addcmul_(i, candidate)
            torch.tanh(updated[part], out=squashed[part])
            torch.mul(o, squashed[part], out=hidden[part])
        ctx.save_for_backward(activated, memory, squashed, peepholes)
        return hidden, updated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hidden: Tensor, grad_updated: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        activated, memory, squashed, peepholes = ctx.saved_tensors
        width = memory.shape[1]
        grad_gates, grad_memory = torch.empty_like(activated), torch.empty_like(memory)
        grad_peepholes = torch.zeros_like(peepholes)
        sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
        for part in _tiles(len(memory), memory.device):
            i, f, o, candidate = activated[part].chunk(4, dim=1)
            before, tanh_c, grad = memory[part], squashed[part], grad_hidden[part]
            grad_c = tanh_backward(grad * o, tanh_c).add_(grad_updated[part])
            out = grad_gates[part]
            out[:, :width] = sigmoid_backward(grad_c * candidate, i)
            out[:, width : 2 * width] = sigmoid_backward(grad_c * before, f)
            out[:, 2 * width : 3 * width] = sigmoid_backward(grad * tanh_c, o)
            out[:, 3 * width :] = tanh_backward(grad_c * i, candidate)
            both = out[:, : 2 * width].unflatten(1, (2, -1))
            torch.mul(grad_c, f, out=grad_memory[part]).add_((both * peepholes).sum(1))
            grad_peepholes += (both * before[:, None]).sum(0)
        return grad_gates, grad_memory, grad_peepholes[0], grad_peepholes[1]
