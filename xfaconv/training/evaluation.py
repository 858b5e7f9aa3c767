"""Skill on unseen steps: forecasts beside persistence and a linear inverse model, and hidden sectors inferred."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xfaconv.bootstrap import block_bootstrap
from xfaconv.eofs import PENALTIES, RANKS, leading_modes, ridge_errors
from xfaconv.nn import Geometry, Network
from xfaconv.training.data import TrainingData
from xfaconv.training.lim import fit_linear_inverse_model
from xfaconv.training.loop import start_from_damped_persistence
from xfaconv.training.objective import hidden_sector, network_input

MODEL = "model"
_BATCH = 4
_BLOCK_STEPS = 256
# Mean squared standardised error below which a reference has no error but that of rounding.
_ROUNDING = 1e-10


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


def linear_part(network: Network, data: TrainingData) -> Network:
    """Copy a network and take out all that it learned by gradients: its optimal interpolation and persistence are left.

    Parameters
    ----------
    network : Network
        With an interpolation.
    data : TrainingData
        Of which the training steps give the coefficients of damped persistence.

    Returns
    -------
    Network
    """
    bare = copy.deepcopy(network)
    start_from_damped_persistence(bare, data.windows(), data.grid)
    for read_out in (bare.read_out, bare.located_read_out):
        for parameter in () if read_out is None else read_out.parameters():
            parameter.data.zero_()
    return bare


def damping(data: TrainingData, lead: int) -> NDArray[np.float64]:
    """Coefficient of damped persistence of each variable, an AR(1)-like regression at one lead.

    Parameters
    ----------
    data : TrainingData
        Of which the training steps count.
    lead : int
        Lead [steps].

    Returns
    -------
    ndarray (variable,)
        0 for a variable that never leaves 0 or is missing altogether.
    """
    area = np.asarray(data.grid.area, dtype=np.float32)
    product = square = np.zeros(len(data.fields))
    # A block at a time: the record may be larger than the memory.
    for first in range(data.train.start, data.train.stop - lead, _BLOCK_STEPS):
        last = min(first + _BLOCK_STEPS, data.train.stop - lead)
        both = np.nan_to_num(data.steps(slice(first, last + lead)).astype(np.float64))
        now = area * both[: last - first]
        product = product + (now * both[lead:]).sum(axis=(0, 2, 3))
        square = square + (now * both[: last - first]).sum(axis=(0, 2, 3))
    return np.divide(product, square, out=np.zeros_like(product), where=square > 0)


def predict_windows(
    network: Network,
    data: TrainingData,
    windows: list[int],
    length: int,
    warmup: int,
    hide: NDArray[np.bool_] | None = None,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Run a network over windows, a few at a time.

    Parameters
    ----------
    network : Network
        The network.
    data : TrainingData
        Standardised anomalies.
    windows : list of int
        First positions.
    length, warmup : int
        Steps of a window, and those at its start that give no predictions.
    hide : ndarray (window, lat, lon), optional
        True where all variables are hidden through the window.

    Yields
    ------
    tuple
        First position and predictions (time, lead, variable, lat, lon) of each.
    """
    source = data.windows()
    geometry = Geometry.from_grid(data.grid, network.spec.domain, network.spec.periodic)
    for begin in range(0, len(windows), _BATCH):
        chosen = windows[begin : begin + _BATCH]
        batch = source.read(chosen, length)
        hidden = np.zeros(1, dtype=bool) if hide is None else hide[begin : begin + _BATCH, None, None]
        with torch.inference_mode():
            values, seen = network.fill(*network_input(batch.fields, torch.from_numpy(hidden)), geometry)
            encoded = network.encode(
                values, seen, batch.year_phase, batch.day_phase, geometry, keep_from=warmup, keep_refined=True
            )
            refined = encoded.hidden if encoded.refined is None else encoded.refined
            predicted = network.predict(refined, values[:, warmup:], geometry).numpy()
        yield from zip(chosen, predicted, strict=True)


