"""Data whose teleconnections are known: daily fields driven by a graph of remote regions, with noise and a season."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.arguments import Rule, check_arguments, check_rules, is_number, is_whole
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid, great_circle_degrees

VARIABLES = ("driver_a", "driver_b", "response", "copy", "noise")
_SPIN_UP = 200
_RULES: dict[str, Rule] = {
    "steps": (partial(is_whole, least=10), "a whole number from 10", "2000"),
    "noise": (partial(is_number, least=0), "a number from 0", "0.3"),
    "season": (partial(is_number, least=0), "a number from 0", "2.0"),
}


@dataclass(frozen=True)
class Mode:
    """A region whose values vary together.

    Parameters
    ----------
    name : str
        Its name.
    variable : str
        The variable that it belongs to.
    latitude, longitude : float
        Its centre [degrees].
    radius : float
        Distance [degrees] at which its footprint has fallen to 0.61.
    autocorrelation : float
        Lag-one autocorrelation of what no other region drives.
    """

    name: str
    variable: str
    latitude: float
    longitude: float
    radius: float = 20.0
    autocorrelation: float = 0.5


@dataclass(frozen=True)
class Link:
    """One region drives another.

    Parameters
    ----------
    source, target : str
        Names of modes.
    lag : int
        Steps by which the source leads the target, at least 1.
    strength : float
        Share of the target's standard deviation that comes from the source.
    """

    source: str
    target: str
    lag: int = 1
    strength: float = 0.85


# Each link: the driving variable, the centre of the driver, the centre of the region of "response" that it drives.
_LINKED_REGIONS: dict[str, tuple[str, tuple[float, float], tuple[float, float]]] = {
    "zonal_1": ("driver_a", (50.0, 160.0), (50.0, 40.0)),
    "zonal_2": ("driver_a", (15.0, 340.0), (15.0, 220.0)),
    "zonal_3": ("driver_b", (-15.0, 40.0), (-15.0, 160.0)),
    "zonal_4": ("driver_b", (-50.0, 220.0), (-50.0, 340.0)),
    "meridional_1": ("driver_b", (-10.0, 280.0), (50.0, 280.0)),
    "meridional_2": ("driver_a", (-45.0, 100.0), (15.0, 100.0)),
    "meridional_3": ("driver_a", (45.0, 40.0), (-15.0, 40.0)),
    "meridional_4": ("driver_b", (10.0, 220.0), (-50.0, 220.0)),
    "diagonal_1": ("driver_a", (0.0, 280.0), (50.0, 160.0)),
    "diagonal_2": ("driver_a", (-40.0, 220.0), (15.0, 340.0)),
    "diagonal_3": ("driver_b", (40.0, 160.0), (-15.0, 280.0)),
    "diagonal_4": ("driver_b", (10.0, 340.0), (-50.0, 100.0)),
}


def default_graph() -> tuple[tuple[Mode, ...], tuple[Link, ...]]:
    """Twelve links (four along a latitude, four along a meridian, four across both), and three regions without a link.

    Returns
    -------
    tuple of Mode, tuple of Link

    Examples
    --------
    >>> modes, links = default_graph()
    >>> len(modes), len(links)
    (27, 12)
    """
    modes: list[Mode] = []
    for name, (driver, source, target) in _LINKED_REGIONS.items():
        modes += [
            Mode(f"{name}_source", driver, *source),
            Mode(f"{name}_target", "response", *target, autocorrelation=0.2),
        ]
    modes += [
        Mode("unlinked_1", "driver_a", 5.0, 160.0),
        Mode("unlinked_2", "driver_b", 45.0, 80.0),
        Mode("unlinked_3", "driver_b", -45.0, 130.0),
    ]
    return tuple(modes), tuple(Link(f"{name}_source", f"{name}_target") for name in _LINKED_REGIONS)


def direction_of(source: Mode, target: Mode) -> str:
    """Say how a link runs: along a latitude circle, along a meridian, or across both.

    Examples
    --------
    >>> direction_of(Mode("a", "x", 0, 0), Mode("b", "x", 0, 90))
    'zonal'
    """
    north = abs(source.latitude - target.latitude)
    east = abs((source.longitude - target.longitude + 180) % 360 - 180)
    if north <= target.radius / 2:
        return "zonal"
    return "meridional" if east <= target.radius / 2 else "diagonal"


def _latent(
    modes: Sequence[Mode], links: Sequence[Link], steps: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Series of every mode (mode, time), each of unit variance."""
    number = {mode.name: position for position, mode in enumerate(modes)}
    # The first steps still depend on the zeros that the series begin with: they are dropped.
    total = steps + _SPIN_UP
    noise = generator.normal(size=(len(modes), total))
    series = np.zeros((len(modes), total))
    own = np.array([mode.autocorrelation for mode in modes])
    driven = np.zeros(len(modes))
    for link in links:
        driven[number[link.target]] += link.strength**2
    # The rest of a unit variance, sources taken as independent; a floor keeps strong links from leaving none.
    innovation = np.sqrt(np.maximum(1 - own**2 - driven, 0.05))
    for step in range(max((link.lag for link in links), default=1), total):
        series[:, step] = own * series[:, step - 1] + innovation * noise[:, step]
        for link in links:
            series[number[link.target], step] += link.strength * series[number[link.source], step - link.lag]
    kept = series[:, _SPIN_UP:]
    return np.asarray(kept / kept.std(axis=1, keepdims=True))


