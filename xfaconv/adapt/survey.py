"""What a Dataset holds: coordinates, variables, grid and time, read once, each problem with the line that fixes it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike, fsdecode
from typing import Any, TypeVar

import xarray as xr

from xfaconv.adapt.arrays import check_plain, read_quantities
from xfaconv.adapt.horizontal import Horizontal, read_horizontal, with_axes
from xfaconv.adapt.labels import Labels, make_labels
from xfaconv.adapt.matching import Match, absent_error, match_variables
from xfaconv.adapt.problems import check_file
from xfaconv.adapt.regrid import plan_remap
from xfaconv.adapt.resampling import resampling_line
from xfaconv.adapt.time_axis import STEP_NAMES, Stamps, TimeAxis, match_step, read_stamps, time_axis
from xfaconv.adapt.undated import with_valid_times
from xfaconv.errors import ArgumentError, CoordinateError, VariableError, XFaconvError
from xfaconv.formatting import html_box, html_section
from xfaconv.grid import Grid
from xfaconv.names import FoundCoordinate, find_coordinate, known_names
from xfaconv.names.coordinates import level_coordinate
from xfaconv.names.tables import entries
from xfaconv.names.units import check_units
from xfaconv.names.variables import FoundVariable, recognise_variable
from xfaconv.specs import InputSpec, VariableSpec

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Survey:
    """What was found in a Dataset; shown as text and as HTML.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data without dimensions of length 1.
    coordinates : tuple of FoundCoordinate
        With the rule that matched.
    variables : tuple of FoundVariable
        With the rule that matched, their levels and units.
    unknown : tuple of str
        Fields that were not recognised.
    axes : Horizontal or None
        The horizontal axes; None where they cannot be read.
    stamps : Stamps or None
        The user's stamps; None where they cannot be read.
    time : TimeAxis or None
        The steps; None where they cannot be read.
    member : FoundCoordinate or None
        The ensemble dimension; None where there is none.
    notes : tuple of str
        What was found about order, convention and form.
    problems : tuple of XFaconvError
        What stands in the way, each with the line that fixes it.
    plan : tuple of str
        What would be done for a model, where one was given.
    """

    ds: xr.Dataset
    coordinates: tuple[FoundCoordinate, ...] = ()
    variables: tuple[FoundVariable, ...] = ()
    unknown: tuple[str, ...] = ()
    axes: Horizontal | None = None
    stamps: Stamps | None = None
    time: TimeAxis | None = None
    member: FoundCoordinate | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[XFaconvError, ...] = ()
    plan: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid | None:
        """The data's own grid in canonical order, None where it cannot be read."""
        return self.axes.grid if self.axes is not None else None

    @property
    def periodic(self) -> bool | None:
        """Whether the grid closes around the globe."""
        return self.axes.grid.periodic if self.axes is not None else None

    @property
    def step(self) -> str | None:
        """The time step, such as "1D" or "1M"; None where it cannot be told."""
        return self.time.step if self.time is not None else None

    @property
    def available(self) -> frozenset[str]:
        """ERA5 short names of all that was recognised, with the level on pressure levels, such as "t2m" and "z500"."""
        return frozenset(
            f"{variable.key}{level:g}" if level is not None else variable.key
            for variable in self.variables
            for level in (variable.levels or (None,))
        )

    @property
    def labels(self) -> Labels | None:
        """The way back to the user's labels on the data's own grid."""
        return None if self.axes is None or self.stamps is None else self.labels_on(self.axes.grid)

    def usable(self) -> tuple[Horizontal, Stamps, TimeAxis]:
        """Give what adapting needs, or raise the first problem where a coordinate cannot be read.

        Raises
        ------
        XFaconvError
            That problem.
        """
        empty = self.member is not None and self.ds.sizes[self.member.dim] == 0
        if self.axes is None or self.stamps is None or self.time is None or empty:
            raise self.problems[0]
        return self.axes, self.stamps, self.time

    def labels_on(self, grid: Grid) -> Labels:
        """Prepare the way back to the user's labels for results on a canonical grid."""
        if self.axes is None or self.stamps is None:
            raise self.problems[0]
        member = self.member.dim if self.member is not None else None
        return make_labels(self.ds, self.axes, self.stamps, member, grid)

    def match(self, specs: Sequence[VariableSpec], given: Mapping[str, str] | None = None) -> tuple[Match, ...]:
        """Match variables of one or more models with these data: see `match_variables`."""
        return match_variables(self.ds, self.variables, self.unknown, specs, given)

    def __repr__(self) -> str:
        lines = [self._headline()]
        for heading, found in self._sections():
            lines += [heading, *(f"    {line}" for line in found)]
        for number, problem in enumerate(self.problems, start=1):
            lines += [f"Problem {number}", *(f"    {line}" for line in str(problem).splitlines())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Write it as HTML: no scripts, sections that fold, colours of the page."""
        title, _, state = self._headline().partition(": ")
        parts = []
        for problem in self.problems:
            facts = (("expected", problem.expected), ("found", problem.found), ("fix", problem.fix))
            parts.append(html_section(problem.problem, [(name, text) for name, text in facts if text]))
        for heading, lines in self._sections():
            counted = f"{heading} ({len(lines)})" if len(lines) > 1 else heading
            rows = [line.partition(": ")[::2] if ": " in line else ("", line) for line in lines]
            parts.append(html_section(counted, rows, is_open=heading == "Variables"))
        return html_box(title, state, parts)

    def _headline(self) -> str:
        count = len(self.problems)
        ready = "ready" if self.variables else "nothing for a model to read"
        state = ready if not count else f"{count} problem{'' if count == 1 else 's'}"
        return f"faconv: {len(self.variables)} variables recognised, {state}"

    def _sections(self) -> list[tuple[str, Sequence[str]]]:
        """Arrange what was found under headings; those without lines are left out."""
        unread = ["not read: see the problems"] if self.problems else []
        time = [self.time.describe()] if self.time is not None else unread
        if self.time is not None and len(self.time.spans) > 1:
            longest = max(span.stop - span.start for span in self.time.spans)
            steps = f"{longest} {STEP_NAMES[self.time.step]} steps"
            time.append(f"{len(self.time.spans)} spans without a gap, the longest of {steps}")
        out: list[tuple[str, Sequence[str]]] = [
            ("Variables", [variable.describe() for variable in self.variables]),
            ("Not recognised", self.unknown),
            ("Grid", [self.axes.describe()] if self.axes is not None else unread),
            ("Time", time),
            ("Coordinates", [f"{found.role}: {found.name} by {found.rule}" for found in self.coordinates]),
            ("Notes", self.notes),
            ("For this model", self.plan),
        ]
        return [(heading, lines) for heading, lines in out if lines]


def survey(ds: xr.Dataset, step: str | None = None) -> Survey:
    """Find out what a Dataset holds; computes nothing and changes nothing.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.
    step : str, optional
        Step of the model, for data with a single stamp.

    Returns
    -------
    Survey
        Problems are listed, not raised; `Survey.usable` raises those that prevent adapting.

    Raises
    ------
    ArgumentError
        If `ds` is not a Dataset.

    Examples
    --------
    >>> survey(xr.Dataset({"t2m": 3.0})).problems[0].problem
    'no latitude was found'
    """
    ds, said = with_axes(squeeze(_as_dataset(ds)))
    ds, valid = with_valid_times(ds)
    problems: list[XFaconvError] = []
    axes = _attempt(problems, read_horizontal, ds)
    stamps = _attempt(problems, read_stamps, ds)
    time = None
    if stamps is not None:
        found_time, known = stamps.coordinate, step or stamps.step
        unlabelled = found_time.dim and found_time.dim not in ds.coords
        name = found_time.name if unlabelled or not found_time.dim else found_time.dim
        time = _attempt(problems, partial(time_axis, restamp=stamps.restamp), stamps.values, name, known)
        if time is None and unlabelled:
            problems[-1] = _after(problems[-1], f"ds = ds.swap_dims({{{found_time.dim!r}: {name!r}}})")
    member = find_coordinate(ds, "member")
    versions = find_coordinate(ds, "expver")
    notes = [*said, *valid, *(axes.notes if axes else ()), *(stamps.notes if stamps else ())]
    if member is not None and member.dim:
        notes.append(f"{ds.sizes[member.dim]} ensemble members along {member.dim!r}, each on its own")
        if ds.sizes[member.dim] == 0:
            problems.append(
                CoordinateError(f"dimension {member.dim!r} is empty", expected="at least one member", found="0")
            )
    if versions is not None and versions.dim == versions.name:
        notes.append("ERA5 and ERA5T are joined along 'expver'")
    variables: list[FoundVariable] = []
    unknown: list[str] = []
    for name in _fields_of(ds, axes, stamps.coordinate.dim if stamps is not None else None) if axes is not None else ():
        found = _attempt(problems, recognise_variable, ds, name)
        # A count of days that xarray took for a duration is nobody's concern unless a model may read it.
        if found is not None or ds[name].dtype.kind != "m":
            _attempt(problems, check_decoded, ds[name], name)
        if found is None:
            unknown.append(name)
        else:
            variables.append(found)
            _attempt(problems, check_units, name, ds[name].attrs.get("units"), entries()[found.key].units)
    horizontal = [axes.latitude, axes.longitude] if axes is not None else []
    coordinates = [*horizontal, stamps.coordinate if stamps is not None else None, member, versions]
    return Survey(
        ds=ds,
        coordinates=tuple(coordinate for coordinate in coordinates if coordinate is not None),
        variables=tuple(variables),
        unknown=tuple(unknown),
        axes=axes,
        stamps=stamps,
        time=time,
        member=member if member is not None and member.dim else None,
        notes=tuple(notes),
        problems=tuple(problems),
    )


def recognise(
    ds: xr.Dataset,
    spec: InputSpec | None = None,
    *,
    regrid: str | None = "model",
    variables: Mapping[str, str] | None = None,
) -> Survey:
    """Find out what a Dataset holds and what a model would make of it; computes nothing and changes nothing.

    Parameters
    ----------
    ds : xarray.Dataset
        Any ERA5-like Dataset, lazy or not.
    spec : InputSpec, optional
        What the model reads: matches, conversions and regridding are planned, and their problems listed.
    regrid : {"model", None}, default "model"
        Whether the data would be brought to the model's grid.
    variables : Mapping, optional
        The model's name to the name in the Dataset, where the names do not tell.

    Returns
    -------
    Survey
        Problems are listed, not raised.

    Raises
    ------
    ArgumentError
        If `ds` is not a Dataset, or `spec` is not an InputSpec.

    Examples
    --------
    >>> time = xr.date_range("2000-01-01", periods=2)
    >>> coords = {"time": time, "lat": [1.0, 0.0], "lon": [0.0, 1.0]}
    >>> ds = xr.Dataset({"tas": (("time", "lat", "lon"), [[[0.0, 0], [0, 0]]] * 2, {"units": "K"})}, coords)
    >>> found = recognise(ds)
    >>> found.variables[0].describe(), found.grid.shape, found.time.step
    ('tas: t2m [K] by known name', (2, 2), '1D')
    """
    if spec is not None and not isinstance(spec, InputSpec):
        expected = "an xfaconv.adapt.InputSpec, or None"
        raise ArgumentError("spec is not known", expected=expected, found=repr(spec)[:200], fix="spec=None")
    found = survey(ds, spec.step if spec is not None else None)
    try:
        axes, stamps, time = found.usable()
    except XFaconvError:
        return found
    if spec is None:
        return found
    problems: list[XFaconvError] = []
    lines = []
    line = partial(resampling_line, found)
    _attempt(problems, match_step, time, spec.step, stamps.coordinate.dim or stamps.coordinate.name, line)
    remap = _attempt(problems, plan_remap, axes, spec.grid if regrid == "model" else None)
    if remap is not None and remap.note:
        lines.append(f"grid: {remap.note}")
    matches = _attempt(problems, found.match, spec.variables, variables) or ()
    for match in matches:
        if match.source is None:
            continue
        change = _attempt(problems, match.conversion, found.ds[match.source.name].attrs.get("units"), time.step)
        if change is not None:
            done = change.note or "as it is"
            lines.append(f"{match.spec.name} [{match.spec.units}] from {match.source.name}: {done}")
    missing = [match for match in matches if match.source is None]
    if missing:
        problems.append(absent_error(found.variables, found.unknown, missing))
    return replace(found, plan=tuple(lines), problems=(*found.problems, *problems))


def _attempt(problems: list[XFaconvError], function: Callable[..., T], *arguments: Any) -> T | None:
    """Call a function, and put the error that it raises on a list instead."""
    try:
        return function(*arguments)
    except XFaconvError as problem:
        problems.append(problem)
        return None


def _after(problem: XFaconvError, line: str) -> XFaconvError:
    """Put a line before the one that fixes a problem, where that is code."""
    fix = f"{line}; {problem.fix}" if str(problem.fix).startswith("ds = ds") else problem.fix
    return type(problem)(problem.problem, expected=problem.expected, found=problem.found, fix=fix)


def _as_dataset(ds: Any) -> xr.Dataset:
    """Refuse what is not a Dataset, with the line that makes one."""
    if isinstance(ds, xr.Dataset):
        unnamed = [name for name in {*ds.variables, *ds.dims} if not isinstance(name, str)]
        if unnamed:
            raise ArgumentError(
                f"the name {unnamed[0]!r} in the Dataset is not text",
                expected="names that are strings",
                found=type(unnamed[0]).__name__,
                fix=f"ds = ds.rename({{{unnamed[0]!r}: {str(unnamed[0])!r}}})",
            )
        return read_quantities(ds)
    if isinstance(ds, xr.DataArray):
        fix = f"ds = da.to_dataset(name={'t2m' if ds.name is None else ds.name!r})"
    elif isinstance(ds, (str, bytes, PathLike)):
        check_file(ds if isinstance(ds, (str, PathLike)) else fsdecode(ds))
        fix = f"ds = xr.open_dataset({str(ds)!r}, chunks={{}})"
    else:
        fix = "ds = xr.open_dataset('its name')"
    found = type(ds).__name__
    raise ArgumentError("the data are not an xarray.Dataset", expected="xarray.Dataset", found=found, fix=fix)


def squeeze(ds: xr.Dataset) -> xr.Dataset:
    """Drop dimensions of length 1 that are neither horizontal nor time; their coordinates stay as scalars.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data, left alone.

    Returns
    -------
    xarray.Dataset
    """
    kept = known_names("latitude") | known_names("longitude") | known_names("time")
    single = []
    for dim, size in ds.sizes.items():
        is_date = dim in ds.coords and ds[dim].dtype.kind == "M"
        by_rule = dim in ds.coords and ds[dim].attrs.get("standard_name") in ("latitude", "longitude", "time")
        if size == 1 and str(dim).lower() not in kept and not is_date and not by_rule and not _of_some(ds, dim):
            single.append(dim)
    return ds.isel(dict.fromkeys(single, 0)) if single else ds


def _of_some(ds: xr.Dataset, dim: Hashable) -> bool:
    """Whether a level is that of some fields alone: as a scalar coordinate it would be the level of all others, too."""
    fields = [variable for variable in ds.data_vars.values() if variable.ndim > 1]
    holders = [field for field in fields if dim in field.dims]
    return 0 < len(holders) < len(fields) and dim in ds.coords and level_coordinate(holders[0]) == dim


def _fields_of(ds: xr.Dataset, axes: Horizontal, time: str | None) -> list[str]:
    """Names of the variables on the horizontal grid that are numbers and change with time.

    `time` is the user's time dimension, "" where time is a scalar, None where it is not known.
    """
    horizontal = {axes.latitude.dim, axes.longitude.dim}
    return [
        str(name)
        for name, variable in ds.data_vars.items()
        if horizontal <= set(variable.dims)
        and (time in variable.dims if time else variable.ndim > 2 or time == "")
        and variable.dtype.kind not in "MSU"
    ]


def check_decoded(array: xr.DataArray, name: str) -> None:
    """Refuse packed integers and kinds of numbers that are no physical values.

    Parameters
    ----------
    array : xarray.DataArray
        A field.
    name : str
        Its name, for messages.

    Raises
    ------
    VariableError
        If the field is still packed, not a real number, or in no plain array.
    """
    check_plain(array, name)
    packed = [key for key in ("scale_factor", "add_offset", "_FillValue", "missing_value") if key in array.attrs]
    if packed:
        raise VariableError(
            f"variable {name!r} is not decoded: its attributes hold {', '.join(packed)}",
            expected="physical values",
            found=f"{array.dtype} with {packed[0]} = {array.attrs[packed[0]]}",
            fix="ds = xr.decode_cf(ds)",
        )
    if array.dtype.kind not in "fiu":
        raise VariableError(
            f"variable {name!r} does not hold real numbers",
            expected="a floating point or integer dtype",
            found=f"dtype {array.dtype}",
            fix=f"ds[{name!r}] = ds[{name!r}].astype('float32')"
            if array.dtype.kind != "m"
            else "open the file again with decode_timedelta=False: its units were taken for those of a duration",
        )
