"""From any ERA5-like Dataset to what a model reads: the steps in their order, all of them lazy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.adapt.anomalies import Scaled, apply_to_blocks, check_record, climatology_on, standardise_block
from xfaconv.adapt.arrays import without_mask
from xfaconv.adapt.given import seasonal_of
from xfaconv.adapt.horizontal import Horizontal
from xfaconv.adapt.labels import Labels
from xfaconv.adapt.matching import Match, absent_error
from xfaconv.adapt.plausible import Subject
from xfaconv.adapt.problems import refusal
from xfaconv.adapt.regrid import MIN_VALID, Remap, average_tiles, plan_remap
from xfaconv.adapt.resampling import resampling_line
from xfaconv.adapt.survey import Survey, check_decoded, survey
from xfaconv.adapt.time_axis import Stamps, TimeAxis, match_step
from xfaconv.arguments import check_arguments
from xfaconv.climatology import Climatology, fit_climatology, seasonal_basis
from xfaconv.errors import ArgumentError, CoordinateError, VariableError, warn_user
from xfaconv.grid import Grid
from xfaconv.names import FoundCoordinate, find_coordinate
from xfaconv.names.tables import entries, identity
from xfaconv.names.units import STEP_SECONDS, Conversion
from xfaconv.options import get_options
from xfaconv.specs import InputSpec, VariableSpec

_FEW_TILES = 16
_BLOCK_BYTES = 128e6
_CHUNK_BYTES = 64e6
# The weather of a day is another after so many seconds; that of a longer step after two steps.
_WEATHER = 5 * 86400


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
    survey : Survey
        What was found in the user's data.
    matches : tuple of Match
        Where each of the model's variables comes from.
    notes : tuple of str
        What was done to the data.
    climatology : Climatology or None
        The one that anomalies are taken from, where it is in memory.
    scaled : dict of str to Scaled
        For each variable that is in the data, how its anomalies are brought back to the user's units.
    """

    data: xr.Dataset
    grid: Grid
    time: TimeAxis
    labels: Labels
    survey: Survey
    matches: tuple[Match, ...]
    notes: tuple[str, ...]
    climatology: Climatology | None
    scaled: Mapping[str, Scaled]

    @property
    def absent(self) -> tuple[str, ...]:
        """The model's variables that the data lack."""
        return tuple(match.spec.name for match in self.matches if match.source is None)


