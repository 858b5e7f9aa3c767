"""Optimal interpolation against the conditional mean of a Gaussian, computed from the whole covariance matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xfaconv.grid import Grid
from xfaconv.nn import Geometry, build_network
from xfaconv.nn.interpolation import PATTERN_COLUMNS, PATTERN_ROWS, OptimalInterpolation
from xfaconv.specs import NetworkSpec

VARIABLES, MODES, ERROR = 2, 6, 3e-3
# The grid of the patterns itself: there the interpolation between the grids does nothing.
GRID = Grid(
    tuple((180 * (np.arange(PATTERN_ROWS) + 0.5) / PATTERN_ROWS - 90).tolist()),
    tuple((360 * (np.arange(PATTERN_COLUMNS) + 0.5) / PATTERN_COLUMNS).tolist()),
)


def interpolation(seed: int = 0) -> OptimalInterpolation:
    generator = torch.Generator().manual_seed(seed)
    found = OptimalInterpolation(VARIABLES, MODES, (0, 1), 3, periodic=True)
    found.set_patterns(torch.randn(MODES, VARIABLES, PATTERN_ROWS, PATTERN_COLUMNS, generator=generator).double())
    found.error.fill_(ERROR)
    found.regression[1] = torch.randn(3, MODES, generator=generator)
    return found


def fields(seed: int, steps: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + 100)
    return torch.randn(1, steps, VARIABLES, *GRID.shape, generator=generator)


def conditional_mean(found: OptimalInterpolation, values: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """E[x_missing | x_visible] with the covariance P'P of x and errors of variance s / w, cell by cell."""
    patterns = found.scaled_patterns().numpy()
    area = np.tile((GRID.area / GRID.area.sum()).ravel(), VARIABLES)
    covariance = patterns.T @ patterns
    noise = np.diag(ERROR / area[visible])
    out = values.copy()
    solved = np.linalg.solve(covariance[visible][:, visible] + noise, values[visible])
    out[~visible] = covariance[~visible][:, visible] @ solved
    return out


@settings(max_examples=8)
@given(seed=st.integers(0, 5), share=st.floats(0.05, 0.9))
def test_missing_values_become_the_conditional_mean(seed: int, share: float) -> None:
    found, values = interpolation(seed), fields(seed)
    visible = torch.rand(values.shape, generator=torch.Generator().manual_seed(seed)) > share
    got = found.fill(torch.where(visible, values, 0.0), visible, Geometry.from_grid(GRID)).numpy()
    for step in range(values.shape[1]):
        wanted = conditional_mean(found, values[0, step].double().numpy().ravel(), visible[0, step].numpy().ravel())
        np.testing.assert_allclose(got[0, step].ravel(), wanted, rtol=2e-4, atol=2e-4)


def test_the_estimate_is_linear_in_what_is_visible_and_ignores_what_is_not() -> None:
    found, geometry = interpolation(), Geometry.from_grid(GRID)
    visible = torch.zeros(1, 3, VARIABLES, *GRID.shape, dtype=torch.bool)
    visible[..., :9] = True
    one, other = (torch.where(visible, fields(seed), 0.0) for seed in (1, 2))
    whole = found.fill(one + 2 * other, visible, geometry)
    parts = found.fill(one, visible, geometry) + 2 * found.fill(other, visible, geometry)
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        found.fill(fields(1), visible, geometry)[..., 9:], found.fill(one, visible, geometry)[..., 9:]
    )


