"""Arguments that cannot be used, function by function: each with its typed error and its words.

Datasets that cannot be used stand in ``tests/adapt/test_bad_input.py``, files in ``tests/models/test_storage.py``.
"""

from __future__ import annotations

import io
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.adapt.test_bad_input import CASES
from tests.engine import worlds
from tests.trust.calls import CALLS, results, world
from xfaconv.errors import (
    ArgumentError,
    CoordinateError,
    DependencyError,
    GridError,
    MissingDataError,
    ModelError,
    ModelFileError,
    TimeError,
    VariableError,
    XFaconvError,
)

CALL = {call.name: call for call in CALLS}
NAN, INF = float("nan"), float("inf")
Row = tuple[str, dict[str, Any], type[XFaconvError], str]

# The engine: the same arguments everywhere, so each bad value goes to another function.
ENGINE: list[Row] = [
    ("embed", {"ds": None}, ArgumentError, "not an xarray.Dataset"),
    ("importance", {"ds": "era5.nc"}, ArgumentError, "not an xarray.Dataset"),
    ("attention", {"ds": np.zeros(3)}, ArgumentError, "not an xarray.Dataset"),
    ("hidden", {"ds": xr.DataArray(0.0)}, ArgumentError, "not an xarray.Dataset"),
    ("encode", {"ds": xr.Dataset()}, CoordinateError, "no latitude was found"),
    ("conform", {"ds": {}}, ArgumentError, "not an xarray.Dataset"),
    ("plan", {"ds": 3}, ArgumentError, "not an xarray.Dataset"),
    ("recognise", {"ds": None}, ArgumentError, "not an xarray.Dataset"),
    ("recognise", {"spec": "model"}, ArgumentError, "spec is not"),
    ("embed", {"model": "no-such-model"}, ModelError, "there is no model"),
    ("embed", {"model": "absent.safetensors"}, ModelFileError, "cannot be opened"),
    ("importance", {"model": 3}, ArgumentError, "a model is given by its name"),
    ("hidden", {"model": ""}, ArgumentError, "a model is given by its name"),
    ("plan", {"model": ["a"]}, ArgumentError, "a model is given by its name"),
    ("embed", {"regrid": "nearest"}, ArgumentError, "regrid cannot be used"),
    ("conform", {"regrid": True}, ArgumentError, "regrid cannot be used"),
    ("embed", {"climatology": "mean"}, ArgumentError, "climatology cannot be used"),
    ("hidden", {"climatology": None}, ArgumentError, "anomalies, not physical values"),
    ("conform", {"climatology": xr.Dataset()}, CoordinateError, "no latitude was found"),
    ("embed", {"climatology": "data"}, TimeError, "do not cover a year"),
    ("embed", {"absent": "ignore"}, ArgumentError, "absent cannot be used"),
    ("importance", {"missing": "skip"}, ArgumentError, "missing cannot be used"),
    ("encode", {"missing": 3}, ArgumentError, "missing cannot be used"),
    ("embed", {"mode": "parallel"}, ArgumentError, "mode cannot be used"),
    ("plan", {"mode": None}, ArgumentError, "mode cannot be used"),
    ("embed", {"device": "tpu"}, ArgumentError, "device cannot be used"),
    ("hidden", {"device": 0}, ArgumentError, "device cannot be used"),
    ("embed", {"device": "mps"}, DependencyError, "not available"),
    ("embed", {"variables": ["t2m"]}, ArgumentError, "variables is not a mapping"),
    ("embed", {"variables": {"t2m": "nothing"}}, ArgumentError, "not in the Dataset"),
    ("conform", {"variables": {"q": "t2m"}}, ArgumentError, "which the model does not read"),
    ("embed", {"modle": None}, ArgumentError, "argument 'modle' is unknown"),
    ("importance", {"sezon": "DJF"}, ArgumentError, "fix:      season='DJF'"),
    ("influence", {"samplse": 3}, ArgumentError, "fix:      samples=3"),
    ("teleconnection", {"lags": 1}, ArgumentError, "fix:      lag=1"),
    ("check_attention", {"sezon": "DJF"}, ArgumentError, "fix:      season='DJF'"),
    ("encode", {"chunks": 3}, ArgumentError, "argument 'chunks' is unknown"),
    ("importance", {"method": "shapley"}, ArgumentError, "unknown method"),
    ("importance", {"method": None}, ArgumentError, "unknown method"),
    ("importance", {"method": "occlusion", "samples": 0}, ArgumentError, "samples cannot be used"),
    ("importance", {"method": "gradient", "base_point": (0, 900)}, ArgumentError, "no place on Earth"),
    ("attention", {"latitude": None}, ArgumentError, "one base point, or a mapping"),
    ("attention", {"latitude": None, "longitude": None}, ArgumentError, "one base point, or a mapping"),
    ("attention", {"base_points": {"a": (0, 0)}}, ArgumentError, "one base point and several"),
    ("attention", {"latitude": 91}, ArgumentError, "no place on Earth"),
    ("attention", {"latitude": NAN}, ArgumentError, "no place on Earth"),
    ("attention", {"longitude": 900}, ArgumentError, "no place on Earth"),
    ("attention", {"longitude": INF}, ArgumentError, "no place on Earth"),
    ("attention", {"latitude": "equator"}, ArgumentError, "not a pair of latitude and longitude"),
    ("attention", {"latitude": [0, 10]}, ArgumentError, "not a pair of latitude and longitude"),
    ("attention", {"heads": "yes"}, ArgumentError, "heads cannot be used"),
    ("attention", {"model": worlds.model(attention_every=0)}, ModelError, "no axial attention"),
    ("encode", {"base_points": {}}, ArgumentError, "base_points is empty"),
    ("encode", {"base_points": [(0, 0)]}, ArgumentError, "must be a mapping"),
    ("encode", {"base_points": {"a": 3}}, ArgumentError, "not a pair of latitude and longitude"),
    ("encode", {"base_points": {"a": (0, 0, 0)}}, ArgumentError, "not a pair of latitude and longitude"),
    ("encode", {"base_points": {"a": "00"}}, ArgumentError, "not a pair of latitude and longitude"),
    ("encode", {"heads": 1}, ArgumentError, "heads cannot be used"),
    ("plan", {"workers": 0}, ArgumentError, "workers cannot be used"),
    ("plan", {"workers": 2.5}, ArgumentError, "workers cannot be used"),
]
ANALYSIS: list[Row] = [
    ("influence", {"ds": None}, ArgumentError, "not an xarray.Dataset"),
    ("influence", {"base_point": None}, ArgumentError, "needs a base point"),
    ("influence", {"base_point": 3}, ArgumentError, "not a pair of latitude and longitude"),
    ("influence", {"base_point": (91, 0)}, ArgumentError, "no place on Earth"),
    ("influence", {"target": "t2m"}, ArgumentError, "unknown target"),
    ("influence", {"target": ("q", 1)}, ArgumentError, "unknown target"),
    ("influence", {"target": ("t2m", 99)}, ArgumentError, "unknown target"),
    ("influence", {"target": np.zeros(2)}, ArgumentError, "unknown target"),
    ("influence", {"lag": 99}, ArgumentError, "lag is outside the window"),
    ("influence", {"lag": -1}, ArgumentError, "lag is outside the window"),
    ("influence", {"lag": 1.5}, ArgumentError, "lag cannot be used"),
    ("influence", {"lag": []}, ArgumentError, "lag cannot be used"),
    ("influence", {"samples": 0}, ArgumentError, "samples cannot be used"),
    ("influence", {"samples": "all"}, ArgumentError, "samples cannot be used"),
    ("influence", {"season": "XYZ"}, ArgumentError, "unknown season"),
    ("influence", {"season": [13]}, ArgumentError, "unknown season"),
    ("influence", {"season": "JJA"}, TimeError, "that ends a whole window"),
    ("influence", {"modle": None}, ArgumentError, "argument 'modle' is unknown"),
    ("check_attention", {"base_point": (0,)}, ArgumentError, "not a pair of latitude and longitude"),
    ("check_attention", {"samples": 2}, ArgumentError, "samples cannot be used"),
    ("check_attention", {"samples": None}, ArgumentError, "samples cannot be used"),
    ("check_attention", {"model": worlds.model(attention_every=0)}, ModelError, "no axial attention"),
    ("teleconnection", {"base_point": None}, ArgumentError, "not a pair of latitude and longitude"),
    ("teleconnection", {"base_point": {"a": (0, 0)}}, ArgumentError, "not a pair of latitude and longitude"),
    ("teleconnection", {"base_point": (-140, 0)}, ArgumentError, "no place on Earth"),
    ("teleconnection", {"variable": "q"}, VariableError, "the model has no variable 'q'"),
    ("teleconnection", {"variable": 3}, ArgumentError, "variable cannot be used"),
    ("teleconnection", {"lag": "1"}, ArgumentError, "lag cannot be used"),
    ("teleconnection", {"lag": 39}, ArgumentError, "lag is longer than the record"),
    ("teleconnection", {"null": "naive"}, ArgumentError, "null cannot be used"),
    ("teleconnection", {"surrogates": -1}, ArgumentError, "surrogates cannot be used"),
    ("teleconnection", {"seed": -1}, ArgumentError, "seed cannot be used"),
    ("teleconnection", {"alpha": 1}, ArgumentError, "alpha cannot be used"),
    ("teleconnection", {"alpha": NAN}, ArgumentError, "alpha cannot be used"),
    ("regimes", {"data": None}, ArgumentError, "no xarray object"),
    ("regimes", {"data": xr.DataArray([1.0], dims="x")}, TimeError, "no time dimension"),
    ("regimes", {"data": world().t2m}, VariableError, "one series of vectors"),
    ("regimes", {"n": 1}, ArgumentError, "n cannot be used"),
    ("regimes", {"n": 2.5}, ArgumentError, "n cannot be used"),
    ("regimes", {"n": 41}, ArgumentError, "n cannot be used"),
    ("regimes", {"method": "som"}, ArgumentError, "unknown method"),
    ("regimes", {"seed": "x"}, ArgumentError, "seed cannot be used"),
    ("regimes", {"repeats": -1}, ArgumentError, "repeats cannot be used"),
    ("regimes", {"surrogates": None}, ArgumentError, "surrogates cannot be used"),
    ("regimes", {"season": []}, ArgumentError, "unknown season"),
    ("regimes", {"missing": "fill"}, ArgumentError, "arguments for the engine were given with embeddings"),
    ("analysis.choose_count", {"candidates": ()}, ArgumentError, "candidates cannot be used"),
    ("analysis.choose_count", {"candidates": (1, 2)}, ArgumentError, "candidates cannot be used"),
    ("analysis.correlate", {"x": 3}, ArgumentError, "no xarray object"),
    ("analysis.correlate", {"y": 3}, ArgumentError, "y is not a DataArray"),
    ("analysis.correlate", {"y": xr.DataArray([1.0], dims="x")}, TimeError, "y has no time"),
    ("analysis.correlate", {"dim": "t"}, TimeError, "no time dimension"),
    ("analysis.correlate", {"null": 3}, ArgumentError, "null cannot be used"),
    ("analysis.correlation_map", {"base": (0, 900)}, ArgumentError, "no place on Earth"),
    ("analysis.correlation_map", {"field": None}, ArgumentError, "field is not a DataArray"),
    ("analysis.correlation_map", {"deseasonalise": "yes"}, ArgumentError, "deseasonalise cannot be used"),
    ("analysis.composite", {"index": None}, ArgumentError, "index is not a DataArray"),
    ("analysis.composite", {"threshold": 0}, ArgumentError, "threshold cannot be used"),
    ("analysis.composite", {"test": "naive"}, ArgumentError, "test cannot be used"),
    ("analysis.composite", {"shuffles": 0}, ArgumentError, "shuffles cannot be used"),
    ("analysis.composite", {"season": "JJA"}, TimeError, "index share is in the season"),
    ("analysis.regime_composites", {"field": None}, ArgumentError, "field is not a DataArray"),
    ("analysis.regime_composites", {"regime": xr.Dataset()}, ArgumentError, "regime is not a DataArray"),
    ("analysis.effective_sample_size", {"x": None}, ArgumentError, "no xarray object"),
    ("analysis.correlation_p_value", {"correlation": 0.5}, ArgumentError, "correlation is not a DataArray"),
    ("analysis.correlation_p_value", {"effective": "many"}, ArgumentError, "effective cannot be used"),
    ("analysis.false_discovery", {"alpha": 0}, ArgumentError, "alpha cannot be used"),
    ("analysis.false_discovery", {"method": "holm"}, ArgumentError, "unknown method"),
    ("analysis.false_discovery", {"dim": 3}, ArgumentError, "dim cannot be used"),
    ("analysis.false_discovery", {"dim": ["x"]}, CoordinateError, "lacks"),
    ("analysis.leading_eofs", {"modes": 0}, ArgumentError, "modes cannot be used"),
    ("analysis.leading_eofs", {"modes": 41}, ArgumentError, "modes cannot be used"),
    ("analysis.pattern_correlation", {"kind": "linear"}, ArgumentError, "unknown kind"),
    ("analysis.pattern_correlation", {"y": None}, ArgumentError, "y is not a DataArray"),
    ("analysis.teleconnectivity", {"field": 3}, ArgumentError, "field is not a DataArray"),
    ("analysis.anomalies", {"base_period": 1991}, ArgumentError, "base_period is no pair"),
    ("analysis.standardised", {"base_period": ("1800", "1801")}, TimeError, "no data in the base period"),
    ("analysis.phase_randomised", {"length": 0}, ArgumentError, "length cannot be used"),
    ("analysis.nino34", {"data": None}, ArgumentError, "no xarray object"),
    ("analysis.nino34", {"data": world()}, CoordinateError, "its cells are too large"),
    ("analysis.nao", {"data": xr.Dataset()}, VariableError, ""),
    ("tutorial.planted", {"steps": 1}, ArgumentError, "steps cannot be used"),
    ("tutorial.planted", {"noise": -1}, ArgumentError, "noise cannot be used"),
    ("analysis.importance_agreement", {"a": None}, ArgumentError, "is not a DataArray"),
]
OTHERS: list[Row] = [
    ("fit", {"ds": None}, ArgumentError, "not an xarray.Dataset"),
    ("fit", {"model": "nothing"}, ModelError, "there is no model"),
    ("fit", {"name": ""}, ArgumentError, "name cannot be used"),
    ("fit", {"variables": "t2m"}, ArgumentError, "variables cannot be used"),
    ("fit", {"variables": ["q"]}, VariableError, "are not in the Dataset"),
    ("fit", {"updates": 0}, ArgumentError, "updates cannot be used"),
    ("fit", {"batch": 0}, ArgumentError, "batch cannot be used"),
    ("fit", {"window": 1}, ArgumentError, "window cannot be used"),
    ("fit", {"window": 100}, TimeError, "too short to train on"),
    ("fit", {"leads": (1, 0)}, ArgumentError, "leads cannot be used"),
    ("fit", {"leads": 3}, ArgumentError, "leads cannot be used"),
    ("fit", {"learning_rate": -1.0}, ArgumentError, "learning_rate cannot be used"),
    ("fit", {"validation": 0.9}, ArgumentError, "validation cannot be used"),
    ("fit", {"patience": 0}, ArgumentError, "patience cannot be used"),
    ("fit", {"seed": 1.5}, ArgumentError, "seed cannot be used"),
    ("fit", {"network": True}, ArgumentError, "network cannot be used"),
    ("fit", {"network": {"hiden": 32}}, ArgumentError, "network has no entry 'hiden'"),
    ("fit", {"network": {"bottleneck": "wide"}}, ArgumentError, "no network can be built"),
    ("fit", {"network": {"hidden": -8}}, ArgumentError, "no network can be built"),
    ("fit", {"objective": "forecast"}, ArgumentError, "objective cannot be used"),
    ("fit", {"blend": 1}, ArgumentError, "blend cannot be used"),
    ("fit", {"checkpoint": 3}, ArgumentError, "checkpoint cannot be used"),
    ("fit", {"progress": "yes"}, ArgumentError, "progress cannot be used"),
    ("fit", {"device": "tpu"}, ArgumentError, "device cannot be used"),
    ("plot_attention", {"attention": None}, ArgumentError, "only a DataArray can be drawn"),
    ("plot_attention", {"attention": xr.DataArray([1.0])}, CoordinateError, "cannot be drawn on a map"),
    ("plot_attention", {"projection": "Flat"}, ArgumentError, "projection"),
    ("plot_attention", {"coastlines": "1m"}, ArgumentError, "unknown coastlines"),
    ("plot_attention", {"kind": "surface"}, ArgumentError, "unknown kind"),
    ("plot_importance", {"importance": 3}, ArgumentError, "only a DataArray can be drawn"),
    ("plot_importance", {"kind": "pie"}, ArgumentError, "kind"),
    ("plot_embedding", {"embedding": None}, ArgumentError, "only a DataArray can be drawn"),
    ("plot_embedding", {"kind": "pie"}, ArgumentError, "unknown kind"),
    ("plot_hidden", {"hidden": None}, ArgumentError, "only a DataArray can be drawn"),
    ("plot_regimes", {"regimes": None}, ArgumentError, "only a DataArray can be drawn"),
    ("plot_teleconnection", {"teleconnection": "x"}, ArgumentError, "only a DataArray can be drawn"),
    ("plot_attention", {"coastlines": np.zeros(0)}, ArgumentError, "coastlines cannot be used"),
    ("plot_attention", {"kind": np.zeros(0)}, ArgumentError, "unknown kind"),
    ("plot_attention", {"row": "day"}, ArgumentError, "not a dimension that panels can be made of"),
    ("plot_attention", {"col": []}, ArgumentError, "col cannot be used"),
    ("plot_attention", {"col_wrap": 0}, ArgumentError, "col_wrap cannot be used"),
    ("plot_attention", {"extent": (0, 10, 20)}, ArgumentError, "extent cannot be used"),
    ("plot_attention", {"extent": (0, 10, 20, -20)}, ArgumentError, "extent cannot be used"),
    ("plot_attention", {"extent": (0, 10, -95, 20)}, ArgumentError, "extent cannot be used"),
    ("plot_attention", {"great_circles": -1}, ArgumentError, "great_circles cannot be used"),
    ("plot_attention", {"relative": "yes"}, ArgumentError, "relative cannot be used"),
    ("plot_attention", {"vmin": NAN}, ArgumentError, "vmin cannot be used"),
    ("plot_attention", {"vmax": "high"}, ArgumentError, "vmax cannot be used"),
    ("plot_attention", {"vmin": 3, "vmax": 1}, ArgumentError, "vmin is not below vmax"),
    ("plot_attention", {"ax": "axes"}, ArgumentError, "ax cannot be used"),
    ("plot_hidden", {"row": "time", "col": "time"}, ArgumentError, "row and col are the same"),
    ("plot_hidden", {"channels": 3}, ArgumentError, "channels cannot be used"),
    ("plot_hidden", {"channels": []}, ArgumentError, "channels cannot be used"),
    ("plot_hidden", {"center": True}, ArgumentError, "center cannot be used"),
    ("plot_hidden", {"levels": 0}, ArgumentError, "levels cannot be used"),
    ("plot_hidden", {"levels": [2, 1]}, ArgumentError, "levels cannot be used"),
    ("plot_hidden", {"levels": np.array(5.5)}, ArgumentError, "levels cannot be used"),
    ("plot_hidden", {"levels": "many"}, ArgumentError, "levels cannot be used"),
    ("plot_hidden", {"channels": np.array(3)}, ArgumentError, "channels cannot be used"),
    ("plot_hidden", {"levels": 10**9}, ArgumentError, "levels cannot be used"),
    ("plot_hidden", {"stippling": True}, ArgumentError, "stippling cannot be used"),
    ("plot_embedding", {"size": -1}, ArgumentError, "size cannot be used"),
    ("plot_embedding", {"aspect": "equal"}, ArgumentError, "aspect cannot be used"),
    ("plot_embedding", {"components": "all"}, ArgumentError, "components cannot be used"),
    ("plot_embedding", {"index": "nino34"}, ArgumentError, "index of type str"),
    ("plot_embedding", {"col": "member"}, ArgumentError, "not a dimension that panels can be made of"),
    ("plot_embedding", {"row": "time"}, ArgumentError, "not a dimension that panels can be made of"),
    ("plot_importance", {"order": None}, ArgumentError, "order cannot be used"),
    ("plot_regimes", {"add_colorbar": 1}, ArgumentError, "add_colorbar cannot be used"),
    ("plot_regimes", {"composites": "z500"}, ArgumentError, "composites of type str"),
    ("plot_teleconnection", {"borders": "yes"}, ArgumentError, "borders cannot be used"),
    ("load_model", {"name": None}, ArgumentError, "a model is given by its name"),
    ("load_model", {"name": "ncep-montly"}, ModelError, "there is no model"),
    ("load_model", {"name": "x" * 5000 + ".safetensors"}, ModelFileError, "cannot be opened"),
    ("load_model", {"name": "a\x00.safetensors"}, ModelFileError, "cannot be opened"),
    ("list_models", {"pattern": 3}, ArgumentError, "pattern is not text"),
    ("register_model", {"name": "../x"}, ArgumentError, "name cannot be used"),
    ("register_model", {"url": "file:///etc/passwd"}, ArgumentError, "address cannot be used"),
    ("register_model", {"sha256": "0"}, ArgumentError, "hash cannot be used"),
    ("register_model", {"name": "amip-daily-5p6deg"}, ArgumentError, "is a model of the package"),
    ("tutorial.register_dataset", {"name": "amip"}, ArgumentError, "is a sample of the package"),
    ("tutorial.register_dataset", {"url": None}, ArgumentError, "address cannot be used"),
    ("tutorial.open_dataset", {"name": "amipp"}, ArgumentError, "there is no sample"),
    ("tutorial.open_dataset", {"name": None}, ArgumentError, "there is no sample"),
    ("Grid", {"latitude": (0.0, 95.0)}, GridError, "leaves the sphere"),
    ("Grid", {"latitude": (1.0, 0.0)}, GridError, "not strictly ascending"),
    ("Grid", {"latitude": None}, GridError, "holds no numbers"),
    ("Grid", {"longitude": (0.0, 360.0)}, GridError, "a meridian twice"),
    ("Grid", {"longitude": (0.0,)}, GridError, "too few values"),
    ("Grid.regular", {"step": 7.0}, GridError, "divides 180"),
    ("Grid.regular", {"step": 0}, GridError, "divides 180"),
    ("Grid.regular", {"step": "1"}, GridError, "divides 180"),
    ("set_options", {"device": "tpu"}, ArgumentError, "device cannot be used"),
    ("set_options", {"threads": 0}, ArgumentError, "threads cannot be used"),
    ("set_options", {"missing": "skip"}, ArgumentError, "missing cannot be used"),
    ("set_options", {"absent": None}, ArgumentError, "absent cannot be used"),
    ("set_options", {"implausible": True}, ArgumentError, "implausible cannot be used"),
    ("set_options", {"progress": 1}, ArgumentError, "progress cannot be used"),
    ("set_options", {"cache": 3}, ArgumentError, "option 'cache' does not accept"),
    ("set_options", {"cahce": None}, ArgumentError, "option 'cahce' is unknown"),
    ("write_zarr", {"result": None}, ArgumentError, "not a result of this package"),
    ("write_zarr", {"result": xr.DataArray([1.0])}, ArgumentError, "already in memory"),
    ("write_zarr", {"result": xr.DataArray([1.0]).chunk()}, ArgumentError, "not a result of this package"),
    ("write_zarr", {"store": None}, ArgumentError, "no store to write to"),
    ("write_zarr", {"store": 3}, ArgumentError, "none that zarr knows"),
    ("write_zarr", {"blocks_per_part": 0}, ArgumentError, "blocks_per_part cannot be used"),
]
# Arguments that are handed on to matplotlib and xarray: they say themselves what is wrong, at the latest when drawn.
HANDED_ON: list[tuple[str, dict[str, Any], str]] = [
    ("plot_attention", {"norm": "log"}, "norm|vmin"),
    ("plot_attention", {"norm": plt.Normalize(0, 1), "vmax": 2}, "norm"),
    ("plot_hidden", {"cmap": "rainbows"}, "cmap"),
    ("plot_embedding", {"figsize": (4,)}, "figsize"),
    ("plot_embedding", {"figsize": (4, -3)}, "[Ss]ize"),
    ("plot_embedding", {"figsize": (4, 10**6)}, "too large"),
    ("plot_embedding", {"cbar_kwargs": ["label"]}, "mapping"),
    ("plot_embedding", {"cbar_kwargs": {"colour": "red"}}, "colour"),
    ("plot_importance", {"subplot_kws": {3: 4}}, "strings"),
    ("plot_hidden", {"colour": "red"}, "colour"),
]
ROWS = [*ENGINE, *ANALYSIS, *OTHERS]


