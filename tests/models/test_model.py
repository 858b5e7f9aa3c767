"""The Model object: built once, cheap to send, never changed, and quiet about it."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser

import cloudpickle
import numpy as np
import pytest
import torch
from dask.base import tokenize

from tests.models.conftest import SPEC, make_tiny_model, tiny_card, tiny_climatology
from xfaconv import nn
from xfaconv.errors import ModelError, ModelFileError, XFaconvError
from xfaconv.models import Model, load_model
from xfaconv.models.storage import seal


def test_sixteen_threads_build_the_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_tiny_model(seed=101)
    built = []
    original = nn.build_network
    monkeypatch.setattr(nn, "build_network", lambda *spec: built.append(1) or original(*spec))
    barrier = threading.Barrier(16)

    def ask(_: int) -> object:
        barrier.wait()
        return pickle.loads(pickle.dumps(model)).network()

    with ThreadPoolExecutor(16) as pool:
        networks = list(pool.map(ask, range(16)))
    assert len(built) == 1
    assert all(network is networks[0] for network in networks)


def test_the_network_is_ready_to_use_and_cannot_collect_gradients(tiny_model: Model) -> None:
    network = tiny_model.network()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())


def test_a_trainable_copy_is_a_copy(tiny_model: Model) -> None:
    before = {name: values.clone() for name, values in tiny_model.network().state_dict().items()}
    copy = tiny_model.trainable_network()
    assert copy.training
    assert all(parameter.requires_grad for parameter in copy.parameters())
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.add_(1)
    for fresh in (tiny_model.network(), tiny_model.trainable_network()):
        assert all(torch.equal(values, before[name]) for name, values in fresh.state_dict().items())


def test_the_model_does_not_follow_the_network_it_was_made_of() -> None:
    network = nn.build_network(SPEC)
    model = Model.from_network(tiny_card(), network, tiny_climatology())
    expected = next(network.parameters()).detach().clone()
    with torch.no_grad():
        next(network.parameters()).add_(1)
    assert torch.equal(next(model.network().parameters()), expected)


def test_the_climatology_in_memory_is_the_one_of_the_file(tmp_path) -> None:
    original = tiny_climatology()
    model = Model.from_network(tiny_card(), nn.build_network(SPEC), original)
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        model.climatology.coefficients, load_model(tmp_path / "model.safetensors").climatology.coefficients
    )
    np.testing.assert_allclose(model.climatology.coefficients, original.coefficients, atol=2e-3)
    np.testing.assert_allclose(model.climatology.scale, original.scale, rtol=2e-4)


def test_a_model_may_have_no_climatology(tmp_path) -> None:
    model = Model.from_network(tiny_card(), nn.build_network(SPEC), None)
    model.save(tmp_path / "model.safetensors")
    assert model.climatology is None
    assert load_model(tmp_path / "model.safetensors").climatology is None


def test_building_leaves_torch_as_it_was() -> None:
    model = make_tiny_model(seed=102)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model.network()
    model.trainable_network()
    assert torch.equal(torch.rand(3), expected)
    assert torch.is_grad_enabled()
    assert torch.empty(1).device.type == "cpu"


def test_the_default_type_of_torch_does_not_matter() -> None:
    model = make_tiny_model(seed=103)
    torch.set_default_dtype(torch.float64)
    try:
        network = model.network()
    finally:
        torch.set_default_dtype(torch.float32)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_a_model_in_memory_travels_with_its_tensors(dumps, tiny_model: Model) -> None:
    travelled = pickle.loads(dumps(tiny_model))
    assert travelled == tiny_model
    np.testing.assert_array_equal(travelled.climatology.scale, tiny_model.climatology.scale)


def test_another_process_gets_the_same_numbers(tiny_model: Model, tmp_path) -> None:
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps(tiny_model))
    code = (
        f"import pickle; m = pickle.load(open({str(path)!r}, 'rb')); "
        "print(m.sha256, float(sum(p.double().abs().sum() for p in m.network().parameters())))"
    )
    sha256, total = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert sha256 == tiny_model.sha256
    assert float(total) == float(sum(p.double().abs().sum() for p in tiny_model.network().parameters()))


def test_a_handle_that_leads_to_another_model_is_noticed(tiny_model: Model) -> None:
    file = tiny_model._file
    handle = Model(file, fetch=_another_model)
    with pytest.raises(ModelError, match="not the same here"):
        pickle.loads(pickle.dumps(handle))


def _another_model() -> Model:
    return make_tiny_model(seed=7)


def test_the_hash_follows_what_is_computed_and_nothing_else(tiny_model: Model) -> None:
    assert tiny_model.updated(description="Other words.", metrics={"skill": 1.0}).sha256 == tiny_model.sha256
    assert tokenize(tiny_model.updated(description="Other words.")) == tokenize(tiny_model)
    others = [
        make_tiny_model(seed=1),
        tiny_model.updated(segment=24),
        tiny_model.updated(warmup=0),
        tiny_model.updated(variables=tuple(reversed(tiny_model.card.variables))),
        Model(seal(tiny_model.card, tiny_model._file.network, {})),
    ]
    assert len({tiny_model.sha256, *(other.sha256 for other in others)}) == 6
    assert len({tokenize(tiny_model), *(tokenize(other) for other in others)}) == 6


def test_a_changed_card_must_fit(tiny_model: Model) -> None:
    with pytest.raises(XFaconvError, match="segment"):
        tiny_model.updated(segment=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": replace(SPEC, hidden=16)},
        {"network": replace(SPEC, architecture="convlstm")},
        {"network": replace(SPEC, look_back=3), "variables": ()},
        {"network": replace(SPEC, leads=(0, 1, 2))},
        {"network": {"hidden": 8}},
        {"network": None},
        {"grid": 3},
        {"variables": 3},
        {"years": "2000"},
        {"known_failures": "a single text"},
        {"known_failures": 3},
        {"licence": None},
        {"license": "MIT"},
    ],
    ids=str,
)
def test_a_changed_card_that_no_file_could_hold_is_refused(changes: dict[str, object], tiny_model: Model) -> None:
    with pytest.raises(ModelFileError):
        tiny_model.updated(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": replace(SPEC, look_back=5)},
        {"network": replace(SPEC, periodic=False), "metrics": {}},
        {"licence": "CC-BY-4.0", "citation": "Ours, 2026", "known_failures": ("Rain is too weak.",)},
    ],
    ids=str,
)
def test_a_changed_model_is_read_back_as_it_was_saved(changes: dict[str, object], tiny_model: Model, tmp_path) -> None:
    changed = tiny_model.updated(**changes)
    changed.save(tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    assert again == changed
    assert all(getattr(again.card, name) == value for name, value in changes.items())


def test_parameters_are_counted() -> None:
    network = nn.build_network(SPEC)
    model = Model.from_network(tiny_card(parameters=3), network, None)
    assert model.card.parameters == sum(entry.numel() for entry in network.parameters())


class _Tags(HTMLParser):
    """Collects tags, and checks that they close."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.open = [], []

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_the_card_as_html_is_whole_escaped_and_without_scripts(tiny_model: Model) -> None:
    hostile = "</td><script>alert(1)</script>"
    html = tiny_model.updated(description=hostile, known_failures=(hostile,), metrics={hostile: hostile})._repr_html_()
    tags = _Tags()
    tags.feed(html)
    assert not tags.open
    assert set(tags.seen) <= {"div", "span", "strong", "details", "summary", "table", "tr", "th", "td", "br"}
    assert "alert(1)" in html
    assert "color:#" not in html.replace(" ", "")
    assert (
        html
        == tiny_model.updated(
            description=hostile, known_failures=(hostile,), metrics={hostile: hostile}
        ).card._repr_html_()
    )


