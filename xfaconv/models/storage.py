"""Model files: one safetensors file with the weights, the climatology and the card, checked before it is believed."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from xfaconv.errors import ModelFileError
from xfaconv.models.header import check_header, make_header, read_json
from xfaconv.models.inspection import check_card, check_tensors
from xfaconv.specs import ModelCard

FORMAT_VERSION = "1"
# What mends a file of a later format; the file itself is right.
UPGRADE = "pip install --upgrade xfaconv"
_LARGEST_FILE = 512 * 2**20
# The entries of a card that decide what the weights compute; the rest is prose and measurements.
_DECISIVE = ("variables", "grid", "step", "segment", "warmup", "network", "climatology_harmonics", "version")

Tensors = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class ModelFile:
    """What a model file holds.

    Parameters
    ----------
    card : ModelCard
        With ``weights_sha256`` set.
    network : Mapping of str to ndarray
        Weights of the network by name, float32.
    climatology : Mapping of str to ndarray
        Packed climatology, empty where the model has none.
    """

    card: ModelCard
    network: Tensors
    climatology: Tensors


def seal(card: ModelCard, network: Tensors, climatology: Tensors) -> ModelFile:
    """Put card and tensors together, check that they fit, and set the card's hash.

    Parameters
    ----------
    card : ModelCard
        Any hash in it is replaced.
    network, climatology : Mapping of str to ndarray
        Weights (float32) and packed climatology.

    Returns
    -------
    ModelFile

    Raises
    ------
    ModelFileError
        If the card does not fit the tensors.
    """
    # Through JSON, so that a card in memory is exactly the card that will be read back.
    card = ModelCard.from_dict(json.loads(_json(card.updated(version=FORMAT_VERSION).to_dict())))
    check_card(card)
    check_tensors(card, network, climatology)
    return ModelFile(card.updated(weights_sha256=weights_sha256(card, network, climatology)), network, climatology)


def weights_sha256(card: ModelCard, network: Tensors, climatology: Tensors) -> str:
    """Hash everything that decides what a model computes: its tensors and the card's decisive entries.

    Parameters
    ----------
    card : ModelCard
        Its prose, measurements and hash do not count.
    network, climatology : Mapping of str to ndarray
        Weights and packed climatology.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    entries = card.to_dict()
    digest = hashlib.sha256(_json({name: entries[name] for name in _DECISIVE}, sort_keys=True).encode())
    for name, values in sorted(_flat(network, climatology).items()):
        digest.update(f"{name} {_little_endian(values).dtype.str} {values.shape}\n".encode())
        digest.update(_little_endian(values).tobytes())
    return digest.hexdigest()


def write_model_file(path: str | os.PathLike[str], file: ModelFile) -> None:
    """Write a model file; an existing one is replaced at once or not at all.

    Parameters
    ----------
    path : path-like
        Where to; its folder must exist.
    file : ModelFile
        As `seal` gives it.

    Raises
    ------
    ModelFileError
        If the folder does not exist or cannot be written.
    """
    card = _json(file.card.to_dict())
    metadata = {"format": "xfaconv", "card": card, "card_sha256": hashlib.sha256(card.encode()).hexdigest()}
    # Wide numbers first keeps every tensor aligned; the same model always gives the same bytes.
    flat = _flat(file.network, file.climatology)
    tensors = {name: _little_endian(flat[name]) for name in sorted(flat, key=lambda name: (-flat[name].itemsize, name))}
    content = b"".join([make_header(tensors, metadata), *(values.tobytes() for values in tensors.values())])
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    except (OSError, ValueError) as problem:
        raise _cannot_write(path, problem) from problem
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as problem:
        raise _cannot_write(path, problem) from problem
    finally:
        Path(temporary).unlink(missing_ok=True)


