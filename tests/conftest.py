"""Shared fixtures: where the real data are, and a scheduler that refuses to compute."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import dask
import pytest
from hypothesis import settings

# The same cases every time: a run that draws new ones is `make fuzz`.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("drawn", deadline=None)
settings.load_profile("drawn" if "XFACONV_FUZZ" in os.environ else "fixed")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data are not at {SHARED_DATA}: see the README on where to get them")
    return SHARED_DATA


@contextmanager
def _no_computes(allowed: int = 0) -> Iterator[None]:
    count = 0

    def scheduler(graph: object, keys: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count > allowed:
            raise AssertionError(f"dask computed {count} times, at most {allowed} allowed here")
        return dask.get(graph, keys, **options)

    with dask.config.set(scheduler=scheduler):
        yield


def raise_if_dask_computes(allowed: int = 0) -> AbstractContextManager[None]:
    """Fail when dask computes more often than allowed inside the block."""
    return _no_computes(allowed)


@pytest.fixture
def no_computes() -> object:
    """Context manager that fails when dask computes inside it."""
    return raise_if_dask_computes
