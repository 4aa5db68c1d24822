"""Drawings: the same bytes always, and every attribute seen where it belongs."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from crossinit_batch.demo.drawing.person import CHOICES as PERSON_CHOICES
from crossinit_batch.demo.drawing.person import Person
from crossinit_batch.demo.drawing.picture import draw
from crossinit_batch.demo.drawing.scene import ACCESSORIES, BACKGROUNDS, CHOICES, EXPRESSIONS, STYLES, Scene
from crossinit_batch.errors import RequestError

Subject = TypeVar("Subject", Person, Scene)

NOTICED = 12.0
NOISE = 5.0
PLAIN = Scene()
PERSON = replace(
    Person.random(random.Random(4)),
    skin=0.3,
    hair_style="side part",
    hair_color="brown",
    glasses="none",
    beard="none",
    freckles=0.0,
    beauty_mark=0.0,
    eye_color="brown",
)

# Where a 64-pixel portrait has its parts: left, top, right, bottom.
WHOLE = (0, 0, 64, 64)
EYES = (18, 22, 46, 38)
BROWS = (18, 20, 46, 30)
MOUTH = (22, 38, 42, 50)
FACE = (17, 16, 47, 52)
TOP = (8, 0, 56, 24)
LOWER = (14, 30, 50, 54)


def changed(one: Subject, changes: dict[str, Any]) -> Subject:
    return replace(one, **changes)


def pixels(person: Person, scene: Scene, size: int = 64) -> NDArray[np.float64]:
    return np.asarray(draw(person, scene, size), dtype=np.float64)


def change(one: NDArray[np.float64], two: NDArray[np.float64], part: tuple[int, int, int, int]) -> float:
    """The mean over the most changed tenth of a part's pixels: large where something clearly moved."""
    left, top, right, bottom = part
    differences = np.abs(one - two).mean(axis=2)[top:bottom, left:right].ravel()
    return float(np.sort(differences)[-max(1, differences.size // 10) :].mean())


@pytest.mark.parametrize("style", STYLES)
def test_the_same_bytes_twice_whatever_the_global_random_state(style: str) -> None:
    scene = Scene(style=style, background="snow", companion=Person.random(random.Random(9)))
    one = draw(PERSON, scene, 64)
    random.seed(1)
    np.random.seed(1)
    draw(Person.random(random.Random(2)), Scene(background="space"), 48)
    two = draw(PERSON, scene, 64)
    assert one.tobytes() == two.tobytes()
    assert (one.mode, one.size) == ("RGB", (64, 64))


def test_the_same_bytes_in_a_fresh_process() -> None:
    scenes = [
        Scene(style=style, background=background, accessory=accessory)
        for style, background, accessory in zip(STYLES, BACKGROUNDS, ACCESSORIES, strict=False)
    ]
    code = (
        "import sys, json, hashlib; from crossinit_batch.demo.drawing.picture import draw;"
        "from crossinit_batch.demo.drawing.person import Person; from crossinit_batch.demo.drawing.scene import Scene;"
        "person, scenes = json.load(sys.stdin); person = Person.from_dict(person);"
        "print(*[hashlib.sha256(draw(person, Scene.from_dict(s), 64).tobytes()).hexdigest() for s in scenes])"
    )
    question = json.dumps([PERSON.to_dict(), [scene.to_dict() for scene in scenes]])
    said = subprocess.run([sys.executable, "-c", code], input=question, capture_output=True, text=True, check=True)
    assert said.stdout.split() == [hashlib.sha256(draw(PERSON, scene, 64).tobytes()).hexdigest() for scene in scenes]


@pytest.mark.parametrize(
    ("part", "words"), [(WHOLE, "background"), (WHOLE, "accessory"), (WHOLE, "style"), (FACE, "expression")]
)
def test_any_two_words_of_an_attribute_look_different(part: tuple[int, int, int, int], words: str) -> None:
    drawn = {word: pixels(PERSON, changed(PLAIN, {words: word})) for word in CHOICES[words]}
    names = list(drawn)
    for index, one in enumerate(names):
        for two in names[index + 1 :]:
            assert change(drawn[one], drawn[two], part) > NOTICED, (one, two)


@pytest.mark.parametrize("expression", EXPRESSIONS[1:])
@pytest.mark.parametrize("seed", range(4))
def test_expressions_move_mouth_and_brows_or_eyes(expression: str, seed: int) -> None:
    person = replace(Person.random(random.Random(seed)), beard="none", glasses="none", hair_style="bald")
    calm, moved = pixels(person, PLAIN), pixels(person, replace(PLAIN, expression=expression))
    assert change(calm, moved, MOUTH) > NOTICED
    assert max(change(calm, moved, BROWS), change(calm, moved, EYES)) > NOTICED
    assert change(calm, moved, (0, 54, 64, 64)) < NOISE


def test_half_an_expression_lies_between() -> None:
    calm, half, full = (pixels(PERSON, Scene(expression="happy", intensity=intensity)) for intensity in (0.0, 0.5, 1.0))
    assert change(calm, pixels(PERSON, PLAIN), MOUTH) < NOISE
    assert NOTICED < change(calm, half, MOUTH) < change(calm, full, MOUTH)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        *((FACE, {"skin": 0.8}), (FACE, {"undertone": 0.0})),
        *((FACE, {"freckles": 1.0}), (TOP, {"hair_color": "blond"})),
        *((TOP, {"hair_style": "curly"}), (TOP, {"hair_volume": 1.0})),
        *((TOP, {"hairline": 1.0}), (EYES, {"eye_color": "blue"})),
        *((EYES, {"eye_size": 1.0}), (EYES, {"eye_spacing": 1.0})),
        *((EYES, {"eye_tilt": 1.0}), (BROWS, {"brow_thickness": 1.0})),
        *((BROWS, {"brow_shape": "arched"}), (WHOLE, {"face_width": 1.0})),
        *((LOWER, {"face_length": 1.0}), (LOWER, {"jaw": 1.0})),
        *((FACE, {"cheeks": 1.0}), (WHOLE, {"ears": 1.0})),
        *((FACE, {"nose_length": 1.0}), (FACE, {"nose_width": 1.0})),
        *((LOWER, {"mouth_width": 1.0}), (MOUTH, {"lip_fullness": 1.0})),
        *((MOUTH, {"lip_color": 1.0}), (LOWER, {"beauty_mark": 0.9})),
        *((EYES, {"glasses": "round"}), (LOWER, {"beard": "full"})),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_every_parameter_of_a_person_is_seen_where_it_belongs(
    part: tuple[int, int, int, int], changes: dict[str, Any]
) -> None:
    name = next(iter(changes))
    least = {name: 1.0 if name == "undertone" else 0.0}
    before = PERSON if name in PERSON_CHOICES else changed(PERSON, least)
    after = replace(before, **changes)
    assert change(pixels(before, PLAIN), pixels(after, PLAIN), part) > 6.5


@pytest.mark.parametrize("name", sorted(PERSON_CHOICES))
def test_any_two_words_of_a_person_look_different(name: str) -> None:
    drawn = [pixels(changed(PERSON, {name: word}), PLAIN) for word in PERSON_CHOICES[name]]
    part = WHOLE if name == "hair_style" else FACE
    for index, one in enumerate(drawn):
        for two in drawn[index + 1 :]:
            assert change(one, two, part) > NOISE


@pytest.mark.parametrize(
    "nuisance",
    [
        *({"shift_x": 0.03}, {"shift_y": 0.03}, {"scale": 1.06}, {"tilt": 6.0}),
        *({"light": 1.0}, {"brightness": 0.9}, {"clothing": 0.8}, {"backdrop": 0.8}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_photographs_of_one_person_differ(nuisance: dict[str, Any]) -> None:
    assert change(pixels(PERSON, PLAIN), pixels(PERSON, replace(PLAIN, **nuisance)), WHOLE) > NOTICED


def test_a_person_is_nearer_to_the_own_photographs_than_to_strangers() -> None:
    rng = random.Random(11)
    persons = [Person.random(rng) for _ in range(12)]
    faces = slice(12, 50), slice(16, 48)
    known = [pixels(person, PLAIN)[faces] for person in persons]
    hits = 0
    for index, person in enumerate(persons):
        scene = replace(PLAIN.retaken(rng), background=BACKGROUNDS[index], shift_x=0.0, shift_y=0.0)
        seen = pixels(person, scene)[faces]
        hits += int(np.argmin([np.abs(seen - other).mean() for other in known]) == index)
    assert hits >= 11


def test_the_person_is_not_changed_by_the_scene() -> None:
    rng = random.Random(12)
    before = PERSON.to_dict()
    for _ in range(5):
        draw(PERSON, Scene.random(rng), 32)
    assert PERSON.to_dict() == before
    assert not set(before) & set(Scene().to_dict())


def test_a_companion_is_on_the_right_without_the_accessory() -> None:
    friend = Person.random(random.Random(21))
    pair = pixels(PERSON, Scene(companion=friend))
    other = pixels(PERSON, Scene(companion=Person.random(random.Random(22))))
    hat = pixels(PERSON, Scene(companion=friend, accessory="red hat"))
    right, left = (40, 10, 64, 50), (0, 5, 26, 50)
    assert change(pair, other, right) > NOTICED > change(pair, other, left)
    assert change(pair, hat, left) > NOTICED > change(pair, hat, (46, 5, 64, 50))


@pytest.mark.parametrize("size", [16, 64, 97, 128, 300])
def test_any_size_shows_the_same_picture(size: int) -> None:
    small = draw(PERSON, PLAIN, size)
    assert small.size == (size, size)
    large = draw(PERSON, PLAIN, 256).resize((size, size), Image.Resampling.BOX)
    gap = np.abs(np.asarray(small, dtype=float) - np.asarray(large, dtype=float)).mean()
    assert gap < 10


def test_too_small_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="picture of 8 pixels is too small"):
        draw(PERSON, PLAIN, 8)


def test_scenes_round_trip_and_name_their_mistakes() -> None:
    rng = random.Random(5)
    for _ in range(30):
        scene = Scene.random(rng, company=0.3)
        assert Scene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene
    with pytest.raises(RequestError, match="style is 'cubism', not one of photo"):
        Scene.from_dict({"style": "cubism"})
    with pytest.raises(RequestError, match="weather unknown"):
        Scene.from_dict({"weather": "rain"})
    with pytest.raises(RequestError, match=r"tilt is 90\.0, not a number from -30 to 30"):
        Scene.from_dict({"tilt": 90.0})


def test_random_scenes_reach_every_word_and_keep_attributes_when_retaken() -> None:
    rng = random.Random(6)
    scenes = [Scene.random(rng) for _ in range(600)]
    for name, words in CHOICES.items():
        assert {getattr(scene, name) for scene in scenes} == set(words)
    assert any(scene.companion for scene in scenes)
    again = scenes[0].retaken(rng)
    assert again != scenes[0]
    assert all(getattr(again, name) == getattr(scenes[0], name) for name in CHOICES)
