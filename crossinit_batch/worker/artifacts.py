"""Storing artifacts: published with their receipt, or imported from files."""

from __future__ import annotations

import time
from typing import Any

from crossinit_batch import layout
from crossinit_batch.errors import EmbeddingError, JobError
from crossinit_batch.events import ArtifactDone, JobFailed
from crossinit_batch.methods.artifact import Artifact
from crossinit_batch.methods.learner import Learned, Prepared
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.plan.digests import decided_parts
from crossinit_batch.plan.imported import read_artifact
from crossinit_batch.plan.plan import Job
from crossinit_batch.plan.task import Task
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.publication import is_published, publishing
from crossinit_batch.storage.receipts import Receipt, ReceiptFile, write_receipt
from crossinit_batch.storage.store import Store
from crossinit_batch.worker.context import RunContext


def store_prepared(store: Store, prepared: Prepared) -> None:
    """Store what a method prepared once beside its results, where it is not there complete."""
    if not all(is_published(store, prepared.group, name) for name in prepared.files):
        with publishing(store, prepared.group) as files:
            for name, data in prepared.files.items():
                files.write(name, data)


def store_artifact(context: RunContext, job: Job, learned: Learned, run: dict[str, Any]) -> None:
    """Publish a job's artifact and further files, then its receipt with `run` as what differs from run to run."""
    plan, folder, kind = context.plan, layout.artifact_folder(*job.key), learned.artifact.kind
    metadata = {
        "identity": job.identity,
        "method": job.method,
        "base_model": plan.model.label,
        "base_model_revision": plan.model.revision or "",
        "base_model_fingerprint": plan.model.fingerprint,
        "digest": job.digest,
        "crossinit": plan.version,
    }
    contents = {**learned.artifact.dump(job.identity, metadata), **learned.files}
    receipt_name = f"{folder}/{layout.RECEIPT_FILE}"
    context.store.remove(receipt_name)  # an old one would list other bytes
    files = {}
    for name, content in contents.items():
        stored = context.store.write(f"{folder}/{name}", content)
        files[name] = ReceiptFile(size=stored.size, sha256=stored.sha256)
    is_embedding = kind.name == "embedding"
    receipt = Receipt(
        kind="embedding" if is_embedding else "artifact",
        method=job.method,
        identity=job.identity,
        digest=job.digest,
        files=files,
        facts={
            **learned.facts,
            **({} if is_embedding else {"artifact": kind.name}),
            "decided": decided_parts(plan, job),
        },
        run=run,
    )
    write_receipt(context.store, receipt_name, receipt)
    context.report(ArtifactDone(*job.key, run["seconds"], kind.name))


def import_artifacts(context: RunContext, model: BaseModel, task: Task) -> None:
    """Copy imported artifacts into the output folder, so that it holds all that its pictures were made from."""
    for state in task.states:
        job = state.job
        if state.has_artifact:
            continue
        began = time.monotonic()
        try:
            artifact = _imported_artifact(context, model, job)
            run = context.run_facts(time.monotonic() - began)
            store_artifact(context, job, Learned(artifact, artifact.facts()), run)
        except JobError as error:
            context.report(JobFailed(*job.key, "embedding", error.message, error.hint))


def _imported_artifact(context: RunContext, model: BaseModel, job: Job) -> Artifact:
    """The artifact in a job's source files; JobError where it can't be used with this model."""
    assert job.source is not None
    kind = context.plan.method(job.method).artifact
    files = {kind.main_file: _source_bytes(job.source)}
    for name in kind.files[1:]:
        files[name] = _source_bytes(f"{job.source.rpartition('/')[0]}/{name}")
    artifact = kind.load(files, job.source, allow_pickle=context.allow_pickle)
    artifact.check(model, job.source)
    return artifact


def _source_bytes(path: str) -> bytes:
    try:
        return read_artifact(path)
    except OSError as error:
        raise EmbeddingError(f"{path}: cannot be read: {reason_of(error)}", "Put it back, then resume.") from None
