"""Each figure with its files and its caption: what it shows, and from what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crossinit_batch.analysis import charts
from crossinit_batch.analysis.chart_parts import rendered
from crossinit_batch.analysis.measured import Measured, as_csv
from crossinit_batch.analysis.word_pictures import PROMPT, WordPair

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from crossinit_batch.plan.plan import Plan


@dataclass(frozen=True, eq=False)
class Figure:
    """`name` is its file name without ending, `files` its content by ending: png, svg and csv."""

    name: str
    title: str
    caption: str
    source: str
    files: dict[str, bytes]


@dataclass(frozen=True)
class Origin:
    """What figures are made from: the run and its base model, as captions name them."""

    run: str
    model: str
    dtype: str

    @classmethod
    def of(cls, plan: Plan) -> Origin:
        revision = f" at {plan.model.revision[:12]}" if plan.model.revision else ""
        model = f"{plan.model.label}{revision} (fingerprint {plan.model.fingerprint[:16]})"
        return cls(plan.name, model, plan.model.dtype)

    def sentence(self, tables: Sequence[Measured]) -> str:
        """The source of these tables, for captions."""
        counts = ", ".join(f"{table.method} (n = {table.identities})" for table in tables)
        return f"From the run {self.run}; base model {self.model}; identities by method: {counts}."


def before_and_after_figure(tables: Sequence[Measured], colors: Mapping[str, str], origin: Origin) -> Figure:
    caption = (
        "Scale and orientation before and after learning. Top: norms of the initial vector v_init, of the learned "
        "embedding v, and of what the text encoder E puts out at their places, read alone between begin and end. "
        "Bottom: cosines between these vectors. A dot is one token of one identity, a bar the mean of a method. "
        f"The closer v_init already is to v, the less there was to learn.{_output_words(tables)}"
    )
    return _figure(
        "scale-and-orientation",
        "Scale and orientation, before and after (Figures 2, 6 and 8 of the paper)",
        caption,
        origin.sentence(tables),
        lambda: charts.before_and_after_chart(tables, colors),
        as_csv(tables),
    )


def over_steps_figure(tables: Sequence[Measured], colors: Mapping[str, str], origin: Origin) -> Figure:
    caption = (
        "Scale and orientation over the optimisation steps. Top: norms of v (solid) and E(v) (dashed). Bottom: cosine "
        "of v with where it started, v_init (solid), and with E(v) (dashed). Means over tokens and identities"
        f"{_band_words(tables)}. E(v) was looked at about 32 times a run.{_output_words(tables)}"
    )
    return _figure(
        "over-steps",
        "Scale and orientation, over the steps (Figures 2, 6 and 8 of the paper)",
        caption,
        origin.sentence(tables),
        lambda: charts.over_steps_chart(tables, colors),
        as_csv(tables),
    )


def through_blocks_figure(tables: Sequence[Measured], colors: Mapping[str, str], origin: Origin) -> Figure:
    caption = (
        "An embedding on its way through the text encoder: its state at the token's place with the position added "
        "(in), after each block, and after the final norm (out), which is E(v). Top: norms for the learned v (solid) "
        "and for v_init (dashed). Middle: cosine between the two. Bottom: cosine of v's state with E(v), where it "
        f"ends. Means over tokens and identities{_band_words(tables)}."
    )
    return _figure(
        "through-blocks",
        "Through each block of the text encoder (Figure 7 of the paper)",
        caption,
        origin.sentence(tables),
        lambda: charts.through_blocks_chart(tables, colors),
        as_csv(tables),
    )


def words_figure(pairs: Sequence[WordPair], origin: Origin, drawn: str) -> Figure:
    import csv
    import io

    caption = (
        f"Can the encoder's output stand for a word? “{PROMPT}” drawn with a word's own token embeddings v in the "
        "place of {} (top), and with what the text encoder makes of them, E(v), used as token embeddings (bottom), "
        "both from the same noise."
    )
    if any(pair.word == "mean name" for pair in pairs):
        caption += " “mean name” is the mean of the names that Cross Initialization starts from."
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["word", "tokens", "norm_v", "norm_E_v", "cosine_v_E_v"])
    for pair in pairs:
        writer.writerow([pair.word, pair.tokens, *(f"{one:.8g}" for one in (*pair.norms, pair.cosine))])
    return _figure(
        "words",
        "The picture from v and from E(v) (Figure 3 of the paper)",
        caption,
        f"From the run {origin.run}; base model {origin.model}, U-Net in {origin.dtype}; {drawn}.",
        lambda: charts.word_chart([pair.word for pair in pairs], [(pair.v, pair.encoded) for pair in pairs]),
        table.getvalue().encode(),
    )


def _figure(name: str, title: str, caption: str, source: str, draw: Callable[[], Drawing], numbers: bytes) -> Figure:
    files = rendered(draw, title, f"{caption} {source}")
    return Figure(name, title, caption, source, {**files, "csv": numbers})


def _output_words(tables: Sequence[Measured]) -> str:
    """Which methods have no E(v), and why."""
    names = [table.method for table in tables if np.isnan(table.columns["norm_E_v"]).all()]
    if not names:
        return ""
    return (
        f" In {', '.join(names)} v lives in the text encoder's output, where the others have E(v): what is shown as v "
        "and v_init stands there, passes through no encoder, and has no E(v)."
    )


def _band_words(tables: Sequence[Measured]) -> str:
    return "; bands hold the middle 80 % of them" if any(table.identities > 1 for table in tables) else ""
