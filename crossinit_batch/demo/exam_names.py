"""The base model on famous names: does it draw the right one of them, and what the prompt asks for.

The judges are asked the same of true drawings, which shows how good they are at best.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from crossinit_batch.demo.drawing.person import person_of_name
from crossinit_batch.demo.drawing.picture import draw
from crossinit_batch.demo.exam import SCENES, figures, judge_all, references, sheet
from crossinit_batch.demo.judges.demo_judges import DemoJudges
from crossinit_batch.demo.training.captions import prompt_of
from crossinit_batch.demo.training.dataset import SIDE, famous_names
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.conditioning import Conditioning, encode_plain
from crossinit_batch.model.sampling import denoise
from crossinit_batch.settings import RenderSettings

RENDER = RenderSettings(images_per_prompt=1, steps=25, guidance=3.0)
_BATCH = 16


def examine_names(model: BaseModel, panel: DemoJudges, count: int, seed: int) -> tuple[dict[str, Any], Image.Image]:
    """The figures for `count` famous persons, among whom the judges choose, and a contact sheet of the first."""
    rng = random.Random(f"famous, seed {seed}")
    names = rng.sample(famous_names(), count)
    persons = [person_of_name(*name) for name in names]
    called = [" ".join(name) for name in names]
    known, truth = references(panel, persons, seed), torch.arange(count)
    true = np.stack([[np.asarray(draw(person, scene.retaken(rng), SIDE)) for scene in SCENES] for person in persons])
    answers = judge_all(panel, draw_names(model, called, seed), known)
    found = {
        "persons": count,
        "render": RENDER.model_dump(),
        **figures(answers, truth),
        "true_drawings": figures(judge_all(panel, true, known), truth),
    }
    return found, sheet(called, true[:, 0], answers.pictures)


@torch.no_grad()
def draw_names(model: BaseModel, names: Sequence[str], seed: int) -> NDArray[np.uint8]:
    """Each person in each scene of the exam, by name: (names, scenes, 64, 64, 3)."""
    empty = encode_plain(model, "")
    prompts = [prompt_of(scene).replace("{}", name) for name in names for scene in SCENES]
    pictures: list[NDArray[np.uint8]] = []
    for first in range(0, len(prompts), _BATCH):
        rows = Conditioning.stack([encode_plain(model, prompt) for prompt in prompts[first : first + _BATCH]])
        seeds = [seed + number % len(SCENES) for number in range(first, first + len(rows))]
        latents = denoise(model, rows, empty, seeds, RENDER)
        assert latents is not None
        pictures += list(model.decode(latents))
    return np.stack(pictures).reshape(len(names), len(SCENES), *pictures[0].shape)
