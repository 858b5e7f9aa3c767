"""Coordinates are found, put in order and cut open without losing or moving a cell."""

from __future__ import annotations

from itertools import pairwise

import cftime
import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xfaconv.analysis.axes import horizontal_axes, time_axis
from xfaconv.errors import CoordinateError, GridError
from xfaconv.grid import Grid
from xfaconv.names import find_dimension
from xfaconv.plot.coordinates import as_cells, as_points, canonical, horizontal_dimensions


def field(latitude, longitude, names=("lat", "lon"), attrs=({}, {})):
    values = np.arange(len(latitude) * len(longitude), dtype=float).reshape(len(latitude), len(longitude))
    coords = {
        name: (name, np.asarray(degrees, dtype=float), attr)
        for name, degrees, attr in zip(names, (latitude, longitude), attrs, strict=True)
    }
    return xr.DataArray(values, coords, names)


@pytest.mark.parametrize("names", [("lat", "lon"), ("latitude", "longitude"), ("nav_lat", "nav_lon"), ("Lat", "Lon")])
def test_horizontal_dimensions_by_name(names):
    assert horizontal_dimensions(field([0, 1], [0, 1], names)) == names


@pytest.mark.parametrize("key", ["standard_name", "axis", "units"])
def test_horizontal_dimensions_by_attribute_whatever_the_name(key):
    values = {
        "standard_name": ("latitude", "longitude"),
        "axis": ("Y", "X"),
        "units": ("degrees_north", "degrees_east"),
    }
    named = field([0, 1], [0, 1], ("j", "i"), ({key: values[key][0]}, {key: values[key][1]}))
    assert horizontal_dimensions(named) == ("j", "i")
    # What a figure understands an analysis understands too.
    assert tuple(horizontal_axes(named)) == ("j", "i")


def test_attributes_win_over_names():
    swapped = field([0, 1], [0, 1], ("lon", "lat"), ({"standard_name": "latitude"}, {"standard_name": "longitude"}))
    assert horizontal_dimensions(swapped) == ("lon", "lat")


def test_time_is_found_by_its_dates_of_any_calendar():
    dates = [cftime.Datetime360Day(2000, 2, 30), cftime.Datetime360Day(2000, 3, 30)]
    dated = xr.DataArray([0, 1], {"when": dates}, ("when",))
    assert find_dimension(dated, "time") == time_axis(dated) == "when"
    assert find_dimension(xr.DataArray([0, 1], {"member": [1, 2]}, ("member",)), "time") is None


def test_missing_coordinates_are_named():
    with pytest.raises(CoordinateError, match="longitude") as caught:
        horizontal_dimensions(xr.DataArray(np.zeros((2, 2)), {"lat": [0, 1]}, ("lat", "cell"), name="att"))
    assert "'att'" in str(caught.value)
    assert "rename" in str(caught.value)


def test_a_grid_that_is_not_rectilinear_is_refused():
    with pytest.raises(GridError, match="strictly ascending"):
        canonical(field([0, 0], [0, 10]))


def test_a_repeated_meridian_is_drawn_once():
    plain, grid = canonical(field([0, 10], [-180, -90, 0, 90, 180]))
    assert grid.longitude == (-180, -90, 0, 90)
    assert grid.periodic
    assert plain.values[0].tolist() == [0, 1, 2, 3]


def test_names_and_attributes_stay_and_the_input_is_unchanged():
    given_field = field([10, 0], [350, 0, 10], attrs=({"units": "degrees_north"}, {"units": "degrees_east"}))
    copy = given_field.copy(deep=True)
    plain, _ = canonical(given_field)
    xr.testing.assert_identical(given_field, copy)
    assert plain.lon.attrs == {"units": "degrees_east"}
    assert plain.lon.values.tolist() == [350, 360, 370]


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(4, 24),
    offset=st.floats(0, 30, allow_subnormal=False),
    start=st.integers(0, 23),
    convention=st.sampled_from([0.0, -180.0]),
    descending=st.booleans(),
)
def test_canonical_keeps_every_value_at_its_place(count, offset, start, convention, descending):
    """Oracle: look each cell up by its longitude modulo 360, in whatever order the columns came."""
    degrees = np.roll(np.arange(count) * 360 / count + offset / count, start)
    degrees = convention + np.mod(degrees - convention, 360)
    latitude = [10.0, 0.0, -10.0] if descending else [-10.0, 0.0, 10.0]
    given_field = field(latitude, degrees)
    plain, grid = canonical(given_field)
    assert np.all(np.diff(grid.longitude) > 0)
    assert np.all(np.diff(grid.latitude) > 0)
    for row, north in enumerate(latitude):
        for column, east in enumerate(degrees):
            distance = np.abs((np.asarray(grid.longitude) - east + 180) % 360 - 180)
            found = plain.values[grid.latitude.index(north), distance.argmin()]
            assert found == given_field.values[row, column]


