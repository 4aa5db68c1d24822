"""Where a benchmark leaves what it found: a table for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results")
_WIDTH = 120
"""Of tables in a file or a pipe."""


def write_results(path: Path, facts: dict[str, Any]) -> None:
    """Keep what was measured, and say where."""
    keep_results(path, facts)
    print(f"kept in {path}")


def keep_results(path: Path, facts: dict[str, Any]) -> None:
    """Keep what was measured so far."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=1) + "\n")


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> None:
    """Print a table, its first column to the left and the others to the right; a note stands below."""
    table = Table(title=title, title_justify="left", caption=note or None, caption_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(table, highlight=False)
