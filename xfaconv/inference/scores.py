"""Skill of inferences and forecasts on unseen steps: the network beside climatology, persistence and regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray

from xfaconv.analysis.statistics.seasons import Season, covered, season_months, season_years, steps_of_season
from xfaconv.arguments import Arguments, check_arguments, check_rules, is_whole, seed_attribute, shared_arguments
from xfaconv.bootstrap import block_bootstrap
from xfaconv.engine.prepare import Prepared, prepare
from xfaconv.engine.results import finish
from xfaconv.errors import ArgumentError, TimeError
from xfaconv.inference.areas import Area, find_cells
from xfaconv.inference.prediction import (
    asked_leads,
    find_hidden,
    in_training,
    observed,
    predict,
    steps_later,
)

_OF_HIDDEN = ("network", "linear", "climatology")
_OF_FORECASTS = ("network", "linear", "persistence", "climatology")
_SCORES = ("explained_variance", "correlation")
_BOUNDS = ("", "_low", "_high")
TITLES = tuple(f"{score}{end}{bound}" for end in ("", "_difference") for score in _SCORES for bound in _BOUNDS)
_RULES = {"repeats": (lambda value: is_whole(value, 1, 10**5), "a whole number from 1 to 100,000", "1000")}
# A block of the bootstrap is a year, or so long that the record has this many of them.
_FEWEST_BLOCKS = 8


@shared_arguments
def skill(
    ds: xr.Dataset,
    *,
    hide: Area | None = None,
    leads: Sequence[int] | None = None,
    region: Area | None = None,
    season: Season = None,
    methods: Sequence[str] | None = None,
    training: bool = False,
    block: int | None = None,
    repeats: int = 1000,
    alpha: float = 0.05,
    seed: int = 0,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Score what the network infers or forecasts, beside what is simpler, on steps that it was not trained on.

    With ``hide`` the fields of the hidden part at the same step are scored (see `xfaconv.infer`), without it forecasts
    (see `xfaconv.forecast`). All scores are of standardised anomalies, so that they do not depend on units.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    hide : tuple, mapping, str, DataArray or list, optional
        The hidden part, as in `xfaconv.infer`.
    leads : sequence of int, optional
        Leads of the forecasts [steps]. Default: all above 0.
    region : tuple, mapping, str, DataArray or list, optional
        Where it is scored, in the same forms. Default: all that is hidden, or the whole domain.
    season : str or sequence of int, optional
        Season of the steps, such as ``"DJF"``; of forecasts, those that they start from.
    methods : sequence of str, optional
        Of ``"network"``, ``"linear"`` (ridge regression from EOFs), ``"persistence"`` (damped; forecasts only) and
        ``"climatology"``. Default: all. Differences are those of the first to the others.
    training : bool, default False
        Score the steps of the training years too.
    block : int, optional
        Steps in a block of the bootstrap. Default: as many as the record has in a year, or an eighth of its steps.
    repeats : int, default 1000
        Resampled records.
    alpha : float, default 0.05
        Share of intervals that miss the true value.
    seed : int, default 0
        Seed of the bootstrap.
    **arguments
        The shared arguments of the engine.

    Returns
    -------
    Dataset ([lead,] prediction, variable, of), float64
        ``explained_variance``: 1 - (sum of squared errors) / (sum of squared anomalies), 0 for climatology;
        ``correlation``; each of all cells and steps together (``of="cells"``, weighted by area, the correlation about
        climatology) and of the mean of the region (``of="mean"``, the correlation about the mean over time).
        ``NAME_low`` and ``NAME_high`` are the ends of its interval, and ``NAME_difference``,
        ``NAME_difference_low`` and ``NAME_difference_high`` the first method minus this one, from the same blocks.
        ``found.to_dataframe()`` is a table. Steps have their whole warm-up inside the data. Lazy if the data are.

    Raises
    ------
    TimeError
        If no step is unseen, in the season and with its whole warm-up, or a fitted method has too few training steps.
    ArgumentError
        If the region holds no hidden cell, or both ``hide`` and ``leads`` are given.
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> found = xfaconv.skill(ds, hide=(20, 80, 140, 250), region="north_pacific", season="DJF")
    >>> found.explained_variance.dims, found.attrs["period"]
    (('prediction', 'variable', 'of'), '2010-01-01 to 2018-12-01')
    """
    known = _OF_FORECASTS if hide is None else _OF_HIDDEN
    chosen = known if methods is None else check_methods(methods, known)
    if hide is not None and leads is not None:
        raise ArgumentError("hide infers at lead 0, leads are of forecasts", fix="leads=None  # or hide=None")
    check_arguments(training=training, block=block, alpha=alpha, seed=seed)
    check_rules({"repeats": repeats}, _RULES)
    season_months(season)
    ready = prepare(ds, arguments)
    if ready.members is not None:
        member = ready.conformed.labels.names["member"]
        raise ArgumentError("skill takes one member", found=f"{ready.members} members", fix=f"ds = ds.isel({member}=0)")
    hidden = None if hide is None else find_hidden(ready, hide)
    asked = asked_leads(ready, leads) if hidden is None else (0,)
    ready = replace(ready, steps=unseen_steps(ready, season, asked, training=training))
    if region is None:
        weights = np.asarray(ready.grid.area) if hidden is None else hidden.weights
        words = "the whole domain" if hidden is None else hidden.words
    else:
        cells = find_cells(ready.grid, region, "region")
        weights, words = cells.weights if hidden is None else np.where(hidden.mask, cells.weights, 0), cells.words
    if not np.any(weights) and hidden is not None:
        raise ArgumentError(
            "region holds no hidden cell", expected=f"a part of {hidden.words}", found=words, fix="region=None"
        )
    stamps = _stamps(ready)
    length = block_of(stamps, season) if block is None else block
    mask = None if hidden is None else hidden.mask
    of_method = {method: predicted(ready, method, asked, mask) for method in chosen}
    names = [variable.name for variable in ready.model.card.variables]
    sums = [
        [
            [_sums(of_method[method][name][number], observed(ready, name, lead), weights) for name in names]
            for method in chosen
        ]
        for number, lead in enumerate(asked)
    ]
    scored = delayed(partial(_score, block=length, repeats=repeats, alpha=alpha, seed=seed))(
        da.stack([da.stack([da.stack(row, axis=1) for row in rows], axis=1) for rows in sums], axis=1)  # type: ignore[no-untyped-call]
    )
    shape = (2 * len(_SCORES) * len(_BOUNDS), len(asked), len(chosen), len(names), 2)
    whole = da.from_delayed(scored, shape, dtype=np.float64)  # type: ignore[no-untyped-call]
    coords: dict[str, Any] = {"lead": list(asked), "of": np.array(["cells", "mean"], dtype=object)}
    coords |= {"prediction": np.array(chosen, dtype=object), "variable": np.array(names, dtype=object)}
    outputs = {}
    for title, values in zip(TITLES, whole, strict=True):
        found = xr.DataArray(values, coords, ("lead", "prediction", "variable", "of"), name=title)
        comment = {"comment": f"{chosen[0]} minus this prediction"} if "difference" in title else {}
        found.attrs = {"long_name": title.replace("_", " "), "units": "1", **comment}
        outputs[title] = found if hidden is None else found.isel(lead=0, drop=True)
    typed = {"hide": None if hidden is None else hidden.words, "leads": leads, "region": words, "season": season}
    about = {"block": length, "repeats": repeats, "alpha": alpha, "seed": seed_attribute(seed), "region": words}
    about |= {} if hidden is None else {"hidden_area": hidden.words}
    about["training_steps_in_data"] = int(in_training(ready).sum())
    return finish(ready, "skill", outputs, typed).assign_attrs(**about, **covered(stamps, season))


