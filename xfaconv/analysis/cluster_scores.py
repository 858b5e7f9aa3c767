"""The six scores of the paper's Table I, for labels of any clustering, in the space of the data or the embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xfaconv.errors import ArgumentError


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


HIGHER_IS_BETTER = {
    "silhouette": True,
    "davies_bouldin": False,
    "calinski_harabasz": True,
    "rmse": False,
    "variance": False,
    "separation": True,
}


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
    """Write vectors of many features in a basis that spans them: all distances and angles stay, most columns go.

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
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

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
    from sklearn.metrics import pairwise_distances

    distance = pairwise_distances(vectors)
    distance[labels[:, None] == labels[None, :]] = np.inf
    nearest = distance.min(axis=1)
    return float(np.mean([nearest[labels == label].min() for label in np.unique(labels)]))
