"""The one decomposition into EOFs, of wide and of tall matrices, against numpy's singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest

from xfaconv.eofs import leading_modes


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (15, 15)])
def test_modes_equal_the_singular_vectors(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 3, shape[1])
    found = leading_modes(rows, 5)
    left, sizes, right = np.linalg.svd(rows, full_matrices=False)
    np.testing.assert_allclose(found.variance, sizes[:5] ** 2)
    assert found.total == pytest.approx((rows**2).sum())
    np.testing.assert_allclose(np.abs((found.series * left[:, :5]).sum(axis=0)), 1)
    np.testing.assert_allclose(np.abs((found.patterns * right[:5]).sum(axis=1)), 1)
    # Series and pattern of a mode have the same sign: together they give the matrix back.
    whole = leading_modes(rows, min(shape))
    np.testing.assert_allclose((whole.series * np.sqrt(whole.variance)) @ whole.patterns, rows, atol=1e-8)


def test_a_mode_without_variance_is_zero_where_it_is_not_known() -> None:
    found = leading_modes(np.zeros((3, 4)), 2)
    assert np.isfinite(found.series).all()
    assert (found.patterns == 0).all()
