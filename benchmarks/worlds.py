"""Which tool finds true drivers where correlation is misleading: ``python benchmarks/worlds.py`` prints the tables.

    python benchmarks/worlds.py                        nine worlds, six seeds
    python benchmarks/worlds.py chain --seeds 0        one world, a seed that was used to choose settings
    python benchmarks/worlds.py --keep FOLDER          keep results as JSON, one file a world and seed, and go on there
    python benchmarks/worlds.py --keep FOLDER --write  put tables of what is kept into docs/explanation/which-tool.md

`xfaconv.tutorial.worlds.world` makes daily fields whose target is driven by known regions one or two days before. All
tools get the same standardised anomalies: what is fitted is fitted to the first 80% of the days, and all scores are of
days behind them. Tools: the largest lagged correlation; the same given the leading principal components of all fields;
maximum covariance analysis (xeofs); PCMCI (tigramite) of the mean series of the true regions, which it is told; the
linear answer; and of a network trained to forecast the next day of the target its attention, the attention weighed by
what is read, occlusion of the true regions (which it is told, too), gradients, integrated gradients, and the importance
of variables. What needs xeofs (extra ``bench``) or tigramite is left out where they are not installed; tigramite is
under the GPL and therefore in no extra: ``pip install tigramite``.

The thresholds of `THRESHOLDS` were written down before the seeds of `SEEDS` were run; settings were chosen on those of
`CHOSEN_ON`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

import xfaconv
from benchmarks.planted import NEXT_DAY, area_under_curve
from xfaconv.analysis import correlation_map, false_discovery
from xfaconv.analysis.axes import cell_area
from xfaconv.eofs import leading_modes
from xfaconv.grid import Grid
from xfaconv.inference import sum_by_region
from xfaconv.models import Model
from xfaconv.tutorial.worlds import WORLDS, world

PAGE = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "which-tool.md"
THRESHOLDS = {
    "AUROC against confounded regions, attribution": 0.90,
    "correlation in time with the true contribution, attribution": 0.80,
    "worlds in which attribution is ahead": 6,
}
CONFOUNDED = ("common driver", "chain", "mirror", "season", "switch", "square and product")
CHANGING = ("season", "switch", "square and product")
OTHERS = ("correlation", "partial correlation", "maximum covariance")
# Seeds that were used to choose settings.
CHOSEN_ON = (0, 5, 11, 12)
SEEDS = (1, 2, 3, 4, 6, 7)
LAGS = (1, 2, 3)
DAYS, DEGREES = 10_000, 22.5
ALPHA = 0.05
_HELD_BACK = 0.2
_GAP = 10
_SAMPLES, _ATTENTION_DAYS, _IMPORTANCE_DAYS, _SKILL_DAYS = 60, 100, 4, 600
# Of the target's spread: the integral of a network with steep steps takes 64 nodes for a hundredth.
_TOLERANCE = 0.1
_PCS = 5
_MODES = 5
_INSIDE, _OUTSIDE = 0.5, 0.1
_MOST_SIZE = 99.0
# Half the height and width of the box around the target that the network learns to forecast [degrees].
_BOX = 20.0, 30.0
_UPDATES, _BATCH, _WINDOW, _RATE = 400, 32, 3, 8e-3
_NETWORK = {
    "hidden": 16,
    "bottleneck": 8,
    "scales": ((3, 1),),
    "embedding": 16,
    "pooling": "attention",
    "located": True,
    "outlook": False,
    # A head reads about one place: with two, the network knew two of the regions that matter.
    "attention_width": 32,
    "attention_heads": 8,
    "attention_places": "products",
    "look_back": 2,
}
_OBJECTIVE = replace(NEXT_DAY, input_weight=0.01, target_variable="response")


@dataclass(frozen=True, eq=False)
class Case:
    """One world, prepared for every tool.

    Parameters
    ----------
    data : Dataset
        The whole record.
    truth : Dataset
        As `xfaconv.tutorial.worlds.world` gives it.
    model : Model
        Trained on the first days.
    anomalies : Dataset
        Standardised anomalies of the whole record, as the network reads them, 0 where missing.
    unseen : slice
        Days that no tool was fitted to.
    """

    data: xr.Dataset
    truth: xr.Dataset
    model: Model
    anomalies: xr.Dataset
    unseen: slice

    @property
    def place(self) -> tuple[float, float]:
        """Centre of the target."""
        return centre(self.truth)

    @property
    def regions(self) -> dict[str, xr.DataArray]:
        """Masks of the regions other than the target."""
        names = [str(name) for name in self.truth.region.values if name != "target"]
        return {name: (self.truth.footprint.sel(region=name) > _INSIDE).drop_vars("region") for name in names}

    @property
    def surroundings(self) -> dict[str, xr.DataArray]:
        """Masks of the regions with their margins, each cell given to the region with the highest footprint there."""
        names = list(self.regions)
        footprint = self.truth.footprint.sel(region=names)
        nearest = footprint.argmax("region").where(footprint.max("region") > _OUTSIDE, -1)
        return {name: nearest == number for number, name in enumerate(names)}

    @property
    def target(self) -> xr.DataArray:
        """Observed series of the cell of the target (time,)."""
        at = self.anomalies.response.sel(latitude=self.place[0], longitude=self.place[1], method="nearest")
        return at.reset_coords(drop=True)

    @property
    def samples(self) -> NDArray[np.datetime64]:
        """Days whose contributions are computed, spread over those that are unseen."""
        times = self.anomalies.time.values[self.unseen][:-1]
        return times[np.linspace(0, len(times) - 1, _SAMPLES).astype(int)]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a tool says.

    Parameters
    ----------
    points : DataArray (latitude, longitude), optional
        Score of each cell of the drivers' variable, per area.
    parts : DataArray (region, time), optional
        Contributions of regions to single forecasts.
    significant : DataArray (latitude, longitude), bool, optional
        Cells that the tool calls significant at 5%.
    variables : DataArray (variable,), optional
        Importance of each variable.
    """

    points: xr.DataArray | None = None
    parts: xr.DataArray | None = None
    significant: xr.DataArray | None = None
    variables: xr.DataArray | None = None


def centre(truth: xr.Dataset) -> tuple[float, float]:
    """Give latitude and longitude of the target."""
    target = truth.sel(region="target")
    return float(target.region_latitude), float(target.region_longitude)


def prepare(
    name: str,
    seed: int,
    *,
    days: int = DAYS,
    degrees: float = DEGREES,
    updates: int = _UPDATES,
    batch: int = _BATCH,
    window: int = _WINDOW,
    noise: float = 0.3,
) -> Case:
    """Make a world, and train a network on its first days to forecast the target of the next one.

    The number of updates is fixed and no days are held back for choosing among weights: eight windows of one target are
    too few for a choice.
    """
    data, truth = world(name, days, grid=Grid.regular(degrees), noise=noise, seed=seed)
    last = int((1 - _HELD_BACK) * days)
    (latitude, longitude), (height, width) = centre(truth), _BOX
    box = (latitude - height, latitude + height, longitude - width, longitude + width)
    model = xfaconv.fit(
        data.isel(time=slice(0, last)),
        name="world",
        variables=list(data.data_vars),
        updates=updates,
        batch=batch,
        window=window,
        leads=(1,),
        learning_rate=_RATE,
        validation=0,
        seed=seed,
        network=_NETWORK,
        objective=replace(_OBJECTIVE, target=box),
    )
    anomalies = xfaconv.conform(data, model=model).fillna(0.0)
    return Case(data, truth, model, anomalies, slice(last + _GAP, None))


def correlation(case: Case) -> Answer:
    """Take the largest lagged correlation, with the significance of `correlation_map`."""
    part = case.anomalies.driver.isel(time=case.unseen)
    series = case.target.isel(time=case.unseen)
    found = correlation_map(part, series, lag=list(LAGS), alpha=ALPHA / len(LAGS), deseasonalise=False)
    return Answer(abs(found.correlation).max("lag").fillna(0), significant=found.significant.any("lag"))


