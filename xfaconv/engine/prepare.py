"""Brings a Dataset and a model together: what every function of the engine does before it asks for an output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.adapt import Conformed, InputSpec, Survey, adapt
from xfaconv.adapt.horizontal import Horizontal
from xfaconv.adapt.matching import Match, check_given
from xfaconv.adapt.survey import survey
from xfaconv.adapt.time_axis import Stamps, TimeAxis
from xfaconv.arguments import DEFAULTS, Arguments, Place, as_place, check_arguments
from xfaconv.climatology import Climatology
from xfaconv.engine.choice import Choice, choose_model, misfit, packaged_models
from xfaconv.engine.dates import Positions, lacking_warmup, show_date, steps_at
from xfaconv.engine.graph import SegmentGraph, segment_graph
from xfaconv.engine.missing import Expected, Policy
from xfaconv.engine.runtime import Maps, Work
from xfaconv.engine.segments import Segmentation, cut
from xfaconv.errors import ArgumentError, CoordinateError, MissingDataError, ModelError, TimeError
from xfaconv.grid import Grid, great_circle_degrees, nearest_cell
from xfaconv.models import Model, load_model
from xfaconv.options import get_options
from xfaconv.specs import VariableSpec

# Above this size of the hidden states of one segment, outputs that do not need them run without keeping them.
HIDDEN_BYTES = 2**30


@dataclass(frozen=True, eq=False)
class Prepared:
    """A Dataset as a model reads it, and how time is cut.

    Parameters
    ----------
    conformed : Conformed
        Standardised anomalies, what was found in the data, and the way back to the user's labels.
    choice : Choice
        The model and why.
    given : Arguments
        The arguments as the caller gave them.
    settings : Arguments
        All arguments, with defaults and options filled in.
    segments : Segmentation
        The cut.
    steps : ndarray of int64, optional
        Positions of the steps that are asked for; None asks for all.
    """

    conformed: Conformed
    choice: Choice
    given: Arguments
    settings: Arguments
    segments: Segmentation
    steps: Positions | None = None

    @property
    def model(self) -> Model:
        """The model."""
        return self.choice.model

    @property
    def grid(self) -> Grid:
        """The grid that the network runs on."""
        return self.conformed.grid

    @property
    def members(self) -> int | None:
        """Number of members, None without that axis."""
        sizes = self.conformed.data.sizes
        return int(sizes["member"]) if "member" in sizes else None

    @property
    def asked(self) -> NDArray[np.bool_]:
        """Whether each step of the data is asked for (time,)."""
        chosen = np.ones(len(self.segments.full_warmup), dtype=bool)
        return chosen if self.steps is None else np.isin(np.arange(len(chosen)), self.steps)

    @property
    def cold(self) -> TimeError | None:
        """What is to be said where no step that is asked for has its whole warm-up inside the data."""
        if (self.segments.full_warmup & self.asked).any():
            return None
        time = self.conformed.time
        if self.segments.full_warmup.any():
            first = show_date(time.values[np.argmax(self.segments.full_warmup)])
            problem, found = "no step of time= has its whole warm-up inside the data", f"the first that has: {first}"
            return TimeError(problem, found=found, fix=f"time='{first}'")
        stamps = xr.DataArray(time.values, dims="time", name="time")
        return lacking_warmup(stamps, [span.stop - span.start for span in time.spans], self.segments.warmup)

    @property
    def lazy(self) -> bool:
        """Whether any input is a dask array."""
        return any(isinstance(field.data, da.Array) for field in self.conformed.data.data_vars.values())

    @property
    def hidden_bytes(self) -> int:
        """Size of the hidden states of one whole segment."""
        rows, columns = self.grid.shape
        return int(4 * rows * columns) * self.model.card.network.hidden * self.segments.length

    def lacks_values(self, variable: str) -> NDArray[np.bool_]:
        """Mark the cells in which a variable has no values at any time, such as sea surface temperature on land.

        Lazy data without a climatology of the model are not looked at.
        """
        field = self.conformed.data[variable].transpose(..., "latitude", "longitude")
        masks = _always_missing(self.conformed.climatology)
        if masks is not None:
            return np.asarray(masks[[entry.name for entry in self.model.card.variables].index(variable)])
        if isinstance(field.data, da.Array):
            return np.zeros(self.grid.shape, dtype=bool)
        return np.asarray(np.isnan(field.values).all(axis=tuple(range(field.ndim - 2))))

    def require_values(self, variable: str, cell: tuple[int, int]) -> None:
        """Refuse a cell in which a variable has no values at any time.

        Raises
        ------
        MissingDataError
            Naming the nearest cell that has values.
        """
        masked = self.lacks_values(variable)
        if not masked[cell] or masked.all():
            return
        latitude, longitude = (np.asarray(axis) for axis in (self.grid.latitude, self.grid.longitude))
        place = float(latitude[cell[0]]), float(longitude[cell[1]])
        distance = great_circle_degrees(latitude[:, None], longitude[None, :], place)
        row, column = np.unravel_index(np.where(masked, np.inf, distance).argmin(), masked.shape)
        raise MissingDataError(
            f"the base point has no values of {variable!r}: it is masked there",
            expected="a cell with values, or another variable",
            found=f"the cell at {place[0]:g} N, {place[1]:g} E is missing at all times",
            fix=f"base_point=({latitude[row]:g}, {longitude[column]:g})  # the nearest with values",
        )

    @cached_property
    def arrays(self) -> list[da.Array]:
        """Fields of each variable as dask arrays ([member,] time, latitude, longitude), one chunk in space."""
        order = [name for name in ("member", "time", "latitude", "longitude") if name in self.conformed.data.dims]
        out = []
        for variable in self.model.card.variables:
            field = self.conformed.data[variable.name]
            field = field.transpose(*(name for name in order if name in field.dims))
            data = field.data if isinstance(field.data, da.Array) else _one_block(np.asarray(field.data), variable.name)
            whole = {data.ndim - 2: -1, data.ndim - 1: -1}
            out.append(data if data.numblocks[-2:] == (1, 1) else data.rechunk(whole))  # type: ignore[no-untyped-call]
        return out

    def source(
        self,
        *,
        needs_hidden: bool,
        maps: Maps | None = None,
        hide: NDArray[np.bool_] | None = None,
        leads: tuple[int, ...] = (),
    ) -> SegmentGraph:
        """Write the network's tasks.

        Parameters
        ----------
        needs_hidden : bool
            Whether the output is made from hidden states. Where those of a segment are small they are kept anyway, so
            that outputs asked for one by one share their tasks.
        maps : Maps, optional
            The maps of attention that are wanted, and all that the hidden states are needed for. Where the hidden
            states are large, the maps are made while the network runs.
        hide : ndarray (latitude, longitude) of bool, optional
            Cells that are hidden in all variables at all steps.
        leads : tuple of int
            Positions of the leads that are predicted.

        Returns
        -------
        SegmentGraph
        """
        small = self.hidden_bytes <= HIDDEN_BYTES
        variables = self.model.card.variables
        expected = Expected(
            names=tuple(variable.name for variable in variables),
            absent=tuple(variable.name in self.conformed.absent for variable in variables),
            masked=tuple(variable.partly_missing for variable in variables),
            mask=_always_missing(self.conformed.climatology),
        )
        work = Work(
            model=self.model,
            grid=self.grid,
            expected=expected,
            missing=cast("Policy", self.settings["missing"]),
            serial=self.settings["mode"] == "stateful",
            device=self.settings["device"] or "cpu",
            threads=get_options()["threads"],
            keep_hidden=(small and not leads) or needs_hidden,
            maps=None if small else maps,
            hide=hide,
            leads=leads,
        )
        return segment_graph(work, self.conformed.time, self.segments, self.arrays, self.steps)


def prepare(data: xr.Dataset | Survey, arguments: Arguments) -> Prepared:
    """Read, choose a model, match, adapt and cut, each once; computes nothing.

    Parameters
    ----------
    data : Dataset or Survey
        The user's data, left as they are; or what was found in them, where they have been read already.
    arguments : Arguments
        As the caller gave them.

    Returns
    -------
    Prepared

    Raises
    ------
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> prepare(xfaconv.tutorial.open_dataset("amip"), {}).model.card.name
    'amip-daily-5p6deg'
    """
    settings = filled(arguments)
    matches: tuple[Match, ...] | None = None
    model = settings["model"]
    if model is not None:
        choice = Choice(model if isinstance(model, Model) else load_model(cast("str", model)), "named by the caller")
        found = data if isinstance(data, Survey) else survey(data, choice.model.card.step)
    else:
        found = data if isinstance(data, Survey) else survey(data)
        choice, matches = _chosen(found, settings)
    card = choice.model.card
    spec = InputSpec(card.variables, card.grid, card.step, choice.model.climatology, card.climatology_harmonics)
    conformed = adapt(
        found,
        spec,
        regrid=settings["regrid"],
        climatology=settings["climatology"],
        absent=settings["absent"],
        variables=settings["variables"],
        matches=matches,
    )
    time = conformed.time
    segments = cut(time.index, time.spans, segment=card.segment, warmup=card.warmup, mode=settings["mode"])
    asked = settings["time"]
    steps = None if asked is None else steps_at(time.values, asked)
    return Prepared(conformed, choice, arguments, settings, segments, steps)


def filled(arguments: Arguments) -> Arguments:
    """Put defaults and options in place of what was not given, and check everything that needs no data.

    Parameters
    ----------
    arguments : Arguments
        As the caller gave them.

    Returns
    -------
    Arguments
        All of them.

    Raises
    ------
    ArgumentError
        If one cannot be used.

    Examples
    --------
    >>> filled({"missing": "raise"})["absent"]
    'raise'
    """
    options: Mapping[str, Any] = get_options()
    settings = {name: options.get(name) if value is None else value for name, value in (DEFAULTS | arguments).items()}
    # The model is checked where it is loaded, names of variables where they are matched, dates where they are sought.
    later = ("model", "variables", "time")
    check_arguments(**{name: value for name, value in settings.items() if name not in later})
    return cast("Arguments", settings)


def _chosen(found: Survey, settings: Arguments) -> tuple[Choice, tuple[Match, ...]]:
    """Choose among the packaged models by one matching of all their variables together."""
    axes, _, time = _usable(found)
    wanted = {(spec.name, spec.level): spec for model in packaged_models() for spec in model.card.variables}
    names, given = {name for name, _ in wanted}, settings["variables"]
    # Names given by the caller are of the variables of one model, which is not known yet.
    known = {name: own for name, own in given.items() if name in names} if isinstance(given, Mapping) else given
    matched = dict(zip(wanted, found.match(list(wanted.values()), known), strict=True))

    def lacking(specs: Sequence[VariableSpec]) -> tuple[str, ...]:
        return tuple(spec.name for spec in specs if matched[spec.name, spec.level].source is None)

    regridded, absent = settings["regrid"] == "model", settings["absent"] or "raise"
    try:
        choice = choose_model(axes.grid, time.step, lacking, absent=absent, regridded=regridded, found=found)
    except ModelError:
        # What is lacking may be there and not readable, on levels that are no pressure.
        for problem in found.problems:
            if type(problem) is CoordinateError:
                raise problem from None
        raise
    specs = choice.model.card.variables
    check_given(given, specs)
    # Models may read one variable in different units.
    return choice, tuple(replace(matched[spec.name, spec.level], spec=spec) for spec in specs)


def _usable(found: Survey) -> tuple[Horizontal, Stamps, TimeAxis]:
    """Give the axes; of a single stamp, whose step nothing tells, the error names a model whose step can be taken."""
    try:
        return found.usable()
    except TimeError as problem:
        if found.axes is None or found.stamps is None or len(found.stamps.values) != 1:
            raise
        for card in (model.card for model in packaged_models()):
            lacks = any(match.source is None for match in found.match(card.variables))
            if not lacks and misfit(card, found.axes.grid, card.step, lambda _: (), absent="raise") is None:
                fix = f"emb = ds.faconv.embed(model={card.name!r})  # the step of the model is taken"
                raise TimeError(problem.problem, expected=problem.expected, found=problem.found, fix=fix) from None
        raise


@dataclass(frozen=True)
class BasePoints:
    """Named cells of a grid.

    Parameters
    ----------
    names : tuple of str
        As the user named them.
    cells : tuple of (int, int)
        Row and column of the nearest cell.
    latitude : tuple of float
        Centres of those cells [degrees north].
    single : bool
        Whether one unnamed point was asked for, so that results have no base point axis.
    """

    names: tuple[str, ...]
    cells: tuple[tuple[int, int], ...]
    latitude: tuple[float, ...]
    single: bool


def locate(
    grid: Grid, latitude: float | None, longitude: float | None, base_points: Mapping[str, Place] | None
) -> BasePoints:
    """Find the cells of the base points of a call.

    Parameters
    ----------
    grid : Grid
        The grid that the network runs on.
    latitude, longitude : float, optional
        One point [degrees].
    base_points : Mapping of str to (float, float), optional
        Several named points as (latitude, longitude).

    Returns
    -------
    BasePoints

    Raises
    ------
    ArgumentError
        If neither or both forms are given, a point is malformed, or one lies outside the domain.

    Examples
    --------
    >>> locate(Grid.regular(5.0), None, None, {"nino34": (0, -140)}).names
    ('nino34',)
    """
    one = latitude is not None or longitude is not None
    several = {"nino34": (0, -140)} if base_points is None else base_points
    problem, fix = "", "latitude=0, longitude=-140, base_points=None"
    if one and base_points is not None:
        problem, fix = "one base point and several are given", "latitude=None, longitude=None"
    elif isinstance(latitude, Sequence) and longitude is None and len(latitude) == 2:
        problem = "latitude holds a pair"
        fix = f"latitude={latitude[0]!r}, longitude={latitude[1]!r}"
    elif (not one and base_points is None) or (one and (latitude is None or longitude is None)):
        problem = "attention needs one base point, or a mapping of named ones"
    elif not isinstance(several, Mapping) or not several:
        problem = (
            "base_points is empty"
            if isinstance(several, Mapping)
            else "base_points must be a mapping of names to places"
        )
        fix = "base_points={'nino34': (0, -140)}"
    if problem:
        found = {"latitude": latitude, "longitude": longitude, "base_points": base_points}
        expected = "latitude=0, longitude=-140, or base_points={'nino34': (0, -140)}"
        raise ArgumentError(problem, expected=expected, found=repr(found)[:200], fix=fix)
    written = (
        "latitude={latitude:g}, longitude={longitude:g}  # or base_points={{'nino34': (0, -140)}}"
        if one
        else "base_points={{{name!r}: ({latitude:g}, {longitude:g})}}"
    )
    wanted = {"base point": (latitude, longitude)} if one else dict(several)
    cells = tuple(nearest_cell(grid, *as_place(place, name, written)) for name, place in wanted.items())
    return BasePoints(tuple(map(str, wanted)), cells, tuple(grid.latitude[row] for row, _ in cells), one)


def _always_missing(climatology: Climatology | None) -> NDArray[np.bool_] | None:
    """Where a climatology has no values, it is no fault if the data have none."""
    if climatology is None:
        return None
    return np.asarray(np.isnan(climatology.coefficients[:, 0]) | np.isnan(climatology.scale))


def _one_block(values: NDArray[Any], name: str) -> da.Array:
    """Wrap an array in memory as one dask block, without a copy and without hashing it."""
    # da.from_array would hash the values to name the block; results are computed at once, so a name by address will do.
    key = f"faconv-memory-{name}-{id(values):x}"
    chunks = tuple((length,) for length in values.shape)
    meta = np.empty((0,) * values.ndim, dtype=values.dtype)
    block = {(key, *(0,) * values.ndim): values}
    return da.Array(block, key, chunks, meta=meta)  # type: ignore[no-untyped-call]
