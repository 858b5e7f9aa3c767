"""Networks that know the place: read-out, patterns and pooling follow slow loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.nn import oracle
from tests.nn.worlds import GRIDS, disturbed, geometry_of, noise
from xfaconv.errors import ArgumentError
from xfaconv.nn import build_network
from xfaconv.nn.head import LocatedReadOut
from xfaconv.specs import NetworkSpec

SPEC = NetworkSpec(
    variables=2,
    hidden=5,
    bottleneck=4,
    attention_width=4,
    attention_heads=2,
    embedding=8,
    scales=((3, 1),),
    leads=(0, 3),
    pooling="attention",
    outlook=False,
)


def products(latitude, longitude):
    """1, cos, sin of up to 4 times the longitude, times the same of the latitude; all but 1 times root 2."""
    waves = []
    for angle in (math.radians(longitude), math.radians(latitude)):
        waves.append([1.0])
        for k in range(1, 5):
            waves[-1] += [math.sqrt(2) * math.cos(k * angle), math.sqrt(2) * math.sin(k * angle)]
    return np.array([zonal * meridional for zonal in waves[0] for meridional in waves[1]])


@pytest.mark.parametrize("kind", ["cell-centred", "pole-points", "one-pole"])
def test_located_read_out_multiplies_features_by_patterns_of_position(kind):
    grid = GRIDS[kind]
    network = disturbed(build_network(SPEC))
    p, refined, fields = oracle.numbers(network), noise(1, 2, *grid.shape, 5), noise(1, 2, 2, *grid.shape, seed=8)
    found = network.predict(refined, fields, geometry_of(grid)).detach().numpy()
    for t, i, j in ((0, 0, 0), (1, 3, 4), (1, 2, 5)):
        state = refined[0, t, i, j].numpy()
        middle = oracle.gelu(oracle.linear(p, "read_out.0", state))
        place = p["located_read_out.patterns.weight"] @ products(grid.latitude[i], grid.longitude[j])
        located = p["located_read_out.out.weight"] @ (place * oracle.linear(p, "located_read_out.features", state))
        change = (oracle.linear(p, "read_out.2", middle) + located).reshape(2, 2)
        expected = change + p["persistence"] * fields[0, t, :, i, j].numpy()
        np.testing.assert_allclose(found[0, t, :, :, i, j], expected, atol=1e-5)


def test_located_patterns_rebuild_the_fields_from_the_embedding():
    grid = GRIDS["pole-points"]
    network = disturbed(build_network(SPEC))
    embedding = noise(1, 2, 8)
    found = network.reconstruct(embedding, geometry_of(grid)).detach().numpy()
    weight = oracle.numbers(network)["patterns.weight"]
    for t, i, j in ((0, 0, 0), (1, 3, 4)):
        patterns = (weight @ products(grid.latitude[i], grid.longitude[j])).reshape(2, 8)
        expected = patterns @ embedding[0, t].numpy() / math.sqrt(8)
        np.testing.assert_allclose(found[0, t, :, i, j], expected, atol=1e-5)


def test_a_new_located_read_out_is_silent():
    read = LocatedReadOut(5, 7, 3)(torch.randn(2, 5, 6, 5), geometry_of(GRIDS["regional"]).to(dtype=torch.float32))
    assert read.shape == (2, 5, 6, 3)
    assert (read == 0).all()


def test_every_parameter_of_a_located_network_is_used():
    grid, network = GRIDS["regional"], disturbed(build_network(SPEC), size=0.2)
    geometry, fields = geometry_of(grid), noise(2, 3, 2, *grid.shape)
    seen, year = torch.rand(2, 3, *grid.shape, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64)
    encoded = network.encode(fields, seen, year, year, geometry, keep_refined=True)
    loss = network.predict(encoded.refined, fields, geometry).square().sum()
    (loss + network.reconstruct(encoded.embedding, geometry).square().sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


POOLED = replace(SPEC, pooling="patterns", outlook=True)


@pytest.mark.parametrize("kind", ["cell-centred", "pole-points", "regional"])
def test_pooling_through_patterns_is_the_area_mean_of_the_fields_read_times_their_patterns(kind):
    grid, network = GRIDS[kind], disturbed(build_network(POOLED))
    p, hidden, geometry = oracle.numbers(network), noise(2, *grid.shape, 5), geometry_of(grid)
    found = network.head.pool(hidden, geometry, None, network.patterns).detach().numpy()
    area = np.asarray(grid.area) / np.asarray(grid.area).sum()
    along_row, along_column = (waves.numpy() for waves in geometry.waves)
    expected = np.zeros((2, 8))
    for i, j in np.ndindex(*grid.shape):
        patterns = (p["patterns.weight"] @ np.outer(along_row[j], along_column[i]).ravel()).reshape(2, 8)
        for sample in range(2):
            expected[sample] += area[i, j] * (p["head.projection.weight"] @ hidden[sample, i, j].numpy()) @ patterns
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_sums_of_position_products_on_the_globe_by_hand():
    grid, weight = GRIDS["cell-centred"], noise(3, 81)
    found = geometry_of(grid).weigh_products(weight).numpy()
    for i, j in ((0, 0), (2, 5)):
        expected = weight.numpy() @ products(grid.latitude[i], grid.longitude[j])
        np.testing.assert_allclose(found[i, j], expected, atol=1e-5)


def test_embedding_of_a_network_pooled_through_patterns_is_its_head_on_the_pooled_sequence():
    grid, network = GRIDS["regional"], disturbed(build_network(POOLED))
    geometry, fields = geometry_of(grid), noise(1, 4, 2, *grid.shape)
    seen, year = torch.ones(1, 4, *grid.shape, dtype=torch.float64), torch.full((1, 4), 0.25, dtype=torch.float64)
    encoded = network.encode(fields, seen, year, year, geometry, keep_refined=True)
    pooled = [network.head.pool(encoded.refined[:, t], geometry, None, network.patterns) for t in range(4)]
    season = [0.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0]  # cosine and sine of a quarter, and of half a circle
    sequence = np.array([step[0].detach().numpy() + season for step in pooled])
    head = oracle.part(oracle.numbers(network), "head.")
    expected = oracle.temporal_attention(head, sequence, 1, POOLED.look_back)
    np.testing.assert_allclose(encoded.embedding[0].detach().numpy(), expected, atol=1e-6)


def test_the_outlook_is_the_reconstruction_from_a_linear_map_of_the_embedding():
    grid, network = GRIDS["pole-points"], disturbed(build_network(POOLED))
    geometry, embedding = geometry_of(grid), noise(1, 2, 8)
    found = network.reconstruct(embedding, geometry, lead=3)
    moved = embedding @ network.outlook["3"].weight.T
    assert torch.allclose(found, network.reconstruct(moved, geometry))
    assert not torch.allclose(found, network.reconstruct(embedding, geometry))
    with pytest.raises(ArgumentError, match=r"not reconstruct the fields 2 steps later[\s\S]*\[0, 3\]"):
        network.reconstruct(embedding, geometry, lead=2)
    with pytest.raises(ArgumentError, match="not reconstruct the fields 3 steps later"):
        build_network(SPEC).reconstruct(embedding, geometry, lead=3)


def test_pooling_through_patterns_needs_patterns_of_position():
    with pytest.raises(ArgumentError, match="needs patterns of position"):
        build_network(replace(POOLED, located=False))


def test_every_parameter_of_a_network_with_an_outlook_is_used():
    grid, network = GRIDS["regional"], disturbed(build_network(POOLED), size=0.2)
    geometry, fields = geometry_of(grid), noise(2, 3, 2, *grid.shape)
    seen, year = torch.rand(2, 3, *grid.shape, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64)
    encoded = network.encode(fields, seen, year, year, geometry, keep_refined=True)
    loss = network.predict(encoded.refined, fields, geometry).square().sum()
    (loss + network.reconstruct(encoded.embedding, geometry, lead=3).square().sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []
