"""A drawn person: who somebody is, as some twenty-six parameters, apart from any scene they are seen in."""

from __future__ import annotations

import hashlib
import math
import random
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crossinit_batch.demo.drawing.palette import EYE_COLORS, HAIR_COLORS
from crossinit_batch.errors import RequestError

HAIR_STYLES = (
    *("bald", "buzz", "short", "side part", "quiff", "curly"),
    *("afro", "fringe", "long straight", "long wavy", "bun", "braids"),
)
BROW_SHAPES = ("straight", "arched", "angled", "round")
GLASSES = ("none", "round", "square")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")

CHOICES: dict[str, tuple[str, ...]] = {
    "hair_color": tuple(HAIR_COLORS),
    "hair_style": HAIR_STYLES,
    "eye_color": tuple(EYE_COLORS),
    "brow_shape": BROW_SHAPES,
    "glasses": GLASSES,
    "beard": BEARDS,
}
"""The parameters that are words, with the words they can be; the others are numbers from 0 to 1."""

FIRST_NAME_FIELDS = (
    *("skin", "undertone", "freckles", "hair_color", "hair_style", "hair_volume", "hairline"),
    *("eye_color", "eye_size", "eye_spacing", "eye_tilt", "brow_thickness", "brow_shape"),
)
LAST_NAME_FIELDS = (
    *("face_width", "face_length", "jaw", "cheeks", "ears", "nose_length", "nose_width"),
    *("mouth_width", "lip_fullness", "lip_color", "beauty_mark", "glasses", "beard"),
)
"""Which name decides what: the two together are all the fields of a `Person`, and they do not overlap."""

# How much a full change of each parameter is seen, beside a change of skin from one end to the other at 2.4.
# fmt: off
_VISIBILITY = {
    "skin": 2.4, "undertone": 0.3, "freckles": 0.5, "hair_color": 2.2, "hair_style": 1.6, "hair_volume": 0.4,
    "hairline": 0.4, "eye_color": 0.8, "eye_size": 0.7, "eye_spacing": 0.6, "eye_tilt": 0.4,
    "brow_thickness": 0.6, "brow_shape": 0.4, "face_width": 0.9, "face_length": 0.7, "jaw": 0.7,
    "cheeks": 0.4, "ears": 0.3, "nose_length": 0.5, "nose_width": 0.6, "mouth_width": 0.6,
    "lip_fullness": 0.6, "lip_color": 0.7, "beauty_mark": 0.3, "glasses": 1.3, "beard": 1.4,
}
# fmt: on


class UniformSource(Protocol):
    """Anything whose `random()` is uniform in [0, 1): `random.Random` and numpy's `Generator` both are."""

    def random(self) -> float: ...


def pick(rng: UniformSource, weights: Mapping[str, float]) -> str:
    """One of the words, with a probability in proportion to its weight."""
    left = rng.random() * sum(weights.values())
    for word, weight in weights.items():
        left -= weight
        if left < 0:
            return word
    return word


def _bell(rng: UniformSource, centre: float = 0.5, spread: float = 0.5) -> float:
    """A number in [0, 1] about `centre`: a sum of two uniform draws, never more than `spread` away."""
    return round(min(1.0, max(0.0, centre + spread * (rng.random() + rng.random() - 1))), 4)


