"""What the visible world adds to an inferred or forecast value: signed, in its units, summing to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Unpack

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import Delayed, delayed
from numpy.typing import NDArray

from xfaconv.analysis.statistics.seasons import Season, in_season, season_name, spread_evenly, steps_of_season
from xfaconv.arguments import (
    Arguments,
    check_arguments,
    check_choice,
    check_rules,
    is_number,
    is_whole,
    shared_arguments,
)
from xfaconv.engine.cost import GRADIENT_RUNS, INTEGRAL_RUNS
from xfaconv.engine.dates import show_date, steps_at
from xfaconv.engine.graph import part_array, segment_graph
from xfaconv.engine.prepare import Prepared, prepare
from xfaconv.engine.results import finish, labelled
from xfaconv.errors import ArgumentError, TimeError
from xfaconv.inference.areas import Area
from xfaconv.inference.integral import Question, run_window
from xfaconv.inference.linear import LinearFit
from xfaconv.inference.prediction import (
    linear_answer,
    mark_training,
    require_one_member,
)
from xfaconv.inference.regions import Regions, read_regions
from xfaconv.inference.targets import Target, find_target, observed_mean, typed

Method = Literal["integrated", "gradient", "occlusion", "linear"]
METHODS = ("integrated", "gradient", "occlusion", "linear")
_RULES = {
    "lags": (lambda value: isinstance(value, bool), "True or False", "True"),
    "tolerance": (lambda value: is_number(value, 1e-9, 1), "a share of the target's spread, up to 1", "0.01"),
}
_LONG_NAMES = {
    "value": "{said} {what}",
    "observed": "observed {what}",
    "baseline": "{said} {what} from the baseline",
    "remainder": "what the contributions leave of {said} minus baseline",
    "nodes": "nodes of the integral",
}


@shared_arguments
def attribution(
    ds: xr.Dataset,
    target: Area,
    variable: str,
    *,
    hide: Area | None = None,
    lead: int | None = None,
    method: Method = "integrated",
    baseline: Any = "climatology",
    regions: Regions | None = None,
    lags: bool = False,
    samples: int | None = None,
    season: Season = None,
    tolerance: float = 0.01,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Say how much each place and variable adds to an inferred or forecast value.

    The contributions are signed and in the units of the target. With the remainder and the value of the baseline they
    sum to the value that `xfaconv.infer` or `xfaconv.forecast` gives, which can be verified by what was observed.
    Integrated gradients (Sundararajan and others 2017) divide the value by the gradient of the network along the
    straight path from the baseline to the fields.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    target : tuple, mapping, str, DataArray or list
        Where the value is: a place (latitude, longitude), a box (south, north, west, east), the name of a region, a
        mask, or a map of weights for an index; see `xfaconv.infer`. Areas give the mean, weighted by the cell areas.
    variable : str
        The model's name of the variable.
    hide : tuple, mapping, str, DataArray or list, optional
        Explain what is inferred of a hidden area, of which the target is a part; as in `xfaconv.infer`.
    lead : int, optional
        Explain the forecast so many steps ahead, instead.
    method : {"integrated", "gradient", "occlusion", "linear"}, default "integrated"
        Integrated gradients; gradient times difference from the baseline, its first-order form; the change of the value
        when a region is hidden; or the linear answer, of which each contribution is exactly coefficient times
        difference.
    baseline : "climatology", label, slice or sequence of labels, default "climatology"
        What the fields are compared with: their climatology, or the mean of the fields before some other dates, lag
        by lag, such as the neutral winters.
    regions : mapping of str to area, list of names, mask or regionmask.Regions, optional
        What ``method="occlusion"`` hides, one after the other.
    lags : bool, default False
        Keep the lags apart [steps before the step of the result] instead of summing over them.
    samples : int, optional
        Number of steps, spread evenly over those asked for.
    season : str or sequence of int, optional
        Only steps in this season, such as ``"DJF"``; of a forecast the step that it starts from.
    tolerance : float, default 0.01
        The integral takes 4 nodes, and twice as many until the remainder is below this share of the target's spread:
        the weighted mean of the standard deviations of the anomalies in its cells. With 64 nodes it warns and stops.
    **arguments
        The shared arguments of the engine. Without ``time`` all steps with their whole warm-up are explained.

    Returns
    -------
    Dataset
        ``attribution ([member,] time, [lag,] variable, latitude, longitude)``, 0 where the fields are missing or hidden
        and at lags before the window; of occlusion ``attribution ([member,] time, region)``, the value minus the value
        without the region, and ``rank``, 1 where that change is the largest among the steps asked for in the same
        calendar month. ``value``, ``observed`` (NaN beyond the record), ``baseline`` and ``remainder`` ([member,]
        time), float32, in the units of the variable in `ds`; ``nodes`` of the integral. ``attribution`` summed, plus
        ``baseline`` plus ``remainder`` is ``value``. Coordinates: ``in_training (time)``, ``full_warmup (time)``,
        ``target (latitude, longitude)`` and, with `hide`, ``hidden (latitude, longitude)``. One task for each step; a
        window is what the engine reads for the step: from the warm-up of its segment to the step.

    Raises
    ------
    ArgumentError
        If not one of `hide` and `lead` is given, or the target is not inside the hidden area.
    VariableError
        If the model has no such variable.
    MissingDataError
        If the variable has no values in the target.
    ModelError
        If the model does not infer hidden parts, or has no such lead.
    TimeError
        If no step has its whole warm-up, none is in the season, or a date is not in the record.
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> found = xfaconv.attribution(ds, (30, 60, 170, 220), "z500", hide=(20, 80, 140, 250), time="2016-01")
    >>> found.attribution.dims, found.attribution.attrs["units"]
    (('time', 'variable', 'lat', 'lon'), 'm')
    """
    check_choice("method", method, METHODS)
    check_arguments(samples=samples)
    check_rules({"lags": lags, "tolerance": tolerance}, _RULES)
    check_question(hide, lead, method, baseline, regions)
    ready = prepare(ds, arguments)
    wanted = find_target(replace(ready, steps=_steps(ready, season, samples)), target, variable, hide, lead)
    return explain(wanted, method, baseline, regions, lags=lags, tolerance=tolerance, season=season)


