"""The climatology of a record, a user's or a recipe's, fitted in two lazy passes that never hold the record."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.climatology import Climatology, harmonic_basis

_LEAST_SPREAD = 0.3
_LEAST_PRESENT = 0.5


def fit_record_climatology(data: xr.Dataset, year_phase: NDArray[np.float64], harmonics: int) -> Climatology:
    """Fit mean, harmonics of the year and spread in every cell by least squares.

    Parameters
    ----------
    data : Dataset
        Variables in order, dims (time, latitude, longitude), physical values; dask or in memory.
    year_phase : ndarray (time,)
        Fraction of the year.
    harmonics : int
        Harmonics of the year.

    Returns
    -------
    Climatology
        NaN in cells where more than half of the values are missing; where some are, it is fitted to the others. The
        scale is at least 0.3 of its variable's typical one.
    """
    basis = harmonic_basis(year_phase, harmonics).astype(np.float64)
    inverse = xr.DataArray(np.linalg.pinv(basis), dims=("term", "time"))
    terms = xr.DataArray(basis, dims=("time", "term"))
    data = data.astype("float64").drop_vars("time", errors="ignore").transpose("time", "latitude", "longitude")
    means = data.map(lambda field: xr.dot(inverse, field, dim="time")).compute()
    present = data.notnull().mean("time").compute()
    for name, share in present.items():
        patchy = (share < 1) & (share >= _LEAST_PRESENT)
        if patchy.any():
            means[name] = means[name].where(~patchy, _fitted_to_the_others(data[name], terms))
    chunks = next((field.chunksizes["time"] for field in data.values() if field.chunks is not None), None)
    if chunks is not None:
        terms = terms.chunk(time=chunks)
    residual = data - means.map(lambda mean: xr.dot(terms, mean, dim="term"))
    spread = ((residual**2).mean("time") ** 0.5).where(present >= _LEAST_PRESENT).compute()
    order = ("latitude", "longitude")
    return Climatology(
        np.stack([mean.transpose("term", *order).values for mean in means.values()]).astype(np.float32),
        np.stack([_floored(field.transpose(*order).values) for field in spread.values()]).astype(np.float32),
    )


def _fitted_to_the_others(field: xr.DataArray, terms: xr.DataArray) -> xr.DataArray:
    """Least squares over the values that are there, cell by cell: one small system of equations in each."""
    there = field.notnull().astype("float64")
    products = xr.dot(terms * terms.rename(term="other"), there, dim="time").compute()
    right = xr.dot(terms, field.fillna(0.0), dim="time").compute()
    order = ("latitude", "longitude")
    system = products.transpose(*order, "term", "other").values
    solved = np.linalg.pinv(system, hermitian=True) @ right.transpose(*order, "term").values[..., None]
    return xr.DataArray(solved[..., 0], dims=(*order, "term")).transpose("term", *order)


def _floored(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    typical = float(np.sqrt(np.nanmean(spread**2))) if np.isfinite(spread).any() else 1.0
    least = max(_LEAST_SPREAD * typical, float(np.finfo(np.float32).tiny))
    return np.asarray(np.maximum(spread, least))
