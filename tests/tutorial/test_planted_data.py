"""Planted data: the links are in the fields, and impossible graphs are refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.tutorial import Link, Mode, planted, target_points


def test_planted_links_are_in_the_data() -> None:
    """The driver's cell leads the driven cell by the lag, and nothing else does; noise and copy are what they say."""
    ds, truth = planted(1500, grid=Grid.regular(22.5), seed=3)
    for link in range(truth.sizes["link"]):
        source, target = str(truth.source[link].values), str(truth.target[link].values)
        x, y = truth.series.sel(mode=source).values, truth.series.sel(mode=target).values
        assert np.corrcoef(x[:-1], y[1:])[0, 1] > 0.7
        other = truth.series.sel(mode="unlinked_1").values
        assert abs(np.corrcoef(other[:-1], y[1:])[0, 1]) < 0.1
    assert set(truth.direction.values.tolist()) == {"zonal", "meridional", "diagonal"}
    flat = {name: (ds[name] - ds[name].mean("time")).values.ravel() for name in ds}
    assert np.corrcoef(flat["copy"], flat["driver_a"])[0, 1] > 0.9
    assert ds.response.dtype == np.float32
    xr.testing.assert_identical(ds, planted(1500, grid=Grid.regular(22.5), seed=3)[0])
    for bad in ([Link("a", "b")], [Link("a", "a", lag=0)]):
        with pytest.raises(ArgumentError, match="impossible"):
            planted(20, modes=[Mode("a", "response", 0, 0)], links=bad)


def test_target_points_are_the_centres_of_the_driven_regions() -> None:
    _, truth = planted(20)
    points = target_points(truth)
    assert len(points) == truth.sizes["link"]
    for name, point in points.items():
        footprint = truth.footprint.sel(mode=name)
        peak = footprint.where(footprint == footprint.max(), drop=True)
        assert abs(float(peak.latitude[0]) - point[0]) <= 11.25 / 2
