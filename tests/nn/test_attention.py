"""Axial attention: the composed map is exact, fused equals explicit, and the sphere has no seam."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.nn import oracle
from tests.nn.worlds import GRIDS, disturbed, geometry_of, noise, world_of
from xfaconv.errors import ArgumentError, ModelError
from xfaconv.grid import Grid
from xfaconv.nn import Geometry, build_network, fast_attention
from xfaconv.nn.attention import AxialAttention
from xfaconv.nn.fast_attention import FastAttention, attend
from xfaconv.specs import NetworkSpec

HEADS = 2
PLACES = pytest.mark.parametrize("places", ["harmonics", "products"])
SEASON = pytest.mark.parametrize("season", [0, 2], ids=["constant", "seasonal"])
WAVES = [0.3, -0.9]


def _module(size=0.4, places="harmonics", season=0):
    return disturbed(AxialAttention(6, 8, HEADS, places, season), size=size)


def _waves(season, batch=1):
    """The functions of time of each sample, all different."""
    return torch.tensor(WAVES, dtype=torch.float64) * torch.arange(1, batch + 1)[:, None] if season else None


def _hidden(grid, batch=1, seed=3):
    return noise(batch, *grid.shape, 6, seed=seed)


@PLACES
@SEASON
@pytest.mark.parametrize("kind", GRIDS)
def test_composed_map_is_the_dense_product_and_sums_to_one(kind, season, places):
    grid = GRIDS[kind]
    attention, hidden, waves = _module(places=places, season=season), _hidden(grid, 2), _waves(season, 2)
    points = [(0, 0), (2, 3), (4, 3), (grid.shape[0] - 1, grid.shape[1] - 1)]
    with torch.no_grad():
        maps = attention.composed_map(hidden, geometry_of(grid), points, waves)[1]
    given = oracle.numbers(attention), world_of(grid), hidden[1].numpy(), HEADS
    rows, columns, _ = oracle.axial_weights(*given, () if waves is None else waves[1].numpy())
    dense = oracle.composed(rows, columns)
    for number, (i, j) in enumerate(points):
        np.testing.assert_allclose(maps[number].numpy(), dense[:, i, j], atol=1e-6, rtol=0)
    np.testing.assert_allclose(maps.sum((-1, -2)).numpy(), 1, atol=1e-12)
    assert maps.min() >= 0
    assert maps.std() > 1e-3


@SEASON
@pytest.mark.parametrize("kind", GRIDS)
def test_maps_weighed_by_values_are_norms_of_what_arrives(kind, season):
    grid = GRIDS[kind]
    attention, geometry, hidden = _module(season=season), geometry_of(grid), _hidden(grid, 2)
    waves, points = _waves(season, 2), [(2, 3), (0, 1)]
    with torch.no_grad():
        maps = attention.composed_map(hidden, geometry, points, waves)
        found = [attention.weighed_by_values(maps, hidden, heads=heads)[1] for heads in (False, True)]
    given = oracle.numbers(attention), world_of(grid), hidden[1].numpy(), HEADS
    rows, columns, value = oracle.axial_weights(*given, () if waves is None else waves[1].numpy())
    dense = oracle.composed(rows, columns)
    for number, (i, j) in enumerate(points):
        expected = oracle.read_by_values(*given[:2], dense[:, i, j], value)
        for one, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(one[number].numpy(), wanted, atol=1e-6, rtol=0)
    assert (found[0] - maps[1].mean(dim=1)).abs().max() > 1e-3


@PLACES
@pytest.mark.parametrize("kind", GRIDS)
def test_attention_reads_with_exactly_the_weights_of_the_map(kind, places):
    """Values are replaced by one cell's indicator: what arrives at a base point is the map's weight of that cell."""
    grid = GRIDS[kind]
    attention, geometry, hidden = _module(places=places), geometry_of(grid), _hidden(grid)
    base, source = (3, 2), (1, 4)
    indicator = torch.zeros(1, *grid.shape, 8, dtype=torch.float64)
    indicator[0, source[0], source[1]] = 1
    with torch.no_grad():
        attention.column_key.weight.zero_()  # these keys read the values too: without them the map stays the same
        weight = attention.composed_map(hidden, geometry, [base])[0, 0, :, source[0], source[1]]
        attention.value.register_forward_hook(lambda *_: indicator)
        response = attention(hidden, geometry)[0, base[0], base[1]]
        expected = attention.out(weight.repeat_interleave(4))
    torch.testing.assert_close(response, expected, atol=1e-12, rtol=0)


@PLACES
@SEASON
@pytest.mark.parametrize("kind", GRIDS)
def test_fused_equals_explicit(kind, season, places):
    grid = GRIDS[kind]
    attention, geometry, hidden = _module(places=places, season=season), geometry_of(grid), _hidden(grid, batch=2)
    waves = _waves(season, 2)
    with torch.no_grad():
        fused = attention(hidden, geometry, season=waves)
        rows = attention.row_weights(hidden, geometry, season=waves)
        columns = [
            attention.column_weights(hidden, geometry, j, rows[..., j : j + 1, :], waves) for j in range(grid.shape[1])
        ]
        columns = torch.stack(columns, dim=2)
        value = attention.value(attention.norm(hidden)).unflatten(-1, (HEADS, -1))
        # One after the other: of all three at once torch would make an array of every pair of cells.
        gathered = torch.einsum("bhkjl,bklhd->bhkjd", rows, value)
        read = torch.einsum("bhjik,bhkjd->bijhd", columns, gathered)
        explicit = attention.out(read.flatten(-2))
    torch.testing.assert_close(fused, explicit, atol=1e-10, rtol=0)


@pytest.mark.parametrize("size", [0.05, 0.4, 6.0])
@pytest.mark.parametrize("kind", GRIDS)
@PLACES
@SEASON
def test_fast_attention_equals_plain_for_small_and_for_huge_logits(kind, season, size, places):
    grid = GRIDS[kind]
    attention, geometry, hidden = _module(size, places, season), geometry_of(grid), _hidden(grid, 2)
    waves = _waves(season, 2)
    with torch.no_grad():
        plain = hidden + attention(hidden, geometry, season=waves)
        fast, quick = hidden.clone(), FastAttention(attention, geometry)
        for sample in (1, 0):
            quick.add_to(fast[sample], None if waves is None else waves[sample])
    torch.testing.assert_close(fast, plain, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("cells", [1, 25, 40])
@pytest.mark.parametrize("kind", GRIDS)
def test_fast_attention_tile_by_tile(kind, cells, monkeypatch):
    grid = GRIDS[kind]
    attention, geometry, hidden = _module(), geometry_of(grid), _hidden(grid)
    monkeypatch.setattr(fast_attention, "_TILE_CELLS", cells)
    with torch.no_grad():
        fast = hidden[0].clone()
        FastAttention(attention, geometry).add_to(fast)
        expected = hidden[0] + attention(hidden, geometry)[0]
    torch.testing.assert_close(fast, expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("space", [7 * 7 * 3, 7 * 7 * 2 + 1, 7 * 4, 7 * 7])
@pytest.mark.parametrize("scale", [0.3, 40.0])
def test_attend_in_any_amount_of_space(space, scale):
    query, key = scale * noise(3, 4, 7), noise(3, 4, 7, seed=2)
    area = torch.rand(7, dtype=torch.float64) + 0.1
    value = noise(3, 5, 7, seed=4)
    weighted = torch.cat([value, torch.ones(3, 1, 7, dtype=torch.float64)], dim=1) * area
    out = torch.empty_like(weighted)
    attend(query, key, weighted, out, torch.empty(space, dtype=torch.float64))
    weights = torch.softmax(torch.einsum("lcq,lck->lqk", query, key) + area.log(), dim=-1)
    torch.testing.assert_close(out[:, :5], torch.einsum("lqk,lck->lcq", weights, value), atol=1e-11, rtol=1e-9)
    torch.testing.assert_close(out[:, 5], torch.ones(3, 7, dtype=torch.float64))


def test_products_tell_what_sums_of_harmonics_cannot():
    """The double difference of a field that knows its row plus its column vanishes."""
    grid = Grid.regular(30.0)
    geometry = geometry_of(grid)
    double_difference = {}
    for places in ("harmonics", "products"):
        attention = _module(places=places)
        with torch.no_grad():
            attention.position_hidden.bias += 20  # far to the right GELU is the identity: only the features are left
            middle = attention.position_features(geometry)
            field = middle @ noise(middle.shape[-1])
        double_difference[places] = (field[1:, 1:] - field[:-1, 1:] - field[1:, :-1] + field[:-1, :-1]).abs().max()
    assert double_difference["harmonics"] < 1e-6 < 0.1 < double_difference["products"]


def test_no_preference_means_uniform_per_area():
    grid = GRIDS["pole-points"]
    attention = _module()
    with torch.no_grad():
        for layer in (attention.row_query, attention.column_query, attention.position):
            for parameter in layer.parameters():
                parameter.zero_()
        maps = attention.composed_map(_hidden(grid), geometry_of(grid), [(1, 1)])
    for head in range(HEADS):
        np.testing.assert_allclose(maps[0, 0, head].numpy(), world_of(grid).share, atol=1e-7)


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("shift", [1, 11])
@pytest.mark.parametrize("pole_points", [False, True])
@PLACES
def test_rolling_data_and_coordinates_rolls_the_result(pole_points, shift, fast, places):
    grid = Grid.regular(15.0, pole_points=pole_points)
    rolled_longitude = np.roll(grid.longitude, shift)
    rolled_longitude = np.where(rolled_longitude > rolled_longitude[-1], rolled_longitude - 360, rolled_longitude)
    rolled_grid = Grid(grid.latitude, tuple(rolled_longitude))
    spec = NetworkSpec(variables=2, hidden=8, bottleneck=4, attention_width=8, attention_heads=2, embedding=16)
    spec = replace(spec, attention_places=places)
    torch.manual_seed(0)
    network = disturbed(build_network(spec), size=0.2).float()
    fields, seen = torch.randn(1, 5, 2, *grid.shape), torch.rand(1, 5, *grid.shape)
    year = torch.linspace(0, 1, 5)[None]
    with torch.inference_mode() if fast else torch.enable_grad():
        one = network.encode(fields, seen, year, year, Geometry.from_grid(grid), keep_refined=True)
        other = network.encode(
            fields.roll(shift, -1), seen.roll(shift, -1), year, year, Geometry.from_grid(rolled_grid), keep_refined=True
        )
        maps = network.attention(one.hidden, Geometry.from_grid(grid), [(3, 20)], (year, year))
        rolled_points = [(3, (20 + shift) % 24)]
        rolled_maps = network.attention(other.hidden, Geometry.from_grid(rolled_grid), rolled_points, (year, year))
    torch.testing.assert_close(other.refined, one.refined.roll(shift, -2), atol=1e-5, rtol=0)
    torch.testing.assert_close(other.embedding, one.embedding, atol=1e-5, rtol=0)
    torch.testing.assert_close(rolled_maps, maps.roll(shift, -1), atol=1e-5, rtol=0)


def test_maps_through_the_network_and_refusal_without_attention():
    grid = GRIDS["regional"]
    spec = NetworkSpec(variables=2, hidden=6, bottleneck=3, scales=((3, 1),), attention_width=4, attention_heads=2)
    network = disturbed(build_network(spec))
    hidden, year = noise(2, 3, *grid.shape, 6), torch.tensor([[0.0, 0.3, 0.6], [0.1, 0.4, 0.7]])
    maps = network.attention(hidden, geometry_of(grid), [(0, 1), (2, 2)], (year, year))
    assert maps.shape == (2, 3, 2, 2, *grid.shape)
    season = torch.tensor([[np.cos(1.4 * np.pi), np.sin(1.4 * np.pi)]])
    one = network.attention_module.composed_map(hidden[1, 2][None], geometry_of(grid), [(2, 2)], season)
    torch.testing.assert_close(maps[1, 2, 1], one[0, 0], atol=1e-7, rtol=1e-6)
    with pytest.raises(ArgumentError, match="time of year"):
        network.attention(hidden, geometry_of(grid), [(0, 0)])
    bare = build_network(NetworkSpec(variables=2, attention_every=0))
    with pytest.raises(ModelError, match="no attention maps"):
        bare.attention(hidden, geometry_of(grid), [(0, 0)])


@pytest.mark.parametrize("squeeze", ["mean", "moments"])
def test_importance_sums_to_one_and_follows_the_gates(squeeze):
    spec = NetworkSpec(variables=3, hidden=6, bottleneck=4, scales=((3, 1), (5, 1)), attention_width=8)
    network = disturbed(build_network(replace(spec, squeeze=squeeze)))
    gates, energy = torch.rand(2, 5, 8, dtype=torch.float64), torch.rand(2, 5, 3, dtype=torch.float64)
    p = oracle.part(oracle.numbers(network), "core.")
    weight = p["input_projection.weight"][:, :3]
    if squeeze == "mean":
        expected = gates.numpy()[..., :4] @ np.abs(weight)
    else:
        taps = sum((p[f"mixing.kernels.{k}"][:4] ** 2).sum((1, 2, 3)) for k in (0, 1))
        weight = (weight - weight.mean(0)) * p["input_norm.weight"][:, None]
        read = ((p["gates.weight"] * p["mixing_norm.weight"]) ** 2).sum(0)[:4]
        expected = np.einsum("btc,c,cv,btv->btv", gates.numpy()[..., :4] ** 2, taps * read, weight**2, energy.numpy())
    expected /= expected.sum(-1, keepdims=True)
    np.testing.assert_allclose(network.importance(gates, energy).detach().numpy(), expected, atol=1e-12)


def test_heads_must_divide_the_width():
    with pytest.raises(ArgumentError, match="multiple"):
        AxialAttention(8, 10, 3)
