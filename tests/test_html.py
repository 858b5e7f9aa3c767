"""HTML reprs: well formed, without scripts, nothing of the data's own markup, and legible in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread

import xfaconv

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
VOID = {"br", "img", "hr", "input", "meta"}
THEMES = {"light": ("#ffffff", "#111111"), "dark": ("#111318", "#e6e6e6")}


def checks(*, lazy: bool = False) -> xr.Dataset:
    """What `check_attention` gives, made by hand."""
    sentences = np.array(["faithful: gain +0.35", "the map is <b>mostly</b> constant"], dtype=object)
    passed = np.array([True, False])
    if lazy:
        sentences, passed = da.from_array(sentences, chunks=1), da.from_array(passed, chunks=1)
    return xr.Dataset(
        {"passed": ("check", passed), "verdict": ("check", sentences), "claim": "You may show the map."},
        {"check": ["faithfulness", "data"]},
        {"base_latitude": 0.0, "base_longitude": 220.0, "model": "some-model"},
    )


@pytest.fixture(scope="module")
def reprs() -> dict[str, str]:
    """Everything that shows itself in a notebook."""
    ds = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 12))
    return {
        "ds.faconv": ds.faconv._repr_html_(),
        "problem": ds.drop_vars("t995").faconv._repr_html_(),
        "recognition": xfaconv.recognise(ds)._repr_html_(),
        "plan": xfaconv.plan(ds)._repr_html_(),
        "model": xfaconv.load_model("ncep-monthly-2p5deg")._repr_html_(),
        "card": xfaconv.load_model("amip-daily-5p6deg").card._repr_html_(),
        "checks": checks().faconv._repr_html_(),
    }


class Tree(HTMLParser):
    """Tags that are opened and closed in order, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def parsed(html: str) -> Tree:
    tree = Tree()
    tree.feed(html)
    tree.close()
    assert tree.open == []
    return tree


@pytest.mark.parametrize("name", ["ds.faconv", "problem", "recognition", "plan", "model", "card", "checks"])
def test_markup_is_closed_collapsible_and_without_scripts_or_colours_of_its_own(reprs, name):
    tree = parsed(reprs[name])
    tags = [tag for tag, _ in tree.seen]
    assert tags.count("details") == tags.count("summary") >= 1
    assert not {"script", "link", "iframe", "style"} & set(tags)
    for _, attributes in tree.seen:
        assert not any(key.startswith("on") for key in attributes)
        style = attributes.get("style") or ""
        # A colour that is written down is wrong on one of the two backgrounds.
        assert "#" not in style
        assert "rgb" not in style


def test_checks_show_their_verdicts_and_escape_what_they_are_given():
    shown = checks().faconv
    tree = parsed(shown._repr_html_())
    assert "1 of 2 checks passed" in tree.text
    assert "the map is <b>mostly</b> constant" in tree.text  # as text: no such tag
    assert "b" not in [tag for tag, _ in tree.seen]
    assert "FAILED: data" in repr(shown)
    assert "passed: faithfulness" in repr(shown)
    assert "claim" in repr(shown)


def test_lazy_checks_are_not_computed_to_be_shown():
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was computed")

    import dask

    with dask.config.set(scheduler=refuse):
        assert "not computed" in repr(checks(lazy=True).faconv)


# What a browser would run, in every position where text of a file stands: in an element, in an attribute, in a comment.
MARKUP = (
    "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">"
    "\"'><svg onload=document.title='ran'>--></td></table></details><b>bold</b>"
)


