"""The accessor and the public face: a shell without state, the same as the functions, that never gets in the way."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xfaconv
from xfaconv.accessor import DatasetAccessor
from xfaconv.arguments import DEFAULTS
from xfaconv.errors import AccessorError, ArgumentError, XFaconvError

METHODS = [name for name in vars(DatasetAccessor) if not name.startswith("_")]


@pytest.fixture(scope="module")
def winter() -> xr.Dataset:
    """Forty days of the simulation, in memory."""
    return xfaconv.tutorial.open_dataset("amip").isel(time=slice(0, 40)).load()


def test_the_accessor_has_the_methods_that_were_promised() -> None:
    promised = {
        *("conform", "embed", "importance", "attention", "hidden", "encode", "fit", "plan"),
        *("plot_attention", "plot_importance", "plot_embedding"),
    }
    assert promised <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_also_a_documented_function(name: str) -> None:
    function = getattr(xfaconv, name)
    assert inspect.isfunction(function)
    assert function.__doc__
    assert name in xfaconv.__all__


@pytest.mark.parametrize("name", [name for name in METHODS if not name.startswith("plot")])
def test_a_method_passes_everything_on_and_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def recorder(ds: xr.Dataset, *arguments: object, **options: object) -> str:
        seen.update(ds=ds, arguments=arguments, options=options)
        return "result"

    home = importlib.import_module(f"xfaconv.{xfaconv._HOMES[name]}")
    monkeypatch.setattr(home, name, recorder)
    ds = xr.Dataset()
    assert getattr(ds.faconv, name)((0, -140), device="cpu") == "result"
    assert seen["ds"] is ds
    assert seen["arguments"] == ((0, -140),)
    assert seen["options"] == {"device": "cpu"}


SHARED = [
    *("model", "regrid", "climatology", "absent", "missing", "mode"),
    *("device", "variables", "stride", "progress", "time"),
]
OF_FIELDS = [name for name in METHODS if name != "fit"]


@pytest.mark.parametrize("name", [name for name in METHODS if not name.startswith("plot")])
def test_a_method_shows_the_signature_and_the_words_of_its_function(name: str) -> None:
    function, method = getattr(xfaconv, name), getattr(xr.Dataset().faconv, name)
    whole, bound = inspect.signature(function), inspect.signature(method)
    assert list(bound.parameters.values()) == list(whole.parameters.values())[1:]
    assert method.__doc__ == function.__doc__
    assert method.__name__ == name
    assert inspect.isfunction(method)  # so that Jupyter shows it as one, without the data


@pytest.mark.parametrize("name", OF_FIELDS)
def test_every_argument_is_shown_with_its_default_and_described(name: str) -> None:
    method = getattr(xr.Dataset().faconv, name)
    parameters = inspect.signature(method).parameters
    assert [key for key in parameters if key in SHARED] == SHARED
    assert {key: parameters[key].default for key in SHARED} == dict(DEFAULTS)
    further = [entry for entry in parameters.values() if entry.kind is inspect.Parameter.VAR_KEYWORD]
    # A figure of several maps and series has no single artist that further properties would belong to.
    assert bool(further) == (name.startswith("plot") and name != "plot_teleconnection")
    described = re.findall(r"^\**(\w[\w, ]*?)(?: :.*)?$", inspect.getdoc(method).split("---\n")[1], flags=re.MULTILINE)
    assert set(parameters) <= {entry for names in described for entry in names.split(", ")}


def test_the_shared_arguments_have_one_home() -> None:
    assert list(DEFAULTS) == SHARED == list(xfaconv.engine.Arguments.__annotations__)


@pytest.mark.parametrize("name", [name for name in METHODS if name.startswith("plot")])
def test_a_figure_of_a_dataset_takes_the_arguments_of_the_calculation_and_of_the_figure(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xfaconv.accessor import _FIGURES

    calculation, seen = _FIGURES[name][0], {}
    result = xr.Dataset({name: xr.DataArray([1.0], dims="x") for name in ("correlation", "significant", "label")})

    def calculate(ds: xr.Dataset, *arguments: object, **options: object) -> xr.Dataset:
        seen.update(arguments=arguments, options=options)
        return result

    for known, replacement in ((calculation, calculate), (name, lambda found, **style: (found, style))):
        function = getattr(xfaconv, known)
        replacement.__signature__ = inspect.signature(function)
        monkeypatch.setattr(importlib.import_module(f"xfaconv.{xfaconv._HOMES[known]}"), known, replacement)
    method = getattr(xr.Dataset().faconv, name)
    style = {"title": "mine"}
    if name != "plot_teleconnection":  # a figure of several axes has no artist of its own
        style |= {"cmap": "viridis", "zorder": 3, "lw": 2}
    drawn, given = method((0, -140), absent="climatology", variables={"sst": "tos"}, **style)
    assert seen == {"arguments": ((0, -140),), "options": {"absent": "climatology", "variables": {"sst": "tos"}}}
    assert given == style
    assert drawn is result or drawn.name in ("correlation", "label")
    seen.clear()
    with pytest.raises(ArgumentError, match="'titel' is unknown") as caught:
        method((0, -140), titel="mine")
    assert caught.value.fix == "title='mine'"
    assert seen == {}  # refused before anything is computed


def test_an_importance_by_occlusion_can_be_drawn(winter: xr.Dataset) -> None:
    figure = winter.isel(time=slice(0, 32)).faconv.plot_importance(method="occlusion", samples=2, kind="line")
    assert len(figure) == 12


@pytest.mark.parametrize(
    ("name", "positional", "options"),
    [
        ("plot_importance", (), {"method": "occlusion", "sampels": 2}),
        ("plot_attention", (0, -140), {"sesaon": "DJF"}),
        ("plot_embedding", (), {"metod": "kmeans"}),
        ("plot_correlation", ((0, -140),), {"leg": 1}),
        ("plot_regimes", (3,), {"n_cluster": 3}),
        ("plot_hidden", (), {"chanels": 3}),
    ],
)
def test_a_figure_refuses_what_is_unknown_before_it_computes(
    winter: xr.Dataset,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    positional: tuple[object, ...],
    options: dict[str, object],
) -> None:
    def ran(*_: object, **__: object) -> None:
        raise AssertionError("the data were prepared")

    monkeypatch.setattr("xfaconv.engine.api.prepare", ran)
    with pytest.raises(ArgumentError, match="is unknown"):
        getattr(winter.faconv, name)(*positional, **options)


def test_a_figure_of_a_season_is_the_mean_over_it() -> None:
    years = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 38)).load()
    maps = years.faconv.attention(0, -140, stride=4)
    drawn = np.asarray(years.faconv.plot_attention(0, -140, season="DJF", stride=4).get_array())
    for chosen, good in (((12, 1, 2), True), ((6, 7, 8), False)):
        part = maps.isel(time=np.isin(maps.time.dt.month, chosen))
        right = np.asarray(part.faconv.plot_attention().get_array())
        assert np.allclose(drawn, right, rtol=1e-4) is good
    both = years.faconv.plot_attention(0, -140, season="DJF", time=slice("2007", "2008"), stride=4)
    some = maps.sel(time=slice("2007", "2008"))
    right = some.isel(time=np.isin(some.time.dt.month, (12, 1, 2))).faconv.plot_attention()
    np.testing.assert_allclose(np.asarray(both.get_array()), np.asarray(right.get_array()), rtol=1e-4)
    assert years.faconv.plot_embedding(season=[1, 2], stride=4) is not None
    with pytest.raises(ArgumentError, match="unknown season"):
        years.faconv.plot_attention(0, -140, season="XYZ")


def test_a_figure_of_a_date_is_that_of_its_steps() -> None:
    years = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 38)).load()
    drawn = np.asarray(years.faconv.plot_attention(0, -140, time="2009-01", stride=4).get_array())
    right = years.faconv.attention(0, -140, stride=4).sel(time="2009-01").faconv.plot_attention()
    np.testing.assert_allclose(drawn, np.asarray(right.get_array()), rtol=1e-4)


def test_method_and_function_give_the_same(winter: xr.Dataset) -> None:
    by_method = winter.faconv.encode(base_points={"nino34": (0, -140)})
    by_function = xfaconv.encode(winter, base_points={"nino34": (0, -140)})
    xr.testing.assert_identical(by_method.drop_attrs(), by_function.drop_attrs())
    assert by_method.attrs["model"] == "amip-daily-5p6deg"
    assert set(by_method) == {"embeddings", "importance", "attention"}


def test_plots_draw_what_the_engine_gives(winter: xr.Dataset) -> None:
    map_of = winter.faconv.plot_attention(latitude=0, longitude=-140, projection="Robinson")
    attention = winter.faconv.attention(latitude=0, longitude=-140)
    again = attention.faconv.plot_attention(projection="Robinson")
    np.testing.assert_allclose(np.asarray(map_of.get_array()), np.asarray(again.get_array()))
    assert type(map_of.axes.projection).__name__ == "Robinson"
    rows = np.asarray(winter.faconv.plot_embedding().get_array())
    np.testing.assert_allclose(
        rows, np.asarray(winter.faconv.embed().faconv.plot_embedding().get_array()).reshape(rows.shape)
    )
    assert winter.faconv.plot_importance() is not None
    assert winter.faconv.importance().faconv.plot_importance() is not None


def test_the_dataset_is_the_same_after_use(winter: xr.Dataset) -> None:
    before, encoding = winter.copy(deep=True), {name: dict(winter[name].encoding) for name in winter.variables}
    winter.faconv.embed()
    repr(winter.faconv)
    winter.faconv.plan()
    xr.testing.assert_identical(winter, before)
    assert {name: dict(winter[name].encoding) for name in winter.variables} == encoding


def test_the_accessor_holds_the_dataset_and_nothing_else() -> None:
    ds = xfaconv.tutorial.open_dataset("amip")
    repr(ds.faconv)
    assert list(vars(ds.faconv)) == ["_data"]
    assert vars(ds.faconv)["_data"] is ds
    array = ds.t2m
    assert list(vars(array.faconv)) == ["_data"]


def test_pickling_a_used_dataset_costs_nothing_more() -> None:
    ds = xr.Dataset({"t2m": ("time", np.arange(3.0))})
    unused = len(pickle.dumps(ds))
    repr(ds.faconv)
    assert len(pickle.dumps(ds)) < unused + 200
    restored = pickle.loads(pickle.dumps(ds))
    xr.testing.assert_identical(restored, ds)
    assert isinstance(restored.faconv, DatasetAccessor)
    assert restored.faconv._data is restored


@pytest.mark.parametrize(
    "derive",
    [copy.copy, copy.deepcopy, lambda ds: ds.copy(), lambda ds: ds[["t2m"]], lambda ds: ds.isel(time=slice(0, 2))],
)
def test_a_derived_dataset_has_an_accessor_of_its_own(derive) -> None:
    ds = xr.Dataset({"t2m": ("time", np.arange(3.0)), "msl": ("time", np.arange(3.0))})
    assert ds.faconv is not None
    derived = derive(ds)
    assert derived.faconv._data is derived


def test_a_change_of_the_dataset_is_seen() -> None:
    ds = xfaconv.tutorial.open_dataset("amip")
    assert "12 variables recognised" in repr(ds.faconv)
    del ds["t2m"]
    assert "11 variables recognised" in repr(ds.faconv)


def test_the_accessor_works_in_a_pipeline(winter: xr.Dataset) -> None:
    assert winter.pipe(xfaconv.embed).dims == ("time", "embedding")


def test_the_text_says_what_was_recognised_the_model_and_the_cost(no_computes) -> None:
    ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    with no_computes():
        text = repr(ds.faconv)
    for said in (
        "5 variables recognised, ready",
        "sst",
        "longitude periodic",
        "monthly",
        "ncep-monthly-2p5deg",
        "memory",
    ):
        assert said in text


class _Tags(HTMLParser):
    """Checks that tags close, and collects them."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


