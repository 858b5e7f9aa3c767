"""Check the pinned packages without a network: installed as pinned, complete, and under licences that allow reuse.

    python scripts/audit.py

Pins of packages that are not installed are left alone; what is known of a vulnerability takes a network: pip-audit.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
# Permissive licences, and MPL, which asks something only of those who change its files; by the words of the metadata.
PERMISSIVE = re.compile(
    r"\b(0BSD|Apache|BSD|BSL-1\.0|CC0|ISC|MIT|MPL|Mozilla|Python Software|PSF|Public Domain|TCL|Zlib)"
)
# What the same packages bring on one machine and not on another: for GPUs, for macOS, for Windows.
OF_MACHINES = ("appnope", "colorama", "cuda-", "nvidia-", "pywin", "triton")
COPYLEFT = re.compile("GPL|General Public")
# Read in their distributions: two say nothing in their metadata; what is GPL of docutils is not in its wheel.
READ = {"docutils": "Public Domain, BSD", "icechunk": "Apache-2.0", "namex": "Apache-2.0"}


def pins(text: str) -> dict[str, str]:
    r"""Give the pinned version of each package of a constraints file.

    Examples
    --------
    >>> pins("# why\nPint==0.25.3\n")
    {'pint': '0.25.3'}
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def closure(requirements: Iterable[str]) -> set[str]:
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
    return {name for name, _ in found}


def licence(package: Distribution) -> str:
    """Give the licence of a package, in the words of its metadata."""
    if (name := canonicalize_name(package.name)) in READ:
        return READ[name]
    metadata = package.metadata
    classifiers = [
        text.split(" :: ")[-1] for text in metadata.get_all("Classifier") or [] if text.startswith("License")
    ]
    return metadata.get("License-Expression") or ", ".join(classifiers) or str(metadata.get("License", "")).strip()


def problems(pinned: Mapping[str, str], needed: Iterable[str]) -> list[str]:
    """Give what is wrong, a line each."""
    installed: dict[str, Distribution] = {}
    for package in distributions():
        # The first is the one that is imported: setuptools puts older copies of some at the end of the path.
        installed.setdefault(canonicalize_name(package.name), package)
    out = []
    for name in sorted(name for name in needed if not name.startswith(OF_MACHINES)):
        if name not in pinned:
            out.append(f"{name} is needed and not pinned")
        words = licence(installed[name])
        if COPYLEFT.search(words) or not PERMISSIVE.search(words):
            out.append(f"{name} has a licence that is not known to be permissive: {words[:60]!r}")
    for name, version in pinned.items():
        if name in installed and installed[name].version.partition("+")[0] != version:
            out.append(f"{name} is {installed[name].version}, pinned is {version}")
    return out


def requirements() -> list[str]:
    """Give what the package and its extras ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]


def main() -> None:
    """Print what is wrong; status 1 if anything is."""
    needed = closure(requirements())
    found = problems(pins((ROOT / "constraints.txt").read_text(encoding="utf-8")), needed)
    print(*found, f"{len(needed)} packages looked at, {len(found)} problems", sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
