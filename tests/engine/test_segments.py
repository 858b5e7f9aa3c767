"""Segments of absolute time: every step kept once, warm-up inside its span, the same cut for any slice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfaconv.engine.segments import cut
from xfaconv.errors import ArgumentError


def spans_of(index: np.ndarray) -> list[slice]:
    edges = [0, *(np.flatnonzero(np.diff(index) != 1) + 1).tolist(), len(index)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


@st.composite
def records(draw: st.DrawFn) -> np.ndarray:
    """Absolute step numbers, before and after 1970, with gaps."""
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=4))
    gaps = draw(st.lists(st.integers(2, 40), min_size=len(lengths), max_size=len(lengths)))
    start = draw(st.integers(-50, 50))
    parts = []
    for length, gap in zip(lengths, gaps, strict=True):
        parts.append(np.arange(start, start + length))
        start += length + gap - 1
    return np.concatenate(parts)


@settings(max_examples=200, deadline=None)
@given(records(), st.integers(1, 12), st.integers(0, 9), st.sampled_from(["windowed", "stateful"]))
def test_every_step_is_kept_once_by_the_segment_that_owns_it(index, segment, warmup, mode):
    segments = cut(index, spans_of(index), segment=segment, warmup=warmup, mode=mode)
    kept = np.concatenate([np.arange(one.keep_start, one.stop) for one in segments])
    assert kept.tolist() == list(range(len(index)))
    assert sum(segments.kept) == len(index)
    for one in segments:
        numbers = index[one.keep_start : one.stop]
        assert len(set((numbers // segment).tolist())) == 1
        read = index[one.read_start : one.stop]
        assert (np.diff(read) == 1).all()
        if mode == "windowed":
            # As far back as the warm-up wants and the span goes.
            wanted = numbers[0] // segment * segment - warmup
            available = [n for n in index[: one.stop].tolist() if n >= wanted]
            while np.any(np.diff(available) != 1):
                available = available[int(np.flatnonzero(np.diff(available) != 1)[-1]) + 1 :]
            assert read.tolist() == available
            assert not one.continues
        else:
            assert one.read_start == one.keep_start


@settings(max_examples=200, deadline=None)
@given(records(), st.integers(1, 12), st.integers(0, 9))
def test_full_warmup_says_whether_every_earlier_step_is_there(index, segment, warmup):
    segments = cut(index, spans_of(index), segment=segment, warmup=warmup)
    present = set(index.tolist())
    for position, number in enumerate(index.tolist()):
        first = number // segment * segment - warmup
        assert segments.full_warmup[position] == all(n in present for n in range(first, number + 1))


@settings(max_examples=200, deadline=None)
@given(st.integers(-60, 60), st.integers(2, 80), st.integers(1, 12), st.integers(0, 9), st.data())
def test_a_slice_reads_the_same_steps_wherever_its_warmup_is_full(start, length, segment, warmup, data):
    index = np.arange(start, start + length)
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first + 1, length))

    def reads(numbers):
        segments = cut(numbers, [slice(0, len(numbers))], segment=segment, warmup=warmup)
        return {
            int(numbers[k]): int(numbers[one.read_start])
            for one in segments
            for k in range(one.keep_start, one.stop)
            if segments.full_warmup[k]
        }

    whole, part = reads(index), reads(index[first:last])
    assert part.items() <= whole.items()


def test_a_gap_starts_from_rest_in_both_modes():
    index = np.array([0, 1, 2, 3, 7, 8, 9])
    windowed = cut(index, spans_of(index), segment=4, warmup=3)
    assert [(one.read_start, one.keep_start, one.stop) for one in windowed] == [(0, 0, 4), (4, 4, 5), (4, 5, 7)]
    stateful = cut(index, spans_of(index), segment=4, warmup=3, mode="stateful")
    assert [one.continues for one in stateful] == [False, False, True]
    assert stateful.full_warmup.tolist() == [False, False, False, True, False, False, False]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"segment": 0, "warmup": 1}, "segment=0"),
        ({"segment": 4, "warmup": -1}, "warmup=-1"),
    ],
)
def test_an_impossible_cut_is_refused(arguments, named):
    with pytest.raises(ArgumentError, match=named):
        cut(np.arange(5), [slice(0, 5)], **arguments)