HOPELESS = {
    "empty": xr.Dataset(),
    "a number": xr.Dataset({"t2m": 3.0}),
    "no coordinates": xr.Dataset({"t2m": (("time", "y", "x"), np.zeros((2, 3, 4)))}),
    "hostile names": xr.Dataset({"<script>alert(1)</script>": ("<b>", np.zeros(3))}, attrs={"title": "</div>"}),
    "names that are numbers": xr.Dataset({1: ((2,), np.zeros(3))}),
    "one variable too few": xfaconv.tutorial.open_dataset("ncep-oisst")[["sst"]],
    "no time": xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=0, drop=True),
}


@pytest.mark.parametrize("name", ["good", *HOPELESS])
def test_the_reprs_of_anything_are_whole_and_raise_nothing(name: str, no_computes) -> None:
    ds = HOPELESS.get(name, xfaconv.tutorial.open_dataset("amip"))
    with no_computes():
        text, html = repr(ds.faconv), ds.faconv._repr_html_()
    assert ("problem" in text) == (name != "good")
    assert "<script" not in html
    tags = _Tags()
    tags.feed(html)
    assert tags.open == []
    if name == "one variable too few":
        assert "z500" in text


def test_no_public_function_hides_a_module() -> None:
    """`import xfaconv.adapt.survey` gives a module, and every name of the package is what it was meant to be."""
    code = """
import importlib, inspect, pkgutil
import xfaconv
modules = [found.name for found in pkgutil.walk_packages(xfaconv.__path__, "xfaconv.")]
for name in modules:
    importlib.import_module(name)
for name in modules:
    package, _, leaf = name.rpartition(".")
    assert inspect.ismodule(getattr(importlib.import_module(package), leaf)), name
assert inspect.isfunction(xfaconv.conform)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_everything_promised_is_there() -> None:
    assert sorted(xfaconv.__all__) == sorted(set(xfaconv.__all__))
    for name in xfaconv.__all__:
        assert getattr(xfaconv, name) is not None
    assert set(dir(xfaconv)) == {*xfaconv.__all__, "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'embedd'"):
        xfaconv.embedd  # noqa: B018


def test_a_reload_warns_of_nothing_and_everything_still_works() -> None:
    code = """
