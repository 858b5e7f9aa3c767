"""Defects that users met, each with the test that would have found it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv.errors import ArgumentError, ModelError, closest_name
from xfaconv.grid import Grid
from xfaconv.nn import Geometry


def test_an_absent_variable_has_no_share_of_importance() -> None:
    ds, model = worlds.world(20), worlds.model()
    with pytest.warns(UserWarning, match="the data lack msl"):
        found = xfaconv.importance(ds.drop_vars("msl"), model=model, absent="climatology")
    np.testing.assert_array_equal(found.sel(variable="msl"), 0)
    np.testing.assert_allclose(found.sum("variable"), 1, rtol=1e-5)
    assert (found.drop_sel(variable="msl") > 0).all()
    # Oracle: the network's own gates at the present variables, shared out anew.
    raw = worlds.oracle(ds.assign(msl=ds.msl.where(False)), model)["importance"]
    raw[:, 1] = 0
    np.testing.assert_allclose(found, raw / raw.sum(axis=1, keepdims=True), atol=1e-5)


def test_the_choice_says_what_is_absent() -> None:
    ds = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 3))
    assert xfaconv.embed(ds).attrs["model_choice"].endswith("all its variables found")
    with pytest.warns(UserWarning, match="the data lack"):
        found = xfaconv.embed(ds.drop_vars("air", errors="ignore").drop_vars("sst"), absent="climatology")
    assert "4 of its 5 variables found, absent: sst" in found.attrs["model_choice"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [("modle", "model"), ("mdoe", "mode"), ("abesnt", "absent"), ("regird", "regrid"), ("models", "model")],
)
def test_a_slip_of_the_fingers_is_understood(written: str, meant: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        xfaconv.embed(worlds.world(3), **{written: None})
    assert caught.value.fix == f"{meant}=None"


def test_nothing_is_guessed_from_nothing() -> None:
    assert closest_name("latitude", ["model", "mode"]) is None
    with pytest.raises(ModelError, match="there is no model"):
        xfaconv.load_model("zzzz")


@pytest.mark.parametrize("rows", [16, 32, 64, 94, 160, 320])
def test_a_gaussian_grid_reaches_the_poles(rows: int) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(rows)
    grid = Grid(tuple(np.rad2deg(np.arcsin(nodes))), tuple(np.arange(2 * rows) * 180 / rows))
    assert grid.is_global
    assert grid.row_area.sum() == pytest.approx(2)
    # Bands between the means of neighbouring rows are the quadrature's weights, but for 6% at the poles.
    np.testing.assert_allclose(grid.row_area, weights, rtol=0.06)
    geometry = Geometry.from_grid(grid)
    assert geometry.south_pole
    assert geometry.north_pole
    without = Grid(grid.latitude[1:], grid.longitude)
    assert (without.reaches_south_pole, without.reaches_north_pole) == (False, True)


def test_a_gaussian_grid_is_called_global_where_it_stays_as_it_is() -> None:
    nodes, _ = np.polynomial.legendre.leggauss(8)
    ds = worlds.world(800).assign_coords(latitude=np.rad2deg(np.arcsin(nodes)))
    found = xfaconv.embed(ds, model=worlds.model(), regrid=None, climatology="data")
    assert found.attrs["grid"].startswith("global")
    assert isinstance(found, xr.DataArray)


@pytest.mark.parametrize("lazy", [False, True])
def test_infinite_values_are_missing_values(lazy: bool) -> None:
    ds = worlds.world(14)
    holes, infinite = (ds.assign(t2m=ds.t2m.where(ds.t2m < 285, value)) for value in (np.nan, np.inf))
    ds = infinite.assign(t2m=infinite.t2m.assign_attrs(ds.t2m.attrs))
    found = xfaconv.embed(ds.chunk(time=5) if lazy else ds, model=worlds.model())
    holes = holes.assign(t2m=holes.t2m.assign_attrs(ds.t2m.attrs))
    np.testing.assert_allclose(found, xfaconv.embed(holes, model=worlds.model()), atol=1e-6)
    assert np.isfinite(found).all()
    assert np.isinf(ds.t2m).any()


def test_bytes_that_are_no_text_are_no_dataset() -> None:
    with pytest.raises(ArgumentError, match="the data are not"):
        xfaconv.embed(b"\x80")
