"""One definition of the shared arguments: shown by every figure, used by a figure from outside the package."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import QuadMesh
from xarray.plot import FacetGrid

import xfaconv
from xfaconv.errors import ArgumentError
from xfaconv.plot import MapStyle, Style, arrange, draw_map, figure

# A figure of several axes does not share the arguments of the others.
FIGURES = [name for name in xfaconv.plot.__all__ if name.startswith("plot_") and name != "plot_teleconnection"]
MAPS = {"plot_attention", "plot_hidden", "plot_regimes", "plot_correlation"}
# As they were when every figure wrote its signature out.
XARRAYS_CONTRACT = {
    *("ax", "figsize", "size", "aspect", "row", "col", "col_wrap", "cmap", "center", "robust", "levels"),
    *("vmin", "vmax", "norm", "add_colorbar", "cbar_kwargs", "subplot_kws", "title"),
}
OF_MAPS = {"kind", "projection", "extent", "stippling", "coastlines", "borders"}
DEFAULTS = {
    "plot_attention": {"robust": True},
    "plot_embedding": {"robust": True},
    "plot_hidden": {"robust": True},
    "plot_correlation": {"center": 0.0},
    "plot_attribution": {"robust": True, "center": 0.0, "cmap": "RdBu_r"},
    "plot_component_maps": {"robust": True, "center": 0.0},
    "plot_teleconnectivity": {"vmin": 0.0, "center": False},
}


def documented(text):
    """Names in the section of parameters, one by one."""
    section = re.search(r"Parameters\n-+\n(.*?)\n\n[A-Z]\w+\n---", text, re.DOTALL).group(1)
    heads = [line for line in section.splitlines() if line and not line.startswith(" ")]
    return [name.strip(" *") for head in heads for name in head.partition(" : ")[0].split(",")]


@pytest.mark.parametrize("name", FIGURES)
def test_signature_and_documentation_show_every_argument_once(name):
    function = getattr(xfaconv.plot, name)
    parameters = inspect.signature(function).parameters
    shared = XARRAYS_CONTRACT | (OF_MAPS if name in MAPS else set())
    assert shared <= set(parameters)
    assert all(parameters[one].kind is inspect.Parameter.KEYWORD_ONLY for one in shared)
    names = documented(inspect.getdoc(function))
    assert sorted(names) == sorted(parameters)
    style = MapStyle() if name in MAPS else Style()
    for one in shared - {"kind"}:
        assert parameters[one].default == DEFAULTS.get(name, {}).get(one, getattr(style, one))


def test_what_a_figure_documents_itself_is_not_documented_by_the_others():
    text = inspect.getdoc(xfaconv.plot_correlation)
    assert "the coordinate `significant`" in text
    assert "robust : bool, default False" in text
    assert "robust : bool, default True\n" in inspect.getdoc(xfaconv.plot_hidden)


STYLE = MapStyle(cmap="Greens", robust=True)


@figure(STYLE)
def plot_snow(snow, *, deep=0.3, **options):
    """Draw where snow is deep.

    Parameters
    ----------
    snow : DataArray (..., latitude, longitude) [m]
        Depth.
    deep : float, default 0.3
        Dots where it is deeper.
    """
    field, period, style = arrange(snow, STYLE.updated(options))
    return draw_map(field, replace(style, stippling=field > deep, title=style.title or f"Snow {period}".strip()))


def test_a_figure_from_outside_the_package_has_all_of_it(make_wave):
    parameters = inspect.signature(plot_snow).parameters
    assert list(parameters)[:2] == ["snow", "deep"]
    assert {*XARRAYS_CONTRACT, *OF_MAPS} <= set(parameters)
    assert (parameters["cmap"].default, parameters["robust"].default) == ("Greens", True)
    assert "cmap : str or Colormap, default 'Greens'" in plot_snow.__doc__
    snow = abs(make_wave())
    artist = plot_snow(snow, projection="Robinson", vmax=0.8, alpha=0.5)
    assert isinstance(artist, QuadMesh)
    assert isinstance(artist.axes, GeoAxes)
    assert (artist.get_cmap().name, artist.get_clim()[1], artist.get_alpha()) == ("Greens", 0.8, 0.5)
    assert artist.axes.get_title() == "Snow"
    dots = next(found for found in artist.axes.get_children() if found.get_gid() == "stippling")
    assert len(dots.get_offsets()) > 20
    assert isinstance(plot_snow(xr.concat([snow, snow], "member").assign_coords(member=[1, 2])), FacetGrid)
    with pytest.raises(ArgumentError, match="extent"):
        plot_snow(snow, extent=(0, 10))


def test_a_figure_without_a_section_of_parameters_gets_one():
    @figure(Style())
    def plain(data, **options):
        """Draw."""

    @figure(Style())
    def silent(data, **options):
        pass

    assert "Parameters\n----------\ntitle : str, optional\n    Above" in plain.__doc__
    assert silent.__doc__ is None
    assert "cmap" in inspect.signature(silent).parameters


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"row": "head", "col": "head"}, "row and col"),
        ({"vmin": 2.0, "vmax": 1.0}, "vmin=2, vmax=1"),
        ({"vmin": np.nan}, "vmin"),
        ({"levels": [2, 1]}, "levels"),
        ({"center": True}, "center"),
    ],
)
def test_arguments_that_would_draw_a_wrong_picture_are_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        Style().updated(options)


def test_an_updated_style_keeps_the_defaults_and_hands_the_rest_on():
    style = MapStyle(robust=True).updated({"cmap": "viridis", "alpha": 0.5, "extra": 1})
    assert (style.robust, style.cmap, style.extra) == (True, "viridis", {"alpha": 0.5, "extra": 1})
    assert MapStyle().extra == {}
    assert {each.name for each in fields(MapStyle)} == XARRAYS_CONTRACT | OF_MAPS | {"extra"}


def test_an_empty_current_figure_is_taken_unless_a_size_is_asked_for(make_record):
    current = plt.figure(figsize=(3, 3))
    assert Style(size=2.0).new_figure(4, 2, "constrained") is not current
    plt.figure(current)
    assert Style().new_figure(4, 2, "constrained") is current
    plt.close("all")
    plt.figure(figsize=(3, 3))
    artist = xfaconv.plot_embedding(make_record(dim="embedding", shares=False), figsize=(6, 2))
    assert artist.figure.get_size_inches().tolist() == [6, 2]
