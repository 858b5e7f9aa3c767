"""Which variable is which: names first, then GRIB keys, CF standard names, long names; levels by name or value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from xfaconv.conform.coordinates import find_by_name, is_level, level_values
from xfaconv.conform.lexicon import Entry, entries, entry_named, identity, level_in_words, split_level
from xfaconv.errors import ArgumentError, CoordinateError, VariableError
from xfaconv.specs import VariableSpec

_RULES = ("name given by the caller", "name", "known name", "name with level", "GRIB key", "standard_name", "long_name")
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


@dataclass(frozen=True)
class Match:
    """A model's variable and where it comes from.

    Parameters
    ----------
    spec : VariableSpec
        The model's variable.
    source : FoundVariable or None
        The data's variable, None where absent.
    level_index : int or None
        Position along the level coordinate.
    sign : float
        -1 where the data hold the same quantity counted the other way.
    """

    spec: VariableSpec
    source: FoundVariable | None
    level_index: int | None = None
    sign: float = 1.0


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
    coordinate = _level_coordinate(array)
    worded = level_in_words(str(array.attrs.get("long_name", "")))
    rule, entry, level = _entry_of(array, name, coordinate, worded)
    if entry is None:
        return None
    levels: tuple[float, ...] = ()
    used = ""
    if entry.on_levels:
        if coordinate is not None:
            levels, used = tuple(float(v) for v in level_values(array.coords.to_dataset(), coordinate)), coordinate
        elif level is not None or worded is not None:
            levels = (level if level is not None else float(worded or 0),)
    declared = array.encoding.get("_FillValue", array.encoding.get("missing_value"))
    missing = "" if declared is None else str(declared)
    return FoundVariable(name, entry.key, levels, used, rule, str(array.attrs.get("units", "")), missing)


def _level_coordinate(array: xr.DataArray) -> str | None:
    """Find the level coordinate of a variable: one that it has as a dimension, else a scalar one."""
    names = [str(name) for name in array.coords if is_level(array.coords.to_dataset(), name)]
    for dims in (1, 0):
        for name in names:
            if array[name].ndim == dims:
                return name
    return None


def _entry_of(
    array: xr.DataArray, name: str, coordinate: str | None, worded: float | None
) -> tuple[str, Entry | None, float | None]:
    """Find the first rule that matches, its entry and the level that the name says [hPa]."""
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
    stated = float(level_values(array.coords.to_dataset(), coordinate)[0]) if scalar and coordinate else worded
    if stated != level:
        return None
    key, _ = identity(name, level)
    family = entries().get(key)
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
    height = find_by_name(array.coords.to_dataset(), "height")
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


def match_variables(
    ds: xr.Dataset,
    found: Sequence[FoundVariable],
    unknown: Sequence[str],
    specs: Sequence[VariableSpec],
    given: Mapping[str, str] | None = None,
) -> tuple[Match, ...]:
    """Match a model's variables with the data's.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.
    found, unknown : sequences
        What `recognise_variable` found, and the names that it did not know.
    specs : sequence of VariableSpec
        The model's variables in order.
    given : Mapping, optional
        The model's name to the data's name, where the caller knows better.

    Returns
    -------
    tuple of Match
        In the order of the model; `Match.source` is None where the data have no such variable.

    Raises
    ------
    VariableError
        If several variables match equally well.
    ArgumentError
        If `given` names a variable that the model or the data do not have.
    """
    given = dict(given or {})
    names = {spec.name for spec in specs}
    for model_name, data_name in given.items():
        if model_name not in names:
            raise ArgumentError(
                f"variables={{...}} names {model_name!r}, which the model does not read",
                expected=", ".join(spec.name for spec in specs),
                found=model_name,
                fix="variables={model name: name in the Dataset}",
            )
        if data_name not in ds.data_vars:
            raise ArgumentError(
                f"variables={{...}} names {data_name!r}, which is not in the Dataset",
                expected=", ".join(map(str, ds.data_vars)),
                found=str(data_name),
                fix="variables={model name: name in the Dataset}",
            )
    return tuple(_match(ds, found, unknown, spec, given.get(spec.name)) for spec in specs)


def _match(
    ds: xr.Dataset, found: Sequence[FoundVariable], unknown: Sequence[str], spec: VariableSpec, given: str | None
) -> Match:
    key, level = identity(spec.name, spec.level)
    entry = entries().get(key)
    if given is not None:
        return _match_given(ds, found, spec, given, level if entry is None or entry.on_levels else None)
    candidates: list[Match] = []
    for variable in found:
        opposite = entry is not None and entry.opposite == variable.key
        if variable.key != key and not opposite:
            continue
        index = _level_index(variable, level)
        if entry is not None and entry.on_levels and level is not None and index is None:
            continue
        sign = -1.0 if opposite else 1.0
        candidates.append(Match(spec, variable, index if variable.level_coordinate else None, sign))
    if not candidates and spec.name in unknown:
        units = str(ds[spec.name].attrs.get("units", ""))
        return Match(spec, FoundVariable(spec.name, key, (), "", "name", units))
    if not candidates:
        return Match(spec, None)
    # the model's own name beats an alias, a name beats attributes
    order = [(m.source.name != spec.name, _RULES.index(m.source.rule), m.sign < 0) for m in candidates if m.source]
    best = [m for m, rank in zip(candidates, order, strict=True) if rank == min(order)]
    if len(best) > 1:
        named = [m.source.name for m in best if m.source]
        raise VariableError(
            f"more than one variable can be {spec.name!r}",
            expected="one",
            found=", ".join(repr(name) for name in named),
            fix=f"variables={{{spec.name!r}: {named[0]!r}}}",
        )
    return best[0]


def _level_index(variable: FoundVariable, level: float | None) -> int | None:
    if level is None or not variable.levels:
        return None
    close = np.flatnonzero(np.isclose(variable.levels, level, rtol=_LEVEL_TOLERANCE, atol=0))
    return int(close[0]) if close.size else None


def _match_given(
    ds: xr.Dataset, found: Sequence[FoundVariable], spec: VariableSpec, given: str, level: float | None
) -> Match:
    known = next((variable for variable in found if variable.name == given), None)
    key = known.key if known is not None else identity(spec.name, spec.level)[0]
    array = ds[given]
    units = str(array.attrs.get("units", ""))
    coordinate = _level_coordinate(array)
    if coordinate is None or level is None:
        return Match(spec, FoundVariable(given, key, (), "", _RULES[0], units))
    levels = tuple(float(value) for value in level_values(array.coords.to_dataset(), coordinate))
    source = FoundVariable(given, key, levels, coordinate, _RULES[0], units)
    index = _level_index(source, level)
    if index is None:
        raise missing_level(spec, source, level)
    return Match(spec, source, index)


def missing_level(spec: VariableSpec, variable: FoundVariable, level: float) -> CoordinateError:
    """Make the error for a level that a variable does not have."""
    shown = ", ".join(f"{value:g}" for value in variable.levels) or "none stated"
    return CoordinateError(
        f"variable {variable.name!r} has no level {level:g} hPa, which the model reads as {spec.name!r}",
        expected=f"{level:g} hPa",
        found=f"levels {shown} hPa",
        fix=f"download level {level:g} hPa; or absent='climatology' to go without {spec.name!r}",
    )


def absent_error(found: Sequence[FoundVariable], unknown: Sequence[str], missing: Sequence[Match]) -> VariableError:
    """Make the error for variables that the model reads and the data lack.

    Parameters
    ----------
    found, unknown : sequences
        What `recognise_variable` found, and the names that it did not know.
    missing : sequence of Match
        Those without a source.

    Returns
    -------
    VariableError
    """
    names = [match.spec.name for match in missing]
    reasons = []
    for match in missing:
        key, level = identity(match.spec.name, match.spec.level)
        for variable in found:
            if variable.key == key and level is not None:
                shown = ", ".join(f"{value:g}" for value in variable.levels)
                has = f"levels {shown} hPa" if shown else "no level"
                reasons.append(f"{variable.name!r} has {has}, not {level:g} hPa")
    have = "; ".join(variable.describe() for variable in found) or "no known variable"
    if unknown:
        have += f"; not recognised: {', '.join(unknown)}"
    example = unknown[0] if unknown else "name_in_ds"
    return VariableError(
        f"the data lack {', '.join(repr(name) for name in names)}, which the model reads"
        + (f" ({'; '.join(reasons)})" if reasons else ""),
        expected=", ".join(f"{match.spec.name} [{match.spec.units}] {match.spec.long_name}" for match in missing),
        found=have,
        fix=f"variables={{{names[0]!r}: {example!r}}} if it has another name; absent='climatology' to go without",
    )
