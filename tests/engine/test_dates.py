"""A date can be asked for everywhere: the numbers are those of the whole record, and only their segments are run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xfaconv
from tests.engine import worlds
from xfaconv.engine.dates import steps_at
from xfaconv.errors import ArgumentError, TimeError, XFaconvError
from xfaconv.nn import Network

CALENDARS = ("standard", "noleap", "360_day")
OUTPUTS: dict[str, Callable[..., Any]] = {
    "embed": xfaconv.embed,
    "importance": xfaconv.importance,
    "attention": lambda ds, **more: xfaconv.attention(ds, 0, 30, **more),
    "hidden": xfaconv.hidden,
    "encode": lambda ds, **more: xfaconv.encode(ds, base_points={"a": (0, 30)}, **more),
    "conform": xfaconv.conform,
}


def text(stamp: Any, digits: int) -> str:
    return str(stamp if isinstance(stamp, np.datetime64) else stamp.isoformat())[:digits]


@st.composite
def asked(draw: st.DrawFn) -> tuple[xr.Dataset, Any, np.ndarray, str]:
    """Give a record, a label, the positions that it stands for found by comparing text, and the way of running."""
    step = draw(st.sampled_from(["1D", "1M", "6h"]))
    start = draw(st.sampled_from(["2001-02-20", "1999-11-01", "2003-12-30"]))
    ds = worlds.world(draw(st.integers(3, 44)), step, start=start, calendar=draw(st.sampled_from(CALENDARS)))
    if draw(st.booleans()) and ds.sizes["time"] > 8:
        gap = draw(st.integers(2, ds.sizes["time"] - 4))
        ds = ds.isel(time=np.delete(np.arange(ds.sizes["time"]), [gap, gap + 1]))
    stamps = ds.time.values
    places = st.integers(0, len(stamps) - 1)
    digits = {"1D": [4, 7, 10], "1M": [4, 7], "6h": [4, 7, 10, 13]}[step]

    def part() -> tuple[str, np.ndarray]:
        label = text(stamps[draw(places)], draw(st.sampled_from(digits)))
        return label, np.flatnonzero([text(stamp, len(label)) == label for stamp in stamps])

    form = draw(st.sampled_from(["part", "slice", "list", "stamps", "one stamp"]))
    if form == "part":
        label, where = part()
    elif form == "slice":
        (first, begin), (last, end) = sorted((part(), part()), key=lambda pair: pair[1][0])
        where = np.arange(begin[0], max(end[-1] + 1, begin[0]))
        label = slice(first, last)
    elif form == "list":
        parts = [part() for _ in range(draw(st.integers(1, 3)))]
        label, where = [name for name, _ in parts], np.concatenate([positions for _, positions in parts])
    elif form == "stamps":
        where = np.unique([draw(places) for _ in range(draw(st.integers(1, 4)))])
        label = ds.time[where] if draw(st.booleans()) else stamps[where]
    else:
        where = np.array([draw(places)])
        label = stamps[where[0]]
    return ds, label, where, draw(st.sampled_from(["windowed", "stateful"]))


@settings(max_examples=40, deadline=None)
@given(asked(), st.sampled_from(sorted(OUTPUTS)), st.booleans(), st.data())
def test_any_label_gives_the_numbers_of_the_whole_record(
    case: tuple[xr.Dataset, Any, np.ndarray, str], name: str, lazy: bool, data: st.DataObject
) -> None:
    ds, label, where, mode = case
    ds = ds.chunk(time=data.draw(st.integers(1, 9))) if lazy else ds
    options = {"model": worlds.model(str(xfaconv.recognise(ds).step), warmup=3), "mode": mode}
    whole = OUTPUTS[name](ds, **options)
    found = OUTPUTS[name](ds, **options, time=label)
    assert bool(found.chunks) == lazy
    expected = whole.isel(time=where)
    # Maps of several steps come from one product, whose rounding depends on their number.
    xr.testing.assert_allclose(found.compute().drop_attrs(), expected.compute().drop_attrs(), rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(steps_at(ds.time.values, label), where)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("mode", "runs"), [("windowed", 1), ("stateful", 4)])
def test_only_the_segments_that_are_needed_are_run(
    monkeypatch: pytest.MonkeyPatch, lazy: bool, mode: str, runs: int
) -> None:
    calls = []
    original = Network.encode

    def encode(self: Network, *arguments: Any, **options: Any) -> Any:
        calls.append(arguments[0].shape[1])
        return original(self, *arguments, **options)

    monkeypatch.setattr(Network, "encode", encode)
    ds = worlds.world(80, start="2001-01-01")
    ds = ds.chunk(time=7) if lazy else ds
    plan = xfaconv.plan(ds, model=worlds.model(), time="2001-01-25", mode=mode)
    found = xfaconv.embed(ds, model=worlds.model(), time="2001-01-25", mode=mode)
    assert bool(calls) is not lazy
    found.compute(scheduler="synchronous")
    assert (len(calls), sum(calls)) == (plan.network_calls, plan.steps_run)
    assert len(calls) == runs
    assert (plan.steps, plan.outputs["embeddings"]) == (1, found.nbytes)


def test_a_plan_of_a_date_counts_what_it_reads() -> None:
    ds = worlds.world(800).chunk(time=10)
    whole, part = (xfaconv.plan(ds, model=worlds.model(), time=time) for time in (None, "2001-12"))
    assert whole.bytes_read == whole.bytes_given
    assert part.bytes_read < whole.bytes_read / 8
    assert part.seconds < whole.seconds / 8


@pytest.mark.parametrize("calendar", CALENDARS)
def test_windows_end_at_the_dates_that_are_asked_for(calendar: str) -> None:
    ds = worlds.world(80, calendar=calendar)
    model = worlds.model()
    asked = ["2001-03-20", "2001-04-05"]
    every = ds.time.values
    for found in (
        xfaconv.attribution(ds, (0, 30), "t2m", lead=1, method="gradient", model=model, time=asked),
        xfaconv.importance(ds, method="occlusion", model=model, time=asked),
        xfaconv.importance(ds, method="gradient", model=model, time=asked),
    ):
        assert [text(stamp, 10) for stamp in found.time.values] == asked
    # The right values: the same windows are the last steps of records that end there.
    for label in asked:
        end = next(place for place, stamp in enumerate(every) if text(stamp, 10) == label)
        cut = ds.isel(time=slice(end - model.card.warmup, end + 1))
        options = {"method": "gradient", "base_point": (0, 30), "model": model}
        alone = xfaconv.importance(cut, samples=1, **options)
        found = xfaconv.importance(ds, time=label, **options)
        np.testing.assert_allclose(found.values, alone.values, rtol=1e-4, atol=1e-7)
    report = xfaconv.check_attention(
        ds.chunk(), (0, 30), model=model, time=slice("2001-04-01", "2001-04-09"), samples=3
    )
    assert report.sizes["time"] == 3
    assert {text(stamp, 7) for stamp in report.time.values} == {"2001-04"}


def test_teleconnections_of_a_date_take_its_attention_and_the_correlation_of_the_record() -> None:
    ds, model = worlds.world(80), worlds.model()
    options: dict[str, Any] = {"model": model, "variable": "t2m"}
    whole = xfaconv.compare_attention(ds, (0, 30), **options)
    event = xfaconv.compare_attention(ds, (0, 30), **options, time="2001-04")
    np.testing.assert_array_equal(event.correlation, whole.correlation)
    maps = xfaconv.attention(ds, 0, 30, model=model).sel(time="2001-04")
    np.testing.assert_allclose(event.attention, maps.mean("time"), rtol=1e-5)
    assert not np.allclose(event.attention, whole.attention, rtol=1e-4)


def test_regimes_of_a_range_are_those_of_its_embeddings() -> None:
    ds, part = worlds.world(80), slice("2001-03-10", "2001-04-30")
    found = xfaconv.regimes(ds, 2, model=worlds.model(), time=part, repeats=0, surrogates=0)
    embedding = xfaconv.embed(ds, model=worlds.model()).sel(time=part)
    xr.testing.assert_equal(found.label, xfaconv.regimes(embedding, 2, repeats=0, surrogates=0).label)


@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize(
    ("label", "nearest"),
    [
        ("1999", "2001-02-20"),
        ("2001-03-04", "2001-03-03, 2001-03-06"),
        ("2001-03-05", "2001-03-06, 2001-03-03"),
        (slice("2010-01", "2011-01"), "2001-03-30"),
        (["2001-02-20", "2005-07-01"], "2001-03-30"),
        (dt.date(2001, 3, 4), "2001-03-03, 2001-03-06"),
    ],
)
def test_a_label_that_is_not_there_is_refused_with_the_nearest(calendar: str, label: Any, nearest: str) -> None:
    ds = worlds.world(42, calendar=calendar)
    days = np.array([text(stamp, 10) for stamp in ds.time.values])
    ds = ds.isel(time=(days <= "2001-03-30") & ~np.isin(days, ["2001-03-04", "2001-03-05"]))
    with pytest.raises(TimeError, match="the data have no step") as caught:
        xfaconv.embed(ds, model=worlds.model(), time=label)
    assert f"nearest: {nearest};" in str(caught.value.found)


@pytest.mark.parametrize(
    "label", [3, True, 2.5, {"a": 1}, slice(0, 5), b"2001", [], "", xr.Dataset(), np.zeros((2, 2))]
)
def test_what_is_no_date_is_refused(label: Any) -> None:
    for calendar in CALENDARS:
        with pytest.raises(XFaconvError) as caught:
            xfaconv.embed(worlds.world(12, calendar=calendar), model=worlds.model(), time=label)
        assert isinstance(caught.value, ArgumentError | TimeError)


def test_a_date_before_the_warm_up_is_warned_of() -> None:
    ds = worlds.world(40)
    with pytest.warns(UserWarning, match="the first that has: 2001-0"):
        xfaconv.embed(ds, model=worlds.model(), time="2001-02-20")


def test_a_chosen_part_can_be_written_to_zarr(tmp_path: Any) -> None:
    ds = worlds.world(60).chunk(time=7)
    found = xfaconv.embed(ds, model=worlds.model(), time=slice("2001-02-24", "2001-04-11"))
    xfaconv.write_zarr(found, tmp_path / "part.zarr")
    again = xr.open_zarr(tmp_path / "part.zarr").embeddings
    np.testing.assert_array_equal(again, found.compute())
