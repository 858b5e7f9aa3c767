"""Table I of the paper on real reanalysis: ``python benchmarks/table1.py --data ../shared/data``.

Four networks of equal width are trained alike (same windows, objective, updates and learning rate, five seeds): to
forecast the next step, and to reconstruct the present one from the embedding alone. The baselines have the head that
the paper gives them, a global mean, and in a second table FAConvLSTM's. k-means with K = 7 then labels the steps by
their embeddings, and the labels are scored on the full grid and in the space of the embeddings. The page
docs/reference/table1.md is written from the runs, each of which is kept in the folder of --work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from skill import kept, parameters
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, pairwise_distances, silhouette_score

from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.nn import Geometry, build_network
from xfaconv.specs import NetworkSpec
from xfaconv.training.data import WindowSource
from xfaconv.training.loop import Schedule, start_from_damped_persistence, train
from xfaconv.training.objective import Objective, network_input

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "table1.md"
CLUSTERS = 7
COMPONENTS = 8
SEEDS = (0, 1, 2, 3, 4)
BASELINES = ("cnn", "cnn-lstm", "convlstm")
OURS = "faconvlstm"
WITH_HEAD = " with the head"
# The networks of the two tables; FAConvLSTM is the same in both.
AS_IN_THE_PAPER = (*BASELINES, OURS)
SAME_HEAD = (*(f"{name}{WITH_HEAD}" for name in BASELINES), OURS)
TITLES = {
    "cnn": "CNN",
    "cnn-lstm": "CNN-LSTM",
    "convlstm": "ConvLSTM",
    "faconvlstm": "FAConvLSTM",
    **{f"{name}{WITH_HEAD}": title for name, title in zip(BASELINES, ("CNN", "CNN-LSTM", "ConvLSTM"), strict=True)},
    "eof": f"k-means, {COMPONENTS} EOFs",
    "raw": "k-means, data",
}
OBJECTIVE = Objective(
    sector_share=0.0,
    box_share=0.0,
    variable_dropout=0.0,
    warm_steps=2,
    lead_weight=0.5,
    reconstruction_weight=3.0,
)
UPDATES, BATCH, WINDOW, LEARNING_RATE = 400, 8, 5, 1e-2
HIGHER_IS_BETTER = {
    "silhouette": True,
    "davies_bouldin": False,
    "calinski_harabasz": True,
    "rmse": False,
    "variance": False,
    "separation": True,
}
SCORES = {
    "silhouette": "Silh ↑",
    "davies_bouldin": "DB ↓",
    "calinski_harabasz": "CH ↑",
    "rmse": "RMSE ↓",
    "variance": "Var ↓",
    "separation": "I-CD ↑",
}
PAPER = {
    "CNN": (0.2861, 1.7175, 96.7435, 13.8547, 0.1035, 6.5285),
    "CNN-LSTM": (0.3129, 1.6739, 93.7252, 13.9903, 0.1036, 7.1926),
    "ConvLSTM": (0.3347, 1.6300, 93.6529, 13.9936, 0.1035, 7.2584),
    "FAConvLSTM": (0.3432, 1.5673, 102.2114, 13.6187, 0.1035, 6.5557),
}

TEXT = """\
# Table I of the paper, with reanalysis data

Written by `python benchmarks/table1.py --data ../shared/data`; every entry is the mean and the standard deviation over
seeds {first} to {last}. k-means groups the steps of a record into K = {clusters} clusters.

Four networks with 16 hidden channels and embeddings of 16 components have the same training: {updates} updates of
{batch} windows of {window} steps, learning rate {rate:g}, to forecast the next step and to reconstruct the present one
from the embedding alone. They read min-max normalised data averaged over boxes (8 x 8 points of ERA5, 2 x 2 of
ERA-Interim), including the seasonal cycle; training on the full grid takes too long for five seeds on a CPU. Settings
were chosen on seeds 100 to 102, which are not in the tables. In earlier tables (200 updates, another head, distances
between the embeddings themselves) FAConvLSTM was first in none of the scores.

