"""How good the small world is, told by its judges: famous names, personalized strangers, and the learned vectors."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from crossinit_batch.base_model import BaseModel
from crossinit_batch.contact_sheet import contact_sheet
from crossinit_batch.demo.captions import prompt_of
from crossinit_batch.demo.dataset import famous_names
from crossinit_batch.demo.drawing import draw
from crossinit_batch.demo.faces import strangers
from crossinit_batch.demo.judges.album import ATTRIBUTES, labels_of
from crossinit_batch.demo.judges.panel import Panel
from crossinit_batch.demo.person import Person, person_of_name
from crossinit_batch.demo.scene import Scene
from crossinit_batch.demo.train_text_encoder import to_samples
from crossinit_batch.initial_vector import initial_vector
from crossinit_batch.methods import PRESETS
from crossinit_batch.optimize import Optimization, Subject
from crossinit_batch.render import denoise, encode_prompt
from crossinit_batch.settings import EmbeddingSettings, RenderSettings

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

RENDER = RenderSettings(images_per_prompt=1, steps=20, guidance=4.0)
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


def references(panel: Panel, persons: Sequence[Person], seed: int) -> Tensor:
    """An embedding (persons, 128) of each from a few drawn portraits."""
    rng = random.Random(f"references, seed {seed}")
    pictures = [
        np.asarray(draw(person, Scene(expression=mood).retaken(rng), 64))
        for person in persons
        for mood in ("neutral", "happy", "surprised")
    ]
    who = panel.who(np.stack(pictures)).reshape(len(persons), _REFERENCES, -1)
    return torch.nn.functional.normalize(who.nansum(dim=1), dim=-1)


def draw_all(model: BaseModel, wearers: Sequence[str | Tensor], seed: int, batch: int = 16) -> NDArray[np.uint8]:
    """Each wearer (a name, or learned v) in each scene: (wearers, scenes, 64, 64, 3)."""
    with torch.no_grad():
        empty = encode_prompt(model, "", None)
        states = [_states(model, prompt_of(scene), wearer) for wearer in wearers for scene in SCENES]
    pictures = []
    for first in range(0, len(states), batch):
        chunk = torch.cat(states[first : first + batch])
        seeds = [seed + number % len(SCENES) for number in range(first, first + len(chunk))]
        latents = denoise(model, chunk, empty, seeds, RENDER)
        assert latents is not None
        pictures += list(model.decode(latents))
    return np.stack(pictures).reshape(len(wearers), len(SCENES), *pictures[0].shape)


def _states(model: BaseModel, prompt: str, wearer: str | Tensor) -> Tensor:
    if isinstance(wearer, str):
        return encode_prompt(model, prompt.replace("{}", wearer), None)
    return encode_prompt(model, prompt, wearer)


def judge_all(panel: Panel, pictures: NDArray[np.uint8], known: Tensor) -> Answers:
    """What the judges say of pictures (persons, prompts, …), `known` being the embeddings they may choose from."""
    flat, shape = pictures.reshape(-1, *pictures.shape[2:]), pictures.shape[:2]
    who = panel.who(flat)
    found = torch.where(who.isnan().any(dim=1), -1, (who.nan_to_num() @ known.T).argmax(dim=1))
    return Answers(pictures, found.reshape(shape), panel.what(flat).reshape(*shape, -1))


def famous_sample(count: int, seed: int) -> list[tuple[str, str]]:
    """Some of the famous names."""
    return random.Random(f"famous, seed {seed}").sample(famous_names(), count)


def examine_names(model: BaseModel, panel: Panel, names: Sequence[tuple[str, str]], seed: int) -> Answers:
    """The base model draws famous persons; the judges choose among them."""
    known = references(panel, [person_of_name(*name) for name in names], seed)
    return judge_all(panel, draw_all(model, [" ".join(name) for name in names], seed), known)


@dataclass(frozen=True)
class Learned:
    """Embeddings of strangers by one method (N, tokens, width), where they started, and the seconds it took."""

    v: Tensor
    v_init: Tensor
    seconds: float


def portraits(persons: Sequence[Person], seed: int) -> NDArray[np.uint8]:
    """One picture (N, 64, 64, 3) of each to learn from: a neutral portrait or a slight smile."""
    rng = random.Random(f"portraits, seed {seed}")
    scenes = [replace(Scene(expression=rng.choice(("neutral", "happy"))).retaken(rng), intensity=0.4) for _ in persons]
    return np.stack([np.asarray(draw(person, scene, 64)) for person, scene in zip(persons, scenes, strict=True)])


def learn(model: BaseModel, pictures: NDArray[np.uint8], settings: EmbeddingSettings, seed: int) -> Learned:
    """Learn an embedding for each picture, four at a time."""
    start, _ = initial_vector(model, settings.init)
    began = time.monotonic()
    subjects = []
    for number, sample in enumerate(to_samples(pictures)):
        moments = [model.encode_image(picture[None]) for picture in (sample, sample.flip(2))]
        mean, std = (torch.cat(parts)[None] for parts in zip(*moments, strict=True))
        subjects.append(Subject(f"person-{number:03d}", mean, std))
    learned = []
    for first in range(0, len(subjects), 4):
        optimization = Optimization(model, subjects[first : first + 4], start.v_init, settings, seed)
        optimization.run(lambda _step, _loss: True)
        learned.append(optimization.snapshot().v)
    return Learned(torch.cat(learned), start.v_init, time.monotonic() - began)


def orientation(learned: Learned) -> dict[str, float]:
    """Fig. 2: the scale of learned embeddings beside their start's, and the cosine between them."""
    cosine = torch.nn.functional.cosine_similarity(learned.v, learned.v_init[None], dim=-1)
    return {
        "norm": float(learned.v.norm(dim=-1).mean()),
        "norm_start": float(learned.v_init.norm(dim=-1).mean()),
        "cosine": float(cosine.mean()),
    }


