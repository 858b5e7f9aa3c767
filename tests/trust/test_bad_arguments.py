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
from tests.trust.calls import CALLS, result, world
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

# What is inferred, forecast and scored.
INFERENCE: list[Row] = [
    ("infer", {"ds": None}, ArgumentError, "not an xarray.Dataset"),
    ("infer", {"hide": None}, ArgumentError, "hide is no area"),
    ("infer", {"hide": (40, -40, 100, 200)}, ArgumentError, "no latitudes from south to north"),
    ("infer", {"hide": (-90, 90, 0, 360)}, ArgumentError, "leaves nothing visible"),
    ("infer", {"hide": {"place": (0, 900), "radius": 100}}, ArgumentError, "no place on Earth"),
    ("infer", {"method": "persistence"}, ArgumentError, "unknown method"),
    ("infer", {"method": "linear"}, TimeError, "training years"),
    ("infer", {"time": "1890"}, TimeError, "no step at time="),
    ("infer", {"hdie": 3}, ArgumentError, "argument 'hdie' is unknown"),
    ("forecast", {"leads": 1}, ArgumentError, "leads cannot be used"),
    ("forecast", {"leads": (0,)}, ArgumentError, "leads above 0"),
    ("forecast", {"leads": (4,)}, ModelError, "does not forecast 4 steps ahead"),
    ("forecast", {"method": "magic"}, ArgumentError, "unknown method"),
    ("skill", {"hide": "nowhere"}, ArgumentError, "names no region"),
    ("skill", {"season": "XYZ"}, ArgumentError, "unknown season"),
    ("skill", {"season": "SON"}, TimeError, "is in the season SON"),
    ("skill", {"training": 1}, ArgumentError, "training cannot be used"),
    ("skill", {"block": 0}, ArgumentError, "block cannot be used"),
    ("skill", {"repeats": -1}, ArgumentError, "repeats cannot be used"),
    ("skill", {"repeats": 0}, ArgumentError, "repeats cannot be used"),
    ("skill", {"alpha": 2}, ArgumentError, "alpha cannot be used"),
    ("skill", {"methods": "network"}, ArgumentError, "methods cannot be used"),
    ("teleconnectivity", {"methods": None}, ArgumentError, "methods cannot be used"),
    ("skill", {"region": (60, 80, 0, 20)}, ArgumentError, "no hidden cell"),
    ("teleconnectivity", {"variable": "u"}, VariableError, "no variable 'u'"),
    ("teleconnectivity", {"variable": 3}, ArgumentError, "variable cannot be used"),
    ("teleconnectivity", {"width": -60}, ArgumentError, "width cannot be used"),
    ("teleconnectivity", {"width": "wide"}, ArgumentError, "width cannot be used"),
    ("teleconnectivity", {"spacing": 0}, ArgumentError, "spacing cannot be used"),
    ("teleconnectivity", {"methods": ("persistence",)}, ArgumentError, "methods cannot be used"),
    ("component_maps", {"standardised": "no"}, ArgumentError, "standardised cannot be used"),
    ("component_maps", {"method": "eof"}, ArgumentError, "unknown method"),
    ("component_maps", {"season": "SON"}, TimeError, "is in the season SON"),
    ("analysis.name_components", {"indices": None}, ArgumentError, "needs indices by name"),
    ("plot_component_maps", {"components": [99]}, ArgumentError, "components"),
    ("plot_component_maps", {"variable": "u"}, ArgumentError, "variable"),
    ("plot_teleconnectivity", {"teleconnectivity": xr.Dataset()}, ArgumentError, "no teleconnectivity"),
]
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
    ("compare_attention", {"lags": 1}, ArgumentError, "fix:      lag=1"),
    ("attribution", {"samplse": 3}, ArgumentError, "fix:      samples=3"),
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
    ("attribution", {"ds": None}, ArgumentError, "not an xarray.Dataset"),
    ("attribution", {"target": None}, ArgumentError, "target is no area"),
    ("attribution", {"target": 3}, ArgumentError, "target is no area"),
    ("attribution", {"target": (91, 0)}, ArgumentError, "no place on Earth"),
    ("attribution", {"variable": "q"}, VariableError, "the model has no variable 'q'"),
    ("attribution", {"variable": None}, VariableError, "the model has no variable None"),
    ("attribution", {"lead": 99}, ModelError, "does not forecast 99 steps"),
    ("attribution", {"lead": "1"}, ArgumentError, "lead cannot be used"),
    ("attribution", {"hide": 3, "lead": None}, ArgumentError, "hide is no area"),
    ("attribution", {"method": "shap"}, ArgumentError, "unknown method"),
    ("attribution", {"baseline": 3}, ArgumentError, "baseline is not a date"),
    ("attribution", {"baseline": None}, ArgumentError, "baseline is not a date"),
    ("attribution", {"method": "occlusion", "regions": 3}, ArgumentError, "no named areas"),
    ("attribution", {"lags": 1}, ArgumentError, "lags cannot be used"),
    ("attribution", {"tolerance": NAN}, ArgumentError, "tolerance cannot be used"),
    ("attribution", {"samples": 0}, ArgumentError, "samples cannot be used"),
    ("attribution", {"samples": "all"}, ArgumentError, "samples cannot be used"),
    ("attribution", {"season": "XYZ"}, ArgumentError, "unknown season"),
    ("attribution", {"season": [13]}, ArgumentError, "unknown season"),
    ("attribution", {"season": "JJA"}, TimeError, "is in the season"),
    ("attribution", {"modle": None}, ArgumentError, "argument 'modle' is unknown"),
    ("check_attention", {"base_point": (0,)}, ArgumentError, "not a pair of latitude and longitude"),
    ("check_attention", {"samples": 2}, ArgumentError, "samples cannot be used"),
    ("check_attention", {"samples": None}, ArgumentError, "samples cannot be used"),
    ("check_attention", {"model": worlds.model(attention_every=0)}, ModelError, "no axial attention"),
    ("compare_attention", {"base_point": None}, ArgumentError, "not a pair of latitude and longitude"),
    ("compare_attention", {"base_point": {"a": (0, 0)}}, ArgumentError, "not a pair of latitude and longitude"),
    ("compare_attention", {"base_point": (-140, 0)}, ArgumentError, "no place on Earth"),
    ("compare_attention", {"variable": "q"}, VariableError, "the model has no variable 'q'"),
    ("compare_attention", {"variable": 3}, ArgumentError, "variable cannot be used"),
    ("compare_attention", {"lag": "1"}, ArgumentError, "lag cannot be used"),
    ("compare_attention", {"lag": 39}, ArgumentError, "lag is longer than the record"),
    ("compare_attention", {"null": "naive"}, ArgumentError, "null cannot be used"),
    ("compare_attention", {"surrogates": -1}, ArgumentError, "surrogates cannot be used"),
    ("compare_attention", {"seed": -1}, ArgumentError, "seed cannot be used"),
    ("compare_attention", {"alpha": 1}, ArgumentError, "alpha cannot be used"),
    ("compare_attention", {"alpha": NAN}, ArgumentError, "alpha cannot be used"),
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
    ("teleconnection", {"index": "nino5"}, ArgumentError, "unknown index"),
    ("teleconnection", {"hide": None}, ArgumentError, "it is not clear what value is explained"),
    ("teleconnection", {"method": "occlusion"}, ArgumentError, "unknown method"),
    ("teleconnection", {"checks": -1}, ArgumentError, "checks cannot be used"),
    ("teleconnection", {"models": "monthly"}, ArgumentError, "models are no list of models"),
    ("teleconnection", {"models": []}, ArgumentError, "models are no list of models"),
    ("teleconnection", {"alpha": 2}, ArgumentError, "alpha cannot be used"),
    ("plot_teleconnection", {"phase": "warm"}, ArgumentError, "phase is not in the data"),
    ("plot_teleconnection", {"teleconnection": 3}, ArgumentError, "this is no teleconnection"),
    ("plot_attribution", {"attribution": "x"}, ArgumentError, "can be drawn"),
    ("plot_correlation", {"correlation": "x"}, ArgumentError, "only a DataArray can be drawn"),
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
    ("plot_correlation", {"borders": "yes"}, ArgumentError, "borders cannot be used"),
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
ROWS = [*ENGINE, *INFERENCE, *ANALYSIS, *OTHERS]


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
    assert result("embedding").notnull().all()
