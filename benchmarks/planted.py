"""Whether attention and importance of a network trained for minutes find teleconnections that were planted.

    python benchmarks/planted.py                 seeds 1 to 6, about 3 CPU minutes each
    python benchmarks/planted.py --plain         without the two choices that the packaged models lack, 2 CPU minutes
    python benchmarks/planted.py --hide --seeds 0   trained as the packaged models are

`xfaconv.analysis.planted` makes daily fields in which twelve regions drive twelve others one day later: four along a
latitude, four along a meridian, four across both; a third variable copies a driver and one is noise. A network is
trained to forecast the next day, and its maps and importances on days that it has not seen are compared with the truth.

The thresholds below were set before the seeds that are reported were run. The settings were chosen on seeds 0 and 11
to 13, which are left out of the report: data and first weights of the others were never used to choose these settings.
With the first ones (`--plain`: queries and keys know harmonics of longitude and of latitude side by side, four heads,
no price of letting variables in) three of the six seeds missed the limit for regions without a link, and noise was the
least important variable, but not near zero; the present settings were sought after that had been seen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import xarray as xr

import xfaconv
from xfaconv.analysis import link_recovery, planted, target_points
from xfaconv.analysis.axes import cell_area
from xfaconv.grid import Grid
from xfaconv.models import Model
from xfaconv.nn import build_network
from xfaconv.training.objective import Objective

DIRECTIONS = ("zonal", "meridional", "diagonal")
METHODS = ("gate", "occlusion", "gradient")
DRIVERS = ("driver_a", "driver_b")
FORECAST = ("response", 1)
OF_FORECAST = ", forecast"
LEAST_AUROC = 0.80
MOST_UNLINKED_AUROC = 0.55
# A tenth of an even share.
MOST_NOISE = 0.02

_HELD_BACK = 0.2
_TESTED_DAYS = 120
_GAP = 10
_SAMPLES = 4
_NETWORK = {
    "hidden": 32,
    "bottleneck": 12,
    "embedding": 16,
    "pooling": "attention",
    "located": False,
    "outlook": False,
    "attention_width": 64,
    "attention_heads": 8,
    "attention_places": "products",
    "look_back": 2,
}
_PLAIN_ATTENTION = {"attention_width": 32, "attention_heads": 4, "attention_places": "harmonics"}
# Tomorrow in a driven region is known only far away: no region has to be hidden for attention to be needed. The
# embedding is not asked to rebuild the fields, because the noise, which drives nothing, would have to be rebuilt too.
_OBJECTIVE = Objective(
    sector_share=0.0,
    box_share=0.0,
    variable_dropout=0.0,
    warm_steps=1,
    reconstruction_weight=0.0,
    laplacian_weight=0.0,
    temporal_weight=0.0,
    input_weight=0.02,
)
# As the packaged models are trained: much else than tomorrow is asked for, so that less is learned of it in a minute.
_HIDING = Objective(warm_steps=2, laplacian_weight=0.0, temporal_weight=0.0)


def train(data: xr.Dataset, *, updates: int, seed: int, plain: bool = False, hide: bool = False) -> Model:
    """Train a small network to forecast the next day of planted data, or on hidden regions and several leads."""
    objective = replace(_OBJECTIVE, input_weight=0.0) if plain else _OBJECTIVE
    return xfaconv.fit(
        data,
        name="planted",
        variables=[str(name) for name in data.data_vars],
        updates=updates,
        batch=6 if hide else 8,
        window=6 if hide else 4,
        leads=(0, 1, 3) if hide else (1,),
        learning_rate=4e-3,
        validation=_HELD_BACK,
        seed=seed,
        network={**_NETWORK, **(_PLAIN_ATTENTION if plain or hide else {})},
        objective=_HIDING if hide else objective,
    )


def untrained(model: Model) -> Model:
    """Give the same network with its first weights: what chance makes of the same maps."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Model.from_network(model.card, build_network(model.card.network), model.climatology)


