"""Skill on unseen years: leads against persistence, hidden sectors with and without attention."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xfaconv.grid import Grid
from xfaconv.nn import Geometry, Network
from xfaconv.training.objective import hidden_sector, network_input
from xfaconv.training.sampling import WindowSource

_BATCH = 4
_BLOCK_STEPS = 256


def four_digits(value: float) -> float:
    """Round a score to the four digits that are kept of it.

    Parameters
    ----------
    value : float
        A score.

    Returns
    -------
    float

    Examples
    --------
    >>> four_digits(0.123456)
    0.1235
    """
    return float(f"{value:.4g}")


def without_attention(network: Network) -> Network:
    """Copy a network and take its axial attention out, the other weights unchanged.

    Parameters
    ----------
    network : Network
        The network.

    Returns
    -------
    Network
    """
    bare = copy.deepcopy(network)
    bare.attention_module = None
    return bare


def damping(source: WindowSource, part: slice, lead: int, area: NDArray[np.float32]) -> NDArray[np.float64]:
    """Coefficient of damped persistence of each variable, an AR(1)-like regression at one lead.

    Parameters
    ----------
    source : WindowSource
        Standardised anomalies.
    part : slice
        Training years.
    lead : int
        Lead [steps].
    area : ndarray (lat, lon)
        Cell areas.

    Returns
    -------
    ndarray (variable,)
        0 for a variable that never leaves 0 or is missing altogether.
    """
    coefficients = []
    for field in source.fields:
        product = square = 0.0
        # A block at a time: the record may be larger than the memory.
        for first in range(part.start, part.stop - lead, _BLOCK_STEPS):
            last = min(first + _BLOCK_STEPS, part.stop - lead)
            both = np.nan_to_num(np.asarray(field[first : last + lead], dtype=np.float64))
            now, later = both[: last - first], both[lead:]
            product += float((area * now * later).sum())
            square += float((area * now * now).sum())
        coefficients.append(product / square if square else 0.0)
    return np.asarray(coefficients)


def tiling_windows(part: slice, length: int, keep: int, beyond: int, record_start: int) -> list[int]:
    """Place windows so that their kept steps tile a stretch, leaving room for the longest lead.

    Parameters
    ----------
    part : slice
        Positions that may be kept.
    length, keep : int
        Steps of a window, and how many at its end are kept.
    beyond : int
        Longest lead.
    record_start : int
        First position that a warm-up may reach back to.

    Returns
    -------
    list of int
        First positions.
    """
    firsts = range(part.start, part.stop - beyond - keep + 1, keep)
    return [first - (length - keep) for first in firsts if first - (length - keep) >= record_start]


def predict_windows(
    network: Network,
    source: WindowSource,
    geometry: Geometry,
    windows: list[int],
    length: int,
    warmup: int,
    hide: NDArray[np.bool_] | None = None,
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Run a network over windows, a few at a time.

    Parameters
    ----------
    network : Network
        The network.
    source : WindowSource
        Standardised anomalies.
    geometry : Geometry
        The grid.
    windows : list of int
        First positions.
    length, warmup : int
        Steps of a window, and those at its start that give no predictions.
    hide : ndarray (window, lat, lon), optional
        True where all variables are hidden through the window.

    Yields
    ------
    tuple
        First position, predictions (time, lead, variable, lat, lon) and input (time, variable, lat, lon) of each.
    """
    for begin in range(0, len(windows), _BATCH):
        chosen = windows[begin : begin + _BATCH]
        batch = source.read(chosen, length)
        mask = torch.zeros(1, dtype=torch.bool)
        if hide is not None:
            mask = torch.from_numpy(hide[begin : begin + _BATCH])[:, None, None]
        with torch.inference_mode():
            values, seen = network_input(batch.fields, mask)
            encoded = network.encode(
                values, seen, batch.year_phase, batch.day_phase, geometry, keep_from=warmup, keep_refined=True
            )
            refined = encoded.hidden if encoded.refined is None else encoded.refined
            predicted = network.predict(refined, values[:, warmup:], geometry)
        for position, first in enumerate(chosen):
            yield first, predicted[position], values[position, warmup:]


