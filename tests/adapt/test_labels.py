"""Results get the user's labels back, whatever part of the data they hold; what is not of the data is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xfaconv.adapt import InputSpec, adapt, recognise
from xfaconv.errors import CoordinateError
from xfaconv.grid import Grid
from xfaconv.specs import VariableSpec

TARGET = InputSpec((VariableSpec("t2m", "K", "2 metre temperature"),), Grid.regular(30.0), None)


def data(longitude: np.ndarray) -> xr.Dataset:
    """Three days, north first, every cell another temperature."""
    time = xr.date_range("2000-01-01", periods=3)
    latitude = np.arange(80.0, -90, -20)
    values = 260 + 0.1 * np.arange(3.0 * latitude.size * longitude.size).reshape(3, latitude.size, -1)
    coords = {"time": time, "lat": latitude, "lon": longitude}
    return xr.Dataset({"t2m": (("time", "lat", "lon"), values, {"units": "K"})}, coords)


DATA = data(np.arange(-180.0, 180, 20))
LABELS = recognise(DATA).labels


def canonical(field: xr.DataArray) -> xr.DataArray:
    """South to north, from 0 to 360 degrees east, under the package's own names."""
    field = field.assign_coords(lon=field.lon % 360).sortby("lon").sortby("lat")
    return field.rename(lat="latitude", lon="longitude")


def test_labels_are_those_of_the_user() -> None:
    np.testing.assert_array_equal(LABELS.latitude, DATA.lat)
    np.testing.assert_array_equal(LABELS.longitude, DATA.lon)
    xr.testing.assert_equal(LABELS.restore(canonical(DATA.t2m)), DATA.t2m)


@pytest.mark.parametrize("part", [{"time": [2, 0]}, {"latitude": slice(2, 5)}, {"longitude": [1, 4, 7], "time": 1}])
def test_a_part_of_the_result_finds_its_labels(part: dict[str, object]) -> None:
    kept = canonical(DATA.t2m).isel(part)
    found = LABELS.restore(kept)
    for value in np.ravel(kept.values):
        (place,) = np.argwhere(DATA.t2m.values == value)
        where = {dim: DATA[dim][index] for dim, index in zip(DATA.t2m.dims, place, strict=True) if dim in found.dims}
        assert float(found.sel(where)) == value


def test_without_coordinates_all_steps_and_cells_are_meant() -> None:
    bare = canonical(DATA.t2m).drop_vars(["time", "latitude", "longitude"])
    xr.testing.assert_equal(LABELS.restore(bare), DATA.t2m)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda da: da.drop_vars("time").isel(time=slice(2)), "time of the result has no stamps"),
        (lambda da: da.assign_coords(time=da.time + np.timedelta64(5, "D")), "stamps that the data do not have"),
        (lambda da: da.assign_coords(time=da.time + np.timedelta64(1, "h")), "stamps that the data do not have"),
        (lambda da: da.drop_vars("latitude").isel(latitude=slice(4)), "latitude of the result has no values"),
        (lambda da: da.assign_coords(longitude=da.longitude + 3), "longitude of the result has values"),
    ],
)
def test_what_does_not_belong_to_the_data_is_refused(change, words) -> None:
    with pytest.raises(CoordinateError, match=words):
        LABELS.restore(change(canonical(DATA.t2m)))


@pytest.mark.parametrize("longitude", [np.arange(350.0, -10, -20), np.arange(170.0, -190, -20)])
def test_another_grid_keeps_the_direction_and_the_convention_of_the_user(longitude: np.ndarray) -> None:
    ds = data(longitude)
    conformed = adapt(ds, TARGET, climatology=None)
    found = conformed.labels.restore(conformed.data.t2m)
    assert (np.diff(found.lon) < 0).all()
    assert (np.diff(found.lat) < 0).all()
    assert found.lon.min() >= longitude.min() - 20
    assert found.lon.max() <= longitude.max() + 20
    np.testing.assert_allclose(
        found.sortby(["lat", "lon"]), conformed.data.t2m.sel(longitude=np.sort(found.lon) % 360), rtol=1e-6
    )
