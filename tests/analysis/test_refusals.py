"""What an analysis cannot use: the typed error, its words and the line that fixes it, before the network runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
from xfaconv import analysis
from xfaconv.errors import ArgumentError, MissingDataError, TimeError, XFaconvError

sys.path.insert(0, str(Path(__file__).parent))
from fields import autoregressive, gridded

DAYS = 120


def field(start: str = "2000-01-01") -> xr.DataArray:
    made = gridded(autoregressive(12, DAYS), 3, 4, "D")
    return made.assign_coords(time=xr.date_range(start, periods=DAYS, freq="D"))


def embedding(start: str = "2000-01-01") -> xr.DataArray:
    return xr.DataArray(autoregressive(12, DAYS).T, {"time": field(start).time}, ("time", "embedding"))


def importance(**options: Any) -> Any:
    return xfaconv.importance(worlds.world(20), method="occlusion", model=worlds.model(), **options)


SERIES = pd.Series(np.arange(DAYS, dtype=float), pd.date_range("2000-01-01", periods=DAYS))
Row = tuple[Callable[[], Any], type[XFaconvError], str, str]
ROWS: dict[str, Row] = {
    "region by name": (lambda: importance(region="tropics"), ArgumentError, "region is not four edges", "region=(-10"),
    "region of three": (lambda: importance(region=(1, 2, 3)), ArgumentError, "region is not four edges", "region=(-10"),
    "region of one": (lambda: importance(region=5), ArgumentError, "region is not four edges", "region=(-10"),
    "region of words": (lambda: importance(region=(0, "a", 2, 3)), ArgumentError, "not four edges", "region=(-10"),
    "region of nan": (lambda: importance(region=(0, np.nan, 2, 3)), ArgumentError, "not four edges", "region=(-10"),
    "region upside down": (lambda: importance(region=(10, -10, 0, 90)), ArgumentError, "south to north", "region=(-10"),
    "composites without common times": (
        lambda: analysis.regime_composites(field("1990-01-01"), analysis.regimes(embedding(), 2, surrogates=0)),
        TimeError,
        "share no times",
        "at the same times",
    ),
    "composites of labels without regimes": (
        lambda: analysis.regime_composites(field(), (field()[:, 0, 0] * 0).astype(int)),
        MissingDataError,
        "no regime in the labels",
        "",
    ),
    "map of a dataset": (
        lambda: analysis.correlation_map(field().to_dataset(name="z"), field()[:, 0, 0]),  # type: ignore[arg-type]
        ArgumentError,
        "field is not a DataArray",
        "field=ds[",
    ),
    "teleconnectivity of a dataset": (
        lambda: analysis.teleconnectivity(field().to_dataset(name="z")),  # type: ignore[arg-type]
        ArgumentError,
        "field is not a DataArray",
        "field=ds[",
    ),
    "map with a pandas series": (
        lambda: analysis.correlation_map(field(), SERIES),  # type: ignore[arg-type]
        ArgumentError,
        "neither a place nor an index",
        "base.to_numpy()",
    ),
    "map with an array": (
        lambda: analysis.correlation_map(field(), SERIES.to_numpy()),  # type: ignore[arg-type]
        ArgumentError,
        "neither a place nor an index",
        "nino34",
    ),
    "map outside the season": (
        lambda: analysis.correlation_map(field(), (0, 0), season="OND"),
        TimeError,
        "is in the season OND",
        "season=None",
    ),
    "regimes outside the season": (
        lambda: analysis.regimes(embedding("2000-06-01"), 4, season="DJF"),
        TimeError,
        "in the season",
        "season=None",
    ),
    "count outside the season": (
        lambda: analysis.choose_count(embedding("2000-06-01"), season="DJF"),
        TimeError,
        "in the season",
        "season=None",
    ),
    "count with a slip": (
        lambda: analysis.choose_count(embedding(), sezon="DJF"),
        ArgumentError,
        "argument 'sezon' is unknown",
        "season='DJF'",
    ),
    "regimes with a slip": (
        lambda: analysis.regimes(embedding(), 3, sureogates=3),
        ArgumentError,
        "argument 'sureogates' is unknown",
        "surrogates=3",
    ),
    "engine with embeddings": (
        lambda: analysis.choose_count(embedding(), model="a"),
        ArgumentError,
        "arguments for the engine",
        "model=None",
    ),
    "composite beyond the index": (
        lambda: analysis.composite(field(), field()[:, 0, 0], threshold=100),
        ArgumentError,
        "reaches the threshold",
        "threshold=0.5",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_refused_with_the_words_that_help(row: Row) -> None:
    call, error, words, fix = row
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)
    assert fix in (caught.value.fix or "")


def test_the_line_that_fixes_a_pandas_series_works() -> None:
    index = xr.DataArray(SERIES.to_numpy(), {"time": SERIES.index}, ("time",))
    assert analysis.correlation_map(field(), index).correlation.shape == (3, 4)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"season": "JUN"}, ArgumentError, "unknown season"),
        ({"season": "JJA"}, TimeError, "in the season"),
        ({"lag": 500}, ArgumentError, "lag is longer"),
        ({"null": "phase", "season": [2, 4]}, TimeError, "without breaks"),
    ],
)
def test_teleconnection_refuses_before_the_network_runs(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], error: type[XFaconvError], words: str
) -> None:
    def ran(*_: Any, **__: Any) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr("xfaconv.analysis.explanation.base_point_maps.attention_of", ran)
    with pytest.raises(error, match=words):
        xfaconv.teleconnection(worlds.world(90), (0, 30), model=worlds.model(), variable="t2m", **options)


def test_a_box_is_read_as_it_is_meant() -> None:
    from xfaconv.arguments import as_box

    assert as_box([np.float32(-5), 5, 350, 10]) == (-5.0, 5.0, 350.0, 10.0)


def test_a_phase_that_no_step_is_in_is_missing() -> None:
    index = abs(field()[:, 0, 0]).reset_coords(drop=True)
    out = analysis.composite(field(), index, threshold=0.5)
    assert int(out["count"].sel(phase="low")) == 0
    assert np.isnan(out["mean"].sel(phase="low")).all()
    lazy = analysis.composite(field(), index.chunk(), threshold=100)
    np.testing.assert_array_equal(lazy["count"], 0)