def hostile() -> dict[str, str]:
    """What shows itself in a notebook, made of files whose texts are markup."""
    ds = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 12)).load()
    ds.attrs = dict.fromkeys(("title", "source", "institution", "history", MARKUP), MARKUP)
    for name in (*ds.data_vars, "lat", "lon"):
        ds[name].attrs |= {"long_name": MARKUP, "comment": MARKUP, MARKUP: MARKUP}
    strange = ds.rename(sst=MARKUP).assign({f"{MARKUP}2": ds.t995.rename(lat=f"{MARKUP}3")})
    units = ds.copy()
    units["sst"] = ds.sst.assign_attrs(units=MARKUP, standard_name=MARKUP)
    card = xfaconv.load_model("ncep-monthly-2p5deg").card
    texts = {"name", "title", "description", "data", "licence", "citation"}
    card = card.updated(**dict.fromkeys(texts, MARKUP), known_failures=(MARKUP,), metrics={MARKUP: {MARKUP: MARKUP}})
    verdicts = checks()
    verdicts["verdict"] = ("check", np.array([MARKUP, MARKUP], dtype=object))
    verdicts = verdicts.assign(claim=MARKUP).assign_coords(check=[MARKUP, "data"])
    verdicts.attrs |= {"model": MARKUP}
    return {
        "attributes": ds.faconv._repr_html_(),
        "names": strange.faconv._repr_html_(),
        "units": units.faconv._repr_html_(),
        "recognition": xfaconv.recognise(strange)._repr_html_(),
        "plan": xfaconv.plan(ds)._repr_html_(),
        "card": card._repr_html_(),
        "checks": verdicts.faconv._repr_html_(),
    }


def test_markup_in_a_file_stays_text():
    shown = hostile()
    for name, html in shown.items():
        tree = parsed(html)
        assert not {"script", "img", "svg", "b"} & {tag for tag, _ in tree.seen}, name
    assert all(MARKUP[:40] in parsed(shown[name]).text for name in ("units", "card", "checks"))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed: apt-get install chromium")
def test_a_browser_runs_nothing_of_what_a_file_says(tmp_path):
    page = "<!doctype html><meta charset=utf-8><title>still</title><body>{}</body>"
    pages = {"control": MARKUP, "all": "".join(hostile().values())}
    titles = {}
    for name, html in pages.items():
        (tmp_path / f"{name}.html").write_text(page.format(html), encoding="utf-8")
        command = [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", f"--user-data-dir={tmp_path / name}", "--virtual-time-budget=2000"),
            *("--dump-dom", (tmp_path / f"{name}.html").as_uri()),
        ]
        drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
        titles[name] = drawn.partition("<title>")[2].partition("</title>")[0]
    # The control shows that this browser runs such markup where nothing escapes it.
    assert titles == {"control": "ran", "all": "still"}


def screenshot(html: str, folder: Path, theme: str) -> np.ndarray:
    """Picture of a page (row, column, colour) as the browser draws it."""
    background, colour = THEMES[theme]
    page, picture = folder / f"{theme}.html", folder / f"{theme}.png"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><body style="background:{background};color:{colour};'
        f'font-family:sans-serif;font-size:14px;margin:16px">{html}</body>',
        encoding="utf-8",
    )
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *("--hide-scrollbars", f"--user-data-dir={folder / 'profile'}", "--window-size=1000,2400"),
        *(f"--screenshot={picture}", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert picture.is_file(), done.stderr[-2000:]
    return imread(picture)[..., :3]


def luminance(picture: np.ndarray) -> np.ndarray:
    return picture @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed: apt-get install chromium")
@pytest.mark.parametrize("name", ["problem", "checks", "card"])
def test_a_browser_draws_them_legibly_in_light_and_dark_pages(reprs, name, tmp_path):
    light = luminance(screenshot(reprs[name], tmp_path, "light"))
    dark = luminance(screenshot(reprs[name], tmp_path, "dark"))
    # Where the light page is darkest there is ink: on the dark page it must be bright, and the rest dark.
    assert np.median(light) > 0.99
    assert np.median(dark) < 0.1
    ink, paper = light < 0.35, light > 0.97
    assert ink.sum() > 2000
    assert (dark[ink] > 0.5).mean() > 0.97
    assert (dark[paper] < 0.2).mean() > 0.97


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed: apt-get install chromium")
def test_a_browser_folds_sections_away(reprs, tmp_path):
    unfolded = reprs["card"].replace("<details>", "<details open>")
    folded = reprs["card"].replace("<details open>", "<details>")
    heights = []
    for html in (folded, unfolded):
        drawn = luminance(screenshot(html, tmp_path, "light")) < 0.9
        heights.append(np.flatnonzero(drawn.any(axis=1)).max())
    assert heights[0] < 0.5 * heights[1]
