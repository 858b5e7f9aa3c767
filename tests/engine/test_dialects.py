"""Whatever the dialect of the data: the same embedding, and maps in the user's own orientation and names."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from hypothesis import HealthCheck, given, settings

import xfaconv
from tests.adapt.dialects import DEFAULT, GRID, SPECS, Dialect, era5_like, target, tell
from tests.conftest import raise_if_dask_computes
from tests.engine import worlds
from xfaconv.models import Model
from xfaconv.nn import build_network
from xfaconv.specs import ModelCard


@cache
def model() -> Model:
    card = ModelCard(
        name="tiny-dialects",
        title="tiny",
        description="random weights",
        source="user",
        data="none",
        years={},
        variables=SPECS,
        grid=GRID,
        step="1D",
        segment=4,
        warmup=3,
        network=worlds.spec(variables=len(SPECS)),
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = build_network(card.network)
    return Model.from_network(card, network, target().climatology)


@cache
def expected() -> xr.Dataset:
    return xfaconv.encode(tell(DEFAULT), model=model(), base_points={"a": (20.0, 100.0)})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(era5_like())
def test_any_dialect_gives_the_same_embedding_and_maps_in_the_users_labels(dialect: Dialect) -> None:
    ds = tell(dialect)
    before = ds.copy(deep=dialect.chunks is None)
    with raise_if_dask_computes(0 if dialect.chunks is not None else 10):
        lazy = xfaconv.encode(ds, model=model(), base_points={"a": (20.0, 100.0)})
    found = lazy.compute(scheduler="synchronous")
    np.testing.assert_allclose(found.embeddings.values, expected().embeddings.values, atol=1e-5)
    np.testing.assert_allclose(found.importance.values, expected().importance.values, atol=1e-5)
    assert set(found.attention.dims) == {"base_point", dialect.time, dialect.latitude, dialect.longitude}
    for dim in (dialect.time, dialect.latitude, dialect.longitude):
        assert found[dim].values.tolist() == ds[dim].values.tolist()
        assert found[dim].attrs == ds[dim].attrs
    maps = found.attention.isel(base_point=0).transpose(dialect.time, dialect.latitude, dialect.longitude)
    canonical = maps.assign_coords({dialect.longitude: np.round(maps[dialect.longitude].values % 360, 6)})
    canonical = canonical.drop_duplicates(dialect.longitude).sortby([dialect.latitude, dialect.longitude])
    np.testing.assert_allclose(canonical.values, expected().attention.isel(base_point=0).values, atol=1e-5)
    assert ds.identical(before)


def test_packed_and_unpacked_files_give_the_same_embedding(tmp_path: Path) -> None:
    packing = {"t2m": (0.002, 280.0), "z": (0.2, 55000.0), "msl": (0.2, 101000.0), "tp": (1e-6, 0.0)}
    encoding = {
        name: {"dtype": "int16", "scale_factor": step, "add_offset": offset, "_FillValue": -32768}
        for name, (step, offset) in packing.items()
    }
    tell(DEFAULT).to_netcdf(tmp_path / "packed.nc", encoding=encoding)
    with xr.open_dataset(tmp_path / "packed.nc", chunks={}) as packed:
        assert packed.t2m.encoding["dtype"] == np.int16
        found = xfaconv.embed(packed, model=model()).compute()
        plain = xfaconv.embed(packed.load().astype("float64"), model=model())
        np.testing.assert_allclose(found.values, plain.values, atol=1e-5)
        np.testing.assert_allclose(found.values, expected().embeddings.values, atol=1e-2)
