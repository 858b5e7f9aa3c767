"""What every map keeps: xarray's contract, coastlines without a network, no seam, each cell at its place."""

from __future__ import annotations

import io

import dask
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from cartopy import crs as ccrs
from cartopy.mpl.geoaxes import GeoAxes
from cartopy.mpl.gridliner import Gridliner
from matplotlib.collections import QuadMesh
from matplotlib.colors import BoundaryNorm, LogNorm
from xarray.plot import FacetGrid

from xfaconv.analysis import correlation_map
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.plot import plot_attention, plot_correlation
from xfaconv.plot.maps import draw_map
from xfaconv.plot.style import MISSING, MapStyle

GREY = round(float(MISSING) * 255)


def artists(ax, gid):
    return [artist for artist in ax.get_children() if artist.get_gid() == gid]


def bare(ax):
    """Leave the field alone on the map."""
    for artist in [*artists(ax, "coastline"), *ax.lines, *ax.texts]:
        artist.remove()
    for artist in list(ax.get_children()):
        if type(artist).__name__ == "Gridliner":
            artist.remove()
    ax.spines["geo"].set_visible(False)
    ax.set_title("")


def hot(grid, latitude, longitude):
    """One cell of 1 in a field of 0."""
    values = np.zeros(grid.shape)
    row = int(np.abs(np.array(grid.latitude) - latitude).argmin())
    column = int(np.abs((np.array(grid.longitude) - longitude + 180) % 360 - 180).argmin())
    values[row, column] = 1
    coords = {"lat": list(grid.latitude), "lon": list(grid.longitude)}
    return xr.DataArray(values, coords, ("lat", "lon")), grid.latitude[row], grid.longitude[column]


def test_returns_the_artist_on_a_map_with_coastlines(make_wave):
    artist = plot_correlation(make_wave())
    assert isinstance(artist, QuadMesh)
    assert isinstance(artist.axes, GeoAxes)
    assert isinstance(artist.axes.projection, ccrs.Robinson)
    assert len(artists(artist.axes, "coastline")) == 1


def test_coastlines_reach_the_picture(make_wave, pixels):
    """Dark ink appears where a coast is, and only with coastlines."""
    shown = plot_correlation(
        make_wave() * 0, figsize=(6, 4), add_colorbar=False, projection="PlateCarree", cmap="gray_r"
    )
    ax = shown.axes
    picture = pixels(ax.figure)
    x, y = ax.transData.transform(ax.projection.transform_point(-81.3, -4.7, ccrs.PlateCarree()))
    corner = picture[picture.shape[0] - int(y) - 4 : picture.shape[0] - int(y) + 4, int(x) - 4 : int(x) + 4]
    artists(ax, "coastline")[0].remove()
    without = pixels(ax.figure)[picture.shape[0] - int(y) - 4 : picture.shape[0] - int(y) + 4, int(x) - 4 : int(x) + 4]
    assert corner.min() < 100
    assert without.min() > 120


def test_no_coastlines_where_none_are_wanted(make_wave):
    assert artists(plot_correlation(make_wave(), coastlines=False).axes, "coastline") == []


def test_borders_on_request(make_wave):
    assert len(artists(plot_correlation(make_wave(), borders=True).axes, "borders")) == 1


def test_facets_return_xarrays_grid_with_one_colour_bar(make_wave):
    waves = xr.concat(
        [make_wave(number=n) for n in (1, 2)], xr.DataArray(["El Niño", "La Niña"], dims="phase", name="phase")
    )
    grid = plot_correlation(waves, col="phase")
    assert isinstance(grid, FacetGrid)
    assert [ax.get_title() for ax in grid.axs.flat] == ["El Niño", "La Niña"]
    assert all(isinstance(ax, GeoAxes) and artists(ax, "coastline") for ax in grid.axs.flat)
    assert len(grid.fig.axes) == 3
    meshes = [next(a for a in ax.get_children() if isinstance(a, QuadMesh)) for ax in grid.axs.flat]
    assert meshes[0].get_clim() == meshes[1].get_clim()


def test_row_and_col_label_both_sides(make_wave):
    waves = xr.concat([make_wave(number=n) for n in range(1, 5)], "k").assign_coords(k=range(4))
    waves = (
        waves.coarsen(k=2)
        .construct(k=("lag", "season"))
        .drop_vars("k")
        .assign_coords(lag=[0, 3], season=["DJF", "JJA"])
    )
    grid = plot_correlation(waves, row="lag", col="season")
    assert grid.axs.shape == (2, 2)
    assert [ax.get_title() for ax in grid.axs[0]] == ["DJF", "JJA"]
    assert [ax.get_title() for ax in grid.axs[1]] == ["", ""]
    assert [ax.texts[0].get_text() for ax in grid.axs[:, 0]] == ["lag 0", "lag 3"]


