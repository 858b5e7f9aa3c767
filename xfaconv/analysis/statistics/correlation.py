"""Correlation in time and in space: of two series, of a base point with a map, of all cells, and of two maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import (
    cell_area,
    check_arrays,
    horizontal_axes,
    horizontal_coordinates,
    in_one_chunk,
    nearest_point,
    require_dimension,
    time_axis,
)
from xfaconv.analysis.statistics.anomalies import anomalies
from xfaconv.analysis.statistics.seasons import Season, adjacent_steps, covered, steps_of_season
from xfaconv.analysis.statistics.significance import (
    check_same_times,
    correlation_over_time,
    correlation_p_value,
    exceedance,
    false_discovery,
)
from xfaconv.analysis.statistics.surrogates import surrogate_series
from xfaconv.arguments import Place, as_place, check_arguments, check_choice
from xfaconv.errors import ArgumentError, GridError, TimeError

Null = Literal["effective", "phase"]


def _require_even_steps(data: xr.DataArray, time: str, what: str, fix: str) -> None:
    breaks = int((~adjacent_steps(data, time)).sum())
    if breaks:
        raise TimeError(f"{what} needs a time axis without breaks", found=f"{breaks} breaks", fix=fix)


def _phase_p(
    field: NDArray[np.floating], series: NDArray[np.floating], *, count: int, seed: int
) -> NDArray[np.floating]:
    true = np.asarray(series, dtype=np.float64)
    return exceedance(field, np.concatenate([true[None], surrogate_series(true, count, seed)]))


def correlate(
    x: xr.DataArray,
    y: xr.DataArray,
    *,
    dim: str | None = None,
    null: Null = "effective",
    surrogates: int = 999,
    seed: int = 0,
) -> xr.Dataset:
    """Correlation over time with a p-value that accounts for autocorrelation.

    Parameters
    ----------
    x : DataArray (time, ...)
        A series; with ``null="phase"`` exactly ``(time,)``, complete, and evenly spaced.
    y : DataArray (time, ...)
        A series or field at the same times; missing values are left out pairwise.
    dim : str, optional
        Name of the time dimension.
    null : {"effective", "phase"}
        Student's t with Bretherton's effective sample size, or phase-randomised surrogates of x (Ebisuzaki 1997).
    surrogates : int
        Number of surrogates; the smallest p-value is ``1 / (surrogates + 1)``, too coarse for a false discovery
        rate over many cells unless many are drawn.
    seed : int
        Seed of the surrogates.

    Returns
    -------
    Dataset (...)
        ``correlation``, ``effective_sample_size`` and ``p_value``, of the precision of the data; lazy if either is.

    Raises
    ------
    TimeError
        If the times differ, or are not even where the null needs it.
    ArgumentError
        If ``null`` is unknown.
    MissingDataError
        If x has gaps and ``null="phase"``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = xr.DataArray(rng.normal(size=100), dims="time")
    >>> y = 0.8 * x + 0.6 * xr.DataArray(rng.normal(size=100), dims="time")
    >>> bool(correlate(x, y).p_value < 1e-6)
    True
    """
    check_arguments(null=null, surrogates=surrogates, seed=seed)
    name = time_axis(x, dim)
    check_same_times(x, y, name)
    dtype = np.result_type(x.dtype, y.dtype, np.float32)
    correlation, effective = (values.astype(dtype) for values in correlation_over_time(x, y, name))
    if null == "effective":
        p_value = correlation_p_value(correlation, effective)
    else:
        if x.dims != (name,):
            raise ArgumentError("null='phase' needs x with time alone", found=f"dims {x.dims}", fix="null='effective'")
        _require_even_steps(x, name, "null='phase'", "null='effective'  # or correlate before selecting a season")
        p_value = xr.apply_ufunc(
            _phase_p,
            in_one_chunk(y, [name]).astype(dtype),
            in_one_chunk(x, [name]),
            input_core_dims=[[name], [name]],
            dask="parallelized",
            output_dtypes=[dtype],
            kwargs={"count": surrogates, "seed": seed},
        )
    correlation.attrs = {"long_name": "Pearson correlation", "units": "1"}
    effective.attrs = {"long_name": "effective sample size (Bretherton et al. 1999)", "units": "1"}
    p_value.attrs = {
        "long_name": "two-sided p-value",
        "units": "1",
        "null": "Student t with effective sample size" if null == "effective" else f"{surrogates} phase surrogates",
    }
    return xr.Dataset({"correlation": correlation, "effective_sample_size": effective, "p_value": p_value})


def _shift(series: xr.DataArray, field: xr.DataArray, lag: int, time: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Pair the series with the field `lag` steps before, both labelled by the time of the series."""
    if lag == 0:
        return series, field
    _require_even_steps(field, time, "a lag", "pass season= instead of selecting the season first")
    length = series.sizes[time]
    if abs(lag) > length - 3:
        raise ArgumentError("lag is longer than the record", expected=f"at most {length - 3}", found=str(lag))
    later, earlier = slice(abs(lag), None), slice(None, length - abs(lag))
    of_series, of_field = (later, earlier) if lag > 0 else (earlier, later)
    part = series.isel({time: of_series})
    return part, field.isel({time: of_field}).assign_coords({time: part[time]})


