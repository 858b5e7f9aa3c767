"""What cannot be answered is refused alike by every function that answers, with a line that leads on."""

from __future__ import annotations

from typing import Any

import pytest
import xarray as xr

import xfaconv
from tests.engine import worlds
from tests.inference.worlds import BOX, TRAINED, model, waves
from tests.trust.advice import follow
from xfaconv.errors import ArgumentError, MissingDataError, ModelError, TimeError, XFaconvError

TARGET = (-20, 20, 110, 190)
LAND = (0, 90)
DATES = {"first": "2001-05-01", "second": "2001-05-10"}
# How each function is asked about a hidden area.
QUESTIONS: dict[str, dict[str, Any]] = {
    "infer": {"hide": BOX},
    "skill": {"hide": BOX, "methods": ["network"], "repeats": 1},
    "attribution": {"hide": BOX, "target": TARGET, "variable": "msl", "method": "gradient", "samples": 1},
    "check_attribution": {"hide": BOX, "target": TARGET, "variable": "msl", **DATES},
    "teleconnection": {
        "hide": BOX,
        "target": TARGET,
        "variable": "msl",
        "method": "gradient",
        "samples": 1,
        "threshold": 0,
        "lags": (0,),
        "checks": 0,
    },
    "teleconnectivity": {"variable": "msl", "width": 120, "methods": ["network"]},
}
EXPLAINS = ("attribution", "check_attribution", "teleconnection")
SCORES = ("skill", "teleconnection", "teleconnectivity")
WHOLE = {"hide": (-90, 90, 0, 360)}
MASKED = {"hide": (-80, 80, 60, 180), "target": LAND, "variable": "sst"}
SHORT = {"ds": waves(10), "first": "2001-02-22", "second": "2001-02-25"}
CASES: list[tuple[str, tuple[str, ...], dict[str, Any], type[XFaconvError], str]] = [
    ("nothing left visible", tuple(QUESTIONS)[:-1], WHOLE, ArgumentError, "nothing visible"),
    ("a target that is missing", EXPLAINS, MASKED, MissingDataError, "no values in the target"),
    (
        "no hidden parts in training",
        tuple(QUESTIONS),
        {"model": worlds.model(leads=(1,))},
        ModelError,
        "not trained to",
    ),
    (
        "a record shorter than the window",
        ("skill", *EXPLAINS[::2], "teleconnectivity"),
        {"ds": waves(10)},
        TimeError,
        "warm-up",
    ),
    ("groups of a short record", ("check_attribution",), SHORT, TimeError, "warm-up"),
    ("a season without unseen steps", SCORES, {"season": [3]}, TimeError, "unseen"),
    ("a season without steps", (*SCORES, "attribution"), {"season": "SON"}, TimeError, "season"),
    ("training years alone", SCORES, {"ds": waves()[{"time": slice(0, TRAINED)}]}, TimeError, "unseen"),
    ("a date outside", ("infer", "skill", "attribution", "teleconnection"), {"time": "1999"}, TimeError, "no step"),
    ("a date outside of a group", ("check_attribution",), {"first": "1999"}, TimeError, "no step"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "changes", "error", "words"),
    [
        pytest.param(name, changes, error, words, id=f"{case}-{name}")
        for case, names, changes, error, words in CASES
        for name in names
    ],
)
def test_refused_with_a_line_that_leads_on(
    name: str, changes: dict[str, Any], error: type[XFaconvError], words: str
) -> None:
    given = {"ds": waves(), "model": model(), **QUESTIONS[name], **changes}
    call = getattr(xfaconv, name) if hasattr(xfaconv, name) else getattr(xfaconv.inference, name)
    with pytest.raises(error, match=words) as caught:
        call(**given)
    assert caught.value.fix
    if name == "teleconnection" and error is not TimeError:
        return  # as of the others, which are quicker
    assert follow(call, given) in {"result", "another error", "prose"}, caught.value


def test_an_inference_of_a_short_record_warns_and_marks_its_steps() -> None:
    """As an embedding does: the last map alone says something already."""
    with pytest.warns(UserWarning, match="warm-up"):
        found = xfaconv.infer(waves(10), BOX, model=model())
    assert isinstance(found, xr.Dataset)
    assert not found.full_warmup.any()
