"""Composites: mean fields by the phase of an index or by regime, tested with the autocorrelation of the field."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import check_arrays, horizontal_axes, in_one_chunk, require_dimension, time_axis
from xfaconv.analysis.statistics.anomalies import anomalies
from xfaconv.analysis.statistics.correlation import correlate
from xfaconv.analysis.statistics.seasons import Season, covered, season_name, season_years, steps_of_season
from xfaconv.analysis.statistics.significance import (
    correlation_p_value,
    effective_sample_of_events,
    exceedance,
    false_discovery,
)
from xfaconv.arguments import check_arguments
from xfaconv.errors import ArgumentError, MissingDataError, TimeError

Test = Literal["effective", "years"]

_LEAST_YEARS = 5


def _shuffled(
    field: NDArray[np.floating], indicator: NDArray[np.floating], *, table: NDArray[np.int64], count: int, seed: int
) -> NDArray[np.floating]:
    """p-values of a membership series whose years are shuffled against the field's; each year stays whole."""
    generator = np.random.default_rng(seed)
    series = np.nan_to_num(np.asarray(indicator, dtype=np.float64))[table]
    shuffles = np.stack([series] + [series[generator.permutation(len(series))] for _ in range(count)])
    return exceedance(np.asarray(field)[..., table.ravel()], shuffles.reshape(count + 1, -1))


def _year_table(time: xr.DataArray, season: Season) -> NDArray[np.int64]:
    """Positions (year, step of the season) of the years that are complete but for a leap day."""
    years = season_years(time, season)
    names, sizes = np.unique(years, return_counts=True)
    # A year of daily data may be a leap day shorter; the record's first and last winter are often incomplete.
    complete = sizes >= sizes.max() - 1
    whole, length = names[complete], int(sizes[complete].min())
    if len(whole) < _LEAST_YEARS:
        least = f"at least {_LEAST_YEARS} complete years"
        raise TimeError("too few years to shuffle", expected=least, found=str(len(whole)), fix="test='effective'")
    return np.stack([np.flatnonzero(years == name)[:length] for name in whole])


def _at_common_times(
    field: xr.DataArray, series: xr.DataArray, time: str, name: str
) -> tuple[xr.DataArray, xr.DataArray]:
    require_dimension(series, time, name)
    first, second = xr.align(field, series.reset_coords(drop=True), join="inner")
    if not first.sizes[time]:
        found = f"field {field.sizes[time]}, {name} {series.sizes[time]}, common 0 times"
        raise TimeError(f"field and {name} share no times", found=found, fix="give both at the same times")
    return first, second


