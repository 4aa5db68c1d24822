"""A canvas in head coordinates: smooth shapes, tapered strokes and soft light on a Pillow image.

Head coordinates: the origin is the middle of the head, x to the right, y down, and the unit is half the
height of a head, so the crown is near y = -1 and the chin near y = 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from crossinit_batch.demo.drawing.palette import Colour

Points = NDArray[np.float64]
Controls = Sequence[tuple[float, float]] | Points


def mix(a: Colour, b: Colour, fraction: float) -> Colour:
    """The colour `fraction` of the way from a to b."""
    return (
        round(a[0] + (b[0] - a[0]) * fraction),
        round(a[1] + (b[1] - a[1]) * fraction),
        round(a[2] + (b[2] - a[2]) * fraction),
    )


def shadow(colour: Colour, depth: float) -> Colour:
    """The colour in a warm shade: darker, and a little towards plum, as skin and cloth are."""
    return mix(colour, (round(colour[0] * 0.42), round(colour[1] * 0.24), round(colour[2] * 0.30)), depth)


def light(colour: Colour, strength: float) -> Colour:
    """The colour in warm light."""
    return mix(colour, (255, 246, 226), strength)


@lru_cache(maxsize=256)
def _spline(count: int, steps: int, closed: bool) -> Points:
    """The matrix (samples, count) from control points to a Catmull-Rom curve through them."""
    segments = count if closed else count - 1
    matrix = np.zeros((segments * steps + (not closed), count))
    for row in range(len(matrix)):
        segment, step = divmod(row, steps)
        t = step / steps
        weights = (
            -0.5 * t**3 + t**2 - 0.5 * t,
            1.5 * t**3 - 2.5 * t**2 + 1,
            -1.5 * t**3 + 2 * t**2 + 0.5 * t,
            0.5 * t**3 - 0.5 * t**2,
        )
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
            index = segment + offset
            matrix[row, index % count if closed else min(max(index, 0), count - 1)] += weight
    return matrix


def loop(controls: Controls, steps: int = 10) -> Points:
    """A closed smooth curve through the control points."""
    return _spline(len(controls), steps, True) @ np.asarray(controls, dtype=np.float64)


def path(controls: Controls, steps: int = 8) -> Points:
    """An open smooth curve through the control points."""
    return _spline(len(controls), steps, False) @ np.asarray(controls, dtype=np.float64)


def mirrored(right: Controls) -> Points:
    """Control points of a symmetric outline, from those of its right side in order."""
    side = np.asarray(right, dtype=np.float64)
    inner = side[::-1]
    if inner[0, 0] == 0:
        inner = inner[1:]
    if side[0, 0] == 0:
        inner = inner[:-1]
    return np.concatenate([side, inner * (-1, 1)])


@lru_cache(maxsize=8)
def _circle(count: int) -> Points:
    angles = np.arange(count) * (2 * math.pi / count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def moved(points: Points, x: float, y: float) -> Points:
    """The points, shifted."""
    there: Points = points + np.array([x, y])
    return there


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> Points:
    """An ellipse turned by `turn` radians."""
    points = _circle(28) * (rx, ry)
    if turn:
        c, s = math.cos(turn), math.sin(turn)
        points = points @ np.array([[c, s], [-s, c]])
    return moved(points, x, y)


def between(x: Points, above: Points, below: Points) -> Points:
    """The outline between two curves over the same positions x."""
    count = len(x)
    points = np.empty((2 * count, 2))
    points[:count, 0], points[:count, 1] = x, above
    points[count:, 0], points[count:, 1] = x[::-1], below[::-1]
    return points


@lru_cache(maxsize=256)
def spread(count: int, widths: tuple[float, ...]) -> Points:
    """Half widths at each of a line's points, between values that are spread evenly over it."""
    half = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(widths)), widths) / 2
    return half[:, None]


def band(line: Points, widths: float | Sequence[float]) -> Points:
    """The outline of a stroke along a line; `widths` are spread evenly over its length."""
    ahead = np.empty_like(line)
    ahead[1:-1] = line[2:] - line[:-2]
    ahead[0], ahead[-1] = line[1] - line[0], line[-1] - line[-2]
    across = ahead[:, ::-1] * (-1, 1) / np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)[:, None]
    across *= widths / 2 if isinstance(widths, float) else spread(len(line), tuple(widths))
    return np.concatenate([line + across, (line - across)[::-1]])