def test_steps_and_batches_do_not_change_it() -> None:
    found, geometry, values = interpolation(), Geometry.from_grid(GRID), fields(3, steps=5)
    visible = torch.rand(values.shape, generator=torch.Generator().manual_seed(0)) > 0.4
    visible[0, 3] = visible[0, 1]
    values = torch.where(visible, values, 0.0)
    whole = found.fill(values, visible, geometry)
    for step in range(5):
        alone = found.fill(values[:, step : step + 1], visible[:, step : step + 1], geometry)
        torch.testing.assert_close(whole[:, step : step + 1], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("step", [5.0, 10.0, 15.0])
def test_a_smooth_pattern_is_found_on_any_grid(step: float) -> None:
    """One EOF that is a wave: half of the globe gives the other half, on grids finer and coarser than the patterns."""
    found = OptimalInterpolation(1, 1, (0,), 1, periodic=True)
    longitude = np.deg2rad(np.asarray(GRID.longitude))
    wave = torch.from_numpy(np.broadcast_to(np.cos(longitude), GRID.shape).copy())
    found.set_patterns(wave[None, None])
    found.error.fill_(1e-6)
    grid = Grid.regular(step)
    values = torch.from_numpy(
        np.broadcast_to(2.5 * np.cos(np.deg2rad(np.asarray(grid.longitude))), grid.shape).astype("f4")
    )[None, None, None]
    visible = torch.ones_like(values, dtype=torch.bool)
    visible[..., : grid.shape[1] // 2] = False
    got = found.fill(torch.where(visible, values, 0.0), visible, Geometry.from_grid(grid))
    # Between points 20 degrees apart a cosine is a polygon: up to 1.5% of its amplitude are lost.
    assert float((got - values).abs().max()) < 0.1


def test_only_leads_above_zero_get_a_regression() -> None:
    found, geometry = interpolation(), Geometry.from_grid(GRID)
    values = fields(4)
    ahead = found.ahead(values, geometry)
    assert ahead.shape == (1, 3, 2, VARIABLES, *GRID.shape)
    assert float(ahead[:, :, 0].abs().max()) == 0
    patterns = found.scaled_patterns().numpy()
    area = np.tile((GRID.area / GRID.area.sum()).ravel(), VARIABLES)
    system = np.eye(MODES) + (patterns * area / ERROR) @ patterns.T
    scores = np.linalg.solve(system, (patterns * area / ERROR) @ values[0, 0].double().numpy().ravel())
    wanted = scores[:3] @ found.regression[1].double().numpy() @ patterns
    np.testing.assert_allclose(ahead[0, 0, 1].numpy().ravel(), wanted, rtol=1e-3, atol=1e-3)


def test_a_network_reads_what_is_filled_and_starts_at_it() -> None:
    spec = NetworkSpec(variables=VARIABLES, hidden=8, bottleneck=4, leads=(0, 1), eofs=MODES, leading_eofs=3)
    network = build_network(spec).eval()
    network.interpolation.load_state_dict(interpolation().state_dict())
    geometry, values = Geometry.from_grid(GRID), fields(5)
    visible = torch.ones_like(values, dtype=torch.bool)
    visible[..., :5] = False
    filled, seen = network.fill(torch.where(visible, values, 0.0), visible, geometry)
    assert float(filled[..., :5].abs().min()) > 0
    assert seen[0, 0, 0, 0] == 0
    assert seen[0, 0, 0, 6] == 1
    with torch.no_grad():
        for part in (network.read_out, network.located_read_out):
            for parameter in part.parameters():
                parameter.zero_()
        network.persistence.copy_(torch.tensor([[1.0, 1.0], [0.5, 0.5]]))
        predicted = network.predict(torch.zeros(1, 3, *GRID.shape, 8), filled, geometry)
    torch.testing.assert_close(predicted[:, :, 0], filled)
    torch.testing.assert_close(
        predicted[:, :, 1], 0.5 * filled + network.interpolation.ahead(filled, geometry)[:, :, 1]
    )


def test_complete_fields_stay_as_they_are() -> None:
    network = build_network(NetworkSpec(variables=VARIABLES, hidden=8, bottleneck=4, eofs=MODES)).eval()
    values = fields(6)
    filled, seen = network.fill(values, torch.ones_like(values, dtype=torch.bool), Geometry.from_grid(GRID))
    assert filled is values
    assert float(seen.min()) == 1
