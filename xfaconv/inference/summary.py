"""One call about a teleconnection: what is known of a place from afar, how well, where from, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal, Unpack

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import compute
from dask.diagnostics.progress import ProgressBar
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from xfaconv.analysis.statistics.composites import membership_test
from xfaconv.analysis.statistics.correlation import correlation_map
from xfaconv.analysis.statistics.seasons import Season, season_name, season_years, spread_evenly, steps_of_season
from xfaconv.arguments import Arguments, check_arguments, check_choice, shared_arguments
from xfaconv.bootstrap import block_bootstrap
from xfaconv.engine.api import conformed_of
from xfaconv.engine.cost import GRADIENT_RUNS, INTEGRAL_RUNS, announce, seconds_for
from xfaconv.engine.prepare import Prepared, prepare
from xfaconv.engine.results import labelled, provenance
from xfaconv.errors import ArgumentError, TimeError, require_torch
from xfaconv.inference.areas import Area, Cells, find_cells
from xfaconv.inference.claims import DIFFERENCE, claim
from xfaconv.inference.contributions import check_question, explain
from xfaconv.inference.phases import INDICES, Index, Phases, choose_phases
from xfaconv.inference.prediction import in_training, mark_training, predict, steps_later
from xfaconv.inference.regions import Regions, sum_by_region
from xfaconv.inference.scores import block_of, score_series
from xfaconv.inference.targets import Target, find_target, observed_mean, predicted_mean

# Neighbours of the target are as far away as this, or a cell where cells are larger [degrees].
_NEIGHBOUR = 5.0
# What is as near as this to the hidden area may give it away through the continuity of the fields [degrees].
_CLOSE = 10.0
_FEWEST_PAIRS = 8


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
        Index whose phases are compared and that is the simplest rival. Default: the observed value itself.
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
        lag, latitude, longitude)`` and ``correlation_significant``; ``neighbour_correlation (neighbour)``. The
        attribute ``sentence`` says what may be claimed.

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
    if isinstance(index, str):
        check_choice("index", index, INDICES)
    check_question(hide, lead)
    ready = prepare(ds, arguments)
    if ready.cold is not None:
        raise ready.cold
    stamps = xr.DataArray(ready.conformed.time.values, dims="time", name="time")
    warm = ready.segments.full_warmup & ready.asked
    usable = steps_of_season(stamps, season, warm, among="with its whole warm-up inside the data")
    ready = replace(ready, steps=np.flatnonzero(usable).astype(np.int64))
    goal = find_target(ready, target, variable, hide, lead)
    series = _series(goal, method)
    phases = choose_phases(goal, index, threshold, events, usable, series["observed"])
    # Without an index the phases are those of the observed value, on which a regression would be perfect.
    if index is not None and phases.index is not None:
        series["index"] = _regression(phases.index[ready.steps], series["observed"], in_training(ready)[ready.steps])
    chosen = [spread_evenly(steps, samples) for steps in phases.steps]
    both = np.sort(np.concatenate(chosen))
    parts = explain(replace(goal, ready=replace(ready, steps=both)), method, season=season)
    fields = conformed_of(ready)
    maps = _correlations(fields, series["observed_record"], lags, season, alpha)
    # Of data in memory the contributions are there already, and were announced.
    with _progress(ready, both, method) if parts.chunks else nullcontext():
        attributed = parts.compute()
    correlated = maps.compute()
    out = _scored(goal, series, season, alpha, seed)
    composed = _composites(goal, attributed, out, phases, chosen, season, alpha, seed, regions)
    correlated = correlated.rename(correlation="correlation_map", significant="correlation_significant")
    out = xr.merge([out, composed, correlated], compat="override", join="outer", combine_attrs="drop_conflicts")
    return _described(goal, out, phases, season, method, alpha)


def _series(goal: Target, needed: str) -> dict[str, Any]:
    """Compute the series of the network, of the linear answer, of their neighbours and of what was observed."""
    ready, name = goal.ready, goal.name
    lazy: dict[str, Any] = {}
    for method in ("network", "linear"):
        try:
            (array,) = predict(ready, method, leads=(goal.lead,), hide=goal.hide)[name]
        except TimeError:
            # The data hold too few training steps for the linear answer: the others are compared without it.
            if method == needed or method == "network":
                raise
            continue
        lazy[method] = predicted_mean(goal, array)
        if method == "network":
            lazy |= {f"to the {way}": predicted_mean(other, array) for way, other in _neighbours(goal).items()}
    lazy |= {f"observed to the {way}": observed_mean(other) for way, other in _neighbours(goal).items()}
    lazy["observed"] = observed_mean(goal)
    record = replace(goal, ready=replace(ready, steps=None))
    lazy["observed_record"] = observed_mean(record)
    return dict(zip(lazy, compute(*lazy.values()), strict=True))  # type: ignore[no-untyped-call]


def _progress(ready: Prepared, steps: NDArray[np.int64], method: str) -> AbstractContextManager[Any]:
    """Say what the contributions will take, and show how far they are if that is wanted."""
    runs = INTEGRAL_RUNS if method == "integrated" else 2 + GRADIENT_RUNS
    read = int(ready.segments.each_step().steps_read[steps].sum()) * runs
    shown = bool(ready.settings["progress"])
    if method != "linear":
        seconds = seconds_for(ready.model.card.network, ready.grid.shape, read)
        work = f"{len(steps) * runs:,} runs of the network over {read:,} steps in all"
        announce("teleconnection", work, seconds, shown=shown)
    return ProgressBar() if shown else nullcontext()  # type: ignore[no-untyped-call]


def _neighbours(goal: Target) -> dict[str, Target]:
    """Targets of the same shape beside this one, as far as they lie inside what is hidden."""
    grid, weights = goal.ready.grid, goal.cells.weights
    steps = np.diff(grid.latitude[:2])[0], np.diff(grid.longitude[:2])[0]
    rows, columns = (max(1, round(_NEIGHBOUR / step)) for step in steps)
    found = {}
    for way, (down, along) in {
        "north": (rows, 0),
        "south": (-rows, 0),
        "east": (0, columns),
        "west": (0, -columns),
    }.items():
        moved = np.roll(weights, (down, along), axis=(0, 1))
        wraps = (down and np.any(weights[-down:] if down > 0 else weights[:-down])) or (
            along and not grid.periodic and np.any(weights[:, -along:] if along > 0 else weights[:, :-along])
        )
        if wraps or (goal.hide is not None and np.any((moved != 0) & ~goal.hide)):
            continue
        found[way] = replace(goal, cells=Cells(moved, f"{goal.cells.words}, to the {way}"))
    return found


def _regression(
    index: NDArray[np.float64], seen: NDArray[np.floating], trained: NDArray[np.bool_]
) -> NDArray[np.float32] | None:
    """Regress the observed value on the index in the training years; None where these have too few steps."""
    known = np.isfinite(index) & np.isfinite(seen) & trained
    if known.sum() < _FEWEST_PAIRS:
        return None
    slope, constant = np.polyfit(index[known], seen[known], 1)
    return np.asarray(slope * index + constant, dtype=np.float32)


def _correlations(
    fields: xr.Dataset, seen: NDArray[np.floating], lags: Sequence[int], season: Season, alpha: float
) -> xr.Dataset:
    """Correlate the observed value with every variable everywhere at some lags."""
    names = xr.Variable("variable", np.array(list(fields.data_vars), dtype=object))
    # All variables in one array: a fifth of the tasks to write.
    whole = xr.concat(list(fields.data_vars.values()), names, join="exact", combine_attrs="override")
    time, *places = next(iter(fields.data_vars.values())).dims
    base = xr.DataArray(seen, {time: fields[time]}, (time,), name="target")
    found = correlation_map(whole, base, lag=list(lags), season=season, alpha=alpha, deseasonalise=False)
    return found[["correlation", "significant"]].transpose("variable", "lag", *places)


def _scored(goal: Target, series: Mapping[str, Any], season: Season, alpha: float, seed: int) -> xr.Dataset:
    """Label the series, and score them on unseen steps."""
    ready = goal.ready
    names = [name for name in ("network", "linear", "index") if series.get(name) is not None]
    predicted, seen = np.stack([series[name] for name in names], axis=1), series["observed"]
    observed = labelled(ready, "series", da.from_array(seen), {}).rename("observed").compute()  # type: ignore[no-untyped-call]
    ahead, trained = steps_later(ready, goal.lead), in_training(ready)
    later = ahead[ready.steps]
    unseen = ~(trained[ready.steps] | ((later >= 0) & trained[later])) & np.isfinite(seen)
    if unseen.sum() < _FEWEST_PAIRS:
        raise TimeError(
            "too few steps of the season are unseen",
            expected=f"at least {_FEWEST_PAIRS} steps outside of the training years",
            found=f"{int(unseen.sum())} of {len(unseen)}",
            fix="season=None  # or a record that goes beyond the training years",
        )
    time = observed.dims[0]
    stamps = xr.DataArray(ready.conformed.time.values[ready.steps], dims="time", name="time")
    length = block_of(stamps[unseen], season)
    units = {"units": goal.units}
    out = xr.Dataset(
        {
            "predicted": (("prediction", time), predicted.T, {"long_name": f"predicted {goal.name} anomaly", **units}),
            "observed": observed.assign_attrs(long_name=f"observed {goal.name} anomaly", **units),
        },
        {"prediction": np.array(names, dtype=object), "in_training": mark_training(ready, observed)},
    )
    scores = score_series(predicted[unseen], seen[unseen], block=length, alpha=alpha, seed=seed)
    for name, values in scores.items():
        out[name] = ("prediction", values, {"long_name": f"{name.replace('_', ' ')} on unseen steps", "units": "1"})
    ways = [name.removeprefix("to the ") for name in series if name.startswith("to the ")]
    beside = [
        float(np.corrcoef(series[f"to the {way}"][unseen], series[f"observed to the {way}"][unseen])[0, 1])
        for way in ways
    ]
    about = {"long_name": "correlation of the network on unseen steps for the target moved by 5 degrees or a cell"}
    out["neighbour_correlation"] = ("neighbour", np.array(beside), about)
    return out.assign_coords(neighbour=np.array(ways, dtype=object)).assign_attrs(
        unseen_steps=int(unseen.sum()),
        training_steps=int((trained & (ahead >= 0) & trained[ahead]).sum()),
        block=length,
    )


def _composites(
    goal: Target,
    attributed: xr.Dataset,
    out: xr.Dataset,
    phases: Phases,
    chosen: Sequence[NDArray[np.int64]],
    season: Season,
    alpha: float,
    seed: int,
    regions: Regions | None,
) -> xr.Dataset:
    """Average contributions over the phases, test their difference, and sum them by region."""
    parts = attributed["attribution"]
    time = str(parts.dims[0])
    both = np.sort(np.concatenate(chosen))
    high = xr.DataArray(np.isin(both, chosen[0]), {time: parts[time]}, (time,))
    series = out.sel({time: parts[time]})
    names = np.array([*phases.names, DIFFERENCE], dtype=object)

    def by_phase(values: xr.DataArray) -> xr.DataArray:
        first, second = (values.isel({time: np.flatnonzero(members)}).mean(time) for members in (high, ~high))
        joined = xr.concat([first, second, first - second], "phase").assign_coords(phase=names)
        return joined.assign_attrs(values.attrs)

    found = xr.Dataset({"attribution": by_phase(parts)})
    found["mean_predicted"], found["mean_observed"] = by_phase(series["predicted"]), by_phase(series["observed"])
    total = parts.sum("variable").astype(np.float32)
    found["significant"] = membership_test(total, high, season=season, alpha=alpha).significant
    areas = default_regions(goal) if regions is None else regions
    found["by_region"] = by_phase(sum_by_region(parts, areas))
    of_steps = sum_by_region(total, areas).transpose(time, "region")
    members = np.stack([high.values, ~high.values], axis=1).astype(float)
    sums = np.concatenate([members[:, :, None] * of_steps.values[:, None], members[:, :, None]], axis=2)

    def difference(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        means = drawn[..., :-1] / np.maximum(drawn[..., -1:], 1)
        return np.asarray(means[:, 0] - means[:, 1])

    stamps = xr.DataArray(goal.ready.conformed.time.values[both], dims="time", name="time")
    per_year = int(np.median(np.unique(season_years(stamps, season), return_counts=True)[1]))
    ends = block_bootstrap(sums, difference, max(per_year, 1), level=1 - alpha, seed=seed)
    for end, values in zip(("low", "high"), ends, strict=True):
        about = {"long_name": f"{end} end of the interval of the difference", "units": goal.units}
        found[f"by_region_{end}"] = ("region", values.astype(np.float32), about)
    masks = [name for name in ("target", "hidden") if name in attributed.coords]
    steps = {
        f"steps_of_{phase}": int(members.sum()) for phase, members in zip(("high", "low"), (high, ~high), strict=True)
    }
    return found.assign_coords({name: attributed[name] for name in masks}).assign_attrs(steps)


def default_regions(goal: Target) -> dict[str, Area]:
    """Name the tropical oceans that are visible, and what lies close to the hidden area or the target."""
    grid = goal.ready.grid
    blocked = goal.cells.mask if goal.hide is None else goal.hide
    rows, columns = (max(1, round(_CLOSE / float(np.diff(axis[:2])[0]))) for axis in (grid.latitude, grid.longitude))
    # Around the globe the eastern neighbours of the last column are the first ones.
    padded = np.pad(blocked, ((0, 0), (columns, columns)), mode="wrap" if grid.periodic else "constant")
    wide = binary_dilation(padded, np.ones((2 * rows + 1, 2 * columns + 1)))[:, columns:-columns]
    if goal.hide is not None:
        wide &= ~blocked
    coords = {"latitude": list(grid.latitude), "longitude": list(grid.longitude)}
    words = f"within {_CLOSE:g} degrees of {'the target' if goal.hide is None else 'what is hidden'}"
    areas: dict[str, Area] = {}
    for name in ("tropical_pacific", "tropical_indian_ocean", "tropical_atlantic"):
        try:
            mask = find_cells(grid, name, "region").mask
        except ArgumentError:
            continue
        # The part near what is hidden counts there alone, so that the sums of regions do not overlap.
        if (mask & ~wide & (True if goal.hide is None else ~goal.hide)).any():
            areas[name] = xr.DataArray(mask & ~wide, coords, ("latitude", "longitude"))
    if wide.any():
        areas[words] = xr.DataArray(wide, coords, ("latitude", "longitude"))
    return areas


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
