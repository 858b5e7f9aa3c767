"""Surrogate series and fields: the spectrum of every series is kept, its relations to the others are not."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import horizontal_axes, time_axis
from xfaconv.arguments import check_arguments
from xfaconv.errors import MissingDataError


def _turn(spectrum: NDArray[np.complex128], phase: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Turn each frequency by a phase; the mean, and the real coefficient at an even length's end, stay real."""
    turned = spectrum * np.exp(1j * phase)
    turned[..., 0] = spectrum[..., 0]
    if length % 2 == 0:
        turned[..., -1] = spectrum[..., -1] * np.where(np.cos(phase[..., -1]) < 0, -1.0, 1.0)
    return np.fft.irfft(turned, n=length, axis=-1)


def surrogate_series(series: NDArray[np.floating], count: int, seed: int = 0) -> NDArray[np.float64]:
    """Phase-randomise one series many times (Ebisuzaki 1997).

    Parameters
    ----------
    series : ndarray (time,)
        Without missing values.
    count : int
        Number of surrogates.
    seed : int
        Seed of the phases.

    Returns
    -------
    ndarray (surrogate, time), float64
        Each with the mean, variance and periodogram of the series.

    Raises
    ------
    MissingDataError
        If a value is missing: a Fourier transform needs them all.

    Examples
    --------
    >>> series = np.random.default_rng(0).normal(size=64)
    >>> surrogates = surrogate_series(series, 3)
    >>> bool(np.allclose(np.abs(np.fft.rfft(surrogates)), np.abs(np.fft.rfft(series))))
    True
    """
    values = np.asarray(series, dtype=np.float64)
    if not np.isfinite(values).all():
        raise MissingDataError(
            "the series has missing values",
            expected="a complete series for a phase-randomised null",
            found=f"{int((~np.isfinite(values)).sum())} of {values.size} missing",
            fix="use null='effective', or series.interpolate_na('time')",
        )
    spectrum = np.fft.rfft(values)
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, size=(count, len(spectrum)))
    return _turn(np.broadcast_to(spectrum, phase.shape).copy(), phase, len(values))


def _smooth_phases(
    latitude: NDArray[np.float64], longitude: NDArray[np.float64], frequencies: int, length: float, seed: int
) -> NDArray[np.float64]:
    """Random phases (latitude, longitude, frequency), alike within `length` degrees and unrelated beyond."""
    generator = np.random.default_rng(seed)
    rows, columns = np.deg2rad(latitude)[:, None], np.deg2rad(longitude)[None, :]
    place = np.stack(
        np.broadcast_arrays(np.cos(rows) * np.cos(columns), np.cos(rows) * np.sin(columns), np.sin(rows)), axis=-1
    )
    waves = generator.normal(size=(3, 96)) / np.deg2rad(length)
    features = np.exp(1j * place @ waves)
    amplitude = generator.normal(size=(96, frequencies)) + 1j * generator.normal(size=(96, frequencies))
    return np.asarray(np.angle(features @ amplitude))


def _surrogate_field(
    field: NDArray[np.floating],
    *,
    latitude: NDArray[np.float64],
    longitude: NDArray[np.float64],
    length: float,
    seed: int,
) -> NDArray[np.floating]:
    missing = ~np.isfinite(field)
    partly = missing.any(axis=-1) & ~missing.all(axis=-1)
    if partly.any():
        raise MissingDataError(
            "some cells are missing at some times only",
            expected="cells that are complete or always missing, for a Fourier transform over time",
            found=f"{int(partly.sum())} cells with gaps",
            fix="ds = ds.interpolate_na('time')",
        )
    spectrum = np.fft.rfft(np.where(missing, 0.0, field.astype(np.float64)), axis=-1)
    phase = _smooth_phases(latitude, longitude, spectrum.shape[-1], length, seed)
    turned = _turn(spectrum, np.broadcast_to(phase, spectrum.shape), field.shape[-1])
    return np.where(missing, np.nan, turned).astype(field.dtype)


def phase_randomised(data: xr.Dataset, *, length: float = 20.0, seed: int = 0, dim: str | None = None) -> xr.Dataset:
    """Surrogate of a whole Dataset: each cell keeps its spectrum, near cells move together, far ones lose their tie.

    Every frequency of every cell is turned by a random phase that is smooth on the sphere. So fields stay smooth and
    keep their variance and spectrum, while what links regions farther apart than ``length``, and what links the
    variables, is gone. Give anomalies: a seasonal cycle would be turned as well.

    Parameters
    ----------
    data : Dataset
        Variables (..., time, ..., latitude, longitude); variables without time are returned as they are.
    length : float
        Distance [degrees] over which phases stay alike.
    seed : int
        Seed of the phases; each variable gets its own.
    dim : str, optional
        Name of the time dimension.

    Returns
    -------
    Dataset
        Same labels, dims and precision; lazy if the data are lazy.

    Raises
    ------
    ArgumentError
        If ``length`` is not positive.
    MissingDataError
        When computed, if a cell is missing at some times only.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=(32, 2, 2))
    >>> coords = {"time": np.arange(32), "lat": [0.0, 60.0], "lon": [0.0, 180.0]}
    >>> ds = xr.Dataset({"z": (("time", "lat", "lon"), values)}, coords)
    >>> bool(np.allclose(phase_randomised(ds).z.std("time"), ds.z.std("time")))
    True
    """
    check_arguments(length=length, seed=seed)
    time = time_axis(data, dim)
    axes = horizontal_axes(data)
    out = data.copy()
    core = [*axes.both, time]
    for number, (name, variable) in enumerate(data.data_vars.items()):
        if not set(core) <= set(variable.dims):
            continue
        whole = variable.chunk(dict.fromkeys(core, -1)) if variable.chunks is not None else variable
        out[name] = xr.apply_ufunc(
            _surrogate_field,
            whole,
            input_core_dims=[core],
            output_core_dims=[core],
            dask="parallelized",
            output_dtypes=[np.result_type(variable.dtype, np.float32)],
            keep_attrs=True,
            kwargs={
                "latitude": np.asarray(data[axes.latitude].values, dtype=np.float64),
                "longitude": np.asarray(data[axes.longitude].values, dtype=np.float64),
                "length": length,
                "seed": seed * 1009 + number,
            },
        ).transpose(*variable.dims)
    return out
