"""The subspace embedding head, s_t = Pool(W_s H_t) and E = MHA(S + P), and read-outs through patterns of position."""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xfaconv.nn.geometry import POSITION_FEATURES, POSITION_PRODUCTS, Geometry

# What no packaged model has varied: harmonics of the year in P, and channels of one head of each attention.
_SEASONAL_HARMONICS = 2
_TEMPORAL_CHANNELS = 8
_POOLING_CHANNELS = 2
_PATTERN_HIDDEN = 48


def seasonal_encoding(year_phase: Tensor, day_phase: Tensor, size: int, daily_cycle: bool) -> Tensor:
    """Compute the paper's P: fixed sinusoids of the time of year, and of the day where steps are shorter than one.

    Parameters
    ----------
    year_phase, day_phase : Tensor (batch, time)
        Fractions of the year and of the day.
    size : int
        Number of embedding components; those beyond the sinusoids are zero.
    daily_cycle : bool
        Whether to add the first harmonic of the day.

    Returns
    -------
    Tensor (batch, time, size)

    Examples
    --------
    >>> seasonal_encoding(torch.zeros(1, 1), torch.zeros(1, 1), 5, False)
    tensor([[[1., 0., 1., 0., 0.]]])
    """
    angles = [2 * math.pi * k * year_phase for k in range(1, _SEASONAL_HARMONICS + 1)]
    if daily_cycle:
        angles.append(2 * math.pi * day_phase)
    waves = torch.stack([wave for angle in angles for wave in (torch.cos(angle), torch.sin(angle))], dim=-1)
    return F.pad(waves[..., :size], (0, max(size - waves.shape[-1], 0)))


class SubspaceHead(nn.Module):
    """Compact embeddings from the hidden state.

    Both attentions have as many heads as the embedding has groups of 8 (temporal) or 2 components (pooling); one head
    where the size is not a multiple.

    Parameters
    ----------
    channels : int
        Hidden channels F.
    size : int
        Embedding size D.
    pooling : {"attention", "mean", "patterns"}
        Spatial attention whose logits carry the logarithm of the cell area, area-weighted mean, or area-weighted means
        of `variables` fields times the patterns by which they are reconstructed.
    look_back : int
        Steps that the temporal attention sees, the present included.
    variables : int
        Fields that the patterns reconstruct; without meaning for other poolings.
    """

    def __init__(self, channels: int, size: int, *, pooling: str, look_back: int, variables: int = 1) -> None:
        super().__init__()
        self.pooling = pooling
        self.temporal_heads = _heads(size, _TEMPORAL_CHANNELS)
        self.look_back = look_back
        self.projection = nn.Linear(channels, variables if pooling == "patterns" else size, bias=False)
        if pooling == "attention":
            groups = _heads(size, _POOLING_CHANNELS)
            self.pool_norm = nn.LayerNorm(channels)
            self.pool_logits = nn.Linear(channels, groups, bias=False)
            self.pool_position = nn.Linear(POSITION_FEATURES, groups, bias=False)
        self.query = nn.Linear(size, size, bias=False)
        self.key = nn.Linear(size, size, bias=False)
        self.value = nn.Linear(size, size)
        self.out = nn.Linear(size, size)

    def pool_bias(self, geometry: Geometry) -> Tensor:
        """Compute what the pooling gets from position and area, the same at every step.

        Parameters
        ----------
        geometry : Geometry
            Areas and position features.

        Returns
        -------
        Tensor (pooling head, lat * lon)
            Part of the logits of the attention; for a mean the areas themselves.
        """
        dtype = self.projection.weight.dtype
        area = geometry.normalised_area.to(dtype).reshape(1, -1)
        if self.pooling != "attention":
            return area
        return self.pool_position(geometry.positions.to(dtype)).flatten(0, 1).T + area.log()

    def pool(self, hidden: Tensor, geometry: Geometry, bias: Tensor, patterns: nn.Module) -> Tensor:
        """Compute the paper's s_t = Pool(W_s H_t).

        Parameters
        ----------
        hidden : Tensor (batch, lat, lon, F)
            Hidden state H_t after the axial attention.
        geometry : Geometry
            Areas and position features.
        bias : Tensor (pooling head, lat * lon)
            From `pool_bias`, computed once for many steps.
        patterns : LocatedPatterns
            Patterns to pool through; without meaning for other poolings.

        Returns
        -------
        Tensor (batch, D)
        """
        if self.pooling == "patterns":
            return cast("LocatedPatterns", patterns).project(self.projection(hidden), geometry)
        # W_s is linear: pooling before the projection does it once and not in every cell.
        cells = hidden.flatten(1, 2)
        if self.pooling == "mean":
            return self.projection(torch.matmul(bias, cells).squeeze(1))
        logits = torch.matmul(self.pool_logits.weight, self.pool_norm(cells).transpose(1, 2)) + bias
        read = torch.matmul(torch.softmax(logits, dim=-1), cells)
        kernel = self.projection.weight.unflatten(0, (len(bias), -1))
        return torch.einsum("bgf,gdf->bgd", read, kernel).flatten(1)

    def forward(self, sequence: Tensor, kept: int | None = None) -> Tensor:
        """Compute the paper's MHA(S + P) over a causal window.

        Parameters
        ----------
        sequence : Tensor (batch, time, D)
            S + P: the pooled vectors and the fixed encoding of the time of year.
        kept : int, optional
            Only the last so many steps are wanted.

        Returns
        -------
        Tensor (batch, kept, D)
            Embeddings E.
        """
        steps = sequence.shape[1]
        first = 0 if kept is None else steps - kept
        # Step t reads t - look_back + 1 ... t: no embedding knows the future, and a segment needs a finite warm-up.
        lag = torch.arange(first, steps, device=sequence.device)[:, None] - torch.arange(steps, device=sequence.device)
        read = F.scaled_dot_product_attention(
            self._split(self.query(sequence[:, first:])),
            self._split(self.key(sequence)),
            self._split(self.value(sequence)),
            attn_mask=(lag >= 0) & (lag < self.look_back),
        )
        return self.out(read.transpose(1, 2).flatten(2))

    def _split(self, sequence: Tensor) -> Tensor:
        return sequence.unflatten(-1, (self.temporal_heads, -1)).transpose(1, 2)


