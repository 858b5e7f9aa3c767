"""What a model reads, and which of the data's variables each of its variables is, in which units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import xarray as xr

from xfaconv.errors import ArgumentError, CoordinateError, VariableError
from xfaconv.names import level_coordinate, level_values
from xfaconv.names.tables import entries, identity
from xfaconv.names.units import Conversion, conversion, is_depth, parse_units
from xfaconv.names.variables import RULES, FoundVariable
from xfaconv.specs import VariableSpec


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

    @property
    def is_amount(self) -> bool:
        """Whether it is water added up over a step, which nothing in a file says for certain."""
        entry = entries().get(self.source.key) if self.source is not None else None
        unit = parse_units(self.spec.units)
        return entry is not None and entry.kind == "water" and unit is not None and is_depth(unit)

    def conversion(self, units: str | None, step: str | None) -> Conversion:
        """Find the change of units, and of sign.

        Parameters
        ----------
        units : str or None
            Units of the data's variable.
        step : str or None
            Time step of the data, for amounts and rates.

        Returns
        -------
        Conversion

        Raises
        ------
        UnitsError
            If the units cannot be converted without a guess.
        """
        if self.source is None:
            return Conversion()
        change = conversion(self.source.name, units, self.spec.units, entries().get(self.source.key), step)
        if self.sign > 0:
            return change
        sentence = f"{self.source.name} with the opposite sign" + (f", {change.note}" if change.note else "")
        return Conversion(-change.factor, -change.offset, sentence)


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
        The model's variables in order, or those of several models.
    given : Mapping, optional
        The model's name to the data's name, where the caller knows better.

    Returns
    -------
    tuple of Match
        In the order of the specs; `Match.source` is None where the data have no such variable.

    Raises
    ------
    VariableError
        If several variables match equally well.
    ArgumentError
        If `given` names a variable that the specs or the data do not have.
    """
    check_given(given, specs)
    given = dict(given or {})
    for data_name in given.values():
        if data_name not in ds.data_vars:
            raise ArgumentError(
                f"variables={{...}} names {data_name!r}, which is not in the Dataset",
                expected=", ".join(map(str, ds.data_vars)),
                found=str(data_name),
                fix=f"variables={{{next(name for name, own in given.items() if own == data_name)!r}: 'its name'}}",
            )
    return tuple(_match(ds, found, unknown, spec, given.get(spec.name)) for spec in specs)


def check_given(given: Mapping[str, str] | None, specs: Sequence[VariableSpec]) -> None:
    """Refuse names given by the caller for variables that the model does not read.

    Parameters
    ----------
    given : Mapping, optional
        The model's name to the data's name.
    specs : sequence of VariableSpec
        The model's variables.

    Raises
    ------
    ArgumentError
        If `given` is no mapping, or names another variable.
    """
    names = [spec.name for spec in specs]
    if given is not None and not isinstance(given, Mapping):
        problem, found = "variables is not a mapping", type(given).__name__
    elif strange := [name for name in given or {} if name not in names]:
        problem, found = f"variables={{...}} names {strange[0]!r}, which the model does not read", str(strange[0])
    else:
        return
    raise ArgumentError(
        problem, expected=f"{{one of {', '.join(names)}: name in the Dataset}}", found=found,
        fix=f"variables={{{names[0]!r}: 'its name'}}",
    )  # fmt: skip


