"""Whether attention and importance of a network trained for minutes find teleconnections that were planted.

    python benchmarks/planted.py                 seeds 1 to 6, about 3 CPU minutes each
    python benchmarks/planted.py --plain         without the two settings that the packaged models lack, 2 CPU minutes
    python benchmarks/planted.py --hide --seeds 0   trained as the packaged models are
    python benchmarks/planted.py --correlation   the plain correlation map of the same days instead, without a network

`xfaconv.tutorial.planted` makes daily fields in which twelve regions drive twelve others one day later: four along a
latitude, four along a meridian, four across both; a third variable copies a driver and one is noise. A network is
trained to forecast the next day, and its maps and importances on days that it has not seen are compared with the truth.

The thresholds below were set before the seeds that are reported were run. The settings were chosen on seeds 0 and 11
to 13, which are not reported: data and initial weights of the other seeds were not used to choose these settings. With
the first settings (`--plain`: queries and keys read the harmonics of longitude and latitude themselves, four heads, no
penalty on the input weights) three of the six seeds exceeded the limit for regions without a link, and noise was the
least important variable, but not near zero; the present settings were sought after this result.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

import xfaconv
from xfaconv.analysis import anomalies
from xfaconv.analysis.axes import cell_area
from xfaconv.errors import CoordinateError
from xfaconv.grid import Grid
from xfaconv.models import Model
from xfaconv.nn import build_network
from xfaconv.training.objective import Objective
from xfaconv.tutorial import planted, target_points

DIRECTIONS = ("zonal", "meridional", "diagonal")
METHODS = ("gate", "occlusion", "gradient")
DRIVERS = ("driver_a", "driver_b")
FORECAST = ("response", 1)
OF_FORECAST = ", forecast"
LEAST_AUROC = 0.80
MOST_UNLINKED_AUROC = 0.55
# A tenth of an even share.
MOST_NOISE = 0.02

# Half of a footprint's height marks its region; a base point's own region is left out down to a tenth.
_INSIDE, _OWN = 0.5, 0.1
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
    # As the numbers of the page were measured: planted links do not change with the season.
    "attention_season": False,
    "squeeze": "mean",
    "look_back": 2,
}
_PLAIN_ATTENTION = {"attention_width": 32, "attention_heads": 4, "attention_places": "harmonics"}
# The next day of a driven region can be told only from far away, so attention is needed without hiding a region. The
# embedding need not rebuild the fields, because it would have to rebuild the noise as well.
NEXT_DAY = Objective(
    sector_share=0.0,
    box_share=0.0,
    variable_dropout=0.0,
    warm_steps=1,
    reconstruction_weight=0.0,
    laplacian_weight=0.0,
    temporal_weight=0.0,
    input_weight=0.02,
)
# As the packaged models are trained: with more tasks than the next day, less of it is learned in a minute.
_HIDING = Objective(warm_steps=2, laplacian_weight=0.0, temporal_weight=0.0)


def area_under_curve(score: NDArray[np.floating], positive: NDArray[np.bool_], weight: NDArray[np.floating]) -> float:
    """Chance that a positive cell scores higher than a negative one, cells drawn by weight; ties count half.

    Parameters
    ----------
    score : ndarray (n,)
        Scores.
    positive : ndarray (n,), bool
        Labels.
    weight : ndarray (n,)
        Weights, such as areas.

    Returns
    -------
    float
        0.5 is chance; NaN without both kinds.

    Examples
    --------
    >>> area_under_curve(np.array([0.1, 0.4, 0.8]), np.array([False, False, True]), np.ones(3))
    1.0
    """
    values, group = np.unique(score, return_inverse=True)
    good = np.bincount(group, weight * positive, minlength=len(values))
    bad = np.bincount(group, weight * ~positive, minlength=len(values))
    if good.sum() == 0 or bad.sum() == 0:
        return float("nan")
    edges = np.concatenate([[0.0], np.cumsum(bad)])
    below = sum(mass * (low + high) / 2 for mass, (low, high) in zip(good, pairwise(edges), strict=True))
    return float(below / (good.sum() * bad.sum()))


def _one(
    score: NDArray[np.float64], region: NDArray[np.bool_], left_out: NDArray[np.bool_], area: NDArray[np.float64]
) -> float:
    kept = (~left_out) & np.isfinite(score)
    return area_under_curve(score[kept], region[kept], area[kept])


def _share(
    score: NDArray[np.float64], region: NDArray[np.bool_], left_out: NDArray[np.bool_], area: NDArray[np.float64]
) -> float:
    """Mean of a map over a region over its mean over the world; 1 for a map of zeros, NaN for a region left out."""
    inside = region & ~left_out & np.isfinite(score)
    if not inside.any():
        return float("nan")
    everywhere = float(np.nansum(score * area))
    return float((score * area)[inside].sum() / area[inside].sum() / everywhere) if everywhere else 1.0


def link_recovery(maps: xr.DataArray, truth: xr.Dataset) -> xr.Dataset:
    """Score maps at the driven regions by how well they tell the driving region from the rest of the world.

    Parameters
    ----------
    maps : DataArray (base_point, latitude, longitude)
        Attention or sensitivity, one map for each driven region, named as in ``truth.target``. Attention is a share
        per cell: divide it by `cell_area` first, so that no preference is the same everywhere.
    truth : Dataset
        As `planted` gives it, on the grid of the maps.

    Returns
    -------
    Dataset
        ``auroc`` (link): area under the receiver operating curve of the driving region against the rest of the world,
        the base point's own region left out; ``unlinked_auroc`` (link): mean of the same over all regions that drive
        nothing there. ``share`` and ``unlinked_share`` (link): what falls on these regions over what would fall there
        if all places were alike, so that 1 is chance; the curve asks only for the order of the cells, also among those
        that get next to nothing, and this asks how much they get. ``direction`` (link).

    Raises
    ------
    CoordinateError
        If a map is missing or the grids differ.

    Examples
    --------
    >>> _, truth = planted(20)
    >>> perfect = truth.footprint.sel(mode=truth.source.values).rename(mode="base_point")
    >>> perfect = perfect.assign_coords(base_point=truth.target.values)
    >>> float(link_recovery(perfect, truth).auroc.min().round(6))
    1.0
    """
    if "base_point" not in maps.dims or not set(truth.target.values) <= set(maps.base_point.values):
        raise CoordinateError(
            "the maps lack a driven region",
            expected=f"base_point with {', '.join(map(str, truth.target.values))}",
            found=f"dims {maps.dims}",
            fix="attention(ds, base_points=target_points(truth))",
        )
    if maps.sizes["latitude"] != truth.sizes["latitude"] or not np.allclose(maps.latitude, truth.latitude):
        raise CoordinateError("the maps are on another grid than the truth", fix="regrid=None")
    area = cell_area(truth).values.ravel()
    area = area / area.sum()
    footprint = {str(name): truth.footprint.sel(mode=name).values.ravel() for name in truth.mode.values}
    linked, unlinked, share, unlinked_share = [], [], [], []
    for source, target in zip(truth.source.values.tolist(), truth.target.values.tolist(), strict=True):
        score = maps.sel(base_point=target).transpose("latitude", "longitude").values.ravel().astype(np.float64)
        own = footprint[target] > _OWN
        linked.append(_one(score, footprint[source] > _INSIDE, own, area))
        drivers = set(truth.source.values[truth.target.values == target].tolist())
        others = [name for name in footprint if name != target and name not in drivers]
        driving = np.any([footprint[name] > _INSIDE for name in drivers], axis=0)
        unlinked.append(
            float(np.nanmean([_one(score, footprint[name] > _INSIDE, own | driving, area) for name in others]))
        )
        share.append(_share(score, footprint[source] > _INSIDE, own, area))
        unlinked_share.append(
            float(np.nanmean([_share(score, footprint[name] > _INSIDE, own | driving, area) for name in others]))
        )
    return xr.Dataset(
        {
            "auroc": ("link", np.array(linked), {"long_name": "area under the curve, driving region against the rest"}),
            "unlinked_auroc": ("link", np.array(unlinked), {"long_name": "the same for regions that drive nothing"}),
            "share": ("link", np.array(share), {"long_name": "share on the driving region over its share of the area"}),
            "unlinked_share": ("link", np.array(unlinked_share), {"long_name": "the same for what drives nothing"}),
            "direction": ("link", truth.direction.values),
        },
        {"link": [f"{a} -> {b}" for a, b in zip(truth.source.values, truth.target.values, strict=True)]},
    )


def train(
    data: xr.Dataset,
    *,
    updates: int,
    seed: int,
    plain: bool = False,
    hide: bool = False,
    batch: int | None = None,
    window: int | None = None,
    network: Mapping[str, int] | None = None,
) -> Model:
    """Train a small network to forecast the next day of planted data, or on hidden regions and several leads."""
    objective = replace(NEXT_DAY, input_weight=0.0) if plain else NEXT_DAY
    return xfaconv.fit(
        data,
        name="planted",
        variables=[str(name) for name in data.data_vars],
        updates=updates,
        batch=batch or (6 if hide else 8),
        window=window or (6 if hide else 4),
        leads=(0, 1, 3) if hide else (1,),
        learning_rate=4e-3,
        validation=_HELD_BACK,
        seed=seed,
        network={**_NETWORK, **(_PLAIN_ATTENTION if plain or hide else {}), **(network or {})},
        objective=_HIDING if hide else objective,
    )


def untrained(model: Model) -> Model:
    """Give the same network with its initial weights: the maps that chance gives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Model.from_network(model.card, build_network(model.card.network), model.climatology)


