"""Shared multi-scale depthwise mixing, D_t = sum_k DWConv_{k, d_k}(U_t), and squeeze-excitation (paper, section IV)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xfaconv.errors import ArgumentError
from xfaconv.nn.depthwise import mix_with_gradient
from xfaconv.nn.geometry import Geometry
from xfaconv.nn.padding import pad_sphere


def check_scales(scales: tuple[tuple[int, int], ...]) -> int:
    """Check kernel sizes and dilations, and give the reach of the widest branch.

    Parameters
    ----------
    scales : tuple of (int, int)
        Kernel size k and dilation d_k of each branch.

    Returns
    -------
    int
        Cells that the widest branch sees on each side.

    Raises
    ------
    ArgumentError
        If there is no branch, a kernel is even, or a number is not positive.

    Examples
    --------
    >>> check_scales(((3, 1), (5, 3)))
    6
    """
    if not scales or any(k < 1 or k % 2 == 0 or d < 1 for k, d in scales):
        raise ArgumentError(
            "scales must be pairs of an odd kernel size and a dilation",
            expected="for example ((3, 1), (3, 2), (5, 3))",
            found=repr(scales),
        )
    return max((k // 2) * d for k, d in scales)


class DepthwiseMixing(nn.Module):
    """The paper's M(U_t): one spatial kernel per channel and scale, the scales summed.

    Parameters
    ----------
    channels : int
        Number of channels, 2 C_b.
    scales : tuple of (int, int)
        Kernel size and dilation (k, d_k) of each branch.
    """

    def __init__(self, channels: int, scales: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.reach = check_scales(scales)
        self.scales = scales
        self.kernels = nn.ParameterList(
            nn.Parameter(torch.empty(channels, 1, k, k).uniform_(-1, 1) / (k * math.sqrt(len(scales))))
            for k, _ in scales
        )

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
        if field.device.type == "cpu" and not (torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")):
            return mix_with_gradient(padded, self.scales, kernels)
        mixed: Tensor | None = None
        for (kernel_size, dilation), kernel in zip(self.scales, kernels, strict=True):
            cut = self.reach - (kernel_size // 2) * dilation
            window = padded[:, cut : padded.shape[1] - cut, cut : padded.shape[2] - cut]
            branch = F.conv2d(window.permute(0, 3, 1, 2), kernel, dilation=dilation, groups=len(kernel))
            mixed = branch if mixed is None else mixed + branch
        if mixed is None:
            raise ArgumentError("scales must name at least one branch")
        return mixed.permute(0, 2, 3, 1)


class SqueezeExcitation(nn.Module):
    """Channel recalibration D_t * sigmoid(W_2 relu(W_1 GAP(D_t))) with an area-weighted global average GAP.

    Parameters
    ----------
    channels : int
        Number of channels, 2 C_b.
    reduction : int
        How many times narrower the middle is.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, max(channels // reduction, 1))
        self.excite = nn.Linear(max(channels // reduction, 1), channels)

    def restart(self) -> None:
        """Draw the middle layer anew and let it say nothing yet, so that each gate starts at its bias.

        Where training has pushed all middle units below zero, they are silent for good and the gates never change; of
        a network in that state this changes nothing but that they can learn again.
        """
        self.squeeze.reset_parameters()
        nn.init.zeros_(self.excite.weight)

    def forward(self, mixed: Tensor, geometry: Geometry) -> Tensor:
        """Compute the gates.

        Parameters
        ----------
        mixed : Tensor (batch, lat, lon, channel)
            D_t before recalibration.
        geometry : Geometry
            Cell areas.

        Returns
        -------
        Tensor (batch, channel)
            Gates between 0 and 1.
        """
        weights = geometry.normalised_area.to(mixed.dtype).reshape(1, 1, -1)
        pooled = torch.matmul(weights, mixed.flatten(1, 2)).squeeze(1)
        return torch.sigmoid(self.excite(torch.relu(self.squeeze(pooled))))
