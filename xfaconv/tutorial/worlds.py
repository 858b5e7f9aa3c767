"""Nine small worlds in which correlation is misleading, each with its true drivers and their contributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.arguments import check_arguments, check_choice, check_rules, is_whole
from xfaconv.grid import Grid, great_circle_degrees
from xfaconv.tutorial.planted_data import smooth_noise

Series = NDArray[np.float64]
WORLD_VARIABLES = ("driver", "response", "noise")
_SPIN_UP = 200
_PLACES: Mapping[str, tuple[str, float, float]] = MappingProxyType(
    {
        "a": ("driver", 45.0, 60.0),
        "b": ("driver", 0.0, 200.0),
        "c": ("driver", -45.0, 320.0),
        "d": ("driver", 40.0, 250.0),
        "e": ("driver", -30.0, 110.0),
        "target": ("response", 50.0, 160.0),
        "unlinked": ("driver", -10.0, 20.0),
    }
)
_RADIUS = 18.0
_LEAST_CORRELATION = 0.2


@dataclass(frozen=True, eq=False)
class Planted:
    """What a world is made of.

    Parameters
    ----------
    series : dict of str to ndarray (time,)
        Series of its regions, ``"target"`` among them.
    contribution : dict of str to ndarray (time,)
        What each driver adds to the expected value of the target one day later.
    lag : dict of str to int
        Days by which each driver leads the target.
    confounded : tuple of str
        Regions that correlate with the target and do not drive it.
    noise : dict of str to float
        Regions that are observed with noise of this standard deviation.
    missing : dict of str to float
        Regions of which this share of the cells is never observed.
    common : ndarray (time,), optional
        What is added to every cell.
    """

    series: dict[str, Series]
    contribution: dict[str, Series]
    lag: dict[str, int]
    confounded: tuple[str, ...] = ()
    noise: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, float] = field(default_factory=dict)
    common: Series | None = None


def _persistent(length: int, autocorrelation: float, generator: np.random.Generator) -> Series:
    """Make a first-order autoregressive series of unit variance."""
    noise = generator.normal(size=length) * np.sqrt(1 - autocorrelation**2)
    out = np.zeros(length)
    out[0] = generator.normal()
    for step in range(1, length):
        out[step] = autocorrelation * out[step - 1] + noise[step]
    return out


def _delayed(series: Series, lag: int) -> Series:
    """Give the value `lag` steps before; 0 before the series begins."""
    return np.concatenate([np.zeros(lag), series[: len(series) - lag]])


def _driven(
    drive: Mapping[str, Series], lag: Mapping[str, int], generator: np.random.Generator, strength: float = 0.85
) -> tuple[Series, dict[str, Series]]:
    """Make a target of unit variance, and what each driver adds to its expected value of the next day.

    ``drive`` holds the effect of each driver at its own time, before the lag.
    """
    late = {name: _delayed(effect, lag[name]) for name, effect in drive.items()}
    scale = strength / np.sum(list(late.values()), axis=0).std()
    total = scale * np.sum(list(late.values()), axis=0)
    target = total + np.sqrt(1 - strength**2) * generator.normal(size=len(total))
    # The forecast made today is of tomorrow: the effect that arrives tomorrow left `lag` - 1 days ago.
    ahead = {name: scale * _delayed(effect, lag[name] - 1) for name, effect in drive.items()}
    return target, ahead


def _simple(days: Any, generator: np.random.Generator) -> Planted:
    steps = len(days)
    series = {name: _persistent(steps, 0.5, generator) for name in ("a", "b", "unlinked")}
    lag = {"a": 1, "b": 1}
    series["target"], parts = _driven({"a": series["a"], "b": -series["b"]}, lag, generator)
    return Planted(series, parts, lag)


def _common_driver(days: Any, generator: np.random.Generator) -> Planted:
    steps = len(days)
    driver = _persistent(steps, 0.9, generator)
    other = 0.9 * _delayed(driver, 1) + np.sqrt(1 - 0.81) * generator.normal(size=steps)
    series = {"a": driver, "b": other, "unlinked": _persistent(steps, 0.9, generator)}
    series["target"], parts = _driven({"a": driver}, {"a": 2}, generator)
    return Planted(series, parts, {"a": 2}, confounded=("b",))


def _chain(days: Any, generator: np.random.Generator) -> Planted:
    steps = len(days)
    first = _persistent(steps, 0.8, generator)
    middle = 0.9 * _delayed(first, 1) + np.sqrt(1 - 0.81) * _persistent(steps, 0.3, generator)
    series = {"a": first, "b": middle, "unlinked": _persistent(steps, 0.8, generator)}
    series["target"], parts = _driven({"b": middle}, {"b": 1}, generator)
    return Planted(series, parts, {"b": 1}, confounded=("a",))


def _mirror(days: Any, generator: np.random.Generator) -> Planted:
    steps = len(days)
    # The driver has quick changes of its own, which reach the target; the mirror repeats the slow part alone.
    slow, quick = _persistent(steps, 0.9, generator), generator.normal(size=steps)
    driver = np.sqrt(0.6) * slow + np.sqrt(0.4) * quick
    series = {"a": driver, "b": slow, "unlinked": _persistent(steps, 0.8, generator)}
    series["target"], parts = _driven({"a": driver}, {"a": 1}, generator)
    return Planted(series, parts, {"a": 1}, confounded=("b",), noise={"a": 0.3})


def _both(series: Mapping[str, Series], generator: np.random.Generator) -> Series:
    """Give a region in which two drivers that act in turn are seen at once; it drives nothing."""
    noise = generator.normal(size=len(series["a"]))
    return np.asarray(0.95 * (series["a"] + series["b"]) / np.sqrt(2) + np.sqrt(1 - 0.95**2) * noise)


def _by_season(days: Any, generator: np.random.Generator) -> Planted:
    steps = len(days)
    winter = np.isin(days.month, (12, 1, 2)).astype(float)
    series = {name: _persistent(steps, 0.5, generator) for name in ("a", "b", "unlinked")}
    lag = {"a": 1, "b": 1}
    # The season of the driver decides; both are one day apart.
    drive = {"a": winter * series["a"], "b": (1 - winter) * series["b"]}
    series["target"], parts = _driven(drive, lag, generator)
    series["d"] = _both(series, generator)
    return Planted(series, parts, lag, confounded=("d",))


def _switched(days: Any, generator: np.random.Generator) -> Planted:
    steps = len(days)
    series = {name: _persistent(steps, 0.5, generator) for name in ("a", "b", "unlinked")}
    series["c"] = _persistent(steps, 0.95, generator)
    on = (series["c"] > 0).astype(float)
    lag = {"a": 1, "b": 1}
    series["target"], parts = _driven({"a": on * series["a"], "b": (1 - on) * series["b"]}, lag, generator)
    series["d"] = _both(series, generator)
    return Planted(series, parts, lag, confounded=("d",))


def _nonlinear(days: Any, generator: np.random.Generator) -> Planted:
    steps = len(days)
    series = {name: _persistent(steps, 0.5, generator) for name in ("a", "b", "c", "unlinked")}
    lag = dict.fromkeys(("a", "b", "c"), 1)
    product = series["b"] * series["c"]
    # A product belongs to both factors equally, by symmetry (Shapley).
    square = (series["a"] ** 2 - 1) / np.sqrt(2)
    series["target"], parts = _driven({"a": square, "b": product / 2, "c": product / 2}, lag, generator)
    series["d"] = 0.7 * square + np.sqrt(1 - 0.49) * generator.normal(size=steps)
    return Planted(series, parts, lag, confounded=("d",))


def _trend(days: Any, generator: np.random.Generator) -> Planted:
    steps = len(days)
    found = _simple(days, generator)
    phase = 2 * np.pi * np.asarray(days.day_of_year) / 365.25
    common = 1.5 * np.cos(phase) + np.linspace(-1.5, 1.5, steps)
    return Planted(found.series, found.contribution, found.lag, common=common)


def _incomplete(days: Any, generator: np.random.Generator) -> Planted:
    found = _simple(days, generator)
    return Planted(found.series, found.contribution, found.lag, missing={"a": 0.5})


WORLDS: Mapping[str, Callable[[Any, np.random.Generator], Planted]] = MappingProxyType(
    {
        "simple": _simple,
        "common driver": _common_driver,
        "chain": _chain,
        "mirror": _mirror,
        "season": _by_season,
        "switch": _switched,
        "square and product": _nonlinear,
        "trend": _trend,
        "missing": _incomplete,
    }
)


def world(
    name: str, steps: int = 2400, *, grid: Grid | None = None, noise: float = 0.3, seed: int = 0
) -> tuple[xr.Dataset, xr.Dataset]:
    """Make daily fields of one of nine worlds whose drivers are known.

    Parameters
    ----------
    name : str
        ``"simple"``: two drivers. ``"common driver"``: a persistent region drives the target after two days and
        another region after one; that one correlates with the target and drives nothing. ``"chain"``: the first region
        drives the second, and that one the target. ``"mirror"``: a copy of the slow part of the driver, observed with
        less noise than it. ``"season"``: one driver in December to February, another in the other months.
        ``"switch"``: one driver where a third region is positive, another where it is negative. In both of these worlds
        a further region shows the mean of both drivers: it correlates more with the target than the driver of the
        winter and than either of those that are switched, and drives nothing. ``"square and product"``: the square of
        one driver and the product of two others, none of which correlates with the target; a further region does,
        because the same square drives it. ``"trend"``: one trend and one seasonal cycle common to all cells.
        ``"missing"``: half of the cells of a driver are never observed.
    steps : int, default 2400
        Days.
    grid : Grid, optional
        Default: global, 11.25 degrees.
    noise : float, default 0.3
        Standard deviation of the smooth noise of each cell; the series at the centre of a region has 1.
    seed : int, default 0
        Seed of everything.

    Returns
    -------
    data : Dataset (time, latitude, longitude), float32
        Variables ``driver``, ``response`` and ``noise``, dimensionless.
    truth : Dataset
        Along ``region``: ``variable``, ``region_latitude``, ``region_longitude``, ``role`` ("driver", "confounded",
        "unlinked", "switch" or "target"), ``lag`` (0 where it drives nothing), ``sign`` (of the correlation of a driver
        and its contribution, 0 where that has none), ``share`` (of the variance of the expected value),
        ``footprint (region, latitude, longitude)``, ``series (region, time)`` and ``contribution (region, time)`` to
        the expected value of the target one day later; ``expected (time)``, their sum.

    Raises
    ------
    ArgumentError
        If there is no such world.

    Examples
    --------
    >>> data, truth = world("chain", 100)
    >>> truth.role.to_series().to_dict()
    {'a': 'confounded', 'b': 'driver', 'target': 'target', 'unlinked': 'unlinked'}
    """
    check_choice("name", name, WORLDS)
    check_arguments(seed=seed)
    check_rules({"steps": steps}, {"steps": (lambda value: is_whole(value, 50), "a whole number from 50", "2400")})
    grid = Grid.regular(11.25) if grid is None else grid
    generator = np.random.default_rng(seed)
    # The first days still depend on how the series begin: they are dropped.
    days = xr.date_range("2000-01-01", periods=steps + _SPIN_UP, freq="D")
    made = WORLDS[name](days, generator)
    names = sorted(made.series)
    places = [_PLACES[region] for region in names]
    rows, columns = np.asarray(grid.latitude)[:, None], np.asarray(grid.longitude)
    distance = np.stack([great_circle_degrees(rows, columns, place[1:]) / _RADIUS for place in places])
    footprint = np.exp(-0.5 * distance**2)
    series = np.stack([made.series[region][_SPIN_UP:] for region in names])
    fields = {variable: smooth_noise(grid, steps, noise, 12.0, generator) for variable in WORLD_VARIABLES[:2]}
    fields["noise"] = smooth_noise(grid, steps, 1.0, 12.0, generator)
    for region, place, pattern, values in zip(names, places, footprint, series, strict=True):
        seen = values + made.noise.get(region, 0.0) * generator.normal(size=steps)
        fields[place[0]] += seen[:, None, None] * pattern
    if made.common is not None:
        for variable in fields:
            fields[variable] += made.common[_SPIN_UP:, None, None]
    for region, share in made.missing.items():
        pattern = footprint[names.index(region)]
        inside = np.flatnonzero(pattern.ravel() > np.exp(-0.5))
        lost = generator.permutation(inside)[: int(share * inside.size)]
        fields[_PLACES[region][0]].reshape(steps, -1)[:, lost] = np.nan
    coords = {
        "time": days[_SPIN_UP:],
        "latitude": ("latitude", np.asarray(grid.latitude), {"units": "degrees_north"}),
        "longitude": ("longitude", np.asarray(grid.longitude), {"units": "degrees_east"}),
    }
    dims = ("time", "latitude", "longitude")
    data = xr.Dataset(
        {
            variable: (dims, values.astype(np.float32), {"units": "1", "long_name": f"planted {variable}"})
            for variable, values in fields.items()
        },
        coords,
        {"title": f"planted world {name!r}, seed {seed}"},
    )
    return data, _truth_of(made, names, footprint, series, coords)


def _sign(own: Series, part: Series) -> float:
    """Sign of the correlation of a driver with what it adds; 0 where there is none worth naming."""
    if not part.any():
        return 0.0
    correlation = float(np.corrcoef(own, part)[0, 1])
    return float(np.sign(correlation)) if abs(correlation) >= _LEAST_CORRELATION else 0.0


def _truth_of(
    made: Planted, names: list[str], footprint: NDArray[np.float64], series: Series, coords: Mapping[str, Any]
) -> xr.Dataset:
    steps = series.shape[1]
    parts = np.stack([made.contribution.get(name, np.zeros(steps + _SPIN_UP))[_SPIN_UP:] for name in names])
    total = parts.sum(axis=0)
    roles = []
    for name in names:
        other = "target" if name == "target" else "unlinked" if name == "unlinked" else "switch"
        roles.append("driver" if name in made.contribution else "confounded" if name in made.confounded else other)
    return xr.Dataset(
        {
            "variable": ("region", [_PLACES[name][0] for name in names]),
            "region_latitude": ("region", [_PLACES[name][1] for name in names], {"units": "degrees_north"}),
            "region_longitude": ("region", [_PLACES[name][2] for name in names], {"units": "degrees_east"}),
            "role": ("region", roles),
            "lag": ("region", [made.lag.get(name, 0) for name in names], {"units": "days"}),
            "sign": ("region", [_sign(own, part) for own, part in zip(series, parts, strict=True)]),
            "share": ("region", parts.var(axis=1) / max(float(total.var()), 1e-12)),
            "footprint": (("region", "latitude", "longitude"), footprint.astype(np.float32)),
            "series": (("region", "time"), series.astype(np.float32)),
            "contribution": (("region", "time"), parts.astype(np.float32)),
            "expected": ("time", total.astype(np.float32)),
        },
        {"region": names, **coords},
    )
