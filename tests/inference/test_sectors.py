"""Teleconnectivity against what infer() gives for each sector, and the test of differences written out."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from scipy import stats

import xfaconv
from tests.engine import worlds as engine_worlds
from tests.inference.worlds import GRID, STEPS, TRAINED, model, waves
from xfaconv.errors import ArgumentError, ModelError, TimeError, VariableError, XFaconvError
from xfaconv.grid import Grid
from xfaconv.inference.sectors import find_sectors


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return xfaconv.teleconnectivity(waves(), "t2m", width=90, model=model())


@pytest.mark.parametrize("method", ["network", "linear"])
def test_each_meridian_is_inferred_from_its_own_sector(method: str, found: xr.Dataset) -> None:
    longitude = np.asarray(GRID.longitude)
    assert found.attrs["sectors"] == 8
    for centre in (11.25, 146.25):
        hide = np.broadcast_to(np.abs((longitude - centre + 180) % 360 - 180) <= 45, GRID.shape)
        mask = xr.DataArray(hide, {"latitude": list(GRID.latitude), "longitude": longitude}, ("latitude", "longitude"))
        inferred = xfaconv.infer(waves(), hide=mask, method=method, model=model()).isel(time=slice(TRAINED, None))
        error = ((inferred.t2m - inferred.t2m_observed) ** 2).sum("time")
        expected = 1 - error / (inferred.t2m_observed**2).sum("time")
        columns = np.flatnonzero(np.abs(longitude - centre) < 22.5)
        assert columns.size in (1, 2)
        np.testing.assert_allclose(
            found.explained_variance.sel(prediction=method)[:, columns], expected[:, columns], atol=2e-4
        )


def test_the_difference_and_its_test_by_hand(found: xr.Dataset) -> None:
    explained = found.explained_variance
    difference = explained.sel(prediction="network", drop=True) - explained.sel(prediction="linear", drop=True)
    np.testing.assert_allclose(found.difference, difference, atol=1e-9)
    longitude = np.asarray(GRID.longitude)
    hide = np.broadcast_to(np.abs((longitude - 146.25 + 180) % 360 - 180) <= 45, GRID.shape)
    mask = xr.DataArray(hide, {"latitude": list(GRID.latitude), "longitude": longitude}, ("latitude", "longitude"))
    errors = []
    for method in ("network", "linear"):
        inferred = xfaconv.infer(waves(), hide=mask, method=method, model=model()).isel(time=slice(TRAINED, None))
        errors.append(((inferred.t2m - inferred.t2m_observed) ** 2).values)
    column = int(np.flatnonzero(np.abs(longitude - 146.25) < 22.5)[0])
    apart = (errors[1] - errors[0])[:, 3, column].astype("f8")
    d = apart - apart.mean()
    r = (d[1:] * d[:-1]).sum() / (d**2).sum() * len(d) / len(d)
    effective = min(len(d) * (1 - r * r) / (1 + r * r), len(d))
    statistic = apart.mean() / (apart.std(ddof=1) / np.sqrt(effective))
    expected = 2 * stats.t.sf(abs(statistic), effective - 1)
    assert float(found.p_value[3, column]) == pytest.approx(expected, rel=0.1, abs=1e-4)
    np.testing.assert_array_equal(found.significant, found.adjusted_p_value <= 0.05)


def test_planted_waves_are_known_from_afar_and_noise_is_not(found: xr.Dataset) -> None:
    assert (found.explained_variance.sel(prediction="linear").median()) > 0.8
    assert found.significant.mean() > 0.5
    assert (found.difference < 0).mean() > 0.9
    noise = xfaconv.teleconnectivity(waves(strength=0), "t2m", methods=["linear"], width=90, model=model())
    assert list(noise) == ["explained_variance"]
    assert (noise.explained_variance < 0.3).all()


def test_all_variables_at_once(found: xr.Dataset) -> None:
    every = xfaconv.teleconnectivity(waves(), width=90, model=model())
    assert every.explained_variance.dims == ("prediction", "variable", "latitude", "longitude")
    xr.testing.assert_allclose(every.explained_variance.sel(variable="t2m", drop=True), found.explained_variance)
    land = every.explained_variance.sel(variable="sst").isnull()
    np.testing.assert_array_equal(land, np.broadcast_to(engine_worlds.LAND, land.shape))
    assert every.number_of_tests.values.tolist() == [128, 128, 116]


def test_lazy_and_in_the_users_order(found: xr.Dataset) -> None:
    ds = waves().isel(latitude=slice(None, None, -1)).rename(latitude="lat", longitude="lon")
    ds = ds.assign_coords(lon=(ds.lon + 180) % 360 - 180).sortby("lon")
    lazy = xfaconv.teleconnectivity(ds.chunk(time=15, lat=3), "t2m", width=90, model=model())
    assert all(array.chunks is not None for array in lazy.data_vars.values())
    again = lazy.compute()
    again = again.assign_coords(lon=again.lon % 360).sortby("lon").rename(lat="latitude", lon="longitude")
    again = again.reindex(latitude=found.latitude)
    np.testing.assert_allclose(again.explained_variance, found.explained_variance, atol=1e-4)
    np.testing.assert_array_equal(again.significant, found.significant)


def test_one_pass_of_the_record_for_each_sector() -> None:
    lazy = xfaconv.teleconnectivity(waves().chunk(time=20), "t2m", width=90, model=model(), methods=["network"])
    runs = {key for key in dict(lazy.__dask_graph__()) if str(key).startswith("('faconv-segment-")}
    once = xfaconv.plan(waves(), model=model(), time=slice("2001-04-21", None)).network_calls
    assert len(runs) == 8 * once


def test_the_season(found: xr.Dataset) -> None:
    may = xfaconv.teleconnectivity(waves(), "t2m", season=[5], width=90, model=model())
    assert (may.attrs["season"], may.attrs["number_of_steps"], may.attrs["width"]) == ("[5]", 30, 90.0)
    assert not np.allclose(may.explained_variance, found.explained_variance)


@pytest.mark.parametrize(("width", "spacing"), [(60, None), (60, 20), (120, None), (7, 5), (100, 37)])
def test_every_meridian_is_in_its_sector_and_in_one_alone(width: float, spacing: float | None) -> None:
    regional = Grid(tuple(np.arange(20.0, 61.0, 2.0)), tuple(np.arange(-80.0, 60.0, 2.0)))
    for grid in (Grid.regular(2.5), regional):
        sectors = find_sectors(grid, width, spacing)
        columns = np.concatenate([sector.columns for sector in sectors])
        assert sorted(columns) == list(range(grid.shape[1]))
        for sector in sectors:
            assert sector.hidden[:, sector.columns].all()
            assert not sector.hidden.all()
            step = grid.longitude[1] - grid.longitude[0]
            assert sector.hidden.sum(axis=1).max() * step <= width + step + 1e-6


REFUSED = {
    "nothing visible": ({"width": 349, "ds": "region"}, ArgumentError),
    "no width": ({"width": 0}, ArgumentError),
    "narrower than its spacing": ({"width": 20, "spacing": 90}, ArgumentError),
    "no such variable": ({"variable": "z500"}, VariableError),
    "no such method": ({"methods": ["persistence"]}, ArgumentError),
    "no method": ({"methods": []}, ArgumentError),
    "no unseen step": ({"time": "2001-03"}, TimeError),
    "a season without unseen steps": ({"season": "SON"}, TimeError),
    "not trained on hidden parts": ({"model": engine_worlds.model(leads=(1,))}, ModelError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_refused(name: str) -> None:
    options, kind = REFUSED[name]
    ds = waves()
    if options.pop("ds", None):
        with pytest.raises(kind):
            find_sectors(Grid(tuple(np.arange(20.0, 61.0, 2.0)), tuple(np.arange(-80.0, 60.0, 2.0))), 349)
        return
    with pytest.raises(kind) as caught:
        xfaconv.teleconnectivity(ds, **({"model": model()} | options))
    assert isinstance(caught.value, XFaconvError)
    assert caught.value.fix


def test_figures(found: xr.Dataset) -> None:
    grid = xfaconv.plot_teleconnectivity(found)
    assert [ax.get_title() for ax in grid.axs.flat] == ["network", "linear"]
    title = grid.fig.get_suptitle()
    assert "Variance of t2m inferred with a sector of 90° hidden" in title
    assert "significantly more than the other (false discovery rate 5%)" in title
    dotted = [len(ax.collections) for ax in grid.axs.flat]
    plain = xfaconv.plot_teleconnectivity(found, stippling=False)
    assert sum(dotted) > sum(len(ax.collections) for ax in plain.axs.flat)
    one = xfaconv.plot_teleconnectivity(found.explained_variance[0])
    assert one.axes.get_title().startswith("Variance of t2m")
    found.explained_variance.faconv.plot_teleconnectivity()
    waves().faconv.plot_teleconnectivity("t2m", width=120, model=model())
    rows = xfaconv.plot_teleconnectivity(xfaconv.teleconnectivity(waves(), width=120, model=model()))
    assert rows.axs.shape == (3, 2)
    with pytest.raises(ArgumentError, match="no teleconnectivity"):
        xfaconv.plot_teleconnectivity(found[["p_value"]])
    plt.close("all")


def test_files(found: xr.Dataset, tmp_path) -> None:
    for engine in ("netcdf4", "scipy"):
        found.to_netcdf(tmp_path / f"{engine}.nc", engine=engine)
        with xr.open_dataset(tmp_path / f"{engine}.nc", engine=engine) as again:
            np.testing.assert_array_equal(again.explained_variance, found.explained_variance)
    assert found.attrs["number_of_steps"] == STEPS - TRAINED
