"""How Sphinx builds the documentation: ``make docs``, without a network."""

from __future__ import annotations

import xfaconv

project = "xfaconv"
author = "the xfaconv developers"
project_copyright = f"2026, {author}"
release = version = xfaconv.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "alabaster"
html_theme_options = {
    "description": "What a FAConvLSTM network sees in any ERA5-like Dataset",
    "page_width": "75em",
    "sidebar_width": "16em",
}

autodoc_typehints = "none"
numpydoc_show_class_members = False
# Roles in single backticks are code, as in the docstrings.
default_role = "code"
