"""Pictures against baselines that were looked at; and proof that the comparison sees what it must see.

New baselines: ``pytest tests/plot/test_images.py --mpl-generate-path=tests/plot/baseline``. Look at each before it is
committed.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.testing.compare import compare_images

from xfaconv.grid import Grid
from xfaconv.plot import (
    plot_attention,
    plot_attribution,
    plot_component_maps,
    plot_correlation,
    plot_embedding,
    plot_hidden,
    plot_importance,
    plot_regimes,
    plot_teleconnection,
    plot_teleconnectivity,
)

BASELINE = Path(__file__).parent / "baseline"
# Root mean square of 0..255. The proofs below show what it catches.
TOLERANCE = 2.0
DPI = 80
same_layout = pytest.mark.skipif(
    mpl.__version_info__ < (3, 11),
    reason="the baselines are drawn with matplotlib 3.11; older ones place axes and texts some pixels off",
)


def compared(function):
    compare = pytest.mark.mpl_image_compare(
        baseline_dir="baseline", tolerance=TOLERANCE, style="default", backend="agg", savefig_kwargs={"dpi": DPI}
    )
    return same_layout(compare(function))


def test_pictures_are_compared(pytestconfig):
    """Without ``--mpl`` the tests below would draw and compare nothing."""
    options = pytestconfig.option
    assert options.mpl or options.mpl_generate_path, 'put "--mpl" into addopts of [tool.pytest.ini_options]'


def attention_figure(attention, **options):
    return plot_attention(
        attention, base_point={"nino34": (0, -140)}, great_circles=1, figsize=(3.5, 2.4), **options
    ).figure


@compared
def test_attention(make_attention):
    return attention_figure(make_attention())


@compared
def test_attention_of_two_phases(make_attention):
    phases = xr.concat([make_attention(far=190.0), make_attention(far=250.0)], "phase").assign_coords(
        phase=["El Niño", "La Niña"]
    )
    return plot_attention(phases, base_point={"nino34": (0, -140)}, col="phase", figsize=(7, 2.8)).fig


@compared
def test_attention_difference_with_stippling(make_attention):
    difference = make_attention(far=190.0).mean("time") - make_attention(far=250.0).mean("time")
    grid = Grid.regular(5.0)
    strong = abs(difference / (grid.area / grid.area.sum())) > 1
    return plot_attention(
        difference, base_point=(0, -140), stippling=strong, kind="contourf", figsize=(3.5, 2.4), title="A minus B"
    ).figure


@compared
def test_teleconnection_of_a_cap(make_wave):
    cap = make_wave().sel(lat=slice(20, 90)).assign_attrs(long_name="correlation")
    return plot_correlation(cap, base_point=(65, -18), stippling=cap > 0.3, figsize=(3.2, 3.6)).figure


@compared
def test_teleconnection_of_a_region(make_wave):
    grid = Grid(tuple(np.arange(30, 66, 3.0)), tuple(np.arange(-30, 31, 3.0)))
    return plot_correlation(make_wave(grid, number=5), borders=True, figsize=(3.5, 3.4)).figure


@compared
def test_hidden(make_wave):
    hidden = xr.concat([make_wave(number=n) for n in range(1, 5)], "channel").assign_coords(channel=range(1, 5))
    return plot_hidden(hidden.rename("hidden"), figsize=(5, 3.6)).fig


@compared
def test_importance(make_record):
    return plot_importance(make_record(count=9), figsize=(6, 2.6))[0].axes.figure


@compared
def test_importance_as_rows(make_record):
    return plot_importance(make_record(), kind="heatmap", figsize=(6, 2.2)).figure


@compared
def test_embedding_with_an_index(make_record):
    embedding = make_record(count=12, dim="embedding", shares=False).isel(time=np.r_[0:60, 70:120])
    index = np.sin(np.arange(120) / 9)
    series = xr.DataArray(
        index, {"time": make_record()["time"]}, ("time",), attrs={"long_name": "Niño 3.4", "units": "K"}
    )
    return plot_embedding(embedding, index=series.reset_coords(drop=True), figsize=(6, 3.4)).figure


@compared
def test_embedding_as_lines(make_record):
    return plot_embedding(make_record(dim="embedding", shares=False), kind="line", figsize=(5, 2.6))[0].axes.figure


@compared
def test_regimes(make_wave):
    time = np.arange("2001-01-01", "2003-01-01", dtype="M8[D]").astype("M8[ns]")
    regimes = xr.DataArray((np.arange(time.size) // 10) % 3, {"time": time}, ("time",))
    maps = xr.concat([make_wave(number=k).sel(lat=slice(20, 90)) for k in (1, 2, 3)], "regime")
    return plot_regimes(regimes, maps.assign_coords(regime=range(3)), figsize=(7, 3)).fig


@compared
def test_regime_calendar():
    time = np.arange("2001-01-01", "2007-01-01", dtype="M8[D]").astype("M8[ns]")
    regimes = xr.DataArray((np.arange(time.size) // 11) % 4, {"time": time}, ("time",))
    return plot_regimes(regimes.where(regimes.time.dt.month.isin([11, 12, 1, 2, 3]), -1), figsize=(4.5, 2.6)).figure


@compared
def test_attribution(make_wave):
    """Two variables and two months are summed and averaged; the hidden area lies across the date line."""
    wave = make_wave()
    scale = xr.DataArray([[1.0, 0.5], [3.0, 1.5]], dims=("time", "variable"))
    time = np.array(["2016-01-01", "2016-02-01"], dtype="M8[ns]")
    parts = (scale * wave).astype("f4").assign_coords(time=time, variable=["sst", "z500"])
    hidden = (wave.lat > 20) & (wave.lon > 140) & (wave.lon < 250)
    target = hidden & (wave.lat > 30) & (wave.lat < 60) & (wave.lon > 170) & (wave.lon < 220)
    attrs = {"target_variable": "z500", "target_area": "the North Pacific", "units": "m", "lead": 0}
    found = xr.Dataset(
        {
            "attribution": parts.where(~hidden, 0).assign_attrs(attrs),
            "value": ("time", [-40.0, -60.0]),
            "observed": ("time", [-80.0, -90.0]),
        },
        {"hidden": hidden, "target": target},
    )
    return plot_attribution(found, figsize=(4.5, 3)).figure


@compared
def test_attribution_by_variable_of_a_place(make_wave):
    """Panels by variable; the target is one cell, in a region."""
    grid = Grid(tuple(np.arange(20, 71, 2.5)), tuple(np.arange(-60, 31, 2.5)))
    variables = xr.DataArray([1.0, -2.0], {"variable": ["msl", "t2m"]}, ("variable",))
    attrs = {"target_variable": "msl", "units": "hPa", "lead": 1, "base_latitude": 50.0, "base_longitude": -10.0}
    parts = (variables * make_wave(grid, number=5)).assign_attrs(attrs)
    return plot_attribution(parts, col="variable", figsize=(6.5, 3)).fig


@compared
def test_teleconnectivity(make_wave):
    """Network and linear answer, with dots where one explains significantly more."""
    wave = make_wave()
    both = xr.concat([0.5 + 0.5 * wave, 0.4 - 0.5 * wave], "prediction").assign_coords(prediction=["network", "linear"])
    better = both.isel(prediction=0, drop=True) - both.isel(prediction=1, drop=True)
    found = xr.Dataset(
        {
            "explained_variance": both.assign_attrs(width=60.0, variable="z500"),
            "difference": better,
            "significant": (abs(better) > 0.7).assign_attrs(alpha=0.05),
        }
    )
    return plot_teleconnectivity(found, figsize=(7, 2.8)).fig


@compared
def test_component_maps(make_wave):
    """One variable in its units."""
    maps = xr.concat([make_wave(number=n) for n in (1, 2, 3)], "embedding").assign_coords(embedding=[7, 2, 5])
    maps = xr.concat([maps, 30 * maps], "variable").assign_coords(variable=["sst", "z500"])
    maps = maps.transpose("embedding", "variable", ...).assign_coords(units=("variable", ["K", "m"]))
    maps = maps.assign_coords(spread=(("variable", "lat", "lon"), np.ones(maps.shape[1:]) * [[[1.0]], [[30.0]]]))
    maps = maps.rename("component_maps").assign_attrs(long_name="anomaly per standard deviation of the component")
    return plot_component_maps(maps, variable="z500", figsize=(7, 2.6)).fig


@compared
def test_component_maps_of_two_units(make_wave):
    """Variables of two units share a colour bar in standard deviations."""
    maps = xr.concat([make_wave(number=2), 30 * make_wave(number=2)], "variable").expand_dims(embedding=[7])
    maps = maps.assign_coords(variable=["sst", "z500"], units=("variable", ["K", "m"]))
    maps = maps.assign_coords(spread=(("variable", "lat", "lon"), np.ones(maps.shape[1:]) * [[[1.0]], [[30.0]]]))
    return plot_component_maps(maps.rename("component_maps"), components=[7], figsize=(6, 2.6)).fig


@compared
def test_whole_teleconnection(make_teleconnection):
    """All five parts, with the mean and the range of three models."""
    return plot_teleconnection(make_teleconnection(models=3), title="A teleconnection")


def difference(figure, name, tmp_path):
    """What the comparison says: None where the picture passes."""
    actual = tmp_path / "actual.png"
    with plt.style.context("default", after_reset=True):
        figure.savefig(actual, dpi=DPI)
    expected = tmp_path / "expected.png"
    expected.write_bytes((BASELINE / f"{name}.png").read_bytes())
    return compare_images(str(expected), str(actual), tol=TOLERANCE)


def without(figure, gid):
    for ax in figure.axes:
        for artist in list(ax.get_children()):
            if artist.get_gid() == gid:
                artist.remove()
    return figure


@same_layout
def test_proof_the_unbroken_picture_passes(make_attention, tmp_path):
    assert difference(attention_figure(make_attention()), "test_attention", tmp_path) is None


def test_proof_a_missing_coastline_is_caught(make_attention, tmp_path):
    broken = attention_figure(make_attention(), coastlines=False)
    assert difference(broken, "test_attention", tmp_path) is not None


@pytest.mark.parametrize("shift", [-1, 1, 2, 36])
def test_proof_a_shift_in_longitude_is_caught(make_attention, tmp_path, shift):
    attention = make_attention()
    broken = attention_figure(attention.roll(lon=shift, roll_coords=False))
    assert difference(broken, "test_attention", tmp_path) is not None


def test_proof_a_flip_in_latitude_is_caught(make_attention, tmp_path):
    attention = make_attention()
    broken = attention_figure(attention.copy(data=attention.values[:, ::-1]))
    assert difference(broken, "test_attention", tmp_path) is not None


@pytest.mark.parametrize("gid", ["base point", "great circle"])
def test_proof_a_missing_mark_is_caught(make_attention, tmp_path, gid):
    broken = without(attention_figure(make_attention()), gid)
    assert difference(broken, "test_attention", tmp_path) is not None


def test_proof_coastlines_drawn_a_little_off_are_caught(make_attention, tmp_path, monkeypatch):
    import shapely.affinity

    from xfaconv.plot import coastlines

    moved = tuple(shapely.affinity.translate(shape, xoff=3.0) for shape in coastlines.geometries("coastline"))
    monkeypatch.setattr(coastlines, "geometries", lambda layer, resolution="110m": moved)
    assert difference(attention_figure(make_attention()), "test_attention", tmp_path) is not None
