"""Strangers in a finished run: are its pictures of the right person, and what its prompts asked for."""

from __future__ import annotations

import io
import json
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from crossinit_batch import layout
from crossinit_batch.demo.drawing.person import Person
from crossinit_batch.demo.exam import SCENES, figures, judge_all, references, sheet
from crossinit_batch.demo.faces import TRUTH, strangers
from crossinit_batch.demo.judges.demo_judges import DemoJudges
from crossinit_batch.demo.training.captions import prompt_of
from crossinit_batch.demo.training.dataset import SIDE
from crossinit_batch.errors import RequestError
from crossinit_batch.plan.frozen import read_plan
from crossinit_batch.plan.inventory import take_inventory
from crossinit_batch.plan.plan import Plan
from crossinit_batch.plan.task import JobState
from crossinit_batch.storage.receipts import Receipt, read_receipt
from crossinit_batch.storage.store import Store


def examine_run(
    store: Store, faces: Path, panel: DemoJudges, *, among: int, seed: int
) -> tuple[dict[str, Any], dict[str, Image.Image]]:
    """Figures of each method of a run on drawn faces, and a contact sheet of each.

    `faces` is the folder of `crossinit demo faces` that the run learned from; the judges choose among its persons and
    as many more as make `among`. RequestError where the run has not drawn the exam's prompts of these persons.
    """
    plan = read_plan(store)
    if plan is None:
        raise RequestError(f"{store} has no plan.json, so it is not an output folder of crossinit")
    truth = _truth(faces)
    known = [*truth.values(), *strangers(max(0, among - len(truth)), seed)]
    vectors = references(panel, known, seed)
    numbers = _prompt_numbers(plan)
    inventory = take_inventory(store, plan)
    found, sheets = {}, {}
    for method in plan.methods:
        states = [state for (name, _), state in inventory.states.items() if name == method.name]
        done = [state for state in states if inventory.is_done(state) and state.job.identity in truth]
        if not done:
            raise RequestError(
                f"{store}: {method.name} has no finished identity of {faces / TRUTH}", "Finish the run first."
            )
        drawn = np.stack([_pictures(store, plan, state, numbers) for state in done])
        rows = torch.tensor([list(truth).index(state.job.identity) for state in done])
        answers = judge_all(panel, drawn, vectors)
        found[method.name] = {
            "persons": len(done),
            "failed": len(states) - len(done),
            "among": len(known),
            **_receipts(store, done),
            **figures(answers, rows),
        }
        names = [state.job.identity for state in done]
        sheets[method.name] = sheet(names, np.stack([_source(faces, name) for name in names]), drawn)
    return found, sheets


def _truth(faces: Path) -> dict[str, Person]:
    """Who is in each picture of a folder of drawn faces."""
    file = faces / TRUTH
    try:
        entries = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{file} cannot be read: {error}", "Name the folder that `crossinit demo faces` wrote."
        ) from None
    return {name: Person.from_dict(entry["person"]) for name, entry in entries.items()}


def _prompt_numbers(plan: Plan) -> list[int]:
    """The numbers of the exam's prompts among the plan's."""
    texts = [prompt.text for prompt in plan.prompts]
    missing = [text for text in map(prompt_of, SCENES) if text not in texts]
    if missing:
        raise RequestError(
            f"the run has no prompt {missing[0]!r}", "Use the prompts of manifests/table1.yaml, which the exam knows."
        )
    return [texts.index(prompt_of(scene)) for scene in SCENES]


def _pictures(store: Store, plan: Plan, state: JobState, numbers: list[int]) -> NDArray[np.uint8]:
    """The first picture of each of the exam's prompts, (scenes, 64, 64, 3)."""
    first = {picture.number: picture for picture in plan.pictures(state.job) if picture.index == 0}
    folder = layout.images_folder(*state.job.key)
    return np.stack([_pixels(store.read(f"{folder}/{first[number].name}") or b"") for number in numbers])


def _source(faces: Path, name: str) -> NDArray[np.uint8]:
    """The picture that an identity was learned from, (64, 64, 3)."""
    return _pixels(next(path for path in faces.glob(f"{name}.*") if path.suffix in (".png", ".jpg")).read_bytes())


def _pixels(data: bytes) -> NDArray[np.uint8]:
    """A picture file as (64, 64, 3)."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0))


def _receipts(store: Store, states: list[JobState]) -> dict[str, float]:
    """What receipts report of a method: seconds an embedding, and Fig. 2's scale and orientation."""
    names = [f"{layout.artifact_folder(*state.job.key)}/{layout.RECEIPT_FILE}" for state in states]
    receipts = [receipt for name in names if (receipt := read_receipt(store, name)) is not None]

    def over_tokens(fact: str) -> float:
        return float(mean(value for receipt in receipts for value in receipt.facts[fact]))

    return {
        "seconds_each": median(_seconds(receipt) for receipt in receipts),
        "norm": over_tokens("norm"),
        "norm_start": over_tokens("norm_initial"),
        "cosine": over_tokens("cosine_to_initial"),
    }


def _seconds(receipt: Receipt) -> float:
    return float(receipt.run["seconds"])