def membership_test(
    field: xr.DataArray,
    members: xr.DataArray,
    *,
    test: Test = "effective",
    season: Season = None,
    shuffles: int = 999,
    seed: int = 0,
    alpha: float = 0.05,
) -> xr.Dataset:
    """Test in every cell whether the mean over some times differs from the mean over the others.

    The difference of two means is the correlation with the membership series (1 inside, 0 outside). The events are
    taken as given: where they were chosen by looking at the field itself (regimes of that field), the p-values are too
    small, and ``significant`` only says where the maps stand out.

    Parameters
    ----------
    field : DataArray (time, latitude, longitude)
        Anomalies.
    members : DataArray (time)
        True inside.
    test : {"effective", "years"}
        Student's t with the effective sample size given the events (`effective_sample_of_events`), or whole years of
        membership shuffled against the field's.
    season : str or sequence of int, optional
        The season that the times were selected by: says where a year begins.
    shuffles, seed : int
        Of the shuffled years.
    alpha : float
        False discovery rate.

    Returns
    -------
    Dataset (latitude, longitude)
        ``mean`` over the members in units of the field, ``count`` of members (scalar), ``p_value``,
        ``adjusted_p_value``, ``significant`` and ``number_of_tests``. Lazy if field or members are.

    Raises
    ------
    ArgumentError
        If the test is unknown.
    TimeError
        If times differ or there are too few years to shuffle.

    Examples
    --------
    >>> times = xr.date_range("1990-01-01", periods=240, freq="MS")
    >>> coords = {"time": times, "lat": [0.0, 10.0], "lon": [0.0, 10.0]}
    >>> noise = np.random.default_rng(0).normal(size=(240, 2, 2))
    >>> field = xr.DataArray(noise, coords, ("time", "lat", "lon"))
    >>> members = field[:, 0, 0] > 0.5
    >>> membership_test(field, members).significant.values
    array([[ True, False],
           [False, False]])
    """
    check_arguments(test=test, shuffles=shuffles, seed=seed, alpha=alpha)
    time = time_axis(field)
    inside = members.astype(bool)
    mean = field.where(inside).mean(time, dtype=np.float64).astype(field.dtype)
    indicator = inside.astype(field.dtype).reset_coords(drop=True)
    if test == "effective":
        effective = effective_sample_of_events(field, inside, dim=time).astype(field.dtype)
        p_value = correlation_p_value(correlate(indicator, field, dim=time).correlation, effective)
        null = "Student t with the effective sample size given the events"
    else:
        p_value = xr.apply_ufunc(
            _shuffled,
            in_one_chunk(field, [time]),
            in_one_chunk(indicator, [time]),
            input_core_dims=[[time], [time]],
            dask="parallelized",
            output_dtypes=[field.dtype],
            kwargs={"table": _year_table(field[time], season), "count": shuffles, "seed": seed},
        )
        null = f"{shuffles} shuffles of whole years"
    p_value.attrs = {"long_name": "two-sided p-value", "units": "1", "null": null}
    about = {name: value for name, value in covered(field[time], season).items() if name != "number_of_steps"}
    mean.attrs = {"long_name": "mean anomaly", "units": field.attrs.get("units", "1"), **about}
    number = inside.sum(time)
    number.attrs = {"long_name": "number of steps in the mean", "units": "1"}
    found = false_discovery(p_value, alpha=alpha, dim=horizontal_axes(field))
    return xr.Dataset({"mean": mean, "count": number, "p_value": p_value, **found}, attrs=found.attrs)


def composite(
    field: xr.DataArray,
    index: xr.DataArray,
    *,
    threshold: float = 1.0,
    season: Season = None,
    test: Test = "effective",
    shuffles: int = 999,
    seed: int = 0,
    alpha: float = 0.05,
) -> xr.Dataset:
    """Mean anomaly where an index is high and where it is low.

    Parameters
    ----------
    field : DataArray (time, latitude, longitude)
        Raw values or anomalies: the seasonal cycle is taken off.
    index : DataArray (time)
        Such as `xfaconv.analysis.nino34` gives it.
    threshold : float
        High is at least this, low at most minus this, in units of the index. A phase that no step is in has a count
        of 0 and a map of missing values.
    season : str or sequence of int, optional
        ``"DJF"`` or month numbers; the other phase of each test is the rest of the same season.
    test : {"effective", "years"}
        Student's t with effective sample size, or shuffled years.
    shuffles, seed : int
        Of the shuffled years.
    alpha : float
        False discovery rate of each phase's map.

    Returns
    -------
    Dataset (phase, latitude, longitude)
        ``mean``, ``count`` (phase), ``p_value``, ``adjusted_p_value``, ``significant``, ``number_of_tests`` for
        ``phase`` "high" and "low". Lazy if field or index are.

    Raises
    ------
    ArgumentError
        If the threshold is not positive, no step of an index in memory reaches it, or the season is unknown.
    TimeError
        If field and index share no times in the season.

    Examples
    --------
    >>> times = xr.date_range("1990-01-01", periods=240, freq="MS")
    >>> coords = {"time": times, "lat": [0.0, 10.0], "lon": [0.0, 10.0]}
    >>> noise = np.random.default_rng(0).normal(size=(240, 2, 2))
    >>> field = xr.DataArray(noise, coords, ("time", "lat", "lon"))
    >>> out = composite(field, field[:, 0, 0], season="DJF")
    >>> bool(out["mean"].sel(phase="high")[0, 0] > 1), bool(out.significant.sel(phase="low")[0, 0])
    (True, True)
    """
    check_arguments(threshold=threshold)
    check_arrays(field=field, index=index)
    time = time_axis(field)
    departure, chosen = _at_common_times(anomalies(field), index, time, "index")
    selected = {time: steps_of_season(departure[time], season, among="that field and index share")}
    departure, chosen = departure.isel(selected), chosen.isel(selected)
    if chosen.chunks is None and not (abs(chosen) >= threshold).any():
        problem = f"no step of the index reaches the threshold {threshold:g} or {-threshold:g}"
        found = f"{float(chosen.min()):g} to {float(chosen.max()):g}"
        raise ArgumentError(problem, found=found, fix="threshold=0.5  # or a standardised index")
    parts = [
        membership_test(departure, members, test=test, season=season, shuffles=shuffles, seed=seed, alpha=alpha)
        for members in (chosen >= threshold, chosen <= -threshold)
    ]
    phase = xr.Variable("phase", ["high", "low"])
    out = xr.concat(parts, phase, join="exact", combine_attrs="drop_conflicts").assign_coords(phase=phase)
    return out.assign_attrs(
        threshold=threshold,
        index="index" if index.name is None else str(index.name),
        season=season_name(season),
        test=test,
        alpha=alpha,
    )


