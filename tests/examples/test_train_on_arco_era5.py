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


def store(
    path: Path, *, hours: int, latitude: np.ndarray, order: tuple[str, ...], last: str = "2000-02-14"
) -> xr.Dataset:
    """Some weeks on a coarse grid with the names, attributes and order of dims of the public stores."""
    longitude = np.arange(0.0, 360.0, 30.0)
    time = xr.date_range("2000-01-01", f"{last}T23:00", freq=f"{hours}h")
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


class Interrupted(Exception):
    """Stands for a lost connection."""


def asked(folder: Path, *more: str) -> list[str]:
    """Arguments for a short training on the store in a folder, with a cache beside it."""
    years = ["--first", "2000-01-01", "--last", "2000-02-14", "--variables", *SURFACE]
    sizes = ["--updates", "1", "--batch", "1", "--window", "4"]
    places = ["--store", str(folder / "era5.zarr"), "--cache", str(folder / "cache.zarr"), "--out", str(folder / "out")]
    return [*places, *years, *sizes, *more]


def test_a_cache_gives_the_same_model_without_the_store(script: ModuleType, tmp_path: Path) -> None:
    store(tmp_path / "era5.zarr", **ARCO)
    straight = asked(tmp_path)
    at = straight.index("--cache")
    script.main(straight[:at] + straight[at + 2 :])
    without = xfaconv.load_model(tmp_path / "out")
    script.main(asked(tmp_path))
    assert xfaconv.load_model(tmp_path / "out").sha256 == without.sha256
    (tmp_path / "era5.zarr").rename(tmp_path / "gone")
    script.main(asked(tmp_path))
    assert xfaconv.load_model(tmp_path / "out").sha256 == without.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache.zarr", "gone", "out"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--box", "2"], "--box was 1 and is now 2"),
        (["--step", "1M"], "--step was '1D' and is now '1M'"),
        (["--first", "2000-01-02"], "--first was '2000-01-01' and is now '2000-01-02'"),
        (["--last", "2000-02-13", "--box", "3"], "--last was .* is now '2000-02-13'; --box was 1 and is now 3"),
        (["--variables", "2m_temperature"], r"--variables was .* is now \['2m_temperature'\]"),
        (["--levels", "500"], r"--levels was \[500, 850\] and is now \[500\]"),
        (["--store", "arco"], "--store was .* is now 'gs://.*'"),
    ],
)
def test_a_cache_of_another_request_is_refused(more: list[str], words: str, script: ModuleType, tmp_path: Path) -> None:
    def make() -> xr.Dataset:
        raise AssertionError("nothing needs to be made")

    before = {"store": str(tmp_path / "era5.zarr"), "variables": list(SURFACE), "levels": [500, 850], "box": 1}
    before |= {"first": "2000-01-01", "last": "2000-02-14", "step": "1D"}
    script.cached(tmp_path / "cache.zarr", before, lambda: xr.Dataset({"t": ("time", np.zeros(3))}))
    with pytest.raises(SystemExit, match=f"holds other fields: {words}; give another --cache"):
        script.main(asked(tmp_path, *more))
    assert "t" in script.cached(tmp_path / "cache.zarr", before, make)


@pytest.mark.parametrize("kind", ["folder", "zarr", "file"])
def test_a_cache_of_somebody_else_is_refused_and_left_alone(kind: str, script: ModuleType, tmp_path: Path) -> None:
    theirs = tmp_path / "cache.zarr"
    if kind == "folder":
        theirs.mkdir()
    elif kind == "file":
        theirs.write_bytes(b"theirs")
    else:
        xr.Dataset({"t": ("time", np.zeros(3))}).to_zarr(theirs)
    with pytest.raises(SystemExit, match="was not written by this script"):
        script.main(asked(tmp_path))
    assert theirs.exists()


def test_an_interruption_leaves_no_half_of_a_cache(script: ModuleType, tmp_path: Path) -> None:
    def broken(block: np.ndarray, block_info: dict) -> np.ndarray:  # type: ignore[type-arg]
        if block_info[None]["chunk-location"] == (2,):
            raise Interrupted
        return block

    whole = xr.Dataset({"t": ("time", np.arange(256.0))})
    half = whole.chunk(time=64)
    half["t"].data = half["t"].data.map_blocks(broken, dtype="f8", meta=np.empty(0))
    folder = tmp_path / "new" / "cache.zarr"
    with pytest.raises(Interrupted):
        script.cached(folder, {"box": 1}, lambda: half)
    assert not folder.exists()
    found = script.cached(folder, {"box": 1}, lambda: whole)
    assert np.array_equal(found["t"].values, whole["t"].values)


@pytest.fixture(scope="module")
def long(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """Arguments for a store of 130 days, and a model that was trained on it.

    26 of the days are held back, 8 of them as a gap: a segment of 10 days and the longest lead of 3 fit in the rest.
    """
    folder = tmp_path_factory.mktemp("long")
    store(folder / "era5.zarr", **ARCO, last="2000-05-09")
    years = ["--store", str(folder / "era5.zarr"), "--first", "2000-01-01", "--last", "2000-05-09"]
    arguments = [*years, "--updates", "2", "--batch", "1", "--window", "5"]
    script.main([*arguments, "--variables", *SURFACE, *UPPER, "--out", str(folder / "first.safetensors")])
    return arguments, folder / "first.safetensors"


@pytest.mark.parametrize("names", [(*SURFACE, *UPPER), tuple(SURFACE)], ids=["all", "some"])
def test_a_model_is_fine_tuned_and_measured_on_the_part_held_back(
    names: tuple[str, ...],
    long: tuple[list[str], Path],
    script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    arguments, first = long
    out = tmp_path / "second.safetensors"
    script.main([*arguments, "--variables", *names, "--model", str(first), "--out", str(out)])
    before, after = (xfaconv.load_model(path) for path in (first, out))
    assert after.card.name == "second"
    assert after.card.variables == before.card.variables
    assert after.card.years["before"] == before.card.years["train"]
    assert after.sha256 != before.sha256
    absent = [str(warning.message) for warning in recwarn if "the data lack" in str(warning.message)]
    assert bool(absent) is (len(names) == len(SURFACE))
    measured = [spec.name for spec in after.card.variables if not absent or spec.name in SURFACE]
    scores = after.card.metrics["forecast"]
    assert [list(entries) for entries in scores.values()] == [measured, measured]
    printed = capsys.readouterr().out
    assert printed.count("of the error of damped persistence on the held-back years") == 2 * len(measured)
