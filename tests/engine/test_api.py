"""What users call, against the plain loop: steps, calendars, gaps, members, labels, missing values, errors."""

from __future__ import annotations

import json
from dataclasses import replace

import dask
import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv.errors import ArgumentError, MissingDataError, ModelError, XFaconvError
from xfaconv.models import registry

POINT = (4, 9)
PLACE = {"latitude": 11.25, "longitude": 202.5}


def check_all(ds: xr.Dataset, model, mode: str = "windowed") -> None:
    """Every output of lazy and of eager data is the oracle's."""
    expected = worlds.oracle(ds, model, base_point=POINT, mode=mode)
    for source in (ds, ds.chunk(time=7)):
        found = {
            "embedding": xfaconv.embed(source, model=model, mode=mode),
            "importance": xfaconv.importance(source, model=model, mode=mode),
            "attention": xfaconv.attention(source, model=model, mode=mode, **PLACE),
            "hidden": xfaconv.hidden(source, model=model, mode=mode),
        }
        for name, result in found.items():
            np.testing.assert_allclose(result.values, expected[name], atol=1e-5, err_msg=name)
            assert result.full_warmup.values.tolist() == expected["full"].tolist()
            assert result.name == {"embedding": "embeddings"}.get(name, name)
            xr.testing.assert_identical(result.time.variable, ds.time.variable)


@pytest.mark.parametrize("mode", ["windowed", "stateful"])
@pytest.mark.parametrize(
    ("step", "steps", "segment", "warmup"),
    [("1h", 50, 24, 12), ("6h", 30, 8, 4), ("1D", 40, 8, 5), ("1M", 30, 12, 6)],
)
def test_steps(step, steps, segment, warmup, mode):
    start = "2001-01-01" if step == "1M" else "2001-02-20"
    check_all(worlds.world(steps, step, start=start), worlds.model(step, segment, warmup), mode)


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "standard"])
@pytest.mark.parametrize("step", ["1D", "1M"])
def test_calendars(calendar, step):
    start = "1999-12-01" if step == "1M" else "2000-02-20"
    check_all(worlds.world(24, step, start=start, calendar=calendar), worlds.model(step, 8, 5))


@pytest.mark.parametrize("mode", ["windowed", "stateful"])
def test_gaps(mode):
    whole = worlds.world(45)
    check_all(whole.isel(time=[*range(3), *range(5, 20), *range(29, 45)]), worlds.model(), mode)


def test_before_1970():
    check_all(worlds.world(25, start="1969-12-20"), worlds.model())


def test_attention_at_every_third_step_keeps_its_phase():
    check_all(worlds.world(30), worlds.model(attention_every=3))


def test_one_step():
    check_all(worlds.world(1), worlds.model())


def test_members_are_mapped_over():
    ds = worlds.world(20, members=3)
    out = xfaconv.encode(ds.chunk(time=6, number=2), model=worlds.model(), base_points={"p": (11.25, -157.5)})
    assert out.embeddings.dims == ("number", "time", "embedding")
    assert out.attention.dims == ("number", "base_point", "time", "latitude", "longitude")
    for member in range(3):
        expected = worlds.oracle(ds.isel(number=member), worlds.model(), base_point=POINT)
        np.testing.assert_allclose(out.embeddings.isel(number=member).values, expected["embedding"], atol=1e-5)
        np.testing.assert_allclose(out.importance.isel(number=member).values, expected["importance"], atol=1e-5)
        np.testing.assert_allclose(out.attention[member, 0].values, expected["attention"], atol=1e-5)


def test_a_variable_without_members_serves_all_of_them():
    ds = worlds.world(20, members=2)
    ds["sst"] = ds.sst.isel(number=0, drop=True)
    found = xfaconv.embed(ds.chunk(time=6), model=worlds.model())
    full = ds.assign(sst=ds.sst.expand_dims(number=ds.number))
    for member in range(2):
        expected = worlds.oracle(full.isel(number=member), worlds.model())["embedding"]
        np.testing.assert_allclose(found.isel(number=member).values, expected, atol=1e-5)


