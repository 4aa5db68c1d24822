"""What an evaluation leaves at the top of the output: scores.csv, summary.csv, report.html, lines for report.md."""

from __future__ import annotations

from collections.abc import Sequence

from crossinit_batch import layout
from crossinit_batch.events import JobFailed
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.report.outcomes import Outcome
from crossinit_batch.report.scores.comparison import compare
from crossinit_batch.report.scores.csv import scores_csv, summary_csv
from crossinit_batch.report.scores.markdown import comparison_lines
from crossinit_batch.report.scores.page import report_page
from crossinit_batch.report.scores.score_table import read_scores
from crossinit_batch.storage.publication import publishing
from crossinit_batch.storage.store import Store

_GROUP = "scores"


def write_scores(
    store: Store, inventory: Inventory, outcomes: Sequence[Outcome], failures: Sequence[JobFailed]
) -> list[str]:
    """Write the tables and the page, or remove them where nothing is scored; the lines for report.md."""
    if not any(state.scored for state in inventory.states.values()):
        for name in (layout.publication(_GROUP), layout.SCORES, layout.SUMMARY, layout.REPORT_PAGE):
            store.remove(name)
        return []
    table = read_scores(store, inventory)
    comparison = compare(table)
    with publishing(store, _GROUP) as pages:
        pages.write(layout.SCORES, scores_csv(table))
        pages.write(layout.SUMMARY, summary_csv(comparison))
        pages.write(layout.REPORT_PAGE, report_page(table.plan, comparison, outcomes, failures).encode())
    return comparison_lines(table.plan, comparison)
