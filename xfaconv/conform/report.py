"""What was recognised, for people: as text and as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xfaconv.conform.recognition import Recognition


def text_report(recognition: Recognition) -> str:
    return "\n".join(v.describe() for v in recognition.variables)


def html_report(recognition: Recognition) -> str:
    return f"<pre>{text_report(recognition)}</pre>"