def test_results_come_back_in_the_users_labels():
    ds = worlds.world(20)
    model = worlds.model()
    expected = xfaconv.attention(ds, model=model, **PLACE)
    turned = (
        ds.assign_coords(longitude=(ds.longitude + 180) % 360 - 180)
        .sortby("longitude")
        .isel(latitude=slice(None, None, -1))
    )
    turned = turned.rename(latitude="lat", longitude="lon", time="valid_time").chunk(valid_time=5)
    found = xfaconv.attention(turned, model=model, latitude=11.25, longitude=-157.5)
    assert found.dims == ("valid_time", "lat", "lon")
    np.testing.assert_array_equal(found.lat.values, turned.lat.values)
    np.testing.assert_array_equal(found.lon.values, turned.lon.values)
    assert float(found.base_longitude) == -157.5
    assert float(expected.base_longitude) == 202.5
    back = found.assign_coords(lon=found.lon % 360).sortby("lon").sortby("lat")
    np.testing.assert_allclose(back.values, expected.values, atol=1e-5)


def test_heads_and_their_mean():
    ds, model = worlds.world(12), worlds.model()
    heads = xfaconv.attention(ds, model=model, heads=True, **PLACE)
    assert heads.dims == ("time", "head", "latitude", "longitude")
    np.testing.assert_allclose(heads.mean("head").values, xfaconv.attention(ds, model=model, **PLACE).values, atol=1e-6)


def test_every_map_sums_to_one_and_so_does_importance():
    out = xfaconv.encode(worlds.world(12), model=worlds.model(), base_points={"a": (0, 0), "b": (70, 100)})
    np.testing.assert_allclose(out.attention.sum(["latitude", "longitude"]).values, 1, atol=1e-5)
    np.testing.assert_allclose(out.importance.sum("variable").values, 1, atol=1e-5)
    assert bool((out.attention >= 0).all())
    assert out.base_point.values.tolist() == ["a", "b"]


def test_the_users_data_stay_as_they_are():
    ds = worlds.world(20).chunk(time=6)
    before = ds.copy(deep=True)
    encodings = {name: dict(variable.encoding) for name, variable in ds.variables.items()}
    xfaconv.encode(ds, model=worlds.model(), base_points={"a": (0, 0)}).compute()
    xr.testing.assert_identical(ds, before)
    assert {name: dict(variable.encoding) for name, variable in ds.variables.items()} == encodings


def test_attention_carries_how_little_the_maps_of_its_model_change():
    model = worlds.model()
    measured = model.updated(metrics={"attention_variance_in_time": 0.06})
    found = xfaconv.encode(worlds.world(12), model=measured, base_points={"a": (0, 0)})
    assert found.attention.attrs["variance_in_time"] == 0.06
    assert not any("variance_in_time" in found[name].attrs for name in ("embeddings", "importance"))
    for metrics in ({}, {"attention_variance_in_time": "not measured"}):
        unmeasured = model.updated(metrics=metrics)
        attention = xfaconv.attention(worlds.world(12), base_points={"a": (0, 0)}, model=unmeasured)
        assert "variance_in_time" not in attention.attrs


def test_attention_weighed_by_values_is_lazy_and_another_map():
    ds, model = worlds.world(12), worlds.model().updated(metrics={"values_variance_in_time": 0.3})
    weights, read = (
        xfaconv.attention(ds.chunk(time=5), 0, 30, model=model, weigh=weigh) for weigh in ("attention", "values")
    )
    assert read.chunks is not None
    assert read.attrs["variance_in_time"] == 0.3
    assert "Kobayashi" in read.attrs["comment"]
    assert "weigh='values'" in read.attrs["history"]
    both = dask.compute(weights, read, scheduler="synchronous")
    np.testing.assert_allclose(both[1].sum(["latitude", "longitude"]).values, 1, atol=1e-5)
    assert float(abs(both[1] - both[0]).max()) > 1e-4
    assert xfaconv.attention(ds, 0, 30, model=model, weigh="values", heads=True).sizes["head"] == 2
    with pytest.raises(ArgumentError, match="weigh"):
        xfaconv.attention(ds, 0, 30, model=model, weigh="norms")


def test_attributes_say_how_it_was_made():
    model = worlds.model()
    found = xfaconv.embed(worlds.world(12), model=model, missing="propagate").attrs
    assert json.loads(json.dumps(found)) == found
    assert found["weights_sha256"] == model.sha256
    assert found["model"] == model.card.name
    assert (found["segment"], found["warmup"], found["run_mode"]) == (8, 5, "windowed")
    assert found["periodic"] == "yes"
    assert found["grid"].startswith("global, 8 x 16")
    assert found["history"].startswith("made for a test\n")
    assert "embed(model='tiny-1D-0', missing='propagate')" in found["history"]


# Missing values


