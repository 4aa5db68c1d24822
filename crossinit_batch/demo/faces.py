"""Photographs of drawn strangers, with the truth about them beside: something to try the tool on, offline."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossinit_batch.demo.drawing.person import Person, distance
from crossinit_batch.demo.drawing.picture import SMALLEST, draw
from crossinit_batch.demo.drawing.scene import Scene
from crossinit_batch.errors import OutputError, RequestError

TRUTH = "persons.json"
_APART = 2.0
_TRIES = 40
_JPEG: dict[str, Any] = {"format": "JPEG", "quality": 95, "subsampling": 0}


def write_faces(count: int, folder: Path, *, seed: int = 0, size: int = 512, jpeg: bool = False) -> list[Path]:
    """Write `person-000.png` (or .jpg), … of strangers who differ from each other, and who they are to `persons.json`.

    Pictures are square, `size` pixels a side. The first pictures of a seed are the same whatever the count.
    """
    if count < 1:
        raise RequestError(f"{count} faces asked for", "ask for 1 face or more")
    if size < SMALLEST:
        raise RequestError(f"faces of {size} pixels asked for", f"ask for {SMALLEST} pixels or more")
    truth: dict[str, dict[str, object]] = {}
    paths: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for person in strangers(count, seed):
            name = f"person-{len(paths):03d}"
            scene = _mild_scene(random.Random(f"scene of {name}, seed {seed}"))
            path = folder / f"{name}.{'jpg' if jpeg else 'png'}"
            draw(person, scene, size).save(path, **_JPEG if jpeg else {})
            truth[name] = {"person": person.to_dict(), "scene": scene.to_dict()}
            paths.append(path)
        (folder / TRUTH).write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write faces to {folder}: {error}", "give a folder you can write to") from error
    return paths


def strangers(count: int, seed: int) -> list[Person]:
    """Persons who bear no name, each unlike those before as far as a few tries find one."""
    rng = random.Random(f"strangers, seed {seed}")
    found: list[Person] = []
    for _ in range(count):
        tries = (Person.random(rng) for _ in range(_TRIES))
        best = next(tries)
        gap = min((distance(best, other) for other in found), default=_APART)
        for person in tries:
            if gap >= _APART:
                break
            nearest = min(distance(person, other) for other in found)
            if nearest > gap:
                best, gap = person, nearest
        found.append(best)
    return found


def _mild_scene(rng: random.Random) -> Scene:
    """A portrait before a plain wall, neutral or with a slight smile."""
    smile = rng.random() < 0.5
    scene = Scene().retaken(rng)
    strength = round(0.3 + 0.18 * rng.random(), 4)
    return replace(scene, expression="happy", intensity=strength) if smile else scene
