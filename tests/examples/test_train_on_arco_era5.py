"""The script for ARCO-ERA5 and WeatherBench 2 on local stores of the same layout: names, levels, orders and steps."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import xarray as xr

import xfaconv

SCRIPT = Path(__file__).parents[2] / "examples" / "train_on_arco_era5.py"
SURFACE = {"2m_temperature": "K", "mean_sea_level_pressure": "Pa"}
UPPER = {"geopotential": "m**2 s**-2", "temperature": "K"}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_on_arco_era5", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def store(path: Path, *, hours: int, latitude: np.ndarray, order: tuple[str, ...]) -> xr.Dataset:
    """Six weeks on a coarse grid with the names, attributes and order of dims of the public stores."""
    longitude = np.arange(0.0, 360.0, 30.0)
    time = xr.date_range("2000-01-01", "2000-02-14T23:00", freq=f"{hours}h")
    levels = np.array([500, 700, 850])
    random = np.random.default_rng(0)
    day = np.arange(time.size)[:, None, None] * hours / 24
    wave = np.sin(np.deg2rad(longitude)[None, None] * 2 - 0.4 * day) * np.cos(np.deg2rad(latitude))[None, :, None]
    fields = {}
    for name, units in SURFACE.items():
        values = 280 + 5 * wave + random.normal(size=wave.shape)
        dims = ("time", "latitude", "longitude")
        fields[name] = (dims, values.astype("f4"), {"units": units, "long_name": name.replace("_", " ")})
    for name, units in UPPER.items():
        values = 250 + levels[None, :, None, None] / 10 + 5 * wave[:, None] + random.normal(size=(1, 3, 1, 1))
        dims = ("time", "level", "latitude", "longitude")
        fields[name] = (dims, values.astype("f4"), {"units": units, "long_name": name})
    coords = {"time": time, "level": levels, "latitude": latitude, "longitude": longitude}
    ds = xr.Dataset(fields, coords).transpose(*order)
    ds["latitude"].attrs["units"], ds["longitude"].attrs["units"] = "degrees_north", "degrees_east"
    ds.chunk(time=48, level=-1).to_zarr(path)
    return ds


ARCO = {"hours": 6, "latitude": np.arange(90.0, -91.0, -30.0), "order": ("time", "level", "latitude", "longitude")}
WEATHERBENCH = {
    "hours": 6,
    "latitude": np.arange(-75.0, 76.0, 30.0),
    "order": ("time", "level", "longitude", "latitude"),
}


@pytest.mark.parametrize("layout", [ARCO, WEATHERBENCH], ids=["arco", "weatherbench"])
def test_a_model_is_trained_and_saved(layout: dict, script: ModuleType, tmp_path: Path) -> None:  # type: ignore[type-arg]
    path = tmp_path / "era5.zarr"
    store(path, **layout)
    out = tmp_path / "ours.safetensors"
    years = ["--first", "2000-01-01", "--last", "2000-02-14"]
    sizes = ["--updates", "2", "--batch", "1", "--window", "5"]
    script.main(["--store", str(path), "--variables", *SURFACE, *UPPER, *years, *sizes, "--out", str(out)])
    model = xfaconv.load_model(out)
    assert model.card.step == "1D"
    assert [variable.name for variable in model.card.variables] == [*SURFACE, "z500", "z850", "t500", "t850"]
    assert model.card.years["train"].startswith("2000-01-01")


def test_averages_are_lazy_and_those_of_numpy(script: ModuleType, tmp_path: Path, no_computes: object) -> None:
    path = tmp_path / "era5.zarr"
    raw = store(path, **ARCO)
    with no_computes():  # type: ignore[operator]
        found = script.averaged(
            script.open_store(str(path), [*SURFACE, *UPPER], [500], "2000-01-01", "2000-01-04"), "1D", 2
        )
    assert found["2m_temperature"].chunks is not None
    values = raw["2m_temperature"].values[:16].astype("f8").reshape(4, 4, 7, 12).mean(axis=1)[:, :6]
    weight = np.clip(np.cos(np.deg2rad(raw["latitude"].values[:6])), 1e-6, None)[None, :, None]
    boxes = (values * weight).reshape(4, 3, 2, 6, 2).sum(axis=(2, 4))
    wanted = boxes / (2 * weight.reshape(1, 3, 2, 1).sum(axis=2))
    assert np.allclose(found["2m_temperature"].transpose("time", "latitude", "longitude").values, wanted, rtol=1e-5)
    upper = raw["geopotential"].sel(level=500).values[:4].mean(axis=0)
    plain = script.averaged(
        script.open_store(str(path), ["geopotential"], [500, 850], "2000-01-01", "2000-01-01"), "1D", 1
    )
    assert np.allclose(plain["geopotential"].sel(level=500).transpose("time", "latitude", "longitude").values[0], upper)
    assert plain["geopotential"].attrs["units"] == "m**2 s**-2"
