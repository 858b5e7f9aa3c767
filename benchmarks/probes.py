"""What a linear reader finds in the embeddings: ``python benchmarks/probes.py --data ../shared/data``.

Ridge regression from the embeddings of the packaged monthly model to published indices of Nino3.4, NAO and PNA some
months ahead, verified on blocks of time, beside as many EOF principal components, random weights and the time of
year; and from the smaller networks of benchmarks/skill.py, where their runs are in --networks. Writes
docs/reference/probes.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

import xfaconv
from xfaconv.analysis.ridge_probe import blocked_ridge, seasonal_features
from xfaconv.models import Model
from xfaconv.nn import build_network
from xfaconv.training.preparation import Prepared, prepare
from xfaconv.training.recipes import MONTHLY
from xfaconv.training.skill import block_bootstrap

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "probes.md"
LEADS = (0, 1, 3, 6)
FOLDS, GAP, BLOCK = 10, 12, 24
OURS, EOFS, RANDOM, SEASON = "embedding", "EOF components", "random weights", "time of year alone"
TEXT = """\
# Probes of the monthly embeddings

Written by `python benchmarks/probes.py --data ../shared/data`.

Target: CPC's Nino3.4 (ERSSTv5), NAO and PNA, {steps} months from {first} to {last}. Features: the embeddings of
`{model}` ({size} numbers a month; weights {weights}), as many principal components of the same standardised anomalies
(EOFs of the training years, area-weighted), the same network with random weights, and the time of year alone; two
harmonics of the year are given to all. Ridge regression; {folds} blocks of the record are predicted in turn from the
months more than {gap} months (and the lead) away from them, the penalty chosen by the same cross-validation among
these. A block of test years may be predicted by a regression on earlier and later years; the network itself has seen
{train} only.

*Explained* is the share of the index' variance; *unseen* is the same over {test} alone, the years that the network was
not trained on. *Gain* is the explained share less that of the EOFs, with a 95% interval from a bootstrap over blocks of
{block} months: above 0 the embedding says more than EOFs of equal number, and clearly so where the whole interval is.
"""
SMALLER = """\
## Networks trained alike

