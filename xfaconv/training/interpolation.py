"""Fit the optimal interpolation of a network: EOFs, the error of observations and the regression of the leads."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xfaconv.eofs import leading_modes
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.nn import Geometry, Network
from xfaconv.nn.interpolation import PATTERN_COLUMNS, PATTERN_ROWS, OptimalInterpolation
from xfaconv.training.data import WindowSource
from xfaconv.training.objective import hidden_box, hidden_sector, network_input

# What is chosen by the last fifth of the training steps, when fitted to those before: the variance of the errors times
# the share of the area that a value stands for (anomalies have variance 1), and the ridge of the regression.
ERRORS = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
PENALTIES = (30.0, 100.0, 300.0, 1000.0, 3000.0)
_HELD_OUT = 0.2
_FOLDS = 4
_MASKS = 12
_BLOCK_STEPS = 128
_SECTORS = (120.0, 200.0)


def fit_interpolation(network: Network, source: WindowSource, grid: Grid, seed: int = 0) -> None:
    """Fit the optimal interpolation of a new network to the training steps.

    Parameters
    ----------
    network : Network
        Changed in place; without an interpolation it stays as it is. Its damped persistence is set before.
    source : WindowSource
        Training windows.
    grid : Grid
        Their grid.
    seed : int
        Seed of the hidden areas by which the error is chosen.

    Raises
    ------
    ArgumentError
        If there are fewer training steps than EOFs.
    """
    if network.interpolation is not None:
        _fit(network.interpolation, network, source, grid, seed)


def _fit(found: OptimalInterpolation, network: Network, source: WindowSource, grid: Grid, seed: int) -> None:
    geometry, modes = Geometry.from_grid(grid, network.spec.domain, network.spec.periodic), len(found.patterns)
    steps = np.concatenate([np.arange(span.start, span.stop) for span in source.spans])
    early = round(len(steps) * (1 - _HELD_OUT))
    if early <= modes:
        raise ArgumentError(
            "the record is too short for the EOFs of the interpolation",
            expected=f"more than {modes} steps in the first {1 - _HELD_OUT:.0%} of the training years",
            found=str(early),
            fix='network={"eofs": 0}',
        )
    persistence = network.persistence.detach().double()
    with torch.no_grad():
        coarse = _coarse(found, source, geometry, steps)
        _set_patterns(found, [part[:early] for part in coarse])
        _choose_error(found, [part[early:] for part in coarse], seed)
        penalties = _penalties(
            found, _pairs(found, source, geometry, steps), steps, network.spec.leads, persistence, early
        )
        _set_patterns(found, coarse)
        scores, means = _pairs(found, source, geometry, steps)
        for position, (lead, penalty) in enumerate(zip(network.spec.leads, penalties, strict=True)):
            if lead:
                now, later = _later(steps, lead)
                changes = _changes(means, now, later, persistence[position])
                found.regression[position] = _regression(found, scores[now], changes, penalty).float()


@dataclass(frozen=True, eq=False)
class Fold:
    """Some of the training steps, and an interpolation that does not know them.

    Parameters
    ----------
    source : WindowSource
        Windows of these steps.
    state : dict of str to Tensor
        State of the network's interpolation, fitted to the other steps.
    """

    source: WindowSource
    state: dict[str, Tensor]


def fold_interpolation(network: Network, source: WindowSource, grid: Grid, seed: int = 0) -> list[Fold]:
    """Split the training steps, and fit the interpolation to all but each part.

    What the interpolation was fitted to it knows too well (of 337 months 128 EOFs leave half as much unexplained as of
    new ones), and a network that learned to correct it there would trust it too much. So each update reads windows of
    one part with the interpolation of the others.

    Parameters
    ----------
    network, source, grid, seed : object
        As for `fit_interpolation`; the network is not changed.

    Returns
    -------
    list of Fold
        Empty for networks without an interpolation.
    """
    if network.interpolation is None:
        return []
    steps = np.concatenate([np.arange(span.start, span.stop) for span in source.spans])
    folds = []
    for part in np.array_split(steps, _FOLDS):
        left_out = set(part.tolist())
        own, others = (
            replace(source, spans=_spans([step for step in steps.tolist() if (step in left_out) == inside]))
            for inside in (True, False)
        )
        fitted = copy.deepcopy(network.interpolation)
        _fit(fitted, network, others, grid, seed)
        folds.append(Fold(own, fitted.state_dict()))
    return folds


def _spans(steps: Sequence[int]) -> tuple[slice, ...]:
    """Write ascending positions as slices without a gap."""
    edges = [0, *(n for n in range(1, len(steps)) if steps[n] != steps[n - 1] + 1), len(steps)]
    return tuple(slice(steps[a], steps[b - 1] + 1) for a, b in pairwise(edges))


def _fields(source: WindowSource, steps: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
    """Give anomalies (1, time, variable, lat, lon), 0 where missing, and where they are present, a block at a time."""
    for first in range(0, len(steps), _BLOCK_STEPS):
        block = steps[first : first + _BLOCK_STEPS]
        values = np.stack([np.asarray(field[block], dtype=np.float32) for field in source.fields], axis=1)
        yield network_input(torch.from_numpy(values)[None], torch.zeros(1, dtype=torch.bool))


def _coarse(
    found: OptimalInterpolation, source: WindowSource, geometry: Geometry, steps: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """Give the sums and weights of all steps (time, column)."""
    blocks = [found.coarse(fields, visible, geometry) for fields, visible in _fields(source, steps)]
    sums, weights = (torch.cat([block[part][0] for block in blocks]) for part in (0, 1))
    return sums, weights


def _means(sums: Tensor, weights: Tensor) -> Tensor:
    return torch.where(weights > 0, sums / weights.clamp(min=1e-12), 0.0)


def _set_patterns(found: OptimalInterpolation, coarse: Sequence[Tensor]) -> None:
    sums, weights = coarse
    root = weights.mean(dim=0).sqrt()
    eofs = leading_modes((_means(sums, weights) * root).numpy(), len(found.patterns))
    deviation = torch.from_numpy(np.sqrt(np.maximum(eofs.variance, 0) / len(sums)))
    patterns = torch.from_numpy(eofs.patterns.copy()) * deviation[:, None]
    patterns = torch.where(root > 0, patterns / root.clamp(min=1e-12), 0.0)
    found.set_patterns(patterns.unflatten(1, found.patterns.shape[1:]))


def _choose_error(found: OptimalInterpolation, coarse: Sequence[Tensor], seed: int) -> None:
    """Choose the error that infers hidden boxes and sectors best."""
    sums, weights = coarse
    truth, random = _means(sums, weights), np.random.default_rng(seed)
    grid = _grid_of_patterns(found)
    masks = [
        hidden_box(grid, random) if number % 2 else hidden_sector(grid, random, _SECTORS) for number in range(_MASKS)
    ]
    lost = []
    for error in ERRORS:
        found.error.fill_(error)
        total = 0.0
        for mask in masks:
            hidden = torch.from_numpy(mask.ravel()).repeat(len(weights[0]) // mask.size)
            scores = found.scores((sums * ~hidden)[None], (weights * ~hidden)[None])[0]
            missed = scores @ found.scaled_patterns() - truth
            total += float((weights * hidden * missed.square()).sum())
        lost.append(total)
    found.error.fill_(ERRORS[int(np.argmin(lost))])


def _grid_of_patterns(found: OptimalInterpolation) -> Grid:
    """Give a grid with the shape of the patterns; where it lies does not matter to hidden parts."""
    rows, columns = ((np.arange(count) + 0.5) / count for count in (PATTERN_ROWS, PATTERN_COLUMNS))
    width = 360 if found.periodic else 180
    return Grid(tuple((180 * rows - 90).tolist()), tuple((width * columns).tolist()))


def _pairs(
    found: OptimalInterpolation, source: WindowSource, geometry: Geometry, steps: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """Scores (time, mode), and filled anomalies by the cells of the patterns (time, column), of all steps."""
    scores, means = [], []
    for fields, visible in _fields(source, steps):
        filled = found.fill(fields, visible, geometry)
        sums, weights = found.coarse(filled, torch.ones_like(visible[:, :1]), geometry)
        scores.append(found.scores(sums, weights)[0])
        means.append(_means(sums[0], weights[0]))
    return torch.cat(scores), torch.cat(means)


def _later(steps: NDArray[np.int64], lead: int) -> tuple[Tensor, Tensor]:
    """Positions of the steps that have another one `lead` steps later, and of those."""
    place = {int(step): number for number, step in enumerate(steps)}
    pairs = [(number, place[int(step) + lead]) for number, step in enumerate(steps) if int(step) + lead in place]
    now, later = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    return now, later


def _changes(means: Tensor, now: Tensor, later: Tensor, persistence: Tensor) -> Tensor:
    """Give what damped persistence leaves of the anomalies at a lead (time, column)."""
    return means[later] - persistence.repeat_interleave(PATTERN_ROWS * PATTERN_COLUMNS) * means[now]


def _regression(found: OptimalInterpolation, scores: Tensor, changes: Tensor, penalty: float) -> Tensor:
    """Ridge regression of the changes' scores on the leading scores, (leading, mode)."""
    leading, area = scores[:, : found.regression.shape[1]], _area(found)
    wanted = found.scores((changes * area)[None], area.expand_as(changes)[None])[0]
    system = leading.T @ leading + penalty * torch.eye(leading.shape[1], dtype=leading.dtype)
    return torch.linalg.solve(system, leading.T @ wanted)