def recovered(model: Model, data: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """Mean AUROC of the mean attention maps for each kind of link, and of regions that drive nothing there.

    Beside it the attention on both over what would fall on their area if all places were alike.
    """
    maps = xfaconv.attention(data, base_points=target_points(truth), model=model)
    mean = maps.isel(time=maps.full_warmup.values).mean("time")
    found = link_recovery(mean / cell_area(mean), truth)
    scores = {kind: float(found.auroc[found.direction == kind].mean()) for kind in DIRECTIONS}
    shares = {"linked, share": float(found.share.mean()), "unlinked, share": float(found.unlinked_share.mean())}
    return scores | {"worst link": float(found.auroc.min()), "unlinked": float(found.unlinked_auroc.mean()), **shares}


def importances(model: Model, data: xr.Dataset, truth: xr.Dataset) -> dict[str, dict[str, float]]:
    """Give the importance of each variable by each method, for the states of all driven regions together.

    By occlusion and gradients also for the forecast of what is driven, which noise has no part in.
    """
    out = {"gate": xfaconv.importance(data, model=model).mean("time")}
    for method in METHODS[1:]:
        for target in (None, FORECAST):
            parts = [
                xfaconv.importance(data, method=method, base_point=place, target=target, samples=_SAMPLES, model=model)
                for place in target_points(truth).values()
            ]
            out[f"{method}{OF_FORECAST if target else ''}"] = sum(part.mean("time") for part in parts) / len(parts)
    return {
        method: {str(name): float(mean.sel(variable=name)) for name in mean["variable"].values}
        for method, mean in out.items()
    }


def verdicts(scores: Mapping[str, float], importance: Mapping[str, Mapping[str, float]]) -> dict[str, bool]:
    """Say which thresholds are met."""
    out = {f"{kind} links: AUROC at least {LEAST_AUROC:.2f}": scores[kind] >= LEAST_AUROC for kind in DIRECTIONS}
    out[f"unlinked regions: AUROC at most {MOST_UNLINKED_AUROC:.2f}"] = scores["unlinked"] <= MOST_UNLINKED_AUROC
    out["unlinked regions: no more attention than their area"] = scores["unlinked, share"] <= 1
    for method, values in importance.items():
        out[f"{method}: noise below every driver"] = values["noise"] < min(values[name] for name in DRIVERS)
        out[f"{method}: noise near zero, at most {MOST_NOISE:.2f}"] = values["noise"] <= MOST_NOISE
    return out


def trial(
    seed: int,
    *,
    days: int = 3000,
    updates: int = 800,
    grid: Grid | None = None,
    plain: bool = False,
    hide: bool = False,
) -> tuple[dict[str, float], dict[str, float], dict[str, dict[str, float]]]:
    """Plant, train, and score on days held back.

    Parameters
    ----------
    seed : int
        Seed of the data and of the network.
    days, updates : int
        Length of the record and of the training.
    grid : Grid, optional
        Default: 11.25 degrees.
    plain : bool
        Without products of harmonics in the attention and without a price of letting variables in.
    hide : bool
        Train as the packaged models are, plain too.

    Returns
    -------
    scores, scores of the untrained network, importance by method
    """
    data, truth = planted(days, seed=seed, grid=grid)
    model = train(data, updates=updates, seed=seed, plain=plain, hide=hide)
    first = int((1 - _HELD_BACK) * days) + _GAP
    unseen = data.isel(time=slice(first, first + _TESTED_DAYS))
    return (
        recovered(model, unseen, truth),
        recovered(untrained(model), unseen, truth),
        importances(model, unseen, truth),
    )


def report(seeds: Sequence[int], updates: int, *, plain: bool, hide: bool) -> bool:
    """Run and print the trial for some seeds; True if every threshold is met for every seed."""
    everything = True
    for seed in seeds:
        began, cpu = time.perf_counter(), time.process_time()
        scores, chance, importance = trial(seed, updates=updates, plain=plain, hide=hide)
        print(f"\nseed {seed}: {time.process_time() - cpu:.0f} CPU s, {time.perf_counter() - began:.0f} s")
        print("  AUROC of attention      trained  untrained")
        for name, value in scores.items():
            print(f"  {name:<22} {value:8.3f} {chance[name]:10.3f}")
        names = list(importance["gate"])
        print("  importance           " + " ".join(f"{name:>9}" for name in names))
        for method, values in importance.items():
            print(f"  {method:<20} " + " ".join(f"{values[name]:9.3f}" for name in names))
        for name, met in verdicts(scores, importance).items():
            print(f"  {'met    ' if met else 'NOT MET'} {name}")
            everything &= met
    print("\nall thresholds met" if everything else "\nnot all thresholds met")
    return everything


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6])
    parser.add_argument("--updates", type=int, help="default: 800, or 600 with --hide")
    parser.add_argument("--plain", action="store_true", help="attention and objective without the two choices")
    parser.add_argument("--hide", action="store_true", help="train as the packaged models are")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    updates = arguments.updates or (600 if arguments.hide else 800)
    report(arguments.seeds, updates, plain=arguments.plain, hide=arguments.hide)


if __name__ == "__main__":
    main()
