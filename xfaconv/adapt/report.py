"""What was recognised, for people: as text and as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from xfaconv.adapt.time_axis import STEP_NAMES
from xfaconv.formatting import html_box, html_section

if TYPE_CHECKING:
    from xfaconv.adapt.recognition import Recognition
    from xfaconv.errors import XFaconvError

Section = tuple[str, Sequence[str]]


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
        if len(axis.spans) > 1:
            longest = max(run.stop - run.start for run in axis.spans)
            time.append(
                f"{len(axis.spans)} stretches without a gap, the longest of {longest} {STEP_NAMES[axis.step]} steps"
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
    title, _, state = _headline(recognition).partition(": ")
    parts = [
        html_section(problem.problem, [(name, text) for name, text in _facts(problem) if text])
        for problem in recognition.problems
    ]
    parts += [
        html_section(
            f"{heading} ({len(lines)})" if len(lines) > 1 else heading,
            [line.partition(": ")[::2] if ": " in line else ("", line) for line in lines],
            is_open=heading == "Variables",
        )
        for heading, lines in sections(recognition, extra_sections)
    ]
    return html_box(title, state, parts)


def _facts(problem: XFaconvError) -> tuple[tuple[str, str | None], ...]:
    return ("expected", problem.expected), ("found", problem.found), ("fix", problem.fix)
