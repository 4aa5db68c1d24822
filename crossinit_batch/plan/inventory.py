"""What of a plan is done, new or stale: receipts against digests, in one listing of the output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any, Literal

from crossinit_batch import layout
from crossinit_batch.events import JobFailed
from crossinit_batch.plan.plan import Job, JobBatch, Plan, PlannedPicture, identity_parts, method_parts, picture_digest
from crossinit_batch.plan.scores import cells_done
from crossinit_batch.storage.receipts import Receipt, read_receipt
from crossinit_batch.storage.store import Store


@dataclass(frozen=True)
class JobState:
    """One job: its embedding's state with the reason, the pictures that are done, by name, and the prompts scored.

    `has_initial`: the initial vector that its embedding started from is there.
    """

    job: Job
    embedding: Literal["done", "new", "stale"]
    why: str
    pictures: frozenset[str]
    seconds: float | None
    scored: frozenset[int] = frozenset()
    has_initial: bool = True

    @property
    def has_embedding(self) -> bool:
        return self.embedding == "done"


@dataclass(frozen=True)
class Inventory:
    """The states of all jobs of a plan, and the folders that hold results of jobs the plan does not have.

    `checkpoints` are the files of batches that were cut.
    """

    plan: Plan
    states: Mapping[tuple[str, str], JobState]
    orphans: tuple[str, ...] = field(default=())
    checkpoints: tuple[str, ...] = field(default=())

    def is_done(self, state: JobState) -> bool:
        return self.is_drawn(state) and (self.plan.judges is None or len(state.scored) == len(self.plan.prompts))

    def is_drawn(self, state: JobState) -> bool:
        """Whether only scores can be missing."""
        return state.has_embedding and state.has_initial and len(state.pictures) == self.plan.pictures_a_job

    def pictures_scored(self, state: JobState) -> int:
        """How many of a job's pictures have scores."""
        return len(state.scored) * self.plan.render.images_per_prompt

    def pictures_to_judge(self, state: JobState) -> int:
        """How many of a job's pictures can be scored as they stand: those of prompts that are drawn whole."""
        plan = self.plan
        whole = [
            all(picture.name in state.pictures for picture in plan.pictures_of_prompt(state.job, number))
            for number in range(len(plan.prompts))
        ]
        return sum(whole) * plan.render.images_per_prompt

    @property
    def pending(self) -> list[tuple[Job, bool]]:
        """Jobs with something left to do, each with whether it still needs its embedding."""
        return [(state.job, not state.has_embedding) for state in self.states.values() if not self.is_done(state)]

    def pending_of(self, batches: Sequence[JobBatch]) -> list[JobBatch]:
        """Those of some batches that have something left to do."""
        return [
            batch
            for batch in batches
            if not all(self.is_done(self.states[batch.method, identity]) for identity in batch.identities)
        ]

    @property
    def finished(self) -> bool:
        return all(self.is_done(state) for state in self.states.values())


def read_failures(store: Store) -> list[JobFailed]:
    """What failures.json says has failed; none where it is not there or not to be understood."""
    rows = (store.read_json(layout.FAILURES) or {}).get("failures")
    names = {field.name for field in fields(JobFailed)}
    whole = [row for row in rows if isinstance(row, dict) and row.keys() == names] if isinstance(rows, list) else []
    return [JobFailed(**{name: str(value) for name, value in row.items()}) for row in whole]


def take_inventory(store: Store, plan: Plan) -> Inventory:
    """Compare the folder with the plan."""
    sizes = store.listing()
    states = {job.key: _state(store, plan, job, sizes) for job in plan.jobs}
    found = {
        str(PurePosixPath(name).parent)
        for name in sizes
        if name.endswith(f"/{layout.RECEIPT_FILE}") and name.count("/") == 2
    }
    planned = {layout.embedding_folder(*job.key) for job in plan.jobs}
    checkpoints = tuple(name for name in sizes if name.startswith(f"{layout.CHECKPOINTS}/"))
    return Inventory(plan, states, tuple(sorted(found - planned)), checkpoints)


