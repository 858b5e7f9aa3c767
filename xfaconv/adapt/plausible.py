"""Whether values can be what their units say: compared with the climatology where they are read, never beforehand."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfaconv.errors import UnitsError
from xfaconv.options import Implausible

# The median of a field, in standard deviations of its cells: no climate is so far from another; degrees Celsius that
# are labelled kelvin are.
FAR = 30.0
# A single value is refused where it is beyond both, in deviations of its own cell and of the most variable cell.
IMPOSSIBLE = 100.0
BEYOND_ALL = 10.0
# A global field so much smaller than its climatology has units that are too large.
SMALL = 1 / 50
_OFFSETS = (273.15, -273.15)
_FACTORS = (1e-3, 1e3, 1e-2, 1e2, 1e-1, 10.0, 9.80665, 1 / 9.80665, 86400.0, 1 / 86400.0)

Field = NDArray[np.float64]


@dataclass(frozen=True)
class Subject:
    """The variable whose values are checked.

    Parameters
    ----------
    name : str
        Name in the user's Dataset.
    units : str
        Units of the model, which the values are in.
    whole : bool
        Whether the grid is global.
    action : {"raise", "warn"}
        What to do about values that cannot be.
    """

    name: str
    units: str
    whole: bool
    action: Implausible


def check_plausible(values: Field, mean: Field, scale: NDArray[Any], subject: Subject) -> None:
    """Refuse values, or warn of them, that no change of climate explains.

    Without this, wrong units that can be converted would give wrong results without a word: sea surface temperature in
    degrees Celsius labelled kelvin, precipitation in millimetres labelled metres, fill values that nothing declares.

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
        than 100 of them from it and beyond anything anywhere, or if a global field is 50 times too small.

    Examples
    --------
    >>> mean, scale = np.full((1, 2, 2), 290.0), np.full((2, 2), 1.0)
    >>> check_plausible(mean - 273.15, mean, scale, Subject("sst", "K", whole=True, action="raise"))
    Traceback (most recent call last):
    xfaconv.errors.UnitsError: the values of variable 'sst' cannot be in units that give K
    ...
    """
    deviation = np.abs(values - mean) / scale
    # Almost always the deviations, and the size of one step, settle it; the median is taken only where they do not.
    far = float(np.fmax.reduce(deviation, axis=None, initial=0.0)) > FAR
    if not far and not (subject.whole and _is_small(*_known(values[:1], mean[:1], scale))):
        return
    found, usual, spread = _known(values, mean, scale)
    if found.size == 0 or _fits(found, usual, spread, subject.whole):
        return
    what = f"the values of variable {subject.name!r} cannot be in units that give {subject.units}"
    expected = f"about {usual.min():.4g} to {usual.max():.4g} {subject.units}, as in the climatology"
    seen = f"{found.min():.4g} to {found.max():.4g} {subject.units} (median {np.median(found):.4g})"
    fix = f"{_change_that_fits(found, usual, spread, subject)}; "
    fix += "if the values are meant so: xfaconv.set_options(implausible='ignore')"
    problem = UnitsError(what, expected=expected, found=seen, fix=fix)
    if subject.action == "raise":
        raise problem
    warnings.warn(str(problem), UserWarning, stacklevel=2)


def _known(values: Field, mean: Field, scale: NDArray[Any]) -> tuple[Field, Field, Field]:
    """Values, mean and spread where all three are known."""
    known = np.isfinite(values) & np.isfinite(mean) & (scale > 0)
    return values[known], mean[known], np.broadcast_to(scale, values.shape)[known].astype(np.float64)


def _is_small(values: Field, mean: Field, spread: Field) -> bool:
    """Whether values are too small to be the variable; zeros alone are fine: there is no ice in a warm climate."""
    if values.size == 0:
        return False
    return 0 < float(np.abs(values).mean()) < SMALL * float((np.abs(mean) + spread).mean())


def _fits(values: Field, mean: Field, spread: Field, whole: bool) -> bool:
    deviation = np.abs(values - mean) / spread
    if deviation.max() > FAR:
        if np.median(deviation) > FAR:
            return False
        room = BEYOND_ALL * spread.max()
        beyond = (values < mean.min() - room) | (values > mean.max() + room)
        if (beyond & (deviation > IMPOSSIBLE)).any():
            return False
    return not (whole and _is_small(values, mean, spread))


def _change_that_fits(values: Field, mean: Field, spread: Field, subject: Subject) -> str:
    """Say which change of units would bring the values to the climatology, if one does."""
    offsets = _OFFSETS if subject.units in {"K", "degC"} else ()
    changes = [(f"+ {offset:g}" if offset > 0 else f"- {-offset:g}", values + offset) for offset in offsets]
    changes += [(f"* {factor:g}" if factor > 1 else f"/ {1 / factor:g}", values * factor) for factor in _FACTORS]
    fitting = [
        (float(np.median(np.abs(changed - mean) / spread)), text)
        for text, changed in changes
        if _fits(changed, mean, spread, subject.whole)
    ]
    array = f"ds[{subject.name!r}]"
    if not fitting:
        return f"correct {array}.attrs['units'], or mask fill values: {array} = {array}.where({array} != ...)"
    return f"correct {array}.attrs['units'], or {array} = ({array} {min(fitting)[1]}).assign_attrs({array}.attrs)"
