"""Which steps belong to two phases: those of an index, or dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis import indices
from xfaconv.analysis.axes import time_axis
from xfaconv.analysis.statistics.anomalies import anomalies
from xfaconv.analysis.statistics.seasons import spread_evenly
from xfaconv.engine.dates import show_date, steps_at
from xfaconv.errors import ArgumentError, TimeError
from xfaconv.inference.targets import Target
from xfaconv.names import named_regions, region_title

Index = str | xr.DataArray | None
INDICES = ("nino34", "nino12", "nino3", "nino4", "soi", "nao", "pna", "ao", "sam")
DIFFERENCE = "difference"
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
    words : str
        What chose them.
    """

    names: tuple[str, str]
    steps: tuple[NDArray[np.int64], NDArray[np.int64]]
    words: str

    def at_most(self, samples: int | None) -> Phases:
        """Keep so many steps of each phase, spread evenly; None keeps all."""
        first, second = (spread_evenly(found, samples) for found in self.steps)
        return replace(self, steps=(first, second))

    @property
    def both(self) -> NDArray[np.int64]:
        """Positions of the steps of both phases, in order."""
        return np.sort(np.concatenate(self.steps))

    @property
    def high(self) -> NDArray[np.bool_]:
        """Whether each step of both phases belongs to the first."""
        return np.isin(self.both, self.steps[0])

    def composites(self, values: xr.DataArray) -> xr.DataArray:
        """Average over each phase (phase, ...), with the difference of the two means last; `values` are of `both`."""
        time = time_axis(values)
        first, second = (values.isel({time: np.flatnonzero(members)}).mean(time) for members in (self.high, ~self.high))
        joined = xr.concat([first, second, first - second], "phase", coords="minimal", compat="override")
        names = np.array([*self.names, DIFFERENCE], dtype=object)
        return joined.assign_coords(phase=names).assign_attrs(values.attrs)


def phases_of_events(goal: Target, events: Mapping[str, Any], usable: NDArray[np.bool_]) -> Phases:
    """Take two phases as dates.

    Parameters
    ----------
    goal : Target
        The value that is explained.
    events : mapping of two names to dates
        The phases.
    usable : ndarray (time,) of bool
        Steps of the season with their whole warm-up.

    Returns
    -------
    Phases

    Raises
    ------
    ArgumentError
        If the events are not two phases.
    TimeError
        If a phase has too few steps, or a date is not in the record.
    """
    if not isinstance(events, Mapping) or len(events) != 2:
        raise ArgumentError(
            "events are not two phases",
            expected="two names with their dates",
            found=repr(events)[:200],
            fix="events={'El Nino': ['1998-01', '2016-01'], 'La Nina': ['1989-01', '2000-01']}",
        )
    found = [steps_at(goal.ready.conformed.time.values, dates, "events") for dates in events.values()]
    first, second = (np.unique(steps[usable[steps]]) for steps in found)
    return _phases(list(map(str, events)), (first, second), "dates", "season=None")


def phases_of_index(
    values: NDArray[np.float64], threshold: float | None, usable: NDArray[np.bool_], name: str
) -> Phases:
    """Choose two phases by an index: from a threshold on, and from minus the threshold on.

    Parameters
    ----------
    values : ndarray (time,)
        The index at every step of the data, NaN where it has none.
    threshold : float, optional
        In the units of the index; by default its standard deviation.
    usable : ndarray (time,) of bool
        Steps of the season with their whole warm-up.
    name : str
        What the index is called.

    Returns
    -------
    Phases

    Raises
    ------
    TimeError
        If a phase has too few steps.
    """
    limit = float(np.nanstd(values[usable])) if threshold is None else float(threshold)
    first, second = np.flatnonzero(usable & (values >= limit)), np.flatnonzero(usable & (values <= -limit))
    words, fix = f"{name} beyond {limit:.3g} and {-limit:.3g}", "threshold=0.5  # or more seasons, or a longer record"
    return _phases([f"high {name}", f"low {name}"], (first, second), words, fix)


def _phases(names: Sequence[str], steps: tuple[NDArray[np.int64], NDArray[np.int64]], words: str, fix: str) -> Phases:
    for name, found in zip(names, steps, strict=True):
        if len(found) < _FEWEST_EVENTS:
            raise TimeError(
                f"the phase {name!r} has too few steps",
                expected=f"at least {_FEWEST_EVENTS} steps of the season with their whole warm-up",
                found=f"{len(found)}",
                fix=fix,
            )
    return Phases((names[0], names[1]), steps, words)


def index_name(goal: Target, index: Index) -> str:
    """Name the index that phases are chosen by."""
    if isinstance(index, str):
        return region_title(index) if index in named_regions() else index.upper()
    return f"observed {goal.name}" if index is None else "index"


def find_index(goal: Target, index: Index) -> xr.DataArray | None:
    """Give an index of the data by its name, or the caller's own; computes nothing.

    Raises
    ------
    ArgumentError
        If it is no series.
    """
    if isinstance(index, str):
        found: xr.DataArray = getattr(indices, index)(goal.ready.conformed.survey.ds)
        return found
    if index is not None and (not isinstance(index, xr.DataArray) or index.ndim != 1):
        name = goal.ready.conformed.labels.names["time"]
        raise ArgumentError(
            "index is no series",
            expected=f"one of {', '.join(INDICES)}, or a DataArray ({name},)",
            found=repr(index)[:200],
            fix="index='nino34'",
        )
    return index


def index_values(goal: Target, index: xr.DataArray) -> tuple[NDArray[np.float64], str]:
    """Give an index at every step of the data, NaN where it has none, and say if its seasonal cycle was taken off.

    Phases lie on both sides of zero. An index of one sign, such as a temperature or a pressure, is no anomaly yet.

    Raises
    ------
    TimeError
        If it shares no times with the data.
    """
    labels = goal.ready.conformed.labels
    own = next(iter(labels.coordinates["time"].values())).values
    (dim,) = index.dims
    known = index.indexes[dim].get_indexer(own) if dim in index.indexes else np.full(len(own), -1)
    if (known < 0).all():
        raise TimeError(
            "index and data share no times",
            expected=f"the times of the data, from {show_date(own[0])}",
            fix="index='nino34'",
        )
    values = np.where(known < 0, np.nan, np.asarray(index.values, dtype=np.float64)[known])
    if not (np.nanmin(values) > 0 or np.nanmax(values) < 0):
        return values, ""
    stamps = goal.ready.conformed.time.values
    return anomalies(xr.DataArray(values, {"time": stamps}, ("time",))).values, ", its anomaly from its seasonal cycle"
