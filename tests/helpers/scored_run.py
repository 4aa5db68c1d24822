"""A run with scores made by hand, for tests of tables and reports: no model, no judge, known cosines."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.methods.planned import LearnedMethod
from crossinit_batch.methods.registry import presets
from crossinit_batch.plan.digests import cell_digests
from crossinit_batch.plan.frozen import write_plan
from crossinit_batch.plan.inventory import Inventory, take_inventory
from crossinit_batch.plan.plan import Job, Photograph, Plan, PlannedIdentity, PlannedJudges
from crossinit_batch.plan.scores import PictureScore, dump_scores, prompt_key
from crossinit_batch.prompts import Prompt
from crossinit_batch.settings import EvaluationSettings, IdentitySettings, RenderSettings
from crossinit_batch.storage.receipts import Receipt, ReceiptFile, read_receipt, write_receipt
from crossinit_batch.storage.store import Store
from tests.helpers.results import a_plan, store_embedding, store_pictures

JUDGES = PlannedJudges(
    settings=EvaluationSettings(identity=IdentitySettings(weights="/nets/arc.onnx", detector="/nets/yunet.onnx")),
    detector="d" * 64,
    recogniser="e" * 64,
    clip="c" * 64,
)

PROMPTS = (
    Prompt("a photo of a {} person", "expression"),
    Prompt("a {} person and a friend", "interaction"),
    Prompt("cubism painting of a {} person", "style"),
)

Scoring = Callable[[Job, int, int], PictureScore | None]
"""The score of a job's picture, by prompt number and index; None for one that is not scored."""


def scored_plan(
    people: int = 2,
    methods: tuple[str, ...] = ("cross-init", "textual-inversion"),
    prompts: tuple[Prompt, ...] = PROMPTS,
    images: int = 2,
) -> Plan:
    """A plan with judges."""
    plan = a_plan()
    ids = [f"person-{number:02d}" for number in range(people)]
    chosen = tuple(LearnedMethod(name, name, presets()[name]) for name in methods)
    return plan.model_copy(
        update={
            "methods": chosen,
            "prompts": prompts,
            "render": RenderSettings(images_per_prompt=images),
            "identities": tuple(
                PlannedIdentity(id=name, photographs=(Photograph(path=f"/{name}.png", sha256=name.ljust(64, "0")),))
                for name in ids
            ),
            "jobs": tuple(
                Job(method=method.name, identity=name, digest=sha256(f"{method.name} {name}".encode()))
                for method in chosen
                for name in ids
            ),
            "judges": JUDGES,
        }
    )


def store_scores(store: Store, plan: Plan, job: Job, scoring: Scoring, seconds: float = 3.0) -> None:
    """As the program leaves it: the CSV, then its receipt."""
    images = read_receipt(store, f"{layout.images_folder(*job.key)}/{layout.RECEIPT_FILE}")
    rows, cells = [], {}
    for number, digest in cell_digests(plan, job, images).items():
        made = [scoring(job, number, picture.index) for picture in plan.pictures_of_prompt(job, number)]
        pictures = [picture.name for picture in plan.pictures_of_prompt(job, number)]
        if None not in made:
            rows += [replace(one, picture=name) for one, name in zip(made, pictures, strict=True) if one]
            cells[prompt_key(plan, number)] = digest
    folder = layout.scores_folder(*job.key)
    stored = store.write(f"{folder}/{layout.SCORES_FILE}", dump_scores(rows))
    receipt = Receipt(
        kind="scores",
        method=job.method,
        identity=job.identity,
        digest=plan.judges.digest if plan.judges else "",
        files={layout.SCORES_FILE: ReceiptFile(size=stored.size, sha256=stored.sha256)},
        facts={"cells": cells, "pictures": len(rows)},
        run={"seconds": seconds},
    )
    write_receipt(store, f"{folder}/{layout.RECEIPT_FILE}", receipt)


def score(faces: int | None, identity: float | None, best: float | None, prompt: float | None) -> PictureScore:
    return PictureScore("", faces, identity, best, prompt)


def scored_run(store: Store, plan: Plan, scoring: Scoring) -> Inventory:
    """A finished run whose pictures are scored."""
    write_plan(store, plan)
    for job in plan.jobs:
        store_embedding(store, plan, job, seconds=2.0)
        store_pictures(store, plan, job)
        store_scores(store, plan, job, scoring)
    return take_inventory(store, plan)


def show(store: Store, inventory: Inventory) -> None:
    """Put real pictures where the page looks for them, to see it in a browser."""
    for number, job in enumerate(inventory.plan.jobs):
        for picture in inventory.plan.pictures(job):
            store.write(f"{layout.images_folder(*job.key)}/{picture.name}", _picture(number + picture.number))
    for number, person in enumerate(inventory.plan.identities):
        store.write(layout.source_thumbnail(person.id, person.photographs[0].sha256), _picture(number))


def _picture(number: int) -> bytes:
    y, x = np.mgrid[0:64, 0:64] / 64
    pixels = np.stack([np.sin(3 * x + number), np.cos(2 * y - number), np.sin(x * y + number)], axis=2)
    file = io.BytesIO()
    Image.fromarray(((pixels + 1) * 127).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
