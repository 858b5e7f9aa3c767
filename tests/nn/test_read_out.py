"""Networks that know the place: read-out and patterns follow slow loops, and older files keep their hash."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.nn import oracle
from tests.nn.worlds import GRIDS, disturbed, geometry_of, noise
from xfaconv.errors import ArgumentError
from xfaconv.models import load_model
from xfaconv.nn import build_network
from xfaconv.nn.read_out import LocatedReadOut
from xfaconv.specs import NetworkSpec

SPEC = NetworkSpec(
    variables=2,
    hidden=5,
    bottleneck=4,
    attention_width=4,
    attention_heads=2,
    embedding=8,
    pooling_heads=4,
    temporal_heads=2,
    scales=((3, 1),),
    leads=(0, 3),
    located=True,
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


def test_predict_without_the_grid_is_refused_where_the_read_out_needs_it():
    network = build_network(SPEC)
    with pytest.raises(ArgumentError, match="depends on position"):
        network.predict(torch.zeros(1, 1, 5, 6, 5), torch.zeros(1, 1, 2, 5, 6))


def test_the_entry_is_absent_from_cards_without_it_so_that_their_hash_stays():
    packaged = load_model("amip-daily-5p6deg").card
    card, located = (packaged.updated(network=replace(packaged.network, located=flag)) for flag in (False, True))
    assert "located" not in card.to_dict()["network"]
    assert type(card).from_dict(card.to_dict()) == card
    assert located.to_dict()["network"]["located"] is True
    assert type(card).from_dict(located.to_dict()) == located
