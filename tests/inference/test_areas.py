"""Cells of areas against masks that are made cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from xfaconv.errors import ArgumentError, CoordinateError
from xfaconv.grid import Grid
from xfaconv.inference.areas import find_cells
from xfaconv.names import named_regions

GLOBE = Grid.regular(5.0)
REGION = Grid(tuple(np.arange(20.0, 61.0, 2.0)), tuple(np.arange(-80.0, 20.0, 2.0)))


def distance(place: tuple[float, float], other: tuple[float, float]) -> float:
    """Great circle by the cosine [km]."""
    (a, b), (c, d) = np.deg2rad(place), np.deg2rad(other)
    cosine = np.sin(a) * np.sin(c) + np.cos(a) * np.cos(c) * np.cos(b - d)
    return float(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))) * 111.195)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([GLOBE, REGION]),
    st.integers(-80, 70),
    st.integers(1, 60),
    st.integers(-180, 360),
    st.integers(1, 359),
)
def test_a_box_has_the_cells_whose_centres_it_holds(grid: Grid, south: int, height: int, west: int, width: int) -> None:
    north, east = min(south + height, 90), west + width
    east = east - 360 if east > 360 else east
    inside = [
        [south <= latitude <= north and (longitude - west) % 360 <= width for longitude in grid.longitude]
        for latitude in grid.latitude
    ]
    if not np.any(inside):
        with pytest.raises(ArgumentError, match="holds no cell"):
            find_cells(grid, (south, north, west, east))
        return
    found = find_cells(grid, (south, north, west, east))
    np.testing.assert_array_equal(found.mask, inside)
    area = np.where(inside, np.cos(np.deg2rad(grid.latitude))[:, None], 0)
    np.testing.assert_allclose(found.weights, area / area.sum(), atol=2e-3 * found.weights.max())
    assert found.weights.sum() == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(st.integers(-90, 90), st.integers(-180, 360), st.integers(300, 9000))
def test_a_circle_has_the_cells_within_its_radius(latitude: int, longitude: int, radius: int) -> None:
    inside = [[distance((latitude, longitude), (i, j)) <= radius for j in GLOBE.longitude] for i in GLOBE.latitude]
    near = [
        [abs(distance((latitude, longitude), (i, j)) - radius) < 1 for j in GLOBE.longitude] for i in GLOBE.latitude
    ]
    if not np.any(inside):
        return
    found = find_cells(GLOBE, {"place": (latitude, longitude), "radius": radius}).mask
    assert not np.any((found != inside) & ~np.array(near))


def test_a_sector_crosses_the_end_of_the_axis() -> None:
    found = find_cells(GLOBE, {"sector": (350, 10)})
    assert sorted(np.asarray(GLOBE.longitude)[found.mask.any(axis=0)]) == [0, 5, 10, 350, 355]
    assert found.mask.all(axis=0).sum() == 5
    np.testing.assert_array_equal(found.mask, find_cells(GLOBE, (-90, 90, -10, 10)).mask)


def test_the_whole_globe_is_360_degrees_wide_and_a_meridian_has_no_width() -> None:
    assert find_cells(GLOBE, (-90, 90, 0, 360)).mask.all()
    assert find_cells(GLOBE, {"sector": (-180, 180)}).mask.all()
    assert find_cells(GLOBE, (-90, 90, 0, 0)).mask.any(axis=0).sum() == 1
    with pytest.raises(ArgumentError, match="holds no cell"):
        find_cells(GLOBE, (-90, 90, 1, 1))


@pytest.mark.parametrize("name", named_regions())
def test_a_name_stands_for_its_box(name: str) -> None:
    np.testing.assert_array_equal(find_cells(GLOBE, name).weights, find_cells(GLOBE, named_regions()[name]).weights)


def test_several_areas_are_their_union_each_cell_counted_once() -> None:
    boxes = [(0, 30, 0, 60), (20, 50, 40, 90)]
    found = find_cells(GLOBE, boxes)
    one, other = (find_cells(GLOBE, box).mask for box in boxes)
    np.testing.assert_array_equal(found.mask, one | other)
    assert (one & other).any()
    area = np.where(found.mask, GLOBE.area, 0)
    np.testing.assert_allclose(found.weights, area / area.sum())


def test_a_place_is_its_nearest_cell() -> None:
    found = find_cells(GLOBE, (47.0, -160.0))
    row, column = (int(index[0]) for index in np.nonzero(found.weights))
    assert (GLOBE.latitude[row], GLOBE.longitude[column] % 360) == (47.5, 200)


def mask_on(latitude: np.ndarray, longitude: np.ndarray, dtype: type = bool) -> xr.DataArray:
    values = (latitude[:, None] > 10) & (longitude[None] % 360 < 90)
    return xr.DataArray(values.astype(dtype), {"lat": latitude, "lon": longitude}, ("lat", "lon"), name="half")


@pytest.mark.parametrize("turn", [0, 180])
@pytest.mark.parametrize("ascending", [True, False])
def test_a_mask_in_any_orientation(turn: int, ascending: bool) -> None:
    latitude = np.asarray(GLOBE.latitude)
    longitude = np.sort((np.asarray(GLOBE.longitude) + turn) % 360 - turn)
    latitude = np.sort(latitude) if ascending else np.sort(latitude)[::-1]
    mask = mask_on(latitude, longitude)
    expected = (np.asarray(GLOBE.latitude)[:, None] > 10) & (np.asarray(GLOBE.longitude)[None] % 360 < 90)
    for given_ in (mask, mask.T, mask.astype(float)):
        np.testing.assert_array_equal(find_cells(GLOBE, given_).mask, expected)


def test_a_mask_of_a_part_of_the_globe_or_on_a_finer_grid() -> None:
    fine = mask_on(np.arange(-89.5, 90), np.arange(0.5, 360))
    expected = find_cells(GLOBE, (10, 90, 0, 90)).mask  # 90 E lies between a marked cell and one that is not
    np.testing.assert_array_equal(find_cells(GLOBE, fine).mask, expected)
    part = fine.sel(lat=slice(20, 40), lon=slice(0, 30))
    np.testing.assert_array_equal(find_cells(GLOBE, part).mask, find_cells(GLOBE, (20, 40, 0, 30)).mask)


def test_weights_are_kept_and_multiplied_by_the_area() -> None:
    weights = mask_on(np.asarray(GLOBE.latitude), np.asarray(GLOBE.longitude), float)
    weights = weights - 2 * weights.roll(lat=-5)
    found = find_cells(GLOBE, weights).weights
    expected = weights.values * GLOBE.area
    np.testing.assert_allclose(found, expected / expected.sum())


@pytest.mark.parametrize(
    "area",
    [
        None, 3, "nowhere", (1, 2, 3), (10, -10, 0, 90), {"sector": (1, 2, 3)}, {"place": (0, 0)}, [],
        {"place": (0, 0), "radius": -1}, (95, 0), float("nan"), np.zeros((2, 2)), {"place": (0, 0), "radius": 1.0},
    ],
)  # fmt: skip
def test_what_is_no_area_is_refused(area: object) -> None:
    with pytest.raises(ArgumentError) as caught:
        find_cells(GLOBE, area)
    assert caught.value.fix


def test_a_mask_without_coordinates_is_refused() -> None:
    with pytest.raises(CoordinateError, match="no map"):
        find_cells(GLOBE, xr.DataArray(np.ones((3, 4)), dims=("a", "b")))
