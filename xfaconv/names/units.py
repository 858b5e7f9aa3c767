"""Units: which linear conversion takes a variable from the data's units to the model's, or why there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from xfaconv.errors import UnitsError
from xfaconv.names.tables import Entry, read_table

if TYPE_CHECKING:
    import pint

STEP_SECONDS = {"1h": 3600, "3h": 10800, "6h": 21600, "12h": 43200, "1D": 86400, "5D": 432000, "7D": 604800}
STANDARD_GRAVITY = 9.80665
WATER_DENSITY = 1000.0
_SAME = 1e-12


@dataclass(frozen=True)
class Conversion:
    """A linear change of units, ``value * factor + offset``.

    Parameters
    ----------
    factor, offset : float
        The change.
    note : str
        What is done, in words; empty where nothing is.
    """

    factor: float = 1.0
    offset: float = 0.0
    note: str = ""

    @property
    def changes(self) -> bool:
        """Whether the values change."""
        return abs(self.factor - 1) > _SAME or abs(self.offset) > _SAME


@cache
def _registry() -> pint.UnitRegistry[Any]:
    """Pint's registry, private to the package: the application's own registry is left alone."""
    import pint

    return pint.UnitRegistry()


def spelled_as(text: str) -> str | None:
    """Look up how pint spells units; None where the table lacks the spelling.

    Examples
    --------
    >>> spelled_as("millibars"), spelled_as("furlongs") is None
    ('hPa', True)
    """
    squeezed, spellings = " ".join(text.split()), read_table("units")["spellings"]
    # Spellings of one or two letters are exact: Mm is not mm.
    known: str | None = spellings.get(squeezed) or (spellings.get(squeezed.lower()) if len(squeezed) > 2 else None)
    return known


@lru_cache(maxsize=256)
def parse_units(text: str) -> pint.Unit | None:
    """Read units as written in an attribute.

    Parameters
    ----------
    text : str
        Units such as ``"m**2 s**-2"``, ``"deg C"`` or ``"kg/m2/s"``.

    Returns
    -------
    pint.Unit or None
        None where the text is not known to be units.

    Examples
    --------
    >>> parse_units("deg C") == parse_units("Celsius"), parse_units("as stored") is None
    (True, True)
    """
    import pint

    known = spelled_as(text)
    try:
        if known is not None:
            return _registry().Unit(known)
        # udunits writes powers as m2 or s-1; pint wants two stars
        squeezed = " ".join(text.split()).replace("·", " ")
        powered = re.sub(r"(?<=[A-Za-z])\^?(-?\d+)(?![\w*])", r"**\1", squeezed)
        if not re.fullmatch(r"[A-Za-z0-9_ %*/^()+\-.]+", powered) or not re.search("[A-Za-z%]", powered):
            return None
        return _registry().Unit(powered)
    except (pint.PintError, ValueError, TypeError, AttributeError, AssertionError):
        return None


def _linear(source: pint.Unit, goal: pint.Unit) -> tuple[float, float]:
    registry = _registry()
    at_zero = float(registry.Quantity(0.0, source).to(goal).magnitude)
    at_one = float(registry.Quantity(1.0, source).to(goal).magnitude)
    return at_one - at_zero, at_zero


def _is(unit: pint.Unit, like: str) -> bool:
    return bool(unit.is_compatible_with(_registry().Unit(like)))


def conversion(variable: str, found: str | None, wanted: str, entry: Entry | None, step: str | None) -> Conversion:
    """Find the linear change from the data's units to the model's.

    Parameters
    ----------
    variable : str
        The data's name of the variable, for messages.
    found : str or None
        The data's units attribute.
    wanted : str
        The model's units.
    entry : Entry or None
        The variable in the table, None if it is unknown there.
    step : str or None
        Time step of the data, which turns a rate into an amount.

    Returns
    -------
    Conversion

    Raises
    ------
    UnitsError
        If the units are absent, unknown, or cannot be converted without a guess.

    Examples
    --------
    >>> conversion("tas", "degC", "K", None, None).offset
    273.15
    """
    kind = None if entry is None else entry.kind
    source, goal = check_units(variable, found, wanted, kind), parse_units(wanted)
    if goal is None:
        raise UnitsError(f"the model's units of {variable!r} are not known", found=wanted)
    if source.is_compatible_with(goal):
        factor, offset = _linear(source, goal)
        change = Conversion(factor, offset, f"{found} to {wanted}")
        return change if change.changes else Conversion(factor, offset)
    special = None
    if kind == "geopotential":
        special = _geopotential(source, goal, str(found), wanted)
    elif kind == "water":
        special = _water(variable, source, goal, str(found), wanted, step)
    elif kind == "column" and is_depth(source) and is_depth(goal):
        special = _as_water(source, goal, str(found), wanted)
    elif _is(source, "J/m**2") and _is(goal, "W/m**2"):
        special = _accumulated(variable, source, goal, str(found), wanted, step)
    if special is not None:
        return special
    what = f"variable {variable!r} has units that are not those of the model's variable"
    fix = f"ds[{variable!r}].attrs['units'] = ...  # the true units; or choose another variable with variables={{...}}"
    raise UnitsError(what, expected=wanted, found=str(found), fix=fix)


@dataclass(frozen=True)
class Change:
    """A change that would correct values in wrong units: ``value * factor + offset``.

    Parameters
    ----------
    factor, offset : float
        The change, of which one alone is made.
    words : str
        What the values are if it is the right one, "" where the change says it.
    """

    factor: float = 1.0
    offset: float = 0.0
    words: str = ""

    def describe(self) -> str:
        """Write it as code that follows a value.

        Examples
        --------
        >>> Change(offset=273.15).describe(), Change(-24).describe(), Change(1e-3).describe()
        ('+ 273.15', '* -24', '/ 1000')
        """
        if self.offset:
            return f"{'+' if self.offset > 0 else '-'} {abs(self.offset):g}"
        return f"* {self.factor:.7g}" if abs(self.factor) >= 1 else f"/ {1 / self.factor:.7g}"


def likely_changes(kind: str, units: str) -> tuple[Change, ...]:
    """List the changes that would correct mistakes that people make.

    Parameters
    ----------
    kind : str
        Kind of the variable in the table.
    units : str
        Units that the values should be in.

    Returns
    -------
    tuple of Change

    Examples
    --------
    >>> [change.describe() for change in likely_changes("water", "m") if change.words][:2]
    ['/ 10', '/ -10']
    """
    table, unit = read_table("units"), parse_units(units)
    likes = [like for like in ("K", "m/s") if unit is not None and _is(unit, like)]
    offsets = table["offsets"].get("".join(likes), ())
    factors = table["factors"].get(kind or "".join(likes), table["factors"]["other"])
    changes = [Change(sign * factor, words=words) for factor, words in factors.items() for sign in (1, -1)]
    return (*(Change(offset=offset) for offset in offsets), *(change for change in changes if change.factor != 1))


def check_units(variable: str, found: str | None, wanted: str, kind: str | None = None) -> pint.Unit:
    """Read a variable's units, or say that they are absent or unknown.

    Parameters
    ----------
    variable : str
        The data's name of the variable, for messages.
    found : str or None
        The data's units attribute.
    wanted : str
        What they might be, for messages.
    kind : str, optional
        Kind of the variable in the table: of a geopotential both units are named.

    Returns
    -------
    pint.Unit

    Raises
    ------
    UnitsError
        If there are none or they are not known.
    """
    potential = wanted.replace("**", "") in ("m2 s-2", "m2/s2")
    other = "; 'm' for geopotential height" if potential else "; 'm2 s-2' for geopotential"
    other = other if potential or kind == "geopotential" else ""
    fix = f"ds[{variable!r}].attrs['units'] = {wanted!r}  # if that is what they are{other}"
    if found is None or not str(found).strip():
        raise UnitsError(f"variable {variable!r} has no units", expected=wanted, fix=fix)
    unit = parse_units(str(found))
    if unit is None:
        what = f"the units of variable {variable!r} are not known"
        raise UnitsError(what, expected=wanted, found=str(found), fix=fix)
    return unit


def _geopotential(source: pint.Unit, goal: pint.Unit, found: str, wanted: str) -> Conversion | None:
    """Height [m] and geopotential [m2 s-2] differ by standard gravity, and the units say which is which."""
    metres, potential = "m", "m**2/s**2"
    for own, model, gravity in ((metres, potential, STANDARD_GRAVITY), (potential, metres, 1 / STANDARD_GRAVITY)):
        if _is(source, own) and _is(goal, model):
            factor = _linear(source, _registry().Unit(own))[0] * gravity * _linear(_registry().Unit(model), goal)[0]
            return Conversion(factor, 0.0, f"{found} to {wanted} with g = {STANDARD_GRAVITY} m s-2")
    return None


def is_depth(unit: pint.Unit) -> bool:
    """Whether units are a depth of water or its mass per area."""
    return _is(unit, "m") or _is(unit, "kg/m**2")


def is_amount(units: str) -> bool:
    """Whether units are those of what is added up over a step: water, or energy per area.

    Examples
    --------
    >>> is_amount("mm"), is_amount("J m-2"), is_amount("mm/day"), is_amount("K")
    (True, True, False, False)
    """
    unit = parse_units(units)
    return unit is not None and (is_depth(unit) or _is(unit, "J/m**2"))


def _to_metres(unit: pint.Unit) -> float:
    """Factor from a depth or mass per area to metres, or from a rate of either to metres per second."""
    known = (("m", 1.0), ("m/s", 1.0), ("kg/m**2", WATER_DENSITY), ("kg/m**2/s", WATER_DENSITY))
    like, divisor = next(pair for pair in known if _is(unit, pair[0]))
    return _linear(unit, _registry().Unit(like))[0] / divisor


def _as_water(source: pint.Unit, goal: pint.Unit, found: str, wanted: str) -> Conversion:
    """Convert between depth and mass per area of water, or between rates of the two."""
    factor = _to_metres(source) / _to_metres(goal)
    return Conversion(factor, 0.0, f"{found} to {wanted} with water of {WATER_DENSITY:g} kg m-3")


def _water(
    variable: str, source: pint.Unit, goal: pint.Unit, found: str, wanted: str, step: str | None
) -> Conversion | None:
    """Depth, mass per area, or a rate of either; a rate and an amount differ by the length of the step."""
    from_rate, to_rate = (_is(unit, "m/s") or _is(unit, "kg/m**2/s") for unit in (source, goal))
    if not ((from_rate or is_depth(source)) and (to_rate or is_depth(goal))):
        return None
    change = _as_water(source, goal, found, wanted)
    if from_rate == to_rate:
        return change
    seconds = STEP_SECONDS.get(step or "")
    # A rate times the step is an amount. An amount says nothing of its rate: it may be that of an hour in a daily file.
    if from_rate and seconds is not None:
        return Conversion(change.factor * seconds, 0.0, f"{change.note}, summed over {step}")
    is_, reads, sign = ("a rate", "an amount", "*") if from_rate else ("an amount", "a rate", "/")
    what = f"variable {variable!r} is {is_} and the model reads {reads}: the time over which it is summed is not known"
    length = seconds or 86400
    fix = f"ds[{variable!r}] = (ds[{variable!r}] {sign} {length} * {change.factor:g}).assign_attrs(units={wanted!r})"
    fix += "  # seconds of the sum, 86400 for daily totals"
    raise UnitsError(what, expected=wanted, found=f"{found}, step {step or 'unknown'}", fix=fix)


def _accumulated(
    variable: str, source: pint.Unit, goal: pint.Unit, found: str, wanted: str, step: str | None
) -> Conversion:
    """Divide an accumulated flux by the seconds of a step; those of a month are a day's in ERA5, or a month's."""
    factor = _linear(source, _registry().Unit("J/m**2"))[0] * _linear(_registry().Unit("W/m**2"), goal)[0]
    seconds = STEP_SECONDS.get(step or "")
    if seconds is not None:
        return Conversion(factor / seconds, 0.0, f"{found} to {wanted}, accumulated over {step}")
    what = f"variable {variable!r} is accumulated: the time over which it is summed is not known"
    fix = f"ds[{variable!r}] = (ds[{variable!r}] / 86400 * {factor:g}).assign_attrs(units={wanted!r})"
    fix += "  # seconds of the sum, 86400 in ERA5's monthly means"
    raise UnitsError(what, expected=wanted, found=f"{found}, step {step or 'unknown'}", fix=fix)