def holed(steps: int = 40) -> xr.Dataset:
    ds = worlds.world(steps)
    ds["t2m"][22, 3, 3] = np.nan
    return ds


def test_holes_are_filled_with_climatology_and_the_network_is_told():
    check_all(holed(), worlds.model())


@pytest.mark.parametrize("chunked", [False, True])
def test_raise_names_variable_and_time_and_waits_for_the_computation(chunked, no_computes):
    ds = holed().chunk(time=7) if chunked else holed()
    model = worlds.model()
    if chunked:
        with no_computes(0):
            lazy = xfaconv.embed(ds, model=model, missing="raise")
        with pytest.raises(MissingDataError, match=r"'t2m'.*2001-03-14"):
            lazy.compute(scheduler="threads")
    else:
        with pytest.raises(MissingDataError, match=r"'t2m'.*2001-03-14"):
            xfaconv.embed(ds, model=model, missing="raise")
    xfaconv.embed(worlds.world(12), model=model, missing="raise")


@pytest.mark.parametrize("mode", ["windowed", "stateful"])
def test_propagate_blanks_what_read_the_hole(mode):
    model = worlds.model()
    ds = holed()
    numbers = worlds.step_numbers(ds.time.values, "1D")
    first = numbers // model.card.segment * model.card.segment - model.card.warmup
    blank = numbers >= numbers[22]
    if mode == "windowed":
        blank &= first <= numbers[22]
    filled = xfaconv.encode(ds, model=model, mode=mode, base_points={"a": (0, 0)})
    found = xfaconv.encode(ds.chunk(time=7), model=model, mode=mode, missing="propagate", base_points={"a": (0, 0)})
    found = found.compute()
    for name, axes in (
        ("embeddings", ["embedding"]),
        ("importance", ["variable"]),
        ("attention", ["latitude", "longitude"]),
    ):
        missing = found[name].isnull()
        assert bool((missing.all(axes) == missing.any(axes)).all())
        whole = missing.all(axes)
        whole = whole.isel(base_point=0) if name == "attention" else whole
        assert whole.values.tolist() == blank.tolist()
        kept = np.flatnonzero(~blank)
        np.testing.assert_allclose(found[name].isel(time=kept).values, filled[name].isel(time=kept).values, atol=1e-5)


def test_absent_variables_read_as_climatology():
    ds = worlds.world(20)
    blanked = ds.assign(msl=ds.msl.where(False))
    expected = worlds.oracle(blanked, worlds.model())["embedding"]
    with pytest.warns(UserWarning, match="msl"):
        found = xfaconv.embed(
            ds.drop_vars("msl").chunk(time=6), model=worlds.model(), absent="climatology", missing="raise"
        )
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    with pytest.raises(XFaconvError, match="msl"):
        xfaconv.embed(ds.drop_vars("msl"), model=worlds.model())


# Arguments