def _area(found: OptimalInterpolation) -> Tensor:
    """Share of the area of each cell of the patterns (column,), float64; on a region all are taken as alike."""
    latitude = (torch.arange(PATTERN_ROWS, dtype=torch.float64) + 0.5) / PATTERN_ROWS * torch.pi - torch.pi / 2
    rows = latitude.cos() if found.periodic else torch.ones_like(latitude)
    area = (rows / rows.sum() / PATTERN_COLUMNS)[:, None].expand(-1, PATTERN_COLUMNS)
    return area.flatten().repeat(found.patterns.shape[1])


def _penalties(
    found: OptimalInterpolation,
    pairs: tuple[Tensor, Tensor],
    steps: NDArray[np.int64],
    leads: Sequence[int],
    persistence: Tensor,
    early: int,
) -> list[float]:
    """Choose the ridge of each lead that forecasts the steps behind the first `early` ones best."""
    scores, means = pairs
    chosen = []
    for position, lead in enumerate(leads):
        now, later = _later(steps, lead)
        fitted, changes = later < early, _changes(means, now, later, persistence[position])
        lost = []
        for penalty in PENALTIES:
            matrix = _regression(found, scores[now[fitted]], changes[fitted], penalty)
            guess = scores[now[~fitted]][:, : len(matrix)] @ matrix @ found.scaled_patterns()
            lost.append(float((_area(found) * (guess - changes[~fitted]).square()).sum()))
        chosen.append(PENALTIES[int(np.argmin(lost))])
    return chosen
