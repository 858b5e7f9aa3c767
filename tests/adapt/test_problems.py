"""The table of problems: every row is raised somewhere, is complete, and is of a known type."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

import xfaconv.adapt
from xfaconv import errors
from xfaconv.adapt.problems import _table, refusal

SOURCE = "".join(path.read_text() for path in Path(xfaconv.adapt.__file__).parent.glob("*.py"))
ROWS = [(subject, kind) for subject, section in _table().items() for kind in section if kind != "error"]


@pytest.mark.parametrize(("subject", "kind"), ROWS)
def test_every_problem_is_raised_and_complete(subject, kind):
    # The two problems of another step than the model's are put together from "finer" and "coarser".
    assert f'"{kind}"' in SOURCE or f'"{kind.removesuffix(" than the model")}"' in SOURCE
    row = _table()[subject][kind]
    assert {"problem", "expected"} <= set(row) <= {"problem", "expected", "fix", "error"}
    assert issubclass(getattr(errors, row.get("error", _table()[subject]["error"])), errors.XFaconvError)
    words = {name: 1 for text in row.values() for _, name, _, _ in string.Formatter().parse(text) if name}
    error = refusal(subject, kind, "this", **words)
    assert error.found == "this"
    assert "{" not in error.problem + error.expected