@dataclass(frozen=True, eq=False)
class Verification:
    """Area-weighted sums over the cells of each step, from which scores over any set of steps follow.

    Parameters
    ----------
    sums : ndarray (time, variable, 5)
        Squared error, forecast times truth, squared forecast, squared truth, and weight.
    """

    sums: NDArray[np.float64]

    def rmse(self) -> NDArray[np.float64]:
        """Root mean square error of each variable, in its units."""
        total = self.sums.sum(axis=0)
        return np.asarray(np.sqrt(total[:, 0] / total[:, 4]))

    def anomaly_correlation(self) -> NDArray[np.float64]:
        """Correlation of forecast and observed anomalies over all cells and steps, the mean not taken away."""
        total = self.sums.sum(axis=0)
        return np.asarray(total[:, 1] / np.sqrt(np.maximum(total[:, 2] * total[:, 3], np.finfo(float).tiny)))


def verify(
    forecast: NDArray[np.floating],
    truth: NDArray[np.floating],
    area: NDArray[np.floating],
    scale: NDArray[np.floating],
) -> Verification:
    """Compare forecasts with the truth.

    Parameters
    ----------
    forecast, truth : ndarray (time, variable, lat, lon)
        Standardised anomalies; the truth is NaN where missing.
    area : ndarray (lat, lon)
        Cell areas.
    scale : ndarray (variable, lat, lon)
        Standard deviation that the anomalies were divided by, in the units of the variable.

    Returns
    -------
    Verification

    Examples
    --------
    >>> ones = np.ones((6, 1, 2, 3))
    >>> found = verify(ones, 2 * ones, ones[0, 0], 3 * ones[0])
    >>> found.rmse(), found.anomaly_correlation()
    (array([3.]), array([1.]))
    """
    weight = area * (np.isfinite(truth) & np.isfinite(scale))
    guess, seen = np.nan_to_num(forecast * scale), np.nan_to_num(truth * scale)
    parts = ((guess - seen) ** 2, guess * seen, guess**2, seen**2, np.ones_like(seen))
    return Verification(np.stack([(weight * part).sum(axis=(-1, -2)) for part in parts], axis=-1).astype(np.float64))


