"""Freed tensors stay with the process, so that the next ones do not begin with page faults."""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 2**28
_LARGEST_BLOCK = 2**25


@cache
def keep_freed_memory() -> None:
    """Let the C library keep up to 256 MiB of freed blocks of up to 32 MiB each for the next tensor, once per process.

    glibc gives large freed blocks back to the kernel. A recurrent step that allocates the outcome of its convolutions,
    or a sequence that allocates its states, would otherwise spend up to a third of its time on page faults. Other C
    libraries know no such setting; there nothing happens.

    Examples
    --------
    >>> keep_freed_memory()
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    set_option(_MMAP_THRESHOLD, _LARGEST_BLOCK)
    set_option(_TRIM_THRESHOLD, _KEPT_BYTES)