def _state(store: Store, plan: Plan, job: Job, sizes: Mapping[str, int]) -> JobState:
    folder = layout.embedding_folder(*job.key)
    receipt_name = f"{folder}/{layout.RECEIPT_FILE}"
    receipt = read_receipt(store, receipt_name) if receipt_name in sizes else None
    seconds = receipt.run.get("seconds") if receipt else None
    if receipt_name not in sizes:
        return JobState(job, "new", "", frozenset(), None)
    if receipt is None:
        return JobState(job, "stale", "its receipt is damaged", frozenset(), None)
    if receipt.digest != job.digest:
        return JobState(job, "stale", _difference(plan, job, receipt), frozenset(), None)
    missing = missing_files(receipt, folder, sizes)
    if missing:
        return JobState(job, "stale", f"missing or of another size: {', '.join(missing)}", frozenset(), None)
    images = _listed_receipt(store, layout.images_folder(*job.key), sizes)
    return JobState(
        job,
        "done",
        "",
        _pictures_done(plan, job, images, sizes),
        seconds,
        _prompts_scored(store, plan, job, images, sizes),
        "initial" not in receipt.facts or receipt.facts["initial"] in sizes,
    )


def _listed_receipt(store: Store, folder: str, sizes: Mapping[str, int]) -> Receipt | None:
    """The receipt of a folder, which is read only where the listing has it."""
    name = f"{folder}/{layout.RECEIPT_FILE}"
    return read_receipt(store, name) if name in sizes else None


def _pictures_done(plan: Plan, job: Job, receipt: Receipt | None, sizes: Mapping[str, int]) -> frozenset[str]:
    """The names of a job's pictures that stand as planned."""
    if receipt is None:
        return frozenset()
    folder = layout.images_folder(*job.key)
    return frozenset(picture.name for picture in plan.pictures(job) if _stands(receipt, folder, plan, picture, sizes))


def _prompts_scored(
    store: Store, plan: Plan, job: Job, images: Receipt | None, sizes: Mapping[str, int]
) -> frozenset[int]:
    """The prompts of a job whose scores stand as planned, of these pictures by these judges."""
    folder = layout.scores_folder(*job.key)
    receipt = _listed_receipt(store, folder, sizes) if plan.judges else None
    if receipt is None or missing_files(receipt, folder, sizes):
        return frozenset()
    return cells_done(plan, job, images, receipt)


def _stands(receipt: Receipt, folder: str, plan: Plan, picture: PlannedPicture, sizes: Mapping[str, int]) -> bool:
    file = receipt.files.get(picture.name)
    return (
        file is not None
        and sizes.get(f"{folder}/{picture.name}") == file.size
        and file.digest == picture_digest(plan, picture)
    )


def missing_files(receipt: Receipt, folder: str, sizes: Mapping[str, int]) -> list[str]:
    """The receipt's files that are not there in their size."""
    return [name for name, file in receipt.files.items() if sizes.get(f"{folder}/{name}") != file.size]


def decided_parts(plan: Plan, job: Job) -> dict[str, Any]:
    """What decides a job's embedding, kept in its receipt so that a later plan can say what has changed."""
    if job.source is not None:
        return {"identity": job.identity, "source": job.digest}
    return {
        **identity_parts(plan.people[job.identity]),
        **method_parts(plan.method(job.method), plan.model, plan.seed),
    }


def _difference(plan: Plan, job: Job, receipt: Receipt) -> str:
    """Which inputs differ between a stored result and the plan, for people."""
    before, now = _flat(receipt.facts.get("decided") or {}), _flat(decided_parts(plan, job))
    changed = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if old != new:
            short = all(len(str(value)) <= 24 for value in (old, new))
            changed.append(f"{key} {old} → {new}" if short else f"another {key}")
    return ", ".join(changed) or "made by another version"


def _flat(parts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in parts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
