"""Composites of a field by the phase of an index, season or regime, with significance that knows about memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.anomalies import anomalies
from xfaconv.analysis.axes import check_arrays, horizontal_axes, time_axis
from xfaconv.analysis.discovery import false_discovery
from xfaconv.analysis.events import effective_sample_of_events
from xfaconv.analysis.seasons import in_season, season_years
from xfaconv.analysis.significance import correlate, correlation_p_value, exceedance
from xfaconv.arguments import check_arguments
from xfaconv.errors import ArgumentError, MissingDataError, TimeError

_LEAST_YEARS = 5


def _shuffled(
    field: NDArray[np.floating], indicator: NDArray[np.floating], *, table: NDArray[np.int64], count: int, seed: int
) -> NDArray[np.floating]:
    """p-values of a membership series whose years are shuffled against the field's; each year stays whole."""
    generator = np.random.default_rng(seed)
    series = np.nan_to_num(np.asarray(indicator, dtype=np.float64))[table]
    shuffles = np.stack([series] + [series[generator.permutation(len(series))] for _ in range(count)])
    return exceedance(np.asarray(field)[..., table.ravel()], shuffles.reshape(count + 1, -1))


def _year_table(time: xr.DataArray, season: str | Sequence[int] | None) -> NDArray[np.int64]:
    """Positions (year, step of the season) of the years that are complete but for a leap day."""
    years = season_years(time, season)
    names, sizes = np.unique(years, return_counts=True)
    longest = sizes.max()
    whole = names[sizes >= longest - 1]
    length = int(sizes[sizes >= longest - 1].min())
    if len(whole) < _LEAST_YEARS:
        raise TimeError(
            "too few years to shuffle",
            expected=f"at least {_LEAST_YEARS} complete years",
            found=f"{len(whole)}",
            fix="test='effective'",
        )
    return np.stack([np.flatnonzero(years == name)[:length] for name in whole])


def membership_test(
    field: xr.DataArray,
    members: xr.DataArray,
    *,
    test: Literal["effective", "years"] = "effective",
    season: str | Sequence[int] | None = None,
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
        lazy = field.chunks is not None
        p_value = xr.apply_ufunc(
            _shuffled,
            field.chunk({time: -1}) if lazy else field,
            indicator.chunk({time: -1}) if indicator.chunks is not None else indicator,
            input_core_dims=[[time], [time]],
            dask="parallelized",
            output_dtypes=[field.dtype],
            kwargs={"table": _year_table(field[time], season), "count": shuffles, "seed": seed},
        )
        null = f"{shuffles} shuffles of whole years"
    p_value.attrs = {"long_name": "two-sided p-value", "units": "1", "null": null}
    mean.attrs = {"long_name": "mean anomaly", "units": field.attrs.get("units", "1")}
    number = inside.sum(time)
    number.attrs = {"long_name": "number of steps in the mean", "units": "1"}
    found = false_discovery(p_value, alpha=alpha, dim=horizontal_axes(field).both)
    return xr.Dataset({"mean": mean, "count": number, "p_value": p_value, **found}, attrs=found.attrs)


def composite(
    field: xr.DataArray,
    index: xr.DataArray,
    *,
    threshold: float = 1.0,
    season: str | Sequence[int] | None = None,
    test: Literal["effective", "years"] = "effective",
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
    if time not in index.dims:
        raise TimeError("the index has no time", expected=f"dimension {time!r}", found=f"dimensions {index.dims}")
    departure, chosen = xr.align(anomalies(field), index.reset_coords(drop=True), join="inner")
    selected = in_season(departure[time], season)
    if not selected.any():
        raise TimeError(
            "field and index share no times in the season",
            expected=f"common times in {season or 'the year'}",
            found=f"field {field.sizes[time]}, index {index.sizes[time]}, common {departure.sizes[time]} times",
            fix="give both at the same times",
        )
    departure, chosen = departure.isel({time: selected}), chosen.isel({time: selected})
    if chosen.chunks is None and not (abs(chosen) >= threshold).any():
        raise ArgumentError(
            "no step of the index reaches the threshold",
            expected=f"values of at least {threshold:g} or at most {-threshold:g}",
            found=f"{float(chosen.min()):g} to {float(chosen.max()):g}",
            fix="threshold=0.5, or a standardised index",
        )
    parts = [
        membership_test(departure, members, test=test, season=season, shuffles=shuffles, seed=seed, alpha=alpha)
        for members in (chosen >= threshold, chosen <= -threshold)
    ]
    phase = xr.Variable("phase", ["high", "low"])
    out = xr.concat(parts, phase, join="exact", combine_attrs="drop_conflicts").assign_coords(phase=phase)
    return out.assign_attrs(
        threshold=threshold,
        index="index" if index.name is None else str(index.name),
        season=str(season or "all"),
        test=test,
        alpha=alpha,
    )


def regime_composites(
    field: xr.DataArray,
    regime: xr.DataArray | xr.Dataset,
    *,
    season: str | Sequence[int] | None = None,
    test: Literal["effective", "years"] = "effective",
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
    check_arrays(field=field)
    if isinstance(regime, xr.Dataset) and {"label", "regime"} <= set(regime.variables):
        labels, numbers = regime["label"], regime["regime"].values.tolist()
    else:
        check_arrays(regime=regime)
        if time_axis(field) not in regime.dims:
            raise TimeError(
                "the regimes have no time",
                expected=f"dimension {time_axis(field)!r}",
                found=f"dimensions {regime.dims}",
            )
        if regime.chunks is not None:
            raise ArgumentError(
                "how many regimes there are is not known without computing",
                expected="the Dataset that regimes() gives",
                found="a lazy DataArray",
                fix="regime_composites(field, regimes(embedding, 4))",
            )
        labels = regime
        numbers = [int(number) for number in np.unique(regime.values) if number > 0]
    check_arguments(deseasonalise=deseasonalise, test=test, alpha=alpha)
    departure = anomalies(field) if deseasonalise else field
    steps = departure.sizes[time_axis(field)], labels.sizes.get(time_axis(field), 0)
    departure, labels = xr.align(departure, labels.reset_coords(drop=True), join="inner")
    if not departure.sizes[time_axis(field)]:
        raise TimeError(
            "field and regimes share no times",
            expected="common times",
            found=f"field {steps[0]}, regimes {steps[1]}, common 0 times",
            fix="give both at the same times",
        )
    if not numbers:
        raise MissingDataError("there is no regime in the labels", expected="numbers from 1", found="none above 0")
    parts = [membership_test(departure, labels == number, test=test, season=season, alpha=alpha) for number in numbers]
    out = xr.concat(parts, xr.Variable("regime", numbers), join="exact", combine_attrs="drop_conflicts")
    return out.assign_coords(regime=numbers)
