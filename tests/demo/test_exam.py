"""The exam on pictures whose truth is known: true drawings are right, those of somebody else are not."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crossinit_batch import layout
from crossinit_batch.demo.drawing.person import Person
from crossinit_batch.demo.drawing.picture import draw
from crossinit_batch.demo.exam import SCENES, figures, interval, judge_all, references
from crossinit_batch.demo.exam_run import examine_run
from crossinit_batch.demo.faces import strangers, write_faces
from crossinit_batch.demo.judges.demo_judges import DemoJudges
from crossinit_batch.demo.training.captions import prompt_of
from crossinit_batch.errors import RequestError
from crossinit_batch.methods.embedding.formats import dump_learned_embeds
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.plan.digests import picture_digest
from crossinit_batch.plan.frozen import write_plan
from crossinit_batch.plan.plan import Plan, PlannedIdentity
from crossinit_batch.prompts import Prompt
from crossinit_batch.settings import RenderSettings
from crossinit_batch.storage.receipts import Receipt, ReceiptFile, write_receipt
from crossinit_batch.storage.store import Store
from crossinit_batch.world import JUDGES
from tests.helpers.results import a_plan


@pytest.fixture(scope="module")
def panel() -> DemoJudges:
    return DemoJudges.open(JUDGES)


def drawn(persons: list[Person], seed: int) -> np.ndarray:
    """True drawings (persons, scenes, 64, 64, 3)."""
    rng = random.Random(seed)
    return np.stack([[np.asarray(draw(person, scene.retaken(rng), 64)) for scene in SCENES] for person in persons])


def test_true_drawings_are_right_and_exchanged_ones_wrong(panel: DemoJudges) -> None:
    persons = strangers(30, 8)
    known = references(panel, persons, 0)
    answers = judge_all(panel, drawn(persons[:8], 1), known)
    right = figures(answers, torch.arange(8))
    assert right["identity_photo"]["mean"] > 0.9 and right["attributes_each"]["mean"] > 0.93
    assert figures(answers, torch.arange(8).roll(1))["identity_photo"]["mean"] < 0.1
    blank = judge_all(panel, np.full((1, len(SCENES), 64, 64, 3), 200, np.uint8), known)
    assert not blank.identity(torch.tensor([0])).any()  # where there is no face, nobody is right


def test_an_interval_holds_its_mean_and_narrows_with_persons() -> None:
    few, many = (interval(torch.arange(count)[:, None] % 2 == 0) for count in (10, 1000))
    assert few["low"] < few["mean"] == 0.5 < few["high"]
    assert many["high"] - many["low"] < 0.1 < few["high"] - few["low"]
    certain = interval(torch.ones(5, 2))
    assert (certain["low"], certain["mean"], certain["high"]) == (1, 1, 1)


def a_run(store: Store, faces: Path, prompts: tuple[Prompt, ...]) -> Plan:
    """A finished run of three drawn persons, whose pictures are true drawings of them."""
    write_faces(3, faces, seed=4, size=64)
    plan = a_plan(images=1)
    job = plan.jobs[0]
    identities = tuple(PlannedIdentity(id=f"person-{number:03d}") for number in range(3))
    jobs = tuple(job.model_copy(update={"identity": one.id, "digest": one.id * 6}) for one in identities)
    render = RenderSettings(images_per_prompt=1)
    plan = plan.model_copy(update={"identities": identities, "jobs": jobs, "prompts": prompts, "render": render})
    write_plan(store, plan)
    truth = [Person.from_dict(entry["person"]) for entry in json.loads((faces / "persons.json").read_text()).values()]
    for job, person, pictures in zip(plan.jobs, truth, drawn(truth, 2), strict=True):
        del person
        folder = layout.artifact_folder(*job.key)
        file = store.write(f"{folder}/{EMBEDDING_FILE}", dump_learned_embeds(torch.ones(2, 4), job.identity, {}))
        facts = {"norm": [10.0, 12.0], "norm_initial": [11.0, 11.0], "cosine_to_initial": [0.9, 0.8]}
        receipt = Receipt(
            kind="embedding", method=job.method, identity=job.identity, digest=job.digest, facts=facts,
            files={EMBEDDING_FILE: ReceiptFile(size=file.size, sha256=file.sha256)}, run={"seconds": 2.0},
        )  # fmt: skip
        write_receipt(store, f"{folder}/{layout.RECEIPT_FILE}", receipt)
        files = {}
        for picture, pixels in zip(plan.pictures(job), pictures, strict=False):
            data = io.BytesIO()
            Image.fromarray(pixels).save(data, "PNG")
            stored = store.write(f"{layout.images_folder(*job.key)}/{picture.name}", data.getvalue())
            digest = picture_digest(plan, picture)
            files[picture.name] = ReceiptFile(size=stored.size, sha256=stored.sha256, digest=digest)
        images = Receipt(kind="images", method=job.method, identity=job.identity, digest=job.digest, files=files)
        write_receipt(store, f"{layout.images_folder(*job.key)}/{layout.RECEIPT_FILE}", images)
    return plan


def test_a_finished_run_is_examined(tmp_path: Path, panel: DemoJudges) -> None:
    store = Store(str(tmp_path / "out"))
    a_run(store, tmp_path / "faces", tuple(Prompt(prompt_of(scene)) for scene in SCENES))
    found, sheets = examine_run(store, tmp_path / "faces", panel, among=20, seed=1)
    result = found["cross-init"]
    assert (result["persons"], result["failed"], result["among"], result["seconds_each"]) == (3, 0, 20, 2.0)
    assert (result["norm"], result["norm_start"]) == (11.0, 11.0) and result["cosine"] == pytest.approx(0.85)
    assert result["identity_photo"]["mean"] > 0.8
    assert sheets["cross-init"].width > 9 * 128


def test_a_run_on_other_prompts_or_faces_is_refused(tmp_path: Path, panel: DemoJudges) -> None:
    store = Store(str(tmp_path / "out"))
    with pytest.raises(RequestError, match=r"no plan\.json"):
        examine_run(store, tmp_path / "faces", panel, among=20, seed=1)
    a_run(store, tmp_path / "faces", (Prompt("a {} person"),))
    with pytest.raises(RequestError, match="no prompt 'a photo of a {} person'"):
        examine_run(store, tmp_path / "faces", panel, among=20, seed=1)
    with pytest.raises(RequestError, match=r"persons\.json cannot be read"):
        examine_run(store, tmp_path / "nowhere", panel, among=20, seed=1)
