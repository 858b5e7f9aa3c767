"""Opening files that xarray refuses without saying why: an archive named as if it were the data."""

from __future__ import annotations

import zipfile
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from xfaconv.errors import ArgumentError


def open_dataset(path: str | PathLike[str], **options: Any) -> xr.Dataset:
    """Open a file lazily, or say what it is.

    Parameters
    ----------
    path : str or path-like
        A NetCDF, GRIB or Zarr file.
    **options
        Given to `xarray.open_dataset`; ``chunks`` is ``{}`` by default.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ArgumentError
        If the file is a ZIP archive, whatever its name says.
    FileNotFoundError
        If there is none.
    """
    check_file(path)
    return xr.open_dataset(path, **({"chunks": {}} | options))


def check_file(path: str | PathLike[str]) -> None:
    """Refuse an archive that is named as if it were the data.

    Parameters
    ----------
    path : str or path-like
        Any path.

    Raises
    ------
    ArgumentError
        If it is a ZIP archive.
    """
    place = Path(path)
    if not place.is_file() or place.suffix == ".zip" or not zipfile.is_zipfile(place):
        return
    with zipfile.ZipFile(place) as archive:
        members = archive.namelist()
    raise ArgumentError(
        f"{place.name} is a ZIP archive, as the Climate Data Store gives it, not a NetCDF file",
        expected="a NetCDF, GRIB or Zarr file",
        found=", ".join(members),
        fix=f"zipfile.ZipFile({str(path)!r}).extractall('era5'); "
        "ds = xr.merge([xr.open_dataset(f) for f in sorted(Path('era5').glob('*.nc'))], compat='no_conflicts')",
    )
