"""Regimes: clusters of the embeddings, and the scores that say whether they are more than noise would give."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, Unpack, cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import in_one_chunk, time_axis
from xfaconv.analysis.statistics.seasons import Season, adjacent_steps, season_name, steps_of_season
from xfaconv.analysis.statistics.surrogates import surrogate_vectors
from xfaconv.arguments import (
    DEFAULTS,
    Arguments,
    Rule,
    check_arguments,
    check_choice,
    check_rules,
    is_whole,
    refuse_unknown,
    seed_attribute,
    shared_arguments,
)
from xfaconv.engine import embed
from xfaconv.engine.cost import watched
from xfaconv.engine.dates import lacking_warmup
from xfaconv.engine.prepare import filled
from xfaconv.errors import ArgumentError, MissingDataError, VariableError

Method = Literal["kmeans", "mixture", "hierarchical"]
METHODS: tuple[Method, ...] = ("kmeans", "mixture", "hierarchical")
# Without them no number of clusters is credible, and a suggestion of 0 would say what was not tested.
_NEEDED: Mapping[str, Rule] = {
    "repeats": (lambda v: is_whole(v, 1), "a whole number from 1", "10"),
    "surrogates": (lambda v: is_whole(v, 2), "a whole number from 2", "199"),
}
_OPTIONS = ("method", "season", "seed", "repeats", "surrogates")

# A silhouette costs the square of the number of vectors: beyond this many a fixed sample stands for all.
_SILHOUETTE_SAMPLE = 1500
# Spread of a direction, as a share of the widest, below which it is rounding of single precision.
_RANK_TOLERANCE = 1e-6
_QUIETLY = threading.Lock()
# p is at best 1 / (1 + surrogates): 20 of them cannot tell p = 0.05 from less, and seven numbers of clusters tested at
# 5% together need 0.007. 199 k-means of 900 winter days in 32 components take 5 s.
_SURROGATES = 199
_SCORES = {
    "silhouette": "mean silhouette, -1 to 1, higher is better separated",
    "davies_bouldin": "Davies-Bouldin score, lower is better separated",
    "calinski_harabasz": "Calinski-Harabasz score, higher is better separated",
    "seed_stability": "mean adjusted Rand index with other seeds",
    "half_stability": "mean adjusted Rand index with clusters of half the record",
    "surrogate_silhouette": "mean silhouette of phase-randomised surrogates",
    "surrogate_deviation": "standard deviation of that silhouette over the surrogates",
    "p_value": "share of surrogates that separate at least as well, the record counted among them",
}


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
    # catch_warnings puts the filters of the whole process back: two threads at once would leave one another's.
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
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

    if not 2 <= len(np.unique(labels)) < len(labels):
        return float("nan"), float("nan"), float("nan")
    davies, calinski = davies_bouldin_score(vectors, labels), calinski_harabasz_score(vectors, labels)
    return _silhouette(vectors, labels), float(davies), float(calinski)


def _silhouette(vectors: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(labels)) < len(labels):
        return float("nan")
    sample = _SILHOUETTE_SAMPLE if len(vectors) > _SILHOUETTE_SAMPLE else None
    return float(silhouette_score(vectors, labels, sample_size=sample, random_state=0))


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
        again = cluster(vectors, count, method, (seed + 1 + repeat) % 2**32, starts=1)
        by_seed.append(adjusted_rand_score(reference.labels, again.labels))
        kept = np.isin(block, generator.choice(10, 5, replace=False))
        if kept.sum() > count:
            half = cluster(vectors[kept], count, method, seed, starts=3)
            by_half.append(adjusted_rand_score(reference.assign(vectors), half.assign(vectors)))
    return float(np.mean(by_seed)), float(np.mean(by_half)) if by_half else float("nan")


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


def _regimes(
    embedding: NDArray[np.floating],
    *,
    usable: NDArray[np.bool_],
    follows: NDArray[np.bool_],
    cut: bool,
    count: int,
    method: Method,
    seed: int,
    repeats: int,
    surrogates: int,
    shown: bool | None,
) -> tuple[NDArray[Any], ...]:
    """Labels, centres, frequency, chances, stays and scores of one record, as arrays."""
    vectors = np.asarray(embedding, dtype=np.float64)
    complete = np.isfinite(vectors).all(axis=1)
    kept = usable & complete
    _require_steps(int(kept.sum()), count + 1, "complete steps")
    sample = vectors[kept]
    found = cluster(sample, count, method, seed)
    labels = np.full(len(vectors), -1, dtype=np.int64)
    labels[kept] = found.labels
    chance, stay = transitions(labels, follows, count)
    silhouette, davies, calinski = separation(sample, found.labels)
    by_seed, by_half = stability(sample, found, method, seed, repeats)
    null = []
    numbers = range(surrogates)
    # Inside a graph nobody waits for this one task: nothing is said.
    for number in numbers if shown is None else watched(numbers, "regimes", "surrogates", shown=shown):
        # A Fourier transform needs even steps: the surrogate is made of the whole record, then cut to the season. 7919
        # is a prime, so that surrogates of neighbouring seeds differ.
        turned = surrogate_vectors(vectors[complete], seed + 7919 * (number + 1))[usable[complete]]
        # It then has the year's covariance, not the season's: elongated clouds separate better, regimes or not.
        turned = recoloured(turned, sample) if cut else turned
        null.append(_silhouette(turned, cluster(turned, count, method, seed, starts=3).labels))
    p_value = (1 + np.sum(np.array(null) >= silhouette)) / (1 + surrogates) if surrogates else np.nan
    centre, spread = (np.mean(null), np.std(null, ddof=min(len(null) - 1, 1))) if null else (np.nan, np.nan)
    scores = np.array([silhouette, davies, calinski, by_seed, by_half, centre, spread, p_value])
    frequency = np.bincount(found.labels, minlength=count) / kept.sum()
    return labels + 1, found.centres, frequency, chance, stay, scores


def _require_steps(found: int, least: int, what: str) -> None:
    if found < least:
        wanted = f"at least {least} {what}"
        raise MissingDataError("too few steps to find regimes in", expected=wanted, found=str(found))


def _vectors(data: xr.Dataset | xr.DataArray, arguments: Arguments) -> xr.DataArray:
    if isinstance(data, xr.Dataset):
        if "embedding" not in data.dims:
            return embed(data, **arguments)
        # What `encode` gives, or embeddings that were read from a file.
        data = next(field for field in data.data_vars.values() if "embedding" in field.dims)
    defaults = cast("dict[str, Any]", DEFAULTS)
    strange = [name for name, value in arguments.items() if name != "progress" and value is not defaults[name]]
    if strange:
        fix = ", ".join(f"{name}={defaults[name]!r}" for name in strange) + "  # the embeddings are made already"
        raise ArgumentError("arguments for the engine were given with embeddings, not with a Dataset", fix=fix)
    return data


@shared_arguments
def regimes(
    data: xr.Dataset | xr.DataArray,
    n: int = 4,
    *,
    method: Method = "kmeans",
    season: Season = None,
    seed: int = 0,
    repeats: int = 10,
    surrogates: int = _SURROGATES,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Cluster embeddings into regimes and score how well they are supported.

    k-means finds clusters in any noise: look at ``p_value``, the share of phase-randomised surrogates that
    separate as well, and at the two stabilities before naming anything. Surrogates have the spectra and the covariance
    of the record; where a season is given they are made from the whole record, cut to the season, and given the
    season's mean and covariance, so that their spectra are only near the season's.

    Parameters
    ----------
    data : Dataset or DataArray (time, embedding)
        Fields, which are embedded with the engine, or embeddings, also in a Dataset as `xfaconv.encode` gives it, or
        principal components weighted by their variance, as `leading_eofs` gives them in ``components``.
    n : int
        Number of regimes.
    method : {"kmeans", "mixture", "hierarchical"}
        scikit-learn's KMeans, GaussianMixture or AgglomerativeClustering (Ward).
    season : str or sequence of int, optional
        Only these months, such as ``"DJF"``.
    seed : int
        The same seed gives the same regimes.
    repeats : int
        Refits of each kind for the stabilities; 0 leaves them NaN. The hierarchy has no random start: its stability
        over seeds is always 1 and says nothing.
    surrogates : int
        Phase-randomised surrogates; 0 leaves their scores NaN. ``p_value`` is at best ``1 / (1 + surrogates)``, as its
        attributes say. Each costs a clustering: 0.02 s for 900 steps with k-means, 1 s for 3,600 with the hierarchy.
    **arguments
        Of `xfaconv.embed`, where fields are given.

    Returns
    -------
    Dataset
        ``label`` (time): 1 to n by falling frequency, 0 where the embedding is missing or not warmed up; ``centre``
        (regime, component); ``frequency`` (regime); ``transition`` (regime, next_regime), chances of the next step;
        ``persistence`` (regime), mean stay [steps]; ``silhouette``, ``davies_bouldin``, ``calinski_harabasz``,
        ``seed_stability``, ``half_stability`` (adjusted Rand), ``surrogate_silhouette``, ``surrogate_deviation`` and
        ``p_value``. One lazy task if the data are lazy.

    Raises
    ------
    ArgumentError
        If n or the method cannot be used.
    VariableError
        If embeddings have other dims than time and one more.
    TimeError
        If no step is in the season.
    MissingDataError
        If too few steps are warmed up or, when computed, complete.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> states = np.repeat(np.eye(3), 20, axis=0)
    >>> vectors = xr.DataArray(states + 0.05 * rng.normal(size=(60, 3)), dims=("time", "embedding"))
    >>> out = regimes(vectors, 3)
    >>> out.persistence.values, bool(out.half_stability > 0.4)
    (array([20., 20., 20.]), True)
    """
    check_arguments(seed=seed, repeats=repeats, surrogates=surrogates)
    check_choice("method", method, METHODS)
    shown = bool(filled({"progress": arguments.get("progress")})["progress"])
    embedding = _vectors(data, arguments)
    time = time_axis(embedding)
    if embedding.ndim != 2:
        raise VariableError("regimes need one series of vectors (time, embedding)", found=f"{embedding.dims}")
    component = next(str(dim) for dim in embedding.dims if dim != time)
    selected = steps_of_season(embedding[time], season)
    usable = selected.copy()
    if "full_warmup" in embedding.coords:
        usable &= np.asarray(embedding["full_warmup"].values, dtype=bool)
        if not embedding["full_warmup"].any() and "warmup" in embedding.attrs:
            follows = adjacent_steps(embedding, time)
            spans = np.diff(np.flatnonzero(np.r_[True, ~follows, True]))
            raise lacking_warmup(embedding[time], spans.tolist(), int(embedding.attrs["warmup"]))
    most = int(usable.sum()) - 1
    _require_steps(most + 1, 3, "steps with their whole warm-up inside the data")
    check_rules({"n": n}, {"n": (lambda value: is_whole(value, 2, most), f"2 to {most}", "4")})
    labels, centres, frequency, chance, stay, scores = xr.apply_ufunc(
        _regimes,
        in_one_chunk(embedding, [time, component]),
        input_core_dims=[[time, component]],
        output_core_dims=[
            [time],
            ["regime", component],
            ["regime"],
            ["regime", "next_regime"],
            ["regime"],
            ["score"],
        ],
        dask="parallelized",
        output_dtypes=[np.int64] + [np.float64] * 5,
        dask_gufunc_kwargs={"output_sizes": {"regime": n, "next_regime": n, "score": len(_SCORES)}},
        kwargs={
            "usable": usable,
            "follows": adjacent_steps(embedding, time),
            "cut": not selected.all(),
            "count": n,
            "method": method,
            "seed": seed,
            "repeats": repeats,
            "surrogates": surrogates,
            "shown": shown if embedding.chunks is None else None,
        },
    )
    for part in (labels, centres, frequency, chance, stay, scores):
        part.attrs = {}
    out = xr.Dataset(
        {
            "label": labels.isel({time: selected}).assign_attrs(
                long_name="regime, 1 the most frequent, 0 none",
                flag_values=np.arange(n + 1),
                flag_meanings=" ".join(["none", *(f"regime_{number}" for number in range(1, n + 1))]),
            ),
            "centre": centres.assign_attrs(long_name="mean vector of the regime"),
            "frequency": frequency.assign_attrs(long_name="share of the steps", units="1"),
            "transition": chance.assign_attrs(long_name="chance that the next step is in that regime", units="1"),
            "persistence": stay.assign_attrs(long_name="mean length of an unbroken visit", units="steps"),
        },
        {"regime": np.arange(1, n + 1), "next_regime": np.arange(1, n + 1)},
    )
    for position, (name, words) in enumerate(_SCORES.items()):
        out[name] = scores.isel(score=position, drop=True).assign_attrs(long_name=words, units="1")
    out["p_value"].attrs.update(_limit_of(surrogates))
    return out.assign_attrs(method=method, seed=seed_attribute(seed), season=season_name(season), surrogates=surrogates)


