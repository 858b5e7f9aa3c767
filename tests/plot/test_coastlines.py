"""Coastlines are there without a network, and finer ones fail with a reason where there is none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from cartopy import crs as ccrs
from matplotlib.figure import Figure

import xfaconv.plot.coastlines as module
from xfaconv.errors import ArgumentError, DownloadError
from xfaconv.plot.coastlines import add_layer, geometries


@pytest.mark.parametrize(("layer", "kind"), [("coastline", 3), ("land", 5), ("borders", 3)])
def test_embedded_shapes_are_all_read(layer, kind):
    """Oracle: the shapefile's own index, read with struct."""
    stem = {"coastline": "coastline", "land": "land", "borders": "admin_0_boundary_lines_land"}[layer]
    folder = Path(module.__file__).parent / "naturalearth"
    index = (folder / f"ne_110m_{stem}.shx").read_bytes()
    assert struct.unpack("<i", index[32:36])[0] == kind
    assert len(geometries(layer)) == (len(index) - 100) // 8


def test_coastlines_pass_where_they_should():
    """Gibraltar has a coast within 100 km, the middle of the Pacific has none within 500 km."""
    import shapely

    coast = shapely.union_all(geometries("coastline"))
    assert coast.distance(shapely.Point(-5.6, 36.0)) < 1.0
    assert coast.distance(shapely.Point(-140.0, 0.0)) > 5.0


def test_layers_are_named_and_drawn():
    ax = Figure().add_subplot(projection=ccrs.Robinson())
    names = [add_layer(ax, layer).get_gid() for layer in ("coastline", "land", "borders")]
    assert names == ["coastline", "land", "borders"]
    ax.figure.canvas.draw()


def test_finer_coastlines_without_a_network_say_what_to_do(tmp_path, monkeypatch):
    import cartopy

    monkeypatch.setitem(cartopy.config, "data_dir", tmp_path)
    monkeypatch.setitem(cartopy.config, "pre_existing_data_dir", tmp_path)
    with pytest.raises(DownloadError, match="110m"):
        geometries("coastline", "50m")


def test_unknown_resolution():
    with pytest.raises(ArgumentError, match="110m"):
        geometries("coastline", "1m")
