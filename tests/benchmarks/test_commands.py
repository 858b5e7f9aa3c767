"""Benchmarks and scripts can be imported, are commands that say what they do, and their examples run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(path for folder in ("benchmarks", "scripts") for path in (ROOT / folder).glob("*.py"))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_a_command_says_how_it_is_called(path: Path) -> None:
    module = importlib.import_module(f"{path.parent.name}.{path.stem}")
    assert callable(module.main)
    assert f"python {path.parent.name}/{path.name}" in module.__doc__
    assert doctest.testmod(module).failed == 0


def test_the_makefile_runs_every_benchmark() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    target = text[text.index("bench-speed: ") : text.index("clean:")]
    assert [path.stem for path in COMMANDS if path.parent.name == "benchmarks" and path.stem not in target] == []