def smooth_noise(
    grid: Grid, steps: int, amplitude: float, length: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Noise that is white in time and smooth over `length` degrees: a sum of random plane waves on the sphere."""
    rows, columns = np.deg2rad(grid.latitude)[:, None], np.deg2rad(grid.longitude)[None, :]
    place = np.stack(
        np.broadcast_arrays(np.cos(rows) * np.cos(columns), np.cos(rows) * np.sin(columns), np.sin(rows)), axis=-1
    )
    waves = generator.normal(size=(3, 200)) / np.deg2rad(length)
    features = np.cos(place @ waves + generator.uniform(0, 2 * np.pi, size=200)) * np.sqrt(2 / 200)
    weights = generator.normal(size=(steps, 200))
    return np.asarray(amplitude * np.einsum("tw,ijw->tij", weights, features, optimize=True))


def _check(modes: Sequence[Mode], links: Sequence[Link]) -> None:
    names = [mode.name for mode in modes]
    if len(set(names)) != len(names):
        raise ArgumentError("two modes have one name", found=", ".join(names), fix="give each Mode its own name")
    for mode in modes:
        if mode.variable not in VARIABLES[:3]:
            raise ArgumentError(f"mode '{mode.name}' has an unknown variable", expected=", ".join(VARIABLES[:3]))
    for link in links:
        if link.source not in names or link.target not in names or link.lag < 1:
            raise ArgumentError(
                f"link {link.source} to {link.target} is impossible", expected="names of modes and a lag of at least 1"
            )


def planted(
    steps: int = 2000,
    *,
    grid: Grid | None = None,
    modes: Sequence[Mode] | None = None,
    links: Sequence[Link] | None = None,
    noise: float = 0.3,
    season: float = 2.0,
    seed: int = 0,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Make daily fields from a known graph of remote regions.

    Each region has a latent series; a link adds the past of one series to another (a vector autoregression, as SAVAR
    has it); each series moves its variable through a footprint on the sphere. ``copy`` repeats ``driver_a`` with a
    little noise of its own, ``noise`` holds nothing else, and all variables have a seasonal cycle.

    Parameters
    ----------
    steps : int
        Days.
    grid : Grid, optional
        Default: global, 11.25 degrees.
    modes, links : sequences of Mode and of Link, optional
        The graph. Default: `default_graph`.
    noise : float
        Standard deviation of the smooth noise of each cell; the series at the centre of a region has 1.
    season : float
        Amplitude of the seasonal cycle, opposite in the hemispheres.
    seed : int
        Seed of everything.

    Returns
    -------
    data : Dataset (time, latitude, longitude), float32
        Variables ``driver_a``, ``driver_b``, ``response``, ``copy`` and ``noise``, dimensionless.
    truth : Dataset
        Along ``mode``: ``variable``, ``mode_latitude``, ``mode_longitude``, ``radius``, ``footprint`` (mode, latitude,
        longitude), ``series`` (mode, time). Along ``link``: ``source``, ``target``, ``lag``, ``strength``,
        ``direction``.

    Raises
    ------
    ArgumentError
        If the graph is impossible.

    Examples
    --------
    >>> data, truth = planted(50)
    >>> list(data), truth.direction.values[:3].tolist()
    (['driver_a', 'driver_b', 'response', 'copy', 'noise'], ['zonal', 'zonal', 'zonal'])
    """
    known_modes, known_links = default_graph()
    modes = tuple(known_modes if modes is None else modes)
    links = tuple(known_links if links is None else links)
    grid = Grid.regular(11.25) if grid is None else grid
    check_arguments(seed=seed)
    check_rules({"steps": steps, "noise": noise, "season": season}, _RULES)
    _check(modes, links)
    generator = np.random.default_rng(seed)
    series = _latent(modes, links, steps, generator)
    days = xr.date_range("2000-01-01", periods=steps, freq="D")
    coords = {
        "time": days,
        "latitude": ("latitude", np.asarray(grid.latitude), {"units": "degrees_north"}),
        "longitude": ("longitude", np.asarray(grid.longitude), {"units": "degrees_east"}),
    }
    dims = ("time", "latitude", "longitude")
    rows, columns = np.asarray(grid.latitude)[:, None], np.asarray(grid.longitude)
    distance = [great_circle_degrees(rows, columns, (mode.latitude, mode.longitude)) / mode.radius for mode in modes]
    footprint = np.exp(-0.5 * np.stack(distance) ** 2)
    phase = 2 * np.pi * (np.asarray(days.day_of_year) - 1) / 365.25
    cycle = season * np.cos(phase)[:, None, None] * np.sin(np.deg2rad(rows))
    fields = {name: smooth_noise(grid, steps, noise, 12.0, generator) for name in VARIABLES[:3]}
    for mode, pattern, values in zip(modes, footprint, series, strict=True):
        fields[mode.variable] += values[:, None, None] * pattern
    fields["copy"] = fields["driver_a"] + smooth_noise(grid, steps, 0.2, 12.0, generator)
    fields["noise"] = smooth_noise(grid, steps, 1.0, 12.0, generator)
    data = xr.Dataset(
        {
            name: (dims, (fields[name] + cycle).astype(np.float32), {"units": "1", "long_name": f"planted {name}"})
            for name in VARIABLES
        },
        coords,
        {"title": f"planted teleconnections: {len(links)} links between {len(modes)} regions, seed {seed}"},
    )
    truth = _truth(modes, links).assign_coords(coords)
    truth["footprint"] = ("mode", "latitude", "longitude"), footprint.astype(np.float32)
    truth["series"] = ("mode", "time"), series.astype(np.float32)
    return data, truth


def _truth(modes: Sequence[Mode], links: Sequence[Link]) -> xr.Dataset:
    by_name = {mode.name: mode for mode in modes}
    return xr.Dataset(
        {
            "variable": ("mode", [mode.variable for mode in modes]),
            "mode_latitude": ("mode", [mode.latitude for mode in modes], {"units": "degrees_north"}),
            "mode_longitude": ("mode", [mode.longitude for mode in modes], {"units": "degrees_east"}),
            "radius": ("mode", [mode.radius for mode in modes], {"units": "degrees"}),
            "source": ("link", [link.source for link in links]),
            "target": ("link", [link.target for link in links]),
            "lag": ("link", [link.lag for link in links], {"units": "steps"}),
            "strength": ("link", [link.strength for link in links]),
            "direction": ("link", [direction_of(by_name[link.source], by_name[link.target]) for link in links]),
        },
        {"mode": [mode.name for mode in modes]},
    )


def target_points(truth: xr.Dataset) -> dict[str, tuple[float, float]]:
    """Give base points at the centres of all driven regions.

    Parameters
    ----------
    truth : Dataset
        As `planted` gives it.

    Returns
    -------
    dict of str to (float, float)
        Name of the mode, and its latitude and longitude [degrees].

    Examples
    --------
    >>> target_points(planted(20)[1])["zonal_1_target"]
    (50.0, 40.0)
    """
    return {
        str(name): (float(truth.mode_latitude.sel(mode=name)), float(truth.mode_longitude.sel(mode=name)))
        for name in dict.fromkeys(truth.target.values.tolist())
    }