def compare(
    found: Mapping[str, Verification], names: list[str], block: int, *, reference: str = MODEL, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Tabulate forecasts beside a reference, with intervals of the ratio of errors over the same blocks.

    Parameters
    ----------
    found : Mapping of str to Verification
        Each forecast's, of the same steps.
    names : list of str
        Variables.
    block : int
        Steps in a block.
    reference : str
        The forecast that stands over the others in the ratios.
    seed : int
        Seed of the blocks.

    Returns
    -------
    dict
        For each variable and forecast ``"rmse"`` and ``"anomaly_correlation"``, and for each but the reference
        ``"ratio"``: RMSE of the reference over this one's with its 95% interval (below 1: the reference is better).
    """
    table: dict[str, dict[str, Any]] = {}
    for position, name in enumerate(names):
        table[name] = {}
        ours = found[reference].sums[:, position, 0]
        for method, verification in found.items():
            row: dict[str, Any] = {
                "rmse": four_digits(verification.rmse()[position]),
                "anomaly_correlation": four_digits(verification.anomaly_correlation()[position]),
            }
            if method != reference:
                pair = np.stack([ours, verification.sums[:, position, 0]], axis=1)
                low, high = block_bootstrap(pair, lambda sums: np.sqrt(sums[:, 0] / sums[:, 1]), block, seed=seed)
                ratio = np.sqrt(pair[:, 0].sum() / pair[:, 1].sum())
                row["ratio"] = [four_digits(value) for value in (ratio, float(low), float(high))]
            table[name][method] = row
    return table


def predict_steps(
    network: Network, data: TrainingData, *, segment: int, warmup: int, beyond: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Forecast from the test steps, in windows whose kept steps tile them; a warm-up may reach into the years before.

    Parameters
    ----------
    network : Network
        The network.
    data : TrainingData
        Standardised anomalies.
    segment, warmup : int
        Steps kept and spun up in each window.
    beyond : int
        Longest lead that is verified.

    Yields
    ------
    tuple
        Positions of the steps that the forecasts start from, and forecasts (time, lead, variable, lat, lon).
    """
    length = warmup + segment
    firsts = range(data.test.start - warmup, data.test.stop - beyond - length + 1, segment)
    windows = [first for first in firsts if first >= 0]
    for first, predicted in predict_windows(network, data, windows, length, warmup):
        yield np.arange(first + warmup, first + length), predicted


def forecast_skill(network: Network, data: TrainingData, *, segment: int, warmup: int) -> dict[str, Any]:
    """Error at each lead on the test steps, beside persistence and damped persistence.

    Parameters
    ----------
    network : Network
        The network.
    data : TrainingData
        Standardised anomalies.
    segment, warmup : int
        Steps kept and spun up in each window; the warm-up may reach into the years before.

    Returns
    -------
    dict
        For each lead and variable: RMSE in the units of the variable, and the ratio of the root mean squared
        standardised error to that of persistence and of damped persistence. Variables that are missing throughout are
        left out, and ratios to a reference without any error.
    """
    leads = [lead for lead in network.spec.leads if lead > 0]
    damped = {lead: damping(data, lead)[:, None, None] for lead in leads}
    # Each sum twice: of the standardised anomalies, and in the units of the variables.
    scales = np.ones_like(data.climatology.scale), data.climatology.scale
    sums: dict[tuple[int, str], Any] = {}
    for steps, predicted in predict_steps(network, data, segment=segment, warmup=warmup, beyond=max(leads)):
        now = np.nan_to_num(data.steps(steps))
        for lead in leads:
            truth = data.steps(steps + lead)
            forecast = predicted[:, network.spec.leads.index(lead)]
            kinds: dict[str, Any] = {MODEL: forecast, "persistence": now, "damped_persistence": damped[lead] * now}
            for kind, guess in kinds.items():
                found = np.stack([verify(guess, truth, data.grid.area, scale).sums.sum(axis=0) for scale in scales])
                sums[lead, kind] = sums.get((lead, kind), 0) + found
    out: dict[str, Any] = {}
    for lead in leads:
        out[f"lead {lead}"] = table = {}
        for position, name in enumerate(data.names):
            weight = sums[lead, MODEL][0, position, 4]
            if not weight:
                continue
            own, own_in_units = sums[lead, MODEL][:, position, 0] / weight
            row = table[name] = {"rmse": four_digits(own_in_units**0.5)}
            for kind in ("persistence", "damped_persistence"):
                error, error_in_units = sums[lead, kind][:, position, 0] / weight
                row[f"rmse_{kind}"] = four_digits(error_in_units**0.5)
                if error > _ROUNDING:
                    row[f"standardised_rmse_to_{kind}"] = four_digits((own / error) ** 0.5)
    return out


def verify_network(
    network: Network, data: TrainingData, *, segment: int, warmup: int, lead: int = 1
) -> tuple[Verification, NDArray[np.int64]]:
    """Verify a network's forecasts on the test steps.

    Parameters
    ----------
    network : Network
        The network.
    data : TrainingData
        Standardised anomalies.
    segment, warmup : int
        Steps kept and spun up in each window.
    lead : int
        Steps ahead; the network must read it out.

    Returns
    -------
    verification : Verification
    starts : ndarray (time,)
        Positions of the steps that the forecasts start from.
    """
    position, parts, starts = network.spec.leads.index(lead), [], []
    for steps, predicted in predict_steps(network, data, segment=segment, warmup=warmup, beyond=lead):
        truth = data.steps(steps + lead)
        parts.append(verify(predicted[:, position], truth, data.grid.area, data.climatology.scale).sums)
        starts.append(steps)
    return Verification(np.concatenate(parts)), np.concatenate(starts)


def verify_references(data: TrainingData, starts: NDArray[np.int64], *, lead: int = 1) -> dict[str, Verification]:
    """Verify persistence, damped persistence and a linear inverse model on given steps.

    Parameters
    ----------
    data : TrainingData
        Standardised anomalies; the references are fitted to the training steps.
    starts : ndarray (time,)
        Positions of the steps that the forecasts start from.
    lead : int
        Steps ahead.

    Returns
    -------
    dict of str to Verification
        ``"persistence"``, ``"damped persistence"`` (one coefficient for each variable) and ``"LIM, n EOFs"``.
    """
    now, truth = data.steps(starts), data.steps(starts + lead)
    inverse = fit_linear_inverse_model(data.windows(), data.grid, data.train)
    forecasts: dict[str, NDArray[np.floating]] = {
        "persistence": now,
        "damped persistence": now * damping(data, lead).astype(np.float32)[:, None, None],
        f"LIM, {inverse.modes} EOFs": inverse.forecast(now, lead),
    }
    scale = data.climatology.scale
    return {name: verify(np.nan_to_num(guess), truth, data.grid.area, scale) for name, guess in forecasts.items()}


def one_step_skill(
    network: Network, data: TrainingData, *, segment: int, warmup: int, block: int, lead: int = 1
) -> dict[str, dict[str, Any]]:
    """RMSE and anomaly correlation of a network beside persistence, damped persistence and a linear inverse model.

    Parameters
    ----------
    network : Network
        The network.
    data : TrainingData
        Standardised anomalies.
    segment, warmup : int
        Steps kept and spun up in each window.
    block : int
        Steps in a block of the bootstrap.
    lead : int
        Steps ahead.

    Returns
    -------
    dict
        As `compare` gives it.
    """
    ours, starts = verify_network(network, data, segment=segment, warmup=warmup, lead=lead)
    return compare({MODEL: ours, **verify_references(data, starts, lead=lead)}, data.names, block)


def hidden_skill(
    network: Network,
    data: TrainingData,
    *,
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
    data : TrainingData
        Standardised anomalies.
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
    position, keep = network.spec.leads.index(0), window - warm_steps
    starts = [first for first in range(data.test.start, data.test.stop - window + 1, keep) for _ in range(repeats)]
    random = np.random.default_rng(seed)
    hide = np.stack([hidden_sector(data.grid, random, width) for _ in starts])
    sums = np.zeros((2, len(data.fields)))
    results = predict_windows(network, data, starts, window, warm_steps, hide)
    for mask, (first, predicted) in zip(hide, results, strict=True):
        truth = data.steps(slice(first + warm_steps, first + window))
        weight = data.grid.area * (np.isfinite(truth) & mask)
        truth = np.nan_to_num(truth)
        sums[0] += (weight * (predicted[:, position] - truth) ** 2).sum(axis=(0, 2, 3))
        sums[1] += (weight * truth**2).sum(axis=(0, 2, 3))
    return _explained(sums[0], sums[1], data.names)


def _explained(error: NDArray[np.float64], total: NDArray[np.float64], names: list[str]) -> dict[str, float]:
    """Share of the variance that is explained, of each variable and over all."""
    shares = {name: four_digits(1 - e / t) for name, e, t in zip(names, error, total, strict=True)}
    return {**shares, "all": four_digits(1 - error.sum() / total.sum())}


def linear_answer(
    data: TrainingData, *, width: tuple[float, float] = (120.0, 200.0), seed: int = 0, sectors: int = 8
) -> dict[str, float]:
    """Share of the hidden variance that a linear method explains, its rank and penalty chosen in its own favour.

    For each of some sectors, the visible anomalies of the training years give EOFs; ridge regression from their
    principal components gives the hidden anomalies of the same step, on the test years.

    Parameters
    ----------
    data : TrainingData
        Standardised anomalies.
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
    random, area = np.random.default_rng(seed), np.asarray(data.grid.area)
    anomalies = data.steps(slice(None))
    weight = np.sqrt(np.isfinite(anomalies[0]) * area).astype(np.float32)
    weighted = np.nan_to_num(anomalies) * weight
    errors: Any = 0
    total = np.zeros(len(data.fields))
    for _ in range(sectors):
        hidden = hidden_sector(data.grid, random, width)
        visible = weighted[:, :, ~hidden].reshape(len(weighted), -1)
        past, future = visible[data.train], visible[data.test]
        mean = past.mean(axis=0)
        found = leading_modes(past - mean, max(RANKS))
        series = (past - mean) @ found.patterns.T, (future - mean) @ found.patterns.T
        wanted, truth = weighted[data.train][:, :, hidden], weighted[data.test][:, :, hidden]
        total += (truth.astype(np.float64) ** 2).sum(axis=(0, 2))
        targets = wanted.reshape(len(wanted), -1), truth.reshape(len(truth), -1)
        each = ridge_errors(series, targets, float(found.variance[0]))
        errors = errors + each.reshape(*each.shape[:2], len(data.fields), -1).sum(axis=-1)
    i, j = map(int, np.unravel_index(errors.sum(axis=-1).argmin(), errors.shape[:2]))
    return {**_explained(errors[i, j], total, data.names), "rank": float(RANKS[i]), "penalty": PENALTIES[j]}
