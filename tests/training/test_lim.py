"""The linear inverse model against a planted propagator, and against least squares written out."""

from __future__ import annotations

import numpy as np
import pytest

from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.training.data import WindowSource
from xfaconv.training.lim import fit_linear_inverse_model

GRID = Grid.regular(30.0)
PROPAGATOR = np.array([[0.9, 0.3, 0.0], [-0.3, 0.8, 0.0], [0.0, 0.0, 0.5]])


def planted(steps: int = 1500, noise: float = 0.0, seed: int = 0) -> WindowSource:
    """Three patterns in two variables whose strengths follow a known matrix; one cell is always missing."""
    random = np.random.default_rng(seed)
    patterns = random.normal(size=(3, 2, *GRID.shape))
    strength = np.zeros((steps, 3))
    for step in range(1, steps):
        strength[step] = PROPAGATOR @ strength[step - 1] + random.normal(size=3)
    fields = np.einsum("tk,kvij->tvij", strength, patterns) + noise * random.normal(size=(steps, 2, *GRID.shape))
    fields[:, 1, 0, 0] = np.nan
    fields = fields.astype("f4")
    return WindowSource([fields[:, 0], fields[:, 1]], np.zeros(steps), np.zeros(steps), (slice(0, steps),))


def stacked(source: WindowSource) -> np.ndarray:
    return np.stack(source.fields, axis=1)


def test_the_planted_propagator_is_found() -> None:
    source = planted()
    model = fit_linear_inverse_model(source, GRID, slice(0, 1500), modes=3)
    found = np.sort_complex(np.linalg.eigvals(model.propagator))
    assert np.allclose(found, np.sort_complex(np.linalg.eigvals(PROPAGATOR)), atol=0.08)


@pytest.mark.parametrize("lead", [1, 3])
def test_forecasts_are_those_of_the_planted_matrix(lead: int) -> None:
    source = planted()
    model = fit_linear_inverse_model(source, GRID, slice(0, 1500), modes=3)
    now = stacked(source)[100:110]
    basis = np.random.default_rng(0).normal(size=(3, 2, *GRID.shape))
    basis[:, 1, 0, 0] = 0
    strength = np.linalg.lstsq(basis.reshape(3, -1).T, np.nan_to_num(now).reshape(10, -1).T, rcond=None)[0].T
    wanted = np.einsum("tk,kvij->tvij", strength @ np.linalg.matrix_power(PROPAGATOR, lead).T, basis)
    error = model.forecast(now, lead) - wanted
    assert (error**2).mean() < 0.01 * (wanted**2).mean()


def test_propagator_equals_least_squares_over_all_eofs() -> None:
    source = planted(steps=200, noise=0.5)
    model = fit_linear_inverse_model(source, GRID, slice(20, 150), modes=4)
    rows = (np.nan_to_num(stacked(source)[20:150]) * model.weight).reshape(130, -1).astype("f8")
    _, _, right = np.linalg.svd(rows, full_matrices=False)
    components = rows @ right[:4].T
    forward = np.linalg.inv(components[:-1].T @ components[:-1]) @ components[:-1].T @ components[1:]
    sign = np.sign((model.patterns * right[:4]).sum(axis=1))
    assert np.allclose(np.abs((model.patterns * right[:4]).sum(axis=1)), 1, atol=1e-5)
    assert np.allclose(model.propagator, np.outer(sign, sign) * forward.T, atol=1e-5)


def test_number_of_eofs_is_chosen_from_the_training_steps_alone() -> None:
    source = planted(steps=400, noise=2.0)
    chosen = fit_linear_inverse_model(source, GRID, slice(0, 300))
    changed = [np.array(field) for field in source.fields]
    for field in changed:
        field[300:] = 99
    again = fit_linear_inverse_model(WindowSource(changed, *[np.zeros(400)] * 2, ()), GRID, slice(0, 300))
    assert chosen.modes == 5
    assert np.array_equal(chosen.propagator, again.propagator)


def test_missing_cells_are_forecast_as_zero() -> None:
    source = planted(steps=100)
    model = fit_linear_inverse_model(source, GRID, slice(0, 100), modes=2)
    assert np.all(model.forecast(stacked(source)[:5], 1)[:, 1, 0, 0] == 0)


def test_too_many_eofs_are_refused() -> None:
    with pytest.raises(ArgumentError, match="number of EOFs"):
        fit_linear_inverse_model(planted(steps=20), GRID, slice(0, 20), modes=20)
