"""The README: its snippets run, its links lead somewhere, its table is what the cards say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import tables

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_there_is_one_snippet_of_about_ten_lines() -> None:
    assert [8 <= len([line for line in snippet.splitlines() if line]) <= 12 for snippet in SNIPPETS] == [True]


def test_the_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    # On a coarser grid, a quarter of the time.
    assert "stride=2" in SNIPPETS[0]
    exec(compile(SNIPPETS[0].replace("stride=2", "stride=4"), "README.md", "exec"), names)
    assert names["embedding"].dims == ("time", "embedding")
    assert names["embedding"].chunks is not None
    assert names["january"].attribution.dims == ("time", "variable", "lat", "lon")
    assert names["january"].attribution.attrs["units"] == "m"
    assert not names["january"].attribution.isnull().any()
    assert "fitted to 36 training steps" in names["found"].attrs["sentence"]
    assert len(names["figure"].axes) == 7  # two maps with their colour bars, series, sums, scores
    assert list(tmp_path.iterdir()) == []


def test_the_sentence_of_the_figure_is_that_of_its_page() -> None:
    page = (ROOT / "docs" / "case-studies" / "enso.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"<!-- results: begin -->\n\n> (.*?)\n\n<!-- results: end -->", README, flags=re.DOTALL)
    assert said.partition(" ")[0] == "On"
    assert said in page


def test_links_lead_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert len(targets) >= 4
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_table_of_models_is_what_the_cards_say() -> None:
    assert tables.readme_with_table(README) == README


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert {"demo", "test", "lint", "docs", "bench", "clean"} <= set(targets)
    for command in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert command in targets