def explain(
    wanted: Target,
    method: str = "integrated",
    baseline: Any = "climatology",
    regions: Regions | None = None,
    *,
    lags: bool = False,
    tolerance: float = 0.01,
    season: Season = None,
) -> xr.Dataset:
    """Divide a value in data that are prepared: see `attribution`."""
    ready = wanted.ready
    before = None if _is_climatology(baseline) else _baseline_steps(ready, baseline)
    if method == "linear":
        parts = _linear_parts(wanted, before, lags=lags)
        work = (0, 0)
    else:
        names, masks = read_regions(ready.grid, regions) if regions is not None else ((), None)
        parts, work = _network_parts(wanted, method, before, masks, lags=lags, tolerance=tolerance)
        parts |= {"region": names}
    outputs = _labelled_parts(wanted, method, parts)
    asked = {"target": wanted.cells.words, "variable": wanted.name, "lead": wanted.lead, "method": method}
    asked |= {"hide": None if wanted.hidden is None else wanted.hidden.words, "season": season}
    result = finish(ready, "attribution", outputs, asked | {"baseline": typed(baseline)}, work)
    return _described(wanted, result, method, season, baseline)


def check_question(
    hide: Area, lead: object, method: str = "integrated", baseline: object = "climatology", regions: object = None
) -> None:
    """Refuse arguments that contradict each other: see `attribution`."""
    one = "one of hide= (what is inferred of a hidden area) and lead= (a forecast)"
    if (hide is None) == (lead is None):
        found = "neither" if hide is None else "both"
        fix = "hide=(20, 80, 140, 250)  # or lead=1 for a forecast" if hide is None else "lead=None"
        raise ArgumentError("it is not clear what value is explained", expected=one, found=found, fix=fix)
    if lead is not None and not is_whole(lead, 1):
        raise ArgumentError(
            "lead cannot be used", expected="a whole number from 1", found=repr(lead)[:200], fix="lead=1"
        )
    if (method == "occlusion") != (regions is not None):
        if regions is None:
            raise ArgumentError(
                "occlusion hides regions, and none is given", fix="regions={'tropical Pacific': (-15, 15, 160, 280)}"
            )
        raise ArgumentError(
            f"method={method!r} explains every cell and takes no regions",
            fix="regions=None  # xfaconv.inference.sum_by_region(found.attribution, regions) afterwards",
        )
    if method == "occlusion" and not _is_climatology(baseline):
        raise ArgumentError("occlusion compares with climatology alone", fix="baseline='climatology'")


