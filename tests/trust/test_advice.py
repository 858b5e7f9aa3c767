"""The line behind ``fix:`` is run on what provoked it, and leads to a result or to a different, true error."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

import xfaconv
from tests.adapt.test_bad_input import CASES, Case, base
from tests.engine import worlds
from tests.trust.advice import LIKE_CODE, PLACEHOLDER, follow, kind_of
from tests.trust.calls import world
from tests.trust.misuse import MISUSES
from tests.trust.places import everywhere, places, recorded
from tests.trust.test_bad_arguments import CALL, ROWS
from xfaconv.adapt import adapt
from xfaconv.errors import ModelError, TimeError, XFaconvError

GOOD = {"result", "another error"}
SILENT = {"placeholder", "prose", "none"}
SMALL = {"hidden": 8, "bottleneck": 4, "embedding": 8, "attention_width": 8, "attention_heads": 2}
# What is cheap to refuse may be long to do: a result of lazy data is not computed.
LAZY = {"check_attention", "regimes", "compare_attention", "analysis.choose_count"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run in an empty folder with one file, since some lines open or write files."""
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(), xfaconv.set_options(**xfaconv.get_options()):
        warnings.simplefilter("ignore")
        yield
    plt.close("all")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_advice_for_bad_data(case: Case, tmp_path: Path) -> None:
    if case.name == "a path":
        base().load().to_netcdf(tmp_path / "era5.nc")
    came = follow(lambda ds, **options: adapt(ds, case.target, **options), {"ds": case.ds, **case.options})
    assert came in GOOD | SILENT, came


def short_fit(**given: Any) -> Any:
    """Train for one update where many are asked for."""
    updates = given.get("updates")
    is_long = isinstance(updates, int) and not isinstance(updates, bool) and updates > 1
    return xfaconv.fit(**given | ({"updates": 1} if is_long else {}))


@pytest.mark.parametrize(
    ("name", "changes"), [row[:2] for row in ROWS], ids=[f"{r[0]}-{next(iter(r[1]))}" for r in ROWS]
)
def test_advice_for_bad_arguments(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    given = CALL[name].arguments() | changes
    if given.get("ds") == "era5.nc" if isinstance(given.get("ds"), str) else False:
        base().load().to_netcdf(tmp_path / "era5.nc")
    if name in LAZY:
        given |= {
            key: given[key].chunk() for key in ("ds", "data") if isinstance(given.get(key), xr.Dataset | xr.DataArray)
        }
    came = follow(short_fit if name == "fit" else CALL[name].function, given)
    assert came in GOOD | SILENT, came


@cache
def months() -> xr.Dataset:
    return xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 26)).load()


@cache
def days() -> xr.Dataset:
    ds = xfaconv.tutorial.open_dataset("amip").isel(time=slice(0, 40)).load()
    return ds.assign_coords(time=ds.time.dt.floor("D"))


def finer(ds: xr.Dataset, start: str, periods: int, freq: str) -> xr.Dataset:
    time = pd.date_range(start, periods=periods, freq=freq)
    return ds.sel(time=time, method="ffill").assign_coords(time=time)


def hours() -> xr.Dataset:
    ds = finer(days(), "2008-12-10", 96, "h")
    return ds.assign(tp=(ds.tp / 24).assign_attrs(ds.tp.attrs))


def half_as_wide() -> xr.Dataset:
    new = {"latitude": np.arange(-89.25, 90, 1.5), "longitude": np.arange(0.0, 360, 1.5)}
    return days()[["msl", "z500", "t850"]].interp(new, kwargs={"fill_value": "extrapolate"})


