"""The report as one HTML page: data in, text out. It opens from disk and asks for nothing but pictures."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from crossinit_batch import __version__, layout
from crossinit_batch.events import JobFailed
from crossinit_batch.messages import plural, with_article
from crossinit_batch.plan.plan import Plan
from crossinit_batch.report.html import page_template, whole_text
from crossinit_batch.report.outcomes import Outcome
from crossinit_batch.report.scores.charts import Axis, axis_over, ends
from crossinit_batch.report.scores.comparison import Comparison, MethodRow
from crossinit_batch.report.scores.markdown import HEADINGS, seconds
from crossinit_batch.report.scores.provenance import cautions, differences_to_paper, explanation, judges_of
from crossinit_batch.report.scores.score_table import MEASURES, Measure, Portrait

_COLUMNS: tuple[Measure, ...] = ("identity", "identity_missing0", "detection", "prompt")
_HUES = 8
"""Colours that methods have before they repeat."""
_BAR, _STRIP, _PAIR = 120.0, 220.0, 160.0
"""Widths of the small charts."""
SCATTER = (640.0, 420.0, 62.0, 16.0, 14.0, 46.0)
"""The scatter's width and height, and its room on the left, on the right, above and below."""


def report_page(plan: Plan, comparison: Comparison, outcomes: Sequence[Outcome], failures: Sequence[JobFailed]) -> str:
    """The whole page as text, to be written as UTF-8."""
    columns = [measure for measure in _COLUMNS if comparison.has(measure)]
    scores = [measure for measure in ("identity", "prompt") if comparison.has(measure)]
    page = page_template(__package__, "report").render(
        plan=plan,
        artifacts=plural(plan.artifact),
        artifact=with_article(plan.artifact),
        comparison=comparison,
        columns=columns,
        scores=scores,
        headings=HEADINGS,
        bars={measure: _axis_of_rows(comparison, measure) for measure in MEASURES},
        pairs=_paired_axis(comparison, columns),
        axes={measure: _axis_of_groups(comparison, measure) for measure in MEASURES},
        scatter=_scatter(comparison),
        size=SCATTER,
        outcomes={outcome.method: outcome for outcome in outcomes},
        failures=failures,
        judges=judges_of(plan),
        differing=differences_to_paper(plan, comparison),
        cautions=cautions(plan, comparison),
        explanation=explanation(plan),
        hue=lambda number: number % _HUES,
        seconds=seconds,
        href=_href,
        source=lambda identity: _source(plan, identity),
        version=__version__,
    )
    return whole_text(page)


def _axis_of_rows(comparison: Comparison, measure: Measure) -> Axis:
    return axis_over(ends(row.means[measure] for row in comparison.rows), 4, _BAR - 4)


def _axis_of_groups(comparison: Comparison, measure: Measure) -> Axis:
    groups = [*comparison.categories, *comparison.prompts]
    values = [means[measure].value for group in groups for means in group.means if means[measure] is not None]  # type: ignore[union-attr]
    return axis_over(values, 6, _STRIP - 6)


def _paired_axis(comparison: Comparison, columns: Sequence[Measure]) -> dict[Measure, Axis]:
    """For each measure an axis with 0 in its middle."""
    axes = {}
    for measure in columns:
        far = max((abs(one) for one in ends(row.paired[measure] for row in comparison.rows)), default=0.0)
        axes[measure] = axis_over((-max(far, 0.01), max(far, 0.01)), 4, _PAIR - 4)
    return axes


def _scatter(comparison: Comparison) -> tuple[Axis, Axis] | None:
    """The axes of prompt (across) and identity (up); None where one of the scores is missing."""
    if not (comparison.has("identity") and comparison.has("prompt")):
        return None
    width, height, left, right, above, below = SCATTER
    across = [*ends(row.means["prompt"] for row in comparison.rows), *(one.prompt for one in comparison.points)]
    up = [*ends(row.means["identity"] for row in comparison.rows), *(one.likeness for one in comparison.points)]
    return axis_over(across, left, width - right, 0.04), axis_over(up, height - below, above, 0.04)


def _href(row: MethodRow, portrait: Portrait) -> str:
    """The picture's path relative to the page, as a URL; a colon is quoted too, so that none can name a scheme."""
    folder = layout.images_folder(row.method.name, portrait.identity)
    return quote(f"{folder}/{portrait.picture}", safe="/", errors="surrogateescape")


def _source(plan: Plan, identity: str) -> str | None:
    """The small copy of an identity's photograph in the gallery."""
    name = plan.identity(identity).thumbnail
    return quote(name, safe="/", errors="surrogateescape") if name is not None else None