@settings(max_examples=80, deadline=None)
@given(
    count=st.integers(4, 36),
    offset=st.floats(0, 9.99, allow_subnormal=False),
    left=st.floats(-180, 180, allow_subnormal=False),
)
@example(count=5, offset=1e-5, left=180.0)  # what was drawn: an edge 0.0001 degrees east of the left edge of the map
@example(count=4, offset=1e-5, left=45.0)
@example(count=4, offset=10 - 1e-5, left=45.0)
@example(count=36, offset=1e-5, left=175.0)
@example(count=18, offset=5 + 1e-5, left=180.0)
@example(count=18, offset=5 - 1e-5, left=180.0)
def test_cells_cover_the_map_once_and_keep_their_place(count, offset, left):
    step = 360 / count
    grid = Grid((-45.0, 45.0), tuple(offset * step / 10 + np.arange(count) * step))
    plain = field(grid.latitude, grid.longitude)
    cells = as_cells(plain, grid, left)
    intervals = cells.lon.values
    assert intervals[0].left == pytest.approx(left, abs=1e-3)
    assert intervals[-1].right == pytest.approx(left + 360, abs=1e-3)
    for first, second in pairwise(intervals):
        assert first.right == second.left
        assert first.length > 0
    for interval, value in zip(intervals, cells.values[0], strict=True):
        middle = (interval.left + interval.right) / 2
        distance = np.abs((np.asarray(grid.longitude) - middle + 180) % 360 - 180)
        assert distance.min() <= step / 2 + 1e-6
        assert value == plain.values[0, distance.argmin()]


OFFSETS = st.one_of(
    st.just(0.0),
    st.builds(lambda sign, power: sign * 10**power, st.sampled_from([-1.0, 1.0]), st.floats(-7, -3)),
)


def near_seam(count, offset, left_step, left_offset, half, single):
    """Longitudes that are the spacing's multiples but for an offset, and a left edge near one of them or an edge."""
    step = 360 / count
    degrees = np.arange(count) * step + offset
    if single:
        degrees = degrees.astype(np.float32).astype(float)
    return step, tuple(degrees), (left_step + 0.5 * half) * step - 180 + left_offset


@settings(max_examples=300, deadline=None)
@given(
    count=st.integers(4, 360),
    offset=OFFSETS,
    left_step=st.integers(0, 20),
    left_offset=OFFSETS,
    half=st.booleans(),
    single=st.booleans(),
    convention=st.sampled_from([0.0, -180.0]),
)
def test_rounding_at_the_seam_neither_turns_nor_loses_a_cell(
    count, offset, left_step, left_offset, half, single, convention
):
    """Oracle: each column of its own value covers its share of the circle, in the place of its longitude."""
    step, degrees, left = near_seam(count, offset, left_step, left_offset, half, single)
    stored = convention + np.mod(np.array(degrees) - convention, 360)
    plain, grid = canonical(field([-45.0, 45.0], stored))
    assert grid.periodic
    assert grid.shape == (2, count)
    cells = as_cells(plain, grid, left)
    intervals = cells.lon.values
    assert intervals[0].left == pytest.approx(left, abs=1e-3)
    assert intervals[-1].right == pytest.approx(left + 360, abs=1e-3)
    covered = np.zeros(count)
    for interval, value in zip(intervals, cells.values[0], strict=True):
        assert interval.length > 0
        covered[int(value)] += interval.length
        apart = np.abs((stored[int(value)] - interval.mid + 180) % 360 - 180)
        assert apart <= step / 2 + 1e-3
    np.testing.assert_allclose(covered, step, atol=3e-3)
    assert all(first.right == second.left for first, second in pairwise(intervals))

    points = as_points(plain, grid, left)
    east = points.lon.values
    assert np.all(np.diff(east) > 0)
    assert (east[0], east[-1]) == pytest.approx((left, left + 360), abs=1e-3)
    expected = np.interp(east, stored, np.arange(count), period=360)
    np.testing.assert_allclose(points.sel(lat=-45.0).values, expected, atol=3e-3 * count**2 / 360)


