"""Model files and cards with random changes: each is read as the same model, or refused by a typed error.

``make fuzz`` tries ten thousand new ones; otherwise the same few dozen are tried every time.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models.conftest import tiny_card
from tests.models.test_storage import join, split
from xfaconv.errors import XFaconvError
from xfaconv.models import Model, load_model
from xfaconv.models.storage import _digest, read_model_file, seal
from xfaconv.specs import ModelCard

CASES = int(os.environ.get("XFACONV_FUZZ", "120"))
fuzz = settings(
    max_examples=-(-CASES // 3),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=CASES <= 500,
    database=None,
)
pytestmark = pytest.mark.timeout(4 * 3600)

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([0, 1, -1, 10**9, 10**30, float("nan"), float("inf"), True]),
)
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", "1M", "<script>alert(1)</script>", "../../x", "\x00", "{}", "__class__", "network"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside nested lists and mappings."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [path, *(place for key in keys for place in places(value[key], (*path, key)))]


def changed(value: Any, drawn: st.DataObject) -> Any:
    """Replace, remove or add something at up to three places."""
    value = copy.deepcopy(value)
    for _ in range(drawn.draw(st.integers(1, 3))):
        path = drawn.draw(st.sampled_from(places(value)))
        if not path:
            if drawn.draw(st.integers(0, 20)) == 0:
                value = drawn.draw(VALUES)
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        how = drawn.draw(st.sampled_from(["replace", "remove", "add"]))
        if how == "replace":
            holder[path[-1]] = drawn.draw(VALUES)
        elif how == "remove":
            del holder[path[-1]]
        elif isinstance(holder, dict):
            holder[drawn.draw(TEXTS)] = drawn.draw(VALUES)
        else:
            holder.insert(path[-1], drawn.draw(VALUES))
    return value


@pytest.fixture(scope="module")
def original(tiny_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / "original.safetensors"
    tiny_model.save(path)
    return path


def read(content: bytes, beside: Path) -> Model | None:
    """Read as a user does, and show what was read; None where it was refused."""
    path = beside.with_name("changed.safetensors")
    path.write_bytes(content)
    try:
        model = load_model(path)
        repr(model), repr(model.card)
        shown = model._repr_html_()
    except XFaconvError as problem:
        str(problem)
        return None
    assert "<script" not in shown.lower()
    return model


@fuzz
@given(st.data())
def test_bytes_of_a_file_that_are_changed(original: Path, drawn: st.DataObject) -> None:
    content = bytearray(original.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(drawn.draw(st.integers(1, 4))):
        within = header if drawn.draw(st.booleans()) else len(content)
        place = drawn.draw(st.integers(0, max(0, min(within, len(content)) - 1)))
        how = drawn.draw(st.sampled_from(["change", "cut", "insert", "repeat", "end"]))
        size = drawn.draw(st.integers(1, 64))
        if how == "change":
            content[place : place + 1] = drawn.draw(st.binary(min_size=1, max_size=1))
        elif how == "cut":
            del content[place : place + size]
        elif how == "insert":
            content[place:place] = drawn.draw(st.binary(max_size=size))
        elif how == "repeat":
            content[place:place] = content[place : place + size]
        else:
            del content[place:]
    model = read(bytes(content), original)
    assert model is None or bytes(content) == original.read_bytes()


@fuzz
@given(st.data())
def test_headers_that_are_changed_by_somebody_who_knows_the_format(original: Path, drawn: st.DataObject) -> None:
    header, data = split(original.read_bytes())
    sealed = json.loads(header["__metadata__"]["xfaconv"])
    if drawn.draw(st.booleans()):
        card = changed(sealed["card"], drawn)
        try:
            digest = _digest(card)
        except XFaconvError:
            digest = sealed["card_sha256"]
        header["__metadata__"]["xfaconv"] = json.dumps({"card_sha256": digest, "card": card})
    else:
        header = changed(header, drawn)
    try:
        text = json.dumps(header).encode()
    except ValueError:
        return
    read(join(text, data), original)


@fuzz
@given(st.data())
def test_cards_that_are_changed(original: Path, drawn: st.DataObject) -> None:
    entries = changed(tiny_card().to_dict(), drawn)
    file = read_model_file(original)
    try:
        card = ModelCard.from_dict(entries)
        sealed = seal(card, file.network, file.climatology)
        Model(sealed).network()
        repr(sealed.card)
        shown = sealed.card._repr_html_()
    except XFaconvError as problem:
        str(problem)
        return
    assert "<script" not in shown.lower()
