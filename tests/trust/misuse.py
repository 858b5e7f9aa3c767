# ruff: noqa: PD011
"""What users may do wrong, one call for every place of the package that states a fix and no other test provokes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt

import xfaconv
from tests.adapt.test_arrays import Sparse
from tests.adapt.test_files_tried import durations, starts_and_times, two_calendars
from tests.engine import worlds
from tests.inference.worlds import BOX, waves
from tests.inference.worlds import model as trained_model
from tests.training.test_lim import GRID as planted_grid
from tests.training.test_lim import planted as planted_windows
from tests.trust.calls import CALLS, fine, result, world
from xfaconv.adapt import InputSpec, adapt
from xfaconv.adapt.problems import check_file
from xfaconv.engine import write_zarr
from xfaconv.models import Model
from xfaconv.nn import FAConvLSTM, build_network, register_core
from xfaconv.nn.cores import build_core
from xfaconv.plot import relative_to_uniform
from xfaconv.specs import ModelCard, NetworkSpec, VariableSpec
from xfaconv.training.lim import fit_linear_inverse_model
from xfaconv.tutorial import planted_data

CALL = {call.name: call for call in CALLS}
Misuse = Callable[[], tuple[Callable[..., Any], dict[str, Any]]]
TINY: dict[str, Any] = {"model": worlds.model()}
BARE = InputSpec((VariableSpec("t2m", "K", "2 metre temperature"),), None, None)
# A model in time: its first module reads two variables and the geometry.
SMALL = {"hidden": 8, "bottleneck": 4, "embedding": 8, "attention_width": 8, "attention_heads": 2}


def of(function: Callable[..., Any], **given: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A call and what it is given."""
    return function, given


