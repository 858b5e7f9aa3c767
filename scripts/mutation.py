"""Break a room in many small ways, one at a time, and see whether its tests notice.

    python scripts/mutation.py conform --count 30 --seed 0

A seeded sample of mutants is made from the syntax tree of every module of the room. Each is tried in a copy of the
checkout: first against the tests that run the changed line, the quickest first, then against all tests of the room
that are not slow.
What is inside `raise` is left alone: those are words.
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import importlib.util
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
# Loaded once; what a mutant may change is not among it.
HEAVY = ["cartopy.crs", "cf_xarray", "dask.array", "distributed", "hypothesis", "matplotlib.pyplot", "netCDF4", "pint"]
HEAVY += ["pytest", "pytest_cov.plugin", "scipy.stats", "sklearn.cluster", "torch", "xarray", "zarr"]
LEFT_ALONE = (ast.Raise, ast.JoinedStr)


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Parameters
    ----------
    path : Path
        The module, relative to the checkout.
    line : int
        Line of the change.
    kind : str
        What is changed.
    text : str
        The module as it is then.
    """

    path: Path
    line: int
    kind: str
    text: str


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Give what may stand in the place of a node, with the kind of the change."""
    new: Any = copy.deepcopy(node)
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in SWAPS:
            new.ops = [SWAPS[type(operator)]()]
            yield "comparison", new
        case ast.BinOp(op=operator) | ast.BoolOp(op=operator) if type(operator) in SWAPS:
            new.op = SWAPS[type(operator)]()
            yield "arithmetic" if isinstance(node, ast.BinOp) else "boolean", new
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield "sign" if isinstance(node.op, ast.USub) else "boolean", operand
        case ast.Constant(value=bool(value)):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield "constant", ast.Constant(value + 1)
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield "nothing returned", ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield "statement dropped", ast.Pass()
        case ast.IfExp() | ast.If() if not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            yield "condition", ast.UnaryOp(ast.Not(), node.test)
        case ast.Call(args=[_, _, *_], keywords=[]):
            new.args.pop()
            yield "argument dropped", new
        case ast.Call(keywords=[*_, ast.keyword(arg=str())]):
            new.keywords.pop()
            yield "argument dropped", new


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that may be changed: no annotation, decorator, docstring or message."""
    for name, value in ast.iter_fields(tree):
        if name in {"annotation", "returns", "decorator_list"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, LEFT_ALONE):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            yield child
            yield from nodes(child)


def mutants_of(path: Path, root: Path) -> Iterator[Mutant]:
    """All mutants of one module."""
    source = (root / path).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in nodes(ast.parse(source)):
        for kind, new in changes(node):
            place: Any = node.test if kind == "condition" else node  # type: ignore[attr-defined]
            begin = starts[place.lineno - 1] + place.col_offset
            end = starts[place.end_lineno - 1] + place.end_col_offset
            text = ast.unparse(ast.fix_missing_locations(new))
            text = f"({text})" if isinstance(new, ast.BinOp | ast.BoolOp | ast.Compare | ast.UnaryOp) else text
            changed = (source[:begin] + text.encode() + source[end:]).decode()
            ast.parse(changed)
            yield Mutant(path, place.lineno, kind, changed)


def sample(room: str, count: int, seed: int, root: Path = ROOT) -> list[Mutant]:
    """Draw mutants of a room, each as likely as any other."""
    found = [
        mutant
        for path in sorted((root / "xfaconv" / room).glob("*.py"))
        for mutant in mutants_of(path.relative_to(root), root)
    ]
    return random.Random(seed).sample(found, min(count, len(found)))  # noqa: S311 - a sample, no secret


class Times:
    """Pytest plugin that notes how long each test took."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add up setup, call and teardown."""
        self.seconds[report.nodeid] += report.duration


def run_tests(root: str, arguments: list[str], times: str | None = None) -> None:
    """Run pytest in this fresh process, which then ends with its exit status."""
    os.setsid()
    os.chdir(root)
    sys.path[:] = [root, *(entry for entry in sys.path if entry != str(ROOT))]
    silent = os.open(os.devnull if times is None else "baseline.log", os.O_WRONLY | os.O_CREAT)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    import pytest

    plugin = Times()
    status = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments], plugins=[plugin])
    if times is not None:
        Path(times).write_text(json.dumps(plugin.seconds))
    os._exit(int(status))


def outcome(root: Path, arguments: list[str], seconds: float, times: str | None = None) -> str:
    """Say whether the tests passed: "passed", "failed" or "too slow"."""
    process = multiprocessing.get_context("forkserver").Process(target=run_tests, args=(str(root), arguments, times))
    process.start()
    process.join(seconds)
    if process.is_alive():
        os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        return "too slow"
    # Status 5: no test was found; that notices nothing.
    return "passed" if process.exitcode in (0, 5) else "failed"