def _base_series(
    values: xr.DataArray, base: Place | xr.DataArray, time: str, deseasonalise: bool
) -> tuple[xr.DataArray, dict[str, str | float]]:
    """Series of the base point or the index, and attributes that say what it is."""
    if isinstance(base, xr.DataArray):
        require_dimension(base, time, "the index")
        series = base.reset_coords(drop=True)
        name = base.attrs.get("long_name", "index" if base.name is None else base.name)
        return (anomalies(series) if deseasonalise else series), {"base": str(name)}
    table = hasattr(base, "to_xarray")
    if isinstance(base, xr.Dataset) or table or (isinstance(base, np.ndarray) and base.size != 2):
        column = ".iloc[:, 0]" if getattr(base, "ndim", 1) == 2 else ""
        index = f"base=xr.DataArray(base{column}.to_numpy(), {{{time!r}: base.index}}, ({time!r},))"
        fix = index if table else "base=(0, -140)  # or an index, such as xfaconv.analysis.nino34(ds)"
        raise ArgumentError("base is neither a place nor an index", found=type(base).__name__, fix=fix)
    cell = nearest_point(values, as_place(base, "base"))
    latitude, longitude = (float(cell[found.name]) for found in horizontal_coordinates(values))
    words = f"cell at {latitude:g} N, {longitude:g} E"
    # Scalars of the cell go; what lies along time stays, since it may tell the season.
    here = [name for name, coord in cell.coords.items() if coord.ndim == 0]
    return cell.drop_vars(here), {"base": words, "base_latitude": latitude, "base_longitude": longitude}


