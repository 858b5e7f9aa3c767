"""Distances on the sphere, and the cell that holds a place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid, great_circle_degrees, nearest_cell

LATITUDES, LONGITUDES = st.floats(-90, 90), st.floats(-360, 720)


@settings(max_examples=200, deadline=None)
@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_the_great_circle_is_the_angle_between_two_vectors(latitude, longitude, south, east):
    """Oracle: the angle by the cross and the scalar product, exact at any distance."""
    vectors = []
    for row, column in ((latitude, longitude), (south, east)):
        phi, turn = np.deg2rad(row), np.deg2rad(column)
        vectors.append(np.array([np.cos(phi) * np.cos(turn), np.cos(phi) * np.sin(turn), np.sin(phi)]))
    angle = np.rad2deg(np.arctan2(np.linalg.norm(np.cross(*vectors)), vectors[0] @ vectors[1]))
    # Close to the antipode the haversine is flat: half of the digits are left there.
    assert float(great_circle_degrees(latitude, longitude, (south, east))) == pytest.approx(angle, abs=2e-6)


def test_small_distances_keep_their_digits():
    assert float(great_circle_degrees(0.0, 1e-9, (0.0, 0.0))) == pytest.approx(1e-9, rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(LATITUDES, st.floats(-180, 360))
def test_the_nearest_cell_holds_the_place(latitude, longitude):
    grid = Grid.regular(10.0)
    row, column = nearest_cell(grid, latitude, longitude)
    assert grid.latitude_edges[row] - 1e-9 <= latitude <= grid.latitude_edges[row + 1] + 1e-9
    apart = abs((grid.longitude[column] - longitude + 180) % 360 - 180)
    assert apart <= 5 + 1e-9


@pytest.mark.parametrize("place", [(0.0, 40.0), (30.0, 10.0), (np.nan, 10.0), (0.0, np.inf)])
def test_a_place_outside_a_region_is_refused(place):
    with pytest.raises(ArgumentError, match="outside the model's domain"):
        nearest_cell(Grid((-10.0, 0.0, 10.0), (0.0, 10.0, 20.0)), *place)
