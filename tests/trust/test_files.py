"""Files from elsewhere: nothing in them is executed, nothing leaves the cache, and no half of one is ever used."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import xfaconv
from tests.engine import worlds
from tests.local_server import LocalServer, local_server
from xfaconv import download
from xfaconv.errors import ArgumentError, DownloadError, ModelFileError, XFaconvError
from xfaconv.models import load_model, registry

PACKAGE = Path(xfaconv.__file__).parent


class Bomb:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalServer]:
    monkeypatch.setattr(registry, "MODELS", replace(registry.MODELS, registered={}))
    monkeypatch.setenv("XFACONV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    with local_server() as running:
        yield running


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    worlds.model().save(path)
    return path.read_bytes()


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def calls_in(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "torch.load", "torch.jit.load", "torch.hub.load", "torch.package",
    "pickle.load", "pickle.loads", "pd.read_pickle", "pandas.read_pickle", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "joblib.load", "dill.loads", "cloudpickle.loads", "marshal.loads", "shelve.open", "os.system",
    "np.load", "numpy.load", "subprocess.run", "subprocess.Popen", "runpy.run_path",
}  # fmt: skip


def test_no_code_path_executes_what_is_in_a_file() -> None:
    seen = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, call in calls_in(path):
            seen += 1
            assert name not in FORBIDDEN, f"{path}:{call.lineno} calls {name}"
            keywords = {keyword.arg for keyword in call.keywords}
            assert not keywords & {"allow_pickle", "weights_only"}, f"{path}:{call.lineno}"
            assert not name.endswith((".read_pickle", ".from_pickle")), f"{path}:{call.lineno}"
    assert seen > 3000


def disguises(harm: Path) -> dict[str, bytes]:
    checkpoint = io.BytesIO()
    torch.save({"weights": torch.zeros(2), "bomb": Bomb(harm)}, checkpoint)
    array = io.BytesIO()
    np.save(array, np.array([Bomb(harm)], dtype=object), allow_pickle=True)
    bare = pickle.dumps(Bomb(harm))
    framed = len(bare).to_bytes(8, "little") + bare
    return {"torch": checkpoint.getvalue(), "numpy": array.getvalue(), "pickle": bare, "framed pickle": framed}


@pytest.mark.parametrize("kind", ["torch", "numpy", "pickle", "framed pickle"])
def test_a_pickle_in_any_disguise_is_refused_and_does_nothing(kind: str, tmp_path: Path, server: LocalServer) -> None:
    harm = tmp_path / "harm"
    bomb = disguises(harm)[kind]
    for name in ("model.safetensors", "model.pt", "model"):
        (tmp_path / name).write_bytes(bomb)
        with pytest.raises(ModelFileError):
            load_model(tmp_path / name)
    with pytest.raises(ModelFileError):
        xfaconv.embed(worlds.world(5), model=tmp_path / "model.safetensors")
    # Also where the file is what its owner said, hash and all.
    xfaconv.register_model("theirs", url=server.serve("/model", bomb), sha256=sha256(bomb))
    with pytest.raises(ModelFileError):
        load_model("theirs")
    with pytest.raises(ModelFileError, match="checkpoint"):
        worlds_fit(tmp_path / "model.pt")
    xfaconv.tutorial.register_dataset(f"theirs-{kind.replace(' ', '-')}", server.address + "/model", sha256(bomb))
    with pytest.raises(DownloadError):
        xfaconv.tutorial.open_dataset(f"theirs-{kind.replace(' ', '-')}")
    assert not harm.exists()
    pickle.loads(pickle.dumps(Bomb(harm)))
    assert harm.exists(), "the bomb would have worked"


def worlds_fit(checkpoint: Path) -> object:
    return xfaconv.fit(
        worlds.world(30)[["t2m", "msl"]], updates=1, batch=1, window=4, leads=(0, 1), checkpoint=checkpoint,
        network={"hidden": 8, "bottleneck": 4, "attention_width": 8, "attention_heads": 2},
    )  # fmt: skip


def test_a_checkpoint_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelFileError, match="cannot be written"):
        worlds_fit(tmp_path / "file" / "run.checkpoint")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_to_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "loop.safetensors").symlink_to(tmp_path / "loop.safetensors")
    (tmp_path / "device.safetensors").symlink_to("/dev/zero")
    (tmp_path / "dangling.safetensors").symlink_to(tmp_path / "nothing")
    for name in ("loop", "device", "dangling"):
        with pytest.raises(ModelFileError):
            load_model(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    "name",
    ["../x", "..", ".", "/etc/x", "a/b", "a\\b", "a\x00b", "a\n", "~", "", " ", "-rf", "é", "a" * 101, "C:x", "%2e%2e"],
)
def test_no_name_leads_out_of_the_cache(name: str) -> None:
    for register in (xfaconv.register_model, xfaconv.tutorial.register_dataset):
        with pytest.raises(ArgumentError, match="name cannot be used"):
            register(name, url="https://example.org/a", sha256="0" * 64)


def test_neither_the_address_nor_the_card_names_a_file(tmp_path: Path, server: LocalServer) -> None:
    model = worlds.model().updated(name="../../../escaped")
    model.save(tmp_path / "model")
    served = (tmp_path / "model").read_bytes()
    url = server.serve("/a/../../b/escaped.safetensors", served)
    xfaconv.register_model("theirs", url=url, sha256=sha256(served))
    server.pages["/b/escaped.safetensors"] = server.pages["/a/../../b/escaped.safetensors"]
    assert load_model("theirs").card.name == "../../../escaped"
    assert cached(tmp_path) == [f"theirs-{sha256(served)[:12]}.safetensors"]
    assert {path.name for path in tmp_path.iterdir()} == {"model", "cache"}


def test_a_server_that_sends_without_end_is_stopped(
    tmp_path: Path, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "LARGEST_FILE", 1000)
    xfaconv.register_model("theirs", url=server.serve("/model", b"x" * 10_000), sha256="0" * 64)
    with pytest.raises(DownloadError, match="more than 1,000 bytes"):
        load_model("theirs")
    assert cached(tmp_path) == []


def test_a_server_that_drips_is_stopped(tmp_path: Path, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_MOST_SECONDS", -1.0)
    xfaconv.register_model("theirs", url=server.serve("/model", b"x" * 10_000), sha256="0" * 64)
    with pytest.raises(DownloadError, match="takes longer"):
        load_model("theirs")
    assert cached(tmp_path) == []


RUN = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
{before}
import xfaconv
from xfaconv.errors import DownloadError
xfaconv.register_model("theirs", url=sys.argv[2], sha256=sys.argv[3])
try:
    print("loaded", xfaconv.load_model("theirs").card.name)
except DownloadError as problem:
    print("refused", str(problem).replace(chr(10), " "))
"""


