"""A recurrent core from outside the package: registered by name, built, trained, saved and used like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import xfaconv
from tests.engine import worlds
from xfaconv.errors import ArgumentError
from xfaconv.nn import Geometry, build_network, register_core


@register_core("toy")
class Toy(nn.Module):
    """Remembers a tenth of what it has read; each cell by itself."""

    def __init__(self, channels: int, spec: xfaconv.NetworkSpec) -> None:
        super().__init__()
        self.hidden = spec.hidden
        self.read = nn.Linear(channels, spec.hidden)

    def prepare(self, fields: Tensor, geometry: Geometry) -> Tensor:
        return self.read(fields)

    def step(self, prepared: Tensor, hidden: Tensor, cell: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor, None]:
        cell = 0.1 * cell + prepared
        return cell.tanh(), cell, None

    def size_of_input_weights(self, variables: int) -> Tensor:
        return self.read.weight[:, :variables].norm(dim=0)


SMALL = {"architecture": "toy", "hidden": 6, "embedding": 8}


def test_a_network_with_a_core_from_outside_runs_and_has_neither_attention_nor_gates() -> None:
    network = build_network(xfaconv.NetworkSpec(variables=3, **SMALL))
    geometry, fields = Geometry.from_grid(worlds.GRID), torch.randn(2, 4, 3, *worlds.GRID.shape)
    year = torch.rand(2, 4)
    encoded = network.encode(fields, torch.ones(2, 4, *worlds.GRID.shape), year, year, geometry)
    assert encoded.embedding.shape == (2, 4, 8)
    assert encoded.gates.shape == (2, 4, 0)
    assert network.attention_module is None


def test_a_core_from_outside_is_trained_saved_and_embeds(tmp_path: Path) -> None:
    ds = worlds.world(40)[["t2m", "msl"]]
    fit = {"batch": 1, "window": 4, "leads": (0, 1), "network": SMALL, "device": "cpu"}
    start, trained = (xfaconv.fit(ds, updates=updates, **fit) for updates in (1, 2))
    first, second = (model.trainable_network().core.read.weight for model in (start, trained))
    assert not torch.equal(first, second), "a step of training changes it"
    trained.save(tmp_path / "toy.safetensors")
    again = xfaconv.load_model(tmp_path / "toy.safetensors")
    assert again.card.network.architecture == "toy"
    embedded = xfaconv.embed(ds, model=again).compute()
    assert embedded.shape == (40, 8)
    assert np.isfinite(embedded).all()
    assert embedded.std("time").min() > 0
    np.testing.assert_array_equal(embedded, xfaconv.embed(ds, model=trained))


def test_a_name_belongs_to_the_module_that_took_it() -> None:
    assert register_core("toy")(Toy) is Toy, "the same cell of a notebook may be run twice"
    with pytest.raises(ArgumentError, match=r"'faconvlstm' belongs to xfaconv\.nn\.cell"):
        register_core("faconvlstm")(Toy)


def test_a_core_that_is_not_registered_is_refused_with_those_that_are() -> None:
    with pytest.raises(ArgumentError, match="no core 'convlstn'") as caught:
        build_network(xfaconv.NetworkSpec(variables=2, architecture="convlstn"))
    for known in ("faconvlstm", "convlstm", "cnn-lstm", "cnn", "toy"):
        assert repr(known) in caught.value.expected
    assert "register_core" in caught.value.fix
