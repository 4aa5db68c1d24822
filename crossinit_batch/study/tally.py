"""What participants preferred: the share of each method against each other, with 95 % intervals (paper, Table 2)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crossinit_batch.digest import seed_of
from crossinit_batch.study.answers import Preference
from crossinit_batch.study.questions import QUESTIONS

if TYPE_CHECKING:
    from rich.table import Table

_DRAWS = 2000
_AT_ONCE = 200
_Z = 1.959963984540054  # of a two-sided 95 % interval


@dataclass(frozen=True)
class Tally:
    """The answers to one question about two methods; `share` is that of `method`, no difference counted as half."""

    question: str
    method: str
    other: str
    participants: int
    items: int
    preferred: int
    same: int
    other_preferred: int
    low: float
    high: float

    @property
    def answers(self) -> int:
        return self.preferred + self.same + self.other_preferred

    @property
    def share(self) -> float:
        return (self.preferred + self.same / 2) / self.answers


def tally(preferences: Sequence[Preference]) -> list[Tally]:
    """A tally for every question and two methods that were answered about, in the order of QUESTIONS."""
    groups: dict[tuple[str, tuple[str, str]], list[Preference]] = {}
    for one in preferences:
        groups.setdefault((one.question, one.methods), []).append(one)
    order = list(QUESTIONS)
    return [_tally(*key, groups[key]) for key in sorted(groups, key=lambda key: (order.index(key[0]), key[1]))]


def _tally(question: str, methods: tuple[str, str], answers: Sequence[Preference]) -> Tally:
    y = np.array([0.5 if one.winner is None else float(one.winner == methods[0]) for one in answers])
    participants, who = np.unique([one.participant for one in answers], return_inverse=True)
    items, which = np.unique([one.item for one in answers], return_inverse=True)
    low, high = interval(y, who, which, seed_of("study tally", question, *methods))
    return Tally(
        question=question,
        method=methods[0],
        other=methods[1],
        participants=len(participants),
        items=len(items),
        preferred=int((y == 1).sum()),
        same=int((y == 0.5).sum()),
        other_preferred=int((y == 0).sum()),
        low=low,
        high=high,
    )


def interval(
    y: NDArray[np.float64], who: NDArray[np.int64], which: NDArray[np.int64], seed: int
) -> tuple[float, float]:
    """The 95 % interval of the mean of y (n,), answers of participant who[i] about item which[i], numbered from 0.

    Answers of one participant, and those about one picture, go together; so participants and items are both drawn
    anew with replacement (the pigeonhole bootstrap), which covers how other participants and pictures would vary.
    Where answers hardly differ, bootstrap draws hardly vary; so the interval is never narrower than Wilson's, which is
    right where all answers are independent.
    """
    draws = np.random.default_rng(seed)
    participants, items = int(who.max()) + 1, int(which.max()) + 1
    means = []
    for _ in range(_DRAWS // _AT_ONCE):
        weight_of_participants = draws.multinomial(participants, [1 / participants] * participants, size=_AT_ONCE)
        weight_of_items = draws.multinomial(items, [1 / items] * items, size=_AT_ONCE)
        weights = weight_of_participants[:, who] * weight_of_items[:, which]
        total = weights.sum(axis=1)
        means.append((weights @ y)[total > 0] / total[total > 0])
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    wilson_low, wilson_high = wilson(float(y.mean()), len(y))
    return min(float(low), wilson_low), max(float(high), wilson_high)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n answers."""
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def tally_csv(rows: Sequence[Tally]) -> bytes:
    """One line for each tally."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = (
        "question",
        "method",
        "other",
        "participants",
        "items",
        "answers",
        "preferred",
        "same",
        "other_preferred",
    )
    writer.writerow([*columns, "share", "low", "high"])
    for row in rows:
        numbers = (f"{one:.6f}" for one in (row.share, row.low, row.high))
        writer.writerow([*(getattr(row, name) for name in columns), *numbers])
    return file.getvalue().encode()


def tally_table(rows: Sequence[Tally]) -> Table:
    """One line for each tally, for display."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("question", "method", "against"):
        table.add_column(heading, no_wrap=True)
    for heading in ("preferred", "95 % interval", "for : same : against", "participants", "pairs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(row.question),
            Text(row.method),
            Text(row.other),
            f"{100 * row.share:.1f} %",
            f"{100 * row.low:.1f} to {100 * row.high:.1f} %",
            f"{row.preferred} : {row.same} : {row.other_preferred}",
            str(row.participants),
            str(row.items),
        )
    return table