def read_model_file(path: str | os.PathLike[str], *, file_sha256: str | None = None) -> ModelFile:
    """Read a model file once, and check everything before giving anything.

    Nothing in the file is executed: the header is plain JSON and the tensors are plain numbers.

    Parameters
    ----------
    path : path-like
        A file that `write_model_file` wrote.
    file_sha256 : str, optional
        Hash that the whole file must have.

    Returns
    -------
    ModelFile

    Raises
    ------
    ModelFileError
        If the file is absent, too large, truncated, altered, of another format or version, or if its card does not
        fit its tensors.
    """
    path = Path(path)
    content = _read(path)
    if file_sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != file_sha256:
        raise ModelFileError(f"{path.name} is not the file that was asked for", expected=file_sha256, found=found)
    metadata = check_header(content, path.name)
    card = _card(metadata, path.name)
    check_card(card)
    try:
        tensors = safetensors_numpy.load(content)
    except SafetensorError as problem:
        raise ModelFileError(f"{path.name} cannot be read", found=str(problem)) from problem
    for values in tensors.values():
        values.flags.writeable = False
    network, climatology = (
        {name.removeprefix(prefix): values for name, values in tensors.items() if name.startswith(prefix)}
        for prefix in ("network.", "climatology.")
    )
    found = weights_sha256(card, network, climatology)
    if len(network) + len(climatology) != len(tensors) or found != card.weights_sha256:
        raise ModelFileError(
            f"{path.name} was altered: its tensors do not have the hash that its card states",
            expected=card.weights_sha256,
            found=found,
            fix="get the file again",
        )
    check_tensors(card, network, climatology)
    return ModelFile(card, network, climatology)


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(f"{str(path)!r} is not a regular file", fix="give the path of a .safetensors file")
        if status.st_size > _LARGEST_FILE:
            raise ModelFileError(
                f"{path.name} is too large for a model of this package",
                expected=f"at most {_LARGEST_FILE:,} bytes",
                found=f"{status.st_size:,} bytes",
            )
        return path.read_bytes()
    except (OSError, ValueError) as problem:
        if isinstance(problem, ModelFileError):
            raise
        raise ModelFileError(
            f"model file {str(path)!r} cannot be opened",
            found=getattr(problem, "strerror", None) or str(problem),
            fix="xfaconv.load_model('<name>') with a name of xfaconv.list_models(), or the path of a .safetensors file",
        ) from problem


def _card(metadata: Mapping[str, str], name: str) -> ModelCard:
    text = metadata.get("card", "")
    if hashlib.sha256(text.encode()).hexdigest() != metadata.get("card_sha256"):
        raise ModelFileError(
            f"{name} has no card, or its card was altered",
            expected="a file written by model.save(path)",
            fix="get the file again",
        )
    try:
        entries = read_json(text)
    except (ValueError, RecursionError) as problem:
        raise ModelFileError(f"the card in {name} is not JSON", found=str(problem)) from problem
    version = entries.get("version") if isinstance(entries, dict) else None
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"{name} is of another version of the file format",
            expected=FORMAT_VERSION,
            found=repr(version),
            fix=UPGRADE,
        )
    return ModelCard.from_dict(entries)


def _flat(network: Tensors, climatology: Tensors) -> dict[str, NDArray[np.generic]]:
    return {f"network.{name}": values for name, values in network.items()} | {
        f"climatology.{name}": values for name, values in climatology.items()
    }


def _little_endian(values: NDArray[np.generic]) -> NDArray[np.generic]:
    return values.astype(values.dtype.newbyteorder("<"), copy=False)


def _json(entries: Mapping[str, Any], *, sort_keys: bool = False) -> str:
    try:
        return json.dumps(entries, sort_keys=sort_keys, allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError) as problem:
        raise ModelFileError(
            "the model card cannot be written",
            expected="plain text, finite numbers, lists and mappings with text keys",
            found=str(problem),
        ) from problem


def _cannot_write(path: Path, problem: Exception) -> ModelFileError:
    return ModelFileError(
        f"model file {str(path)!r} cannot be written",
        found=getattr(problem, "strerror", None) or str(problem),
        fix="model.save(path) with a path in a folder that exists and can be written",
    )
