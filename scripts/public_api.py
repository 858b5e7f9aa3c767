"""The public names and signatures, one a line: ``python scripts/public_api.py`` writes ``docs/public-api.txt``.

`tests/test_public_api.py` compares the package with the file. A line that changes or goes is a change for users: it
needs an entry in CHANGELOG.md, and a deprecation where that is possible (`xfaconv.deprecation`).
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xfaconv.arguments import DEFAULTS

FILE = Path(__file__).resolve().parents[1] / "docs" / "public-api.txt"
_ROOMS = ("analysis", "engine", "errors", "inference", "models", "nn", "plot", "training", "tutorial")
MODULES = ("xfaconv", *(f"xfaconv.{room}" for room in _ROOMS))


def lines() -> list[str]:
    """Every public name with its parameters and their defaults, without types."""
    import importlib

    found = [f"ds.faconv.{line}" for line in _members(type(_accessor()))]
    for name in MODULES:
        module = importlib.import_module(name)
        found += [
            f"{name}.{line}" for public in _public(module) for line in _described(public, getattr(module, public))
        ]
    shared = ", ".join(f"{name}={default!r}" for name, default in DEFAULTS.items())
    return sorted([*found, f"xfaconv.engine.Arguments({shared})"])


def _accessor() -> Any:
    import xarray as xr

    return xr.Dataset().faconv


def _public(module: Any) -> list[str]:
    names = getattr(module, "__all__", None)
    # A module without such a list, that of errors, offers its classes.
    classes = (
        name for name, value in vars(module).items() if inspect.isclass(value) and value.__module__ == module.__name__
    )
    return sorted(classes if names is None else names)


def _described(name: str, value: Any) -> Iterator[str]:
    if inspect.ismodule(value):
        yield f"{name} (module)"
    elif inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        if issubclass(value, Exception):
            yield f"{name} ({bases})"
            return
        if name == "Arguments":
            return
        yield f"{name}{_parameters(value)}" if dataclasses.is_dataclass(value) or "__init__" in vars(value) else name
        if "torch" not in str(value.__mro__):
            yield from (f"{name}.{line}" for line in _members(value))
    elif callable(value):
        yield f"{name}{_parameters(value)}"
    else:
        yield f"{name} = {value!r}"


def _members(kind: type) -> Iterator[str]:
    # Fields of a dataclass stand among its parameters.
    known = {entry.name for entry in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    for name in sorted(set(dir(kind)) - set(dir(object)) - known):
        if name.startswith("_") or not any(name in vars(base) for base in kind.__mro__ if "xfaconv" in base.__module__):
            continue
        value = inspect.getattr_static(kind, name)
        value = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        # Methods of the accessor are made from functions.
        value = value.function() if type(value).__module__ == "xfaconv.accessor" else value
        yield f"{name}{_parameters(value)}" if inspect.isfunction(value) else name


def _parameters(value: Any) -> str:
    parameters = inspect.signature(value).parameters
    shared = {name for name in DEFAULTS if name in parameters} if set(DEFAULTS) <= set(parameters) else set()
    said = [
        entry.replace(annotation=inspect.Parameter.empty) for name, entry in parameters.items() if name not in shared
    ]
    # What all functions that run a network share is a line of its own.
    said += [inspect.Parameter("Arguments", inspect.Parameter.VAR_KEYWORD)] if shared else []
    return str(inspect.Signature(said)).replace("<factory>", "...")


def main() -> None:
    """Write the file."""
    FILE.write_text("\n".join(lines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
