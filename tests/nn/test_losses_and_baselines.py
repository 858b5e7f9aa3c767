"""Losses against numpy, and the baselines of the paper's Table I against dense loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.nn import oracle
from tests.nn.worlds import GRIDS, disturbed, geometry_of, noise, world_of
from xfaconv.errors import ModelError
from xfaconv.nn import area_weighted_error, build_network, laplacian_smoothness, temporal_smoothness
from xfaconv.nn.baselines import CNNCell, CNNLSTMCell, ConvLSTMCell
from xfaconv.specs import NetworkSpec


@pytest.mark.parametrize("kind", GRIDS)
def test_area_weighted_error(kind):
    grid = GRIDS[kind]
    prediction, target = noise(2, 3, *grid.shape), noise(2, 3, *grid.shape, seed=2)
    present = (noise(2, 3, *grid.shape, seed=3) > 0).double()
    weights = present.numpy() * world_of(grid).share
    expected = (weights * (prediction - target).numpy() ** 2).sum() / weights.sum()
    found = area_weighted_error(prediction, target, present, geometry_of(grid))
    np.testing.assert_allclose(found.item(), expected, rtol=1e-6)
    assert area_weighted_error(prediction, target, 0 * present, geometry_of(grid)).item() == 0


@pytest.mark.parametrize("kind", GRIDS)
def test_laplacian_smoothness(kind):
    grid, world = GRIDS[kind], world_of(GRIDS[kind])
    hidden = noise(2, *grid.shape, 3).numpy()
    meridian, parallel = [], []
    for sample in hidden:
        for i in range(world.rows):
            for j in range(world.columns):
                if i + 1 < world.rows:
                    meridian.append(((sample[i + 1, j] - sample[i, j]) ** 2).sum())
                if j + 1 < world.columns or world.periodic:
                    parallel.append(((sample[i, (j + 1) % world.columns] - sample[i, j]) ** 2).sum())
    found = laplacian_smoothness(torch.from_numpy(hidden), geometry_of(grid))
    np.testing.assert_allclose(found.item(), np.mean(meridian) + np.mean(parallel), rtol=1e-12)


def test_temporal_smoothness():
    hidden = noise(2, 4, 3, 5, 2)
    steps = np.diff(hidden.numpy(), axis=1)
    np.testing.assert_allclose(temporal_smoothness(hidden).item(), (steps**2).sum(-1).mean(), rtol=1e-12)
    assert temporal_smoothness(hidden[:, :1]).item() == 0


def _convolve(p, name, world, field):
    kernel = p[f"{name}.convolution.weight"]
    out = np.zeros((world.rows, world.columns, len(kernel)))
    for i in range(world.rows):
        for j in range(world.columns):
            for a in range(3):
                for b in range(3):
                    out[i, j] += kernel[:, :, a, b] @ world.value(field, i + a - 1, j + b - 1)
    return out + p.get(f"{name}.convolution.bias", 0)


def _lstm(gates, cell):
    g_in, g_forget, g_out, candidate = np.split(gates, 4, axis=-1)
    cell = oracle.sigmoid(g_forget) * cell + oracle.sigmoid(g_in) * np.tanh(candidate)
    return oracle.sigmoid(g_out) * np.tanh(cell), cell


def _convlstm(p, world, x, hidden, cell):
    gates = _convolve(p, "first", world, x) + _convolve(p, "hidden_convolution", world, hidden)
    return _lstm(gates, cell)


def _cnn_lstm(p, world, x, hidden, cell):
    features = np.maximum(_convolve(p, "second", world, np.maximum(_convolve(p, "first", world, x), 0)), 0)
    gates = oracle.every_cell(lambda v: oracle.linear(p, "input_gates", v), features)
    return _lstm(gates + oracle.every_cell(lambda v: oracle.linear(p, "hidden_gates", v), hidden), cell)


def _cnn(p, world, x, hidden, cell):
    features = np.maximum(_convolve(p, "second", world, np.maximum(_convolve(p, "first", world, x), 0)), 0)
    return np.tanh(_convolve(p, "third", world, features)), cell


@pytest.mark.parametrize(
    ("kind_of_cell", "expected_step"), [(ConvLSTMCell, _convlstm), (CNNLSTMCell, _cnn_lstm), (CNNCell, _cnn)]
)
@pytest.mark.parametrize("kind", GRIDS)
def test_baselines_follow_dense_loops(kind, kind_of_cell, expected_step):
    grid, world = GRIDS[kind], world_of(GRIDS[kind])
    cell = disturbed(kind_of_cell(3, NetworkSpec(variables=3, hidden=4)), size=0.2)
    fields, geometry = noise(1, 3, *grid.shape, 3), geometry_of(grid)
    hidden = cell_state = torch.zeros(1, *grid.shape, 4, dtype=torch.float64)
    slow_hidden = slow_cell = np.zeros((*grid.shape, 4))
    prepared = cell.prepare(fields, geometry)
    for t in range(3):
        hidden, cell_state, gates = cell.step(prepared[:, t], hidden, cell_state, geometry)
        arguments = (world, fields[0, t].numpy(), slow_hidden, slow_cell)
        slow_hidden, slow_cell = expected_step(oracle.numbers(cell), *arguments)
        assert gates is None
        np.testing.assert_allclose(hidden[0].detach().numpy(), slow_hidden, atol=1e-10)
        np.testing.assert_allclose(cell_state[0].detach().numpy(), slow_cell, atol=1e-10)


@pytest.mark.parametrize("architecture", ["convlstm", "cnn-lstm", "cnn"])
def test_baseline_networks_have_the_same_face_and_no_dead_parameter(architecture):
    grid = GRIDS["pole-points"]
    spec = NetworkSpec(variables=2, hidden=6, embedding=8, leads=(0, 1), architecture=architecture)
    network = disturbed(build_network(spec), size=0.2)
    assert network.attention_module is None
    fields, seen = noise(2, 4, 2, *grid.shape), torch.rand(2, 4, *grid.shape, dtype=torch.float64)
    year = torch.rand(2, 4, dtype=torch.float64)
    encoded = network.encode(fields, seen, year, year, geometry_of(grid), keep_from=1, keep_refined=True)
    assert encoded.gates.shape[-1] == 0
    assert encoded.hidden.shape == (2, 3, *grid.shape, 6)
    assert encoded.embedding.shape == (2, 3, 8)
    assert encoded.gates.shape == (2, 3, 0)
    prediction = network.predict(encoded.refined, fields[:, 1:], geometry_of(grid))
    assert prediction.shape == (2, 3, 2, 2, *grid.shape)
    reconstruction = sum(network.reconstruct(encoded.embedding, geometry_of(grid), lead=lead) for lead in (0, 1))
    (prediction.square().sum() + reconstruction.square().sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []
    with pytest.raises(ModelError):
        network.importance(encoded.gates, encoded.energy)


def test_predict_is_damped_persistence_plus_a_read_out():
    grid = GRIDS["regional"]
    spec = NetworkSpec(variables=2, hidden=5, bottleneck=3, attention_every=0, scales=((3, 1),), leads=(0, 3))
    spec = replace(spec, located=False, pooling="mean")
    network = disturbed(build_network(spec))
    p, refined, fields = oracle.numbers(network), noise(1, 2, *grid.shape, 5), noise(1, 2, 2, *grid.shape, seed=8)
    found = network.predict(refined, fields, geometry_of(grid)).detach().numpy()
    for t in range(2):
        for i, j in ((0, 0), (3, 4)):
            middle = oracle.gelu(oracle.linear(p, "read_out.0", refined[0, t, i, j].numpy()))
            change = oracle.linear(p, "read_out.2", middle).reshape(2, 2)
            expected = change + p["persistence"] * fields[0, t, :, i, j].numpy()
            np.testing.assert_allclose(found[0, t, :, :, i, j], expected, atol=1e-10)
