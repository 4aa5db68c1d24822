"""Eyes, brows, nose and mouth: what an expression moves."""

from __future__ import annotations

import numpy as np

from crossinit_batch.demo.drawing.anatomy import Anatomy
from crossinit_batch.demo.drawing.canvas import Canvas, Points, between, ellipse, light, mix, path, shadow, spread
from crossinit_batch.demo.drawing.palette import Colour

_EYE_X = np.linspace(-1, 1, 15)
_MOUTH_X = np.linspace(-1, 1, 17)

# Heights over the length of a brow, from the inner to the outer end, in units of its half length.
_BROWS = {
    "straight": (0.0, 0.06, 0.08, 0.04),
    "arched": (-0.08, 0.2, 0.36, 0.0),
    "angled": (-0.12, 0.14, 0.42, 0.14),
    "round": (-0.06, 0.24, 0.26, -0.08),
}


def draw_eyes(canvas: Canvas, face: Anatomy) -> None:
    """Both eyes: white, iris, pupil and a glint between the lids."""
    for side in (-1, 1):
        _draw_eye(canvas, face, side)


def _draw_eye(canvas: Canvas, face: Anatomy, side: int) -> None:
    rx, ry, pose = face.eye_rx, face.eye_ry, face.pose
    arch = np.sqrt(np.maximum(0, 1 - _EYE_X**2))
    upper = -ry * pose.lid * arch * (1 + 0.08 * _EYE_X)
    lower = ry * (0.78 - 0.5 * pose.squint) * arch ** (1.4)
    x = _EYE_X * rx
    c, s = np.cos(face.eye_turn), np.sin(face.eye_turn)

    def on_face(points: Points) -> Points:
        turned = points @ np.array([[c, s], [-s, c]])
        middle: Points = turned * (side, 1) + (side * face.eye_x, face.eye_y)
        return middle

    def between_lids(points: Points) -> Points:
        top = np.interp(points[:, 0], x, upper)
        return np.stack([points[:, 0], np.clip(points[:, 1], top, np.interp(points[:, 0], x, lower))], axis=1)

    def line(heights: Points, first: int = 0) -> Points:
        return np.stack([x, heights], axis=1)[first:]

    canvas.glow((side * face.eye_x, face.eye_y - 0.02), (rx * 1.5, ry * 2.1), face.skin_dark, 0.4)
    canvas.fill(on_face(between(x, upper, lower)), (250, 247, 243))
    gaze = (side * pose.gaze_x * rx * 0.4, -pose.gaze_y * ry * 0.4)
    iris = rx * 0.6
    gleam = ellipse(gaze[0], gaze[1] + iris * 0.5, iris * 0.56, iris * 0.3)
    discs = [
        (ellipse(*gaze, iris * r, iris * r), tone) for r, tone in ((1.0, shadow(face.iris, 0.6)), (0.82, face.iris))
    ]
    discs += [(gleam, light(face.iris, 0.28)), (ellipse(*gaze, iris * 0.46, iris * 0.46), (16, 12, 14))]
    for outline, tone in discs:
        canvas.fill(on_face(between_lids(outline)), tone)
    canvas.fill(on_face(between_lids(between(x, upper, upper + ry * 0.3))), (70, 52, 66), 0.28)
    glint = ellipse(gaze[0] - side * iris * 0.3, gaze[1] - iris * 0.34, iris * 0.26, iris * 0.26)
    canvas.fill(on_face(between_lids(glint)), (255, 255, 255))
    lashes = mix(shadow(face.skin, 0.95), (24, 14, 18), 0.6)
    lid = np.concatenate([line(upper), [(rx * 1.16, -ry * 0.16)]])
    heavy = 0.022 + 0.012 * (rx > 0.19)
    canvas.fill(on_face(_thick(lid, (0.02, heavy * 1.6, heavy * 2.0, 0.012))), lashes)
    canvas.fill(on_face(_thick(line(lower, 5), (0.008, 0.016, 0.012))), lashes, 0.45)
    fold = line(upper - 0.05 - 0.015 * pose.lid)[2:-1]
    canvas.fill(on_face(_thick(fold, (0.006, 0.018, 0.006))), face.skin_dark, 0.8)


def _thick(line: Points, widths: tuple[float, ...]) -> Points:
    """A line with a thickness that is measured downwards only at its under side, so lids keep their edge."""
    half = spread(len(line), widths)
    return np.concatenate([line - half * (0, 1.4), (line + half * (0, 0.6))[::-1]])


def draw_brows(canvas: Canvas, face: Anatomy, shape: str) -> None:
    """Both brows, from the nose outwards."""
    pose, half = face.pose, face.eye_rx * 1.12
    for side in (-1, 1):
        uneven = pose.brow_uneven * side
        points = []
        for position, height in zip((-0.95, -0.3, 0.4, 1.05), _BROWS[shape], strict=True):
            along = (position + 1) / 2
            raised = pose.brow_inner * (1 - along) + pose.brow_outer * along + uneven
            squeeze = 0.05 * max(0.0, -pose.brow_inner / 0.13) * (1 - along)
            x = face.eye_x + position * half - squeeze
            y = face.brow_y - 0.35 * (face.eye_ry - 0.11) - half * height * 0.6 - raised
            points.append((side * x, y))
        thick = face.brow_thick
        canvas.stroke(points, (thick * 0.55, thick * 1.1, thick * 0.95, thick * 0.2), face.brow)