def of(function: Callable[..., Any], **given: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    return function, given


WRONG_ENTRIES = {"embedding": 0, "hidden": -8, "attention_heads": 3, "bottleneck": "wide", "pooling": "x"}
TINY: dict[str, Any] = {"model": worlds.model()}
OF_A_PLACE = {"target": (0, 30), "variable": "t2m", "lead": 1, "method": "gradient"}
NEW: Mapping[str, Callable[[], tuple[Callable[..., Any], dict[str, Any]]]] = {
    "daily for a monthly model": lambda: of(xfaconv.embed, ds=finer(months(), "2007-02-01", 60, "D")),
    "hourly for a daily model": lambda: of(xfaconv.embed, ds=hours()),
    "hourly, the model named": lambda: of(xfaconv.embed, ds=hours(), model="amip-daily-5p6deg"),
    "hourly, planned": lambda: of(xfaconv.plan, ds=hours().chunk(time=24)),
    "the globe for a regional model": lambda: of(xfaconv.embed, ds=half_as_wide()),
    "one variable is absent": lambda: of(xfaconv.embed, ds=days().drop_vars("olr")),
    "nothing is recognised": lambda: of(
        lambda ds, model=None: xfaconv.embed(ds, model=model) if model is None else model,
        ds=world()[["t2m"]].rename(t2m="foo"),
    ),
    "no such time": lambda: of(xfaconv.embed, ds=world(), **TINY, time="1890"),
    "time between the steps": lambda: of(xfaconv.embed, ds=world(), **TINY, time="2001-02-21T07:30"),
    "time is a number": lambda: of(xfaconv.attention, ds=world(), latitude=0, longitude=30, **TINY, time=2001),
    "time is empty": lambda: of(xfaconv.importance, ds=world(), **TINY, time=[]),
    "time without a window": lambda: of(
        xfaconv.attribution, ds=world(), **OF_A_PLACE, **TINY, time="2001-02-20"
    ),
    "time of one step to check": lambda: of(
        xfaconv.check_attention, ds=world().chunk(), base_point=(0, 30), **TINY, time="2001-03-20"
    ),
    "region of an embedding": lambda: of(xfaconv.embed, ds=world(), **TINY, region=(-10, 10, 160, 270)),
    "region by name": lambda: of(xfaconv.importance, ds=world(), method="occlusion", **TINY, region="tropics"),
    "region upside down": lambda: of(
        xfaconv.importance, ds=world(), method="occlusion", **TINY, region=(10, -10, 0, 90)
    ),
    "a value that is neither inferred nor forecast": lambda: of(
        xfaconv.attribution, ds=world(), **OF_A_PLACE | {"lead": None, "target": (45, 190)}, **TINY
    ),
    "a lead that the model lacks": lambda: of(xfaconv.attribution, ds=world(), **OF_A_PLACE | {"lead": 7}, **TINY),
    "a forecast where it is masked": lambda: of(
        xfaconv.attribution, ds=world(), target=(-10, 80), variable="sst", lead=1, method="gradient", **TINY
    ),
    "a map where it is masked": lambda: of(
        xfaconv.compare_attention, ds=world(), base_point=(-10, 80), **TINY, variable="sst", surrogates=5
    ),
    "epochs": lambda: of(short_fit, ds=world(), variables=["t2m"], window=4, leads=(0, 1), network=SMALL, epochs=5),
    "a batch size": lambda: of(
        short_fit, ds=world(), variables=["t2m"], window=4, leads=(0, 1), network=SMALL, updates=1, batch_size=1
    ),
    **{
        f"network {name}={value!r}": lambda name=name, value=value: of(
            short_fit, ds=world(), variables=["t2m"], updates=1, batch=1, window=4, leads=(0, 1),
            network=SMALL | {name: value},
        )
        for name, value in WRONG_ENTRIES.items()
    },
    "members": lambda: of(
        xfaconv.importance, ds=worlds.world(40, members=2), method="gradient", base_point=(0, 30), **TINY
    ),
    "one season of many": lambda: of(xfaconv.attribution, ds=world(), **OF_A_PLACE, **TINY, season="OND"),
    "importance of gates at a place": lambda: of(xfaconv.importance, ds=world(), **TINY, base_point=(0, 30)),
    "a forecast of no place": lambda: of(
        xfaconv.importance, ds=world(), method="gradient", **TINY, target=("t2m", 1)
    ),
    "a place in one argument": lambda: of(xfaconv.attention, ds=world(), latitude=(0, 30), **TINY),
    "options of the engine with embeddings": lambda: of(
        xfaconv.regimes, data=xfaconv.embed(world(), **TINY), n=2, repeats=0, surrogates=0, model="a"
    ),
    "a short window for an objective": lambda: of(
        short_fit, ds=world(), variables=["t2m"], updates=1, batch=1, window=4, leads=(0, 1), network=SMALL,
        objective=xfaconv.training.Objective(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEW)
def test_advice_for_what_users_did(name: str) -> None:
    call, given = NEW[name]()
    came = follow(call, given)
    assert came in GOOD, came


# Not to be provoked by a call, or not to be followed by one.
ELSEWHERE = {
    "errors:require_torch 1": "torch has to be missing",
    "download:fetch 1": "the address of a file has to answer",
    "engine/runtime:located 1": "states where the data are to be looked at after an error that is not foreseen",
    "engine/writing:_begin 1": "zarr has to be installed",
    "engine/writing:_write 1": "a full disk",
    "explore:_build 1": "ipywidgets has to be installed",
    "models/model:_fetched 1": "another version of the package on a worker",
    "models/registry:_load_packaged 1": "an installation whose files were exchanged",
    "models/registry:_load_remote 1": "a file that was registered, downloaded, and is no model",
    "training/recipes:__post_init__ 1": "an entry of a file of recipes",
    "training/recipes:read_recipe 1": "an entry of a file of recipes",
    "training/recipes:recipe_data 1": "data to be put in a folder",
    "tutorial/samples:open_dataset 1": "a file that was registered, downloaded, and is no NetCDF file",
}


@pytest.mark.parametrize("name", MISUSES)
def test_advice_for_each_place_that_gives_some(name: str) -> None:
    call, given = MISUSES[name]()
    came = follow(call, given)
    assert came in GOOD | SILENT, came


def provoked() -> set[str]:
    """Every place whose advice one of the tests above follows."""
    found: set[str] = set()
    of_data = [lambda case=case: of(partial(adapt, case.ds, case.target), **case.options) for case in CASES]
    of_calls = [lambda row=row: of(CALL[row[0]].function, **CALL[row[0]].arguments() | row[1]) for row in ROWS]
    for make in (*of_data, *of_calls, *NEW.values(), *MISUSES.values()):
        call, given = make()
        with recorded(found), suppress(XFaconvError):
            call(**given)
    return found


def test_every_fix_of_the_package_is_followed() -> None:
    """Whoever adds an error with a fix adds the call that provokes it."""
    found = provoked()
    assert sorted(everywhere() - found - set(ELSEWHERE)) == []
    assert sorted(set(ELSEWHERE) - everywhere()) == [], "no such place any more"
    assert sorted(set(ELSEWHERE) & found) == [], "provoked, and so to be followed"


def test_places_are_found_with_helpers_and_without_what_is_handed_on() -> None:
    names = {place.name for place in places()}
    assert {"engine/writing:_begin 1", "models/storage:write_model_file 1", "engine/missing:_refuse 1"} <= names
    handed_on = {name for name in names if name.startswith(("errors:", "plot/labels:wrong_dimensions"))}
    assert handed_on == {"errors:require_torch 1"}
    assert len(names) == len(places()) > 100
    found: set[str] = set()
    with recorded(found), pytest.raises(XFaconvError):
        xfaconv.embed(world(), **TINY, mode="fast")
    assert found <= everywhere()


@pytest.mark.parametrize("name", ["check_attention", "compare_attention"])
def test_a_place_given_as_two_numbers_is_understood(name: str) -> None:
    ds = world().chunk()
    with pytest.raises(XFaconvError) as caught:
        getattr(ds.faconv, name)(0, -140, **TINY)
    assert caught.value.fix == f"ds.faconv.{name}((0, -140))"


def test_embeddings_in_a_dataset_are_clustered() -> None:
    embeddings = xfaconv.embed(world(), **TINY)
    expected = xfaconv.regimes(embeddings, 2, repeats=0, surrogates=0)
    for given in (embeddings.to_dataset(), xfaconv.encode(world(), **TINY)):
        xr.testing.assert_equal(given.faconv.regimes(2, repeats=0, surrogates=0), expected)


def test_little_is_left_to_words() -> None:
    """Placeholders and prose are few: most of the advice can be pasted."""
    counted: dict[str, set[str]] = defaultdict(set)
    of_data = [(partial(adapt, case.ds, case.target), case.options) for case in CASES]
    of_calls = [(CALL[row[0]].function, CALL[row[0]].arguments() | row[1]) for row in ROWS]
    for call, given in (*of_data, *of_calls):
        try:
            call(**given)
        except XFaconvError as problem:
            counted[kind_of(problem.fix)].add(str(problem.fix))
    assert len(counted["placeholder"]) <= 25
    assert len(counted["prose"]) <= 20
    assert not [fix for fix in counted["prose"] if LIKE_CODE.search(fix)]


def test_the_table_of_problems_holds_lines_or_words() -> None:
    text = resources.files("xfaconv.adapt").joinpath("problems.yaml").read_text(encoding="utf-8")
    words = defaultdict(
        lambda: "lat", line="ds = ds.load()", keep="ds.lat > 0", indexed="", turned="", restamp="", units=""
    )
    for section in yaml.safe_load(text).values():
        for row in (row for row in section.values() if isinstance(row, dict) and "fix" in row):
            fix = row["fix"].format_map(words)
            assert kind_of(fix) != "prose" or not LIKE_CODE.search(fix), fix
            assert "..." not in fix


def test_placeholders_are_in_words() -> None:
    assert PLACEHOLDER.search("ds = ds.rename({'its name': 'time'})")
    assert kind_of("ds = ds.rename({'its name': 'time'})") == "placeholder"
    assert kind_of("season='DJF'  # or season=[12]") == "arguments"
    assert kind_of("give a longer record") == "prose"


# What the issue found: the advice has to lead to the right numbers, not only to some.


def test_a_finer_step_is_averaged_and_what_is_accumulated_summed() -> None:
    for ds, right, name in ((finer(months(), "2007-02-01", 89, "D"), months(), "ncep-monthly-2p5deg"),
                            (hours(), days(), "amip-daily-5p6deg")):  # fmt: skip
        with pytest.raises(ModelError) as caught:
            xfaconv.embed(ds)
        assert "absent=" not in str(caught.value.fix)
        scope = {"ds": ds}
        exec(str(caught.value.fix), scope)
        made = scope["ds"]
        for field in made.data_vars:
            expected = right[field].reindex(time=made.time, method="ffill", tolerance="1D")
            np.testing.assert_allclose(made[field], expected, rtol=1e-4)
            assert made[field].attrs == ds[field].attrs
        assert xfaconv.embed(made).attrs["model"] == name


@pytest.mark.parametrize("turn", [0, 180])
@pytest.mark.parametrize("north_first", [False, True])
def test_a_regional_model_is_asked_for_by_name_or_by_its_region(turn: int, north_first: bool) -> None:
    ds = half_as_wide()
    ds = ds.assign_coords(longitude=(ds.longitude + turn) % 360 - turn).sortby("longitude")
    ds = ds.sortby("latitude", ascending=not north_first)
    with pytest.raises(ModelError) as caught:
        xfaconv.embed(ds)
    named = xfaconv.embed(ds, model="erai-natl-daily-1p5deg")
    line = next(part for part in str(caught.value.fix).split("; or ") if part.startswith("ds = ds.sel"))
    scope = {"ds": ds}
    exec(line, scope)
    cut = xfaconv.embed(scope["ds"])
    assert "regional model" in cut.attrs["model_choice"]
    np.testing.assert_allclose(cut, named, atol=1e-4)
    report = repr(ds.faconv)
    assert "ready" not in report.splitlines()[0]
    assert "model='erai-natl-daily-1p5deg'" in report


@pytest.mark.parametrize("season", ["DJF", "JJAS", [3]])
def test_one_season_of_each_year_is_said_to_be_too_short(season: Any) -> None:
    ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    months_of = {"DJF": [12, 1, 2], "JJAS": [6, 7, 8, 9]}.get(season if isinstance(season, str) else "", season)
    part = ds.isel(time=np.isin(ds.time.dt.month, months_of))
    if len(months_of) == 1:
        # One month of each year is no step that models have, which is said first.
        with pytest.raises(TimeError):
            part.faconv.embed()
        return
    words = f"season='{season}'"
    with pytest.warns(UserWarning, match=words) as caught:
        part.faconv.embed()
    assert caught[0].filename == __file__
    for call in (
        lambda: part.faconv.regimes(3, repeats=0, surrogates=0),
        lambda: part.faconv.compare_attention((0, -140), variable="z500", season=season, surrogates=5),
        lambda: part.faconv.attribution((0, -140), "z500", lead=1),
        lambda: part.faconv.check_attention((0, -140)),
    ):
        with pytest.raises(TimeError, match="whole warm-up") as refused:
            call()
        assert f"span is {len(months_of)} steps, the warm-up 12" in str(refused.value)
        assert words in str(refused.value.fix)


def test_nothing_recognised_is_not_ready() -> None:
    ds = days()[["tp"]].rename(tp="foo")
    assert "ready" not in repr(xfaconv.recognise(ds)).splitlines()[0]
    assert "ready" not in repr(ds.faconv).splitlines()[0]
    assert "ready" in repr(xfaconv.recognise(days()[["tp"]])).splitlines()[0]


def test_without_a_variable_the_first_that_has_values_there_is_correlated() -> None:
    land = xfaconv.compare_attention(months(), (25, 10), surrogates=5, stride=4)
    assert land.attrs["variable"] == "z500"
    assert np.isfinite(land.correlation).all()
