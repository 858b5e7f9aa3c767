"""Every place of the package where an error is given the line that fixes it, and where an error was made."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import xfaconv
from xfaconv.adapt.problems import _table
from xfaconv.errors import XFaconvError

ROOT = Path(xfaconv.__file__).parent
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Place:
    """A call in the source that states a fix, named by its function and its number there."""

    name: str
    file: Path
    first: int
    last: int


@cache
def places() -> tuple[Place, ...]:
    """Collect the calls with ``fix=``, and those of helpers that are handed the fix as an argument."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))}
    helpers = {
        function.name: (path, len(_arguments(function)), _default(function))
        for path, tree in trees.items()
        for function in ast.walk(tree)
        if isinstance(function, Function) and function.name != "__init__" and _hands_on(function)
    }
    return tuple(place for path, tree in trees.items() for place in _in_file(path, tree, helpers))


def _arguments(function: Function) -> list[str]:
    return [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]


def _hands_on(function: Function) -> bool:
    """Whether a function is given the fix that it states."""
    fixes = (keyword.value for call in _calls(function) for keyword in call.keywords if keyword.arg == "fix")
    return "fix" in _arguments(function) and any(isinstance(fix, ast.Name) and fix.id == "fix" for fix in fixes)


def _default(function: Function) -> bool:
    """Whether a helper states a fix of its own where it is given none."""
    return bool(function.args.defaults) and ast.unparse(function.args.defaults[-1]) != "None"


def _in_file(path: Path, tree: ast.Module, helpers: dict[str, tuple[Path, int, bool]]) -> Iterator[Place]:
    numbers: Counter[str] = Counter()
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}
    known = {name: rest for name, (file, *rest) in helpers.items() if file == path or name in imported}
    for function in (node for node in ast.walk(tree) if isinstance(node, Function)):
        for call in _calls(function):
            fix = next((keyword.value for keyword in call.keywords if keyword.arg == "fix"), None)
            called = getattr(call.func, "id", getattr(call.func, "attr", ""))
            # The last argument of a helper is the fix.
            number, own = known.get(called, (0, False))
            if fix is None and not own and (not number or len(call.args) < number):
                continue
            # Stated elsewhere is the fix of a helper, and that of an error that is raised again; a rule has its own.
            if called == "check_rules":
                continue
            if isinstance(fix, ast.Attribute) or (isinstance(fix, ast.Name) and fix.id in _arguments(function)):
                continue
            name = f"{path.relative_to(ROOT).with_suffix('').as_posix()}:{function.name}"
            numbers[name] += 1
            yield Place(f"{name} {numbers[name]}", path, call.lineno, call.end_lineno or call.lineno)


def _calls(function: Function) -> Iterator[ast.Call]:
    """Calls of a function in their order, without those of functions inside it."""
    found, waiting = [], list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function):
            continue
        if isinstance(node, ast.Call):
            found.append(node)
        waiting.extend(ast.iter_child_nodes(node))
    return iter(sorted(found, key=lambda call: (call.lineno, call.col_offset)))


def rows() -> set[str]:
    """Rows of the table of problems of data that have a fix."""
    return {
        f"{subject}: {kind}"
        for subject, section in _table().items()
        for kind, row in section.items()
        if kind != "error" and "fix" in row
    }


def everywhere() -> set[str]:
    """Names of all places and rows."""
    return {place.name for place in places()} | rows()


@contextmanager
def recorded(where: set[str]) -> Iterator[None]:
    """Note where each error with a fix is made."""
    original = XFaconvError.__init__

    def __init__(self, problem, *, expected=None, found=None, fix=None):  # type: ignore[no-untyped-def]
        original(self, problem, expected=expected, found=found, fix=fix)
        if fix is not None and (name := _made_at()):
            where.add(name)

    XFaconvError.__init__ = __init__  # type: ignore[method-assign]
    try:
        yield
    finally:
        XFaconvError.__init__ = original  # type: ignore[method-assign]


def _made_at() -> str | None:
    frame = sys._getframe(2)
    while frame is not None:
        path, line = Path(frame.f_code.co_filename), frame.f_lineno
        if path.name == "problems.py" and frame.f_code.co_name == "refusal":
            return f"{frame.f_locals['subject']}: {frame.f_locals['kind']}"
        inside = [place for place in places() if place.file == path and place.first <= line <= place.last]
        if inside:
            return min(inside, key=lambda place: place.last - place.first).name
        frame = frame.f_back  # type: ignore[assignment]
    return None
