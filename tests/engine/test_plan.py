"""What a plan promises is what happens."""

from __future__ import annotations

import dataclasses

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv.engine.cost import note_run
from xfaconv.engine.planning import _size
from xfaconv.models import Model
from xfaconv.nn import Network
from xfaconv.specs import VariableSpec


@pytest.mark.parametrize("mode", ["windowed", "stateful"])
@pytest.mark.parametrize("members", [0, 2])
def test_counts_are_those_of_the_call(monkeypatch, mode, members):
    calls = []
    original = Network.encode

    def encode(self, *arguments, **options):
        calls.append(arguments[0].shape[1])
        return original(self, *arguments, **options)

    monkeypatch.setattr(Network, "encode", encode)
    whole = worlds.world(45, members=members).isel(time=[*range(20), *range(29, 45)])
    ds = whole.chunk(time=7)
    plan = xfaconv.plan(ds, model=worlds.model(), mode=mode)
    assert calls == []
    out = xfaconv.encode(ds, model=worlds.model(), mode=mode, base_points={"a": (0, 0)})
    computed = out.compute(scheduler="synchronous")
    assert (len(calls), sum(calls)) == (plan.network_calls, plan.steps_run)
    assert plan.steps_without_full_warmup == int((~computed.full_warmup).sum())
    for name in ("embeddings", "importance", "attention"):
        assert plan.outputs[name] == computed[name].nbytes
    assert plan.outputs["hidden"] == xfaconv.hidden(ds, model=worlds.model()).nbytes
    assert plan.bytes_read == sum(ds[variable.name].nbytes for variable in worlds.VARIABLES)
    assert plan.tasks == len(xfaconv.embed(ds, model=worlds.model(), mode=mode).data.dask)
    assert (plan.steps, plan.members) == (36, members or 1)


def test_memory_does_not_depend_on_the_length_of_the_record():
    short, long = (
        xfaconv.plan(worlds.world(steps).chunk(time=7), model=worlds.model(), workers=2) for steps in (70, 700)
    )
    assert short.peak_memory == long.peak_memory
    assert long.network_calls > 8 * short.network_calls
    assert xfaconv.plan(worlds.world(70).chunk(time=7), model=worlds.model(), workers=4).peak_memory > short.peak_memory


def test_planning_computes_nothing(no_computes):
    with no_computes(0):
        plan = xfaconv.plan(worlds.world(40).chunk(time=7), model=worlds.model())
    assert plan.lazy
    assert plan.largest_block == 7 * 8 * 16 * 4


def test_text_and_html_say_what_counts():
    plan = xfaconv.plan(worlds.world(40).chunk(time=7), model=worlds.model())
    for said in ("tiny-1D-0", "named by the caller", "6 calls in parallel", "8 x 16", "warm-up incomplete"):
        assert said in repr(plan)
        assert said in plan._repr_html_()
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.steps = 3


def test_html_escapes_what_data_say():
    model = worlds.model().updated(name="<script>")
    html = xfaconv.plan(worlds.world(12), model=model)._repr_html_()
    assert "<script>" not in html


def test_absent_variables_are_said():
    ds = worlds.world(12).drop_vars("msl")
    with pytest.warns(UserWarning, match="msl"):
        plan = xfaconv.plan(ds.chunk(time=5), model=worlds.model(), absent="climatology")
    assert plan.absent == ("msl",)
    assert "msl" in repr(plan)
    assert np.isfinite(plan.peak_memory)


