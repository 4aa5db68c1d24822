"""Preferences counted by hand, and intervals against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from crossinit_batch.prompts import Prompt
from crossinit_batch.study.answers import Preference
from crossinit_batch.study.questions import description_of
from crossinit_batch.study.tally import interval, tally, tally_csv, wilson


def said(participant: str, item: str, winner: str | None, question: str = "identity") -> Preference:
    return Preference(participant, item, question, ("ours", "theirs"), winner)


def test_a_tie_is_half_for_each() -> None:
    rows = tally([said("p", "1", "ours"), said("p", "2", None), said("q", "1", "theirs"), said("q", "2", "ours")])
    (row,) = rows
    assert (row.preferred, row.same, row.other_preferred, row.participants, row.items) == (2, 1, 1, 2, 2)
    assert row.share == (2 + 0.5) / 4 and row.low < row.share < row.high
    assert tally_csv(rows).decode().splitlines()[1].startswith("identity,ours,theirs,2,2,4,2,1,1,0.625000,")


def test_questions_and_pairs_of_methods_are_counted_apart() -> None:
    more = Preference("p", "3", "prompt", ("ours", "third"), "third")
    rows = tally([more, said("p", "1", "ours", "prompt"), said("p", "1", "ours")])
    assert [(row.question, row.other, row.share) for row in rows] == [
        ("identity", "theirs", 1.0),
        ("prompt", "theirs", 1.0),
        ("prompt", "third", 0.0),
    ]


def test_wilson_is_that_of_the_books() -> None:
    assert wilson(0.0, 10) == pytest.approx((0, 0.277533), abs=1e-5)
    assert wilson(0.5, 20) == pytest.approx((0.299298, 0.700702), abs=1e-5)


def test_an_interval_is_never_narrower_than_wilsons_and_wider_where_answers_go_together() -> None:
    draws = np.random.default_rng(0)
    who, which = np.repeat(np.arange(10), 30), np.tile(np.arange(30), 10)
    alike = (who % 2).astype(float)  # each participant always says the same
    apart = draws.integers(0, 2, 300).astype(float)
    low, high = interval(alike, who, which, 1)
    assert high - low > 3 * (wilson(0.5, 300)[1] - wilson(0.5, 300)[0])
    for y in (alike, apart, np.ones(300)):
        found, least = interval(y, who, which, 1), wilson(float(y.mean()), 300)
        assert found[0] <= least[0] and found[1] >= least[1]
    assert interval(apart, who, which, 1) == interval(apart, who, which, 1)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a photo of a {} person", "a photo of a person"),
        ("{} on the beach", "this person on the beach"),
        ("a portrait of {}", "a portrait of this person"),
    ],
)
def test_participants_read_no_placeholder(prompt: str, words: str) -> None:
    assert description_of(Prompt(prompt)) == words
