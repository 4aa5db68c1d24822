"""Outlines of hair: for each style what falls behind the head and what lies on it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from crossinit_batch.demo.drawing.anatomy import Anatomy
from crossinit_batch.demo.drawing.canvas import Controls, Points, ellipse, loop, mirrored, path

HIDES_EARS = ("afro", "curly", "fringe", "long straight", "long wavy")
"""Styles under which no ear is seen."""

Shape = Callable[[Anatomy, bool], list[Points]]


def _cap(face: Anatomy, rise: float, low: float, hairline: Controls) -> Points:
    """Hair from the right over the crown to the left, and back along a hairline from left to right."""
    w = face.width
    over = [(w * 1.03, low), (w * 1.04 + rise * 0.6, -0.45), (w * 0.7 + rise * 0.55, -0.89 - rise * 0.6)]
    crown = [*over, (0.0, -1.03 - rise), *((-x, y) for x, y in reversed(over))]
    return np.concatenate([path(crown), path(hairline)])


def _even_hairline(face: Anatomy, low: float) -> list[tuple[float, float]]:
    w, high = face.width, face.hairline
    side = [(-w * 1.02, low), (-w * 0.93, -0.26), (-w * 0.78, high + 0.08), (-w * 0.38, high - 0.04)]
    return [*side, (0.0, high), *((-x, y) for x, y in reversed(side))]


def _swept_hairline(face: Anatomy, low: float) -> list[tuple[float, float]]:
    """A hairline that rises to a parting on the left and falls in a sweep to the right."""
    w, high = face.width, face.hairline
    left = [(-w * 1.02, low), (-w * 0.95, -0.24), (-w * 0.72, high - 0.02), (-w * 0.5, high - 0.22)]
    return [*left, (-w * 0.1, high - 0.04), (w * 0.42, high + 0.16), (w * 0.86, high + 0.3), (w * 1.02, low)]


def _centre_hairline(face: Anatomy, low: float) -> list[tuple[float, float]]:
    """Two curtains that fall from a parting in the middle."""
    w, high = face.width, face.hairline
    side = [
        (-w * 1.02, low),
        (-w * 0.98, min(low - 0.06, 0.1)),
        (-w * 0.84, -0.22),
        (-w * 0.5, high + 0.1),
        (-w * 0.12, high - 0.16),
    ]
    return [*side, (0.0, high - 0.26), *((-x, y) for x, y in reversed(side))]


def _tufts(face: Anatomy, low: float) -> list[tuple[float, float]]:
    """A short choppy fringe."""
    w, high = face.width, face.hairline
    teeth = [(-w * 0.74, 0.02), (-w * 0.52, 0.17), (-w * 0.4, 0.03), (-w * 0.14, 0.19), (-w * 0.04, 0.04)]
    teeth += [(w * 0.22, 0.19), (w * 0.34, 0.03), (w * 0.58, 0.16), (w * 0.76, 0.02)]
    points = [(x, high + 0.02 + y) for x, y in teeth]
    return [(-w * 1.02, low), (-w * 0.94, -0.28), *points, (w * 0.94, -0.28), (w * 1.02, low)]


def _curls(around: Controls, radius: float) -> list[Points]:
    """Round curls along a line, a little uneven."""
    return [
        ellipse(x, y, radius * (1 + 0.14 * math.sin(5 * k)), radius * (1 + 0.12 * math.cos(3 * k)))
        for k, (x, y) in enumerate(np.asarray(around).tolist())
    ]


def crown_arc(face: Anatomy, rise: float, count: int, sweep: float) -> Points:
    """Points over the crown from side to side, `sweep` radians from the top."""
    angles = np.linspace(-sweep, sweep, count)
    return np.stack([(face.width + rise) * np.sin(angles), -0.2 - (0.82 + rise) * np.cos(angles)], axis=1)


def _curtain(face: Anatomy, flare: float, bottom: float, waves: float = 0.0) -> Points:
    """Long hair behind head and shoulders; `waves` is the size of its waves."""
    w = face.width * 1.08 + face.hair_rise * 0.6
    right = [(0.0, -1.06 - face.hair_rise), (w * 0.72, -0.9 - face.hair_rise * 0.6), (w, -0.4)]
    steps = np.linspace(0.0, 1.0, 6 if waves else 3)
    for k, fraction in enumerate(steps):
        wave = waves * (1 if k % 2 else -1)
        right.append((w + flare * fraction + wave, -0.05 + (bottom + 0.05) * fraction))
    return loop(mirrored([*right, (w * 0.5, bottom + 0.06), (0.0, bottom)]))


def _behind_afro(face: Anatomy, covered: bool) -> list[Points]:
    """A round cloud; under a hat, what is left of it at the sides."""
    size = 0.98 + (0.5 if covered else 1.3) * face.hair_rise
    ring = [(size * math.sin(a), -0.3 - 0.94 * size * math.cos(a)) for a in np.linspace(-2.35, 2.35, 19)]
    if covered:
        sides = [ellipse(side * (face.width + 0.06), -0.08, 0.32, 0.5) for side in (-1, 1)]
        return [*_curls([(x, y) for x, y in ring if y > -0.6], 0.22), *sides]
    return [*_curls(ring, 0.22), ellipse(0, -0.32, size, size * 0.95)]


def _behind_bun(face: Anatomy, covered: bool) -> list[Points]:
    size = 0.27 + 0.6 * face.hair_rise
    return [] if covered else [ellipse(0, -1.16 - size * 0.55, size * 1.1, size)]


_BEHIND: dict[str, Shape] = {
    "afro": _behind_afro,
    "bun": _behind_bun,
    "fringe": lambda face, covered: [_curtain(face, 0.06, 0.82)],
    "long straight": lambda face, covered: [_curtain(face, 0.1, 1.62)],
    "long wavy": lambda face, covered: [_curtain(face, 0.3, 1.5, 0.075)],
    "braids": lambda face, covered: [_curtain(face, -0.05, 0.35)],
    "curly": lambda face, covered: _curls(crown_arc(face, 0.1, 9, 1.9), 0.2 + 0.5 * face.hair_rise),
}


def _bob(face: Anatomy, rise: float) -> list[Points]:
    w = face.width
    edge = [(-w * 0.84, 0.5), (-w * 0.84, 0.0), (-w * 0.8, -0.2), (-w * 0.4, -0.29)]
    lock = [(-w * 1.06 - rise * 0.5, 0.55), *edge, (0.0, -0.31), *((-x, y) for x, y in reversed(edge))]
    return [_cap(face, rise, 0.5, [*lock, (w * 1.06 + rise * 0.5, 0.55)])]


def _quiff(face: Anatomy, rise: float) -> list[Points]:
    w, high = face.width, face.hairline
    crest = [
        (-w * 0.8, high + 0.02),
        (-w * 1.0, -0.92),
        (-w * 0.74, -1.16 - rise),
        (-w * 0.1, -1.14 - rise * 1.5),
    ]
    front = [
        (w * 0.5, -1.24 - rise * 1.6),
        (w * 1.02, -1.04 - rise),
        (w * 0.86, -0.66),
        (w * 0.2, high - 0.06),
    ]
    return [_cap(face, 0.02, -0.02, _even_hairline(face, -0.02)), loop([*crest, *front])]


def braids(face: Anatomy, rise: float) -> list[Points]:
    plaits = [
        ellipse(
            side * (face.width + 0.1 + 0.02 * k),
            0.3 + 0.22 * k,
            0.19 - 0.008 * k,
            0.16,
            side * 0.5 * (-1) ** k,
        )
        for side in (-1, 1)
        for k in range(7)
    ]
    return [_cap(face, rise * 0.5, 0.12, _centre_hairline(face, 0.12)), *plaits]


def hair_front(face: Anatomy, style: str, covered: bool) -> list[Points]:
    """What lies on the head; flat under a hat."""
    rise = 0.02 if covered else face.hair_rise
    if style == "quiff" and not covered:
        return _quiff(face, rise)
    if style == "short":
        return [_cap(face, rise, 0.02, _tufts(face, 0.02))]
    if style == "side part":
        return [_cap(face, rise * 0.9, 0.04, _swept_hairline(face, 0.04))]
    if style == "curly":
        forehead = [(x * face.width, face.hairline + 0.02 + 0.1 * x * x) for x in (-0.78, -0.46, -0.14, 0.2, 0.5, 0.8)]
        top = [] if covered else _curls(crown_arc(face, rise * 0.5, 8, 1.35), 0.24)
        return [_cap(face, rise, 0.0, _even_hairline(face, 0.0)), *_curls(forehead, 0.15), *top]
    if style == "afro":
        forehead = [
            (x * face.width, face.hairline - 0.06 + 0.2 * x * x) for x in (-0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9)
        ]
        return [_cap(face, rise, -0.05, _even_hairline(face, -0.05)), *_curls(forehead, 0.12)]
    if style == "fringe":
        return _bob(face, rise)
    if style == "braids":
        return braids(face, rise)
    if style in ("long straight", "long wavy"):
        return [_cap(face, rise, 0.6, _centre_hairline(face, 0.6))]
    low = 0.06 if style == "bun" else 0.0
    return [_cap(face, 0.0 if style == "buzz" else rise * 0.3, low, _even_hairline(face, low))]


def hair_behind(face: Anatomy, style: str, covered: bool) -> list[Points]:
    """What is seen behind the head; nothing for short styles."""
    shape = _BEHIND.get(style)
    return shape(face, covered) if shape else []