@dataclass(frozen=True)
class Person:
    """An identity: words from `CHOICES`, and numbers from 0 (light, small) to 1 (dark, large)."""

    skin: float
    undertone: float
    freckles: float
    hair_color: str
    hair_style: str
    hair_volume: float
    hairline: float
    eye_color: str
    eye_size: float
    eye_spacing: float
    eye_tilt: float
    brow_thickness: float
    brow_shape: str
    face_width: float
    face_length: float
    jaw: float
    cheeks: float
    ears: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lip_fullness: float
    lip_color: float
    beauty_mark: float
    glasses: str
    beard: str

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name in CHOICES:
                if value not in CHOICES[name]:
                    raise ValueError(f"{name} is {value!r}, not one of {', '.join(CHOICES[name])}")
            elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"{name} is {value!r}, not a number from 0 to 1")

    @classmethod
    def random(cls, rng: UniformSource) -> Person:
        """A plausible stranger: hair and eyes go with the skin, beard, brows and hair with each other."""
        skin, masculine, age = rng.random(), rng.random(), rng.random()
        light = (1 - skin) ** 2
        painted = rng.random() > 0.35 + 0.6 * masculine
        return cls(
            skin=round(skin, 4),
            undertone=_bell(rng),
            freckles=_bell(rng, 0.75, 0.25) if rng.random() < 0.08 + 0.3 * light else 0.0,
            hair_color=pick(rng, _hair_color_weights(light, age)),
            hair_style=pick(rng, _hair_style_weights(skin, masculine, age)),
            hair_volume=_bell(rng),
            hairline=_bell(rng, 0.3 + 0.3 * age * masculine),
            eye_color=pick(rng, _eye_color_weights(light)),
            eye_size=_bell(rng, 0.62 - 0.24 * masculine),
            eye_spacing=_bell(rng),
            eye_tilt=_bell(rng),
            brow_thickness=_bell(rng, 0.3 + 0.4 * masculine),
            brow_shape=pick(rng, {"straight": 1, "arched": 1.5 - masculine, "angled": 0.8, "round": 1}),
            face_width=_bell(rng, 0.45 + 0.1 * masculine),
            face_length=_bell(rng),
            jaw=_bell(rng, 0.25 + 0.5 * masculine),
            cheeks=_bell(rng),
            ears=_bell(rng),
            nose_length=_bell(rng),
            nose_width=_bell(rng, 0.35 + 0.3 * skin),
            mouth_width=_bell(rng),
            lip_fullness=_bell(rng, 0.5 + 0.25 * skin - 0.2 * masculine),
            lip_color=_bell(rng, 0.75 if painted else 0.2, 0.22),
            beauty_mark=round(0.5 + 0.5 * rng.random(), 4) if rng.random() < 0.12 else 0.0,
            glasses=pick(rng, {"none": 1.9, "round": 0.5, "square": 0.5}),
            beard=pick(rng, _beard_weights(masculine)),
        )

    @classmethod
    def blend(cls, first: Person, last: Person) -> Person:
        """Skin, hair and eyes of `first` with the face, nose, mouth, glasses and beard of `last`."""
        return cls(
            **{name: getattr(first, name) for name in FIRST_NAME_FIELDS},
            **{name: getattr(last, name) for name in LAST_NAME_FIELDS},
        )

    def to_dict(self) -> dict[str, float | str]:
        """The parameters by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, parameters: Mapping[str, Any]) -> Person:
        """The person of these parameters; RequestError where one is missing, unknown or out of range."""
        names = {field.name for field in fields(cls)}
        wrong = [f"{name} is missing" for name in sorted(names - set(parameters))]
        wrong += [f"{name} is unknown" for name in sorted(set(parameters) - names)]
        try:
            if not wrong:
                return cls(**parameters)
        except ValueError as error:
            wrong.append(str(error))
        hint = "a person has exactly the keys that Person.to_dict writes"
        raise RequestError(f"not a drawn person: {'; '.join(wrong)}", hint)

    def vector(self) -> NDArray[np.float64]:
        """The person as a point, an axis a number and some axes a word, for Euclidean distances."""
        parts: list[float] = []
        for name, weight in _VISIBILITY.items():
            value = getattr(self, name)
            if name in ("hair_color", "eye_color"):
                colour = (HAIR_COLORS if name == "hair_color" else EYE_COLORS)[value]
                parts += [weight * channel / 255 for channel in colour]
            elif name in CHOICES:
                parts += [weight * math.sqrt(0.5) * (value == choice) for choice in CHOICES[name]]
            else:
                parts.append(weight * value)
        return np.array(parts)


# fmt: off
def _hair_color_weights(light: float, age: float) -> dict[str, float]:
    """Fair hair goes with fair skin, grey with age, and a little of it is dyed."""
    old = max(0.0, age - 0.7) * 8
    return {
        "black": 2.2 - 1.7 * light, "dark brown": 1.3, "brown": 0.4 + 0.7 * light,
        "auburn": 0.15 + 0.5 * light, "copper": 0.1 + 0.7 * light, "blond": 0.1 + 1.3 * light,
        "platinum": 0.12 + 0.4 * light, "grey": 0.1 + old, "white": 0.05 + 0.8 * old,
        "blue": 0.15, "pink": 0.15,
    }


def _hair_style_weights(skin: float, masculine: float, age: float) -> dict[str, float]:
    """Every style is possible for everybody, but not equally often."""
    feminine = 1 - masculine
    return {
        "bald": 0.05 + masculine * age, "buzz": 0.1 + masculine * 0.8, "short": 0.2 + masculine,
        "side part": 0.3 + masculine * 0.8, "quiff": 0.2 + masculine * 0.7, "curly": 0.7,
        "afro": 0.15 + skin, "fringe": 0.1 + feminine, "long straight": 0.15 + feminine,
        "long wavy": 0.15 + feminine, "bun": 0.15 + 0.8 * feminine, "braids": 0.05 + 0.7 * feminine,
    }


def _eye_color_weights(light: float) -> dict[str, float]:
    return {
        "dark brown": 1.6 - 1.2 * light, "brown": 1.0, "hazel": 0.5, "green": 0.15 + 0.8 * light,
        "blue": 0.15 + 1.4 * light, "grey": 0.1 + 0.6 * light,
    }

# fmt: on


def _beard_weights(masculine: float) -> dict[str, float]:
    grown = max(0.0, masculine - 0.4)
    wishes = {"stubble": 1.2, "moustache": 1.0, "goatee": 0.9, "full": 1.8}
    return {"none": 1.0, **{kind: wish * grown for kind, wish in wishes.items()}}


def distance(a: Person, b: Person) -> float:
    """How different two persons look, from 0: a metric on parameters; strangers are some 2.7 apart."""
    return float(np.linalg.norm(a.vector() - b.vector()))


def person_of_name(first: str, last: str) -> Person:
    """The one person of this name: each word decides its own half; case and spacing do not matter."""

    def of_word(kind: str, word: str) -> Person:
        plain = " ".join(unicodedata.normalize("NFKC", word).casefold().split())
        key = hashlib.sha256(f"{kind} name:{plain}".encode()).digest()
        return Person.random(random.Random(int.from_bytes(key, "big")))

    return Person.blend(of_word("first", first), of_word("last", last))