def ring(outline: Points, width: float) -> Points:
    """The outline of a stroke along a closed line."""
    ahead = np.roll(outline, -1, axis=0) - np.roll(outline, 1, axis=0)
    across = ahead[:, ::-1] * (-1, 1) / np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-9)[:, None]
    across *= width / 2
    outer, inner = outline + across, outline - across
    return np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])


@lru_cache(maxsize=64)
def _soft_spot(strength: int) -> Image.Image:
    """A round spot, 64×64, that fades from `strength`/64 in the middle to nothing at the rim."""
    axis = (np.arange(64) - 31.5) / 32
    inside = np.clip(1 - axis[:, None] ** 2 - axis[None, :] ** 2, 0, 1) ** 1.5
    return Image.fromarray(np.round(inside * 255 * strength / 64).astype(np.uint8))


def turning(unit: float, tilt: float) -> Points:
    """The matrix (2, 2) that takes head coordinates, as rows, to those of a picture; `tilt` in degrees."""
    c, s = unit * math.cos(math.radians(tilt)), unit * math.sin(math.radians(tilt))
    return np.array([[c, s], [-s, c]])


class Canvas:
    """An RGB image and where a head is on it: its middle and unit in pixels, its tilt in degrees."""

    def __init__(self, image: Image.Image, middle: tuple[float, float], unit: float, tilt: float = 0.0) -> None:
        self.image = image
        self.unit = unit
        self._pen = ImageDraw.Draw(image, "RGBA")
        self._middle = np.array(middle)
        self._turn = turning(unit, tilt)

    def _pixels(self, points: Points) -> list[float]:
        flat: list[float] = (points @ self._turn + self._middle).ravel().tolist()
        return flat

    def fill(self, points: Points, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a closed outline."""
        self._pen.polygon(self._pixels(points), fill=(*colour, round(255 * alpha)))

    def stroke(self, controls: Controls, width: float | Sequence[float], colour: Colour, alpha: float = 1.0) -> None:
        """A smooth line through the control points; several widths taper it."""
        self.fill(band(path(controls), width), colour, alpha)

    def mask(self, *outlines: Points, alpha: float = 1.0) -> Image.Image:
        """What lies inside any of the outlines, as an 8-bit mask of the canvas's size."""
        layer = Image.new("L", self.image.size)
        pen = ImageDraw.Draw(layer)
        for points in outlines:
            pen.polygon(self._pixels(points), fill=round(255 * alpha))
        return layer

    def fill_within(self, within: Image.Image, colour: Colour, *outlines: Points, alpha: float = 1.0) -> None:
        """Fill outlines, but only where a mask lets them show; where they overlap they count once."""
        in_pixels = [points @ self._turn + self._middle for points in outlines]
        low = np.floor(np.min([points.min(axis=0) for points in in_pixels], axis=0)).astype(int)
        high = np.ceil(np.max([points.max(axis=0) for points in in_pixels], axis=0)).astype(int) + 1
        low, high = np.clip(low, 0, self.image.width), np.clip(high, 0, self.image.width)
        if (high <= low).any():
            return
        box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        layer = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        pen = ImageDraw.Draw(layer)
        for points in in_pixels:
            pen.polygon((points - low).ravel().tolist(), fill=round(255 * alpha))
        self.image.paste(colour, box, ImageChops.multiply(layer, within.crop(box)))

    def glow(
        self,
        middle: tuple[float, float],
        radii: tuple[float, float],
        colour: Colour,
        alpha: float,
        within: Image.Image | None = None,
    ) -> None:
        """A soft spot of colour, within a mask if given; its axes stay level when the head tilts."""
        x, y = self._pixels(np.array([middle]))
        rx, ry = max(1, round(radii[0] * self.unit)), max(1, round(radii[1] * self.unit))
        spot = _soft_spot(round(64 * alpha)).resize((2 * rx, 2 * ry), Image.Resampling.BILINEAR)
        left, top = round(x) - rx, round(y) - ry
        box = (left, top, left + 2 * rx, top + 2 * ry)
        if within is not None:
            spot = ImageChops.multiply(spot, within.crop(box))
        self.image.paste(colour, box, spot)
