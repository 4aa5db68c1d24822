"""What a person is seen in: expression, background, accessory, style, companion, and the camera's pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from crossinit_batch.demo.drawing.person import Person, UniformSource, pick
from crossinit_batch.errors import RequestError

EXPRESSIONS = ("neutral", "happy", "sad", "surprised", "angry", "puzzled")
BACKGROUNDS = (
    *("plain", "beach", "snow", "forest", "city at night", "desert"),
    *("library", "space", "mountains", "underwater", "garden", "stage"),
)
ACCESSORIES = ("none", "red hat", "headphones", "crown", "scarf", "sunglasses", "flower", "space helmet")
STYLES = (
    *("photo", "pencil sketch", "pixel art", "pop art"),
    *("oil painting", "watercolor", "pointillism", "latte art"),
)

CHOICES: dict[str, tuple[str, ...]] = {
    "expression": EXPRESSIONS,
    "background": BACKGROUNDS,
    "accessory": ACCESSORIES,
    "style": STYLES,
}

# Nuisance: what differs between two photographs of one person in one scene. Name, least, most.
_RANGES: dict[str, tuple[float, float]] = {
    "intensity": (0.0, 1.0),
    "backdrop": (0.0, 1.0),
    "clothing": (0.0, 1.0),
    "shift_x": (-0.25, 0.25),
    "shift_y": (-0.25, 0.25),
    "scale": (0.5, 1.5),
    "tilt": (-30.0, 30.0),
    "light": (-1.0, 1.0),
    "brightness": (0.5, 1.5),
}


@dataclass(frozen=True)
class Scene:
    """One photograph to be taken; `Scene()` is a plain neutral portrait.

    `intensity` is the strength of the expression, `backdrop` and `clothing` choose a colour, shifts are in
    picture widths, `tilt` in degrees, `light` is where it comes from (-1 left, 1 right).
    """

    expression: str = "neutral"
    background: str = "plain"
    accessory: str = "none"
    style: str = "photo"
    companion: Person | None = None
    intensity: float = 1.0
    backdrop: float = 0.1
    clothing: float = 0.3
    shift_x: float = 0.0
    shift_y: float = 0.0
    scale: float = 1.0
    tilt: float = 0.0
    light: float = -0.5
    brightness: float = 1.0

    def __post_init__(self) -> None:
        for name, words in CHOICES.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not one of {', '.join(words)}")
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise ValueError(f"{name} is {value!r}, not a number from {least:g} to {most:g}")

    @classmethod
    def random(cls, rng: UniformSource, *, company: float = 0.08) -> Scene:
        """Any scene; each attribute is left at its plain value about half of the time."""

        def mostly(words: tuple[str, ...], plain: float) -> str:
            rest = (1 - plain) / (len(words) - 1)
            return pick(rng, {word: plain if index == 0 else rest for index, word in enumerate(words)})

        scene = cls(
            expression=mostly(EXPRESSIONS, 0.35),
            background=mostly(BACKGROUNDS, 0.4),
            accessory=mostly(ACCESSORIES, 0.5),
            style=mostly(STYLES, 0.55),
            companion=Person.random(rng) if rng.random() < company else None,
        )
        return scene.retaken(rng)

    def retaken(self, rng: UniformSource) -> Scene:
        """The same scene photographed anew: other pose, clothes and light, the same attributes."""

        def between(least: float, most: float) -> float:
            return round(least + (most - least) * rng.random(), 4)

        return Scene(
            **{name: getattr(self, name) for name in (*CHOICES, "companion")},
            intensity=between(0.75, 1.0),
            backdrop=between(0, 1),
            clothing=between(0, 1),
            shift_x=between(-0.03, 0.03),
            shift_y=between(-0.02, 0.03),
            scale=between(0.94, 1.05),
            tilt=between(-6, 6),
            light=between(-1, 1),
            brightness=between(0.92, 1.08),
        )

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name, ready for JSON; the companion is a dictionary of its own, or None."""
        return asdict(self)

    @classmethod
    def from_dict(cls, attributes: Mapping[str, Any]) -> Scene:
        """The scene with these attributes; RequestError where one is unknown or out of range."""
        unknown = sorted(set(attributes) - {field.name for field in fields(cls)})
        if unknown:
            known = ", ".join(field.name for field in fields(cls))
            raise RequestError(f"not a scene: {', '.join(unknown)} unknown", f"a scene has {known}")
        companion = attributes.get("companion")
        try:
            return cls(**{**attributes, "companion": Person.from_dict(companion) if companion else None})
        except ValueError as error:
            raise RequestError(f"not a scene: {error}", "correct this attribute, or leave it out") from None
