"""What a plan promises is what happens."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
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
