"""Coastlines, land and borders from the embedded Natural Earth data: no download unless a finer scale is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen
from zipfile import BadZipFile

from cartopy import config
from cartopy import crs as ccrs
from cartopy.io import Downloader, shapereader

from xfaconv.arguments import check_choice
from xfaconv.errors import DownloadError
from xfaconv.plot.style import COASTLINE

if TYPE_CHECKING:
    from cartopy.mpl.feature_artist import FeatureArtist
    from cartopy.mpl.geoaxes import GeoAxes

_TIMEOUT_SECONDS = 30
_FOLDER = Path(__file__).parent / "naturalearth"
_LAYERS = {
    "coastline": ("physical", "coastline"),
    "land": ("physical", "land"),
    "borders": ("cultural", "admin_0_boundary_lines_land"),
}


@cache
def geometries(layer: str, resolution: str = "110m") -> tuple[Any, ...]:
    """Read the shapes of a layer, once per process.

    Parameters
    ----------
    layer : {"coastline", "land", "borders"}
        What to read.
    resolution : {"110m", "50m", "10m"}
        110m is embedded; the others come from cartopy's own data folder, downloaded by it where absent.

    Returns
    -------
    tuple of shapely geometries

    Raises
    ------
    ArgumentError
        If the resolution is unknown.
    DownloadError
        If a finer scale is not on this machine and cannot be downloaded.

    Examples
    --------
    >>> len(geometries("coastline")) > 100
    True
    """
    check_choice("coastlines", resolution, ("110m", "50m", "10m"))
    category, name = _LAYERS[layer]
    if resolution == "110m":
        path = str(_FOLDER / f"ne_110m_{name}.shp")
    else:
        try:
            path = str(_finer(resolution, category, name))
        except (OSError, BadZipFile, HTTPException, KeyError) as problem:
            raise DownloadError(
                f"the {resolution} {layer} of Natural Earth is not on this machine and could not be downloaded",
                found=f"{type(problem).__name__}: {problem}",
                fix='coastlines="110m"  # embedded, needs no internet connection',
            ) from problem
    return tuple(shapereader.BasicReader(path).geometries())


class _Patient(shapereader.NEShpDownloader):  # type: ignore[misc]
    """cartopy's download of Natural Earth, with a time limit, and without a part of a layer left behind on failure."""

    def _urlopen(self, url: str) -> Any:
        return urlopen(url, timeout=_TIMEOUT_SECONDS)  # noqa: S310 - the address comes from cartopy's configuration

    def acquire_resource(self, target_path: Path, format_dict: Mapping[str, Any]) -> Path:
        """Move the files of a layer into place once the archive was read, the one that cartopy asks for last."""
        target_path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target_path.parent, prefix=".") as folder:
            whole = super().acquire_resource(Path(folder) / target_path.name, format_dict)
            for part in sorted(Path(folder).iterdir(), key=whole.__eq__):
                part.replace(target_path.parent / part.name)
        return target_path


def _finer(resolution: str, category: str, name: str) -> Path:
    """Find a layer where cartopy keeps it, downloaded there if absent."""
    place = {"resolution": resolution, "category": category, "name": name}
    known = Downloader.from_config(("shapefiles", "natural_earth", resolution, category, name))
    patient = _Patient(known.url_template, known.target_path_template, known.pre_downloaded_path_template)
    return Path(patient.path({"config": config, **place}))


def add_layer(ax: GeoAxes, layer: str, resolution: str = "110m", **style: Any) -> FeatureArtist:
    """Draw a layer on a map; its artist carries the layer's name as gid.

    Parameters
    ----------
    ax : GeoAxes
        The map.
    layer : {"coastline", "land", "borders"}
        What to draw.
    resolution : {"110m", "50m", "10m"}
        As in `geometries`.
    **style
        Colours, line widths and zorder that replace the defaults.

    Returns
    -------
    FeatureArtist

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot(projection=ccrs.Robinson())
    >>> add_layer(ax, "coastline").get_gid()
    'coastline'
    """
    defaults: dict[str, dict[str, Any]] = {
        "coastline": {"facecolor": "none", "edgecolor": COASTLINE, "linewidth": 0.6, "zorder": 2.0},
        "borders": {"facecolor": "none", "edgecolor": COASTLINE, "linewidth": 0.35, "linestyle": ":", "zorder": 2.0},
        "land": {"facecolor": "0.8", "edgecolor": "none", "zorder": 0.5},
    }
    artist = ax.add_geometries(geometries(layer, resolution), crs=ccrs.PlateCarree(), **{**defaults[layer], **style})
    artist.set_gid(layer)
    return artist
