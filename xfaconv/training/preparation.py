"""Training data of a recipe: read, ordered south to north, standardised with the climatology of the training years."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.climatology import Climatology
from xfaconv.errors import VariableError
from xfaconv.grid import Grid
from xfaconv.training.recipes import Recipe
from xfaconv.training.sampling import WindowSource
from xfaconv.training.seasonal import fit_record_climatology


@dataclass(frozen=True, eq=False)
class Prepared:
    """Data of a recipe in memory.

    Parameters
    ----------
    anomalies : ndarray (time, variable, lat, lon), float32
        Standardised anomalies, NaN where missing.
    dates : ndarray (time,), datetime64
        Stamps.
    year_phase, day_phase : ndarray (time,)
        Fractions of the year and of the day.
    grid : Grid
        The grid.
    climatology : Climatology
        Of the training years.
    """

    anomalies: NDArray[np.float32]
    dates: NDArray[np.datetime64]
    year_phase: NDArray[np.float64]
    day_phase: NDArray[np.float64]
    grid: Grid
    climatology: Climatology

    def stretch(self, span: tuple[str, str]) -> slice:
        """Positions between two dates, both included.

        Parameters
        ----------
        span : (str, str)
            First and last date, to the day or the month.

        Returns
        -------
        slice
        """
        first = np.datetime64(span[0])
        beyond = np.datetime64(span[1]) + 1
        inside = np.flatnonzero((self.dates >= first) & (self.dates < beyond))
        return slice(int(inside[0]), int(inside[-1]) + 1)

    def source(self, span: tuple[str, str], every: int = 1) -> WindowSource:
        """Windows of a span of dates, on every so-manyth point.

        Parameters
        ----------
        span : (str, str)
            First and last date.
        every : int
            Thinning of the grid in both directions.

        Returns
        -------
        WindowSource
        """
        thinned = self.anomalies[:, :, ::every, ::every]
        fields = [thinned[:, position] for position in range(thinned.shape[1])]
        return WindowSource(fields, self.year_phase, self.day_phase, (self.stretch(span),))

    def thinned_grid(self, every: int) -> Grid:
        """Grid of every so-manyth point.

        Parameters
        ----------
        every : int
            Thinning in both directions.

        Returns
        -------
        Grid
        """
        return Grid(self.grid.latitude[::every], self.grid.longitude[::every])


def year_phases(times: xr.DataArray, step: str) -> NDArray[np.float64]:
    """Fraction of the year of each stamp; the middle of the month for monthly means.

    Parameters
    ----------
    times : DataArray (time)
        Dates.
    step : str
        ``"1M"`` for monthly means.

    Returns
    -------
    ndarray (time,)
    """
    if step == "1M":
        return np.asarray((times.dt.month.values - 0.5) / 12)
    days = np.where(times.dt.is_leap_year.values, 366, 365)
    return np.asarray((times.dt.dayofyear.values - 1 + times.dt.hour.values / 24) / days)


def prepare(recipe: Recipe, data: Path) -> Prepared:
    """Read and standardise the data of a recipe.

    Parameters
    ----------
    recipe : Recipe
        What to read.
    data : Path
        Folder of the data.

    Returns
    -------
    Prepared

    Raises
    ------
    VariableError
        If the files are not there.
    """
    files = sorted(data.glob(recipe.files))
    if not files:
        raise VariableError(f"no training data {recipe.files} in {data}", fix="pass --data FOLDER")
    parts = []
    for file in files:
        with xr.open_dataset(file) as opened:
            parts.append(opened[[variable.name for variable in recipe.variables]].astype("float32").load())
    ds = xr.concat(parts, "time") if len(parts) > 1 else parts[0]
    ds = ds.rename({old: new for old, new in (("lat", "latitude"), ("lon", "longitude")) if old in ds.dims})
    ds = ds.sortby("latitude").sortby("longitude").transpose("time", "latitude", "longitude")
    values = np.stack([ds[variable.name].values for variable in recipe.variables], axis=1)
    phase = year_phases(ds["time"], recipe.step)
    day_phase = np.zeros_like(phase) if recipe.step == "1M" else np.asarray(ds["time"].dt.hour.values / 24)
    dates = ds["time"].values
    trained = (dates >= np.datetime64(recipe.train[0])) & (dates < np.datetime64(recipe.train[1]) + 1)
    # One variable at a time: the fit is in double precision, and the whole record in it would be large.
    fitted = [
        fit_record_climatology(ds[[variable.name]].isel(time=trained), phase[trained], recipe.harmonics)
        for variable in recipe.variables
    ]
    for position, part in enumerate(fitted):
        values[:, position] -= part.evaluate(phase)[:, 0]
        values[:, position] /= part.scale[0]
    climatology = Climatology(
        np.concatenate([part.coefficients for part in fitted]), np.concatenate([part.scale for part in fitted])
    )
    grid = Grid(tuple(ds.latitude.values.astype(float)), tuple(ds.longitude.values.astype(float)))
    return Prepared(values, dates, phase, day_phase, grid, climatology)
