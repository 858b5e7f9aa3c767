"""What a variable is: by name first, then GRIB keys, CF standard names and long names; its levels by name or value."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import xarray as xr

from xfaconv.errors import VariableError
from xfaconv.names.coordinates import find_coordinate, level_coordinate, level_values
from xfaconv.names.tables import (
    Entry,
    entries,
    entry_named,
    identity,
    level_in_words,
    session_aliases,
    split_level,
)

# By which rule a variable is found, the most certain first.
RULES = (
    "name given by the caller",
    "session alias",
    "name",
    "known name",
    "name with level",
    "GRIB key",
    "standard_name",
    "long_name",
)
_LEVEL_TOLERANCE = 1e-3


@dataclass(frozen=True)
class FoundVariable:
    """A data variable that was recognised.

    Parameters
    ----------
    name : str
        Name in the Dataset.
    key : str
        ERA5 short name in the table, of the family for pressure levels.
    levels : tuple of float
        Pressure levels that it holds [hPa]; empty at the surface.
    level_coordinate : str
        Coordinate of these levels, "" where the name or the long name says the level.
    rule : str
        The rule that matched.
    units : str
        Units attribute, "" where absent.
    missing : str
        Value that stands for missing in the file, "" where none is declared.
    """

    name: str
    key: str
    levels: tuple[float, ...]
    level_coordinate: str
    rule: str
    units: str
    missing: str = ""

    def describe(self) -> str:
        """Say in one line what the variable is."""
        levels = f" at {', '.join(f'{level:g}' for level in self.levels)} hPa" if self.levels else ""
        missing = f", missing values declared as {self.missing}" if self.missing else ""
        return f"{self.name}: {self.key}{levels} [{self.units or 'no units'}] by {self.rule}{missing}"

    def level_index(self, level: float | None) -> int | None:
        """Position of a level [hPa] among those of the variable; None where it is not among them."""
        if level is None:
            return None
        close = np.flatnonzero(np.isclose(self.levels, level, rtol=_LEVEL_TOLERANCE, atol=0))
        return int(close[0]) if close.size else None


def recognise_variable(ds: xr.Dataset, name: str) -> FoundVariable | None:
    """Recognise one field of a Dataset.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.
    name : str
        Name of a variable on the horizontal grid.

    Returns
    -------
    FoundVariable or None
        None where no rule matches.

    Raises
    ------
    CoordinateError
        If its levels cannot be read.
    """
    array = ds[name]
    coordinate = level_coordinate(array)
    worded = level_in_words(str(array.attrs.get("long_name", "")))
    rule, entry, level = _entry_of(array, name, coordinate, worded)
    if entry is None:
        return None
    levels: tuple[float, ...] = ()
    used = ""
    if entry.on_levels:
        if coordinate is not None:
            levels, used = tuple(float(v) for v in level_values(array, coordinate)), coordinate
        else:
            levels = tuple(stated for stated in (level, worded) if stated is not None)[:1]
    declared = array.encoding.get("_FillValue", array.encoding.get("missing_value"))
    missing = "" if declared is None else str(declared)
    return FoundVariable(name, entry.key, levels, used, rule, str(array.attrs.get("units", "")), missing)


def find_variable(data: xr.Dataset, key: str) -> xr.DataArray | None:
    """Find the field of a known variable, at its pressure level; what climate indices are computed from.

    Parameters
    ----------
    data : Dataset
        Any; nothing is computed.
    key : str
        Canonical name, such as "sst", "msl" or "z500". Of a family without a level, such as "z", the field that states
        no level is meant. Anomalies, such as "ssta", are taken where the variable itself is not there.

    Returns
    -------
    DataArray or None
        Under its name in the Dataset; None where there is none.

    Raises
    ------
    VariableError
        If several variables match equally well.
    CoordinateError
        If the levels of the variable cannot be read.

    Examples
    --------
    >>> levels = xr.DataArray([1.5, 5.5], {"plev": ("plev", [85000.0, 50000.0], {"units": "Pa"})}, ("plev",))
    >>> float(find_variable(xr.Dataset({"zg": levels}), "z500"))
    5.5
    """
    wanted, level = identity(key)
    entry = entries()[wanted]
    found: list[tuple[tuple[bool, int], xr.DataArray]] = []
    for name in map(str, data.data_vars):
        array = data[name]
        if name.lower() in entry.anomalies:
            found.append(((True, len(RULES)), array))
        coordinate, worded = level_coordinate(array), level_in_words(str(array.attrs.get("long_name", "")))
        rule, own, _ = _entry_of(array, name, coordinate, worded)
        variable = recognise_variable(data, name) if own == entry else None
        if variable is None:
            continue
        index = variable.level_index(level)
        if entry.on_levels and (index is None) != (level is None and not variable.levels):
            continue
        if index is not None and coordinate is not None and array[coordinate].ndim == 1:
            array = array.isel({array[coordinate].dims[0]: index}, drop=True)
        found.append(((name != key, RULES.index(rule)), array))
    best = [array for rank, array in found if rank == min(other for other, _ in found)]
    if len(best) > 1:
        names = ", ".join(repr(array.name) for array in best)
        fix = f"ds = ds.drop_vars({best[1].name!r})  # keep one"
        raise VariableError(f"more than one variable can be {key!r}", expected="one", found=names, fix=fix)
    return best[0] if best else None


def _entry_by_alias(name: str) -> tuple[str, Entry, float | None] | None:
    """Find the entry, and the level [hPa], of a name that the session added with `set_options(aliases=...)`."""
    aliases = session_aliases()
    key, level = identity(aliases[name.lower()]) if name.lower() in aliases else ("", None)
    if key in entries():
        return RULES[1], entries()[key], level
    family = split_level(name, aliases)
    return (RULES[1], *family) if family is not None and split_level(name) is None else None


def _entry_of(
    array: xr.DataArray, name: str, coordinate: str | None, worded: float | None
) -> tuple[str, Entry | None, float | None]:
    """Find the first rule that matches, its entry and the level that the name says [hPa]."""
    added = _entry_by_alias(name)
    if added is not None:
        return added
    entry = entry_named(name)
    leveled = coordinate is not None or worded is not None
    if entry is not None and not entry.on_levels:
        family = _family_at_level(array, name, coordinate, worded)
        if family is not None:
            return "name with level", *family
    if entry is not None and entry.on_levels and not leveled:
        special = _conditional(array, name)
        if special is not None:
            return "known name", special, None
        at_height = _entry_at_height(array)
        if at_height is not None:
            return "standard_name", at_height, None
    if entry is not None:
        return ("name" if entry.key == name else "known name"), entry, None
    family = split_level(name)
    if family is not None:
        return "name with level", *family
    for rule, found in (
        ("GRIB key", _by_grib(array)),
        ("standard_name", _by_standard_name(array, leveled)),
        ("long_name", _by_long_name(array)),
    ):
        if found is not None:
            return rule, found, None
    return "", None, None


def _family_at_level(
    array: xr.DataArray, name: str, coordinate: str | None, worded: float | None
) -> tuple[Entry, float] | None:
    """Tell that u100 is the wind at 100 m, unless a level of 100 hPa says that it is the one there."""
    number = re.search(r"(\d+)$", name)
    if number is None:
        return None
    level = float(number[1])
    scalar = coordinate is not None and array[coordinate].ndim == 0
    stated = float(level_values(array, coordinate)[0]) if scalar and coordinate else worded
    family = entries().get(identity(name, level)[0]) if stated == level else None
    return (family, level) if family is not None and family.on_levels else None


def _conditional(array: xr.DataArray, name: str) -> Entry | None:
    """Find a name that means a variable only if an attribute says so, such as NCEP's air at sigma 0.995."""
    for entry in entries().values():
        if entry.when and entry.when["name"] == name.lower():
            value = str(array.attrs.get(entry.when["attribute"], "")).lower()
            if value == entry.when["value"]:
                return entry
            if str(array.attrs.get("long_name", "")).lower() in entry.long_names:
                return entry
    return None


