"""Model files: one safetensors file with the weights, the climatology and the card, checked before it is believed."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from xfaconv.errors import ModelFileError
from xfaconv.models.packing import unpack_climatology
from xfaconv.specs import EARLIER_NETWORK, FORMAT_VERSION, ModelCard

# What helps where a file is of a later format; the file itself is right.
UPGRADE = "pip install --upgrade xfaconv"
LARGEST_FILE = 512 * 2**20
# The entries of a card that decide what the weights compute; the rest is prose and measurements.
_DECISIVE = ("variables", "grid", "step", "segment", "warmup", "network", "climatology_harmonics", "format_version")
# What people hand over by mistake, by its first bytes: safetensors only says that the header is too large.
_DISGUISES = (
    (b"<", "an HTML or XML page"),
    (b"PK", "a ZIP archive, such as torch.save writes"),
    (b"\x80", "a pickle"),
    (b"\x89HDF", "an HDF5 or NetCDF file"),
    (b"CDF", "a NetCDF file"),
    (b"version https://git-lfs", "a Git LFS pointer"),
    (b"\x1f\x8b", "a gzip archive"),
)
_STEPS = ("1h", "3h", "6h", "12h", "1D", "5D", "7D", "1M")
_LONGEST = 100_000
# Whole numbers that may be 0, and the greatest they may be; others are 1 to _LONGEST.
_FROM_ZERO = {
    "warmup": _LONGEST,
    "attention_every": _LONGEST,
    "parameters": 2**53,
    "climatology_harmonics": 16,
    "eofs": 1_000,
}

Tensors = Mapping[str, NDArray[np.generic]]
# What is checked, what was expected, what was found, and whether that is good.
Check = tuple[str, str, object, bool]


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
    card = ModelCard.from_dict(json.loads(_json(card.updated(format_version=FORMAT_VERSION).to_dict())))
    _check(card, network, climatology)
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
    network_entries = entries["network"].items()
    entries["network"] = {name: value for name, value in network_entries if EARLIER_NETWORK.get(name) != value}
    digest = hashlib.sha256(_json({name: entries[name] for name in _DECISIVE}, sort_keys=True).encode())
    for name, values in sorted(_flat(network, climatology).items()):
        digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def write_model_file(path: str | os.PathLike[str], file: ModelFile) -> None:
    """Write a model file; an existing one is replaced at once or not at all.

    The same model always gives the same bytes.

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
    card = file.card.to_dict()
    # One entry only: safetensors writes several entries of metadata in an order that changes from run to run.
    metadata = {"xfaconv": _json({"card_sha256": _digest(card), "card": card})}
    content = safetensors_numpy.save(_flat(file.network, file.climatology), metadata)
    path = Path(path)
    temporary = path.parent / f".{path.name[:100]}.{os.getpid()}-{threading.get_ident()}"
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
        temporary.replace(path)
    except (OSError, ValueError) as problem:
        raise _inaccessible(
            path, "written", problem, "save it in a folder that exists, under the name of a file"
        ) from problem
    finally:
        with suppress(OSError, ValueError):
            temporary.unlink(missing_ok=True)


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
    try:
        tensors = safetensors_numpy.load(content)
    except (SafetensorError, KeyError) as problem:  # KeyError: a type of number that numpy does not have
        start = content[:64].lstrip()
        raise ModelFileError(
            f"{path.name} is not a model file, or is damaged",
            expected="a safetensors file written by model.save(path)",
            found=next((what for magic, what in _DISGUISES if start.startswith(magic)), str(problem)),
            fix="get the file again; a pickled checkpoint is never opened",
        ) from problem
    card = _read_card(content, path.name)
    for values in tensors.values():
        values.flags.writeable = False
    network, climatology = (
        {name.removeprefix(prefix): values for name, values in tensors.items() if name.startswith(prefix)}
        for prefix in ("network.", "climatology.")
    )
    found = weights_sha256(card, network, climatology)
    if len(network) + len(climatology) != len(tensors) or found != card.weights_sha256:
        raise _altered(path.name, card.weights_sha256, found)
    _check(card, network, climatology)
    return ModelFile(card, network, climatology)


def _read(path: Path) -> bytes:
    try:
        path = path.expanduser()
        status = path.stat()
        regular, fits = stat.S_ISREG(status.st_mode), status.st_size <= LARGEST_FILE
        content = path.read_bytes() if regular and fits else b""
    except (OSError, ValueError, RuntimeError) as problem:  # RuntimeError: "~" of a user who is not known
        raise _inaccessible(path, "opened", problem, "a path, or a name of xfaconv.list_models()") from problem
    if not (regular and fits):
        raise ModelFileError(
            f"{path.name} is {'too large for a model of this package' if regular else 'not a regular file'}",
            expected=f"a .safetensors file of at most {LARGEST_FILE:,} bytes",
            found=f"{status.st_size:,} bytes" if regular else "a folder, a pipe or a device",
        )
    return content


def _inaccessible(path: Path, what: str, problem: Exception, fix: str) -> ModelFileError:
    reason = getattr(problem, "strerror", None) or str(problem)
    return ModelFileError(f"model file {str(path)!r} cannot be {what}", found=reason, fix=fix)


