"""No chunking, slice or way of asking changes a number."""

from __future__ import annotations

import os
from functools import cache

import dask
import numpy as np
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import xfaconv
from tests.engine import worlds

POINTS = {"pacific": (11.25, -157.5), "iceland": (56.25, 337.5)}
OUTPUTS = ("embedding", "importance", "attention", "hidden")


def tiny():
    return worlds.model(segment=6, warmup=3, look_back=2)


@cache
def data() -> xr.Dataset:
    """Two members, with a gap in time."""
    whole = worlds.world(26, members=2)
    return whole.isel(time=[*range(15), *range(18, 26)])


def ask(ds: xr.Dataset, output: str, **options) -> xr.DataArray:
    function = {"embedding": "embed"}.get(output, output)
    points = {"base_points": POINTS} if output == "attention" else {}
    return getattr(xfaconv, function)(ds, model=tiny(), **points, **options)


@cache
def in_memory() -> dict[str, xr.DataArray]:
    return {name: ask(data(), name) for name in OUTPUTS}


def chunks(length: int) -> st.SearchStrategy:
    """A single chunk size, or any cut into chunks."""
    cuts = st.sets(st.integers(1, length - 1), max_size=6) if length > 1 else st.just(set())
    ragged = cuts.map(lambda found: tuple(np.diff([0, *sorted(found), length]).tolist()))
    return st.one_of(st.integers(max(1, length // 6), length), ragged)


def ends(draw: st.DataObject, longest: int) -> tuple[int, int]:
    """Draw the ends of a part of the record; stamps on both sides of a gap alone do not tell the step."""
    length = data().sizes["time"]
    first = draw.draw(st.integers(0, length - 1), label="first")
    last = draw.draw(st.integers(first + 1, min(first + longest, length)), label="last")
    days = np.diff(data().indexes["time"].values[first:last]) / np.timedelta64(1, "D")
    assume(days.size == 0 or days.min() == 1)
    return first, last


@settings(max_examples=300 if "XFACONV_FUZZ" in os.environ else 100, deadline=None)
@given(st.data())
def test_any_chunks_and_any_slice_give_the_numbers_of_the_whole_in_memory(draw):
    first, last = ends(draw, 14)
    members = draw.draw(st.sampled_from([slice(0, 1), slice(1, 2), slice(0, 2)]), label="members")
    part = data().isel(time=slice(first, last), number=members)
    if part.sizes["number"] == 1:
        part = part.isel(number=0) if draw.draw(st.booleans(), label="drop member") else part
    lazy = part.chunk({name: draw.draw(chunks(size), label=f"chunks of {name}") for name, size in part.sizes.items()})
    asked = draw.draw(st.lists(st.sampled_from(OUTPUTS), min_size=1, max_size=3, unique=True), label="outputs")
    results = [ask(lazy, name) for name in asked]
    if draw.draw(st.booleans(), label="together"):
        computed = dask.compute(*results, scheduler="synchronous")
    else:
        computed = [result.compute(scheduler="synchronous") for result in results]
    for name, found in zip(asked, computed, strict=True):
        whole = in_memory()[name].isel(time=slice(first, last), number=members)
        assert bool((whole.full_warmup.values >= found.full_warmup.values).all())
        steps = np.flatnonzero(found.full_warmup.values)
        expected = whole if "number" in found.dims else whole.squeeze("number")
        np.testing.assert_allclose(found.isel(time=steps).values, expected.isel(time=steps).values, atol=1e-5)
        assert np.isfinite(found.values).all()
        assert found.dtype == np.float32


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_steps_without_full_warmup_agree_with_the_same_slice_in_memory(draw):
    first, last = ends(draw, 10)
    part = data().isel(time=slice(first, last))
    mode = draw.draw(st.sampled_from(["windowed", "stateful"]))
    lazy = part.chunk({name: draw.draw(chunks(size)) for name, size in part.sizes.items()})
    found = ask(lazy, "embedding", mode=mode).compute(scheduler="synchronous")
    np.testing.assert_allclose(found.values, ask(part, "embedding", mode=mode).values, atol=1e-5)


def test_the_in_memory_result_is_the_oracles():
    for member in range(2):
        one = data().isel(number=member)
        expected = worlds.oracle(one, tiny(), base_point=(4, 9))
        for name in OUTPUTS:
            found = in_memory()[name].isel(number=member)
            if name == "attention":
                found = found.sel(base_point="pacific")
            np.testing.assert_allclose(found.values, expected[name], atol=1e-5)
        assert in_memory()["hidden"].full_warmup.values.tolist() == expected["full"].tolist()
