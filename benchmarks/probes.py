"""What linear regression finds in the embeddings: ``python benchmarks/probes.py --data ../shared/data``.

Ridge regression from the embeddings of the packaged monthly model to published indices of Nino3.4, NAO and PNA some
months ahead, and of the packaged daily ones to the leading component of their own sea level pressure some days ahead,
verified on blocks of time, beside as many EOF principal components (xeofs), random weights and the time of year; and
from the smaller networks of benchmarks/skill.py, where their runs are in --networks. Writes docs/reference/probes.md.
Needs xeofs (``pip install ".[bench]"``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

import xfaconv
from xfaconv.bootstrap import block_bootstrap
from xfaconv.errors import ArgumentError
from xfaconv.models import Model
from xfaconv.nn import build_network
from xfaconv.training.data import TrainingData
from xfaconv.training.recipes import RECIPES, Recipe, recipe_data

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "probes.md"
LEADS = (0, 1, 3, 6)
FOLDS = 10
PENALTIES = tuple(10.0 ** np.arange(-3, 3.1, 0.5))
INNER_FOLDS = 5
OURS, EOFS, RANDOM, SEASON = "embedding", "EOF components", "random weights", "time of year alone"
TEXT = """\
# Linear probes of the embeddings

Written by `python benchmarks/probes.py --data ../shared/data`.

Features: the embeddings of a packaged model; the same number of principal components of the same standardised anomalies
(EOFs of the training years by xeofs, area-weighted); the embeddings of the same network with random weights; and the
time of year alone. Two harmonics of the year are added to all of them. The targets are predicted by ridge regression.
Each of {folds} blocks of the record is predicted from the steps that are farther away than a gap (and the lead); the
penalty is chosen by the same cross-validation within these steps. An embedding contains information on preceding steps,
an EOF component does not; this difference is part of the comparison. A block of test years may be predicted by a
regression on earlier and later years; the network itself was trained on its training years only.

*Explained* is the explained share of the variance of the target over the record, *unseen* the same over the years on
which the network was not trained. *Gain* is the explained share minus that of the EOFs, with a 95% interval from a
bootstrap over blocks of time. If it is above 0, the embedding explains more than the same number of EOF components,
significantly if the whole interval is above 0. The network was trained to predict the fields of its training years, so
its gain over the record is too optimistic. The gain over the unseen years is not, but these years are few.
"""
MONTHS = """\
## Months

Target: CPC's Nino3.4 (ERSSTv5), NAO and PNA. `{model}` (weights {weights}): {size} values per month, {steps} months
from {first} to {last}, of which {test} unseen. Gap {gap} months, bootstrap over blocks of {block}.
"""
DAYS = """\
## Days: {title}

Target: the leading principal component of sea level pressure {where}, training years. `{model}` (weights {weights}):
{size} values per day, {steps} days from {first} to {last}, of which {test} unseen. Gap {gap} days, bootstrap over
blocks of {block}.
"""
SMALLER = """\
## Networks with equal training

