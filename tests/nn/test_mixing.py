"""Depthwise sums of several scales against one convolution per scale, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.nn.worlds import noise
from xfaconv.nn.mixing import dense_kernel, merged_kernels, mix_padded, mix_with_gradient

SCALES = [
    ((3, 1),),
    ((3, 1), (3, 2), (5, 3)),
    ((1, 1), (5, 1)),
    ((7, 1), (3, 2)),
    ((5, 2), (3, 4), (1, 3)),
    ((5, 3), (5, 3)),
]


def _case(scales, batch=2):
    reach = max((k // 2) * d for k, d in scales)
    padded = noise(batch, 7 + 2 * reach, 10 + 2 * reach, 3, seed=1)
    kernels = [noise(3, 1, k, k, seed=2 + number) for number, (k, _) in enumerate(scales)]
    return padded, kernels


def _one_by_one(padded, scales, kernels):
    reach = max((k // 2) * d for k, d in scales)
    total = 0
    for (k, d), kernel in zip(scales, kernels, strict=True):
        cut = reach - (k // 2) * d
        window = padded[:, cut : padded.shape[1] - cut, cut : padded.shape[2] - cut]
        total = total + F.conv2d(window.permute(0, 3, 1, 2), kernel, dilation=d, groups=3).permute(0, 2, 3, 1)
    return total


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("scales", SCALES, ids=str)
def test_merged_and_dense_kernels_give_the_sum_of_the_branches(scales, batch):
    padded, kernels = _case(scales, batch)
    expected = _one_by_one(padded, scales, kernels)
    branches = merged_kernels(scales, kernels)
    torch.testing.assert_close(mix_padded(padded, branches), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(mix_padded(padded, dense_kernel(branches)), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("scales", SCALES, ids=str)
def test_gradients_are_those_of_the_branches_one_by_one(scales):
    padded, kernels = _case(scales)
    inputs = [padded.requires_grad_(), *(kernel.requires_grad_() for kernel in kernels)]
    weight = noise(2, 7, 10, 3, seed=9)
    found = torch.autograd.grad((mix_with_gradient(padded, scales, kernels) * weight).sum(), inputs)
    expected = torch.autograd.grad((_one_by_one(padded, scales, kernels) * weight).sum(), inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=0)
        assert other.abs().max() > 0.1


def test_gradients_in_single_precision_are_close_to_those_in_double():
    scales = ((3, 1), (3, 2), (5, 3))
    padded, kernels = _case(scales)
    exact = torch.autograd.grad(
        _one_by_one(padded, scales, [k.requires_grad_() for k in kernels]).square().sum(), kernels
    )
    single = [kernel.detach().float().requires_grad_() for kernel in kernels]
    found = torch.autograd.grad(mix_with_gradient(padded.float(), scales, single).square().sum(), single)
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-5 * float(other.abs().max()), rtol=0)
