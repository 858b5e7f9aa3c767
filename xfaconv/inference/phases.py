"""Which steps belong to two phases: those of an index, or dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis import indices
from xfaconv.engine.dates import show_date, steps_at
from xfaconv.errors import ArgumentError, TimeError
from xfaconv.inference.targets import Target
from xfaconv.names import named_regions, region_title

Index = str | xr.DataArray | None
INDICES = ("nino34", "nino12", "nino3", "nino4", "soi", "nao", "pna", "ao", "sam")
_FEWEST_EVENTS = 3


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


def choose_phases(
    goal: Target,
    index: Index,
    threshold: float | None,
    events: Mapping[str, Any] | None,
    usable: NDArray[np.bool_],
    seen: NDArray[np.floating],
) -> Phases:
    """Choose the steps of two phases among those that can be used.

    Parameters
    ----------
    goal : Target
        The value that is explained; its steps are those that can be used.
    index, threshold, events
        See `xfaconv.teleconnection`.
    usable : ndarray (time,) of bool
        Steps of the season with their whole warm-up.
    seen : ndarray
        Observed value at these steps.

    Returns
    -------
    Phases

    Raises
    ------
    ArgumentError
        If the index or the events cannot be used.
    TimeError
        If a phase has too few steps.
    """
    ready = goal.ready
    stamps = ready.conformed.time.values
    values = None if events is not None and index is None else _index_values(goal, index, seen)
    if events is not None:
        if not isinstance(events, Mapping) or len(events) != 2:
            raise ArgumentError(
                "events are not two phases",
                expected="two names with their dates",
                found=repr(events)[:200],
                fix="events={'El Nino': ['1998-01', '2016-01'], 'La Nina': ['1989-01', '2000-01']}",
            )
        found = [steps_at(stamps, dates, "events") for dates in events.values()]
        first, second = (np.unique(steps[usable[steps]]) for steps in found)
        names, words = tuple(map(str, events)), "dates"
    else:
        values = _index_values(goal, index, seen) if values is None else values
        limit = float(np.nanstd(values[usable])) if threshold is None else float(threshold)
        first, second = np.flatnonzero(usable & (values >= limit)), np.flatnonzero(usable & (values <= -limit))
        name = f"observed {goal.name}" if index is None else "index"
        if isinstance(index, str):
            name = region_title(index) if index in named_regions() else index.upper()
        names, words = (f"high {name}", f"low {name}"), f"{name} beyond {limit:.3g} and {-limit:.3g}"
    for name, steps in zip(names, (first, second), strict=True):
        if len(steps) < _FEWEST_EVENTS:
            raise TimeError(
                f"the phase {name!r} has too few steps",
                expected=f"at least {_FEWEST_EVENTS} steps of the season with their whole warm-up",
                found=f"{len(steps)}",
                fix=_more_steps(events, values, usable),
            )
    return Phases((names[0], names[1]), (first, second), values, words)


def _more_steps(events: object, values: NDArray[np.float64] | None, usable: NDArray[np.bool_]) -> str:
    """Say how a phase gets more steps: phases lie on both sides of zero, which an index need not do."""
    if events is not None or values is None:
        return "season=None"
    known = values[usable]
    if np.nanmin(known) >= 0 or np.nanmax(known) <= 0:
        return "index=index - index.mean()  # phases lie above and below zero"
    return "threshold=0.5  # or more seasons, or a longer record"


def _index_values(goal: Target, index: Index, seen: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give the index at every step of the data, NaN where it has none."""
    ready = goal.ready
    labels = ready.conformed.labels
    if index is None:
        values = np.full(len(labels.stamps), np.nan)
        values[ready.steps] = seen
        return values
    if isinstance(index, str):
        index = getattr(indices, index)(ready.conformed.survey.ds)
    name = labels.names["time"]
    if not isinstance(index, xr.DataArray) or index.ndim != 1:
        raise ArgumentError(
            "index is no series",
            expected=f"one of {', '.join(INDICES)}, or a DataArray ({name},)",
            found=repr(index)[:200],
            fix="index='nino34'",
        )
    own = next(iter(labels.coordinates["time"].values())).values
    given = index.compute()
    (dim,) = given.dims
    known = given.indexes[dim].get_indexer(own) if dim in given.indexes else np.full(len(own), -1)
    if (known < 0).all():
        raise TimeError(
            "index and data share no times",
            expected=f"the times of the data, from {show_date(own[0])}",
            fix="index='nino34'",
        )
    return np.where(known < 0, np.nan, np.asarray(given.values, dtype=np.float64)[known])
