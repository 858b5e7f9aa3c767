"""The subspace embedding head: s_t = Pool(W_s H_t), E = MHA(S + P), causal with a finite look-back."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xfaconv.errors import ArgumentError
from xfaconv.nn.geometry import POSITION_FEATURES, Geometry
from xfaconv.nn.read_out import LocatedPatterns


def seasonal_encoding(year_phase: Tensor, day_phase: Tensor, size: int, harmonics: int, daily_cycle: bool) -> Tensor:
    """Compute the paper's P: fixed sinusoids of the time of year, and of the day where steps are shorter than one.

    Parameters
    ----------
    year_phase, day_phase : Tensor (batch, time)
        Fractions of the year and of the day.
    size : int
        Number of embedding components; those beyond the sinusoids are zero.
    harmonics : int
        Harmonics of the year.
    daily_cycle : bool
        Whether to add the first harmonic of the day.

    Returns
    -------
    Tensor (batch, time, size)

    Examples
    --------
    >>> seasonal_encoding(torch.zeros(1, 1), torch.zeros(1, 1), 4, 1, False)
    tensor([[[1., 0., 0., 0.]]])
    """
    angles = [2 * math.pi * k * year_phase for k in range(1, harmonics + 1)]
    if daily_cycle:
        angles.append(2 * math.pi * day_phase)
    waves = torch.stack([wave for angle in angles for wave in (torch.cos(angle), torch.sin(angle))], dim=-1)
    return F.pad(waves[..., :size], (0, max(size - waves.shape[-1], 0)))


class SubspaceHead(nn.Module):
    """Compact embeddings from the hidden state.

    Parameters
    ----------
    channels : int
        Hidden channels F.
    size : int
        Embedding size D.
    pooling : {"attention", "mean", "patterns"}
        Area-weighted mean, spatial attention pooling whose logits carry the logarithm of the cell area, or means
        weighted by the patterns by which `variables` fields are rebuilt.
    pooling_heads : int
        Number of pooling heads of the attention; must divide `size`.
    temporal_heads : int
        Heads of the temporal attention; must divide `size`.
    look_back : int
        Steps that the temporal attention sees, the present included.

    variables : int
        Fields that the patterns rebuild; without meaning for other poolings.

    Raises
    ------
    ArgumentError
        If the heads do not divide the size.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        pooling: str,
        pooling_heads: int,
        temporal_heads: int,
        look_back: int,
        variables: int = 1,
    ) -> None:
        super().__init__()
        groups = pooling_heads if pooling == "attention" else 1
        if size % groups or size % temporal_heads:
            raise ArgumentError(
                "pooling_heads and temporal_heads must divide the embedding size",
                found=f"size {size}, pooling_heads {groups}, temporal_heads {temporal_heads}",
            )
        self.size = size
        self.groups = groups
        self.temporal_heads = temporal_heads
        self.look_back = look_back
        self.projection = nn.Linear(channels, variables if pooling == "patterns" else size, bias=False)
        if pooling == "attention":
            self.pool_norm = nn.LayerNorm(channels)
            self.pool_logits = nn.Linear(channels, groups, bias=False)
            self.pool_position = nn.Linear(POSITION_FEATURES, groups, bias=False)
        self.query = nn.Linear(size, size, bias=False)
        self.key = nn.Linear(size, size, bias=False)
        self.value = nn.Linear(size, size)
        self.out = nn.Linear(size, size)

    def pool_bias(self, geometry: Geometry) -> Tensor:
        """Compute what the pooling's logits get from position and area, the same at every step.

        Parameters
        ----------
        geometry : Geometry
            Areas and position features.

        Returns
        -------
        Tensor (pooling head, lat * lon)
            The normalised areas themselves (one row) for mean pooling.
        """
        dtype = self.projection.weight.dtype
        area = geometry.normalised_area.to(dtype).reshape(1, -1)
        if self.groups == 1:
            return area
        return self.pool_position(geometry.positions.to(dtype)).flatten(0, 1).T + area.log()

    def pool(
        self,
        hidden: Tensor,
        geometry: Geometry,
        bias: Tensor | None = None,
        patterns: LocatedPatterns | None = None,
    ) -> Tensor:
        """Compute the paper's s_t = Pool(W_s H_t).

        Parameters
        ----------
        hidden : Tensor (batch, lat, lon, F)
            Hidden state H_t after the axial attention.
        geometry : Geometry
            Areas and position features.
        bias : Tensor (pooling head, lat * lon), optional
            From `pool_bias`, to compute it once for many steps.
        patterns : LocatedPatterns, optional
            Patterns to pool through, instead of the means or the attention.

        Returns
        -------
        Tensor (batch, D)
        """
        if patterns is not None:
            return patterns.project(self.projection(hidden), geometry)
        bias = self.pool_bias(geometry) if bias is None else bias
        cells = hidden.flatten(1, 2)
        if self.groups == 1:
            return self.projection(torch.matmul(bias, cells).squeeze(1))
        logits = torch.matmul(self.pool_logits.weight, self.pool_norm(cells).transpose(1, 2)) + bias
        read = torch.matmul(torch.softmax(logits, dim=-1), cells)
        kernel = self.projection.weight.unflatten(0, (self.groups, -1))
        return torch.einsum("bgf,gdf->bgd", read, kernel).flatten(1)

    def forward(self, pooled: Tensor, encoding: Tensor, kept: int | None = None) -> Tensor:
        """Compute the paper's MHA(S + P) over a causal window.

        Parameters
        ----------
        pooled : Tensor (batch, time, D)
            The sequence S.
        encoding : Tensor (batch, time, D)
            The fixed encoding P.
        kept : int, optional
            Only the last so many steps are wanted.

        Returns
        -------
        Tensor (batch, kept, D)
            Embeddings E.
        """
        steps = pooled.shape[1]
        first = 0 if kept is None else steps - kept
        sequence = pooled + encoding
        queries = torch.arange(first, steps, device=pooled.device)
        keys = torch.arange(steps, device=pooled.device)
        lag = queries[:, None] - keys[None, :]
        allowed = (lag >= 0) & (lag < self.look_back)
        read = F.scaled_dot_product_attention(
            self._split(self.query(sequence[:, first:])),
            self._split(self.key(sequence)),
            self._split(self.value(sequence)),
            attn_mask=allowed,
        )
        return self.out(read.transpose(1, 2).flatten(2))

    def _split(self, sequence: Tensor) -> Tensor:
        return sequence.unflatten(-1, (self.temporal_heads, -1)).transpose(1, 2)
