"""The outcome of each method of a run, as rows and as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from crossinit_batch.console.tables import plain_table
from crossinit_batch.events import JobFailed
from crossinit_batch.messages import plural, printable
from crossinit_batch.plan.inventory import Inventory

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Outcome:
    """The outcome of one method; `median_seconds` an artifact of this kind, None where nothing was timed."""

    method: str
    artifacts_done: int
    artifacts_failed: int
    artifacts_total: int
    images_done: int
    images_total: int
    median_seconds: float | None
    kind: str = "embedding"


def outcome_table(rows: Iterable[Outcome]) -> Table:
    """One line a method: artifacts done of all, failed, images done of all, median seconds an artifact."""
    from rich.text import Text

    table, rows = plain_table(), list(rows)
    made = heading_of(rows)
    table.add_column("method", no_wrap=True)
    for heading in (made, "failed", "images", "median s"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            Text(printable(row.method)),
            Text(f"{row.artifacts_done}/{row.artifacts_total}"),
            Text(str(row.artifacts_failed), style="red" if row.artifacts_failed else ""),
            Text(f"{row.images_done}/{row.images_total}"),
            Text("-" if row.median_seconds is None else f"{row.median_seconds:.1f}"),
        )
    return table


def heading_of(rows: Iterable[Outcome]) -> str:
    """What the rows count, for a heading: embeddings, say, or artifacts where kinds differ."""
    kinds = {row.kind for row in rows} or {"embedding"}
    return plural(kinds.pop() if len(kinds) == 1 else "artifact")


def outcomes(inventory: Inventory, failures: Sequence[JobFailed]) -> list[Outcome]:
    """The outcome of each method."""
    rows = []
    for method in inventory.plan.methods:
        states = [state for state in inventory.states.values() if state.job.method == method.name]
        seconds = [state.seconds for state in states if state.has_artifact and state.seconds is not None]
        failed = {failure.identity for failure in failures if failure.method == method.name}
        rows.append(
            Outcome(
                method=method.name,
                artifacts_done=sum(state.has_artifact for state in states),
                artifacts_failed=sum(state.job.identity in failed and not state.has_artifact for state in states),
                artifacts_total=len(states),
                images_done=sum(len(state.pictures) for state in states),
                images_total=len(states) * inventory.plan.pictures_a_job,
                median_seconds=median(seconds) if seconds else None,
                kind=method.artifact.name,
            )
        )
    return rows
