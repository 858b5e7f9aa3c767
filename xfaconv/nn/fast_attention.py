"""Axial attention without gradients: one product per projection, keys first, and no softmax pass over the logits."""

from __future__ import annotations

import torch
from torch import Tensor

from xfaconv.nn.attention import AxialAttention
from xfaconv.nn.geometry import Geometry

_CACHE_BYTES = 2**20
_LARGEST_LOGIT = 60.0
_TILE_CELLS = 8192
_SAME = 1e-6


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

    Queries, keys and values of a line come out of one product each, position parts and all, in the layout in which they
    are used; what the rows have read is kept pixel by pixel, so that the columns find it in whole cache lines.

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
        self._row_query, self._row_key = attention.row_query.weight * scale, attention.row_key.weight
        self._column_query = attention.column_query.weight * scale
        self._value = _with_ones(weight, heads)
        self._ones = _with_ones(weight.new_zeros(width, 1), heads, fill=1.0)
        self._column_key = _with_ones(attention.column_key.weight.T, heads).T.contiguous()
        out = _with_ones(attention.out.weight.T, heads)
        out[size] = attention.out.bias
        self._out = out
        self._row_area = None if _uniform(geometry.log_column_width) else geometry.log_column_width.exp()
        self._column_area = None if _uniform(geometry.log_row_area) else geometry.log_row_area.exp()
        self._tile_rows = max(1, min(rows, _TILE_CELLS // columns))
        self._tile_columns = max(1, min(columns, _TILE_CELLS // rows))
        self._row_positions = weight.new_empty(3, rows, width, columns)
        self._column_positions = weight.new_empty(columns, width, rows)
        self._place_positions(attention, geometry, scale)
        self._scores = weight.new_empty(max(_CACHE_BYTES // weight.element_size(), rows, columns))
        self._gathered = weight.new_empty(rows, columns, width + heads)
        self._asked = weight.new_empty(rows, columns, width)
        cells = max(self._tile_rows * columns, self._tile_columns * rows)
        self._query = weight.new_empty(cells * width)
        self._key = weight.new_empty(cells * width)
        self._values = weight.new_empty(cells * (width + heads))
        self._read = weight.new_empty(cells * (width + heads))
        self._change = weight.new_empty(cells, self._out.shape[1])

    def _place_positions(self, attention: AxialAttention, geometry: Geometry, scale: float) -> None:
        """Write the position parts of queries and keys, line by line as they will be added, with the queries' bias."""
        row_query, row_key, column_query, column_key = attention.position.weight.split(self._width)
        features = attention.position_features(geometry)
        queries = (row_query, attention.row_query.bias), (column_query, attention.column_query.bias)
        for line, place in enumerate(features):
            for kind, (weight, bias) in enumerate(queries):
                torch.addmm(bias[:, None] * scale, weight * scale, place.T, out=self._row_positions[kind, line])
            torch.mm(row_key, place.T, out=self._row_positions[2, line])
        for line, place in enumerate(features.transpose(0, 1)):
            torch.mm(column_key, place.T, out=self._column_positions[line])

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
        """Row pass of some rows; keeps what they read, and the queries of the column pass."""
        normed = self._norm(hidden[part]).transpose(1, 2)
        query, key, values, read = self._line_buffers(*normed.shape[::2])
        _product(self._column_query, normed, self._row_positions[1, part], query)
        self._asked[part] = query.transpose(1, 2)
        _product(self._row_query, normed, self._row_positions[0, part], query)
        _product(self._row_key, normed, self._row_positions[2, part], key)
        _product(self._value, normed, self._ones, values)
        if self._row_area is not None:
            values *= self._row_area
        self._attend(query, key, values, read)
        self._gathered[part] = read.transpose(1, 2)

    def _read_columns(self, hidden: Tensor, part: slice) -> None:
        """Column pass of some columns, and the output projection."""
        query, key, values, read = self._line_buffers(part.stop - part.start, self._rows)
        query.copy_(self._asked[:, part].permute(1, 2, 0))
        values.copy_(self._gathered[:, part].permute(1, 2, 0))
        _product(self._column_key, values, self._column_positions[part], key)
        if self._column_area is not None:
            values *= self._column_area
        self._attend(query, key, values, read)
        change = self._change[: read.shape[0] * self._rows].view(read.shape[0], self._rows, -1)
        torch.bmm(read.transpose(1, 2), self._out.expand(len(read), -1, -1), out=change)
        hidden[:, part] += change.transpose(0, 1)

    def _line_buffers(self, lines: int, cells: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Space for the queries, keys, values and outcome of some lines, (line, channel, cell)."""
        size = lines * cells * self._width
        more = lines * cells * (self._width + self._heads)
        return (
            self._query[:size].view(lines, -1, cells),
            self._key[:size].view(lines, -1, cells),
            self._values[:more].view(lines, -1, cells),
            self._read[:more].view(lines, -1, cells),
        )

    def _attend(self, query: Tensor, key: Tensor, values: Tensor, out: Tensor) -> None:
        lines = query.shape[0] * self._heads
        query, key, values, out = (part.view(lines, -1, part.shape[-1]) for part in (query, key, values, out))
        attend(query, key, values, out, self._scores)


def _product(weight: Tensor, source: Tensor, added: Tensor, out: Tensor) -> None:
    """Weight times source (line, channel, cell), plus what is added."""
    torch.baddbmm(added, weight.expand(len(source), -1, -1), source, out=out)


def _uniform(logarithm: Tensor) -> bool:
    return bool((logarithm - logarithm[0]).abs().max() < _SAME)


def _with_ones(weight: Tensor, heads: int, fill: float = 0.0) -> Tensor:
    """Append to each head's rows one row of a constant, shape (width + heads, ...)."""
    per_head = weight.unflatten(0, (heads, -1))
    extra = weight.new_full((heads, 1, weight.shape[1]), fill)
    return torch.cat([per_head, extra], dim=1).flatten(0, 1).contiguous()
