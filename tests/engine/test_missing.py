"""Missing values inside a segment: what is expected, what is filled, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from xfaconv.engine.missing import Expected, fill
from xfaconv.errors import MissingDataError

NAMES = ("t2m", "sst")
LAND = np.array([[[False, False], [False, False]], [[True, False], [False, False]]])
STAMPS = np.array(["2000-01-01", "2000-01-02", "2000-01-03"])


def fields() -> np.ndarray:
    out = np.ones((3, 2, 2, 2), "f4")
    out[:, 1, 0, 0] = np.nan
    return out


def expected(mask=LAND, absent=(False, False)) -> Expected:
    return Expected(NAMES, absent, (False, True), mask)


@pytest.mark.parametrize("mask", [LAND, None])
@pytest.mark.parametrize("policy", ["fill", "raise", "propagate"])
def test_the_fixed_mask_is_never_a_fault(mask, policy):
    out = fill(fields(), expected(mask), policy, STAMPS)
    assert not out.spoiled.any()
    assert out.visible[0].mean(axis=0).tolist() == [[0.5, 1.0], [1.0, 1.0]]
    assert np.isfinite(out.fields).all()
    assert out.fields[0, 1, 0, 0] == 0


@pytest.mark.parametrize("mask", [LAND, None])
def test_a_hole_outside_the_mask_spoils_its_step(mask):
    values = fields()
    values[1, 1, 1, 1] = np.nan
    out = fill(values, expected(mask), "fill", STAMPS)
    assert out.spoiled.tolist() == [False, True, False]
    assert out.visible[1, :, 1, 1].tolist() == [True, False]


def test_raise_names_the_variable_and_the_times():
    values = fields()
    values[1:, 0, 1, 0] = np.nan
    with pytest.raises(MissingDataError, match=r"'t2m'.*2000-01-02 and 2000-01-03") as caught:
        fill(values, expected(), "raise", STAMPS)
    assert "2 missing values in 2 steps" in str(caught.value)


def test_a_variable_that_may_be_absent_is_no_fault():
    values = fields()
    values[:, 0] = np.nan
    out = fill(values, expected(absent=(True, False)), "raise", STAMPS)
    assert not out.spoiled.any()
    assert out.visible[0, 0].tolist() == [[False, False], [False, False]]
    assert out.visible[0, 1].tolist() == [[False, True], [True, True]]


def test_complete_fields_are_all_seen():
    out = fill(np.ones((3, 2, 2, 2), "f4"), expected(), "raise", STAMPS)
    assert out.visible.all()
    assert out.visible.shape == (3, 2, 2, 2)


def test_a_variable_without_a_single_value_is_refused_with_what_to_do() -> None:
    empty = fields()
    empty[:, 0] = np.nan
    with pytest.raises(MissingDataError, match="variable 't2m' has no value at all between 2000-01-01 and 2000-01-03"):
        fill(empty.copy(), expected(), "fill", STAMPS)
    assert fill(empty.copy(), expected(), "propagate", STAMPS).spoiled.all()
    assert not fill(empty.copy(), expected(absent=(True, False)), "fill", STAMPS).spoiled.any()


def test_a_step_without_a_single_value_is_refused_as_a_hidden_gap() -> None:
    empty = fields()
    empty[1] = np.nan
    with pytest.raises(MissingDataError, match="no variable has a value at 2000-01-02") as caught:
        fill(empty.copy(), expected(), "fill", STAMPS)
    assert "dropna('time', how='all')" in str(caught.value)
    assert fill(empty.copy(), expected(), "propagate", STAMPS).spoiled.tolist() == [False, True, False]
