"""The comparison of methods as Markdown, to follow the report's own lines."""

from __future__ import annotations

from collections.abc import Sequence

from crossinit_batch import layout
from crossinit_batch.messages import with_article
from crossinit_batch.plan.plan import Plan
from crossinit_batch.report.markdown_text import plain, table
from crossinit_batch.report.scores.bootstrap import Estimate
from crossinit_batch.report.scores.comparison import Comparison, Group, MethodRow
from crossinit_batch.report.scores.provenance import cautions, differences_to_paper, explanation, judges_of
from crossinit_batch.report.scores.published import PEOPLE
from crossinit_batch.report.scores.score_table import Measure, Portrait

HEADINGS: dict[Measure, str] = {
    "identity": "identity",
    "identity_missing0": "missing as 0",
    "detection": "faces found",
    "identity_best": "best face",
    "prompt": "prompt",
}
_TABLE: tuple[Measure, ...] = ("identity", "identity_missing0", "detection", "prompt")


def comparison_lines(plan: Plan, comparison: Comparison) -> list[str]:
    """The sections that scores add to report.md."""
    lines = ["", "## Scores", "", *_main_table(comparison)]
    if differing := differences_to_paper(plan, comparison):
        lines += ["", "The paper's rows are another experiment:", "", *(f"- {plain(one)}" for one in differing)]
    for title, part in (
        (f"Differences to {comparison.rows[0].method.name}" if comparison.rows else "", _paired_table(comparison)),
        ("Prompts with a second person", _shared_table(comparison)),
        ("By category", _group_table(comparison, comparison.categories)),
        ("By prompt", _group_table(comparison, comparison.prompts)),
        ("Times", _times(plan, comparison)),
        ("Best and worst faces", _faces(plan, comparison)),
    ):
        if part:
            lines += ["", f"### {plain(title)}", "", *part]
    lines += ["", "### How it was measured", ""]
    lines += [f"- {plain(line)}" for line in (*cautions(plan, comparison), *explanation(plan))]
    lines += [f"- {label}: {plain(text)}" for label, text in judges_of(plan)]
    return lines


def _main_table(comparison: Comparison) -> list[str]:
    measures = [measure for measure in _TABLE if comparison.has(measure)]
    headings = [HEADINGS[measure] for measure in measures]
    rows = []
    for row in comparison.rows:
        cells = [interval(row.means[measure]) for measure in measures]
        rows.append([plain(row.method.name), *cells, seconds(row.learning), f"{row.persons}", f"{row.pictures:,}"])
        if row.published:
            published = {"identity": row.published.identity, "prompt": row.published.prompt}
            texts = [f"*{published[measure]:.4f}*" if measure in published else "" for measure in measures]
            rows.append(
                [f"*the paper: {plain(row.published.name)}*", *texts, f"*{row.published.seconds:g}*", f"*{PEOPLE}*", ""]
            )
    return table(["method", *headings, "median s", "persons", "pictures"], rows)


def _paired_table(comparison: Comparison) -> list[str]:
    measures = [measure for measure in _TABLE if comparison.has(measure)]
    rows = [
        [plain(row.method.name), *(interval(row.paired[measure], signed=True) for measure in measures)]
        for row in comparison.rows[1:]
    ]
    return table(["method", *(HEADINGS[measure] for measure in measures)], rows) if rows else []


def _shared_table(comparison: Comparison) -> list[str]:
    if not comparison.has_shared:
        return []
    rows = [[plain(row.method.name), interval(row.shared["identity"]), interval(row.shared["identity_best"])]
            for row in comparison.rows]  # fmt: skip
    return table(["method", "largest face", "best face"], rows)


def _group_table(comparison: Comparison, groups: Sequence[Group]) -> list[str]:
    measures: list[Measure] = [one for one in ("identity", "detection", "prompt") if comparison.has(one)]
    if not groups or not measures:
        return []
    headings = [f"{plain(row.method.name)}: {HEADINGS[measure]}" for row in comparison.rows for measure in measures]
    rows = [
        [plain(group.label), *(interval(means[one]) for means in group.means for one in measures)] for group in groups
    ]
    return table(["", *headings], rows)


def _times(plan: Plan, comparison: Comparison) -> list[str]:
    rows = [
        [plain(row.method.name), seconds(row.learning), seconds(row.drawing), seconds(row.judging)]
        for row in comparison.rows
    ]
    return table(["method", f"s {with_article(plan.artifact)}", "s a picture drawn", "s a picture judged"], rows)


def _faces(plan: Plan, comparison: Comparison) -> list[str]:
    lines = []
    for row in comparison.rows:
        for kind, portraits in (("best", row.best), ("worst", row.worst)):
            if portraits:
                pictures = " ".join(_face(row, portrait) for portrait in portraits)
                scores = ", ".join(f"{plain(one.identity)} {one.score:.3f}" for one in portraits)
                lines += ["", f"{plain(row.method.name)}, {kind}: {scores}", "", pictures]
    return lines[1:]


def _face(row: MethodRow, portrait: Portrait) -> str:
    return (
        f"![{plain(portrait.identity)}]({layout.images_folder(row.method.name, portrait.identity)}/{portrait.picture})"
    )


def interval(estimate: Estimate | None, *, signed: bool = False) -> str:
    """0.123 [0.100, 0.150]; a difference has its sign."""
    if estimate is None:
        return ""
    form = "+.3f" if signed else ".3f"
    value = f"{estimate.value:{form}}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{estimate.low:{form}}, {estimate.high:{form}}]"


def seconds(value: float | None) -> str:
    """Seconds to two or three figures."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"
