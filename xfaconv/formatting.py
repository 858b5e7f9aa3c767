"""Cards and reports as text and as HTML that follows the colours of the page around it, without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

Row = tuple[str, str]

_BOX = "border:1px solid currentColor;border-radius:4px;padding:0.6em 0.9em;max-width:60em;line-height:1.4"
_TABLE = "border-collapse:collapse;margin:0.3em 0;background:transparent;color:inherit"
_LABEL = (
    "text-align:left;vertical-align:top;padding:0.1em 1em 0.1em 0;opacity:0.7;font-weight:normal;white-space:nowrap"
)
_HEADING = "text-align:right;vertical-align:bottom;padding:0.1em 0.5em;opacity:0.7;font-weight:normal"
_CELL = "text-align:right;vertical-align:top;padding:0.1em 0.5em;white-space:nowrap"
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


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table: the first column to the left, the others to the right.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : iterable of sequence of str
        Cells, as many as there are headings.

    Returns
    -------
    str

    Examples
    --------
    >>> print(text_table(("variable", "lead 1"), [("sst", "1.00"), ("z500", "0.9")]))
    variable  lead 1
    sst         1.00
    z500         0.9
    """
    lines = [columns, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table with headings as HTML; all text is escaped.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : iterable of sequence of str
        Cells, as many as there are headings.

    Returns
    -------
    str

    Examples
    --------
    >>> html_table(("variable",), [("sst",)]).count("<tr")
    2
    """
    lines = [[(cell, "th", _HEADING) for cell in columns]]
    lines += [
        [(cell, "th" if not place else "td", _LABEL if not place else _CELL) for place, cell in enumerate(row)]
        for row in rows
    ]
    return _table(
        "".join(f'<{tag} style="{style}">{escape(cell)}</{tag}>' for cell, tag, style in line) for line in lines
    )


def _table(lines: Iterable[str]) -> str:
    made = "".join(f'<tr style="background:transparent">{line}</tr>' for line in lines)
    return f'<table style="{_TABLE}">{made}</table>'


def html_section(title: str, rows: Iterable[Row], *, is_open: bool = True, below: str = "") -> str:
    """Lay out labelled lines under a title that folds, as HTML; all text is escaped.

    Parameters
    ----------
    title : str
        Always shown.
    rows : iterable of (str, str)
        Label and value.
    is_open : bool, default True
        Whether the lines are shown at first.
    below : str, default ""
        HTML below the lines, such as tables.

    Returns
    -------
    str

    Examples
    --------
    >>> "&lt;b&gt;" in html_section("grid", [("rows", "<b>")])
    True
    """
    lines = [
        f'<th style="{_LABEL}">{escape(label)}</th><td style="{_VALUE}">{escape(value).replace(chr(10), "<br>")}</td>'
        for label, value in rows
    ]
    content = (_table(lines) if lines else "") + below
    return (
        f"<details{' open' if is_open else ''}><summary><strong>{escape(title)}</strong></summary>{content}</details>"
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