def test_panels_wrap_and_empty_ones_go(make_wave):
    waves = xr.concat([make_wave(number=n) for n in range(1, 6)], "head").assign_coords(head=range(5))
    grid = plot_correlation(waves)
    assert grid.axs.shape == (2, 3)
    assert sum(isinstance(ax, GeoAxes) for ax in grid.fig.axes) == 5
    assert plot_correlation(waves, col_wrap=5).axs.shape == (1, 5)


def test_ax_is_used_and_nothing_else_is_made(make_wave):
    figure, axes = plt.subplots(1, 2, subplot_kw={"projection": ccrs.Mollweide()})
    artist = plot_correlation(make_wave(), ax=axes[1], add_colorbar=False)
    assert artist.axes is axes[1]
    assert plt.get_fignums() == [figure.number]
    assert len(figure.axes) == 2


def test_colour_bar_takes_its_arguments(make_wave):
    figure = plt.figure()
    ax = figure.add_subplot(211, projection=ccrs.Robinson())
    cax = figure.add_subplot(212)
    artist = plot_correlation(make_wave(), ax=ax, cbar_kwargs={"cax": cax, "label": "r"})
    assert artist.colorbar.ax is cax
    assert cax.get_xlabel() == "r"
    vertical = plot_correlation(make_wave(), cbar_kwargs={"orientation": "vertical"})
    assert vertical.colorbar.ax.get_ylabel() == "correlation"


def test_an_empty_current_figure_is_used_as_xarray_does(make_wave):
    figure = plt.figure(figsize=(3, 3))
    assert plot_correlation(make_wave()).figure is figure
    assert plot_correlation(make_wave()).figure is not figure


def test_figsize_size_and_aspect(make_wave):
    assert plot_correlation(make_wave(), figsize=(3.5, 2.5)).figure.get_size_inches().tolist() == [3.5, 2.5]
    assert plot_correlation(make_wave(), size=3, aspect=2).figure.get_figwidth() == 6


def test_colours_follow_xarrays_arguments(make_wave):
    wave = make_wave()
    assert plot_correlation(wave, cmap="PuOr").get_cmap().name == "PuOr"
    assert plot_correlation(wave, vmin=-2, vmax=2).get_clim() == (-2, 2)
    low, high = plot_correlation(wave).get_clim()
    assert low == -high
    assert plot_correlation(wave, center=False).get_clim() == (float(wave.min()), float(wave.max()))
    assert isinstance(plot_correlation(wave, levels=[-1, -0.5, 0.5, 1]).norm, BoundaryNorm)
    norm = LogNorm(0.1, 1)
    assert plot_correlation(abs(wave) + 0.1, norm=norm).norm is norm
    assert plot_correlation(wave, alpha=0.5).get_alpha() == 0.5


def test_robust_leaves_out_the_extremes_and_the_colour_bar_says_so(make_wave):
    wave = make_wave()
    wave[10, 10] = 50
    assert plot_correlation(wave).get_clim()[1] == pytest.approx(50)
    robust = plot_correlation(wave, robust=True)
    assert robust.get_clim()[1] < 1.1
    assert robust.colorbar.extend in ("max", "both")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"col": "nowhere"}, "nowhere"),
        ({"kind": "imshow"}, "contourf"),
        ({"projection": "Flat"}, "Robinson"),
        ({"coastlines": "5m"}, "110m"),
        ({"base_point": (100, 0)}, "latitude"),
        ({"base_point": 3}, "latitude"),
    ],
)
def test_wrong_arguments_say_what_is_right(make_wave, options, words):
    with pytest.raises(ArgumentError, match=words):
        plot_correlation(make_wave(), **options)


def test_an_ax_that_is_no_map_is_refused_with_the_fix(make_wave):
    with pytest.raises(ArgumentError, match="GeoAxes"):
        plot_correlation(make_wave(), ax=plt.figure().add_subplot())
    with pytest.raises(ArgumentError, match="projection"):
        plot_correlation(make_wave(), ax=plt.figure().add_subplot(projection=ccrs.Robinson()), projection="Robinson")


def test_two_dimensions_too_many_are_named(make_wave):
    with pytest.raises(ArgumentError, match="member") as caught:
        plot_correlation(make_wave().expand_dims(member=2, head=3))
    assert "isel" in str(caught.value)


def test_too_many_maps_are_refused(make_wave):
    with pytest.raises(ArgumentError, match="50 maps"):
        plot_correlation(make_wave().expand_dims(lag=range(50)))


