"""Pinned packages: every package that is needed is pinned, and licences that bind or are unknown are refused."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
# What the same packages bring on one machine and not on another: for GPUs, for macOS, for Windows.
OF_MACHINES = ("appnope", "colorama", "cuda-", "nvidia-", "pywin", "triton")


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line.strip() and not line.startswith("#"))
    return {canonicalize_name(name): pinned for name, pinned in pairs}


def needed(requirements: Iterable[str]) -> set[str]:
    """Names of the packages that requirements bring with them, as far as they are installed."""
    found: set[tuple[str, frozenset[str]]] = set()
    # Each with the extras that were asked of the package that requires it.
    left = [(Requirement(text), frozenset({""})) for text in requirements]
    while left:
        requirement, extras = left.pop()
        entry = (canonicalize_name(requirement.name), frozenset({"", *requirement.extras}))
        marker = requirement.marker
        if entry in found or (marker is not None and not any(marker.evaluate({"extra": extra}) for extra in extras)):
            continue
        try:
            installed = distribution(requirement.name)
        except PackageNotFoundError:
            continue
        found.add(entry)
        left += [(Requirement(text), entry[1]) for text in installed.requires or []]
    return {name for name, _ in found} - {"xfaconv"}


def licences(*packages: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the tool of `make audit` with the configuration of this repository."""
    pytest.importorskip("piplicenses")
    command = [sys.executable, "-m", "piplicenses", "--packages", *packages]
    environment = {**os.environ, "PYTHONPATH": str(path or "")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_what_a_package_brings_with_it_is_found() -> None:
    found = needed(["xarray>=2025.1", "no-such-package"])
    assert {"xarray", "numpy", "pandas", "packaging"} <= found
    assert "no-such-package" not in found
    assert "torch" not in found
    assert needed(["xarray; python_version < '3'"]) == set()


def test_every_package_that_is_needed_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    found = needed([*project["dependencies"], *(line for extra in extras for line in extra)])
    known = pins()
    if any(version(name).partition("+")[0] != known[name] for name in found & known.keys()):
        pytest.skip("other versions than the pinned ones are installed")
    assert sorted(name for name in found - known.keys() if not name.startswith(OF_MACHINES)) == []


def test_the_licences_of_the_pinned_packages_are_permissive() -> None:
    done = licences(*pins())
    assert done.returncode == 0, done.stderr
    assert "torch" in done.stdout


@pytest.mark.parametrize(
    ("words", "accepted"),
    [("MIT", True), ("GPL-3.0-or-later", False), ("MIT AND LGPL-2.1", False), ("Proprietary", False), ("", False)],
)
def test_a_licence_that_binds_or_is_unknown_is_refused(words: str, accepted: bool, tmp_path: Path) -> None:
    package = tmp_path / "nothing_at_all-0.1.dist-info"
    package.mkdir()
    licence = f"License: {words}\n" if words else ""
    (package / "METADATA").write_text(f"Metadata-Version: 2.1\nName: nothing-at-all\nVersion: 0.1\n{licence}")
    done = licences("nothing-at-all", path=tmp_path)
    assert (done.returncode == 0) == accepted, done.stderr
    assert "nothing-at-all" in done.stdout + done.stderr
