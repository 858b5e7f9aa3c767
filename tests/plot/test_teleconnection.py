"""The figure of a teleconnection shows what the Dataset holds: maps, series, sums and scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh

import xfaconv
from xfaconv.errors import ArgumentError

TITLES = ["(a)", "(b)", "(c)", "(d)", "(e)"]


@pytest.fixture
def found(make_teleconnection) -> xr.Dataset:
    """A teleconnection of known numbers."""
    return make_teleconnection()


def axes_of(figure) -> dict[str, object]:
    named = {ax.get_title(loc="left")[:3]: ax for ax in figure.axes}
    return {name: named[name] for name in TITLES}


def test_the_maps_are_the_sum_over_variables_and_the_strongest_variable(found):
    axes = axes_of(xfaconv.plot_teleconnection(found))
    total = found.attribution.sel(phase="difference").sum("variable")
    for ax, field in ((axes["(a)"], total), (axes["(b)"], found.correlation_map.sel(variable="z500", lag=0))):
        (mesh,) = (artist for artist in ax.get_children() if isinstance(artist, QuadMesh))
        drawn = np.unique(np.ma.compressed(mesh.get_array()).round(6))  # cells may be drawn in halves
        np.testing.assert_allclose(drawn, np.unique(field.values.round(6)), atol=2e-6)
        low, high = mesh.get_clim()
        assert low == -high  # zero is white
        gids = [artist.get_gid() for artist in ax.get_children()]
        assert {"hidden", "target", "stippling"} <= set(gids)
    assert "high x minus low x" in axes["(a)"].get_title(loc="left").replace("\n", " ")


def test_dots_lie_where_it_is_significant(found):
    ax = axes_of(xfaconv.plot_teleconnection(found))["(a)"]
    (dots,) = (artist for artist in ax.get_children() if artist.get_gid() == "stippling")
    for longitude, latitude in np.asarray(dots.get_offsets()):
        assert found.significant.sel(lat=latitude, lon=longitude % 360)
    one = axes_of(xfaconv.plot_teleconnection(found, phase="high x"))["(a)"]
    assert not [artist for artist in one.get_children() if artist.get_gid() == "stippling"]


def test_the_series_are_those_of_the_dataset_with_breaks_between_seasons(found):
    ax = axes_of(xfaconv.plot_teleconnection(found))["(c)"]
    lines = {line.get_label(): line for line in ax.lines}
    wanted = {"observed": found.observed, "network": found.predicted[0], "linear answer": found.predicted[1]}
    for name, series in wanted.items():
        drawn = np.asarray(lines[name].get_ydata(), dtype=float)
        np.testing.assert_allclose(drawn[np.isfinite(drawn)], series)
        assert np.isnan(drawn).sum() == 9  # between ten winters
    assert "not used in training" in [text.get_text() for text in ax.get_legend().get_texts()]
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert shown[0] == "2001-01"
    assert len(set(shown)) == len(shown)


def test_bars_and_intervals_are_the_sums(found):
    axes = axes_of(xfaconv.plot_teleconnection(found))
    assert [bar.get_width() for bar in axes["(d)"].patches] == [4.0, -6.0]
    assert [label.get_text() for label in axes["(d)"].get_yticklabels()] == ["tropical Pacific", "elsewhere"]
    points = [float(line.get_xdata()[0]) for line in axes["(e)"].lines if line.get_marker() == "o"]
    assert points == [0.7, 0.8, 0.2]
    assert axes["(e)"].get_xlim()[0] < -0.3


def test_other_phases_variables_lags_and_the_sentence(found, tmp_path: Path):
    figure = xfaconv.plot_teleconnection(found, phase="low x", correlated="sst", lag=1, title="Mine")
    axes = axes_of(figure)
    assert "low x" in axes["(a)"].get_title(loc="left")
    assert "Correlation of sst, 1 steps before" in axes["(b)"].get_title(loc="left")
    assert [bar.get_width() for bar in axes["(d)"].patches] == [0.0, 0.0]
    assert figure.get_suptitle() == "Mine"
    assert "On 8 unseen steps it is known." in figure.get_supxlabel().replace("\n", " ")
    figure.savefig(tmp_path / "drawn.png")


def test_several_models_are_drawn_by_their_mean_and_range(make_teleconnection):
    found = make_teleconnection(models=3)
    axes = axes_of(xfaconv.plot_teleconnection(found))
    sums = found.by_region_of_models.sel(phase="difference")
    for name, values in (("(d)", sums), ("(e)", found.correlation_of_models.expand_dims("region", 1))):
        (points,) = (line for line in axes[name].lines if line.get_gid() == "models")
        np.testing.assert_allclose(points.get_xdata(), values.mean("model"))
        (whiskers,) = (bars.lines[2][0] for bars in axes[name].containers if hasattr(bars, "has_xerr"))
        ends = np.array([segment[:, 0] for segment in whiskers.get_segments()])
        np.testing.assert_allclose(ends, np.stack([values.min("model"), values.max("model")], axis=1))
        assert "mean and range of 3 models" in [text.get_text() for text in axes[name].get_legend().get_texts()]
        assert axes[name].get_xlim()[0] < values.min() < values.max() < axes[name].get_xlim()[1] + 1e-9


@pytest.mark.parametrize("models", [0, 3])
def test_nothing_is_cut_off(make_teleconnection, models):
    """Titles and labels lie inside of the figure and not upon each other."""
    found = make_teleconnection(models=models)
    figure = xfaconv.plot_teleconnection(found.assign_attrs(target_area="30 to 60 N, 170 to 220 E " * 3))
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [ax.get_tightbbox(renderer) for ax in figure.axes]
    width, height = figure.canvas.get_width_height()
    assert all(box.x0 >= -2 and box.x1 <= width + 2 and box.y0 >= -2 and box.y1 <= height + 2 for box in boxes)


def test_a_region_without_hidden_cells_is_drawn(found):
    part = found.isel(lat=slice(10, 25), lon=slice(5, 30)).drop_vars("hidden")
    axes = axes_of(xfaconv.plot_teleconnection(part))
    gids = [artist.get_gid() for artist in axes["(a)"].get_children()]
    assert "hidden" not in gids


@pytest.mark.parametrize(
    ("options", "fix"),
    [({"phase": "up"}, "phase='difference'"), ({"correlated": "u"}, "correlated='z500'"), ({"lag": 9}, "lag=1")],
)
def test_what_is_not_there_is_refused_with_what_is(found, options, fix):
    with pytest.raises(ArgumentError, match="is not in the data") as caught:
        xfaconv.plot_teleconnection(found, **options)
    assert caught.value.fix == fix
    with pytest.raises(ArgumentError, match="this is no teleconnection"):
        xfaconv.plot_teleconnection(found[["attribution"]])


def test_datasets_are_drawn_as_their_functions_give_them():
    """Each figure takes the whole result of its function, and draws the same as from the array in it."""
    rng = np.random.default_rng(0)
    time = xr.date_range("1990-01-01", periods=60, freq="MS")
    coords = {"time": time, "lat": np.arange(-80, 81, 20.0), "lon": np.arange(0, 360, 30.0)}
    field = xr.DataArray(rng.normal(size=(60, 9, 12)), coords, ("time", "lat", "lon"), name="z500")
    found = xfaconv.analysis.correlation_map(field, (0, 30))
    drawn = xfaconv.plot_correlation(found)
    plain = xfaconv.plot_correlation(found.set_coords("significant")["correlation"])
    np.testing.assert_array_equal(drawn.get_array(), plain.get_array())
    label = xr.DataArray(1 + np.arange(60) % 3, {"time": time}, ("time",), name="label")
    assert xfaconv.plot_regimes(label.to_dataset()) is not None
