"""What is checked before a release: ``make release-check`` builds wheel and sdist in ``dist/`` and tries the wheel.

    python scripts/release_check.py            with the environment that is active

Metadata (twine), content (check-wheel-contents and the list below), equal hashes of two builds, sizes, and the demo in
an empty environment that has nothing but the wheel and what it requires.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
# The terms of the package itself and of what it holds: coastlines, data, weights.
LICENCES = (
    "licenses/LICENSE",
    "licenses/xfaconv/models/weights/README.md",
    "licenses/xfaconv/plot/naturalearth/README.md",
    "licenses/xfaconv/tutorial/data/README.md",
)
LARGEST_MEGABYTES = 20


def run(*command: str | Path, **environment: str) -> None:
    """Run a command from a folder that is not the repository's; a failure ends the check."""
    print("$", shlex.join(map(str, command)), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*map(str, command)], check=True, cwd=folder, env={**os.environ, **environment})


def build(folder: Path) -> dict[str, str]:
    """Build both files; the time in them is that of the last commit, so that equal sources give equal files."""
    stamp = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    seconds = subprocess.run(stamp, check=True, capture_output=True, text=True).stdout.strip()
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, SOURCE_DATE_EPOCH=seconds)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def check_content(wheel: Path, sdist: Path) -> None:
    """Refuse files that are too large, without a licence, or with what belongs to no release."""
    with zipfile.ZipFile(wheel) as held:
        names = held.namelist()
    with tarfile.open(sdist) as held:
        sources = held.getnames()
    for path in (wheel, sdist):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
        if path.stat().st_size > LARGEST_MEGABYTES * 1e6:
            raise SystemExit(f"{path.name} is larger than {LARGEST_MEGABYTES} MB")
    for licence in LICENCES:
        if not any(name.endswith(licence) for name in names):
            raise SystemExit(f"{wheel.name} lacks {licence}")
    stray = [
        name
        for name in [*names, *sources]
        if re.search(r"__pycache__|_build/|/\.(venv|hypothesis|DS)|ipynb_checkpoints", name)
    ]
    if stray:
        raise SystemExit(f"stray files: {stray[:5]}")


def try_wheel(wheel: Path, pip_arguments: str) -> None:
    """Run the demo from the wheel alone."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if os.name == "nt" else "bin") / "python"
        run(python, "-m", "pip", "install", "--quiet", *shlex.split(pip_arguments), f"{wheel}[torch]")
        run(python, "-m", "pip", "check")
        run(python, "-m", "xfaconv.demo", "--output", Path(folder) / "demo")


def main() -> None:
    """Check all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pip-args", default="", help="further arguments of pip install, such as an index of torch")
    parser.add_argument("--no-demo", action="store_true", help="do not install the wheel and run the demo")
    arguments = parser.parse_args()
    shutil.rmtree(DIST, ignore_errors=True)
    hashes = build(DIST)
    with tempfile.TemporaryDirectory() as again:
        if build(Path(again)) != hashes:
            raise SystemExit("two builds differ")
    for name, sha256 in hashes.items():
        print(f"{sha256}  {name}")
    wheel, sdist = next(DIST.glob("*.whl")), next(DIST.glob("*.tar.gz"))
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    run(Path(sys.executable).parent / "check-wheel-contents", "--config", ROOT / "pyproject.toml", wheel)
    check_content(wheel, sdist)
    if not arguments.no_demo:
        try_wheel(wheel, arguments.pip_args)


if __name__ == "__main__":
    main()
