"""Follows the advice of an error: runs the line behind ``fix:`` on what provoked it, and says what came of it."""

from __future__ import annotations

import ast
import re
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt

import xfaconv
from tests.trust.calls import world
from xfaconv.errors import XFaconvError

# Prose may not look like a line to copy.
LIKE_CODE = re.compile(r"^\s*[\w.]+\s*(=|\()|^\s*ds\b|`")
# What only the user knows is written in words: such a line is to be completed, not run.
PLACEHOLDER = re.compile(r"'its name'|'the true [a-z ]+'|<[a-z ]+>")
Kind = Literal["statements", "arguments", "placeholder", "prose", "none"]
Call = Callable[..., Any]


def kind_of(fix: str | None) -> Kind:
    """Tell statements, arguments of the call, and prose apart."""
    if fix is None:
        return "none"
    if PLACEHOLDER.search(fix.partition("  #")[0]):
        return "placeholder" if _arguments(fix) is not None or _parses(fix) else "prose"
    if _arguments(fix) is not None:
        return "arguments"
    if not _parses(fix):
        return "prose"
    return "statements" if _is_code(ast.parse(fix)) else "prose"


def _parses(fix: str) -> bool:
    try:
        ast.parse(fix)
    except SyntaxError:
        return False
    return True


def _is_code(tree: ast.Module) -> bool:
    """A single word, such as 'nothing', parses as a name."""
    return bool(tree.body) and not all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Name) for node in tree.body
    )


def _arguments(fix: str) -> list[ast.keyword] | None:
    """Arguments by name, as in ``season='DJF', lag=0``, None where the line is something else."""
    if re.match(r"\s*\w+ = ", fix):
        return None
    try:
        found = ast.parse(f"call({fix}\n)", mode="eval").body
    except SyntaxError:
        return None
    if not isinstance(found, ast.Call) or found.args or not found.keywords:
        return None
    return found.keywords if all(keyword.arg for keyword in found.keywords) else None


@cache
def example() -> xr.Dataset:
    """Give a Dataset that the line may speak of where the call has none."""
    ds = world()
    return ds.assign(z500=(ds.t2m * 190).assign_attrs(units="m2 s-2"))


def follow(call: Call, given: Mapping[str, Any]) -> str:
    """Make a call that is refused, follow the advice, and say what came of it.

    Returns
    -------
    str
        ``"result"``, ``"another error"``, ``"placeholder"``, ``"prose"`` or ``"none"``; with anything else the advice
        has failed.
    """
    # Some advice changes data in place, and the cases of other tests are shared.
    given = {
        name: value.copy(deep=True) if isinstance(value, xr.Dataset | xr.DataArray) else value
        for name, value in given.items()
    }
    try:
        call(**given)
    except XFaconvError as problem:
        first = problem
    else:
        return "not refused"
    kind = kind_of(first.fix)
    if kind not in ("statements", "arguments"):
        return f"looks like code: {first.fix}" if kind == "prose" and LIKE_CODE.search(str(first.fix)) else kind
    try:
        changed = _changed(first, kind, given)
        if changed is not None:
            call(**changed)
    except XFaconvError as problem:
        same = type(problem) is type(first) and (problem.problem, problem.fix) == (first.problem, first.fix)
        return f"the same error again: {problem}" if same else "another error"
    except Exception as problem:  # noqa: BLE001 - whatever it is, the advice has failed
        return f"foreign {type(problem).__name__}: {str(problem)[:200]} of {first.fix}"
    return "result"


def _changed(problem: XFaconvError, kind: Kind, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Arguments of the call after the advice; None where the advice is a call of its own, which was made."""
    data = next((name for name in ("ds", "data") if name in given), "ds")
    names: dict[str, Any] = {"plt": plt, "xr": xr, "np": np, "pd": pd, "xfaconv": xfaconv, "Path": Path}
    names |= {"zipfile": zipfile, **given, "da": given.get(data)}
    names["ds"] = given[data] if isinstance(given.get(data), xr.Dataset) else example().copy(deep=True)
    before, changed = dict(names), dict(given)
    if kind == "arguments":
        # An argument that is unknown is taken out; its value stands under its right name.
        for unknown in re.findall(r"'(\w+)'", problem.problem) if "unknown" in problem.problem else ():
            changed.pop(unknown, None)
        return changed | eval(f"dict({problem.fix}\n)", names)
    lines = ast.parse(str(problem.fix))
    *first, last = lines.body
    if isinstance(last, ast.Expr):
        exec(compile(ast.Module(first, []), "fix", "exec"), names)
        eval(compile(ast.Expression(last.value), "fix", "eval"), names)
        return None
    exec(compile(lines, "fix", "exec"), names)
    for name in {*given, "ds", "model"}:
        if names.get(name) is not before.get(name):
            changed[data if name == "ds" else name] = names[name]
    # A line that gives a result a name of its own is a call of its own.
    new = names.keys() - before.keys() - {"__builtins__", "model"}
    return None if new and changed == dict(given) else changed
