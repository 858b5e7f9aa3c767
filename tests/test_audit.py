"""The check of pinned packages sees what it is for, and finds nothing in the pins of this release."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from scripts import audit

PINNED = audit.pins((audit.ROOT / "constraints.txt").read_text(encoding="utf-8"))


def test_what_a_package_brings_with_it_is_found() -> None:
    found = audit.closure(["xarray>=2025.1", "no-such-package"])
    assert {"xarray", "numpy", "pandas", "packaging"} <= found
    assert "no-such-package" not in found
    assert "torch" not in found
    assert audit.closure(["xarray; python_version < '3'"]) == set()


def test_what_is_not_pinned_or_pinned_otherwise_is_named() -> None:
    assert audit.problems({}, {"numpy"}) == ["numpy is needed and not pinned"]
    assert audit.problems({"numpy": "0.1"}, set()) == [f"numpy is {version('numpy')}, pinned is 0.1"]
    assert audit.problems({"numpy": version("numpy")}, {"numpy"}) == []


def test_of_two_copies_the_one_that_is_imported_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "numpy-0.1.dist-info"
    copy.mkdir()
    (copy / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert audit.problems({"numpy": version("numpy")}, {"numpy"}) == []
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert "numpy is 0.1" in audit.problems({"numpy": "2.0"}, set())[0]


@pytest.mark.parametrize("words", ["GPL-3.0-or-later", "MIT AND LGPL-2.1", "Proprietary", ""])
def test_a_licence_that_binds_or_is_unknown_is_named(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(audit.READ, "numpy", words)
    found = audit.problems({"numpy": version("numpy")}, {"numpy"})
    assert found == [f"numpy has a licence that is not known to be permissive: {words!r}"]


def test_nothing_is_wrong_with_the_pins() -> None:
    if any("pinned is" in problem for problem in audit.problems(PINNED, set())):
        pytest.skip("other versions than the pinned ones are installed")
    assert audit.problems(PINNED, audit.closure(audit.requirements())) == []
