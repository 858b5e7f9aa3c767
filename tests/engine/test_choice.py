"""Whether a model fits some data: their step, their variables, and whether they reach as far as it does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.engine import worlds
from xfaconv.engine.choice import misfit
from xfaconv.grid import Grid
from xfaconv.specs import ModelCard

WHOLE = worlds.model().card


def grid(south: float, north: float, west: float, east: float, step: float = 2.0) -> Grid:
    return Grid(tuple(np.arange(south, north + 1e-6, step)), tuple(np.arange(west, east + 1e-6, step)))


def regional(west: float, east: float) -> ModelCard:
    return replace(WHOLE, grid=grid(30, 60, west, east))


def fits(card: ModelCard, data: Grid) -> bool:
    return misfit(card, data, "1D", lambda specs: [], absent="raise") is None


@pytest.mark.parametrize("turn", [0, -360, 360])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ((30, 60, -20, 14), True),
        ((20, 70, -40, 40), True),
        ((31, 59, -19, 13), True),  # half a cell is given
        ((40, 60, -20, 14), False),
        ((30, 50, -20, 14), False),
        ((30, 60, -10, 14), False),
        ((30, 60, -20, 0), False),
        ((30, 60, 100, 134), False),
        ((30, 60, 160, 194), False),
    ],
)
def test_a_regional_model_takes_data_that_reach_as_far(
    data: tuple[float, float, float, float], expected: bool, turn: float
) -> None:
    south, north, west, east = data
    assert fits(regional(-20, 14), grid(south, north, west + turn, east + turn)) is expected


def test_a_region_across_the_date_line_is_one_region() -> None:
    assert fits(regional(170, 200), grid(20, 70, 160, 220))
    assert fits(regional(170, 200), grid(20, 70, -200, -140))
    assert not fits(regional(170, 200), grid(20, 70, 160, 190))


def test_a_regional_model_takes_the_globe_and_a_global_one_no_region() -> None:
    assert fits(regional(-20, 14), Grid.regular(2.5))
    assert fits(regional(350, 384), Grid.regular(2.5))
    assert misfit(WHOLE, grid(30, 60, -20, 14), "1D", lambda specs: [], absent="raise") == "it is global"


@pytest.mark.parametrize(
    ("lacking", "absent", "words"),
    [
        ([], "raise", None),
        (["sst"], "raise", "it needs sst"),
        (["sst"], "climatology", None),
        (["t2m", "msl", "sst"], "climatology", "it needs t2m, msl, sst"),
    ],
)
def test_a_model_may_do_without_some_variables_where_that_is_allowed(
    lacking: list[str], absent: str, words: str | None
) -> None:
    assert misfit(WHOLE, WHOLE.grid, "1D", lambda specs: lacking, absent=absent) == words
    assert misfit(WHOLE, WHOLE.grid, "6h", lambda specs: lacking, absent=absent) == "its step is 1D"