def called(name: str, **changes: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A call of the public functions with some arguments changed."""
    return of(CALL[name].function, **CALL[name].arguments() | changes)


def inferred(name: str, **changes: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A call of a function that infers, of data some of whose steps the tiny model was trained on."""
    return of(getattr(xfaconv, name), **{"ds": waves(), "model": trained_model()} | changes)


def about(**changes: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A teleconnection of the tiny world."""
    asked = {"target": (-20, 20, 110, 190), "variable": "msl", "hide": (-40, 40, 100, 200), "lags": (0,)}
    return inferred(
        "teleconnection", **asked | {"threshold": 0, "method": "gradient", "samples": 1, "checks": 0} | changes
    )


@cache
def days(steps: int = 40) -> xr.Dataset:
    """Days of the sample of the simulation."""
    ds = xfaconv.tutorial.open_dataset("amip").isel(time=slice(0, steps)).load()
    return ds.assign_coords(time=ds.time.dt.floor("D"))


@cache
def months() -> xr.Dataset:
    """Months of the sample of the reanalysis."""
    return xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 26)).load()


def changed(ds: xr.Dataset, name: str, change: Callable[[xr.DataArray], xr.DataArray], **attrs: str) -> xr.Dataset:
    """Values of one variable changed, its attributes kept."""
    return ds.assign({name: change(ds[name]).assign_attrs(ds[name].attrs | attrs)})


def map_of(rows: np.ndarray, columns: np.ndarray, lat: str = "latitude", lon: str = "longitude") -> xr.Dataset:
    """Three days of a field on any axes."""
    coords = {"time": pd.date_range("2001-01-01", periods=3), lat: rows, lon: columns}
    values = np.full((3, len(rows), len(columns)), 280.0)
    return xr.Dataset({"t2m": (("time", lat, lon), values, {"units": "K"})}, coords)


def with_gap() -> xr.Dataset:
    return world().drop_isel(time=[20])


def short_fit(**given: Any) -> Any:
    """Train for two updates at most."""
    return xfaconv.fit(**given | {"updates": min(given.get("updates", 1), 2)})


def fit(**changes: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    given = {"ds": world(), "variables": ["t2m"], "updates": 1, "batch": 1, "window": 4, "leads": (0, 1)}
    return of(short_fit, **given | {"network": SMALL} | changes)


def averages(*lacking: str, season: str = "month", months: slice = slice(None)) -> xr.Dataset:
    """A climatology of the world, without some of its variables."""
    long = worlds.world(800).drop_vars("sst")
    groups = long.groupby(f"time.{season}")
    spread = (groups - groups.mean()).std("time").rename({name: f"{name}_std" for name in long.data_vars})
    table = groups.mean(keep_attrs=True).merge(spread).drop_vars(lacking)
    return table.isel({season: months})


def by_climatology(climatology: xr.Dataset) -> tuple[Callable[..., Any], dict[str, Any]]:
    spec = InputSpec(worlds.VARIABLES[:2], worlds.GRID, "1D")

    def call(ds: xr.Dataset, climatology: Any) -> Any:
        return adapt(ds, spec, climatology=climatology)

    return of(call, ds=worlds.world(800), climatology=climatology.copy())


def lacking(value: float, where: Any, **options: Any) -> Misuse:
    """Data with missing values that are not to be filled."""

    def make() -> tuple[Callable[..., Any], dict[str, Any]]:
        ds = world().copy(deep=True)
        for name in ds.data_vars if where == "a step" else ["t2m"]:
            ds[name][np.s_[5] if where == "a step" else where] = value
        return of(xfaconv.embed, ds=ds, **TINY, **options)

    return make


def spoiled(name: str, change: Callable[[xr.DataArray], xr.DataArray], **attrs: str) -> Misuse:
    """A sample with one variable whose values are not what they are called."""

    def make() -> tuple[Callable[..., Any], dict[str, Any]]:
        ds = days() if name in days() else months()
        return of(xfaconv.embed, ds=changed(ds, name, change, **attrs))

    return make


def damaged(change: Callable[[bytes], bytes]) -> tuple[Callable[..., Any], dict[str, Any]]:
    path = Path("damaged.safetensors")
    worlds.model().save(path)
    path.write_bytes(change(path.read_bytes()))
    return of(xfaconv.load_model, name=str(path))


def unfitting() -> Model:
    """A card and weights that do not belong together, both intact."""
    from xfaconv.models.storage import seal

    own = worlds.model(hidden=16)._file
    return Model(seal(worlds.model().card, own.network, own.climatology))


def without_gates() -> Model:
    return worlds.model(architecture="convlstm")


def stored(name: str) -> str:
    """A store that holds another result."""
    write_zarr(result("lazy").isel(time=slice(0, 9)), name)
    return name


def broken() -> xr.DataArray:
    """A lazy result of which one block cannot be computed."""

    def fail(block: np.ndarray) -> np.ndarray:
        raise OSError("no such file")

    return result("lazy").copy(data=result("lazy").data.map_blocks(fail, dtype="f4"))


def trained(path: str) -> str:
    """A checkpoint of another run."""
    call, given = fit(checkpoint=path, window=3)
    call(**given)
    return path


def written(path: str, text: bytes) -> str:
    Path(path).write_bytes(text)
    return path


def offline(**given: Any) -> Any:
    with mock.patch("xfaconv.plot.coastlines._finer", side_effect=OSError("offline")):
        return xfaconv.plot_attention(**given).axes.figure.canvas.draw()


def layer(layer: Any, fields: Any) -> Any:
    return layer(fields)


def kept(rows: int) -> tuple[Any, Any]:
    """A layer that goes on from its last call, which had another grid."""
    import torch

    stateful = FAConvLSTM(1, 4, bottleneck=4, attention_every=0, stateful=True)
    stateful(torch.zeros(1, 2, 8, 16, 1))
    return stateful, torch.zeros(1, 2, rows, 16, 1)


def on_grid() -> tuple[Callable[..., Any], dict[str, Any]]:
    import torch

    of_grid = FAConvLSTM(1, 4, bottleneck=4, attention_every=0, grid=worlds.GRID)
    return of(layer, layer=of_grid, fields=torch.zeros(1, 2, 6, 12, 1))


def columns() -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(40.0) % 7}, pd.DatetimeIndex(world().time.values, name="time"))


def one_stamp_by_another_name() -> xr.Dataset:
    """A dimension without stamps beside a coordinate that has them, twice the same."""
    ds = map_of(np.array(worlds.GRID.latitude), np.array(worlds.GRID.longitude)).isel(time=[0, 1, 1])
    return ds.swap_dims(time="step")


def two_of_one_kind() -> xr.Dataset:
    sst = fine().sst
    named = sst.assign_attrs(standard_name="sea_surface_temperature")
    return xr.Dataset({"a": named, "b": named + 0.1}, sst.coords).map(lambda v: v.assign_attrs(named.attrs))


GAPPY = {"field": lambda: world().t2m.where(world().time != world().time[7], other=np.nan).isel(time=slice(0, 30))}
MISUSES: Mapping[str, Misuse] = {
    "a DataArray where a Dataset is needed": lambda: of(lambda ds: ds.faconv.conform(), ds=days().t850),
    "a place as two numbers": lambda: of(lambda ds: ds.faconv.check_attention(0, -140, **TINY), ds=world().chunk()),
    "stamps along another dimension": lambda: of(adapt, ds=one_stamp_by_another_name(), spec=BARE, climatology=None),
    "a place and a region": lambda: called(
        "importance", method="occlusion", base_point=(0, 30), region=(-10, 10, 0, 90)
    ),
    "a region between the cells": lambda: called("importance", method="occlusion", region=(0.1, 0.2, 0.1, 0.2)),
    "one stamp": lambda: of(xfaconv.embed, ds=days().isel(time=[5])),
    "a time within the warm-up": lambda: of(
        xfaconv.compare_attention, ds=world(), base_point=(0, 30), variable="t2m", **TINY, time="2001-02-20"
    ),
    "a record shorter than the warm-up": lambda: of(
        xfaconv.importance, ds=world().isel(time=slice(0, 4)), method="gradient", base_point=(0, 30), **TINY
    ),
    "missing values where they are refused": lacking(np.nan, np.s_[3, 2, 2], missing="raise"),
    "a variable without a value": lacking(np.nan, np.s_[:]),
    "a step without a value": lacking(np.nan, "a step"),
    "a place outside a region": lambda: of(
        xfaconv.attention,
        ds=world().sel(latitude=slice(-50, 50), longitude=slice(0, 90)),
        latitude=0,
        longitude=200,
        **TINY,
    ),
    # Attribution.
    "neither hidden nor ahead": lambda: called("attribution", lead=None, target=(45, 190)),
    "a lead that is no number": lambda: called("attribution", lead="1"),
    "occlusion of nothing": lambda: called("attribution", method="occlusion"),
    "regions of a gradient": lambda: called("attribution", regions=["tropical_pacific"]),
    "occlusion against dates": lambda: called(
        "attribution", method="occlusion", regions=["tropical_pacific"], baseline="2001-03-20"
    ),
    "a baseline beyond the record": lambda: called("attribution", baseline="2001-06"),
    "a baseline within the warm-up": lambda: called("attribution", baseline="2001-02-21"),
    "a season within the warm-up": lambda: called("attribution", time=slice("2001-02-20", "2001-03-10"), season=[2]),
    "a value of an unknown variable": lambda: called("attribution", variable="q"),
    "a visible target": lambda: called("attribution", hide=(-40, 40, 100, 200), lead=None),
    "a value where it is masked": lambda: called("attribution", variable="sst", target=(-10, 80)),
    "regions without names": lambda: called("attribution", method="occlusion", regions=[(-15, 15, 160, 280)]),
    "composites within the warm-up": lambda: of(
        xfaconv.inference.check_attribution,
        ds=world(),
        target=(0, 30),
        variable="t2m",
        first="2001-02-21",
        second="2001-03-20",
        lead=1,
        **TINY,
    ),
    # Statistics.
    "anomalies without dates": lambda: called("analysis.anomalies", data=world().t2m.assign_coords(time=np.arange(40))),
    "field and index at other times": lambda: called(
        "analysis.composite",
        index=result("index").assign_coords(time=pd.date_range("1990", periods=40)),
    ),
    "too few years to exchange": lambda: called("analysis.composite", test="years", threshold=1.0),
    "a threshold that nothing reaches": lambda: called("analysis.composite", threshold=1e4),
    "regimes that are lazy": lambda: called("analysis.regime_composites", regime=result("regimes").label.chunk()),
    "a base that is a Dataset": lambda: called("analysis.correlation_map", base=world()),
    "a base that is a Series": lambda: called("analysis.correlation_map", base=columns()["a"]),
    "a base that is a table": lambda: called("analysis.correlation_map", base=columns()),
    "a lag over a gap": lambda: called("analysis.correlation_map", field=with_gap().t2m, lag=2),
    "surrogates of a map": lambda: called("analysis.correlate", null="phase"),
    "surrogates over a gap": lambda: called(
        "analysis.correlate", x=with_gap().t2m[:, 3, 3], y=with_gap().t2m[:, 3, 4], null="phase"
    ),
    "surrogates of a series with gaps": lambda: called(
        "analysis.correlate", x=GAPPY["field"]()[:, 3, 3], y=world().t2m[:30, 3, 4], null="phase"
    ),
    "maps of other grids": lambda: called("analysis.pattern_correlation", y=world().t2m[0, ::2]),
    "series of other lengths": lambda: called("analysis.correlate", y=result("index")[:30]),
    "series of other lengths without times": lambda: called(
        "analysis.correlate", x=world().t2m.drop_vars("time"), y=result("index")[:30].drop_vars("time")
    ),
    "cells with gaps": lambda: called("analysis.leading_eofs", field=GAPPY["field"]()),
    "surrogates of cells with gaps": lambda: called(
        "analysis.phase_randomised", data=world()[["t2m"]].where(world().time != world().time[7])
    ),
    "two variables of one kind": lambda: called("analysis.nino34", data=two_of_one_kind()),
    # Data.
    "an array of another kind": lambda: of(
        adapt,
        ds=world().assign(t2m=(world().t2m.dims, Sparse(world().t2m.values), {"units": "K"})),
        spec=BARE,
        climatology=None,
    ),
    "a climatology of another region": lambda: by_climatology(averages().isel(latitude=slice(0, 3))),
    "a climatology without a variable": lambda: by_climatology(averages("t2m")),
    "a climatology of days without a variable": lambda: by_climatology(averages("t2m", season="dayofyear")),
    "a climatology without spread": lambda: by_climatology(averages("t2m_std")),
    "a climatology of days without spread": lambda: by_climatology(averages("t2m_std", season="dayofyear")),
    "a climatology of a few months": lambda: by_climatology(averages(months=slice(0, 4))),
    "an archive": lambda: of(lambda path, ds=None: check_file(path) if ds is None else ds, path=_archive()),
    "a hole in latitude": lambda: of(
        adapt, ds=map_of(np.r_[-88:-30:4.0, 30:90:4.0], np.arange(0, 360, 4.0)), spec=BARE, climatology=None
    ),
    "a hole around the globe": lambda: of(
        adapt, ds=map_of(np.arange(-88, 90, 4.0), np.r_[0:120:4.0, 160:360:4.0]), spec=BARE, climatology=None
    ),
    "axes that may be degrees": lambda: of(
        adapt, ds=map_of(np.arange(-88, 90, 4.0), np.arange(0, 360, 4.0), "y", "x"), spec=BARE, climatology=None
    ),
    "meridians twice but for rounding": lambda: of(
        adapt,
        ds=map_of(np.arange(-88, 90, 4.0), np.sort(np.r_[0:360:4.0, 0.0001:360:4.0])),
        spec=BARE,
        climatology=None,
    ),
    "latitudes that are no numbers": lambda: of(
        adapt, ds=map_of(np.arange(-88, 90, 4.0).astype(object), np.arange(0, 360, 4.0)), spec=BARE, climatology=None
    ),
    "two calendars": lambda: of(xfaconv.conform, ds=two_calendars()),
    "starts and times": lambda: of(xfaconv.conform, ds=starts_and_times()),
    "durations": lambda: of(xfaconv.conform, ds=durations()),
    # Values.
    "degrees Celsius called kelvin": spoiled("t2m", lambda v: v - 273.15),
    "a fill value": spoiled("t2m", lambda v: v.where(v < 300, -9999.0)),
    "the other sign": spoiled("olr", lambda v: -v),
    "negative rain": spoiled("tp", lambda v: -v),
    "rain of both signs": spoiled("tp", lambda v: v * np.where(np.arange(v.sizes["longitude"]) % 3, 1, -1)),
    "the other sign of a wind": spoiled("u250", lambda v: -v),
    "the other sign, of anomalies": spoiled("tp", lambda v: v - v.mean("time")),
    "anomalies": spoiled("t2m", lambda v: v - v.mean("time")),
    "anomalies about a mean": spoiled("t2m", lambda v: v - v.mean("time") + 273.15),
    "anomalies of a short record": lambda: of(
        xfaconv.embed,
        ds=changed(days(), "t2m", lambda v: v - v.mean("time")).isel(
            time=slice(0, 2), latitude=slice(14, 17), longitude=slice(0, 4)
        ),
        model="amip-daily-5p6deg",
    ),
    "called anomalies": spoiled("t850", lambda v: v, long_name="temperature anomaly"),
    "ten times": spoiled("u850", lambda v: v * 10),
    "no map of anything": spoiled("t2m", lambda v: v.copy(data=v.values[:, ::-1, ::-1] * -1 + 560)),
    "upside down": spoiled("t2m", lambda v: v.copy(data=v.values[:, ::-1])),
    "half round": spoiled("t2m", lambda v: v.copy(data=np.roll(v.values, v.shape[2] // 2, axis=2))),
    # Options, files and models.
    "an unknown option": lambda: of(xfaconv.set_options, devise="cpu"),
    "a folder that is none": lambda: of(lambda path: worlds.model().save(path), path="none/such.safetensors"),
    "an HTML page for a model": lambda: of(xfaconv.load_model, name=written("page.safetensors", b"<html>no</html>")),
    "a model that was altered": lambda: damaged(lambda text: text.replace(b"random weights", b"Random weights")),
    "a model of another version": lambda: damaged(lambda text: re.sub(rb"(format_version.{4})\d", rb"\g<1>9", text)),
    "a card without its entries": lambda: of(lambda card: ModelCard.from_dict(card), card={"name": "a"}),
    "weights of another network": lambda: of(xfaconv.embed, ds=world(), model=unfitting()),
    "an entry that cards do not have": lambda: of(
        lambda model: model.updated(nonsense=1) if model.card.licence != "CC-BY-4.0" else model, **TINY
    ),
    # Networks.
    "a core that nobody registered": lambda: of(
        build_core, spec=NetworkSpec(variables=1, architecture="a"), channels=2
    ),
    "a core of another's name": lambda: of(lambda name: register_core(name)(_core), name="convlstm"),
    "dilation alone": lambda: of(FAConvLSTM, in_channels=1, filters=4, bottleneck=4, dilation_rate=2),
    "scales said twice": lambda: of(
        FAConvLSTM, in_channels=1, filters=4, bottleneck=4, kernel_size=3, scales=((3, 1),)
    ),
    "an argument of Keras": lambda: of(FAConvLSTM, in_channels=1, filters=4, bottleneck=4, padding="valid"),
    "the grid of another layer": on_grid,
    "the state of another grid": lambda: of(layer, **dict(zip(("layer", "fields"), kept(6), strict=True))),
    "a mask": lambda: of(
        lambda layer, fields: layer(fields, mask=1), **dict(zip(("layer", "fields"), kept(8), strict=True))
    ),
    "patterns without places": lambda: of(
        lambda **entries: build_network(NetworkSpec(variables=2, **entries)), pooling="patterns", located=False
    ),
    "attention of a network without": lambda: of(
        xfaconv.attention, ds=world(), latitude=0, longitude=30, model=without_gates()
    ),
    "gates of a network without": lambda: of(xfaconv.importance, ds=world(), model=without_gates()),
    "attention of a network that has none": lambda: of(
        lambda network: network.attention(None, None, None), network=without_gates().network()
    ),
    "gates of a network that has none": lambda: of(
        lambda network: network.importance(None, None), network=without_gates().network()
    ),
    "a reconstruction of no lead": lambda: of(_reconstruct, lead=7),
    "kernels wider than the grid": lambda: of(
        lambda scales: worlds.model(scales=scales).network() and _run(scales), scales=((9, 3),)
    ),
    "a stride that leaves no grid": lambda: of(xfaconv.conform, ds=world(), **TINY, stride=5),
    "an unknown target": lambda: of(
        xfaconv.importance, ds=world(), method="gradient", base_point=(0, 30), target=("q", 1), samples=1, **TINY
    ),
    "a step without its window": lambda: of(
        xfaconv.importance, ds=world(), method="gradient", base_point=(0, 30), time="2001-02-20", **TINY
    ),
    "an index that is none": lambda: about(index=3),
    "an index of other times": lambda: about(index=xr.DataArray([1.0], {"time": ["1900-01-01"]}, ("time",))),
    "events of one phase": lambda: about(events={"warm": ["2001-03-01"]}),
    "events outside of the season": lambda: about(
        events={"one": ["2001-03-10", "2001-03-12", "2001-03-14"], "two": ["2001-04-10", "2001-04-12", "2001-04-14"]},
        season=[5],
    ),
    "phases that are never reached": lambda: about(threshold=1e9),
    "a season of training": lambda: about(season=[3]),
    "one model by name where several are wanted": lambda: about(models="ncep-monthly-2p5deg"),
    "one model and several": lambda: about(models=[trained_model()]),
    # Figures.
    "attention of a part": lambda: of(
        lambda attention, relative=True: relative_to_uniform(attention) if relative else attention,
        attention=result("attention")[0, :4],
    ),
    "coastlines without a network": lambda: of(offline, attention=result("attention")[0], coastlines="10m"),
    "channels that there are not": lambda: called("plot_hidden", channels=[99]),
    "an index beside another figure": lambda: called(
        "plot_embedding", ax=plt.figure().add_subplot(), index=result("index")
    ),
    "a hidden state without channels": lambda: called(
        "plot_hidden", hidden=xr.concat([result("hidden")[0, :2].rename(channel="a")] * 2, "b")
    ),
    "shares in panels": lambda: called(
        "plot_importance", importance=xr.concat([result("importance")] * 2, "member"), kind="area", col="member"
    ),
    "areas of what is no share": lambda: called("plot_importance", importance=result("importance") - 1, kind="area"),
    "axes that are no map": lambda: called("plot_attention", ax=plt.figure().add_subplot()),
    "a map of too many dimensions": lambda: called(
        "plot_hidden",
        hidden=xr.concat([result("hidden")[:2, :2]] * 2, "member"),
    ),
    "too many maps": lambda: called(
        "plot_attention", attention=xr.concat([result("attention")] * 3, "time"), col="time"
    ),
    "two projections": lambda: of(
        xfaconv.plot_attention, attention=result("attention")[0], ax=_geo_axes(), projection="Robinson"
    ),
    "stippling with p-values": lambda: called("plot_attention", stippling=result("attention")[0] * 0.1),
    "stippling of many steps": lambda: called("plot_attention", stippling=result("attention")[:2] > 0),
    "regimes without labels": lambda: of(
        xfaconv.plot_regimes,
        regimes=result("regimes").label,
        composites=world().t2m[:2].rename(time="a").drop_vars("a"),
    ),
    "an index of two dimensions": lambda: called("plot_embedding", index=world().t2m),
    "a series of three dimensions": lambda: called("plot_importance", importance=world().t2m),
    # Training.
    "spans shorter than a window": lambda: fit(ds=world().isel(time=[n for n in range(40) if n % 4]), validation=0),
    "a variable of few values": lambda: fit(ds=changed(world(), "t2m", lambda v: v.where(v.time < v.time[2]))),
    "a record too short for EOFs": lambda: fit(network=SMALL | {"eofs": 500}),
    "members to train on": lambda: fit(ds=worlds.world(40, members=2)),
    "too little held back": lambda: fit(validation=0.05),
    "patience without validation": lambda: fit(validation=0, patience=2),
    "variables of a model": lambda: fit(model=worlds.model(), network=None),
    "too many EOFs": lambda: of(
        fit_linear_inverse_model, source=planted_windows(), grid=planted_grid, train=slice(0, 60), modes=0
    ),
    "a checkpoint of nothing": lambda: fit(checkpoint=written("a.ckpt", b"no")),
    "a checkpoint of another run": lambda: fit(checkpoint=trained("b.ckpt")),
    "a checkpoint that is a folder": lambda: fit(checkpoint=written("c", b"") + "/d"),
    "two modes of one name": lambda: of(
        xfaconv.tutorial.planted, steps=20, modes=[planted_data.default_graph()[0][0]] * 2, links=[]
    ),
    # What is inferred and forecast, and its skill.
    "the whole globe hidden": lambda: inferred("infer", hide=(-90, 90, 0, 360)),
    "a box between the cells": lambda: inferred("infer", hide=(1, 2, 1, 2)),
    "a region without a name": lambda: inferred("infer", hide="nino35"),
    "a hidden number": lambda: inferred("infer", hide=3),
    "a mask that is no map": lambda: inferred("infer", hide=world().t2m > 0),
    "hidden parts of a model that makes forecasts alone": lambda: inferred(
        "infer", hide=BOX, model=worlds.model(leads=(1,))
    ),
    "a lead that the model lacks": lambda: inferred("forecast", leads=[5]),
    "regression without the training years": lambda: inferred(
        "forecast", ds=waves()[{"time": slice(60, None)}], method="linear"
    ),
    "regression of members": lambda: inferred("infer", ds=worlds.world(90, members=2), hide=BOX, method="linear"),
    "no method": lambda: inferred("skill", methods=[]),
    "hidden parts at a lead": lambda: inferred("skill", hide=BOX, leads=[1]),
    "skill of members": lambda: inferred("skill", ds=worlds.world(90, members=2)),
    "a region that is not hidden": lambda: inferred("skill", hide=BOX, region=(50, 90, 0, 90)),
    "skill of what was seen": lambda: inferred("skill", hide=BOX, time="2001-03"),
    "skill without the training years": lambda: inferred("skill", ds=waves()[{"time": slice(60, None)}]),
    "a season without unseen steps": lambda: inferred("skill", hide=BOX, season="NDJ"),
    "sectors as wide as the globe": lambda: inferred("teleconnectivity", width=10, spacing=90),
    "teleconnectivity of no variable": lambda: inferred("teleconnectivity", variable="z500", width=120),
    "teleconnectivity of members": lambda: inferred("teleconnectivity", ds=worlds.world(90, members=2)),
    "teleconnectivity without its map": lambda: of(xfaconv.plot_teleconnectivity, teleconnectivity=world()[["t2m"]]),
    "components of members": lambda: inferred("component_maps", ds=worlds.world(40, members=2)),
    "components of two steps": lambda: inferred("component_maps", time=["2001-05-01", "2001-05-02"]),
    "components by no index": lambda: of(
        xfaconv.analysis.name_components, embedding=result("embedding"), indices=[result("index")]
    ),
    "components by an index of other times": lambda: of(
        xfaconv.analysis.name_components,
        embedding=result("embedding"),
        indices={"a": result("index").assign_coords(time=world().time + np.timedelta64(999, "D"))},
    ),
    # Writing.
    "no place for a store": lambda: of(write_zarr, result=result("lazy"), store=written("f", b"") + "/a.zarr"),
    "a store of something else": lambda: of(write_zarr, result=result("lazy"), store=stored("other.zarr")),
    "blocks that fail": lambda: of(write_zarr, result=broken(), store="blocks.zarr"),
}


def _archive() -> str:
    import zipfile

    world()[["t2m"]].to_netcdf("part.nc")
    with zipfile.ZipFile("era5.nc", "w") as archive:
        archive.write("part.nc")
    return "era5.nc"


def _core(spec: Any, channels: int) -> Any:
    return spec, channels


def _reconstruct(lead: int) -> Any:
    import torch

    from xfaconv.nn import Geometry

    network = worlds.model().network()
    return network.reconstruct(torch.zeros(1, 1, 6), Geometry.from_grid(worlds.GRID), lead=lead)


def _run(scales: Any) -> Any:
    return xfaconv.embed(world(), model=worlds.model(scales=scales))


def _geo_axes() -> Any:
    import cartopy.crs

    return plt.axes(projection=cartopy.crs.Robinson())
