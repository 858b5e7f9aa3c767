"""Input windows around chosen times, stacked lazily, for questions that need the network run again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.seasons import in_season
from xfaconv.arguments import Place, check_arguments
from xfaconv.engine.base_points import locate
from xfaconv.engine.prepare import Arguments, Prepared, Settings, prepare
from xfaconv.errors import ArgumentError, ModelError, TimeError
from xfaconv.grid import Grid
from xfaconv.models import Model


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of standardised anomalies that end at some times, and the base point that is asked about.

    Parameters
    ----------
    fields : DataArray (time, step, variable, latitude, longitude), float32
        On the model's grid in canonical order; ``time`` holds the user's stamps of the last steps. Always lazy.
    clock : DataArray (time, step, 3), float64
        Phase of the year, phase of the day, absolute number.
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
        return self.ready.conformed.grid

    def restored(self, data: xr.Dataset | xr.DataArray) -> Any:
        """Give maps the user's names and directions."""
        labels = self.ready.conformed.labels
        if isinstance(data, xr.DataArray):
            return _restore_map(labels, data)
        return xr.Dataset(
            {name: _restore_map(labels, values) for name, values in data.data_vars.items()}, None, data.attrs
        )

    def finished(self, data: xr.Dataset) -> xr.Dataset:
        """Compute at once where the user's data are in memory."""
        return data if self.ready.lazy else data.compute(scheduler="synchronous")


def _restore_map(labels: Any, values: xr.DataArray) -> xr.DataArray:
    # Labels.restore speaks of the whole time axis; these maps have stamps of their own.
    renamed = values.rename(time="sample") if "time" in values.dims else values
    restored: xr.DataArray = renamed
    if {"latitude", "longitude"} & set(values.dims):
        restored = labels.restore(renamed).assign_attrs(values.attrs)
    return restored.rename(sample=labels.names.get("time", "time")) if "sample" in restored.dims else restored


def _ends(ready: Prepared, length: int, season: str | Sequence[int] | None) -> NDArray[np.int64]:
    """Positions that end a whole window inside a run, at steps where the network attends."""
    time = ready.conformed.time
    every = max(ready.model.card.network.attention_every, 1)
    usable = np.zeros(len(time.index), dtype=bool)
    for run in time.spans:
        usable[run.start + length - 1 : run.stop] = True
    usable &= time.index % every == 0
    stamps = xr.DataArray(time.values, dims="time", name="time")
    usable &= in_season(stamps, season)
    ends = np.flatnonzero(usable)
    if len(ends) == 0:
        raise TimeError(
            "no time has a whole window before it",
            expected=f"at least {length} steps without a gap" + (f" that end in {season}" if season else ""),
            found=f"{len(time.index)} steps in {len(time.spans)} gap-free stretches",
            fix="give a longer record",
        )
    return ends


def cut_windows(
    ds: xr.Dataset,
    base_point: Place | None,
    *,
    samples: int | None = None,
    season: str | Sequence[int] | None = None,
    needs_attention: bool = True,
    **arguments: Any,
) -> Windows:
    """Cut windows of the model's warm-up and one more step.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    base_point : (latitude, longitude), optional
        The place [degrees]; None takes the middle of the domain, for targets without a place.
    samples : int, optional
        Number of windows, spread evenly. Default: one for each of the model's segments.
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
    check_arguments(samples=samples)
    ready = prepare(ds, Settings.of(cast("Arguments", arguments)))
    spec = ready.model.card.network
    if needs_attention and (spec.architecture != "faconvlstm" or not spec.attention_every):
        raise ModelError(
            "this model has no axial attention, so there is nothing to check",
            expected="a model with the architecture 'faconvlstm' and attention_every of at least 1",
            found=f"{spec.architecture}, attention_every={spec.attention_every}",
        )
    if ready.members is not None:
        raise ArgumentError("checks take one member", found=f"{ready.members} members", fix="ds.isel(number=0)")
    grid = ready.conformed.grid
    middle = grid.latitude[grid.shape[0] // 2], grid.longitude[grid.shape[1] // 2]
    cell = locate(grid, None, None, {"base_point": middle if base_point is None else base_point}).cells[0]
    length = ready.model.card.warmup + 1
    ends = _ends(ready, length, season)
    if samples is None:
        # The last usable step of each segment of absolute time: one window per piece of the engine's work.
        segment = ready.conformed.time.index[ends] // ready.model.card.segment
        ends = ends[np.append(np.diff(segment) != 0, True)]
    elif samples < len(ends):
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, samples).round().astype(int))]
    time = ready.conformed.time
    stacked = da.stack(ready.arrays, axis=1)  # type: ignore[no-untyped-call]
    parts = da.stack([stacked[end - length + 1 : end + 1] for end in ends])  # type: ignore[no-untyped-call]
    whole = parts.rechunk({0: 1, 1: -1, 2: -1, 3: -1, 4: -1})
    known = np.stack([time.year_phase, time.day_phase, time.index.astype(np.float64)], axis=-1)
    names = [variable.name for variable in ready.model.card.variables]
    stamps = np.asarray(time.values)[ends]
    fields = xr.DataArray(
        whole,
        {
            "time": stamps,
            "step": np.arange(1 - length, 1),
            "variable": np.array(names, dtype=object),
            "latitude": np.asarray(grid.latitude),
            "longitude": np.asarray(grid.longitude),
        },
        ("time", "step", "variable", "latitude", "longitude"),
    )
    clock = xr.DataArray(
        np.stack([known[end - length + 1 : end + 1] for end in ends]), dims=("time", "step", "hand")
    ).chunk(time=1)
    return Windows(fields, clock, ready, cell)
