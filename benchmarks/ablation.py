"""Ablation of FAConvLSTM: ``python benchmarks/ablation.py --data ../shared/data``.

The same network is trained with one part removed at a time, on the record of benchmarks/skill.py, to forecast the next
month and to infer hidden sectors, and compared in both, in the scores of k-means clusters of its embeddings, and in
time. Writes docs/reference/ablation.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skill import (
    HIDING,
    MONTHS,
    SPEC,
    World,
    arguments,
    embedding_alike,
    hidden_alike,
    kept,
    open_world,
    parameters,
    train_alike,
    verify_alike,
)
from sklearn.cluster import KMeans
from table1 import cluster_scores

from xfaconv.bootstrap import block_bootstrap
from xfaconv.nn import Network
from xfaconv.specs import NetworkSpec
from xfaconv.training.objective import Objective

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "ablation.md"
CLUSTERS = 7
SEEDS = (0, 1, 2)

TEXT = """\
# Ablation of the network components

Written by `python benchmarks/ablation.py --data ../shared/data`.

{setting} In half of the windows a sector of the globe is hidden and has to be inferred from the remaining sectors; the
windows are blended.

One component is removed (or changed) at a time; each row is the mean over its runs (seeds: {seeds}). *Hidden* is the
explained share of the variance of hidden sectors, with the standard deviation over the seeds. *Error* is the RMSE of
the standardised fields of the next month over all variables, relative to that of the complete network, with a 95%
interval from a bootstrap over blocks of {block} months. Values above 1 mean that the component reduces the error,
significantly if the whole interval is above 1. The interval represents the sampling of the test months only; with so
few seeds the variability between training runs is not well known, and differences of one percent should be interpreted
accordingly. Clusters: K = 7, k-means of the embeddings of all months, scored on the standardised anomalies. Gates and
peepholes are removed by fixing them at values without effect; they are still included in the number of parameters.
"""


@dataclass(frozen=True)
class Variant:
    """The network with one part removed.

    Parameters
    ----------
    title : str
        What is missing.
    spec : NetworkSpec
        The network.
    objective : Objective
        What training asks for.
    prune : callable, optional
        Removes a part of the new network.
    seasonal : bool
        Whether the network reads the time of year.
    """

    title: str
    spec: NetworkSpec = SPEC
    objective: Objective = HIDING
    prune: Callable[[Network], None] | None = None
    seasonal: bool = True


def without_excitation(network: Network) -> None:
    """Open all squeeze-excitation gates and keep them open."""
    gates = network.core.squeeze_excitation
    with torch.no_grad():
        gates.excite.weight.zero_()
        gates.excite.bias.fill_(30.0)
    gates.requires_grad_(False)


def without_peepholes(network: Network) -> None:
    """Keep the peepholes at zero, where they start."""
    network.core.peephole_input.requires_grad_(False)
    network.core.peephole_forget.requires_grad_(False)


VARIANTS = {
    "whole": Variant("nothing (complete network)"),
    "attention": Variant("axial attention", spec=replace(SPEC, attention_every=0)),
    "every": Variant("steps without attention (attention at every step)", spec=replace(SPEC, attention_every=1)),
    "excitation": Variant("squeeze-excitation", prune=without_excitation),
    "scales": Variant("second scale", spec=replace(SPEC, scales=SPEC.scales[:1])),
    "peepholes": Variant("peepholes", prune=without_peepholes),
    "laplacian": Variant("Laplacian smoothness", objective=replace(HIDING, laplacian_weight=0.0)),
    "season": Variant("time of year", seasonal=False),
}


def run(world: World, variant: Variant, seed: int) -> dict[str, Any]:
    """Train, verify and cluster one variant."""
    if not variant.seasonal:
        time = replace(world.data.time, year_phase=np.zeros(len(world.data.time)))
        world = replace(world, data=replace(world.data, time=time))
    network, seconds = train_alike(
        world, variant.spec, seed, objective=variant.objective, blend=True, prune=variant.prune
    )
    verification, _ = verify_alike(world, network)
    vectors = embedding_alike(world, network)
    fields = np.stack(world.data.fields, axis=1).reshape(len(vectors), -1)
    labels = KMeans(CLUSTERS, n_init=10, random_state=seed).fit_predict(vectors)
    scores = cluster_scores(np.nan_to_num(fields), labels)
    return {
        "sums": verification.sums.tolist(),
        "hidden": hidden_alike(world, network),
        "seconds": seconds,
        "parameters": parameters(network),
        "scores": vars(scores),
    }


def error(rows: list[dict[str, Any]], scale: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Squared error of each step, variables brought to one scale and averaged, as the mean over the seeds."""
    sums = np.mean([row["sums"] for row in rows], axis=0)
    return np.asarray((sums[:, :, 0] / scale).mean(axis=1))


def page(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Write the page in Markdown."""
    whole = np.mean([row["sums"] for row in runs["whole"]], axis=0)
    scale = whole[:, :, 3].sum(axis=0)
    lines = [
        TEXT.format(setting=MONTHS.setting, seeds=", ".join(map(str, SEEDS)), block=MONTHS.block),
        "| without | hidden ↑ | error ↓ | Silh ↑ | DB ↓ | CH ↑ | RMSE ↓ | I-CD ↑ | parameters | training [CPU s] |",
        "|---" * 10 + "|",
    ]
    for name, rows in runs.items():
        pair = np.stack([error(rows, scale), error(runs["whole"], scale)], axis=1)
        low, high = block_bootstrap(pair, lambda sums: np.sqrt(sums[:, 0] / sums[:, 1]), MONTHS.block)
        ratio = np.sqrt(pair[:, 0].sum() / pair[:, 1].sum())
        text = "1" if name == "whole" else f"{ratio:.3f} ({low:.3f} to {high:.3f})"
        means = {key: np.mean([row["scores"][key] for row in rows]) for key in rows[0]["scores"]}
        shown = ("silhouette", "davies_bouldin", "calinski_harabasz", "rmse", "separation")
        cells = " | ".join(f"{means[key]:.4g}" for key in shown)
        seconds = np.mean([row["seconds"] for row in rows])
        hidden = [row["hidden"] for row in rows]
        explained = f"{np.mean(hidden):.3f} ± {np.std(hidden, ddof=1):.3f}"
        size = rows[0]["parameters"]
        lines.append(f"| {VARIANTS[name].title} | {explained} | {text} | {cells} | {size} | {seconds:.0f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run what is not in the work folder yet, and write the page."""
    given = arguments(__doc__)
    world = open_world(given.data)
    runs: dict[str, list[dict[str, Any]]] = {}
    for seed in SEEDS:
        for name, variant in VARIANTS.items():
            file = given.work / f"ablation-{name}-{seed}.json"
            runs.setdefault(name, []).append(kept(file, partial(run, world, variant, seed)))
    PAGE.write_text(page(runs), encoding="utf-8")


if __name__ == "__main__":
    main()
