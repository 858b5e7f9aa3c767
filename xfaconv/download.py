"""Files from elsewhere: fetched once, verified by their hash, and put in place whole or not at all."""

from __future__ import annotations

import io
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xfaconv.errors import ArgumentError, DownloadError, XFaconvError, closest_name
from xfaconv.options import get_options

CACHE_VARIABLE = "XFACONV_CACHE"
_TIMEOUT_SECONDS = 30
# A server may send without end, or a byte now and then: neither fills the disk nor waits for ever.
_MOST_SECONDS = 3600.0
_MOST_BYTES = 4 * 2**30
_RETRIES = 2
# Entries of `Remote`: what each is called, its pattern, and the pattern in words. The name becomes part of a path.
_PATTERNS = {
    "name": ("name", r"[a-z0-9][a-z0-9._-]{0,99}", "1 to 100 letters, digits and, but at first, dots, hyphens and _"),
    "sha256": ("hash", r"[0-9a-f]{64}", "64 hexadecimal digits"),
    # Plain HTTP only from a server on this machine, such as one for tests or at the end of a tunnel.
    "url": (
        "address",
        r"https://(\[[0-9a-f:.]+\]|[^\s\[\]:/?#]+)([:/?#].*)?|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/.*)?",
        "https://...",
    ),
}


@dataclass(frozen=True)
class Remote:
    """A file on a server, known by a name.

    Parameters
    ----------
    name : str
        Letters, digits, dots, hyphens and underscores: it cannot lead out of the cache folder.
    url : str
        Where the file is, ``https://``.
    sha256 : str
        Hash that the file must have, 64 hexadecimal digits.

    Raises
    ------
    ArgumentError
        If one of them cannot be used.
    """

    name: str
    url: str
    sha256: str

    def __post_init__(self) -> None:
        for entry, (what, pattern, expected) in _PATTERNS.items():
            value = getattr(self, entry)
            if not (isinstance(value, str) and re.fullmatch(pattern, value, re.IGNORECASE | re.ASCII)):
                raise ArgumentError(f"the {what} cannot be used", expected=expected, found=repr(value))
        object.__setattr__(self, "sha256", self.sha256.lower())


@dataclass(frozen=True)
class NamedFiles:
    """Files of one kind that are known by names: those in a folder of the package, and those registered on servers.

    Parameters
    ----------
    kind : str
        What such a file is called in errors.
    folder : Path
        The folder in the package.
    suffix : str
        Ending of the files' names, with the dot.
    reader : str
        The function that reads one by its name, for the fix of errors.
    registered : dict of str to Remote
        Those on servers.
    """

    kind: str
    folder: Path
    suffix: str
    reader: str
    registered: dict[str, Remote] = field(default_factory=dict)

    def packaged(self) -> list[str]:
        """Names of those in the package."""
        return [path.stem for path in self.folder.glob(f"*{self.suffix}")]

    def names(self) -> list[str]:
        """All names, sorted."""
        # A list of a dict is made at once: another thread may register a file meanwhile.
        return sorted({*self.packaged(), *list(self.registered)})

    def register(self, name: str, url: str, sha256: str) -> None:
        """Add a file on a server; raises ArgumentError if an argument is malformed or the package has the name."""
        remote = Remote(name, url, sha256)
        if name in self.packaged():
            raise ArgumentError(f"{name!r} is a {self.kind} of the package", fix="register it under another name")
        self.registered[name] = remote

    def unknown(self, name: object, error: type[XFaconvError]) -> XFaconvError:
        """Make the error of a name that is not known, with the most similar one that is."""
        known = self.names()
        close = closest_name(str(name).lower(), known, cutoff=0.4) or known[0]
        problem, fix = f"there is no {self.kind} {name!r}", f"{self.reader}({close!r})"
        return error(problem, expected=" or ".join(known), found=repr(name), fix=fix)


def cache_folder() -> Path:
    """Folder that downloaded files are kept in.

    Returns
    -------
    Path
        The option ``cache``, else the environment variable XFACONV_CACHE, else the user's cache folder. It need not
        exist yet.

    Examples
    --------
    >>> from xfaconv.options import set_options
    >>> with set_options(cache="/data/cache"):
    ...     cache_folder().as_posix()
    '/data/cache'
    """
    chosen = get_options()["cache"] or os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("xfaconv"))


class _Bounded(io.BufferedWriter):
    """A file that refuses to grow, or to take time, without end."""

    def __init__(self, path: str | os.PathLike[str], most_bytes: int) -> None:
        super().__init__(io.FileIO(path, "w"))
        self._written = 0
        self._most_bytes = most_bytes
        self._end = time.monotonic() + _MOST_SECONDS

    def write(self, chunk: Any, /) -> int:
        self._written += len(chunk)
        if self._written > self._most_bytes:
            raise OSError(f"the server sends more than {self._most_bytes:,} bytes")
        if time.monotonic() > self._end:
            raise OSError(f"the download takes longer than {_MOST_SECONDS:g} seconds")
        return super().write(chunk)


def _stay_on_https(answer: Any, *_: object, **__: object) -> None:
    """Refuse to be sent on from https to an address that is read in the clear."""
    target = answer.headers.get("location", "")
    if answer.is_redirect and answer.url.startswith("https:") and target.lower().startswith("http:"):
        raise OSError(f"the server sends on to {target}, which is not https")


def fetch(remote: Remote, *, folder: str, suffix: str, most_bytes: int | None = None) -> Path:
    """Give the path of a file, downloaded unless the cache has it already.

    The file is written beside its place under another name, its hash is checked, and only then is it moved: so an
    interruption, or many threads and processes at once, leave either no file or the right one. Its name in the cache
    holds the hash, so that a newer version never replaces one that is in use.

    Parameters
    ----------
    remote : Remote
        What to fetch.
    folder : str
        Folder inside the cache.
    suffix : str
        Ending of the file's name, with the dot.
    most_bytes : int, optional
        Largest size of the file, by default 4 GiB.

    Returns
    -------
    Path

    Raises
    ------
    DownloadError
        If the file cannot be downloaded, written or verified; nothing is left behind.
    """
    import pooch

    place = cache_folder() / folder
    file_name = f"{remote.name}-{remote.sha256[:12]}{suffix}"
    over_http = pooch.HTTPDownloader(
        timeout=_TIMEOUT_SECONDS, progressbar=get_options()["progress"], hooks={"response": _stay_on_https}
    )

    def downloader(url: str, output_file: str, store: object) -> None:
        with _Bounded(output_file, _MOST_BYTES if most_bytes is None else most_bytes) as stream:
            over_http(url, stream, store)

    store = pooch.create(
        path=place,
        base_url="",
        registry={file_name: f"sha256:{remote.sha256}"},
        urls={file_name: remote.url},
        retry_if_failed=_RETRIES,
    )
    try:
        return Path(store.fetch(file_name, downloader=downloader))
    except (OSError, ValueError) as problem:
        raise DownloadError(
            f"{remote.name!r} could not be downloaded from {remote.url} into {place}",
            expected=f"a file with sha256 {remote.sha256}",
            found=f"{type(problem).__name__}: {problem}",
            fix=f"try again, or get the file elsewhere and put it there as {file_name}; "
            f"the environment variable {CACHE_VARIABLE} names another cache folder",
        ) from problem
