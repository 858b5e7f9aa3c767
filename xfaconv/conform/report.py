"""What was recognised, for people: as text and as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from xfaconv.conform.timeaxis import STEP_NAMES
from xfaconv.errors import XFaconvError

if TYPE_CHECKING:
    from xfaconv.conform.recognition import Recognition

Section = tuple[str, Sequence[str]]

# Colours follow the page: the notebook's own where it has them, the browser's dark mode elsewhere.
_STYLE = """
.xfaconv-report{font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45;
color:var(--jp-ui-font-color1,CanvasText);color-scheme:light dark;max-width:60em}
.xfaconv-report header{font-weight:600;padding:.3em 0;
border-bottom:1px solid color-mix(in srgb,currentColor 25%,transparent)}
.xfaconv-report details{margin:.2em 0}
.xfaconv-report summary{cursor:pointer;font-weight:600}
.xfaconv-report summary small{font-weight:400;opacity:.7}
.xfaconv-report ul{margin:.1em 0 .3em;padding-left:2.2em}
.xfaconv-report pre{margin:.2em 0;padding:.3em .6em;white-space:pre-wrap;
background:color-mix(in srgb,currentColor 8%,transparent);border-radius:3px}
.xfaconv-report .problem summary{color:#b3261e}
@media (prefers-color-scheme:dark){.xfaconv-report .problem summary{color:#ff8a80}}
[data-jp-theme-light="false"] .xfaconv-report .problem summary{color:#ff8a80}
"""


def sections(recognition: Recognition, extra_sections: Iterable[Section] = ()) -> list[Section]:
    """Arrange what was recognised under headings.

    Parameters
    ----------
    recognition : Recognition
        What was found.
    extra_sections : iterable of (heading, lines)
        Put after these, before the problems.

    Returns
    -------
    list of (heading, lines)
        Headings without lines are left out.
    """
    coordinates = [f"{found.role}: {found.name} by {found.rule}" for found in recognition.coordinates]
    grid = [recognition.grid.describe()] if recognition.grid is not None else []
    time = []
    if recognition.time is not None:
        axis = recognition.time
        time = [axis.describe()]
        if len(axis.runs) > 1:
            longest = max(run.stop - run.start for run in axis.runs)
            time.append(
                f"{len(axis.runs)} stretches without a gap, the longest of {longest} {STEP_NAMES[axis.step]} steps"
            )
    out: list[Section] = [
        ("Variables", [variable.describe() for variable in recognition.variables]),
        ("Not recognised", list(recognition.unknown)),
        ("Grid", grid),
        ("Time", time),
        ("Coordinates", coordinates),
        ("Notes", list(recognition.notes)),
        ("For this model", list(recognition.plan)),
        *extra_sections,
    ]
    return [(heading, lines) for heading, lines in out if lines]


def _headline(recognition: Recognition) -> str:
    count = len(recognition.problems)
    state = "ready" if not count else f"{count} problem{'' if count == 1 else 's'}"
    return f"faconv: {len(recognition.variables)} variables recognised, {state}"


def text_report(recognition: Recognition, extra_sections: Iterable[Section] = ()) -> str:
    """Write what was recognised as text.

    Parameters
    ----------
    recognition : Recognition
        What was found.
    extra_sections : iterable of (heading, lines), optional
        More to say, such as the model's match and cost.

    Returns
    -------
    str
    """
    lines = [_headline(recognition)]
    for heading, entries in sections(recognition, extra_sections):
        lines.append(heading)
        lines += [f"    {entry}" for entry in entries]
    for number, problem in enumerate(recognition.problems, start=1):
        lines.append(f"Problem {number}")
        lines += [f"    {line}" for line in str(problem).splitlines()]
    return "\n".join(lines)


def html_report(recognition: Recognition, extra_sections: Iterable[Section] = ()) -> str:
    """Write what was recognised as HTML: no scripts, sections that fold, colours of the page.

    Parameters
    ----------
    recognition : Recognition
        What was found.
    extra_sections : iterable of (heading, lines), optional
        More to say, such as the model's match and cost.

    Returns
    -------
    str
    """
    parts = [
        f"<style>{_STYLE}</style>",
        '<div class="xfaconv-report">',
        f"<header>{escape(_headline(recognition))}</header>",
    ]
    parts += [_problem(problem) for problem in recognition.problems]
    parts += [
        _section(heading, lines, opened=heading == "Variables")
        for heading, lines in sections(recognition, extra_sections)
    ]
    return "\n".join([*parts, "</div>"])


def _section(heading: str, lines: Sequence[str], *, opened: bool) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    count = f" <small>({len(lines)})</small>" if len(lines) > 1 else ""
    return f"<details{' open' if opened else ''}><summary>{escape(heading)}{count}</summary><ul>{items}</ul></details>"


def _problem(problem: XFaconvError) -> str:
    facts = (("expected", problem.expected), ("found", problem.found))
    items = "".join(f"<li>{label}: {escape(text)}</li>" for label, text in facts if text)
    fix = f"<pre>{escape(problem.fix)}</pre>" if problem.fix else ""
    summary = f"<summary>{escape(problem.problem)}</summary>"
    return f'<details class="problem" open>{summary}<ul>{items}</ul>{fix}</details>'
