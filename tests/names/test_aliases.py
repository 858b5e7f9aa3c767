"""Whatever coordinates and variables are called: public functions read all names of the tables and of the session."""

from __future__ import annotations

import threading
from functools import cache
from itertools import cycle

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv import analysis, set_options
from xfaconv.errors import ArgumentError, CoordinateError, VariableError
from xfaconv.grid import Grid
from xfaconv.names import find_coordinate, find_dimension, find_variable, known_names, recognise_variable
from xfaconv.names.tables import entries, read_table
from xfaconv.plot.coordinates import canonical

mpl.use("Agg")

ROLES = read_table("coordinates")["roles"]
INDICES = {
    "sst": ("nino34", "nino3", "nino4", "nino12"),
    "msl": ("nao", "sam", "ao", "soi"),
    "z500": ("pna", "sam", "ao"),
}
OWN = {"latitude": "latitude", "longitude": "longitude", "time": "time", "member": "number"}


def named(role: str) -> list[str]:
    return ROLES[role]["names"]


def renamed(ds: xr.Dataset, **names: str) -> xr.Dataset:
    """Under other names of coordinates, which nothing but the names tells: no attributes are left on them."""
    changes = {OWN[role]: name for role, name in names.items() if OWN[role] in ds.dims and OWN[role] != name}
    out = ds.rename(changes)
    for name in out.coords:
        out[name].attrs = {}
    return out


@cache
def world(members: int = 0, steps: int = 8) -> xr.Dataset:
    return worlds.world(steps, members=members)


@cache
def plain() -> dict[str, xr.DataArray | xr.Dataset]:
    """What the engine gives under the package's own names."""
    model = worlds.model()
    return {
        "embed": xfaconv.embed(world(), model=model),
        "attention": xfaconv.attention(world(), 0, 30, model=model),
        "conform": xfaconv.conform(world(), model=model),
        "members": xfaconv.conform(world(2), model=model),
    }


@cache
def fine() -> xr.Dataset:
    """Two years of months on cells that are small enough for the boxes of indices."""
    random, grid = np.random.default_rng(3), Grid.regular(5.0)
    coords = {"time": xr.date_range("2001-01-01", periods=24, freq="MS")}
    coords |= {"latitude": list(grid.latitude), "longitude": list(grid.longitude)}
    values = {"sst": (300.0, "K"), "msl": (101000.0, "Pa"), "z500": (54000.0, "m2 s-2")}
    dims = ("time", "latitude", "longitude")
    shape = (24, *grid.shape)
    made = {name: (dims, mean + random.normal(size=shape), {"units": units}) for name, (mean, units) in values.items()}
    return xr.Dataset(made, coords)


@cache
def index(name: str, key: str) -> xr.DataArray:
    return getattr(analysis, name)(fine()[[key]])


PLACES = [
    pytest.param(latitude, longitude, time, id=f"{latitude}-{longitude}-{time}")
    for longitude, latitude, time in zip(
        named("longitude"), cycle(named("latitude")), cycle(named("time")), strict=False
    )
]


def test_every_name_of_a_place_or_a_time_is_tried():
    tried = [set(column) for column in zip(*(case.values for case in PLACES), strict=True)]
    assert [len(column) for column in tried] == [len(named(role)) for role in ("latitude", "longitude", "time")]


@pytest.mark.parametrize("role", [role for role in ROLES if role != "projected"])
@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_finders_know_every_name_of_a_role(role, change):
    for name in map(change, named(role)):
        values = xr.date_range("2000-01-01", periods=2) if role == "time" else [100.0, 200.0]
        array = xr.DataArray([[0.0], [0.0]], {name: values}, (name, "other"), name="field")
        for data in (array, array.to_dataset()):
            assert find_dimension(data, role) == name
            assert find_coordinate(data, role).name == name
            assert {other for other in ROLES if find_dimension(data, other)} <= {role}


