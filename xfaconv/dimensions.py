"""Which dimension of labelled data is latitude, longitude or time: one rule for analyses and figures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "latitude": ("latitude", "lat", "nav_lat", "y"),
        "longitude": ("longitude", "lon", "nav_lon", "x"),
        "time": ("time", "valid_time", "date"),
    }
)
_ATTRIBUTES: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "latitude": {"standard_name": ("latitude",), "axis": ("Y",), "units": ("degrees_north", "degree_north")},
        "longitude": {"standard_name": ("longitude",), "axis": ("X",), "units": ("degrees_east", "degree_east")},
        "time": {"standard_name": ("time",), "axis": ("T",)},
    }
)


def find_dimension(data: xr.DataArray | xr.Dataset, kind: str) -> Hashable | None:
    """Find the dimension that is latitude, longitude or time, by attributes first and by name second.

    Parameters
    ----------
    data : DataArray or Dataset
        Any dimensions.
    kind : {"latitude", "longitude", "time"}
        What is looked for.

    Returns
    -------
    hashable or None
        Name of the dimension; None where there is none. Time is also what holds dates, whatever it is called.

    Examples
    --------
    >>> import xarray as xr
    >>> da = xr.DataArray([0.0, 0.0], {"rows": ("rows", [0.0, 1.0], {"standard_name": "latitude"})})
    >>> find_dimension(da, "latitude")
    'rows'
    """
    for key, values in _ATTRIBUTES[kind].items():
        for name in data.dims:
            if name in data.coords and str(data.coords[name].attrs.get(key)) in values:
                return name
    for wanted in NAMES[kind]:
        for name in data.dims:
            if str(name).lower() == wanted:
                return name
    if kind == "time":
        for name in data.dims:
            if name in data.coords and _holds_dates(data.coords[name]):
                return name
    return None


def _holds_dates(coordinate: xr.DataArray) -> bool:
    if coordinate.dtype.kind == "M":
        return True
    return coordinate.dtype.kind == "O" and coordinate.size > 0 and hasattr(coordinate.to_numpy().flat[0], "calendar")
