"""The scores of Table I against sums written out by hand, and against what they must not depend on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.table1 import cluster_scores, normalised_features, rotated
from xfaconv.errors import ArgumentError


def clouds(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat([0, 1, 2], [5, 9, 14]))
    return random.normal(size=(28, 4)) + 3 * labels[:, None] + 1, labels


def test_scores_equal_sums_written_out() -> None:
    vectors, labels = clouds()
    scores = cluster_scores(vectors, labels)
    squared, variance, nearest = 0.0, 0.0, []
    for label in (0, 1, 2):
        part = [vectors[i] for i in range(28) if labels[i] == label]
        mean = sum(part) / len(part)
        squared += sum(float(np.dot(row - mean, row - mean)) for row in part)
        elements = [float(value) for row in part for value in row]
        middle = sum(elements) / len(elements)
        variance += len(part) / 28 * sum((value - middle) ** 2 for value in elements) / len(elements)
        to_others = []
        for other in {0, 1, 2} - {label}:
            pairs = itertools.product(np.flatnonzero(labels == label), np.flatnonzero(labels == other))
            to_others.append(min(float(np.linalg.norm(vectors[i] - vectors[j])) for i, j in pairs))
        nearest.append(min(to_others))
    assert scores.rmse == pytest.approx((squared / 28) ** 0.5)
    assert scores.variance == pytest.approx(variance)
    assert scores.separation == pytest.approx(sum(nearest) / 3)


def test_silhouette_is_that_of_angles() -> None:
    vectors, labels = clouds()
    lengths = np.random.default_rng(1).uniform(0.1, 9, size=(28, 1))
    plain, stretched = cluster_scores(vectors, labels), cluster_scores(vectors * lengths, labels)
    assert stretched.silhouette == pytest.approx(plain.silhouette)
    assert stretched.rmse != pytest.approx(plain.rmse)


def test_names_of_clusters_do_not_matter() -> None:
    vectors, labels = clouds()
    renamed = cluster_scores(vectors, np.array([40, -3, 7])[labels])
    assert vars(renamed) == pytest.approx(vars(cluster_scores(vectors, labels)))


def test_a_rotation_keeps_distances_and_angles() -> None:
    vectors = np.random.default_rng(2).normal(1, 1, size=(12, 300))
    turned = rotated(vectors)
    assert turned.shape == (12, 12)
    assert np.allclose(turned @ turned.T, vectors @ vectors.T)
    labels = np.repeat([0, 1, 2], 4)
    from sklearn.metrics import davies_bouldin_score, silhouette_score

    scores = cluster_scores(vectors, labels)
    assert scores.silhouette == pytest.approx(silhouette_score(vectors, labels, metric="cosine"))
    assert scores.davies_bouldin == pytest.approx(davies_bouldin_score(vectors, labels))


def test_one_cluster_is_refused() -> None:
    with pytest.raises(ArgumentError, match="cannot be scored"):
        cluster_scores(np.ones((4, 2)), np.zeros(4, int))


def test_features_lie_between_0_and_1() -> None:
    fields = np.random.default_rng(0).normal(5, 3, size=(20, 2, 3, 4))
    fields[3, 1, 2, 0] = np.nan
    features = normalised_features(fields)
    assert features.shape == (20, 24)
    assert np.allclose(features.min(axis=0), 0)
    assert np.allclose(features.max(axis=0), 1)


def test_scores_are_those_measured_before_on_era5(shared_data) -> None:  # type: ignore[no-untyped-def]
    import xarray as xr
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    with xr.open_dataset(shared_data / "erai-daily-natl-2000-2009.nc") as opened:
        year = opened.sel(time="2009")
        features = normalised_features(np.stack([year[name].values for name in ("msl", "z500", "t850")], axis=1))
    components = PCA(8, random_state=0).fit_transform(features)
    found = []
    for seed in (0, 1, 2):
        labels = KMeans(7, n_init=10, random_state=seed).fit_predict(components)
        found.append(list(vars(cluster_scores(features, labels)).values()))
    # The cosine silhouette of daily fields changes most with the seed, by about 0.01.
    measured, tolerance = (0.139, 1.723, 93.27, 4.795, 0.0298, 2.86), (0.25, 0.03, 0.01, 0.01, 0.01, 0.05)
    assert np.all(np.abs(np.mean(found, axis=0) / measured - 1) < tolerance)
