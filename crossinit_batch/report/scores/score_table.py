"""All scores of a run as sums for each method, identity and prompt, read from the store alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crossinit_batch import layout
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.plan import Plan
from crossinit_batch.plan.scores import PictureScore, load_scores
from crossinit_batch.report.scores.bootstrap import Ratio
from crossinit_batch.storage.store import Store

Sum = Literal["judged", "found", "identity", "best", "prompted", "prompt"]
SUMS: tuple[Sum, ...] = ("judged", "found", "identity", "best", "prompted", "prompt")
"""Pictures that a likeness was asked of, those with a face, the sums of the largest and of the most similar faces'
cosines, pictures that CLIP saw, the sum of its cosines."""

Measure = Literal["identity", "identity_missing0", "detection", "identity_best", "prompt"]
MEASURES: dict[Measure, tuple[Sum, Sum]] = {
    "identity": ("identity", "found"),
    "identity_missing0": ("identity", "judged"),
    "detection": ("found", "judged"),
    "identity_best": ("best", "found"),
    "prompt": ("prompt", "prompted"),
}
"""What is reported: the mean cosine over found faces, with missing ones as 0, the share of pictures with a face, the
mean of the most similar face, the mean of CLIP's cosine."""


@dataclass(frozen=True)
class Portrait:
    """One picture with its identity score."""

    identity: str
    number: int
    picture: str
    score: float


@dataclass(frozen=True)
class Seconds:
    """What an identity's results by one method took: the embedding, and each picture to draw and to judge."""

    learning: float | None
    drawing: float | None
    judging: float | None


@dataclass(frozen=True, eq=False)
class MethodScores:
    """One method's sums (identities, prompts, SUMS), and each one's best and worst picture of prompts with one person.

    `unseen` are the identities in whose photographs no face was found.
    """

    method: str
    sums: NDArray[np.float64]
    best: tuple[Portrait, ...]
    worst: tuple[Portrait, ...]
    unseen: tuple[str, ...]
    seconds: tuple[Seconds, ...]

    def ratio(self, measure: Measure, prompts: Iterable[int], cells: NDArray[np.bool_] | None = None) -> Ratio:
        """A measure over some prompts, by identity; `cells` (identities, prompts) leaves others out."""
        chosen = list(prompts)
        above, below = (self.sums[:, chosen, SUMS.index(name)] for name in MEASURES[measure])
        if cells is not None:
            above, below = above * cells[:, chosen], below * cells[:, chosen]
        return Ratio(above.sum(axis=1), below.sum(axis=1))

    def has(self, measure: Measure) -> NDArray[np.bool_]:
        """Which cells (identities, prompts) a measure has."""
        return self.sums[:, :, SUMS.index(MEASURES[measure][1])] > 0


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """The scores of all methods of a plan."""

    plan: Plan
    methods: tuple[MethodScores, ...]

    @property
    def prompts(self) -> range:
        return range(len(self.plan.prompts))

    @property
    def shared_prompts(self) -> list[int]:
        """The prompts with a second person."""
        judges = self.plan.judges
        return [n for n in self.prompts if judges and judges.has_second_person(self.plan.prompts[n])]


def read_scores(store: Store, inventory: Inventory) -> ScoreTable:
    """The scores that exist as planned."""
    plan = inventory.plan
    rows = {identity.id: row for row, identity in enumerate(plan.identities)}
    return ScoreTable(plan, tuple(_method_scores(store, inventory, method.name, rows) for method in plan.methods))


def _method_scores(store: Store, inventory: Inventory, method: str, rows: Mapping[str, int]) -> MethodScores:
    plan = inventory.plan
    sums = np.zeros((len(rows), len(plan.prompts), len(SUMS)))
    best, worst, unseen, seconds = [], [], [], []
    for state in inventory.states.values():
        if state.job.method != method or not state.scored:
            continue
        scores = scores_of(store, inventory, state.job.key)
        identity = state.job.identity
        for number, score in scores:
            sums[rows[identity], number] += _summands(score)
        alone = [
            Portrait(identity, number, score.picture, score.identity)
            for number, score in scores
            if score.identity is not None and plan.judges and not plan.judges.has_second_person(plan.prompts[number])
        ]
        if alone:
            best.append(max(alone, key=lambda portrait: portrait.score))
            worst.append(min(alone, key=lambda portrait: portrait.score))
        if _is_unseen(plan, scores):
            unseen.append(identity)
        seconds.append(Seconds(state.seconds, state.drawing_seconds, state.judging_seconds))
    best.sort(key=lambda portrait: -portrait.score)
    worst.sort(key=lambda portrait: portrait.score)
    return MethodScores(method, sums, tuple(best), tuple(worst), tuple(unseen), tuple(seconds))


def scores_of(store: Store, inventory: Inventory, key: tuple[str, str]) -> list[tuple[int, PictureScore]]:
    """The scores of a job that exist as planned, each with its prompt's number."""
    plan, state = inventory.plan, inventory.states[key]
    data = store.read(f"{layout.scores_folder(*key)}/{layout.SCORES_FILE}")
    known = {score.picture: score for score in load_scores(data)} if data else {}
    wanted = [(n, picture.name) for n in sorted(state.scored) for picture in plan.pictures_of_prompt(state.job, n)]
    return [(number, known[name]) for number, name in wanted if name in known]


def _summands(score: PictureScore) -> list[float]:
    """What one picture adds to each of SUMS."""
    judged, found, prompted = (value is not None for value in (score.faces, score.identity, score.prompt))
    return [judged, found, score.identity or 0.0, score.identity_best or 0.0, prompted, score.prompt or 0.0]


def _is_unseen(plan: Plan, scores: list[tuple[int, PictureScore]]) -> bool:
    """Whether a likeness was expected and never judged: the photographs have no face."""
    judges = plan.judges
    expected = [score for n, score in scores if judges and judges.judges_identity(plan.prompts[n])]
    return bool(expected) and all(score.faces is None for score in expected)
