"""Text and tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def plain(text: str) -> str:
    """User's text in Markdown as text: no table cell, no markup, no line break."""
    for character in "\\`*_[]<>|#":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table of cells that are Markdown already, its first column to the left, the others right."""
    lines = [f"| {' | '.join(headings)} |", f"|---|{'--:|' * (len(headings) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]
