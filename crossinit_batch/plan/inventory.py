"""What of a plan is done, new or stale: receipts against digests, in one listing of the output folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from crossinit_batch import layout
from crossinit_batch.methods.artifact import lists_artifact
from crossinit_batch.plan.digests import decided_parts, picture_digest
from crossinit_batch.plan.plan import Job, JobBatch, Plan, PlannedPicture
from crossinit_batch.plan.scores import prompts_scored
from crossinit_batch.plan.task import JobState, Task
from crossinit_batch.storage.receipts import Receipt, read_receipt
from crossinit_batch.storage.store import Store

Key = tuple[str, str]
_READERS = 8
"""Receipts that are read at once: in a bucket each is a request."""


@dataclass(frozen=True)
class Inventory:
    """The states of all jobs of a plan, and the files that the folder has, with their sizes.

    `orphans` are folders that hold results of jobs the plan does not have.
    """

    plan: Plan
    states: Mapping[Key, JobState]
    files: Mapping[str, int] = field(default_factory=dict)
    orphans: tuple[str, ...] = field(default=())

    def is_done(self, state: JobState) -> bool:
        return state.is_done(self.plan)

    def is_drawn(self, state: JobState) -> bool:
        return state.is_drawn(self.plan)

    @property
    def checkpoints(self) -> list[str]:
        """The files of batches that were interrupted."""
        return [name for name in self.files if name.startswith(f"{layout.CHECKPOINTS}/")]

    def pictures_scored(self, state: JobState) -> int:
        """How many of a job's pictures have scores."""
        return len(state.scored) * self.plan.render.images_per_prompt

    def pictures_to_judge(self, state: JobState) -> int:
        """How many of a job's pictures can be scored as they are: those of prompts of which all are drawn."""
        plan = self.plan
        complete = [
            all(picture.name in state.pictures for picture in plan.pictures_of_prompt(state.job, number))
            for number in range(len(plan.prompts))
        ]
        return sum(complete) * plan.render.images_per_prompt

    @property
    def pending(self) -> list[tuple[Job, bool]]:
        """Jobs with something left to do, each with whether it still needs its artifact."""
        return [(state.job, not state.has_artifact) for state in self.states.values() if not self.is_done(state)]

    def task(self, batch: JobBatch) -> Task:
        """A batch with the states of its jobs."""
        return Task(batch, tuple(self.states[batch.method, identity] for identity in batch.identities))

    def pending_of(self, batches: Sequence[JobBatch]) -> list[JobBatch]:
        """Those of some batches that have something left to do."""
        return [batch for batch in batches if not self.task(batch).is_done(self.plan)]

    @property
    def finished(self) -> bool:
        return all(self.is_done(state) for state in self.states.values())

    def again(self, store: Store, batches: Sequence[JobBatch]) -> Inventory:
        """The inventory with the jobs of these batches read again, since only they can have changed."""
        keys = {(batch.method, identity) for batch in batches for identity in batch.identities}
        jobs = [self.states[key].job for key in keys]
        files = store.listing()
        return replace(self, states={**self.states, **_states(store, self.plan, jobs, files)}, files=files)


def take_inventory(store: Store, plan: Plan) -> Inventory:
    """Compare the folder with the plan: one listing, and every receipt read once."""
    files = store.listing()
    states = _states(store, plan, plan.jobs, files)
    found = {
        str(PurePosixPath(name).parent)
        for name in files
        if name.endswith(f"/{layout.RECEIPT_FILE}") and name.count("/") == 2
    }
    planned = {layout.artifact_folder(*job.key) for job in plan.jobs}
    return Inventory(plan, states, files, tuple(sorted(found - planned)))


def _states(store: Store, plan: Plan, jobs: Collection[Job], files: Mapping[str, int]) -> dict[Key, JobState]:
    """The states of some jobs, in the order of the plan; jobs without any receipt cost no reading."""
    known = [job for job in jobs if f"{layout.artifact_folder(*job.key)}/{layout.RECEIPT_FILE}" in files]
    with ThreadPoolExecutor(_READERS, "read-receipts") as pool:
        read = dict(zip(known, pool.map(lambda job: _state(store, plan, job, files), known), strict=True))
    return {job.key: read.get(job) or JobState(job, "new", "", frozenset(), None) for job in jobs}


def _state(store: Store, plan: Plan, job: Job, files: Mapping[str, int]) -> JobState:
    """A job's state where its artifact has a receipt."""
    folder = layout.artifact_folder(*job.key)
    receipt = read_receipt(store, f"{folder}/{layout.RECEIPT_FILE}")
    if receipt is None or not lists_artifact(receipt, plan.method(job.method).artifact):
        return JobState(job, "stale", "its receipt is damaged", frozenset(), None)
    if receipt.digest != job.digest:
        return JobState(job, "stale", _difference(plan, job, receipt), frozenset(), None)
    missing = missing_files(receipt, folder, files)
    if missing:
        return JobState(job, "stale", f"missing or of another size: {', '.join(missing)}", frozenset(), None)
    images = _listed_receipt(store, layout.images_folder(*job.key), files)
    scores = _valid_scores(store, plan, job, files)
    return JobState(
        job,
        "done",
        "",
        _pictures_done(plan, job, images, files),
        receipt.run.get("seconds"),
        prompts_scored(plan, job, images, scores) if scores else frozenset(),
        receipt.prepared is None or receipt.prepared in files,
        _seconds_each(images),
        _seconds_each(scores),
    )


def _listed_receipt(store: Store, folder: str, files: Mapping[str, int]) -> Receipt | None:
    """The receipt of a folder, which is read only where the listing has it."""
    name = f"{folder}/{layout.RECEIPT_FILE}"
    return read_receipt(store, name) if name in files else None


def _pictures_done(plan: Plan, job: Job, receipt: Receipt | None, files: Mapping[str, int]) -> frozenset[str]:
    """The names of a job's pictures that exist as planned."""
    if receipt is None:
        return frozenset()
    folder = layout.images_folder(*job.key)
    return frozenset(picture.name for picture in plan.pictures(job) if _is_valid(receipt, folder, plan, picture, files))


def _valid_scores(store: Store, plan: Plan, job: Job, files: Mapping[str, int]) -> Receipt | None:
    """The receipt of a job's scores, where the plan has judges and its files are there."""
    folder = layout.scores_folder(*job.key)
    receipt = _listed_receipt(store, folder, files) if plan.judges else None
    return None if receipt is None or missing_files(receipt, folder, files) else receipt


def _seconds_each(receipt: Receipt | None) -> float | None:
    """The seconds that each picture of a receipt took, None where none was timed."""
    spent = receipt.run.get("seconds") if receipt else None
    if receipt is None or not isinstance(spent, int | float):
        return None
    pictures = receipt.facts.get("pictures", len(receipt.files))
    return float(spent) / pictures if pictures else None


def _is_valid(receipt: Receipt, folder: str, plan: Plan, picture: PlannedPicture, files: Mapping[str, int]) -> bool:
    file = receipt.files.get(picture.name)
    return (
        file is not None
        and files.get(f"{folder}/{picture.name}") == file.size
        and file.digest == picture_digest(plan, picture)
    )


def missing_files(receipt: Receipt, folder: str, files: Mapping[str, int]) -> list[str]:
    """The receipt's files that are missing or of another size."""
    return [name for name, file in receipt.files.items() if files.get(f"{folder}/{name}") != file.size]


def _difference(plan: Plan, job: Job, receipt: Receipt) -> str:
    """Which inputs differ between a stored result and the plan, for display."""
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
