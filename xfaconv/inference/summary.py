"""One call about a teleconnection: what is known of a place from afar, how well, where from, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal, Unpack

import numpy as np
import xarray as xr
from dask.base import compute
from dask.diagnostics.progress import ProgressBar
from numpy.typing import NDArray

from xfaconv.analysis.statistics.seasons import Season, season_name, steps_of_season
from xfaconv.arguments import Arguments, check_arguments, check_choice, check_rules, is_whole, shared_arguments
from xfaconv.engine.api import conformed_of
from xfaconv.engine.cost import GRADIENT_RUNS, INTEGRAL_RUNS, announce, seconds_for
from xfaconv.engine.prepare import Prepared
from xfaconv.engine.results import provenance
from xfaconv.errors import require_torch
from xfaconv.inference.areas import Area
from xfaconv.inference.checks import MOST_CHECKED, check_difference
from xfaconv.inference.claims import claim
from xfaconv.inference.composites import composites, default_regions
from xfaconv.inference.contributions import check_question, explain
from xfaconv.inference.ensemble import network_series, of_models, prepare_models, sums_of_regions
from xfaconv.inference.phases import (
    INDICES,
    Index,
    Phases,
    find_index,
    index_name,
    index_values,
    phases_of_events,
    phases_of_index,
)
from xfaconv.inference.prediction import in_training
from xfaconv.inference.regions import Regions
from xfaconv.inference.targets import Target, find_target
from xfaconv.inference.verification import lazy_correlations, lazy_series, regression, scored, unseen_steps

_RULES = {"checks": (lambda value: is_whole(value, 0, 1000), "a whole number from 0 to 1,000", "1")}


@shared_arguments
def teleconnection(
    ds: xr.Dataset,
    target: Area,
    variable: str,
    *,
    hide: Area | None = None,
    lead: int | None = None,
    index: Index = None,
    threshold: float | None = None,
    events: Mapping[str, Any] | None = None,
    season: Season = None,
    method: Literal["integrated", "gradient", "linear"] = "integrated",
    regions: Regions | None = None,
    lags: Sequence[int] = (0, 1, 2, 3),
    samples: int | None = 12,
    models: Sequence[Any] | None = None,
    checks: int = 1,
    alpha: float = 0.05,
    seed: int = 0,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Say what is known of a place from afar, how well, where from, and what may be claimed of it.

    Computes at once: the series of the network, of the linear answer and of a regression on the index, verified on
    unseen steps; the contributions of the rest of the world in two phases, such as El Nino and La Nina winters, with
    the significance of their difference; their sums by region; and the lagged correlation map of the observed series.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    target : tuple, mapping, str, DataArray or list
        Where: a place (latitude, longitude), a box (south, north, west, east), a name, a mask or weights.
    variable : str
        The model's name of the variable.
    hide : tuple, mapping, str, DataArray or list, optional
        Hide this area, which holds the target, and explain what is inferred of it; see `xfaconv.infer`.
    lead : int, optional
        Explain the forecast so many steps ahead, instead.
    index : {"nino34", "nao", ...} or DataArray (time,), optional
        Index whose phases are compared and that is the simplest rival. Default: the observed value itself. One that
        never changes its sign, such as Nino 3.4 in degC or K, is taken as its anomaly from its seasonal cycle.
    threshold : float, optional
        A step belongs to the high phase from here on, to the low one from minus here on, in the units of the index.
        Default: its standard deviation in the season.
    events : mapping of two names to dates, optional
        The phases as dates, instead of an index.
    season : str or sequence of int, optional
        Season of the steps, such as ``"DJF"``; of forecasts, those that they start from.
    method : {"integrated", "gradient", "linear"}, default "integrated"
        See `xfaconv.attribution`.
    regions : mapping of str to area, list of names, mask or regionmask.Regions, optional
        Where contributions are summed. Default: the tropical oceans, and the cells within 10 degrees of latitude and
        longitude of the hidden area (of a forecast: of the target). All other cells are ``"elsewhere"``.
    lags : sequence of int, default (0, 1, 2, 3)
        Steps by which the field comes before the target in the correlation map.
    samples : int, optional
        Steps of each phase whose contributions are computed, spread evenly; None for all.
    models : sequence of str, path or Model, optional
        Several models in place of ``model``, such as one trained with several seeds. Everything is told of the first;
        of each the value, its skill, and the sums by region. Each costs as much as one.
    checks : int, default 1
        Repetitions of the checks of the difference, on up to 4 steps of each phase: with shuffled weights, and on
        phase-randomised data, for which the record of each variable is held in memory. Each costs as much as the
        contributions of 16 steps; 0 makes none. ``method="linear"`` has none.
    alpha : float, default 0.05
        False discovery rate of the maps, and share of intervals that miss the true value.
    seed : int, default 0
        Seed of the bootstrap.
    **arguments
        The shared arguments of the engine.

    Returns
    -------
    Dataset
        ``predicted (prediction, time)`` and ``observed (time)``, anomalies in the units of `ds`, of all steps of the
        season with their whole warm-up; ``correlation (prediction)`` and ``explained_variance (prediction)`` on unseen
        steps with ``_low`` and ``_high``; ``attribution (phase, variable, latitude, longitude)`` with the phase
        ``"difference"``, and ``significant (latitude, longitude)`` of the sum over the variables; ``mean_predicted
        (phase, prediction)`` and ``mean_observed (phase)`` of the same steps; ``by_region (phase, variable, region)``,
        and ``by_region_low (region)`` and ``by_region_high (region)`` of the difference; ``correlation_map (variable,
        lag, latitude, longitude)`` and ``correlation_significant``; ``neighbour_correlation (neighbour)``. With checks
        ``check_similarity (check)``, the correlation of the map of the difference with the one that must be another,
        ``check_passed`` and ``check_verdict``. With `models`, ``predicted_of_models (model, time)``,
        ``correlation_of_models`` and ``explained_variance_of_models (model)``, ``mean_predicted_of_models (model,
        phase)`` and ``by_region_of_models (model, phase, region)``, summed over the variables; scores are then of steps
        that no model has seen. The attribute ``sentence`` says what may be claimed.

    Raises
    ------
    ArgumentError
        If the question is not clear, or the index or events cannot be used.
    TimeError
        If a phase has fewer than 3 steps, or too few steps are unseen.
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> out = xfaconv.teleconnection(ds, "north_pacific", "z500", hide=(20, 80, 140, 250), index="nino34",
    ...                              season="DJF", method="linear", stride=4)
    >>> print(out.attrs["sentence"])  # doctest: +SKIP
    """
    require_torch()
    check_choice("method", method, ("integrated", "gradient", "linear"))
    check_arguments(alpha=alpha, seed=seed, samples=samples)
    check_rules({"checks": checks}, _RULES)
    if isinstance(index, str):
        check_choice("index", index, INDICES)
    check_question(hide, lead)
    several = prepare_models(ds, models, arguments)
    ready = several[0]
    stamps = xr.DataArray(ready.conformed.time.values, dims="time", name="time")
    warm = np.logical_and.reduce([each.segments.full_warmup for each in several]) & ready.asked
    usable = steps_of_season(stamps, season, warm, among="with its whole warm-up inside the data")
    steps = np.flatnonzero(usable).astype(np.int64)
    goals = [find_target(replace(each, steps=steps), target, variable, hide, lead) for each in several]
    goal, unseen = goals[0], unseen_steps(goals, season)
    phases = None if events is None else phases_of_events(goal, events, usable)
    # The whole record is read here, once; what follows reads the windows of the steps of the phases.
    lazy: dict[str, Any] = dict(lazy_series(goal, method))
    lazy["index_record"] = find_index(goal, index)
    lazy["models"] = [network_series(other) for other in goals[1:]]
    lazy["maps"] = lazy_correlations(conformed_of(goal.ready), lazy["observed_record"], lags, season, alpha)
    (series,) = compute(lazy)  # type: ignore[no-untyped-call]
    values, name = _index(goal, index, series)
    phases = (phases_of_index(values, threshold, usable, name) if phases is None else phases).at_most(samples)
    parts = explain(goal.at(phases.both), method, season=season)
    # The linear answer has no weights to shuffle, and is the same for all models.
    repeats, others = (0, []) if method == "linear" else (checks, goals[1:])
    checked = check_difference(goal, parts, phases, method, repeats, seed)
    areas = default_regions(goal) if regions is None else regions
    sums = [sums_of_regions(other, phases.both, method, areas) for other in others]
    # Of data in memory the contributions are there already, and were announced.
    times = 1 + len(sums) + 2 * repeats * min(1, 2 * MOST_CHECKED / len(phases.both))
    with _progress(goal.ready, phases.both, method, times) if parts.chunks else nullcontext():
        # One by one: a Dataset of an array and of its sum loses blocks of the array in dask's fusion (2026.8).
        values_of_parts, checked, sums = compute(dict(parts.data_vars), checked, sums)  # type: ignore[no-untyped-call]
    attributed = parts.assign(values_of_parts)
    out = scored(goal, unseen, series, season, alpha, seed)
    composed = composites(goal, attributed, out, phases, season, alpha, seed, areas)
    correlated = series["maps"].rename(correlation="correlation_map", significant="correlation_significant")
    merged = [out, composed, correlated, checked]
    if len(goals) > 1:
        every = [series["network"], *series["models"]]
        regional = [composed["by_region"].sum("variable"), *map(phases.composites, sums)] if sums else []
        merged.append(of_models(goals, every, regional, xr.merge([out, composed]), unseen, phases))
    out = xr.merge(merged, compat="override", join="outer", combine_attrs="drop_conflicts")
    return _described(goal, out, phases, season, method, alpha)


