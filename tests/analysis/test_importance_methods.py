"""A method of importance is registered from outside the package, through public names alone, and used by its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv import analysis
from xfaconv.analysis.explanation import variable_importance
from xfaconv.errors import ArgumentError


@pytest.fixture
def registry() -> Iterator[None]:
    """Whatever a test registers is gone after it."""
    before = dict(variable_importance._METHODS)
    yield
    variable_importance._METHODS.clear()
    variable_importance._METHODS.update(before)


def options(**own: Any) -> dict[str, Any]:
    return {"model": worlds.model(), **own}


def by_variance(request: analysis.ImportanceRequest) -> xr.DataArray:
    fields = request.windows.fields.fillna(0)
    return request.shares((fields**2).mean(["step", "latitude", "longitude"]))


@pytest.mark.usefixtures("registry")
def test_a_toy_method_is_used_by_its_name(no_computes: Any) -> None:
    ds = worlds.world(40)
    with pytest.raises(ArgumentError, match="unknown method"):
        xfaconv.importance(ds, method="toy", **options())
    assert analysis.register_importance("toy")(by_variance) is by_variance
    assert {"gate", "occlusion", "gradient", "toy"} <= set(analysis.importance_methods())
    found = xfaconv.importance(ds, method="toy", **options(samples=3))
    np.testing.assert_allclose(found.sum("variable"), 1, rtol=1e-5)
    fields = xfaconv.conform(ds, **options()).fillna(0)
    windows = analysis.cut_windows(ds, None, samples=3, needs_attention=False, **options())
    last = [int(np.flatnonzero(fields.time.values == end)[0]) for end in windows.fields.time.values]
    length = windows.fields.sizes["step"]
    for number, end in enumerate(last):
        part = fields.isel(time=slice(end - length + 1, end + 1))
        sizes = np.array([float((part[name].astype(float) ** 2).mean()) for name in found["variable"].values])
        np.testing.assert_allclose(found[number], sizes / sizes.sum(), rtol=1e-4)
    assert found.attrs["method"] == "toy"
    assert found.attrs["of"] == "embedding"
    with no_computes():
        lazy = ds.chunk(time=10).faconv.importance(method="toy", **options(samples=3))
    xr.testing.assert_allclose(lazy.compute(), found)


@pytest.mark.usefixtures("registry")
def test_a_method_is_told_what_is_asked_about() -> None:
    seen = []

    @analysis.register_importance("toy")
    def toy(request: analysis.ImportanceRequest) -> xr.DataArray:
        seen.append((request.target.kind, request.where))
        return by_variance(request)

    ds = worlds.world(40)
    place = xfaconv.importance(ds, method="toy", base_point=(0, 90), **options(samples=1))
    xfaconv.importance(ds, method="toy", **options(samples=1))
    assert [kind for kind, _ in seen] == ["hidden", "embedding"]
    assert seen[0][1] is not None
    assert (seen[0][1] > 0).sum() == 1
    assert seen[1][1] is None
    assert place.attrs["of"] == "state of the base point (0, 90)"
