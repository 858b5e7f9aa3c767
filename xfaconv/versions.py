"""What is installed here, to paste into a bug report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import TextIO

_PACKAGES = (
    *("xfaconv", "numpy", "xarray", "dask", "distributed", "torch", "safetensors", "cf-xarray", "pint", "cftime"),
    *("pandas", "scipy", "scikit-learn", "matplotlib", "cartopy", "pooch", "netCDF4", "h5netcdf", "zarr", "cfgrib"),
)


def show_versions(file: TextIO | None = None) -> None:
    """Print the versions of everything that matters here.

    Parameters
    ----------
    file : text stream, optional
        Where to, by default the standard output.

    Examples
    --------
    >>> show_versions()
    python ...
    """
    rows = [("python", sys.version.split()[0]), ("system", platform.platform()), ("cores", str(os.cpu_count()))]
    rows += [(name, _version(name)) for name in _PACKAGES]
    rows += _torch()
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {value}" for name, value in rows), file=file)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _torch() -> list[tuple[str, str]]:
    import torch

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    from xfaconv.engine.guards import own_threads_pay

    threads = torch.get_num_threads()
    used = str(threads) if own_threads_pay() else f"1 of {threads}: other jobs hold the processors"
    return [("torch threads", used), ("torch devices", ", ".join(["cpu", *devices]))]
