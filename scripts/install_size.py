"""What pip would download for this package: number of packages and megabytes, without installing anything.

``python scripts/install_size.py`` asks pip for a dry run without torch and with it, for an empty environment, and the
servers for the sizes of the files.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[1]


def files(extra: str, pip_arguments: str) -> list[str]:
    """Addresses of the files of every package that pip would install beside this one."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    # Nothing of this machine's settings counts, such as a constraint or a folder of wheels.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command += [*shlex.split(pip_arguments), f"{ROOT}{extra}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = json.loads(done.stdout)["install"]
    return [entry["download_info"]["url"] for entry in found if entry["metadata"]["name"] != "xfaconv"]


def size(url: str) -> int:
    """Bytes of a file on a server or a disk."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path)).stat().st_size
    with urlopen(Request(url, method="HEAD"), timeout=60) as answer:  # noqa: S310 - pip's own addresses
        return int(answer.headers["Content-Length"])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pip-args", default="", help="further arguments of pip install, such as an index of torch")
    arguments = parser.parse_args()
    for extra in ("", "[torch]"):
        sizes = {url: size(url) for url in files(extra, arguments.pip_args)}
        total = sum(sizes.values()) / 1e6
        largest = sorted(sizes, key=sizes.__getitem__)[-3:]
        said = ", ".join(
            f"{Path(urlsplit(url).path).name.split('-')[0]} {sizes[url] / 1e6:.0f}" for url in largest[::-1]
        )
        print(f"xfaconv{extra}: {len(sizes)} packages, {total:,.0f} MB (largest: {said})")


if __name__ == "__main__":
    main()
