"""Whether a model fits some data: their step, resolution, variables, and whether they reach as far as it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

import xfaconv
from tests.engine import worlds
from xfaconv.engine.choice import choose_model, misfit
from xfaconv.errors import GridError, ModelError
from xfaconv.grid import Grid
from xfaconv.specs import ModelCard, VariableSpec

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
        ((25, 65, -30, 20), True),
        ((20, 70, -40, 40), False),  # three times its area
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
    assert fits(regional(170, 200), grid(26, 66, 165, 205))
    assert fits(regional(170, 200), grid(26, 66, -195, -155))
    assert not fits(regional(170, 200), grid(26, 66, 160, 190))


def test_a_regional_model_is_not_chosen_for_the_globe_and_a_global_one_for_no_region() -> None:
    for west in (-20, 350):
        said = misfit(regional(west, west + 34), Grid.regular(2.0), "1D", lambda specs: [], absent="raise")
        assert said is not None
        assert "the data cover" in said
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
    other_step = misfit(WHOLE, WHOLE.grid, "6h", lambda specs: lacking, absent=absent)
    assert other_step == "its step is 1D" + (f" and {words}" if words else "")


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [(2.0, 2.0, True), (0.25, 0.25, True), (2.19, 2.19, True), (2.21, 2.0, False), (2.0, 2.21, False), (4, 4, False)],
)
def test_data_that_are_more_than_a_tenth_coarser_than_a_model_do_not_fit(
    rows: float, columns: float, expected: bool
) -> None:
    data = Grid(tuple(np.arange(26.0, 67.0, rows)), tuple(np.arange(-28.0, 23.0, columns)))
    assert fits(regional(-20, 14), data) is expected


@pytest.mark.parametrize("step", [15.0, 22.5, 30.0])
def test_what_is_too_coarse_here_is_refused_by_the_regridder_and_nothing_else(step: float) -> None:
    data = Grid.regular(step)
    ds = worlds.world(10).interp(latitude=list(data.latitude), longitude=list(data.longitude))
    problem = misfit(WHOLE, data, "1D", lambda specs: [], absent="raise")
    try:
        xfaconv.embed(ds, model=worlds.model())
        refused = False
    except GridError:
        refused = True
    assert refused == (problem is not None) == (step > WHOLE.grid.resolution[0])


def without(*names: str) -> Callable[[Sequence[VariableSpec]], list[str]]:
    """Lack all but some variables."""
    return lambda specs: [spec.name for spec in specs if spec.name not in names]


def test_monthly_means_of_the_coarse_simulation_fit_no_model_and_all_say_why() -> None:
    simulation = xfaconv.load_model("amip-daily-5p6deg").card
    lacking = without(*(spec.name for spec in simulation.variables))
    with pytest.raises(ModelError, match="no packaged model fits") as caught:
        choose_model(simulation.grid, "1M", lacking, absent="climatology")
    why = dict(part.strip().split(": ", 1) for part in str(caught.value.expected).split("\n"))
    assert why["amip-daily-5p6deg"] == "its step is 1D"
    assert why["era5-peru-monthly-0p25deg"].endswith("its grid of 0.25 x 0.25 degrees is finer than the data's")
    assert why["ncep-monthly-2p5deg"] == "its grid of 2.5 x 2.5 degrees is finer than the data's"
    with pytest.raises(ModelError) as caught:
        choose_model(simulation.grid, "1M", lacking, absent="raise")
    assert "2.5 x 2.5 degrees is finer than the data's and it needs sst, z200" in str(caught.value.expected)


def test_the_reason_speaks_of_the_model_and_not_of_the_data() -> None:
    around = grid(-22, 4, -87, -63, 0.25)
    peru = choose_model(around, "1M", without("u10", "v10", "t2m", "tp"), absent="raise")
    assert peru.model.card.name == "era5-peru-monthly-0p25deg"
    assert "a regional model (-20 to 2 N, -85 to -65 E)" in peru.reason
    assert "simulation" not in peru.reason
    simulation = xfaconv.load_model("amip-daily-5p6deg").card
    names = [spec.name for spec in simulation.variables]
    amip = choose_model(simulation.grid, "1D", without(*names), absent="raise")
    assert "step 1D, a global model, all its variables found; it learned from a simulation" in amip.reason
    partly = choose_model(simulation.grid, "1D", without(*names[1:]), absent="climatology")
    assert f"{len(names) - 1} of its {len(names)} variables found, absent: {names[0]}" in partly.reason


def test_on_their_own_grid_data_may_be_coarser_than_the_model() -> None:
    """regrid=None leaves the data where they are, so that no detail is invented and any resolution will do."""
    ds = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 30))
    coarse = ds.isel(lat=slice(None, None, 3), lon=slice(None, None, 3))
    with pytest.raises(ModelError, match="is finer than the data's"):
        xfaconv.embed(coarse)
    kept = xfaconv.embed(coarse, regrid=None, climatology="data")
    assert "ncep-monthly-2p5deg" in str(kept.attrs)
