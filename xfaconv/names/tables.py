"""The tables of names, read once, and the names that a session adds: what a variable or a coordinate may be called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import yaml

from xfaconv.options import get_options


@dataclass(frozen=True)
class Entry:
    """One variable of the table.

    Parameters
    ----------
    key : str
        ERA5 short name; of the whole family where the variable lives on pressure levels.
    on_levels : bool
        Whether the variable lives on pressure levels.
    units : str
        Units that the table speaks.
    kind : str
        Which conversions beyond plain units are allowed: "", "geopotential", "water", "flux", "energy", "column".
    names, long_names, standard_names : frozenset of str
        Lower-case names of each kind.
    height : float or None
        Height [m] that a scalar coordinate must have for the standard name to decide.
    parameters : frozenset of int
        GRIB parameter numbers.
    opposite : str or None
        Variable that is the same with the other sign.
    rate : str or None
        Variable that this one accumulates.
    never_negative : bool
        Whether the variable has no negative values.
    when : Mapping
        A name that is this variable only if an attribute has a value.
    anomalies : frozenset of str
        Lower-case names of anomalies of the variable, which climate indices accept and models do not.
    """

    key: str
    on_levels: bool
    units: str
    kind: str = ""
    names: frozenset[str] = frozenset()
    long_names: frozenset[str] = frozenset()
    standard_names: frozenset[str] = frozenset()
    height: float | None = None
    parameters: frozenset[int] = frozenset()
    opposite: str | None = None
    rate: str | None = None
    never_negative: bool = False
    when: Mapping[str, str] = field(default_factory=dict)
    anomalies: frozenset[str] = frozenset()


def _as_set(value: Any) -> frozenset[Any]:
    if value is None:
        return frozenset()
    return frozenset(value) if isinstance(value, list) else frozenset([value])


@cache
def read_table(name: str) -> dict[str, Any]:
    """Read one of the package's YAML tables, once per process."""
    text = resources.files("xfaconv.names").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


@cache
def entries() -> dict[str, Entry]:
    """All variables of the table by key."""
    out = {}
    for section, rows in read_table("variables").items():
        for key, row in rows.items():
            out[key] = Entry(
                key=key,
                on_levels=section == "pressure",
                units=row["units"],
                kind=row.get("kind", ""),
                names=frozenset(name.lower() for name in [key, *row.get("names", [])]),
                long_names=_as_set(row.get("long_names")),
                standard_names=_as_set(row.get("standard_name")),
                height=row.get("height"),
                parameters=_as_set(row.get("param")),
                opposite=row.get("opposite"),
                rate=row.get("rate"),
                never_negative=row.get("never_negative", False),
                when=row.get("when", {}),
                anomalies=_as_set(row.get("anomalies")),
            )
    return out


@cache
def _name_index() -> dict[str, Entry]:
    return {name: entry for entry in entries().values() for name in entry.names}


def roles() -> tuple[str, ...]:
    """Roles of coordinates for which `set_options(aliases=...)` may add names."""
    return tuple(role for role in read_table("coordinates")["roles"] if role != "projected")


def is_known(key: str) -> bool:
    """Whether a key is a role of a coordinate or a variable of the table, with or without a level.

    Examples
    --------
    >>> is_known("latitude"), is_known("t2m"), is_known("z500"), is_known("soil_carbon")
    (True, True, True, False)
    """
    return key in roles() or identity(key)[0] in entries()


def session_aliases() -> dict[str, str]:
    """Lower-case names that `set_options(aliases=...)` added for this context, and the key that each stands for.

    The tables are cached and never change; what a session adds is read anew at each look-up.
    """
    return {name.lower(): key for key, names in get_options()["aliases"].items() for name in names}


_LEVEL_AFTER = re.compile(r"^(?P<base>.*?[a-z3])[ _@.\-]*(?:at_)?(?P<level>\d{2,6})_?(?P<units>hpa|mb|pa)?$")
_LEVEL_BEFORE = re.compile(r"^(?P<level>\d{2,4})_?(?P<units>hpa|mb)[ _]*(?P<base>[a-z].*)$")
_LEVEL_IN_WORDS = re.compile(r"(?<![\d.])(?P<level>\d{1,4}) ?-?(?P<units>hpa|mb|mbar|millibars?)\b")
HIGHEST_PRESSURE = 1100.0


def entry_named(name: str) -> Entry | None:
    """Entry that has exactly this name, without regard to case."""
    return _name_index().get(name.lower())


def split_level(name: str, aliases: Mapping[str, str] | None = None) -> tuple[Entry, float] | None:
    """Split a name that has a pressure level, such as ``z500``, ``ta_850hPa`` or ``500hpa_geopotential``.

    Parameters
    ----------
    name : str
        Name of a variable.
    aliases : Mapping of str to str, optional
        Further names of families, lower-case, and the keys that they stand for.

    Returns
    -------
    (Entry, float) or None
        The family and its level [hPa].

    Examples
    --------
    >>> family, level = split_level("geopotential_500")
    >>> family.key, level
    ('z', 500.0)
    >>> split_level("u10") is None, split_level("elevation500") is None
    (True, True)
    """
    lowered = name.lower()
    if lowered in _name_index():
        return None
    for pattern in (_LEVEL_AFTER, _LEVEL_BEFORE):
        found = pattern.match(lowered)
        if found is None:
            continue
        base = found["base"].rstrip("_")
        entry = _name_index().get((aliases or {}).get(base, base))
        level = float(found["level"])
        # zg50000 can only be pascal; t2000 is more likely a year than 20 hPa
        if found["units"] == "pa" or (found["units"] is None and level >= 10000 and level % 100 == 0):
            level /= 100
        if entry is not None and entry.on_levels and 1 <= level <= HIGHEST_PRESSURE:
            return entry, level
    return None


def level_in_words(text: str) -> float | None:
    """Pressure level [hPa] that a long name states, such as "Geopotential height at 500 hPa"; None if not exactly one.

    Examples
    --------
    >>> level_in_words("Temperature at 850 hPa"), level_in_words("Temperature")
    (850.0, None)
    """
    levels = {float(found["level"]) for found in _LEVEL_IN_WORDS.finditer(text.lower())}
    return levels.pop() if len(levels) == 1 else None


def identity(name: str, level: float | None = None) -> tuple[str, float | None]:
    """Canonical key and level [hPa] of a model's variable name.

    Parameters
    ----------
    name : str
        Name in the model, such as ``"t2m"`` or ``"z500"``.
    level : float, optional
        Level [hPa] that the model states.

    Returns
    -------
    (str, float or None)
        An unknown name is its own key.

    Examples
    --------
    >>> identity("2t"), identity("z500"), identity("u100", 100.0)
    (('t2m', None), ('z', 500.0), ('u', 100.0))
    """
    split = split_level(name)
    if split is not None:
        return split[0].key, float(level) if level is not None else split[1]
    entry = entry_named(name)
    if level is not None and (entry is None or not entry.on_levels):
        base = _name_index().get(re.sub(r"[ _@.\-]*\d+$", "", name.lower()))
        if base is not None and base.on_levels:
            return base.key, float(level)
    if entry is None:
        return name, level
    return entry.key, level
