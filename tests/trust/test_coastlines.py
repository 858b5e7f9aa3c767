"""Finer coastlines come from a server that may misbehave: whole, or not at all and with a reason."""

from __future__ import annotations

import io
import threading
import zipfile
from pathlib import Path

import pytest
from cartopy.io import shapereader
from pyproj import CRS

import xfaconv.plot.coastlines as module
from tests.local_server import local_server
from xfaconv.errors import DownloadError
from xfaconv.plot.coastlines import geometries


def _archive(name: str) -> bytes:
    folder = Path(module.__file__).parent / "naturalearth"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for ending in ("shp", "shx", "dbf"):
            archive.write(folder / f"ne_110m_coastline.{ending}", f"ne_50m_{name}.{ending}")
        # Some versions of cartopy ask for them as well.
        archive.writestr(f"ne_50m_{name}.prj", CRS("EPSG:4326").to_wkt())
        archive.writestr(f"ne_50m_{name}.cpg", "UTF-8")
    return stream.getvalue()


@pytest.fixture
def finer(tmp_path, monkeypatch):
    """A server and cartopy's folder, empty."""
    import cartopy

    with local_server() as server:
        known = shapereader.NEShpDownloader.default_downloader()
        known.url_template = server.address + "/{name}.zip"
        monkeypatch.setitem(cartopy.config["downloaders"], ("shapefiles", "natural_earth"), known)
        monkeypatch.setitem(cartopy.config, "data_dir", tmp_path)
        monkeypatch.setitem(cartopy.config, "pre_existing_data_dir", tmp_path)
        geometries.cache_clear()
        yield server
    geometries.cache_clear()


def test_finer_coastlines_are_fetched_once(finer, tmp_path):
    finer.serve("/coastline.zip", _archive("coastline"))
    assert len(geometries("coastline", "50m")) == len(geometries("coastline"))
    geometries.cache_clear()
    geometries("coastline", "50m")
    assert finer.requests == ["/coastline.zip"]
    kept = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert {".shp", ".shx", ".dbf"} <= kept <= {".shp", ".shx", ".dbf", ".prj", ".cpg"}


@pytest.mark.parametrize("behaviour", ["page", "truncated", "another", "error", "stall", "short"])
def test_a_server_of_finer_coastlines_that_misbehaves(behaviour, finer, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.2)
    whole = _archive("coastline")
    content = {"page": b"<html>", "truncated": whole[: len(whole) // 2], "another": _archive("land")}.get(
        behaviour, whole
    )
    stall = threading.Event()
    options = {
        "error": {"status": 500},
        "stall": {"stall": stall},
        "short": {"announced_length": len(whole) + 5},
    }.get(behaviour, {})
    finer.serve("/coastline.zip", content, **options)
    with pytest.raises(DownloadError, match="could not be downloaded"):
        geometries("coastline", "50m")
    stall.set()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