def _is_climatology(baseline: object) -> bool:
    return isinstance(baseline, str) and baseline == "climatology"


def _steps(ready: Prepared, season: Season, samples: int | None) -> NDArray[np.int64]:
    """Positions of the steps that are explained: those of ``time``, else those with their whole warm-up."""
    if ready.cold is not None:
        raise ready.cold
    stamps = xr.DataArray(ready.conformed.time.values, dims="time", name="time")
    warm = ready.segments.full_warmup
    usable = warm if ready.steps is None else ready.asked
    chosen = steps_of_season(
        stamps, season, usable, among="with its whole warm-up" if ready.steps is None else "of time="
    )
    if not (chosen & warm).any():
        good = np.flatnonzero(warm & in_season(stamps, season))
        fix = f"time='{show_date(stamps.values[good[0]])}'" if good.size else "season=None  # for all months"
        raise TimeError("no step of time= in the season has its whole warm-up inside the data", fix=fix)
    listed = np.flatnonzero(chosen) if ready.steps is None else ready.steps[chosen[ready.steps]]
    return spread_evenly(listed.astype(np.int64), samples)


def _baseline_steps(ready: Prepared, baseline: Any) -> NDArray[np.int64]:
    """Positions of the dates of a baseline, which need windows as long as those that are explained."""
    stamps, windows = ready.conformed.time.values, ready.segments.each_step()
    longest = int(windows.steps_read[ready.steps].max())
    whole = np.zeros(len(stamps), dtype=bool)
    for span in ready.conformed.time.spans:
        whole[span.start + longest - 1 : span.stop] = True
    fix = f"baseline='{show_date(stamps[np.argmax(whole)])}'"
    try:
        steps = steps_at(stamps, baseline, "baseline")
    except TimeError as problem:
        raise TimeError(problem.problem, expected=problem.expected, found=problem.found, fix=fix) from None
    if not whole[steps].all():
        raise TimeError(
            "a date of the baseline has no whole window before it",
            expected=f"{longest} steps without a gap up to each date",
            found=show_date(stamps[steps[~whole[steps]][0]]),
            fix=fix,
        )
    return steps


def _network_parts(
    target: Target,
    method: str,
    before: NDArray[np.int64] | None,
    masks: NDArray[np.bool_] | None,
    *,
    lags: bool,
    tolerance: float,
) -> tuple[dict[str, Any], tuple[int, int]]:
    """Write one task of the network for each step; gives its parts, and the runs and steps that they take."""
    ready = target.ready
    windows = ready.segments.each_step()
    lengths = windows.steps_read[ready.steps]
    longest = int(lengths.max())
    leads = ready.model.card.network.leads
    question = Question(method, target.variable, leads.index(target.lead), tolerance, longest if lags else 0, masks)
    given = [delayed(question, pure=True, traverse=False), target.in_units, _mean_windows(ready, before, longest)]
    # Each window begins from rest: a chain of segments begins where the window does.
    work = replace(ready.work(hide=target.hide), serial=False)
    source = segment_graph(work, ready.conformed.time, windows, ready.arrays, ready.steps, run=run_window, given=given)
    fields = (len(ready.model.card.variables), *ready.grid.shape)
    shape = (len(masks),) if masks is not None else (longest, *fields) if lags else fields
    parts: dict[str, Any] = {"attribution": part_array(source, "attribution", *shape)}
    parts |= {name: part_array(source, name) for name in ("value", "baseline", "remainder")}
    if method == "integrated":
        parts["nodes"] = part_array(source, "nodes")
    runs = INTEGRAL_RUNS if method == "integrated" else 2 + (GRADIENT_RUNS if masks is None else len(masks))
    return parts, (len(lengths) * runs, int(lengths.sum()) * runs)


