"""Nothing is touched: the user's data and the state of the process are the same after every public call."""

from __future__ import annotations

import copy
import importlib.util
import inspect
import json
import logging
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

import xfaconv
from tests.engine import worlds
from tests.trust.calls import CALLS, Call, make_results, world
from xfaconv.errors import XFaconvError


def state_of_process() -> dict[str, Any]:
    """Everything global that a library is tempted to change."""
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global state is what must not change
    return {
        "warnings": list(warnings.filters),
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "xarray": dict(xr.get_options()),
        "dask": copy.deepcopy(dask.config.config),
        "rcParams": dict(mpl.rcParams),
        "backend": mpl.get_backend(),
        "torch": (
            torch.get_num_threads(),
            torch.get_num_interop_threads(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
        ),
        "torch random": torch.get_rng_state().numpy().tobytes(),
        "numpy random": (numpy_state[1].tobytes(), numpy_state[2:]),
        "random": random.getstate(),
        "numpy errors": np.geterr(),
        "numpy printing": np.get_printoptions(),
        "options": dict(xfaconv.get_options()),
        "hook": sys.excepthook,
    }


@contextmanager
def nothing_changes() -> Iterator[None]:
    before = state_of_process()
    yield
    after = state_of_process()
    for name, value in before.items():
        assert after[name] == value, f"{name} changed"


def fingerprint(ds: xr.Dataset) -> dict[str, Any]:
    """Values, attributes, encoding, chunks, order and identity of the arrays of a Dataset."""
    return {
        "order": (list(ds.variables), list(ds.data_vars), dict(ds.sizes), list(ds.indexes)),
        "attrs": repr((ds.attrs, {name: v.attrs for name, v in ds.variables.items()})),
        "encoding": repr((ds.encoding, {name: v.encoding for name, v in ds.variables.items()})),
        "chunks": dict(ds.chunks),
        "arrays": {name: id(v._data) for name, v in ds.variables.items()},
        "bytes": {name: np.asarray(v.values).tobytes() for name, v in ds.variables.items() if v.chunks is None},
        "names": {name: v.data.name for name, v in ds.variables.items() if v.chunks is not None},
        "dtypes": {name: v.dtype for name, v in ds.variables.items()},
    }


def dressed(ds: xr.Dataset) -> xr.Dataset:
    """A Dataset with everything on it that could get lost."""
    out = ds.copy(deep=True).sortby("latitude", ascending=False)
    out.attrs["list"] = [1, 2]
    out.encoding["unlimited_dims"] = {"time"}
    for name in out.variables:
        out[name].encoding |= {"dtype": "float32", "zlib": True}
        out[name].attrs["comment"] = "mine"
    return out


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_call_leaves_the_process_as_it_was(call: Call) -> None:
    make_results()
    # xarray loads all its plugins when the first file is opened; some of them change the filters of warnings.
    xfaconv.tutorial.open_dataset("amip").close()
    # torch imports it with its optimisers, and it adds a filter.
    if importlib.util.find_spec("sympy"):
        importlib.import_module("sympy")
    with nothing_changes():
        call()
    plt.close("all")


# A description of what is no Dataset says so, and is no error.
@pytest.mark.parametrize("call", [call for call in CALLS if call.name != "describe"], ids=lambda call: call.name)
def test_a_call_that_fails_leaves_the_process_as_it_was(call: Call) -> None:
    first = next(iter(call.arguments()))
    with nothing_changes(), pytest.raises(XFaconvError):
        call(**{first: object()})
    plt.close("all")


# Told from signatures: the arguments themselves are results of the engine, seconds for every collection of the tests.
OF_DATA = [call for call in CALLS if "ds" in inspect.signature(call.function).parameters]


@pytest.mark.parametrize("call", OF_DATA, ids=lambda call: call.name)
@pytest.mark.parametrize("lazy", [False, True], ids=["in memory", "lazy"])
def test_a_call_leaves_the_dataset_as_it_was(call: Call, lazy: bool) -> None:
    ds = dressed(world())
    ds = ds.chunk(time=9) if lazy else ds
    before = fingerprint(ds)
    found = call(ds=ds)
    if isinstance(found, xr.Dataset | xr.DataArray):
        found.compute(scheduler="synchronous")
    assert fingerprint(ds) == before
    plt.close("all")


# They are given names, numbers and the like.
OF_NEITHER = [
    call for call in CALLS if call.name.startswith(("load_", "list_", "register_", "set_", "tutorial.", "Grid"))
]
OF_ARRAYS = [call for call in CALLS if call not in (*OF_DATA, *OF_NEITHER)]


def arrays_among(arguments: dict[str, Any]) -> dict[str, xr.DataArray | xr.Dataset]:
    return {name: value for name, value in arguments.items() if isinstance(value, xr.DataArray | xr.Dataset)}


def test_calls_without_arrays_are_known() -> None:
    assert [call.name for call in OF_NEITHER if arrays_among(call.arguments())] == []


@pytest.mark.parametrize("call", OF_ARRAYS, ids=lambda call: call.name)
def test_a_call_leaves_its_arrays_as_they_were(call: Call) -> None:
    given = {name: value.copy(deep=True) for name, value in arrays_among(call.arguments()).items()}
    assert given
    before = {name: fingerprint(_as_dataset(value)) | {"arrays": None} for name, value in given.items()}
    call(**given)
    assert {name: fingerprint(_as_dataset(value)) | {"arrays": None} for name, value in given.items()} == before
    plt.close("all")


def _as_dataset(value: xr.DataArray | xr.Dataset) -> xr.Dataset:
    return value if isinstance(value, xr.Dataset) else value.to_dataset(name="given")


@pytest.mark.parametrize("missing", ["fill", "propagate", "raise"])
@pytest.mark.parametrize("regrid", ["model", None])
def test_data_with_holes_keep_their_holes(missing: str, regrid: str | None) -> None:
    ds = dressed(world())
    ds.t2m.values[3, 2, 2] = np.nan
    before = fingerprint(ds)
    try:
        xfaconv.encode(ds, model=worlds.model(), missing=missing, regrid=regrid, base_points={"a": (0, 0)})
    except XFaconvError:
        assert missing == "raise"
    assert fingerprint(ds) == before


def test_read_only_data_are_read() -> None:
    ds = dressed(world())
    for name in ds.data_vars:
        ds[name].values.flags.writeable = False
    for call in OF_DATA:
        call(ds=ds)


def test_importing_everything_leaves_the_process_as_it_was() -> None:
    """All rooms, in a fresh process; matplotlib, torch and the others are there before."""
    code = """
import importlib.util, json, os, sys
import cf_xarray, cartopy.crs, dask.array, matplotlib.pyplot, numpy, pooch, scipy.stats, sklearn.cluster
import torch, xarray
# The one may be absent; the other adds a filter of warnings where a version of torch imports it late.
for name in ("distributed", "sympy"):
    if importlib.util.find_spec(name):
        __import__(name)
sys.path.insert(0, os.environ["CHECKOUT"])
import logging, random, warnings, copy
def state():
    return [repr(warnings.filters), repr(logging.root.handlers), logging.root.level, repr(dict(xarray.get_options())),
            repr(dask.config.config), repr(dict(matplotlib.rcParams)), matplotlib.get_backend(),
            torch.get_num_threads(), str(torch.get_default_dtype()), torch.is_grad_enabled(),
            torch.get_rng_state().sum().item(),
            repr(numpy.random.get_state()[1][:9]), repr(numpy.geterr()), repr(random.getstate()[1][:9]), repr(sys.path),
            repr(sorted(os.environ))]
before = state()
import importlib, pkgutil
import xfaconv
count = 0
for entry in pkgutil.walk_packages(xfaconv.__path__, "xfaconv."):
    if not entry.name.endswith("__main__"):
        importlib.import_module(entry.name)
        count += 1
after = state()
print(json.dumps([count, [i for i, (a, b) in enumerate(zip(before, after)) if a != b]]))
"""
    checkout = str(Path(xfaconv.__file__).resolve().parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"CHECKOUT": checkout},
    )
    count, changed = json.loads(ran.stdout.splitlines()[-1])
    assert count > 100
    assert changed == []
