"""From any ERA5-like Dataset to what a model reads: the steps in their order, all of them lazy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.adapt.anomalies import apply_to_blocks, check_record, climatology_on, standardise_block
from xfaconv.adapt.comparison import convert, is_amount
from xfaconv.adapt.given import seasonal_of
from xfaconv.adapt.labels import Labels
from xfaconv.adapt.plausible import Subject
from xfaconv.adapt.recognition import Reading, Recognition, labels_on, read
from xfaconv.adapt.regrid import MIN_VALID, Remap, average_tiles, plan_remap
from xfaconv.adapt.selection import select
from xfaconv.adapt.time_axis import TimeAxis, match_step
from xfaconv.adapt.variables import Match, absent_error, match_variables
from xfaconv.climatology import Climatology, fit_climatology, seasonal_basis
from xfaconv.errors import ArgumentError, CoordinateError
from xfaconv.grid import Grid
from xfaconv.names.units import Conversion
from xfaconv.options import get_options
from xfaconv.specs import InputSpec, VariableSpec

_FEW_TILES = 16
_BLOCK_BYTES = 128e6


@dataclass(frozen=True, eq=False)
class Conformed:
    """The data as the model reads them, and the way back.

    Parameters
    ----------
    data : xarray.Dataset
        The model's names in the model's order, dims ([member,] time, latitude, longitude), float32, lazy where the
        input is; latitude ascending, longitude eastward; NaN where missing.
    grid : Grid
        Their grid.
    time : TimeAxis
        Their steps.
    labels : Labels
        The way back to the user's labels.
    recognition : Recognition
        What was recognised.
    steps : tuple of str
        What was done, in sentences.
    climatology : Climatology or None
        The one that anomalies are taken from, where it is in memory.
    absent : tuple of str
        The model's variables that the data lack.
    """

    data: xr.Dataset
    grid: Grid
    time: TimeAxis
    labels: Labels
    recognition: Recognition
    steps: tuple[str, ...]
    climatology: Climatology | None
    absent: tuple[str, ...] = ()


def adapt(
    ds: xr.Dataset,
    target: InputSpec,
    *,
    regrid: str | None = "model",
    climatology: str | xr.Dataset | None = "model",
    absent: str | None = "raise",
    variables: Mapping[str, str] | None = None,
    min_valid: float = MIN_VALID,
) -> Conformed:
    """Bring a Dataset to what a model reads; computes nothing.

    Dimensions of length 1 that are neither horizontal nor time are dropped and do not come back in results; ensemble
    members stay. Versions along ``expver`` are joined, the first valid value wins. Infinite values count as missing.

    Parameters
    ----------
    ds : xarray.Dataset
        Any ERA5-like Dataset, lazy or not; left as it is.
    target : InputSpec
        What the model reads.
    regrid : {"model", None}, default "model"
        Average to the model's grid, or keep the data's own.
    climatology : {"model", "data"}, xarray.Dataset or None, default "model"
        What anomalies are taken from; None gives physical values in the model's units.
    absent : {"raise", "climatology"}, default "raise"
        What to do about variables that the data lack: refuse, or leave them missing, which the model reads as its
        climatology.
    variables : Mapping, optional
        The model's name to the name in the Dataset, where the names do not tell.
    min_valid : float, default 0.5
        Share of a cell's area that must be valid when averaging.

    Returns
    -------
    Conformed

    Raises
    ------
    XFaconvError
        One of its kinds: what is wrong, what was expected and found, and the line that fixes it.

    Examples
    --------
    >>> time = xr.date_range("2000-01-01", periods=2)
    >>> coords = {"time": time, "lat": [1.0, 0.0], "lon": [0.0, 1.0]}
    >>> ds = xr.Dataset({"tas": (("time", "lat", "lon"), [[[0.0, 1], [2, 3]]] * 2, {"units": "degC"})}, coords)
    >>> out = adapt(ds, InputSpec((VariableSpec("t2m", "K", "2 metre temperature"),)), climatology=None)
    >>> out.data.t2m.values[0].tolist()
    [[275.1499938964844, 276.1499938964844], [273.1499938964844, 274.1499938964844]]
    """
    _check_options(target, regrid, climatology, absent, min_valid)
    reading = read(ds, target.step)
    recognition = reading.recognition
    match_step(reading.time, target.step, reading.stamps.coordinate.dim or reading.stamps.coordinate.name)
    matches = match_variables(reading.ds, recognition.variables, recognition.unknown, target.variables, variables)
    missing = [match for match in matches if match.source is None]
    levels = [problem for problem in recognition.problems if type(problem) is CoordinateError]
    if missing and levels:
        raise levels[0]
    if missing and (absent == "raise" or len(missing) == len(matches)):
        raise absent_error(recognition.variables, recognition.unknown, missing)
    remap = plan_remap(reading.axes, target.grid if regrid == "model" else None, min_valid)
    present = [match for match in matches if match.source is not None]
    conversions = {match.spec.name: convert(reading, match) for match in present}
    steps = [*recognition.notes, *([remap.note] if remap.note else [])]
    steps += [f"{name}: {change.note}" for name, change in conversions.items() if change.note]
    steps += [f"{match.spec.name}: read as the amount of each step" for match in present if is_amount(match)]
    baseline = _baseline(reading, target, climatology, remap.grid, [match.spec for match in present])
    steps += baseline.sentences
    arrays: dict[str, Any] = {}
    for match in present:
        name = match.spec.name
        field = select(reading.ds, match, reading.axes, reading.stamps, reading.member)
        subject = _subject(match, remap.grid, climatology)
        arrays[name] = _standardise(field.data, reading, remap, conversions[name], baseline, name, subject)
    names = tuple(match.spec.name for match in missing)
    if missing:
        listed = ", ".join(names)
        warnings.warn(f"the data lack {listed}: the model reads its climatology instead", UserWarning, stacklevel=2)
        steps.append(f"absent, read as the climatology: {listed}")
        arrays |= dict.fromkeys(names, _all_missing(next(iter(arrays.values()))))
    data = _label(arrays, [spec.name for spec in target.variables], reading, remap.grid)
    labels = labels_on(reading, remap.grid)
    return Conformed(
        data, remap.grid, reading.time, labels, recognition, tuple(steps), baseline.climatology, absent=names
    )


def _check_options(target: InputSpec, regrid: Any, climatology: Any, absent: Any, min_valid: float) -> None:
    if regrid not in ("model", None):
        raise ArgumentError("regrid is not known", expected="'model' or None", found=repr(regrid), fix="regrid='model'")
    if absent not in ("raise", "climatology"):
        raise ArgumentError(
            "absent is not known", expected="'raise' or 'climatology'", found=repr(absent), fix="absent='raise'"
        )
    if not (climatology is None or isinstance(climatology, xr.Dataset) or climatology in ("model", "data")):
        raise ArgumentError(
            "climatology is not known",
            expected="'model', 'data', a Dataset or None",
            found=repr(climatology),
            fix="climatology='data'",
        )
    if isinstance(climatology, str) and climatology == "model" and target.climatology is None:
        raise ArgumentError(
            "the model has no climatology", expected="a model with one", found="none", fix="climatology='data'"
        )
    if not 0 <= min_valid <= 1:
        raise ArgumentError(
            "min_valid is not a share", expected="a number from 0 to 1", found=f"{min_valid:g}", fix="min_valid=0.5"
        )
    if not target.variables:
        raise ArgumentError("the model reads no variables", expected="at least one", found="none")


@dataclass(frozen=True, eq=False)
class _Baseline:
    """What anomalies are taken from: tables or harmonics per variable, or a fit that is still to come."""

    sentences: tuple[str, ...]
    climatology: Climatology | None = None
    basis: NDArray[Any] | None = None
    fields: Mapping[str, tuple[Any, Any]] | None = None
    tables: Mapping[str, tuple[NDArray[np.int64], Any, Any]] | None = None
    harmonics: int | None = None


def _baseline(
    reading: Reading, target: InputSpec, climatology: str | xr.Dataset | None, grid: Grid, specs: list[VariableSpec]
) -> _Baseline:
    phase = reading.time.year_phase
    if climatology is None:
        return _Baseline(("physical values, no climatology",))
    if isinstance(climatology, xr.Dataset):
        tables = seasonal_of(climatology, tuple(specs), grid, reading.time)
        return _Baseline(("standardised anomalies from the given climatology",), tables=tables)
    if climatology == "data" or target.climatology is None:
        said = check_record(reading.time, target.harmonics)
        sentence = f"standardised anomalies from the data's own mean and {target.harmonics} harmonics of the year"
        return _Baseline((sentence, *said), harmonics=target.harmonics)
    used = climatology_on(target.climatology, target.grid, grid)
    numbers = [spec.name for spec in target.variables]
    fields = {name: (used.coefficients[i], used.scale[i]) for i, name in enumerate(numbers)}
    basis = seasonal_basis(phase, used.harmonics)
    return _Baseline(("standardised anomalies from the model's climatology",), used, basis, fields)


def _subject(match: Match, grid: Grid, climatology: str | xr.Dataset | None) -> Subject | None:
    """Give the variable as it is to be looked at; against the data's own climatology there is nothing to see."""
    action = get_options()["implausible"]
    own = climatology is None or (isinstance(climatology, str) and climatology == "data")
    if action == "ignore" or match.source is None or own:
        return None
    return Subject(match.source.name, match.spec.units, grid.is_global, action)


