"""Base points: the nearest cell on the sphere, in either longitude convention."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfaconv.engine.prepare import locate
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid, nearest_cell

GLOBAL = Grid.regular(5.0)
REGIONAL = Grid(tuple(np.arange(-20.0, 1.0, 2.0)), tuple(np.arange(270.0, 300.0, 2.0)))


@given(st.floats(-90, 90, allow_subnormal=False), st.floats(-720, 720, allow_subnormal=False))
def test_no_other_cell_is_nearer_along_either_axis(latitude, longitude):
    row, column = nearest_cell(GLOBAL, latitude, longitude)
    rows = [abs(value - latitude) for value in GLOBAL.latitude]
    turns = [min(abs(value - longitude - 360 * turn) for turn in range(-4, 4)) for value in GLOBAL.longitude]
    assert rows[row] == pytest.approx(min(rows))
    assert turns[column] == pytest.approx(min(turns))


def test_both_conventions_and_the_seam():
    assert nearest_cell(GLOBAL, 0.1, -140) == nearest_cell(GLOBAL, 0.1, 220)
    assert nearest_cell(GLOBAL, 0.1, 359.9) == nearest_cell(GLOBAL, 0.1, -0.1)
    assert GLOBAL.longitude[nearest_cell(GLOBAL, 0.1, 359.9)[1]] == 0
    assert nearest_cell(REGIONAL, -10, -80) == nearest_cell(REGIONAL, -10, 280)


@pytest.mark.parametrize(
    "place", [(-10, 250), (-10, 310), (10, 280), (-40, 280), (float("nan"), 280), (-10, float("inf"))]
)
def test_outside_the_domain_is_refused(place):
    with pytest.raises(ArgumentError, match="outside the model's domain"):
        nearest_cell(REGIONAL, *place)


@pytest.mark.parametrize(
    "arguments",
    [
        (None, None, None),
        (0, None, None),
        (None, 0, None),
        (0, 0, {"a": (0, 0)}),
        (None, None, {}),
        (None, None, {"a": 3}),
        (None, None, {"a": (1, 2, 3)}),
        (None, None, {"a": ("north", 2)}),
    ],
)
def test_malformed_base_points_are_refused(arguments):
    with pytest.raises(ArgumentError):
        locate(GLOBAL, *arguments)


def test_names_stay_in_order():
    points = locate(GLOBAL, None, None, {"nino34": (0.1, -140), "iceland": (65, -20)})
    assert points.names == ("nino34", "iceland")
    assert not points.single
    assert locate(GLOBAL, 1, 2, None).single


@pytest.mark.parametrize("given", [(0, -140), "nino34", [(0, -140)]])
def test_base_points_that_are_no_mapping_are_refused(given: object) -> None:
    with pytest.raises(ArgumentError, match="base_points must be a mapping of names to places"):
        locate(Grid.regular(5.0), None, None, given)


@pytest.mark.parametrize(
    ("place", "right"),
    [((-140, 0), (0, -140)), ((0, 900), None), ((91, 0), (0, 91)), ((0, float("nan")), None), ((1e308, 1e308), None)],
)
def test_what_is_no_place_on_earth_is_refused(place, right):
    latitude, longitude = right or (0, -140)
    for arguments, fix in (
        ((*place, None), f"latitude={latitude}, longitude={longitude}  # "),
        ((None, None, {"mine": place}), f"base_points={{'mine': ({latitude}, {longitude})}}"),
    ):
        with pytest.raises(ArgumentError, match="no place on Earth") as caught:
            locate(GLOBAL, *arguments)
        assert caught.value.fix.startswith(fix)
        assert ("latitude comes first" in caught.value.fix) is (right is not None)


def test_a_place_outside_a_region_is_told_the_region():
    with pytest.raises(ArgumentError) as caught:
        locate(REGIONAL, -10, 100, None)
    assert caught.value.fix == "a place with latitude from -21 to 1 and longitude from 269 to 299"
