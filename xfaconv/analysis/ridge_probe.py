"""What a linear reader finds in vectors: ridge regression to an index, verified on blocks of time that it never saw."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xfaconv.errors import ArgumentError

_PENALTIES = tuple(10.0 ** np.arange(-3, 3.1, 0.5))
_INNER_FOLDS = 5


def seasonal_features(year_phase: NDArray[np.floating], harmonics: int = 2) -> NDArray[np.float64]:
    """Sines and cosines of the time of year.

    Parameters
    ----------
    year_phase : ndarray (time,)
        Fraction of the year.
    harmonics : int
        Harmonics of the year.

    Returns
    -------
    ndarray (time, 2 * harmonics)

    Examples
    --------
    >>> seasonal_features(np.array([0.25]), harmonics=1).round(6).tolist()
    [[0.0, 1.0]]
    """
    angles = 2 * np.pi * np.asarray(year_phase, dtype=np.float64)[:, None] * np.arange(1, harmonics + 1)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(angles), -1)


def blocked_ridge(
    features: NDArray[np.floating],
    target: NDArray[np.floating],
    lead: int = 0,
    *,
    folds: int = 10,
    gap: int = 12,
) -> NDArray[np.float64]:
    """Predict a series some steps ahead from vectors, each block of time by a ridge regression that never saw it.

    Steps nearer than `gap` to the block are left out of the regression, and so are those that share a target with
    it. The penalty is chosen by the same kind of cross-validation inside the steps that are left.

    Parameters
    ----------
    features : ndarray (time, feature)
        Vectors at consecutive steps.
    target : ndarray (time,)
        Series of the same steps, NaN where unknown.
    lead : int
        Steps from the vector to what is predicted.
    folds : int
        Blocks of time.
    gap : int
        Steps left out on either side; at least the memory of the vectors.

    Returns
    -------
    ndarray (time,)
        At the step of the target; NaN in the first `lead` steps.

    Raises
    ------
    ArgumentError
        If the record is too short for the folds and the gap.

    Examples
    --------
    >>> vectors = np.random.default_rng(0).normal(size=(200, 3))
    >>> found = blocked_ridge(vectors, np.roll(vectors[:, 0], 1), lead=1)
    >>> bool(np.corrcoef(found[1:], vectors[:-1, 0])[0, 1] > 0.99)
    True
    """
    steps = len(features) - lead
    read, wanted = np.asarray(features[:steps], dtype=np.float64), np.asarray(target[lead:], dtype=np.float64)
    if steps < folds * 2 or steps - steps // folds - 2 * (gap + lead) < 3 * _INNER_FOLDS:
        raise ArgumentError(
            "the record is too short for blocked cross-validation",
            expected="many more steps than the gap",
            found=f"{steps} steps, {folds} folds, gap {gap}",
            fix="a smaller gap=, or fewer folds=",
        )
    known = np.isfinite(wanted)
    out = np.full(len(features), np.nan)
    for inside, apart in _folds(np.arange(steps), folds, gap + lead):
        fit = apart[known[apart]]
        errors = np.zeros(len(_PENALTIES))
        for test, training in _folds(fit, _INNER_FOLDS, gap + lead):
            guesses = _ridge(read[training], wanted[training], read[test])
            errors += ((guesses - wanted[test]) ** 2).sum(axis=1)
        out[inside + lead] = _ridge(read[fit], wanted[fit], read[inside])[int(errors.argmin())]
    return out


def _folds(steps: NDArray[np.int64], folds: int, gap: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Give each block of steps, and the steps farther than the gap from it."""
    for part in np.array_split(steps, folds):
        far = (steps < part[0] - gap) | (steps > part[-1] + gap)
        yield part, steps[far]


def _ridge(features: NDArray[np.float64], target: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
    """Predict with every penalty (penalty, new step), relative to the variance of standardised features."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    left, strength, right = np.linalg.svd((features - mean) / spread, full_matrices=False)
    projected = left.T @ (target - target.mean())
    ready = ((new - mean) / spread) @ right.T
    shrunk = [strength / (strength**2 + penalty * len(features)) * projected for penalty in _PENALTIES]
    return np.asarray(target.mean() + ready @ np.stack(shrunk, axis=1)).T
