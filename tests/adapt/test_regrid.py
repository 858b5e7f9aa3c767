"""Conservative averaging against a dense oracle, xarray-regrid, and what must be conserved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import raise_if_dask_computes
from xfaconv.adapt import InputSpec, adapt
from xfaconv.errors import GridError
from xfaconv.grid import Grid
from xfaconv.specs import VariableSpec

TARGET = InputSpec((VariableSpec("t2m", "K", "2 metre temperature"),), Grid.regular(22.5), "1D")


def field(latitude, longitude, values=None, steps=2, seed=0):
    """A Dataset with one variable, anywhere on the sphere."""
    random = np.random.default_rng(seed)
    if values is None:
        values = 280 + 10 * random.normal(size=(steps, len(latitude), len(longitude)))
    coords = {
        "time": np.arange(len(values)).astype("M8[D]").astype("M8[ns]"),
        "lat": list(latitude),
        "lon": list(longitude),
    }
    return xr.Dataset({"t2m": (("time", "lat", "lon"), values, {"units": "K"})}, coords)


def on(ds, grid, **options):
    """The one variable on a grid, lazily built."""
    with raise_if_dask_computes():
        return adapt(ds, replace(TARGET, grid=grid), climatology=None, **options).data.t2m


def band(centres, low=-90.0, high=90.0):
    """Edges half-way between ascending centres, clipped."""
    middle = (centres[1:] + centres[:-1]) / 2
    edges = np.concatenate([[1.5 * centres[0] - 0.5 * centres[1]], middle, [1.5 * centres[-1] - 0.5 * centres[-2]]])
    return np.clip(edges, low, high)


def brute_force(ds, grid, min_valid=0.5):
    """Loop over all pairs of cells; area of an overlap is the width times the difference of sines."""
    ds = ds.sortby("lat")
    latitude, longitude = ds.lat.values.astype(float), ds.lon.values.astype(float)
    source_rows, goal_rows = band(latitude), band(np.array(grid.latitude))
    step = np.abs(np.median(np.diff(np.sort(longitude))))
    goal_step = grid.longitude[1] - grid.longitude[0]
    # Outside of the loops, whose time xarray would take.
    field, steps = ds.t2m.values, ds.sizes["time"]
    out = np.full((steps, *grid.shape), np.nan)
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            total, area = np.zeros(steps), np.zeros(steps)
            whole = (np.sin(np.deg2rad(goal_rows[i + 1])) - np.sin(np.deg2rad(goal_rows[i]))) * goal_step
            for k in range(len(latitude)):
                low, high = max(goal_rows[i], source_rows[k]), min(goal_rows[i + 1], source_rows[k + 1])
                if high <= low:
                    continue
                height = np.sin(np.deg2rad(high)) - np.sin(np.deg2rad(low))
                for m, east in enumerate(longitude):
                    # distance of the centres on the circle decides how much two intervals of these widths share
                    apart = abs((east - grid.longitude[j] + 180) % 360 - 180)
                    width = min(step, goal_step, max(0.0, (step + goal_step) / 2 - apart))
                    if width == 0:
                        continue
                    values = field[:, k, m]
                    valid = np.isfinite(values)
                    total += height * width * np.where(valid, values, 0)
                    area += height * width * valid
            enough = area >= min_valid * whole * (1 - 1e-12)
            out[enough, i, j] = total[enough] / area[enough]
    return out


GRIDS = {
    "cell-centred": (np.arange(-85.0, 90, 10), np.arange(0.0, 360, 10)),
    "pole points": (np.arange(-90.0, 91, 10), np.arange(0.0, 360, 10)),
    "north to south": (np.arange(90.0, -91, -10), np.arange(0.0, 360, 10)),
    "west of Greenwich": (np.arange(-85.0, 90, 10), np.arange(-180.0, 180, 10)),
    "half a step off": (np.arange(-86.25, 90, 7.5), np.arange(-176.25, 180, 7.5)),
    "rolled": (np.arange(-85.0, 90, 10), np.roll(np.arange(0.0, 360, 10), 13)),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("goal", [Grid.regular(22.5), Grid.regular(22.5, pole_points=True), Grid.regular(30)])
def test_brute_force_over_all_pairs_of_cells(name, goal):
    ds = field(*GRIDS[name])
    np.testing.assert_allclose(on(ds, goal), brute_force(ds, goal), rtol=3e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", GRIDS)
def test_brute_force_with_missing_cells(name, dtype):
    ds = field(*GRIDS[name]).astype(dtype)
    holes = np.random.default_rng(1).random(ds.t2m.shape) < 0.47
    ds["t2m"] = ds.t2m.where(~holes)
    ds.t2m.attrs["units"] = "K"
    for min_valid in (0.4, 0.5, 0.6):
        result, oracle = on(ds, TARGET.grid, min_valid=min_valid), brute_force(ds, TARGET.grid, min_valid)
        assert 0 < np.isnan(oracle).sum() < oracle.size
        np.testing.assert_allclose(result, oracle, rtol=3e-7)


def test_xarray_regrid_agrees():
    pytest.importorskip("xarray_regrid")
    latitude, longitude = np.arange(-88.75, 90, 2.5), np.arange(0.0, 360, 2.5)
    ds = field(latitude, longitude)
    # a goal whose edges are edges of the source, so that the two packages mean the same cells
    goal = xr.Dataset(coords={"lat": np.arange(-85.0, 90, 10), "lon": np.arange(8.75, 360, 10)})
    oracle = ds.regrid.conservative(goal, latitude_coord="lat")["t2m"]
    # Where the package sparse is installed, its weights and its result are sparse.
    oracle = oracle.copy(data=oracle.data.todense()) if hasattr(oracle.data, "todense") else oracle
    grid = Grid(tuple(goal.lat.values), tuple(goal.lon.values))
    result = on(ds, grid)
    # xarray-regrid neither closes the globe nor the poles: its outermost cells read what lies inside its edges
    inside = oracle.transpose("time", "lat", "lon")[:, 1:-1, :-1]
    np.testing.assert_allclose(result[:, 1:-1, :-1], inside, rtol=1e-6)


@pytest.mark.parametrize(("step", "goal"), [(0.5, 5.625), (1.0, 5.625), (2.5, 5.625), (2.5, 10.0), (1.5, 4.5)])
def test_global_mean_is_conserved(step, goal):
    source, grid = Grid.regular(step, pole_points=True), Grid.regular(goal)
    ds = field(source.latitude, source.longitude)
    before = np.average(ds.t2m.mean("lon"), axis=1, weights=source.row_area)
    after = np.average(on(ds, grid).astype("f8").mean("longitude"), axis=1, weights=grid.row_area)
    np.testing.assert_allclose(after, before, rtol=1e-6)


@pytest.mark.parametrize("value", [273.15, 1e-9, 55123.4, -0.1, 101325.0])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int16"])
def test_a_constant_stays_exact(value, dtype):
    if dtype in ("float16", "int16") and abs(value) > 3e4:
        value = 17
    grid = Grid.regular(1.5, pole_points=True)
    ds = field(grid.latitude, grid.longitude, np.full((1, *grid.shape), value).astype(dtype))
    result = on(ds, Grid.regular(5.625)).values
    assert (result == np.float32(np.asarray(value).astype(dtype))).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_constant_with_holes_stays_exact(dtype):
    grid = Grid.regular(2.5)
    values = np.where(np.random.default_rng(0).random((1, *grid.shape)) < 0.3, np.nan, 273.15).astype(dtype)
    result = on(field(grid.latitude, grid.longitude, values), Grid.regular(10)).values
    assert 0.9 < np.isfinite(result).mean() < 1
    assert (result[np.isfinite(result)] == np.float32(273.15)).all()


@settings(max_examples=25, deadline=None)
@given(
    roll=st.integers(0, 35),
    flip=st.booleans(),
    west=st.booleans(),
    chunks=st.tuples(st.integers(1, 3), st.integers(3, 18), st.integers(3, 36)),
    holes=st.booleans(),
)
def test_direction_origin_and_tiles_change_nothing(roll, flip, west, chunks, holes):
    ds = field(*GRIDS["cell-centred"], steps=3)
    if holes:
        ds["t2m"] = ds.t2m.where(np.random.default_rng(2).random(ds.t2m.shape) > 0.3).assign_attrs(units="K")
    plain = on(ds, TARGET.grid)
    told = ds.roll(lon=roll, roll_coords=True)
    if west:
        told = told.assign_coords(lon=(told.lon + 180) % 360 - 180)
    if flip:
        told = told.isel(lat=slice(None, None, -1))
    told = told.chunk(dict(zip(("time", "lat", "lon"), chunks, strict=True)))
    result = on(told, TARGET.grid)
    np.testing.assert_allclose(result, plain, rtol=2e-7)
    assert result.chunks[1:] == ((8,), (16,))
    assert result.dtype == np.float32


def test_single_precision_loses_nothing():
    ds = field(*GRIDS["half a step off"], steps=3)
    ds["t2m"] = (ds.t2m * 300).assign_attrs(units="K")
    single = ds.astype("float32")
    np.testing.assert_allclose(on(single, TARGET.grid), brute_force(single.astype("float64"), TARGET.grid), rtol=2e-7)


def test_many_tiles_are_joined_step_by_step():
    ds = field(*GRIDS["half a step off"], steps=6)
    tiles = ds.chunk(time=6, lat=3, lon=5)
    np.testing.assert_allclose(on(tiles, TARGET.grid), on(ds, TARGET.grid), rtol=2e-7)


def test_a_repeated_column_counts_once():
    ds = field(*GRIDS["west of Greenwich"])
    last = ds.isel(lon=[0]).assign_coords(lon=[180.0]) + 0
    last["t2m"] = last.t2m * 0 + 999.0
    repeated = xr.concat([ds, last.assign(t2m=last.t2m.assign_attrs(units="K"))], "lon")
    np.testing.assert_array_equal(on(repeated, TARGET.grid), on(ds, TARGET.grid))


def test_a_region_stays_regional():
    ds = field(np.arange(20.0, 71, 0.5), np.arange(-40.0, 30.1, 0.5))
    conformed = adapt(ds, TARGET, climatology=None)
    # whole cells of 22.5 degrees between 19.75 and 70.25 N, -40.25 and 30.25 E
    assert conformed.grid == Grid((33.75, 56.25), (-22.5, 0.0))
    np.testing.assert_allclose(conformed.data.t2m, brute_force(ds, conformed.grid), rtol=3e-7)
    assert "the 2 x 2 of its cells that the data cover" in " ".join(conformed.notes)
    back = conformed.labels.restore(conformed.data.t2m)
    np.testing.assert_array_equal(back.lon, [-22.5, 0.0])


def test_a_region_across_the_dateline_comes_back_in_its_own_convention():
    for longitude in (np.arange(120.0, 261, 1), (np.arange(120.0, 261, 1) + 180) % 360 - 180):
        conformed = adapt(field(np.arange(60.0, -61, -1), longitude), TARGET, climatology=None)
        back = conformed.labels.restore(conformed.data.t2m)
        assert (np.diff(back.lat) < 0).all()
        assert (np.diff(back.lon) > 0).all()
        assert back.lon.min() >= longitude.min() - 1
        assert back.lon.max() <= longitude.max() + 1
        np.testing.assert_allclose(back.sortby("lat").sel(lon=157.5), conformed.data.t2m.sel(longitude=157.5))


def test_cells_of_the_models_own_grid_are_not_averaged():
    grid = Grid.regular(22.5)
    ds = field(grid.latitude[2:6], grid.longitude[3:9])
    conformed = adapt(ds, TARGET, climatology=None)
    assert conformed.grid == Grid(grid.latitude[2:6], grid.longitude[3:9])
    np.testing.assert_array_equal(conformed.data.t2m, ds.t2m.values.astype("f4"))


def test_a_few_missing_rows_at_the_poles_stay_missing_on_the_whole_grid():
    ds = field(np.arange(-78.0, 79, 4), np.arange(0.0, 360, 4))
    conformed = adapt(ds, replace(TARGET, grid=Grid.regular(7.5)), climatology=None)
    assert conformed.grid == Grid.regular(7.5)
    missing = conformed.data.t2m.isnull().all(("time", "longitude")).values
    assert missing.tolist() == [True] + [False] * 22 + [True]


def test_gaussian_rows_are_closed_at_the_poles():
    nodes, _ = np.polynomial.legendre.leggauss(64)
    ds = field(np.rad2deg(np.arcsin(nodes)), np.arange(128) * 2.8125)
    assert on(ds, Grid.regular(5.625), min_valid=0.9999).notnull().all()
    assert on(ds.isel(lat=slice(1, None)), Grid.regular(5.625), min_valid=0.9999)[:, 0].isnull().all()


@pytest.mark.parametrize(
    ("latitude", "longitude", "words"),
    [
        (np.arange(-75.0, 90, 30), np.arange(0.0, 360, 30), "the data are coarser than the model in latitude"),
        (np.arange(-85.0, 90, 10), np.arange(0.0, 360, 30), "the data are coarser than the model in longitude"),
        (np.arange(0.0, 20, 1), np.arange(0.0, 20, 1), "the data cover too few cells of the model's grid"),
    ],
)
def test_what_cannot_be_averaged_is_refused(latitude, longitude, words):
    with pytest.raises(GridError, match=words):
        on(field(latitude, longitude), TARGET.grid)


def test_no_overlap_is_refused():
    europe = replace(TARGET, grid=Grid(tuple(np.arange(30.0, 70, 5)), tuple(np.arange(0.0, 40, 5))))
    with pytest.raises(GridError, match="the data and the model do not overlap"):
        adapt(field(np.arange(-60.0, -30, 1), np.arange(100.0, 140, 1)), europe, climatology=None)
