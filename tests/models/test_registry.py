"""The registry: names, near misses, and registered models from a server that may misbehave."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
import requests

from tests.fetching import fetch_into
from tests.local_server import LocalServer
from xfaconv import download
from xfaconv.download import cache_folder
from xfaconv.errors import ArgumentError, DownloadError, ModelError, ModelFileError
from xfaconv.models import Model, list_models, load_model, register_model, registry
from xfaconv.models.storage import write_model_file
from xfaconv.options import set_options


@pytest.fixture(autouse=True)
def own_registry_and_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "MODELS", replace(registry.MODELS, registered={}))
    monkeypatch.setenv("XFACONV_CACHE", str(tmp_path / "cache"))
    # Between attempts pooch waits for seconds.
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)


@pytest.fixture(scope="module")
def content(tiny_model: Model, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    tiny_model.save(path)
    return path.read_bytes()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def cached_files() -> list[Path]:
    return [path for path in cache_folder().rglob("*") if path.is_file()]


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch, tiny_model: Model, tmp_path: Path) -> Path:
    """A package that holds the tiny model."""
    folder = tmp_path / "weights"
    folder.mkdir()
    tiny_model.save(folder / "tiny-monthly-30deg.safetensors")
    monkeypatch.setattr(registry, "MODELS", replace(registry.MODELS, folder=folder))
    registry._load_packaged.cache_clear()
    return folder


def test_packaged_models_are_listed_by_pattern(packaged: Path) -> None:
    register_model("ours-daily", url="https://example.org/a", sha256="0" * 64)
    assert list_models() == ["ours-daily", "tiny-monthly-30deg"]
    assert list_models("*MONTHLY*") == ["tiny-monthly-30deg"]
    assert list_models("nothing*") == []
    with pytest.raises(ArgumentError, match="pattern"):
        list_models(3)


def test_every_packaged_model_of_this_release_loads_and_fits() -> None:
    names = [path.stem for path in registry.MODELS.folder.glob("*.safetensors")]
    assert len(names) > 0, "the package has no weights"
    for name in names:
        model = load_model(name)
        model.network()
        assert model.card.name == name
        assert model.climatology is not None
        assert model.card.known_failures
        assert model.card.licence
        assert model.card.citation
        assert (registry.MODELS.folder / f"{name}.safetensors").stat().st_size < 1_000_000


def test_a_packaged_model_is_sent_as_its_name(packaged: Path, tiny_model: Model) -> None:
    model = load_model("tiny-monthly-30deg")
    assert model == tiny_model
    assert len(pickle.dumps(model)) < 500
    travelled = pickle.loads(pickle.dumps(model))
    assert travelled == model
    assert travelled.network() is model.network()


def test_a_packaged_file_under_another_name_is_refused(packaged: Path, tiny_model: Model) -> None:
    tiny_model.save(packaged / "other.safetensors")
    with pytest.raises(ModelFileError, match="holds another model"):
        load_model("other")


def test_a_model_is_passed_through(tiny_model: Model) -> None:
    assert load_model(tiny_model) is tiny_model


def test_a_near_miss_is_suggested(packaged: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_model("tiny-montly-30deg")
    assert caught.value.fix == "xfaconv.load_model('tiny-monthly-30deg')"
    assert "tiny-monthly-30deg" in caught.value.expected


@pytest.mark.parametrize("name", [None, 3, b"", "", ["a"]])
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(ArgumentError):
        load_model(name)


def test_a_name_can_be_a_path(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    (tmp_path / "plain").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    names = {
        load_model(name).card.name
        for name in ("model.safetensors", "./plain", "plain", tmp_path / "plain", str(tmp_path / "plain"))
    }
    assert names == {"tiny-monthly-30deg"}


@pytest.mark.parametrize(
    ("name", "url", "digest"),
    [
        ("", "https://example.org/a", "0" * 64),
        ("../escape", "https://example.org/a", "0" * 64),
        ("a/b", "https://example.org/a", "0" * 64),
        (".hidden", "https://example.org/a", "0" * 64),
        ("a" * 101, "https://example.org/a", "0" * 64),
        (None, "https://example.org/a", "0" * 64),
        ("a", "file:///etc/passwd", "0" * 64),
        ("a", "ftp://example.org/a", "0" * 64),
        ("a", "https://", "0" * 64),
        ("a", "http://[", "0" * 64),
        ("a", "http://example.org/a", "0" * 64),
        ("a", "http://localhost.example.org/a", "0" * 64),
        ("a", "http://127.0.0.1@example.org/a", "0" * 64),
        ("a", "http://127.0.0.1:80@example.org/a", "0" * 64),
        ("a", None, "0" * 64),
        ("a", "https://example.org/a", "0" * 63),
        ("a", "https://example.org/a", "g" * 64),
        ("a", "https://example.org/a", None),
    ],
)
def test_a_malformed_entry_is_refused(name: object, url: object, digest: object) -> None:
    with pytest.raises(ArgumentError):
        register_model(name, url=url, sha256=digest)
    assert registry.MODELS.registered == {}


def test_a_packaged_name_cannot_be_taken(packaged: Path) -> None:
    with pytest.raises(ArgumentError, match="model of the package"):
        register_model("tiny-monthly-30deg", url="https://example.org/a", sha256="0" * 64)


def test_a_registered_model_is_downloaded_once(server: LocalServer, content: bytes, tiny_model: Model) -> None:
    register_model("theirs", url=server.serve("/model", content), sha256=sha256(content).upper())
    assert load_model("theirs") == tiny_model
    assert load_model("theirs") == tiny_model
    assert server.requests == ["/model"]
    assert [path.name for path in cached_files()] == [f"theirs-{sha256(content)[:12]}.safetensors"]


def test_a_registered_model_is_sent_as_its_address(server: LocalServer, content: bytes) -> None:
    register_model("theirs", url=server.serve("/model", content), sha256=sha256(content))
    model = load_model("theirs")
    sent = pickle.dumps(model)
    assert len(sent) < 1000
    registry.MODELS.registered.clear()
    assert pickle.loads(sent) == model


def test_a_server_that_fails_at_first_is_asked_again(server: LocalServer, content: bytes, tiny_model: Model) -> None:
    register_model("theirs", url=server.serve("/model", content, failures_first=2), sha256=sha256(content))
    assert load_model("theirs") == tiny_model
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "behaviour",
    [
        {"content": b"<html>Please sign in</html>"},
        {"content": b""},
        {"truncated": True},
        {"flipped": True},
        {"announced_length": 10**7},
        {"status": 404},
        {"status": 500},
        {"failures_first": 100},
    ],
    ids=str,
)
def test_a_server_that_misbehaves_leaves_nothing_behind(
    behaviour: dict[str, object], server: LocalServer, content: bytes, tiny_model: Model
) -> None:
    given = dict(behaviour)
    served = given.pop("content", content)
    if given.pop("truncated", False):
        served = content[: len(content) // 2]
    if given.pop("flipped", False):
        served = content[:-1] + bytes([content[-1] ^ 1])
    register_model("theirs", url=server.serve("/model", served, **given), sha256=sha256(content))
    with pytest.raises(DownloadError) as caught:
        load_model("theirs")
    assert sha256(content) in caught.value.expected
    assert cached_files() == []
    server.serve("/model", content)
    assert load_model("theirs") == tiny_model


def test_a_server_that_is_not_there(server: LocalServer) -> None:
    register_model("theirs", url="http://127.0.0.1:9/model", sha256="0" * 64)
    with pytest.raises(DownloadError, match="could not be downloaded"):
        load_model("theirs")
    assert cached_files() == []


def test_a_server_that_stalls_is_given_up(server: LocalServer, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xfaconv.download._TIMEOUT_SECONDS", 0.2)
    stall = threading.Event()
    register_model("theirs", url=server.serve("/model", content, stall=stall), sha256=sha256(content))
    with pytest.raises(DownloadError):
        load_model("theirs")
    stall.set()
    assert cached_files() == []


def test_an_interruption_leaves_nothing_behind(
    server: LocalServer, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    def interrupted(self: object, url: str, output_file: BinaryIO, *rest: object, **options: object) -> None:
        output_file.write(content[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", interrupted)
    register_model("theirs", url=server.serve("/model", content), sha256=sha256(content))
    with pytest.raises(KeyboardInterrupt):
        load_model("theirs")
    assert cached_files() == []


def no_models(content: bytes) -> dict[str, bytes]:
    """Files that are what was registered, and yet no models: other things, half a file, altered."""
    return {
        "page": b"<html>weights soon</html>",
        "half": content[: len(content) // 2],
        "altered": content[:-1] + bytes([content[-1] ^ 1]),
        "empty": b"",
    }


@pytest.mark.parametrize("kind", ["page", "half", "altered", "empty"])
def test_a_right_download_that_is_no_model_is_refused_and_not_kept(
    kind: str, server: LocalServer, content: bytes, tiny_model: Model
) -> None:
    wrong = no_models(content)[kind]
    register_model("theirs", url=server.serve("/model", wrong), sha256=sha256(wrong))
    for attempt in (1, 2):
        with pytest.raises(ModelFileError, match="registered as 'theirs'") as caught:
            load_model("theirs")
        assert cached_files() == []
        assert len(server.requests) == attempt
        assert caught.value.fix.startswith("xfaconv.register_model('theirs'")
        assert "delete" not in caught.value.fix
        assert "get the file again" not in str(caught.value)
    register_model("theirs", url=server.serve("/right", content), sha256=sha256(content))
    assert load_model("theirs") == tiny_model


def test_a_file_for_a_later_release_stays_in_the_cache(server: LocalServer, tiny_model: Model, tmp_path: Path) -> None:
    later = replace(tiny_model._file, card=tiny_model.card.updated(format_version=3))
    write_model_file(tmp_path / "later.safetensors", later)
    content = (tmp_path / "later.safetensors").read_bytes()
    register_model("theirs", url=server.serve("/model", content), sha256=sha256(content))
    with pytest.raises(ModelFileError, match="another version") as caught:
        load_model("theirs")
    assert caught.value.fix == "pip install --upgrade xfaconv"
    assert len(cached_files()) == 1


def test_a_wrong_file_that_cannot_be_removed_is_named(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    page = b"<html>weights soon</html>"
    register_model("theirs", url=server.serve("/model", page), sha256=sha256(page))

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError("read-only")

    with monkeypatch.context() as patched:
        patched.setattr(registry.Path, "unlink", refuse)
        with pytest.raises(ModelFileError, match="HTML") as caught:
            load_model("theirs")
    (left,) = cached_files()
    assert f"delete {left}" in caught.value.fix


def test_a_cache_that_cannot_be_written_says_so(server: LocalServer, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    register_model("theirs", url=server.serve("/model", content), sha256=sha256(content))
    with set_options(cache=tmp_path / "file" / "cache"), pytest.raises(DownloadError, match="XFACONV_CACHE"):
        load_model("theirs")


def test_a_read_only_cache_that_has_the_file_is_only_read(
    server: LocalServer, content: bytes, tiny_model: Model
) -> None:
    register_model("theirs", url=server.serve("/model", content), sha256=sha256(content))
    load_model("theirs")
    folder = cache_folder() / "models"
    before = folder.stat().st_mtime_ns, [path.stat().st_mtime_ns for path in cached_files()]
    folder.chmod(0o555)
    try:
        server.pages.clear()
        assert load_model("theirs") == tiny_model
        assert (folder.stat().st_mtime_ns, [path.stat().st_mtime_ns for path in cached_files()]) == before
    finally:
        folder.chmod(0o755)


def test_a_cached_file_that_was_altered_is_fetched_again(
    server: LocalServer, content: bytes, tiny_model: Model
) -> None:
    register_model("theirs", url=server.serve("/model", content), sha256=sha256(content))
    load_model("theirs")
    cached_files()[0].write_bytes(content[:-1])
    assert load_model("theirs") == tiny_model
    assert len(server.requests) == 2


def test_sixteen_threads_load_at_once(server: LocalServer, content: bytes, tiny_model: Model) -> None:
    register_model("theirs", url=server.serve("/model", content), sha256=sha256(content))
    with ThreadPoolExecutor(16) as pool:
        models = list(pool.map(lambda _: load_model("theirs"), range(16)))
    assert all(model == tiny_model for model in models)
    assert len(cached_files()) == 1


def test_four_processes_fetch_at_once(server: LocalServer, content: bytes) -> None:
    task = (server.serve("/model", content), sha256(content), str(cache_folder()))
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        lengths = pool.starmap(fetch_into, [task] * 8)
    assert lengths == [len(content)] * 8
    assert len(cached_files()) == 1


def test_the_cache_folder_is_the_option_then_the_variable_then_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert cache_folder() == tmp_path / "cache"
    with set_options(cache=tmp_path / "other"):
        assert cache_folder() == tmp_path / "other"
    monkeypatch.delenv("XFACONV_CACHE")
    assert cache_folder().name == "xfaconv"


@pytest.mark.parametrize(
    ("first", "then", "refused"),
    [
        ("https://example.org/a", "http://example.org/a", True),
        ("https://example.org/a", "HTTP://example.org/a", True),
        ("https://example.org/a", "https://example.net/a", False),
        ("https://example.org/a", "/b", False),
    ],
)
def test_a_server_cannot_send_on_to_what_is_read_in_the_clear(first: str, then: str, refused: bool) -> None:
    answer = requests.Response()
    answer.url, answer.status_code, answer.headers["location"] = first, 302, then
    if refused:
        with pytest.raises(OSError, match="not https"):
            download._stay_on_https(answer)
    else:
        download._stay_on_https(answer)