GRIDS = {
    "0..360": Grid.regular(10.0),
    "-180..180": Grid(Grid.regular(10.0).latitude, tuple(np.arange(-180, 180, 10.0))),
    "pole points": Grid.regular(10.0, pole_points=True),
    "shifted": Grid(Grid.regular(10.0).latitude, tuple(np.arange(-175, 185, 10.0))),
    "uneven": Grid((-80.0, -45.0, -10.0, 5.0, 50.0, 85.0), (3.0, 40.0, 100.0, 155.0, 210.0, 275.0, 330.0)),
}


SHIFTED = ccrs.Robinson(central_longitude=-77.7)
SEAMS = [
    ("0..360", p) for p in ("Robinson", "PlateCarree", "Mollweide", "NorthPolarStereo", "SouthPolarStereo", SHIFTED)
]
SEAMS += [(name, p) for name in list(GRIDS)[1:] for p in ("Mollweide", "SouthPolarStereo")]


@pytest.mark.parametrize("kind", ["pcolormesh", "contourf"])
@pytest.mark.parametrize(("name", "projection"), SEAMS, ids=str)
def test_no_seam_and_no_hole_at_the_poles(name, projection, kind, pixels):
    """A field of one value fills the map: no pixel inside has the grey of missing values."""
    grid = GRIDS[name]
    field = xr.DataArray(np.ones(grid.shape), {"lat": list(grid.latitude), "lon": list(grid.longitude)}, ("lat", "lon"))
    artist = plot_correlation(
        field,
        projection=projection,
        kind=kind,
        center=False,
        cmap="Blues",
        vmin=-1,
        vmax=1.5,
        figsize=(5, 3),
        add_colorbar=False,
    )
    ax = artist.axes
    bare(ax)
    picture = pixels(ax.figure)
    grey = (np.abs(picture - GREY) <= 2).all(axis=-1)
    blue = (picture[..., 2] - picture[..., 0]) > 40
    assert blue.sum() > 0.3 * picture.shape[0] * picture.shape[1]
    assert grey.sum() == 0


def test_the_seam_test_sees_a_seam(pixels):
    """Without the last column the same count finds the gap."""
    grid = Grid(GRIDS["0..360"].latitude, GRIDS["0..360"].longitude[:-3])
    field = xr.DataArray(np.ones(grid.shape), {"lat": list(grid.latitude), "lon": list(grid.longitude)}, ("lat", "lon"))
    artist = plot_correlation(
        field, projection="Robinson", center=False, cmap="Blues", figsize=(5, 3), extent=(0, 360, -90, 90)
    )
    bare(artist.axes)
    assert (np.abs(pixels(artist.figure) - GREY) <= 2).all(axis=-1).sum() > 500


@pytest.mark.parametrize(
    "projection", ["Robinson", "PlateCarree", "Mollweide", ccrs.Robinson(central_longitude=-60)], ids=str
)
@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("0..360", (45, -100)),
        ("-180..180", (-65, 45)),
        ("descending", (5, 95)),
        ("rolled", (-25, 305)),
        ("repeated", (25, 205)),
    ],
)
def test_a_cell_is_drawn_where_it_is(name, projection, where, pixels):
    """Oracle: the centroid of its pixels against cartopy's own projection of the point."""
    grid = GRIDS["-180..180"] if name == "-180..180" else GRIDS["0..360"]
    field, latitude, longitude = hot(grid, *where)
    if name == "descending":
        field = field.isel(lat=slice(None, None, -1))
    if name == "rolled":
        field = field.roll(lon=7, roll_coords=True)
    if name == "repeated":
        last = field.isel(lon=[0]).assign_coords(lon=[360.0])
        field = xr.concat([field, last], "lon")
    artist = plot_correlation(
        field, projection=projection, center=False, cmap="Greys", vmin=0, vmax=1, figsize=(8, 5), add_colorbar=False
    )
    ax = artist.axes
    bare(ax)
    ax.set_facecolor("white")
    picture = pixels(ax.figure)
    rows, columns = np.nonzero(picture.max(axis=-1) < 60)
    assert rows.size > 20
    x, y = ax.transData.transform(ax.projection.transform_point(longitude, latitude, ccrs.PlateCarree()))
    assert columns.mean() == pytest.approx(x, abs=4)
    assert picture.shape[0] - rows.mean() == pytest.approx(y, abs=4)


