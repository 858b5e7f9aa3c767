"""Which variables of a Dataset a new network is trained on."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from xfaconv.adapt import Survey
from xfaconv.errors import VariableError
from xfaconv.specs import VariableSpec


def chosen_variables(found: Survey, wanted: Sequence[str] | None) -> tuple[VariableSpec, ...]:
    """Describe the variables to train on, in the user's own names and units.

    Parameters
    ----------
    found : Survey
        What was found in the user's data.
    wanted : sequence of str, optional
        Their names; by default all that are recognised.

    Returns
    -------
    tuple of VariableSpec
        One for each level of a variable with levels.

    Raises
    ------
    VariableError
        If one that is named is not there, or none is recognised.

    Examples
    --------
    >>> ds = xr.Dataset({"gust": ("time", [1.0], {"units": "m s-1"})})
    >>> chosen_variables(Survey(ds), ["gust"])[0].units
    'm s-1'
    """
    ds = found.ds
    if wanted is not None:
        lacking = [name for name in wanted if name not in ds]
        if lacking:
            raise VariableError(
                f"variables {lacking} are not in the Dataset",
                expected=f"some of {[str(name) for name in ds.data_vars]}",
                found=repr(list(wanted)),
                fix=f"variables={[str(name) for name in ds.data_vars][:3]}",
            )
        return tuple(_variable(ds, name) for name in wanted)
    recognised = _recognised(found)
    if not recognised:
        raise VariableError(
            "no variable of the Dataset is recognised",
            expected="variables with time, latitude and longitude that conform knows",
            found=repr([str(name) for name in ds.data_vars]),
            fix=f"variables={[str(name) for name in ds.data_vars][:3]}  # name them",
        )
    return tuple(_variable(ds, name) if level is None else level for name, level in recognised)


def _recognised(survey: Survey) -> list[tuple[str, VariableSpec | None]]:
    out: list[tuple[str, VariableSpec | None]] = []
    for variable in survey.variables:
        if variable.level_coordinate and len(variable.levels) > 1:
            for level in variable.levels:
                key = f"{variable.key}{level:g}"
                out.append(
                    (variable.name, VariableSpec(key, variable.units, f"{variable.key} at {level:g} hPa", level))
                )
        else:
            out.append((variable.name, None))
    return out


def _variable(ds: xr.Dataset, name: str) -> VariableSpec:
    attrs = ds[name].attrs
    return VariableSpec(str(name), str(attrs.get("units", "1")), str(attrs.get("long_name", name)))
