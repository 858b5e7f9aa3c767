"""Samples by name: those in the package, and those that are downloaded once and verified."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import xarray as xr

from xfaconv.download import NamedFiles, fetch
from xfaconv.errors import ArgumentError, DownloadError

SAMPLES = NamedFiles("sample", Path(__file__).parent / "data", ".nc", "xfaconv.tutorial.open_dataset")
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
    return SAMPLES.names()


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
    if isinstance(name, str) and name in SAMPLES.packaged():
        return xr.open_dataset(SAMPLES.folder / f"{name}{SAMPLES.suffix}", engine="netcdf4", chunks=chunks)
    if not isinstance(name, str) or name not in SAMPLES.registered:
        raise SAMPLES.unknown(name, ArgumentError)
    path = fetch(SAMPLES.registered[name], folder="data", suffix=SAMPLES.suffix)
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
        Where the file is, ``https://``.
    sha256 : str
        Hash of the file: 64 hexadecimal digits, as ``sha256sum`` prints.

    Raises
    ------
    ArgumentError
        If an argument is malformed, or the package has a sample of this name.

    Examples
    --------
    >>> register_dataset("our-storms", url="https://example.org/storms.nc", sha256=64 * "0")
    >>> "our-storms" in list_datasets()
    True
    """
    SAMPLES.register(name, url, sha256)
