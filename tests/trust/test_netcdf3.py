"""Every result can be written by the writer of NetCDF files that everybody has, scipy's, and is the same afterwards."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xfaconv
from tests.engine import worlds
from xfaconv import analysis

POINT = (0, 30)
RESULTS: dict[str, Callable[..., Any]] = {
    "embed": xfaconv.embed,
    "importance": xfaconv.importance,
    "importance by gradients": lambda ds, **more: xfaconv.importance(ds, method="gradient", samples=2, **more),
    "attention": lambda ds, **more: xfaconv.attention(ds, *POINT, **more),
    "attention of heads": lambda ds, **more: xfaconv.attention(ds, base_points={"a": POINT}, heads=True, **more),
    "hidden": xfaconv.hidden,
    "conform": xfaconv.conform,
    "encode": lambda ds, **more: xfaconv.encode(ds, base_points={"nino34": POINT, "b": (-40, 200)}, **more),
    "compare_attention": lambda ds, **more: xfaconv.compare_attention(ds, POINT, seed=2**32 - 1, surrogates=3, **more),
    "attribution": lambda ds, **more: xfaconv.attribution(
        ds, POINT, "t2m", hide={"place": POINT, "radius": 3000}, samples=2, lags=True, **more
    ),
    "regimes": lambda ds, **more: xfaconv.regimes(ds, 2, seed=2**32 - 1, repeats=1, surrogates=2, **more),
}


def written(result: xr.Dataset | xr.DataArray) -> xr.Dataset:
    """Write with scipy and read again."""
    data = result.to_dataset(name=result.name or "result") if isinstance(result, xr.DataArray) else result
    content = data.to_netcdf(engine="scipy")
    return xr.open_dataset(io.BytesIO(bytes(content)), engine="scipy").load()


def same(result: xr.Dataset | xr.DataArray) -> None:
    data = result.to_dataset(name=result.name or "result") if isinstance(result, xr.DataArray) else result
    again = written(result)
    xr.testing.assert_allclose(again.drop_attrs(), data.drop_attrs())
    for name, value in data.attrs.items():
        assert np.array_equal(again.attrs[name], value), name


@pytest.mark.parametrize("name", RESULTS)
@settings(max_examples=3, deadline=None)
@given(
    st.sampled_from(["standard", "noleap", "360_day"]),
    st.sampled_from(["windowed", "stateful"]),
    st.sampled_from(["mode", "filename", "variables", "dimensions", "version_byte", "comment"]),
)
def test_results_are_the_same_after_writing(name: str, calendar: str, mode: str, attribute: str) -> None:
    ds = worlds.world(40, calendar=calendar).assign_attrs({attribute: "the user's own"})
    same(RESULTS[name](ds, model=worlds.model(), mode=mode))


@cache
def report() -> xr.Dataset:
    return xfaconv.check_attention(worlds.world(40), POINT, model=worlds.model(), samples=3)


def test_a_report_of_checks_is_the_same_after_writing() -> None:
    same(report())
    assert written(report()).faconv.__repr__().splitlines()[1].strip().startswith("claim")


def test_what_analyses_give_is_the_same_after_writing() -> None:
    field = worlds.world(60).t2m
    index = field[:, 3, 3].reset_coords(drop=True)
    for result in (
        analysis.correlation_map(field, POINT, lag=[0, 1], surrogates=3),
        analysis.composite(field, (index - index.mean()) / index.std(), threshold=0.5),
        analysis.leading_eofs(field, 2),
        analysis.choose_count(xfaconv.embed(worlds.world(40), model=worlds.model()), (2, 3), repeats=1, surrogates=2),
    ):
        same(result)
