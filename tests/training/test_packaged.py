"""Growing a network between stages: the larger one starts exactly where the smaller one ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from xfaconv.grid import Grid
from xfaconv.nn import Geometry, build_network
from xfaconv.specs import NetworkSpec
from xfaconv.training.packaged import grow

SMALL = NetworkSpec(
    variables=2,
    hidden=6,
    bottleneck=4,
    attention_width=4,
    attention_heads=2,
    embedding=8,
    pooling_heads=4,
    leads=(0,),
    scales=((3, 1),),
)


@pytest.mark.parametrize("attention_every", [0, 1])
def test_a_grown_network_predicts_and_embeds_as_before(attention_every: int) -> None:
    torch.manual_seed(0)
    smaller = build_network(replace(SMALL, attention_every=attention_every))
    larger = build_network(replace(SMALL, attention_every=attention_every, located=True))
    grow(smaller, larger)
    geometry = Geometry.from_grid(Grid.regular(30.0))
    fields, seen, phase = torch.randn(1, 3, 2, 6, 12), torch.rand(1, 3, 6, 12), torch.rand(1, 3)
    with torch.no_grad():
        found, expected = (
            network.encode(fields, seen, phase, phase, geometry, keep_refined=True) for network in (larger, smaller)
        )
        assert found.refined is not None
        assert expected.refined is not None
        predictions = (
            larger.predict(found.refined, fields, geometry),
            smaller.predict(expected.refined, fields, geometry),
        )
    torch.testing.assert_close(found.embedding, expected.embedding)
    torch.testing.assert_close(*predictions)
    assert any(name.startswith("located_read_out") for name, _ in larger.named_parameters())