def recovered(model: Model, data: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """Mean AUROC of the mean attention maps for each kind of link, and of regions that drive nothing there.

    Beside it the attention on both relative to uniform attention.
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


def correlation_maps(data: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
    """Correlate the response of each driven region with every cell one day before: the largest size of all variables.

    Parameters
    ----------
    data : Dataset (time, latitude, longitude)
        Planted data.
    truth : Dataset
        As `planted` gives it.

    Returns
    -------
    DataArray (base_point, latitude, longitude)
    """
    found = data.map(anomalies)
    found = (found - found.mean("time")) / found.std("time")
    maps = []
    for latitude, longitude in target_points(truth).values():
        series = found.response.sel(latitude=latitude, longitude=longitude, method="nearest").values[1:]
        sizes = [abs(np.tensordot(series, found[name].values[:-1], 1)) / len(series) for name in found]
        maps.append(np.max(sizes, axis=0))
    coords = {"base_point": list(target_points(truth)), "latitude": data.latitude, "longitude": data.longitude}
    return xr.DataArray(np.stack(maps), coords, ("base_point", "latitude", "longitude"))


def report_correlation(seeds: Sequence[int], *, days: int = 3000) -> None:
    """Print how well the plain correlation map finds the links, from the days that networks are trained on."""
    for seed in seeds:
        data, truth = planted(days, seed=seed)
        part = data.isel(time=slice(0, int((1 - _HELD_BACK) * days)))
        found = link_recovery(correlation_maps(part, truth), truth)
        kinds = " ".join(f"{kind} {float(found.auroc[found.direction == kind].mean()):.3f}" for kind in DIRECTIONS)
        worst, unlinked = float(found.auroc.min()), float(found.unlinked_auroc.mean())
        shares = f"share {float(found.share.mean()):.1f} unlinked {float(found.unlinked_share.mean()):.2f}"
        print(f"seed {seed}, correlation: {kinds} worst {worst:.3f} unlinked {unlinked:.3f} {shares}")


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
    """Make data, train, and score on days that were not used for training.

    Parameters
    ----------
    seed : int
        Seed of the data and of the network.
    days, updates : int
        Length of the record and of the training.
    grid : Grid, optional
        Default: 11.25 degrees.
    plain : bool
        Without products of harmonics in the attention and without a penalty on the input weights.
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
    parser.add_argument("--correlation", action="store_true", help="the plain correlation map, without a network")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.correlation:
        report_correlation(arguments.seeds)
        return
    updates = arguments.updates or (600 if arguments.hide else 800)
    report(arguments.seeds, updates, plain=arguments.plain, hide=arguments.hide)


if __name__ == "__main__":
    main()
