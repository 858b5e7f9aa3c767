"""Without torch: data, indices, statistics, figures and reports work; what runs a network says how to get torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BEGIN = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Absent())
import numpy as np, xarray as xr, xfaconv
from xfaconv import analysis
ds = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 48))
"""

WORKS = """
assert "longitude" in repr(ds.faconv)
assert "<details" in ds.faconv._repr_html_()
assert not xfaconv.recognise(ds).problems
repr(xfaconv.plan(ds)), xfaconv.describe(ds)
conformed = xfaconv.conform(ds).compute()
assert np.isfinite(conformed.z500).all()
model = xfaconv.load_model("ncep-monthly-2p5deg")
repr(model), repr(model.card), model._repr_html_(), xfaconv.list_models()
xfaconv.show_versions()
index = analysis.nino34(ds)
assert index.sizes["time"] == 48
maps = analysis.correlation_map(ds.z500, index).compute()
analysis.false_discovery(maps.p_value)
xfaconv.plot_correlation(maps.correlation)
# Results that were saved: no network runs to draw them.
random = np.random.default_rng(0)
axes = {"time": ds.time, "latitude": ds.lat.values, "longitude": ds.lon.values}
attention = xr.DataArray(random.random((48, ds.sizes["lat"], ds.sizes["lon"])), axes, tuple(axes))
attention = attention / attention.sum(["latitude", "longitude"])
xfaconv.plot_attention(attention.mean("time"))
embedding = xr.DataArray(random.normal(size=(48, 8)), {"time": ds.time}, ("time", "embedding"), "embeddings")
xfaconv.plot_embedding(embedding)
importance = xr.DataArray(random.dirichlet([1, 1, 1], 48), {"time": ds.time, "variable": ["a", "b", "c"]},
                          ("time", "variable"), "importance")
xfaconv.plot_importance(importance)
assert "torch" not in sys.modules
print("all works")
"""

FAILS = """
for call in (
    lambda: xfaconv.embed(ds),
    lambda: xfaconv.importance(ds),
    lambda: xfaconv.importance(ds, method="occlusion"),
    lambda: xfaconv.attention(ds, 0, -140),
    lambda: xfaconv.hidden(ds),
    lambda: ds.faconv.encode(base_points={"nino34": (0, -140)}),
    lambda: xfaconv.attribution(ds, (0, -140), "z500", lead=1),
    lambda: xfaconv.compare_attention(ds, (0, -140)),
    lambda: xfaconv.teleconnection(ds, (0, -140), "z500", lead=1),
    lambda: xfaconv.infer(ds, hide=(20, 80, 140, 250)),
    lambda: xfaconv.forecast(ds),
    lambda: xfaconv.check_attention(ds, (0, -140)),
    lambda: ds.faconv.fit(),
    lambda: xfaconv.load_model("ncep-monthly-2p5deg").network("cpu"),
    lambda: xfaconv.nn,
    lambda: xfaconv.training,
):
    try:
        call()
    except xfaconv.errors.DependencyError as problem:
        assert isinstance(problem, ImportError)
        assert "pip install torch --index-url" in problem.fix, problem
    else:
        raise AssertionError("no error")
print("all refused")
"""


@pytest.mark.parametrize(("script", "said"), [(WORKS, "all works"), (FAILS, "all refused")], ids=["works", "fails"])
def test_torch_is_needed_for_networks_only(script: str, said: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", BEGIN + script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert said in done.stdout
