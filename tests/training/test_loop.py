"""The loop: the same seed gives the same weights, an interrupted run ends like an undisturbed one, losses fall."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xfaconv.errors import ArgumentError, ModelFileError
from xfaconv.grid import Grid
from xfaconv.nn import Geometry, Network, build_network
from xfaconv.specs import NetworkSpec
from xfaconv.training.data import WindowSource
from xfaconv.training.loop import Schedule, start_from_damped_persistence, train
from xfaconv.training.objective import Objective

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


@pytest.fixture(autouse=True)
def _one_thread() -> object:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def travelling_waves(steps: int = 60) -> WindowSource:
    """Two variables: a wave that moves eastward, and its copy half a circle away."""
    longitude = np.deg2rad(GRID.longitude)
    time = np.arange(steps)[:, None, None]
    latitude = np.cos(np.deg2rad(GRID.latitude))[None, :, None]
    wave = (np.sin(longitude[None, None] - 0.4 * time) * latitude).astype(np.float32)
    phase = (np.arange(steps) % 12 + 0.5) / 12
    return WindowSource([wave, -wave], phase, np.zeros(steps), (slice(0, steps),))


def fresh(spec: NetworkSpec = SPEC) -> Network:
    torch.manual_seed(0)
    network = build_network(spec)
    network.core.input_dropout.p = network.core.hidden_dropout.p = 0.1
    return network


def run(updates: int, network: Network, **options: object) -> list[dict[str, float]]:
    schedule = Schedule(updates=updates, batch=2, window=5, learning_rate=5e-3, averaging=0.9, seed=4)
    return train(network, travelling_waves(), GRID, schedule, Objective(warm_steps=2), **options)


def weights(network: Network) -> dict[str, torch.Tensor]:
    return network.state_dict()


def test_same_seed_gives_the_same_weights_and_leaves_torch_randomness_alone() -> None:
    first, second = fresh(), fresh()
    run(6, first)
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    run(6, second)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(weights(first).values(), weights(second).values(), strict=True))


def test_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    undisturbed, interrupted, resumed = fresh(), fresh(), fresh()
    whole = run(8, undisturbed)
    checkpoint = tmp_path / "run.checkpoint"
    run(8, interrupted, checkpoint=checkpoint, stop=lambda update: update == 3)
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.zero_()
    rest = run(8, resumed, checkpoint=checkpoint)
    assert all(torch.equal(a, b) for a, b in zip(weights(undisturbed).values(), weights(resumed).values(), strict=True))
    assert whole[-1]["loss"] == rest[-1]["loss"]


def test_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.checkpoint"
    run(2, fresh(), checkpoint=checkpoint)
    with pytest.raises(ModelFileError, match="belongs to a run with another schedule"):
        run(1, fresh(), checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="cannot be read"):
        run(2, fresh(), checkpoint=checkpoint)


def test_a_finished_run_is_extended_as_one_that_was_never_interrupted(tmp_path: Path) -> None:
    """The further updates are those of the longer schedule, from the weights and moments of the shorter."""
    checkpoint, second = tmp_path / "run.checkpoint", tmp_path / "second.checkpoint"
    short = run(4, fresh(), checkpoint=checkpoint)
    second.write_bytes(checkpoint.read_bytes())
    seen: list[int] = []
    once = fresh()
    history = run(9, once, checkpoint=checkpoint, report=lambda update, _: seen.append(update))
    assert seen == [4, 5, 6, 7, 8, 9]
    assert history[0] == short[0]
    assert [(entry["update"], entry["of"]) for entry in history] == [(4, 4), (9, 9)]
    run(9, fresh(), checkpoint=second, stop=lambda update: update == 6)
    twice = fresh()
    run(9, twice, checkpoint=second)
    assert all(torch.equal(a, b) for a, b in zip(weights(once).values(), weights(twice).values(), strict=True))
    again = fresh()
    seen.clear()
    run(9, again, checkpoint=checkpoint, report=lambda update, _: seen.append(update))
    assert seen == [9], "a finished run trains nothing"
    assert all(torch.equal(a, b) for a, b in zip(weights(once).values(), weights(again).values(), strict=True))
    with pytest.raises(ModelFileError, match="another schedule"):
        run(4, fresh(), checkpoint=checkpoint)


def test_losses_fall_on_a_travelling_wave() -> None:
    schedule = Schedule(updates=150, batch=2, window=5, learning_rate=5e-3, seed=4)
    everything_seen = Objective(warm_steps=2, sector_share=0, box_share=0, variable_dropout=0)
    history = train(fresh(), travelling_waves(), GRID, schedule, everything_seen)
    assert history[-1]["lead 2"] < 0.3 * history[0]["lead 2"]


def test_validation_keeps_the_best_weights_and_ends_the_run(tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def validate(network: Network) -> float:
        assert not network.training
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return [3.0, 1.0, 2.0, 2.0, 0.0][len(seen) - 1]

    network = fresh()
    checkpoint = tmp_path / "run.checkpoint"
    run(250, network, validate=validate, patience=2, checkpoint=checkpoint)
    assert len(seen) == 4
    assert all(torch.equal(value, seen[1][name]) for name, value in weights(network).items())
    again = fresh()
    run(250, again, validate=validate, patience=2, checkpoint=checkpoint)
    assert len(seen) == 4
    assert all(torch.equal(value, seen[1][name]) for name, value in weights(again).items())


def test_new_network_starts_at_damped_persistence() -> None:
    random = np.random.default_rng(2)
    series = np.zeros((400, *GRID.shape), "f4")
    for step in range(1, len(series)):
        series[step] = 0.6 * series[step - 1] + random.normal(size=GRID.shape)
    source = WindowSource([series, -series], np.zeros(400), np.zeros(400), (slice(0, 400),))
    network = fresh()
    start_from_damped_persistence(network, source, GRID)
    expected = torch.tensor([[1.0, 1.0], [0.6, 0.6], [0.36, 0.36]])
    assert torch.allclose(network.persistence, expected, atol=0.06)


def test_an_interrupted_run_on_blended_windows_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    source, schedule = travelling_waves(), Schedule(updates=6, batch=2, window=4, seed=3, blend=True)
    whole = fresh()
    train(whole, source, GRID, schedule, Objective(warm_steps=1))
    halted = fresh()
    checkpoint = tmp_path / "run.checkpoint"
    train(halted, source, GRID, schedule, Objective(warm_steps=1), checkpoint=checkpoint, stop=lambda done: done == 3)
    resumed = fresh()
    train(resumed, source, GRID, schedule, Objective(warm_steps=1), checkpoint=checkpoint)
    plain = fresh()
    train(plain, source, GRID, Schedule(updates=6, batch=2, window=4, seed=3), Objective(warm_steps=1))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert not torch.equal(whole.read_out[0].weight, plain.read_out[0].weight)


def test_only_the_named_parts_learn_and_an_interrupted_run_of_them_ends_the_same(tmp_path: Path) -> None:
    before, whole, halted, resumed = fresh(), fresh(), fresh(), fresh()
    parts = ("head", "core.squeeze_excitation")
    run(4, whole, learning=parts)
    run(4, halted, learning=parts, checkpoint=tmp_path / "run.checkpoint", stop=lambda update: update == 2)
    run(4, resumed, learning=parts, checkpoint=tmp_path / "run.checkpoint")
    for name, value in weights(whole).items():
        chosen = name.startswith(("head.", "core.squeeze_excitation."))
        assert torch.equal(value, weights(before)[name]) != chosen, name
        assert torch.equal(value, weights(resumed)[name]), name
    assert all(parameter.requires_grad for parameter in whole.parameters()), "later everything can learn again"


def test_a_part_that_the_network_has_not_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"no part 'heads'[\s\S]*head"):
        run(2, fresh(), learning=("heads",))


def test_an_embedding_with_an_outlook_learns_to_forecast_a_wave() -> None:
    torch.manual_seed(0)
    network = build_network(SPEC)
    schedule = Schedule(updates=150, batch=2, window=6, learning_rate=2e-2, seed=4)
    seen = Objective(
        warm_steps=3, sector_share=0, box_share=0, variable_dropout=0, outlook_weight=1.0, reconstruction_weight=1.0
    )
    history = train(network, travelling_waves(), GRID, schedule, seen)
    for lead in (1, 2):
        assert history[-1][f"outlook {lead}"] < 0.1 * history[0][f"outlook {lead}"]


def test_the_weight_of_the_input_counts_in_the_second_half() -> None:
    """Which variables carry information is not known before; then the one that is a copy costs as well."""
    network = fresh()
    schedule = Schedule(updates=40, batch=2, window=5, learning_rate=5e-3, seed=4)
    history = train(network, travelling_waves(), GRID, schedule, Objective(warm_steps=2, input_weight=0.5))
    priced = [entry.get("input weights") for entry in history]
    assert priced[0] is None
    assert priced[-1] is not None
    free = fresh()
    train(free, travelling_waves(), GRID, schedule, Objective(warm_steps=2))
    sizes = [float(each.core.size_of_input_weights(2).sum().detach()) for each in (network, free)]
    assert sizes[0] < 0.9 * sizes[1]


def test_reinitialised_gates_start_at_their_biases_and_can_learn_again() -> None:
    network = fresh(replace(SPEC, squeeze="mean"))
    gates = network.core.squeeze_excitation
    with torch.no_grad():
        gates.squeeze.weight.zero_()
        gates.squeeze.bias.fill_(-1.0)
        gates.excite.bias.normal_()
    before = {name: value.clone() for name, value in weights(network).items()}
    run(3, network, learning=("core.squeeze_excitation.squeeze",))
    assert torch.equal(gates.squeeze.weight, before["core.squeeze_excitation.squeeze.weight"]), "silent units stay so"
    gates.reinitialise()
    mixed = torch.randn(2, *GRID.shape, 8)
    expected = torch.sigmoid(gates.excite.bias).expand(2, -1)
    assert torch.allclose(gates(mixed, Geometry.from_grid(GRID)), expected)
    run(8, network, learning=("core.squeeze_excitation",))
    assert gates(mixed, Geometry.from_grid(GRID)).std(dim=0).max() > 0
