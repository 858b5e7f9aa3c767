"""Models that begin with an optimal interpolation: any chunks, hidden parts, sums of attributions, files."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import xfaconv
from tests.engine import worlds as engine_worlds
from tests.inference import worlds
from xfaconv.models import Model
from xfaconv.nn import Geometry


@cache
def model() -> Model:
    """Random weights, and six random EOFs."""
    used = worlds.model()
    spec = engine_worlds.spec(eofs=6, leading_eofs=3)
    tiny = engine_worlds.model(eofs=6, leading_eofs=3)
    network = tiny.trainable_network()
    generator = torch.Generator().manual_seed(3)
    network.interpolation.set_patterns(0.5 * torch.randn(network.interpolation.patterns.shape, generator=generator))
    network.interpolation.error.fill_(1e-3)
    network.interpolation.regression[1] = 0.3 * torch.randn(3, 6, generator=generator)
    return Model.from_network(replace(used.card, network=spec), network, used.climatology)


def test_hidden_parts_are_filled_in_every_task_alike() -> None:
    """The engine's blocks against one pass of the network over the window of the last step."""
    ds = worlds.waves()
    found = xfaconv.infer(ds, hide=worlds.BOX, model=model())
    other = xfaconv.infer(ds.chunk(time=7, latitude=4), hide=worlds.BOX, model=model())
    xr.testing.assert_allclose(found, other.compute(), rtol=1e-4, atol=1e-5)
    plain = xfaconv.infer(ds, hide=worlds.BOX, model=worlds.model())
    assert float(abs(found.t2m - plain.t2m).max()) > 0.01
    card, network = model().card, model().network()
    stamps = ds.time.to_numpy()
    numbers = engine_worlds.step_numbers(stamps, card.step)
    year, day = engine_worlds.phases(stamps, card.step)
    fields = engine_worlds.anomalies(ds, year, model().climatology)
    last = len(stamps) - 1
    first = int(numbers[last] - numbers[last] % card.segment)
    read = np.flatnonzero((numbers >= first - card.warmup) & (numbers <= numbers[last]))
    visible = np.isfinite(fields[read])
    visible[:, :, worlds.mask()] = False
    with torch.no_grad():
        geometry = Geometry.from_grid(card.grid)
        values = torch.from_numpy(np.where(visible, fields[read], 0).astype("f4"))[None]
        filled, seen = network.fill(values, torch.from_numpy(visible)[None], geometry)
        phases = (torch.from_numpy(phase[read].astype("f4"))[None] for phase in (year, day))
        encoded = network.encode(filled, seen, *phases, geometry, first_index=int(numbers[read[0]]), keep_refined=True)
        wanted = network.predict(encoded.refined, filled, geometry)[0, -1, 0, 0].numpy()
    got = found.t2m.isel(time=-1).values
    np.testing.assert_allclose(
        got[worlds.mask()], (wanted * worlds.spread_of("t2m"))[worlds.mask()], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("hidden", [worlds.BOX, None])
def test_contributions_through_the_interpolation_sum_to_the_value(hidden: tuple[float, ...] | None) -> None:
    ds = worlds.waves(40)
    choice = {"hide": hidden} if hidden else {"lead": 1}
    found = xfaconv.attribution(ds, (0, 150), "t2m", model=model(), time=ds.time.values[-1:], **choice)
    total = found.attribution.sum([dim for dim in found.attribution.dims if dim != "time"])
    np.testing.assert_allclose(total + found.baseline + found.remainder, found.value, atol=1e-4)
    assert float(abs(found.remainder).max()) < 0.05 * float(abs(found.value).max())
    if hidden:
        inside = xr.DataArray(worlds.mask(), {"latitude": ds.latitude, "longitude": ds.longitude})
        assert float(abs(found.attribution).where(inside, 0).max()) == 0


def test_a_file_keeps_the_patterns_to_the_bit(tmp_path: Path) -> None:
    model().save(tmp_path / "tiny.safetensors")
    again = xfaconv.load_model(tmp_path / "tiny.safetensors")
    assert again.sha256 == model().sha256
    for name, values in model().network().state_dict().items():
        assert torch.equal(values, again.network().state_dict()[name]), name
    assert again.network().interpolation.patterns.dtype == torch.int8


def test_weights_that_fit_16_bits_are_kept_in_16_bits(tmp_path: Path) -> None:
    network = engine_worlds.model().trainable_network()
    whole = Model.from_network(engine_worlds.model().card, network, engine_worlds.climatology())
    half = Model.from_network(engine_worlds.model().card, network.half().float(), engine_worlds.climatology())
    sizes = []
    for number, used in enumerate((whole, half)):
        path = tmp_path / f"{number}.safetensors"
        used.save(path)
        sizes.append(path.stat().st_size)
        for name, values in used.network().state_dict().items():
            assert torch.equal(values, xfaconv.load_model(path).network().state_dict()[name]), name
    assert sizes[0] - sizes[1] > 1.5 * half.card.parameters