def _mean_windows(ready: Prepared, before: NDArray[np.int64] | None, longest: int) -> Delayed:
    """Average the windows before some steps (lag, variable, latitude, longitude); 0 where all are missing."""
    if before is None:
        nothing: Delayed = delayed(None, pure=True)
        return nothing
    fields = da.stack(ready.arrays, axis=-3)  # type: ignore[no-untyped-call]
    if ready.members is not None:
        fields = fields.mean(axis=0)
    windows = da.stack([fields[step + 1 - longest : step + 1] for step in before])  # type: ignore[no-untyped-call]
    there = da.isfinite(windows)
    total = da.where(there, windows, 0).sum(axis=0, dtype=np.float64)
    mean = (total / da.maximum(there.sum(axis=0), 1)).astype(np.float32).rechunk(-1)
    found: Delayed = mean.to_delayed().item()
    return found


def _linear_parts(target: Target, before: NDArray[np.int64] | None, *, lags: bool) -> dict[str, Any]:
    """Divide the linear answer: coefficient times difference from the baseline in every cell that is read."""
    ready = target.ready
    require_one_member(ready, "linear")
    fields, fit = linear_answer(ready, target.lead, target.hide)
    hide = np.ones(ready.grid.shape, dtype=bool) if target.hide is None else target.hide
    weights = delayed(_of_targets, pure=True)(target.in_units, hide, target.variable, len(ready.arrays))
    start = _mean_windows(ready, before, 1)
    terms = delayed(_terms)(fit, weights, start, ready.grid.shape)
    asked = fields[ready.steps].rechunk((1, -1, -1, -1))
    options: dict[str, Any] = {"dtype": np.float32, "meta": np.empty((0,) * 4, np.float32)}
    found = da.map_blocks(_contributions, asked, terms, **options)  # type: ignore[no-untyped-call]
    series = {"drop_axis": (1, 2, 3), "dtype": np.float32, "meta": np.empty(0, np.float32)}
    value = da.map_blocks(_linear_value, asked, fit, weights, **series)  # type: ignore[no-untyped-call]
    first = da.map_blocks(_linear_start, asked, terms, **series)  # type: ignore[no-untyped-call]
    remainder = (value - first - found.sum(axis=(1, 2, 3), dtype=np.float64)).astype(np.float32)
    parts = {"attribution": found[:, None] if lags else found, "value": value}
    return parts | {"baseline": first, "remainder": remainder}


def _of_targets(
    in_units: NDArray[np.float64], hide: NDArray[np.bool_], variable: int, variables: int
) -> NDArray[np.float64]:
    """Put weights of cells in the order of the targets of the linear answer."""
    out = np.zeros((variables, int(hide.sum())))
    out[variable] = in_units[hide]
    return out.ravel()


