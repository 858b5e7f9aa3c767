"""Maps and names of components of the embedding against regressions written out."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

import xfaconv
from tests.engine import worlds
from tests.inference.worlds import spread_of, waves
from xfaconv.analysis import component_maps, name_components
from xfaconv.errors import ArgumentError, TimeError
from xfaconv.nn import Geometry


def regression(fields: np.ndarray, series: np.ndarray) -> np.ndarray:
    """Slope of each cell on a standardised series, one number after the other."""
    z = (series - series.mean()) / series.std()
    return np.array([[(z * (cell - cell.mean())).mean() for cell in row] for row in np.moveaxis(fields, 0, -1)])


@pytest.fixture(scope="module")
def embedding() -> xr.DataArray:
    found = xfaconv.embed(waves(), model=worlds.model())
    return found.isel(time=found.full_warmup.values)


def test_maps_are_the_regression_of_the_rebuilt_fields(embedding: xr.DataArray) -> None:
    model = worlds.model()
    with torch.inference_mode():
        rebuilt = model.network().reconstruct(torch.from_numpy(embedding.values)[None], Geometry.from_grid(worlds.GRID))
    maps = component_maps(waves(), standardised=True, model=model)
    assert maps.dims == ("embedding", "variable", "latitude", "longitude")
    for component in (1, 4):
        for number, name in enumerate(("t2m", "msl", "sst")):
            expected = regression(rebuilt[0, :, number].numpy().astype("f8"), embedding.sel(embedding=component).values)
            expected = np.where(worlds.LAND, np.nan, expected) if name == "sst" else expected
            np.testing.assert_allclose(maps.sel(embedding=component, variable=name), expected, atol=1e-5)


def test_the_other_way_is_the_regression_of_the_fields(embedding: xr.DataArray) -> None:
    fields = xfaconv.conform(waves(), model=worlds.model()).sel(time=embedding.time)
    maps = component_maps(waves(), method="regression", standardised=True, model=worlds.model())
    for name in ("msl", "sst"):
        expected = regression(fields[name].values.astype("f8"), embedding.sel(embedding=3).values)
        np.testing.assert_allclose(maps.sel(embedding=3, variable=name), expected, atol=1e-4)
    assert maps.sel(variable="sst").isnull().any()


@pytest.mark.parametrize("method", ["patterns", "regression"])
def test_units_are_those_of_the_data_per_standard_deviation(method: str) -> None:
    """Pressure in hPa instead of the model's Pa; upside down; the regression of the fields themselves."""
    ds = waves().isel(latitude=slice(None, None, -1))
    ds["msl"] = (ds.msl / 100).assign_attrs(ds.msl.attrs, units="hPa")
    maps = component_maps(ds, method=method, model=worlds.model())
    plain = component_maps(ds, method=method, standardised=True, model=worlds.model())
    assert dict(zip(maps["variable"].values, maps["units"].values, strict=True))["msl"] == "hPa"
    for name, factor in (("t2m", 1), ("msl", 100), ("sst", 1)):
        spread = spread_of(name)[::-1] / factor
        np.testing.assert_allclose(maps.spread.sel(variable=name), spread, rtol=1e-3)
        np.testing.assert_allclose(maps.sel(variable=name), plain.sel(variable=name) * spread, rtol=1e-3, atol=1e-4)
    found = component_maps(ds.chunk(time=9), method=method, model=worlds.model())
    assert found.chunks is not None
    np.testing.assert_allclose(found, maps, atol=1e-4)
    if method == "regression":
        embedding = xfaconv.embed(ds, model=worlds.model())
        fields = xfaconv.infer(ds, (-40, 40, 100, 200), model=worlds.model()).msl_observed
        used = embedding.full_warmup.values
        wanted = regression(fields.values[used].astype("f8"), embedding.sel(embedding=3).values[used])
        np.testing.assert_allclose(maps.sel(embedding=3, variable="msl"), wanted, rtol=1e-3, atol=1e-2)


