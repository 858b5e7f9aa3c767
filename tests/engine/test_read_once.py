"""A Dataset is read once: one survey and one matching in every public call, whatever it does with the data."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import xarray as xr

import xfaconv
import xfaconv.training  # before its functions are counted
from tests.inference import worlds as trained
from xfaconv.adapt.matching import match_variables
from xfaconv.adapt.survey import survey
from xfaconv.arguments import DEFAULTS

POINT = (0, -140)
SMALL = {"hidden": 8, "bottleneck": 4, "embedding": 16, "attention_width": 8, "attention_heads": 2}
CALLS: dict[str, Callable[..., Any]] = {
    "embed": xfaconv.embed,
    "importance by gates": xfaconv.importance,
    "importance by occlusion": lambda ds, **more: xfaconv.importance(ds, method="occlusion", samples=2, **more),
    "importance by gradients": lambda ds, **more: xfaconv.importance(ds, method="gradient", samples=2, **more),
    "attention": lambda ds, **more: xfaconv.attention(ds, *POINT, **more),
    "hidden": xfaconv.hidden,
    "encode": lambda ds, **more: xfaconv.encode(ds, base_points={"a": POINT}, **more),
    "conform": xfaconv.conform,
    "plan": xfaconv.plan,
    "compare_attention": lambda ds, **more: xfaconv.compare_attention(ds, POINT, **more),
    "check_attention": lambda ds, **more: xfaconv.check_attention(ds, POINT, samples=3, **more),
    "infer": lambda ds, **more: xfaconv.infer(ds, (-30, 30, 0, 90), **more),
    "infer by regression": lambda ds, **more: xfaconv.infer(ds, (-30, 30, 0, 90), method="linear", **more),
    "forecast": xfaconv.forecast,
    "skill": lambda ds, **more: xfaconv.skill(ds, hide=(-30, 30, 0, 90), training=True, methods=["network"], **more),
    "teleconnectivity": lambda ds, **more: xfaconv.teleconnectivity(
        ds, training=True, methods=["network"], width=120, **more
    ),
    "attribution": lambda ds, **more: xfaconv.attribution(ds, POINT, next(iter(ds)), lead=1, samples=2, **more),
    "teleconnection": lambda ds, model=None: xfaconv.teleconnection(
        ds,
        (-20, 20, 110, 190),
        next(iter(ds)),
        hide=(-40, 40, 100, 200),
        threshold=0,
        method="gradient",
        samples=1,
        model=model,
    ),
    "regimes": lambda ds, **more: xfaconv.regimes(ds, 2, repeats=0, surrogates=0, **more),
    "choose_count": lambda ds, **more: xfaconv.analysis.choose_count(ds, (2, 3), repeats=1, surrogates=2, **more),
    "fit from a model": lambda ds, model="ncep-monthly-2p5deg": xfaconv.fit(ds, model, updates=1, batch=1, window=4),
}
OF_ANY_MODEL: dict[str, Callable[..., Any]] = {
    "fit": lambda ds: xfaconv.fit(ds, updates=1, batch=1, window=4, leads=(0, 1), network=SMALL),
    "fit of some variables": lambda ds: xfaconv.fit(
        ds, variables=["t995"], updates=1, batch=1, window=4, leads=(0, 1), network=SMALL
    ),
}


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count calls of the two functions, by whatever module they are called."""
    found = {"survey": 0, "match": 0}

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            found[name] += 1
            return function(*arguments, **options)

        return call

    for name, function in (("survey", survey), ("match", match_variables)):
        replacement = counted(name, function)
        for module in [module for key, module in sys.modules.items() if key.startswith("xfaconv")]:
            for attribute in [key for key, value in vars(module).items() if value is function]:
                monkeypatch.setattr(module, attribute, replacement)
    return found


@pytest.fixture(scope="module")
def months() -> xr.Dataset:
    """Four years of months, lazy, on a grid as coarse as a test wants it."""
    return xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 48)).chunk(time=12)


@pytest.mark.parametrize("name", CALLS)
def test_one_survey_and_one_matching_where_the_model_is_chosen(
    name: str, counts: dict[str, int], months: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DEFAULTS, "stride", 4)  # how much the network computes plays no part
    CALLS[name](months)
    assert counts == {"survey": 1, "match": 1}


@pytest.mark.parametrize("name", [name for name in CALLS if not name.startswith("fit")])
def test_one_survey_and_one_matching_where_the_model_is_given(name: str, counts: dict[str, int]) -> None:
    CALLS[name](trained.waves().chunk(time=10), model=trained.model())
    assert counts == {"survey": 1, "match": 1}


@pytest.mark.parametrize("name", OF_ANY_MODEL)
def test_one_survey_and_one_matching_where_a_network_is_trained(
    name: str, counts: dict[str, int], months: xr.Dataset
) -> None:
    OF_ANY_MODEL[name](months.coarsen(lat=6, lon=6, boundary="trim").mean())
    assert counts == {"survey": 1, "match": 1}


def test_one_survey_and_one_matching_for_what_the_accessor_shows(counts: dict[str, int], months: xr.Dataset) -> None:
    text = repr(months.faconv)
    assert "ncep-monthly-2p5deg" in text
    assert counts == {"survey": 1, "match": 1}
    months.faconv._repr_html_()
    assert counts == {"survey": 2, "match": 2}


def test_models_with_a_variable_in_other_units_each_get_their_own(months: xr.Dataset) -> None:
    """All candidates are matched together; the chosen one keeps its own units and names."""
    chosen = xfaconv.conform(months)
    named = xfaconv.conform(months, model=chosen.attrs["model"])
    xr.testing.assert_identical(chosen.drop_attrs(), named.drop_attrs())
    assert chosen.sst.attrs["units_before_standardisation"] == named.sst.attrs["units_before_standardisation"]


@pytest.mark.parametrize("given", [{"not-of-any-model": "sst"}, {"msl": "sst"}])
def test_a_name_for_a_variable_of_another_model_is_refused_after_the_choice(
    given: dict[str, str], months: xr.Dataset
) -> None:
    with pytest.raises(xfaconv.errors.ArgumentError, match="which the model does not read"):
        xfaconv.embed(months, variables=given)
