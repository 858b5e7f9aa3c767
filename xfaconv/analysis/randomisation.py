"""Randomisation checks: maps of attention must go away with what was learned, and change with the data."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import cell_area
from xfaconv.analysis.patterns import pattern_correlation
from xfaconv.analysis.probe import Probe, Window
from xfaconv.analysis.surrogates import phase_randomised
from xfaconv.analysis.verdicts import with_verdict
from xfaconv.analysis.windows import Windows
from xfaconv.grid import Grid

if TYPE_CHECKING:
    from xfaconv.models import Model

# Pass mark, fixed before any model was looked at.
MOST_SIMILAR = 0.5
# Parts of the network in the order that the cascade destroys them, from the map downwards.
CASCADE = (
    ("attention", ("attention_module",)),
    ("attention and gates", ("attention_module", "core.gates", "core.peephole")),
    ("attention and recurrence", ("attention_module", "core.gates", "core.peephole", "core.hidden", "core.mixing")),
    ("all", ("attention_module", "core")),
)
# A Fourier transform sees so many steps around the samples at most.
_SURROGATE_STEPS = 1024

_CORE = ["step", "variable", "latitude", "longitude"]


def _attention_maps(
    fields: NDArray[np.float32],
    clock: NDArray[np.float64],
    *,
    model: Model,
    grid: Grid,
    cell: tuple[int, int],
    parts: tuple[str, ...],
    seed: int,
) -> NDArray[np.float32]:
    probe = Probe(model, grid, cell, parts, seed)
    lead = fields.shape[:-4]
    maps = [probe.attention(Window.of(fields[number], clock[number])) for number in np.ndindex(lead)]
    return np.stack(maps).reshape(*lead, *grid.shape)


def attention_maps(windows: Windows, parts: tuple[str, ...] = (), seed: int = 0) -> xr.DataArray:
    """Attention of the base point at the end of every window (time, latitude, longitude), lazy.

    Parameters
    ----------
    windows : Windows
        Times and base point.
    parts : tuple of str
        Parts of the network whose weights are shuffled first.
    seed : int
        Seed of the shuffles.

    Returns
    -------
    DataArray (time, latitude, longitude)
        Each map sums to 1.
    """
    maps: xr.DataArray = xr.apply_ufunc(
        _attention_maps,
        windows.fields,
        windows.clock,
        input_core_dims=[_CORE, ["step", "hand"]],
        output_core_dims=[["latitude", "longitude"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        kwargs={
            "model": windows.model,
            "grid": windows.grid,
            "cell": windows.cell,
            "parts": parts,
            "seed": seed,
        },
    )
    return maps


def density(maps: xr.DataArray) -> xr.DataArray:
    """Share of attention per area, which is the same everywhere where there is no preference."""
    return maps / cell_area(maps)


def check_parameters(windows: Windows, *, seed: int = 0) -> xr.Dataset:
    """Check whether the map goes away when the weights are shuffled, part by part.

    Parameters
    ----------
    windows : Windows
        Times and base point.
    seed : int
        Seed of the shuffles.

    Returns
    -------
    Dataset
        ``similarity`` (stage, time): rank correlation of the map, as density, with that of the shuffled network;
        ``passed`` if its mean at the last stage is at most 0.5, and ``verdict``.
    """
    original = density(attention_maps(windows))
    stages = [
        pattern_correlation(original, density(attention_maps(windows, parts, seed)), kind="rank")
        for _, parts in CASCADE
    ]
    names = xr.Variable("stage", [name for name, _ in CASCADE])
    similarity = xr.concat(stages, names, join="exact").assign_coords(stage=names)
    similarity.attrs = {"long_name": "rank correlation with the maps of shuffled weights", "units": "1"}
    out = xr.Dataset({"similarity": similarity})

    def judge(last: float) -> tuple[bool, str]:
        good = last <= MOST_SIMILAR
        text = f"rank correlation {last:+.2f} with the maps of shuffled weights (at most {MOST_SIMILAR} asked)"
        return good, ("made by what was learned: " if good else "survives without what was learned: ") + text

    return with_verdict(out, [similarity.mean("time").isel(stage=-1, drop=True)], judge)


def surrogate_windows(windows: Windows, *, seed: int = 0, length: float = 20.0) -> Windows:
    """Cut the same windows from phase-randomised data: spectra stay, ties between far regions and variables go.

    Parameters
    ----------
    windows : Windows
        The windows.
    seed : int
        Seed of the phases.
    length : float
        Distance [degrees] over which phases stay alike.

    Returns
    -------
    Windows
        Missing values are climatology, and at most 1,024 steps around the samples are seen.
    """
    time = windows.ready.conformed.time
    stamps = np.asarray(time.values)
    ends = np.flatnonzero(np.isin(stamps, windows.fields["time"].values))
    steps = windows.fields.sizes["step"]
    count = len(stamps)
    if count > _SURROGATE_STEPS:
        # A long record is represented by its middle: the same number of windows, evenly inside it.
        first = (count - _SURROGATE_STEPS) // 2
        span = slice(first, first + _SURROGATE_STEPS)
        ends = np.linspace(steps - 1, _SURROGATE_STEPS - 1, len(ends)).round().astype(int)
    else:
        span = slice(0, count)
    data = windows.ready.conformed.data.isel(time=span)
    missing = data.isnull()
    made = phase_randomised(data.fillna(0), seed=seed, length=length).where(~missing)
    names = [str(name) for name in windows.fields["variable"].values]
    stacked = made[names].to_dataarray("variable").transpose("time", "variable", "latitude", "longitude")
    parts = [stacked.isel(time=slice(end - steps + 1, end + 1)).drop_vars("time").rename(time="step") for end in ends]
    fields = xr.concat(parts, "time", join="override", coords="minimal", compat="override")
    fields = fields.assign_coords(time=windows.fields["time"], step=windows.fields["step"]).astype(np.float32)
    fields = fields.chunk({"time": 1, "step": -1, "variable": -1, "latitude": -1, "longitude": -1})
    return dataclasses.replace(windows, fields=fields.transpose(*windows.fields.dims))


def check_data(windows: Windows, *, seed: int = 0) -> xr.Dataset:
    """Check whether the map depends on the data: on phase-randomised data it must change.

    Parameters
    ----------
    windows : Windows
        Times and base point.
    seed : int
        Seed of the phases.

    Returns
    -------
    Dataset
        ``similarity`` (time): rank correlation of the map with that on surrogates under the same time stamps;
        ``mean_similarity``: that of the two means over time; ``passed`` if the latter is at most 0.5, and ``verdict``.
    """
    original = density(attention_maps(windows))
    changed = density(attention_maps(surrogate_windows(windows, seed=seed)))
    similarity = pattern_correlation(original, changed, kind="rank")
    together = pattern_correlation(original.mean("time"), changed.mean("time"), kind="rank")
    similarity.attrs = {"long_name": "rank correlation with the maps on phase-randomised data", "units": "1"}
    together.attrs = {"long_name": "rank correlation of the mean maps on data and on surrogates", "units": "1"}
    out = xr.Dataset({"similarity": similarity, "mean_similarity": together})

    def judge(mean: float) -> tuple[bool, str]:
        good = mean <= MOST_SIMILAR
        text = f"rank correlation {mean:+.2f} of the mean maps on data and on surrogates (at most {MOST_SIMILAR} asked)"
        meaning = "depends on the data: " if good else "is mostly the network's habit, whatever the data: "
        return good, meaning + text

    return with_verdict(out, [together], judge)
