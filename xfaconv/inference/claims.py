"""The sentence of a teleconnection, written from its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from xfaconv.inference.phases import DIFFERENCE
from xfaconv.inference.regions import ELSEWHERE
from xfaconv.names import region_title


def claim(out: xr.Dataset) -> str:
    """Write what may be claimed of a teleconnection, from its numbers alone.

    Parameters
    ----------
    out : Dataset
        From `teleconnection`.

    Returns
    -------
    str
    """
    attrs, units = out.attrs, out.attrs["units"]
    network = out.sel(prediction="network")
    linear = out.sel(prediction="linear") if "linear" in out.prediction else None
    lead, variable = attrs["lead"], attrs["target_variable"]
    source = "the rest of the domain" if lead == 0 else f"the fields {lead} {'step' if lead == 1 else 'steps'} before"
    where = f"{variable} ({attrs['target_area']})"
    skilled = float(network.correlation_low) > 0
    bounds = "{:.2f} ({:.2f} to {:.2f})"

    def score(found: xr.Dataset) -> str:
        return bounds.format(*(float(found[name]) for name in ("correlation", "correlation_low", "correlation_high")))

    verb, doing = ("inferred", "inferring") if lead == 0 else ("forecast", "forecasting")
    said = f"{where} can be {verb}" if skilled else f"the network shows no skill in {doing} {where}"
    parts = [
        (
            f"On {attrs['unseen_steps']} unseen steps ({attrs['season']}), {said} from {source}: "
            f"correlation of the network {score(network)}"
        )
    ]
    if linear is not None:
        parts[0] += f", of the linear answer, fitted to {attrs['training_steps']} training steps, {score(linear)}"
    if "index" in out.prediction:
        parts[0] += f", of a regression on the index {score(out.sel(prediction='index'))}"
    parts[0] += f"; {_better(linear)}."
    difference = out.sel(phase=DIFFERENCE)
    who = "linear" if attrs["attribution_method"] == "linear" else "network"
    inferred, seen = float(difference.mean_predicted.sel(prediction=who)), float(difference.mean_observed)
    teller = "linear answer" if who == "linear" else "network"
    said = (
        f"Between {' and '.join(map(str, out.phase.values[:2]))} the value of the {teller} differs by "
        f"{_digits(inferred)} {units} "
        f"(observed {_digits(seen)} {units})"
    )
    total = difference.by_region.sum("variable")
    clear_regions = [
        name
        for name in sorted(
            total.region.values, key=lambda name: (name == ELSEWHERE, -abs(float(total.sel(region=name))))
        )
        if float(out.by_region_low.sel(region=name)) * float(out.by_region_high.sel(region=name)) > 0
    ]
    clear = [
        f"{_digits(total.sel(region=name))} ({_digits(out.by_region_low.sel(region=name))} to "
        f"{_digits(out.by_region_high.sel(region=name))}) from {region_title(name)}"
        for name in clear_regions
    ]
    if clear:
        parts.append(f"{said}, of which {'; '.join(clear)}.")
    else:
        parts.append(f"{said}; no region's contribution is distinguishable from zero.")
    if "model" in out.dims:
        parts.append(_of_models(out, clear_regions))
    if who == "network":
        parts.append(_checked(out))
    parts.append("These are contributions to a prediction, not causes.")
    return " ".join(parts)


def _better(linear: xr.Dataset | None) -> str:
    """Say which of the network and the linear answer is better on unseen steps."""
    if linear is None:
        return "the data hold too few training steps for the linear answer"
    if float(linear.correlation_difference_low) > 0:
        return "the network is better than the linear answer"
    if float(linear.correlation_difference_high) < 0:
        return "the linear answer is better than the network"
    return "network and linear answer do not differ significantly"


def _of_models(out: xr.Dataset, regions: Sequence[str]) -> str:
    """Write mean and range over the models."""
    value = out["mean_predicted_of_models"].sel(phase=DIFFERENCE)
    units = out.attrs["units"]

    def spread(values: xr.DataArray) -> str:
        return f"{_digits(values.mean())} ({_digits(values.min())} to {_digits(values.max())})"

    parts = [f"the correlation is {spread(out['correlation_of_models'])}", f"the difference {spread(value)} {units}"]
    if "by_region_of_models" in out:
        sums = out["by_region_of_models"].sel(phase=DIFFERENCE)
        parts += [f"from {region_title(name)} {spread(sums.sel(region=name))} {units}" for name in regions]
    return f"Mean and range of {out.sizes['model']} models: {', '.join(parts)}."


def _checked(out: xr.Dataset) -> str:
    """Write what the checks of the map of the difference say."""
    if "check_passed" not in out:
        return "The map of the contributions was not checked with shuffled weights and phase-randomised data."
    how = {"parameters": "with shuffled weights", "data": "on phase-randomised data"}
    found = [
        f"{how[name]} {float(out['check_similarity'].sel(check=name)):.2f}" for name in out["check"].values.tolist()
    ]
    likeness = f"correlation of the map of the difference with that {' and '.join(found)}"
    failed = [how[name] for name in out["check"].values.tolist() if not bool(out["check_passed"].sel(check=name))]
    if failed:
        same = f"its pattern is much the same, or reversed, {' and '.join(failed)}"
        return f"The map must not be interpreted: {same} ({likeness})."
    return f"The map depends on what was learned and on the data ({likeness})."


def _digits(value: Any) -> str:
    """Write a number with three digits that count, without an exponent."""
    return np.format_float_positional(float(value), precision=3, unique=False, fractional=False, trim="-")