def regime_composites(
    field: xr.DataArray,
    regime: xr.DataArray | xr.Dataset,
    *,
    season: Season = None,
    test: Test = "effective",
    alpha: float = 0.05,
    deseasonalise: bool = True,
) -> xr.Dataset:
    """Mean anomaly of a field in each regime, tested against the rest of the record.

    Parameters
    ----------
    field : DataArray (time, latitude, longitude)
        Raw values or anomalies.
    regime : Dataset or DataArray (time)
        As `regimes` gives it.
    season : str or sequence of int, optional
        The season that the regimes were found in, where years are shuffled.
    test : {"effective", "years"}
        See `composite`.
    alpha : float
        False discovery rate of each regime's map.
    deseasonalise : bool
        Take the seasonal cycle off first.

    Returns
    -------
    Dataset (regime, latitude, longitude)
        ``mean``, ``count`` (regime), ``p_value``, ``adjusted_p_value``, ``significant``, ``number_of_tests``. Lazy if
        field or regimes are; the regimes must be known to be 1 to n, so a lazy DataArray needs `regimes`' Dataset.

    Raises
    ------
    ArgumentError
        If a lazy DataArray is given instead of the Dataset.
    TimeError
        If field and regimes share no times.
    MissingDataError
        If no label is above 0.

    Examples
    --------
    >>> times = xr.date_range("2000-01-01", periods=60, freq="MS")
    >>> coords = {"time": times, "lat": [0.0, 10.0], "lon": [0.0, 10.0]}
    >>> field = xr.DataArray(np.random.default_rng(0).normal(size=(60, 2, 2)), coords, ("time", "lat", "lon"))
    >>> labels = xr.DataArray(np.where(field[:, 0, 0] > 0, 1, 2), {"time": times}, ("time",))
    >>> regime_composites(field, labels).significant[:, 0, 0].values
    array([ True,  True])
    """
    check_arguments(deseasonalise=deseasonalise, test=test, alpha=alpha)
    check_arrays(field=field)
    if isinstance(regime, xr.Dataset) and {"label", "regime"} <= set(regime.variables):
        labels, numbers = regime["label"], regime["regime"].values.tolist()
    else:
        check_arrays(regime=regime)
        if regime.chunks is not None:
            problem = "how many regimes a lazy DataArray holds is not known without computing"
            raise ArgumentError(problem, fix="regime = regime.compute()")
        labels, numbers = regime, [int(number) for number in np.unique(regime.values) if number > 0]
    departure = anomalies(field) if deseasonalise else field
    departure, labels = _at_common_times(departure, labels, time_axis(field), "regimes")
    if not numbers:
        raise MissingDataError("there is no regime in the labels", expected="numbers from 1", found="none above 0")
    parts = [membership_test(departure, labels == number, test=test, season=season, alpha=alpha) for number in numbers]
    out = xr.concat(parts, xr.Variable("regime", numbers), join="exact", combine_attrs="drop_conflicts")
    return out.assign_coords(regime=numbers)
