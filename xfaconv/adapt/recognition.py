"""What was found in a Dataset: coordinates, variables, grid, time, and for each problem the line that fixes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike, fsdecode
from typing import Any, TypeVar

import xarray as xr

from xfaconv.adapt.horizontal import Horizontal, read_horizontal
from xfaconv.adapt.labels import Labels, make_labels
from xfaconv.adapt.problems import check_file
from xfaconv.adapt.selection import check_decoded, fields_of, squeeze
from xfaconv.adapt.time_axis import Stamps, TimeAxis, read_stamps, time_axis
from xfaconv.errors import ArgumentError, CoordinateError, XFaconvError
from xfaconv.grid import Grid
from xfaconv.names import FoundCoordinate, find_coordinate
from xfaconv.names.tables import entries
from xfaconv.names.units import check_units
from xfaconv.names.variables import FoundVariable, recognise_variable

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Recognition:
    """What was recognised in a Dataset.

    Parameters
    ----------
    coordinates : tuple of FoundCoordinate
        With the rule that matched.
    variables : tuple of FoundVariable
        With the rule that matched, their levels and units.
    unknown : tuple of str
        Fields that were not recognised.
    axes : Horizontal or None
        The horizontal axes; None where they cannot be read.
    time : TimeAxis or None
        The steps; None where they cannot be read.
    labels : Labels or None
        The way back to the user's labels on the data's own grid.
    notes : tuple of str
        What was found about order, convention and form.
    problems : tuple of XFaconvError
        What stands in the way, each with the line that fixes it.
    plan : tuple of str
        What would be done for a model, where one was given.
    """

    coordinates: tuple[FoundCoordinate, ...]
    variables: tuple[FoundVariable, ...]
    unknown: tuple[str, ...]
    axes: Horizontal | None
    time: TimeAxis | None
    labels: Labels | None
    notes: tuple[str, ...]
    problems: tuple[XFaconvError, ...]
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

    def __repr__(self) -> str:
        from xfaconv.adapt.report import text_report

        return text_report(self)

    def _repr_html_(self) -> str:
        from xfaconv.adapt.report import html_report

        return html_report(self)


@dataclass(frozen=True, eq=False)
class Reading:
    """A Dataset that can be conformed: squeezed, with its axes and variables found.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data without dims of length 1.
    axes : Horizontal
    stamps : Stamps
    time : TimeAxis
    member : FoundCoordinate or None
    recognition : Recognition
    """

    ds: xr.Dataset
    axes: Horizontal
    stamps: Stamps
    time: TimeAxis
    member: FoundCoordinate | None
    recognition: Recognition


def as_dataset(ds: Any) -> xr.Dataset:
    """Refuse what is not a Dataset, with the line that makes one.

    Parameters
    ----------
    ds : object
        What the caller gave.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ArgumentError
        If it is something else.
    """
    if isinstance(ds, xr.Dataset):
        unnamed = [name for name in {*ds.variables, *ds.dims} if not isinstance(name, str)]
        if unnamed:
            raise ArgumentError(
                f"the name {unnamed[0]!r} in the Dataset is not text",
                expected="names that are strings",
                found=type(unnamed[0]).__name__,
                fix=f"ds = ds.rename({{{unnamed[0]!r}: {str(unnamed[0])!r}}})",
            )
        return ds
    if isinstance(ds, xr.DataArray):
        name = "t2m" if ds.name is None else ds.name
        fix = f"ds = da.to_dataset(name={name!r})"
    elif isinstance(ds, (str, bytes, PathLike)):
        check_file(ds if isinstance(ds, (str, PathLike)) else fsdecode(ds))
        fix = f"ds = xr.open_dataset({str(ds)!r}, chunks={{}})"
    else:
        fix = "ds = xr.Dataset(...)"
    raise ArgumentError(
        "the data are not an xarray.Dataset", expected="xarray.Dataset", found=type(ds).__name__, fix=fix
    )


def attempt(problems: list[XFaconvError], function: Callable[..., T], *arguments: Any) -> T | None:
    """Call a function, and put the error that it raises on a list instead.

    Parameters
    ----------
    problems : list of XFaconvError
        Appended to.
    function : callable
        Called with the arguments.
    *arguments
        Of the function.

    Returns
    -------
    object or None
        What the function gave; None where it failed.
    """
    try:
        return function(*arguments)
    except XFaconvError as problem:
        problems.append(problem)
        return None


def read(ds: xr.Dataset, step: str | None = None) -> Reading:
    """Read a Dataset that is to be conformed.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.
    step : str, optional
        Step of the model, for data with a single stamp.

    Returns
    -------
    Reading

    Raises
    ------
    XFaconvError
        The first problem, if a coordinate cannot be read.
    """
    recognition, parts = survey(ds, step)
    if parts is None:
        raise recognition.problems[0]
    return parts


def survey(ds: xr.Dataset, step: str | None = None) -> tuple[Recognition, Reading | None]:
    """Find out what a Dataset holds, and read it where nothing stands in the way.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.
    step : str, optional
        Step of the model, for data with a single stamp.

    Returns
    -------
    recognition : Recognition
    reading : Reading or None
        None where a coordinate cannot be read.
    """
    ds = squeeze(as_dataset(ds))
    problems: list[XFaconvError] = []

    axes = attempt(problems, read_horizontal, ds)
    stamps = attempt(problems, read_stamps, ds)
    time = None
    if stamps is not None:
        time = attempt(problems, time_axis, stamps.values, stamps.coordinate.dim or stamps.coordinate.name, step)
    member = find_coordinate(ds, "member")
    versions = find_coordinate(ds, "expver")
    attempt(problems, _check_members, ds, member)
    line = stamps.coordinate.dim if stamps is not None else None
    variables: list[FoundVariable] = []
    unknown: list[str] = []
    for name in fields_of(ds, axes, line) if axes is not None else ():
        attempt(problems, check_decoded, ds[name], name)
        found = attempt(problems, recognise_variable, ds, name)
        if found is None:
            unknown.append(name)
        else:
            variables.append(found)
            attempt(problems, check_units, name, ds[name].attrs.get("units"), entries()[found.key].units)
    notes = [*(axes.notes if axes else ()), *(stamps.notes if stamps else ())]
    if member is not None and member.dim:
        notes.append(f"{ds.sizes[member.dim]} ensemble members along {member.dim!r}, each on its own")
    if versions is not None and versions.dim == versions.name:
        notes.append("ERA5 and ERA5T are joined along 'expver'")
    labels = _labels(ds, axes, stamps, member, axes.grid) if axes is not None and stamps is not None else None
    horizontal = [axes.latitude, axes.longitude] if axes is not None else []
    coordinates = [*horizontal, stamps.coordinate if stamps is not None else None, member, versions]
    recognition = Recognition(
        tuple(coordinate for coordinate in coordinates if coordinate is not None),
        tuple(variables),
        tuple(unknown),
        axes,
        time,
        labels,
        tuple(notes),
        tuple(problems),
    )
    empty = member is not None and member.dim and ds.sizes[member.dim] == 0
    if axes is None or stamps is None or time is None or empty:
        return recognition, None
    return recognition, Reading(ds, axes, stamps, time, member if member and member.dim else None, recognition)


def _check_members(ds: xr.Dataset, member: FoundCoordinate | None) -> None:
    if member is not None and member.dim and ds.sizes[member.dim] == 0:
        raise CoordinateError(f"dimension {member.dim!r} is empty", expected="at least one ensemble member", found="0")


def _labels(ds: xr.Dataset, axes: Horizontal, stamps: Stamps, member: FoundCoordinate | None, grid: Grid) -> Labels:
    found = stamps.coordinate
    return make_labels(ds, axes, found.name, found.dim, stamps.values, member.dim if member else None, grid)


def labels_on(reading: Reading, grid: Grid) -> Labels:
    """Prepare the way back for results on a grid.

    Parameters
    ----------
    reading : Reading
        The data.
    grid : Grid
        Canonical grid of the results.

    Returns
    -------
    Labels
    """
    return _labels(reading.ds, reading.axes, reading.stamps, reading.member, grid)
