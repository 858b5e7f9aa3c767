"""Arrays that are not plain: quantities are read with their units, masks become missing values, others are refused."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from xfaconv.adapt.problems import refusal


def read_quantities(ds: xr.Dataset) -> xr.Dataset:
    """Put plain arrays with an attribute ``units`` in place of pint's quantities; computes nothing.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data, left alone.

    Returns
    -------
    xarray.Dataset
        The same where there are no quantities.

    Examples
    --------
    >>> import pint
    >>> ds = xr.Dataset({"u": ("x", pint.UnitRegistry().Quantity([36.0], "km/h"))})
    >>> read_quantities(ds).u.attrs, read_quantities(ds).u.values
    ({'units': 'kilometer / hour'}, array([36.]))
    """
    plain = {}
    for name, variable in ds.variables.items():
        held = _held(variable)
        if _is_quantity(held):
            attrs = {**variable.attrs, "units": str(held.units)}
            plain[name] = xr.Variable(variable.dims, held.magnitude, attrs, variable.encoding)
    if not plain:
        return ds
    # An index of quantities would turn its coordinate into quantities again.
    ds = ds.drop_indexes([name for name in plain if name in ds.xindexes])
    fields = {name: variable for name, variable in plain.items() if name in ds.data_vars}
    return ds.assign(fields).assign_coords({name: plain[name] for name in plain if name not in fields})


def check_plain(array: xr.DataArray, name: str) -> None:
    """Refuse arrays that are neither numpy's nor dask's; what they hold would be lost, or fail, where it is read.

    Parameters
    ----------
    array : xarray.DataArray
        A field.
    name : str
        Its name, for messages.

    Raises
    ------
    VariableError
        If it holds sparse arrays, arrays of another device, or others.
    """
    data = _held(array.variable)
    lazy = isinstance(data, da.Array)
    block = getattr(data, "_meta", data) if lazy else data
    # Files that are not read yet and pandas' arrays come as wrappers of xarray's own.
    if isinstance(block, np.ndarray) or type(block).__module__.startswith("xarray."):
        return
    # The names by which sparse arrays, those of a GPU, and quantities give plain ones.
    plain = next((method for method in ("todense()", "get()", "magnitude") if hasattr(block, method.strip("()"))), "")
    held = "block" if lazy else f"ds[{name!r}].data"
    dense = f"{held}.{plain}" if plain else f"np.asarray({held})"
    if lazy:
        dense = f"ds[{name!r}].data.map_blocks(lambda block: {dense}, meta=np.empty(0, ds[{name!r}].dtype))"
    units = f".assign_attrs(units={str(block.units)!r})" if _is_quantity(block) else ""
    kind = f"{type(block).__module__.partition('.')[0]}.{type(block).__name__}"
    raise refusal("arrays", "not plain", kind, name=name, data=dense, units=units)


def without_mask(data: Any) -> Any:
    """Put NaN in place of what is masked; lazy where the data are.

    Parameters
    ----------
    data : ndarray, MaskedArray or dask array
        A field or a block of it.

    Returns
    -------
    ndarray or dask array

    Examples
    --------
    >>> without_mask(np.ma.masked_array([1, 2], [False, True]))
    array([ 1., nan])
    """
    if isinstance(data, da.Array):
        masked = isinstance(getattr(data, "_meta", None), np.ma.MaskedArray)
        lazy: Any = data
        return lazy.map_blocks(without_mask, dtype=_floating(data.dtype)) if masked else data
    if not isinstance(data, np.ma.MaskedArray):
        return data
    return np.ma.filled(data.astype(_floating(data.dtype)), np.nan)


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _held(variable: xr.Variable) -> Any:
    """Give the array that a variable holds; asking for it by `data` would read a file."""
    return getattr(variable, "_data", None)


def _is_quantity(data: Any) -> bool:
    return hasattr(data, "magnitude") and hasattr(data, "units")
