"""The sentence of a teleconnection, written from its numbers."""

from __future__ import annotations

import xarray as xr

from xfaconv.inference.regions import ELSEWHERE

DIFFERENCE = "difference"


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
    network, linear = (out.sel(prediction=name) for name in ("network", "linear"))
    lead, variable = attrs["lead"], attrs["target_variable"]
    source = "the rest of the world" if lead == 0 else f"the fields {lead} steps before"
    where = f"{variable} in {attrs['target_area']}"
    skilled = float(network.correlation_low) > 0
    bounds = "{:.2f} ({:.2f} to {:.2f})"

    def score(found: xr.Dataset) -> str:
        return bounds.format(*(float(found[name]) for name in ("correlation", "correlation_low", "correlation_high")))

    verb = "is known from" if skilled else "is not shown to be known from"
    parts = [
        (
            f"On {attrs['unseen_steps']} unseen steps ({attrs['season']}), {where} {verb} {source}: "
            f"correlation of the network {score(network)}, of the linear answer, fitted to "
            f"{attrs['training_steps']} training steps, {score(linear)}"
        )
    ]
    if "index" in out.prediction:
        parts[0] += f", of a regression on the index {score(out.sel(prediction='index'))}"
    low, high = float(linear.correlation_difference_low), float(linear.correlation_difference_high)
    better = (
        "the network is better" if low > 0 else "the linear answer is better" if high < 0 else "the two do not differ"
    )
    parts[0] += f"; {better}."
    difference = out.sel(phase=DIFFERENCE)
    who = "linear" if attrs["attribution_method"] == "linear" else "network"
    inferred, seen = float(difference.mean_predicted.sel(prediction=who)), float(difference.mean_observed)
    teller = "linear answer" if who == "linear" else "network"
    said = (
        f"Between {attrs['phases'].partition(':')[0]} the {teller} differs by {inferred:.3g} {units} "
        f"(observed {seen:.3g} {units})"
    )
    total = difference.by_region.sum("variable")
    clear = [
        f"{float(total.sel(region=name)):.3g} ({float(out.by_region_low.sel(region=name)):.3g} to "
        f"{float(out.by_region_high.sel(region=name)):.3g}) from {name.replace('_', ' ')}"
        for name in sorted(
            total.region.values, key=lambda name: (name == ELSEWHERE, -abs(float(total.sel(region=name))))
        )
        if float(out.by_region_low.sel(region=name)) * float(out.by_region_high.sel(region=name)) > 0
    ]
    if clear:
        parts.append(f"{said}, of which {'; '.join(clear)}.")
    else:
        parts.append(f"{said}; no region's contribution is distinguishable from zero.")
    parts.append("These are contributions to a prediction, not causes.")
    return " ".join(parts)
