"""A climatology that the user gives: seasonal means by month or by day of the year, and standard deviations."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.adapt.anomalies import apply_to_blocks, standardise_block
from xfaconv.adapt.arrays import check_plain, read_quantities, without_mask
from xfaconv.adapt.horizontal import read_horizontal, with_axes
from xfaconv.adapt.matching import match_variables
from xfaconv.adapt.problems import refusal
from xfaconv.adapt.regrid import plan_remap
from xfaconv.adapt.survey import squeeze
from xfaconv.adapt.time_axis import TimeAxis
from xfaconv.grid import Grid
from xfaconv.names.tables import entries
from xfaconv.names.units import conversion
from xfaconv.names.variables import recognise_variable
from xfaconv.specs import VariableSpec

_SEASONS = ("month", "dayofyear")
_SUFFIXES = ("_std", "_scale", "_stddev", "_sd")
_DAYS_OF_360 = 360


def seasonal_of(
    climatology: xr.Dataset, specs: tuple[VariableSpec, ...], grid: Grid, axis: TimeAxis
) -> dict[str, tuple[NDArray[np.int64], Any, Any]]:
    """Bring a user's climatology to the grid and units of the conformed data.

    Parameters
    ----------
    climatology : xarray.Dataset
        For each variable the seasonal mean with dims month (1 to 12) or dayofyear (1 to 366), or neither, and the
        standard deviation of the anomalies under the same name and ``_std``.
    specs : tuple of VariableSpec
        The variables that are needed.
    grid : Grid
        Grid of the conformed data.
    axis : TimeAxis
        Their steps.

    Returns
    -------
    dict of str to (position, mean, scale)
        Position of each step in the table (time, 1), means (season, latitude, longitude), scale (latitude, longitude).

    Raises
    ------
    CoordinateError
        If the seasons of the climatology cannot be read.
    GridError
        If it is on another grid that cannot be averaged to the data's.
    VariableError
        If a variable, its standard deviation or its units are missing.
    """
    table, _ = with_axes(squeeze(read_quantities(climatology)))
    axes = read_horizontal(table)
    remap = plan_remap(axes, grid)
    if not remap.grid.matches(grid):
        raise refusal("climatology", "elsewhere", axes.grid.describe(), grid=grid.describe())
    horizontal = {axes.latitude.dim, axes.longitude.dim}
    fields = [str(name) for name, values in table.data_vars.items() if horizontal <= set(values.dims)]
    means = [name for name in fields if not name.endswith(_SUFFIXES)]
    recognised = {name: recognise_variable(table, name) for name in means}
    found = [variable for variable in recognised.values() if variable is not None]
    unknown = [name for name, variable in recognised.items() if variable is None]
    table_of = next((str(dim) for dim in table.dims if dim in _SEASONS), "month")
    out = {}
    for match in match_variables(table, found, unknown, specs):
        name = match.spec.name
        if match.source is None:
            raise refusal("climatology", "no mean", ", ".join(fields) or "no field", name=name, season=table_of)
        source = match.source.name
        spread = next((source + end for end in _SUFFIXES if source + end in fields), None)
        if spread is None:
            raise refusal("climatology", "no spread", ", ".join(fields), name=source, season=table_of)
        units = table[source].attrs.get("units")
        change = conversion(source, units, match.spec.units, entries().get(match.source.key), axis.step)
        mean, scale = table[source], table[spread]
        check_plain(mean, source)
        check_plain(scale, spread)
        if match.level_index is not None:
            level = table[match.source.level_coordinate].dims[0]
            mean = mean.isel({level: match.level_index})
            scale = scale.isel({level: match.level_index}) if level in scale.dims else scale
        season = next((str(dim) for dim in mean.dims if dim in _SEASONS), None)
        mean = mean.expand_dims("month") if season is None else mean
        leading = season or "month"
        mean = _arranged(mean, (leading, axes.latitude.dim, axes.longitude.dim), source)
        scale = _arranged(scale, (axes.latitude.dim, axes.longitude.dim), spread)
        brought = partial(apply_to_blocks, function=standardise_block, shape=remap.grid.shape, remap=remap)
        factor, offset = match.sign * change.factor, match.sign * change.offset
        means_there = brought(without_mask(mean.data), factor=factor, offset=offset)
        scale_there = brought(without_mask(scale.data)[None], factor=abs(factor))[0]
        out[name] = _positions(mean, season, axis), means_there, scale_there
    return out


def _arranged(array: xr.DataArray, dims: tuple[str, ...], name: str) -> xr.DataArray:
    if set(array.dims) != set(dims):
        found = ", ".join(map(str, array.dims))
        raise refusal("climatology", "other dimensions", found, name=name, dims=", ".join(dims))
    return array.transpose(*dims)


def _positions(mean: xr.DataArray, season: str | None, axis: TimeAxis) -> NDArray[np.int64]:
    """Entry of the table that each step takes, shape (time, 1)."""
    if season is None:
        return np.zeros((len(axis), 1), dtype=np.int64)
    labels = mean[season].values.astype(np.int64) if season in mean.coords else np.arange(mean.sizes[season]) + 1
    stamps = xr.DataArray(axis.values, dims="time", coords={"time": axis.values}).time.dt
    wanted = (
        stamps.month.values.astype(np.int64) if season == "month" else _day_of_table(stamps, int(labels.max()), axis)
    )
    place = {int(label): number for number, label in enumerate(labels)}
    lacking = sorted(set(wanted.tolist()) - set(place))
    if lacking:
        words = {"lacking": lacking[0], "first": int(wanted.min()), "last": int(wanted.max())}
        found = f"{season} {labels.min()} to {labels.max()}, {len(labels)} values"
        raise refusal("climatology", "no season", found, season=season, **words)
    return np.array([[place[int(number)]] for number in wanted], dtype=np.int64)


def _day_of_table(stamps: Any, longest: int, axis: TimeAxis) -> NDArray[np.int64]:
    """Day of the year as groupby counts it; by the fraction of the year where only one has a year of 360 days."""
    day = stamps.dayofyear.values.astype(np.int64)
    if (axis.calendar == "360_day") == (longest <= _DAYS_OF_360):
        return np.asarray(np.minimum(day, longest))
    return np.asarray(np.floor(axis.year_phase * longest).astype(np.int64) + 1)
