"""Lagged one-point correlation maps and teleconnectivity, each with significance over its domain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.anomalies import anomalies
from xfaconv.analysis.axes import check_arrays, horizontal_axes, is_adjacent, time_axis
from xfaconv.analysis.discovery import false_discovery
from xfaconv.analysis.places import nearest_point
from xfaconv.analysis.seasons import in_season
from xfaconv.analysis.significance import Null, correlate
from xfaconv.arguments import as_place, check_arguments
from xfaconv.errors import ArgumentError, TimeError


def _shift(series: xr.DataArray, field: xr.DataArray, lag: int, time: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Pair the series with the field `lag` steps before, both labelled by the time of the series."""
    length = series.sizes[time]
    if lag == 0:
        return series, field
    if not is_adjacent(field[time]).all():
        raise TimeError(
            "a lag needs a time axis without breaks",
            expected="even steps",
            found=f"{int((~is_adjacent(field[time])).sum())} breaks",
            fix="pass season= instead of selecting the season first",
        )
    if abs(lag) > length - 3:
        raise ArgumentError("lag is longer than the record", expected=f"at most {length - 3}", found=str(lag))
    later, earlier = slice(abs(lag), None), slice(None, length - abs(lag))
    of_series, of_field = (later, earlier) if lag > 0 else (earlier, later)
    part = series.isel({time: of_series})
    return part, field.isel({time: of_field}).assign_coords({time: part[time]})


def _check_base(base: object) -> None:
    """Refuse what is neither a place nor a DataArray, with the line that makes a DataArray of a pandas series."""
    table = hasattr(base, "to_xarray")
    if isinstance(base, xr.Dataset) or table or (isinstance(base, np.ndarray) and base.size != 2):
        raise ArgumentError(
            "base is neither a place nor an index",
            expected="(latitude, longitude), or a DataArray (time)",
            found=type(base).__name__,
            fix="base=xr.DataArray(series.to_numpy(), {'time': series.index}, ('time',))"
            if table
            else "base=(0, -140), or base=xfaconv.analysis.nino34(ds)",
        )


def correlation_map(
    field: xr.DataArray,
    base: tuple[float, float] | xr.DataArray,
    *,
    lag: int | Sequence[int] = 0,
    season: str | Sequence[int] | None = None,
    null: Null = "effective",
    surrogates: int = 999,
    seed: int = 0,
    alpha: float = 0.05,
    deseasonalise: bool = True,
) -> xr.Dataset:
    """Correlate every cell with a base point or an index, at one lag or several.

    Parameters
    ----------
    field : DataArray (time, latitude, longitude)
        Raw values or anomalies.
    base : (latitude, longitude) or DataArray (time)
        A place [degrees], whose cell of the field is taken, or an index at the times of the field.
    lag : int or sequence of int
        Steps by which the field comes before the base point; negative: after it. A sequence adds a dim ``lag``.
    season : str or sequence of int, optional
        Season of the base point, such as ``"DJF"``.
    null : {"effective", "phase"}
        See `correlate`; "phase" needs the whole year, and many surrogates: no p-value is below
        ``1 / (surrogates + 1)``. Where few of many cells are linked, none passes the false discovery rate unless that
        is at most alpha times the linked share of the cells: 10 of 10,000 cells need 20,000 surrogates.
    surrogates, seed : int
        Of the phase-randomised null.
    alpha : float
        False discovery rate over the domain, each lag being a family.
    deseasonalise : bool
        Take the seasonal cycle off first.

    Returns
    -------
    Dataset ([lag,] latitude, longitude)
        ``correlation``, ``effective_sample_size``, ``p_value``, ``adjusted_p_value``, ``significant`` and
        ``number_of_tests``; attrs give alpha, domain and number of cells. Lazy if the field is lazy.

    Raises
    ------
    TimeError
        If times differ, have breaks where a lag is asked for, or hold nothing of the season.
    ArgumentError
        If a lag is longer than the record, or the base is neither a place nor an index.
    CoordinateError
        If the base point lies outside the grid.

    Examples
    --------
    >>> times = xr.date_range("1990-01-01", periods=240, freq="MS")
    >>> coords = {"time": times, "lat": [0.0, 10.0], "lon": [0.0, 10.0]}
    >>> field = xr.DataArray(np.random.default_rng(0).normal(size=(240, 2, 2)), coords, ("time", "lat", "lon"))
    >>> field[2:, 1, 1] = field[:-2, 0, 0].values
    >>> out = correlation_map(field, (10, 10), lag=[0, 2])
    >>> out.significant[:, 0, 0].values
    array([False,  True])
    """
    check_arguments(lag=lag, null=null, surrogates=surrogates, seed=seed, alpha=alpha, deseasonalise=deseasonalise)
    time, axes = time_axis(field), horizontal_axes(field)
    check_arrays(field=field)
    _check_base(base)
    values = anomalies(field) if deseasonalise else field
    if isinstance(base, xr.DataArray):
        if time not in base.dims:
            raise TimeError("the index has no time", expected=f"dimension {time!r}", found=f"dimensions {base.dims}")
        series, place = base.reset_coords(drop=True), "index" if base.name is None else str(base.name)
        series = anomalies(series) if deseasonalise else series
    else:
        cell = nearest_point(values, *as_place(base, "base"))
        place = f"cell at {float(cell[axes.latitude]):g} N, {float(cell[axes.longitude]):g} E"
        series = cell.reset_coords(drop=True)
    lags = [lag] if isinstance(lag, int) else [int(step) for step in lag]
    parts = []
    for step in lags:
        first, second = _shift(series, values, step, time)
        selected = in_season(first[time], season)
        if not selected.any():
            raise TimeError(
                "no step of the base point is in the season",
                expected=f"steps in {season or 'the year'}",
                found=f"{first.sizes[time]} steps, none of them in it",
                fix="season=None for all months, or give a record that holds the season",
            )
        first, second = first.isel({time: selected}), second.isel({time: selected})
        parts.append(correlate(first, second, dim=time, null=null, surrogates=surrogates, seed=seed))
    if isinstance(lag, int):
        out = parts[0]
    else:
        number = xr.Variable("lag", lags, {"long_name": "steps by which the field precedes the base point"})
        out = xr.concat(parts, number, join="exact", combine_attrs="override").assign_coords(lag=number)
    found = false_discovery(out.p_value, alpha=alpha, dim=axes.both)
    out = out.assign(found.data_vars)
    return out.assign_attrs(found.attrs, base=place, season=str(season or "all"), null=null)


