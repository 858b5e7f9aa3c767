"""What a Dataset holds and what a model would make of it: every problem at once, nothing raised, nothing computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import xarray as xr

from xfaconv.adapt.recognition import Reading, Recognition, attempt, survey
from xfaconv.adapt.regrid import plan_remap
from xfaconv.adapt.time_axis import match_step
from xfaconv.adapt.variables import Match, absent_error, match_variables
from xfaconv.errors import ArgumentError, XFaconvError
from xfaconv.names.tables import entries
from xfaconv.names.units import Conversion, conversion, is_depth, parse_units
from xfaconv.specs import InputSpec


def recognise(
    ds: xr.Dataset,
    target: InputSpec | None = None,
    *,
    regrid: str | None = "model",
    variables: Mapping[str, str] | None = None,
) -> Recognition:
    """Find out what a Dataset holds and what a model would make of it; computes nothing and changes nothing.

    Parameters
    ----------
    ds : xarray.Dataset
        Any ERA5-like Dataset, lazy or not.
    target : InputSpec, optional
        What the model reads: matches, conversions and regridding are planned, and their problems listed.
    regrid : {"model", None}, default "model"
        Whether the data would be brought to the model's grid.
    variables : Mapping, optional
        The model's name to the name in the Dataset, where the names do not tell.

    Returns
    -------
    Recognition
        Problems are listed, not raised.

    Raises
    ------
    ArgumentError
        If `ds` is not a Dataset.

    Examples
    --------
    >>> time = xr.date_range("2000-01-01", periods=2)
    >>> coords = {"time": time, "lat": [1.0, 0.0], "lon": [0.0, 1.0]}
    >>> ds = xr.Dataset({"tas": (("time", "lat", "lon"), [[[0.0, 0], [0, 0]]] * 2, {"units": "K"})}, coords)
    >>> found = recognise(ds)
    >>> found.variables[0].describe(), found.grid.shape, found.time.step
    ('tas: t2m [K] by known name', (2, 2), '1D')
    """
    if target is not None and not isinstance(target, InputSpec):
        raise ArgumentError(
            "target is not known",
            expected="an xfaconv.adapt.InputSpec, or None",
            found=repr(target)[:200],
            fix="recognise(ds)",
        )
    recognition, reading = survey(ds, target.step if target is not None else None)
    if target is None or reading is None:
        return recognition
    plan, problems = _plan(reading, target, regrid, variables)
    return replace(recognition, plan=plan, problems=(*recognition.problems, *problems))


def _plan(
    reading: Reading, target: InputSpec, regrid: str | None, variables: Mapping[str, str] | None
) -> tuple[tuple[str, ...], tuple[XFaconvError, ...]]:
    recognition = reading.recognition
    problems: list[XFaconvError] = []

    lines = []
    attempt(
        problems, match_step, reading.time, target.step, reading.stamps.coordinate.dim or reading.stamps.coordinate.name
    )
    remap = attempt(problems, plan_remap, reading.axes, target.grid if regrid == "model" else None)
    if remap is not None and remap.note:
        lines.append(f"grid: {remap.note}")
    matches = attempt(
        problems, match_variables, reading.ds, recognition.variables, recognition.unknown, target.variables, variables
    )
    missing = []
    for match in matches or ():
        if match.source is None:
            missing.append(match)
            continue
        change = attempt(problems, convert, reading, match)
        if change is not None:
            done = change.note or "as it is"
            lines.append(f"{match.spec.name} [{match.spec.units}] from {match.source.name}: {done}")
    if missing:
        problems.append(absent_error(recognition.variables, recognition.unknown, missing))
    return tuple(lines), tuple(problems)


def convert(reading: Reading, match: Match) -> Conversion:
    """Find the change of units, and of sign, of a matched variable.

    Parameters
    ----------
    reading : Reading
        The data.
    match : Match
        A model's variable with its source.

    Returns
    -------
    Conversion

    Raises
    ------
    UnitsError
        If the units cannot be converted without a guess.
    """
    if match.source is None:
        return Conversion()
    entry = entries().get(match.source.key)
    units = reading.ds[match.source.name].attrs.get("units")
    change = conversion(match.source.name, units, match.spec.units, entry, reading.time.step)
    if match.sign > 0:
        return change
    sentence = f"{match.source.name} with the opposite sign" + (f", {change.note}" if change.note else "")
    return Conversion(-change.factor, -change.offset, sentence)


def is_amount(match: Match) -> bool:
    """Whether a matched variable is water added up over a step, which nothing in a file says for certain.

    Parameters
    ----------
    match : Match
        A model's variable with its source.

    Returns
    -------
    bool
    """
    entry = entries().get(match.source.key) if match.source is not None else None
    unit = parse_units(match.spec.units)
    return entry is not None and entry.kind == "water" and unit is not None and is_depth(unit)
