"""Where faces truly are, against what is painted."""

from __future__ import annotations

import numpy as np
import pytest

from crossinit_batch.demo.drawing.landmarks import landmarks
from crossinit_batch.demo.drawing.picture import draw
from crossinit_batch.demo.drawing.scene import Scene
from crossinit_batch.demo.faces import strangers

SIDE = 256


@pytest.mark.parametrize("tilt", [-20.0, 0.0, 20.0])
def test_eyes_are_where_the_white_of_eyes_is(tilt: float) -> None:
    person = max(strangers(12, 3), key=lambda one: one.eye_size * (one.glasses == "none"))
    scene = Scene(tilt=tilt, shift_x=0.05, scale=1.1)
    (face,) = landmarks(person, scene)
    shades = np.asarray(draw(person, scene, SIDE).convert("L"), dtype=float)
    for x, y in face.points[:2] * SIDE:
        around = shades[round(y) - 8 : round(y) + 9, round(x) - 8 : round(x) + 9]
        assert np.ptp(around) > 100  # pupil and white within a few pixels


def test_a_tilted_face_is_the_level_one_turned() -> None:
    (person,) = strangers(1, 0)
    (level,), (tilted,) = landmarks(person, Scene()), landmarks(person, Scene(tilt=30))
    across = level.points[1] - level.points[0]
    turned = tilted.points[1] - tilted.points[0]
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(across))
    assert np.degrees(np.arctan2(turned[1], turned[0])) == pytest.approx(30, abs=1e-6)


def test_the_box_holds_all_points_and_a_companion_has_a_box_of_its_own() -> None:
    person, other = strangers(2, 5)
    faces = landmarks(person, Scene(companion=other))
    assert len(faces) == 2
    assert faces[0].box[2] < faces[1].box[2]  # the person is on the left
    for face in faces:
        assert (face.points >= face.box[:2]).all() and (face.points <= face.box[2:]).all()
        assert face.points[0, 0] < face.points[1, 0] and face.points[3, 0] < face.points[4, 0]


def test_a_smile_lifts_the_corners_of_the_mouth() -> None:
    (person,) = strangers(1, 1)
    (happy,), (sad,) = landmarks(person, Scene(expression="happy")), landmarks(person, Scene(expression="sad"))
    assert happy.points[3, 1] < sad.points[3, 1]
    assert happy.points[4, 0] - happy.points[3, 0] > sad.points[4, 0] - sad.points[3, 0]