def _read_card(content: bytes, name: str) -> ModelCard:
    """Card in the header of a file that safetensors has read, with its version and its hash checked."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = header.pop("__metadata__", None) or {}
    version, intact = None, False
    # In format 1 the text was the card itself, under another name.
    text = metadata.get("xfaconv", metadata.get("card", ""))
    with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        sealed = json.loads(text)
        card = sealed.get("card", sealed)
        version = card.get("format_version", card.get("version"))
        # Written again it must be the same text: then no name stands twice and no byte was changed.
        intact = _json(sealed) == text and _digest(card) == sealed["card_sha256"]
    if version is not None and version != FORMAT_VERSION:
        later = isinstance(version, int) and version > FORMAT_VERSION
        raise ModelFileError(
            f"{name} is of another version of the file format",
            expected=str(FORMAT_VERSION),
            found=repr(version)[:100],
            fix=UPGRADE if later else "train the model again, or read it with the release that wrote it",
        )
    if not intact or any(set(entry) != {"dtype", "shape", "data_offsets"} for entry in header.values()):
        raise _altered(name, "the header that model.save(path) wrote", text[:100] or "no card")
    return ModelCard.from_dict(card)


def _altered(name: str, expected: str, found: str) -> ModelFileError:
    problem = f"{name} has no card, or was altered after it was written"
    return ModelFileError(problem, expected=expected, found=found, fix="get the file again")


def _check(card: ModelCard, network: Tensors, climatology: Tensors) -> None:
    """Refuse a card that is wrong in itself or does not fit the tensors beside it.

    Whether the weights fit the network's layers is known when the network is built, and checked there.
    """
    for checks in (_checks_of_kinds(card), _checks_of_card(card), _checks_of_tensors(card, network, climatology)):
        for what, expected, found, good in checks:
            if not good:
                raise ModelFileError(
                    f"the model card does not fit: {what}",
                    expected=expected,
                    found=repr(found)[:200],
                    fix="get the file again, or correct the card before model.save(path)",
                )


def _checks_of_kinds(card: ModelCard) -> Iterator[Check]:
    """Every entry against the type that its class declares."""
    variables = [(f"variable {variable.name!r} ", variable) for variable in card.variables]
    records = [("", card), ("network.", card.network), *variables]
    for prefix, record in records:
        hints = get_type_hints(type(record))
        for entry in fields(record):  # type: ignore[arg-type]
            what, value, hint = prefix + entry.name, getattr(record, entry.name), hints[entry.name]
            if hint is str or hint is bool:
                yield what, "text" if hint is str else "true or false", value, isinstance(value, hint)
            elif hint is int:
                low, high = int(entry.name not in _FROM_ZERO), _FROM_ZERO.get(entry.name, _LONGEST)
                yield what, f"a whole number, {low} to {high}", value, type(value) is int and low <= value <= high
            elif get_origin(hint) is Literal:
                yield what, " or ".join(map(repr, get_args(hint))), value, value in get_args(hint)


def _checks_of_card(card: ModelCard) -> Iterator[Check]:
    """Say what the types do not."""
    network, years, failures = card.network, card.years, card.known_failures
    names = [variable.name for variable in card.variables]
    texts = [card.name, *(text for entry in card.variables for text in (entry.name, entry.units, entry.long_name))]
    yield "name, variables", "names, units and long names that are not empty", texts, all(texts)
    yield "variables", "at least one, and no name twice", names, 0 < len(set(names)) == len(names)
    levels = [variable.level for variable in card.variables if variable.level is not None]
    yield "level", "pressure levels in hPa", levels, all(map(_is_number, levels))
    yield "step", " or ".join(_STEPS), card.step, card.step in _STEPS
    yield "known_failures", "texts", failures, all(isinstance(entry, str) for entry in failures)
    yield "years", "texts", years, all(isinstance(span, str) for span in years.values())
    yield "network.variables", f"{len(names)}, the card's", network.variables, network.variables == len(names)
    domain, leads = network.domain, network.leads
    yield "network.domain", "four finite degrees", domain, len(domain) == 4 and all(map(_is_number, domain))
    ascending = list(leads) == sorted(set(leads)) and min(leads, default=-1) >= 0
    yield "network.leads", "ascending steps from 0", leads, ascending


def _checks_of_tensors(card: ModelCard, network: Tensors, climatology: Tensors) -> Iterator[Check]:
    yield "weights", "at least one tensor", len(network), bool(network)
    for name, values in network.items():
        good = values.dtype in (np.float32, np.float16, np.int8) and bool(np.isfinite(values).all())
        yield f"weights {name!r}", "finite float32 or float16, or int8", str(values.dtype), good
    numbers = sum(values.size for values in network.values())
    yield "parameters", f"at most the {numbers:,} numbers in the file", card.parameters, card.parameters <= numbers
    if climatology:
        shape = unpack_climatology(climatology).coefficients.shape
        wanted = (len(card.variables), 1 + 2 * card.climatology_harmonics, *card.grid.shape)
        yield "climatology", f"shape {wanted} by variables, harmonics and grid", shape, shape == wanted


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _flat(network: Tensors, climatology: Tensors) -> dict[str, NDArray[np.generic]]:
    """All tensors by their names in the file, little-endian and in C order, as their bytes are hashed and written."""
    return {
        f"{part}.{name}": np.asarray(values, dtype=values.dtype.newbyteorder("<"), order="C")
        for part, tensors in (("network", network), ("climatology", climatology))
        for name, values in tensors.items()
    }


def _digest(card: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(card).encode()).hexdigest()


def _json(entries: Mapping[str, Any], *, sort_keys: bool = False) -> str:
    try:
        return json.dumps(entries, sort_keys=sort_keys, allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError) as problem:
        plain = "plain text, finite numbers, lists and mappings with text keys"
        raise ModelFileError("the model card is not plain data", expected=plain, found=str(problem)) from problem
