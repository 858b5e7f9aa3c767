"""How Sphinx builds the documentation: ``make docs``, without a network."""

from __future__ import annotations

import shutil
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

import xfaconv

DOCS = Path(__file__).parent
TUTORIALS = """# Tutorials

Seven notebooks. They run offline on a laptop, each in less than two minutes; the files are in the folder `examples` of
the repository.

```{{toctree}}
:maxdepth: 1

{names}
```
"""


def copy_notebooks() -> None:
    """Put the notebooks of ``examples/``, which git holds without outputs, beside the other pages."""
    folder = DOCS / "tutorials"
    folder.mkdir(exist_ok=True)
    notebooks = sorted((DOCS.parent / "examples").glob("*.ipynb"))
    for stale in set(folder.glob("*.ipynb")) - {folder / path.name for path in notebooks}:
        stale.unlink()
    for path in notebooks:
        copy = folder / path.name
        # The same time as the original: Sphinx reads again only what has changed.
        if not copy.exists() or copy.stat().st_mtime != path.stat().st_mtime:
            shutil.copy2(path, copy)
    index = TUTORIALS.format(names="\n".join(path.stem for path in notebooks))
    if not (folder / "index.md").exists() or (folder / "index.md").read_text(encoding="utf-8") != index:
        (folder / "index.md").write_text(index, encoding="utf-8")


copy_notebooks()


def describe_figures(_app: Sphinx, document: nodes.document) -> None:
    """Give figures that a notebook draws an alternative text: their heading and the sentence before them."""
    heading, words = "", ""
    for node in document.findall():
        if isinstance(node, nodes.title):
            heading, words = node.astext(), ""
        elif isinstance(node, nodes.paragraph):
            words = node.astext().replace("\n", " ")
        elif isinstance(node, nodes.image) and not node.get("alt"):
            node["alt"] = f"Figure: {heading}. {words}".strip()


def setup(app: Sphinx) -> None:
    """Connect the function to Sphinx."""
    app.connect("doctree-read", describe_figures)


project = "xfaconv"
author = "the xfaconv developers"
project_copyright = f"2026, {author}"
release = version = xfaconv.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

nb_execution_mode = "cache"
nb_execution_cache_path = str(DOCS / "_build" / "notebooks")
nb_execution_in_temp = True
nb_execution_timeout = 900
nb_execution_raise_on_error = True
# What libraries print beside the results (progress, notes on formats) is not part of the story.
nb_output_stderr = "remove"

html_theme = "pydata_sphinx_theme"
html_title = f"xfaconv {release}"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["notebooks.css"]
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "navigation_with_keys": False,
}

autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
# Roles in single backticks are code, as in the docstrings.
default_role = "code"
