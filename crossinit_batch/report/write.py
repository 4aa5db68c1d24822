"""Writing the report of an output folder: what was asked, what came out, how good it is, and what failed."""

from __future__ import annotations

from collections.abc import Sequence

from crossinit_batch import __version__, layout
from crossinit_batch.events import JobFailed
from crossinit_batch.messages import with_article
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.report.markdown_text import plain
from crossinit_batch.report.outcomes import heading_of, outcomes
from crossinit_batch.report.scores.write import write_scores
from crossinit_batch.report.write_gallery import render_summary
from crossinit_batch.storage.publication import publishing
from crossinit_batch.storage.store import Store


def write_report(store: Store, inventory: Inventory, failures: Sequence[JobFailed], facts: dict[str, object]) -> None:
    """Write report.md: what was asked, what came out, how good it is, how long it took, what failed.

    Where pictures are scored, also scores.csv, summary.csv and report.html.
    """
    scored = write_scores(store, inventory, outcomes(inventory, failures), failures)
    with publishing(store, "report") as pages:
        pages.write(layout.REPORT, report_text(inventory, failures, facts, scored).encode())


def report_text(
    inventory: Inventory, failures: Sequence[JobFailed], facts: dict[str, object], scored: Sequence[str] = ()
) -> str:
    """The report as Markdown; `facts` are further lines about this run, label to value, `scored` those on scores."""
    plan, rows = inventory.plan, outcomes(inventory, failures)
    revision = f" at {plan.model.revision}" if plan.model.revision else ""
    lines = [
        f"# {plain(plan.name)}",
        "",
        f"- Base model: {plain(plan.model.label)}{revision}, fingerprint `{plan.model.fingerprint[:16]}`, "
        f"U-Net in {plan.model.dtype}",
        f"- Pictures: {len(plan.prompts)} prompts x {plan.render.images_per_prompt}; {render_summary(plan)}",
        f"- Identities: {len(plan.identities) or len({job.identity for job in plan.jobs})}",
        *(f"- {label}: {plain(str(value))}" for label, value in facts.items()),
        f"- Made with crossinit {__version__}; the pictures: [gallery](gallery/index.html)",
        "",
        f"| method | settings | {heading_of(rows)} | failed | pictures | median s {with_article(plan.artifact)} |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        seconds = "" if row.median_seconds is None else f"{row.median_seconds:.1f}"
        lines.append(
            f"| {row.method} | {plan.method(row.method).summary} | {row.artifacts_done} of {row.artifacts_total} "
            f"| {row.artifacts_failed} | {row.images_done} of {row.images_total} | {seconds} |"
        )
    lines += scored
    if failures:
        lines += [
            "",
            "## Failures",
            "",
            "| identity | method | stage | reason | what to do |",
            "|---|---|---|---|---|",
        ]
        for failure in failures:
            cells = (failure.identity, failure.method, failure.stage, failure.reason, failure.hint)
            lines.append(f"| {' | '.join(plain(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"