def baseline(root: Path, tests: list[str]) -> tuple[dict[str, dict[int, list[str]]], dict[str, float]]:
    """Run the tests unharmed; give the tests by file and line, and their seconds."""
    import coverage

    data = root / "baseline.coverage"
    if not data.exists():
        os.environ["COVERAGE_FILE"] = str(data)
        arguments = [*tests, "--cov=xfaconv", "--cov-branch", "--cov-context=test", "--cov-report="]
        found = outcome(root, arguments, 7200, str(root / "baseline.json"))
        if found != "passed":
            data.unlink(missing_ok=True)
            sys.exit(f"the unharmed tests {found}: {root / 'baseline.log'}")
    measured = coverage.CoverageData(str(data))
    measured.read()
    lines = {
        str(Path(name).relative_to(root)): {
            line: sorted({context.split("|")[0] for context in contexts} - {""})
            for line, contexts in measured.contexts_by_lineno(name).items()
        }
        for name in measured.measured_files()
    }
    return lines, json.loads((root / "baseline.json").read_text())


def tried(mutant: Mutant, root: Path, rounds: list[list[str]], seconds: float) -> str:
    """Put a mutant in place, run some tests and then, if they pass, others, and put the module back."""
    path = root / mutant.path
    original = path.read_text()
    compiled = Path(importlib.util.cache_from_source(str(path)))
    path.write_text(mutant.text)
    compiled.unlink(missing_ok=True)
    try:
        found = "passed"
        for tests in rounds:
            if tests and found == "passed":
                found = outcome(root, tests, seconds)
        return found
    finally:
        path.write_text(original)
        compiled.unlink(missing_ok=True)


def difference(mutant: Mutant, root: Path) -> str:
    """Show a mutant as a diff."""
    before = (root / mutant.path).read_text().splitlines()
    lines = difflib.unified_diff(before, mutant.text.splitlines(), str(mutant.path), str(mutant.path), "", "", 1, "")
    return "\n".join(lines)


def copied(room: str, folder: Path | None) -> Path:
    """Copy what the tests need, with the shared data beside it as they are beside the checkout."""
    work = folder or Path(tempfile.mkdtemp(prefix=f"mutation-{room}-"))
    root = work / "checkout"
    if not root.exists():
        root.mkdir(parents=True)
        for name in ("xfaconv", "tests", "docs", "examples"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
        for path in ROOT.glob("*.*"):
            if path.is_file() and not path.name.startswith("."):
                shutil.copy(path, root)
        if (ROOT.parent / "shared").is_dir():
            (work / "shared").symlink_to(ROOT.parent / "shared")
    return root


def main() -> None:
    """Try a sample of mutants and say what became of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("room", help="a folder of xfaconv: conform, engine, nn, ...")
    parser.add_argument("--count", type=int, default=30, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0, help="which mutants")
    parser.add_argument("--seconds", type=float, default=600, help="a mutant whose tests take longer is killed")
    parser.add_argument("--most", type=int, default=40, help="how many of the tests that run the line are tried first")
    parser.add_argument(
        "--slow", type=float, default=2, help="tests of so many seconds are tried only on lines they run"
    )
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the mutants to try, of those drawn")
    parser.add_argument("--folder", type=Path, help="where the copy is made, or stands from an earlier run")
    arguments = parser.parse_args()
    root = copied(arguments.room, arguments.folder and arguments.folder.resolve())
    tests = [f"tests/{arguments.room}", f"xfaconv/{arguments.room}"]
    os.environ["PYTHONPATH"] = str(root)
    multiprocessing.get_context("forkserver").set_forkserver_preload(HEAVY)
    drawn = sample(arguments.room, arguments.count, arguments.seed, root)
    lines, times = baseline(root, tests)
    outcomes: Counter[str] = Counter()
    for number, mutant in enumerate(drawn):
        if arguments.only is not None and number not in arguments.only:
            continue
        touching = lines.get(str(mutant.path), {}).get(mutant.line, [])
        covering = sorted(touching, key=lambda test: times.get(test, 0.0))[: arguments.most]
        others = [test for test, seconds in times.items() if seconds < arguments.slow and test not in covering]
        begin = time.perf_counter()
        found = tried(mutant, root, [covering, others], arguments.seconds)
        outcomes[found] += 1
        word = {"passed": "SURVIVED", "failed": "killed", "too slow": "killed by the clock"}[found]
        took = time.perf_counter() - begin
        print(f"{number:3d} {word}: {mutant.path}:{mutant.line}, {mutant.kind} ({took:.0f} s)", flush=True)
        if found == "passed":
            print(difference(mutant, root), flush=True)
    total = sum(outcomes.values())
    killed = total - outcomes["passed"]
    print(f"{arguments.room}: {killed} of {total} mutants killed ({killed / max(total, 1):.0%}), seed {arguments.seed}")


if __name__ == "__main__":
    main()
