"""The documentation: every Python snippet runs, internal links lead somewhere, and the reference is complete."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import matplotlib as mpl
import pytest

import xfaconv
from xfaconv.arguments import DEFAULTS

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(
    path
    for path in DOCS.rglob("*.md")
    if not {"_build", "tutorials"} & set(path.relative_to(DOCS).parts) and path != DOCS / "README.md"
)
NOTEBOOKS = sorted((DOCS.parent / "examples").glob("*.ipynb"))

# What is changed before a snippet runs: addresses that only a network has, and sizes that only a benchmark needs.
COARSE = (r"stride=2", "stride=4")
STAND_INS = {
    "howto/decade.md": [
        (r"(?s)^era5 = .*?anon\"\},\n\)\n$", ""),
        (r"np\.linspace\(90, -90, 721\)", "np.linspace(90, -90, 37)"),
        (r"np\.arange\(1440\) \* 0\.25", "np.arange(72) * 5.0"),
        (r'ds\.faconv\.embed\(\)\.to_zarr\("cluster', 'ds.isel(time=slice(0, 25)).faconv.embed().to_zarr("cluster'),
    ],
    "howto/teleconnection.md": [COARSE],
    "howto/hidden-places.md": [
        (r'season="DJF"\)', 'time="2018", repeats=20)'),
        (r'"z500", width=120, time=slice\("2016", "2018"\)', '"z500", width=180, time="2018"'),
        (r"^embedding = ds", "ds = ds.isel(time=slice(-36, None))\nembedding = ds"),
    ],
    "explanation/which-tool.md": [(r"samples=12", "samples=2"), (r'time="2016-01"', 'time="2009-01-01"')],
    "howto/fit.md": [("updates=50", "updates=6"), ('"updates": 60', '"updates": 8')],
    "models.md": [(r"^model = .*downloaded once.*$", "")],
}

# Extras without which a page's snippets cannot run.
NEEDED = {"howto/decade.md": ["distributed"], "howto/interactive.md": ["ipywidgets"]}

# Pages whose snippets speak of the reader's own Dataset: lazy, so that it costs nothing.
GIVEN = {
    "explanation/which-tool.md": "import xfaconv\nds = xfaconv.tutorial.open_dataset('amip').isel(time=slice(0, 32))"
}


def snippets(page: Path) -> list[str]:
    """Python blocks of a page, in order, those of literal blocks in other languages apart."""
    found = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for pattern, instead in STAND_INS.get(page.relative_to(DOCS).as_posix(), []):
        found = [re.sub(pattern, instead, snippet, flags=re.MULTILINE) for snippet in found]
    return found


def test_stand_ins_stand_for_something():
    for name, changes in STAND_INS.items():
        text = re.findall(r"^```python\n(.*?)^```", (DOCS / name).read_text(), flags=re.DOTALL | re.MULTILINE)
        for pattern, _ in changes:
            assert any(re.search(pattern, snippet, flags=re.MULTILINE) for snippet in text), (name, pattern)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if snippets(page)], ids=lambda page: page.relative_to(DOCS).as_posix()
)
def test_snippets_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Where a page does not say otherwise, every second row and column: a fifth of the time.
    monkeypatch.setitem(DEFAULTS, "stride", 2)
    from matplotlib import pyplot as plt

    for package in NEEDED.get(page.relative_to(DOCS).as_posix(), []):
        pytest.importorskip(package)
    plt.close("all")
    mpl.use("Agg")
    names: dict[str, object] = {"__name__": "__main__"}
    exec(GIVEN.get(page.relative_to(DOCS).as_posix(), ""), names)
    try:
        with warnings.catch_warnings():
            # Other packages announce what they will change; what this package says stays an error.
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", module="xfaconv")
            for number, snippet in enumerate(snippets(page), 1):
                exec(compile(snippet, f"{page.name}, snippet {number}", "exec"), names)
    finally:
        plt.close("all")


def headings(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub and MyST make them."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", plain, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def text_of(page: Path) -> str:
    if page.suffix == ".md":
        return page.read_text(encoding="utf-8")
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("page", PAGES + NOTEBOOKS, ids=lambda page: page.name)
def test_internal_links_lead_somewhere(page):
    # The docs show the notebooks in a folder of their own.
    folder = DOCS / "tutorials" if page.suffix == ".ipynb" else page.parent
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        path = (folder / name).resolve() if name else page
        if path.parent == DOCS / "tutorials":
            path = DOCS.parent / "examples" / path.name
        assert path.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in headings(text_of(path)), f"{page.name} links to {target}"


def test_the_reference_names_everything_public():
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    documented = {name.rpartition(".")[2] for name in re.findall(r"auto(?:function|class|module):: (\S+)", text)}
    rooms = {name for name in xfaconv.__all__ if hasattr(getattr(xfaconv, name), "__path__")}
    expected = {*xfaconv.__all__, *xfaconv.analysis.__all__, *xfaconv.engine.__all__, *xfaconv.plot.__all__}
    assert expected - rooms - documented - {"XFaconvError"} == set()  # which stands with the other errors


def test_how_to_pages_are_all_listed():
    listed = (DOCS / "howto" / "index.md").read_text(encoding="utf-8").split()
    assert {path.stem for path in (DOCS / "howto").glob("*.md")} - {"index"} <= set(listed)


def test_modules_that_the_developer_guide_names_exist():
    root = DOCS.parent
    for page in (DOCS / "developer" / "rooms.md", root / "CONTRIBUTING.md"):
        for name in re.findall(r"`((?:\w+/)*\w+\.py)`", page.read_text(encoding="utf-8")):
            assert (root / name).exists() or (root / "xfaconv" / name).exists(), f"{page.name} names {name}"
