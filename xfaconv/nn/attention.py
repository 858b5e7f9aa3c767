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

    Raises
    ------
    ArgumentError
        If `heads` does not divide `width`.
    """

    def __init__(
        self, channels: int, width: int, heads: int, places: Literal["harmonics", "products"] = "harmonics"
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
        self.out = nn.Linear(width, channels)

    def forward(self, hidden: Tensor, geometry: Geometry, positions: Tensor | None = None) -> Tensor:
        """Give what is to be added to the hidden state.

        Parameters
        ----------
        hidden : Tensor (batch, lat, lon, F)
            Hidden state H_t.
        geometry : Geometry
            Areas and position features.
        positions : Tensor (4, lat, lon, width), optional
            From `positions`, to compute them once for many steps.

        Returns
        -------
        Tensor (batch, lat, lon, F)
            A_axial(H_t).
        """
        normed = self.norm(hidden)
        positions = self.positions(geometry) if positions is None else positions
        # softmax(q k + log a) = a exp(q k) / sum: weights by area. Without it the poles, where cells are many,
        # drew most of the attention of a first version. Row pass: widths of columns; column pass: areas of rows.
        row_bias = geometry.log_column_width.to(hidden.dtype)
        column_bias = geometry.log_row_area.to(hidden.dtype)
        rows = self._attend(
            self.row_query(normed) + positions[0], self.row_key(normed) + positions[1], self.value(normed), row_bias
        )
        # The values of the column pass are what the row pass gathered, unchanged: so both passes together are one
        # weighted sum of the first values, and the composed map is exact.
        query, key = self.column_query(normed) + positions[2], self.column_key(rows) + positions[3]
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

    def row_weights(self, hidden: Tensor, geometry: Geometry, column: int | None = None) -> Tensor:
        """Weights of the row pass, A_row[i'; j, j'].

        Parameters
        ----------
        hidden : Tensor (batch, lat, lon, F)
            Hidden state H_t.
        geometry : Geometry
            Areas and position features.
        column : int, optional
            Only the queries of this column j.

        Returns
        -------
        Tensor (batch, head, lat, query lon, lon)
            Sums to 1 over the last axis.
        """
        normed = self.norm(hidden)
        positions = self.positions(geometry)
        query = self._split(self.row_query(normed) + positions[0])
        if column is not None:
            query = query[..., column : column + 1, :]
        key = self._split(self.row_key(normed) + positions[1])
        weights = _weights(query, key, geometry.log_column_width)
        return weights.unflatten(0, (hidden.shape[0], hidden.shape[1])).transpose(1, 2)

    def column_weights(self, hidden: Tensor, geometry: Geometry, column: int, rows: Tensor) -> Tensor:
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

        Returns
        -------
        Tensor (batch, head, query lat, lat)
            Sums to 1 over the last axis.
        """
        normed = self.norm(hidden)
        positions = self.positions(geometry)[2:, :, column]
        batch, latitudes = hidden.shape[:2]
        value = self._split(self.value(normed)).unflatten(0, (batch, latitudes)).transpose(1, 2)
        gathered = torch.matmul(rows, value)[..., 0, :].transpose(1, 2).flatten(2)
        query = self._split(self.column_query(normed[:, :, column])[:, None] + positions[0])
        key = self._split(self.column_key(gathered)[:, None] + positions[1])
        return _weights(query, key, geometry.log_row_area)

    def composed_map(self, hidden: Tensor, geometry: Geometry, base_points: Sequence[tuple[int, int]]) -> Tensor:
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

        Returns
        -------
        Tensor (batch, point, head, lat, lon)
            Each map is non-negative and sums to 1.
        """
        # Base points of one meridian share its column j of both passes.
        rows = {j: self.row_weights(hidden, geometry, j) for j in {j for _, j in base_points}}
        columns = {j: self.column_weights(hidden, geometry, j, known) for j, known in rows.items()}
        composed = [columns[j][:, :, i, :, None] * rows[j][..., 0, :] for i, j in base_points]
        return torch.stack(composed, dim=1)

    def positions(self, geometry: Geometry) -> Tensor:
        """Position parts of row query, row key, column query and column key.

        Parameters
        ----------
        geometry : Geometry
            Position features.

        Returns
        -------
        Tensor (4, lat, lon, width)
            The same at every step.
        """
        parts = self.position(self.position_features(geometry))
        return parts.unflatten(-1, (4, -1)).movedim(-2, 0)

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


def _merge(lines: Tensor, batch: int) -> Tensor:
    """(batch * line, head, cell, width / head) to (batch, line, cell, width)."""
    return lines.transpose(1, 2).flatten(2).unflatten(0, (batch, -1))


def _weights(query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
    """Softmax of the scaled logits with the area bias, in the last axis."""
    logits = torch.matmul(query, key.transpose(-1, -2)) * query.shape[-1] ** -0.5
    return torch.softmax(logits + bias.to(logits.dtype), dim=-1)
