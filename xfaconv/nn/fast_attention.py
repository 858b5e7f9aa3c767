"""Axial attention without gradients: one product per projection, keys first, and no softmax pass over the logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from xfaconv.nn.attention import AxialAttention
from xfaconv.nn.geometry import Geometry

_CACHE_BYTES_PER_THREAD = 2**20
_LINES_AT_LEAST = 4
_LEAST_TOTAL, _GREATEST_TOTAL = 1e-20, 1e28
_TILE_CELLS = 8192
_SAME = 1e-6


def attend(query: Tensor, key: Tensor, values: Tensor, out: Tensor, scores: Tensor, shifted: bool = False) -> bool:
    """Attention of many short lines, written so that the logits are touched three times only.

    The softmax is never formed: the last row of `values` holds the area of each key, the rows above it the values times
    that area, and one product gives numerator and denominator of the weighted mean. Its exponentials need no shift as
    long as the denominators lie far from overflow and from where lost small terms would count; they are looked at
    afterwards, and if one does not, all is done again with each query's greatest logit subtracted first.

    Parameters
    ----------
    query, key : Tensor (line, channel, cell)
        Scaled queries, and keys.
    values : Tensor (line, channel + 1, cell)
        Values times area, and the area in the last row.
    out : Tensor (line, channel + 1, cell)
        Written: the area-weighted means, and 1 in the last row; contiguous.
    scores : Tensor (number,)
        Space for logits; its size decides how many lines are done at once.
    shifted : bool
        Subtract the greatest logit at once.

    Returns
    -------
    bool
        Whether it had to be subtracted.
    """
    _sum_weighted(query, key, values, out, scores, shifted)
    total = out[:, -1:].clone()
    if not shifted:
        least, greatest = (float(bound) for bound in torch.aminmax(total))
        if not (least > _LEAST_TOTAL and greatest < _GREATEST_TOTAL):
            return attend(query, key, values, out, scores, shifted=True)
    out.div_(total)
    return shifted


def _sum_weighted(query: Tensor, key: Tensor, values: Tensor, out: Tensor, scores: Tensor, shifted: bool) -> None:
    """Write values times exponentials of the logits, block by block."""
    lines, _, cells = query.shape
    at_once = max(1, min(lines, max(_LINES_AT_LEAST, len(scores) // (cells * cells)), len(scores) // cells))
    width = max(1, min(cells, len(scores) // (at_once * cells)))
    blocks = zip(*(part.split(at_once) for part in (query, key.transpose(1, 2), values, out)), strict=True)
    for asked, keys, read, sums in blocks:
        for first in range(0, cells, width):
            part = asked[..., first : first + width]
            block = scores[: len(part) * cells * part.shape[2]].view(len(part), cells, -1)
            torch.bmm(keys, part, out=block)
            if shifted:
                block.sub_(block.amax(dim=1, keepdim=True))
            block.exp_()
            if width == cells:
                torch.bmm(read, block, out=sums)
            else:
                sums[..., first : first + width] = torch.bmm(read, block)


class FastAttention:
    """What `AxialAttention` computes, without gradients and faster.

    All projections belong to the row pass, where the cells of a few rows are at hand. The column pass finds its
    queries, keys and values cell by cell, so that it reads whole cache lines and nothing is transposed.

    Parameters
    ----------
    attention : AxialAttention
        Whose weights to use; they are copied, so make a new object when they change.
    geometry : Geometry
        The grid, on the module's device and of its floating type.
    """

    def __init__(self, attention: AxialAttention, geometry: Geometry) -> None:
        heads = attention.heads
        width, channels = attention.value.weight.shape
        scale = (width // heads) ** -0.5
        rows, columns = geometry.shape
        weight = attention.value.weight
        self._norm = attention.norm
        self._heads = heads
        self._rows, self._columns = rows, columns
        # A last feature of ones carries the biases of the queries.
        self._features = F.pad(attention.position_features(geometry), (0, 1), value=1.0)
        row_query, row_key, column_query, column_key = attention.position.weight.split(width)
        row_query = torch.cat([row_query, attention.row_query.bias[:, None]], dim=1) * scale
        column_query = torch.cat([column_query, attention.column_query.bias[:, None]], dim=1) * scale
        self._row = _by_head(heads, attention.row_query.weight * scale, attention.row_key.weight)
        self._row_position = _by_head(heads, row_query, F.pad(row_key, (0, 1)))
        self._value = _by_head(heads, weight, weight.new_zeros(heads, channels))
        self._column_query, self._column_query_position = attention.column_query.weight.T * scale, column_query.T
        gathered = attention.column_key.weight.T
        self._column_key = _by_head(heads, gathered, gathered.new_zeros(heads, width))
        self._column_key_position = F.pad(column_key, (0, 1)).T
        out = attention.out.weight.T
        self._out = _by_head(heads, out, out.new_zeros(heads, channels))
        self._out[width // heads] = attention.out.bias
        self._row_area = None if _uniform(geometry.log_column_width) else geometry.log_column_width.exp()
        self._column_area = None if _uniform(geometry.log_row_area) else geometry.log_row_area.exp()
        self._tile_rows = max(1, min(rows, _TILE_CELLS // columns))
        self._tile_columns = max(1, min(columns, _TILE_CELLS // rows))
        cache = _CACHE_BYTES_PER_THREAD * torch.get_num_threads() // weight.element_size()
        self._scores = weight.new_empty(max(cache, _LINES_AT_LEAST * rows, _LINES_AT_LEAST * columns))
        self._query, self._key = weight.new_empty(2, rows, columns, width)
        self._gathered = weight.new_empty(rows, columns, width + heads)
        self._shifted = False

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
        """Row pass of some rows; keeps the column pass's queries, keys and values."""
        normed, features = self._norm(hidden[part]), self._features[part]
        lines = len(normed)
        asked = torch.bmm(self._row.expand(lines, -1, -1), normed.transpose(1, 2))
        asked.baddbmm_(self._row_position.expand(lines, -1, -1), features.transpose(1, 2))
        query, key = asked.view(lines * self._heads, -1, self._columns).chunk(2, dim=1)
        values = torch.bmm(self._value.expand(lines, -1, -1), normed.transpose(1, 2))
        values = values.view(lines * self._heads, -1, self._columns)
        values[:, -1] = 1.0
        if self._row_area is not None:
            values *= self._row_area
        read = torch.empty_like(values)
        self._attend(query, key, values, read)
        gathered = self._gathered[part]
        gathered.copy_(read.view(lines, -1, self._columns).transpose(1, 2))
        places = features.flatten(0, 1)
        torch.mm(normed.flatten(0, 1), self._column_query, out=self._query[part].flatten(0, 1))
        self._query[part].flatten(0, 1).addmm_(places, self._column_query_position)
        torch.mm(gathered.flatten(0, 1), self._column_key, out=self._key[part].flatten(0, 1))
        self._key[part].flatten(0, 1).addmm_(places, self._column_key_position)
        if self._column_area is not None:
            gathered *= self._column_area[part, None, None]

    def _read_columns(self, hidden: Tensor, part: slice) -> None:
        """Column pass of some columns, and the output projection."""
        query, key, values = (self._of_columns(kept[:, part]) for kept in (self._query, self._key, self._gathered))
        read = values.new_empty(values.shape)
        self._attend(query, key, values, read)
        read = read.view(part.stop - part.start, -1, self._rows)
        change = torch.bmm(read.transpose(1, 2), self._out.expand(len(read), -1, -1))
        hidden[:, part] += change.transpose(0, 1)

    def _attend(self, query: Tensor, key: Tensor, values: Tensor, out: Tensor) -> None:
        # Where logits are great once they will be again: what failed is not tried a second time.
        self._shifted = attend(query, key, values, out, self._scores, self._shifted)

    def _of_columns(self, cells: Tensor) -> Tensor:
        """(lat, lon, channel) to (lon * head, channel of one head, lat), without copying."""
        return cells.unflatten(2, (self._heads, -1)).flatten(1, 2).permute(1, 2, 0)


def _by_head(heads: int, *weights: Tensor) -> Tensor:
    """Sort the rows of several weights (heads * channel, ...) by head."""
    return torch.cat([weight.unflatten(0, (heads, -1)) for weight in weights], dim=1).flatten(0, 1)


def _uniform(logarithm: Tensor) -> bool:
    return bool((logarithm - logarithm[0]).abs().max() < _SAME)
