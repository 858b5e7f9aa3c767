"""The parts of the case studies that decide what is compared with what, on data whose answer is known."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import xarray as xr

import xfaconv
from xfaconv.training.recipes import RECIPES

FOLDER = Path(__file__).parents[2] / "examples" / "case_studies"


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    sys.modules.pop("shared", None)
    return importlib.import_module(name)


def test_days_are_blocked_where_height_rises_to_the_north(monkeypatch: pytest.MonkeyPatch) -> None:
    time = xr.date_range("2000-01-01", periods=4, freq="D")
    coords = {"time": time, "latitude": np.arange(60.0, 29, -1.5), "longitude": np.arange(-20.0, 15, 1.5)}
    slope = xr.DataArray([1.0, -1.0, 0.5, -0.2], {"time": time}, ("time",))
    height = slope * xr.DataArray(coords["latitude"], {"latitude": coords["latitude"]}, ("latitude",))
    height = height.expand_dims(longitude=coords["longitude"])
    # What happens east of 10E does not count.
    height = height.where(height.longitude <= 10, -1e3 * slope * height.latitude)
    assert script("blocking", monkeypatch).blocked(height).values.tolist() == [True, False, True, False]


def test_december_belongs_to_the_year_that_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    months = script("coastal_el_nino", monkeypatch)._months({"event": (1983,)}, range(3))
    assert months == {"event": ["1982-12", "1983-01", "1983-02"]}


def scores(*, network: tuple[float, float], linear: tuple[float, float], ahead: tuple[float, float]) -> xr.Dataset:
    """The part of a teleconnection that decides the answer: ends of intervals."""
    ends = {
        f"correlation_{end}": ("prediction", [network[number], linear[number]])
        for number, end in enumerate(("low", "high"))
    }
    apart = {f"correlation_difference_{end}": ("prediction", [0.0, ahead[n]]) for n, end in enumerate(("low", "high"))}
    return xr.Dataset(ends | apart, {"prediction": ["network", "linear"]})


def test_answers_follow_from_the_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = script("shared", monkeypatch).answer
    good, bad = (0.1, 0.8), (-0.1, 0.6)
    assert answer(scores(network=good, linear=good, ahead=(0.1, 0.3))) == "yes; better: network"
    assert answer(scores(network=bad, linear=good, ahead=(-0.5, -0.1))) == (
        "yes, by the linear answer alone; better: linear answer"
    )
    assert answer(scores(network=bad, linear=bad, ahead=(-0.1, 0.1))) == "no; better: neither"


def test_results_are_written_between_the_marks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = script("shared", monkeypatch).write_results
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- results: begin -->\nold\n<!-- results: end -->\nbelow\n", encoding="utf-8")
    for text in ("first", r"second \1"):
        write(page, text)
        assert page.read_text(encoding="utf-8") == (
            f"above\n<!-- results: begin -->\n\n{text}\n\n<!-- results: end -->\nbelow\n"
        )
    write(tmp_path / "none.md", "text")
    assert not (tmp_path / "none.md").exists()


@pytest.mark.parametrize("name", ["enso", "monsoon", "nao", "coastal-el-nino", "blocking"])
def test_pages_hold_results_of_the_packaged_weights(name: str) -> None:
    page = (FOLDER.parents[1] / "docs" / "case-studies" / f"{name}.md").read_text(encoding="utf-8")
    shown = page.partition("Weights `")[2][:12]
    # Not `list_models`: another test may have registered a model that is nowhere.
    assert shown in {xfaconv.load_model(model).sha256[:12] for model in RECIPES}


def test_regimes_are_matched_one_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    coords = {"regime": [1, 2, 3, 4], "latitude": np.arange(30.0, 60, 5), "longitude": np.arange(0.0, 40, 5)}
    maps = xr.DataArray(rng.normal(size=(4, 6, 8)), coords, ("regime", "latitude", "longitude"))
    order = [2, 0, 3, 1]
    others = (maps.isel(regime=order) + 0.1 * rng.normal(size=(4, 6, 8))).assign_coords(regime=[1, 2, 3, 4])
    partner, likeness = script("euro_atlantic_regimes", monkeypatch).matched(maps, others)
    assert [order[number - 1] for number in partner] == [0, 1, 2, 3]
    assert (likeness > 0.95).all()


def test_the_year_that_is_made_odd_is_farthest(monkeypatch: pytest.MonkeyPatch) -> None:
    time = xr.date_range("1980-01-01", periods=240, freq="MS")
    values = np.random.default_rng(0).normal(size=(240, 3))
    embedding = xr.DataArray(values, {"time": time}, ("time", "embedding"))
    embedding.loc["1987-01":"1987-05"] += 4.0
    module = script("coastal_el_nino", monkeypatch)
    ranked = module.distances(embedding, [year for year in range(1980, 2000) if year != 1987])
    assert ranked.index[0] == 1987
    assert ranked.iloc[0] > 3 * ranked.iloc[1]


def test_normal_years_are_read_from_cpcs_table(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = script("coastal_el_nino", monkeypatch)
    table = shared_data / "indices" / "cpc-ersst5.nino.mth.91-20.ascii"
    years = module.normal_years(table, 1961, 2015)
    assert years == module.NORMAL_YEARS
    assert not {1983, 1987, 1992, 1998} & set(years)
    assert len(years) == 24


def test_public_files_are_joined_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records are put together from files with the addresses and hashes of sources.yaml."""
    shared = script("shared", monkeypatch)
    asked = []

    def fetched(remote: xfaconv.download.Remote, *, folder: str, suffix: str) -> Path:
        asked.append(remote)
        path = tmp_path / f"{remote.name}{suffix}"
        if remote.name.startswith("era5"):
            time = xr.date_range(f"{remote.name[-4:]}-01-01", periods=12, freq="MS")
            name = "t2m"
        else:
            time = xr.date_range("2000-01-01 12:00", "2010-12-31 12:00", freq="YS")
            name = {"mslp_ei": "msl", "t850_ei": "t", "z500_ei": "z"}[remote.name]
        values = np.full((len(time), 2), len(asked), dtype="f4")
        xr.Dataset({name: (("time", "latitude"), values)}, {"time": time, "latitude": [1.0, 2.0]}).to_netcdf(path)
        return path

    monkeypatch.setattr(shared, "fetch", fetched)
    joined = shared.peru(None)
    assert joined.indexes["time"].is_monotonic_increasing
    assert dict(joined.sizes) == {"time": 672, "latitude": 2}
    assert len({remote.sha256 for remote in asked}) == 56
    assert all("532167e46bd45c648161609cd5ada35faabd76ad" in remote.url for remote in asked)
    asked.clear()
    regional = shared.north_atlantic(None)
    assert set(regional) == {"msl", "z500", "t850"}
    assert str(regional.time.values[-1])[:4] == "2009"
    assert all("c08f7a463a1838f4922827a73127c9e0cef939b0" in remote.url for remote in asked)
