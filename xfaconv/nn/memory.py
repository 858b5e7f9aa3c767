"""Freed tensors stay with the process, so that the next ones do not begin with page faults."""

from __future__ import annotations

from functools import cache

import torch

_BYTES = 31 * 2**20


@cache
def keep_freed_memory() -> None:
    """Let the C library keep freed blocks of up to 32 MiB for the next tensor, once per process.

    glibc gives large freed blocks back to the kernel until it has seen one of that size freed; then it keeps them, up
    to twice that much. A recurrent step that allocates the outcome of its convolutions would otherwise spend a third of
    its time on page faults. The block is never touched, so it costs no memory; other C libraries ignore it.

    Examples
    --------
    >>> keep_freed_memory()
    """
    torch.empty(_BYTES, dtype=torch.uint8)
