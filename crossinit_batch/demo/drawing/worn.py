"""Beard and glasses: what belongs to a person and lies over the face."""

from __future__ import annotations

import numpy as np
from PIL import Image

from crossinit_batch.demo.drawing.anatomy import Anatomy
from crossinit_batch.demo.drawing.canvas import (
    Canvas,
    Points,
    band,
    ellipse,
    loop,
    mirrored,
    mix,
    moved,
    path,
    ring,
    shadow,
)
from crossinit_batch.demo.drawing.palette import Colour

# Corners of the right lens, in units of its half width, from the upper inner one.
_SQUARE_LENS = ((-0.98, -0.7), (1.14, -0.78), (1.1, 0.44), (0.76, 0.86), (-0.62, 0.84), (-0.98, 0.4))


def _full_beard(face: Anatomy, reach: float) -> Points:
    """From ear to ear along the jaw, `reach` beyond the chin, up to the cheeks and the upper lip."""
    w, chin, mouth = face.width, face.chin, face.mouth_y
    low = face.pose.drop * 0.25 if face.pose.teeth == 0 else 0.0
    outer = [
        (w * 1.0, 0.04),
        (w * (0.95 + 0.1 * face.cheek) + reach * 0.5, 0.32),
        (w * (0.58 + 0.46 * face.jaw) + reach, 0.66 * chin),
        (w * (0.2 + 0.5 * face.jaw) + reach * 0.8, 0.93 * chin + reach * 0.7 + low),
        (0.0, chin + 0.02 + reach + low),
    ]
    inner = [(face.mouth_rx * 0.5, mouth - 0.14), (face.mouth_rx * 1.25, mouth - 0.1), (w * 0.74, 0.42)]
    return np.concatenate([path(mirrored([*outer])[: len(outer)]), _left_and_back(outer, inner, mouth)])


def _left_and_back(outer: list[tuple[float, float]], inner: list[tuple[float, float]], mouth: float) -> Points:
    left = path([(-x, y) for x, y in reversed(outer)])
    back = [(-outer[0][0] * 0.93, 0.06), *((-x, y) for x, y in reversed(inner)), (0.0, mouth - 0.12)]
    right = [*inner, (outer[0][0] * 0.93, 0.06)]
    return np.concatenate([left, path([*back, *right])])


def _moustache(face: Anatomy, droop: float) -> Points:
    rx, y = face.mouth_rx * face.pose.stretch, face.mouth_y - face.pose.part - face.lip * 0.5
    corner = -0.1 * face.pose.lift + droop
    right = [
        (0.0, y - 0.07),
        (rx * 0.45, y - 0.11),
        (rx * 0.95, y - 0.02 + corner * 0.6),
        (rx * 1.2, y + 0.06 + corner),
    ]
    return loop(mirrored([*right, (rx * 0.7, y + 0.055 + corner * 0.5), (0.0, y + 0.01)]))


def draw_beard(canvas: Canvas, face: Anatomy, kind: str, head: Image.Image) -> None:
    """What grows below the mouth and on the cheeks; the moustache comes after the lips."""
    tone = mix(face.hair, face.hair_dark, 0.3)
    if kind == "stubble":
        canvas.fill_within(head, mix(face.skin, shadow(face.hair, 0.4), 0.75), _full_beard(face, 0.0), alpha=0.42)
        canvas.glow((0.0, face.mouth_y - 0.02), (face.mouth_rx * 1.2, 0.12), face.skin, 0.5)
    elif kind == "full":
        outline = _full_beard(face, 0.075)
        canvas.fill(outline, tone)
        inside = canvas.mask(outline)
        canvas.glow((0.0, face.chin + 0.1), (0.6, 0.34), face.hair_dark, 0.9, inside)
        canvas.glow((-0.3, face.mouth_y + 0.1), (0.24, 0.24), face.hair_light, 0.55, inside)
        lines = [
            band(
                path([(x, face.mouth_y + 0.12), (x * 1.02, face.chin - 0.08), (x * 0.9, face.chin + 0.05)]),
                0.018,
            )
            for x in (-0.36, -0.2, -0.06, 0.08, 0.22, 0.36)
        ]
        canvas.fill_within(inside, face.hair_dark, *lines, alpha=0.5)
    elif kind == "goatee":
        low = face.pose.drop
        half = face.mouth_rx * 0.72
        y = face.mouth_y + low
        patch = loop(
            mirrored(
                [
                    (0.0, y + 0.1),
                    (half * 0.6, y + 0.12),
                    (half, y + 0.2),
                    (half * 0.62, face.chin + 0.02 + low * 0.3),
                    (0.0, face.chin + 0.12 + low * 0.3),
                ]
            )
        )
        canvas.fill(patch, tone)
        canvas.glow((0.0, face.chin + 0.08), (0.3, 0.2), face.hair_dark, 0.8, canvas.mask(patch))


def draw_moustache(canvas: Canvas, face: Anatomy, kind: str) -> None:
    """The moustache, alone or over a beard."""
    if kind not in ("moustache", "goatee", "full"):
        return
    tone = mix(face.hair, face.hair_dark, 0.15 if kind == "full" else 0.3)
    outline = _moustache(face, {"moustache": 0.0, "goatee": 0.05, "full": 0.06}[kind])
    canvas.fill(moved(outline, 0.0, 0.02), face.hair_dark, 0.6)
    canvas.fill(outline, tone)
    canvas.glow((0.0, float(outline[:, 1].min()) + 0.05), (0.2, 0.05), face.hair_light, 0.5, canvas.mask(outline))


def draw_glasses(canvas: Canvas, face: Anatomy, kind: str, *, dark: bool = False) -> None:
    """Frames around the eyes, round or square; `dark` makes them sunglasses."""
    if kind == "none" and not dark:
        return
    frame: Colour = (40, 32, 40) if kind != "round" or dark else (128, 74, 34)
    x, y = face.eye_x * 1.02, face.eye_y + 0.02
    rx = min(max(0.235, face.eye_rx * 1.32), x - 0.06)
    for side in (-1, 1):
        if kind == "round":
            lens = ellipse(side * x, y, rx, rx * 1.0)
        else:
            lens = moved(loop(np.array(_SQUARE_LENS) * (side * rx, rx)), side * x, y)
        canvas.fill(lens, (34, 26, 44) if dark else (236, 246, 255), 0.96 if dark else 0.16)
        if dark:
            canvas.glow((side * x - 0.07, y - 0.08), (0.17, 0.13), (150, 130, 190), 0.6, canvas.mask(lens))
        canvas.fill(ring(lens, 0.042 if kind == "round" else 0.055), frame)
        canvas.stroke([(side * (x + rx), y - 0.1), (side * (face.width + 0.02), y - 0.06)], 0.045, frame)
    gap = x - rx
    canvas.stroke([(-gap, y - 0.05), (0.0, y - 0.09), (gap, y - 0.05)], 0.045, frame)
