"""Whatever is given, the outcome is a right result or an error of this package: never a foreign one, never silence.

``make fuzz`` runs ten thousand cases; the suite runs five hundred. XFACONV_FUZZ says how many.
"""

from __future__ import annotations

import os
import warnings
from contextvars import copy_context
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import xfaconv
from tests.engine import worlds
from tests.trust.calls import CALLS, HOSTILE, PATIENCE
from xfaconv.errors import XFaconvError

CASES = int(os.environ.get("XFACONV_FUZZ", "500"))
STEPS = 14
pytestmark = pytest.mark.timeout(4 * 3600)


@pytest.fixture(autouse=True)
def beside_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a text is taken for a path, what is written there is swept up with the test."""
    monkeypatch.chdir(tmp_path)


def cases(share: float) -> Any:
    return settings(
        max_examples=max(1, round(CASES * share)),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=CASES <= 500,
        database=None,
    )


@cache
def plain(calendar: str) -> xr.Dataset:
    return worlds.world(STEPS, calendar=calendar)


@cache
def plain_embedding(calendar: str, missing: str) -> xr.DataArray:
    return xfaconv.embed(plain(calendar), model=worlds.model(), missing=missing)


def rolled(ds: xr.Dataset, by: int) -> xr.Dataset:
    return ds.roll(longitude=by, roll_coords=True)


def signed(ds: xr.Dataset, _: int) -> xr.Dataset:
    attrs = ds.longitude.attrs
    return ds.assign_coords(longitude=(((ds.longitude + 180) % 360) - 180).assign_attrs(attrs)).sortby("longitude")


def renamed(ds: xr.Dataset, which: int) -> xr.Dataset:
    names = [
        {"latitude": "lat", "longitude": "lon"},
        {"time": "valid_time"},
        {"t2m": "2t"},
        {"sst": "tos", "msl": "psl"},
    ]
    return ds.rename(names[which % len(names)])


def celsius(ds: xr.Dataset, _: int) -> xr.Dataset:
    return ds.assign(
        {n: (ds[n] - 273.15).assign_attrs(units="degC") for n in ds.data_vars if ds[n].attrs.get("units") == "K"}
    )


def repeated(ds: xr.Dataset, _: int) -> xr.Dataset:
    lon = next(str(name) for name in ds.dims if str(name).startswith("lon"))
    if np.unique(ds[lon].values % 360).size < ds.sizes[lon]:
        return ds  # two repeated ones are refused
    edge = ds.isel({lon: [0]})
    return xr.concat([ds, edge.assign_coords({lon: edge[lon] + 360})], lon, data_vars="minimal")


# Nothing that a result may depend on.
BENIGN = {
    "roll": rolled,
    "signed longitudes": signed,
    "north first": lambda ds, _: ds.sortby("latitude", ascending=False),
    "chunks in time": lambda ds, n: ds.chunk(time=1 + n % 7),
    "chunks in space": lambda ds, n: ds.chunk(time=5, latitude=3 + n % 4),
    "double": lambda ds, _: ds.astype("f8"),
    "big endian": lambda ds, _: ds.astype(">f4"),
    "transposed": lambda ds, _: ds.transpose("longitude", "time", "latitude"),
    "a scalar": lambda ds, n: ds.assign_coords(level=float(n)),
    "one member": lambda ds, _: ds.expand_dims(number=[3]),
    "other variables": lambda ds, _: ds.assign(mask=("latitude", np.arange(8)), text=((), "abc")),
    "celsius": celsius,
    "a repeated meridian": repeated,
    "names": renamed,
}


def where(ds: xr.Dataset, n: int, value: float) -> xr.Dataset:
    random = np.random.default_rng(n)
    name = str(random.choice(["t2m", "msl", "sst"]))
    if name not in ds:
        return ds
    keep = random.random(ds[name].shape) > random.choice([0.001, 0.1, 0.9, 1.0])
    return ds.assign({name: ds[name].where(keep, value).assign_attrs(ds[name].attrs)})


# What may be refused, or may change the result.
HARMFUL = {
    "holes": lambda ds, n: where(ds, n, np.nan),
    "infinite": lambda ds, n: where(ds, n, np.inf),
    "fill values": lambda ds, n: where(ds, n, -9999.0),
    "huge": lambda ds, n: where(ds, n, 3e38),
    "zeros": lambda ds, n: where(ds, n, 0.0),
    "dropped": lambda ds, n: ds.drop_vars(["t2m", "msl", "sst"][n % 3], errors="ignore"),
    "unsorted": lambda ds, n: ds.isel(time=np.random.default_rng(n).permutation(ds.sizes["time"])),
    "twice": lambda ds, n: ds.isel(time=[0, 0, *range(1, ds.sizes["time"])]),
    "gap": lambda ds, n: ds.drop_isel(time=[n % ds.sizes["time"]]),
    "few": lambda ds, n: ds.isel(time=slice(0, n % 3)),
    "region": lambda ds, n: ds.isel(latitude=slice(n % 6, None), longitude=slice(0, 3 + n % 9)),
    "one row": lambda ds, n: ds.isel(latitude=[n % 8]),
    "coarse": lambda ds, n: ds.coarsen(latitude=2).mean(),
    "wrong latitudes": lambda ds, n: ds.assign_coords(latitude=np.linspace(-90, 90 + n % 40, ds.sizes["latitude"])),
    "wrong longitudes": lambda ds, n: ds.assign_coords(longitude=ds.longitude * (1 + n % 3)),
    "no units": lambda ds, n: ds.drop_attrs(),
    "wrong units": lambda ds, n: ds.assign(
        {m: ds[m].assign_attrs(units=["K", "Pa", "m", "degC", ""][n % 5]) for m in ds}
    ),
    "half": lambda ds, n: ds.astype("f2"),
    "whole": lambda ds, n: ds.fillna(0).astype("i4"),
    "complex": lambda ds, n: ds.astype("c8"),
    "text": lambda ds, n: ds.astype(str),
    "other times": lambda ds, n: ds.assign_coords(time=np.arange(ds.sizes["time"]) * (n % 5)),
    "hours": lambda ds, n: ds.assign_coords(
        time=ds.time[0] + np.arange(ds.sizes["time"]) * np.timedelta64(1 + n % 30, "h")
    ),
    "two members": lambda ds, n: xr.concat([ds, ds + n % 3], "number", combine_attrs="override"),
    "no time": lambda ds, n: ds.isel(time=0, drop=True),
    "lost coordinate": lambda ds, n: ds.drop_vars(["latitude", "longitude", "time"][n % 3]),
    "empty": lambda ds, n: ds.isel({["latitude", "longitude", "time"][n % 3]: slice(0, 0)}),
    "levels": lambda ds, n: ds.expand_dims(level=[500.0, 850.0]),
    "another dimension": lambda ds, n: ds.expand_dims(quantile=[0.1, 0.9]),
    "number names": lambda ds, n: ds.assign({3: ds[next(iter(ds))]}),
    "odd attributes": lambda ds, n: ds.assign_attrs(history=["a", object()], title=None),
}
STEPS_OF_CASE = st.lists(st.tuples(st.sampled_from([*BENIGN, *HARMFUL]), st.integers(0, 1000)), max_size=4)
OPTIONS = {
    "regrid": st.sampled_from(["model", None]),
    "absent": st.sampled_from(["raise", "climatology"]),
    "missing": st.sampled_from(["fill", "propagate", "raise"]),
    "mode": st.sampled_from(["windowed", "stateful"]),
    "climatology": st.sampled_from(["model", "model", "data"]),
}
DEGREES = st.one_of(st.floats(-95, 95, allow_subnormal=False), st.sampled_from([0.0, -90.0, 90.0, 900.0, float("nan")]))


def spoilt(ds: xr.Dataset, steps: list[tuple[str, int]]) -> tuple[xr.Dataset, bool]:
    """Apply what can be applied; whether anything harmful was among it."""
    harmful = False
    for name, number in steps:
        change = BENIGN.get(name, HARMFUL.get(name))
        try:
            ds = change(ds, number)
        except Exception:  # noqa: BLE001 - what xarray itself refuses is no Dataset to try
            continue
        harmful |= name in HARMFUL
    return ds, harmful


def check(name: str, found: Any, ds: xr.Dataset, options: dict[str, Any]) -> None:
    """Labels, shapes and values of a result."""
    time = "valid_time" if "valid_time" in ds.dims else "time"
    for output in found.data_vars.values() if isinstance(found, xr.Dataset) else [found]:
        assert output.dtype == np.float32
        values = output.values
        assert output.shape == values.shape
        assert ds[time].equals(output[time].reset_coords(drop=True)) or ds.sizes[time] == output.sizes[time]
        if name != "conform" and options["missing"] != "propagate":
            assert np.isfinite(values).all(), "a silent NaN"
    if name in ("importance", "encode"):
        shares = found if name == "importance" else found["importance"]
        sums = shares.sum("variable").values
        assert np.allclose(sums[np.isfinite(sums) & (sums != 0)], 1, atol=1e-4)
        assert (shares.fillna(0) >= 0).all()
    if name == "attention":
        sums = found.sum([dim for dim in found.dims if str(dim).startswith(("lat", "lon"))], skipna=False).values
        # A repeated meridian is given back twice.
        assert options["missing"] == "propagate" or (sums > 0.99).all()


@cases(0.6)
@given(
    steps=STEPS_OF_CASE,
    options=st.fixed_dictionaries({}, optional=OPTIONS),
    name=st.sampled_from(
        ["embed", "embed", "importance", "attention", "encode", "conform", "hidden", "plan", "describe"]
    ),
    calendar=st.sampled_from(["standard", "standard", "noleap", "360_day"]),
    place=st.tuples(DEGREES, DEGREES),
)
def test_any_data(
    steps: list[tuple[str, int]], options: dict[str, Any], name: str, calendar: str, place: tuple[float, float]
) -> None:
    ds, harmful = spoilt(plain(calendar), steps)
    model = worlds.model()
    given_options = {"missing": "fill"} | options
    arguments: dict[str, Any] = {} if name == "describe" else {"model": model, **options}
    if name == "attention":
        arguments |= {"latitude": place[0], "longitude": place[1]}
    if name == "encode":
        arguments |= {"base_points": {"here": place}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = getattr(xfaconv, name)(ds, **arguments)
            if name in ("plan", "describe"):
                repr(found)
                return
            found = found.compute(scheduler="synchronous")
        except XFaconvError as problem:
            event(f"{name}: {type(problem).__name__}")
            if not (harmful or options.get("climatology") == "data" or name in ("attention", "encode")):
                pytest.fail(f"refused although nothing is wrong: {problem}")
            return
    event(f"{name}: result")
    check(name, found, ds, given_options)
    same = not harmful and "mode" not in options and options.get("climatology", "model") == "model"
    if name == "embed" and same:
        expected = plain_embedding(calendar, given_options["missing"])
        np.testing.assert_allclose(found.squeeze(drop=True), expected, atol=2e-3)


NUMBERS = st.floats(-400, 400, allow_subnormal=False)
ANY = st.one_of(
    st.sampled_from(HOSTILE),
    st.none(),
    st.booleans(),
    st.integers(-3, 60),
    st.floats(allow_subnormal=False),
    # None that leads out of the folder of the test.
    st.text(max_size=8).filter(lambda text: not text.startswith("/") and ".." not in text),
    st.binary(max_size=4),
    st.lists(st.integers(-2, 40), max_size=3),
    st.tuples(NUMBERS, NUMBERS),
    st.dictionaries(st.text(max_size=3), st.integers(-3, 3), max_size=2),
)
# It runs the network a hundred times and more.
SLOW = {"check_attention"}
QUICK = [call for call in CALLS if call.name not in SLOW]
# Handed on to matplotlib and xarray, which are the judges: their errors count as right.
HANDED_ON = {"cbar_kwargs", "cmap", "figsize", "norm", "robust", "subplot_kws", "title"}


@cases(0.4)
@given(data=st.data(), call=st.sampled_from(QUICK))
def test_any_argument(data: st.DataObject, call: Any) -> None:
    name = data.draw(st.sampled_from(sorted(call.arguments())), label="argument")
    value = data.draw(ANY, label="value")
    if (call.name, name) in PATIENCE:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            copy_context().run(call, **{name: value})
        except XFaconvError as problem:
            event(f"{call.name}: {type(problem).__name__}")
        except Exception as problem:
            if not (call.name.startswith("plot_") and name in HANDED_ON):
                raise
            event(f"{call.name}: {type(problem).__name__} of matplotlib")
        finally:
            plt.close("all")
