"""What judges learn from: two photographs each of persons that the pipeline never saw, and the truth about them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossinit_batch.demo.drawing.backgrounds import paint_background
from crossinit_batch.demo.drawing.landmarks import landmarks
from crossinit_batch.demo.drawing.person import Person
from crossinit_batch.demo.drawing.picture import draw
from crossinit_batch.demo.drawing.scene import BACKGROUNDS, CHOICES, Scene
from crossinit_batch.demo.training.dataset import SIDE

PERSONS = 8000
ATTRIBUTES = {**CHOICES, "company": ("alone", "in company")}
"""What the classifiers distinguish, and the words of each."""
FACE = 14
"""Numbers of a face: its box (left, top, right, bottom) and five points (x, y), in fractions of the picture's side."""

_COMPANY = 0.1
_MOST_FACES = 2


@dataclass(frozen=True)
class Album:
    """Two pictures each of N persons.

    pictures (N, 2, 64, 64, 3), labels (N, 2, attributes), persons (N, axes), faces (N, 2, 2, 14) with the person's
    own first and NaN where there is no second, and backgrounds without anybody (M, 64, 64, 3).
    """

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]
    persons: NDArray[np.float32]
    faces: NDArray[np.float32]
    empty: NDArray[np.uint8]


def make_album(folder: Path, count: int, *, seed: int) -> Album:
    """Draw an album into the folder, or read the stored one."""
    file = folder / f"album-{count}-{seed}.npz"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        rng = random.Random(f"album, seed {seed}")
        persons = [Person.random(rng) for _ in range(count)]
        scenes = [[Scene.random(rng, company=_COMPANY) for _ in range(2)] for _ in persons]
        pairs = list(zip(persons, scenes, strict=True))
        partial = file.with_suffix(".partial.npz")
        np.savez(
            partial,
            pictures=[[np.asarray(draw(person, scene, SIDE)) for scene in two] for person, two in pairs],
            labels=[[labels_of(scene) for scene in two] for two in scenes],
            persons=np.array([person.vector() for person in persons], dtype=np.float32),
            faces=np.array([[_faces(person, scene) for scene in two] for person, two in pairs], dtype=np.float32),
            empty=_empty_backgrounds(max(1, count // 8), seed),
        )
        partial.replace(file)
    with np.load(file) as stored:
        return Album(**{name: stored[name] for name in ("pictures", "labels", "persons", "faces", "empty")})


def labels_of(scene: Scene) -> list[int]:
    """The number of each attribute's word in a scene."""
    numbers = [words.index(getattr(scene, name)) for name, words in CHOICES.items()]
    return [*numbers, int(scene.companion is not None)]


def _faces(person: Person, scene: Scene) -> NDArray[np.float64]:
    """The faces of a picture (2, 14), NaN where there is no second."""
    table = np.full((_MOST_FACES, FACE), np.nan)
    for row, face in zip(table, landmarks(person, scene), strict=False):
        row[:] = np.concatenate([face.box, face.points.ravel()])
    return table


def _empty_backgrounds(count: int, seed: int) -> NDArray[np.uint8]:
    """Backgrounds without anybody, (count, 64, 64, 3)."""
    rng = random.Random(f"empty places, seed {seed}")
    grain = np.random.default_rng(seed)
    chosen = [(rng.choice((*BACKGROUNDS, "sunburst")), rng.random()) for _ in range(count)]
    painted = (paint_background(name, shade, SIDE, 2 * SIDE, grain) for name, shade in chosen)
    return np.stack([np.asarray(image.resize((SIDE, SIDE))) for image in painted])
