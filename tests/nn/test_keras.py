"""The same inputs through Keras' own ConvLSTM2D: equal shapes, time and states alike, no argument forgotten."""

from __future__ import annotations

import inspect
import itertools
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xfaconv.errors import ArgumentError
from xfaconv.nn import FAConvLSTM
from xfaconv.nn.layer import refuse_keras_arguments

# Keras 3 itself uses an old protocol of numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TABLE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"
INPUT = np.random.default_rng(0).normal(size=(2, 5, 6, 7, 3)).astype("float32")


@cache
def keras() -> Any:
    """Keras, which takes seconds to import: not while tests are collected."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    found = pytest.importorskip("keras", reason="Keras is not installed: pip install keras", exc_type=ImportError)
    if found.backend.backend() != "torch":
        pytest.skip("Keras runs on another backend here: set KERAS_BACKEND=torch")
    return found


def _both(**arguments):
    keras().utils.set_random_seed(0)
    theirs = keras().layers.ConvLSTM2D(4, 3, padding="same", **arguments)
    ours = FAConvLSTM(3, 4, 3, padding="same", attention_every=0, bottleneck=4, **arguments).eval()
    return theirs, ours


def _call(layer, x, **arguments):
    x = torch.as_tensor(x)
    with torch.no_grad():
        out = layer(x, **arguments)
    return [np.asarray(part) for part in out] if isinstance(out, (tuple, list)) else [np.asarray(out)]


def _in(data_format):
    return INPUT if data_format == "channels_last" else np.moveaxis(INPUT, -1, 2)


CHOICES = list(itertools.product([False, True], [False, True], ["channels_last", "channels_first"]))


@pytest.mark.parametrize(("return_sequences", "return_state", "data_format"), CHOICES)
def test_shapes_are_equal(return_sequences, return_state, data_format):
    for layers in (_both(return_sequences=return_sequences, return_state=return_state, data_format=data_format),):
        theirs, ours = (_call(layer, _in(data_format)) for layer in layers)
        assert [part.shape for part in ours] == [part.shape for part in theirs]


def test_default_data_format_is_equal():
    theirs, ours = _both()
    assert _call(ours, INPUT)[0].shape == _call(theirs, INPUT)[0].shape


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("backwards", [False, True])
def test_what_return_state_returns(backwards, data_format):
    """Hidden state first, equal to the last output in the order of processing; then the cell state."""
    layers = _both(return_sequences=True, return_state=True, go_backwards=backwards, data_format=data_format)
    for layer in layers:
        output, hidden, cell = _call(layer, _in(data_format))
        np.testing.assert_allclose(hidden, output[:, -1], atol=1e-6)
        assert not np.allclose(cell, hidden)
        assert (np.abs(hidden) <= np.abs(np.tanh(cell)) + 1e-6).all()


def test_go_backwards_is_the_run_over_the_reversed_sequence_in_that_order():
    for index in (0, 1):
        forwards, backwards = (_both(return_sequences=True, go_backwards=b)[index] for b in (False, True))
        _call(forwards, INPUT), _call(backwards, INPUT)
        _copy_weights(forwards, backwards)
        np.testing.assert_allclose(
            _call(backwards, INPUT)[0], _call(forwards, INPUT[:, ::-1].copy())[0], atol=1e-6, err_msg=str(index)
        )


def test_stateful_calls_continue_and_reset():
    pieces = INPUT[:, :2], INPUT[:, 2:3], INPUT[:, 3:]
    for index in (0, 1):
        whole, stateful = (_both(return_sequences=True, stateful=s)[index] for s in (False, True))
        _call(whole, INPUT), _call(stateful, INPUT)
        _copy_weights(whole, stateful)
        expected = _call(whole, INPUT)[0]
        for _ in range(2):
            stateful.reset_states()
            found = np.concatenate([_call(stateful, piece)[0] for piece in pieces], axis=1)
            np.testing.assert_allclose(found, expected, atol=1e-6)
        assert not np.allclose(_call(stateful, INPUT)[0], expected)
        with pytest.raises(ValueError, match="state"):
            _call(stateful, INPUT[:1])


def test_initial_state_continues_and_overrides_the_carried_state():
    for index in (0, 1):
        layer = _both(return_sequences=True, return_state=True)[index]
        whole = _call(layer, INPUT)[0]
        _, *state = _call(layer, INPUT[:, :2])
        state = [torch.as_tensor(part) for part in state]
        np.testing.assert_allclose(_call(layer, INPUT[:, 2:], initial_state=state)[0], whole[:, 2:], atol=1e-6)
        stateful = _both(return_sequences=True, stateful=True)[index]
        _call(stateful, INPUT)
        _copy_weights(layer, stateful)
        found = _call(stateful, INPUT[:, 2:], initial_state=state)[0]
        np.testing.assert_allclose(found, whole[:, 2:], atol=1e-6)


def test_forget_bias_starts_alike():
    for unit in (True, False):
        theirs, ours = _both(unit_forget_bias=unit)
        _call(theirs, INPUT)
        # Keras orders i, f, c, o and the paper i, f, o, c: the forget gate is the second of both.
        np.testing.assert_array_equal(
            np.asarray(theirs.cell.bias.value.detach()), ours.cell.gates.bias.detach().numpy()
        )
    theirs, ours = _both(use_bias=False)
    _call(theirs, INPUT)
    assert theirs.cell.bias is None
    assert ours.cell.gates.bias is None


def test_dropout_acts_in_training_only():
    for index in (0, 1):
        plain = _both()[index]
        dropping = _both(dropout=0.5, recurrent_dropout=0.5)[index]
        _call(plain, INPUT), _call(dropping, INPUT)
        _copy_weights(plain, dropping)
        np.testing.assert_allclose(_call(dropping, INPUT)[0], _call(plain, INPUT)[0], atol=1e-6)
        dropping.train()
        training = {} if index else {"training": True}
        assert not np.allclose(_call(dropping, INPUT, **training)[0], _call(dropping, INPUT, **training)[0])


def _copy_weights(source, target):
    if isinstance(source, FAConvLSTM):
        target.load_state_dict(source.state_dict())
    else:
        target.set_weights([np.asarray(w) for w in source.get_weights()])


def _keras_arguments():
    init = list(inspect.signature(keras().layers.ConvLSTM2D.__init__).parameters)[1:-1]
    call = list(inspect.signature(keras().layers.ConvLSTM2D.call).parameters)[1:]
    return init, call


def _table():
    rows = re.findall(r"^\| `(\w+)` \| (honoured|one choice|refused) \|", TABLE.read_text(), flags=re.MULTILINE)
    return dict(rows), [name for name, _ in rows]


def test_the_conformance_table_lists_exactly_the_arguments_of_keras():
    verdicts, names = _table()
    init, call = _keras_arguments()
    assert names == [*init, *call]
    assert len(verdicts) == len(names)


def test_the_conformance_table_tells_the_truth():
    """Honoured arguments stand in the signature; the others are refused unless they ask for what is done anyway."""
    verdicts, _ = _table()
    init, call = _keras_arguments()
    signature = inspect.signature(FAConvLSTM.__init__).parameters
    defaults = inspect.signature(keras().layers.ConvLSTM2D.__init__).parameters
    for name in init:
        if verdicts[name] == "honoured":
            assert name in signature, name
            continue
        with pytest.raises(ArgumentError, match=name):
            refuse_keras_arguments(**{name: 2 if name == "strides" else "something else"})
        if verdicts[name] == "one choice" and name != "padding":
            refuse_keras_arguments(**{name: defaults[name].default})
    layer = FAConvLSTM(3, 4, 3, attention_every=0)
    for name in call:
        if verdicts[name] == "honoured":
            assert name in inspect.signature(layer.forward).parameters, name
        else:
            with pytest.raises(ArgumentError, match=name):
                layer(torch.as_tensor(INPUT), **{name: True})
