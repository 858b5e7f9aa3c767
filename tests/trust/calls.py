"""Every public function with arguments that work, on a world so small that thousands of calls are cheap."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv import analysis
from xfaconv.engine import write_zarr

STEPS = 40


@cache
def world() -> xr.Dataset:
    """Forty days in memory, shared: nobody changes them, which is tested."""
    return worlds.world(STEPS)


@cache
def fine() -> xr.Dataset:
    """Two years of months on cells that are small enough for the boxes of indices."""
    random = np.random.default_rng(3)
    grid = xfaconv.Grid.regular(5.0)
    coords = {
        "time": xr.date_range("2001-01-01", periods=24, freq="MS"),
        "latitude": ("latitude", list(grid.latitude), {"units": "degrees_north"}),
        "longitude": ("longitude", list(grid.longitude), {"units": "degrees_east"}),
    }
    dims = ("time", "latitude", "longitude")
    values = {"sst": (300.0, "K"), "msl": (101000.0, "Pa"), "z500": (54000.0, "m2 s-2")}
    return xr.Dataset(
        {
            name: (dims, (mean + random.normal(size=(24, *grid.shape))).astype("f4"), {"units": units})
            for name, (mean, units) in values.items()
        },
        coords,
    )


_RESULTS: Mapping[str, Callable[[], Any]] = {
    "embedding": lambda: xfaconv.embed(world(), model=worlds.model()),
    "importance": lambda: xfaconv.importance(world(), model=worlds.model()),
    "attention": lambda: xfaconv.attention(world(), 0, 30, model=worlds.model()),
    "hidden": lambda: xfaconv.hidden(world(), model=worlds.model()),
    "regimes": lambda: analysis.regimes(result("embedding"), 2, repeats=0, surrogates=0),
    "compare_attention": lambda: xfaconv.compare_attention(world(), (0, 30), model=worlds.model(), variable="t2m"),
    "index": lambda: world().t2m.isel(latitude=3, longitude=3, drop=True),
    "component_maps": lambda: xfaconv.component_maps(world(), model=worlds.model()),
    "explained_variance": lambda: (
        xfaconv.teleconnectivity(
            world(), "t2m", width=120, spacing=120, methods=["network"], model=worlds.model()
        ).explained_variance
    ),
    "lazy": lambda: xfaconv.embed(world().chunk(time=9), model=worlds.model()),
}


@cache
def result(name: str) -> Any:
    """What the engine gives for that world, for the functions that take results; made when it is first asked for."""
    return _RESULTS[name]()


def make_results() -> None:
    """Make all of them, so that no later call does."""
    for name in _RESULTS:
        result(name)


@dataclass(frozen=True)
class Call:
    """A public function, arguments that work, and what comes out of them.

    Parameters
    ----------
    name : str
        As a user writes it behind ``xfaconv.``.
    function : callable
        The function.
    arguments : callable
        Gives the arguments by name.
    dims : tuple of str, or None
        Dims of the DataArray that comes out; None where something else does.
    """

    name: str
    function: Callable[..., Any]
    arguments: Callable[[], dict[str, Any]]
    dims: tuple[str, ...] | None = None

    def __call__(self, **changes: Any) -> Any:
        """Call it with some arguments changed."""
        return self.function(**(self.arguments() | changes))


def _of_data(**options: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"ds": world(), "model": worlds.model(), **options}


def _of_results(**names: str) -> Callable[[], dict[str, Any]]:
    return lambda: {name: result(key) for name, key in names.items()}


def _of_field(**options: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"field": world().t2m, **options}


ENGINE = (
    Call("embed", xfaconv.embed, _of_data(), ("time", "embedding")),
    Call("importance", xfaconv.importance, _of_data(method="gate"), ("time", "variable")),
    Call(
        "attention",
        xfaconv.attention,
        _of_data(latitude=0, longitude=30, base_points=None, heads=False),
        ("time", "latitude", "longitude"),
    ),
    Call("hidden", xfaconv.hidden, _of_data(), ("time", "channel", "latitude", "longitude")),
    Call("encode", xfaconv.encode, _of_data(base_points={"a": (0, 30)}, heads=False)),
    Call("conform", xfaconv.conform, _of_data()),
    Call("plan", xfaconv.plan, _of_data(workers=2)),
)
ABOUT = (
    Call("describe", xfaconv.describe, lambda: {"ds": world()}),
    Call("recognise", xfaconv.recognise, lambda: {"ds": world(), "spec": None, "regrid": "model", "variables": None}),
)
ANALYSIS = (
    Call(
        "attribution",
        xfaconv.attribution,
        _of_data(
            target=(0, 30),
            variable="t2m",
            hide=None,
            lead=1,
            method="gradient",
            baseline="climatology",
            regions=None,
            lags=False,
            samples=1,
            season=None,
            tolerance=0.01,
        ),
    ),
    Call("check_attention", xfaconv.check_attention, _of_data(base_point=(0, 30), samples=3, season=None, seed=0)),
    Call(
        "compare_attention",
        xfaconv.compare_attention,
        _of_data(
            base_point=(0, 30), variable="t2m", lag=0, season=None, null="effective", surrogates=20, seed=0, alpha=0.05
        ),
    ),
    Call(
        "regimes",
        xfaconv.regimes,
        lambda: {
            "data": result("embedding"),
            "n": 2,
            "method": "kmeans",
            "season": None,
            "seed": 0,
            "repeats": 0,
            "surrogates": 0,
        },
    ),
    Call(
        "analysis.choose_count",
        analysis.choose_count,
        lambda: {"data": result("embedding"), "candidates": (2, 3), "repeats": 1, "surrogates": 2},
    ),
    Call(
        "analysis.correlate",
        analysis.correlate,
        lambda: {
            "x": world().t2m,
            "y": result("index"),
            "dim": None,
            "null": "effective",
            "surrogates": 20,
            "seed": 0,
        },
    ),
    Call(
        "analysis.correlation_map",
        analysis.correlation_map,
        _of_field(
            base=(0, 30),
            lag=0,
            season=None,
            null="effective",
            surrogates=20,
            seed=0,
            alpha=0.05,
            deseasonalise=False,
        ),
    ),
    Call(
        "analysis.composite",
        analysis.composite,
        lambda: {
            "field": world().t2m,
            "index": result("index"),
            "threshold": 0.5,
            "season": None,
            "test": "effective",
            "shuffles": 20,
            "seed": 0,
            "alpha": 0.05,
        },
    ),
    Call(
        "analysis.regime_composites",
        analysis.regime_composites,
        lambda: {
            "field": world().t2m,
            "regime": result("regimes"),
            "season": None,
            "test": "effective",
            "alpha": 0.05,
            "deseasonalise": False,
        },
    ),
    Call(
        "analysis.effective_sample_size",
        analysis.effective_sample_size,
        lambda: {"x": result("index"), "y": None, "dim": None},
    ),
    Call(
        "analysis.correlation_p_value",
        analysis.correlation_p_value,
        lambda: {"correlation": world().t2m[0] * 0, "effective": 20},
    ),
    Call(
        "analysis.false_discovery",
        analysis.false_discovery,
        lambda: {"p_value": abs(world().t2m[0] * 0), "alpha": 0.05, "dim": None, "method": "bh"},
    ),
    Call(
        "analysis.leading_eofs",
        analysis.leading_eofs,
        _of_field(modes=1, dim=None),
    ),
    Call(
        "analysis.pattern_correlation",
        analysis.pattern_correlation,
        lambda: {"x": world().t2m[0], "y": world().t2m[1], "kind": "value", "where": None},
    ),
    Call("analysis.teleconnectivity", analysis.teleconnectivity, _of_field(deseasonalise=False)),
    Call("analysis.anomalies", analysis.anomalies, lambda: {"data": world().t2m, "base_period": None, "dim": None}),
    Call(
        "analysis.standardised", analysis.standardised, lambda: {"data": world().t2m, "base_period": None, "dim": None}
    ),
    Call(
        "analysis.phase_randomised",
        analysis.phase_randomised,
        lambda: {"data": world()[["t2m"]], "length": 10.0, "seed": 0, "dim": None},
    ),
    *(
        Call(f"analysis.{name}", getattr(analysis, name), lambda: {"data": fine(), "base_period": None})
        for name in ("nino34", "nino3", "nino4", "nino12")
    ),
    *(
        Call(f"analysis.{name}", getattr(analysis, name), lambda: {"data": fine(), "base_period": None})
        for name in ("nao", "sam", "soi", "ao", "pna")
    ),
    Call("tutorial.planted", xfaconv.tutorial.planted, lambda: {"steps": 30, "noise": 0.3, "season": 2.0, "seed": 0}),
    Call(
        "analysis.importance_agreement",
        lambda a, b: analysis.importance_agreement(a, b),
        _of_results(a="importance", b="importance"),
    ),
)
HIDDEN = (-40, 40, 100, 200)
TELECONNECTION = _of_data(
    target=(-20, 20, 110, 190), variable="t2m", hide=HIDDEN, lead=None, index=None, threshold=0, events=None,
    season=None, method="gradient", regions=None, lags=(0,), samples=3, models=None, checks=0, alpha=0.05, seed=0,
)  # fmt: skip
INFERENCE = (
    Call("teleconnection", xfaconv.teleconnection, TELECONNECTION),
    Call("infer", xfaconv.infer, _of_data(hide=HIDDEN, method="network", anomalies=True)),
    Call("forecast", xfaconv.forecast, _of_data(leads=(1,), method="network", anomalies=False)),
    Call(
        "skill",
        xfaconv.skill,
        _of_data(
            hide=HIDDEN, leads=None, region=HIDDEN, season=None, methods=("network", "climatology"), training=False,
            block=5, repeats=10, alpha=0.05, seed=0,
        ),
    ),
    Call(
        "teleconnectivity",
        xfaconv.teleconnectivity,
        _of_data(
            variable="t2m", season=None, width=120, spacing=120, methods=("network",), training=False, alpha=0.05
        ),
    ),
    Call(
        "component_maps",
        xfaconv.component_maps,
        _of_data(season=None, method="patterns", standardised=False),
        ("embedding", "variable", "latitude", "longitude"),
    ),
    Call(
        "analysis.name_components",
        analysis.name_components,
        lambda: {"embedding": result("embedding"), "indices": {"a": result("index")}},
    ),
)  # fmt: skip
TRAINING = (
    Call(
        "fit",
        xfaconv.fit,
        lambda: {
            "ds": world(),
            "model": None,
            "name": "mine",
            "variables": ["t2m", "msl"],
            "updates": 1,
            "batch": 1,
            "window": 4,
            "leads": (0, 1),
            "learning_rate": 1e-3,
            "validation": 0.2,
            "patience": None,
            "seed": 0,
            "network": {
                "hidden": 8,
                "bottleneck": 4,
                "embedding": 8,
                "attention_width": 8,
                "attention_heads": 2,
            },
            "objective": None,
            "checkpoint": None,
            "device": "cpu",
            "progress": False,
        },
    ),
)


def _figure(name: str, data: Callable[[], dict[str, Any]]) -> Call:
    """A figure of some data, all arguments that have a default at it."""
    function = getattr(xfaconv, name)
    defaults = {
        parameter.name: parameter.default
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is not parameter.empty
    }
    return Call(name, function, lambda: defaults | data())


@cache
def teleconnection() -> xr.Dataset:
    return xfaconv.teleconnection(**TELECONNECTION())


@cache
def attribution() -> xr.Dataset:
    return xfaconv.attribution(world(), (0, 30), "t2m", lead=1, method="gradient", samples=1, model=worlds.model())


PLOTS = (
    _figure("plot_attribution", lambda: {"attribution": attribution()}),
    _figure("plot_teleconnection", lambda: {"teleconnection": teleconnection()}),
    _figure("plot_attention", lambda: {"attention": result("attention")[0]}),
    _figure("plot_importance", _of_results(importance="importance")),
    _figure("plot_embedding", _of_results(embedding="embedding")),
    _figure("plot_component_maps", lambda: {"maps": result("component_maps")}),
    _figure("plot_teleconnectivity", lambda: {"teleconnectivity": result("explained_variance")}),
    _figure("plot_hidden", lambda: {"hidden": result("hidden")[0, :2]}),
    _figure("plot_regimes", lambda: {"regimes": result("regimes").label}),
    _figure("plot_correlation", lambda: {"correlation": result("compare_attention").correlation}),
)
MODELS = (
    Call("load_model", xfaconv.load_model, lambda: {"name": "ncep-monthly-2p5deg"}),
    Call("list_models", xfaconv.list_models, lambda: {"pattern": "*"}),
    Call(
        "register_model",
        xfaconv.register_model,
        lambda: {"name": "ours", "url": "https://example.org/a.safetensors", "sha256": 64 * "0"},
    ),
    Call(
        "tutorial.register_dataset",
        xfaconv.tutorial.register_dataset,
        lambda: {"name": "ours", "url": "https://example.org/a.nc", "sha256": 64 * "0"},
    ),
    Call("tutorial.open_dataset", xfaconv.tutorial.open_dataset, lambda: {"name": "amip"}),
    Call("Grid.regular", xfaconv.Grid.regular, lambda: {"step": 30.0, "pole_points": False}),
    Call("Grid", xfaconv.Grid, lambda: {"latitude": (-30.0, 30.0), "longitude": (0.0, 180.0)}),
)
OPTIONS = (
    Call(
        "set_options",
        xfaconv.set_options,
        lambda: {
            "device": "auto",
            "threads": None,
            "missing": "fill",
            "absent": "raise",
            "implausible": "raise",
            "progress": False,
            "cache": None,
        },
    ),
)
WRITING = (
    Call(
        "write_zarr",
        write_zarr,
        lambda: {"result": result("lazy"), "store": {}, "blocks_per_part": 16, "progress": False},
    ),
)
CALLS = (*ENGINE, *ABOUT, *ANALYSIS, *INFERENCE, *TRAINING, *PLOTS, *MODELS, *OPTIONS, *WRITING)

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 2.5, float("nan"), 10**30, 1j, "", "nonsense", b"x", [], [1, 2, 3], ("a", "b"), (float("nan"), 0),
    {}, {"a": (0, 900)}, object, np.zeros(0), np.array(["a"]), xr.DataArray([1.0, 2.0], dims="x"), xr.Dataset(),
)  # fmt: skip
# A long run is what this asks for; nothing is wrong with it.
PATIENCE = {("fit", "updates"), ("fit", "batch"), ("tutorial.planted", "steps")}
