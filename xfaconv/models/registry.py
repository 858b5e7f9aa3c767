"""Models by name: those in the package, and those that a user registers."""

from __future__ import annotations

import fnmatch
import os
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

from xfaconv.download import NamedFiles, Remote, fetch
from xfaconv.errors import ArgumentError, ModelError, ModelFileError
from xfaconv.models.model import Model
from xfaconv.models.storage import UPGRADE, read_model_file

MODELS = NamedFiles("model", Path(__file__).parent / "weights", ".safetensors", "xfaconv.load_model")


def list_models(pattern: str = "*") -> list[str]:
    """List the models that `load_model` knows by name.

    Parameters
    ----------
    pattern : str, default "*"
        Shell-style pattern that the name must match, case apart.

    Returns
    -------
    list of str
        Sorted.

    Raises
    ------
    ArgumentError
        If the pattern is not text.

    Examples
    --------
    >>> list_models("no-such-*")
    []
    """
    if not isinstance(pattern, str):
        raise ArgumentError("the pattern is not text", found=repr(pattern), fix="xfaconv.list_models('*daily*')")
    return [name for name in MODELS.names() if fnmatch.fnmatchcase(name.lower(), pattern.lower())]


def load_model(name: str | os.PathLike[str]) -> Model:
    """Load a model by name, or from a file.

    Packaged models need no internet connection; registered ones are downloaded once, into the cache folder.

    Parameters
    ----------
    name : str or path-like
        A name of `list_models`, or the path of a file that ``model.save(path)`` wrote.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If there is no model of this name.
    ModelFileError
        If the file is damaged, or not a model file.
    DownloadError
        If a registered model cannot be downloaded.

    Examples
    --------
    >>> load_model("ncep-montly-2p5deg")
    Traceback (most recent call last):
    xfaconv.errors.ModelError: there is no model 'ncep-montly-2p5deg'
    ...
    """
    if isinstance(name, Model):
        return name
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        problem, fix = "a model is given by its name or the path of its file", "load_model('ncep-monthly-2p5deg')"
        raise ArgumentError(problem, found=repr(name), fix=f"xfaconv.{fix}")
    text = os.fsdecode(name)
    if isinstance(name, str):
        if text in MODELS.packaged():
            return _load_packaged(text)
        if text in MODELS.registered:
            return _load_remote(MODELS.registered[text])
        if not (text.endswith(MODELS.suffix) or os.sep in text or Path(text).is_file()):
            raise MODELS.unknown(text, ModelError)
    model = Model(read_model_file(text))
    model.network()
    return model


def register_model(name: str, url: str, sha256: str) -> None:
    """Make a model on a server known by a name, for this process and the workers that it sends work to.

    Parameters
    ----------
    name : str
        Letters, digits, dots, hyphens and underscores.
    url : str
        Where its file is, ``https://`` or ``http://``.
    sha256 : str
        Hash of the file: 64 hexadecimal digits, as ``sha256sum`` prints.

    Raises
    ------
    ArgumentError
        If an argument is malformed, or the name belongs to a packaged model.

    Examples
    --------
    >>> register_model("ours-daily", url="https://example.org/ours-daily.safetensors", sha256=64 * "0")
    >>> "ours-daily" in list_models("ours*")
    True
    """
    MODELS.register(name, url, sha256)


@cache
def _load_packaged(name: str) -> Model:
    path = MODELS.folder / f"{name}{MODELS.suffix}"
    file = read_model_file(path)
    if file.card.name != name:
        problem, fix = f"the packaged file {path.name} holds another model", "pip install --force-reinstall xfaconv"
        raise ModelFileError(problem, expected=name, found=file.card.name, fix=fix)
    return Model(file, fetch=partial(load_model, name))


def _load_remote(remote: Remote) -> Model:
    path = fetch(remote, folder="models", suffix=MODELS.suffix)
    try:
        model = Model(read_model_file(path, file_sha256=remote.sha256), fetch=partial(_load_remote, remote))
        model.network()
    except ModelFileError as problem:
        if problem.fix == UPGRADE:
            raise
        # The file has the hash that was registered: getting it again would give the same bytes. What is no model must
        # not stay in the cache; where the cache is read-only it stays, and the message names it.
        with suppress(OSError):
            path.unlink()
        left = f", and delete {path}" if path.exists() else ""
        raise ModelFileError(
            f"what was registered as {remote.name!r} is not a model that can be used: {problem.problem}",
            expected=problem.expected,
            found=problem.found,
            fix=f"xfaconv.register_model({remote.name!r}, url=..., sha256=...) with the address and the hash of a file "
            f"that model.save(path) wrote, instead of {remote.url}{left}",
        ) from problem
    return model
