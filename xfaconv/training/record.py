"""A user's record as standardised anomalies, split in time into training, a gap and validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from xfaconv.adapt import Conformed, InputSpec, adapt
from xfaconv.adapt.survey import survey
from xfaconv.climatology import Climatology, harmonic_basis
from xfaconv.errors import ArgumentError, TimeError, VariableError
from xfaconv.models import Model
from xfaconv.options import get_options
from xfaconv.specs import VariableSpec
from xfaconv.training.sampling import WindowSource
from xfaconv.training.seasonal import fit_record_climatology
from xfaconv.training.variables import chosen_variables

HARMONICS = 2


@dataclass(frozen=True, eq=False)
class Record:
    """The user's data as standardised anomalies, split in time.

    Parameters
    ----------
    variables : tuple of VariableSpec
        In order.
    conformed : Conformed
        The data as conform gives them.
    climatology : Climatology
        What the anomalies are taken from.
    source, held_back : WindowSource
        Windows of the training and of the validation steps.
    train, test : slice
        Positions of these steps; between them lies the gap.
    """

    variables: tuple[VariableSpec, ...]
    conformed: Conformed
    climatology: Climatology
    source: WindowSource
    held_back: WindowSource
    train: slice
    test: slice


def split_record(
    ds: xr.Dataset, start: Model | None, variables: Sequence[str] | None, validation: float, span: int
) -> Record:
    """Conform the data, split them in time and standardise them with the climatology of the training part.

    Parameters
    ----------
    ds : Dataset
        The user's data.
    start : Model or None
        Model to fine-tune, whose variables, grid and climatology are kept.
    variables : sequence of str or None
        Variables to train on without such a model.
    validation : float
        Share of the record at its end that is held back.
    span : int
        Steps of a window and its longest lead; the gap is as long where room for one window is left behind it.

    Returns
    -------
    Record

    Raises
    ------
    ArgumentError, TimeError, VariableError
        If the data have members, are too short, or a variable is missing nearly everywhere.
    """
    if start is not None:
        card = start.card
        target = InputSpec(card.variables, card.grid, card.step, start.climatology, card.climatology_harmonics)
        conformed = adapt(ds, target, absent=get_options()["absent"])
    else:
        found = survey(ds)
        target = InputSpec(chosen_variables(found, variables), harmonics=HARMONICS)
        conformed = adapt(found, target, regrid=None, climatology=None)
    if "member" in conformed.data.dims:
        raise ArgumentError(
            "fit takes one member", found=f"{conformed.data.sizes['member']} members", fix="fit(ds.isel(number=0))"
        )
    steps = len(conformed.time.index)
    held = round(validation * steps)
    split = steps - held
    if split - span < 1:
        raise TimeError(
            "the record is too short to train on",
            expected=f"more than {span} steps besides the {held} that are held back",
            found=f"{steps} steps",
            fix="a smaller window=, smaller leads=, or validation=0",
        )
    if validation and held < span:
        raise TimeError(
            "what is held back is too short to validate on",
            expected=f"at least {span} steps, a window and its longest lead",
            found=f"{held} of {steps} steps",
            fix=f"validation={min(0.5, np.ceil(100 * span / steps) / 100):.2f}, a smaller window=, or validation=0",
        )
    train = tuple(slice(run.start, min(run.stop, split)) for run in conformed.time.runs if run.start < split)
    test = slice(split + min(span, max(held - span, 0)), steps)
    climatology = conformed.climatology
    data = conformed.data
    if start is None or climatology is None:
        known = slice(0, split)
        climatology = fit_record_climatology(data.isel(time=known), conformed.time.year_phase[known], HARMONICS)
        _refuse_missing_variables(target.variables, climatology)
        data = _standardised(data, climatology, conformed)
    fields = [data[name].transpose("time", "latitude", "longitude").data for name in data.data_vars]
    source = WindowSource(fields, conformed.time.year_phase, conformed.time.day_phase, train)
    later = tuple(
        slice(max(run.start, test.start), run.stop)
        for run in conformed.time.runs
        if run.stop - max(run.start, test.start) > 0
    )
    return Record(
        _marked(target.variables, climatology),
        conformed,
        climatology,
        source,
        replace(source, stretches=later),
        slice(0, split),
        test,
    )


def _refuse_missing_variables(variables: tuple[VariableSpec, ...], climatology: Climatology) -> None:
    """Refuse a variable of which nothing would be seen."""
    for spec, scale in zip(variables, climatology.scale, strict=True):
        if not np.isfinite(scale).any():
            raise VariableError(
                f"variable '{spec.name}' is missing in more than half of the training steps everywhere",
                expected="cells with at least half of their values",
                fix=f"ds.drop_vars({spec.name!r}), or ds[{spec.name!r}].interpolate_na('time') where that is sound",
            )


def _marked(variables: tuple[VariableSpec, ...], climatology: Climatology) -> tuple[VariableSpec, ...]:
    """Say of each variable whether a part of the grid is always missing."""
    return tuple(
        replace(spec, partly_missing=bool(np.isnan(scale).any()))
        for spec, scale in zip(variables, climatology.scale, strict=True)
    )


def _standardised(data: xr.Dataset, climatology: Climatology, conformed: Conformed) -> xr.Dataset:
    """Take the seasonal mean away and divide by the spread, lazily."""
    basis = xr.DataArray(harmonic_basis(conformed.time.year_phase, climatology.harmonics), dims=("time", "term"))
    out = {}
    for position, name in enumerate(data.data_vars):
        field = data[name]
        if field.chunks is not None:
            basis = basis.chunk(time=field.chunksizes["time"])
        mean = xr.DataArray(climatology.coefficients[position], dims=("term", "latitude", "longitude"))
        scale = xr.DataArray(climatology.scale[position], dims=("latitude", "longitude"))
        out[name] = ((field - xr.dot(basis, mean, dim="term")) / scale).astype("float32")
    return xr.Dataset(out)
