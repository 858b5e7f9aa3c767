"""Synthetic fields with known patterns, and a room in which the network is switched off."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from xfaconv.grid import Grid


@pytest.fixture(autouse=True)
def no_figures_left() -> Iterator[None]:
    """Begin and end without figures."""
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any attempt to open a connection fail at once."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("the network is switched off in these tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True)
def nothing_global_changed() -> Iterator[None]:
    """Compare matplotlib's parameters, backend and colour maps before and after every test."""
    import cartopy

    before = dict(mpl.rcParams), plt.get_backend(), sorted(mpl.colormaps), dict(cartopy.config)
    yield
    after = dict(mpl.rcParams), plt.get_backend(), sorted(mpl.colormaps), dict(cartopy.config)
    assert before == after


def _coordinates(grid: Grid) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    return {
        "lat": ("lat", np.array(grid.latitude), {"standard_name": "latitude", "units": "degrees_north"}),
        "lon": ("lon", np.array(grid.longitude), {"standard_name": "longitude", "units": "degrees_east"}),
    }


def _blob(grid: Grid, latitude: float, longitude: float, width: float) -> np.ndarray:
    """Bell around a point, by the chord through the globe: another formula than the package's."""
    phi, lam = np.meshgrid(np.deg2rad(grid.latitude), np.deg2rad(grid.longitude), indexing="ij")
    here = np.deg2rad([latitude, longitude])
    unit = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
    point = np.array([np.cos(here[0]) * np.cos(here[1]), np.cos(here[0]) * np.sin(here[1]), np.sin(here[0])])
    chord = np.rad2deg(np.linalg.norm(unit - point[:, None, None], axis=0))
    return np.exp(-((chord / width) ** 2) / 2)


@pytest.fixture
def make_attention() -> Callable[..., xr.DataArray]:
    """Attention maps that sum to 1: some at the base point, some far away, the rest uniform."""

    def make(
        grid: Grid | None = None, times: int = 3, base: tuple[float, float] = (0.0, 220.0), far: float = 190.0
    ) -> xr.DataArray:
        grid = grid or Grid.regular(5.0)
        maps = []
        for step in range(times):
            field = 0.5 + 12 * _blob(grid, *base, 12.0) + 3 * _blob(grid, 50.0, far + 10 * step, 14.0)
            field = field * grid.area
            maps.append(field / field.sum())
        time = (np.datetime64("2009-12", "M") + np.arange(times)).astype("M8[ns]")
        return xr.DataArray(
            np.array(maps, dtype=np.float32),
            {"time": time, **_coordinates(grid)},
            ("time", "lat", "lon"),
            name="attention",
            attrs={"long_name": "attention", "units": "1"},
        )

    return make


@pytest.fixture
def make_wave() -> Callable[..., xr.DataArray]:
    """A field of both signs: a wave along the longitude that fades towards the poles."""

    def make(grid: Grid | None = None, number: int = 2, name: str = "correlation") -> xr.DataArray:
        grid = grid or Grid.regular(5.0)
        wave = np.cos(number * np.deg2rad(grid.longitude)) * np.cos(np.deg2rad(grid.latitude))[:, None] ** 2
        return xr.DataArray(wave.astype(np.float32), _coordinates(grid), ("lat", "lon"), name=name)

    return make


@pytest.fixture
def make_record() -> Callable[..., xr.DataArray]:
    """A record over time with one other dimension; shares where asked."""

    def make(steps: int = 120, count: int = 5, dim: str = "variable", shares: bool = True) -> xr.DataArray:
        month = np.arange(steps)
        curves = [np.sin(2 * np.pi * month / (18 + 7 * k)) + 0.3 * k for k in range(count)]
        values = np.array(curves).T
        if shares:
            values = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
        names = ["sst", "z500", "z200", "v200", "t995", "msl", "tp", "olr", "u850", "v850", "q850", "t2m"]
        time = (np.datetime64("2001-01", "M") + month).astype("M8[ns]")
        labels = names[:count] if dim == "variable" else np.arange(count)
        return xr.DataArray(
            values.astype(np.float32),
            {"time": time, dim: labels, "full_warmup": ("time", month >= 6)},
            ("time", dim),
            name="importance" if shares else "embedding",
        )

    return make


@pytest.fixture
def pixels() -> Callable[..., np.ndarray]:
    """Colours of a figure as they are on the screen, row by row from the top."""

    def draw(figure: mpl.figure.Figure) -> np.ndarray:
        figure.canvas.draw()
        return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)

    return draw


@pytest.fixture
def make_teleconnection(make_wave) -> Callable[..., xr.Dataset]:
    """A teleconnection of known numbers: two variables, ten winters of two months, the last four unseen."""

    def make(models: int = 0) -> xr.Dataset:
        wave = make_wave()
        time = xr.date_range("2001-01-01", periods=120, freq="MS")
        time = time[(time.month == 1) | (time.month == 2)]
        rng = np.random.default_rng(0)
        phase, variable, region = ["high x", "low x", "difference"], ["sst", "z500"], ["tropical_pacific", "elsewhere"]
        scale = xr.DataArray(
            [[1.0, 3.0], [-1.0, -2.0], [2.0, 5.0]], {"phase": phase, "variable": variable}, ("phase", "variable")
        )
        by_region = xr.DataArray(
            [[[1.0, 2], [3, 4]], [[0, 0], [0, 0]], [[1, -2], [3, -4]]],
            {"phase": phase, "variable": variable, "region": region},
            ("phase", "variable", "region"),
        )
        lags = xr.DataArray([[1.0, 0.5], [0.8, 0.4]], {"variable": variable, "lag": [0, 1]}, ("variable", "lag"))
        names = ["network", "linear", "index"]
        out = xr.Dataset(
            {
                "attribution": scale * wave * 0.01,
                "significant": wave > 0.5,
                "correlation_map": lags * wave,
                "correlation_significant": (lags * wave) > 0.5,
                "by_region": by_region,
                "by_region_low": ("region", [3.0, -8.0]),
                "by_region_high": ("region", [5.0, -4.0]),
                "predicted": (("prediction", "time"), rng.normal(size=(3, len(time)))),
                "observed": ("time", rng.normal(size=len(time))),
                "correlation": ("prediction", [0.7, 0.8, 0.2]),
                "correlation_low": ("prediction", [0.5, 0.6, -0.3]),
                "correlation_high": ("prediction", [0.9, 0.95, 0.6]),
            },
            {"prediction": names, "time": time, "in_training": ("time", np.arange(len(time)) < 12), "region": region},
        )
        hidden = (abs(wave.lat) < 40) & (wave.lon > 90) & (wave.lon < 200)
        out = out.assign_coords(hidden=hidden, target=hidden & (abs(wave.lat) < 20))
        out = out.assign_attrs(
            units="m",
            target_variable="z500",
            target_area="a_box",
            unseen_steps=8,
            sentence="On 8 unseen steps it is known.",
            phases="high x and low x: x beyond 1 and -1",
        )
        if models:
            more = xr.DataArray(np.linspace(-0.1, 0.2, models), {"model": list(range(models))}, ("model",))
            out["by_region_of_models"] = by_region.sum("variable") * (1 + more)
            out["correlation_of_models"] = 0.7 + more
        return out

    return make
