"""The same weights in every run, and the fast way through time on grids however small."""

from __future__ import annotations

import pytest
import torch

from xfaconv.nn import recurrence


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(autouse=True)
def _one_after_the_other():
    """Several samples on grids as small as those here would be advanced in the plain way."""
    before, recurrence._TOGETHER_CELLS = recurrence._TOGETHER_CELLS, 0
    yield
    recurrence._TOGETHER_CELLS = before
