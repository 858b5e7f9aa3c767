"""The demonstration: its winters are the known ones, its averages are right, and it writes what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread

import xfaconv
from xfaconv import demo
from xfaconv.analysis.indices import nino34


def test_the_winters_of_the_sample_are_those_of_the_record() -> None:
    found = demo.winters(nino34(xfaconv.tutorial.open_dataset("ncep-oisst")))
    # NOAA's list of warm and cold winters by the Oceanic Nino Index, those of weak and short events apart.
    assert found == {"El Niño": [2010, 2015, 2016], "La Niña": [2008, 2009, 2011, 2012, 2018]}


def test_a_winter_counts_only_when_it_is_whole() -> None:
    months = xr.date_range("2000-01-01", periods=24, freq="MS")
    warm = xr.DataArray(np.full(24, 2.0), {"time": months}, ("time",))
    assert demo.winters(warm) == {"El Niño": [2001], "La Niña": []}
    assert demo.winters(-warm) == {"El Niño": [], "La Niña": [2001]}
    assert demo.winters(0 * warm) == {"El Niño": [], "La Niña": []}


def test_averages_over_winters_are_those_of_a_slow_loop() -> None:
    months = xr.date_range("2000-01-01", periods=48, freq="MS")
    random = np.random.default_rng(0)
    values = random.random((48, 3, 4)).astype("f4")
    coordinates = {
        "time": months,
        "full_warmup": ("time", np.arange(48) >= 12),
        "lat": [-1.0, 0, 1],
        "lon": np.arange(4.0),
    }
    attention = xr.DataArray(values, coordinates, ("time", "lat", "lon"))
    result = demo.attention_of_winters(attention, {"El Niño": [2001, 2003], "La Niña": [2002]})
    for kind, years in {"El Niño": [2001, 2003], "La Niña": [2002]}.items():
        chosen = [
            values[step]
            for step, month in enumerate(months)
            if step >= 12 and month.month in (12, 1, 2) and month.year + (month.month == 12) in years
        ]
        np.testing.assert_allclose(result.sel(kind=kind), np.mean(chosen, axis=0), rtol=1e-6)


def test_components_are_ordered_by_their_correlation_with_the_index() -> None:
    months = xr.date_range("2000-01-01", periods=120, freq="MS")
    random = np.random.default_rng(0)
    index = xr.DataArray(random.normal(size=120), {"time": months}, ("time",))
    loads = np.array([0.5, -2.0, 3.0, 0.0])
    coordinates = {"time": months, "embedding": [1, 2, 3, 4], "full_warmup": ("time", np.ones(120, bool))}
    embedding = xr.DataArray(
        index.values[:, None] * loads + random.normal(size=(120, 4)), coordinates, ("time", "embedding")
    )
    assert demo.ordered_by_correlation(embedding, index).embedding.values.tolist() == [2, 4, 1, 3]


def test_the_demonstration_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo.main(["--output", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    written = {"encoded.nc", "attention_nino34.png", "importance.png", "embedding.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == written
    with xr.open_dataset(tmp_path / "out" / "encoded.nc", engine="netcdf4") as encoded:
        assert set(encoded) == {"embeddings", "importance", "attention"}
        assert encoded.sizes["time"] == 144
        assert not any(variable.isnull().any() for variable in encoded.data_vars.values())
        np.testing.assert_allclose(encoded.attention.sum(("lat", "lon")), 1, atol=1e-4)
        np.testing.assert_allclose(encoded.importance.sum("variable"), 1, atol=1e-4)
        assert encoded.attrs["model"] == "ncep-monthly-2p5deg"
    for name in written - {"encoded.nc"}:
        picture = imread(tmp_path / "out" / name)
        assert min(picture.shape[:2]) > 300
        assert np.ptp(picture[..., :3]) > 0.5
    model = xfaconv.load_model("ncep-monthly-2p5deg")
    for said in (
        *written,
        "144 months encoded in",
        "MB of memory",
        model.sha256[:12],
        "it does not show causes",
        "2015/16",
        "Completed",
    ):
        assert said in printed