The same for the networks of [skill](skill.md), from the runs that `benchmarks/skill.py` keeps: 10 degrees, {size}
numbers a month, trained to forecast the next month and to rebuild the present one; seed 0.
"""


def principal_components(prepared: Prepared, number: int, every: int = 1) -> NDArray[np.float64]:
    """Components (time, number) of area-weighted anomalies on EOFs of the training years."""
    area = np.sqrt(np.asarray(prepared.thinned_grid(every).area))
    rows = np.nan_to_num(prepared.anomalies[:, :, ::every, ::every] * area).reshape(len(prepared.anomalies), -1)
    trained = rows[prepared.stretch(MONTHLY.train)].astype(np.float64)
    _, vectors = np.linalg.eigh(trained @ trained.T)
    patterns = vectors[:, ::-1][:, :number].T @ trained
    return np.asarray(rows @ (patterns / np.linalg.norm(patterns, axis=1, keepdims=True)).T)


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


def embeddings(data: Path, model: Model) -> NDArray[np.float64]:
    """Embeddings (time, number) of the monthly record."""
    with xr.open_dataset(data / MONTHLY.files) as ds:
        return np.asarray(xfaconv.embed(ds[[v.name for v in MONTHLY.variables]], model=model).values, dtype=np.float64)


def random_model(model: Model, seed: int) -> Model:
    """Give the same model with fresh weights."""
    torch.manual_seed(seed)
    return Model.from_network(
        model.card.updated(name="random-weights"), build_network(model.card.network).eval(), model.climatology
    )


def probe(
    features: dict[str, NDArray[np.float64]],
    targets: dict[str, NDArray[np.float64]],
    phase: NDArray[np.float64],
    unseen: slice,
    reference: str,
) -> list[str]:
    """Probe every target at every lead; rows of a table in Markdown."""
    season = seasonal_features(phase)
    sets = {**{name: np.concatenate([rows, season], axis=1) for name, rows in features.items()}, SEASON: season}
    lines = ["| index | lead [months] | from | explained | unseen | gain |", "|---|---|---|---|---|---|"]
    for target, values in targets.items():
        for lead in LEADS:
            guesses = {name: blocked_ridge(rows, values, lead, folds=FOLDS, gap=GAP) for name, rows in sets.items()}
            known = np.isfinite(values) & np.isfinite(guesses[SEASON])
            total = (values - values[known].mean()) ** 2
            errors = {name: (values - guess) ** 2 for name, guess in guesses.items()}
            later = known & np.isin(np.arange(len(values)), np.arange(unseen.start, unseen.stop))
            for name, error in errors.items():
                explained, fresh = (1 - error[part].sum() / total[part].sum() for part in (known, later))
                gain = ""
                if name not in (reference, SEASON):
                    pair = np.stack([errors[reference], error, total], axis=1)[known]
                    low, high = block_bootstrap(pair, lambda sums: (sums[:, 0] - sums[:, 1]) / sums[:, 2], BLOCK)
                    middle = (pair[:, 0].sum() - pair[:, 1].sum()) / pair[:, 2].sum()
                    gain = f"{middle:+.3f} ({low:+.3f} to {high:+.3f})"
                lines.append(f"| {target} | {lead} | {name} | {explained:.3f} | {fresh:.3f} | {gain} |")
    return lines


def verdict(lines: list[str], name: str) -> str:
    """Say at which leads of which index the gain's whole interval is above or below 0."""
    better, worse, held = [], [], 0
    for line in lines[2:]:
        target, lead, method, *_, gain = (cell.strip() for cell in line.strip("|").split("|"))
        if method == name:
            low, high = (float(part.strip("()")) for part in gain.split(" ", 1)[1].split(" to "))
            if low > 0:
                better.append(f"{target} at {lead}")
            elif high < 0:
                worse.append(f"{target} at {lead}")
            else:
                held += 1
    return (
        f"Clearly better than EOFs: {', '.join(better) or 'nowhere'}. Clearly worse: {', '.join(worse) or 'nowhere'}. "
        "Elsewhere the interval holds 0, to three decimals. "
        f"Of {len(better) + len(worse) + held} such intervals one may well miss 0 by chance."
    )


def smaller_networks(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Embeddings of the networks trained alike, where their runs are there."""
    found: dict[str, NDArray[np.float64]] = {}
    for title, name in (("FAConvLSTM", "faconvlstm"), ("ConvLSTM", "convlstm")):
        file = folder / f"skill-{name}-0.json"
        made: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if "embedding" in made:
            found[title] = np.asarray(made["embedding"])
    return found


def main() -> None:
    """Embed, probe and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the reanalysis files and indices")
    parser.add_argument("--model", default=MONTHLY.name, help="model to probe")
    parser.add_argument(
        "--networks", type=Path, default=Path("training-runs/alike"), help="runs of benchmarks/skill.py"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = xfaconv.load_model(given.model)
    prepared = prepare(MONTHLY, given.data)
    ours = embeddings(given.data, model)
    targets = indices(given.data / "indices", prepared.dates)
    unseen = prepared.stretch(MONTHLY.test)
    features = {
        OURS: ours,
        EOFS: principal_components(prepared, ours.shape[1]),
        RANDOM: embeddings(given.data, random_model(model, 0)),
    }
    table = probe(features, targets, prepared.year_phase, unseen, EOFS)
    months = prepared.dates.astype("datetime64[M]")
    head = TEXT.format(
        steps=len(months),
        first=months[0],
        last=months[-1],
        model=model.card.name,
        weights=model.sha256[:12],
        size=ours.shape[1],
        folds=FOLDS,
        gap=GAP,
        block=BLOCK,
        train=" to ".join(MONTHLY.train),
        test=" to ".join(MONTHLY.test),
    )
    lines = [head, verdict(table, OURS), "", *table, ""]
    others = smaller_networks(given.networks)
    if others:
        number = next(iter(others.values())).shape[1]
        parts = {**others, EOFS: principal_components(prepared, number, every=4)}
        table = probe(parts, targets, prepared.year_phase, unseen, EOFS)
        lines += [SMALLER.format(size=number), verdict(table, "FAConvLSTM"), "", *table, ""]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
