"""Docstrings of the public face follow numpydoc, and every function shows an example."""

from __future__ import annotations

import inspect

import pytest
from numpydoc.validate import validate

import xfaconv

PUBLIC = [name for name in xfaconv.__all__ if not inspect.ismodule(getattr(xfaconv, name))]
# No See Also and no extended summary is asked for; an example only of functions; a type can say what is returned; plots
# group the arguments that xarray's plots have too.
NOT_ASKED = {"SA01", "ES01", "EX01", "RT03", "RT04", "PR03"}


# Names, not verbs: "Anomalies from the seasonal cycle".
NOT_ASKED_IN_ROOMS = {*NOT_ASKED, "SS05"}
ROOMS = ("analysis", "engine", "inference", "models", "nn", "plot", "training", "tutorial")
OF_ROOMS = sorted(
    {
        f"{target.__module__}.{target.__qualname__}"
        for room in ROOMS
        for target in (getattr(getattr(xfaconv, room), name) for name in getattr(xfaconv, room).__all__)
        if inspect.isfunction(target) or inspect.isclass(target)
    }
)


@pytest.mark.parametrize("name", OF_ROOMS)
def test_the_docstring_of_what_a_room_offers_is_complete(name: str) -> None:
    # A protocol has no arguments, and a style documents what it adds to the style that it extends.
    not_asked = NOT_ASKED_IN_ROOMS | ({"PR01"} if name.endswith((".Core", ".MapStyle")) else set())
    assert [problem for problem in validate(name)["errors"] if problem[0] not in not_asked] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_the_docstring_is_complete(name: str) -> None:
    target = getattr(xfaconv, name)
    found = validate(f"{target.__module__}.{target.__qualname__}")["errors"]
    assert [problem for problem in found if problem[0] not in NOT_ASKED] == []


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isfunction(getattr(xfaconv, name))])
def test_every_function_shows_an_example(name: str) -> None:
    assert ">>> " in inspect.getdoc(getattr(xfaconv, name))