In the paper only FAConvLSTM has the subspace head. In the tables *As in the paper*, the other three networks end with a
global mean of their hidden states and a linear map. In the tables *Same head*, they have the head of FAConvLSTM, which
pools through the patterns that reconstruct the fields and attends to the previous step. Everything else is the same for
all networks, including the patterns that reconstruct the fields and the input channels for position and season.

The distance between two embeddings is defined as that between the fields reconstructed from them. The training does not
make distances between the embeddings themselves equal to distances in the data, and k-means depends on distances only.
The results for these distances are given below each table.

The scores are defined as by the authors of the paper (`cluster_scores` in `benchmarks/table1.py`). *In data space* they
depend on the cluster labels only; the samples are the min-max normalised data on the full grid. There, k-means on the
data minimises RMSE and thus maximises CH by construction, and k-means on EOFs nearly does. No network can be expected
to exceed these rows in RMSE and CH. *In embedding space* each row is scored in a different space. Scores that depend on
scale (RMSE, Var, I-CD) therefore cannot be compared between rows, and the other scores favour spaces that themselves
consist of few clusters; they contain little information about the climate. Bold: best of the four networks.
"""


@dataclass(frozen=True)
class ClusterScores:
    """Scores of one clustering.

    Parameters
    ----------
    silhouette : float
        Mean silhouette with the cosine distance; higher is better.
    davies_bouldin : float
        Davies-Bouldin score; lower is better.
    calinski_harabasz : float
        Calinski-Harabasz score; higher is better.
    rmse : float
        Square root of the squared distances to the clusters' means, summed and divided by the number of samples.
    variance : float
        Variance over all elements of a cluster, samples and features together, averaged with the clusters' sizes.
    separation : float
        The paper's I-CD: distance from a cluster to the nearest member of any other, averaged over the clusters.
    """

    silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    rmse: float
    variance: float
    separation: float


def normalised_features(fields: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale each feature of a record to 0..1, missing values filled with the mean of all values.

    Parameters
    ----------
    fields : ndarray (time, ...)
        A record; all axes but the first are features.

    Returns
    -------
    ndarray (time, feature)
        A feature that never changes is 0.

    Examples
    --------
    >>> normalised_features(np.array([[2.0, 5.0], [4.0, 5.0], [3.0, np.nan]])).round(2).tolist()
    [[0.0, 1.0], [1.0, 1.0], [0.5, 0.0]]
    """
    features = np.asarray(fields, dtype=np.float64).reshape(len(fields), -1)
    features = np.where(np.isfinite(features), features, np.nanmean(features))
    least, extent = features.min(axis=0), np.ptp(features, axis=0)
    return np.asarray((features - least) / np.where(extent > 0, extent, 1.0))


