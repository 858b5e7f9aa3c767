"""Regimes: clusters of the embeddings, with the scores that say how far to believe them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Unpack, cast

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import is_adjacent, time_axis
from xfaconv.analysis.clustering import (
    METHODS,
    Method,
    cluster,
    recoloured,
    separation,
    stability,
    surrogate_vectors,
    transitions,
)
from xfaconv.analysis.seasons import in_season
from xfaconv.arguments import (
    DEFAULTS,
    Arguments,
    check_arguments,
    check_choice,
    is_whole,
    refuse_unknown,
    shared_arguments,
)
from xfaconv.errors import ArgumentError, MissingDataError, TimeError, VariableError

_SCORES = (
    "silhouette",
    "davies_bouldin",
    "calinski_harabasz",
    "seed_stability",
    "half_stability",
    "surrogate_silhouette",
    "surrogate_deviation",
    "p_value",
)
_LONG_NAMES = {
    "silhouette": "mean silhouette, -1 to 1, higher is better separated",
    "davies_bouldin": "Davies-Bouldin score, lower is better separated",
    "calinski_harabasz": "Calinski-Harabasz score, higher is better separated",
    "seed_stability": "mean adjusted Rand index with other seeds",
    "half_stability": "mean adjusted Rand index with clusters of half the record",
    "surrogate_silhouette": "mean silhouette of phase-randomised surrogates",
    "surrogate_deviation": "standard deviation of that silhouette over the surrogates",
    "p_value": "share of surrogates that separate at least as well",
}


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
) -> tuple[NDArray[Any], ...]:
    """Labels, centres, frequency, chances, stays and scores of one record, as arrays."""
    vectors = np.asarray(embedding, dtype=np.float64)
    complete = np.isfinite(vectors).all(axis=1)
    kept = usable & complete
    if kept.sum() <= count:
        raise MissingDataError(
            "too few steps to find regimes in", expected=f"more than {count}", found=f"{int(kept.sum())}"
        )
    sample = vectors[kept]
    found = cluster(sample, count, method, seed)
    labels = np.full(len(vectors), -1, dtype=np.int64)
    labels[kept] = found.labels
    chance, stay = transitions(labels, follows, count)
    silhouette, davies, calinski = separation(sample, found.labels)
    by_seed, by_half = stability(sample, found, method, seed, repeats)
    null = []
    for number in range(surrogates):
        # The surrogate is made of the whole complete record, so that a season is cut out of even steps.
        turned = surrogate_vectors(vectors[complete], seed + 7919 * (number + 1))[usable[complete]]
        # The year's covariance is not the season's: elongated clouds separate better, regimes or not.
        turned = recoloured(turned, sample) if cut else turned
        null.append(separation(turned, cluster(turned, count, method, seed, starts=3).labels)[0])
    p_value = (1 + np.sum(np.array(null) >= silhouette)) / (1 + surrogates) if surrogates else np.nan
    centre, spread = (np.mean(null), np.std(null, ddof=min(len(null) - 1, 1))) if null else (np.nan, np.nan)
    scores = np.array([silhouette, davies, calinski, by_seed, by_half, centre, spread, p_value])
    frequency = np.bincount(found.labels, minlength=count) / kept.sum()
    return labels + 1, found.centres, frequency, chance, stay, scores


def _vectors(data: xr.Dataset | xr.DataArray, arguments: Arguments) -> xr.DataArray:
    if isinstance(data, xr.Dataset):
        from xfaconv.engine import embed

        return embed(data, **arguments)
    if arguments:
        raise ArgumentError(
            "arguments for the engine were given with embeddings",
            expected="a Dataset of fields",
            found=", ".join(arguments),
            fix=f"leave out {', '.join(arguments)}: the embeddings are made already",
        )
    return data


@shared_arguments
def regimes(
    data: xr.Dataset | xr.DataArray,
    n: int = 4,
    *,
    method: Method = "kmeans",
    season: str | Sequence[int] | None = None,
    seed: int = 0,
    repeats: int = 10,
    surrogates: int = 20,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Cluster embeddings into regimes and say how far they are to be believed.

    k-means finds clusters in any noise: look at ``p_value``, the share of phase-randomised surrogates that
    separate as well, and at the two stabilities before naming anything. Surrogates have the spectra and the covariance
    of the record; where a season is given they are made from the whole record, cut to the season, and given the
    season's mean and covariance, so that their spectra are only near the season's.

    Parameters
    ----------
    data : Dataset or DataArray (time, embedding)
        Fields, which are embedded with the engine, or embeddings (or principal components).
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
        Phase-randomised surrogates; 0 leaves them NaN.
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
    embedding = _vectors(data, arguments)
    time = time_axis(embedding)
    if embedding.ndim != 2:
        raise VariableError(
            "regimes need one series of vectors", expected="dims (time, embedding)", found=f"{embedding.dims}"
        )
    component = next(str(dim) for dim in embedding.dims if dim != time)
    selected = in_season(embedding[time], season)
    if not selected.any():
        raise TimeError(
            "no steps in the season",
            expected=f"steps in {season or 'the year'}",
            found=f"{embedding.sizes[time]} steps, none of them in it",
            fix="season=None for all months, or give a record that holds the season",
        )
    usable = selected.copy()
    if "full_warmup" in embedding.coords:
        usable &= np.asarray(embedding["full_warmup"].values, dtype=bool)
    most = int(usable.sum()) - 1
    if most < 2:
        raise MissingDataError(
            "too few steps to find regimes in",
            expected="at least 3 steps with their whole warm-up inside the data",
            found=f"{most + 1} of {int(selected.sum())} steps",
            fix="give a longer record",
        )
    if not is_whole(n, 2, most):
        raise ArgumentError("impossible number of regimes", expected=f"2 to {most}", found=str(n))
    follows = (
        is_adjacent(embedding[time]) if time in embedding.coords else np.ones(embedding.sizes[time] - 1, dtype=bool)
    )
    whole = embedding.chunk({time: -1, component: -1}) if embedding.chunks is not None else embedding
    labels, centres, frequency, chance, stay, scores = xr.apply_ufunc(
        _regimes,
        whole,
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
            "follows": follows,
            "cut": not selected.all(),
            "count": n,
            "method": method,
            "seed": seed,
            "repeats": repeats,
            "surrogates": surrogates,
        },
    )
    for part in (labels, centres, frequency, chance, stay, scores):
        part.attrs = {}
    number = np.arange(1, n + 1)
    out = xr.Dataset(
        {
            "label": labels.isel({time: selected}).assign_attrs(
                long_name="regime, 1 the most frequent, 0 none",
                flag_values=np.arange(n + 1),
                flag_meanings=" ".join(["none", *(f"regime_{number}" for number in range(1, n + 1))]),
            ),
            "centre": centres.assign_attrs(long_name="mean vector of the regime"),
            "frequency": frequency.assign_attrs(long_name="share of the steps", units="1"),
            "transition": chance.assign_attrs(long_name="chance that the next step is in the next regime", units="1"),
            "persistence": stay.assign_attrs(long_name="mean length of an unbroken visit", units="steps"),
        },
        {"regime": number, "next_regime": number},
    )
    for position, name in enumerate(_SCORES):
        out[name] = scores.isel(score=position, drop=True).assign_attrs(long_name=_LONG_NAMES[name], units="1")
    return out.assign_attrs(
        method=method, seed=seed, season="all" if season is None else str(season), surrogates=surrogates
    )


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
        Of `regimes`.

    Returns
    -------
    Dataset (n)
        The scores of `regimes` for each number, and ``suggested``: the number that exceeds its surrogates' silhouette
        most, among those with a stability over halves of at least 0.5 that exceed it by so many standard deviations
        that noise would do so for any of the candidates in at most 5% of records; 0 if there is none, which says
        that the record holds no regimes that this method can find.

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
    numbers = list(candidates) if isinstance(candidates, Iterable) else []
    if not numbers or not all(is_whole(number, 2) for number in numbers):
        raise ArgumentError(
            "no candidates",
            expected="numbers of regimes, from 2",
            found=repr(candidates)[:200],
            fix="candidates=range(2, 9)",
        )
    known = ("method", "season", "seed", "repeats", "surrogates")
    refuse_unknown(options, [*known, *DEFAULTS])
    embedding = _vectors(data, cast("Arguments", {name: own for name, own in options.items() if name not in known}))
    own = {name: value for name, value in options.items() if name in known}
    parts = [regimes(embedding, number, **own)[list(_SCORES)] for number in numbers]
    out = xr.concat(parts, xr.Variable("n", numbers), join="exact", combine_attrs="drop_conflicts")
    out = out.assign_coords(n=numbers)
    from scipy.special import ndtri

    needed = float(-ndtri(0.05 / len(numbers)))
    excess = out.silhouette - out.surrogate_silhouette
    credible = (excess > needed * out.surrogate_deviation) & (out.half_stability >= 0.5)
    excess = excess.where(credible, -np.inf)
    best = (out.n * (excess == excess.max("n"))).max("n")
    out["suggested"] = (best * credible.any("n")).assign_attrs(
        long_name="number of regimes that is best supported, 0 for none"
    )
    return out
