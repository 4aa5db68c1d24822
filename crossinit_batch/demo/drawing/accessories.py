"""Glasses, which belong to a person, and accessories, which belong to a scene; both lie over the finished head."""

from __future__ import annotations

import math

import numpy as np

from crossinit_batch.demo.drawing.anatomy import Anatomy
from crossinit_batch.demo.drawing.canvas import Canvas, band, ellipse, light, loop, mirrored, moved, path, ring, shadow
from crossinit_batch.demo.drawing.palette import Colour
from crossinit_batch.demo.drawing.person import Person

_RED: Colour = (206, 44, 48)
_GOLD: Colour = (246, 190, 56)

# Corners of the right lens, in units of its half width, from the upper inner one.
_SQUARE_LENS = ((-0.98, -0.7), (1.14, -0.78), (1.1, 0.44), (0.76, 0.86), (-0.62, 0.84), (-0.98, 0.4))


def covers_hair(accessory: str) -> bool:
    """Whether an accessory presses the hair down, as hats do."""
    return accessory in ("red hat", "space helmet")


def draw_accessory(canvas: Canvas, face: Anatomy, person: Person, accessory: str) -> None:
    """Draw an accessory over the finished head."""
    if accessory == "red hat":
        _draw_hat(canvas, face)
    elif accessory == "headphones":
        _draw_headphones(canvas, face, person.hair_style)
    elif accessory == "crown":
        _draw_crown(canvas, face)
    elif accessory == "scarf":
        _draw_scarf(canvas, face)
    elif accessory == "sunglasses":
        draw_glasses(canvas, face, person.glasses, dark=True)
    elif accessory == "flower":
        _draw_flower(canvas, face)
    elif accessory == "space helmet":
        _draw_helmet(canvas)


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


def _draw_hat(canvas: Canvas, face: Anatomy) -> None:
    """A knitted red hat with a folded brim and a bobble."""
    w = face.width
    canvas.fill(ellipse(0, -1.44, 0.21, 0.2), light(_RED, 0.75))
    canvas.glow((0.06, -1.36), (0.2, 0.18), shadow(_RED, 0.3), 0.5, canvas.mask(ellipse(0, -1.44, 0.21, 0.2)))
    dome = loop(mirrored([(0, -1.34), (w * 0.62, -1.2), (w * 1.08, -0.82), (w * 1.14, -0.5), (0, -0.44)]))
    canvas.fill(dome, _RED)
    inside = canvas.mask(dome)
    canvas.glow((w * 0.9, -0.7), (0.5, 0.7), shadow(_RED, 0.8), 0.7, inside)
    canvas.glow((-w * 0.4, -1.0), (0.45, 0.35), light(_RED, 0.5), 0.6, inside)
    brim = band(path([(-w * 1.13, -0.48), (-w * 0.6, -0.57), (0, -0.6), (w * 0.6, -0.57), (w * 1.13, -0.48)]), 0.25)
    canvas.fill(moved(brim, 0.0, 0.04), shadow(_RED, 0.8), 0.5)
    canvas.fill(brim, light(_RED, 0.14))
    ribs = [band(np.array([(x * w, -0.7), (x * w * 1.01, -0.46 - 0.06 * (1 - x * x))]), 0.03)
            for x in np.linspace(-1.0, 1.0, 11).tolist()]  # fmt: skip
    canvas.fill_within(canvas.mask(brim), shadow(_RED, 0.45), *ribs, alpha=0.6)


def _draw_headphones(canvas: Canvas, face: Anatomy, style: str) -> None:
    wide = face.width + 0.1
    top = -1.14 - (face.hair_rise if style not in ("bald", "buzz") else 0.0)
    steel: Colour = (44, 48, 66)
    arch = [(-wide, 0.0), (-wide * 1.02, -0.55), (-wide * 0.62, top + 0.14), (0.0, top)]
    arch += [(-x, y) for x, y in reversed(arch[:-1])]
    canvas.stroke(arch, 0.13, steel)
    canvas.stroke([(x, y - 0.03) for x, y in arch[2:5]], 0.03, (150, 158, 184))
    for side in (-1, 1):
        canvas.fill(ellipse(side * (wide - 0.02), 0.1, 0.17, 0.29), steel)
        cup = ellipse(side * (wide + 0.06), 0.1, 0.15, 0.25)
        canvas.fill(cup, (64, 190, 196))
        canvas.glow((side * (wide + 0.02), 0.0), (0.12, 0.18), (214, 255, 250), 0.7, canvas.mask(cup))