def forecast_skill(
    network: Network,
    source: WindowSource,
    grid: Grid,
    scale: NDArray[np.float32],
    names: list[str],
    *,
    train: slice,
    test: slice,
    segment: int,
    warmup: int,
) -> dict[str, Any]:
    """Error at each lead on the test years, beside persistence and damped persistence.

    Parameters
    ----------
    network : Network
        The network.
    source : WindowSource
        Standardised anomalies of all years.
    grid : Grid
        The grid.
    scale : ndarray (variable, lat, lon)
        Standard deviation that the anomalies were divided by.
    names : list of str
        Variables.
    train, test : slice
        Positions of the training and of the test years.
    segment, warmup : int
        Steps kept and spun up in each window; the warm-up may reach into the years before.

    Returns
    -------
    dict
        For each lead and variable: RMSE in the units of the variable, and the ratio of the mean squared standardised
        error to that of persistence and of damped persistence. Variables that are missing throughout are left out, and
        ratios to a reference without any error.
    """
    geometry = Geometry.from_grid(grid, network.spec.domain, network.spec.periodic)
    area = np.asarray(grid.area, dtype=np.float32)
    leads = [lead for lead in network.spec.leads if lead > 0]
    length = warmup + segment
    windows = tiling_windows(test, length, segment, max(leads), 0)
    damped = {lead: damping(source, train, lead, area) for lead in leads}
    kinds = ("model", "persistence", "damped", "model_units", "persistence_units", "damped_units")
    sums = {lead: {kind: np.zeros(len(names)) for kind in (*kinds, "weight")} for lead in leads}
    for first, predicted, _ in predict_windows(network, source, geometry, windows, length, warmup):
        for lead in leads:
            position = network.spec.leads.index(lead)
            span = slice(first + warmup + lead, first + length + lead)
            for variable, field in enumerate(source.fields):
                truth = np.asarray(field[span], dtype=np.float32)
                now = np.nan_to_num(np.asarray(field[first + warmup : first + length], dtype=np.float32))
                weight = area * np.isfinite(truth)
                guesses = (predicted[:, position, variable].numpy(), now, damped[lead][variable] * now)
                sums[lead]["weight"][variable] += weight.sum()
                for kind, guess in zip(("model", "persistence", "damped"), guesses, strict=True):
                    error = np.nan_to_num(guess - truth)
                    sums[lead][kind][variable] += (weight * error**2).sum()
                    units = np.nan_to_num(error * scale[variable])
                    sums[lead][f"{kind}_units"][variable] += (weight * units**2).sum()
    return {f"lead {lead}": _skill_table(sums[lead], names) for lead in leads}


def _skill_table(sums: dict[str, NDArray[np.float64]], names: list[str]) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for position, name in enumerate(names):
        weight = sums["weight"][position]
        if not weight:
            continue
        error = {kind: float(sums[kind][position] / weight) for kind in sums if kind != "weight"}
        table[name] = {
            "rmse": four_digits(error["model_units"] ** 0.5),
            "rmse_persistence": four_digits(error["persistence_units"] ** 0.5),
            "rmse_damped_persistence": four_digits(error["damped_units"] ** 0.5),
        }
        for reference, label in (("persistence", "persistence"), ("damped", "damped_persistence")):
            if error[reference]:
                ratio = (error["model"] / error[reference]) ** 0.5
                table[name][f"standardised_rmse_to_{label}"] = four_digits(ratio)
    return table


def hidden_skill(
    network: Network,
    source: WindowSource,
    grid: Grid,
    names: list[str],
    *,
    test: slice,
    window: int,
    warm_steps: int,
    width: tuple[float, float] = (120.0, 200.0),
    seed: int = 0,
    repeats: int = 2,
) -> dict[str, float]:
    """Share of the hidden variance that is explained in sectors hidden from the test years.

    Parameters
    ----------
    network : Network
        The network; must read out lead 0.
    source : WindowSource
        Standardised anomalies of all years.
    grid : Grid
        The grid.
    names : list of str
        Variables.
    test : slice
        Positions of the test years.
    window, warm_steps : int
        Steps of a window, all of them hidden, and those at its start that are not counted.
    width : (float, float)
        Least and greatest width of the sectors [degrees].
    seed : int
        Seed of the sectors, the same for every network.
    repeats : int
        Sectors drawn for each window.

    Returns
    -------
    dict
        1 - (squared error / squared standardised anomaly) for each variable and over all.
    """
    geometry = Geometry.from_grid(grid, network.spec.domain, network.spec.periodic)
    area = np.asarray(grid.area, dtype=np.float32)
    position = network.spec.leads.index(0)
    keep = window - warm_steps
    starts = [first for first in range(test.start, test.stop - window + 1, keep) for _ in range(repeats)]
    random = np.random.default_rng(seed)
    hide = np.stack([hidden_sector(grid, random, width) for _ in starts])
    error, total = np.zeros(len(names)), np.zeros(len(names))
    results = predict_windows(network, source, geometry, starts, window, warm_steps, hide)
    for mask, (first, predicted, _) in zip(hide, results, strict=True):
        for variable, field in enumerate(source.fields):
            truth = np.asarray(field[first + warm_steps : first + window], dtype=np.float32)
            weight = area * (np.isfinite(truth) & mask)
            truth = np.nan_to_num(truth)
            error[variable] += (weight * (predicted[:, position, variable].numpy() - truth) ** 2).sum()
            total[variable] += (weight * truth**2).sum()
    explained = {name: four_digits(1 - error[i] / total[i]) for i, name in enumerate(names)}
    return {**explained, "all": four_digits(1 - error.sum() / total.sum())}
