"""Phase-randomised surrogates: every series keeps its spectrum, its relations to other series are random."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import horizontal_axes, in_one_chunk, time_axis
from xfaconv.arguments import check_arguments
from xfaconv.errors import MissingDataError

_WAVES = 96


def _turn(spectrum: NDArray[np.complex128], phase: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Turn each frequency by a phase and transform back to a real series of the same mean."""
    turned = spectrum * np.exp(1j * phase)
    turned[..., 0] = spectrum[..., 0]
    if length % 2 == 0:
        # The coefficient at the Nyquist frequency is real: all that can change is its sign.
        turned[..., -1] = spectrum[..., -1] * np.where(np.cos(phase[..., -1]) < 0, -1.0, 1.0)
    return np.fft.irfft(turned, n=length, axis=-1)


def require_complete(missing: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Mark the cells that are always missing; refuse those that are missing at some times only.

    Parameters
    ----------
    missing : ndarray, bool
        Whether a value is missing.
    axis : int
        Axis of time.

    Returns
    -------
    ndarray without that axis, bool

    Raises
    ------
    MissingDataError
        If a cell is missing at some times only.

    Examples
    --------
    >>> require_complete(np.array([[True, False], [True, False]]), 0)
    array([ True, False])
    """
    always = missing.all(axis=axis)
    gaps = int((missing.any(axis=axis) & ~always).sum())
    if gaps:
        problem = "some cells are missing at some times only: they must be complete or always missing"
        raise MissingDataError(
            problem, found=f"{gaps} cells with gaps", fix="fill the gaps first, such as with .interpolate_na('time')"
        )
    return np.asarray(always)


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
    missing = int((~np.isfinite(values)).sum())
    if missing:
        fix = "null='effective'  # or series.interpolate_na('time')"
        raise MissingDataError("the series has missing values", found=f"{missing} of {values.size}", fix=fix)
    spectrum = np.fft.rfft(values)
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, size=(count, len(spectrum)))
    return _turn(np.broadcast_to(spectrum, phase.shape).copy(), phase, len(values))


def surrogate_vectors(vectors: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Turn all components of a series of vectors by the same random phases (Prichard and Theiler 1994).

    Spectra and the covariance of the components stay; any clustering beyond them goes.

    Examples
    --------
    >>> vectors = np.random.default_rng(0).normal(size=(50, 2))
    >>> bool(np.allclose(np.cov(surrogate_vectors(vectors, 1).T), np.cov(vectors.T)))
    True
    """
    spectrum = np.fft.rfft(vectors, axis=0)
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, size=(len(spectrum), 1))
    # One phase for all components keeps their cross-spectra, and so their covariance. The mean and the coefficient at
    # the Nyquist frequency are real and stay.
    phase[0] = 0
    if len(vectors) % 2 == 0:
        phase[-1] = 0
    return np.asarray(np.fft.irfft(spectrum * np.exp(1j * phase), n=len(vectors), axis=0))


def _smooth_phases(
    latitude: NDArray[np.float64], longitude: NDArray[np.float64], frequencies: int, length: float, seed: int
) -> NDArray[np.float64]:
    """Random phases (latitude, longitude, frequency), alike within `length` degrees and unrelated beyond.

    The phase of each frequency is the angle of a complex Gaussian field on the sphere, made of plane waves in space
    with wave numbers drawn from a Gaussian: its correlation is exp(-d^2 / 2 length^2) with d the chord.
    """
    generator = np.random.default_rng(seed)
    rows, columns = np.deg2rad(latitude)[:, None], np.deg2rad(longitude)[None, :]
    place = np.stack(
        np.broadcast_arrays(np.cos(rows) * np.cos(columns), np.cos(rows) * np.sin(columns), np.sin(rows)), axis=-1
    )
    features = np.exp(1j * place @ (generator.normal(size=(3, _WAVES)) / np.deg2rad(length)))
    shape = (_WAVES, frequencies)
    amplitude = generator.normal(size=shape) + 1j * generator.normal(size=shape)
    return np.asarray(np.angle(features @ amplitude))


def _surrogate_field(
    field: NDArray[np.floating],
    *,
    latitude: NDArray[np.float64],
    longitude: NDArray[np.float64],
    length: float,
    seed: int,
) -> NDArray[np.floating]:
    always = require_complete(~np.isfinite(field), -1)[..., None]
    spectrum = np.fft.rfft(np.where(always, 0.0, field.astype(np.float64)), axis=-1)
    phase = _smooth_phases(latitude, longitude, spectrum.shape[-1], length, seed)
    turned = _turn(spectrum, np.broadcast_to(phase, spectrum.shape), field.shape[-1])
    return np.where(always, np.nan, turned).astype(field.dtype)


def phase_randomised(data: xr.Dataset, *, length: float = 20.0, seed: int = 0, dim: str | None = None) -> xr.Dataset:
    """Surrogate of a whole Dataset: each cell keeps its spectrum, near cells vary together, far ones independently.

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
    axes = horizontal_axes(data)
    core = [*axes, time_axis(data, dim)]
    latitude, longitude = (np.asarray(data[name].values, dtype=np.float64) for name in axes)
    out = data.copy()
    for number, (name, variable) in enumerate(data.data_vars.items()):
        if set(core) <= set(variable.dims):
            out[name] = xr.apply_ufunc(
                _surrogate_field,
                in_one_chunk(variable, core),
                input_core_dims=[core],
                output_core_dims=[core],
                dask="parallelized",
                output_dtypes=[np.result_type(variable.dtype, np.float32)],
                keep_attrs=True,
                kwargs={
                    "latitude": latitude,
                    "longitude": longitude,
                    "length": length,
                    "seed": seed * 1009 + number,
                },
            ).transpose(*variable.dims)
    return out
