"""study/index.html: asks a participant question after question and saves the answers to a file; data in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossinit_batch.report.html import page_template, script_data, whole_text
from crossinit_batch.study.questions import QUESTIONS


@dataclass(frozen=True)
class Shown:
    """What a participant sees of an item: files in pictures/ (no photograph: None), a description, what is asked."""

    item: str
    source: str | None
    description: str
    pictures: tuple[str, ...]
    questions: tuple[str, ...]


def study_page(study: str, shown: Sequence[Shown]) -> str:
    """The whole page as text; it holds no name of a method, a person or the run."""
    data = {
        "study": study,
        "questions": QUESTIONS,
        "items": [[one.item, one.source, one.description, one.pictures, one.questions] for one in shown],
    }
    asked = sum(len(one.questions) for one in shown)
    return whole_text(page_template(__package__, "study").render(data=script_data(data), asked=asked))