import warnings, importlib
import xarray as xr
warnings.simplefilter("error")
import xfaconv
for _ in range(2):
    importlib.reload(xfaconv.accessor)
    importlib.reload(xfaconv)
ds = xr.Dataset()
assert "problem" in repr(ds.faconv)
assert callable(xfaconv.conform)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_anothers_accessor_of_that_name_is_not_replaced_in_silence() -> None:
    code = """
import warnings
import xarray as xr
@xr.register_dataset_accessor("faconv")
class Other:
    def __init__(self, ds): pass
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import xfaconv
assert any("faconv" in str(warning.message) for warning in caught), caught
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_base_points_can_be_given_by_position(winter: xr.Dataset) -> None:
    found = winter.isel(time=slice(0, 2)).faconv.attention(0, -140)
    xr.testing.assert_equal(found, xfaconv.attention(winter.isel(time=slice(0, 2)), latitude=0, longitude=-140))


@pytest.mark.parametrize("name", [name for name in METHODS if not name.startswith("plot")])
def test_a_data_array_says_how_it_becomes_a_dataset(name: str) -> None:
    array = xr.DataArray([1.0], name="z500")
    assert not hasattr(array.faconv, name)
    with pytest.raises(AccessorError, match="several variables together") as caught:
        getattr(array.faconv, name)
    assert "ds = da.to_dataset(name='z500')" in caught.value.fix
    assert f"ds.faconv.{name}" in caught.value.fix
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        array.faconv.nonsense  # noqa: B018


def test_the_accessor_of_a_data_array_can_be_copied() -> None:
    array = xr.DataArray([1.0], name="z500")
    assert copy.deepcopy(array.faconv)._data.equals(array)
    assert pickle.loads(pickle.dumps(array.faconv))._data.equals(array)


def test_an_error_is_typed_whichever_way_it_is_called() -> None:
    ds = xr.Dataset({"t2m": ("time", np.arange(3.0))})
    for call in (ds.faconv.embed, ds.faconv.plan, lambda: xfaconv.embed(ds)):
        with pytest.raises(XFaconvError):
            call()


@pytest.mark.parametrize(
    ("method", "written", "fix"),
    [
        ("attention", {"lat": 0, "lon": -140}, "latitude=0, longitude=-140"),
        ("attention", {"base_point": (0, -140)}, "base_points=(0, -140)"),
        ("encode", {"head": True}, "heads=True"),
        ("importance", {"methode": "gate"}, "method='gate'"),
        ("plan", {"worker": 2}, "workers=2"),
        ("embed", {"lat": 0}, None),
    ],
)
def test_what_was_meant_is_sought_among_all_arguments_of_a_method(
    method: str, written: dict[str, object], fix: str | None
) -> None:
    with pytest.raises(ArgumentError) as caught:
        getattr(xr.Dataset().faconv, method)(**written)
    assert caught.value.fix == fix
    assert caught.value.found == ", ".join(map(repr, written))


def test_versions_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    xfaconv.show_versions()
    printed = dict(re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines())
    assert printed["numpy"] == np.__version__
    assert printed["xarray"] == xr.__version__
    assert printed["torch"].startswith(importlib.import_module("torch").__version__.split("+")[0])


def test_the_version_stands_in_one_place() -> None:
    root = Path(__file__).resolve().parents[1]
    package = tomllib.loads((root / "pyproject.toml").read_text())
    assert package["tool"]["hatch"]["version"]["path"] == "xfaconv/__init__.py"
    assert "version" not in package["project"]
    assert f"\nversion: {xfaconv.__version__}\n" in (root / "CITATION.cff").read_text()
    assert f"## {xfaconv.__version__} " in (root / "CHANGELOG.md").read_text()
