"""One field as (member, time, latitude, longitude) in the user's order: level chosen, versions merged, squeezed."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xfaconv.adapt.horizontal import Horizontal
from xfaconv.adapt.time_axis import Stamps
from xfaconv.adapt.variables import Match, absent_error
from xfaconv.errors import VariableError
from xfaconv.names import FoundCoordinate, find_coordinate, known_names

_CHUNK_BYTES = 64e6


def squeeze(ds: xr.Dataset) -> xr.Dataset:
    """Drop dimensions of length 1 that are neither horizontal nor time; their coordinates stay as scalars.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data, left alone.

    Returns
    -------
    xarray.Dataset
    """
    kept = known_names("latitude") | known_names("longitude") | known_names("time")
    single = []
    for dim, size in ds.sizes.items():
        is_date = dim in ds.coords and ds[dim].dtype.kind == "M"
        by_rule = dim in ds.coords and ds[dim].attrs.get("standard_name") in ("latitude", "longitude", "time")
        if size == 1 and str(dim).lower() not in kept and not is_date and not by_rule:
            single.append(dim)
    return ds.isel(dict.fromkeys(single, 0)) if single else ds


def fields_of(ds: xr.Dataset, axes: Horizontal, time: str | None) -> list[str]:
    """Names of the variables on the horizontal grid that are numbers and change with time.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.
    axes : Horizontal
        The user's horizontal axes.
    time : str or None
        The user's time dimension, "" where time is a scalar, None where it is not known.

    Returns
    -------
    list of str
    """
    horizontal = {axes.latitude.dim, axes.longitude.dim}
    return [
        str(name)
        for name, variable in ds.data_vars.items()
        if horizontal <= set(variable.dims)
        and (time in variable.dims if time else variable.ndim > 2 or time == "")
        and variable.dtype.kind not in "MmSU"
    ]


def check_decoded(array: xr.DataArray, name: str) -> None:
    """Refuse packed integers and kinds of numbers that are no physical values.

    Parameters
    ----------
    array : xarray.DataArray
        A field.
    name : str
        Its name, for messages.

    Raises
    ------
    VariableError
        If the field is still packed or not a real number.
    """
    packed = [key for key in ("scale_factor", "add_offset", "_FillValue", "missing_value") if key in array.attrs]
    if packed:
        raise VariableError(
            f"variable {name!r} is not decoded: its attributes hold {', '.join(packed)}",
            expected="physical values",
            found=f"{array.dtype} with {packed[0]} = {array.attrs[packed[0]]}",
            fix="ds = xr.decode_cf(ds)",
        )
    if array.dtype.kind not in "fiu":
        raise VariableError(
            f"variable {name!r} does not hold real numbers",
            expected="a floating point or integer dtype",
            found=f"dtype {array.dtype}",
            fix=f"ds[{name!r}] = ds[{name!r}].astype('float32')",
        )


def select(
    ds: xr.Dataset, match: Match, axes: Horizontal, stamps: Stamps, member: FoundCoordinate | None
) -> xr.DataArray:
    """Bring one field to dims ([member,] time, user latitude, user longitude).

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data without dims of length 1.
    match : Match
        A model's variable with its source.
    axes : Horizontal
        The user's horizontal axes.
    stamps : Stamps
        The user's time.
    member : FoundCoordinate or None
        The user's ensemble dimension.

    Returns
    -------
    xarray.DataArray
        Lazy unless the data are in memory.

    Raises
    ------
    VariableError
        If the field has dimensions that cannot be placed.
    """
    if match.source is None:
        raise absent_error((), (), [match])
    name = match.source.name
    array = ds[name]
    check_decoded(array, name)
    array = _lazy(array, stamps.coordinate.dim)
    if match.level_index is not None and array[match.source.level_coordinate].ndim == 1:
        array = array.isel({array[match.source.level_coordinate].dims[0]: match.level_index})
    array = merge_versions(array)
    if not stamps.coordinate.dim:
        array = array.expand_dims({stamps.coordinate.name: 1})
    time = stamps.coordinate.dim or stamps.coordinate.name
    dims = [time, axes.latitude.dim, axes.longitude.dim]
    if member is not None and member.dim and member.dim in array.dims:
        dims = [member.dim, *dims]
    lacking = [dim for dim in dims if dim not in array.dims]
    if lacking:
        raise VariableError(
            f"variable {name!r} has no dimension {lacking[0]!r}",
            expected=f"dimensions {', '.join(dims)}",
            found=", ".join(map(str, array.dims)),
            fix=f"variables={{{match.spec.name!r}: ...}}  # a variable that changes with time",
        )
    extra = [str(dim) for dim in array.dims if dim not in dims]
    if extra:
        raise VariableError(
            f"variable {name!r} has a dimension {extra[0]!r} that the model does not know",
            expected=f"dimensions {', '.join(dims)}",
            found=f"{', '.join(map(str, array.dims))}; {extra[0]} has {array.sizes[extra[0]]} values",
            fix=f"ds = ds.isel({extra[0]}=0, drop=True)  # choose one",
        )
    return array.transpose(*dims)


def merge_versions(array: xr.DataArray) -> xr.DataArray:
    """Join ERA5 and its preliminary version ERA5T along ``expver``: the first valid value, the lowest version first."""
    found = find_coordinate(array.coords.to_dataset(), "expver")
    dim = found.dim if found is not None else next((str(d) for d in array.dims if str(d).lower() == "expver"), "")
    if not dim or dim not in array.dims or dim in ("time", "valid_time"):
        return array
    if found is not None and found.name != dim:
        return array
    order = (
        np.argsort(array[dim].values.astype(str), kind="stable") if dim in array.coords else np.arange(array.sizes[dim])
    )
    merged = array.isel({dim: int(order[0])}, drop=True)
    for position in order[1:]:
        merged = merged.where(merged.notnull(), array.isel({dim: int(position)}, drop=True))
    return merged


def _lazy(array: xr.DataArray, time: str) -> xr.DataArray:
    """Wrap a field that still lies in a file in dask, so that reading waits and the user's object caches nothing."""
    if array.chunks is not None or getattr(array, "_in_memory", True):
        return array
    if time not in array.dims:
        return array.chunk()
    per_step = array.nbytes / max(1, array.sizes[time])
    return array.chunk({time: max(1, min(array.sizes[time], int(_CHUNK_BYTES / max(per_step, 1))))})
