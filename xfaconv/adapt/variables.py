"""Which of the data's variables a model's variable is, and what is said where there is none or more than one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from xfaconv.errors import ArgumentError, CoordinateError, VariableError
from xfaconv.names import level_coordinate, level_values
from xfaconv.names.tables import entries, identity
from xfaconv.names.variables import RULES, FoundVariable
from xfaconv.specs import VariableSpec

_LEVEL_TOLERANCE = 1e-3


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
    if given is not None and not isinstance(given, Mapping):
        raise ArgumentError(
            "variables is not a mapping",
            expected="{model name: name in the Dataset}",
            found=type(given).__name__,
            fix="variables={'t2m': 'my_temperature'}",
        )
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
    order = [(m.source.name != spec.name, RULES.index(m.source.rule), m.sign < 0) for m in candidates if m.source]
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
    coordinate = level_coordinate(array)
    if coordinate is None or level is None:
        return Match(spec, FoundVariable(given, key, (), "", RULES[0], units))
    levels = tuple(float(value) for value in level_values(array.coords.to_dataset(), coordinate))
    source = FoundVariable(given, key, levels, coordinate, RULES[0], units)
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