def test_the_card_as_text_says_what_matters(tiny_model: Model) -> None:
    text = repr(tiny_model)
    for said in ("tiny-monthly-30deg", "the user's own data", "sst, z500", "1M", "everything", tiny_model.sha256):
        assert said in text


def test_a_printed_card_is_short_whole_and_folded(tiny_model: Model) -> None:
    licence, citation = "CC-BY-4.0", "Ours and theirs, 2026: " + "on the weather of the tiny planet, " * 12 + "volume 3"
    history = [{"update": update, "loss": 0.5} for update in range(1000)]
    changed = tiny_model.updated(
        data="Numbers of nobody", licence=licence, citation=citation, metrics={"history": history}
    )
    text = str(changed.card)
    lines = text.splitlines()
    assert lines[0] == "<xfaconv.ModelCard tiny-monthly-30deg>"
    assert max(map(len, lines)) <= 120
    assert len(text) < 3000
    for said in ("training years  2000-2001", "Numbers of nobody", licence, "everything", changed.sha256):
        assert said in text
    assert citation in " ".join(text.split())
    assert "history" not in text
    assert "loss 0.5 at first, 0.5 at the end" in text
    assert repr(changed).splitlines()[1:] == lines[1:]
    assert repr(changed.card) == text
    assert changed.card.to_dict()["metrics"] == {"history": history}