@pytest.mark.parametrize(("latitude", "longitude", "time"), PLACES)
def test_results_and_analyses_of_any_coordinates(latitude, longitude, time):
    names = {"latitude": latitude, "longitude": longitude, "time": time}
    ds, model = renamed(world(), **names), worlds.model()
    attention = xfaconv.attention(ds, 0, 30, model=model)
    assert attention.dims == (time, latitude, longitude)
    np.testing.assert_array_equal(attention, plain()["attention"])
    np.testing.assert_array_equal(xfaconv.embed(ds, model=model), plain()["embed"])
    assert not xfaconv.recognise(ds).problems
    assert set(xfaconv.conform(ds, model=model).dims) == {time, latitude, longitude}
    # What a figure draws and what an analysis reads.
    assert canonical(attention[0])[0].dims == (latitude, longitude)
    assert analysis.correlation_map(ds.t2m, (0, 30)).correlation.dims == (latitude, longitude)
    assert analysis.anomalies(ds.t2m).dims == (time, latitude, longitude)
    assert analysis.teleconnectivity(ds.t2m).teleconnectivity.dims == (latitude, longitude)
    months = renamed(fine(), **names)
    for key, indices in INDICES.items():
        result = getattr(analysis, indices[0])(months[[key]])
        assert result.dims == (time,)
        np.testing.assert_allclose(result, index(indices[0], key), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("member", named("member"))
def test_members_of_any_name(member):
    ds = renamed(world(2), member=member)
    result = xfaconv.conform(ds, model=worlds.model()).t2m
    assert result.dims[0] == find_dimension(result, "member") == member
    np.testing.assert_array_equal(result, plain()["members"].t2m)


@pytest.mark.parametrize("level", named("level"))
def test_heights_on_levels_of_any_name(level):
    heights = [54000.0 + 0 * fine().z500, fine().z500]
    pressure = xr.Variable(level, [850.0, 500.0], {"units": "hPa"})
    ds = xr.concat(heights, pressure).transpose("time", level, ...).to_dataset(name="z")
    assert ds.z.assign_attrs(units="m2 s-2").to_dataset().pipe(xfaconv.recognise).available == {"z850", "z500"}
    np.testing.assert_allclose(analysis.pna(ds), index("pna", "z500"), atol=1e-9)
    np.testing.assert_allclose(analysis.pna(ds.z), index("pna", "z500"), atol=1e-9)


@pytest.mark.parametrize("key", ["t2m", "msl", "sst"])
def test_the_models_variables_of_any_name(key):
    model = worlds.model()
    for name in sorted(entries()[key].names - {key}):
        ds = world().rename({key: name})
        read = xfaconv.conform(ds, model=model)
        np.testing.assert_array_equal(read[key], plain()["conform"][key], err_msg=name)


@pytest.mark.parametrize("key", INDICES)
def test_indices_of_fields_of_any_name(key):
    names = entries()["z" if key == "z500" else key].names
    # A height is named with its level or without one; names that end in a digit take no level.
    names |= {f"{name}_500" for name in names if key == "z500" and not name[-1].isdigit()}
    for name, which in zip(sorted(names), cycle(INDICES[key]), strict=False):
        ds = fine()[[key]].rename({key: name})
        result = getattr(analysis, which)(ds)
        np.testing.assert_allclose(result, index(which, key), atol=1e-9, err_msg=name)


def test_every_name_of_every_variable_is_recognised():
    for key, entry in entries().items():
        for name in entry.names:
            ds = fine()[["msl"]].rename(msl=name).drop_attrs()
            assert recognise_variable(ds, name).key == key, name
            found = find_variable(ds, key)
            assert found is not None, name
            assert found.name == name


def everything(ds: xr.Dataset, months: xr.Dataset) -> None:
    """Call all that takes a Dataset or a result, figures included."""
    model = worlds.model()
    place = {"base_point": (0, 30), "model": model}
    results = xfaconv.encode(ds, base_points={"a": (0, 30), "b": (40, 200)}, model=model)
    embedding = xfaconv.embed(ds, model=model)
    assert find_dimension(results, "time") == find_dimension(ds, "time")
    attention = xfaconv.attention(ds, 0, 30, model=model)
    hidden = xfaconv.hidden(ds, model=model)
    importance = xfaconv.importance(ds, model=model, method="gate")
    compare_attention = xfaconv.compare_attention(ds, (0, 30), model=model, variable="t2m", surrogates=0)
    xfaconv.attribution(ds, (0, 30), "t2m", lead=1, samples=1, model=model)
    xfaconv.check_attention(ds, samples=3, **place)
    assert str(xfaconv.plan(ds, model=model))
    assert str(xfaconv.describe(ds))
    assert not xfaconv.recognise(ds).problems
    regimes = xfaconv.regimes(embedding, 2, repeats=0, surrogates=0)
    nino = analysis.nino34(months)
    analysis.composite(months.msl, nino, threshold=0.1, shuffles=9)
    field = find_variable(ds, "t2m")
    analysis.regime_composites(field, regimes)
    analysis.leading_eofs(field, modes=1)
    for figure in (
        xfaconv.plot_attention(attention[0]),
        xfaconv.plot_hidden(hidden[0, :1]),
        xfaconv.plot_importance(importance),
        xfaconv.plot_embedding(embedding),
        xfaconv.plot_regimes(regimes.label),
        xfaconv.plot_correlation(compare_attention.correlation),
    ):
        assert figure is not None
    plt.close("all")


def test_every_public_function_reads_coordinates_of_other_names():
    names = {"latitude": "lats", "longitude": "lons", "time": "times"}
    everything(renamed(world(steps=20), **names), renamed(fine(), **names))


SESSION = {
    "latitude": ["my_lat"],
    "longitude": ["my_lon"],
    "time": "my_time",
    "t2m": ["my_t2m"],
    "msl": ("my_msl", "Druck"),
    "sst": ["my_sst"],
    "z500": ["my_z500"],
}


def test_every_public_function_reads_the_names_of_a_session():
    names = {"latitude": "my_lat", "longitude": "my_lon", "time": "my_time"}
    new = {"t2m": "my_t2m", "msl": "druck", "sst": "My_SST"}
    ds, longer = (renamed(world(steps=steps), **names).rename(new) for steps in (8, 20))
    months = renamed(fine(), **names).rename(sst="my_sst", z500="MY_Z500")
    with pytest.raises(CoordinateError, match="no latitude"):
        xfaconv.embed(ds, model=worlds.model())
    with set_options(aliases=SESSION):
        assert known_names("latitude") >= {"my_lat", "lats"}
        np.testing.assert_array_equal(xfaconv.embed(ds, model=worlds.model()), plain()["embed"])
        np.testing.assert_allclose(analysis.pna(months), index("pna", "z500"), atol=1e-9)
        everything(longer, months)
    # The tables are cached, the names of a session are not.
    with pytest.raises(CoordinateError, match="no latitude"):
        xfaconv.embed(ds, model=worlds.model())
    with pytest.raises(VariableError, match="no variable for sst"):
        analysis.nino34(fine().sst.to_dataset(name="my_sst"))


def test_names_of_a_session_win_over_the_tables():
    ds = fine()[["msl"]].rename(msl="tas")
    assert recognise_variable(ds, "tas").key == "t2m"
    with set_options(aliases={"skt": ["tas"], "z": ["Geopot"]}):
        found = recognise_variable(ds, "tas")
        assert (found.key, found.rule) == ("skt", "session alias")
        assert recognise_variable(ds.rename(tas="Geopot_850"), "Geopot_850").levels == (850.0,)
        # A model that reads t2m still reads t2m: only names in the data change their meaning.
        assert find_variable(fine()[["msl"]].rename(msl="t2m"), "t2m") is not None


def test_the_names_of_a_session_stay_in_their_thread():
    seen = []
    with set_options(aliases={"latitude": ["breite"]}):
        thread = threading.Thread(target=lambda: seen.append("breite" in known_names("latitude")))
        thread.start()
        thread.join()
        assert "breite" in known_names("latitude")
    assert seen == [False]


@pytest.mark.parametrize(
    ("aliases", "words"),
    [
        ({"temprature": ["t"]}, "temprature"),
        ({"lattitude": ["my_lat"]}, "'latitude': ['my_name']"),
        ({3: ["t"]}, "known names"),
        ({"projected": ["t"]}, "known names"),
        ({"t2m": 3}, "text"),
        ({"t2m": [3]}, "text"),
        ({"t2m": [" "]}, "text"),
        ({"t2m": ["x"], "msl": ["X"]}, "each stand for one"),
        (["t2m"], "a mapping"),
        (None, "a mapping"),
    ],
)
def test_aliases_that_make_no_sense_are_refused(aliases, words):
    with pytest.raises(ArgumentError, match="option 'aliases'") as caught:
        set_options(aliases=aliases)
    assert words in str(caught.value)
    assert caught.value.fix.startswith("xfaconv.set_options(aliases={")
    exec(caught.value.fix.replace("xfaconv.", "with ") + ": pass", {"set_options": set_options})


def test_several_fields_that_match_equally_are_refused():
    ds = fine()[["sst"]].assign(tos=fine().sst).rename(sst="analysed_sst")
    with pytest.raises(VariableError, match="more than one variable can be 'sst'") as caught:
        analysis.nino34(ds)
    assert "drop_vars" in caught.value.fix
    # The package's own name goes before others, and a field before its anomaly.
    assert find_variable(ds.rename(tos="sst"), "sst").name == "sst"
    assert find_variable(ds.drop_vars("tos").rename(analysed_sst="ssta").assign(tos=ds.tos), "sst").name == "tos"
    assert find_variable(ds.drop_vars("tos").rename(analysed_sst="ssta"), "sst").name == "ssta"


def test_a_height_at_another_level_is_not_taken_for_the_one_at_500_hpa():
    ds = fine()[["z500"]].rename(z500="z").assign_coords(level=((), 850.0, {"units": "hPa"}))
    with pytest.raises(VariableError, match="no variable for z500"):
        analysis.pna(ds)
    with pytest.raises(VariableError, match="no variable for z500"):
        analysis.pna(fine()[["z500"]].rename(z500="z850"))


@pytest.mark.parametrize("numbered", [False, True])
def test_latitude_along_a_dimension_of_another_name(numbered):
    """Dimensions y and x, coordinates lat(y) and lon(x), with or without numbers of rows and columns."""
    ds = world().rename(latitude="y", longitude="x").rename_vars(y="lat", x="lon").drop_indexes(["lat", "lon"])
    if numbered:
        ds = ds.assign_coords(y=np.arange(ds.sizes["y"]) * 10, x=np.arange(ds.sizes["x"]) * 7)
    assert (find_dimension(ds, "latitude"), find_dimension(ds.t2m, "longitude")) == ("y", "x")
    attention = xfaconv.attention(ds, 0, 30, model=worlds.model())
    np.testing.assert_array_equal(attention, plain()["attention"])
    assert attention.dims == ("time", "y", "x")
    field, grid = canonical(attention[0])
    right, same = canonical(plain()["attention"][0])
    assert grid == same
    np.testing.assert_array_equal(field, right)
    xfaconv.plot.plot_attention(attention.mean("time"))
    plt.close("all")
    for function in (
        lambda data: analysis.correlation_map(data.t2m, (0, 30)).correlation,
        lambda data: analysis.anomalies(data.t2m),
        lambda data: analysis.teleconnectivity(data.t2m).teleconnectivity,
        lambda data: analysis.axes.box_mean(data.t2m, (-30, 30, 340, 60)),
        lambda data: analysis.axes.distance_from(data.t2m, (10, 20)),
        lambda data: analysis.pattern_correlation(data.t2m[0], data.t2m[1]),
    ):
        found, expected = function(ds), function(world())
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert {"y", "x"} & set(found.dims) == ({"y", "x"} if "latitude" in expected.dims else set())
    sst = fine().rename(latitude="y", longitude="x").rename_vars(y="lat", x="lon").drop_indexes(["lat", "lon"])
    np.testing.assert_allclose(analysis.nino34(sst[["sst"]]), index("nino34", "sst"), rtol=1e-6, atol=1e-9)


def test_points_in_a_row_have_no_axes():
    points = xr.DataArray([0.0, 1.0], {"lat": ("station", [1.0, 2.0]), "lon": ("station", [3.0, 4.0])}, ("station",))
    assert find_dimension(points, "latitude") is find_dimension(points, "longitude") is None