@pytest.mark.parametrize(
    ("arguments", "kind", "named"),
    [
        ({"mode": "serial"}, ArgumentError, "serial"),
        ({"missing": "ignore"}, ArgumentError, "ignore"),
        ({"absent": "ignore"}, ArgumentError, "ignore"),
        ({"regrid": "bilinear"}, ArgumentError, "bilinear"),
        ({"climatology": None}, ArgumentError, "climatology"),
        ({"climatology": "era5"}, ArgumentError, "era5"),
        ({"device": "tpu"}, ArgumentError, "tpu"),
        ({"model": "no-such-model"}, ModelError, "no-such-model"),
        ({"modle": "x"}, ArgumentError, "modle"),
        ({"variables": {"t2m": "nowhere"}}, ArgumentError, "nowhere"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, kind, named):
    with pytest.raises(kind, match=named):
        xfaconv.embed(worlds.world(4), **({"model": worlds.model()} | arguments))


def test_no_base_point_is_refused():
    with pytest.raises(ArgumentError, match="base point"):
        xfaconv.attention(worlds.world(4), model=worlds.model())


def test_an_unknown_method_is_refused():
    with pytest.raises(ArgumentError, match="shapley"):
        xfaconv.importance(worlds.world(4), model=worlds.model(), method="shapley")


def test_baselines_have_neither_gates_nor_maps():
    ds, model = worlds.world(10), worlds.model(architecture="convlstm", attention_every=0)
    with pytest.raises(ModelError, match="gates"):
        xfaconv.importance(ds, model=model)
    with pytest.raises(ModelError, match="maps"):
        xfaconv.attention(ds, model=model, **PLACE)
    out = xfaconv.encode(ds, model=model)
    assert list(out.data_vars) == ["embeddings"]
    np.testing.assert_allclose(out.embeddings.values, worlds.oracle(ds, model)["embedding"], atol=1e-5)


def test_no_fitting_model_lists_why(monkeypatch):
    monkeypatch.setattr(registry, "MODELS", replace(registry.MODELS, registered={}))
    packaged = xfaconv.list_models()
    xfaconv.register_model("ours-6-hourly", url="https://example.org/a.safetensors", sha256=64 * "0")
    with pytest.raises(ModelError, match="no packaged model fits") as caught:
        xfaconv.embed(worlds.world(10, "6h"))
    assert packaged
    for name in packaged:
        assert f"{name}: " in str(caught.value)
    # Nobody asked for a download.
    assert "ours-6-hourly" not in str(caught.value)


def test_a_failure_inside_the_network_names_the_times(monkeypatch):
    from xfaconv.nn import Network

    def fail(*arguments, **options):
        raise RuntimeError("out of luck")

    lazy = xfaconv.embed(worlds.world(20).chunk(time=5), model=worlds.model())
    monkeypatch.setattr(Network, "encode", fail)
    with pytest.raises(XFaconvError, match=r"tiny-1D-0.*2001-\d\d-\d\d.* to 2001") as caught:
        lazy.isel(time=slice(-3, None)).compute(scheduler="threads")
    assert "out of luck" in str(caught.value)


def test_options_hold_where_no_argument_says_otherwise():
    with xfaconv.set_options(missing="raise"), pytest.raises(MissingDataError):
        xfaconv.embed(holed(), model=worlds.model())
    with xfaconv.set_options(missing="raise"):
        xfaconv.embed(holed(), model=worlds.model(), missing="fill")


def test_progress_is_shown_when_asked_for(capsys):
    xfaconv.embed(worlds.world(12), model=worlds.model())
    assert capsys.readouterr().out == ""
    xfaconv.embed(worlds.world(12), model=worlds.model(), progress=True)
    assert "Completed" in capsys.readouterr().out


def test_global_state_is_untouched():
    import warnings

    import torch

    before = (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), list(warnings.filters))
    torchs = torch.get_rng_state()
    numpys = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state is what is looked at
    options = xr.get_options()
    xfaconv.embed(worlds.world(20).chunk(time=5), model=worlds.model()).compute(scheduler="threads")
    assert before == (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        list(warnings.filters),
    )
    assert torch.equal(torchs, torch.get_rng_state())
    assert np.array_equal(numpys, np.random.get_state()[1])  # noqa: NPY002
    assert xr.get_options() == options


def test_conformed_data_are_the_oracles_anomalies():
    ds, model = worlds.world(20), worlds.model()
    found = xfaconv.conform(ds.chunk(time=6), model=model)
    year_phase, _ = worlds.phases(ds.time.values, "1D")
    expected = worlds.anomalies(ds, year_phase, model.climatology)
    np.testing.assert_allclose(found.to_dataarray().transpose("time", "variable", ...).values, expected, atol=2e-5)
    assert list(found.data_vars) == ["t2m", "msl", "sst"]


# Grids whose hidden states are large


@pytest.mark.parametrize("mode", ["windowed", "stateful"])
def test_short_batches_and_hidden_states_that_are_not_kept(monkeypatch, mode):
    from xfaconv.engine import planning, prepare, runtime

    ds, model = worlds.world(30), worlds.model(attention_every=2)
    expected = worlds.oracle(ds, model, base_point=POINT, mode=mode)
    monkeypatch.setattr(prepare, "HIDDEN_BYTES", 1)
    for bytes_of_batch in (1, 3 * 4 * 8 * 16 * 16):
        monkeypatch.setattr(runtime, "_BATCH_BYTES", bytes_of_batch)
        monkeypatch.setattr(runtime, "_MAPS_BYTES", bytes_of_batch)
        check_all(ds, model, mode)
        out = xfaconv.encode(ds.chunk(time=7), model=model, mode=mode, base_points={"p": (11.25, 202.5)}).compute()
        np.testing.assert_allclose(out.embeddings.values, expected["embedding"], atol=1e-5)
        np.testing.assert_allclose(out.attention.values[0], expected["attention"], atol=1e-5)
    monkeypatch.setattr(planning, "HIDDEN_BYTES", 1)
    assert "too large to share" in repr(xfaconv.plan(ds, model=model))
