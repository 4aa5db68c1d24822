"""Tables for a terminal or a pipe, and that of what failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, TextIO, cast

from crossinit_batch.console.safe_stream import SafeStream
from crossinit_batch.events import JobFailed
from crossinit_batch.messages import printable, printable_lines

if TYPE_CHECKING:
    from rich.table import Table

MOST_FAILURES = 20


def failure_table(failures: Sequence[JobFailed]) -> Table:
    """One line a failure with its reason and, below, what to do; the first 20, and how many more."""
    from rich.text import Text

    table = plain_table()
    for heading in ("identity", "method", "stage"):
        table.add_column(heading, no_wrap=True)
    table.add_column("reason, and what to do", overflow="fold", min_width=36)
    for failure in failures[:MOST_FAILURES]:
        what = "\n".join([*printable_lines(failure.reason), *printable_lines(failure.hint)])
        table.add_row(
            *(Text(printable(text)) for text in (failure.identity, failure.method, failure.stage)), Text(what)
        )
    if len(failures) > MOST_FAILURES:
        table.caption = f"and {len(failures) - MOST_FAILURES} more in failures.json"
        table.caption_justify = "left"
    return table


def print_table(table: Table, stream: TextIO | None) -> None:
    """Print the table as rich draws it on a terminal, else as aligned text; a broken stream never raises."""
    from rich.console import Console

    safe = SafeStream(stream)
    if safe.is_live:
        console = Console(file=cast("IO[str]", safe), force_terminal=True, highlight=False)
        needed = console.measure(table, options=console.options.update(max_width=10_000)).minimum
        if needed <= console.width:
            console.print(table)
        else:
            for line in _stacked(table):
                console.print(line, markup=False, emoji=False, overflow="fold")
    else:
        for line in _aligned(table):
            safe.write(line + "\n")
    safe.flush()


def plain_table() -> Table:
    """An empty table in the style of all of ours."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def _cells(table: Table) -> list[list[str]]:
    """The text of the table: its headings, then its rows."""
    from rich.text import Text

    def text(cell: object) -> str:
        return cell.plain if isinstance(cell, Text) else str(cell)

    columns = [[text(column.header), *(text(cell) for cell in column.cells)] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _aligned(table: Table) -> Iterable[str]:
    from rich.cells import cell_len

    rows = [[cell.split("\n") for cell in row] for row in _cells(table)]
    widths = [max(cell_len(line) for row in rows for line in row[index]) for index in range(len(table.columns))]
    for row in rows:
        for height in range(max(len(cell) for cell in row)):
            line = ""
            for cell, width, column in zip(row, widths, table.columns, strict=True):
                text = cell[height] if height < len(cell) else ""
                gap = " " * (width - cell_len(text))
                line += (gap + text if column.justify == "right" else text + gap) + "  "
            yield line.rstrip()
    if table.caption:
        yield str(table.caption)


def _stacked(table: Table) -> Iterable[str]:
    """For a terminal too narrow for the columns: every cell on lines of its own."""
    headings, *rows = _cells(table)
    for row in rows:
        for heading, cell in zip(headings, row, strict=True):
            yield f"{heading}: " + cell.replace("\n", "\n  ")
        yield ""
    if table.caption:
        yield str(table.caption)