def partial_correlation(case: Case) -> Answer:
    """Correlate what the leading principal components of all fields do not explain, at the best lag."""
    part = case.anomalies.isel(time=case.unseen)
    stacked = np.concatenate([part[name].values.reshape(part.sizes["time"], -1) for name in part], axis=1)
    pcs = leading_modes(stacked - stacked.mean(axis=0), _PCS).series
    field = part.driver.values.reshape(len(pcs), -1)
    target = case.target.isel(time=case.unseen).values
    best, told = np.zeros(field.shape[1]), np.zeros(field.shape[1], dtype=bool)
    for lag in LAGS:
        known = np.column_stack([np.ones(len(pcs) - lag), pcs[:-lag]])
        left = [
            values - known @ np.linalg.lstsq(known, values, rcond=None)[0] for values in (field[:-lag], target[lag:])
        ]
        size = np.sqrt((left[0] ** 2).sum(axis=0) * (left[1] ** 2).sum())
        found = np.clip(np.abs(left[0].T @ left[1]) / np.maximum(size, 1e-12), 0, 1 - 1e-12)
        best = np.maximum(best, found)
        freedom = len(known) - known.shape[1] - 1
        p_value = 2 * stats.t.sf(found * np.sqrt(freedom / (1 - found**2)), freedom)
        grid = part.driver[0].drop_vars("time").copy(data=p_value.reshape(part.driver.shape[1:]))
        told |= false_discovery(grid, alpha=ALPHA / len(LAGS)).significant.values.ravel()
    like = part.driver[0].drop_vars("time")
    return Answer(like.copy(data=best.reshape(like.shape)), significant=like.copy(data=told.reshape(like.shape)))


def maximum_covariance(case: Case) -> Answer:
    """Take the covariance with the target that the leading modes of maximum covariance analysis hold."""
    import xeofs

    part = case.anomalies.isel(time=case.unseen)
    before = part.driver.isel(time=slice(None, -1))
    after = part.response.isel(time=slice(1, None)).assign_coords(time=before.time)
    analysis = xeofs.cross.MCA(n_modes=_MODES, use_coslat=True, standardize=False)
    analysis.fit(before, after, dim="time")
    first, second = analysis.components()
    at = second.sel(latitude=case.place[0], longitude=case.place[1], method="nearest").reset_coords(drop=True)
    # The singular values are the covariances of the modes, of fields weighted by the root of the area.
    sizes = analysis.data["singular_values"]
    return Answer(abs((first * at * sizes).sum("mode")).fillna(0))


def causal_discovery(case: Case) -> Answer:
    """Run PCMCI with partial correlations on the mean series of the true regions."""
    from tigramite import data_processing
    from tigramite.independence_tests.parcorr import ParCorr
    from tigramite.pcmci import PCMCI

    field = case.anomalies.driver.isel(time=case.unseen)
    masks = case.regions
    series = [field.where(mask).mean(["latitude", "longitude"]).values for mask in masks.values()]
    table = np.column_stack([*series, case.target.isel(time=case.unseen).values])
    search = PCMCI(data_processing.DataFrame(table), ParCorr(), verbosity=0)
    found = search.run_pcmci(tau_min=1, tau_max=max(LAGS), pc_alpha=ALPHA)
    score, significant = xr.zeros_like(field[0]), xr.zeros_like(field[0], dtype=bool)
    for number, mask in enumerate(masks.values()):
        strength = float(np.abs(found["val_matrix"][number, -1, 1:]).max())
        score = score.where(~mask, strength)
        significant = significant | (mask & bool((found["p_matrix"][number, -1, 1:] < ALPHA / len(LAGS)).any()))
    return Answer(score, significant=significant)


def attributed(case: Case, method: str) -> Answer:
    """Give the root mean square of the contributions of each cell, and the contributions of regions."""
    found = xfaconv.attribution(
        case.data,
        case.place,
        "response",
        lead=1,
        method=method,
        model=case.model,
        time=case.samples,
        tolerance=_TOLERANCE,
    ).compute()
    parts = found.attribution.sel(variable="driver")
    variables = abs(found.attribution).sum(["latitude", "longitude"]).mean("time")
    size = np.sqrt((parts**2).mean("time")) / cell_area(parts)
    return Answer(size, sum_by_region(parts, case.surroundings), variables=variables / variables.sum())


def linear(case: Case) -> Answer:
    """Divide the linear answer."""
    return attributed(case, "linear")


def attribution(case: Case) -> Answer:
    """Divide the forecast of the network by integrated gradients."""
    return attributed(case, "integrated")


def gradient(case: Case) -> Answer:
    """Multiply gradients and fields: the first order of an attribution."""
    return attributed(case, "gradient")


def occlusion(case: Case) -> Answer:
    """Hide the true regions from the network."""
    found = xfaconv.attribution(
        case.data,
        case.place,
        "response",
        lead=1,
        method="occlusion",
        regions=case.surroundings,
        model=case.model,
        time=case.samples,
    ).attribution.compute()
    score = xr.zeros_like(case.anomalies.driver[0])
    for name, mask in case.surroundings.items():
        score = score.where(~mask, float(np.sqrt((found.sel(region=name) ** 2).mean())))
    return Answer(score, found)


