"""Axial attention without gradients: one product per projection, keys first, and no softmax pass over the logits."""

from __future__ import annotations

import torch
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

    The normalised state and the position features of a cell lie side by side, so that queries, keys, values and the row
    of ones of a whole row of cells come out of one product, in the layout in which they are used.

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
        self._heads, self._channels = heads, channels
        self._rows, self._columns = rows, columns
        features = attention.position_features(geometry)
        self._source = torch.cat(
            [weight.new_empty(rows, columns, channels), features, features.new_ones(rows, columns, 1)], dim=-1
        )
        row_query, row_key, column_query, column_key = attention.position.weight.split(width)
        nothing = weight.new_zeros(width, 1)
        row_query = torch.cat([attention.row_query.weight, row_query, attention.row_query.bias[:, None]], dim=1) * scale
        row_key = torch.cat([attention.row_key.weight, row_key, nothing], dim=1)
        value = torch.cat([weight, torch.zeros_like(row_key[:, channels:])], dim=1)
        ones = torch.zeros_like(value[:heads])
        ones[:, -1] = 1.0
        by_head = [part.unflatten(0, (heads, -1)) for part in (row_query, row_key, value, ones)]
        self._row = torch.cat(by_head, dim=1).flatten(0, 1)
        self._cuts = [part.shape[1] for part in by_head]
        self._column_query = (
            torch.cat([attention.column_query.weight, column_query, attention.column_query.bias[:, None]], dim=1)
            * scale
        )
        self._column_position = torch.cat([column_key, nothing], dim=1)
        self._column_key = _with_zeros(attention.column_key.weight.T, heads).T.contiguous()
        out = _with_zeros(attention.out.weight.T, heads)
        out[width // heads] = attention.out.bias
        self._out = out
        self._row_area = None if _uniform(geometry.log_column_width) else geometry.log_column_width.exp()
        self._column_area = None if _uniform(geometry.log_row_area) else geometry.log_row_area.exp()
        self._tile_rows = max(1, min(rows, _TILE_CELLS // columns))
        self._tile_columns = max(1, min(columns, _TILE_CELLS // rows))
        cache = _CACHE_BYTES_PER_THREAD * torch.get_num_threads() // weight.element_size()
        self._scores = weight.new_empty(max(cache, _LINES_AT_LEAST * rows, _LINES_AT_LEAST * columns))
        self._gathered = weight.new_empty(rows, width + heads, columns)
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
        """Row pass of some rows; keeps what they read, and their normalised state."""
        source = self._source[part]
        source[..., : self._channels] = self._norm(hidden[part])
        found = _product(self._row, source.transpose(1, 2))
        if self._row_area is not None:
            found.unflatten(1, (self._heads, -1))[:, :, -self._cuts[2] - 1 :] *= self._row_area
        query, key, values = self._by_head(found).split((*self._cuts[:2], self._cuts[2] + 1), dim=1)
        self._attend(query, key, values, self._by_head(self._gathered[part]))

    def _read_columns(self, hidden: Tensor, part: slice) -> None:
        """Column pass of some columns, and the output projection."""
        source = self._source[:, part].permute(1, 2, 0)
        values = self._gathered[..., part].permute(2, 1, 0).contiguous()
        query = _product(self._column_query, source)
        key = _product(self._column_position, source[:, self._channels :])
        key.baddbmm_(self._column_key.expand(len(key), -1, -1), values)
        if self._column_area is not None:
            values *= self._column_area
        read = torch.empty_like(values)
        self._attend(*(self._by_head(lines) for lines in (query, key, values, read)))
        change = torch.bmm(read.transpose(1, 2), self._out.expand(len(read), -1, -1))
        hidden[:, part] += change.transpose(0, 1)

    def _attend(self, query: Tensor, key: Tensor, values: Tensor, out: Tensor) -> None:
        # Where logits are great once they will be again: what failed is not tried a second time.
        self._shifted = attend(query, key, values, out, self._scores, self._shifted)

    def _by_head(self, lines: Tensor) -> Tensor:
        """(line, channel, cell) to (line * head, channel of one head, cell)."""
        return lines.view(len(lines) * self._heads, -1, lines.shape[-1])


def _product(weight: Tensor, source: Tensor) -> Tensor:
    """Weight times source (line, channel, cell)."""
    return torch.bmm(weight.expand(len(source), -1, -1), source)


def _uniform(logarithm: Tensor) -> bool:
    return bool((logarithm - logarithm[0]).abs().max() < _SAME)


def _with_zeros(weight: Tensor, heads: int) -> Tensor:
    """Append a row of zeros to each head's rows, shape (width + heads, ...)."""
    per_head = weight.unflatten(0, (heads, -1))
    return torch.cat([per_head, torch.zeros_like(per_head[:, :1])], dim=1).flatten(0, 1)