@settings(max_examples=100, deadline=None)
@given(count=st.integers(4, 360), offset=OFFSETS, error=OFFSETS, single=st.booleans())
def test_a_meridian_that_is_repeated_to_rounding_is_left_out(count, offset, error, single):
    degrees = np.arange(count + 1) * 360 / count + offset
    degrees[-1] += error * 0.9
    if single:
        degrees = degrees.astype(np.float32)
    assert canonical(field([0.0, 10.0], degrees))[1].shape == (2, count)


def test_longitudes_that_are_no_numbers_are_not_left_out():
    with pytest.raises(GridError, match="ascending"):
        canonical(field([0.0, 10.0], [0.0, 90.0, np.nan, 270.0]))


def test_rows_end_at_the_poles():
    grid = Grid.regular(30.0, pole_points=True)
    rows = as_cells(field(grid.latitude, grid.longitude), grid, -180.0).lat.values
    assert (rows[0].left, rows[-1].right) == (-90, 90)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(6, 40), left=st.floats(-180, 180, allow_subnormal=False))
def test_points_close_the_circle_by_interpolation(count, left):
    """Oracle: numpy's periodic interpolation."""
    degrees = np.arange(count) * 360 / count
    grid = Grid((-45.0, 45.0), tuple(degrees))
    plain = field(grid.latitude, grid.longitude)
    points = as_points(plain, grid, left)
    assert np.all(np.diff(points.lon.values) > 0)
    assert points.lon.values[-1] - points.lon.values[0] == pytest.approx(360, abs=1e-3)
    expected = np.interp(points.lon.values, degrees, plain.values[0], period=360)
    # The finer columns are read along the same lines, the cut at most 1e-4 degrees off.
    np.testing.assert_allclose(points.sel(lat=-45.0).values, expected, atol=1e-3 * count)


def test_points_at_a_pole_have_one_value():
    grid = Grid.regular(30.0)
    points = as_points(field(grid.latitude, grid.longitude), grid, -180.0)
    assert points.lat.values[-1] == 90
    assert np.ptp(points.values[-1]) == 0
    np.testing.assert_allclose(points.values[-1, 0], field(grid.latitude, grid.longitude).values[-1].mean())


def test_a_region_is_not_closed():
    grid = Grid((0.0, 10.0), (100.0, 110.0, 120.0))
    intervals = as_cells(field(grid.latitude, grid.longitude), grid, -180.0).lon.values
    assert (intervals[0].left, intervals[-1].right) == (95, 125)
    assert as_points(field(grid.latitude, grid.longitude), grid, -180.0).lon.values[[0, -1]].tolist() == [95, 125]


def test_large_cells_are_drawn_in_parts_of_one_value():
    grid = Grid((-45.0, 45.0), (0.0, 90.0, 180.0, 270.0))
    cells = as_cells(field(grid.latitude, grid.longitude), grid, -45.0)
    assert max(interval.length for interval in cells.lon.values) <= 6.0001
    assert max(interval.length for interval in cells.lat.values) <= 3.0001
    for interval, value in zip(cells.lon.values, cells.values[0], strict=True):
        assert value == (interval.mid + 45) // 90


def test_points_between_a_value_and_a_missing_one_are_missing():
    grid = Grid((-45.0, 45.0), (0.0, 20.0, 40.0))
    plain = field(grid.latitude, grid.longitude)
    plain[:, 1] = np.nan
    points = as_points(plain, grid, None).sel(lat=-45.0)
    assert points.sel(lon=0.0) == 0
    assert points.sel(lon=40.0) == 2
    assert np.isnan(points.sel(lon=slice(1, 39))).all()