The monthly targets, predicted from the embeddings of the networks of [skill](skill.md), as stored by
`benchmarks/skill.py`: 10 degrees, {size} values per month, trained on blended windows to forecast the next month and to
reconstruct the next and the present month from their embedding; seed 0.
"""


@dataclass(frozen=True)
class Case:
    """A model with its record, and how its probes are verified."""

    recipe: Recipe
    gap: int
    block: int


MONTHLY = RECIPES["ncep-monthly-2p5deg"]
MONTHLY_CASE = Case(MONTHLY, gap=12, block=24)
DAILY_CASES = (
    (
        Case(RECIPES["erai-natl-daily-1p5deg"], gap=20, block=60),
        "ERA-Interim, North Atlantic",
        "of the region, NAO-like",
    ),
    (Case(RECIPES["amip-daily-5p6deg"], gap=20, block=60), "simulation, globe", "north of 20 degrees north, AO-like"),
)


def seasonal_features(year_phase: NDArray[np.floating], harmonics: int = 2) -> NDArray[np.float64]:
    """Sines and cosines of the time of year.

    Parameters
    ----------
    year_phase : ndarray (time,)
        Fraction of the year.
    harmonics : int
        Harmonics of the year.

    Returns
    -------
    ndarray (time, 2 * harmonics)

    Examples
    --------
    >>> seasonal_features(np.array([0.25]), harmonics=1).round(6).tolist()
    [[0.0, 1.0]]
    """
    angles = 2 * np.pi * np.asarray(year_phase, dtype=np.float64)[:, None] * np.arange(1, harmonics + 1)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(len(angles), -1)


def blocked_ridge(
    features: NDArray[np.floating],
    target: NDArray[np.floating],
    lead: int = 0,
    *,
    folds: int = 10,
    gap: int = 12,
) -> NDArray[np.float64]:
    """Predict a series some steps ahead from vectors, each block of time by a ridge regression that never saw it.

    Steps nearer than `gap` to the block are left out of the regression, and so are those that share a target with
    it. The penalty is chosen by the same kind of cross-validation inside the steps that are left.

    Parameters
    ----------
    features : ndarray (time, feature)
        Vectors at consecutive steps.
    target : ndarray (time,)
        Series of the same steps, NaN where unknown.
    lead : int
        Steps from the vector to what is predicted.
    folds : int
        Blocks of time.
    gap : int
        Steps left out on either side; at least as many as one vector depends on.

    Returns
    -------
    ndarray (time,)
        At the step of the target; NaN in the first `lead` steps.

    Raises
    ------
    ArgumentError
        If the record is too short for the folds and the gap.

    Examples
    --------
    >>> vectors = np.random.default_rng(0).normal(size=(200, 3))
    >>> found = blocked_ridge(vectors, np.roll(vectors[:, 0], 1), lead=1)
    >>> bool(np.corrcoef(found[1:], vectors[:-1, 0])[0, 1] > 0.99)
    True
    """
    steps = len(features) - lead
    read, wanted = np.asarray(features[:steps], dtype=np.float64), np.asarray(target[lead:], dtype=np.float64)
    if steps < folds * 2 or steps - steps // folds - 2 * (gap + lead) < 3 * INNER_FOLDS:
        raise ArgumentError(
            "the record is too short for blocked cross-validation",
            expected="many more steps than the gap",
            found=f"{steps} steps, {folds} folds, gap {gap}",
            fix="a smaller gap=, or fewer folds=",
        )
    known = np.isfinite(wanted)
    out = np.full(len(features), np.nan)
    for inside, apart in folds_of(np.arange(steps), folds, gap + lead):
        fit = apart[known[apart]]
        errors = np.zeros(len(PENALTIES))
        for test, training in folds_of(fit, INNER_FOLDS, gap + lead):
            guesses = ridge(read[training], wanted[training], read[test])
            errors += ((guesses - wanted[test]) ** 2).sum(axis=1)
        out[inside + lead] = ridge(read[fit], wanted[fit], read[inside])[int(errors.argmin())]
    return out


def folds_of(steps: NDArray[np.int64], folds: int, gap: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Give each block of steps, and the steps farther than the gap from it."""
    for part in np.array_split(steps, folds):
        far = (steps < part[0] - gap) | (steps > part[-1] + gap)
        yield part, steps[far]


