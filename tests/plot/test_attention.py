"""Attention maps: what relative to uniform means, which time and base point they stand for, what is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh

from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid, great_circle_degrees
from xfaconv.plot import plot_attention, relative_to_uniform
from xfaconv.plot.overlays import strongest_places


def kilometres(place, point):
    return float(np.deg2rad(great_circle_degrees(*(np.array(part) for part in place), point)) * 6371)


def gids(ax):
    return [artist.get_gid() for artist in ax.get_children()]


@pytest.mark.parametrize("grid", [Grid.regular(5.625), Grid.regular(2.5, pole_points=True)], ids=["cells", "points"])
def test_attention_in_proportion_to_area_is_one_everywhere(grid):
    """Oracle: the area of a cell by quadrature of cos(latitude), not by the package's formula."""
    edges = np.clip(np.append(np.array(grid.latitude) - grid.resolution[0] / 2, 90.0), -90, 90)
    if grid.latitude[-1] < 90:
        edges[-1] = 90.0
    bands = [np.cos(np.deg2rad(np.linspace(low, high, 201))).mean() * (high - low) for low, high in pairwise(edges)]
    area = np.repeat(np.array(bands)[:, None], grid.shape[1], axis=1)
    attention = xr.DataArray(
        area / area.sum(), {"lat": list(grid.latitude), "lon": list(grid.longitude)}, ("lat", "lon")
    )
    np.testing.assert_allclose(relative_to_uniform(attention).values, 1, rtol=2e-4)


def test_attention_on_a_quarter_of_the_globe_is_four_relative_to_uniform():
    grid = Grid.regular(5.0)
    quarter = np.where(np.array(grid.longitude)[None, :] < 90, grid.area, 0.0)
    attention = xr.DataArray(
        quarter / quarter.sum(), {"lat": list(grid.latitude), "lon": list(grid.longitude)}, ("lat", "lon")
    )
    relative = relative_to_uniform(attention)
    np.testing.assert_allclose(relative.sel(lon=slice(0, 85)), 4, rtol=1e-6)
    np.testing.assert_allclose(relative.sel(lon=slice(90, 360)), 0)
    assert relative.attrs["units"] == "1"
    assert relative.attrs["long_name"] == "attention relative to uniform attention"


def test_orientation_does_not_matter(make_attention):
    def turned(field):
        moved = field.isel(lat=slice(None, None, -1)).roll(lon=20, roll_coords=True)
        return moved.assign_coords(lon=(moved.lon + 180) % 360 - 180).transpose("lon", ..., "lat")

    attention = make_attention()
    # In the user's own order and longitudes.
    xr.testing.assert_allclose(relative_to_uniform(turned(attention)), turned(relative_to_uniform(attention)))


@pytest.mark.parametrize("line", ["latitude circle", "meridian", None])
def test_stripes_through_the_base_point_are_explained(make_attention, line):
    attention = make_attention().isel(time=0) * 0 + 1.0
    if line == "meridian":
        attention = attention.where(attention.lon != 220, 6.0)
    elif line:
        attention = attention.where(attention.lat != 2.5, 6.0)
    area = np.cos(np.deg2rad(attention.lat)) * xr.ones_like(attention.lon)
    attention = attention * area / (attention * area).sum()
    label = plot_attention(attention, base_point=(2.5, 220)).colorbar.ax.get_xlabel()
    assert (f"stripe along its {line}: the layer attends along rows, then along columns" in label) == (line is not None)
    assert ("stripe" in label) == (line is not None)
    assert "stripe" not in plot_attention(attention, base_point={"a": (2.5, 220), "b": (0, 0)}).colorbar.ax.get_xlabel()


def test_a_title_of_ones_own_keeps_base_point_and_dates(make_attention):
    attention = make_attention()
    drawn = plot_attention(attention, base_point={"nino34": (0, -140)}, title="El Niño winters")
    (small,) = [text.get_text() for text in drawn.axes.texts if text.get_text()]
    assert drawn.axes.get_title() == "El Niño winters"
    assert small.startswith("base point nino34 (0°, 140°W), mean of 3 steps")
    assert [text.get_text() for text in plot_attention(attention, title="").axes.texts if text.get_text()] == []
    both = plot_attention(attention, title="mine\nand mine")
    assert [text.get_text() for text in both.axes.texts if text.get_text()] == ["and mine"]
    panels = plot_attention(attention, base_point={"nino34": (0, -140)}, title="nino34, by month", col="time")
    assert panels.fig.get_suptitle() == "nino34, by month"


def test_relative_attention_stays_as_it_is(make_attention):
    once = relative_to_uniform(make_attention())
    xr.testing.assert_identical(relative_to_uniform(once), once)


def test_a_part_of_the_map_is_refused_with_two_ways_out(make_attention):
    part = make_attention().sel(lon=slice(100, 250))
    with pytest.raises(ArgumentError, match="sum to 1") as caught:
        plot_attention(part)
    assert "extent=" in str(caught.value)
    assert "relative=False" in str(caught.value)
    assert isinstance(plot_attention(part, relative=False), QuadMesh)


def test_maps_that_are_missing_at_some_times_are_left_out(make_attention):
    attention = make_attention()
    attention[1] = np.nan
    shown = np.asarray(plot_attention(attention).get_array())
    assert np.isfinite(shown).all()


