"""The interactive view: its logic without a browser, and its widget without a display."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from cartopy import crs as ccrs
from matplotlib import pyplot as plt

import xfaconv


@pytest.fixture(scope="module")
def fields():
    return xfaconv.tutorial.open_dataset("amip").isel(time=slice(0, 28)).load()


@pytest.fixture
def explorer(fields):
    yield xfaconv.explore_attention(fields, (0.0, -140.0))
    plt.close("all")


def test_it_shows_what_attention_gives(explorer, fields):
    expected = xfaconv.attention(fields, latitude=65, longitude=-20)
    expected = expected[expected.full_warmup.values].mean("time")
    np.testing.assert_allclose(explorer.move_to(65, -20), expected, rtol=1e-5)
    assert explorer.base_point == (65, -20)


def test_a_place_that_cannot_be_leaves_it_where_it_was(explorer):
    with pytest.raises(xfaconv.errors.ArgumentError):
        explorer.move_to(100, 0)
    assert explorer.base_point == (0.0, -140.0)


def test_a_click_on_the_map_is_that_place(explorer):
    ax = explorer.draw().axes
    x, y = ax.projection.transform_point(30.0, 50.0, ccrs.PlateCarree())
    assert explorer.clicked(SimpleNamespace(inaxes=ax, xdata=x, ydata=y))
    np.testing.assert_allclose(explorer.base_point, (50, 30), atol=1e-3)


@pytest.mark.parametrize("beside", ["no axes", "the corner of the map", "the colour bar"])
def test_a_click_beside_the_map_changes_nothing(explorer, beside):
    ax = explorer.draw().axes
    bar = next(other for other in ax.figure.axes if other is not ax)
    event = {
        "no axes": SimpleNamespace(inaxes=None, xdata=None, ydata=None),
        "the corner of the map": SimpleNamespace(inaxes=ax, xdata=ax.get_xlim()[1], ydata=ax.get_ylim()[1]),
        "the colour bar": SimpleNamespace(inaxes=bar, xdata=0.5, ydata=0.5),
    }[beside]
    before = explorer.maps
    assert not explorer.clicked(event)
    assert explorer.base_point == (0.0, -140.0)
    assert explorer.maps is before


def test_sliders_move_the_base_point_and_draw_again(explorer):
    pytest.importorskip("ipywidgets")
    sliders = explorer.widget.children[0].children
    assert [slider.value for slider in sliders] == [0.0, -140.0]
    sliders[0].value = 40.0
    assert explorer.base_point == (40.0, -140.0)
    assert explorer.widget is explorer.widget


def test_without_ipywidgets_the_error_says_what_to_install(explorer, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    with pytest.raises(xfaconv.errors.DependencyError, match="interactive"):
        _ = explorer.widget
