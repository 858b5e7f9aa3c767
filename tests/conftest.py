"""Shared fixtures: where the real data are, and a scheduler that refuses to compute; which tests run first, and a table
of what the files of tests took.
"""

from __future__ import annotations

import os
from collections import Counter
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

# The slowest files: were they last, one worker would run them while the others have nothing left.
FIRST = (
    "tests/examples/test_notebooks.py",
    "tests/test_docs.py",
    "tests/benchmarks/test_planted_trial.py",
    "tests/examples/test_real_reanalysis.py",
    "tests/test_demo.py",
    "tests/test_readme.py",
    "tests/trust/test_at_once.py",
    "tests/engine/test_schedulers.py",
)
_SHOWN = 15
_BEGUN = pytest.StashKey[float]()

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first; the order is kept otherwise."""
    place = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(place)))


def _processor_seconds() -> float:
    """Time of the processor that this process and those that it has waited for have taken."""
    return sum(os.times()[:4])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_BEGUN] = _processor_seconds()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note what a test took with its fixtures: unlike its duration, the same on a busy machine."""
    report = yield
    if call.when == "teardown" and _BEGUN in item.stash:
        report.user_properties.append(("processor", _processor_seconds() - item.stash[_BEGUN]))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show which files took the processor longest, and their slowest tests."""
    files, tests = Counter(), Counter()
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        for name, seconds in getattr(report, "user_properties", ()):
            if name == "processor" and report.when == "teardown":
                files[report.nodeid.partition("::")[0]] += seconds
                tests[report.nodeid] += seconds
    if files.total() < _SHOWN:
        return
    terminalreporter.section(f"{files.total():.0f} s of processor; the slowest files")
    for file, seconds in files.most_common(_SHOWN):
        slowest = max((name for name in tests if name.partition("::")[0] == file), key=tests.__getitem__)
        terminalreporter.line(f"{seconds:6.1f} s {file}; {tests[slowest]:.1f} s {slowest.partition('::')[2]}"[:160])


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
