"""The parts of the case studies that decide what is compared with what, on data whose answer is known."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import xarray as xr

FOLDER = Path(__file__).parents[2] / "examples" / "case_studies"


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    sys.modules.pop("shared", None)
    return importlib.import_module(name)


def test_winters_are_those_of_the_mean_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """December counts to the winter of the next January, and one warm month makes no El Nino."""
    time = xr.date_range("1990-12-01", periods=36, freq="MS")
    index = xr.DataArray(np.zeros(36), {"time": time}, ("time",))
    index.loc["1990-12":"1991-02"] = 1.2
    index.loc["1991-12":"1992-02"] = -1.5
    index.loc["1993-01"] = 2.5
    phases = script("enso", monkeypatch).winters(index)
    assert phases["El Niño"].values.nonzero()[0].tolist() == [0, 1, 2]
    assert phases["La Niña"].values.nonzero()[0].tolist() == [12, 13, 14]
    assert phases["other"].values.nonzero()[0].tolist() == [24, 25, 26]


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
    assert not {1983, 1987, 1992, 1998} & set(years)
    assert len(years) == 24
