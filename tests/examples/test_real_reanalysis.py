"""The example on real reanalysis runs as a user runs it, and says what is absent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

SCRIPT = Path(__file__).parents[2] / "examples" / "real_reanalysis.py"


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_absent_data_are_said_with_where_to_get_them(tmp_path: Path) -> None:
    printed = run("--data", str(tmp_path), "--out", str(tmp_path / "out"))
    assert printed.count("is absent") == 3
    assert "psl.noaa.gov" in printed
    assert "cds.climate.copernicus.eu" in printed
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("part", ["ncep-oisst", "peru", "amip"])
def test_parts_write_what_they_promise(part: str, tmp_path: Path, shared_data: Path) -> None:
    run("--data", str(shared_data), "--out", str(tmp_path), "--only", part, "--updates", "3", "--stride", "4")
    steps = {"ncep-oisst": 445, "peru": 672, "amip": 365}[part]
    with xr.open_dataset(tmp_path / f"{part}-encoded.nc") as encoded:
        assert encoded.sizes["time"] == steps
        maps = encoded["attention"].isel(time=slice(0, 5))
        assert float(abs(maps.sum(maps.dims[-2:]) - 1).max()) < 1e-4
    assert list(tmp_path.glob("*.png"))