def interval(right: Tensor, seed: int = 0, draws: int = 2000) -> dict[str, float]:
    """The mean of a table whose rows are persons, with a 95 % bootstrap interval over persons."""
    rows = right.float().flatten(1).mean(dim=1)
    picked = torch.randint(len(rows), (draws, len(rows)), generator=torch.Generator().manual_seed(seed))
    low, high = rows[picked].mean(dim=1).quantile(torch.tensor([0.025, 0.975])).tolist()
    return {"mean": float(rows.mean()), "low": low, "high": high}


def figures(answers: Answers, truth: Tensor) -> dict[str, Any]:
    """Shares right: the person on photo prompts and on all, each attribute, and all attributes at once."""
    photo = [number for number, scene in enumerate(SCENES) if scene.style == "photo"]
    who, what = answers.identity(truth), answers.attributes()
    return {
        "identity_photo": interval(who[:, photo]),
        "identity_all": interval(who),
        "attributes_each": interval(what),
        "attributes_all": interval(what.all(dim=-1)),
        **{name: round(float(what[..., k].float().mean()), 4) for k, name in enumerate(ATTRIBUTES)},
    }


def examine(
    model: BaseModel, panel: Panel, *, famous: int, learned: int, among: int, seed: int, report: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, Image.Image]]:
    """All figures: the base model on famous names, then each method on strangers among `among` of them.

    Beside them a contact sheet of each, by name: true drawings in the first column.
    """
    found: dict[str, Any] = {"prompts": [prompt_of(scene) for scene in SCENES], "render": RENDER.model_dump()}
    sheets = {}
    if famous:
        names = famous_sample(famous, seed)
        answers = examine_names(model, panel, names, seed)
        found["famous"] = {"persons": famous, **figures(answers, torch.arange(famous))}
        report(f"famous: {found['famous']}")
        drawn = np.stack([np.asarray(draw(person_of_name(*name), Scene(), 64)) for name in names])
        sheets["famous"] = sheet([" ".join(name) for name in names], drawn, answers.pictures)
    persons = strangers(max(among, learned), seed)
    known = references(panel, persons, seed)
    pictures = portraits(persons[:learned], seed)
    for name, settings in METHODS.items() if learned else ():
        vectors = learn(model, pictures, settings, seed)
        answers = judge_all(panel, draw_all(model, list(vectors.v), seed), known)
        right = figures(answers, torch.arange(learned))
        found[name] = {"persons": learned, "among": len(persons), "seconds_each": vectors.seconds / learned}
        found[name] |= {**orientation(vectors), **right}
        report(f"{name}: {found[name]}")
        sheets[name] = sheet([f"person {number}" for number in range(learned)], pictures, answers.pictures)
    return found, sheets


def sheet(labels: Sequence[str], sources: NDArray[np.uint8], pictures: NDArray[np.uint8]) -> Image.Image:
    """The first persons, each beside what was drawn of them in the exam's scenes."""
    rows = [
        (label, [Image.fromarray(pixels) for pixels in (source, *drawn)])
        for label, source, drawn in zip(labels, sources, pictures, strict=True)
    ]
    return contact_sheet(rows[:_SHOWN], ["source", *(prompt_of(scene) for scene in SCENES)], cell=128)


METHODS = {
    "cross-init": PRESETS["cross-init"],
    "cross-init-fast": PRESETS["cross-init-fast"],
    "textual-inversion, 320 steps": PRESETS["textual-inversion"].model_copy(update={"steps": 320}),
    "textual-inversion, 25 steps": PRESETS["textual-inversion"].model_copy(
        update={"steps": 25, "learning_rate": PRESETS["cross-init-fast"].learning_rate}
    ),
}
"""What strangers are learned by; textual inversion has the steps and learning rate of the one it stands beside."""
