"""Runs a network again and again over input windows, to see what one base point attends to and depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import cell_area
from xfaconv.analysis.statistics.seasons import Season, in_season, spread_evenly, steps_of_season
from xfaconv.arguments import Arguments, Place, as_place, check_arguments, shared_arguments
from xfaconv.engine.choice import require_ability
from xfaconv.engine.dates import lacking_warmup, show_date
from xfaconv.engine.prepare import Prepared, prepare
from xfaconv.engine.results import in_memory
from xfaconv.errors import ArgumentError, TimeError, require_torch
from xfaconv.grid import Grid, nearest_cell
from xfaconv.models import Model

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = NDArray[np.float32]

# Hidden states of one batch of changed inputs are kept below this size.
_BATCH_BYTES = 2**27
# What the clock of a window holds of each step.
_CLOCK = ("year_phase", "day_phase", "index")
_WINDOW = ("step", "variable", "latitude", "longitude")


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of standardised anomalies that end at some times, and the base point that is asked about.

    Parameters
    ----------
    fields : DataArray (time, step, variable, latitude, longitude), float32
        On the model's grid in canonical order; ``time`` holds the user's stamps of the last steps. Always lazy.
    clock : DataArray (time, step, clock), float64
        Phase of the year, phase of the day and absolute number of each step.
    ready : Prepared
        The data and the model.
    cell : (int, int)
        Row and column of the base point.
    """

    fields: xr.DataArray
    clock: xr.DataArray
    ready: Prepared
    cell: tuple[int, int]

    @property
    def model(self) -> Model:
        """The model."""
        return self.ready.model

    @property
    def grid(self) -> Grid:
        """The grid that the network runs on."""
        return self.ready.grid

    def finished(self, data: xr.Dataset, call: str, runs: int) -> xr.Dataset:
        """Give maps the user's names and directions; compute at once where the user's data are in memory.

        Parameters
        ----------
        data : Dataset
            Lazy results.
        call : str
            Name of the function that asks.
        runs : int
            Runs of the network in each window, for what is said beforehand of a long call.

        Returns
        -------
        Dataset
        """
        labels = self.ready.conformed.labels
        restored = {name: _restore_map(labels, values) for name, values in data.data_vars.items()}
        found = xr.Dataset(restored, attrs=data.attrs)
        if self.ready.lazy:
            return found
        windows, steps = self.fields.sizes["time"], self.fields.sizes["step"]
        return in_memory(self.ready, found, call, windows * runs, windows * runs * steps)


def _restore_map(labels: Any, values: xr.DataArray) -> xr.DataArray:
    # Labels.restore puts the stamps of the whole record on "time"; these maps have stamps of their own.
    found = values.rename(time="sample") if "time" in values.dims else values
    if {"latitude", "longitude"} & set(values.dims):
        found = labels.restore(found).assign_attrs(values.attrs)
    return found.rename(sample=labels.names.get("time", "time")) if "sample" in found.dims else found


def _ends(ready: Prepared, length: int, season: Season) -> NDArray[np.int64]:
    """Positions that end a whole window without a gap, at steps that are asked for and where the network attends."""
    time = ready.conformed.time
    whole = np.zeros(len(time.index), dtype=bool)
    for span in time.spans:
        whole[span.start + length - 1 : span.stop] = True
    whole &= time.index % max(ready.model.card.network.attention_every, 1) == 0
    stamps = xr.DataArray(time.values, dims="time", name="time")
    if not whole.any():
        raise lacking_warmup(stamps, [span.stop - span.start for span in time.spans], length - 1)
    among = f"that ends a whole window of {length} steps without a gap"
    if (in_season(stamps, season) & whole).any() and not (whole & ready.asked).any():
        near = show_date(time.values[whole][np.abs(np.flatnonzero(whole) - np.flatnonzero(ready.asked)[0]).argmin()])
        raise TimeError(f"time= has no step {among}", found=f"the nearest is {near}", fix=f"time='{near}'")
    return np.flatnonzero(steps_of_season(stamps, season, whole & ready.asked, among=among))


