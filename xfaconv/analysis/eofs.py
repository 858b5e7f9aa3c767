"""Leading empirical orthogonal functions of a field, area-weighted, as one lazy task."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import cell_area, horizontal_axes, time_axis
from xfaconv.arguments import is_whole
from xfaconv.errors import ArgumentError, MissingDataError


def _leading(
    field: NDArray[np.floating], area: NDArray[np.float64], *, modes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Patterns (latitude, longitude, mode), unit-variance series (time, mode) and shares of variance (mode)."""
    from scipy.linalg import eigh

    steps = field.shape[0]
    rows = np.asarray(field, dtype=np.float64).reshape(steps, -1)
    weight = np.sqrt(area).ravel()
    present = np.isfinite(rows)
    kept = present.all(axis=0) & (weight > 0)
    gaps = (present.any(axis=0) & ~kept & (weight > 0)).sum()
    if gaps:
        raise MissingDataError(
            "some cells are missing at some times only",
            expected="cells that are complete or always missing",
            found=f"{int(gaps)} cells with gaps",
            fix="field = field.interpolate_na('time')",
        )
    centred = rows[:, kept] - rows[:, kept].mean(axis=0)
    weighted = centred * weight[kept]
    small = weighted @ weighted.T if steps <= weighted.shape[1] else weighted.T @ weighted
    size = small.shape[0]
    values, vectors = eigh(small, subset_by_index=[max(size - modes, 0), size - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    projected = vectors if steps <= weighted.shape[1] else weighted @ vectors
    series = projected / np.maximum(projected.std(axis=0), np.finfo(np.float64).tiny)
    patterns = np.full((rows.shape[1], modes), np.nan)
    patterns[kept] = centred.T @ series / steps
    share = values / max(np.trace(small), np.finfo(np.float64).tiny)
    # The sign of an EOF is free: the strongest cell is made positive, so that runs agree.
    strongest = np.nanargmax(np.abs(patterns), axis=0)
    sign = np.sign(patterns[strongest, np.arange(modes)])
    return (patterns * sign).reshape(*field.shape[1:], modes), series * sign, share


def leading_eofs(field: xr.DataArray, modes: int = 1, *, dim: str | None = None) -> xr.Dataset:
    """Find the patterns that explain most variance over the sphere's area, and how each varies in time.

    Parameters
    ----------
    field : DataArray (time, latitude, longitude)
        Anomalies; cells are complete or always missing.
    modes : int
        How many.
    dim : str, optional
        Name of the time dimension.

    Returns
    -------
    Dataset
        ``pattern`` (mode, latitude, longitude) in units of the field per standard deviation of the series,
        ``series`` (time, mode) of unit variance, ``variance_share`` (mode). Lazy if the field is lazy.

    Raises
    ------
    ArgumentError
        If ``modes`` is not between 1 and the smaller of steps and cells.
    MissingDataError
        When computed, if a cell is missing at some times only.

    Examples
    --------
    >>> coords = {"lat": [0.0, 10.0], "lon": [0.0, 10.0]}
    >>> wave = np.sin(np.arange(40.0))[:, None, None] * np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> eofs = leading_eofs(xr.DataArray(wave, coords, ("time", "lat", "lon")))
    >>> float(eofs.variance_share[0].round(6))
    1.0
    """
    time = time_axis(field, dim)
    axes = horizontal_axes(field)
    limit = min(field.sizes[time], field.sizes[axes.latitude] * field.sizes[axes.longitude])
    if not is_whole(modes, 1, limit):
        raise ArgumentError("too many or too few modes", expected=f"1 to {limit}", found=str(modes), fix="modes=1")
    core = [time, *axes.both]
    whole = field.chunk(dict.fromkeys(core, -1)) if field.chunks is not None else field
    pattern, series, share = xr.apply_ufunc(
        _leading,
        whole,
        cell_area(field),
        input_core_dims=[core, list(axes.both)],
        output_core_dims=[[*axes.both, "mode"], [time, "mode"], ["mode"]],
        dask="parallelized",
        output_dtypes=[np.float64] * 3,
        dask_gufunc_kwargs={"output_sizes": {"mode": modes}},
        kwargs={"modes": modes},
    )
    dtype = np.result_type(field.dtype, np.float32)
    out = xr.Dataset({"pattern": pattern, "series": series, "variance_share": share}).astype(dtype)
    out["pattern"].attrs = {"units": field.attrs.get("units", "1"), "long_name": "empirical orthogonal function"}
    out["series"].attrs = {"units": "1", "long_name": "principal component of unit variance"}
    out["variance_share"].attrs = {"units": "1", "long_name": "share of the area-weighted variance"}
    return out.assign_coords(mode=np.arange(1, modes + 1)).transpose(..., "mode", *axes.both, missing_dims="ignore")
