"""Axial attention over the sphere, rows then columns, and the composed map that it amounts to (paper, section IV)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xfaconv.errors import ArgumentError
from xfaconv.nn.attention_lines import attend_lines
from xfaconv.nn.geometry import POSITION_FEATURES, POSITION_PRODUCTS, Geometry, smoothness_of_products

# Queries and keys know position through one layer of 32 units, which makes preferences of harmonics ("the tropics").
_POSITION_HIDDEN = 32


class AxialAttention(nn.Module):
    """The paper's A_axial: every cell reads its latitude circle, then its meridian.

    The values are read once and pass through both attentions head by head, so the result at cell (i, j) is exactly
    ``sum over (i', j') of A_col[j; i, i'] * A_row[i'; j, j'] * v[i', j']`` followed by one linear map. The weights of
    that sum are the composed map: non-negative and summing to 1 over the sphere. The logits of the keys carry the
    logarithm of the cell area, so that no preference means uniform per area. There is no residual inside.

    Parameters
    ----------
    channels : int
        Hidden channels F.
    width : int
        Channels of queries, keys and values together.
    heads : int
        Number of heads; must divide `width`.
    places : {"harmonics", "products"}
        Whether queries and keys know harmonics of longitude and of latitude side by side, or products of them.
    season : int
        Number S of functions of time (cosine and sine of the phase of the year, and of the day) that modulate the
        position terms: P_t = P_0 + sum_k s_k(t) P_k. With 0 the preferences for places are the same at every step.

    Raises
    ------
    ArgumentError
        If `heads` does not divide `width`.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        heads: int,
        places: Literal["harmonics", "products"] = "harmonics",
        season: int = 0,
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ArgumentError(
                "attention_width must be a multiple of attention_heads", found=f"width {width}, heads {heads}"
            )
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.row_query = nn.Linear(channels, width)
        self.row_key = nn.Linear(channels, width, bias=False)
        self.value = nn.Linear(channels, width, bias=False)
        self.column_query = nn.Linear(channels, width)
        self.column_key = nn.Linear(width, width, bias=False)
        self.places = places
        features = POSITION_FEATURES if places == "harmonics" else POSITION_PRODUCTS
        self.position_hidden = nn.Linear(features, _POSITION_HIDDEN)
        self.position = nn.Linear(_POSITION_HIDDEN, 4 * width, bias=False)
        self.season = nn.Linear(_POSITION_HIDDEN, season * 4 * width, bias=False) if season else None
        self.out = nn.Linear(width, channels)

    def forward(
        self, hidden: Tensor, geometry: Geometry, positions: Tensor | None = None, season: Tensor | None = None
    ) -> Tensor:
        """Give what is to be added to the hidden state.

        Parameters
        ----------
        hidden : Tensor (batch, lat, lon, F)
            Hidden state H_t.
        geometry : Geometry
            Areas and position features.
        positions : Tensor (1 + S, 4, lat, lon, width), optional
            From `positions`, to compute them once for many steps.
        season : Tensor (batch, S), optional
            The functions of time at this step, where the attention has any.

        Returns
        -------
        Tensor (batch, lat, lon, F)
            A_axial(H_t).
        """
        normed = self.norm(hidden)
        positions = self.positions(geometry) if positions is None else positions
        row_query, row_key, column_query, column_key = at_time(positions, season).unbind(1)
        # softmax(q k + log a) = a exp(q k) / sum: weights by area. Without it the poles, where cells are many,
        # drew most of the attention of a first version. Row pass: widths of columns; column pass: areas of rows.
        row_bias = geometry.log_column_width.to(hidden.dtype)
        column_bias = geometry.log_row_area.to(hidden.dtype)
        rows = self._attend(
            self.row_query(normed) + row_query, self.row_key(normed) + row_key, self.value(normed), row_bias
        )
        # The values of the column pass are what the row pass gathered, unchanged: so both passes together are one
        # weighted sum of the first values, and the composed map is exact.
        query, key = self.column_query(normed) + column_query, self.column_key(rows) + column_key
        read = self._attend(query.transpose(1, 2), key.transpose(1, 2), rows.transpose(1, 2), column_bias)
        return self.out(read.transpose(1, 2))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """Attention along the third axis of (batch, line, cell, width)."""
        compiling = torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
        if torch.is_grad_enabled() and query.device.type == "cpu" and not compiling:
            scaled = query * (query.shape[-1] // self.heads) ** -0.5
            query, key, value = scaled.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1)
            return attend_lines(query, key, value, bias.exp(), self.heads).unflatten(0, scaled.shape[:2])
        read = F.scaled_dot_product_attention(
            self._split(query), self._split(key), self._split(value), attn_mask=bias.expand(1, 1, len(bias), -1)
        )
        return _merge(read, len(query))

    def row_weights(
        self, hidden: Tensor, geometry: Geometry, column: int | None = None, season: Tensor | None = None
    ) -> Tensor:
        """Weights of the row pass, A_row[i'; j, j'].

        Parameters
        ----------
        hidden : Tensor (batch, lat, lon, F)
            Hidden state H_t.
        geometry : Geometry
            Areas and position features.
        column : int, optional
            Only the queries of this column j.
        season : Tensor (batch, S), optional
            The functions of time, where the attention has any.

        Returns
        -------
        Tensor (batch, head, lat, query lon, lon)
            Sums to 1 over the last axis.
        """
        normed = self.norm(hidden)
        positions = self.positions(geometry)
        asking = slice(None) if column is None else slice(column, column + 1)
        query = self._split(self.row_query(normed[:, :, asking]) + at_time(positions[:, 0, :, asking], season))
        key = self._split(self.row_key(normed) + at_time(positions[:, 1], season))
        weights = _weights(query, key, geometry.log_column_width)
        return weights.unflatten(0, (hidden.shape[0], hidden.shape[1])).transpose(1, 2)

    def column_weights(
        self, hidden: Tensor, geometry: Geometry, column: int, rows: Tensor, season: Tensor | None = None
    ) -> Tensor:
        """Weights of the column pass along one meridian, A_col[j; i, i'].

        Parameters
        ----------
        hidden : Tensor (batch, lat, lon, F)
            Hidden state H_t.
        geometry : Geometry
            Areas and position features.
        column : int
            The meridian j.
        rows : Tensor (batch, head, lat, 1, lon)
            Row weights of its queries.
        season : Tensor (batch, S), optional
            The functions of time, where the attention has any.

        Returns
        -------
        Tensor (batch, head, query lat, lat)
            Sums to 1 over the last axis.
        """
        normed = self.norm(hidden)
        query, key = at_time(self.positions(geometry)[:, 2:, :, column], season).unbind(1)
        batch, latitudes = hidden.shape[:2]
        value = self._split(self.value(normed)).unflatten(0, (batch, latitudes)).transpose(1, 2)
        gathered = torch.matmul(rows, value)[..., 0, :].transpose(1, 2).flatten(2)
        query = self._split((self.column_query(normed[:, :, column]) + query)[:, None])
        key = self._split((self.column_key(gathered) + key)[:, None])
        return _weights(query, key, geometry.log_row_area)

    def composed_map(
        self,
        hidden: Tensor,
        geometry: Geometry,
        base_points: Sequence[tuple[int, int]],
        season: Tensor | None = None,
    ) -> Tensor:
        """Weights with which some base points read the sphere: A_col[j; i, i'] * A_row[i'; j, j'].

        Costs O(F lat lon) per base point; all pairs of cells are never formed.

        Parameters
        ----------
        hidden : Tensor (batch, lat, lon, F)
            Hidden state H_t before the attention.
        geometry : Geometry
            Areas and position features.
        base_points : sequence of (int, int)
            Row i and column j of each base point.
        season : Tensor (batch, S), optional
            The functions of time, where the attention has any.

        Returns
        -------
        Tensor (batch, point, head, lat, lon)
            Each map is non-negative and sums to 1.
        """
        # Base points of one meridian share its column j of both passes.
        rows = {j: self.row_weights(hidden, geometry, j, season) for j in {j for _, j in base_points}}
        columns = {j: self.column_weights(hidden, geometry, j, known, season) for j, known in rows.items()}
        composed = [columns[j][:, :, i, :, None] * rows[j][..., 0, :] for i, j in base_points]
        return torch.stack(composed, dim=1)

    def weighed_by_values(self, maps: Tensor, hidden: Tensor, *, heads: bool) -> Tensor:
        """Weigh composed maps by what is read: the norm of what each cell contributes, as shares of all cells.

        Cell (i', j') contributes ``sum over heads h of map_h[i', j'] W_out^h v^h[i', j']`` to what is added to the base
        point's state; a great weight of a cell whose values are small says little (Kobayashi et al. 2020,
        https://aclanthology.org/2020.emnlp-main.574).

        Parameters
        ----------
        maps : Tensor (batch, point, head, lat, lon)
            From `composed_map`.
        hidden : Tensor (batch, lat, lon, F)
            Hidden state H_t before the attention.
        heads : bool
            Whether the heads stay apart; else the vectors of all heads are added before their norm is taken.

        Returns
        -------
        Tensor (batch, point, [head,] lat, lon)
            Each map is non-negative and sums to 1.
        """
        values = self.value(self.norm(hidden)).unflatten(-1, (self.heads, -1))
        sent = torch.einsum("bijhd,fhd->bijhf", values, self.out.weight.unflatten(1, (self.heads, -1)))
        if heads:
            read = maps * sent.norm(dim=-1).permute(0, 3, 1, 2)[:, None]
        else:
            read = torch.stack([torch.einsum("bhij,bijhf->bijf", m, sent).norm(dim=-1) for m in maps.unbind(1)], dim=1)
        return read / read.sum((-1, -2), keepdim=True).clamp(min=torch.finfo(read.dtype).tiny)

    def positions(self, geometry: Geometry) -> Tensor:
        """Position parts of row query, row key, column query and column key.

        Parameters
        ----------
        geometry : Geometry
            Position features.

        Returns
        -------
        Tensor (1 + S, 4, lat, lon, width)
            P_0, which is the same at every step, and what each function of time multiplies.
        """
        features = self.position_features(geometry)
        parts = [self.position(features), *([] if self.season is None else [self.season(features)])]
        width = self.position.out_features // 4
        return torch.cat(parts, dim=-1).unflatten(-1, (-1, 4, width)).movedim((-3, -2), (0, 1)).contiguous()

    def position_features(self, geometry: Geometry) -> Tensor:
        """Middle layer of the position parts, (lat, lon, 32)."""
        weight = self.position_hidden.weight
        # Products of harmonics, smooth ones first: a place can ask for another than its meridian and its circle do.
        if self.places == "products":
            smooth = weight * smoothness_of_products().to(weight)
            return F.gelu(geometry.weigh_products(smooth) + self.position_hidden.bias)
        features = geometry.positions.to(device=weight.device, dtype=weight.dtype)
        return F.gelu(self.position_hidden(features))

    def _split(self, lines: Tensor) -> Tensor:
        """(batch, line, cell, width) to (batch * line, head, cell, width / head)."""
        return lines.flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(1, 2)


def at_time(parts: Tensor, season: Tensor | None) -> Tensor:
    """Position terms at the times of a batch, P_t = P_0 + sum_k s_k(t) P_k.

    Parameters
    ----------
    parts : Tensor (1 + S, ...)
        P_0 and what each function of time multiplies.
    season : Tensor (batch, S), optional
        The functions of time; without meaning where there are none.

    Returns
    -------
    Tensor (batch, ...)
        A batch of 1 where S is 0.

    Raises
    ------
    ArgumentError
        If the terms follow the time of year and it is not given.
    """
    if len(parts) == 1:
        return parts
    if season is None:
        raise ArgumentError("this attention follows the time of year", expected="phases of the steps", found="none")
    return torch.tensordot(F.pad(season.to(parts.dtype), (1, 0), value=1.0), parts, dims=1)


def _merge(lines: Tensor, batch: int) -> Tensor:
    """(batch * line, head, cell, width / head) to (batch, line, cell, width)."""
    return lines.transpose(1, 2).flatten(2).unflatten(0, (batch, -1))


def _weights(query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
    """Softmax of the scaled logits with the area bias, in the last axis."""
    logits = torch.matmul(query, key.transpose(-1, -2)) * query.shape[-1] ** -0.5
    return torch.softmax(logits + bias.to(logits.dtype), dim=-1)
