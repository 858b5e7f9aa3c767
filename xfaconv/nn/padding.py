"""Padding on the sphere: circular in longitude, across the pole in latitude, zeros at the edges of a region."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from xfaconv.errors import GridError
from xfaconv.nn.geometry import Geometry

_EDGES: WeakKeyDictionary[Geometry, dict[int, tuple[Tensor, Tensor, Tensor]]] = WeakKeyDictionary()


def pad_sphere(field: Tensor, reach: int, geometry: Geometry) -> Tensor:
    """Continue a field beyond the edges of its grid.

    Beyond a pole the field continues on the opposite meridian (flip and half-turn); a row that sits on the pole is not
    repeated. Where the grid ends without a pole, or does not close around the globe, zeros are added as in Keras.

    Parameters
    ----------
    field : Tensor (batch, lat, lon, channel)
        South to north, eastward.
    reach : int
        Number of rows and columns to add on each side.
    geometry : Geometry
        Says what lies beyond each edge.

    Returns
    -------
    Tensor (batch, lat + 2 * reach, lon + 2 * reach, channel)

    Raises
    ------
    GridError
        If the grid is smaller than the reach.

    Examples
    --------
    >>> ring = torch.arange(4.0).reshape(1, 1, 4, 1).expand(1, 2, 4, 1)
    >>> from xfaconv.grid import Grid
    >>> whole = Geometry.from_grid(Grid((-45.0, 45.0), (0.0, 90.0, 180.0, 270.0)))
    >>> pad_sphere(ring, 1, whole)[0, :, :, 0]
    tensor([[1., 2., 3., 0., 1., 2.],
            [3., 0., 1., 2., 3., 0.],
            [3., 0., 1., 2., 3., 0.],
            [1., 2., 3., 0., 1., 2.]])
    """
    if reach == 0:
        return field
    rows, columns = field.shape[1:3]
    if rows <= reach or columns < reach:
        raise GridError(
            "the grid is smaller than the reach of the depthwise kernels",
            expected=f"more than {reach} rows and at least {reach} columns",
            found=f"{rows} x {columns}",
            fix="scales=((3, 1),)  # smaller kernels and dilations",
        )
    south = _beyond_pole(field, reach, geometry.south_pole, geometry.south_pole_point)
    north = _beyond_pole(field.flip(1), reach, geometry.north_pole, geometry.north_pole_point)
    field = torch.cat([south.flip(1), field, north], dim=1)
    if geometry.periodic:
        return torch.cat([field[:, :, columns - reach :], field, field[:, :, :reach]], dim=2)
    return F.pad(field, (0, 0, reach, reach))


def _beyond_pole(field: Tensor, reach: int, crosses: bool, pole_point: bool) -> Tensor:
    """Rows beyond the first row of a field, nearest first."""
    if not crosses:
        return field.new_zeros(field.shape[0], reach, *field.shape[2:])
    start = 1 if pole_point else 0
    return field[:, start : start + reach].roll(field.shape[2] // 2, dims=2)


class PaddedBuffer:
    """A padded field that is written in its interior, again and again, and continues itself in place.

    Gives what `pad_sphere` gives, without allocating or copying the interior.

    Parameters
    ----------
    batch, channels : int
        Size of the field.
    reach : int
        Number of rows and columns on each side.
    geometry : Geometry
        Says what lies beyond each edge.
    like : Tensor
        Device and floating type.

    Raises
    ------
    GridError
        If the grid is smaller than the reach.

    Examples
    --------
    >>> buffer = PaddedBuffer(1, 1, 1, Geometry.plane(3, 3), torch.zeros(()))
    >>> _ = buffer.interior.fill_(1.0)
    >>> buffer.fill_edges()
    >>> buffer.values.sum()
    tensor(9.)
    """

    def __init__(self, batch: int, channels: int, reach: int, geometry: Geometry, like: Tensor) -> None:
        rows, columns = geometry.shape
        self.values = like.new_empty(batch, rows + 2 * reach, columns + 2 * reach, channels)
        self.interior = self.values[:, reach : reach + rows, reach : reach + columns]
        self._edges, self._sources, blank = (places.to(like.device) for places in _edges(reach, geometry))
        self._cells = self.values.flatten(1, 2)
        self._cells.index_fill_(1, blank, 0.0)

    def fill_edges(self) -> None:
        """Write what lies beyond the edges from what is now in the interior."""
        if len(self._edges):
            self._cells.index_copy_(1, self._edges, self._cells.index_select(1, self._sources))


def _edges(reach: int, geometry: Geometry) -> tuple[Tensor, Tensor, Tensor]:
    """Cells of a padded field that continue it, the cells of its interior that they repeat, and cells of zeros."""
    known = _EDGES.setdefault(geometry, {})
    if reach not in known:
        rows, columns = geometry.shape
        # Each cell gets its number; padding the numbers tells which cell each edge cell repeats, whatever the grid is.
        # Kept tensors are used in training, too: they must not be made in inference mode.
        with torch.inference_mode(False):
            positions = torch.arange(rows * columns).view(1, rows, columns, 1)
            whole = pad_sphere(positions + 1, reach, geometry)[0, :, :, 0]
            whole[reach : reach + rows, reach : reach + columns] = -1
            edges, blank = (found.flatten().nonzero()[:, 0] for found in (whole > 0, whole == 0))
            inside = whole.flatten()[edges] - 1
            sources = (inside // columns + reach) * whole.shape[1] + inside % columns + reach
            known[reach] = edges, sources, blank
    return known[reach]