def _heads(size: int, channels: int) -> int:
    """As many heads of so many channels as make up the size, or one."""
    return size // channels if size % channels == 0 else 1


class LocatedReadOut(nn.Module):
    """Linear read-out whose weights change smoothly, sign included, from place to place.

    A weighted mean, which is all that attention gives, cannot say that the same event is warm in one place and cold in
    another; here each of some linear features of the hidden state is multiplied by a pattern of position before it is
    read. It starts at zero.

    Parameters
    ----------
    channels : int
        Hidden channels F.
    features : int
        Number of features and patterns.
    outputs : int
        Numbers read out of each cell.
    """

    def __init__(self, channels: int, features: int, outputs: int) -> None:
        super().__init__()
        self.features = nn.Linear(channels, features)
        self.patterns = nn.Linear(POSITION_PRODUCTS, features, bias=False)
        self.out = nn.Linear(features, outputs, bias=False)
        _draw_normal(self.patterns.weight, POSITION_PRODUCTS**-0.5)
        nn.init.zeros_(self.out.weight)

    def forward(self, hidden: Tensor, geometry: Geometry) -> Tensor:
        """Read some hidden states.

        Parameters
        ----------
        hidden : Tensor (..., lat, lon, F)
            Hidden states.
        geometry : Geometry
            Position features.

        Returns
        -------
        Tensor (..., lat, lon, outputs)
        """
        return self.out(geometry.weigh_products(self.patterns.weight) * self.features(hidden))


def _draw_normal(weight: Tensor, deviation: float) -> None:
    # Networks of files are built on the meta device, where torch would import its compiler to draw nothing: a second.
    if not weight.is_meta:
        nn.init.normal_(weight, std=deviation)


class LocatedPatterns(nn.Module):
    """Patterns of position that are linear in the products of harmonics.

    Parameters
    ----------
    outputs : int
        Number of patterns.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, POSITION_PRODUCTS))
        _draw_normal(self.weight, 0.5 * POSITION_PRODUCTS**-0.5)

    def forward(self, geometry: Geometry) -> Tensor:
        """Evaluate them on a grid.

        Parameters
        ----------
        geometry : Geometry
            Position features.

        Returns
        -------
        Tensor (lat, lon, outputs)
        """
        return geometry.weigh_products(self.weight)

    def project(self, fields: Tensor, geometry: Geometry) -> Tensor:
        """Area-weighted means of some fields times their patterns, summed over the fields.

        The patterns are sums of products of harmonics, so the fields are taken apart into harmonics, row by row and
        then along the meridian, and the patterns themselves, which would be large on a fine grid, are never made.

        Parameters
        ----------
        fields : Tensor (batch, lat, lon, field)
            As many fields as the patterns are of; the patterns are ordered by field.
        geometry : Geometry
            Areas and position features.

        Returns
        -------
        Tensor (batch, outputs / fields)
        """
        # sum_ij a_ij f_ij p_ij with p_ij = sum_zm w_zm z(j) m(i) is sum_zm w_zm (sum_i m(i) (sum_j z(j) a_ij f_ij)).
        along_row, along_column = (waves.to(fields.dtype) for waves in geometry.waves)
        weighted = fields * geometry.normalised_area.to(fields.dtype)[..., None]
        by_row = torch.einsum("bijv,jz->bivz", weighted, along_row)
        harmonics = torch.einsum("bivz,im->bvzm", by_row, along_column).flatten(2)
        return torch.einsum("bvk,vdk->bd", harmonics, self.weight.unflatten(0, (fields.shape[-1], -1)))


class UnlocatedPatterns(nn.Sequential):
    """Patterns of position from a small network of the harmonics; used where nothing else knows the place.

    Parameters
    ----------
    outputs : int
        Number of patterns.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__(
            nn.Linear(POSITION_FEATURES, _PATTERN_HIDDEN),
            nn.GELU(),
            nn.Linear(_PATTERN_HIDDEN, _PATTERN_HIDDEN),
            nn.GELU(),
            nn.Linear(_PATTERN_HIDDEN, outputs),
        )

    def forward(self, geometry: Geometry) -> Tensor:
        """Evaluate them on a grid, (lat, lon, outputs)."""
        return super().forward(geometry.positions.to(dtype=next(self.parameters()).dtype))  # type: ignore[no-untyped-call]