def adapt(
    ds: xr.Dataset | Survey,
    spec: InputSpec,
    *,
    regrid: str | None = "model",
    climatology: str | xr.Dataset | None = "model",
    absent: str | None = "raise",
    variables: Mapping[str, str] | None = None,
    min_valid: float = MIN_VALID,
    matches: tuple[Match, ...] | None = None,
) -> Conformed:
    """Bring a Dataset to what a model reads; computes nothing.

    Dimensions of length 1 that are neither horizontal nor time are dropped and do not come back in results; ensemble
    members stay. Versions along ``expver`` are joined, the first valid value wins. Infinite values count as missing.

    Parameters
    ----------
    ds : xarray.Dataset or Survey
        Any ERA5-like Dataset, lazy or not, left as it is; or what was found in it, where it has been read already.
    spec : InputSpec
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
    matches : tuple of Match, optional
        Where each of the model's variables comes from, where they have been matched already.

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
    check_arguments(regrid=regrid, absent=absent, **({} if climatology is None else {"climatology": climatology}))
    _check_spec(spec, climatology, min_valid)
    found = ds if isinstance(ds, Survey) else survey(ds, spec.step)
    axes, stamps, time = found.usable()
    match_step(time, spec.step, stamps.coordinate.dim or stamps.coordinate.name, partial(resampling_line, found))
    matches = found.match(spec.variables, variables) if matches is None else matches
    present = [match for match in matches if match.source is not None]
    missing = [match for match in matches if match.source is None]
    levels = [problem for problem in found.problems if type(problem) is CoordinateError]
    if missing and levels:
        raise levels[0]
    if missing and (absent == "raise" or not present):
        raise absent_error(found.variables, found.unknown, missing, some_left=bool(present))
    remap = plan_remap(axes, spec.grid if regrid == "model" else None, min_valid)
    notes = [*found.notes, *([remap.note] if remap.note else [])]
    conversions = {}
    for match in present:
        array = found.ds[match.source.name if match.source is not None else match.spec.name]
        check_decoded(array, str(array.name))
        units = array.attrs.get("units")
        conversions[match.spec.name] = match.conversion(units, time.step)
    notes += [f"{name}: {change.note}" for name, change in conversions.items() if change.note]
    notes += [f"{match.spec.name}: read as the amount of each step" for match in present if match.is_amount]
    baseline = _baseline(time, spec, climatology, remap.grid, [match.spec for match in present])
    notes += baseline.notes
    arrays: dict[str, Any] = {}
    scaled: dict[str, Scaled] = {}
    for match in present:
        name = match.spec.name
        field = _select(found.ds, match, axes, stamps, found.member)
        subject = _subject(match, found, remap.grid, axes, time, climatology)
        change, units = conversions[name], str(field.attrs.get("units", match.spec.units))
        values, basis, mean, spread = _standardise(
            without_mask(field.data), time, remap, change, baseline, name, subject
        )
        arrays[name] = values
        scaled[name] = Scaled(basis, mean, spread, change.factor, change.offset, units)
    if missing:
        names = [match.spec.name for match in missing]
        listed = ", ".join(names)
        warn_user(f"the data lack {listed}: the model reads its climatology instead")
        notes.append(f"absent, read as the climatology: {listed}")
        arrays |= dict.fromkeys(names, _all_missing(next(iter(arrays.values()))))
        scaled |= {match.spec.name: _unread(match.spec, baseline) for match in missing}
    data = _label({entry.name: arrays[entry.name] for entry in spec.variables}, found, time, remap.grid)
    labels = found.labels_on(remap.grid)
    return Conformed(data, remap.grid, time, labels, found, matches, tuple(notes), baseline.climatology, scaled)


def _check_spec(spec: InputSpec, climatology: str | xr.Dataset | None, min_valid: float) -> None:
    if isinstance(climatology, str) and climatology == "model" and spec.climatology is None:
        raise ArgumentError(
            "the model has no climatology", expected="a model with one", found="none", fix="climatology='data'"
        )
    if not 0 <= min_valid <= 1:
        raise ArgumentError(
            "min_valid is not a share", expected="a number from 0 to 1", found=f"{min_valid:g}", fix="min_valid=0.5"
        )
    if not spec.variables:
        raise ArgumentError("the model reads no variables", expected="at least one", found="none")


@dataclass(frozen=True, eq=False)
class _Baseline:
    """What anomalies are taken from: tables or harmonics per variable, or a fit that is still to come."""

    notes: tuple[str, ...]
    climatology: Climatology | None = None
    basis: NDArray[Any] | None = None
    fields: Mapping[str, tuple[Any, Any]] | None = None
    tables: Mapping[str, tuple[NDArray[np.int64], Any, Any]] | None = None
    harmonics: int | None = None


def _baseline(
    time: TimeAxis, spec: InputSpec, climatology: str | xr.Dataset | None, grid: Grid, present: list[VariableSpec]
) -> _Baseline:
    if climatology is None:
        return _Baseline(("physical values, no climatology",))
    if isinstance(climatology, xr.Dataset):
        tables = seasonal_of(climatology, tuple(present), grid, time)
        return _Baseline(("standardised anomalies from the given climatology",), tables=tables)
    if climatology == "data" or spec.climatology is None:
        said = check_record(time, spec.harmonics)
        note = f"standardised anomalies from the data's own mean and {spec.harmonics} harmonics of the year"
        return _Baseline((note, *said), harmonics=spec.harmonics)
    used = climatology_on(spec.climatology, spec.grid, grid)
    fields = {entry.name: (used.coefficients[i], used.scale[i]) for i, entry in enumerate(spec.variables)}
    basis = seasonal_basis(time.year_phase, used.harmonics)
    return _Baseline(("standardised anomalies from the model's climatology",), used, basis, fields)


def _subject(
    match: Match,
    found: Survey,
    grid: Grid,
    axes: Horizontal,
    time: TimeAxis,
    climatology: str | xr.Dataset | None,
) -> Subject | None:
    """Say how the values are checked; against the data's own climatology nothing would be seen."""
    action = get_options()["implausible"]
    own = climatology is None or (isinstance(climatology, str) and climatology == "data")
    if action == "ignore" or match.source is None or own:
        return None
    name, wanted = match.source.name, entries().get(identity(match.spec.name, match.spec.level)[0])
    if isinstance(climatology, str):
        _check_not_anomalies(found.ds[name], name, action)
    source = entries().get(match.source.key)
    return Subject(
        name=name,
        units=match.spec.units,
        grid=grid,
        action=action,
        kind="" if source is None else source.kind,
        persistence=max(2.0, _WEATHER / STEP_SECONDS.get(time.step, _WEATHER)),
        never_negative=wanted is not None and wanted.never_negative,
        dims=(axes.latitude.dim, axes.longitude.dim),
    )


def _check_not_anomalies(array: xr.DataArray, name: str, action: str) -> None:
    """Refuse a variable that is called anomalies, or warn of it; the model would take them for the values."""
    words = {"name": name, **{key: str(array.attrs.get(key, "")) for key in ("long_name", "standard_name")}}
    said = next((key for key, text in words.items() if "anomal" in text.lower()), None)
    if said is None:
        return
    line = (
        f"ds[{name!r}].attrs.pop({said!r})" if said in array.attrs else f"ds = ds.rename({{{name!r}: 'its true name'}})"
    )
    problem = refusal("values", "called anomalies", words[said], name=name, attribute=said, line=line)
    if action == "raise":
        raise problem
    warn_user(str(problem))


