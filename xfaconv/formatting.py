"""Cards and reports as text and as HTML that follows the colours of the page around it, without scripts."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

Row = tuple[str, str]

_BOX = "border:1px solid currentColor;border-radius:4px;padding:0.6em 0.9em;max-width:60em;line-height:1.4"
_TABLE = "border-collapse:collapse;margin:0.3em 0;background:transparent;color:inherit"
_LABEL = (
    "text-align:left;vertical-align:top;padding:0.1em 1em 0.1em 0;opacity:0.7;font-weight:normal;white-space:nowrap"
)
_VALUE = "text-align:left;vertical-align:top;padding:0.1em 0"


def text_section(title: str, rows: Iterable[Row]) -> str:
    """Lay out labelled lines under a title.

    Parameters
    ----------
    title : str
        First line.
    rows : iterable of (str, str)
        Label and value.

    Returns
    -------
    str

    Examples
    --------
    >>> print(text_section("grid", [("rows", "32"), ("columns", "64")]))
    grid
      rows     32
      columns  64
    """
    rows = list(rows)
    width = max((len(label) for label, _ in rows), default=0)
    indent = "\n" + " " * (width + 4)
    return "\n".join(
        [title, *(f"  {label:<{width}}  {indent.join(value.splitlines())}".rstrip() for label, value in rows)]
    )


def html_section(title: str, rows: Iterable[Row], *, is_open: bool = True) -> str:
    """Lay out labelled lines under a title that folds, as HTML; all text is escaped.

    Parameters
    ----------
    title : str
        Always shown.
    rows : iterable of (str, str)
        Label and value.
    is_open : bool, default True
        Whether the lines are shown at first.

    Returns
    -------
    str

    Examples
    --------
    >>> "&lt;b&gt;" in html_section("grid", [("rows", "<b>")])
    True
    """
    lines = "".join(
        f'<tr style="background:transparent"><th style="{_LABEL}">{escape(label)}</th>'
        f'<td style="{_VALUE}">{escape(value).replace(chr(10), "<br>")}</td></tr>'
        for label, value in rows
    )
    return (
        f"<details{' open' if is_open else ''}><summary><strong>{escape(title)}</strong></summary>"
        f'<table style="{_TABLE}">{lines}</table></details>'
    )


def html_box(title: str, subtitle: str, sections: Iterable[str]) -> str:
    """Put sections in one frame.

    Parameters
    ----------
    title, subtitle : str
        Heading, and the line below it.
    sections : iterable of str
        As `html_section` gives them.

    Returns
    -------
    str
    """
    heading = f'<div><strong>{escape(title)}</strong> <span style="opacity:0.7">{escape(subtitle)}</span></div>'
    return f'<div class="xfaconv" style="{_BOX}">{heading}{"".join(sections)}</div>'