def test_a_difference_is_drawn_about_zero(make_attention):
    difference = make_attention(far=150.0).mean("time") - make_attention(far=250.0).mean("time")
    artist = plot_attention(difference)
    low, high = artist.get_clim()
    assert low == -high
    assert artist.get_cmap().name == "RdBu_r"


def test_colours_begin_at_zero_and_uniform_is_marked(make_attention):
    artist = plot_attention(make_attention())
    assert artist.get_clim()[0] == 0
    assert artist.colorbar.ax.get_xlabel() == "attention relative to uniform attention"
    assert [list(line.get_xdata()) for line in artist.colorbar.ax.lines] == [[1.0, 1.0]]


def test_title_says_where_and_when(make_attention):
    ax = plot_attention(make_attention(), base_point={"nino34": (0, -140)}).axes
    assert ax.get_title() == "Attention from nino34 (0°, 140°W)"
    assert "mean of 3 steps, Dec 2009 to Feb 2010" in [text.get_text() for text in ax.texts]
    single = plot_attention(make_attention().isel(time=0)).axes
    assert "Dec 2009" in [text.get_text() for text in single.texts]
    assert plot_attention(make_attention(), title="mine").axes.get_title() == "mine"


@pytest.mark.parametrize(
    ("in_time", "said"), [(0.06, True), (0.199, True), (0.2, False), (0.5, False), ("little", False), (None, False)]
)
def test_the_label_says_where_the_maps_of_the_model_hardly_change(make_attention, in_time, said):
    attention = make_attention().assign_attrs({} if in_time is None else {"variance_in_time": in_time})
    for result in (plot_attention(attention), plot_attention(attention, row="season")):
        bar = result.cbar if hasattr(result, "cbar") else result.colorbar
        label = bar.ax.get_xlabel() + bar.ax.get_ylabel()
        assert label.startswith("attention relative to uniform attention")
        assert ("of map variance is temporal" in label) == said
        assert not said or f"\nonly {in_time:.0%} of" in label
    mine = plot_attention(attention, cbar_kwargs={"label": "mine"})
    assert mine.colorbar.ax.get_xlabel() + mine.colorbar.ax.get_ylabel() == "mine"
    assert plot_attention(attention, add_colorbar=False).colorbar is None


def test_the_mean_over_time_is_what_is_drawn(make_attention):
    attention = make_attention(grid=Grid.regular(3.0))
    drawn = np.asarray(plot_attention(attention).get_array())
    np.testing.assert_allclose(drawn.max(), relative_to_uniform(attention).mean("time").max(), rtol=1e-5)


def test_seasons_in_panels(make_attention):
    grid = plot_attention(make_attention(times=12), col="season")
    assert [ax.get_title() for ax in grid.axs.flat] == ["DJF", "MAM", "JJA", "SON"]


def test_times_in_panels_have_dates(make_attention):
    grid = plot_attention(make_attention(), col="time")
    assert [ax.get_title() for ax in grid.axs.flat] == ["Dec 2009", "Jan 2010", "Feb 2010"]


def test_heads_become_panels(make_attention):
    grid = plot_attention(make_attention().expand_dims(head=[1, 2]))
    assert [ax.get_title() for ax in grid.axs.flat] == ["head 1", "head 2"]


def test_base_points_come_from_the_coordinates_each_in_its_panel(make_attention):
    attention = xr.concat([make_attention(), make_attention(base=(45.0, 20.0))], "base_point").assign_coords(
        base_point=["nino34", "europe"],
        base_latitude=("base_point", [0.0, 45.0]),
        base_longitude=("base_point", [220.0, 20.0]),
    )
    grid = plot_attention(attention)
    stars = [[line for line in ax.lines if line.get_gid() == "base point"] for ax in grid.axs.flat]
    assert [len(found) for found in stars] == [1, 1]
    assert [float(found[0].get_xdata()[0]) for found in stars] == [220.0, 20.0]
    single = plot_attention(attention.sel(base_point="europe"))
    assert single.axes.get_title() == "Attention from europe (45°N, 20°E)"
    assert "base point" not in gids(plot_attention(attention.sel(base_point="europe"), base_point=False).axes)


def test_the_map_turns_to_the_base_point(make_attention):
    assert plot_attention(make_attention(), base_point=(50, 10)).axes.projection.proj4_params["lon_0"] == 0
    assert plot_attention(make_attention(), base_point=(0, -140)).axes.projection.proj4_params["lon_0"] == 180


def test_great_circles_go_to_the_far_maximum(make_attention):
    attention = make_attention(times=1, far=190.0)
    lines = [
        line
        for line in plot_attention(attention, base_point=(0, 220), great_circles=1).axes.lines
        if line.get_gid() == "great circle"
    ]
    assert len(lines) == 1
    assert (lines[0].get_xdata()[1], lines[0].get_ydata()[1]) == pytest.approx((190, 50), abs=5)


def test_the_flank_of_the_base_point_is_no_place_of_its_own(make_attention):
    field = relative_to_uniform(make_attention(times=1).isel(time=0))
    places = strongest_places(field, (0.0, 220.0), 3)
    assert kilometres(places[0], (50.0, 190.0)) < 600
    for place in places:
        assert kilometres(place, (0.0, 220.0)) >= 2500


def test_distances_follow_the_haversine_of_known_cities():
    """Paris to New York is 5,837 km on a sphere of 6,371 km."""
    assert kilometres((40.7128, -74.006), (48.8566, 2.3522)) == pytest.approx(5837, abs=5)