def rotated(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Write vectors of many features in a basis that spans them: fewer columns, the same distances and angles.

    Parameters
    ----------
    vectors : ndarray (sample, feature)
        Without missing values.

    Returns
    -------
    ndarray (sample, component)
        At most as many components as samples.

    Examples
    --------
    >>> rotated(np.array([[3.0, 4.0, 0.0]])).round(6).tolist()
    [[5.0]]
    """
    whole = np.asarray(vectors, dtype=np.float64)
    if whole.shape[0] >= whole.shape[1]:
        return whole
    square, basis = np.linalg.eigh(whole @ whole.T)
    return np.asarray(basis * np.sqrt(np.maximum(square, 0)), dtype=np.float64)


def cluster_scores(
    vectors: NDArray[np.floating], labels: NDArray[np.integer], *, turned: NDArray[np.float64] | None = None
) -> ClusterScores:
    """Score a clustering as Table I of the paper does.

    Parameters
    ----------
    vectors : ndarray (sample, feature)
        Data or embeddings, without missing values.
    labels : ndarray (sample,)
        Cluster of each.
    turned : ndarray (sample, component), optional
        `rotated(vectors)`, to compute it once for many clusterings.

    Returns
    -------
    ClusterScores

    Raises
    ------
    ArgumentError
        If there are fewer than two clusters, or no cluster has two members.

    Examples
    --------
    >>> scores = cluster_scores(np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 9.0], [0.0, 9.0]]), np.array([0, 0, 1, 1]))
    >>> round(scores.rmse, 4), round(scores.separation, 4)
    (0.7071, 9.0554)
    """
    labels = np.asarray(labels)
    found = np.unique(labels)
    if not 2 <= len(found) < len(labels):
        raise ArgumentError(
            "these labels cannot be scored",
            expected="at least two clusters, and fewer than samples",
            found=f"{len(found)} clusters of {len(labels)} samples",
            fix="count=7",
        )
    turned = rotated(vectors) if turned is None else turned
    members = [turned[labels == label] for label in found]
    scatter = sum(float(((part - part.mean(axis=0)) ** 2).sum()) for part in members)
    # The variance over all elements is the one score that depends on the basis.
    elements = [np.asarray(vectors[labels == label], dtype=np.float64) for label in found]
    spread = sum(len(part) * float(part.var()) for part in elements)
    return ClusterScores(
        silhouette=float(silhouette_score(turned, labels, metric="cosine")),
        davies_bouldin=float(davies_bouldin_score(turned, labels)),
        calinski_harabasz=float(calinski_harabasz_score(turned, labels)),
        rmse=float(np.sqrt(scatter / len(turned))),
        variance=spread / len(turned),
        separation=_separation(turned, labels),
    )


def _separation(vectors: NDArray[np.float64], labels: NDArray[np.integer]) -> float:
    distance = pairwise_distances(vectors)
    distance[labels[:, None] == labels[None, :]] = np.inf
    nearest = distance.min(axis=1)
    return float(np.mean([nearest[labels == label].min() for label in np.unique(labels)]))


@dataclass(frozen=True, eq=False)
class Record:
    """A record as the networks read it and as the labels are scored.

    Parameters
    ----------
    title : str
        Its name on the page.
    features : ndarray (scored step, feature)
        Min-max normalised data of the steps that are clustered, on the full grid.
    turned : ndarray (scored step, component)
        The same in a basis that spans them.
    scored : slice
        Those steps.
    fields : ndarray (time, variable, lat, lon)
        The same data averaged over boxes, less their mean, in units of their common standard deviation.
    year_phase : ndarray (time,)
        Fraction of the year.
    grid : Grid
        Grid of `fields`.
    """

    title: str
    features: NDArray[np.float64]
    turned: NDArray[np.float64]
    scored: slice
    fields: NDArray[np.float32]
    year_phase: NDArray[np.float64]
    grid: Grid


def peru(data: Path) -> Record:
    """ERA5, 672 monthly means of western South America; boxes of 8 x 8 points."""
    with xr.open_dataset(data / "era5-monthly-peru-1960-2015.nc") as ds:
        phase = (ds["time"].dt.month.values - 0.5) / 12
        title = "ERA5 monthly, Peru, 1960-2015, 89 x 81 points"
        return _record(ds, ("u10", "v10", "t2m", "tp"), 8, slice(None), phase, title)


def north_atlantic(data: Path) -> Record:
    """ERA-Interim, daily, North Atlantic to Mediterranean; trained on all years, clustered in 2009; boxes of 2 x 2."""
    with xr.open_dataset(data / "erai-daily-natl-2000-2009.nc") as ds:
        phase = (ds["time"].dt.dayofyear.values - 0.5) / 365.25
        title = "ERA-Interim daily, North Atlantic and Europe, 2009, 21 x 24 points"
        return _record(ds, ("msl", "z500", "t850"), 2, slice(-365, None), phase, title)


RECORDS: dict[str, Callable[[Path], Record]] = {"peru": peru, "natl": north_atlantic}


def _record(
    ds: xr.Dataset, names: tuple[str, ...], box: int, scored: slice, phase: NDArray[np.float64], title: str
) -> Record:
    ds = ds[list(names)].sortby("latitude").transpose("time", "latitude", "longitude")
    values = np.stack([ds[name].values for name in names], axis=1)
    features = normalised_features(values[scored])
    least, extent = values[scored].min(axis=0), np.ptp(values[scored], axis=0)
    normalised = ds.assign({name: (ds[name] - least[i]) / extent[i] for i, name in enumerate(names)})
    boxes = normalised.coarsen(latitude=box, longitude=box, boundary="trim").mean()
    fields = np.stack([boxes[name].values for name in names], axis=1)
    fields -= fields.mean(axis=0)
    grid = Grid(tuple(boxes["latitude"].values.astype(float)), tuple(boxes["longitude"].values.astype(float)))
    return Record(title, features, rotated(features), scored, (fields / fields.std()).astype(np.float32), phase, grid)


def network_spec(method: str, record: Record) -> NetworkSpec:
    """Sizes that all networks share, and those that only FAConvLSTM has."""
    latitude, longitude = record.grid.latitude_edges, record.grid.longitude_edges
    architecture = next(name for name in AS_IN_THE_PAPER if name == method.removesuffix(WITH_HEAD))
    spec = NetworkSpec(
        variables=record.fields.shape[1],
        hidden=16,
        bottleneck=32,
        scales=((3, 1), (5, 1)),
        attention_width=16,
        attention_heads=2,
        embedding=16,
        look_back=2,
        leads=(1,),
        domain=(float(latitude[0]), float(latitude[-1]), float(longitude[0]), float(longitude[-1])),
        periodic=False,
        architecture=architecture,
        outlook=False,
    )
    return replace(spec, pooling="mean", look_back=1) if method in BASELINES else spec


def embed(
    method: str, record: Record, seed: int, updates: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
    """Train one network.

    Returns
    -------
    embedding : ndarray (scored step, number)
        Embeddings of the scored steps.
    measured : ndarray (scored step, number)
        The same, rotated and scaled so that their distances are those of the fields that they rebuild.
    cost : dict
        What the run cost and reached.
    """
    torch.manual_seed(seed)
    network = build_network(network_spec(method, record))
    steps = len(record.fields)
    source = WindowSource(
        [record.fields[:, i] for i in range(record.fields.shape[1])],
        record.year_phase,
        np.zeros(steps),
        (slice(0, steps),),
    )
    start_from_damped_persistence(network, source, record.grid, seed)
    schedule = Schedule(updates, BATCH, WINDOW, learning_rate=LEARNING_RATE, averaging=0.98, seed=seed)
    began = time.process_time()
    train(network, source, record.grid, schedule, OBJECTIVE)
    seconds = time.process_time() - began
    geometry = Geometry.from_grid(record.grid, network.spec.domain, network.spec.periodic)
    batch = source.read([0], steps)
    with torch.inference_mode():
        values, seen = network.fill(*network_input(batch.fields, torch.zeros(1, dtype=torch.bool)), geometry)
        encoded = network.encode(values, seen, batch.year_phase, batch.day_phase, geometry).embedding
        error = (network.reconstruct(encoded, geometry) - values).square().mean() / values.square().mean()
        patterns = network.reconstruct(torch.eye(network.spec.embedding)[None], geometry)[0].flatten(1).double()
    embedding = encoded[0].numpy().astype(np.float64)[record.scored]
    scaling, rotation = np.linalg.eigh((patterns @ patterns.T).numpy())
    cost = {
        "seconds": seconds,
        "parameters": parameters(network),
        "unexplained": float(error),
    }
    return embedding, embedding @ rotation * np.sqrt(np.maximum(scaling, 0)), cost


def score(record: Record, vectors: NDArray[np.float64], seed: int) -> dict[str, Any]:
    """k-means of some vectors, scored in the space of the data and in their own."""
    labels = KMeans(CLUSTERS, n_init=10, random_state=seed).fit_predict(vectors)
    return {
        "data": vars(cluster_scores(record.features, labels, turned=record.turned)),
        "own": vars(cluster_scores(vectors, labels)),
    }


def run(record: Record, method: str, seed: int, updates: int) -> dict[str, Any]:
    """One row of one table for one seed."""
    if method == "raw":
        found = score(record, record.turned, seed)
        return {**found, "own": found["data"]}
    if method == "eof":
        return score(record, PCA(COMPONENTS, random_state=seed).fit_transform(record.turned), seed)
    embedding, measured, cost = embed(method, record, seed, updates)
    return {**score(record, measured, seed), "plain": score(record, embedding, seed)["data"], **cost}


def table(runs: dict[str, list[dict[str, Any]]], networks: Sequence[str], space: str) -> list[str]:
    """Mean and standard deviation over the seeds; the best of the four networks is bold."""
    means = {method: _mean(rows, space) for method, rows in runs.items() if space in rows[0]}
    lines = ["| | " + " | ".join(SCORES.values()) + " |", "|---" * (len(SCORES) + 1) + "|"]
    for method in (*networks, "eof", "raw"):
        cells = []
        for name in SCORES:
            spread = np.std([row[space][name] for row in runs[method]], ddof=1)
            text = f"{means[method][name]:.4g} ± {spread:.2g}"
            ranked = [means[other][name] for other in networks]
            best = max(ranked) if HIGHER_IS_BETTER[name] else min(ranked)
            cells.append(f"**{text}**" if method in networks and means[method][name] == best else text)
        lines.append(f"| {TITLES[method]} | " + " | ".join(cells) + " |")
    return lines


def _mean(rows: list[dict[str, Any]], space: str) -> dict[str, float]:
    return {name: float(np.mean([row[space][name] for row in rows])) for name in SCORES}


def won(
    runs: dict[str, list[dict[str, Any]]], networks: Sequence[str], space: str
) -> tuple[list[str], list[str], list[str]]:
    """Scores in which FAConvLSTM is the best of four networks on average, and what of that is clear.

    Clear is a mean difference to the best other network of at least twice its standard error over the seeds; the third
    list holds the scores in which another network is clearly better.
    """
    means = {method: _mean(runs[method], space) for method in networks}
    best, clear, lost = [], [], []
    for name in SCORES:
        sign = 1 if HIGHER_IS_BETTER[name] else -1
        rival = max((n for n in networks if n != OURS), key=lambda method, n=name, s=sign: s * means[method][n])  # type: ignore[misc]
        pairs = zip(runs[OURS], runs[rival], strict=True)
        difference = np.asarray([sign * (ours[space][name] - theirs[space][name]) for ours, theirs in pairs])
        certain = abs(difference.mean()) >= 2 * difference.std(ddof=1) / np.sqrt(len(difference))
        if difference.mean() > 0:
            best.append(name)
            if certain:
                clear.append(name)
        elif certain:
            lost.append(name)
    return best, clear, lost


def _listed(names: list[str]) -> str:
    return ", ".join(SCORES[name][:-2] for name in names) or "none"


def verdict(runs: dict[str, list[dict[str, Any]]], networks: Sequence[str], space: str) -> str:
    """Say in how many scores FAConvLSTM is the best of the four."""
    best, clear, lost = won(runs, networks, space)
    return (
        f"FAConvLSTM is the best of the four in {len(best)} of 6 ({_listed(best)}); the difference to the best other "
        f"network is at least twice its standard error over the seeds in: {_listed(clear)}; another network is better "
        f"by the same criterion in: {_listed(lost)}."
    )


def reasons(runs: dict[str, list[dict[str, Any]]], networks: Sequence[str]) -> str:
    """Say how far the data-space scores follow from what the embeddings hold, over all runs of four networks."""
    rows = [row for method in networks for row in runs[method]]
    lost = [row["unexplained"] for row in rows]
    related = {name: np.corrcoef(lost, [row["data"][name] for row in rows])[0, 1] for name in ("rmse", "silhouette")}
    within = np.mean([np.std([row["data"]["rmse"] for row in runs[method]], ddof=1) for method in networks])
    means = [_mean(runs[method], "data")["rmse"] for method in networks]
    floor = _mean(runs["raw"], "data")["rmse"]
    best, _, _ = won(runs, networks, "plain")
    return (
        f"With distances between the embeddings themselves: best in {len(best)} of 6 ({_listed(best)}). Over the "
        f"{len(rows)} runs the correlation of the unreconstructed variance is {related['rmse']:+.2f} with RMSE in data "
        f"space and {related['silhouette']:+.2f} with the silhouette in data space. RMSE is "
        f"{100 * (min(means) / floor - 1):.1f} to {100 * (max(means) / floor - 1):.1f}% above the minimum found by "
        f"k-means on the data. Its standard deviation is {np.std(means, ddof=1):.2g} between the means of the networks "
        f"and {within:.2g} between the seeds of one network."
    )


def page(results: dict[str, tuple[str, dict[str, list[dict[str, Any]]]]], updates: int) -> str:
    """Write the page in Markdown."""
    lines = [
        TEXT.format(
            first=SEEDS[0],
            last=SEEDS[-1],
            clusters=CLUSTERS,
            updates=updates,
            batch=BATCH,
            window=WINDOW,
            rate=LEARNING_RATE,
        )
    ]
    for title, runs in results.values():
        lines += [f"## {title}", ""]
        for kind, networks in (("As in the paper", AS_IN_THE_PAPER), ("Same head", SAME_HEAD)):
            lines += [f"### {kind}", "", "In data space:", "", *table(runs, networks, "data"), ""]
            lines += [verdict(runs, networks, "data"), "", reasons(runs, networks), "", "In embedding space:", ""]
            lines += [*table(runs, networks, "own"), "", verdict(runs, networks, "own"), ""]
        lines += [
            "| | parameters of core and attention | training [CPU s] | variance not reconstructed |",
            "|---|---|---|---|",
        ]
        for method in (*AS_IN_THE_PAPER, *SAME_HEAD[:-1]):
            rows = runs[method]
            means = [np.mean([row[key] for row in rows]) for key in ("parameters", "seconds", "unexplained")]
            name = TITLES[method] + (", same head" if method.endswith(WITH_HEAD) else "")
            lines.append(f"| {name} | {means[0]:.0f} | {means[1]:.1f} | {means[2]:.3f} |")
        lines.append("")
    lines += ["## The paper's Table I", "", "| | " + " | ".join(SCORES.values()) + " |", "|---" * 7 + "|"]
    lines += [f"| {name} | " + " | ".join(f"{value:g}" for value in row) + " |" for name, row in PAPER.items()]
    lines += [
        "",
        "The data and years differ from those of the tables above; only the order of the rows can be compared.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run what is not in the work folder yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the reanalysis files")
    parser.add_argument("--work", type=Path, default=Path("training-runs/table1"), help="folder of finished runs")
    parser.add_argument("--updates", type=int, default=UPDATES)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, tuple[str, dict[str, list[dict[str, Any]]]]] = {}
    for key, opened in RECORDS.items():
        record = opened(arguments.data)
        runs: dict[str, list[dict[str, Any]]] = {}
        for seed in SEEDS:
            for method in ("raw", "eof", *AS_IN_THE_PAPER, *SAME_HEAD[:-1]):
                file = arguments.work / f"{key}-{method.replace(' ', '-')}-{arguments.updates}-{seed}.json"
                make = partial(run, record, method, seed, arguments.updates)
                runs.setdefault(method, []).append(kept(file, make))
        results[key] = (record.title, runs)
    PAGE.write_text(page(results, arguments.updates), encoding="utf-8")


if __name__ == "__main__":
    main()
