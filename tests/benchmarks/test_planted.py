"""The score of maps against planted links: against counted pairs, and on maps whose score is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.planted import area_under_curve, link_recovery
from xfaconv.errors import CoordinateError
from xfaconv.tutorial import planted


def test_area_under_curve_equals_pairs() -> None:
    rng = np.random.default_rng(0)
    score = rng.integers(0, 6, size=40).astype(float)
    positive, weight = rng.uniform(size=40) < 0.3, rng.uniform(0.5, 2, size=40)
    wins = total = 0.0
    for i in np.flatnonzero(positive):
        for j in np.flatnonzero(~positive):
            pair = weight[i] * weight[j]
            wins += pair * ((score[i] > score[j]) + 0.5 * (score[i] == score[j]))
            total += pair
    assert area_under_curve(score, positive, weight) == pytest.approx(wins / total)


def test_recovery_tells_a_map_of_the_driver_from_a_flat_one() -> None:
    _, truth = planted(20)
    maps = truth.footprint.sel(mode=truth.source.values).rename(mode="base_point")
    maps = maps.assign_coords(base_point=truth.target.values)
    out = link_recovery(maps, truth)
    assert float(out.auroc.min()) == pytest.approx(1)
    assert float(out.unlinked_auroc.max()) < 0.6
    assert float(out.share.min()) > 5
    assert float(out.unlinked_share.max()) < 1
    np.testing.assert_allclose(link_recovery(maps * 0, truth).auroc, 0.5)
    flat = link_recovery(maps * 0 + 7, truth)
    np.testing.assert_allclose([flat.share, flat.unlinked_share], 1, rtol=1e-6)
    with pytest.raises(CoordinateError, match="lack a driven region"):
        link_recovery(maps[:3], truth)