@shared_arguments
def cut_windows(
    ds: xr.Dataset,
    base_point: Place | None,
    *,
    samples: int | None = None,
    season: Season = None,
    needs_attention: bool = True,
    **arguments: Unpack[Arguments],
) -> Windows:
    """Cut windows of the model's warm-up and one more step.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    base_point : (latitude, longitude), optional
        The place [degrees]; None takes the middle of the domain, for targets without a place.
    samples : int, optional
        Number of windows, spread evenly. Default: one for each of the model's segments, or each step of ``time``.
    season : str or sequence of int, optional
        Season of the last step.
    needs_attention : bool
        Refuse a model without axial attention.
    **arguments
        Of `xfaconv.embed`.

    Returns
    -------
    Windows

    Raises
    ------
    ModelError
        If the model has no attention.
    TimeError
        If no window fits.
    ArgumentError
        If the base point is outside, the data have members, or samples is below 1.
    """
    ready = prepare(ds, arguments)
    if needs_attention:
        require_ability(ready.model.card.network, "attention")
    return windows_of(ready, base_point, samples=samples, season=season)


def windows_of(
    ready: Prepared, base_point: Place | None, *, samples: int | None = None, season: Season = None
) -> Windows:
    """Cut windows of data that are prepared: see `cut_windows`."""
    require_torch()
    check_arguments(samples=samples)
    if ready.members is not None:
        member = ready.conformed.labels.names["member"]
        fix = f"ds = ds.isel({member}=0)"
        raise ArgumentError("checks take one member", found=f"{ready.members} members", fix=fix)
    grid = ready.grid
    middle = grid.latitude[grid.shape[0] // 2], grid.longitude[grid.shape[1] // 2]
    cell = nearest_cell(grid, *(middle if base_point is None else as_place(base_point)))
    length = ready.model.card.warmup + 1
    time = ready.conformed.time
    ends = _ends(ready, length, season)
    if samples is None and ready.steps is None:
        # The last usable step of each segment of absolute time: one window per task of the engine.
        segment = time.index[ends] // ready.model.card.segment
        ends = ends[np.append(np.diff(segment) != 0, True)]
    ends = spread_evenly(ends, samples)
    every = da.stack(ready.arrays, axis=1)  # type: ignore[no-untyped-call]
    parts = da.stack([every[end - length + 1 : end + 1] for end in ends])  # type: ignore[no-untyped-call]
    known = np.stack([time.year_phase, time.day_phase, time.index.astype(np.float64)], axis=-1)
    names = [variable.name for variable in ready.model.card.variables]
    coords = {
        "time": np.asarray(time.values)[ends],
        "step": np.arange(1 - length, 1),
        "variable": np.array(names, dtype=object),
        "latitude": np.asarray(grid.latitude),
        "longitude": np.asarray(grid.longitude),
    }
    fields = xr.DataArray(parts, coords, ("time", *_WINDOW)).chunk({"time": 1} | dict.fromkeys(_WINDOW, -1))
    clock = xr.DataArray(
        np.stack([known[end - length + 1 : end + 1] for end in ends]),
        {"clock": list(_CLOCK)},
        ("time", "step", "clock"),
    )
    return Windows(fields, clock.chunk(time=1), ready, cell)


@dataclass(frozen=True)
class Target:
    """The output whose sensitivity or change is asked for.

    Parameters
    ----------
    kind : {"hidden", "embedding", "forecast"}
        State of the base point after attention, the embedding, or a forecast at the base point.
    variable, lead : int
        Position of the variable and of the lead of a forecast.
    """

    kind: str = "hidden"
    variable: int = 0
    lead: int = 0


@dataclass(frozen=True, eq=False)
class Window:
    """One input window, as the network reads it.

    Parameters
    ----------
    fields : ndarray (step, variable, latitude, longitude), float32
        Standardised anomalies, 0 where missing.
    present : ndarray (step, variable, latitude, longitude), bool
        Whether a value is there.
    year_phase, day_phase : ndarray (step,), float32
        Phases of the steps.
    first_index, last_index : int
        Absolute numbers of the first and the last step.
    """

    fields: FloatArray
    present: NDArray[np.bool_]
    year_phase: FloatArray
    day_phase: FloatArray
    first_index: int
    last_index: int

    @classmethod
    def of(cls, raw: FloatArray, clock: NDArray[np.float64]) -> Window:
        """Fill missing values as the engine does; ``clock`` (step, 3) holds both phases and the absolute number."""
        present = np.isfinite(raw)
        return cls(
            np.where(present, raw, 0).astype(np.float32),
            present,
            clock[:, 0].astype(np.float32),
            clock[:, 1].astype(np.float32),
            int(clock[0, 2]),
            int(clock[-1, 2]),
        )


def shuffled_copy(network: Any, parts: tuple[str, ...], seed: int) -> Any:
    """Copy a network with the weights of some parts shuffled within each tensor: sizes stay, what was learned goes.

    Parameters
    ----------
    network : Network
        Left as it is.
    parts : tuple of str
        Beginnings of the names of parameters.
    seed : int
        Seed of the shuffles.

    Returns
    -------
    Network
    """
    import copy

    import torch

    changed = copy.deepcopy(network)
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        # Among them the patterns of the interpolation, which do not learn by gradients.
        tensors = [*changed.named_parameters(), *changed.named_buffers()]
        for name, values in tensors:
            order = torch.from_numpy(generator.permutation(values.numel()))
            if name.startswith(parts):
                values.copy_(values.flatten()[order].reshape(values.shape))
    return changed


class Probe:
    """A network on a grid, asked about one cell at the end of a window.

    Parameters
    ----------
    model : Model
        The model.
    grid : Grid
        Grid of the fields.
    cell : (int, int)
        Row and column of the base point.
    shuffled : tuple of str
        Parts of the network whose weights are shuffled.
    seed : int
        Seed of the shuffles.
    """

    def __init__(
        self, model: Model, grid: Grid, cell: tuple[int, int], shuffled: tuple[str, ...] = (), seed: int = 0
    ) -> None:
        from xfaconv.nn import Geometry

        network = model.network()
        self.network: Any = shuffled_copy(network, shuffled, seed) if shuffled else network
        spec = model.card.network
        self.geometry = Geometry.from_grid(grid, spec.domain, spec.periodic)
        self.grid = grid
        self.cell = cell
        self.spec = spec

    def _encode(self, fields: Tensor, visible: Tensor, window: Window) -> tuple[Any, Tensor]:
        """Run over windows of anomalies, 0 where missing; give what the network says, and what it read."""
        import torch

        batch, steps = fields.shape[:2]
        year, day = (
            torch.from_numpy(values)[None].expand(batch, -1) for values in (window.year_phase, window.day_phase)
        )
        filled, seen = self.network.fill(fields, visible, self.geometry)
        encoded = self.network.encode(
            filled,
            seen,
            year,
            day,
            self.geometry,
            first_index=window.first_index,
            keep_from=steps - 1,
            keep_refined=True,
        )
        return encoded, filled

    def states(self, window: Window, hidden: NDArray[np.bool_]) -> FloatArray:
        """State of the base point at the last step with parts of the input hidden.

        Parameters
        ----------
        window : Window
            The input.
        hidden : ndarray (case, latitude, longitude), bool
            Cells that are replaced by climatology and marked as missing, in all variables throughout the window.

        Returns
        -------
        ndarray (case, channel), float32
        """
        import torch

        rows, columns = window.fields.shape[-2:]
        size = max(1, _BATCH_BYTES // (4 * rows * columns * self.spec.hidden * 4))
        row, column = self.cell
        parts = []
        with torch.no_grad():
            fields, present = torch.from_numpy(window.fields), torch.from_numpy(window.present)
            for start in range(0, len(hidden), size):
                masks = torch.from_numpy(hidden[start : start + size])
                cases = fields[None].masked_fill(masks[:, None, None], 0)
                left = present[None] & ~masks[:, None, None]
                encoded, _ = self._encode(cases, left, window)
                parts.append(encoded.refined[:, -1, row, column].numpy())
        return np.concatenate(parts)

    def _answer(self, encoded: Any, where: FloatArray | None, target: Target, fields: Tensor) -> Tensor:
        """Give what is asked for at the last step as one vector: see `Target`; ``where`` weighs cells."""
        import torch

        if target.kind == "embedding":
            embedding: Tensor = encoded.embedding[0, -1]
            return embedding
        row, column = self.cell
        rows, columns = (np.array([row]), np.array([column])) if where is None else np.nonzero(where)
        # The root of the weights, so that squares of the vector count by weight.
        weights = torch.from_numpy(np.ones(1, "f4") if where is None else np.sqrt(where[rows, columns]))
        if target.kind == "forecast":
            forecast: Tensor = self.network.predict(encoded.refined[:, -1:], fields[:, -1:], self.geometry)
            return forecast[0, 0, target.lead, target.variable, rows, columns] * weights
        states: Tensor = encoded.refined[0, -1, rows, columns]
        return (states * weights[:, None]).flatten()

    def without_variables(self, window: Window, target: Target, where: FloatArray | None = None) -> FloatArray:
        """Relative change of the target without each variable (variable,).

        The share seen stays as it is: it would say that something is missing, but not what, and the answer to that
        would count for each variable alike, a useless one included.

        Parameters
        ----------
        window : Window
            The input.
        target : Target
            What is asked for.
        where : ndarray (latitude, longitude), float32, optional
            Weights of the cells that are asked about. Default: the base point alone.

        Returns
        -------
        ndarray (variable,), float32
        """
        import torch

        with torch.no_grad():
            fields, present = torch.from_numpy(window.fields), torch.from_numpy(window.present)[None]
            encoded, filled = self._encode(fields[None], present, window)
            plain = self._answer(encoded, where, target, filled)
            out = []
            for number in range(fields.shape[1]):
                changed = fields.clone()
                changed[:, number] = 0
                encoded, filled = self._encode(changed[None], present, window)
                answer = self._answer(encoded, where, target, filled)
                out.append((answer - plain).norm() / plain.norm().clamp_min(1e-12))
        return np.asarray(torch.stack(out).numpy(), dtype=np.float32)

    def attention(self, window: Window) -> FloatArray:
        """Composed attention of the base point at the last step (latitude, longitude), the mean of the heads."""
        import torch

        with torch.no_grad():
            fields, present = torch.from_numpy(window.fields)[None], torch.from_numpy(window.present)[None]
            encoded, _ = self._encode(fields, present, window)
            phases = [torch.from_numpy(phase[None, -1:]) for phase in (window.year_phase, window.day_phase)]
            maps = self.network.attention(encoded.hidden[:, -1:], self.geometry, [self.cell], phases)
        return np.asarray(maps[0, 0, 0].mean(dim=0).numpy(), dtype=np.float32)

    def gradient(self, window: Window, target: Target, where: FloatArray | None = None) -> FloatArray:
        """Differentiate the target at the last step by every input value (step, variable, latitude, longitude).

        A vector v (state, embedding, forecasts of some cells) is projected on its own direction, so that the derivative
        is that of its norm: d|v| = (v / |v|) . dv. The derivative is 0 where the input is missing.
        """
        import torch

        with torch.enable_grad():
            fields = torch.from_numpy(window.fields)[None].clone().requires_grad_(True)
            encoded, filled = self._encode(fields, torch.from_numpy(window.present)[None], window)
            vector = self._answer(encoded, where, target, filled)
            value = vector @ (vector / vector.norm().clamp_min(1e-12)).detach()
            (derivative,) = torch.autograd.grad(value, fields)
        return np.where(window.present, derivative[0].detach().numpy(), 0).astype(np.float32)


def find_target(model: Model, target: str | tuple[str, int]) -> Target:
    """Read what the user names: ``"hidden"``, ``"embedding"``, or a variable and a lead such as ``("t2m", 3)``.

    Parameters
    ----------
    model : Model
        The model.
    target : str or (str, int)
        As above.

    Returns
    -------
    Target

    Raises
    ------
    ArgumentError
        If the model has no such variable or lead.
    """
    if isinstance(target, str) and target in ("hidden", "embedding"):
        return Target(str(target))
    names = [variable.name for variable in model.card.variables]
    leads = model.card.network.leads
    if isinstance(target, tuple) and len(target) == 2 and target[0] in names and target[1] in leads:
        return Target("forecast", names.index(target[0]), leads.index(int(target[1])))
    known = f"'hidden', 'embedding', or (variable, lead) with variables {', '.join(names)} and leads {leads}"
    written = target if isinstance(target, tuple) else (target,)
    meant = next((name for name in names for part in written if isinstance(part, str) and part == name), names[0])
    raise ArgumentError(f"unknown target {target!r}", expected=known, fix=f"target=({meant!r}, {leads[-1]})")


Measure = Callable[..., Any]


def _measure(
    fields: FloatArray,
    clock: NDArray[np.float64],
    *,
    measure: Measure,
    model: Model,
    grid: Grid,
    cell: tuple[int, int],
    shuffled: tuple[str, ...],
    seed: int,
    options: Mapping[str, Any],
) -> Any:
    probe = Probe(model, grid, cell, shuffled, seed)
    before = fields.shape[:-4]
    results = [measure(probe, Window.of(fields[at], clock[at]), **options) for at in np.ndindex(before)]
    if not isinstance(results[0], tuple):
        return np.stack(results).reshape(*before, *results[0].shape)
    return tuple(np.stack(parts).reshape(*before, *parts[0].shape) for parts in zip(*results, strict=True))


def over_windows(
    windows: Windows,
    measure: Measure,
    *dims: Sequence[str],
    sizes: Mapping[str, int] | None = None,
    shuffled: tuple[str, ...] = (),
    seed: int = 0,
    **options: Any,
) -> Any:
    """Measure something in every window, lazily, one task for each.

    Parameters
    ----------
    windows : Windows
        Times and base point.
    measure : callable
        ``measure(probe, window, **options)`` gives an array, or a tuple of arrays where there are several `dims`.
    *dims : sequence of str
        Dims of each array.
    sizes : Mapping of str to int, optional
        Lengths of dims that the windows do not have.
    shuffled : tuple of str
        Parts of the network whose weights are shuffled first.
    seed : int
        Seed of the shuffles.
    **options
        Handed on to the measure.

    Returns
    -------
    DataArray or tuple of DataArray (time, ...), float32
    """
    return xr.apply_ufunc(
        _measure,
        windows.fields,
        windows.clock,
        input_core_dims=[list(_WINDOW), ["step", "clock"]],
        output_core_dims=[list(names) for names in dims],
        dask="parallelized",
        output_dtypes=[np.float32] * len(dims),
        dask_gufunc_kwargs={"output_sizes": dict(sizes or {})},
        kwargs={
            "measure": measure,
            "model": windows.model,
            "grid": windows.grid,
            "cell": windows.cell,
            "shuffled": shuffled,
            "seed": seed,
            "options": options,
        },
    )


def gradients(windows: Windows, target: Target, where: FloatArray | None = None) -> xr.DataArray:
    """Differentiate the target by every value of every window (time, step, variable, latitude, longitude), lazy.

    Parameters
    ----------
    windows : Windows
        Times and base point.
    target : Target
        What is differentiated.
    where : ndarray (latitude, longitude), float32, optional
        Weights of the cells that are asked about. Default: the base point alone.

    Returns
    -------
    DataArray
        See `Probe.gradient`.
    """
    found: xr.DataArray = over_windows(windows, Probe.gradient, _WINDOW, target=target, where=where)
    return found


def attention_maps(windows: Windows, shuffled: tuple[str, ...] = (), seed: int = 0) -> xr.DataArray:
    """Attention of the base point at the end of every window (time, latitude, longitude), lazy; each map sums to 1.

    Parameters
    ----------
    windows : Windows
        Times and base point.
    shuffled : tuple of str
        Parts of the network whose weights are shuffled first.
    seed : int
        Seed of the shuffles.

    Returns
    -------
    DataArray
    """
    maps: xr.DataArray = over_windows(windows, Probe.attention, ("latitude", "longitude"), shuffled=shuffled, seed=seed)
    return maps


def density(maps: xr.DataArray) -> xr.DataArray:
    """Share of attention per area, which is the same everywhere where there is no preference."""
    return maps / cell_area(maps)
