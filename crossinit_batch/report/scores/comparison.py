"""Table 1 and what belongs to it: every method's means with intervals, differences, breakdowns, faces, times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from crossinit_batch.methods.planned import PlannedMethod
from crossinit_batch.report.scores.bootstrap import Estimate, differences, estimates
from crossinit_batch.report.scores.published import PublishedRow, published_row
from crossinit_batch.report.scores.score_table import MEASURES, Measure, MethodScores, Portrait, ScoreTable

Means = dict[Measure, Estimate | None]

FACES = 6
"""How many best and how many worst faces of a method are shown."""


@dataclass(frozen=True)
class MethodRow:
    """One line of Table 1; `paired` are the differences to the first method, `shared` the means where a second
    person is meant, seconds the medians of an embedding, of drawing and of judging a picture."""

    method: PlannedMethod
    means: Means
    shared: Means
    paired: Means
    published: PublishedRow | None
    pictures: int
    judged: int
    persons: int
    learning: float | None
    drawing: float | None
    judging: float | None
    best: tuple[Portrait, ...]
    worst: tuple[Portrait, ...]
    unseen: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """The means of all methods, in their order, over some prompts."""

    label: str
    category: str
    means: tuple[Means, ...]

    def has(self, measure: Measure) -> bool:
        return any(means[measure] is not None for means in self.means)


@dataclass(frozen=True)
class PersonPoint:
    """One identity by one method: the means of both scores."""

    identity: str
    method: int
    likeness: float
    prompt: float


@dataclass(frozen=True)
class Comparison:
    """All that the reports show of the scores."""

    rows: tuple[MethodRow, ...]
    categories: tuple[Group, ...]
    prompts: tuple[Group, ...]
    points: tuple[PersonPoint, ...]

    def has(self, measure: Measure) -> bool:
        """Whether any method has this measure."""
        return any(row.means[measure] is not None for row in self.rows)

    @property
    def has_shared(self) -> bool:
        """Whether there are scores of prompts with a second person."""
        return any(row.shared["identity_best"] is not None for row in self.rows)


def compare(table: ScoreTable) -> Comparison:
    """Compute all of it from the sums."""
    plan, methods = table.plan, table.methods
    everything, shared = _means(methods, table.prompts), _means(methods, table.shared_prompts)
    names = list(dict.fromkeys(prompt.category for prompt in plan.prompts))
    numbers = {name: [n for n in table.prompts if plan.prompts[n].category == name] for name in names}
    categories = [Group(name or "no category", name, tuple(_means(methods, numbers[name]))) for name in names]
    prompts = [
        Group(plan.prompts[n].text, plan.prompts[n].category, tuple(_means(methods, [n]))) for n in table.prompts
    ]
    rows = [
        _row(plan.method(scores.method), scores, means, second, _paired(scores, methods[0], table.prompts))
        for scores, means, second in zip(methods, everything, shared, strict=True)
    ]
    return Comparison(tuple(rows), tuple(categories) if len(names) > 1 else (), tuple(prompts), tuple(_points(table)))


def _means(methods: Sequence[MethodScores], prompts: Iterable[int]) -> list[Means]:
    """Each method's means over some prompts; all methods from the same draws of identities."""
    chosen = list(prompts)
    found = iter(estimates([scores.ratio(measure, chosen) for scores in methods for measure in MEASURES]))
    return [{measure: next(found) for measure in MEASURES} for _ in methods]


def _paired(scores: MethodScores, first: MethodScores, prompts: Iterable[int]) -> Means:
    """A method's means less the first one's, over the cells (identity x prompt) that both have."""
    if scores is first:
        return dict.fromkeys(MEASURES)
    chosen = list(prompts)
    pairs = []
    for measure in MEASURES:
        both = scores.has(measure) & first.has(measure)
        pairs.append((scores.ratio(measure, chosen, both), first.ratio(measure, chosen, both)))
    return dict(zip(MEASURES, differences(pairs), strict=True))


def _row(method: PlannedMethod, scores: MethodScores, means: Means, shared: Means, paired: Means) -> MethodRow:
    return MethodRow(
        method=method,
        means=means,
        shared=shared,
        paired=paired,
        published=published_row(method),
        pictures=int(max(scores.sums[..., 0].sum(), scores.sums[..., 4].sum())),
        judged=int(scores.sums[..., 0].sum()),
        persons=len(scores.seconds),
        learning=_median(one.learning for one in scores.seconds),
        drawing=_median(one.drawing for one in scores.seconds),
        judging=_median(one.judging for one in scores.seconds),
        best=scores.best[:FACES],
        worst=scores.worst[:FACES],
        unseen=scores.unseen,
    )


def _median(seconds: Iterable[float | None]) -> float | None:
    known = [one for one in seconds if one is not None]
    return median(known) if known else None


def _points(table: ScoreTable) -> Iterable[PersonPoint]:
    for number, scores in enumerate(table.methods):
        likeness, prompt = scores.ratio("identity", table.prompts), scores.ratio("prompt", table.prompts)
        for row, identity in enumerate(table.plan.identities):
            if likeness.below[row] and prompt.below[row]:
                yield PersonPoint(
                    identity.id,
                    number,
                    float(likeness.above[row] / likeness.below[row]),
                    float(prompt.above[row] / prompt.below[row]),
                )
