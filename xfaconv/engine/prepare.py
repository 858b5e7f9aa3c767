"""Brings a Dataset and a model together: what every function of the engine does before it asks for an output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from inspect import signature
from os import PathLike
from typing import Any, Literal, TypedDict

import dask.array as da
import numpy as np
import xarray as xr
from dask._task_spec import DataNode
from numpy.typing import NDArray

from xfaconv.adapt import Conformed, InputSpec, Recognition, adapt, recognise
from xfaconv.adapt.selection import squeeze
from xfaconv.adapt.variables import match_variables
from xfaconv.climatology import Climatology
from xfaconv.engine.choice import Choice, choose_model
from xfaconv.engine.graph import Clock, SegmentGraph, segment_graph
from xfaconv.engine.missing import Expected, Policy, check_policy
from xfaconv.engine.runtime import Maps, Work
from xfaconv.engine.segments import Mode, Segmentation, cut
from xfaconv.errors import ArgumentError, closest_name
from xfaconv.models import Model, load_model
from xfaconv.options import get_options, set_options
from xfaconv.specs import VariableSpec

ModelLike = str | PathLike[str] | Model
# Above this size of the hidden states of one segment, outputs that do not need them run without keeping them.
HIDDEN_BYTES = 2**30


class Arguments(TypedDict, total=False):
    """The keyword arguments that every function of the engine takes.

    Attributes
    ----------
    model : str, path-like or Model
        A name of `xfaconv.list_models`, a file, or a model; by default a packaged model is chosen by the step, the
        domain and the variables of the data, and said in the attributes.
    regrid : {"model"} or None
        Regrid to the model's grid (the default), or stay on the grid of the data.
    climatology : {"model", "data"} or Dataset
        What anomalies are taken from, by default the model's own climatology.
    absent : {"raise", "climatology"}
        What to do about variables that the data lack; by default the option of that name.
    missing : {"fill", "raise", "propagate"}
        Missing values outside the fixed mask become climatology, are refused, or blank the results that read them;
        by default the option of that name. Checked where the values are read, never beforehand.
    mode : {"windowed", "stateful"}
        Segments that start from rest after a warm-up and run in parallel (the default), or one chain that carries the
        state through every gap-free stretch.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"`` or ``"auto"``; by default the option of that name.
    variables : Mapping of str to str
        Names in the Dataset of the model's variables, where they cannot be recognised.
    progress : bool
        Show dask's progress bar while data in memory are computed; by default the option of that name. For lazy results
        put ``with dask.diagnostics.ProgressBar():`` around ``compute`` or ``to_zarr``.
    """

    model: ModelLike | None
    regrid: Literal["model"] | None
    climatology: Literal["model", "data"] | xr.Dataset
    absent: str | None
    missing: str | None
    mode: Mode
    device: str | None
    variables: Mapping[str, str] | None
    progress: bool | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`Arguments` with their defaults; None takes the option of the same name."""

    model: ModelLike | None = None
    regrid: Literal["model"] | None = "model"
    climatology: Literal["model", "data"] | xr.Dataset = "model"
    absent: str | None = None
    missing: str | None = None
    mode: Mode = "windowed"
    device: str | None = None
    variables: Mapping[str, str] | None = None
    progress: bool | None = None

    @classmethod
    def of(cls, arguments: Arguments, call: Callable[..., Any] | None = None) -> Settings:
        """Take the keyword arguments of a call, refusing unknown ones by name.

        Parameters
        ----------
        arguments : Arguments
            What was given beside the call's own arguments.
        call : callable, optional
            The function that was called, where it has arguments of its own beside the data: they may be meant too.

        Returns
        -------
        Settings

        Raises
        ------
        ArgumentError
            If a name is unknown.
        """
        shared = [entry.name for entry in fields(cls)]
        unknown = [name for name in arguments if name not in shared]
        if unknown:
            own = [] if call is None else list(signature(call).parameters)[1:-1]
            close = filter(None, (closest_name(name, [*own, *shared]) for name in unknown))
            listed = ", ".join(map(repr, unknown))
            raise ArgumentError(
                f"argument {listed} is unknown" if len(unknown) == 1 else f"arguments {listed} are unknown",
                expected=", ".join([*own, *shared]),
                found=listed,
                fix=", ".join(f"{name}=..." for name in dict.fromkeys(close)) or None,
            )
        return cls(**arguments)

    def filled(self) -> Settings:
        """Put the options that hold here in place of None, and check everything that needs no data."""
        options = get_options()
        absent = options["absent"] if self.absent is None else self.absent
        if absent not in ("raise", "climatology"):
            raise ArgumentError(
                f"absent={absent!r} is unknown",
                expected="'raise' or 'climatology'",
                found=repr(absent),
                fix="absent='climatology'",
            )
        if self.regrid not in ("model", None):
            raise ArgumentError(
                f"regrid={self.regrid!r} is unknown",
                expected="'model' or None",
                found=repr(self.regrid),
                fix="regrid='model'",
            )
        if not isinstance(self.climatology, xr.Dataset) and self.climatology not in ("model", "data"):
            raise ArgumentError(
                f"climatology={self.climatology!r} is unknown: a network reads anomalies, not physical values",
                expected="'model', 'data' or a Dataset",
                found=repr(self.climatology),
                fix="climatology='model'",
            )
        return Settings(
            model=self.model,
            regrid=self.regrid,
            climatology=self.climatology,
            absent=absent,
            missing=check_policy(options["missing"] if self.missing is None else self.missing),
            mode=self.mode,
            device=options["device"] if self.device is None else _checked_device(self.device),
            variables=self.variables,
            progress=options["progress"] if self.progress is None else self.progress,
        )

    def described(self) -> str:
        """Give the arguments that differ from their defaults, as they would be typed."""
        parts = []
        for name, default in vars(Settings()).items():
            value = getattr(self, name)
            if name == "model" and isinstance(value, Model):
                value = value.card.name
            if name != "progress" and (isinstance(value, xr.Dataset) or value != default):
                parts.append(f"{name}={'<Dataset>' if isinstance(value, xr.Dataset) else repr(value)}")
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A Dataset as a model reads it, and how time is cut.

    Parameters
    ----------
    conformed : Conformed
        Standardised anomalies and the way back to the user's labels.
    choice : Choice
        The model and why.
    settings : Settings
        The arguments, options filled in.
    pieces : Segmentation
        The cut.
    absent : tuple of str
        Variables of the model that the data lack.
    lazy : bool
        Whether any input is a dask array.
    """

    conformed: Conformed
    choice: Choice
    settings: Settings
    pieces: Segmentation
    absent: tuple[str, ...]
    lazy: bool

    @property
    def model(self) -> Model:
        """The model."""
        return self.choice.model

    @property
    def members(self) -> int | None:
        """Number of members, None without that axis."""
        sizes = self.conformed.data.sizes
        return int(sizes["member"]) if "member" in sizes else None

    @property
    def normalisation(self) -> str:
        """Which climatology the anomalies are taken from."""
        used = self.settings.climatology
        owner = {"model": f"climatology of {self.model.card.name}", "data": "climatology of the data"}
        name = owner.get(used, str(used)) if isinstance(used, str) else "climatology given by the caller"
        return f"standardised anomalies from the {name}"

    @property
    def hidden_bytes(self) -> int:
        """Size of the hidden states of one whole segment."""
        rows, columns = self.conformed.grid.shape
        return int(4 * rows * columns) * self.model.card.network.hidden * self.pieces.segment

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

    def source(self, *, needs_hidden: bool, maps: Maps | None = None) -> SegmentGraph:
        """Write the network's tasks.

        Parameters
        ----------
        needs_hidden : bool
            Whether the output is made from hidden states. Where those of a segment are small they are kept anyway, so
            that outputs asked for one by one share their tasks.
        maps : Maps, optional
            The maps of attention that are wanted, and all that the hidden states are needed for. Where the hidden
            states are large, the maps are made while the network runs.

        Returns
        -------
        SegmentGraph
        """
        time = self.conformed.time
        small = self.hidden_bytes <= HIDDEN_BYTES
        work = Work(
            model=self.model,
            grid=self.conformed.grid,
            expected=self._expected(),
            missing=_policy(self.settings.missing),
            serial=self.settings.mode == "stateful",
            device=self.settings.device or "cpu",
            threads=get_options()["threads"],
            keep_hidden=small or needs_hidden,
            maps=None if small else maps,
        )
        clock = Clock(time.index, time.year_phase, time.day_phase, time.values)
        return segment_graph(work, clock, self.pieces, self.arrays)

    def _expected(self) -> Expected:
        card = self.model.card
        return Expected(
            names=tuple(variable.name for variable in card.variables),
            absent=tuple(variable.name in self.absent for variable in card.variables),
            masked=tuple(variable.partly_missing for variable in card.variables),
            mask=_always_missing(self.conformed.climatology),
        )


def prepare(ds: xr.Dataset, settings: Settings) -> Prepared:
    """Recognise, choose, adapt and cut; computes nothing.

    Parameters
    ----------
    ds : Dataset
        The user's data, left as they are.
    settings : Settings
        The arguments.

    Returns
    -------
    Prepared

    Raises
    ------
    XFaconvError
        If the data or an argument cannot be used.
    """
    filled = settings.filled()
    choice = _choice(ds, filled)
    card = choice.model.card
    target = InputSpec(
        variables=card.variables,
        grid=card.grid,
        step=card.step,
        climatology=choice.model.climatology,
        harmonics=card.climatology_harmonics,
    )
    conformed = adapt(
        ds,
        target,
        regrid=filled.regrid,
        climatology=filled.climatology,
        absent="climatology" if filled.absent == "climatology" else "raise",
        variables=filled.variables,
    )
    time = conformed.time
    pieces = cut(time.index, time.spans, segment=card.segment, warmup=card.warmup, mode=filled.mode)
    absent = _lacking(ds, conformed.recognition, card.variables, filled.variables)
    lazy = any(isinstance(field.data, da.Array) for field in conformed.data.data_vars.values())
    return Prepared(conformed, choice, filled, pieces, absent, lazy)


def _choice(ds: xr.Dataset, settings: Settings) -> Choice:
    if settings.model is not None:
        return Choice(_loaded(settings.model), "named by the caller")
    recognition = recognise(ds)
    if recognition.grid is None or recognition.time is None:
        raise recognition.problems[0]

    def lacking(specs: Sequence[VariableSpec]) -> tuple[str, ...]:
        return _lacking(ds, recognition, specs, settings.variables)

    return choose_model(
        recognition.grid,
        recognition.time.step,
        lacking,
        absent=settings.absent or "raise",
        regridded=settings.regrid == "model",
    )


def _lacking(
    ds: xr.Dataset, recognition: Recognition, specs: Sequence[VariableSpec], given: Mapping[str, str] | None
) -> tuple[str, ...]:
    """Name the variables that the data lack; names given by the caller count where they are the model's."""
    names = {spec.name for spec in specs}
    known = {name: source for name, source in (given or {}).items() if name in names}
    matches = match_variables(squeeze(ds), recognition.variables, recognition.unknown, specs, known)
    return tuple(match.spec.name for match in matches if match.source is None)


def _loaded(model: ModelLike) -> Model:
    return model if isinstance(model, Model) else load_model(model)


def _always_missing(climatology: Climatology | None) -> NDArray[np.bool_] | None:
    """Where a climatology has no values, it is no fault if the data have none."""
    if climatology is None:
        return None
    return np.asarray(np.isnan(climatology.coefficients[:, 0]) | np.isnan(climatology.scale))


def _one_block(values: NDArray[Any], name: str) -> da.Array:
    """Wrap an array in memory as one dask block, without a copy and without hashing it."""
    key = f"faconv-memory-{name}-{id(values):x}"
    place = (key, *(0,) * values.ndim)
    chunks = tuple((length,) for length in values.shape)
    meta = np.empty((0,) * values.ndim, dtype=values.dtype)
    return da.Array({place: DataNode(place, values)}, key, chunks, meta=meta)  # type: ignore[no-untyped-call]


def _policy(missing: str | None) -> Policy:
    return check_policy(missing or "fill")


def _checked_device(device: str) -> str:
    """Check the name of a device the way the option of that name is checked."""
    with set_options(device=device):
        return get_options()["device"]
