"""The public names and signatures are those of docs/public-api.txt, and every name has a page of the reference."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from scripts import public_api
from xfaconv.deprecation import renamed_argument, warn_deprecated

ROOT = Path(__file__).resolve().parents[1]


def test_names_and_signatures_are_those_of_the_list() -> None:
    held, found = public_api.FILE.read_text(encoding="utf-8").splitlines(), public_api.lines()
    gone, new = sorted(set(held) - set(found)), sorted(set(found) - set(held))
    said = "if this is meant: python scripts/public_api.py, and an entry in CHANGELOG.md"
    assert (gone, new) == ([], []), said


def test_every_public_function_and_class_is_on_the_page_of_the_api() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    on_page = {
        name.rpartition(".")[2] for name in re.findall(r"auto(?:function|class|exception|method)::\s+(\S+)", page)
    }
    # The page shows all of this module.
    assert ".. automodule:: xfaconv.errors" in page
    listed = [line for line in public_api.lines() if not line.endswith("(module)") and ".errors." not in line]
    # Members of classes are shown with their class, methods of the accessor with the function.
    found = (re.match(r"xfaconv(?:\.[a-z]+)?\.(\w+)(?:[(= ]|$)", line) for line in listed)
    names = {match[1] for match in found if match and match[1] != "XFaconvError"}
    assert sorted(names - on_page) == []


def test_a_deprecation_names_what_replaces_it_and_when_it_goes() -> None:
    with pytest.warns(
        FutureWarning, match=r"xfaconv.look is deprecated since 0.2 and goes in 0.4: use xfaconv.embed"
    ) as caught:
        warn_deprecated("xfaconv.look", "use xfaconv.embed", since="0.2", until="0.4")
    assert caught[0].filename == __file__


@renamed_argument(old="stride", new="every", since="0.2", until="0.4")
def thinned(values: list[int], *, every: int = 1) -> list[int]:
    """Take every n-th value."""
    return values[::every]


def test_an_argument_that_was_renamed_still_works_and_warns() -> None:
    with pytest.warns(FutureWarning, match="every=") as caught:
        assert thinned([1, 2, 3], stride=2) == [1, 3]
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert thinned([1, 2, 3], every=2) == [1, 3]
    with pytest.raises(TypeError, match="both"):
        thinned([1, 2, 3], every=2, stride=2)


def test_the_changelog_has_the_version_and_sections_in_the_known_form() -> None:
    import xfaconv

    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\S+) \((\d{4}-\d\d-\d\d|not released)\)$", text, re.MULTILINE)
    assert len(versions) == len(re.findall(r"^## ", text, re.MULTILINE))
    assert versions[0][0] == xfaconv.__version__
    assert [date for _, date in versions[1:] if date == "not released"] == []
    numbers = [tuple(map(int, version.split("."))) for version, _ in versions]
    assert numbers == sorted(numbers, reverse=True)
    sections = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert sections <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
        "Fixed before the first release",
    }


def test_what_is_deprecated_is_in_the_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for path in (ROOT / "xfaconv").rglob("*.py"):
        if path.name != "deprecation.py":
            for name in re.findall(r"warn_deprecated\(\s*\"([^\"]+)\"", path.read_text(encoding="utf-8")):
                assert name in text, f"{path.name}: {name}"