def test_patterns_of_a_trained_model_agree_with_the_fields() -> None:
    ds = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 48)).load()
    both = [
        component_maps(ds, method=method, standardised=True, stride=2).sel(embedding=[1, 5, 29])
        for method in ("patterns", "regression")
    ]
    alike = xfaconv.analysis.pattern_correlation(*both)
    assert (alike.sel(variable="z200") > 0.7).all()
    # El Nino, which component 5 stands for with a negative sign.
    pacific = both[0].sel(embedding=5, variable="sst", lat=0, lon=220)
    assert pacific < -0.5


def test_lazy_in_the_users_order_of_the_season() -> None:
    expected = component_maps(waves(), season=[4], model=worlds.model())
    assert (expected.attrs["season"], expected.attrs["number_of_steps"]) == ("[4]", 30)
    turned = waves().isel(latitude=slice(None, None, -1)).rename(latitude="lat").chunk(time=9)
    for method in ("patterns", "regression"):
        lazy = component_maps(turned, season=[4], method=method, model=worlds.model())
        assert lazy.chunks is not None
        assert lazy.dims == ("embedding", "variable", "lat", "longitude")
    found = component_maps(turned, season=[4], model=worlds.model()).compute()
    np.testing.assert_allclose(found.reindex(lat=expected.latitude.values), expected, atol=1e-5)


def test_components_are_ordered_and_named_by_what_they_resemble(embedding: xr.DataArray) -> None:
    random = np.random.default_rng(0)
    wave = (-embedding.sel(embedding=5)).drop_vars("embedding")
    noise = xr.DataArray(random.normal(size=wave.size), {"time": embedding.time}, ("time",))
    named = name_components(embedding, {"noise": noise, "wave": wave})
    assert named.embedding.values[0] == 5
    assert named.component_name.values[0] == "5: wave -1.00"
    table = np.array([[np.corrcoef(index, series)[0, 1] for series in embedding.values.T] for index in (noise, wave)])
    largest = np.abs(table).max(axis=0)
    np.testing.assert_array_equal(named.embedding, embedding.embedding.values[np.argsort(-largest)])
    np.testing.assert_allclose(np.abs(named.index_correlation), np.sort(largest)[::-1], atol=1e-5)
    xr.testing.assert_allclose(
        named.sel(embedding=embedding.embedding).drop_vars(["component_name", "index_name", "index_correlation"]),
        embedding,
    )
    artist = xfaconv.plot_embedding(named)
    assert "5: wave -1.00" in [text.get_text() for text in artist.axes.get_yticklabels()]
    plt.close("all")


def test_an_index_of_other_times_is_refused(embedding: xr.DataArray) -> None:
    with pytest.raises(ArgumentError, match="needs indices by name"):
        name_components(embedding, {})
    later = embedding.isel(embedding=0, drop=True).assign_coords(time=embedding.time + np.timedelta64(1000, "D"))
    with pytest.raises(TimeError, match="no times in common"):
        name_components(embedding, {"a": later})


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(TimeError):
        component_maps(waves(), season="SON", model=worlds.model())
    with pytest.raises(TimeError):
        component_maps(waves(10), model=worlds.model())
    with pytest.raises(ArgumentError, match="one member"):
        component_maps(worlds.world(40, members=2), model=worlds.model())


def every_label(grid: object) -> str:
    bar = grid.cbar.ax
    return bar.get_xlabel() + bar.get_ylabel()


def test_figures() -> None:
    maps = component_maps(waves(), model=worlds.model())
    every = xfaconv.plot_component_maps(maps)
    assert len(every.axs.flat) == 6
    assert "in t2m" in every.fig.get_suptitle()
    one = xfaconv.plot_component_maps(maps, components=[3])
    assert [ax.get_title() for ax in one.axs.flat] == ["t2m", "msl", "sst"]
    assert one.fig.get_suptitle().startswith("Regression on component 3")
    assert xfaconv.plot_component_maps(maps, components=[3, 5]).axs.shape == (2, 3)
    single = xfaconv.plot_component_maps(maps, components=[3], variable="msl")
    assert "Pa" in single.colorbar.ax.get_ylabel() + single.colorbar.ax.get_xlabel()
    assert "standard deviations" in every_label(one)
    assert single.axes.get_title().startswith("Regression on component 3 in msl")
    waves().faconv.plot_component_maps(components=[1], model=worlds.model())
    with pytest.raises(ArgumentError):
        xfaconv.plot_component_maps(maps, components=[99])
    plt.close("all")
