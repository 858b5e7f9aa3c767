"""The network against the paper's equations in slow numpy, through time, on every kind of grid, plain and fast."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from tests.nn import oracle
from tests.nn.worlds import GRIDS, disturbed, geometry_of, noise, world_of
from xfaconv.grid import Grid
from xfaconv.nn import Geometry, build_network, recurrence
from xfaconv.nn.cell import FAConvLSTMCell
from xfaconv.nn.gates import lstm_equations, update_state
from xfaconv.nn.head import SubspaceHead, seasonal_encoding
from xfaconv.nn.recurrence import FastRun, PlainRun, start_run
from xfaconv.specs import NetworkSpec

SPEC = {
    "variables": 2,
    "hidden": 6,
    "bottleneck": 6,
    "scales": ((3, 1), (3, 2)),
    "attention_width": 4,
    "attention_heads": 2,
    "embedding": 16,
    "look_back": 3,
    "leads": (0, 2),
}
UNLOCATED = {"located": False, "pooling": "attention"}
CHOICES = {
    "as the packaged models": {},
    "attention every step, attention pooling": {"attention_every": 1, **UNLOCATED, "attention_season": False},
    "attention every second step, mean pooling": {"attention_every": 2, "located": False, "pooling": "mean"},
    "gates of the paper": {"squeeze": "mean"},
    "no attention": {"attention_every": 0, "scales": ((3, 1),), "pooling": "attention"},
}
# Geometry is float32 by contract: its rounding is what separates float64 from the oracle.
TOLERANCE = 5e-6


def _inputs(grid, steps, variables):
    fields = noise(1, steps, variables, *grid.shape, seed=2)
    seen = torch.rand(1, steps, *grid.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    year = torch.linspace(0.1, 0.7, steps, dtype=torch.float64)[None]
    day = torch.linspace(0.0, 0.75, steps, dtype=torch.float64)[None]
    return fields, seen, year, day


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize(("choice", "step"), [*zip(CHOICES, ("1D", "1M", "6h", "1D", "6h"), strict=True)])
@pytest.mark.parametrize("kind", GRIDS)
def test_network_follows_the_paper(kind, choice, step, fast):
    grid = GRIDS[kind]
    spec = NetworkSpec(**SPEC | CHOICES[choice])
    network = disturbed(build_network(spec, step))
    fields, seen, year, day = _inputs(grid, 4, spec.variables)
    with torch.inference_mode() if fast else torch.enable_grad():
        found = network.encode(fields, seen, year, day, geometry_of(grid), first_index=3, keep_refined=True)
    expected = oracle.network(
        oracle.numbers(network),
        spec,
        world_of(grid),
        fields[0].numpy(),
        seen[0].numpy(),
        year[0].numpy(),
        day[0].numpy(),
        first_index=3,
        daily=step == "6h",
    )
    for name in ("hidden", "refined", "gates", "embedding"):
        actual = getattr(found, name)[0].detach().numpy()
        np.testing.assert_allclose(actual, expected[name], atol=TOLERANCE, rtol=0, err_msg=name)
    np.testing.assert_allclose(found.state[1][0].detach().numpy(), expected["cell"], atol=TOLERANCE, rtol=0)
    assert found.hidden.abs().max() > 0.1


@pytest.mark.parametrize("kind", GRIDS)
def test_widest_kernels_and_squeeze_on_a_single_cell_step(kind):
    grid = GRIDS[kind]
    scales = ((5, 2), (3, 1), (3, 3))
    cell = disturbed(FAConvLSTMCell(3, 5, bottleneck=2, scales=scales))
    x, hidden, state = noise(1, 1, *grid.shape, 3), noise(1, *grid.shape, 5, seed=5), noise(1, *grid.shape, 5, seed=6)
    arguments = (x[0, 0].numpy(), hidden[0].numpy(), state[0].numpy())
    expected = oracle.cell_step(oracle.numbers(cell), world_of(grid), *arguments, scales)
    for run_type in (PlainRun, FastRun):
        with torch.no_grad():
            run = run_type(cell, None, geometry_of(grid), hidden, state)
            run.prepare(x)
            gates = run.advance(0)
        for actual, wanted in zip((run.hidden, run.cell, gates), expected, strict=True):
            np.testing.assert_allclose(actual[0].numpy(), wanted, atol=TOLERANCE, rtol=0)


def test_fast_and_plain_agree_in_float32_through_a_long_sequence():
    torch.manual_seed(0)
    spec = NetworkSpec(variables=3, hidden=16, bottleneck=8, attention_every=3, attention_width=16, embedding=16)
    network = build_network(spec).eval()
    geometry = Geometry.from_grid(Grid.regular(10.0))
    arguments = (torch.randn(2, 30, 3, 18, 36), torch.rand(2, 30, 18, 36), torch.rand(2, 30), torch.rand(2, 30))
    plain = network.encode(*arguments, geometry, keep_from=10, keep_refined=True)
    with torch.inference_mode():
        fast = network.encode(*arguments, geometry, keep_from=10, keep_refined=True)
        again = network.refine(fast.hidden, geometry, 10, [phase[:, 10:] for phase in arguments[2:]])
    for name in ("hidden", "refined", "embedding", "gates"):
        torch.testing.assert_close(getattr(fast, name), getattr(plain, name), atol=1e-5, rtol=0)
    torch.testing.assert_close(again, plain.refined, atol=1e-5, rtol=0)


def test_a_start_from_one_number_is_like_any_other():
    grid = GRIDS["regional"]
    cell = disturbed(FAConvLSTMCell(3, 4, bottleneck=2, scales=((3, 1),)))
    number = torch.full((1,), 0.7, dtype=torch.float64)
    state, fields = number.expand(2, *grid.shape, 4), noise(2, 1, *grid.shape, 3)
    ends = []
    for start in (state, state.clone(memory_format=torch.contiguous_format)):
        with torch.no_grad():
            run = FastRun(cell, None, geometry_of(grid), start, start)
            run.prepare(fields)
            run.advance(0)
        ends.append((run.hidden, run.cell))
    torch.testing.assert_close(ends[0], ends[1], atol=1e-14, rtol=0)
    assert number.item() == 0.7
    assert ends[0][0].std() > 0.01


def test_a_cell_drops_nothing_unless_asked():
    grid = GRIDS["regional"]
    cell = FAConvLSTMCell(3, 4, bottleneck=2, scales=((3, 1),))
    fields = noise(1, 2, *grid.shape, 3).float()
    learning, done = (mode.prepare(fields, Geometry.from_grid(grid)) for mode in (cell.train(), deepcopy(cell).eval()))
    torch.testing.assert_close(learning, done, rtol=0, atol=0)
    assert done.abs().max() > 0


def test_fast_way_is_taken_exactly_where_it_may_be(monkeypatch):
    grid = GRIDS["regional"]
    cell = FAConvLSTMCell(3, 4, bottleneck=2, scales=((3, 1),), dropout=0.5).eval()
    state = torch.zeros(1, *grid.shape, 4)
    arguments = (cell, None, Geometry.from_grid(grid), state, state)
    with torch.no_grad():
        assert isinstance(start_run(*arguments), FastRun)
        for samples, most, way in ((2, 10**6, PlainRun), (2, 1, FastRun), (1, 10**6, FastRun)):
            monkeypatch.setattr(recurrence, "_TOGETHER_CELLS", most)
            several = state.expand(samples, -1, -1, -1)
            assert isinstance(start_run(*arguments[:3], several, several), way)
        with torch.autocast("cpu", torch.bfloat16):
            assert isinstance(start_run(*arguments), PlainRun)
        cell.train()
        assert isinstance(start_run(*arguments), PlainRun)
        cell.eval()
    assert isinstance(start_run(*arguments), PlainRun)


def test_state_goes_on_where_it_stopped_and_is_not_changed():
    grid = GRIDS["cell-centred"]
    spec = NetworkSpec(**SPEC | {"attention_every": 2})
    network = disturbed(build_network(spec))
    fields, seen, year, day = _inputs(grid, 6, spec.variables)
    geometry = geometry_of(grid)
    for mode in (torch.inference_mode, torch.enable_grad):
        with mode():
            whole = network.encode(fields, seen, year, day, geometry, first_index=1)
            first = network.encode(fields[:, :3], seen[:, :3], year[:, :3], day[:, :3], geometry, first_index=1)
            kept = [part.clone() for part in first.state]
            rest = network.encode(
                fields[:, 3:], seen[:, 3:], year[:, 3:], day[:, 3:], geometry, state=first.state, first_index=4
            )
            for name in ("hidden", "embedding", "gates"):
                torch.testing.assert_close(getattr(rest, name), getattr(whole, name)[:, 3:], atol=1e-9, rtol=0)
            for before, after in zip(kept, first.state, strict=True):
                torch.testing.assert_close(after, before, atol=0, rtol=0)


def test_temporal_attention_is_causal_with_a_finite_look_back():
    head = disturbed(SubspaceHead(4, 16, pooling="mean", look_back=3))
    sequence = noise(1, 7, 16)
    before = head(sequence)
    sequence[:, 3] += 1
    changed = (head(sequence) - before).abs().amax(dim=(0, 2)) > 1e-12
    assert changed.tolist() == [False, False, False, True, True, True, False]


@pytest.mark.parametrize("daily", [False, True])
def test_seasonal_encoding(daily):
    year, day = torch.tensor([[0.0, 0.3, 0.9]]), torch.tensor([[0.0, 0.25, 0.5]])
    found = seasonal_encoding(year, day, 7, daily)
    for t in range(3):
        expected = oracle.seasonal(float(year[0, t]), float(day[0, t]), 7, daily)
        np.testing.assert_allclose(found[0, t].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["cell-centred", "regional"])
def test_gradients_are_those_of_the_function(kind):
    grid = GRIDS[kind]
    spec = NetworkSpec(
        **SPEC | UNLOCATED | {"attention_every": 2, "variables": 1, "hidden": 2, "bottleneck": 2, "scales": ((3, 1),)}
    )
    network = disturbed(build_network(spec))
    geometry = geometry_of(grid)
    fields, seen, year, day = _inputs(grid, 2, 1)
    names = [
        "core.peephole_forget",
        "core.mixing.kernels.0",
        "attention_module.row_key.weight",
        "head.pool_logits.weight",
    ]

    def function(fields, *replaced):
        encoded = torch.func.functional_call(
            _Encode(network, seen, year, day, geometry), dict(zip(names, replaced, strict=True)), (fields,)
        )
        return encoded.embedding, encoded.hidden[:, -1], encoded.gates

    class _Encode(torch.nn.Module):
        def __init__(self, network, *rest):
            super().__init__()
            for name, child in network.named_children():
                self.add_module(name, child)
            object.__setattr__(self, "network", network)
            self.rest = rest

        def forward(self, fields):
            return self.network.encode(fields, *self.rest)

    parameters = dict(network.named_parameters())
    inputs = [fields.requires_grad_(), *(parameters[name].detach().clone().requires_grad_() for name in names)]
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)


def test_hand_written_backward_of_the_gates_over_several_tiles(monkeypatch):
    monkeypatch.setattr("xfaconv.nn.gates._TILE_CELLS", 4)
    inputs = [noise(2, 5, 12, seed=1), noise(2, 5, 3, seed=2), noise(3, seed=3), noise(3, seed=4)]
    for tensor in inputs:
        tensor.requires_grad_()
    assert torch.autograd.gradcheck(update_state, inputs)
    for found, expected in zip(update_state(*inputs), lstm_equations(*inputs), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-14, rtol=0)


@pytest.mark.parametrize("choice", CHOICES)
def test_no_parameter_is_dead(choice):
    grid = GRIDS["cell-centred"]
    spec = NetworkSpec(**SPEC | CHOICES[choice])
    network = disturbed(build_network(spec))
    geometry = geometry_of(grid)
    fields, seen, year, day = _inputs(grid, 4, spec.variables)
    encoded = network.encode(fields, seen, year, day, geometry, keep_refined=True)
    prediction = network.predict(encoded.refined, fields, geometry)
    reconstruction = sum(network.reconstruct(encoded.embedding, geometry, lead=lead) for lead in (0, 2))
    (prediction.square().sum() + reconstruction.square().sum()).backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert dead == []


def test_checkpointing_changes_neither_result_nor_gradient():
    grid = GRIDS["pole-points"]
    spec = NetworkSpec(**SPEC | {"attention_every": 2})
    network = disturbed(build_network(spec))
    arguments = (*_inputs(grid, 4, spec.variables), geometry_of(grid))
    gradients = []
    for checkpointed in (False, True):
        network.zero_grad()
        network.encode(*arguments, checkpointed=checkpointed).embedding.square().sum().backward()
        gradients.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-9)
