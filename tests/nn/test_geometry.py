"""What the network is told of a grid, against sums written out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xfaconv.grid import Grid
from xfaconv.nn import Geometry


@pytest.mark.parametrize(
    ("west", "width"), [(-20.0, 60.0), (160.0, 40.0), (-170.0, 20.0), (20.0, 300.0), (-100.0, 200.0)]
)
@pytest.mark.parametrize("turn", [-360.0, 0.0, 360.0])
def test_positions_of_a_region_run_from_edge_to_edge_of_its_domain(west, width, turn):
    """From -90 to 90 degrees of angle, wherever the seam of the longitudes is and however wide the domain."""
    south, north, rows, columns = 10.0, 50.0, 4, 10
    latitude = south + (north - south) * (np.arange(rows) + 0.5) / rows
    longitude = west + turn + width * (np.arange(columns) + 0.5) / columns
    grid = Grid(tuple(latitude.tolist()), tuple(longitude.tolist()))
    geometry = Geometry.from_grid(grid, (south, north, west, west + width), domain_periodic=False)
    for row in range(rows):
        for column in range(columns):
            across = math.pi * ((column + 0.5) / columns - 0.5)
            along = math.pi * ((row + 0.5) / rows - 0.5)
            expected = [f(k * angle) for angle in (across, along) for k in (1, 2, 3, 4) for f in (math.cos, math.sin)]
            np.testing.assert_allclose(geometry.positions[row, column], expected, atol=1e-6)


def test_widths_of_columns_are_relative_to_their_mean():
    grid = Grid((20.0, 24.0, 29.0), (-10.0, -7.0, -3.0, 2.0, 8.0))
    widths = np.array([3.0, 3.5, 4.5, 5.5, 6.0])
    found = Geometry.from_grid(grid).log_column_width.numpy()
    np.testing.assert_allclose(np.exp(found), widths / widths.mean(), rtol=1e-6)
