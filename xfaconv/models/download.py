"""Files from elsewhere: fetched once, verified by their hash, and put in place whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from xfaconv.errors import DownloadError
from xfaconv.options import get_options

CACHE_VARIABLE = "XFACONV_CACHE"
_TIMEOUT_SECONDS = 30
_RETRIES = 2


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


def fetch(url: str, sha256: str, file_name: str, *, folder: str) -> Path:
    """Give the path of a file, downloaded unless the cache has it already.

    The file is written beside its place under another name, its hash is checked, and only then is it moved: so an
    interruption, or many threads and processes at once, leave either no file or the right one.

    Parameters
    ----------
    url : str
        Where to download from.
    sha256 : str
        Hash that the file must have.
    file_name : str
        Its name in the cache, without a folder.
    folder : str
        Folder inside the cache.

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
    progress = bool(get_options()["progress"])
    store = pooch.create(
        path=place,
        base_url="",
        registry={file_name: f"sha256:{sha256}"},
        urls={file_name: url},
        retry_if_failed=_RETRIES,
    )
    try:
        return Path(
            store.fetch(file_name, downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS, progressbar=progress))
        )
    except (OSError, ValueError) as problem:
        raise DownloadError(
            f"{file_name} could not be downloaded from {url} into {place}",
            expected=f"a file with sha256 {sha256}",
            found=f"{type(problem).__name__}: {problem}",
            fix=f"try again, or put the file there yourself and set {CACHE_VARIABLE} to the folder above {folder!r}",
        ) from problem
