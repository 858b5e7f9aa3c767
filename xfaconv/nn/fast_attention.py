"""Axial attention without gradients: one product per projection, keys first, and no softmax pass over the logits."""

from __future__ import annotations

import torch
from torch import Tensor

from xfaconv.nn.attention import AxialAttention
from xfaconv.nn.geometry import Geometry

_CACHE_BYTES = 2**20
_LARGEST_LOGIT = 60.0
_TILE_CELLS = 2048


def attend(query: Tensor, key: Tensor, values: Tensor, out: Tensor, scores: Tensor) -> None:
    """Attention of many short lines, written so that the logits are touched three times only.

    The softmax is never formed: the last row of `values` holds the area of each key, the rows above it the values times
    that area, and one product gives numerator and denominator of the weighted mean. Its exponentials need no shift as
    long as the logits are small, which the norms of queries and keys prove beforehand; otherwise each query's greatest
    logit is subtracted first.

    Parameters
    ----------
    query, key : Tensor (line, channel, cell)
        Scaled queries, and keys.
    values : Tensor (line, channel + 1, cell)
        Values times area, and the area in the last row.
    out : Tensor (line, channel + 1, cell)
        Written: the area-weighted means, and 1 in the last row.
    scores : Tensor (number,)
        Space for logits; its size decides how many lines are done at once.
    """
    lines, _, cells = query.shape
    longest = query.square().sum(1).amax() * key.square().sum(1).amax()
    small = bool(longest < _LARGEST_LOGIT**2)
    at_once = max(1, min(lines, len(scores) // (cells * cells)))
    width = cells if at_once > 1 else max(1, min(cells, len(scores) // cells))
    for line in range(0, lines, at_once):
        part = slice(line, line + at_once)
        count = len(query[part])
        for first in range(0, cells, width):
            asked = query[part, :, first : first + width]
            block = scores[: count * cells * asked.shape[2]].view(count, cells, asked.shape[2])
            torch.bmm(key[part].transpose(1, 2), asked, out=block)
            if not small:
                block.sub_(block.amax(dim=1, keepdim=True))
            read = torch.bmm(values[part], block.exp_())
            torch.div(read, read[:, -1:], out=out[part, :, first : first + width])


class FastAttention:
    """What `AxialAttention` computes, without gradients and faster.

    Parameters
    ----------
    attention : AxialAttention
        Whose weights to use; they are copied, so make a new object when they change.
    geometry : Geometry
        The grid, on the module's device and of its floating type.
    """

    def __init__(self, attention: AxialAttention, geometry: Geometry) -> None:
        heads = attention.heads
        width = attention.value.weight.shape[0]
        size = width // heads
        scale = size**-0.5
        rows, columns = geometry.shape
        weight = attention.value.weight
        self._norm = attention.norm
        self._heads = heads
        self._width = width
        self._rows, self._columns = rows, columns
        self._projection = torch.cat(
            [
                attention.row_query.weight * scale,
                attention.row_key.weight,
                attention.column_query.weight * scale,
                _with_ones(weight, heads),
            ]
        )
        ones = _with_ones(weight.new_zeros(width, 1), heads, fill=1.0)[:, 0]
        bias = [attention.row_query.bias * scale, weight.new_zeros(width), attention.column_query.bias * scale, ones]
        self._bias = torch.cat(bias)[:, None]
        self._column_key = _with_ones(attention.column_key.weight.T, heads).T.contiguous()
        out = _with_ones(attention.out.weight.T, heads)
        out[size] = attention.out.bias
        self._out = out
        self._row_area = geometry.log_column_width.exp()
        self._column_area = geometry.log_row_area.exp()
        self._tile_rows = max(1, min(rows, _TILE_CELLS // columns))
        self._tile_columns = max(1, min(columns, _TILE_CELLS // rows))
        self._row_positions = weight.new_empty(rows, 2 * width, columns)
        self._column_positions = weight.new_empty(columns, 2 * width, rows)
        self._place_positions(attention, geometry, scale)
        self._scores = weight.new_empty(max(_CACHE_BYTES // weight.element_size(), rows, columns))
        self._rows_read = weight.new_empty(rows, width + heads, columns)
        self._asked = weight.new_empty(rows, width, columns)
        cells = max(self._tile_rows * columns, self._tile_columns * rows)
        self._projected = weight.new_empty(len(self._projection), self._tile_rows * columns)
        self._query = weight.new_empty(cells * width)
        self._key = weight.new_empty(cells * width)
        self._values = weight.new_empty(cells * (width + heads))
        self._read = weight.new_empty(cells * (width + heads))
        self._change = weight.new_empty(self._tile_columns * rows, self._out.shape[1])

    def _place_positions(self, attention: AxialAttention, geometry: Geometry, scale: float) -> None:
        """Write the position parts of queries and keys, line by line as they will be added."""
        width = self._width
        weight = attention.position.weight.clone()
        weight[:width] *= scale
        weight[2 * width : 3 * width] *= scale
        features = attention.position_features(geometry)
        for start in range(0, self._rows, self._tile_rows):
            part = features[start : start + self._tile_rows]
            lines = torch.mm(weight[: 2 * width], part.flatten(0, 1).T).unflatten(1, part.shape[:2])
            self._row_positions[start : start + self._tile_rows] = lines.transpose(0, 1)
        for start in range(0, self._columns, self._tile_columns):
            part = features[:, start : start + self._tile_columns].transpose(0, 1)
            lines = torch.mm(weight[2 * width :], part.flatten(0, 1).T).unflatten(1, part.shape[:2])
            self._column_positions[start : start + self._tile_columns] = lines.transpose(0, 1)

    def add_to(self, hidden: Tensor) -> None:
        """Refine a hidden state in place: H_t += A_axial(H_t).

        Parameters
        ----------
        hidden : Tensor (lat, lon, F)
            Hidden state of one sample.
        """
        for start in range(0, self._rows, self._tile_rows):
            self._read_rows(hidden, slice(start, min(start + self._tile_rows, self._rows)))
        for start in range(0, self._columns, self._tile_columns):
            self._read_columns(hidden, slice(start, min(start + self._tile_columns, self._columns)))

    def _read_rows(self, hidden: Tensor, part: slice) -> None:
        """Row pass of some rows; keeps what they read and their column queries."""
        width, columns, lines = self._width, self._columns, part.stop - part.start
        normed = self._norm(hidden[part]).flatten(0, 1)
        projected = torch.addmm(self._bias, self._projection, normed.T, out=self._projected[:, : len(normed)])
        split = projected.unflatten(1, (lines, columns)).transpose(0, 1)
        query, key, values = self._line_buffers(lines, columns)
        torch.add(split[:, :width], self._row_positions[part, :width], out=query)
        torch.add(split[:, width : 2 * width], self._row_positions[part, width:], out=key)
        self._asked[part] = split[:, 2 * width : 3 * width]
        torch.mul(split[:, 3 * width :], self._row_area, out=values)
        self._attend(query, key, values, self._rows_read[part])

    def _read_columns(self, hidden: Tensor, part: slice) -> None:
        """Column pass of some columns, and the output projection."""
        lines, rows = part.stop - part.start, self._rows
        query, key, values = self._line_buffers(lines, rows)
        query.copy_(self._asked[:, :, part].permute(2, 1, 0)).add_(self._column_positions[part, : self._width])
        values.copy_(self._rows_read[:, :, part].permute(2, 1, 0))
        torch.bmm(self._column_key.expand(lines, -1, -1), values, out=key)
        key += self._column_positions[part, self._width :]
        values *= self._column_area
        read = self._read[: values.numel()].view_as(values)
        self._attend(query, key, values, read)
        change = self._change[: lines * rows].view(lines, rows, -1)
        torch.bmm(read.transpose(1, 2), self._out.expand(lines, -1, -1), out=change)
        hidden[:, part] += change.transpose(0, 1)

    def _line_buffers(self, lines: int, cells: int) -> tuple[Tensor, Tensor, Tensor]:
        """Space for the queries, keys and values of some lines, (line, channel, cell)."""
        size = lines * cells * self._width
        more = lines * cells * (self._width + self._heads)
        return (
            self._query[:size].view(lines, -1, cells),
            self._key[:size].view(lines, -1, cells),
            self._values[:more].view(lines, -1, cells),
        )

    def _attend(self, query: Tensor, key: Tensor, values: Tensor, out: Tensor) -> None:
        lines = query.shape[0] * self._heads
        query, key, values, out = (part.view(lines, -1, part.shape[-1]) for part in (query, key, values, out))
        attend(query, key, values, out, self._scores)


def _with_ones(weight: Tensor, heads: int, fill: float = 0.0) -> Tensor:
    """Append to each head's rows one row of a constant, shape (width + heads, ...)."""
    per_head = weight.unflatten(0, (heads, -1))
    extra = weight.new_full((heads, 1, weight.shape[1]), fill)
    return torch.cat([per_head, extra], dim=1).flatten(0, 1).contiguous()
