"""The series of a teleconnection and what was observed: network, linear answer, regression on an index, neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.statistics.correlation import correlation_map
from xfaconv.analysis.statistics.seasons import Season
from xfaconv.engine.results import labelled
from xfaconv.errors import TimeError
from xfaconv.inference.areas import Cells
from xfaconv.inference.prediction import in_training, mark_training, predict, steps_later
from xfaconv.inference.scores import block_of, score_series
from xfaconv.inference.targets import Target, observed_mean, predicted_mean

# Neighbours of the target are as far away as this, or a cell where cells are larger [degrees].
_NEIGHBOUR = 5.0
_FEWEST_PAIRS = 8


def lazy_series(goal: Target, needed: str) -> dict[str, da.Array]:
    """Series of the network, of the linear answer, of their neighbours and of what was observed, not computed yet.

    Parameters
    ----------
    goal : Target
        The value that is explained.
    needed : str
        Method of the contributions: without the linear answer only that method fails.

    Returns
    -------
    dict of str to dask array (time,)
        ``"observed_record"`` is that of all steps of the data, the others are those of the target's steps.
    """
    ready, name = goal.ready, goal.name
    lazy: dict[str, da.Array] = {}
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
    return lazy


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


def regression(
    index: NDArray[np.float64], seen: NDArray[np.floating], trained: NDArray[np.bool_]
) -> NDArray[np.float32] | None:
    """Regress the observed value on the index in the training years; None where these have too few steps."""
    known = np.isfinite(index) & np.isfinite(seen) & trained
    if known.sum() < _FEWEST_PAIRS:
        return None
    slope, constant = np.polyfit(index[known], seen[known], 1)
    return np.asarray(slope * index + constant, dtype=np.float32)


def lazy_correlations(
    fields: xr.Dataset, seen: da.Array, lags: Sequence[int], season: Season, alpha: float
) -> xr.Dataset:
    """Correlate the observed value (time,) with every variable everywhere at some lags, lazily."""
    names = xr.Variable("variable", np.array(list(fields.data_vars), dtype=object))
    # All variables in one array: a fifth of the tasks to write.
    whole = xr.concat(list(fields.data_vars.values()), names, join="exact", combine_attrs="override")
    time, *places = next(iter(fields.data_vars.values())).dims
    base = xr.DataArray(seen, {time: fields[time]}, (time,), name="target")
    found = correlation_map(whole, base, lag=list(lags), season=season, alpha=alpha, deseasonalise=False)
    return found[["correlation", "significant"]].transpose("variable", "lag", *places)


def unseen_steps(goals: Sequence[Target], season: Season) -> NDArray[np.bool_]:
    """Mark the steps that are in the training years of no model, nor those that they are verified with (time,).

    Raises
    ------
    TimeError
        If they are too few.
    """
    ready, lead = goals[0].ready, goals[0].lead
    later = steps_later(ready, lead)
    trained = np.logical_or.reduce([in_training(goal.ready) for goal in goals])
    # Beyond the record nothing was observed.
    unseen = ~trained & (later >= 0) & ~trained[later]
    return _enough(np.asarray(unseen[ready.asked]), season)


def _enough(unseen: NDArray[np.bool_], season: Season) -> NDArray[np.bool_]:
    if unseen.sum() < _FEWEST_PAIRS:
        raise TimeError(
            "too few steps of the season are unseen",
            expected=f"at least {_FEWEST_PAIRS} steps outside of the training years",
            found=f"{int(unseen.sum())} of {len(unseen)}",
            fix="a record that goes beyond the training years" if season is None else "season=None",
        )
    return unseen


def scored(
    goal: Target, unseen: NDArray[np.bool_], series: Mapping[str, Any], season: Season, alpha: float, seed: int
) -> xr.Dataset:
    """Label the series, and score them on unseen steps.

    Parameters
    ----------
    goal : Target
        The value that is explained.
    unseen : ndarray (time,) of bool
        Steps that scores are taken of.
    series : mapping of str to ndarray (time,)
        From `lazy_series`, computed.
    season, alpha, seed
        See `xfaconv.teleconnection`.

    Returns
    -------
    Dataset
    """
    ready = goal.ready
    names = [name for name in ("network", "linear", "index") if series.get(name) is not None]
    predicted, seen = np.stack([series[name] for name in names], axis=1), series["observed"]
    observed = labelled(ready, "series", da.from_array(seen), {}).rename("observed").compute()  # type: ignore[no-untyped-call]
    unseen = _enough(unseen & np.isfinite(seen), season)
    ahead, trained = steps_later(ready, goal.lead), in_training(ready)
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