def attention(case: Case, weigh: str = "attention") -> Answer:
    """Average the attention of the target."""
    part = case.data.isel(time=case.unseen).isel(time=slice(0, _ATTENTION_DAYS))
    maps = xfaconv.attention(part, *case.place, model=case.model, weigh=weigh)
    mean = maps.isel(time=maps.full_warmup.values).mean("time").compute()
    return Answer(mean / cell_area(mean))


def read_attention(case: Case) -> Answer:
    """Average the attention of the target, weighed by the size of what is read."""
    return attention(case, "values")


def importance(case: Case, method: str) -> Answer:
    """Take the importance of variables: of the gates for the state, else for the forecast of the target."""
    part = case.data.isel(time=case.unseen).isel(time=slice(0, _ATTENTION_DAYS))
    chosen: dict[str, Any] = {}
    if method != "gate":
        chosen = {"base_point": case.place, "target": ("response", 1), "samples": _IMPORTANCE_DAYS}
    return Answer(variables=xfaconv.importance(part, method=method, model=case.model, **chosen).mean("time").compute())


TOOLS: Mapping[str, Callable[[Case], Answer]] = {
    "correlation": correlation,
    "partial correlation": partial_correlation,
    "maximum covariance": maximum_covariance,
    "PCMCI, told the regions": causal_discovery,
    "linear attribution": linear,
    "attention": attention,
    "attention weighed by values": read_attention,
    "occlusion, told the regions": occlusion,
    "gradient attribution": gradient,
    "attribution": attribution,
    "gate importance": lambda case: importance(case, "gate"),
    "occlusion importance": lambda case: importance(case, "occlusion"),
    "gradient importance": lambda case: importance(case, "gradient"),
}
NEEDS = {"maximum covariance": "xeofs", "PCMCI, told the regions": "tigramite"}
NETWORKS = tuple(TOOLS)[5:]
_KINDS = {
    "confounded": "AUROC of the cells of drivers against those of confounded regions",
    "auroc": "AUROC of the cells of drivers against all other cells",
    "share": "Share of the total on the drivers",
    "size": "Mean size on the confounded regions relative to that on the drivers",
    "in_time": "Correlation in time with the true contribution, mean over the drivers",
    "false": "Share of the cells outside the drivers that are called significant at a nominal 5%",
    "driver": "Importance of the variable that holds the drivers",
    "noise": "Importance of the variable of noise",
}


def score(case: Case, answer: Answer) -> dict[str, float]:
    """Score an answer.

    Parameters
    ----------
    case : Case
        The world.
    answer : Answer
        Of a tool.

    Returns
    -------
    dict of str to float
        Of a map ``auroc`` of the cells of drivers against all others, ``confounded`` against the confounded ones alone
        (where there are any), and ``share`` of the total on drivers. Of contributions ``in_time``, the mean correlation
        over the drivers with the true contribution. Of a test ``false``, the share of the cells far from a driver that
        are called significant. Of importances those of ``driver`` and ``noise``.
    """
    truth = case.truth
    role = {str(name): str(kind) for name, kind in zip(truth.region.values, truth.role.values, strict=True)}
    drivers = [name for name, kind in role.items() if kind == "driver"]
    switches = [name for name, kind in role.items() if kind == "switch"]
    # Cells that are never observed can be found by nothing.
    observed = case.data.driver.notnull().any("time").values.ravel()

    def reach(names: Sequence[str], least: float) -> NDArray[np.bool_]:
        nothing = np.zeros(observed.size, dtype=bool)
        cells = np.any([truth.footprint.sel(region=name).values.ravel() > least for name in names] or [nothing], axis=0)
        return np.asarray(cells & observed)

    inside, near = reach(drivers, _INSIDE), reach(drivers, _OUTSIDE)
    # A region that switches others matters, and is neither a driver nor a mistake.
    judged = observed & (inside | ~(near | reach(switches, _OUTSIDE)))
    out: dict[str, float] = {}
    if answer.points is not None:
        values = answer.points.transpose("latitude", "longitude").values.ravel().astype(float)
        area = cell_area(truth).values.ravel()
        out["auroc"] = area_under_curve(values[judged], inside[judged], area[judged])
        confounded = reach([name for name, kind in role.items() if kind == "confounded"], _INSIDE) & ~near
        if confounded.any():
            both = inside | confounded
            out["confounded"] = area_under_curve(values[both], inside[both], area[both])
            size = [float(np.average(values[cells], weights=area[cells])) for cells in (confounded, inside)]
            # A map may have nothing on the drivers.
            out["size"] = min(size[0] / size[1], _MOST_SIZE) if size[1] else 1.0
        total = float((values * area)[judged].sum())
        out["share"] = float((values * area)[inside].sum()) / total if total else 0.0
    if answer.parts is not None:
        true = truth.contribution.sel(time=answer.parts.time)
        pairs = [(answer.parts.sel(region=name).values, true.sel(region=name).values) for name in drivers]
        out["in_time"] = float(np.mean([np.corrcoef(own, real)[0, 1] if own.std() else 0.0 for own, real in pairs]))
    if answer.significant is not None:
        far = observed & ~reach([*drivers, *switches], _OUTSIDE)
        told = answer.significant.transpose("latitude", "longitude").values.ravel()
        out["false"] = float((told & far).sum() / far.sum())
    if answer.variables is not None:
        out |= {name: float(answer.variables.sel(variable=name)) for name in ("driver", "noise")}
    return out


