"""Head, ears, neck and clothes, with their soft shading."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from crossinit_batch.demo.drawing.anatomy import Anatomy
from crossinit_batch.demo.drawing.canvas import Canvas, Points, ellipse, light, loop, mirrored, mix, moved, shadow
from crossinit_batch.demo.drawing.palette import CLOTHES, Colour


def head_outline(face: Anatomy) -> Points:
    """The outline of skull, cheeks, jaw and chin."""
    w, chin = face.width, face.chin
    low = face.pose.drop * 0.25 if face.pose.teeth == 0 else 0.0
    return loop(
        mirrored(
            [
                (0, -1.025),
                (0.46 * w, -0.915),
                (0.86 * w, -0.59),
                (w, -0.12),
                (w * (0.93 + 0.1 * face.cheek), 0.28),
                (w * (0.58 + 0.46 * face.jaw), 0.64 * chin),
                (w * (0.2 + 0.5 * face.jaw), 0.9 * chin + low * 0.7),
                (w * (0.06 + 0.34 * face.jaw), 0.985 * chin + low),
                (0, chin + 0.01 + low),
            ]
        )
    )


def draw_body(canvas: Canvas, face: Anatomy, clothing: float) -> None:
    """Neck, shoulders and a garment; `clothing` chooses its colour and collar."""
    kind = min(int(clothing * len(CLOTHES)), len(CLOTHES) - 1)
    cloth = mix(CLOTHES[kind], CLOTHES[(kind + 1) % len(CLOTHES)], 0.25 * (clothing * len(CLOTHES) - kind))
    w, chin = face.width, face.chin
    neck = 0.27 + 0.2 * face.jaw
    shoulders = loop(
        mirrored([(0, 1.3), (neck, 1.26), (neck + 0.36, 1.4), (1.28, 1.6), (1.55, 2.2), (1.6, 3.4), (0, 3.6)])
    )
    canvas.fill(shoulders, cloth)
    inside = canvas.mask(shoulders)
    canvas.glow((0.0, 1.25), (1.3, 0.75), shadow(cloth, 0.8), 0.75, inside)
    canvas.glow((-0.95, 1.75), (0.6, 0.5), light(cloth, 0.5), 0.45, inside)
    throat = loop(
        mirrored([(0, 0.5), (neck, 0.5), (neck * 0.98, 1.1), (neck * 1.16, 1.32), (neck * 0.7, 1.5), (0, 1.56)])
    )
    _draw_collar(canvas, cloth, neck, kind % 3, behind=True)
    canvas.fill(throat, mix(face.skin, face.skin_dark, 0.3))
    canvas.fill_within(canvas.mask(throat), face.skin_dark, ellipse(0.03, 0.62, w * 0.98, chin * 0.66), alpha=0.75)
    _draw_collar(canvas, cloth, neck, kind % 3, behind=False)


def _draw_collar(canvas: Canvas, cloth: Colour, neck: float, kind: int, *, behind: bool) -> None:
    """A crew neck, a shirt's collar or a roll neck: its back, or its front over the throat."""
    if behind:
        canvas.fill(ellipse(0, 1.34, neck + 0.12, 0.2), shadow(cloth, 0.55))
    elif kind == 0:
        right = [(0.6 * neck, 1.5), (neck + 0.1, 1.3)]
        edge = [*((-x, y) for x, y in reversed(right)), (0.0, 1.58), *right]
        canvas.stroke(edge, 0.09, light(cloth, 0.2))
    elif kind == 1:
        for side in (-1, 1):
            lapel = np.array([(0.02, 1.6), (neck + 0.1, 1.22), (neck + 0.3, 1.42), (0.3, 1.86)]) * (side, 1)
            canvas.fill(moved(lapel, 0.0, 0.04), shadow(cloth, 0.45), 0.6)
            canvas.fill(lapel, light(cloth, 0.45))
    else:
        roll = loop(mirrored([(0, 1.3), (neck + 0.08, 1.16), (neck + 0.16, 1.42), (0, 1.62)]))
        canvas.fill(roll, light(cloth, 0.12))
        canvas.glow((0.0, 1.22), (0.5, 0.2), shadow(cloth, 0.7), 0.7, canvas.mask(roll))


def draw_ears(canvas: Canvas, face: Anatomy) -> None:
    """Both ears, beside the head."""
    for side in (-1, 1):
        x = side * (face.width + 0.02)
        canvas.fill(ellipse(x, 0.12, face.ear, face.ear * 1.5, -side * 0.18), mix(face.skin, face.skin_dark, 0.18))
        canvas.fill(
            ellipse(x + side * 0.02, 0.11, face.ear * 0.55, face.ear * 0.95, -side * 0.18),
            face.skin_dark,
            0.55,
        )


def draw_head(canvas: Canvas, face: Anatomy, light_from: float) -> Image.Image:
    """The bare head in soft light from one side (-1 left, 1 right); returns its mask."""
    outline = head_outline(face)
    canvas.fill(outline, face.skin)
    inside = canvas.mask(outline)
    w, dark = face.width, face.skin_dark
    shade = 0.3 + 0.3 * abs(light_from)
    side = 1.0 if light_from >= 0 else -1.0
    canvas.glow((-side * w * 1.08, 0.3), (w * 0.8, 1.25), dark, shade, inside)
    canvas.glow((side * w * 1.18, 0.45), (w * 0.5, 0.9), dark, 0.3, inside)
    canvas.glow((0.0, face.chin + 0.1), (0.62, 0.3), dark, 0.5, inside)
    canvas.glow((side * 0.2 * w, -0.42), (0.62 * w, 0.5), face.skin_light, 0.55, inside)
    canvas.glow((side * 0.5 * w, 0.3), (0.28, 0.2), face.skin_light, 0.35, inside)
    rose = mix(face.skin, (226, 74, 74), 0.2 + 0.35 * sum(face.skin) / 640)
    for x in (-0.58 * w, 0.58 * w):
        canvas.glow((x, 0.37), (0.3, 0.21), rose, 0.22 + 0.28 * face.cheek + 0.25 * face.pose.blush, inside)
    return inside


@lru_cache(maxsize=1)
def _freckle_positions() -> tuple[tuple[float, float, float], ...]:
    """Where freckles are, over nose and cheeks: x as a fraction of the width, height, and the one's own size."""
    golden = 0.618034
    positions = []
    for k in range(26):
        u, v = (k * golden) % 1, (k * golden * golden * 3.1) % 1
        positions.append((-0.78 + 1.56 * u, 0.22 + 0.24 * v - 0.08 * abs(2 * u - 1), 0.7 + 0.6 * ((k * 0.37) % 1)))
    return tuple(positions)


def draw_marks(canvas: Canvas, face: Anatomy, freckles: float, beauty_mark: float) -> None:
    """Freckles, the more of them the higher the number, and a beauty mark on the left or right cheek."""
    tone = shadow(mix(face.skin, (176, 84, 40), 0.4), 0.3)
    for x, y, size in _freckle_positions()[: round(26 * freckles)]:
        canvas.fill(ellipse(x * face.width, y, 0.021 * size, 0.018 * size), tone, 0.75)
    if beauty_mark > 0:
        side = -1 if beauty_mark < 0.75 else 1
        canvas.fill(ellipse(side * (face.mouth_rx + 0.1), face.mouth_y - 0.11, 0.038, 0.038), shadow(face.skin, 0.85))
