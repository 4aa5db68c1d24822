"""Draw a person in a scene: a square RGB picture, the same bytes for the same person, scene and size."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from PIL import Image

from crossinit_batch.demo.drawing.accessories import covers_hair, draw_accessory, draw_glasses
from crossinit_batch.demo.drawing.anatomy import anatomy
from crossinit_batch.demo.drawing.backgrounds import paint_background
from crossinit_batch.demo.drawing.canvas import Canvas, Points, turning
from crossinit_batch.demo.drawing.features import draw_brows, draw_eyes, draw_mouth, draw_nose
from crossinit_batch.demo.drawing.hair import draw_beard, draw_hair, draw_hair_behind, draw_moustache
from crossinit_batch.demo.drawing.hair_shapes import HIDES_EARS
from crossinit_batch.demo.drawing.head import draw_body, draw_ears, draw_head, draw_marks
from crossinit_batch.demo.drawing.person import Person
from crossinit_batch.demo.drawing.scene import Scene
from crossinit_batch.demo.drawing.styles import render_style

SMALLEST = 16
_UNIT = 0.3
_ALONE = (0.5, 0.485)
_PAIR_UNIT, _PAIR_LEFT, _PAIR_RIGHT = 0.215, (0.285, 0.56), (0.725, 0.53)


@dataclass(frozen=True)
class HeadPosition:
    """Where a head is: its middle and the unit of head coordinates in fractions of the picture's side, its tilt."""

    person: Person
    middle: tuple[float, float]
    unit: float
    tilt: float

    def picture(self, points: Points) -> Points:
        """Points (N, 2) in head coordinates as fractions of the picture's side."""
        there: Points = points @ turning(self.unit, self.tilt) + np.array(self.middle)
        return there


def head_positions(person: Person, scene: Scene) -> list[HeadPosition]:
    """The heads of a picture in the order they are painted, the person's own last."""
    heads = [(person, _ALONE, _UNIT, scene.tilt)]
    if scene.companion is not None:
        heads = [
            (scene.companion, _PAIR_RIGHT, _PAIR_UNIT, -scene.tilt),
            (person, _PAIR_LEFT, _PAIR_UNIT, scene.tilt),
        ]
    return [
        HeadPosition(who, (x + scene.shift_x, y + scene.shift_y), unit * scene.scale, tilt)
        for who, (x, y), unit, tilt in heads
    ]


def draw(person: Person, scene: Scene, size: int) -> Image.Image:
    """A person in a scene as a square RGB picture of `size` pixels a side, at least 16."""
    if size < SMALLEST:
        raise ValueError(f"a picture of {size} pixels is too small to draw a face in; at least {SMALLEST}")
    zoom = 3 if size <= 512 else 2
    side = size * zoom
    rng = _generator(person, scene)
    image = paint_background(_background(scene), scene.backdrop, side, min(side, max(2 * size, 128)), rng)
    for head in head_positions(person, scene):
        middle = (head.middle[0] * side, head.middle[1] * side)
        canvas = Canvas(image, middle, head.unit * side, head.tilt)
        _draw_figure(canvas, head.person, scene, main=head.person is person)
    return render_style(scene.style, _expose(image.reduce(zoom), scene), rng)


def _draw_figure(canvas: Canvas, person: Person, scene: Scene, *, main: bool) -> None:
    """One person from back to front; only the main one has the accessory, and clothes differ."""
    face = anatomy(person, scene.expression, scene.intensity)
    accessory = scene.accessory if main else "none"
    covered = covers_hair(accessory)
    draw_hair_behind(canvas, face, person.hair_style, covered)
    draw_body(canvas, face, scene.clothing if main else (scene.clothing + 0.4) % 1)
    if person.hair_style not in HIDES_EARS:
        draw_ears(canvas, face)
    head = draw_head(canvas, face, scene.light)
    draw_marks(canvas, face, person.freckles, person.beauty_mark)
    draw_beard(canvas, face, person.beard, head)
    draw_nose(canvas, face, scene.light)
    draw_mouth(canvas, face, bare=person.beard not in ("full", "goatee"))
    draw_moustache(canvas, face, person.beard)
    draw_eyes(canvas, face)
    draw_hair(canvas, face, person.hair_style, covered, head)
    draw_brows(canvas, face, person.brow_shape)
    if accessory != "sunglasses":
        draw_glasses(canvas, face, person.glasses)
    draw_accessory(canvas, face, person, accessory)


def _background(scene: Scene) -> str:
    """The background to paint; a pop-art print has a loud one where others have a plain wall."""
    return "sunburst" if scene.background == "plain" and scene.style == "pop art" else scene.background


def _expose(image: Image.Image, scene: Scene) -> Image.Image:
    """The picture in light that falls off across it, and at the camera's exposure."""
    slope = 1 + 0.1 * scene.light * np.linspace(-1, 1, image.width, dtype=np.float32)
    pixels = np.asarray(image, dtype=np.float32) * (scene.brightness * slope)[None, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _generator(person: Person, scene: Scene) -> np.random.Generator:
    """The generator of all that is random in this one picture, keyed by person and scene."""
    key = json.dumps([person.to_dict(), scene.to_dict()], sort_keys=True)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big"))
