"""Clusters of vectors with a fixed seed, and the scores that say whether they are more than noise would give."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_QUIETLY = threading.Lock()

Method = Literal["kmeans", "mixture", "hierarchical"]
METHODS: tuple[Method, ...] = ("kmeans", "mixture", "hierarchical")

# A silhouette costs the square of the number of vectors: beyond this many a fixed sample stands for all.
_SILHOUETTE_SAMPLE = 1500
# Spread of a direction, as a share of the widest, below which it is rounding of single precision.
_RANK_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Clusters:
    """Labels from 0 by falling frequency, and the centre of each.

    Parameters
    ----------
    labels : ndarray (sample,)
        Cluster of each vector.
    centres : ndarray (cluster, component)
        Mean vector of each.
    """

    labels: NDArray[np.int64]
    centres: NDArray[np.float64]

    def assign(self, vectors: NDArray[np.float64]) -> NDArray[np.int64]:
        """Give each vector to the nearest centre."""
        distance = (vectors**2).sum(1)[:, None] - 2 * vectors @ self.centres.T + (self.centres**2).sum(1)
        return np.asarray(distance.argmin(axis=1), dtype=np.int64)


def cluster(vectors: NDArray[np.float64], count: int, method: Method, seed: int, *, starts: int = 10) -> Clusters:
    """Cluster vectors, the most frequent cluster first.

    Parameters
    ----------
    vectors : ndarray (sample, component)
        Without missing values.
    count : int
        Number of clusters.
    method : {"kmeans", "mixture", "hierarchical"}
        k-means, a Gaussian mixture, or Ward's hierarchy.
    seed : int
        Seed of the starts; the hierarchy has none.
    starts : int
        Random starts of which the best is kept.

    Returns
    -------
    Clusters

    Examples
    --------
    >>> vectors = np.array([[0.0], [0.1], [0.2], [5.0]])
    >>> cluster(vectors, 2, "kmeans", 0).labels
    array([0, 0, 0, 1])
    """
    from sklearn.cluster import AgglomerativeClustering, KMeans
    from sklearn.mixture import GaussianMixture

    algorithm: Any
    if method == "kmeans":
        algorithm = KMeans(count, n_init=starts, random_state=seed)
    elif method == "mixture":
        algorithm = GaussianMixture(count, n_init=max(starts // 3, 1), random_state=seed, reg_covar=1e-5)
    else:
        algorithm = AgglomerativeClustering(count, linkage="ward")
    # What is put back is the process's list of filters: two threads at a time would leave the other's.
    with _QUIETLY, warnings.catch_warnings():
        # A start that did not converge only makes a worse candidate; its scores say so.
        warnings.simplefilter("ignore")
        found = np.asarray(algorithm.fit_predict(vectors))
    sizes = np.bincount(found, minlength=count)
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(count)
    labels = rank[found]
    centres = np.stack(
        [vectors[labels == k].mean(axis=0) if (labels == k).any() else vectors.mean(axis=0) for k in range(count)]
    )
    return Clusters(labels, centres)


def separation(vectors: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float, float]:
    """Silhouette, Davies-Bouldin and Calinski-Harabasz scores; NaN where all vectors are in one cluster.

    Examples
    --------
    >>> vectors = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> [round(score, 2) for score in separation(vectors, np.array([0, 0, 1, 1]))]
    [0.98, 0.02, 5000.0]
    """
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

    if not 2 <= len(np.unique(labels)) < len(labels):
        return float("nan"), float("nan"), float("nan")
    sample = _SILHOUETTE_SAMPLE if len(vectors) > _SILHOUETTE_SAMPLE else None
    return (
        float(silhouette_score(vectors, labels, sample_size=sample, random_state=0)),
        float(davies_bouldin_score(vectors, labels)),
        float(calinski_harabasz_score(vectors, labels)),
    )


def stability(
    vectors: NDArray[np.float64], reference: Clusters, method: Method, seed: int, repeats: int
) -> tuple[float, float]:
    """Mean adjusted Rand index with single starts of other seeds, and with clusters found in half of the record.

    Halves are made of contiguous tenths of the record, since neighbours in time are alike. 1 is identical, 0 chance.

    Examples
    --------
    >>> vectors = np.r_[np.zeros((30, 1)), np.ones((30, 1))][np.random.default_rng(0).permutation(60)]
    >>> stability(vectors, cluster(vectors, 2, "kmeans", 0), "kmeans", 0, 3)
    (1.0, 1.0)
    """
    from sklearn.metrics import adjusted_rand_score

    if repeats < 1:
        return float("nan"), float("nan")
    count = len(reference.centres)
    generator = np.random.default_rng(seed)
    block = np.arange(len(vectors)) * 10 // len(vectors)
    by_seed, by_half = [], []
    for repeat in range(repeats):
        again = cluster(vectors, count, method, seed + 1 + repeat, starts=1)
        by_seed.append(adjusted_rand_score(reference.labels, again.labels))
        kept = np.isin(block, generator.choice(10, 5, replace=False))
        if kept.sum() > count:
            half = cluster(vectors[kept], count, method, seed, starts=3)
            by_half.append(adjusted_rand_score(reference.assign(vectors), half.assign(vectors)))
    return float(np.mean(by_seed)), float(np.mean(by_half)) if by_half else float("nan")


def surrogate_vectors(vectors: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Turn all components of a series of vectors by the same random phases (Prichard and Theiler 1994).

    Spectra and the covariance of the components stay; any clustering beyond them goes.

    Examples
    --------
    >>> vectors = np.random.default_rng(0).normal(size=(50, 2))
    >>> bool(np.allclose(np.cov(surrogate_vectors(vectors, 1).T), np.cov(vectors.T)))
    True
    """
    spectrum = np.fft.rfft(vectors, axis=0)
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, size=(len(spectrum), 1))
    phase[0] = 0
    if len(vectors) % 2 == 0:
        phase[-1] = 0
    return np.asarray(np.fft.irfft(spectrum * np.exp(1j * phase), n=len(vectors), axis=0))