def _by_grib(array: xr.DataArray) -> Entry | None:
    for key in ("GRIB_cfVarName", "GRIB_shortName"):
        entry = entry_named(str(array.attrs.get(key, "")))
        if entry is not None:
            return entry
    parameter = array.attrs.get("GRIB_paramId")
    if isinstance(parameter, (int, np.integer)):
        return next((e for e in entries().values() if int(parameter) in e.parameters), None)
    return None


def _scalar_height(array: xr.DataArray) -> float | None:
    height = find_coordinate(array, "height")
    if height is None or array[height.name].ndim or array[height.name].chunks is not None:
        return None
    return float(array[height.name])


def _entry_at_height(array: xr.DataArray) -> Entry | None:
    """Find the surface variable that a standard name and a scalar height mean together."""
    height = _scalar_height(array)
    standard = str(array.attrs.get("standard_name", "")).lower()
    return next(
        (e for e in entries().values() if e.height is not None and e.height == height and standard in e.standard_names),
        None,
    )


def _by_standard_name(array: xr.DataArray, leveled: bool) -> Entry | None:
    standard = str(array.attrs.get("standard_name", "")).lower()
    methods = str(array.attrs.get("cell_methods", "")).lower()
    if not standard or "maximum" in methods or "minimum" in methods:
        return None
    at_height = _entry_at_height(array)
    if at_height is not None:
        return at_height
    for entry in entries().values():
        if standard in entry.standard_names and entry.height is None and entry.on_levels <= leveled:
            return entry
    return None


def _by_long_name(array: xr.DataArray) -> Entry | None:
    words = str(array.attrs.get("long_name", "")).strip().lower()
    for entry in entries().values():
        if words in entry.long_names:
            return entry
    stem = words.split(" at ")[0]
    if level_in_words(words) is not None:
        return next((e for e in entries().values() if e.on_levels and stem in e.long_names), None)
    return None