def test_missing_values_are_grey(make_wave, pixels):
    wave = make_wave().where(lambda f: f.lat > 0)
    artist = plot_correlation(wave, projection="PlateCarree", figsize=(5, 3), add_colorbar=False)
    bare(artist.axes)
    grey = (np.abs(pixels(artist.figure) - GREY) <= 1).all(axis=-1)
    assert grey.mean() > 0.25


def test_the_same_picture_for_every_orientation(make_wave, pixels):
    wave = make_wave()
    options = {"projection": ccrs.Robinson(central_longitude=10), "figsize": (4, 2.5)}
    expected = pixels(plot_correlation(wave, **options).figure)
    for other in (
        wave.isel(lat=slice(None, None, -1)),
        wave.transpose("lon", "lat"),
        wave.assign_coords(lon=(wave.lon + 180) % 360 - 180).sortby("lon"),
        wave.roll(lon=11, roll_coords=True),
    ):
        assert np.array_equal(pixels(plot_correlation(other, **options).figure), expected)


def test_nothing_is_shown_and_the_input_stays(make_attention, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *a, **k: pytest.fail("plt.show was called"))
    attention = make_attention()
    before = attention.copy(deep=True)
    plot_attention(attention, col="time")
    xr.testing.assert_identical(attention, before)


def test_lazy_data_are_computed_once(make_attention):
    computes = []

    def scheduler(graph, keys, **options):
        computes.append(keys)
        return dask.get(graph, keys, **options)

    attention = make_attention().chunk(time=1)
    with dask.config.set(scheduler=scheduler):
        plot_attention(attention)
    assert len(computes) == 1


