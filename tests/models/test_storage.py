"""Model files: the same after a round trip, and refused whole when anything in them is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_tensors

from tests.models.conftest import SPEC, make_tiny_model, tiny_card, tiny_climatology
from xfaconv.errors import ModelFileError
from xfaconv.models import Model, load_model
from xfaconv.models import storage as storage_module
from xfaconv.models.storage import read_model_file, seal
from xfaconv.nn import build_network
from xfaconv.specs import NetworkSpec


@pytest.fixture(scope="module")
def content(tiny_model: Model, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    tiny_model.save(path)
    return path.read_bytes()


def split(content: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def with_card(content: bytes, change: Callable[[dict], object]) -> bytes:
    """The file as somebody would write it who knows the format and changes its card."""
    header, data = split(content)
    card = json.loads(header["__metadata__"]["xfaconv"])["card"]
    changed = change(card)
    card = card if changed is None else changed
    digest = hashlib.sha256(json.dumps(card).encode()).hexdigest()
    header["__metadata__"] = {"xfaconv": json.dumps({"card_sha256": digest, "card": card})}
    return join(header, data)


def with_header(content: bytes, change: Callable[[dict], object]) -> bytes:
    header, data = split(content)
    changed = change(header)
    return join(header if changed is None else changed, data)


def test_everything_is_the_same_after_a_round_trip(tiny_model: Model, tmp_path: Path) -> None:
    tiny_model.save(tmp_path / "a.safetensors")
    read = load_model(tmp_path / "a.safetensors")
    assert read.card == tiny_model.card
    assert read.sha256 == tiny_model.sha256
    np.testing.assert_array_equal(read.climatology.coefficients, tiny_model.climatology.coefficients)
    np.testing.assert_array_equal(read.climatology.scale, tiny_model.climatology.scale)
    expected = tiny_model.network().state_dict()
    assert {
        name: torch.equal(values, expected[name]) for name, values in read.network().state_dict().items()
    } == dict.fromkeys(expected, True)


def test_the_same_model_makes_the_same_bytes(content: bytes, tmp_path: Path) -> None:
    make_tiny_model().save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == content


def test_any_safetensors_reader_can_read_the_weights(content: bytes, tiny_model: Model) -> None:
    tensors = load_tensors(content)
    for name, values in tiny_model.network().state_dict().items():
        np.testing.assert_array_equal(tensors[f"network.{name}"], values.numpy())


def test_no_byte_can_change_unnoticed(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "altered.safetensors"
    random = np.random.default_rng(1)
    header_end = 8 + int.from_bytes(content[:8], "little")
    places = {*range(9), *random.integers(8, header_end, 150), *random.integers(header_end, len(content), 100)}
    places |= {len(content) - 1}
    for place in sorted(int(place) for place in places):
        for bit in (0, 3, 6):
            altered = bytearray(content)
            altered[place] ^= 1 << bit
            path.write_bytes(altered)
            # The header is padded with blanks: another blank there is another file with the same meaning.
            if content[place : place + 1] == b" " and header_end - 8 <= place < header_end:
                continue
            with pytest.raises(ModelFileError):
                read_model_file(path)


def test_no_truncation_goes_unnoticed(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "truncated.safetensors"
    for length in [*range(12), *np.linspace(12, len(content) - 1, 60).astype(int)]:
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            read_model_file(path)


def zip_of_a_pickle() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
    return stream.getvalue()


class Bomb:
    """Would create a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("stranger", "said"),
    [
        (b"", "not a model file"),
        (b"\x00" * 7, "not a model file"),
        (b"\x00" * 100, "not a model file"),
        (b"\xff" * 100, "not a model file"),
        (b"<!DOCTYPE html><html><body>Please sign in</body></html>", "an HTML or XML page"),
        (b"\n\n<html></html>", "an HTML or XML page"),
        (zip_of_a_pickle(), "a ZIP archive"),
        (b"\x89HDF\r\n\x1a\n" + b"\x00" * 50, "an HDF5 or NetCDF file"),
        (b"CDF\x01" + b"\x00" * 50, "a NetCDF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"\x1f\x8b\x08" + b"\x00" * 50, "a gzip archive"),
    ],
)
def test_strangers_are_recognised(stranger: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "stranger.safetensors"
    path.write_bytes(stranger)
    with pytest.raises(ModelFileError, match=said):
        load_model(path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    path, harm = tmp_path / "model.safetensors", tmp_path / "harm"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(Bomb(harm), protocol=protocol))
        with pytest.raises(ModelFileError):
            load_model(path)
    torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(ModelFileError, match="ZIP"):
        load_model(path)
    assert not harm.exists()


def bad_headers() -> dict[str, Callable[[dict], object]]:
    def tensor(**changes: object) -> Callable[[dict], object]:
        return lambda header: header[first(header)].update(changes)

    def first(header: dict) -> str:
        return next(name for name in header if name.startswith("network."))

    def overlap(header: dict) -> None:
        names = sorted((name for name in header if name != "__metadata__"), key=lambda n: header[n]["data_offsets"])
        header[names[1]]["data_offsets"] = header[names[0]]["data_offsets"]

    def swap(header: dict) -> None:
        same = [
            name for name in header if header[name].get("shape") == header["network.core.norm_input.weight"]["shape"]
        ]
        header[same[0]], header[same[1]] = header[same[1]], header[same[0]]

    def rename(header: dict) -> None:
        header["network.other"] = header.pop(first(header))

    def bfloat16(header: dict) -> None:
        integers = header["climatology.coefficients"]
        integers["dtype"] = "BF16"

    def outside(header: dict) -> None:
        header["stowaway"] = header.pop(first(header))

    return {
        "unknown type": tensor(dtype="F16"),
        "type of another size": tensor(dtype="F64"),
        "no type": lambda header: header[first(header)].pop("dtype"),
        "negative shape": tensor(shape=[-1]),
        "fractional shape": tensor(shape=[1.5]),
        "true as a shape": tensor(shape=[True]),
        "endless shape": tensor(shape=[1] * 1000),
        "enormous shape": tensor(shape=[2**60, 2**60]),
        "shape as text": tensor(shape="4"),
        "negative offset": tensor(data_offsets=[-4, 0]),
        "offset beyond the end": tensor(data_offsets=[0, 2**40]),
        "one offset": tensor(data_offsets=[0]),
        "an extra entry": tensor(extra=1),
        "tensor is a list": lambda header: header.update({first(header): []}),
        "overlap": overlap,
        "rename": rename,
        "outside": outside,
        "tensor missing": lambda header: header.pop(first(header)),
        "no metadata": lambda header: header.pop("__metadata__"),
        "metadata is null": lambda header: header.update(__metadata__=None),  # found by test_fuzz.py
        "a type that numpy lacks": bfloat16,
        "no card": lambda header: header["__metadata__"].pop("xfaconv"),
        "metadata not text": lambda header: header["__metadata__"].update(xfaconv=3),
        "card not JSON": lambda header: header["__metadata__"].update(xfaconv="{nonsense}"),
        "card is a number": lambda header: header["__metadata__"].update(xfaconv="3"),
        "card nested without end": lambda header: header["__metadata__"].update(xfaconv="[" * 100_000),
        "a name twice in the card": lambda header: header["__metadata__"].update(
            xfaconv=header["__metadata__"]["xfaconv"].replace('"name"', '"name": "another", "name"', 1)
        ),
        "metadata is a list": lambda header: header.update(__metadata__=[]),
        "header is a list": lambda header: list(header),
        "header is a number": lambda header: 3,
        "not JSON": lambda header: b"{nonsense}",
        "not a number": lambda header: b'{"a": NaN}',
        "not UTF-8": lambda header: b'{"\xff": 1}',
        "a name twice": lambda header: b'{"a": 1, "a": 1}',
        "nested without end": lambda header: b"[" * 100_000,
        "empty": lambda header: {},
    }


@pytest.mark.parametrize("name", bad_headers())
def test_a_header_that_is_wrong_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(with_header(content, bad_headers()[name]))
    with pytest.raises(ModelFileError):
        load_model(path)


def set_entry(*path: str, to: object) -> Callable[[dict], object]:
    def change(card: dict) -> None:
        for name in path[:-1]:
            card = card[name]
        card[path[-1]] = to

    return change


BAD_CARDS: dict[str, Callable[[dict], object]] = {
    "a later version": set_entry("format_version", to=3),
    "version is text": set_entry("format_version", to="2"),
    "no version": lambda card: card.pop("format_version"),
    "list": lambda card: [card],
    "unknown entry": set_entry("surprise", to=1),
    "missing entry": lambda card: card.pop("grid"),
    "grid is nothing": set_entry("grid", to=None),
    "grid not ascending": lambda card: card["grid"]["latitude"].reverse(),
    "grid of text": set_entry("grid", "latitude", to=["a", "b"]),
    "another grid": lambda card: card["grid"]["latitude"].pop(),
    "another hash": set_entry("weights_sha256", to="0" * 64),
    "name is a number": set_entry("name", to=3),
    "empty name": set_entry("name", to=""),
    "unknown source": set_entry("source", to="dream"),
    "unknown step": set_entry("step", to="1s"),
    "no segment": set_entry("segment", to=0),
    "segment is true": set_entry("segment", to=True),
    "segment is text": set_entry("segment", to="12"),
    "negative warm-up": set_entry("warmup", to=-1),
    "endless warm-up": set_entry("warmup", to=10**9),
    "too many parameters": set_entry("parameters", to=10**9),
    "too many harmonics": set_entry("climatology_harmonics", to=3),
    "a variable twice": lambda card: card["variables"].__setitem__(1, card["variables"][0]),
    "no variables": set_entry("variables", to=[]),
    "variable without units": lambda card: card["variables"][0].update(units=None),
    "variable of another kind": lambda card: card["variables"][0].update(surprise=1),
    "level is text": lambda card: card["variables"][1].update(level="500"),
    "mask is text": lambda card: card["variables"][0].update(partly_missing="no"),
    "another variable order": lambda card: card["variables"].reverse(),
    "another number of variables": set_entry("network", "variables", to=3),
    "hidden is text": set_entry("network", "hidden", to="8"),
    "hidden is zero": set_entry("network", "hidden", to=0),
    "hidden is endless": set_entry("network", "hidden", to=10**12),
    "hidden is large": set_entry("network", "hidden", to=99_999),
    "attention every -1": set_entry("network", "attention_every", to=-1),
    "attention every other step": set_entry("network", "attention_every", to=2),
    "heads that do not divide": set_entry("network", "attention_heads", to=3),
    "unknown architecture": set_entry("network", "architecture", to="transformer"),
    "unknown pooling": set_entry("network", "pooling", to="max"),
    "an entry of format 1": set_entry("network", "dropout", to=0.0),
    "domain of three": set_entry("network", "domain", to=[0, 1, 2]),
    "negative lead": set_entry("network", "leads", to=[-1, 0]),
    "kernel of zero": set_entry("network", "scales", to=[[0, 1]]),
    "scale of three": set_entry("network", "scales", to=[[3, 1, 1]]),
    "periodic is text": set_entry("network", "periodic", to="yes"),
    "failures is text within": set_entry("known_failures", to=[1]),
    "failures is nothing": set_entry("known_failures", to=None),
    "metrics is a list": set_entry("metrics", to=[1]),
    "years is a list": set_entry("years", to=["2000"]),
    "years of numbers": set_entry("years", to={"training": 2000}),
}


@pytest.mark.parametrize("name", BAD_CARDS)
def test_a_card_that_does_not_fit_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(with_card(content, BAD_CARDS[name]))
    with pytest.raises(ModelFileError):
        load_model(path)


RESEALED: dict[str, dict[str, object]] = {
    "a wider network": {"network": replace(SPEC, hidden=16)},
    "a network of unbuildable size": {"network": replace(SPEC, hidden=99_999, bottleneck=99_999)},
    "heads that do not divide": {"network": replace(SPEC, attention_heads=3)},
    "another architecture": {"network": replace(SPEC, architecture="convlstm")},
    "an architecture that is not registered": {"network": replace(SPEC, architecture="transformer")},
    "no attention": {"network": replace(SPEC, attention_every=0)},
}


@pytest.mark.parametrize("name", RESEALED)
def test_weights_that_do_not_fit_the_network_are_refused_even_with_a_right_hash(
    name: str, tiny_model: Model, tmp_path: Path
) -> None:
    file = tiny_model._file
    forged = seal(file.card.updated(**RESEALED[name]), file.network, file.climatology)
    storage_module.write_model_file(tmp_path / "forged.safetensors", forged)
    with pytest.raises(ModelFileError, match="do not fit the network"):
        load_model(tmp_path / "forged.safetensors")


def test_weights_that_are_not_finite_are_refused() -> None:
    network = build_network(SPEC)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(ModelFileError, match="finite"):
        Model.from_network(tiny_card(), network, tiny_climatology())


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"skill": float("nan")}},
        {"metrics": {"skill": object()}},
        {"description": b"bytes"},
        {"step": "soon"},
    ],
)
def test_a_card_that_cannot_be_written_is_refused(changes: dict[str, object], tiny_model: Model) -> None:
    with pytest.raises(ModelFileError):
        tiny_model.updated(**changes)