def correlation_map(
    field: xr.DataArray,
    base: Place | xr.DataArray,
    *,
    lag: int | Sequence[int] = 0,
    season: Season = None,
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
    check_arrays(field=field)
    time, axes = time_axis(field), horizontal_axes(field)
    values = anomalies(field) if deseasonalise else field
    series, about = _base_series(values, base, time, deseasonalise)
    lags = [lag] if isinstance(lag, int) else [int(step) for step in lag]
    parts = []
    for step in lags:
        first, second = _shift(series, values, step, time)
        selected = {time: steps_of_season(first[time], season)}
        parts.append(
            correlate(
                first.isel(selected), second.isel(selected), dim=time, null=null, surrogates=surrogates, seed=seed
            )
        )
    if isinstance(lag, int):
        out = parts[0]
    else:
        number = xr.Variable("lag", lags, {"long_name": "steps by which the field precedes the base point"})
        out = xr.concat(parts, number, join="exact", combine_attrs="override").assign_coords(lag=number)
    found = false_discovery(out.p_value, alpha=alpha, dim=axes)
    # With the map itself travel its base, season and dates: figures are made of it alone.
    about |= covered(series[time].isel({time: steps_of_season(series[time], season)}), season)
    out["correlation"].attrs.update(about)
    return out.assign(found.data_vars).assign_attrs(found.attrs, **about, null=null)


def _lowest(field: NDArray[np.floating], *, block: int = 512) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Lowest correlation that each cell has with any other, and the position of that other; -1 for a missing cell."""
    rows = np.asarray(field, dtype=np.float64).reshape(-1, field.shape[-1])
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    usable = np.isfinite(length[:, 0]) & (length[:, 0] > 0)
    unit = np.where(usable[:, None], rows / np.where(length > 0, length, 1.0), 0.0).astype(np.float32)
    best = np.full(len(rows), np.nan)
    partner = np.full(len(rows), -1, dtype=np.int64)
    # The whole matrix of 10,512 cells would need 0.4 GB: it is made in blocks of rows.
    for start in range(0, len(rows), block):
        part = unit[start : start + block] @ unit.T
        part[:, ~usable] = np.inf
        partner[start : start + block] = part.argmin(axis=1)
        best[start : start + block] = part.min(axis=1)
    best[~usable], partner[~usable] = np.nan, -1
    shape = field.shape[:-1]
    return best.clip(-1, 1).astype(field.dtype).reshape(shape), partner.reshape(shape)


def _coordinate_of(position: NDArray[np.int64], *, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(position < 0, np.nan, values[position])


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
    check_arrays(field=field)
    axes = horizontal_axes(field)
    core = [*axes, time_axis(field)]
    values = in_one_chunk(anomalies(field) if deseasonalise else field, core)
    best, partner = xr.apply_ufunc(
        _lowest,
        values,
        input_core_dims=[core],
        output_core_dims=[list(axes), list(axes)],
        dask="parallelized",
        output_dtypes=[values.dtype, np.int64],
    )
    out = xr.Dataset({"teleconnectivity": -best})
    out["teleconnectivity"].attrs = {"long_name": "strongest negative correlation with any other cell", "units": "1"}
    grid = np.meshgrid(*(np.asarray(field[name].values, dtype=np.float64) for name in axes), indexing="ij")
    for name, coordinate in zip(("partner_latitude", "partner_longitude"), grid, strict=True):
        out[name] = xr.apply_ufunc(
            _coordinate_of,
            partner,
            dask="parallelized",
            output_dtypes=[np.float64],
            kwargs={"values": coordinate.ravel()},
        )
        out[name].attrs = {"long_name": "place of the cell with that correlation", "units": "degrees"}
    return out


def weighted_correlation(x: NDArray[np.floating], y: NDArray[np.floating], weight: NDArray[np.floating]) -> float:
    """Pearson correlation of two vectors with weights; NaN pairs are left out, NaN where either is constant.

    Examples
    --------
    >>> weighted_correlation(np.array([1.0, 2, 3]), np.array([2.0, 4, 6]), np.ones(3))
    1.0
    """
    kept = np.isfinite(x) & np.isfinite(y) & (weight > 0)
    if kept.sum() < 3:
        return float("nan")
    a, b, w = (np.asarray(part, dtype=np.float64)[kept] for part in (x, y, weight))
    w = w / w.sum()
    a, b = a - (w * a).sum(), b - (w * b).sum()
    scale = np.sqrt((w * a * a).sum() * (w * b * b).sum())
    return float(np.clip((w * a * b).sum() / scale, -1, 1)) if scale > 0 else float("nan")


def _ranks(values: NDArray[np.floating], weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the weight that lies below each value, ties in the middle: with equal weights, Spearman's ranks."""
    out = np.full(values.shape, np.nan)
    kept = np.isfinite(values) & (weight > 0)
    distinct, group = np.unique(values[kept], return_inverse=True)
    mass = np.bincount(group, weight[kept], minlength=len(distinct))
    out[kept] = (np.cumsum(mass) - mass / 2)[group] / max(mass.sum(), np.finfo(np.float64).tiny)
    return out


def _correlation_of_maps(
    x: NDArray[np.floating], y: NDArray[np.floating], weight: NDArray[np.float64], *, kind: str
) -> NDArray[np.floating]:
    shape = np.broadcast_shapes(x.shape, y.shape)
    flat = [np.broadcast_to(part, shape).reshape(-1, shape[-2] * shape[-1]) for part in (x, y)]
    area = weight.ravel()
    out = np.empty(len(flat[0]))
    for number, pair in enumerate(zip(*flat, strict=True)):
        kept = np.where(np.isfinite(pair[0]) & np.isfinite(pair[1]), area, 0.0)
        first, second = (_ranks(values, kept) for values in pair) if kind == "rank" else pair
        out[number] = weighted_correlation(first, second, area)
    return out.reshape(shape[:-2]).astype(np.result_type(x.dtype, y.dtype, np.float32))


def pattern_correlation(
    x: xr.DataArray, y: xr.DataArray, *, kind: Literal["value", "rank"] = "value", where: xr.DataArray | None = None
) -> xr.DataArray:
    """Correlate two maps over the sphere, each cell counting by its area.

    Parameters
    ----------
    x, y : DataArray (..., latitude, longitude)
        On one grid; other dims are broadcast. NaN cells are left out.
    kind : {"value", "rank"}
        Pearson, or Spearman with ranks by area.
    where : DataArray (latitude, longitude), optional
        Cells that count.

    Returns
    -------
    DataArray (...)
        -1 to 1, lazy if either is.

    Raises
    ------
    GridError
        If the grids differ.
    ArgumentError
        If the kind is unknown.

    Examples
    --------
    >>> coords = {"lat": [-30.0, 0.0, 30.0], "lon": [0.0, 120.0, 240.0]}
    >>> x = xr.DataArray(np.arange(9.0).reshape(3, 3), coords, ("lat", "lon"))
    >>> float(pattern_correlation(x, -x)), float(pattern_correlation(x, x**3, kind="rank").round(6))
    (-1.0, 1.0)
    """
    check_choice("kind", kind, ("value", "rank"))
    check_arrays(x=x, y=y, **({} if where is None else {"where": where}))
    axes = horizontal_axes(x)
    if where is not None and not set(axes) == set(where.dims):
        raise GridError("where is no map", expected=f"dimensions {tuple(axes)}", found=f"dimensions {where.dims}")
    for name, first, second in zip(axes, horizontal_coordinates(x), horizontal_coordinates(y), strict=True):
        if name not in y.dims or x.sizes[name] != y.sizes[name] or not np.allclose(first, second, atol=1e-3):
            raise GridError(f"the maps differ in {name}", fix="y = y.interp_like(x)")
    area = cell_area(x)
    if where is not None:
        area = area * where.transpose(*axes).values
    core, labels = list(axes), {name: x[name] for name in axes if name in x.coords}
    first, second = (in_one_chunk(part, core) for part in (x, y))
    out: xr.DataArray = xr.apply_ufunc(
        _correlation_of_maps,
        first,
        second.assign_coords(labels),
        area,
        input_core_dims=[core, core, core],
        dask="parallelized",
        output_dtypes=[np.result_type(x.dtype, y.dtype, np.float32)],
        kwargs={"kind": kind},
    )
    out.attrs = {"long_name": f"area-weighted {kind} correlation of two maps", "units": "1"}
    return out


def partial_rank_correlation(
    x: NDArray[np.float64], y: NDArray[np.float64], controls: Sequence[NDArray[np.float64]]
) -> float:
    """Spearman correlation of what the controls do not explain, by least squares on ranks.

    Parameters
    ----------
    x, y : ndarray (sample,)
        The two.
    controls : sequence of ndarray (sample,)
        What is taken off; none gives the plain rank correlation.

    Returns
    -------
    float
        NaN where the controls explain x or y whole.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> common, x, y = rng.normal(size=(3, 500))
    >>> round(abs(partial_rank_correlation(common + 0.1 * x, common + 0.1 * y, [common])), 0)
    0.0
    """
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (x, y, *controls)]
    basis = np.stack([np.ones(len(x)), *ranks[2:]], axis=1)
    rest = [values - basis @ np.linalg.lstsq(basis, values, rcond=None)[0] for values in ranks[:2]]
    scale = float(np.sqrt((rest[0] ** 2).sum() * (rest[1] ** 2).sum()))
    # What least squares leaves of a vector that the controls explain whole is rounding.
    tiny = 1e-9 * float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((rest[0] * rest[1]).sum() / scale) if scale > tiny else float("nan")
