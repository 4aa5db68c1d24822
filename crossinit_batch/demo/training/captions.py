"""The language of the small world: what a person in a scene is called, in captions to train on and in prompts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from crossinit_batch.demo.drawing.person import Person, UniformSource
from crossinit_batch.demo.drawing.scene import Scene
from crossinit_batch.prompts import SLOT, TRAINING_TEMPLATES

# fmt: off
_STYLES: dict[str, tuple[str, ...]] = {
    "photo": ("a photo of {}", "{}", "a photo of {}", "photo of {}"),
    "pencil sketch": ("a pencil sketch of {}", "pencil sketch of {}"),
    "pixel art": ("pixel art of {}", "pixel art of {}"),
    "pop art": ("pop art of {}", "pop art of {}"),
    "oil painting": ("an oil painting of {}", "oil painting of {}"),
    "watercolor": ("a watercolor of {}", "watercolor painting of {}"),
    "pointillism": ("pointillism painting of {}", "a pointillism painting of {}"),
    "latte art": ("{} latte art", "latte art of {}"),
}
_EXPRESSIONS: dict[str, tuple[str, ...]] = {
    "happy": ("with a happy expression", "looking happy"),
    "sad": ("with a sad expression", "looking sad"),
    "surprised": ("with a surprised expression", "looking surprised"),
    "angry": ("with an angry expression", "looking angry"),
    "puzzled": ("with a puzzled expression", "looking puzzled"),
}
_ACCESSORIES: dict[str, tuple[str, ...]] = {
    "red hat": ("wearing a red hat", "in a red hat"),
    "headphones": ("wearing headphones", "with headphones"),
    "crown": ("wearing a crown", "with a crown"),
    "scarf": ("wearing a scarf", "with a scarf"),
    "sunglasses": ("wearing sunglasses", "with sunglasses"),
    "flower": ("with a flower in the hair", "wearing a flower"),
    "space helmet": ("wearing a space helmet", "in a space helmet"),
}
_BACKGROUNDS: dict[str, tuple[str, ...]] = {
    "beach": ("on the beach", "at the beach"),
    "snow": ("in the snow", "outdoors in the snow"),
    "forest": ("in the forest", "in a forest"),
    "city at night": ("in the city at night", "in a city at night"),
    "desert": ("in the desert", "in a desert"),
    "library": ("in a library", "in the library"),
    "space": ("in space", "in space"),
    "mountains": ("in the mountains", "hiking in the mountains"),
    "underwater": ("underwater", "swimming underwater"),
    "garden": ("in a garden", "in the garden"),
    "stage": ("on a stage", "on stage"),
}
# fmt: on
_SPACESUIT = "wearing a scifi spacesuit in space"


def prompt_of(scene: Scene, companion: str | None = None) -> str:
    """The plainest prompt for a scene, with {} where the person belongs: "a {} person on the beach"."""
    return " ".join(_sentence(scene, f"a {SLOT} person", companion, _First()).split())


def caption_of(scene: Scene, name: str | None, companion: str | None, person: Person, rng: UniformSource) -> str:
    """One of many wordings for a picture; a person without a name is sometimes described instead."""
    if name is None:
        who = "a person" + (f" with {description_of(person)}" if rng.random() < 0.6 else "")
    elif scene.style == "photo" and rng.random() < 0.35:
        return _template_caption(scene, name, companion, rng)
    else:
        who = _pick((f"a {name} person", f"a {name} person", f"a {name} person", name), rng)
    return _sentence(scene, who, companion, rng)


def description_of(person: Person) -> str:
    """Hair, beard and glasses in words: "curly blond hair, glasses and a full beard"."""
    style = person.hair_style
    hair = "a bald head" if style == "bald" else f"{style} {person.hair_color} hair"
    parts = [hair]
    if person.glasses != "none":
        parts.append(f"{person.glasses} glasses")
    if person.beard != "none":
        parts.append("stubble" if person.beard == "stubble" else f"a {_BEARDS[person.beard]}")
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


_BEARDS = {"moustache": "moustache", "goatee": "goatee", "full": "full beard"}


def caption_words() -> list[str]:
    """Every word that a caption can hold, names apart."""
    from crossinit_batch.demo.drawing import person

    texts = ["a person with a bald head stubble hair glasses and a full beard", _SPACESUIT, *_BEARDS.values()]
    texts += [wording for table in (_STYLES, _EXPRESSIONS, _ACCESSORIES, _BACKGROUNDS)
              for wordings in table.values() for wording in wordings]  # fmt: skip
    texts += [word for words in person.CHOICES.values() for word in words]
    return sorted({word for text in texts for word in re.findall(r"[^\W\d_]+", text.lower())})


def _template_caption(scene: Scene, name: str, companion: str | None, rng: UniformSource) -> str:
    """A caption that personalization trains with, which may go on with what the scene has."""
    template = _pick(TRAINING_TEMPLATES["face"], rng)
    return " ".join([template.replace(SLOT, name), *_details(scene, companion, rng)])


def _sentence(scene: Scene, who: str, companion: str | None, rng: UniformSource) -> str:
    style = _pick(_STYLES[scene.style], rng)
    if style.endswith(SLOT):
        return " ".join([style.replace(SLOT, who), *_details(scene, companion, rng)])
    return style.replace(SLOT, " ".join([who, *_details(scene, companion, rng)]))


def _details(scene: Scene, companion: str | None, rng: UniformSource) -> list[str]:
    """What a scene has beside its person: companion, expression, accessory, background; what is plain is left out."""
    parts = [f"and {companion}"] if companion else []
    if scene.expression != "neutral":
        parts.append(_pick(_EXPRESSIONS[scene.expression], rng))
    if scene.accessory == "space helmet" and scene.background == "space" and rng.random() < 0.5:
        return [*parts, _SPACESUIT]
    if scene.accessory != "none":
        parts.append(_pick(_ACCESSORIES[scene.accessory], rng))
    if scene.background != "plain":
        parts.append(_pick(_BACKGROUNDS[scene.background], rng))
    return parts


def _pick(words: Sequence[str], rng: UniformSource) -> str:
    return words[int(rng.random() * len(words))]


class _First:
    """A source that always picks the first wording, and never the rarer one of two."""

    _draws = 0

    def random(self) -> float:
        return 0.0
