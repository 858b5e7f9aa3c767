"""Samples by name: those in the package, and those that are downloaded once and verified."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import xarray as xr

from xfaconv.download import Remote, fetch
from xfaconv.errors import ArgumentError, DownloadError, closest_name

_EMBEDDED = Path(__file__).parent / "data"
_SUFFIX = ".nc"
_REGISTERED: dict[str, Remote] = {}
_LOCK = threading.Lock()

AS_STORED: Mapping[str, int] = MappingProxyType({})

Chunks = Mapping[str, int] | int | Literal["auto"] | None


def list_datasets() -> list[str]:
    """List the names that `open_dataset` accepts.

    Returns
    -------
    list of str
        Sorted.

    Examples
    --------
    >>> {"amip", "ncep-oisst"} <= set(list_datasets())
    True
    """
    with _LOCK:
        return sorted({*_embedded(), *_REGISTERED})


def open_dataset(name: str, *, chunks: Chunks = AS_STORED) -> xr.Dataset:
    """Open a sample lazily.

    ``"ncep-oisst"`` is real: monthly sea surface temperature (land missing), geopotential height, wind and air
    temperature on a global 2.5 degree grid, 2007 to 2018. ``"amip"`` is a simulation: daily fields of one winter,
    2008/09, on a global 5.625 degree grid. Their attributes say where they come from.

    Parameters
    ----------
    name : str
        A name of `list_datasets`.
    chunks : mapping, int, "auto" or None, optional
        Chunks for dask, as in `xarray.open_dataset`, by default those of the file; None opens lazily without dask.

    Returns
    -------
    Dataset
        As the file has it: names, units and order are those of the source.

    Raises
    ------
    ArgumentError
        If there is no sample of this name.
    DownloadError
        If a registered sample cannot be downloaded, or is not NetCDF.

    Examples
    --------
    >>> ds = open_dataset("ncep-oisst", chunks={"time": 24})
    >>> ds.sst.sizes["time"], ds.sst.chunks is not None
    (144, True)
    """
    # xarray takes a dict, but no other mapping.
    chunks = dict(chunks) if isinstance(chunks, Mapping) else chunks
    with _LOCK:
        remote = _REGISTERED.get(name) if isinstance(name, str) else None
    if isinstance(name, str) and name in _embedded():
        return xr.open_dataset(_EMBEDDED / f"{name}{_SUFFIX}", engine="netcdf4", chunks=chunks)
    if remote is None:
        raise _unknown(name)
    path = fetch(remote, folder="data", suffix=_SUFFIX)
    try:
        return xr.open_dataset(path, engine="netcdf4", chunks=chunks)
    except OSError as problem:
        raise DownloadError(
            f"sample {name!r} was downloaded as its hash says, but cannot be opened",
            expected="a NetCDF file",
            found=str(problem),
            fix="register the address and hash of a NetCDF file",
        ) from problem


def register_dataset(name: str, url: str, sha256: str) -> None:
    """Make a NetCDF file on a server known by a name, for this process.

    Parameters
    ----------
    name : str
        Letters, digits, dots, hyphens and underscores.
    url : str
        Where the file is, ``https://`` or ``http://``.
    sha256 : str
        Hash of the file: 64 hexadecimal digits, as ``sha256sum`` prints.

    Raises
    ------
    ArgumentError
        If an argument is malformed, or the name belongs to an embedded sample.

    Examples
    --------
    >>> register_dataset("our-storms", url="https://example.org/storms.nc", sha256=64 * "0")
    >>> "our-storms" in list_datasets()
    True
    """
    remote = Remote(name, url, sha256)
    if name in _embedded():
        raise ArgumentError(f"{name!r} is an embedded sample", fix="register it under another name")
    with _LOCK:
        _REGISTERED[name] = remote


def _embedded() -> list[str]:
    return [path.stem for path in _EMBEDDED.glob(f"*{_SUFFIX}")]


def _unknown(name: object) -> ArgumentError:
    known = list_datasets()
    close = closest_name(str(name).lower(), known, cutoff=0.4)
    return ArgumentError(
        f"there is no sample {name!r}",
        expected=" or ".join(known),
        found=repr(name),
        fix=f"xfaconv.tutorial.open_dataset({close or known[0]!r})",
    )
