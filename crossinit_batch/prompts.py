"""Prompts with one slot `{}` for the person: the paper's twenty, and the captions used in optimisation."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

SLOT = "{}"


@dataclass(frozen=True)
class Prompt:
    """A prompt with exactly one slot, and the category that reports group it by."""

    text: str
    category: str = ""

    def fill(self, person: str) -> str:
        """The prompt with the slot literally replaced; no other brace means anything."""
        return self.text.replace(SLOT, person)

    @property
    def slug(self) -> str:
        """A short file-name form: lower-case ASCII words joined by hyphens, without the slot."""
        text = unicodedata.normalize("NFKD", self.text.replace(SLOT, " ")).encode("ascii", "ignore").decode()
        words = re.findall(r"[a-z0-9]+", text.lower())
        return "-".join(words)[:48].strip("-") or "prompt"


def problem_of(text: str) -> str | None:
    """What is wrong with a prompt, in a sentence, or None."""
    if not text.strip():
        return "the prompt is empty"
    if any(unicodedata.category(character) == "Cc" for character in text):
        return "the prompt has a control character or a line break"
    if len(text) > 2000:
        return f"the prompt has {len(text)} characters, more than 2000"
    if text.count(SLOT) == 0:
        return f"no {SLOT} in {text!r}: write {SLOT} where the person belongs"
    if text.count(SLOT) > 1:
        return f"{text.count(SLOT)} times {SLOT} in {text!r}: one person fills one {SLOT}"
    return None


_PAPER = {
    "expression": (
        "a photo of a {} person",
        "a {} person with a sad expression",
        "a {} person with a happy expression",
        "a {} person with a puzzled expression",
        "a {} person with an angry expression",
    ),
    "background": (
        "a {} person plays the LEGO toys",
        "a {} person on the beach",
        "a {} person piloting a fighter jet",
        "a {} person wearing the sweater, a backpack and camping stove, outdoors, RAW, ultra high res",
        "a {} person wearing a scifi spacesuit in space",
    ),
    "interaction": (
        "a {} person and Anne Hathaway are baking a birthday cake",
        "a {} person and Anne Hathaway taking a relaxing hike in the mountains",
        "a {} person and Anne Hathaway sit on a sofa",
        "a {} person and Anne Hathaway enjoying a day at an amusement park",
        "a {} person shakes hands with Anne Hathaway in news conference",
    ),
    "style": (
        "cubism painting of a {} person",
        "fauvism painting of a {} person",
        "cave mural depicting a {} person",
        "pointillism painting of a {} person",
        "a {} person latte art",
    ),
}

PROMPT_SETS: dict[str, tuple[Prompt, ...]] = {
    "paper": tuple(Prompt(text, category) for category, texts in _PAPER.items() for text in texts),
}
"""The built-in sets a manifest can name. `paper`: the 20 prompts of the paper's evaluation (Appendix B)."""


def _template_family(medium: str) -> tuple[str, ...]:
    """The 27 captions of Textual Inversion for one medium ("a photo"); 12 of them never name the medium."""
    return (
        *(f"{medium} of {words}{{}}" for words in ("a ", "a clean ", "a dirty ", "my ", "the cool ", "the ", "one ")),
        *(f"{medium} of {words}{{}}" for words in ("the clean ", "a nice ", "the nice ", "the small ")),
        *(f"{medium} of {words}{{}}" for words in ("the weird ", "the large ", "a cool ", "a small ")),
        *(f"a {kind} photo of {article} {{}}" for kind in ("cropped", "close-up", "good") for article in ("a", "the")),
        *(f"a {kind} photo of the {{}}" for kind in ("dark", "bright")),
        *(f"a rendition of {article} {{}}" for article in ("a", "the")),
        "a rendering of a {}",
        "the photo of a {}",
    )


TRAINING_TEMPLATES: dict[str, tuple[str, ...]] = {
    "object": _template_family("a photo"),
    "face": tuple(
        template.replace(SLOT, f"face of {SLOT} person")
        for medium in ("a photo", "an illustration", "a depiction")
        for template in _template_family(medium)
    ),
}
"""Captions to draw from during optimisation. `face` has 81 entries of which 57 differ, as the released code."""