def ridge(features: NDArray[np.float64], target: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
    """Predict with every penalty (penalty, new step), relative to the variance of standardised features."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    left, strength, right = np.linalg.svd((features - mean) / spread, full_matrices=False)
    projected = left.T @ (target - target.mean())
    ready = ((new - mean) / spread) @ right.T
    shrunk = [strength / (strength**2 + penalty * len(features)) * projected for penalty in PENALTIES]
    return np.asarray(target.mean() + ready @ np.stack(shrunk, axis=1)).T


def leading_components(rows: NDArray[np.floating], trained: slice, number: int) -> NDArray[np.float64]:
    """Components (time, number) of rows (time, value) on the EOFs of some of them."""
    import xeofs

    field = xr.DataArray(np.asarray(rows, dtype=np.float64), dims=("time", "value"), coords={"time": range(len(rows))})
    eofs = xeofs.single.EOF(n_modes=number, random_state=0).fit(field[trained], dim="time")
    return np.asarray(eofs.transform(field).transpose("time", "mode").values)


def principal_components(record: TrainingData, number: int) -> NDArray[np.float64]:
    """Components (time, number) of area-weighted anomalies of all variables on EOFs of the training years."""
    rows = np.nan_to_num(np.stack(record.fields, axis=1) * np.sqrt(record.grid.area)).reshape(len(record.time), -1)
    return leading_components(rows, record.train, number)


def pressure_component(record: TrainingData) -> NDArray[np.float64]:
    """Leading component (time,) of sea level pressure; of a globe, north of 20 degrees north."""
    north = np.asarray(record.grid.latitude) > (20 if record.grid.is_global else -90)
    rows = np.asarray(record.fields[record.names.index("msl")]) * np.sqrt(record.grid.area)
    return leading_components(rows[:, north].reshape(len(rows), -1), record.train, 1)[:, 0]


def indices(folder: Path, dates: NDArray[np.datetime64]) -> dict[str, NDArray[np.float64]]:
    """CPC's indices at some months, NaN where unknown."""
    nino = [line.split() for line in (folder / "cpc-ersst5.nino.mth.91-20.ascii").read_text().splitlines()[2:]]
    table = [line for line in (folder / "cpc-tele_index.nh").read_text().splitlines() if line[:4].isdigit()]
    found = {
        "Nino3.4": {f"{row[0]}-{int(row[1]):02d}": float(row[9]) for row in nino if row},
        # Fixed columns: a missing value, -99.90, touches its neighbour.
        "NAO": {f"{line[:4]}-{int(line[5:7]):02d}": float(line[8:14]) for line in table},
        "PNA": {f"{line[:4]}-{int(line[5:7]):02d}": float(line[32:38]) for line in table},
    }
    months = [str(month) for month in dates.astype("datetime64[M]")]
    values = {name: np.asarray([row.get(month, np.nan) for month in months]) for name, row in found.items()}
    return {name: np.where(row < -90, np.nan, row) for name, row in values.items()}


def embeddings(data: Path, recipe: Recipe, model: Model) -> NDArray[np.float64]:
    """Embeddings (time, number) of a record."""
    names = [variable.name for variable in recipe.variables]
    with xr.open_mfdataset(
        sorted(data.glob(recipe.files)), data_vars="minimal", join="outer", compat="no_conflicts"
    ) as ds:
        return np.asarray(xfaconv.embed(ds[names], model=model).values, dtype=np.float64)


def random_model(model: Model, seed: int) -> Model:
    """Re-initialise the weights of a model."""
    torch.manual_seed(seed)
    return Model.from_network(
        model.card.updated(name="random-weights"), build_network(model.card.network).eval(), model.climatology
    )


def probe(
    features: dict[str, NDArray[np.float64]],
    targets: dict[str, NDArray[np.float64]],
    phase: NDArray[np.float64],
    unseen: slice,
    case: Case,
) -> list[str]:
    """Probe every target at every lead; rows of a table in Markdown."""
    season = seasonal_features(phase)
    sets = {**{name: np.concatenate([rows, season], axis=1) for name, rows in features.items()}, SEASON: season}
    lines = ["| target | lead | from | explained | gain | unseen | gain, unseen |", "|---|---|---|---|---|---|---|"]
    for target, values in targets.items():
        for lead in LEADS:
            guesses = {
                name: blocked_ridge(rows, values, lead, folds=FOLDS, gap=case.gap) for name, rows in sets.items()
            }
            known = np.isfinite(values) & np.isfinite(guesses[SEASON])
            later = known & np.isin(np.arange(len(values)), np.arange(unseen.start, unseen.stop))
            for name, guess in guesses.items():
                cells = [f"{target} | {lead} | {name}"]
                for part in (known, later):
                    total = (values - values[part].mean())[part] ** 2
                    error, reference = ((values - made)[part] ** 2 for made in (guess, guesses[EOFS]))
                    cells.append(f"{1 - error.sum() / total.sum():.3f}")
                    cells.append(_gain(error, reference, total, case.block) if name not in (EOFS, SEASON) else "")
                lines.append(f"| {' | '.join(cells)} |")
    return lines


def _gain(error: NDArray[np.float64], reference: NDArray[np.float64], total: NDArray[np.float64], block: int) -> str:
    """Gain in explained share over the reference, with its interval."""
    rows = np.stack([reference, error, total], axis=1)
    low, high = block_bootstrap(rows, lambda sums: (sums[:, 0] - sums[:, 1]) / sums[:, 2], block)
    return f"{(reference.sum() - error.sum()) / total.sum():+.3f} ({low:+.3f} to {high:+.3f})"


def verdict(lines: list[str], name: str) -> str:
    """Say at which leads of which target the gain's whole interval is above or below 0."""
    words = []
    for column, years in ((-3, "over the record"), (-1, "over the unseen years")):
        better, worse, held = [], [], 0
        for line in lines[2:]:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if cells[2] == name:
                low, high = (float(part.strip("()")) for part in cells[column].split(" ", 1)[1].split(" to "))
                if low > 0:
                    better.append(f"{cells[0]} at {cells[1]}")
                elif high < 0:
                    worse.append(f"{cells[0]} at {cells[1]}")
                else:
                    held += 1
        words.append(
            f"{years.capitalize()}, significantly better than EOFs: {', '.join(better) or 'none'}; significantly "
            f"worse: {', '.join(worse) or 'none'}; intervals that include 0: {held}."
        )
    return "\n".join([*words, "One of twenty intervals may exclude 0 by chance."])


def section(data: Path, case: Case, model: Model, targets: dict[str, NDArray[np.float64]], text: str) -> list[str]:
    """Probe a packaged model; lines of the page."""
    recipe, record = case.recipe, recipe_data(case.recipe, data)
    ours, unseen = embeddings(data, recipe, model), record.test
    features = {
        OURS: ours,
        EOFS: principal_components(record, ours.shape[1]),
        RANDOM: embeddings(data, recipe, random_model(model, 0)),
    }
    table = probe(features, targets, record.time.year_phase, unseen, case)
    dates = record.time.values.astype("datetime64[M]" if recipe.step == "1M" else "datetime64[D]")
    made = text.format(
        model=model.card.name,
        weights=model.sha256[:12],
        size=ours.shape[1],
        steps=len(dates),
        first=dates[0],
        last=dates[-1],
        test=unseen.stop - unseen.start,
        gap=case.gap,
        block=case.block,
    )
    return [made, verdict(table, OURS), "", *table, ""]


def smaller_networks(folder: Path, record: str, windows: str) -> dict[str, NDArray[np.float64]]:
    """Embeddings of the networks trained alike on a record, where their runs are there."""
    found: dict[str, NDArray[np.float64]] = {}
    for title, name in (("FAConvLSTM", "faconvlstm"), ("ConvLSTM", "convlstm")):
        file = folder / f"skill-{record}-{windows}-{name}-0.json"
        made: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if "embedding" in made:
            found[title] = np.asarray(made["embedding"])
    return found


def smaller_daily_networks(data: Path, folder: Path) -> list[str]:
    """Write the sections of the daily networks trained alike, on the grids of benchmarks/skill.py."""
    lines: list[str] = []
    for (case, title, _), stride in zip(DAILY_CASES, (1, 2), strict=True):
        others = smaller_networks(folder, case.recipe.name, "plain")
        if not others:
            continue
        record = recipe_data(case.recipe, data).strided(stride)
        number = next(iter(others.values())).shape[1]
        target = {"pressure": pressure_component(recipe_data(case.recipe, data))}
        eofs = principal_components(record, number)
        table = probe({**others, EOFS: eofs}, target, record.time.year_phase, record.test, case)
        words = "The daily target, predicted from the embeddings of the networks of [skill](skill.md)"
        lines += [
            f"### {title}",
            "",
            f"{words}, {number} values per day; seed 0.",
            "",
            verdict(table, "FAConvLSTM"),
            "",
            *table,
            "",
        ]
    return lines


def main() -> None:
    """Embed, probe and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the reanalysis files and indices")
    parser.add_argument(
        "--networks", type=Path, default=Path("training-runs/alike"), help="runs of benchmarks/skill.py"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = [TEXT.format(folds=FOLDS)]
    record = recipe_data(MONTHLY, given.data)
    targets = indices(given.data / "indices", record.time.values)
    lines += section(given.data, MONTHLY_CASE, xfaconv.load_model(MONTHLY.name), targets, MONTHS)
    for case, title, where in DAILY_CASES:
        target = {"pressure": pressure_component(recipe_data(case.recipe, given.data))}
        text = DAYS.replace("{title}", title).replace("{where}", where)
        lines += section(given.data, case, xfaconv.load_model(case.recipe.name), target, text)
    others = smaller_networks(given.networks, MONTHLY.name, "blended")
    if others:
        number = next(iter(others.values())).shape[1]
        eofs = principal_components(record.strided(4), number)
        table = probe({**others, EOFS: eofs}, targets, record.time.year_phase, record.test, MONTHLY_CASE)
        lines += [SMALLER.format(size=number), verdict(table, "FAConvLSTM"), "", *table, ""]
    lines += smaller_daily_networks(given.data, given.networks)
    PAGE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