def _terms(
    fit: LinearFit, weights: NDArray[np.float64], start: NDArray[np.float32] | None, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Coefficients and baseline (variable, latitude, longitude), and the value of the baseline."""
    thinned, constant = fit.per_cell(weights)
    coefficients = np.zeros((len(thinned), *shape))
    stride = fit.predictors.stride
    coefficients[:, ::stride, ::stride] = thinned
    first = np.zeros_like(coefficients) if start is None else start[-1].astype(np.float64)
    return coefficients, first, constant + float((coefficients * first).sum())


def _contributions(block: NDArray[Any], terms: tuple[Any, ...]) -> NDArray[np.float32]:
    coefficients, first, _ = terms
    return np.asarray(coefficients * (np.nan_to_num(block, nan=0.0) - first), dtype=np.float32)


def _linear_value(block: NDArray[Any], fit: LinearFit, weights: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(fit.apply(block).astype(np.float64) @ weights, dtype=np.float32)


def _linear_start(block: NDArray[Any], terms: tuple[Any, ...]) -> NDArray[np.float32]:
    return np.full(len(block), terms[2], dtype=np.float32)


def _labelled_parts(target: Target, method: str, parts: Mapping[str, Any]) -> dict[str, xr.DataArray]:
    """Label the parts as the data are, and add what was observed."""
    ready = target.ready
    array = parts["attribution"]
    names = np.array([entry.name for entry in ready.model.card.variables], dtype=object)
    said = "inferred" if target.lead == 0 else f"{target.lead}-step forecast of the"
    what = f"{target.name} anomaly, {target.cells.words}"
    extra: dict[str, Any] = {"variable": names}
    before_time = int(ready.members is not None)
    if method == "occlusion":
        extra = {"region": np.array(parts["region"], dtype=object)}
    elif array.ndim == before_time + 5:
        extra |= {"lag": np.arange(array.shape[before_time + 1])}
    kind = "series" if method == "occlusion" else "attribution"
    outputs = {"attribution": labelled(ready, kind, array, extra).rename("attribution")}
    effect = "change by the region" if method == "occlusion" else "contribution"
    outputs["attribution"].attrs = {"long_name": f"{effect} to the {said} {what}", "units": target.units}
    if method == "occlusion":
        outputs["rank"] = _ranked(target, array, extra)
    series = {name: parts[name] for name in _LONG_NAMES if name in parts} | {"observed": observed_mean(target)}
    for name, words in _LONG_NAMES.items():
        if name in series:
            outputs[name] = labelled(ready, "series", series[name], {}).rename(name)
            outputs[name].attrs = {
                "long_name": words.format(said=said, what=what),
                "units": "1" if name == "nodes" else target.units,
            }
    return outputs


def _ranked(target: Target, array: da.Array, extra: Mapping[str, Any]) -> xr.DataArray:
    """Rank the size of the changes among the steps in the same calendar month."""
    ready = target.ready
    stamps = xr.DataArray(np.asarray(ready.conformed.time.values)[ready.steps], dims="time", name="time")
    months = stamps.dt.month.values
    axis = array.ndim - 2
    whole = array.rechunk({axis: -1})  # type: ignore[no-untyped-call]
    ranks = da.map_blocks(_rank, whole, months, dtype=np.float32)  # type: ignore[no-untyped-call]
    ranks = ranks.rechunk({axis: 1})
    found = labelled(ready, "series", ranks, extra).rename("rank")
    found.attrs = {
        "long_name": "rank of the size of the change among the steps in the same calendar month, 1 for the largest",
        "units": "1",
    }
    return found


def _rank(block: NDArray[np.floating], months: NDArray[np.int64]) -> NDArray[np.float32]:
    size = np.abs(block)
    # (..., one, other, region): how many others of the same month are larger.
    larger = (size[..., None, :, :] > size[..., :, None, :]) & (months[:, None] == months)[..., None]
    return np.asarray(1 + larger.sum(axis=-2), dtype=np.float32)


def _described(target: Target, result: xr.Dataset, method: str, season: Season, baseline: object) -> xr.Dataset:
    """Add the areas and the words that figures need."""
    ready = target.ready
    areas = {"target": (target.cells, "whether the cell belongs to the target")}
    if target.hidden is not None:
        areas["hidden"] = (target.hidden, "whether the cell was hidden")
    for name, (cells, said) in areas.items():
        mask = xr.DataArray(cells.mask, dims=("latitude", "longitude"), attrs={"long_name": said})
        result = result.assign_coords({name: ready.conformed.labels.restore(mask)})
    result = result.assign_coords(in_training=mark_training(ready, result["value"]))
    words: dict[str, Any] = {
        "target_area": target.cells.words,
        "hidden_area": "none" if target.hidden is None else target.hidden.words,
        "target_variable": target.name,
        "lead": target.lead,
        "method": method,
        "season": season_name(season),
        "baseline": "climatology" if _is_climatology(baseline) else f"mean of the fields before {typed(baseline)}",
    }
    if int(target.cells.mask.sum()) == 1:
        row, column = np.argwhere(target.cells.mask)[0]
        words |= {
            "base_latitude": float(ready.grid.latitude[row]),
            "base_longitude": float(ready.grid.longitude[column]),
        }
    for array in result.data_vars.values():
        array.attrs.update(words)
    return result.assign_attrs(words)
