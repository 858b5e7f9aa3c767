"""Attributes of results: what a field is called and measured in says nothing of a count, a share or a p-value."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from xfaconv import analysis

sys.path.insert(0, str(Path(__file__).parent))
from fields import autoregressive, gridded

KELVIN = {
    "units": "K",
    "standard_name": "air_temperature",
    "long_name": "Air temperature",
    "cell_methods": "time: mean",
}


@pytest.fixture(scope="module")
def field() -> xr.DataArray:
    return gridded(autoregressive(20, 240, seed=1), 4, 5, "MS").rename("t2m").assign_attrs(KELVIN)


def results(field: xr.DataArray) -> dict[str, xr.Dataset]:
    """Every Dataset of statistics that a field with attributes can be put into."""
    index = field[:, 1, 1].reset_coords(drop=True).rename("index")
    labels = (index.compute() > 0) + 1
    return {
        "composite": analysis.composite(field, index, threshold=0.5),
        "composite by years": analysis.composite(field, index, threshold=0.5, test="years", shuffles=19),
        "regime_composites": analysis.regime_composites(field, labels.assign_attrs(KELVIN)),
        "correlation_map": analysis.correlation_map(field, index),
        "correlation_map by phase": analysis.correlation_map(field, index, null="phase", surrogates=19),
        "teleconnectivity": analysis.teleconnectivity(field),
        "false_discovery": analysis.false_discovery(abs(field[0]).clip(0, 1)),
        "single": xr.Dataset(
            {
                "effective_sample_size": analysis.effective_sample_size(field),
                "events": analysis.effective_sample_of_events(field, field[:, 0, 0] > 0, dim="time"),
                "lag_one": analysis.lag_one_autocorrelation(field),
                "pattern_correlation": analysis.pattern_correlation(field[0], field[1]),
            }
        ),
    }


@pytest.mark.parametrize("lazy", [False, True])
def test_statistics_do_not_bear_the_names_of_the_field(field: xr.DataArray, lazy: bool) -> None:
    for call, found in results(field.chunk(lat=2) if lazy else field).items():
        for name, values in found.data_vars.items():
            attrs = values.attrs
            assert not {"standard_name", "cell_methods"} & set(attrs), (call, name)
            assert attrs["long_name"] != "Air temperature", (call, name)
            units = "K" if name == "mean" else "degrees" if str(name).startswith("partner") else "1"
            assert name == "significant" or attrs["units"] == units, (call, name)
    composite = results(field)["composite"]
    assert composite["count"].attrs["long_name"] == "number of steps in the mean"
    assert composite.number_of_tests.attrs["long_name"] == "number of tests in the family"
    assert composite.p_value.attrs["long_name"] == "two-sided p-value"


@pytest.mark.parametrize(
    ("index", "name", "attrs", "units"),
    [
        ("nino34", "sst", {"standard_name": "sea_surface_temperature", "units": "degC"}, "K"),
        ("soi", "msl", {"standard_name": "air_pressure_at_mean_sea_level", "units": "Pa"}, "1"),
        ("nao", "z500", {"standard_name": "geopotential_height", "units": "m"}, "1"),
        ("pna", "z500", {"standard_name": "geopotential_height", "units": "m"}, "1"),
        ("ao", "z500", {"standard_name": "geopotential_height", "units": "m"}, "1"),
        ("sam", "z500", {"standard_name": "geopotential_height", "units": "m"}, "1"),
    ],
)
def test_indices_have_names_and_units_of_their_own(index: str, name: str, attrs: dict[str, Any], units: str) -> None:
    latitude, longitude = np.arange(-87.5, 90, 5), np.arange(2.5, 360, 5)
    values = np.random.default_rng(0).normal(size=(36, len(latitude), len(longitude)))
    coords = {"time": xr.date_range("2000-01-01", periods=36, freq="MS"), "lat": latitude, "lon": longitude}
    found = getattr(analysis, index)(xr.DataArray(values, coords, ("time", "lat", "lon"), name, attrs).to_dataset())
    assert set(found.attrs) == {"long_name", "units", "definition"}
    assert (found.attrs["long_name"], found.attrs["units"]) == (index.upper(), units)
    standardised = analysis.standardised(xr.DataArray(values, coords, ("time", "lat", "lon"), name, attrs))
    assert standardised.attrs == {"units": "1"}