def _match(
    ds: xr.Dataset, found: Sequence[FoundVariable], unknown: Sequence[str], spec: VariableSpec, given: str | None
) -> Match:
    key, level = identity(spec.name, spec.level)
    entry = entries().get(key)
    if given is not None:
        return _match_given(ds, found, spec, given, level if entry is None or entry.on_levels else None)
    candidates: list[Match] = []
    for variable in found:
        sign = _sign(key, variable.key)
        index = variable.level_index(level)
        if not sign or (entry is not None and entry.on_levels and level is not None and index is None):
            continue
        candidates.append(Match(spec, variable, index if variable.level_coordinate else None, sign))
    if not candidates and spec.name in unknown:
        units = str(ds[spec.name].attrs.get("units", ""))
        return Match(spec, FoundVariable(spec.name, key, (), "", "name", units))
    if not candidates:
        return Match(spec, None)
    # The model's own name beats an alias, a name beats attributes, a rate beats what it was accumulated to.
    order = [
        (m.source.name != spec.name, RULES.index(m.source.rule), m.sign < 0, entries()[m.source.key].rate is not None)
        for m in candidates
        if m.source
    ]
    best = [m for m, rank in zip(candidates, order, strict=True) if rank == min(order)]
    if len(best) > 1:
        named = [m.source.name for m in best if m.source]
        raise VariableError(
            f"more than one variable can be {spec.name!r}",
            expected="one",
            found=", ".join(map(repr, named)),
            fix=f"variables={{{spec.name!r}: {named[0]!r}}}",
        )
    return best[0]


def _sign(key: str, own: str) -> float:
    """Tell whether a variable, or the rate that it accumulates, is another one: 1, -1 with the other sign, or 0."""
    opposite = entries()[key].opposite if key in entries() else None
    same = (own, entries()[own].rate) if own in entries() else (own,)
    return 1.0 if key in same else -1.0 if opposite is not None and opposite in same else 0.0


def _match_given(
    ds: xr.Dataset, found: Sequence[FoundVariable], spec: VariableSpec, given: str, level: float | None
) -> Match:
    known = next((variable for variable in found if variable.name == given), None)
    key = known.key if known is not None else identity(spec.name, spec.level)[0]
    array = ds[given]
    units = str(array.attrs.get("units", ""))
    # A variable that the caller names is what he says, unless its own name says that it is counted the other way.
    sign = _sign(identity(spec.name, spec.level)[0], key) or 1.0
    coordinate = level_coordinate(array)
    if coordinate is None or level is None:
        return Match(spec, FoundVariable(given, key, (), "", RULES[0], units), None, sign)
    levels = tuple(float(value) for value in level_values(array, coordinate))
    source = FoundVariable(given, key, levels, coordinate, RULES[0], units)
    index = source.level_index(level)
    if index is None:
        raise CoordinateError(
            f"variable {given!r} has no level {level:g} hPa, which the model reads as {spec.name!r}",
            expected=f"{level:g} hPa",
            found=f"levels {_shown(levels)} hPa",
            fix=f"absent='climatology', variables=None  # to go without {spec.name!r}; or download level {level:g} hPa",
        )
    return Match(spec, source, index, sign)


def _shown(levels: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in levels) or "none stated"


def absent_error(
    found: Sequence[FoundVariable], unknown: Sequence[str], missing: Sequence[Match], *, some_left: bool = True
) -> VariableError:
    """Make the error for variables that the model reads and the data lack.

    Parameters
    ----------
    found, unknown : sequences
        What `recognise_variable` found, and the names that it did not know.
    missing : sequence of Match
        Those without a source.
    some_left : bool, default True
        Whether the data have others of the model's variables.

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
                has = f"levels {_shown(variable.levels)} hPa" if variable.levels else "no level"
                reasons.append(f"{variable.name!r} has {has}, not {level:g} hPa")
    have = "; ".join(variable.describe() for variable in found) or "no known variable"
    if unknown:
        have += f"; not recognised: {', '.join(unknown)}"
    named, without = f"variables={{{names[0]!r}: {unknown[0] if unknown else 'its name'!r}}}", "absent='climatology'"
    if unknown:
        fix = f"{named}  # if that is what it is; or {without} to go without"
    else:
        # Where nothing would be left, to go without is no way out.
        fix = f"{without}  # to go without; or {named}" if some_left else named
    return VariableError(
        f"the data lack {', '.join(map(repr, names))}, which the model reads"
        + (f" ({'; '.join(reasons)})" if reasons else ""),
        expected=", ".join(f"{match.spec.name} [{match.spec.units}] {match.spec.long_name}" for match in missing),
        found=have,
        fix=fix,
    )