def test_swapping_two_tensors_of_the_same_shape_is_noticed(content: bytes, tmp_path: Path) -> None:
    header, data = split(content)
    shapes: dict[tuple[int, ...], list[str]] = {}
    for name, entry in header.items():
        if name.startswith("network."):
            shapes.setdefault(tuple(entry["shape"]), []).append(name)
    one, other, *_ = next(names for names in shapes.values() if len(names) > 1)
    header[one]["data_offsets"], header[other]["data_offsets"] = (
        header[other]["data_offsets"],
        header[one]["data_offsets"],
    )
    (tmp_path / "swapped.safetensors").write_bytes(join(header, data))
    with pytest.raises(ModelFileError, match="altered"):
        load_model(tmp_path / "swapped.safetensors")


def test_a_file_that_is_absent_a_folder_or_a_pipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be opened"):
        load_model(tmp_path / "absent.safetensors")
    with pytest.raises(ModelFileError, match="not a regular file"):
        load_model(tmp_path)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(ModelFileError, match="not a regular file"):
        load_model(tmp_path / "pipe.safetensors")


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(ModelFileError, match="too large"):
        load_model(path)


def test_a_symbolic_link_is_followed_and_checked(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(content)
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "real")
    assert load_model(tmp_path / "link.safetensors").card.name == "tiny-monthly-30deg"


