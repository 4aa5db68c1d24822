"""Where the faces of a drawn picture truly are: a box and five points each, in fractions of the picture's side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossinit_batch.demo.drawing.anatomy import Anatomy, anatomy
from crossinit_batch.demo.drawing.person import Person
from crossinit_batch.demo.drawing.picture import head_positions
from crossinit_batch.demo.drawing.scene import Scene

_FOREHEAD = -0.72


@dataclass(frozen=True)
class Landmarks:
    """One face: its box (left, top, right, bottom), and eyes, nose tip and corners of the mouth (5, 2), left first."""

    box: NDArray[np.float64]
    points: NDArray[np.float64]


def landmarks(person: Person, scene: Scene) -> list[Landmarks]:
    """Every face of the picture that `draw` makes of a person in a scene, the person's own first."""
    found = []
    for head in head_positions(person, scene):
        face = anatomy(head.person, scene.expression, scene.intensity)
        outline = head.picture(np.array([(x * face.width, y) for x in (-1, 1) for y in (_FOREHEAD, face.chin)]))
        box = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
        found.append(Landmarks(box, head.picture(_points(face))))
    return found[::-1]


def _points(face: Anatomy) -> NDArray[np.float64]:
    """Eyes, nose tip and corners of the mouth in head coordinates, (5, 2)."""
    pose, reach = face.pose, face.mouth_rx * face.pose.stretch
    corner = face.mouth_y - 0.115 * pose.lift * 0.65
    return np.array(
        [
            (-face.eye_x, face.eye_y),
            (face.eye_x, face.eye_y),
            (0.0, face.nose_y),
            (-reach, corner - pose.skew * 0.5),
            (reach, corner + pose.skew * 0.5),
        ]
    )
