"""Arrays that are not plain are read rightly, or refused when the method is called with a line that works."""

from __future__ import annotations

import re
from functools import cache

import dask.array as da
import numpy as np
import pint
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xfaconv
from tests.conftest import raise_if_dask_computes
from tests.engine import worlds
from xfaconv.adapt import InputSpec, adapt, recognise
from xfaconv.adapt.arrays import read_quantities
from xfaconv.errors import VariableError

SPEC = InputSpec(worlds.VARIABLES, worlds.GRID, "1D", worlds.climatology())
QUANTITY = pint.UnitRegistry().Quantity
# The world's variables in other units: value = plain * factor + offset.
UNITS = {
    "t2m": [("degC", 1, -273.15), ("kelvin", 1, 0), ("degF", 1.8, -459.67)],
    "msl": [("hectopascal", 0.01, 0), ("millibar", 0.01, 0), ("kPa", 0.001, 0)],
    "sst": [("degC", 1, -273.15), ("kelvin", 1, 0)],
}


@cache
def right() -> xr.Dataset:
    return adapt(worlds.world(12), SPEC).data.load()


def put(ds: xr.Dataset, name: str, data: object, **attrs: str) -> xr.Dataset:
    """Put data in the place of a variable; xarray itself would turn masked arrays into plain ones."""
    return ds.assign({name: (ds[name].dims, data, attrs)})


@settings(max_examples=25, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(UNITS)), lazy=st.booleans(), lie=st.booleans())
def test_quantities_carry_their_units(data, name, lazy, lie):
    units, factor, offset = data.draw(st.sampled_from(UNITS[name]))
    ds = worlds.world(12)
    values = ds[name].values.astype("f8") * factor + offset
    values = da.from_array(values, chunks=(5, -1, -1)) if lazy else values
    quantified = put(ds, name, QUANTITY(values, units), **({"units": "furlong"} if lie else {}))
    before = quantified[name].attrs.copy()
    with raise_if_dask_computes():
        found = adapt(quantified, SPEC).data
    np.testing.assert_allclose(found[name].compute(), right()[name], atol=1e-3)
    assert quantified[name].attrs == before
    assert hasattr(quantified[name].variable.data, "units")


def test_quantities_of_pint_xarray_and_their_axes_are_read():
    pytest.importorskip("pint_xarray", reason="pint-xarray is not installed: pip install xfaconv[test]")
    ds = worlds.world(12)
    for name in ("latitude", "longitude"):
        ds[name].attrs["units"] = "degree"
    quantified = ds.pint.quantify()
    assert hasattr(quantified.latitude.data, "units")
    xr.testing.assert_allclose(adapt(quantified, SPEC).data, right())
    assert not recognise(quantified).problems
    found = xfaconv.embed(quantified, model=worlds.model())
    np.testing.assert_array_equal(found, xfaconv.embed(ds, model=worlds.model()))


def test_plain_data_are_left_as_they_are():
    ds = worlds.world(3)
    assert read_quantities(ds) is ds


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(UNITS)),
    kind=st.sampled_from(["numpy", "dask", "dask that hides it", "whole numbers"]),
    seed=st.integers(0, 9),
    fill=st.sampled_from([-9999.0, 1e20, 0.0]),
)
def test_masked_values_are_missing(name, kind, seed, fill):
    ds = worlds.world(12)
    values = ds[name].values
    mask = np.random.default_rng(seed).random(values.shape) < 0.2
    plain = np.where(mask, np.nan, np.round(np.nan_to_num(values, nan=288)) if kind == "whole numbers" else values)
    stored = np.where(mask, np.clip(fill, -9999, 9999) if kind == "whole numbers" else fill, plain)
    masked = np.ma.masked_array(stored.astype("i4" if kind == "whole numbers" else "f4"), mask)
    lazy = da.from_array(masked, chunks=(5, 4, 16))
    if kind == "dask that hides it":
        lazy = da.from_array(masked, chunks=(5, -1, -1)).map_blocks(lambda block: block, meta=np.empty((0, 0, 0), "f4"))
    found = adapt(put(ds, name, masked if kind == "numpy" else lazy, units=ds[name].units), SPEC).data[name]
    np.testing.assert_array_equal(found, adapt(put(ds, name, plain, units=ds[name].units), SPEC).data[name])


class Device(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of another device: it becomes a plain one by `get` alone."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __getattr__(self, name: str) -> object:
        if name in ("shape", "dtype", "ndim", "size", "nbytes"):
            return getattr(self.values, name)
        raise AttributeError(name)

    def get(self) -> np.ndarray:
        return self.values

    def __getitem__(self, key: object) -> Device:
        return type(self)(self.values[key])

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("implicit conversion is not allowed")

    def __array_function__(self, *_: object) -> object:
        return NotImplemented

    def __array_ufunc__(self, *_: object, **__: object) -> object:
        return NotImplemented


class Other(Device):
    """An array that numpy can convert."""

    get = property()  # type: ignore[assignment]

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        return self.values


class Sparse(Device):
    """Like those of the sparse library."""

    get = property()  # type: ignore[assignment]

    def todense(self) -> np.ndarray:
        return self.values


# The sparse library itself is not among the extras: with it, xarray-regrid gives sparse arrays back.
MAKERS = {"device": Device, "other": Other, "sparse": Sparse}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", ["msl", "sst"])
def test_other_arrays_are_refused_with_a_line_that_works(maker, lazy, name):
    values = worlds.world(12)[name].values
    make = MAKERS[maker]
    if lazy:
        meta = make(np.empty((0, 0, 0), values.dtype))
        data = da.from_array(values, chunks=(5, -1, -1)).map_blocks(make, dtype=values.dtype, meta=meta)
    else:
        data = make(values)
    ds = put(worlds.world(12), name, data, units=worlds.world(12)[name].units)
    if lazy and isinstance(ds[name].data._meta, np.ndarray):
        pytest.skip("dask keeps no meta of this kind")
    with (
        raise_if_dask_computes(),
        pytest.raises(VariableError, match=f"variable {name!r} does not hold a plain") as caught,
    ):
        xfaconv.embed(ds, model=worlds.model())
    assert [problem.problem for problem in recognise(ds).problems] == [caught.value.problem]
    exec(caught.value.fix, {"ds": ds, "np": np})
    np.testing.assert_array_equal(adapt(ds, SPEC).data[name], right()[name])
    others = worlds.world(12).assign(strange=ds[name].copy(data=data))
    adapt(others, SPEC)


def test_a_climatology_of_quantities_is_read():
    ds = worlds.world(800)
    months = ds.groupby("time.month")
    table = months.mean().assign({f"{name}_std": (months - months.mean())[name].std("time") for name in ds})
    for name in ds:
        table[name].attrs["units"] = ds[name].units
    plain = adapt(ds, SPEC, climatology=table).data
    quantity = put(table, "msl", QUANTITY(table.msl.values / 100, "hPa"))
    quantity["msl_std"] = table.msl_std / 100
    xr.testing.assert_allclose(adapt(ds, SPEC, climatology=quantity).data, plain, rtol=1e-4, atol=1e-4)
    assert re.fullmatch("hectopascal", read_quantities(quantity).msl.units)
