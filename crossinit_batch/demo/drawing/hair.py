"""Hair, beard and moustache in their colour: shade, strands and sheen over outlines."""

from __future__ import annotations

import numpy as np
from PIL import Image

from crossinit_batch.demo.drawing.anatomy import Anatomy
from crossinit_batch.demo.drawing.canvas import Canvas, Points, band, loop, mirrored, mix, moved, path, ring, shadow
from crossinit_batch.demo.drawing.hair_shapes import braids, crown_arc, hair_behind, hair_front


def draw_hair_behind(canvas: Canvas, face: Anatomy, style: str, covered: bool) -> None:
    """The part of the hair that the head hides, and that hides the shoulders."""
    outlines = hair_behind(face, style, covered)
    if not outlines:
        return
    tone = face.hair if style in ("afro", "curly", "bun") else mix(face.hair, face.hair_dark, 0.5)
    for outline in outlines:
        canvas.fill(outline, tone)
    inside = canvas.mask(*outlines)
    canvas.glow((0.0, 0.7), (face.width + 0.5, 0.95), face.hair_dark, 0.9, inside)
    if style in ("afro", "bun"):
        canvas.glow((-0.3, -1.1), (0.7, 0.5), face.hair_light, 0.75, inside)
    if style in ("long straight", "long wavy"):
        sway = 0.05 if style == "long wavy" else 0.01
        locks = [_lock(side * (face.width + x), 0.2, 1.4, sway) for side in (-1, 1) for x in (0.02, 0.13, 0.24)]
        canvas.fill_within(inside, face.hair_light, *locks, alpha=0.5)


def _lock(x: float, top: float, bottom: float, sway: float) -> Points:
    heights = np.linspace(top, bottom, 7)
    return band(path([(x + sway * (-1) ** k, y) for k, y in enumerate(heights.tolist())]), (0.01, 0.05, 0.05, 0.01))


def draw_hair(canvas: Canvas, face: Anatomy, style: str, covered: bool, head: Image.Image) -> None:
    """The hair on the head, with the shade it throws on the forehead, strands and a sheen."""
    if style == "bald":
        canvas.glow((-0.24, -0.72), (0.34, 0.2), face.skin_light, 0.9, head)
        return
    outlines = hair_front(face, style, covered)
    if style == "buzz":
        canvas.fill_within(head, mix(face.hair, face.skin, 0.12), *outlines, alpha=0.82)
        canvas.glow((-0.2, -0.82), (0.5, 0.22), face.hair_light, 0.45, head)
        return
    canvas.fill_within(head, face.skin_dark, *(moved(outline, 0.015, 0.055) for outline in outlines), alpha=0.6)
    for outline in outlines:
        canvas.fill(outline, face.hair)
    inside = canvas.mask(*outlines)
    _draw_strands(canvas, face, style, inside)


def _draw_strands(canvas: Canvas, face: Anatomy, style: str, inside: Image.Image) -> None:
    """Darkness at the sides, strands that follow the style, and a band of light over the crown."""
    w = face.width
    if style != "afro":
        for side in (-1, 1):
            canvas.glow((side * (w + 0.02), 0.0), (0.34, 0.75), face.hair_dark, 0.85, inside)
    canvas.glow((0.0, face.hairline + 0.05), (w * 0.9, 0.22), face.hair_dark, 0.55, inside)
    if style == "braids":
        rims = [ring(plait, 0.025) for plait in braids(face, face.hair_rise)[1:]]
        canvas.fill_within(inside, face.hair_dark, *rims, alpha=0.8)
        for side in (-1, 1):
            canvas.glow((side * (w + 0.13), 0.75), (0.09, 0.7), face.hair_light, 0.5, inside)
    if style in ("curly", "afro"):
        glow = ((-0.3, -1.1), (0.7, 0.5)) if style == "afro" else ((-0.25, -0.95), (0.6, 0.4))
        canvas.glow(*glow, face.hair_light, 0.75, inside)
        rows = [(-0.14, 6, 1.0)] if style == "afro" else [(-0.08, 7, 1.2), (0.12, 6, 1.0)]
        spots = [spot for rise, count, sweep in rows for spot in crown_arc(face, rise, count, sweep).tolist()]
        curls = [band(path(_curl_line(x, y)), (0.005, 0.03, 0.034, 0.02, 0.005)) for x, y in spots]
        canvas.fill_within(inside, face.hair_dark, *curls, alpha=0.5)
        return
    sheen = band(path(moved(crown_arc(face, -0.1, 7, 0.85), -0.06, 0.0)), (0.02, 0.14, 0.17, 0.09, 0.02))
    canvas.fill_within(inside, face.hair_light, sheen, alpha=0.4)
    canvas.glow((-0.2 * w, -0.92), (0.6 * w, 0.22), face.hair_light, 0.6, inside)
    root = (-0.45 * w, -1.0) if style in ("side part", "quiff") else (0.0, -1.12)
    ends = [(-1.02, 0.0), (-0.9, -0.3), (-0.62, -0.42), (0.1, -0.5), (0.5, -0.4), (0.84, -0.25), (1.02, 0.0)]
    strands = [
        band(
            path([root, ((root[0] + x * w) / 2 + 0.22 * x, (root[1] + y) / 2 - 0.1), (x * w, y)]),
            (0.01, 0.026, 0.01),
        )
        for x, y in ends
    ]
    canvas.fill_within(inside, face.hair_dark, *strands, alpha=0.5)


def _curl_line(x: float, y: float) -> list[tuple[float, float]]:
    return [
        (x - 0.07, y + 0.05),
        (x - 0.065, y - 0.03),
        (x, y - 0.07),
        (x + 0.065, y - 0.03),
        (x + 0.06, y + 0.03),
    ]


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
