"""Whether values can be what their names and units say: held against the climatology where they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfaconv.adapt.problems import refusal
from xfaconv.climatology import SPREAD_FLOOR
from xfaconv.errors import warn_user
from xfaconv.grid import Grid
from xfaconv.names.units import likely_changes
from xfaconv.options import Implausible

# The median of a field, in standard deviations of its cells: no climate is so far from another; degrees Celsius that
# are labelled kelvin are.
FAR = 30.0
# A single value is refused where it is beyond both, in deviations of its own cell and of the most variable cell.
IMPOSSIBLE = 100.0
BEYOND_ALL = 10.0
# Share of the sum of magnitudes that negative values may have where there are none by nature: what packing and spectral
# models leave is below 0.01, anomalies have 0.5.
NEGATIVE = 0.1

# Slope of the regression in space of a block's mean on the climatology's, cells weighted by area / spread^2: 1 for true
# values, 0 for anomalies, -1 for the other sign. Measured where SURE holds, on 6,400 parts of the four models' data in
# time and space: true values 0.58 to 1.29, anomalies -0.42 to 0.29. Other climates: 0.94 to 1.34 with a gradient from
# equator to pole 30 % larger, 0.37 to 0.64 with half the contrast, 0.35 to 0.46 for v250 of the simulation against v200
# of NCEP/NCAR and 0.85 to 1.16 for its temperature and geopotential; only a planet without continents (zonal means)
# falls below, in msl, v10, v250 and tp (-0.1 to 0.5).
SLOPE = 0.3
# The same slope of the part that changes sign where the map is turned over: -1 where the map lies the wrong way round.
# True values 0.32 and more, a planet without continents -0.48 and more.
TURNED = -0.5
# A block is judged where the contrast of the climatology (its spatial standard deviation over the spread), times the
# root of the number of independent maps, is at least this: PATTERNS to the globe, at least one to a region, once in the
# time in which the weather changes. The slope of true values then scatters by less than 1 / SURE.
SURE = 4.0
PATTERNS = 30.0
CELLS = 200
# Spatial standard deviation of the steps over that of climatology and spread together. True values, one step or many:
# 0.79 to 1.25 on half of the globe or more, 0.61 to 1.37 on a quarter, at most 1.7 on a hundredth.
AMPLITUDE = 3.0
SMALL_FROM, LARGE_FROM = 0.25, 0.01
# A change is offered where slope, correlation and amplitude are as good as those of true values, or their inverse.
OFFERED = 0.6
# Spatial standard deviation, in spreads, of what may still be called anomalies.
ANOMALOUS = 2.0
# Median of values themselves, in spreads, that may be anomalies where no pattern tells: theirs is 0.7, that of degrees
# Celsius for kelvin more than 2 but near the freezing point.
NEAR_ZERO = 1.5
# So many steps of a block, evenly spaced, tell its pattern.
_STEPS = 24
_UNEXPLAINED = {"size": "other size", "negative": "other sign"}
_TINY = float(np.finfo(np.float64).tiny)

Field = NDArray[np.float64]
TURNS: dict[str, Callable[[Field], Field]] = {
    "upside down": lambda values: values[..., ::-1, :],
    "half round": lambda values: np.roll(values, values.shape[-1] // 2, axis=-1),
}


@dataclass(frozen=True)
class Subject:
    """The variable whose values are checked.

    Parameters
    ----------
    name : str
        Name in the user's Dataset.
    units : str
        Units of the model, which the values are in.
    grid : Grid
        Grid of the values.
    action : {"raise", "warn"}
        What to do about values that cannot be.
    kind : str
        Kind of the variable in the table of names.
    persistence : float
        Steps after which the weather is another.
    never_negative : bool
        Whether the variable has no negative values.
    dims : (str, str)
        The user's names of latitude and longitude.
    """

    name: str
    units: str
    grid: Grid
    action: Implausible
    kind: str = ""
    persistence: float = 5.0
    never_negative: bool = False
    dims: tuple[str, str] = ("latitude", "longitude")


@dataclass(frozen=True)
class _Likeness:
    """How a block's maps compare with those of the climatology.

    Parameters
    ----------
    steps, cells : int
        Steps of the block, and cells known in half of them.
    share : float
        Share of the globe that these cells cover.
    judged : bool
        Whether the slope of true values is sure to be near 1.
    slope, correlation : float
        Regression in space of the mean map on the climatology's.
    agreement : float
        The correlation without what the weather of a short block takes from it.
    spread : float
        Spatial standard deviation of the steps, in spreads of the climatology.
    amplitude : float
        The same over what climatology and spread together would have.
    turned : str
        How the map lies the wrong way round, "" where it does not.
    """

    steps: int
    cells: int
    share: float
    judged: bool
    slope: float
    correlation: float
    agreement: float
    spread: float
    amplitude: float
    turned: str

    @property
    def fault(self) -> str:
        """What is wrong, "" where nothing is."""
        # A field without any variance, such as ice where there is none, is no map.
        if self.cells < CELLS or self.spread == 0:
            return ""
        if self.judged and self.slope < SLOPE:
            return "pattern" if self.agreement < 0.5 else "size"
        small = self.share >= SMALL_FROM and self.amplitude < 1 / AMPLITUDE
        large = self.share >= LARGE_FROM and self.amplitude > AMPLITUDE
        return "size" if small or large else self.turned

    @property
    def fits(self) -> bool:
        """Whether the maps are as alike as those of true values, which is asked of a change before it is offered."""
        alike = not self.judged or (self.agreement >= OFFERED and OFFERED <= self.slope <= 1 / OFFERED)
        sized = self.share < SMALL_FROM or OFFERED <= self.amplitude <= 1 / OFFERED
        return not self.fault and alike and sized

    @property
    def is_anomaly(self) -> bool:
        """Whether values have the size of anomalies and nothing of the pattern of the climatology."""
        small = self.spread < ANOMALOUS or self.amplitude < 0.5
        return self.judged and abs(self.slope) < SLOPE and self.spread > 0 and small

    def describe(self) -> str:
        """Say what was measured, on what."""
        return (
            f"slope {self.slope:.2f}, correlation {self.correlation:.2f}, amplitude {self.amplitude:.2g} "
            f"(mean map of {self.steps} step{'s' * (self.steps > 1)}, {self.cells} cells)"
        )


def check_plausible(values: Field, mean: Field, scale: NDArray[Any], subject: Subject) -> None:
    """Refuse values, or warn of them, that no change of climate explains.

    Without this, wrong units that can be converted would give wrong results without a word: sea surface temperature in
    degrees Celsius labelled kelvin, precipitation in millimetres labelled metres, fill values that nothing declares;
    and so would anomalies, fluxes of the other sign, and maps that lie upside down. Each block is judged by itself as
    it is read: size by every value, the pattern by the mean map of its steps, where climatology, cells and steps are
    such that true values are told from others with certainty.

    Parameters
    ----------
    values : ndarray (time, latitude, longitude)
        In the model's units, NaN where missing.
    mean : ndarray (time, latitude, longitude)
        Seasonal mean in the same units.
    scale : ndarray (latitude, longitude)
        Standard deviation of anomalies.
    subject : Subject
        What they are.

    Raises
    ------
    UnitsError
        If the median lies more than 30 local standard deviations from the climatology, if a single value lies more
        than 100 of them from it and beyond anything anywhere, if a quantity that has none has negative values, or if
        the map of the mean is not that of the climatology.
    GridError
        If the map lies upside down or half way round the globe.

    Examples
    --------
    >>> mean, scale = np.full((1, 2, 2), 290.0), np.full((2, 2), 1.0)
    >>> subject = Subject("sst", "K", Grid((0.0, 1.0), (0.0, 1.0)), "raise")
    >>> check_plausible(mean - 273.15, mean, scale, subject)
    Traceback (most recent call last):
    xfaconv.errors.UnitsError: the values of variable 'sst' cannot be in units that give K
    ...
    """
    fault, likeness = _fault(values, mean, scale, subject)
    if not fault:
        return
    known = np.isfinite(values) & np.isfinite(mean) & (scale > 0)
    found, usual = values[known], mean[known]
    words = {"name": subject.name, "units": subject.units, "low": f"{usual.min():.4g}", "high": f"{usual.max():.4g}"}
    seen = f"{found.min():.4g} to {found.max():.4g} {subject.units} (median {np.median(found):.4g})"
    unread = likeness is None
    likeness = likeness or _compare(values, mean, scale, subject)
    near_zero = unread and not likeness.judged and np.median((np.abs(values) / scale)[known]) < NEAR_ZERO
    row, line = ("near zero", "") if near_zero else _line_that_fits(values, mean, scale, subject, fault)
    if not line and not near_zero:
        row = "anomalies" if likeness.is_anomaly else _UNEXPLAINED.get(row, "other pattern")
    seen = f"{likeness.describe()}; {seen}" if row == "anomalies" or not unread else seen
    problem = refusal("values", row, seen, line=line, **words)
    if subject.action == "raise":
        raise problem
    warn_user(str(problem))


def _fault(values: Field, mean: Field, scale: NDArray[Any], subject: Subject) -> tuple[str, _Likeness | None]:
    """Tell what is wrong with values, "" where nothing is, and how their maps compare where that was asked."""
    deviation = np.abs(values - mean) / scale
    # Almost always the deviations settle the size; the median is taken only where they do not.
    if float(np.fmax.reduce(deviation, axis=None, initial=0.0)) > FAR and _is_far(values, mean, scale, deviation):
        return "size", None
    if subject.never_negative and _is_negative(values, mean, scale):
        return "negative", None
    likeness = _compare(values, mean, scale, subject)
    return likeness.fault, likeness


def _is_far(values: Field, mean: Field, scale: NDArray[Any], deviation: Field) -> bool:
    known = np.isfinite(values) & np.isfinite(mean) & (scale > 0)
    values, mean, deviation = values[known], mean[known], deviation[known]
    if values.size == 0 or np.median(deviation) > FAR:
        return values.size > 0
    room = BEYOND_ALL * float(np.broadcast_to(scale, known.shape)[known].max())
    beyond = (values < mean.min() - room) | (values > mean.max() + room)
    return bool((beyond & (deviation > IMPOSSIBLE)).any())


def _is_negative(values: Field, mean: Field, scale: NDArray[Any]) -> bool:
    """Whether negative values are more than what packing leaves, which is small beside the climatology too."""
    if not np.fmin.reduce(values, axis=None, initial=0.0) < 0:
        return False
    known = np.isfinite(values) & np.isfinite(mean) & (scale > 0)
    below = -float(values[known & (values < 0)].sum())
    usual = float((np.abs(mean) + scale)[known].sum())
    return below > NEGATIVE * float(np.abs(values[known]).sum()) and below > NEGATIVE**2 * usual


def _compare(values: Field, mean: Field, scale: NDArray[Any], subject: Subject) -> _Likeness:
    """Regress the mean map of a block on the climatology's, the right way round and the wrong ways."""
    steps = len(values)
    every = slice(None, None, max(1, -(-steps // _STEPS)))
    values, mean = values[every], mean[every]
    known = np.isfinite(values) & np.isfinite(mean) & (scale > 0)
    values, mean = (np.where(known, one, 0.0) for one in (values, mean))
    variance = np.where(scale > 0, scale, 0.0).astype(np.float64) ** 2
    area = np.outer(subject.grid.row_area / 2, np.diff(subject.grid.longitude_edges) / 360)
    area = area * (2 * known.sum(axis=0) >= len(known))
    cells, share = int((area > 0).sum()), float(area.sum())
    if cells < CELLS:
        return _Likeness(steps, cells, 0.0, False, 0.0, 0.0, 0.0, 0.0, 0.0, "")
    # One cell of a given climatology that hardly varies would outweigh all others.
    variance = np.maximum(variance, SPREAD_FLOOR**2 * float((area * variance).sum()) / share)
    count = np.maximum(known.sum(axis=0), 1)
    maps = values.sum(axis=0) / count, mean.sum(axis=0) / count
    # So many maps that know nothing of each other, in time and in space.
    independent = max(1.0, min(len(known), steps / subject.persistence)) * max(1.0, PATTERNS * share)
    slope, correlation, agreement, contrast = _regress(*maps, area, variance)
    turned = ""
    for name, turn in TURNS.items():
        if name == "half round" and (not subject.grid.is_global or scale.shape[1] % 2):
            continue
        odd = ((one - turn(one)) / 2 for one in maps)
        left, right = odd
        wrong, *_, uneven = _regress(left, right, area * (turn(area) > 0), (variance + turn(variance)) / 2)
        turned = name if wrong < TURNED and uneven * np.sqrt(independent) >= SURE else turned
    weight = area / variance
    total = np.einsum("tyx,yx->t", known, weight)
    squares = np.einsum("tyx,tyx,yx->t", values, values, weight)
    squares -= np.einsum("tyx,yx->t", values, weight) ** 2 / np.maximum(total, _TINY)
    spread = float(np.sqrt(max(0.0, squares.sum()) / max(_TINY, np.einsum("tyx,yx->", known, area))))
    judged = bool(contrast * np.sqrt(independent) >= SURE)
    amplitude = spread / float(np.hypot(contrast, 1.0))
    return _Likeness(steps, cells, share, judged, slope, correlation, agreement, spread, amplitude, turned)


def _regress(values: Field, mean: Field, area: Field, variance: Field) -> tuple[float, float, float, float]:
    """Slope, correlation, agreement, and contrast of the mean; cells weighted as the spread of their weather asks."""
    weight, total = area / variance, max(_TINY, float(area.sum()))
    whole = max(_TINY, float(weight.sum()))
    values, mean = (one - float((weight * one).sum()) / whole for one in (values, mean))
    shared = float((weight * values * mean).sum()) / total
    contrast, spread = (float(np.sqrt((weight * one * one).sum() / total)) for one in (mean, values))
    if contrast == 0 or spread == 0:
        return 0.0, 0.0, 0.0, contrast
    return shared / contrast**2, shared / (contrast * spread), shared / (contrast * min(contrast, spread)), contrast


def _line_that_fits(values: Field, mean: Field, scale: NDArray[Any], subject: Subject, fault: str) -> tuple[str, str]:
    """Find the change that brings the values to the climatology, in size and in pattern: what it says, and the line.

    Every change is made to these very values before it is offered; of those that fit, the one whose size fits best.
    """
    array, fitting = f"ds[{subject.name!r}]", []
    changes: list[tuple[Callable[[Field], Field], str, str]] = []
    for change in likely_changes(subject.kind, subject.units):
        line = f"{array} = ({array} {change.describe()}).assign_attrs({array}.attrs)"
        line += f"  # {change.words}?" if change.words else ""
        changes.append((partial(_apply, factor=change.factor, offset=change.offset), fault, line))
    latitude, longitude = subject.dims
    over = {
        "upside down": f"{array} = {array}.isel({{{latitude!r}: slice(None, None, -1)}}).variable",
        "half round": f"{array} = {array}.roll({{{longitude!r}: ds.sizes[{longitude!r}] // 2}}).variable",
    }
    changes += [(TURNS[name], name, line) for name, line in over.items()]
    for make, row, line in changes:
        changed = make(values)
        wrong, likeness = _fault(changed, mean, scale, subject)
        if wrong or likeness is None or not likeness.fits:
            continue
        size = likeness.slope if likeness.judged else likeness.amplitude or 1.0
        # The slope tells means of 3-hourly and of hourly amounts apart, the distance a geopotential from ten heights.
        away = float(np.nanmedian(np.abs(changed - mean) / scale)) + abs(float(np.log(size)))
        fitting.append((away, row, line))
    return min(fitting)[1:] if fitting else (fault, "")


def _apply(values: Field, factor: float, offset: float) -> Field:
    return values * factor + offset