def _scores(ratio: float) -> dict[str, float]:
    return {"rmse": 12.5, "standardised_rmse_to_damped_persistence": ratio}


def test_scores_are_a_table_in_text_and_html(tiny_model: Model) -> None:
    forecast = {"lead 1": {"sst": _scores(0.91), "z500": _scores(0.8)}, "lead 3": {"sst": _scores(1.02)}}
    hidden = {"sst": 0.25, "z500": 0.5, "all": 0.375}
    history = [{"update": 10, "loss": 0.9, "validation": 0.8}, {"update": 20, "loss": 0.7, "validation": 0.85}]
    changed = tiny_model.updated(metrics={"forecast": forecast, "hidden_sectors": hidden, "history": history})
    lines = [line.split() for line in str(changed.card).splitlines()]
    assert ["sst", "0.91", "1.02", "0.25"] in lines
    assert ["z500", "0.80", "0.50"] in lines
    assert ["all", "0.38"] in lines
    assert "validation 0.8, best at update 10" in str(changed.card)
    rows = re.findall(r"<tr.*?</tr>", changed._repr_html_())
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    assert ["variable", "lead 1: RMSE ratio", "lead 3: RMSE ratio", "hidden, explained"] in cells
    assert ["sst", "12.5", "0.91"] in cells, "every measurement stands in a table of its own"
    assert ["0", "10", "0.9", "0.8"] in cells


@pytest.mark.parametrize(
    "metrics",
    [{"forecast": "none"}, {"forecast": {"lead 1": 3}}, {"history": [1, 2]}, {"hidden_sectors": [0.1]}, {"history": []},
     {"a": {"b": {}}}, {"forecast": {"lead 1": {"sst": 0.9}}}],
)  # fmt: skip
def test_a_card_with_other_measurements_is_shown(metrics: dict[str, object], tiny_model: Model) -> None:
    changed = tiny_model.updated(metrics=metrics)
    assert str(changed.card).startswith("<xfaconv.ModelCard")
    assert changed._repr_html_().count("<table") >= 3


def test_a_card_without_terms_says_so(tiny_model: Model) -> None:
    assert "none stated" in str(tiny_model.card)


def test_levels_are_shown_once(tiny_model: Model) -> None:
    def section(model: Model) -> str:
        return model._repr_html_().split("<strong>variables</strong>")[1].split("</details>")[0]

    assert "geopotential at 500 hPa [m2 s-2]" in section(tiny_model)
    assert "sea surface temperature [K], partly missing" in section(tiny_model)
    first, second = tiny_model.card.variables
    named = tiny_model.updated(variables=(first, replace(second, long_name="geopotential at 500 hPa, corrected")))
    assert section(named).count("500 hPa") == 1


@pytest.mark.parametrize(
    ("part", "label"), [("train", "train years"), ("gap", "gap"), ("before", "years before"), ("test", "test years")]
)
def test_spans_of_years_are_labelled(part: str, label: str, tiny_model: Model) -> None:
    changed = tiny_model.updated(years={part: "2000 to 2001", "else": ""})
    text = str(changed.card)
    assert f"{label} 2000 to 2001" in " ".join(text.split())
    assert "else years" not in text
    assert f">{label}</th>" in changed._repr_html_()
