"""One call about a teleconnection: the value that is known from afar, its skill, where it comes from, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Unpack

import dask
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis import indices
from xfaconv.analysis.statistics.composites import membership_test
from xfaconv.analysis.statistics.correlation import correlation_map
from xfaconv.analysis.statistics.seasons import Season, in_season, season_name, season_years, spread_evenly
from xfaconv.arguments import Arguments, check_arguments, check_choice, shared_arguments
from xfaconv.bootstrap import block_bootstrap
from xfaconv.engine.api import conformed_of
from xfaconv.engine.dates import show_date, steps_at
from xfaconv.engine.prepare import Prepared, prepare
from xfaconv.engine.results import provenance
from xfaconv.errors import ArgumentError, TimeError
from xfaconv.inference.areas import Area, Cells
from xfaconv.inference.contributions import Target, attribution_of, find_target, mean_observed, mean_predicted
from xfaconv.inference.prediction import in_training
from xfaconv.inference.regions import Regions, sum_by_region
from xfaconv.inference.skill import score_series

Index = str | xr.DataArray | None
INDICES = ("nino34", "nino12", "nino3", "nino4", "soi", "nao", "pna", "ao", "sam")
DIFFERENCE = "difference"
# Neighbours of the target are as far away as this, or a cell where cells are larger [degrees].
_NEIGHBOUR = 5.0
_FEWEST_EVENTS = 3
_FEWEST_PAIRS = 8


@dataclass(frozen=True, eq=False)
class Phases:
    """Which steps belong to two phases, such as those of El Nino and of La Nina.

    Parameters
    ----------
    names : (str, str)
        Names of the phases.
    steps : (ndarray, ndarray)
        Positions of their steps.
    index : ndarray (time,), optional
        The index that they were chosen by.
    words : str
        What chose them.
    """

    names: tuple[str, str]
    steps: tuple[NDArray[np.int64], NDArray[np.int64]]
    index: NDArray[np.float64] | None
    words: str


@shared_arguments
def teleconnection(
    ds: xr.Dataset,
    target: Area,
    variable: str,
    *,
    hide: Area | None = None,
    lead: int | None = None,
    index: Index = None,
    threshold: float | None = None,
    events: Mapping[str, Any] | None = None,
    season: Season = None,
    method: Literal["integrated", "gradient", "linear"] = "integrated",
    regions: Regions | None = None,
    lags: Sequence[int] = (0, 1, 2, 3),
    samples: int | None = 12,
    alpha: float = 0.05,
    seed: int = 0,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Say what is known of a place from afar, how well, where from, and what may be claimed of it.

    Computes at once: the series of the network, of the linear answer and of a regression on the index, verified on
    unseen steps; the contributions of the rest of the world in two phases, such as El Nino and La Nina winters, with
    the significance of their difference; their sums by region; and the lagged correlation map of the observed series.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    target : tuple, mapping, str, DataArray or list
        Where: a place (latitude, longitude), a box (south, north, west, east), a name, a mask or weights.
    variable : str
        The model's name of the variable.
    hide : tuple, mapping, str, DataArray or list, optional
        Hide this area, which holds the target, and explain what is inferred of it; see `xfaconv.infer`.
    lead : int, optional
        Explain the forecast so many steps ahead, instead.
    index : {"nino34", "nao", ...} or DataArray (time,), optional
        Index whose phases are compared and that is the simplest rival. Default: the observed value itself.
    threshold : float, optional
        A step belongs to the high phase from here on, to the low one from minus here on, in the units of the index.
        Default: its standard deviation in the season.
    events : mapping of two names to dates, optional
        The phases as dates, instead of an index.
    season : str or sequence of int, optional
        Season of the steps, such as ``"DJF"``; of forecasts, those that they start from.
    method : {"integrated", "gradient", "linear"}, default "integrated"
        See `xfaconv.attribution`.
    regions : mapping of str to area, list of names, mask or regionmask.Regions, optional
        Where contributions are summed. Default: the tropical oceans, the hemispheres and the sea and land around the
        hidden area are not told apart; everything else is ``"elsewhere"``.
    lags : sequence of int, default (0, 1, 2, 3)
        Steps by which the field comes before the target in the correlation map.
    samples : int, optional
        Steps of each phase whose contributions are computed, spread evenly; None for all.
    alpha : float, default 0.05
        False discovery rate of the maps, and share of intervals that miss the true value.
    seed : int, default 0
        Seed of the bootstrap.
    **arguments
        The shared arguments of the engine.

    Returns
    -------
    Dataset
        ``predicted (prediction, time)`` and ``observed (time)``, anomalies in the units of `ds`, of all steps of the
        season with their whole warm-up; ``correlation (prediction)`` and ``explained_variance (prediction)`` on unseen
        steps with ``_low`` and ``_high``; ``attribution (phase, variable, latitude, longitude)`` with the phase
        ``"difference"``, and ``significant (latitude, longitude)`` of the sum over the variables; ``mean_predicted
        (phase, prediction)`` and ``mean_observed (phase)`` of the same steps; ``by_region (phase, variable, region)``,
        and ``by_region_low (region)`` and ``by_region_high (region)`` of the difference; ``correlation_map (variable,
        lag, latitude, longitude)`` and ``correlation_significant``; ``neighbour_correlation (neighbour)``. The
        attribute ``sentence`` says what may be claimed.

    Raises
    ------
    ArgumentError
        If the question is not clear, or the index or events cannot be used.
    TimeError
        If a phase has fewer than 3 steps, or too few steps are unseen.
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> out = xfaconv.teleconnection(ds, "north_pacific", "z500", hide=(20, 80, 140, 250), index="nino34",
    ...                              season="DJF", method="linear")
    >>> print(out.attrs["sentence"])  # doctest: +SKIP
    """
    check_choice("method", method, ("integrated", "gradient", "linear"))
    check_arguments(alpha=alpha, seed=seed, samples=samples)
    if hide is None and lead is None:
        raise ArgumentError(
            "it is not clear what value is explained",
            expected="one of hide= (what is inferred of a hidden area) and lead= (a forecast)",
            found="neither",
            fix="hide=(20, 80, 140, 250)  # or lead=1 for a forecast",
        )
    ready = prepare(ds, arguments)
    if ready.cold is not None:
        raise ready.cold
    stamps = xr.DataArray(ready.conformed.time.values, dims="time", name="time")
    usable = in_season(stamps, season) & ready.segments.full_warmup & ready.asked
    ready = replace(ready, steps=np.flatnonzero(usable).astype(np.int64))
    goal = find_target(ready, target, variable, hide, lead)
    series = _series(goal)
    phases = _phases(goal, index, threshold, events, usable, series["observed"])
    if phases.index is not None:
        series["index"] = _regression(phases.index[ready.steps], series["observed"], in_training(ready)[ready.steps])
    chosen = [spread_evenly(steps, samples) for steps in phases.steps]
    both = np.sort(np.concatenate(chosen))
    parts = attribution_of(
        replace(ready, steps=both), target, variable, hide=hide, lead=lead, method=method, baseline="climatology"
    )
    fields = conformed_of(ready)
    maps = _correlations(fields, series["observed_record"], lags, season, alpha)
    attributed, correlated = dask.compute(parts, maps)
    out = _scored(goal, series, season, alpha, seed)
    out = out.merge(_composites(attributed, phases, chosen, both, season, alpha, seed, regions), compat="override")
    out = out.merge(correlated.rename(correlation="correlation_map", significant="correlation_significant"))
    return _described(goal, out, phases, season, method, alpha)