def _standardise(
    array: Any,
    time: TimeAxis,
    remap: Remap,
    change: Conversion,
    baseline: _Baseline,
    name: str,
    subject: Subject | None,
) -> tuple[Any, NDArray[Any] | None, Any, Any]:
    """One field to the grid, the units and the anomalies of the model, and the seasonal mean and spread used."""
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
        mean, scale = baseline.fields[name]
        anomalies = apply_to_blocks(array, standardise_block, shape, baseline.basis, (mean, scale), **options)
        return anomalies, baseline.basis, mean, scale
    if baseline.tables is not None:
        position, mean, scale = baseline.tables[name]
        anomalies = apply_to_blocks(array, standardise_block, shape, position, (mean, scale), **options)
        return anomalies, position, mean, scale
    physical = apply_to_blocks(array, standardise_block, shape, **options)
    if baseline.harmonics is None:
        return physical, None, None, None
    basis = seasonal_basis(time.year_phase, baseline.harmonics)
    mean, scale = fit_climatology(physical, basis, remap.grid.row_area)
    return apply_to_blocks(physical, standardise_block, shape, basis, (mean, scale)), basis, mean, scale


def _unread(spec: VariableSpec, baseline: _Baseline) -> Scaled:
    """Bring what is predicted of a variable that the data lack to the model's units, where its spread is known."""
    if baseline.fields is None:
        return Scaled(None, None, None)
    return Scaled(baseline.basis, *baseline.fields[spec.name], units=spec.units)


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


def _label(arrays: Mapping[str, Any], found: Survey, time: TimeAxis, grid: Grid) -> xr.Dataset:
    coords: dict[str, Any] = {
        "time": time.values,
        "latitude": ("latitude", np.array(grid.latitude), {"units": "degrees_north", "standard_name": "latitude"}),
        "longitude": ("longitude", np.array(grid.longitude), {"units": "degrees_east", "standard_name": "longitude"}),
    }
    if found.member is not None:
        numbers, size = found.ds.coords.get(found.member.name), found.ds.sizes[found.member.dim]
        coords["member"] = np.arange(size) if numbers is None else numbers.values
    dims = ("member", "time", "latitude", "longitude")
    return xr.Dataset({name: (dims[-array.ndim :], array) for name, array in arrays.items()}, coords)


def _select(
    ds: xr.Dataset, match: Match, axes: Horizontal, stamps: Stamps, member: FoundCoordinate | None
) -> xr.DataArray:
    """Bring one field to dims ([member,] time, user latitude, user longitude); lazy unless the data are in memory."""
    if match.source is None:
        raise absent_error((), (), [match])
    name = match.source.name
    array = ds[name]
    array = _lazy(array, stamps.coordinate.dim)
    if match.level_index is not None and array[match.source.level_coordinate].ndim == 1:
        array = array.isel({array[match.source.level_coordinate].dims[0]: match.level_index})
    array = _merge_versions(array)
    if not stamps.coordinate.dim:
        array = array.expand_dims({stamps.coordinate.name: 1})
    time = stamps.coordinate.dim or stamps.coordinate.name
    dims = [time, axes.latitude.dim, axes.longitude.dim]
    if member is not None and member.dim in array.dims:
        dims = [member.dim, *dims]
    lacking = [dim for dim in dims if dim not in array.dims]
    extra = [str(dim) for dim in array.dims if dim not in dims]
    if not lacking and not extra:
        return array.transpose(*dims)
    if lacking:
        problem = f"variable {name!r} has no dimension {lacking[0]!r}"
        fix = f"variables={{{match.spec.name!r}: 'its name'}}  # a variable that changes with time"
    else:
        problem = f"variable {name!r} has a dimension {extra[0]!r} that the model does not know"
        fix = f"ds = ds.isel({extra[0]}=0, drop=True)  # choose one"
    found = ", ".join(f"{dim} of {size}" for dim, size in array.sizes.items())
    raise VariableError(problem, expected=f"dimensions {', '.join(dims)}", found=found, fix=fix)


def _merge_versions(array: xr.DataArray) -> xr.DataArray:
    """Join ERA5 and its preliminary version ERA5T along ``expver``: the first valid value, the lowest version first."""
    found = find_coordinate(array.coords.to_dataset(), "expver")
    dim = found.dim if found is not None else next((str(d) for d in array.dims if str(d).lower() == "expver"), "")
    if not dim or dim not in array.dims or dim in ("time", "valid_time") or (found is not None and found.name != dim):
        return array
    versions = array[dim].values.astype(str) if dim in array.coords else np.arange(array.sizes[dim])
    order = np.argsort(versions, kind="stable")
    merged = array.isel({dim: int(order[0])}, drop=True)
    for position in order[1:]:
        merged = merged.where(merged.notnull(), array.isel({dim: int(position)}, drop=True))
    return merged


def _lazy(array: xr.DataArray, time: str) -> xr.DataArray:
    """Wrap a field that still lies in a file in dask, so that reading waits and the user's object caches nothing."""
    if array.chunks is not None or getattr(array, "_in_memory", True):
        return array
    if time not in array.dims:
        return array.chunk()
    per_step = array.nbytes / max(1, array.sizes[time])
    return array.chunk({time: max(1, min(array.sizes[time], int(_CHUNK_BYTES / max(per_step, 1))))})
