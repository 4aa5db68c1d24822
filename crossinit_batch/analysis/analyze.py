"""One analysis: embeddings of an output folder → numbers → figures → analysis/ in the same folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crossinit_batch import layout
from crossinit_batch.analysis.chart_parts import method_colors, need_matplotlib
from crossinit_batch.analysis.figures import (
    Figure,
    Origin,
    before_and_after_figure,
    over_steps_figure,
    through_blocks_figure,
    words_figure,
)
from crossinit_batch.analysis.learned import Chosen, Learned, read_learned
from crossinit_batch.analysis.measured import Measured
from crossinit_batch.analysis.measures import before_and_after, over_steps, through_blocks
from crossinit_batch.analysis.page import analysis_page
from crossinit_batch.analysis.word_pictures import word_pairs
from crossinit_batch.methods.embedding.settings import EmbeddingSettings
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.device import choose_device
from crossinit_batch.plan.frozen import frozen_plan, planned_source
from crossinit_batch.plan.plan import Plan
from crossinit_batch.report.write_gallery import render_summary
from crossinit_batch.storage.publication import publishing
from crossinit_batch.storage.store import Store


@dataclass(frozen=True)
class Analysis:
    """The files written, relative to the output folder, and sentences on what could not be shown."""

    files: tuple[str, ...]
    missing: tuple[str, ...]


def analyze(
    store: Store, chosen: Chosen, words: Sequence[str], device: str | None, report: Callable[[str], None]
) -> Analysis:
    """Measure and draw, with the base model loaded once; without `words`, no pictures from words.

    RequestError or EmbeddingError where there is nothing to analyse or something is damaged; then nothing is written.
    """
    need_matplotlib()
    plan = frozen_plan(store)
    learned = read_learned(store, plan, chosen)
    source = planned_source(store, plan)
    report(f"{sum(map(len, learned.values()))} embeddings by {len(learned)} methods; loading {plan.model.label}")
    model = BaseModel.load(source, choose_device(device), plan.model.dtype)
    tables, figures, missing = _measure(model, learned, Origin.of(plan))
    if words:
        report(f"drawing {', '.join(words)} from v and from E(v)")
        figures.append(_words(model, plan, words, learned))
    files = {layout.figure(figure.name, ending): data for figure in figures for ending, data in figure.files.items()}
    with publishing(store, "analysis") as pages:
        for name, data in files.items():
            pages.write(name, data)
        pages.write(layout.ANALYSIS, analysis_page(Origin.of(plan), tables, figures, missing).encode())
    return Analysis((layout.ANALYSIS, *files), tuple(missing))


def _measure(
    model: BaseModel, learned: dict[str, list[Learned]], origin: Origin
) -> tuple[list[Measured], list[Figure], list[str]]:
    """The numbers before and after, the figures of scale and orientation, and what is missing from them."""
    ends = {method: before_and_after(model, found) for method, found in learned.items()}
    tables, colors = list(ends.values()), method_colors(list(learned))
    figures = [before_and_after_figure(tables, colors, origin)]
    ways = {method: over_steps(found, ends[method]) for method, found in learned.items()}
    known = [way for way in ways.values() if way is not None]
    if known:
        figures.append(over_steps_figure(known, {way.method: colors[way.method] for way in known}, origin))
    passing = {method: [one for one in found if not one.in_output] for method, found in learned.items()}
    through = [through_blocks(model, found) for found in passing.values() if found]
    if through:
        figures.append(through_blocks_figure(through, {way.method: colors[way.method] for way in through}, origin))
    missing = [
        f"{method}: how {len(learned[method]) - logged} of {len(learned[method])} embeddings went over the steps is "
        "not known, since they were given or made by an earlier version."
        for method, way in ways.items()
        if (logged := way.identities if way else 0) < len(learned[method])
    ]
    missing += [
        f"{method}: {len(found) - len(passing[method])} of {len(found)} embeddings live in the text encoder's output: "
        "they have no E(v), and do not go through its blocks."
        for method, found in learned.items()
        if len(passing[method]) < len(found)
    ]
    return tables, figures, missing


def _words(model: BaseModel, plan: Plan, words: Sequence[str], learned: dict[str, list[Learned]]) -> Figure:
    """The pictures of words, and of the mean name where an embedding started from one."""
    encoded = {
        method.name
        for method in plan.methods
        if isinstance(method.settings, EmbeddingSettings)
        and method.settings.init.encoder
        and not method.settings.init.words
    }
    starts = [one.start for name, found in learned.items() if name in encoded for one in found if one.start]
    pairs = word_pairs(model, plan, words, starts[0] if starts else None)
    return words_figure(pairs, Origin.of(plan), render_summary(plan))
