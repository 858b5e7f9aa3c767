"""The same question to several models: how far their values, their skill and their contributions differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import time_axis
from xfaconv.arguments import Arguments
from xfaconv.engine.prepare import Prepared, prepare
from xfaconv.errors import ArgumentError
from xfaconv.inference.contributions import explain
from xfaconv.inference.phases import Phases
from xfaconv.inference.prediction import predict
from xfaconv.inference.regions import Regions, sum_by_region
from xfaconv.inference.scores import score_series
from xfaconv.inference.targets import Target, predicted_mean

OF_MODELS = "_of_models"


def prepare_models(ds: xr.Dataset, models: Sequence[Any] | None, arguments: Arguments) -> list[Prepared]:
    """Bring the data together with one model or with several, and survey them once.

    Parameters
    ----------
    ds : Dataset
        The user's data.
    models : sequence of str, path or Model, optional
        Instead of the one model of the arguments.
    arguments : Arguments
        Those of the caller.

    Returns
    -------
    list of Prepared

    Raises
    ------
    ArgumentError
        If `models` is no sequence of models, or is given beside ``model``.
    TimeError
        If no step has its whole warm-up, or a model has another step than the data.
    """
    if models is None:
        several = [prepare(ds, arguments)]
    else:
        if isinstance(models, str | bytes | Mapping) or not isinstance(models, Sequence) or not models:
            raise ArgumentError(
                "models are no list of models",
                expected="names, files or models",
                found=repr(models)[:200],
                fix=f"models=[{models!r}]" if isinstance(models, str) else "models=None",
            )
        if arguments.get("model") is not None:
            raise ArgumentError("one model and several are given", found="model= and models=", fix="model=None")
        first, *others = (cast("Arguments", {**arguments, "model": model}) for model in models)
        several = [prepare(ds, first)]
        several += [prepare(several[0].conformed.survey, other) for other in others]
    for ready in several:
        if ready.cold is not None:
            raise ready.cold
    return several


def network_series(goal: Target) -> da.Array:
    """Series of what one more network predicts of the target (time,), lazily."""
    (array,) = predict(goal.ready, "network", leads=(goal.lead,), hide=goal.hide)[goal.name]
    return predicted_mean(goal, array)


def sums_of_regions(goal: Target, steps: NDArray[np.int64], method: str, regions: Regions) -> xr.DataArray:
    """Contributions of regions at some steps, summed over the variables (time, region); lazy if the data are."""
    return sum_by_region(explain(goal.at(steps), method)["attribution"].sum("variable"), regions)


def of_models(
    goals: Sequence[Target],
    series: Sequence[NDArray[np.floating]],
    sums: Sequence[xr.DataArray],
    out: xr.Dataset,
    unseen: NDArray[np.bool_],
    phases: Phases,
) -> xr.Dataset:
    """Lay what several models say side by side, along ``model``.

    Parameters
    ----------
    goals : sequence of Target
        The value that is explained, of each model.
    series : sequence of ndarray (time,)
        What each predicts.
    sums : sequence of DataArray (phase, region)
        Contributions of regions in the phases, for each model, or none at all.
    out : Dataset
        What is known of the first model.
    unseen : ndarray (time,) of bool
        Steps that scores are taken of.
    phases : Phases
        Which steps belong to which phase.

    Returns
    -------
    Dataset
        ``predicted_of_models (model, time)``, ``correlation_of_models`` and ``explained_variance_of_models (model)``,
        ``mean_predicted_of_models (model, phase)`` and, with `sums`, ``by_region_of_models (model, phase, region)``.
    """
    names = [goal.ready.model.card.name for goal in goals]
    labels = [
        f"{name} ({names[: n + 1].count(name)})" if names.count(name) > 1 else name for n, name in enumerate(names)
    ]
    model = xr.Variable("model", np.array(labels, dtype=object), {"long_name": "model"})
    seen, units = out["observed"], {"units": goals[0].units}
    time = time_axis(seen)
    predicted = seen.copy(data=np.zeros(seen.shape, np.float32)).expand_dims(model=model.values).copy()
    predicted[:] = np.stack(series)
    found = xr.Dataset({f"predicted{OF_MODELS}": predicted.assign_attrs(out["predicted"].attrs)})
    observed = seen.values[unseen]
    scores = [score_series(one[unseen, None], observed, block=out.attrs["block"], alpha=0.05, seed=0) for one in series]
    for name in ("correlation", "explained_variance"):
        values = np.array([score[name][0] for score in scores])
        found[f"{name}{OF_MODELS}"] = ("model", values, out[name].attrs)
    of_steps = predicted.isel({time: np.searchsorted(np.flatnonzero(goals[0].ready.asked), phases.both)})
    means = phases.composites(of_steps).transpose("model", "phase")
    found[f"mean_predicted{OF_MODELS}"] = means.assign_attrs(out["mean_predicted"].attrs)
    if sums:
        words = {"long_name": "contributions of regions, summed over the variables", **units}
        joined = xr.concat(sums, model, join="exact", coords="minimal", compat="override")
        found[f"by_region{OF_MODELS}"] = joined.transpose("model", "phase", "region").assign_attrs(words)
    return found.assign_coords(model=model)
