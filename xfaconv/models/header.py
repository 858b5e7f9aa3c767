"""The header of a safetensors file: written the same way every time, refused unless it describes its file exactly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfaconv.errors import ModelFileError

_LARGEST_HEADER = 4 * 2**20
_MOST_TENSORS = 10_000
_MOST_DIMENSIONS = 8
_KINDS: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I16": np.dtype("<i2")}
# What people hand over by mistake, by its first bytes.
_DISGUISES = (
    (b"<", "an HTML or XML page"),
    (b"PK", "a ZIP archive, such as torch.save writes"),
    (b"\x80", "a pickle"),
    (b"\x89HDF", "an HDF5 or NetCDF file"),
    (b"CDF", "a NetCDF file"),
    (b"version https://git-lfs", "a Git LFS pointer"),
    (b"\x1f\x8b", "a gzip archive"),
)


def make_header(tensors: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str]) -> bytes:
    """Describe tensors that follow one after the other, in the order given.

    Parameters
    ----------
    tensors : Mapping of str to ndarray
        Of the types float32, float64 and int16.
    metadata : Mapping of str to str
        Any text.

    Returns
    -------
    bytes
        The beginning of a safetensors file, a multiple of 8 bytes long.

    Examples
    --------
    >>> make_header({"a": np.zeros(2, "f4")}, {})[8:]
    b'{"__metadata__":{},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, values in tensors.items():
        kind = next(kind for kind, dtype in _KINDS.items() if dtype == values.dtype)
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [end, end + values.nbytes]}
        end += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def check_header(content: bytes, name: str) -> Mapping[str, str]:
    """Check that a file's header describes its bytes exactly, without building any tensor.

    Parameters
    ----------
    content : bytes
        The whole file.
    name : str
        Name of the file, for the errors.

    Returns
    -------
    Mapping of str to str
        The metadata.

    Raises
    ------
    ModelFileError
        If the header is of another format, too large, not JSON, or does not fit the number of bytes.
    """
    start = content[:64].lstrip()
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= length <= min(len(content) - 8, _LARGEST_HEADER):
        disguise = next((what for magic, what in _DISGUISES if start.startswith(magic)), None)
        raise ModelFileError(
            f"{name} is not a model file, or is truncated",
            expected="a safetensors file",
            found=disguise or f"{len(content):,} bytes whose header claims {length:,}",
            fix="give a file written by model.save(path); a pickled checkpoint is never opened",
        )
    try:
        header = read_json(content[8 : 8 + length].decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        raise ModelFileError(
            f"the header of {name} is not JSON", found=str(problem), fix="get the file again"
        ) from problem
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not (isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())):
        raise ModelFileError(f"the header of {name} is malformed", expected="a mapping of tensors and text metadata")
    _check_extents(header, len(content) - 8 - length, name)
    return metadata


def _check_extents(tensors: Mapping[str, Any], total: int, name: str) -> None:
    """Tensors must lie one after the other, without a gap or an overlap, and fill the file."""
    if len(tensors) > _MOST_TENSORS:
        raise ModelFileError(
            f"{name} has too many tensors", expected=f"at most {_MOST_TENSORS}", found=str(len(tensors))
        )
    end = 0
    for tensor, (first, last, size) in sorted(
        ((tensor, _extent(entry, tensor, name)) for tensor, entry in tensors.items()), key=lambda item: item[1][:2]
    ):
        if first != end or last - first != size:
            raise ModelFileError(
                f"tensor {tensor!r} in {name} does not lie where its shape says",
                expected=f"bytes {end:,} to {end + size:,}",
                found=f"bytes {first:,} to {last:,}",
                fix="get the file again",
            )
        end = last
    if end != total:
        raise ModelFileError(
            f"{name} is truncated or has extra bytes",
            expected=f"{end:,} bytes of tensors",
            found=f"{total:,}",
            fix="get the file again",
        )


def _extent(entry: Any, tensor: str, name: str) -> tuple[int, int, int]:
    try:
        kind, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = [first, last, *shape]
        if (
            set(entry) != {"dtype", "shape", "data_offsets"}
            or len(shape) > _MOST_DIMENSIONS
            or any(type(number) is not int or not 0 <= number < 2**53 for number in whole)
        ):
            raise ValueError(entry)
        return first, last, math.prod(shape) * _KINDS[kind].itemsize
    except (KeyError, TypeError, ValueError) as problem:
        raise ModelFileError(
            f"tensor {tensor!r} in {name} is described wrongly",
            expected=f"dtype ({', '.join(_KINDS)}), shape and data_offsets",
            found=repr(entry)[:200],
            fix="get the file again",
        ) from problem


def read_json(text: str) -> Any:
    """Read JSON as its standard has it: no NaN, no name twice in one object.

    Parameters
    ----------
    text : str
        JSON.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If it is not JSON.
    RecursionError
        If it is nested without end.

    Examples
    --------
    >>> read_json('{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name stands twice")
    return entries


def _no(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