@pytest.mark.parametrize("kind", ["pcolormesh", "contourf"])
@pytest.mark.parametrize(("suffix", "mark"), [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_vector_output_has_lines_and_no_image(make_wave, suffix, mark, kind):
    artist = plot_correlation(make_wave(), figsize=(3.5, 2.5), kind=kind)
    file = io.BytesIO()
    artist.figure.savefig(file, format=suffix)
    text = file.getvalue()
    assert text.startswith(mark)
    if suffix == "svg":
        assert b'id="coastline"' in text
        assert text.count(b"<path") > 100
        field = text.split(b'id="coastline"')[0]
        # The colour bar is an image in matplotlib's own way; the map is not.
        assert b"<image" not in field


def test_a_fine_field_becomes_an_image_so_that_the_file_stays_small():
    grid = Grid.regular(1.0)
    values = np.random.default_rng(0).normal(size=grid.shape)
    field = xr.DataArray(values, {"lat": list(grid.latitude), "lon": list(grid.longitude)}, ("lat", "lon"))
    file = io.BytesIO()
    plot_correlation(field, projection="PlateCarree").figure.savefig(file, format="svg")
    assert len(file.getvalue()) < 2_500_000


def test_no_lasting_change_of_parameters_or_backend(make_attention):
    before = dict(mpl.rcParams), plt.get_backend()
    with mpl.rc_context({"font.size": 6.0, "axes.facecolor": "yellow"}):
        inside = dict(mpl.rcParams)
        plot_attention(make_attention(), col="time")
        assert dict(mpl.rcParams) == inside
    assert (dict(mpl.rcParams), plt.get_backend()) == before


def test_axes_cannot_be_given_for_panels(make_wave):
    ax = plt.axes(projection=ccrs.Robinson())
    fields = xr.concat([make_wave()] * 2, "member").assign_coords(member=[1, 2])
    with pytest.raises(ArgumentError, match="ax cannot be combined with row or col"):
        plot_correlation(fields, ax=ax, col="member")


@pytest.mark.parametrize("panels", [False, True])
def test_an_empty_title_is_no_title(make_wave, panels):
    fields = xr.concat([make_wave()] * 2, "member").assign_coords(member=[1, 2]) if panels else make_wave()
    found = plot_correlation(fields, title="")
    figure = found.fig if panels else found.axes.figure
    assert figure.get_suptitle() == ""
    assert [ax.get_title() for ax in figure.axes if isinstance(ax, GeoAxes)] == (
        ["member 1", "member 2"] if panels else [""]
    )


def test_contours_take_levels_or_a_norm_as_they_are(make_wave):
    levels = [-1.0, -0.25, 0.5, 1.0]
    np.testing.assert_array_equal(plot_correlation(make_wave(), kind="contourf", levels=levels).levels, levels)
    norm = BoundaryNorm([-1, 0, 1], 256)
    assert plot_correlation(make_wave(), kind="contourf", norm=norm).norm is norm


@pytest.mark.parametrize(("extent", "width"), [((-60, 60, -30, 30), 120), ((150, -150, -30, 30), 60)])
def test_a_part_is_shown_on_other_projections_too(make_wave, extent, width):
    ax = plot_correlation(make_wave(), projection="Robinson", extent=extent).axes
    centre = extent[0] + width / 2
    inside = ax.projection.transform_point(centre, 0.0, ccrs.PlateCarree())
    outside = ax.projection.transform_point(centre + 0.7 * width, 0.0, ccrs.PlateCarree())
    low, high = ax.get_xlim()
    assert low < inside[0] < high
    assert not low < outside[0] < high


@pytest.mark.parametrize("projection", [None, "PlateCarree", "Mercator"])
@pytest.mark.parametrize("kind", ["pcolormesh", "contourf"])
def test_a_region_across_greenwich_is_one_piece_with_labels_as_in_the_data(projection, kind):
    """Whatever the order and convention of the file: 0..20 before 340..358, or after it, or -20..20."""
    east, west, latitude = np.arange(0, 21, 2.0), np.arange(340, 360, 2.0), np.arange(31, 60, 2.0)

    def region(longitude):
        around = (longitude + 180) % 360 - 180
        values = np.cos(np.deg2rad(latitude))[:, None] * np.exp(-(((around + 3) / 8) ** 2))
        return xr.DataArray(values, {"lat": latitude, "lon": longitude}, ("lat", "lon"))

    drawn = {}
    for name, longitude in {
        "split": np.r_[east, west],
        "joined": np.r_[west, east],
        "signed": np.r_[west - 360, east],
    }.items():
        field = region(longitude)
        artist = draw_map(field, MapStyle(projection=projection, kind=kind, stippling=field > 0.5))
        figure = artist.axes.figure
        figure.canvas.draw()
        (lines,) = [found for found in artist.axes.get_children() if isinstance(found, Gridliner)]
        labels = [label.get_text() for label in lines.label_artists]
        (dots,) = [found for found in artist.axes.collections if found.get_gid() == "stippling"]
        drawn[name] = artist.axes.get_extent(), np.sort(np.asarray(artist.get_array()).ravel()), len(dots.get_offsets())
        written = "10°W" if name == "signed" else "350°E"
        assert written in labels
        assert not ({"10°W", "350°E"} - {written}) & set(labels)
        if kind == "pcolormesh":
            x = artist.get_coordinates()[..., 0]
            assert (np.diff(x, axis=1) > 0).all()
            assert np.diff(x, axis=1).max() < 1.5 * np.diff(x, axis=1).min()
    for other in ("joined", "signed"):
        np.testing.assert_allclose(drawn["split"][0], drawn[other][0], rtol=1e-6)
        np.testing.assert_allclose(drawn["split"][1], drawn[other][1])
        assert drawn["split"][2] == drawn[other][2]


def test_the_title_says_season_dates_and_what_dots_mean(make_wave):
    tested = make_wave().assign_attrs(
        season="DJF", period="1990-12-01 to 2000-02-01", number_of_steps=30, base_latitude=0.0, base_longitude=220.0
    )
    dots = (tested > 0.5).assign_attrs(long_name="significant at the false discovery rate", alpha=0.05)
    drawn = plot_correlation(tested, stippling=dots)
    (small,) = [text.get_text() for text in drawn.axes.texts if text.get_text()]
    expected = "DJF, 30 steps, 1990-12-01 to 2000-02-01, dots: significant (false discovery rate 5%)"
    assert small.split() == expected.split()
    assert drawn.axes.get_title().endswith("with 0°, 220°E")


def test_maps_of_an_analysis_say_what_they_are_of():
    times = xr.date_range("1990-01-01", periods=120, freq="MS")
    coords = {"time": times, "lat": np.arange(-80.0, 81, 20), "lon": np.arange(0.0, 360, 20)}
    field = xr.DataArray(np.random.default_rng(0).normal(size=(120, 9, 18)), coords, ("time", "lat", "lon"))
    at_place = correlation_map(field, (0, -140), season="DJF")
    drawn = plot_correlation(at_place.correlation, stippling=at_place.significant)
    assert drawn.axes.get_title() == "Pearson correlation with 0°, 220°E"
    (small,) = [text.get_text() for text in drawn.axes.texts if text.get_text()]
    assert small.split() == (
        [
            "DJF,",
            "30",
            "steps,",
            "1990-01-01",
            "to",
            "1999-12-01,",
            "dots:",
            "significant",
            "(false",
            "discovery",
            "rate",
            "5%)",
        ]
    )
    index = field[:, 4, 11].drop_vars(("lat", "lon")).rename("nino34")
    named = correlation_map(field, index).correlation
    assert plot_correlation(named).axes.get_title() == "Pearson correlation with nino34"
