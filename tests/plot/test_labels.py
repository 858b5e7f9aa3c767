"""Words beside the pictures."""

from __future__ import annotations

import subprocess
import sys

import cftime
import numpy as np
import pytest
import xarray as xr
from matplotlib import colormaps

from xfaconv.plot.labels import date_precision, date_text, period_text, place_text, quantity_text, units_text
from xfaconv.plot.style import CATEGORICAL, DIVERGING, lightness_and_hue, sequential


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("K", "K"),
        ("degC", "°C"),
        ("m s-1", "m s⁻¹"),
        ("m s**-1", "m s⁻¹"),
        ("m**2 s**-2", "m² s⁻²"),
        ("kg m^-2", "kg m⁻²"),
        ("0.1 mm", "0.1 mm"),
        ("%", "%"),
    ],
)
def test_units(written, printed):
    assert units_text(written) == printed


@pytest.mark.parametrize(
    ("point", "written"),
    [
        ((0, -140), "0°, 140°W"),
        ((0, 220), "0°, 220°E"),
        ((-33.9, 18.4), "33.9°S, 18.4°E"),
        ((90, 0), "90°N, 0°"),
        ((10, 180), "10°N, 180°"),
        ((10, -180), "10°N, 180°"),
    ],
)
def test_places(point, written):
    assert place_text(*point) == written


@pytest.mark.parametrize(
    ("dates", "precision"),
    [
        (["2000-01-01", "2000-02-01"], "month"),
        (["2000-01-16", "2000-02-16"], "month"),
        (["2000-01-01"], "month"),
        (["2000-01-05"], "day"),
        (["2000-01-01", "2000-01-02"], "day"),
        (["2000-01-01T12", "2000-01-02T12"], "day"),
        (["2000-01-01T00", "2000-01-01T06"], "minute"),
    ],
)
def test_dates_are_as_precise_as_the_step(dates, precision):
    assert date_precision(xr.DataArray(np.array(dates, "M8[ns]"), dims="time")) == precision


def test_dates_of_any_calendar():
    assert date_text(cftime.Datetime360Day(2000, 2, 30)) == "30 Feb 2000"
    assert date_text(np.datetime64("2000-02-03T06:30"), "minute") == "3 Feb 2000 06:30"
    assert period_text(xr.DataArray([1.0, 2.0])) == ""


def test_quantities():
    assert quantity_text(xr.DataArray(0, name="sea_level"), "field") == "sea level"
    assert quantity_text(xr.DataArray(0), "field") == "field"
    assert quantity_text(xr.DataArray(0, attrs={"long_name": "x", "units": "1"}), "field") == "x"


def test_sequential_colours_fall_evenly_in_lightness_from_white():
    lightness = lightness_and_hue(sequential()(np.linspace(0, 1, 256))[:, :3])[:, 0]
    assert lightness[0] > 99
    steps = np.diff(lightness)
    assert steps.max() < 0
    assert steps.min() / steps.mean() < 1.5


def test_lightness_of_known_colours():
    """Values of the CIE for sRGB primaries."""
    primaries = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.5]])
    np.testing.assert_allclose(
        lightness_and_hue(primaries),
        [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [53.39, 0, 0]],
        atol=0.1,
    )


def test_both_ends_of_the_diverging_colours_are_equally_dark():
    ends = lightness_and_hue(colormaps[DIVERGING]([0.0, 0.5, 1.0])[:, :3])[:, 0]
    assert ends[0] == pytest.approx(ends[2], abs=8)
    assert ends[1] > 90


# Machado and others (2009): how colours look without the red, green receptors.
_BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}


@pytest.mark.parametrize("kind", _BLIND)
def test_colours_of_eight_variables_differ_for_colour_blind_readers(kind):
    rgb = np.array([[int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] for colour in CATEGORICAL[:8]])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(_BLIND[kind]).T, 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = lightness_and_hue(seen)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert apart[np.triu_indices(8, 1)].min() > 8


def test_the_room_does_not_import_torch():
    code = "import sys, xfaconv.plot; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
