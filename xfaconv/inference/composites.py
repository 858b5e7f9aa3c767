"""Contributions in two phases: their means, the significance of the difference, and its sums by region."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from xfaconv.analysis.statistics.composites import membership_test
from xfaconv.analysis.statistics.seasons import Season, season_years
from xfaconv.bootstrap import block_bootstrap
from xfaconv.errors import ArgumentError
from xfaconv.inference.areas import Area, find_cells
from xfaconv.inference.phases import Phases
from xfaconv.inference.regions import Regions, sum_by_region
from xfaconv.inference.targets import Target

# What is as near as this to the hidden area may give it away through the continuity of the fields [degrees].
_CLOSE = 10.0


def composites(
    goal: Target,
    attributed: xr.Dataset,
    out: xr.Dataset,
    phases: Phases,
    season: Season,
    alpha: float,
    seed: int,
    regions: Regions,
) -> xr.Dataset:
    """Average contributions over the phases, test their difference, and sum them by region.

    Parameters
    ----------
    goal : Target
        The value that is explained.
    attributed : Dataset
        Contributions at the steps of both phases.
    out : Dataset
        The series of the predictions and of what was observed.
    phases : Phases
        Which steps belong to which phase.
    season, alpha, seed, regions
        See `xfaconv.teleconnection`.

    Returns
    -------
    Dataset
    """
    parts = attributed["attribution"]
    time = str(parts.dims[0])
    high = xr.DataArray(phases.high, {time: parts[time]}, (time,))
    series = out.sel({time: parts[time]})
    found = xr.Dataset({"attribution": phases.composites(parts)})
    for name in ("predicted", "observed"):
        found[f"mean_{name}"] = phases.composites(series[name])
    total = parts.sum("variable").astype(np.float32)
    found["significant"] = membership_test(total, high, season=season, alpha=alpha).significant
    found["by_region"] = phases.composites(sum_by_region(parts, regions))
    of_steps = sum_by_region(total, regions).transpose(time, "region")
    members = np.stack([high.values, ~high.values], axis=1).astype(float)
    sums = np.concatenate([members[:, :, None] * of_steps.values[:, None], members[:, :, None]], axis=2)

    def difference(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        means = drawn[..., :-1] / np.maximum(drawn[..., -1:], 1)
        return np.asarray(means[:, 0] - means[:, 1])

    stamps = xr.DataArray(goal.ready.conformed.time.values[phases.both], dims="time", name="time")
    per_year = int(np.median(np.unique(season_years(stamps, season), return_counts=True)[1]))
    ends = block_bootstrap(sums, difference, max(per_year, 1), level=1 - alpha, seed=seed)
    for end, values in zip(("low", "high"), ends, strict=True):
        about = {"long_name": f"{end} end of the interval of the difference", "units": goal.units}
        found[f"by_region_{end}"] = ("region", values.astype(np.float32), about)
    masks = [name for name in ("target", "hidden") if name in attributed.coords]
    steps = {
        f"steps_of_{phase}": int(members.sum()) for phase, members in zip(("high", "low"), (high, ~high), strict=True)
    }
    return found.assign_coords({name: attributed[name] for name in masks}).assign_attrs(steps)


def default_regions(goal: Target) -> dict[str, Area]:
    """Name the tropical oceans that are visible, and what lies close to the hidden area or the target."""
    grid = goal.ready.grid
    blocked = goal.cells.mask if goal.hide is None else goal.hide
    rows, columns = (max(1, round(_CLOSE / float(np.diff(axis[:2])[0]))) for axis in (grid.latitude, grid.longitude))
    # Around the globe the eastern neighbours of the last column are the first ones.
    padded = np.pad(blocked, ((0, 0), (columns, columns)), mode="wrap" if grid.periodic else "constant")
    wide = binary_dilation(padded, np.ones((2 * rows + 1, 2 * columns + 1)))[:, columns:-columns]
    if goal.hide is not None:
        wide &= ~blocked
    coords = {"latitude": list(grid.latitude), "longitude": list(grid.longitude)}
    words = f"within {_CLOSE:g} degrees of {'the target' if goal.hide is None else 'what is hidden'}"
    areas: dict[str, Area] = {}
    for name in ("tropical_pacific", "tropical_indian_ocean", "tropical_atlantic"):
        try:
            mask = find_cells(grid, name, "region").mask
        except ArgumentError:
            continue
        # The part near what is hidden counts there alone, so that the sums of regions do not overlap.
        if (mask & ~wide & (True if goal.hide is None else ~goal.hide)).any():
            areas[name] = xr.DataArray(mask & ~wide, coords, ("latitude", "longitude"))
    if wide.any():
        areas[words] = xr.DataArray(wide, coords, ("latitude", "longitude"))
    return areas
