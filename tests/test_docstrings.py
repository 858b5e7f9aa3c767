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


@pytest.mark.parametrize("name", PUBLIC)
def test_the_docstring_is_complete(name: str) -> None:
    target = getattr(xfaconv, name)
    found = validate(f"{target.__module__}.{target.__qualname__}")["errors"]
    assert [problem for problem in found if problem[0] not in NOT_ASKED] == []


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isfunction(getattr(xfaconv, name))])
def test_every_function_shows_an_example(name: str) -> None:
    assert ">>> " in inspect.getdoc(getattr(xfaconv, name))