@pytest.mark.parametrize("level", [1, -1])
def test_of_a_variable_with_levels_one_is_counted_and_its_blocks_are_judged(level):
    tiny = worlds.model()
    card = dataclasses.replace(
        tiny.card, variables=(*worlds.VARIABLES[:2], VariableSpec("z500", "m2 s-2", "Geopotential", level=500.0))
    )
    model = Model.from_network(card, tiny.network(), tiny.climatology)
    ds = worlds.world(40)
    levels = xr.DataArray([1.0, 2.0, 3.0], {"level": ("level", [250.0, 500.0, 850.0], {"units": "hPa"})})
    z = (ds.t2m * levels).transpose("time", "level", ...).astype("f4").assign_attrs(units="m2 s-2")
    ds = ds.drop_vars("sst").assign(z=z)
    with xfaconv.set_options(implausible="ignore"):
        plan = xfaconv.plan(ds.chunk(time=7, level=level), model=model)
    # A block is read whole: where it holds all levels, all of them are read for the one.
    assert plan.bytes_given == ds.t2m.nbytes + ds.msl.nbytes + z.nbytes // 3
    assert plan.bytes_read == plan.bytes_given + (2 * z.nbytes // 3 if level == -1 else 0)
    assert plan.largest_block == 7 * 8 * 16 * 4 * (3 if level == -1 else 1)
    said = [note for note in plan.notes if "blocks of z hold several levels" in note]
    assert len(said) == (1 if level == -1 else 0)
    assert "blocks of z" in str(plan) or level == 1


@pytest.mark.parametrize(
    ("size", "words"), [(12, "12 B"), (1.5e6, "1.5 MB"), (999.9e9, "999.9 GB"), (25e12, "25.0 TB"), (4e15, "4000.0 TB")]
)
def test_sizes_are_written_for_people(size, words):
    assert _size(size) == words


DISGUISES = {
    "averaged": lambda ds: ds.resample(time="1D").mean(keep_attrs=True),
    "averaged and scaled": lambda ds: (
        ds.resample(time="1D").mean(keep_attrs=True).map(lambda a: a + 0, keep_attrs=True)
    ),
    "coarsened": lambda ds: ds.coarsen(time=4).mean(keep_attrs=True).assign_coords(time=ds.time[::4].values),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("source", ["memory", "files", "zarr", "inlined"])
@pytest.mark.parametrize("cut", [False, True])
def test_what_is_read_behind_an_average_is_counted(tmp_path, disguise, source, cut):
    hours = worlds.world(4 * 60, "6h")
    if source == "files":
        for part in range(3):
            hours.isel(time=slice(80 * part, 80 * part + 80)).to_netcdf(tmp_path / f"{part}.nc")
        ds = xr.open_mfdataset(str(tmp_path / "*.nc"), chunks={"time": 8})
    elif source == "memory":
        ds = hours.chunk(time=8)
    else:
        hours.chunk(time=8).to_zarr(tmp_path / "a.zarr", consolidated=False)
        options = {"consolidated": False, "inline_array": source == "inlined"}
        ds = xr.open_dataset(tmp_path / "a.zarr", engine="zarr", chunks={}, **options)
    days = DISGUISES[disguise](ds)
    days = days.isel(time=slice(0, 20)) if cut else days
    plan = xfaconv.plan(days, model=worlds.model())
    assert plan.bytes_given == sum(days[variable.name].nbytes for variable in worlds.VARIABLES)
    # The right value: all of the hours, or those of the days that are left, and the numbers of the groups.
    assert plan.bytes_read == pytest.approx(hours.nbytes * (20 / 60 if cut else 1), rel=0.15)
    assert plan.bytes_read > 3 * plan.bytes_given
    assert "the data that are made of it" in repr(plan)
    assert plan.network_calls == xfaconv.plan(days.compute(), model=worlds.model()).network_calls


def test_a_source_that_hides_is_said_to_be_hidden():
    hours = worlds.world(4 * 60, "6h")
    blocks = [dask.delayed(hours.t2m.isel(time=slice(4 * day, 4 * day + 4)).mean)("time") for day in range(60)]
    arrays = [da.from_delayed(dask.delayed(np.asarray)(block), (8, 16), np.float32) for block in blocks]
    days = hours.isel(time=slice(0, 240, 4)).chunk(time=10)
    days["t2m"] = days.t2m.copy(data=da.stack(arrays).rechunk({0: 10}))
    plan = xfaconv.plan(days, model=worlds.model())
    assert plan.bytes_read >= plan.bytes_given * 0.99
    assert any("is not known" in note for note in plan.notes)


def test_a_very_large_graph_is_followed_in_part(monkeypatch):
    ds = worlds.world(400).chunk(time=1)
    exact = xfaconv.plan(ds, model=worlds.model()).bytes_read
    monkeypatch.setattr("xfaconv.engine.sources._MOST_TASKS", 1000)
    assert xfaconv.plan(ds, model=worlds.model()).bytes_read == pytest.approx(exact, rel=0.5)


def test_the_time_is_that_of_the_last_run_by_its_operations(monkeypatch):
    monkeypatch.setattr("xfaconv.engine.cost._rates", [8e9])
    ds = worlds.world(400).chunk(time=20)
    before = xfaconv.plan(ds, model=worlds.model(), workers=1)
    twice = xfaconv.plan(worlds.world(800).chunk(time=20), model=worlds.model(), workers=1)
    assert twice.seconds == pytest.approx(2 * before.seconds, rel=0.05)
    note_run(done=1e9, seconds=1.0, threads=1)
    assert xfaconv.plan(ds, model=worlds.model(), workers=1).seconds == pytest.approx(8 * before.seconds)
    assert "an estimate" in repr(before)
    xfaconv.embed(worlds.world(40), model=worlds.model())
    measured = xfaconv.plan(ds, model=worlds.model(), workers=1).seconds
    assert measured not in (before.seconds, 8 * before.seconds)


def test_a_long_call_says_beforehand_what_it_takes(monkeypatch, capsys):
    ds, model = worlds.world(40), worlds.model()
    calls = {
        "embed": lambda **more: xfaconv.embed(ds, model=model, **more),
        "influence": lambda **more: xfaconv.influence(ds, (0, 30), model=model, samples=1, **more),
        "importance": lambda **more: xfaconv.importance(ds, method="occlusion", model=model, samples=1, **more),
        "check_attention": lambda **more: xfaconv.check_attention(ds, (0, 30), model=model, samples=3, **more),
        "regimes": lambda **more: xfaconv.regimes(xfaconv.embed(ds, model=model), 2, repeats=0, surrogates=3, **more),
    }
    # Neither what ran before in this process nor other work on the machine decides what is long here.
    monkeypatch.setattr("xfaconv.engine.cost._LONG_SECONDS", np.inf)
    for name, call in calls.items():
        call()
        assert (name, capsys.readouterr().err) == (name, "")
    monkeypatch.setattr("xfaconv.engine.cost._LONG_SECONDS", 0.0)
    for name, call in calls.items():
        call()
        said = capsys.readouterr().err
        assert f"xfaconv.{name}: " in said
        assert "an estimate; progress=True" in said
        # dask shows its bar on the output stream, tqdm on the error stream.
        call(progress=True)
        shown = capsys.readouterr()
        assert "100%" in shown.out + shown.err
    xfaconv.check_attention(ds.chunk(), (0, 30), model=model, samples=3)
    assert capsys.readouterr().err == ""


def test_the_runs_that_are_said_are_those_that_are_made(monkeypatch, capsys):
    monkeypatch.setattr("xfaconv.engine.cost._LONG_SECONDS", 0.0)
    runs = []
    original = Network.encode

    def encode(self, *arguments, **options):
        runs.append(arguments[0].shape[0])
        return original(self, *arguments, **options)

    monkeypatch.setattr(Network, "encode", encode)
    xfaconv.check_attention(worlds.world(40), (0, 30), model=worlds.model(), samples=3)
    said = int(capsys.readouterr().err.split(": ")[1].split(" runs")[0].replace(",", ""))
    # A backward pass counts as two more runs.
    assert said == sum(runs) + 2 * 3
