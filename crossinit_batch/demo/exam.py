"""What judges say of pictures whose truth is known: fractions right with intervals, and sheets to look at."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from crossinit_batch.demo.drawing.person import Person
from crossinit_batch.demo.drawing.picture import draw
from crossinit_batch.demo.drawing.scene import Scene
from crossinit_batch.demo.judges.album import ATTRIBUTES, labels_of
from crossinit_batch.demo.judges.demo_judges import DemoJudges
from crossinit_batch.demo.training.captions import prompt_of
from crossinit_batch.report.contact_sheet import contact_sheet
from crossinit_batch.report.scores.bootstrap import Ratio, estimates

SCENES = (
    Scene(),
    Scene(expression="happy"),
    Scene(expression="surprised"),
    Scene(background="beach"),
    Scene(accessory="crown"),
    Scene(accessory="red hat", background="snow"),
    Scene(style="pencil sketch"),
    Scene(style="pop art"),
)
"""What the eight prompts of the exam ask for."""

_REFERENCES = 3
_SHOWN = 12
"""Persons on a contact sheet."""


@dataclass(frozen=True)
class Answers:
    """Pictures (persons, prompts, 64, 64, 3), who was found in each (persons, prompts; -1: nobody), and what."""

    pictures: NDArray[np.uint8]
    found: Tensor
    seen: Tensor

    def identity(self, truth: Tensor) -> Tensor:
        """Whether the right person was found, (persons, prompts)."""
        return self.found == truth[:, None]

    def attributes(self) -> Tensor:
        """Whether each attribute is what the prompt asked for, (persons, prompts, attributes)."""
        return self.seen == torch.tensor([labels_of(scene) for scene in SCENES])


def references(panel: DemoJudges, persons: Sequence[Person], seed: int) -> Tensor:
    """An embedding (persons, 128) of each from a few drawn portraits."""
    rng = random.Random(f"references, seed {seed}")
    pictures = [
        np.asarray(draw(person, Scene(expression=mood).retaken(rng), 64))
        for person in persons
        for mood in ("neutral", "happy", "surprised")
    ]
    who = panel.who(np.stack(pictures)).reshape(len(persons), _REFERENCES, -1)
    return torch.nn.functional.normalize(who.nansum(dim=1), dim=-1)


def judge_all(panel: DemoJudges, pictures: NDArray[np.uint8], known: Tensor) -> Answers:
    """What the judges say of pictures (persons, prompts, …), `known` being the embeddings they may choose from."""
    flat, shape = pictures.reshape(-1, *pictures.shape[2:]), pictures.shape[:2]
    who = panel.who(flat)
    found = torch.where(who.isnan().any(dim=1), -1, (who.nan_to_num() @ known.T).argmax(dim=1))
    return Answers(pictures, found.reshape(shape), panel.what(flat).reshape(*shape, -1))


def interval(right: Tensor) -> dict[str, float | None]:
    """The mean of a table whose rows are persons, with a 95 % bootstrap interval over persons."""
    fractions = right.double().flatten(1).mean(dim=1).numpy()
    (found,) = estimates([Ratio(fractions, np.ones_like(fractions))])
    assert found is not None
    return {"mean": found.value, "low": found.low, "high": found.high}


def figures(answers: Answers, truth: Tensor) -> dict[str, Any]:
    """Fractions right: the person on photo prompts and on all, each attribute, and all attributes at once."""
    photo = [number for number, scene in enumerate(SCENES) if scene.style == "photo"]
    who, what = answers.identity(truth), answers.attributes()
    return {
        "identity_photo": interval(who[:, photo]),
        "identity_all": interval(who),
        "attributes_each": interval(what),
        "attributes_all": interval(what.all(dim=-1)),
        **{name: round(float(what[..., k].float().mean()), 4) for k, name in enumerate(ATTRIBUTES)},
    }


def sheet(labels: Sequence[str], sources: NDArray[np.uint8], pictures: NDArray[np.uint8]) -> Image.Image:
    """The first persons, each beside what was drawn of them in the exam's scenes."""
    rows = [
        (label, [Image.fromarray(pixels) for pixels in (source, *drawn)])
        for label, source, drawn in zip(labels, sources, pictures, strict=True)
    ]
    return contact_sheet(
        rows[:_SHOWN], ["source", *(prompt_of(scene).replace("{}", "S*") for scene in SCENES)], cell=128
    )
