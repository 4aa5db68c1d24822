"""scores.csv, a row a cell (identity x method x prompt), and summary.csv, a row a method and measure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from crossinit_batch.report.scores.bootstrap import Estimate
from crossinit_batch.report.scores.comparison import Comparison
from crossinit_batch.report.scores.score_table import MEASURES, SUMS, ScoreTable


def scores_csv(table: ScoreTable) -> bytes:
    """Every cell that has scores; `pictures` are those drawn, `found` those with a face."""
    plan, rows = table.plan, []
    for scores in table.methods:
        for row, identity in enumerate(plan.identities):
            for number, prompt in enumerate(plan.prompts):
                sums = dict(zip(SUMS, scores.sums[row, number].tolist(), strict=True))
                pictures = int(max(sums["judged"], sums["prompted"]))
                if not pictures:
                    continue
                means = [sums[above] / sums[below] if sums[below] else None for above, below in MEASURES.values()]
                found = int(sums["found"]) if sums["judged"] else ""
                cells = [scores.method, identity.id, number + 1, prompt.text, prompt.category, pictures, found]
                rows.append([*cells, *map(_number, means)])
    head = ["method", "identity", "prompt_number", "prompt", "category", "pictures", "found"]
    return _csv([*head, *(f"{name}_mean" for name in MEASURES)], rows)


def summary_csv(comparison: Comparison) -> bytes:
    """Each method's means over everything, and their differences to the first method (column `against`)."""
    first = comparison.rows[0].method.name if comparison.rows else ""
    rows = []
    for row in comparison.rows:
        for against, means in (("", row.means), (first, row.paired)):
            for measure, estimate in means.items():
                if estimate is not None:
                    rows.append([row.method.name, against, measure, *_interval(estimate)])
    return _csv(["method", "against", "measure", "value", "low", "high", "persons"], rows)


def _interval(estimate: Estimate) -> list[str | int]:
    return [*map(_number, (estimate.value, estimate.low, estimate.high)), estimate.persons]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return file.getvalue().encode()