def _lowest(field: NDArray[np.floating], *, block: int = 512) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Lowest correlation that each cell has with any other, and the position of that other; -1 for a missing cell."""
    rows = np.asarray(field, dtype=np.float64).reshape(-1, field.shape[-1])
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    usable = np.isfinite(length[:, 0]) & (length[:, 0] > 0)
    unit = np.where(usable[:, None], rows / np.where(length > 0, length, 1.0), 0.0).astype(np.float32)
    best = np.full(len(rows), np.nan)
    partner = np.full(len(rows), -1, dtype=np.int64)
    for start in range(0, len(rows), block):
        part = unit[start : start + block] @ unit.T
        part[:, ~usable] = np.inf
        partner[start : start + block] = part.argmin(axis=1)
        best[start : start + block] = part.min(axis=1)
    best[~usable], partner[~usable] = np.nan, -1
    shape = field.shape[:-1]
    return best.clip(-1, 1).astype(field.dtype).reshape(shape), partner.reshape(shape)


def teleconnectivity(field: xr.DataArray, *, deseasonalise: bool = True) -> xr.Dataset:
    """Strongest negative correlation that each cell has with any other (Wallace and Gutzler 1981).

    Parameters
    ----------
    field : DataArray (time, latitude, longitude)
        Raw values or anomalies; cells with a missing value are left out.
    deseasonalise : bool
        Take the seasonal cycle off first.

    Returns
    -------
    Dataset (latitude, longitude)
        ``teleconnectivity`` (0 to 1, the size of the correlation), ``partner_latitude`` and ``partner_longitude``
        [degrees]. One lazy task if the field is lazy; its cost grows with the square of the number of cells.

    Examples
    --------
    >>> coords = {"time": np.arange(50), "lat": [0.0, 10.0], "lon": [0.0, 10.0]}
    >>> field = xr.DataArray(np.random.default_rng(0).normal(size=(50, 2, 2)), coords, ("time", "lat", "lon"))
    >>> field[:, 1, 1] = -field[:, 0, 0]
    >>> out = teleconnectivity(field, deseasonalise=False)
    >>> float(out.teleconnectivity[0, 0].round(6)), float(out.partner_latitude[0, 0])
    (1.0, 10.0)
    """
    check_arguments(deseasonalise=deseasonalise)
    time, axes = time_axis(field), horizontal_axes(field)
    check_arrays(field=field)
    values = anomalies(field) if deseasonalise else field
    core = [*axes.both, time]
    if values.chunks is not None:
        values = values.chunk(dict.fromkeys(core, -1))
    best, partner = xr.apply_ufunc(
        _lowest,
        values,
        input_core_dims=[core],
        output_core_dims=[list(axes.both), list(axes.both)],
        dask="parallelized",
        output_dtypes=[values.dtype, np.int64],
    )
    columns = field.sizes[axes.longitude]
    rows = np.asarray(field[axes.latitude].values, dtype=np.float64)
    meridians = np.asarray(field[axes.longitude].values, dtype=np.float64)

    def place(position: NDArray[np.int64], coordinate: NDArray[np.float64], along: str) -> NDArray[np.float64]:
        number = position // columns if along == "row" else position % columns
        return np.where(position < 0, np.nan, coordinate[number])

    located = {
        name: xr.apply_ufunc(
            place, partner, dask="parallelized", output_dtypes=[np.float64], kwargs={"coordinate": axis, "along": along}
        )
        for name, axis, along in (("partner_latitude", rows, "row"), ("partner_longitude", meridians, "column"))
    }
    for part in located.values():
        part.attrs = {"long_name": "place of the cell with that correlation", "units": "degrees"}
    strength = -best
    strength.attrs = {"long_name": "strongest negative correlation with any other cell", "units": "1"}
    return xr.Dataset({"teleconnectivity": strength, **located})
