"""Where everything in a face is: a person's parameters and an expression turned into head coordinates."""

from __future__ import annotations

from dataclasses import dataclass, fields

from crossinit_batch.demo.drawing.canvas import light, mix, shadow
from crossinit_batch.demo.drawing.palette import EYE_COLORS, HAIR_COLORS, SKIN_TONES, Colour
from crossinit_batch.demo.drawing.person import Person


@dataclass(frozen=True)
class Pose:
    """What an expression does to a face; positive `lift` is a smile, positive brow and gaze values go up."""

    lift: float = 0.12
    part: float = 0.0
    drop: float = 0.0
    stretch: float = 1.0
    skew: float = 0.0
    teeth: float = 0.0
    brow_inner: float = 0.0
    brow_outer: float = 0.0
    brow_uneven: float = 0.0
    lid: float = 1.0
    squint: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    blush: float = 0.0

    def toward(self, other: Pose, fraction: float) -> Pose:
        """The pose `fraction` of the way to another."""
        mine = {field.name: getattr(self, field.name) for field in fields(self)}
        return Pose(**{name: value + fraction * (getattr(other, name) - value) for name, value in mine.items()})


# fmt: off
POSES = {
    "neutral": Pose(),
    "happy": Pose(
        lift=1.0, part=0.01, drop=0.17, stretch=1.3, teeth=1.0, brow_inner=0.03,
        brow_outer=0.05, lid=0.86, squint=0.5, blush=1.0,
    ),
    "sad": Pose(
        lift=-1.05, stretch=0.92, brow_inner=0.15, brow_outer=-0.08, lid=0.66,
        gaze_y=-0.3, blush=0.2,
    ),
    "surprised": Pose(
        lift=0.0, part=0.09, drop=0.2, stretch=0.62, brow_inner=0.15, brow_outer=0.13,
        lid=1.38, squint=-0.25,
    ),
    "angry": Pose(
        lift=-0.62, part=0.035, drop=0.05, stretch=1.1, teeth=1.0, brow_inner=-0.13,
        brow_outer=0.09, lid=0.7, squint=0.3, blush=0.4,
    ),
    "puzzled": Pose(
        lift=-0.25, stretch=0.8, skew=0.1, brow_uneven=0.13, brow_inner=-0.01,
        lid=0.96, gaze_x=0.35, gaze_y=0.35,
    ),
}
# fmt: on


@dataclass(frozen=True)
class Anatomy:
    """Lengths, heights and colours of one head, for the modules that draw it; heights grow downwards."""

    pose: Pose
    width: float
    chin: float
    jaw: float
    cheek: float
    ear: float
    eye_x: float
    eye_y: float
    eye_rx: float
    eye_ry: float
    eye_turn: float
    brow_y: float
    brow_thick: float
    nose_y: float
    nose_rx: float
    mouth_y: float
    mouth_rx: float
    lip: float
    hairline: float
    hair_rise: float
    skin: Colour
    skin_dark: Colour
    skin_light: Colour
    lips: Colour
    iris: Colour
    hair: Colour
    hair_dark: Colour
    hair_light: Colour
    brow: Colour


def anatomy(person: Person, expression: str, intensity: float) -> Anatomy:
    """The head of a person who makes a face."""
    chin = 0.93 + 0.17 * person.face_length
    nose_y = 0.33 + 0.12 * person.nose_length
    eye_rx = 0.163 + 0.067 * person.eye_size
    skin = _skin(person)
    hair = HAIR_COLORS[person.hair_color]
    deep = sum(hair) < 330
    rose = mix((226, 128, 122), (205, 32, 62), person.lip_color)
    return Anatomy(
        pose=POSES["neutral"].toward(POSES[expression], intensity),
        width=0.68 + 0.15 * person.face_width,
        chin=chin,
        jaw=0.4 + 0.36 * person.jaw,
        cheek=person.cheeks,
        ear=0.12 + 0.07 * person.ears,
        eye_x=0.315 + 0.075 * person.eye_spacing + 0.03 * person.face_width,
        eye_y=0.06,
        eye_rx=eye_rx,
        eye_ry=eye_rx * (0.56 + 0.14 * person.eye_size),
        eye_turn=-0.28 * (person.eye_tilt - 0.35),
        brow_y=-0.2,
        brow_thick=0.045 + 0.085 * person.brow_thickness,
        nose_y=nose_y,
        nose_rx=0.085 + 0.085 * person.nose_width,
        mouth_y=nose_y + 0.44 * (chin - nose_y) + 0.01,
        mouth_rx=0.215 + 0.12 * person.mouth_width,
        lip=0.048 + 0.068 * person.lip_fullness,
        hairline=-0.44 - 0.22 * person.hairline,
        hair_rise=0.06 + 0.16 * person.hair_volume,
        skin=skin,
        skin_dark=shadow(skin, 0.42),
        skin_light=light(skin, 0.42),
        lips=mix(shadow(skin, 0.22), rose, 0.42 + 0.5 * person.lip_color),
        iris=EYE_COLORS[person.eye_color],
        hair=hair,
        hair_dark=shadow(hair, 0.38 if deep else 0.3),
        hair_light=mix(hair, (255, 226, 190), 0.2 if deep else 0.36),
        brow=shadow(hair, 0.5) if not deep else mix(hair, (30, 20, 22), 0.5),
    )


def _skin(person: Person) -> Colour:
    """The skin colour: a position on the scale of tones, a little rosier or more golden by the undertone."""
    position = person.skin * (len(SKIN_TONES) - 1)
    stop = min(int(position), len(SKIN_TONES) - 2)
    tone = mix(SKIN_TONES[stop], SKIN_TONES[stop + 1], position - stop)
    warmer = (min(255, tone[0] + 6), tone[1] + 2, max(0, tone[2] - 16))
    rosier = (min(255, tone[0] + 8), max(0, tone[1] - 8), tone[2] + 4)
    return mix(rosier, warmer, person.undertone)
