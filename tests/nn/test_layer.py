"""FAConvLSTM as a layer: its states, its grids, its refusals, and life inside other people's modules."""

from __future__ import annotations

import copy
import io
import itertools
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from tests.nn import oracle
from tests.nn.worlds import GRIDS, disturbed, noise, world_of
from xfaconv.errors import ArgumentError, GridError
from xfaconv.grid import Grid
from xfaconv.nn import FAConvLSTM
from xfaconv.nn.recurrence import PlainRun

SIZES = {"bottleneck": 4, "scales": ((3, 1), (3, 2)), "attention_every": 2, "attention_width": 4, "attention_heads": 2}


def _layer(**arguments):
    torch.manual_seed(0)
    return disturbed(FAConvLSTM(3, 6, **SIZES | arguments))


def _plane(steps=5, batch=2):
    return noise(batch, steps, 6, 7, 3)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", GRIDS)
def test_layer_follows_the_paper(kind, mode):
    grid, world = GRIDS[kind], world_of(GRIDS[kind])
    layer = _layer(grid=grid, return_sequences=True, return_state=True)
    x = noise(1, 4, *grid.shape, 3)
    with mode():
        output, hidden, cell = layer(x)
    p = oracle.numbers(layer)
    slow_hidden = slow_cell = np.zeros((*grid.shape, 6))
    for t in range(4):
        step = (oracle.part(p, "cell."), world, x[0, t].numpy(), slow_hidden, slow_cell, SIZES["scales"])
        slow_hidden, slow_cell, _ = oracle.cell_step(*step)
        if t % 2 == 0:
            slow_hidden = slow_hidden + oracle.axial_attention(oracle.part(p, "attention."), world, slow_hidden, 2)
        np.testing.assert_allclose(output[0, t].detach().numpy(), slow_hidden, atol=5e-6)
    np.testing.assert_allclose(cell[0].detach().numpy(), slow_cell, atol=5e-6)
    torch.testing.assert_close(hidden, output[:, -1])


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("use_bias", [True, False])
def test_without_a_grid_the_world_is_a_plane_with_zeros_around(mode, use_bias):
    layer = _layer(attention_every=0, use_bias=use_bias, return_sequences=True)
    x = _plane(batch=1, steps=2)
    with mode():
        output = layer(x)
    p = oracle.part(oracle.numbers(layer), "cell.")
    world = world_of(Grid(tuple(1e-6 * np.arange(1, 7)), tuple(1.0 * np.arange(7))))  # equal areas, to 1e-14
    hidden = cell = np.zeros((6, 7, 6))
    for t in range(2):
        hidden, cell, _ = oracle.cell_step(p, world, x[0, t].numpy(), hidden, cell, SIZES["scales"])
        np.testing.assert_allclose(output[0, t].detach().numpy(), hidden, atol=1e-7)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_latitude_runs_either_way_and_longitude_starts_anywhere(mode, data_format):
    grid = GRIDS["pole-points"]
    axis = -3 if data_format == "channels_last" else -2
    north_first = _layer(
        latitude=grid.latitude[::-1],
        longitude=grid.longitude,
        data_format=data_format,
        return_sequences=True,
        return_state=True,
    )
    south_first = _layer(
        latitude=grid.latitude,
        longitude=np.roll(np.mod(grid.longitude, 360), 3),
        data_format=data_format,
        return_sequences=True,
        return_state=True,
    )
    x, state = noise(2, 3, *grid.shape, 3), [noise(2, *grid.shape, 6, seed=s) for s in (4, 5)]
    if data_format == "channels_first":
        x, state = x.movedim(-1, -3), [s.movedim(-1, -3) for s in state]
    with mode():
        one = north_first(x.flip(axis), [s.flip(axis) for s in state])
        other = south_first(x.roll(3, axis + 1), [s.roll(3, axis + 1) for s in state])
    for flipped, rolled in zip(one, other, strict=True):
        torch.testing.assert_close(flipped.flip(axis), rolled.roll(-3, axis + 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_stateful_continuation_equals_one_long_run(mode, data_format):
    x = _plane(steps=7)
    x = x.movedim(-1, -3) if data_format == "channels_first" else x
    whole = _layer(return_sequences=True, data_format=data_format)
    parts = _layer(return_sequences=True, data_format=data_format, stateful=True)
    with mode():
        expected = whole(x)
        for _ in range(2):  # the second round: reset_states forgets, and the phase of the attention with it
            found = [parts(piece) for piece in (x[:, :3], x[:, 3:4], x[:, 4:])]
            torch.testing.assert_close(torch.cat(found, dim=1), expected, atol=1e-9, rtol=0)
            parts.reset_states()


def test_results_of_a_stateful_layer_are_not_changed_by_the_next_call():
    layer = _layer(stateful=True, return_state=True)
    with torch.inference_mode():
        first = layer(_plane())
        copies = [part.clone() for part in first]
        layer(_plane())
    for part, kept in zip(first, copies, strict=True):
        assert torch.equal(part, kept)


def test_a_state_from_inference_mode_may_be_trained_on():
    layer = _layer(stateful=True)
    with torch.inference_mode():
        layer(_plane())
    layer(_plane()).sum().backward()
    assert layer.cell.gates.weight.grad.abs().max() > 0


def test_initial_state_is_honoured_and_never_changed():
    layer = _layer(return_state=True)
    x = _plane(steps=4)
    for mode in (torch.enable_grad, torch.inference_mode):
        with mode():
            _, hidden, cell = layer(x[:, :2])
            kept = hidden.clone(), cell.clone()
            continued = layer(x[:, 2:], initial_state=[hidden, cell], first_index=2)
            for part, expected in zip(continued, layer(x), strict=True):
                torch.testing.assert_close(part, expected, atol=1e-9, rtol=0)
            assert torch.equal(hidden, kept[0])
            assert torch.equal(cell, kept[1])


def test_dropout_is_for_training_only_and_the_same_at_all_steps():
    layer = _layer(dropout=0.5, recurrent_dropout=0.5)
    same = _layer()
    same.load_state_dict(layer.state_dict())
    x = _plane()
    torch.testing.assert_close(layer(x), same(x))
    layer.train()
    assert not torch.equal(layer(x), layer(x))
    constant = _layer(dropout=0.5).train()
    field = noise(1, 1, 6, 7, 3).expand(1, 4, 6, 7, 3)
    run = PlainRun(
        constant.cell, None, constant._geometry(field), *(torch.zeros(1, 6, 7, 6).double() for _ in range(2))
    )
    run.prepare(field)
    for t in range(1, 4):
        torch.testing.assert_close(run._prepared[:, t], run._prepared[:, 0])
    mask = _layer(recurrent_dropout=0.25).train().cell.recurrent_mask(torch.zeros(9, 30, 30, 6))
    assert sorted(mask.unique().tolist()) == pytest.approx([0, 1 / 0.75])
    assert mask.mean().item() == pytest.approx(1, abs=0.02)


def test_unit_forget_bias_and_use_bias():
    bias = FAConvLSTM(3, 6).cell.gates.bias
    assert bias.tolist() == [0] * 6 + [1] * 6 + [0] * 12
    assert FAConvLSTM(3, 6, unit_forget_bias=False).cell.gates.bias.abs().max() == 0
    assert FAConvLSTM(3, 6, use_bias=False).cell.gates.bias is None


def test_gradcheck_of_the_layer():
    layer = disturbed(FAConvLSTM(1, 2, 3, bottleneck=2, attention_every=1, attention_width=2, attention_heads=1))
    x = noise(1, 2, 3, 4, 1).requires_grad_()
    state = [noise(1, 3, 4, 2, seed=s).requires_grad_() for s in (5, 6)]
    assert torch.autograd.gradcheck(lambda x, *state: layer(x, state), (x, *state))


def test_no_parameter_of_the_layer_is_dead():
    layer = _layer()
    layer(_plane()).square().sum().backward()
    assert [name for name, p in layer.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_checkpointed_gradients_are_the_same():
    gradients = []
    for checkpointed in (False, True):
        layer = _layer(checkpointed=checkpointed)
        x = _plane().requires_grad_()
        layer(x).square().sum().backward()
        gradients.append([x.grad, *(p.grad for p in layer.parameters())])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-9)


class _Forecaster(nn.Module):
    """A user's own module with the layer inside."""

    def __init__(self):
        super().__init__()
        self.encoder = FAConvLSTM(3, 6, **SIZES, data_format="channels_first", return_sequences=True)
        self.read_out = nn.Conv2d(6, 1, 1)

    def forward(self, x):
        return self.read_out(self.encoder(x)[:, -1])


def test_inside_a_users_module_it_trains():
    torch.manual_seed(0)
    module = _Forecaster()
    x, target = torch.randn(2, 4, 3, 6, 7), torch.randn(2, 1, 6, 7)
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = (module(x) - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    with torch.inference_mode():  # the fast way reads the weights anew
        assert (module(x) - target).square().mean().item() < losses[-1]


def test_state_dict_round_trip_deepcopy_and_saving():
    layer, other = _layer(stateful=True), FAConvLSTM(3, 6, **SIZES).double().eval()
    x = _plane()
    expected = layer(x)
    assert set(layer.state_dict()) == {name for name, _ in layer.named_parameters()}
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(other(x), expected)
    twin = copy.deepcopy(layer)
    torch.testing.assert_close(twin(x), layer(x))
    with torch.no_grad():
        twin.cell.gates.weight.zero_()
    twin.reset_states()
    layer.reset_states()
    torch.testing.assert_close(layer(x), expected)
    assert not torch.allclose(twin(x), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_moved_to_another_type(dtype):
    layer = _layer(grid=GRIDS["cell-centred"], stateful=True)
    x = noise(1, 3, 6, 8, 3)
    expected = layer(x)
    layer.reset_states()
    layer(x)
    layer.to(dtype)
    assert layer._hidden.dtype == dtype
    layer.reset_states()
    found = layer(x.to(dtype))
    assert found.dtype == dtype
    tolerance = 0.3 if dtype == torch.bfloat16 else 1e-4
    torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_autocast(training):
    layer = _layer(grid=GRIDS["cell-centred"]).float()
    x = noise(1, 3, 6, 8, 3).float()
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(training):
        found = layer(x)
        if training:
            found.float().square().sum().backward()
            assert layer.cell.gates.weight.grad.isfinite().all()
    torch.testing.assert_close(found.float(), expected, atol=0.2, rtol=0)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    ("mode", "backend"),
    [
        (torch.enable_grad, "aot_eager"),
        pytest.param(
            torch.no_grad,
            "inductor",
            marks=pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler"),
        ),
    ],
)
def test_torch_compile(mode, backend):
    layer = _layer(return_state=True, attention_every=1 if backend == "aot_eager" else 0).float()
    x = _plane(steps=1, batch=1).float()
    with mode():
        expected = layer(x)
        found = torch.compile(layer, backend=backend)(x)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_shapes_for_all_choices():
    for sequences, state, data_format in itertools.product([False, True], [False, True], [None, "channels_first"]):
        layer = FAConvLSTM(3, 6, **SIZES, return_sequences=sequences, return_state=state, data_format=data_format)
        x = torch.zeros(2, 4, 3, 6, 7) if data_format else torch.zeros(2, 4, 6, 7, 3)
        found = layer(x)
        single = (2, 6, 6, 7) if data_format else (2, 6, 7, 6)
        output = found[0] if state else found
        assert output.shape == ((2, 4, *single[1:]) if sequences else single)
        assert not state or [part.shape for part in found[1:]] == [single, single]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"data_format": "NHWC"}, "data_format"),
        ({"attention_every": -1}, "attention_every"),
        ({"dropout": 1.0}, "dropout"),
        ({"kernel_size": (3, 5)}, "same in both directions"),
        ({"kernel_size": 4}, "odd"),
        ({"kernel_size": 3, "scales": ((3, 1),)}, "twice"),
        ({"dilation_rate": 2}, "needs a kernel_size"),
        ({"latitude": [1, 2]}, "both latitude and longitude"),
        ({"colour": "blue"}, "no argument 'colour'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        FAConvLSTM(3, 6, **arguments)


def test_inputs_that_do_not_fit_are_refused():
    layer = _layer(stateful=True)
    layer(_plane())
    with pytest.raises(ArgumentError, match="state does not fit"):
        layer(_plane(batch=1))
    with pytest.raises(ArgumentError, match="does not fit the layer"):
        layer(noise(2, 5, 6, 7, 4))
    with pytest.raises(ArgumentError, match="wrong number of axes"):
        layer(noise(2, 6, 7, 3))
    with pytest.raises(ArgumentError, match="initial_state"):
        layer(_plane(), [noise(2, 6, 7, 6)])
    with pytest.raises(GridError, match="layer's grid"):
        _layer(grid=GRIDS["regional"])(_plane())


def test_kernel_size_and_dilation_rate_make_one_branch():
    assert FAConvLSTM(3, 6, 5, dilation_rate=(2, 2)).cell.mixing.scales == ((5, 2),)
    assert FAConvLSTM(3, 6).cell.mixing.scales == ((3, 1), (3, 2), (5, 3))
    assert "plane" in repr(FAConvLSTM(3, 6))
