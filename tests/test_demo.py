"""The demonstration: its components are ordered rightly, and it writes what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread

import xfaconv
from xfaconv import demo


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
    demo.main(["--output", str(tmp_path / "out"), "--stride", "4"])
    printed = capsys.readouterr().out
    written = {"encoded.nc", "attribution.nc", "teleconnection.png", "importance.png", "embedding.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == written
    with xr.open_dataset(tmp_path / "out" / "encoded.nc", engine="netcdf4") as encoded:
        assert set(encoded) == {"embeddings", "importance", "attention"}
        assert encoded.sizes["time"] == 144
        assert not any(variable.isnull().any() for variable in encoded.data_vars.values())
        np.testing.assert_allclose(encoded.attention.sum(("lat", "lon")), 1, atol=1e-4)
        np.testing.assert_allclose(encoded.importance.sum("variable"), 1, atol=1e-4)
        assert encoded.attrs["model"] == "ncep-monthly-2p5deg"
    with xr.open_dataset(tmp_path / "out" / "attribution.nc", engine="netcdf4") as found:
        summed = found.attribution.sum(("variable", "lat", "lon")) + found.baseline + found.remainder
        np.testing.assert_allclose(summed, found.value, rtol=1e-4)
        # The strong El Nino of this winter: height is low, and inferred to be low.
        assert found.time.values.astype("M8[M]").astype(str).tolist() == ["2016-01"]
        assert found.value.item() < 0 > found.observed.item()
        assert not found.in_training.any()
    for name in written - {"encoded.nc", "attribution.nc"}:
        picture = imread(tmp_path / "out" / name)
        assert min(picture.shape[:2]) > 300
        assert np.ptp(picture[..., :3]) > 0.5
    model = xfaconv.load_model("ncep-monthly-2p5deg")
    for said in (
        *written,
        "144 months encoded and the North Pacific explained, at grid stride 4",
        "MB of memory",
        model.sha256[:12],
        "fitted to 36 training steps",
        "not causes",
        "Completed",
    ):
        assert said in " ".join(printed.split())
