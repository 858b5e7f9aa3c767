"""Projections: by name, chosen for the domain, and framed to show it."""

from __future__ import annotations

import numpy as np
import pytest
from cartopy import crs as ccrs
from matplotlib.figure import Figure

from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.plot import projections


def box(south, north, west, east, step=5.0):
    return Grid(tuple(np.arange(south, north + 1e-6, step)), tuple(np.arange(west, east + 1e-6, step)))


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (Grid.regular(5.0), ccrs.Robinson),
        (Grid.regular(2.5, pole_points=True), ccrs.Robinson),
        (box(20, 90, 0, 355), ccrs.NorthPolarStereo),
        (box(-90, -20, 0, 355), ccrs.SouthPolarStereo),
        (box(-30, 30, 0, 355), ccrs.PlateCarree),
        (box(30, 60, -20, 15), ccrs.LambertConformal),
        (box(-55, -30, 280, 310), ccrs.LambertConformal),
        (box(-20, 5, -85, -65), ccrs.PlateCarree),
        (box(-20, 60, 140, 250), ccrs.PlateCarree),
    ],
)
def test_projection_suits_the_domain(grid, expected):
    centre = projections.central_longitude(grid, None)
    assert type(projections.resolve(None, grid, centre, None)) is expected


def test_extent_chooses_as_a_region_does():
    chosen = projections.choose(Grid.regular(5.0), 180.0, (-20.0, 15.0, 30.0, 60.0))
    assert isinstance(chosen, ccrs.LambertConformal)
    assert chosen.proj4_params["lon_0"] == pytest.approx(-2.5)


@pytest.mark.parametrize("name", ["Robinson", "robinson", "PlateCarree", "Mollweide", "NorthPolarStereo", "EqualEarth"])
def test_projection_by_name(name):
    found = projections.resolve(name, Grid.regular(5.0), 180.0, None)
    assert type(found).__name__.lower() == name.lower()


def test_projection_given_as_a_crs_is_taken_as_it_is():
    crs = ccrs.Mollweide(central_longitude=33)
    assert projections.resolve(crs, Grid.regular(5.0), 180.0, None) is crs


@pytest.mark.parametrize("wrong", ["Robbinson", 3, "Projection", "CRS", ccrs.Geodetic()])
def test_unknown_projection_says_what_is_known(wrong):
    with pytest.raises(ArgumentError, match="Robinson"):
        projections.resolve(wrong, Grid.regular(5.0), 180.0, None)


@pytest.mark.parametrize(("longitude", "expected"), [(-140, 180), (220, 180), (80, 0), (-20, 0), (340, 0), (179, 180)])
def test_base_point_lies_well_inside_the_map(longitude, expected):
    assert projections.central_longitude(Grid.regular(5.0), longitude) == expected


def test_without_base_point_the_map_is_cut_where_the_data_are():
    assert projections.central_longitude(Grid.regular(5.0), None) == 180
    west_first = Grid(Grid.regular(5.0).latitude, tuple(np.arange(-180, 180, 5.0)))
    assert projections.central_longitude(west_first, None) == 0


@pytest.mark.parametrize(
    "grid",
    [
        box(30, 60, -20, 15),
        box(-55, -30, 280, 310),
        box(-20, 60, 140, 250),
        box(-20, 5, -85, -65),
        box(-30, 30, 0, 355),
    ],
)
def test_every_corner_of_the_domain_is_inside_the_frame(grid):
    projection = projections.resolve(None, grid, projections.central_longitude(grid, None), None)
    ax = Figure().add_subplot(projection=projection)
    projections.frame(ax, grid, None)
    (left, right), (bottom, top) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
    for latitude in (grid.latitude[0], grid.latitude[-1]):
        for longitude in (grid.longitude[0], grid.longitude[-1]):
            x, y = projection.transform_point(longitude, latitude, ccrs.PlateCarree())
            assert left <= x <= right
            assert bottom <= y <= top


def test_frame_of_a_region_is_no_wider_than_the_region():
    grid = box(-20, 5, -85, -65)
    ax = Figure().add_subplot(projection=ccrs.PlateCarree())
    projections.frame(ax, grid, None)
    np.testing.assert_allclose(ax.get_extent(), (-87.5, -62.5, -22.5, 7.5))


def test_region_across_the_date_line_is_in_one_piece():
    grid = box(-20, 60, 140, 250)
    projection = projections.resolve(None, grid, projections.central_longitude(grid, None), None)
    ax = Figure().add_subplot(projection=projection)
    projections.frame(ax, grid, None)
    assert np.ptp(ax.get_xlim()) == pytest.approx(115)


@pytest.mark.parametrize("rounding", [0.0, 1e-7, -1e-7, 3e-5, -3e-5, 9e-4, -9e-4])
@pytest.mark.parametrize("centre", [0.0, 180.0, -77.5])
def test_a_part_that_begins_at_the_left_edge_of_the_map_stays_on_it(rounding, centre):
    ax = Figure().add_subplot(projection=ccrs.PlateCarree(central_longitude=centre))
    west = centre - 180 + rounding
    projections.frame(ax, Grid.regular(5.0), (west, west + 40, -20.0, 20.0))
    np.testing.assert_allclose(ax.get_xlim(), (-180, -140), atol=1e-3)


@pytest.mark.parametrize("rounding", [-1e-5, -1e-9, 0.0, 1e-9, 1e-5])
def test_rounding_of_longitudes_chooses_no_other_map(rounding):
    ending_at_the_date_line = Grid((-5.0, 0.0, 5.0), tuple(np.arange(142.5, 180, 5) + rounding))
    chosen = projections.choose(
        ending_at_the_date_line, projections.central_longitude(ending_at_the_date_line, None), None
    )
    assert chosen.proj4_params.get("lon_0", chosen.proj4_params.get("pm", 0.0)) == 0.0
    circle = projections.choose(Grid.regular(5.0), 180.0, (-180.0, 180.0 + rounding, -90.0, 90.0))
    assert isinstance(circle, ccrs.Robinson)
