"""Packed climatologies: precise enough, and exactly the same after any number of round trips."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfaconv.climatology import Climatology
from xfaconv.errors import ModelError, ModelFileError
from xfaconv.models.packing import pack_climatology, unpack_climatology

SHAPE = (2, 3, 2, 4)
VALUES = hnp.arrays(
    np.float32, SHAPE, elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False) | st.just(np.float32("nan"))
)
SPREADS = hnp.arrays(
    np.float32,
    (2, 2, 4),
    elements=st.floats(2.0**-30, 2.0**30, width=32) | st.floats(1, 1.0078125, width=32) | st.just(np.float32("nan")),
)


@settings(max_examples=200, deadline=None)
@given(VALUES, SPREADS)
def test_a_second_round_trip_changes_nothing(coefficients: np.ndarray, spread: np.ndarray) -> None:
    once = unpack_climatology(pack_climatology(Climatology(coefficients, spread)))
    twice = unpack_climatology(pack_climatology(once))
    np.testing.assert_array_equal(once.coefficients, twice.coefficients)
    np.testing.assert_array_equal(once.scale, twice.scale)


@settings(max_examples=200, deadline=None)
@given(VALUES, SPREADS)
def test_precision_is_a_65534th_of_the_range_and_missing_stays_missing(
    coefficients: np.ndarray, spread: np.ndarray
) -> None:
    unpacked = unpack_climatology(pack_climatology(Climatology(coefficients, spread)))
    for index in np.ndindex(SHAPE[:2]):
        original, result = coefficients[index].astype("f8"), unpacked.coefficients[index].astype("f8")
        np.testing.assert_array_equal(np.isnan(original), np.isnan(result))
        present = original[~np.isnan(original)]
        if present.size:
            # Half a step, a step being a power of two below twice the range over 65534; plus float32's own rounding.
            allowed = np.ptp(present) / 65534 * 1.01 + np.abs(present).max() * 2.0**-24
            assert np.nanmax(np.abs(original - result)) <= allowed
    np.testing.assert_array_equal(np.isnan(spread), np.isnan(unpacked.scale))
    for variable in range(2):
        present = spread[variable][~np.isnan(spread[variable])].astype("f8")
        if present.size:
            result = unpacked.scale[variable][~np.isnan(spread[variable])].astype("f8")
            decades = np.ptp(np.log(present))
            assert np.abs(np.log(result / present)).max() <= max(decades / 65534, 2.0**-15) * 1.01 + 2.0**-22
            assert (result > 0).all()


def test_packed_arrays_are_small_integers() -> None:
    packed = pack_climatology(Climatology(np.zeros(SHAPE, "f4"), np.ones((2, 2, 4), "f4")))
    assert packed["coefficients"].dtype == np.int16
    assert packed["spread"].dtype == np.int16
    assert packed["coefficients.scale"].shape == (2, 3)


def test_missing_is_stored_as_the_lowest_integer() -> None:
    coefficients = np.arange(48, dtype="f4").reshape(SHAPE)
    coefficients[0, :, 1] = np.nan
    packed = pack_climatology(Climatology(coefficients, np.ones((2, 2, 4), "f4")))
    np.testing.assert_array_equal(packed["coefficients"] == -32768, np.isnan(coefficients))


@pytest.mark.parametrize(
    ("coefficients", "spread", "message"),
    [
        (np.zeros((2, 3, 2, 4)), np.ones((2, 2, 5)), "do not fit together"),
        (np.zeros((3, 2, 4)), np.ones((2, 4)), "do not fit together"),
        (np.full(SHAPE, np.inf), np.ones((2, 2, 4)), "infinite"),
        (np.zeros(SHAPE), np.full((2, 2, 4), np.inf), "infinite"),
        (np.zeros(SHAPE), np.zeros((2, 2, 4)), "not positive"),
        (np.zeros(SHAPE), -np.ones((2, 2, 4)), "not positive"),
    ],
)
def test_a_climatology_that_makes_no_sense_is_refused(
    coefficients: np.ndarray, spread: np.ndarray, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        pack_climatology(Climatology(coefficients.astype("f4"), spread.astype("f4")))


@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        ("coefficients", None),
        ("coefficients", np.zeros((2, 2, 2, 4), np.int16)),
        ("coefficients", np.zeros(SHAPE, np.int32)),
        ("coefficients", np.zeros((3, 2, 4), np.int16)),
        ("coefficients.scale", np.zeros((2, 2))),
        ("coefficients.scale", np.full((2, 3), np.nan)),
        ("coefficients.offset", np.full((2, 3), 1e300)),
        ("spread.offset", np.full(2, 1e4)),
        ("spread.scale", np.zeros(2, np.float32)),
        ("extra", np.zeros(2)),
    ],
)
def test_packed_arrays_that_do_not_fit_are_refused(name: str, replacement: np.ndarray | None) -> None:
    packed = pack_climatology(Climatology(np.zeros(SHAPE, "f4"), np.ones((2, 2, 4), "f4")))
    if replacement is None:
        del packed[name]
    else:
        packed[name] = replacement
    with pytest.raises(ModelFileError):
        unpack_climatology(packed)


def test_an_unpacked_climatology_cannot_be_changed() -> None:
    climatology = unpack_climatology(pack_climatology(Climatology(np.zeros(SHAPE, "f4"), np.ones((2, 2, 4), "f4"))))
    with pytest.raises(ValueError, match="read-only"):
        climatology.coefficients[0] = 1