def _standardise(
    array: Any,
    reading: Reading,
    remap: Remap,
    change: Conversion,
    baseline: _Baseline,
    name: str,
    subject: Subject | None,
) -> Any:
    """One field to the grid, the units and the anomalies of the model."""
    shape = remap.grid.shape
    options: dict[str, Any] = {"remap": remap, "factor": change.factor, "offset": change.offset}
    if isinstance(array, da.Array) and array.numblocks[-2:] != (1, 1):
        if remap.averages and array.numblocks[-2] * array.numblocks[-1] <= _FEW_TILES:
            array = average_tiles(array, remap)
            options["remap"] = None
        else:
            array = _one_tile(array)
    if baseline.fields is not None or baseline.tables is not None:
        options["subject"] = subject
    if baseline.fields is not None:
        return apply_to_blocks(array, standardise_block, shape, baseline.basis, baseline.fields[name], **options)
    if baseline.tables is not None:
        position, mean, scale = baseline.tables[name]
        return apply_to_blocks(array, standardise_block, shape, position, (mean, scale), **options)
    physical = apply_to_blocks(array, standardise_block, shape, **options)
    if baseline.harmonics is None:
        return physical
    basis = seasonal_basis(reading.time.year_phase, baseline.harmonics)
    fitted = fit_climatology(physical, basis, remap.grid.row_area)
    return apply_to_blocks(physical, standardise_block, shape, basis, fitted)