def run(before: str, *arguments: str, wait: bool = True) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN.format(before=before), str(PACKAGE.parent), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, server: LocalServer, content: bytes) -> None:
    """The system refuses files longer than 4 kB, as a full disk would."""
    pytest.importorskip("resource")
    limit = "import resource, pooch, requests, torch; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    said, trouble = run(limit, server.serve("/model", content), sha256(content)).communicate(timeout=120)
    assert said.startswith("refused"), trouble
    assert "File too large" in said
    assert cached(tmp_path) == []


def test_a_process_killed_while_it_downloads_leaves_nothing_that_is_used(
    tmp_path: Path, server: LocalServer, content: bytes
) -> None:
    stall = threading.Event()
    url = server.serve("/model", content, stall=stall)
    process = run("", url, sha256(content))
    for _ in range(1200):
        if server.requests:
            break
        threading.Event().wait(0.05)
    process.kill()
    process.communicate()
    stall.set()
    assert server.requests
    server.serve("/model", content)
    xfaconv.register_model("theirs", url=url, sha256=sha256(content))
    assert load_model("theirs").sha256 == worlds.model().sha256


def test_without_a_network_the_reason_is_said(monkeypatch: pytest.MonkeyPatch, server: LocalServer) -> None:
    import socket

    def no_network(*arguments: object, **options: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    xfaconv.register_model("theirs", url="https://example.org/model", sha256="0" * 64)
    with pytest.raises(DownloadError, match="unreachable"):
        load_model("theirs")


def test_all_ways_to_a_file_end_in_an_error_of_this_package(tmp_path: Path) -> None:
    """Paths that no file system likes."""
    for path in (
        "a\x00b.safetensors",
        "x" * 5000 + ".safetensors",
        str(tmp_path / ("y" * 300 + ".safetensors")),
        "~nobody-such/x",
    ):
        with pytest.raises(XFaconvError):
            load_model(path)
        with pytest.raises(XFaconvError):
            worlds.model().save(path)