@pytest.mark.parametrize(("name", "changes", "error", "words"), ROWS, ids=[f"{r[0]}-{next(iter(r[1]))}" for r in ROWS])
def test_it_is_refused_with_its_words(
    name: str, changes: dict[str, Any], error: type[XFaconvError], words: str
) -> None:
    with pytest.raises(XFaconvError) as caught:
        CALL[name](**changes)
    plt.close("all")
    assert type(caught.value) is error, str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(("name", "changes", "words"), HANDED_ON, ids=[f"{r[0]}-{next(iter(r[1]))}" for r in HANDED_ON])
def test_what_is_handed_on_is_never_drawn_in_silence(name: str, changes: dict[str, Any], words: str) -> None:
    def draw() -> None:
        CALL[name](**changes)
        plt.gcf().savefig(io.BytesIO())

    with pytest.raises(Exception, match=words):
        draw()
    plt.close("all")


def test_the_table_is_long_and_knows_every_public_function() -> None:
    assert len(ROWS) + len(CASES) >= 300
    about = {row[0] for row in ROWS}
    public = {
        name
        for name in xfaconv.__all__
        if callable(getattr(xfaconv, name)) and not isinstance(getattr(xfaconv, name), type)
    }
    # Without arguments that could be wrong, or never an error: a description lists what is wrong.
    assert public - about <= {"get_options", "show_versions", "describe", "explore_attention"}


@pytest.mark.parametrize("changes", [{"ds": None}, {"base_point": (0, 900)}, {"modle": None}])
def test_the_interactive_view_is_typed_too_with_or_without_its_package(changes: dict[str, Any]) -> None:
    with pytest.raises(XFaconvError):
        xfaconv.explore_attention(**({"ds": world(), "model": worlds.model()} | changes))


def test_missing_values_are_refused_where_that_is_asked_for() -> None:
    ds = world().copy(deep=True)
    ds.t2m.values[3, 2, 2] = np.nan
    with pytest.raises(MissingDataError, match="variable 't2m' has missing values"):
        CALL["embed"](ds=ds, missing="raise")
    assert results()["embedding"].notnull().all()