def trial(name: str, seed: int, **settings: Any) -> dict[str, dict[str, float]]:
    """Score every tool in one world of one seed; ``network`` holds what the training took and the skill it gave."""
    begin = time.process_time()
    case = prepare(name, seed, **settings)
    trained = time.process_time() - begin
    out: dict[str, dict[str, float]] = {}
    for tool, function in TOOLS.items():
        if tool in NEEDS and find_spec(NEEDS[tool]) is None:
            continue
        begin = time.process_time()
        answer = function(case)
        seconds = time.process_time() - begin + (trained if tool in NETWORKS else 0.0)
        out[tool] = {**score(case, answer), "cpu_seconds": seconds}
    begin = time.process_time()
    unseen = case.data.isel(time=case.unseen).isel(time=slice(0, _SKILL_DAYS))
    said = xfaconv.forecast(unseen, model=case.model).response.sel(lead=1)
    said = said.sel(latitude=case.place[0], longitude=case.place[1], method="nearest")
    said = said.isel(time=slice(20, None)).compute()
    true = case.truth.expected.sel(time=said.time)
    skill = float(np.corrcoef(said, true)[0, 1])
    out["network"] = {"skill": skill, "cpu_seconds": trained}
    return out


Scores = Mapping[str, Mapping[str, float]]
Results = Mapping[str, Sequence[Scores]]


def _cell(values: Sequence[float], kind: str) -> str:
    """Write the mean over the seeds and the range."""
    if not values:
        return ""
    digits = 0 if kind == "cpu_seconds" else 2
    mean, least, most = (f"{value:.{digits}f}" for value in (float(np.mean(values)), min(values), max(values)))
    return mean if least == most else f"{mean} ({least} to {most})"


def _values(seeds: Sequence[Scores], tool: str, kind: str) -> list[float]:
    return [found[tool][kind] for found in seeds if kind in found.get(tool, {})]


def headline(results: Results, name: str, tool: str) -> float:
    """Give the mean AUROC against the confounded regions of a world, or against all other cells where none is planted.

    Examples
    --------
    >>> headline({"chain": [{"attribution": {"confounded": 0.9, "auroc": 1.0}}]}, "chain", "attribution")
    0.9
    """
    return float(np.mean(_values(results[name], tool, "confounded" if name in CONFOUNDED else "auroc")))


def share(results: Results, name: str, tool: str) -> float:
    """Give the mean share of the total that lies on the drivers of a world.

    Examples
    --------
    >>> share({"chain": [{"attribution": {"share": 0.5}}, {"attribution": {"share": 0.7}}]}, "chain", "attribution")
    0.6
    """
    return float(np.mean(_values(results[name], tool, "share")))


def verdicts(results: Results) -> dict[str, bool]:
    """Say which of the thresholds are met by the means over the seeds.

    Parameters
    ----------
    results : dict of str to list
        Scores of each seed by world.

    Returns
    -------
    dict of str to bool
    """
    least, in_time, ahead = THRESHOLDS.values()
    out = {}
    for name in results:
        if name in CONFOUNDED:
            value = headline(results, name, "attribution")
            out[f"{name}: AUROC against the confounded region at least {least:.2f}: {value:.2f}"] = value >= least
        if name in CHANGING:
            value = float(np.mean(_values(results[name], "attribution", "in_time")))
            out[f"{name}: correlation in time at least {in_time:.2f}: {value:.2f}"] = value >= in_time
    for words, value_of in (("AUROC", headline), ("share of the total on the drivers", share)):
        first = [
            name
            for name, seeds in results.items()
            if all(
                value_of(results, name, "attribution") > value_of(results, name, tool)
                for tool in OTHERS
                if all(tool in found for found in seeds)
            )
        ]
        key = f"{words}: ahead of {', '.join(OTHERS)} in {ahead} of {len(WORLDS)} worlds"
        out[f"{key}: {len(first)} ({', '.join(first) or 'none'})"] = len(first) >= ahead
    return out


