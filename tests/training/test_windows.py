"""Windows: within spans without a gap; blended ones keep the record's covariances, seasons and missing values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfaconv.errors import TimeError
from xfaconv.training.data import WindowSource

MONTHS = 360


def seasonal_record(seed: int, months: int = MONTHS) -> WindowSource:
    """Two cells whose covariance changes its sign with the season, and which depend on the month before."""
    random = np.random.default_rng(seed)
    phase = (np.arange(months) % 12 + 0.5) / 12
    common = np.zeros(months)
    for month in range(1, months):
        common[month] = 0.6 * common[month - 1] + 0.8 * random.standard_normal()
    other = common * np.cos(2 * np.pi * phase) + 0.5 * random.standard_normal(months)
    field = np.stack([common, other], axis=-1).astype(np.float32)[:, None]
    return WindowSource([field], phase, np.zeros(months), (slice(0, months),))


def test_covariances_of_space_time_and_season_are_those_of_the_record() -> None:
    source = seasonal_record(0)
    januaries = np.arange(12, MONTHS - 24, 12)
    record = np.stack([source.fields[0][start : start + 3, 0].ravel() for start in januaries])
    random = np.random.default_rng(1)
    draws = [source.read_blended(januaries.tolist(), 3, random).fields.numpy().reshape(-1, 6) for _ in range(400)]
    blended = np.concatenate(draws)
    expected = record.T @ record / len(record)
    found = blended.T @ blended / len(blended)
    # Windows of the first and the last year are partners too, but are not among those blended: a thirtieth of all.
    assert np.abs(found - expected).max() < 0.12 * np.abs(expected).max()
    assert abs(expected[0, 1]) > 0.4, "the oracle must have something to keep"


@given(seed=st.integers(0, 50), length=st.integers(2, 15))
@settings(max_examples=25, deadline=None)
def test_a_blend_is_of_two_windows_of_one_season(seed: int, length: int) -> None:
    source = seasonal_record(3, 60)
    random = np.random.default_rng(seed)
    start = int(random.integers(0, 60 - length))
    batch = source.read_blended([start], length, random)
    found = batch.fields.numpy().reshape(-1)
    mine = source.fields[0][start : start + length].ravel().astype(float)
    residuals = []
    for other in range(start % 12, 60 - length + 1, 12):
        basis = np.stack([mine, source.fields[0][other : other + length].ravel()], axis=1).astype(float)
        weights, *_ = np.linalg.lstsq(basis, found, rcond=None)
        residuals.append((np.abs(basis @ weights - found).max(), float(weights @ weights)))
    assert min(residuals)[0] < 1e-5
    assert np.allclose(batch.year_phase, source.year_phase[start : start + length])


def test_a_window_stays_as_it_is_where_no_other_year_has_one_of_its_season() -> None:
    source = seasonal_record(5, 14)
    alone = source.read_blended([3], 6, np.random.default_rng(0)).fields
    assert np.array_equal(alone.numpy(), source.read([3], 6).fields.numpy())


def test_what_either_window_misses_is_missing() -> None:
    source = seasonal_record(6, 24)
    source.fields[0][1, 0, 0] = np.nan
    for start in (0, 12):
        fields = source.read_blended([start], 3, np.random.default_rng(2)).fields.numpy()[0, :, 0, 0]
        assert np.isnan(fields[1, 0])
        assert np.isfinite(fields).sum() == 5


def test_the_record_is_not_changed() -> None:
    source = seasonal_record(7)
    before = source.fields[0].copy()
    source.read_blended([0, 5, 9], 12, np.random.default_rng(0))
    assert np.array_equal(before, source.fields[0])


def test_record_too_short_says_how_long_it_must_be() -> None:
    with pytest.raises(TimeError, match="at least 9 steps without a gap"):
        seasonal_record(0, 8).starts(9)


def test_windows_never_straddle_a_gap() -> None:
    source = WindowSource([np.zeros((20, 2, 2), "f4")], np.zeros(20), np.zeros(20), (slice(0, 7), slice(9, 20)))
    starts = source.starts(5)
    assert starts.tolist() == [0, 1, 2, 9, 10, 11, 12, 13, 14, 15]
