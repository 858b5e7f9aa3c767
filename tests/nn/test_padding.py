"""Padding on the sphere and in place, against neighbours found one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.nn.worlds import GRIDS, world_of
from xfaconv.errors import GridError
from xfaconv.grid import Grid
from xfaconv.nn import Geometry
from xfaconv.nn.padding import PaddedBuffer, pad_sphere


@st.composite
def grids(draw):
    """Global, polar and regional grids, regular or not."""
    rows, columns = draw(st.integers(4, 9)), draw(st.integers(4, 10))
    kind = draw(st.sampled_from(["cells", "points", "south", "north", "band", "region"]))
    if kind == "points":
        latitude = np.linspace(-90, 90, rows)
    else:
        south = -90 if kind in ("cells", "south") else -40
        north = 90 if kind in ("cells", "north") else 40
        edges = np.linspace(south, north, rows + 1)
        latitude = (edges[1:] + edges[:-1]) / 2
    origin = draw(st.floats(-180, 180, allow_subnormal=False))
    width = 40.0 / columns if kind == "region" else 360.0 / columns
    return Grid(tuple(latitude), tuple(origin + width * np.arange(columns)))


@given(grids(), st.integers(0, 3), st.integers(1, 2))
@settings(max_examples=60, deadline=None)
def test_both_paddings_find_the_neighbours(grid, reach, batch):
    rows, columns = grid.shape
    geometry, world = Geometry.from_grid(grid), world_of(grid)
    field = torch.arange(1.0, 1 + batch * rows * columns * 2).reshape(batch, rows, columns, 2)
    padded = pad_sphere(field, reach, geometry)
    buffer = PaddedBuffer(batch, 2, reach, geometry, field)
    for filling in (torch.zeros_like(field), field):  # the second time must leave nothing of the first
        buffer.interior.copy_(filling)
        buffer.fill_edges()
    expected = np.empty(padded.shape)
    for b in range(batch):
        for i in range(-reach, rows + reach):
            for j in range(-reach, columns + reach):
                expected[b, i + reach, j + reach] = world.value(field[b].numpy(), i, j)
    np.testing.assert_array_equal(padded.numpy(), expected)
    np.testing.assert_array_equal(buffer.values.numpy(), expected)


@given(grids(), st.integers(-7, 7), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_padding_commutes_with_a_roll_where_the_globe_closes(grid, shift, reach):
    if not grid.periodic:
        return
    geometry = Geometry.from_grid(grid)
    field = torch.rand(1, *grid.shape, 1)
    inside = slice(reach, -reach)
    padded = pad_sphere(field.roll(shift, 2), reach, geometry)[:, :, inside]
    torch.testing.assert_close(padded, pad_sphere(field, reach, geometry)[:, :, inside].roll(shift, 2), atol=0, rtol=0)


@given(grids(), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_north_and_south_are_treated_alike(grid, reach):
    mirrored = Grid(tuple(-v for v in reversed(grid.latitude)), grid.longitude)
    field = torch.rand(1, *grid.shape, 1)
    one = pad_sphere(field, reach, Geometry.from_grid(grid))
    other = pad_sphere(field.flip(1), reach, Geometry.from_grid(mirrored))
    torch.testing.assert_close(other.flip(1), one, atol=0, rtol=0)


def test_gradient_of_padding_counts_how_often_a_cell_is_seen():
    geometry = Geometry.from_grid(GRIDS["cell-centred"])
    field = torch.rand(1, 6, 8, 1, dtype=torch.float64, requires_grad=True)
    pad_sphere(field, 1, geometry).sum().backward()
    assert field.grad.sum() == 8 * 10
    assert torch.autograd.gradcheck(lambda f: pad_sphere(f, 2, geometry), (field,))


@pytest.mark.parametrize("padding", [pad_sphere, lambda f, r, g: PaddedBuffer(1, 1, r, g, f)])
def test_a_grid_smaller_than_the_reach_is_refused(padding):
    with pytest.raises(GridError, match="smaller than the reach"):
        padding(torch.zeros(1, 3, 8, 1), 3, Geometry.plane(3, 8))