def draw_nose(canvas: Canvas, face: Anatomy, light_from: float) -> None:
    """A bridge in soft light, a tip, and the line under it with the nostrils."""
    side = 1.0 if light_from >= 0 else -1.0
    y, rx = face.nose_y, face.nose_rx
    bridge = path([(-side * 0.05, -0.06), (-side * 0.055, 0.5 * y), (-side * rx * 1.0, y - 0.04)])
    edge = path([(-side * 0.0, -0.06), (-side * 0.0, 0.5 * y), (-side * 0.2 * rx, y + 0.02)])
    canvas.fill(np.concatenate([bridge, edge[::-1]]), face.skin_dark, 0.24)
    canvas.glow((-side * 0.07, y * 0.55), (0.1, 0.3), face.skin_dark, 0.5)
    canvas.glow((side * 0.02, y * 0.45), (0.06, 0.3), face.skin_light, 0.6)
    canvas.fill(ellipse(0, y + 0.005, rx * 0.92, 0.075), mix(face.skin, (222, 96, 86), 0.16), 0.7)
    canvas.glow((side * rx * 0.25, y - 0.03), (rx * 0.6, 0.055), face.skin_light, 0.85)
    under = [(-rx * 1.12, y - 0.035), (-rx * 0.98, y + 0.045), (-rx * 0.42, y + 0.05), (0, y + 0.085)]
    right = [(-x, height) for x, height in under[-2::-1]]
    canvas.stroke([*under, *right], (0.012, 0.036, 0.034, 0.036, 0.012), shadow(face.skin, 0.6))
    for x in (-rx * 0.5, rx * 0.5):
        canvas.fill(ellipse(x, y + 0.048, rx * 0.27, 0.026), shadow(face.skin, 0.82))


def draw_mouth(canvas: Canvas, face: Anatomy, *, bare: bool) -> None:
    """Lips around a mouth that may be open; a bare chin has a shade under the lip."""
    pose = face.pose
    x = _MOUTH_X * face.mouth_rx * pose.stretch
    arch = 1 - _MOUTH_X**2
    middle = face.mouth_y - 0.115 * pose.lift * (_MOUTH_X**2 - 0.35) + pose.skew * _MOUTH_X * 0.5
    round_ = np.sqrt(np.maximum(arch, 0)) if pose.teeth < 0.5 else np.maximum(arch, 0) ** 0.8
    top, bottom = middle - pose.part * round_, middle + pose.drop * round_
    bow = np.maximum(arch, 0) ** 0.7 * (1 - 0.32 * np.exp(-((_MOUTH_X / 0.2) ** 2)))
    thin = 1 - 0.25 * max(0.0, pose.stretch - 1)
    upper_lip = top - (face.lip * 0.9 * thin) * bow
    lower_lip = bottom + (face.lip * 1.25 * thin) * np.maximum(arch, 0) ** 0.7

    if bare:
        canvas.glow((0.0, float(lower_lip.max()) + 0.05), (face.mouth_rx * 0.7, 0.055), face.skin_dark, 0.8)
    canvas.fill(between(x, upper_lip, (top + bottom) / 2), shadow(face.lips, 0.18))
    canvas.fill(between(x, (top + bottom) / 2, lower_lip), face.lips)
    canvas.glow((0.0, float(bottom[8]) + face.lip * 0.7), (face.mouth_rx * 0.5, face.lip * 0.5),
                light(face.lips, 0.55), 0.6)  # fmt: skip
    gap = float((bottom - top).max())
    line = shadow(face.lips, 0.8)
    if gap > 0.03:
        _draw_inside(canvas, face, x, top, bottom)
    canvas.stroke(np.stack([x, top], axis=1)[::2], (0.01, 0.032 - 0.01 * (gap > 0.03), 0.01), line)
    if abs(pose.lift) > 0.4:
        for end in (0, -1):
            canvas.glow((float(x[end]) * 1.08, float(middle[end])), (0.06, 0.06), face.skin_dark, 0.85)


def _draw_inside(canvas: Canvas, face: Anatomy, x: Points, top: Points, bottom: Points) -> None:
    """Dark, tongue and teeth of an open mouth."""
    pose = face.pose
    inside = between(x, top, bottom)
    dark: Colour = (84, 22, 30)
    canvas.fill(inside, dark)
    within = canvas.mask(inside)
    depth = float(bottom[8] - top[8])
    tongue = ellipse(0, float(bottom[8]), face.mouth_rx * pose.stretch * 0.6, depth * 0.42)
    canvas.fill_within(within, (206, 84, 88), tongue)
    if pose.teeth > 0.2:
        covered = min(1.0, 0.085 / depth) if depth > 0.1 else 1.0
        edge = top + (bottom - top) * max(covered, 0.52)
        row = between(x, top, edge)
        canvas.fill_within(within, (255, 252, 246), row)
        if depth <= 0.13:
            canvas.stroke([(float(x[2]), float((top + edge)[2] / 2)), (0, float((top + edge)[8] / 2)),
                           (float(x[-3]), float((top + edge)[-3] / 2))], 0.012, (170, 140, 140))  # fmt: skip