def tables(results: Results) -> list[str]:
    """Write the verdicts and one Markdown table for each score, a row for each tool and a column for each world.

    Parameters
    ----------
    results : dict of str to list
        Scores of each seed by world.

    Returns
    -------
    list of str
        Lines.
    """
    lines = ["| required | reached |", "|---|---|"]
    lines += [f"| {words} | {'yes' if met else '**no**'} |" for words, met in verdicts(results).items()] + [""]

    def table(words: str, kind: str, tools: Sequence[str], columns: Mapping[str, Sequence[Scores]]) -> None:
        used = {name: seeds for name, seeds in columns.items() if any(_values(seeds, tool, kind) for tool in tools)}
        rows = []
        for tool in tools:
            cells = [_cell(_values(seeds, tool, kind), kind) for seeds in used.values()]
            if any(cells):
                rows.append(f"| {tool} | {' | '.join(cells)} |")
        lines.extend([f"{words}:", "", f"| | {' | '.join(used)} |", f"|---|{'---|' * len(used)}", *rows, ""])

    for kind, words in _KINDS.items():
        table(words, kind, tuple(TOOLS), results)
    table("Correlation of the forecast of the network with the expected value", "skill", ("network",), results)
    every = {"all worlds": [found for seeds in results.values() for found in seeds]}
    table("CPU seconds, those of the network with its training", "cpu_seconds", tuple(TOOLS), every)
    return lines


def kept_seeds(folder: Path, names: Sequence[str], seeds: Sequence[int]) -> list[int]:
    """Give the seeds of which all worlds are kept."""
    return [seed for seed in seeds if all(file_of(folder, name, seed).exists() for name in names)]


def file_of(folder: Path, name: str, seed: int) -> Path:
    """Name the file of one world and seed."""
    return folder / f"{name.replace(' ', '-')}-{seed}.json"


def write(folder: Path, names: Sequence[str], seeds: Sequence[int]) -> None:
    """Put the tables of the seeds of which all worlds are kept between the two markers of the page."""
    whole = kept_seeds(folder, names, seeds)
    if not whole:
        raise SystemExit(f"{folder} holds no seed with all of {', '.join(names)}")
    results = {
        name: [json.loads(file_of(folder, name, seed).read_text(encoding="utf-8")) for seed in whole] for name in names
    }
    begin, end = "<!-- worlds: begin -->", "<!-- worlds: end -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    said = f"Written by `python benchmarks/worlds.py --write`, seeds {', '.join(map(str, whole))}"
    said += " (mean, and range in brackets)." if len(whole) > 1 else "."
    if chosen := sorted({*whole} & {*CHOSEN_ON}):
        said += f" **The settings were chosen on seed {', '.join(map(str, chosen))}.**"
    text = "\n".join([f"{before}{begin}", said, "", *tables(results), f"{end}{rest.split(end)[1]}"])
    PAGE.write_text(text, encoding="utf-8")


def main() -> None:
    """Run the worlds that are named and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(WORLDS))
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--keep", type=Path, help="folder of results, which are not computed again")
    parser.add_argument("--write", action="store_true", help="put the tables of what is kept into the page")
    given = parser.parse_args()
    if given.write:
        if given.keep is None:
            parser.error("--write needs --keep FOLDER, from which the results are read")
        write(given.keep, given.names, given.seeds)
        return
    torch.set_num_threads(1)
    results: dict[str, list[Scores]] = {name: [] for name in given.names}
    # Seeds outside, so that what is interrupted is whole for the seeds that it has.
    for seed in given.seeds:
        for name in given.names:
            file = file_of(given.keep, name, seed) if given.keep else None
            if file is not None and file.exists():
                found = json.loads(file.read_text(encoding="utf-8"))
            else:
                found = trial(name, seed)
                if file is not None:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(json.dumps(found, indent=1), encoding="utf-8")
            results[name].append(found)
            print(name, seed, json.dumps(found), flush=True)
    print("\n".join(tables(results)))


if __name__ == "__main__":
    main()