def _limit_of(surrogates: int) -> dict[str, Any]:
    """Attributes of p-values that say which values so many surrogates can give."""
    if not surrogates:
        return {"comment": "not tested: no surrogates were made"}
    least = 1 / (1 + surrogates)
    return {
        "smallest_possible": least,
        "comment": f"p <= {least:.2g} is the limit of {surrogates} surrogates: the true value may be smaller",
    }


def choose_count(
    data: xr.Dataset | xr.DataArray, candidates: Sequence[int] = range(2, 9), **options: Any
) -> xr.Dataset:
    """Score several numbers of regimes, to choose one or none.

    Parameters
    ----------
    data : Dataset or DataArray (time, embedding)
        See `regimes`.
    candidates : sequence of int
        Numbers to try.
    **options
        Of `regimes`; at least one of `repeats` and two `surrogates`.

    Returns
    -------
    Dataset (n)
        The scores of `regimes` for each number, ``support``, the excess of the silhouette over that of the surrogates
        times both stabilities, and ``suggested``: the number with most support among those with a stability over halves
        of at least 0.5 whose silhouette exceeds the surrogates' by so many standard deviations that noise would do so
        for any of the candidates in at most 5% of records; 0 if there is none, which says that the record holds no
        regimes that this method can find.

    Raises
    ------
    ArgumentError
        If there are no candidates, or an option is unknown.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> states = np.eye(3)[rng.integers(0, 3, size=150)]
    >>> vectors = xr.DataArray(states + 0.1 * rng.normal(size=(150, 3)), dims=("time", "embedding"))
    >>> int(choose_count(vectors, (2, 3, 4)).suggested)
    3
    """
    numbers = list(candidates) if isinstance(candidates, Iterable) else [0]
    good = bool(numbers) and all(is_whole(number, 2) for number in numbers)
    check_rules({"candidates": candidates}, {"candidates": (lambda _: good, "numbers from 2", "range(2, 9)")})
    refuse_unknown(options, [*_OPTIONS, *DEFAULTS])
    own = {name: options.pop(name) for name in _OPTIONS if name in options}
    check_rules({name: own[name] for name in _NEEDED if name in own}, _NEEDED)
    embedding = _vectors(data, cast("Arguments", options))
    shown: Arguments = {"progress": cast("Arguments", options).get("progress")}
    parts = [regimes(embedding, number, **own, **shown)[list(_SCORES)] for number in numbers]
    out = xr.concat(parts, xr.Variable("n", numbers), join="exact", combine_attrs="drop_conflicts")
    out = out.assign_coords(n=numbers)
    # One-sided normal quantile at 5% over the number of candidates (Bonferroni): 2.4 for seven of them.
    needed = NormalDist().inv_cdf(1 - 0.05 / len(numbers))
    excess = out.silhouette - out.surrogate_silhouette
    credible = (excess > needed * out.surrogate_deviation) & (out.half_stability >= 0.5)
    # Clusters that change with the seed or with half of the record describe the start or the sample, however distinct.
    out["support"] = (excess * out.seed_stability * out.half_stability).assign_attrs(
        long_name="excess of the silhouette over surrogates times the stabilities", units="1"
    )
    support = out.support.where(credible, -np.inf)
    best = (out.n * (support == support.max("n"))).max("n")
    out["suggested"] = (best * credible.any("n")).assign_attrs(
        long_name="number of regimes that is best supported, 0 for none"
    )
    return out