def check_methods(methods: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Refuse methods that are unknown, none, or given twice.

    Raises
    ------
    ArgumentError
        Naming the known ones.

    Examples
    --------
    >>> check_methods(["linear"], ("network", "linear"))
    ('linear',)
    """
    several = list(methods) if isinstance(methods, Sequence) and not isinstance(methods, str) else []
    if not several or any(method not in known for method in several) or len(set(several)) < len(several):
        raise ArgumentError(
            "methods cannot be used",
            expected=f"one or several of {', '.join(known)}",
            found=repr(methods)[:200],
            fix=f"methods={list(known)}",
        )
    return tuple(several)


def unseen_steps(
    ready: Prepared, season: Season, leads: Sequence[int] = (0,), *, training: bool = False
) -> NDArray[np.int64]:
    """Positions of the steps that can be scored: unseen, asked for, in a season, warmed up, and verified at all leads.

    Parameters
    ----------
    ready : Prepared
        The data and the model.
    season : str, sequence of int, or None
        The season.
    leads : sequence of int
        Leads at which the steps are verified.
    training : bool, default False
        Take steps of the training years too.

    Returns
    -------
    ndarray of int64

    Raises
    ------
    TimeError
        If there is none.
    """
    if ready.cold is not None:
        raise ready.cold
    trained = in_training(ready)
    usable = ready.asked & ready.segments.full_warmup
    for lead in leads:
        later = steps_later(ready, lead)
        usable &= (later >= 0) & (training | ~trained[later])
    usable &= training | ~trained
    if not usable.any():
        years = ready.model.card.years.get("train", "unknown years")
        raise TimeError(
            "no step with its whole warm-up is unseen and can be verified",
            expected=f"steps outside of the training years, {years}, and the steps that are forecast",
            found=ready.conformed.time.describe(),
            fix="training=True  # scores of steps that the model was trained on say little",
        )
    stamps = xr.DataArray(ready.conformed.time.values, dims="time", name="time")
    return np.flatnonzero(steps_of_season(stamps, season, usable, among="that is unseen and warmed up")).astype(
        np.int64
    )


def _stamps(ready: Prepared) -> xr.DataArray:
    """Stamps of the steps that are asked for."""
    return xr.DataArray(ready.conformed.time.values[ready.steps], dims="time", name="time")


def block_of(stamps: xr.DataArray, season: Season) -> int:
    """Take the steps of a year for a block, so that a winter stays together, or an eighth of all."""
    _, counts = np.unique(season_years(stamps, season), return_counts=True)
    return int(max(1, min(np.median(counts), stamps.size // _FEWEST_BLOCKS)))


def predicted(
    ready: Prepared, method: str, leads: Sequence[int] = (0,), hide: NDArray[np.bool_] | None = None
) -> dict[str, list[da.Array]]:
    """Predict as `predict` does, also by climatology.

    Raises
    ------
    TimeError
        If a fitted method is among several, and the data hold too few steps of the training years.
    """
    if method == "climatology":
        names = [variable.name for variable in ready.model.card.variables]
        return {name: [da.zeros_like(observed(ready, name, lead)) for lead in leads] for name in names}  # type: ignore[no-untyped-call]
    try:
        return predict(ready, method, leads=leads, hide=hide)
    except TimeError as problem:
        fix = str(problem.fix).replace("method='network'", "methods=['network']")
        raise TimeError(problem.problem, expected=problem.expected, found=problem.found, fix=fix) from None


def _sums(predicted: da.Array, seen: da.Array, weights: NDArray[np.float64]) -> da.Array:
    """Sum over the cells of each step (time, of, sum), lazily."""
    chunks = (predicted.chunks[0], (-1,), (-1,))
    pair = [array.rechunk((chunks[0], -1, -1)) for array in (predicted, seen)]  # type: ignore[no-untyped-call]
    found: da.Array = da.map_blocks(  # type: ignore[no-untyped-call]
        _sums_of_block, *pair, weights, chunks=(chunks[0], (2,), (6,)), dtype=np.float64, meta=np.empty((0, 0, 0))
    )
    return found


def _sums_of_block(
    predicted: NDArray[np.floating], seen: NDArray[np.floating], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weight, predicted, observed, and their products: over the cells, and of the mean over the cells."""
    weight = np.where(np.isfinite(seen) & np.isfinite(predicted), weights, 0.0)
    guess, truth = (np.nan_to_num(array.astype(np.float64)) for array in (predicted, seen))
    parts = (np.ones_like(truth), guess, truth, guess**2, guess * truth, truth**2)
    cells = np.stack([(weight * part).sum(axis=(1, 2)) for part in parts], axis=-1)
    total = cells[:, :1]
    mean = np.divide(cells[:, 1:3], total, out=np.zeros((len(cells), 2)), where=total != 0)
    there = (total[:, 0] != 0).astype(np.float64)
    p, o = mean.T
    return np.stack([cells, np.stack([there, p, o, p**2, p * o, o**2], axis=-1)], axis=1)


def _score(sums: NDArray[np.float64], *, block: int, repeats: int, alpha: float, seed: int) -> NDArray[np.float64]:
    """Scores, ends of their intervals, and the same of differences, from sums (time, lead, method, variable, of, 6)."""

    def all_scores(total: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = np.stack([_explained(total), _correlation(total)], axis=1)
        return np.concatenate([scores, scores[:, :, :, :1] - scores], axis=1)

    value = all_scores(sums.sum(axis=0)[None])[0]
    low, high = block_bootstrap(sums, all_scores, block, repeats=repeats, level=1 - alpha, seed=seed)
    return np.stack([value, low, high], axis=1).reshape(-1, *value.shape[1:])


def score_series(
    predicted: NDArray[np.floating],
    seen: NDArray[np.floating],
    *,
    block: int,
    repeats: int = 1000,
    alpha: float = 0.05,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Score series of predictions, with the intervals of `skill`.

    Parameters
    ----------
    predicted : ndarray (time, prediction)
        Anomalies.
    seen : ndarray (time,)
        What was observed.
    block, repeats, alpha, seed
        See `skill`.

    Returns
    -------
    dict of str to ndarray (prediction,)
        The scores of `skill` by its names: ``"explained_variance"`` about climatology, ``"correlation"`` about the mean
        over time, their ends, and the differences of the first prediction to each.
    """
    sums = np.stack([_products(guess, seen) for guess in predicted.T], axis=1)[:, None, :, None, None]
    # As of cells and of a mean: the second entry of the axis is the mean.
    found = _score(np.repeat(sums, 2, axis=-2), block=block, repeats=repeats, alpha=alpha, seed=seed)[:, 0, :, 0, 1]
    return dict(zip(TITLES, found, strict=True))


def _products(guess: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.float64]:
    """Count, predicted, observed, and their products of one series (time, sum)."""
    there = np.isfinite(guess) & np.isfinite(truth)
    p, o = (np.where(there, series, 0).astype(np.float64) for series in (guess, truth))
    return np.stack([there.astype(np.float64), p, o, p**2, p * o, o**2], axis=-1)


def _explained(total: NDArray[np.float64]) -> NDArray[np.float64]:
    guess, product, truth = np.moveaxis(total[..., 3:], -1, 0)
    error = guess - 2 * product + truth
    return np.asarray(1 - np.divide(error, truth, out=np.full_like(truth, np.nan), where=truth > 0))


def _correlation(total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation about climatology over cells, about the mean over time of a mean over cells."""
    count, first, second, guess, product, truth = np.moveaxis(total, -1, 0)
    about = np.zeros_like(count)
    about[..., 1] = 1
    with np.errstate(divide="ignore", invalid="ignore"):
        product = product - about * first * second / count
        squares = (guess - about * first**2 / count) * (truth - about * second**2 / count)
        return np.asarray(np.where(squares > 1e-24, product / np.sqrt(np.maximum(squares, 1e-24)), np.nan))
