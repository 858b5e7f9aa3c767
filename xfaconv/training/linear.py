"""The linear answer to a hidden sector: ridge regression from the leading EOFs of the visible world."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xfaconv.grid import Grid
from xfaconv.training.evaluation import four_digits
from xfaconv.training.objective import hidden_sector
from xfaconv.training.sampling import WindowSource

_RANKS = (10, 20, 40, 80)
_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0)


def linear_answer(
    source: WindowSource,
    grid: Grid,
    names: list[str],
    *,
    train: slice,
    test: slice,
    width: tuple[float, float] = (120.0, 200.0),
    seed: int = 0,
    sectors: int = 8,
) -> dict[str, float]:
    """Share of the hidden variance that a linear method explains, its rank and penalty chosen in its own favour.

    For each of some sectors, the visible anomalies of the training years give EOFs; ridge regression from their
    principal components gives the hidden anomalies of the same step, on the test years.

    Parameters
    ----------
    source : WindowSource
        Standardised anomalies.
    grid : Grid
        The grid.
    names : list of str
        Variables.
    train, test : slice
        Positions of the training and of the test years.
    width : (float, float)
        Least and greatest width of the sectors [degrees].
    seed : int
        Seed of the sectors.
    sectors : int
        How many sectors.

    Returns
    -------
    dict
        Explained share for each variable and over all, with the rank and penalty that did best on the test years.
    """
    random = np.random.default_rng(seed)
    area = np.asarray(grid.area)
    data = np.stack([np.nan_to_num(np.asarray(field, dtype=np.float32)) for field in source.fields], axis=1)
    present = np.stack([np.isfinite(np.asarray(field[0])) for field in source.fields])
    weight = np.sqrt(present * area).astype(np.float32)
    errors = np.zeros((len(_RANKS), len(_PENALTIES), len(names)))
    total = np.zeros(len(names))
    for _ in range(sectors):
        hidden = hidden_sector(grid, random, width)
        visible = (data * weight)[:, :, ~hidden].reshape(len(data), -1)
        past, future = visible[train], visible[test]
        mean = past.mean(axis=0)
        gram = (past - mean) @ (past - mean).T
        variance, left = np.linalg.eigh(gram.astype(np.float64))
        variance, left = variance[::-1], left[:, ::-1]
        projected = (future - mean) @ ((past - mean).T @ left[:, : max(_RANKS)].astype(np.float32))
        wanted = (data * weight)[:, :, hidden]
        truth = wanted[test]
        total += (truth.astype(np.float64) ** 2).sum(axis=(0, 2))
        cross = np.einsum("tk,tvx->kvx", left[:, : max(_RANKS)], wanted[train] - wanted[train].mean(axis=0))
        for i, rank in enumerate(_RANKS):
            for j, penalty in enumerate(_PENALTIES):
                shrink = 1 / (variance[:rank] + penalty * variance[0])
                guess = np.einsum("tk,kvx->tvx", projected[:, :rank] * shrink, cross[:rank], optimize=True)
                errors[i, j] += ((guess + wanted[train].mean(axis=0) - truth) ** 2).sum(axis=(0, 2))
    return _best(errors, total, names)


def _best(errors: NDArray[np.float64], total: NDArray[np.float64], names: list[str]) -> dict[str, float]:
    i, j = np.unravel_index(errors.sum(axis=-1).argmin(), errors.shape[:2])
    explained = {name: four_digits(1 - errors[i, j, k] / total[k]) for k, name in enumerate(names)}
    overall = four_digits(1 - errors[i, j].sum() / total.sum())
    return {**explained, "all": overall, "rank": float(_RANKS[int(i)]), "penalty": _PENALTIES[int(j)]}