def test_saving_replaces_at_once_or_not_at_all(
    tiny_model: Model, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")

    def full_disk(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(storage_module.Path, "replace", full_disk)
        with pytest.raises(ModelFileError, match="No space left"):
            tiny_model.save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    tiny_model.save(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_saving_into_a_folder_that_is_absent_says_so(tiny_model: Model, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be written"):
        tiny_model.save(tmp_path / "absent" / "model.safetensors")


def test_the_hash_of_the_file_can_be_demanded(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    assert read_model_file(path, file_sha256=digest).card.name == "tiny-monthly-30deg"
    with pytest.raises(ModelFileError, match="not the file that was asked for"):
        read_model_file(path, file_sha256="0" * 64)


def as_format_1(content: bytes) -> bytes:
    """The file as the format before had it: the card itself as metadata, its version as text."""
    header, data = split(content)
    card = json.loads(header["__metadata__"]["xfaconv"])["card"]
    card["version"] = str(card.pop("format_version") - 1)
    text = json.dumps(card)
    digest = hashlib.sha256(text.encode()).hexdigest()
    header["__metadata__"] = {"format": "xfaconv", "card": text, "card_sha256": digest}
    return join(header, data)


def test_a_file_of_an_older_or_a_later_format_is_refused_with_what_helps(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for other, found, fix in (
        (as_format_1(content), "'1'", "train the model again"),
        (with_card(content, set_entry("format_version", to=3)), "3", "pip install --upgrade"),
    ):
        path.write_bytes(other)
        with pytest.raises(ModelFileError, match="another version of the file format") as caught:
            load_model(path)
        assert caught.value.found == found
        assert caught.value.fix.startswith(fix)


def test_a_card_holds_every_entry_of_its_network_whatever_the_defaults(content: bytes) -> None:
    card = json.loads(split(content)[0]["__metadata__"]["xfaconv"])["card"]
    assert set(card["network"]) == {entry.name for entry in fields(NetworkSpec)}
    assert card["format_version"] == 2