def recoloured(vectors: NDArray[np.float64], like: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give vectors the mean and the covariance of others by the linear map that changes them least.

    A season cut out of a surrogate of the whole year has the covariance of the year; clusters depend on it.

    Parameters
    ----------
    vectors : ndarray (sample, component)
        Part of a surrogate.
    like : ndarray (other_sample, component)
        Whose mean and covariance are wanted; directions in which they do not vary are left without variance.

    Returns
    -------
    ndarray (sample, component)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> like = rng.normal(size=(80, 2)) * [3, 1]
    >>> bool(np.allclose(np.cov(recoloured(rng.normal(size=(60, 2)), like).T), np.cov(like.T)))
    True
    """
    mean = like.mean(axis=0)
    _, sizes, directions = np.linalg.svd(like - mean, full_matrices=False)
    # Directions that hold nothing but rounding have no covariance to give, nor one to divide by.
    basis = directions[sizes > sizes.max(initial=0) * _RANK_TOLERANCE].T
    inside = (vectors - vectors.mean(axis=0)) @ basis
    have, want = (np.atleast_2d(np.cov(part, rowvar=False)) for part in (inside, (like - mean) @ basis))
    return np.asarray(mean + inside @ _power(have, -0.5) @ _power(want, 0.5) @ basis.T)


def _power(covariance: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Power of a covariance on the directions in which it is not zero, zero on the others."""
    values, directions = np.linalg.eigh(covariance)
    kept = values > values.max(initial=0) * _RANK_TOLERANCE**2
    return np.asarray((directions[:, kept] * values[kept] ** exponent) @ directions[:, kept].T)


def transitions(
    labels: NDArray[np.int64], follows: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Chances to go from one cluster to the next step's, and the mean stay in each.

    Parameters
    ----------
    labels : ndarray (time,)
        Clusters from 0; -1 where there is none.
    follows : ndarray (time - 1,), bool
        Whether a step directly follows the one before.
    count : int
        Number of clusters.

    Returns
    -------
    chance : ndarray (from, to)
        Rows sum to 1; NaN for a cluster that is never left nor stayed in.
    stay : ndarray (cluster,)
        Mean length of unbroken visits [steps].

    Examples
    --------
    >>> transitions(np.array([0, 0, 1, 0]), np.array([True, True, True]), 2)[1]
    array([1.5, 1. ])
    """
    before, after = labels[:-1], labels[1:]
    joined = follows & (before >= 0) & (after >= 0)
    counts = np.zeros((count, count))
    np.add.at(counts, (before[joined], after[joined]), 1)
    total = counts.sum(axis=1, keepdims=True)
    chance = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    starts = np.concatenate([[True], ~(joined & (before == after))]) & (labels >= 0)
    visits = np.bincount(labels[starts], minlength=count)
    steps = np.bincount(labels[labels >= 0], minlength=count)
    stay = np.divide(steps, visits, out=np.full(count, np.nan), where=visits > 0)
    return chance, stay
