"""Cards and reports as text and as HTML that follows the colours of the page around it, without scripts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xfaconv.specs import ModelCard, VariableSpec

Row = tuple[str, str]

_LINE = 120

_BOX = "border:1px solid currentColor;border-radius:4px;padding:0.6em 0.9em;max-width:60em;line-height:1.4"
_TABLE = "border-collapse:collapse;margin:0.3em 0;background:transparent;color:inherit"
_LABEL = (
    "text-align:left;vertical-align:top;padding:0.1em 1em 0.1em 0;opacity:0.7;font-weight:normal;white-space:nowrap"
)
_VALUE = "text-align:left;vertical-align:top;padding:0.1em 0"
_SOURCES = {
    "simulation": "a simulation, not observations",
    "reanalysis": "reanalysis of observations",
    "user": "the user's own data",
}


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


def card_text(card: ModelCard, kind: str = "Model") -> str:
    """Say in some lines what a model is, without its measurements.

    Parameters
    ----------
    card : ModelCard
        The card.
    kind : {"Model", "ModelCard"}
        What is shown.

    Returns
    -------
    str
        Lines of up to 120 characters, long texts folded.
    """
    rows = [
        ("title", card.title),
        *_facts(card),
        ("data", card.data),
        *_years(card),
        *_failures(card),
        *_terms(card),
    ]
    width = _LINE - 4 - max(len(label) for label, _ in rows)
    folded = [(label, "\n".join(textwrap.wrap(value, width, break_on_hyphens=False))) for label, value in rows]
    return text_section(f"<xfaconv.{kind} {card.name}>", folded)


def card_html(card: ModelCard) -> str:
    """Lay out a model card as HTML.

    Parameters
    ----------
    card : ModelCard
        The card; its text is escaped.

    Returns
    -------
    str
    """
    about = [
        ("description", card.description),
        ("data", card.data),
        *_years(card),
    ]
    variables = [(variable.name, _described(variable)) for variable in card.variables]
    network = [(name, str(value)) for name, value in card.to_dict()["network"].items()]
    sections = [
        html_section("what it is", [*about, *_facts(card)]),
        html_section("known failures", _failures(card)),
        html_section("variables", variables, is_open=False),
        html_section("measured", _metrics(card.metrics), is_open=False),
        html_section("network", network, is_open=False),
        html_section("terms", _terms(card), is_open=False),
    ]
    return html_box(card.name, card.title, sections)


def _facts(card: ModelCard) -> list[Row]:
    return [
        ("trained on", _SOURCES.get(card.source, card.source)),
        ("variables", ", ".join(variable.name for variable in card.variables)),
        ("grid", card.grid.describe()),
        ("step", card.step),
        ("segment", f"{card.segment} steps kept after {card.warmup} steps of warm-up"),
        ("parameters", f"{card.parameters:,}"),
        ("sha256", card.weights_sha256 or "not written yet"),
    ]


def _years(card: ModelCard) -> list[Row]:
    named = {"gap": "gap", "before": "years before"}
    return [(named.get(part, f"{part} years"), span) for part, span in card.years.items() if span]


def _terms(card: ModelCard) -> list[Row]:
    return [("licence", card.licence or "none stated"), ("cite", card.citation or "nothing stated")]


def _described(variable: VariableSpec) -> str:
    level = "" if variable.level is None else f" at {variable.level:g} hPa"
    if level in variable.long_name:
        level = ""
    missing = ", partly missing" if variable.partly_missing else ""
    return f"{variable.long_name}{level} [{variable.units}]{missing}"


def _failures(card: ModelCard) -> list[Row]:
    return [("beware", failure) for failure in card.known_failures]


def _metrics(metrics: Mapping[str, Any], prefix: str = "") -> list[Row]:
    """Nested measurements as rows, the path of each joined by a stroke."""
    rows: list[Row] = []
    for name, value in metrics.items():
        label = f"{prefix} / {name}" if prefix else str(name)
        rows += _metrics(value, label) if isinstance(value, Mapping) else [(label, _number(value))]
    return rows


def _number(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_number(entry) for entry in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