def _index(goal: Target, index: Index, series: dict[str, Any]) -> tuple[NDArray[np.float64], str]:
    """Give the values that phases are chosen by at all steps of the data, and their name; add the regression on it."""
    ready = goal.ready
    if series["index_record"] is None:
        # The phases are those of the observed value, on which a regression would be perfect.
        values = np.full(len(ready.conformed.time.values), np.nan)
        values[ready.steps] = series["observed"]
        return values, index_name(goal, index)
    values, words = index_values(goal, series["index_record"])
    series["index"] = regression(values[ready.steps], series["observed"], in_training(ready)[ready.steps])
    return values, f"{index_name(goal, index)}{words}"


def _progress(ready: Prepared, steps: NDArray[np.int64], method: str, times: float) -> AbstractContextManager[Any]:
    """Say what the contributions will take, and show how far they are if that is wanted."""
    runs = INTEGRAL_RUNS if method == "integrated" else 2 + GRADIENT_RUNS
    read = int(ready.segments.each_step().steps_read[steps].sum() * runs * times)
    shown = bool(ready.settings["progress"])
    if method != "linear":
        seconds = seconds_for(ready.model.card.network, ready.grid.shape, read)
        work = f"{round(len(steps) * runs * times):,} runs of the network over {read:,} steps in all"
        announce("teleconnection", work, seconds, shown=shown)
    return ProgressBar() if shown else nullcontext()  # type: ignore[no-untyped-call]


def _described(goal: Target, out: xr.Dataset, phases: Phases, season: Season, method: str, alpha: float) -> xr.Dataset:
    said = {
        "target_area": goal.cells.words,
        "hidden_area": "none" if goal.hidden is None else goal.hidden.words,
        "target_variable": goal.name,
        "lead": goal.lead,
        "season": season_name(season),
        "phases": f"{phases.names[0]} and {phases.names[1]}: {phases.words}",
        "attribution_method": method,
        "alpha": alpha,
        "units": goal.units,
    }
    out = out.assign_attrs({**provenance(goal.ready, "teleconnection"), **said})
    return out.assign_attrs(sentence=claim(out))
