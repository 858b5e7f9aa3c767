"""Shuffled weights and phase-randomised data destroy the difference of two composites of attributions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.engine.worlds import model, world
from xfaconv.errors import TimeError
from xfaconv.inference import attribution, check_attribution, checks

FIRST, SECOND = slice("2001-03-05", "2001-03-08"), ["2001-03-20", "2001-03-25"]
ASKED = {"hide": (-50, 50, 90, 220), "model": model()}


def test_the_difference_is_that_of_the_composites_and_is_destroyed() -> None:
    ds = world(40)
    found = check_attribution(ds, (-30, 30, 100, 200), "msl", FIRST, SECOND, **ASKED)
    parts = [attribution(ds, (-30, 30, 100, 200), "msl", time=dates, **ASKED) for dates in (FIRST, SECOND)]
    one, other = (part.attribution.sum("variable").mean("time") for part in parts)
    np.testing.assert_allclose(found.difference, one - other, atol=1e-3 * abs(found.difference).max())
    np.testing.assert_allclose(found.value_difference, parts[0].value.mean() - parts[1].value.mean(), rtol=1e-4)
    assert found.check.values.tolist() == ["parameters", "data"]
    assert (abs(found.similarity) <= 0.5).all()
    assert found.passed.all()
    assert "depends on the data" in found.verdict.sel(check="data").item()


def test_a_check_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "shuffled_copy", lambda network, *_: network)
    monkeypatch.setattr(checks, "phase_randomised", lambda data, **_: data)
    found = check_attribution(world(40).chunk(), (-30, 30, 100, 200), "msl", FIRST, SECOND, **ASKED)
    assert found.similarity.chunks is not None
    found = found.compute()
    np.testing.assert_allclose(found.similarity, 1, atol=1e-4)
    assert not found.passed.any()
    xr.testing.assert_allclose(found.checked_difference[1].drop_vars("check"), found.value_difference, rtol=1e-4)
    assert "does not depend" in found.verdict[0].item()


def test_dates_without_warm_up_are_refused() -> None:
    with pytest.raises(TimeError, match="whole warm-up"):
        check_attribution(world(40), (-30, 30, 100, 200), "msl", "2001-02-21", SECOND, **ASKED)
