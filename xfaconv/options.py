"""Settings that hold for the code around them: validated, local to the context, and restored afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypedDict, Unpack, cast

from xfaconv.arguments import RULES, check_rules
from xfaconv.errors import ArgumentError, closest_name

Missing = Literal["raise", "fill", "propagate"]
Absent = Literal["raise", "climatology"]
Implausible = Literal["raise", "warn", "ignore"]


class Options(TypedDict):
    """Every option and its type.

    Attributes
    ----------
    device : str
        Where networks run: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    threads : int or None
        Threads that torch may use inside one task; None leaves the choice to the engine.
    missing : {"raise", "fill", "propagate"}
        What to do with missing values that are not part of a fixed mask.
    absent : {"raise", "climatology"}
        What to do when the Dataset lacks a variable of the model.
    implausible : {"raise", "warn", "ignore"}
        What to do when values cannot be in the units that they are said to have: when they lie so far from the model's
        climatology, or are so small, that no change of climate explains it. Checked where the values are read.
    progress : bool
        Whether to show progress bars.
    cache : Path or None
        Folder of downloaded files; None means the environment variable XFACONV_CACHE, else the user's cache folder.
    aliases : Mapping of str to tuple of str
        Further names of variables and coordinates. Keys are variables by their ERA5 short names, with a level or
        without (``"t2m"``, ``"z500"``, ``"z"``), and the roles ``"latitude"``, ``"longitude"``, ``"time"``,
        ``"level"``, ``"member"``, ``"expver"`` and ``"height"``; values are the names in the user's data. They are
        compared without regard to case and win over the package's own tables. Every function that looks for a name
        knows them: embeddings, analyses, indices and figures. A change replaces the aliases that held before.
    """

    device: str
    threads: int | None
    missing: Missing
    absent: Absent
    implausible: Implausible
    progress: bool
    cache: Path | None
    aliases: Mapping[str, tuple[str, ...]]


class OptionChanges(TypedDict, total=False):
    """The options that a call of `set_options` may change."""

    device: str
    threads: int | None
    missing: Missing
    absent: Absent
    implausible: Implausible
    progress: bool
    cache: str | os.PathLike[str] | None
    aliases: Mapping[str, str | Iterable[str]]


def _folder(name: str, value: object) -> object:
    if value is None:
        return None
    # "~someone" of a user who is not known raises RuntimeError.
    with suppress(RuntimeError):
        if isinstance(value, str | os.PathLike) and os.fspath(value):
            return Path(os.fsdecode(value)).expanduser()
    raise _refused(name, value, "None or the path of a folder, of a known user", "~/xfaconv-cache")


def _aliases(name: str, value: object) -> object:
    # The tables of names read this option, so they can be asked only when it is set.
    from xfaconv.names.tables import entries, is_known, roles

    example = {"t2m": ["my_t2m"], "latitude": ["my_lat"]}
    if not isinstance(value, Mapping):
        raise _refused(name, value, "a mapping of known names to lists of new ones", example)
    new: dict[str, tuple[str, ...]] = {}
    for key, names in value.items():
        if not isinstance(key, str) or not is_known(key):
            close = closest_name(str(key), [*roles(), *entries()]) or "t2m"
            raise _refused(name, value, f"known names, which {key!r} is not", {close: ["my_name"]})
        new[key] = (names,) if isinstance(names, str) else tuple(names) if isinstance(names, Iterable) else ("",)
    every = [alias.strip().lower() if isinstance(alias, str) else "" for names in new.values() for alias in names]
    if not all(every) or len(set(every)) < len(every):
        raise _refused(name, value, "new names that are text and each stand for one known name", example)
    return MappingProxyType(new)


def _refused(name: str, value: object, expected: str, example: object) -> ArgumentError:
    return ArgumentError(
        f"option {name!r} does not accept this value",
        expected=expected,
        found=repr(value),
        fix=f"xfaconv.set_options({name}={example!r})",
    )


# The other options are checked by the rules of the arguments of the same names.
_READERS: dict[str, Callable[[str, object], object]] = {"cache": _folder, "aliases": _aliases}
_DEFAULTS: Mapping[str, object] = {
    "device": "auto",
    "threads": None,
    "missing": "fill",
    "absent": "raise",
    "implausible": "raise",
    "progress": False,
    "cache": None,
    "aliases": MappingProxyType({}),
}
_CURRENT: ContextVar[Mapping[str, object]] = ContextVar("xfaconv_options", default=_DEFAULTS)


class set_options:  # noqa: N801 - a function to its users, as in xarray
    """Change options, for the rest of the context or for a ``with`` block.

    The change is seen by the current thread or asynchronous task alone: two threads may use different options at
    the same time. Functions read the options when they are called, so a lazy result keeps those it was built with.

    Parameters
    ----------
    **options
        Any of `Options`: device, threads, missing, absent, implausible, progress, cache, aliases.

    Raises
    ------
    ArgumentError
        If an option is unknown, or does not accept the value; then nothing is changed.

    Examples
    --------
    >>> with set_options(missing="raise", threads=2):
    ...     get_options()["missing"]
    'raise'
    >>> get_options()["missing"]
    'fill'

    Names that the package does not know are taught for a session, and need no renaming of the data:

    >>> import xarray as xr
    >>> from xfaconv.names import find_dimension
    >>> da = xr.DataArray([0.0, 1.0], {"my_lat": [10.0, 20.0]}, ("my_lat",))
    >>> with set_options(aliases={"latitude": ["my_lat"], "t2m": ["my_t2m"]}):
    ...     find_dimension(da, "latitude")
    'my_lat'
    """

    def __init__(self, **options: Unpack[OptionChanges]) -> None:
        changes = {name: _validated(name, value) for name, value in options.items()}
        current = _CURRENT.get()
        self._previous = {name: current[name] for name in changes}
        _CURRENT.set({**current, **changes})

    def __enter__(self) -> None:
        """Begin a block; the options hold since the call itself."""

    def __exit__(self, *_: object) -> None:
        """Give back the values that the options had before."""
        _CURRENT.set({**_CURRENT.get(), **self._previous})


def get_options() -> Options:
    """Give the options that hold here.

    Returns
    -------
    Options
        A copy; changing it changes nothing.

    Examples
    --------
    >>> sorted(get_options())
    ['absent', 'aliases', 'cache', 'device', 'implausible', 'missing', 'progress', 'threads']
    """
    return cast("Options", dict(_CURRENT.get()))


def _validated(name: str, value: Any) -> object:
    if name not in _DEFAULTS:
        close = closest_name(name, _DEFAULTS)
        raise ArgumentError(
            f"option {name!r} is unknown",
            expected=", ".join(_DEFAULTS),
            found=repr(name),
            fix=f"xfaconv.set_options({close}={_DEFAULTS[close]!r})"
            if close
            else "xfaconv.get_options() lists the options",
        )
    if name in _READERS:
        return _READERS[name](name, value)
    check_rules({name: value}, RULES, fix="xfaconv.set_options({})")
    return value