def _draw_crown(canvas: Canvas, face: Anatomy) -> None:
    w = face.width * 0.9
    base = path([(w, -0.74), (w * 0.5, -0.66), (0.0, -0.63), (-w * 0.5, -0.66), (-w, -0.74)])
    peaks = [(-1.12, -1.34), (-0.72, -1.0), (-0.56, -1.46), (-0.26, -1.02), (0.0, -1.56)]
    top = np.array([*peaks, *((-x, y) for x, y in reversed(peaks[:-1]))]) * (w, 1)
    outline = np.concatenate([base, top])
    canvas.fill(outline, _GOLD)
    inside = canvas.mask(outline)
    canvas.glow((w * 0.7, -0.8), (0.5, 0.6), (190, 112, 20), 0.8, inside)
    canvas.glow((-w * 0.4, -1.0), (0.4, 0.4), (255, 244, 180), 0.8, inside)
    canvas.fill(band(moved(base, 0.0, -0.05), 0.1), (214, 140, 30))
    for x, y in peaks[::2] + [(-x, y) for x, y in peaks[:-1:2]]:
        canvas.fill(ellipse(x * w, y, 0.07, 0.07), (255, 236, 160))
    for x, jewel in ((-0.5, (64, 140, 220)), (0.0, (214, 40, 76)), (0.5, (64, 140, 220))):
        canvas.fill(ellipse(x * w, -0.8, 0.075, 0.09), jewel)


def _draw_scarf(canvas: Canvas, face: Anatomy) -> None:
    """A striped scarf around the neck, one end hanging down."""
    wool: Colour = (58, 120, 190)
    y = face.chin
    end = loop([(0.12, y + 0.3), (0.46, y + 0.3), (0.58, 2.6), (0.14, 2.6)])
    wrap = loop(mirrored([(0.0, y - 0.02), (0.5, y - 0.14), (0.76, y + 0.06), (0.7, y + 0.34), (0.0, y + 0.5)]))
    for outline in (end, wrap):
        canvas.fill(moved(outline, 0.02, 0.05), shadow(wool, 0.9), 0.5)
        canvas.fill(outline, wool)
        inside = canvas.mask(outline)
        bars = [band(np.array([(x, 0.5), (x * 0.8, 1.62)]), 0.09) for x in (-0.62, -0.34, 0.0, 0.34, 0.62)]
        if outline is end:
            bars = [band(np.array([(0.0, h), (0.7, h + 0.02)]), 0.09) for h in (1.55, 1.8, 2.05)]
        canvas.fill_within(inside, (250, 236, 210), *bars, alpha=0.95)
        canvas.glow((0.0, y + 0.02), (0.8, 0.24), shadow(wool, 0.9), 0.6, inside)


def _draw_flower(canvas: Canvas, face: Anatomy) -> None:
    x, y = face.width * 0.86, -0.56
    canvas.fill(ellipse(x + 0.22, y + 0.16, 0.2, 0.09, 0.6), (74, 140, 80))
    for k in range(6):
        angle = k * math.pi / 3 + 0.3
        petal = ellipse(x + 0.17 * math.cos(angle), y + 0.17 * math.sin(angle), 0.16, 0.12, angle)
        canvas.fill(petal, (255, 244, 248) if k % 2 else (250, 214, 228))
    canvas.fill(ellipse(x, y, 0.1, 0.1), (250, 190, 40))


def _draw_helmet(canvas: Canvas) -> None:
    """A round glass helmet on a white collar."""
    canvas.fill(ellipse(0.0, -0.12, 1.36, 1.42), (186, 220, 255), 0.1)
    rim = ellipse(0.0, -0.12, 1.36, 1.42)
    canvas.fill(ring(rim, 0.13), (240, 243, 248))
    canvas.fill(ring(moved(rim, 0.03, 0.03), 0.035), (150, 164, 190))
    canvas.stroke([(-1.06, -0.02), (-1.02, -0.5), (-0.74, -0.9)], (0.03, 0.12, 0.03), (255, 255, 255), 0.85)
    collar = loop(mirrored([(0.0, 1.2), (0.8, 1.14), (1.15, 1.3), (1.1, 1.62), (0.0, 1.72)]))
    canvas.fill(collar, (236, 239, 245))
    canvas.glow((0.0, 1.62), (1.2, 0.24), (130, 144, 176), 0.8, canvas.mask(collar))
    for side in (-1, 1):
        canvas.fill(ellipse(side * 0.62, 1.42, 0.12, 0.09), (238, 96, 48) if side < 0 else (64, 130, 220))
