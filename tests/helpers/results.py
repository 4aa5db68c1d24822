"""Stored results without any model: a plan of two people by one method, with receipts and files made by hand."""

from __future__ import annotations

import torch

from crossinit_batch import layout
from crossinit_batch.digest import digest_of
from crossinit_batch.methods.embedding.formats import dump_learned_embeds
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.methods.planned import LearnedMethod
from crossinit_batch.methods.registry import presets
from crossinit_batch.plan.digests import decided_parts, identity_parts, method_parts, picture_digest
from crossinit_batch.plan.frozen import write_plan
from crossinit_batch.plan.plan import Job, Photograph, Plan, PlannedIdentity, PlannedModel
from crossinit_batch.prompts import Prompt
from crossinit_batch.settings import ComputeSettings, ModelSettings, RenderSettings
from crossinit_batch.storage.receipts import Receipt, ReceiptFile, write_receipt
from crossinit_batch.storage.store import Store


def a_plan(*, methods: tuple[str, ...] = ("cross-init",), seed: int = 0, images: int = 2) -> Plan:
    """Ada and Bob, one prompt."""
    model = PlannedModel(
        settings=ModelSettings(id="some/model"), revision="c0ffee", fingerprint="f" * 64, dtype="float32"
    )
    people = tuple(
        PlannedIdentity(id=name, photographs=(Photograph(path=f"/{name}.png", sha256=digit * 64),))
        for name, digit in (("ada", "a"), ("bob", "b"))
    )
    chosen = tuple(LearnedMethod(name, name, presets()[name]) for name in methods)
    return Plan(
        name="small",
        seed=seed,
        model=model,
        methods=chosen,
        prompts=(Prompt("a {} person"),),
        render=RenderSettings(images_per_prompt=images),
        compute=ComputeSettings(),
        identities=people,
        jobs=tuple(
            Job(
                method=method.name,
                identity=person.id,
                digest=digest_of("embedding", {**identity_parts(person), **method_parts(method, model, seed)}),
            )
            for method in chosen
            for person in people
        ),
    )


def vector_of(job: Job) -> torch.Tensor:
    """Some v (2, 4) that no other job has."""
    return torch.linspace(0.1, 1, 8).reshape(2, 4) * (1 + int(job.digest[:4], 16))


def store_embedding(store: Store, plan: Plan, job: Job, seconds: float = 2.0, *, anchor: bool = False) -> None:
    """As the program leaves it: file, then receipt; with a `anchor` as one of the text encoder's output."""
    folder = layout.artifact_folder(*job.key)
    data = dump_learned_embeds(vector_of(job), job.identity, {}, torch.ones(2, 4) if anchor else None)
    stored = store.write(f"{folder}/{EMBEDDING_FILE}", data)
    receipt = Receipt(
        kind="embedding",
        method=job.method,
        identity=job.identity,
        digest=job.digest,
        files={EMBEDDING_FILE: ReceiptFile(size=stored.size, sha256=stored.sha256)},
        facts={"decided": decided_parts(plan, job)},
        run={"seconds": seconds},
    )
    write_receipt(store, f"{folder}/{layout.RECEIPT_FILE}", receipt)


def store_pictures(store: Store, plan: Plan, job: Job) -> None:
    """Every picture of a job, and their receipt."""
    folder, files = layout.images_folder(*job.key), {}
    for picture in plan.pictures(job):
        stored = store.write(f"{folder}/{picture.name}", f"{job.key} {picture.name}".encode())
        digest = picture_digest(plan, picture)
        files[picture.name] = ReceiptFile(size=stored.size, sha256=stored.sha256, digest=digest)
    receipt = Receipt(kind="images", method=job.method, identity=job.identity, digest=job.digest, files=files)
    write_receipt(store, f"{folder}/{layout.RECEIPT_FILE}", receipt)


def store_all(store: Store, plan: Plan) -> None:
    """A finished run."""
    write_plan(store, plan)
    for job in plan.jobs:
        store_embedding(store, plan, job)
        store_pictures(store, plan, job)
