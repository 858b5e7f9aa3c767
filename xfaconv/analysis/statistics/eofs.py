"""Empirical orthogonal functions of a labelled field, each cell counting by its area."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import cell_area, horizontal_axes, in_one_chunk, time_axis
from xfaconv.analysis.statistics.surrogates import require_complete
from xfaconv.arguments import check_rules, is_whole
from xfaconv.eofs import leading_modes

_TINY = np.finfo(np.float64).tiny


def _leading(
    field: NDArray[np.floating], area: NDArray[np.float64], *, modes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Patterns (latitude, longitude, mode), unit-variance series (time, mode) and shares of variance (mode)."""
    steps = field.shape[0]
    rows = np.asarray(field, dtype=np.float64).reshape(steps, -1)
    weight = np.sqrt(area).ravel()
    kept = ~require_complete(~np.isfinite(rows) & (weight > 0), 0) & (weight > 0)
    centred = rows[:, kept] - rows[:, kept].mean(axis=0)
    # With the root of the area as weight, squares count by area and the variance is that of the sphere.
    found = leading_modes(centred * weight[kept], modes)
    series = found.series / np.maximum(found.series.std(axis=0), _TINY)
    patterns = np.full((rows.shape[1], modes), np.nan)
    patterns[kept] = centred.T @ series / steps
    # The sign of an EOF is free: the strongest cell is made positive, so that runs agree.
    strongest = np.nanargmax(np.abs(patterns), axis=0)
    sign = np.sign(patterns[strongest, np.arange(modes)])
    return (patterns * sign).reshape(*field.shape[1:], modes), series * sign, found.variance / max(found.total, _TINY)


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
        ``series`` (time, mode) of unit variance, ``variance_share`` (mode), and ``components`` (time, mode), the series
        times the root of that share. Use ``components`` wherever distances count, as in `regimes`: there a series of
        unit variance gives the noise of the last mode as much weight as the first. Lazy if the field is lazy.

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
    check_rules({"modes": modes}, {"modes": (lambda v: is_whole(v, 1, limit), f"1 to {limit}", "1")})
    pattern, series, share = xr.apply_ufunc(
        _leading,
        in_one_chunk(field, [time, *axes]),
        cell_area(field),
        input_core_dims=[[time, *axes], list(axes)],
        output_core_dims=[[*axes, "mode"], [time, "mode"], ["mode"]],
        dask="parallelized",
        output_dtypes=[np.float64] * 3,
        dask_gufunc_kwargs={"output_sizes": {"mode": modes}},
        kwargs={"modes": modes},
    )
    out = xr.Dataset({"pattern": pattern, "series": series, "variance_share": share, "components": series * share**0.5})
    out = out.astype(np.result_type(field.dtype, np.float32))
    out["pattern"].attrs = {"units": field.attrs.get("units", "1"), "long_name": "empirical orthogonal function"}
    out["series"].attrs = {"units": "1", "long_name": "principal component of unit variance"}
    out["components"].attrs = {
        "units": "1",
        "long_name": "principal component whose variance is its share of the total",
    }
    out["variance_share"].attrs = {"units": "1", "long_name": "share of the area-weighted variance"}
    return out.assign_coords(mode=np.arange(1, modes + 1)).transpose(..., "mode", *axes, missing_dims="ignore")