def _one_tile(array: da.Array) -> da.Array:
    """Join the tiles of each step, with so few steps to a block that it stays small."""
    per_step = array.dtype.itemsize * array.shape[-1] * array.shape[-2]
    steps = max(1, int(_BLOCK_BYTES / per_step))
    widest = max(array.chunks[-3])
    chunks = {array.ndim - 2: -1, array.ndim - 1: -1}
    if widest > steps:
        chunks[array.ndim - 3] = steps
    joined: da.Array = array.rechunk(chunks)  # type: ignore[no-untyped-call]
    return joined


def _all_missing(like: Any) -> Any:
    if isinstance(like, da.Array):
        return da.full_like(like, np.nan, dtype=np.float32)  # type: ignore[no-untyped-call]
    return np.full(like.shape, np.nan, dtype=np.float32)


def _label(arrays: Mapping[str, Any], order: list[str], reading: Reading, grid: Grid) -> xr.Dataset:
    coords: dict[str, Any] = {
        "time": reading.time.values,
        "latitude": ("latitude", np.array(grid.latitude), {"units": "degrees_north", "standard_name": "latitude"}),
        "longitude": ("longitude", np.array(grid.longitude), {"units": "degrees_east", "standard_name": "longitude"}),
    }
    member = reading.member
    if member is not None:
        coords["member"] = (
            reading.ds[member.name].values
            if member.name in reading.ds.coords
            else np.arange(reading.ds.sizes[member.dim])
        )
    dims = ("member", "time", "latitude", "longitude")
    return xr.Dataset({name: (dims[-arrays[name].ndim :], arrays[name]) for name in order}, coords)
