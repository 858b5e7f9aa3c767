# ruff: noqa: PD011, PD013
"""Axes as they are: holes are named, whatever the grid; rounding, order and convention change nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from xfaconv.adapt import adapt, recognise
from xfaconv.adapt.horizontal import read_horizontal
from xfaconv.adapt.regrid import plan_remap
from xfaconv.errors import GridError
from xfaconv.grid import Grid
from xfaconv.specs import InputSpec, VariableSpec

SPEC = InputSpec((VariableSpec("t2m", "K", "2 metre temperature"),), None, None)
cheap = settings(deadline=None, max_examples=50)


def data(rows: np.ndarray, columns: np.ndarray, lat: str = "latitude", lon: str = "longitude") -> xr.Dataset:
    """Three days of a field whose values tell where they are."""
    values = 250 + rows[:, None] / 10 + columns[None] / 100 + np.zeros((3, 1, 1))
    coords = {"time": pd.date_range("2001-01-01", periods=3), lat: rows, lon: columns}
    return xr.Dataset({"t2m": (("time", lat, lon), values, {"units": "K"})}, coords)


def follow(fix: str, ds: xr.Dataset) -> xr.Dataset:
    """Do what the line of an error says."""
    known = {"ds": ds, "np": np, "pd": pd, "xr": xr}
    exec(fix, known)
    return known["ds"]


def gaussian(rows: int) -> np.ndarray:
    return np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(rows)[0]))


@st.composite
def latitudes(draw: st.DrawFn) -> np.ndarray:
    """Rows of real kinds of grids: cell-centred, on the poles, Gaussian, stretched, of a region."""
    kind = draw(st.sampled_from(["centres", "poles", "gaussian", "stretched", "region"]))
    step = draw(st.sampled_from([0.25, 1.5, 2.5, 5.625]))
    count = round(180 / step)
    if kind == "gaussian":
        rows = gaussian(draw(st.sampled_from([32, 48, 64, 94, 160])))
    elif kind == "poles":
        rows = np.linspace(-90, 90, count + 1)
    elif kind == "stretched":
        growth = draw(st.floats(1.0, 1.15))
        rows = np.cumsum(np.concatenate([[0.0], growth ** np.abs(np.arange(-12, 13))]))
        rows = rows / rows[-1] * draw(st.floats(20, 120)) - draw(st.floats(10, 60))
        rows = rows[np.abs(rows) < 90]
    else:
        rows = (np.arange(count) + 0.5) * step - 90
        if kind == "region":
            first = draw(st.integers(0, len(rows) - 12))
            rows = rows[first : first + draw(st.integers(10, 40))]
    return rows[::-1] if draw(st.booleans()) else rows


@st.composite
def longitudes(draw: st.DrawFn) -> tuple[np.ndarray, bool]:
    """Columns of global grids, rolled anywhere, and of sectors across anything; and whether they close."""
    step = draw(st.sampled_from([1.5, 2.5, 5.625]))
    count = round(360 / step)
    columns = np.arange(count) * step + draw(st.sampled_from([0.0, step / 2]))
    whole = draw(st.booleans())
    if not whole:
        first, size = draw(st.integers(0, count - 1)), draw(st.integers(8, round(270 / step)))
        columns = np.sort(np.roll(columns, -first)[:size])
    if draw(st.booleans()):
        columns = np.sort((columns + 180) % 360 - 180)
    columns = np.roll(columns, draw(st.integers(0, len(columns)))) if draw(st.booleans()) else columns
    return columns[::-1] if draw(st.booleans()) else columns, whole


@cheap
@given(latitudes(), longitudes())
def test_grids_without_holes_are_read_as_they_are(rows, longitude):
    columns, whole = longitude
    axes = read_horizontal(data(rows, columns))
    np.testing.assert_allclose(axes.grid.latitude, np.sort(rows))
    assert axes.grid.periodic == whole
    # The same meridians, eastward, and the way back to the user's order.
    eastward = np.asarray(axes.grid.longitude)
    assert (np.diff(eastward) > 0).all()
    np.testing.assert_allclose((eastward[axes.user_columns] - columns + 180) % 360 - 180, 0, atol=1e-9)
    np.testing.assert_allclose((columns[axes.columns] - eastward + 180) % 360 - 180, 0, atol=1e-9)


@cheap
@given(st.data(), latitudes(), longitudes(), st.sampled_from(["latitude", "longitude"]))
def test_a_hole_is_named_wherever_it_is(drawn, rows, longitude, axis):
    columns, whole = longitude
    values = rows if axis == "latitude" else columns
    ascending = (
        np.sort(values) if axis == "latitude" else np.asarray(read_horizontal(data(rows, columns)).grid.longitude)
    )
    # On a sector of the globe the hole lies inside; all around it is narrower than a quarter.
    most = (
        len(ascending) - 7 if axis == "latitude" or not whole else min(len(ascending) - 7, int(len(ascending) / 4) - 2)
    )
    first = drawn.draw(st.integers(3, len(ascending) - 4))
    size = drawn.draw(st.integers(1, max(1, min(most, len(ascending) - 3 - first))))
    gone = ascending[first : first + size]
    turn = 360.0 if axis == "longitude" else 1e9
    keep = np.array([np.abs((value - gone + turn / 2) % turn - turn / 2).min() > 1e-6 for value in values])
    if axis == "longitude" and whole:
        # A hole at the ends of the user's axis is the outside of a region.
        assume(keep[0] and keep[-1])
    if axis == "longitude" and not whole:
        assume(np.diff(ascending[[first - 1, first + size]])[0] < 360 - np.ptp(ascending))
    # Where steps grow from row to row a single row that is gone leaves only one larger step.
    steps = np.diff(ascending)
    usual = steps[max(0, first - 5) : first + size + 4]
    assume(steps[first - 1 : first + size].sum() > (3 if np.ptp(usual) > 0.1 * usual.min() else 1.95) * usual.max())
    ds = data(rows, columns).isel({axis: keep})
    problem = recognise(ds).problems[0]
    assert isinstance(problem, GridError)
    assert f"{axis} '{axis}'" in problem.problem
    assert "has a hole between" in problem.problem
    edges = [float(word) for word in problem.problem.split("between ")[1].split(" degrees")[0].split(" and ")]
    truth = ascending[[first - 1, first + size]]
    np.testing.assert_allclose((np.array(edges) - truth + 180) % 360 - 180, 0, atol=1e-3)
    for climatology in (None, "data"):
        with pytest.raises(GridError, match="has a hole between"):
            adapt(ds, SPEC, climatology=climatology, regrid=None)
    corrected = recognise(follow(problem.fix, ds))
    assert not any("hole" in other.problem for other in corrected.problems)
    assert corrected.grid is not None


def test_a_hole_over_the_equator_and_one_in_a_region():
    world = data(*(np.asarray(values) for values in (Grid.regular(5.625).latitude, Grid.regular(5.625).longitude)))
    for part in (world.where(abs(world.latitude) > 30, drop=True), world.isel(latitude=[*range(20), 31])):
        with pytest.raises(GridError, match="latitude 'latitude' has a hole between"):
            adapt(part, SPEC, climatology=None)
    # Called "-219.375 to 50.625 E" once: from the date line eastward, with a hole at Greenwich.
    wide = world.where((world.longitude < 52) | (world.longitude > 140), drop=True)
    holed = wide.isel(longitude=[*range(3, wide.sizes["longitude"] - 3)])
    with pytest.raises(GridError, match="longitude 'longitude' has a hole between"):
        adapt(holed, SPEC, climatology=None)
    assert "140.625 eastward to 50.625 E" in recognise(wide).grid.describe()


@cheap
@given(st.data(), longitudes(), st.sampled_from([1e-7, 1e-6, 1e-5, 1e-4, 1e-3]), st.sampled_from(["f4", "f8"]))
def test_rounding_changes_nothing(drawn, longitude, size, dtype):
    columns, whole = longitude
    repeated = whole and drawn.draw(st.booleans())
    columns = np.append(columns, columns[0] + (360 if columns[0] < 180 else -360)) if repeated else columns
    rows = np.linspace(-90, 90, 73)
    offsets = np.random.default_rng(drawn.draw(st.integers(0, 99))).uniform(-1, 1, len(columns))
    noise = size * (offsets if drawn.draw(st.booleans()) else np.full(len(columns), offsets[0]))
    plain, moved = data(rows, columns), data((rows + size * 0.9 * np.sin(7 * rows)).clip(-90, 90), columns)
    moved = moved.assign_coords(longitude=(columns + noise).astype(dtype))
    first, second = read_horizontal(plain), read_horizontal(moved)
    assert first.grid.periodic == second.grid.periodic == whole
    assert first.repeated == second.repeated == int(repeated)
    np.testing.assert_array_equal(first.user_columns, second.user_columns)
    np.testing.assert_array_equal(first.rows, second.rows)
    assert [note for note in first.notes if "runs" not in note] == [note for note in second.notes if "runs" not in note]
    assert first.grid.matches(second.grid)
    # The same cells as the model's, on the whole globe and in a region.
    step = float(np.median(np.diff(first.grid.longitude)))
    goal = Grid(tuple(rows), tuple(np.arange(round(360 / step)) * step + columns[0] % step))
    one, two = plan_remap(first, goal), plan_remap(second, goal)
    assert not one.averages
    assert not two.averages
    assert one.grid == two.grid
    np.testing.assert_array_equal(one.columns, two.columns)


OFFSETS = st.one_of(
    st.just(0.0),
    st.builds(lambda sign, power: sign * 10**power, st.sampled_from([-1.0, 1.0]), st.floats(-7, -3)),
)


@cheap
@given(st.integers(8, 144), OFFSETS, st.sampled_from([0.0, -180.0]), st.booleans(), st.booleans(), st.integers(0, 143))
@example(5 * 8, 1e-5, -180.0, False, False, 0)
@example(40, -1e-5, 0.0, True, False, 0)
def test_columns_within_rounding_of_the_seam_of_the_file_keep_their_place(count, offset, west, single, reverse, roll):
    """Rounding moves a column across 0 or 180 and to the other end of the axis; nothing else may change."""
    exact = np.arange(count) * 360 / count
    moved = exact + offset
    moved = moved.astype(np.float32).astype(float) if single else moved
    moved = np.roll(west + np.mod(moved - west, 360), roll)[:: -1 if reverse else 1]
    rows = np.linspace(-78.75, 78.75, 8)
    axes = read_horizontal(data(rows, moved))
    assert axes.grid.periodic
    assert axes.grid.shape == (8, count)
    np.testing.assert_array_equal(np.sort(axes.columns), np.arange(count))
    eastward = np.asarray(axes.grid.longitude)
    assert -360 <= eastward[0] <= eastward[-1] < 360
    np.testing.assert_allclose((moved[axes.columns] - eastward + 180) % 360 - 180, 0, atol=1e-9)
    # The model's grid is the same but for rounding, or has cells of twice the width, with edges at the same meridians.
    goal = Grid(tuple(rows), tuple(exact))
    remap = plan_remap(axes, goal)
    assert not remap.averages
    np.testing.assert_allclose((moved[remap.columns] - exact + 180) % 360 - 180, 0, atol=2e-3)
    if count % 2 == 0:
        halved = Grid(tuple(rows), tuple((exact[::2] + exact[1::2]) / 2))
        found = adapt(data(rows, moved), dataclasses.replace(SPEC, grid=halved), climatology=None)
        values = found.data.t2m.to_numpy()
        assert np.isfinite(values).all()
        longitude = moved[axes.columns]
        expected = (250 + longitude / 100).reshape(-1, 2) if abs(np.mod(longitude[0] + 1, 360) - 1) < 0.1 else None
        if expected is not None:
            np.testing.assert_allclose(
                values[0] - rows[:, None] / 10, np.broadcast_to(expected.mean(axis=1), values[0].shape), atol=2e-3
            )
        # Back in the user's convention no column is a turn away, whatever rounding did to its longitude.
        back = found.labels.restore(found.data.t2m).longitude.to_numpy()
        assert west - 2e-3 <= back.min()
        assert back.max() <= west + 360 + 2e-3
        assert len(np.unique(np.round(back, 1) % 360)) == count // 2


@cheap
@given(st.data())
def test_coordinates_of_more_dimensions_that_are_axes(drawn):
    rows, columns = np.linspace(80, -80, 9), np.arange(0, 360, 20.0)
    order = drawn.draw(st.permutations(["y", "x"]))
    dtype = drawn.draw(st.sampled_from(["f4", "f8"]))
    ds = data(rows, columns, lat="y", lon="x")
    north, east = xr.broadcast(ds.y, ds.x)
    extra = drawn.draw(st.booleans())
    two = {"lat": north.transpose(*order), "lon": east.transpose(*order)}
    if extra:
        two = {name: values.expand_dims(time=ds.time) for name, values in two.items()}
    ds = ds.drop_vars(["y", "x"]).assign_coords({name: (v.dims, v.values.astype(dtype)) for name, v in two.items()})
    ds = ds if drawn.draw(st.booleans()) else ds.reset_coords(["lat", "lon"])
    before = ds.copy(deep=True)
    found = adapt(ds, SPEC, climatology=None)
    right = adapt(data(rows, columns), SPEC, climatology=None)
    np.testing.assert_array_equal(found.data.t2m, right.data.t2m)
    back = found.labels.restore(found.data.t2m)
    assert back.dims == ("time", "y", "x")
    np.testing.assert_allclose(back.lat, rows, rtol=1e-6)
    np.testing.assert_array_equal(back, ds.t2m.astype("f4"))
    assert ds.identical(before)
    # Turned by a little, they are no axes.
    turned = (
        ds.assign(lat=ds.lat + ds.lon / 50) if "lat" in ds.data_vars else ds.assign_coords(lat=ds.lat + ds.lon / 50)
    )
    problem = recognise(turned).problems[0]
    assert "curvilinear" in problem.problem
    assert "grid_global(1, 1, cf=True)" in problem.fix


def test_points_in_a_row_and_stations():
    ds = data(np.linspace(-80, 80, 9), np.arange(0, 360, 20.0), lat="lat", lon="lon")
    row = ds.stack(cell=("lat", "lon"))
    for stacked in (row, row.reset_index("cell"), row.reset_index("cell").assign_coords(cell=np.arange(162))):
        problem = recognise(stacked).problems[0]
        assert "points of a grid are in a row" in problem.problem
        np.testing.assert_array_equal(follow(problem.fix, stacked).t2m.transpose("time", "lat", "lon"), ds.t2m)
    stations = row.reset_index("cell").rename(cell="station").isel(station=[3, 17, 40, 99])
    assert "stations are no grid" in recognise(stations).problems[0].fix
    point = recognise(ds.isel(lat=3, lon=4)).problems[0]
    assert point.problem == "latitude 'lat' is a single value: a point is no grid"


@pytest.mark.parametrize(("rows", "columns"), [("y", "x"), ("rlat", "rlon"), ("yc", "xc")])
def test_names_of_a_projection_with_degrees_in_them(rows, columns):
    ds = data(np.linspace(-80, 80, 9), np.arange(-180, 180, 20.0), lat=rows, lon=columns)
    problem = recognise(ds).problems[0]
    assert "may be degrees" in problem.problem
    assert not recognise(follow(problem.fix, ds)).problems
    metres = ds.assign_coords({rows: ds[rows] * 1e5, columns: ds[columns] * 1e5})
    assert "projected, rotated or unstructured" in recognise(metres).problems[0].problem
    stated = ds.assign_coords({rows: ds[rows].assign_attrs(standard_name="grid_latitude")})
    assert "projected, rotated or unstructured" in recognise(stated).problems[0].problem


@pytest.mark.parametrize("axis", ["latitude", "longitude"])
def test_two_grids_that_differ_by_rounding_merged(axis):
    one = data(np.linspace(-80, 80, 9), np.arange(0, 360, 20.0))
    other = one.rename(t2m="d2m").assign_coords({axis: one[axis] + 1e-5})
    merged = xr.merge([one, other], join="outer", compat="no_conflicts")
    problem = recognise(merged).problems[0]
    assert "twice, but for rounding" in problem.problem
    found = adapt(follow(problem.fix, merged), SPEC, climatology=None)
    np.testing.assert_allclose(found.data.t2m, adapt(one, SPEC, climatology=None).data.t2m)


@pytest.mark.parametrize(
    ("longitude", "words"),
    [
        (np.arange(0, 360, 20.0), "in the convention 0 to 360"),
        (np.arange(-180, 180, 20.0), "in the convention -180 to 180"),
        (np.arange(-20, 40, 5.0), "in the convention -180 to 180"),
        (np.arange(-0.5, 359.6, 20), "runs from -0.5 to 359.5"),
        (np.arange(200, 560, 20.0), "runs from 200 to 540"),
    ],
)
def test_the_convention_is_told(longitude, words):
    assert f"longitude 'longitude' {words}" in recognise(data(np.linspace(-80, 80, 9), longitude)).notes
