"""The pictures and captions that the small world is trained on: famous persons, their mixtures, and strangers.

Written in shards, each decided by the seed and its number alone, so that a cut run goes on with the next shard.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossinit_batch.demo.drawing.person import Person, UniformSource, person_of_name
from crossinit_batch.demo.drawing.picture import draw
from crossinit_batch.demo.drawing.scene import Scene
from crossinit_batch.demo.training.captions import caption_of
from crossinit_batch.methods.embedding.names import bundled_names

SIDE = 64
SHARD = 1000
CAPTIONS = 3
"""Wordings of the caption that are kept of each picture."""

_FAMOUS, _MIXED = 0.6, 0.3
_COMPANY = 0.06
_MORE_PHOTOS = 0.2
_REGULAR_COMPANION = "Anne Hathaway"


@dataclass(frozen=True)
class Example:
    """A person in a scene, how the person is called (None: a stranger), and captions of it."""

    person: Person
    scene: Scene
    name: str | None
    captions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"person": self.person.to_dict(), "scene": self.scene.to_dict(),
                "name": self.name, "captions": list(self.captions)}  # fmt: skip

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Example:
        """The example that `to_dict` wrote."""
        person, scene = Person.from_dict(entry["person"]), Scene.from_dict(entry["scene"])
        return cls(person, scene, entry["name"], tuple(entry["captions"]))


@dataclass(frozen=True)
class Dataset:
    """Pictures (N, 64, 64, 3) uint8 with their examples."""

    pictures: NDArray[np.uint8]
    examples: list[Example]


def famous_names() -> tuple[tuple[str, str], ...]:
    """The bundled names as (first, last), without repeats; a longer name's middle words are left out."""
    pairs = ((words[0], words[-1]) for words in (name.split() for name in bundled_names()) if len(words) > 1)
    return tuple(dict.fromkeys(pairs))


def random_example(rng: UniformSource) -> Example:
    """Somebody in some scene, with captions."""
    famous = famous_names()
    kind = rng.random()
    if kind < _FAMOUS:
        name: tuple[str, str] | None = _one_of(famous, rng)
    elif kind < _FAMOUS + _MIXED:
        name = (_one_of(famous, rng)[0], _one_of(famous, rng)[1])
    else:
        name = None
    person = Person.random(rng) if name is None else person_of_name(*name)
    scene = Scene.random(rng, company=0.0)
    if rng.random() < _MORE_PHOTOS:
        scene = replace(scene, style="photo")
    companion = None
    if rng.random() < _COMPANY:
        companion = _REGULAR_COMPANION if rng.random() < 0.5 else " ".join(_one_of(famous, rng))
        scene = replace(scene, companion=person_of_name(*companion.split()))
    called = " ".join(name) if name else None
    captions = tuple(caption_of(scene, called, companion, person, rng) for _ in range(CAPTIONS))
    return Example(person, scene, called, captions)


def make_dataset(
    folder: Path,
    count: int,
    *,
    seed: int,
    on_shard: Callable[[int, int], None] = lambda done, count: None,
) -> Dataset:
    """Draw `count` examples into the folder, or read what is there; `on_shard(done, count)` reports progress."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = [(number, min(SHARD, count - number)) for number in range(0, count, SHARD)]
    pictures, examples = np.empty((count, SIDE, SIDE, 3), np.uint8), []
    for first, size in shards:
        drawn, entries = _shard(folder / f"shard-{first // SHARD:04d}-{size}", first // SHARD, size, seed)
        pictures[first : first + size] = drawn
        examples += entries
        on_shard(first + size, count)
    return Dataset(pictures, examples)


def _shard(stem: Path, number: int, size: int, seed: int) -> tuple[NDArray[np.uint8], list[Example]]:
    """One shard, read where it is complete: its pictures are written before its list."""
    listing, array = stem.with_suffix(".json"), stem.with_suffix(".npy")
    if listing.is_file():
        return np.load(array), [Example.from_dict(entry) for entry in json.loads(listing.read_text())]
    rng = random.Random(f"random_example {number}, seed {seed}")
    examples = [random_example(rng) for _ in range(size)]
    pictures = np.stack([np.asarray(draw(entry.person, entry.scene, SIDE)) for entry in examples])
    np.save(array, pictures)
    partial = listing.with_suffix(".partial")
    partial.write_text(json.dumps([entry.to_dict() for entry in examples]))
    partial.replace(listing)
    return pictures, examples


def _one_of(entries: tuple[tuple[str, str], ...], rng: UniformSource) -> tuple[str, str]:
    return entries[int(rng.random() * len(entries))]
