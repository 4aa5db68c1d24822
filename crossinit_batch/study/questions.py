"""What a study asks about which pairs of pictures: chosen from a seed, spread evenly over identities and prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from crossinit_batch.digest import seed_of
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.plan import PlannedPicture
from crossinit_batch.prompts import SLOT, Prompt

IDENTITY, PROMPT = "identity", "prompt"
QUESTIONS = {
    IDENTITY: "Which picture looks more like the person in the photograph?",
    PROMPT: "Which picture fits the description better?",
}
"""The two questions of the paper's study: likeness to the person, and alignment with the prompt."""


@dataclass(frozen=True)
class Pair:
    """Two methods' pictures of the same identity, prompt and index; both came from the same noise."""

    first: PlannedPicture
    second: PlannedPicture

    @property
    def prompt(self) -> Prompt:
        return self.first.prompt

    @property
    def questions(self) -> tuple[str, ...]:
        """Both questions; of a style, whose faces are not meant to look like a photograph, the second alone."""
        return (PROMPT,) if self.prompt.category == "style" else (IDENTITY, PROMPT)


def description_of(prompt: Prompt) -> str:
    """The prompt in words for participants: "a person on the beach", without any placeholder."""
    before, _, after = prompt.text.partition(SLOT)
    person = "" if after.split()[:1] == ["person"] else "this person"
    return " ".join(f"{before}{person}{after}".split())


def choose_pairs(
    inventory: Inventory, methods: Sequence[str], reference: str | None, count: int, seed: int
) -> list[Pair]:
    """About `count` pairs in a random order, equally many for every two methods, or for `reference` and each other."""
    rivals = [two for two in combinations(methods, 2) if reference is None or reference in two]
    chosen = []
    for number, (one, other) in enumerate(rivals):
        share = count * (number + 1) // len(rivals) - count * number // len(rivals)
        chosen += list(_spread(inventory, one, other, share, seed))
    return sorted(chosen, key=lambda pair: seed_of("study order", seed, *_names(pair)))


def _names(pair: Pair) -> tuple[str, ...]:
    return (*pair.first.job.key, *pair.second.job.key, pair.first.name)


def _spread(inventory: Inventory, one: str, other: str, count: int, seed: int) -> Iterator[Pair]:
    """`count` pairs of two methods, or as many as there are: prompts and identities take turns, in random orders."""

    def shuffled(kind: str, values: Sequence[str]) -> list[str]:
        return sorted(values, key=lambda value: seed_of("study", seed, kind, one, other, value))

    known = [job.identity for job in inventory.plan.jobs if job.method == one]
    identities = shuffled("people", [identity for identity in known if (other, identity) in inventory.states])

    @cache
    def available(identity: str) -> dict[str, list[Pair]]:
        return _pairs_of(inventory, one, other, identity)

    texts = shuffled("prompts", [prompt.text for prompt in inventory.plan.prompts])
    turn = idle = found = 0
    while found < count and idle < len(texts):
        text = texts[turn % len(texts)]
        for step in range(len(identities)):
            left = available(identities[(turn + step) % len(identities)]).get(text)
            if left:
                yield left.pop(seed_of("study index", seed, one, other, turn) % len(left))
                found, idle = found + 1, -1
                break
        turn, idle = turn + 1, idle + 1


def _pairs_of(inventory: Inventory, one: str, other: str, identity: str) -> dict[str, list[Pair]]:
    """The pairs of an identity for which both pictures exist, by prompt."""
    states = inventory.states[one, identity], inventory.states[other, identity]
    pairs: dict[str, list[Pair]] = {}
    for first, second in zip(*(inventory.plan.pictures(state.job) for state in states), strict=True):
        if first.name in states[0].pictures and second.name in states[1].pictures:
            pairs.setdefault(first.prompt.text, []).append(Pair(first, second))
    return pairs
