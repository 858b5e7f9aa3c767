"""Skill scores against brute force, and the linear answer against a planted linear relation."""

from __future__ import annotations

import numpy as np
import torch

from xfaconv.grid import Grid
from xfaconv.nn import Geometry, build_network
from xfaconv.specs import NetworkSpec
from xfaconv.training.evaluation import damping, forecast_skill, hidden_skill, without_attention
from xfaconv.training.linear import linear_answer
from xfaconv.training.sampling import WindowSource

GRID = Grid.regular(30.0)
SPEC = NetworkSpec(
    variables=2,
    hidden=8,
    bottleneck=4,
    scales=((3, 1),),
    attention_width=8,
    attention_heads=2,
    embedding=8,
    look_back=3,
    leads=(0, 1, 2),
)


def noise(steps: int = 40, seed: int = 0) -> WindowSource:
    random = np.random.default_rng(seed)
    fields = [random.normal(size=(steps, *GRID.shape)).astype("f4") for _ in range(2)]
    fields[0][:, 0, 0] = np.nan
    return WindowSource(fields, np.linspace(0, 1, steps), np.zeros(steps), (slice(0, steps),))


def test_forecast_skill_equals_brute_force() -> None:
    source = noise()
    torch.manual_seed(1)
    network = build_network(SPEC).eval()
    scale = np.full((2, *GRID.shape), 3.0, "f4")
    part = slice(10, 40)
    found = forecast_skill(network, source, GRID, scale, ["a", "b"], train=slice(0, 20), test=part, segment=4, warmup=3)
    geometry = Geometry.from_grid(GRID)
    data = np.stack(source.fields, axis=1)
    errors, persistence, weights = [], [], []
    for first in range(10, 40 - 2 - 4 + 1, 4):
        window = torch.from_numpy(data[None, first - 3 : first + 4])
        phase = torch.from_numpy(source.year_phase[None, first - 3 : first + 4].astype("f4"))
        seen = torch.isfinite(window).float().mean(2)
        values = torch.nan_to_num(window)
        with torch.no_grad():
            encoded = network.encode(values, seen, phase, 0 * phase, geometry, keep_from=3, keep_refined=True)
            predicted = network.predict(encoded.refined, values[:, 3:], Geometry.from_grid(GRID))[0, :, 1].numpy()
        truth = data[first + 1 : first + 5]
        errors.append((predicted - truth)[:, 0])
        persistence.append((np.nan_to_num(data[first : first + 4]) - truth)[:, 0])
        weights.append(np.broadcast_to(GRID.area, errors[-1].shape) * np.isfinite(truth[:, 0]))
    error, held, weight = (np.concatenate(part) for part in (errors, persistence, weights))
    rmse = np.sqrt(np.nansum(weight * error**2) / weight.sum())
    ratio = np.sqrt(np.nansum(weight * error**2) / np.nansum(weight * held**2))
    assert np.isclose(found["lead 1"]["a"]["rmse"], 3 * rmse, rtol=2e-3)
    assert np.isclose(found["lead 1"]["a"]["standardised_rmse_to_persistence"], ratio, rtol=2e-3)


def test_damping_recovers_a_planted_autocorrelation() -> None:
    random = np.random.default_rng(3)
    series = np.zeros((4000, *GRID.shape), "f4")
    for step in range(1, len(series)):
        series[step] = 0.7 * series[step - 1] + random.normal(size=GRID.shape)
    source = WindowSource([series], np.zeros(4000), np.zeros(4000), (slice(0, 4000),))
    area = np.asarray(GRID.area, "f4")
    assert np.isclose(damping(source, slice(0, 4000), 1, area)[0], 0.7, atol=0.01)
    assert np.isclose(damping(source, slice(0, 4000), 3, area)[0], 0.343, atol=0.015)


def test_predicting_nothing_explains_nothing() -> None:
    network = build_network(SPEC).eval()
    with torch.no_grad():
        for parameter in [*network.read_out.parameters(), network.persistence]:
            parameter.zero_()
    found = hidden_skill(network, noise(), GRID, ["a", "b"], test=slice(0, 40), window=6, warm_steps=2)
    assert found == {"a": 0.0, "b": 0.0, "all": 0.0}


def test_attention_is_taken_out_of_a_copy_only() -> None:
    network = build_network(SPEC)
    bare = without_attention(network)
    assert network.has_attention
    assert not bare.has_attention
    assert torch.equal(bare.read_out[0].weight, network.read_out[0].weight)


def test_linear_answer_finds_a_planted_global_mode_and_nothing_in_noise() -> None:
    random = np.random.default_rng(5)
    pattern = random.normal(size=(2, *GRID.shape))
    amplitude = random.normal(size=300)
    mode = amplitude[:, None, None, None] * pattern + 0.1 * random.normal(size=(300, 2, *GRID.shape))
    for data, least, most in ((mode, 0.9, 1.0), (random.normal(size=mode.shape), -0.5, 0.02)):
        fields = [data[:, i].astype("f4") for i in range(2)]
        source = WindowSource(fields, np.zeros(300), np.zeros(300), (slice(0, 300),))
        found = linear_answer(source, GRID, ["a", "b"], train=slice(0, 200), test=slice(200, 300), sectors=3)
        assert least < found["all"] < most
