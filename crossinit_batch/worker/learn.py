"""A batch of jobs' embeddings: photographs → moments → optimisation → embedding files with their receipts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.errors import EmbeddingError, Interrupted, JobError, PhotographError
from crossinit_batch.events import CheckpointSaved, EmbeddingDone, JobFailed, StepDone, Warned
from crossinit_batch.images.photograph import open_photograph, square, to_samples
from crossinit_batch.methods.embedding.conditioning import stand_in_of
from crossinit_batch.methods.embedding.formats import EmbeddingFile, dump_learned_embeds, read_embedding
from crossinit_batch.methods.embedding.initial_vector import InitialVector
from crossinit_batch.methods.embedding.losses import dump_losses
from crossinit_batch.methods.embedding.optimization import Optimization, Progress, Subject
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.plan.estimate import LEARNING
from crossinit_batch.plan.inventory import decided_parts
from crossinit_batch.plan.plan import Job, JobBatch, Photograph
from crossinit_batch.settings import EmbeddingSettings
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.publication import is_published, publishing
from crossinit_batch.storage.receipts import Receipt, ReceiptFile, write_receipt
from crossinit_batch.storage.store import Store, read_source
from crossinit_batch.storage.tensor_file import TensorFileError
from crossinit_batch.worker.context import RunContext
from crossinit_batch.worker.model_setup import check_compiled_learning
from crossinit_batch.worker.timings import Pace

_REPORT_EVERY_ON_GPU = 10
"""Steps between two looks at the loss on a GPU: each look waits for the device."""


def learn_batch(context: RunContext, model: BaseModel, batch: JobBatch, start: InitialVector) -> None:
    """Learn the embeddings of a batch that are not there yet and store them; Interrupted where asked to stop.

    All members take part even where some are done already, since who shares a batch decides the last bits.
    """
    settings = context.plan.method(batch.method).learned
    missing = [job for job in context.jobs_of(batch) if not context.inventory.states[job.key].has_embedding]
    if not missing:
        return
    began = time.monotonic()
    members: list[tuple[Job, Subject]] = []
    for job in context.jobs_of(batch):
        try:
            members.append((job, _subject(context, model, job, settings)))
        except JobError as error:
            if job in missing:
                context.report(JobFailed(*job.key, "photograph", error.message, error.hint))
            else:
                context.report(Warned(f"{error.message}; its embedding is done, but its company learns without it"))
    if not any(job in missing for job, _ in members):
        return
    digests = [job.digest for job, _ in members]
    checkpoint = layout.checkpoint(batch.digest)
    progress = _load_checkpoint(context, checkpoint, digests)
    subjects, stand_in = [subject for _, subject in members], stand_in_of(settings, start)
    fill_to = _fill_to(context, batch) if model.compiled_learning is not None else 0
    check_compiled_learning(model, context, max(fill_to, len(subjects)) * settings.batch_size)
    optimization = Optimization(model, subjects, start.v_init, settings, context.plan.seed, progress, stand_in, fill_to)
    _optimize(context, optimization, batch.method, digests, checkpoint)
    seconds = (time.monotonic() - began) / len(members)
    final = optimization.snapshot()
    store_initial(context.store, start)
    run = {**context.run_facts(seconds), **model.reduced("learning")}
    for number, (job, _) in enumerate(members):
        if job in missing:
            _store_learned(context, job, final, number, start, run)
    context.store.remove(checkpoint)


def _fill_to(context: RunContext, batch: JobBatch) -> int:
    """The identities of the method's largest batch."""
    same = [one for one in context.plan.batches if one.method == batch.method and one.work == batch.work]
    return max(len(one.identities) for one in same)


def _subject(context: RunContext, model: BaseModel, job: Job, settings: EmbeddingSettings) -> Subject:
    """A job's photographs and their mirror images as latent moments; PhotographError for one that can't be used."""
    means, stds = [], []
    for photograph in context.plan.people[job.identity].photographs:
        image = open_photograph(photograph_bytes(photograph), photograph.path)
        upright = torch.from_numpy(to_samples(square(image, model.native_size, settings.crop)))
        moments = [model.encode_image(picture[None]) for picture in (upright, upright.flip(2))]
        means.append(torch.cat([mean for mean, _ in moments]))
        stds.append(torch.cat([std for _, std in moments]))
    return Subject(job.identity, torch.stack(means).cpu(), torch.stack(stds).cpu())


def photograph_bytes(photograph: Photograph) -> bytes:
    """The bytes of a planned photograph; PhotographError where they are not the ones that were planned."""
    if photograph.problem:
        raise PhotographError(
            f"{photograph.path}: {photograph.problem}", "Check the file, then run the manifest again."
        )
    try:
        data = read_source(photograph.path)
    except OSError as error:
        raise PhotographError(
            f"{photograph.path}: cannot be read: {reason_of(error)}", "Put it back, then `crossinit resume`."
        ) from None
    if sha256(data) != photograph.sha256:
        raise PhotographError(
            f"{photograph.path}: has changed since the plan was made",
            "Run the manifest again to plan with the picture as it is now.",
        )
    return data


def _load_checkpoint(context: RunContext, name: str, digests: Sequence[str]) -> Progress | None:
    data = context.store.read(name)
    if data is None:
        return None
    try:
        progress = Progress.load(data, name, digests)
    except TensorFileError:
        progress = None
    if progress is None:
        context.report(Warned(f"{name} is damaged or belongs to other jobs; these embeddings start again"))
    return progress


def _optimize(
    context: RunContext, optimization: Optimization, method: str, digests: Sequence[str], checkpoint: str
) -> None:
    """Run to the last step, with a checkpoint now and then and at the end; Interrupted where asked to stop."""
    identities = tuple(subject.identity for subject in optimization.subjects)
    steps = optimization.settings.steps
    look_every = 1 if optimization.model.device.type == "cpu" else _REPORT_EVERY_ON_GPU
    compute, saved, told = context.plan.compute, time.monotonic(), optimization.step

    def save() -> None:
        nonlocal saved
        context.store.write(checkpoint, optimization.snapshot().dump(digests))
        saved = time.monotonic()

    def is_due(step: int) -> bool:
        late = time.monotonic() - saved >= compute.checkpoint_minutes * 60
        return (late or step % compute.checkpoint_every == 0) and step < steps and not context.stop

    def on_step(step: int, loss: Callable[[], float]) -> bool:
        nonlocal told
        if step % look_every == 0 or step == steps:
            context.report(StepDone(method, identities, step, steps, loss(), step - told))
            told = step
        if is_due(step):
            save()
            context.report(CheckpointSaved(method, identities, step))
        return not context.stop

    pace = Pace(context, optimization.model.device)
    began, done = pace.clock(), optimization.step
    finished = optimization.run(on_step)
    samples = (optimization.step - done) * len(identities) * optimization.settings.batch_size
    pace.add(LEARNING[optimization.settings.place], pace.clock() - began, samples)
    pace.keep()
    save()
    if not finished:
        raise Interrupted(f"stopped at step {optimization.step} of {steps}")


def _store_learned(
    context: RunContext, job: Job, final: Progress, number: int, start: InitialVector, run: dict[str, Any]
) -> None:
    """Store one learned embedding with its losses and receipt, or report why there is none."""
    failed_at = int(final.failed_at[number])
    if failed_at >= 0:
        context.report(
            JobFailed(
                *job.key,
                "optimisation",
                f"the loss was not finite at step {failed_at + 1}",
                "Lower the learning rate, or use `dtype: float32`.",
            )
        )
        return
    v, losses = final.v[number], final.losses[:, number]
    facts = {
        "steps": final.step,
        "loss_last_10": float(losses[-10:, 0].mean()),
        "norm": [float(row.norm()) for row in v],
        "norm_initial": [float(row.norm()) for row in start.v_init],
        "cosine_to_initial": [float(cosine) for cosine in torch.cosine_similarity(v, start.v_init)],
        "initial": layout.initial_vector(start.digest),
    }
    extra = {layout.LOSSES_FILE: dump_losses(losses, final.trajectory[:, number])}
    stand_in = stand_in_of(context.plan.method(job.method).learned, start)
    _store_embedding(context, job, EmbeddingFile(v, stand_in=stand_in), facts, extra, run)


def store_initial(store: Store, start: InitialVector) -> None:
    """Keep the initial vector that a batch starts from beside what comes of it, where it does not stand there whole."""
    name, group = layout.initial_vector(start.digest), f"initial-{start.digest[:16]}"
    if not is_published(store, group, name):
        with publishing(store, group) as files:
            files.write(name, start.dump())


def _store_embedding(
    context: RunContext,
    job: Job,
    embedding: EmbeddingFile,
    facts: dict[str, object],
    extra: dict[str, bytes],
    run: dict[str, Any],
) -> None:
    """Publish a job's embedding and further files, then its receipt with `run` as what differs from run to run."""
    plan, folder = context.plan, layout.embedding_folder(*job.key)
    metadata = {
        "identity": job.identity,
        "method": job.method,
        "base_model": plan.model.label,
        "base_model_revision": plan.model.revision or "",
        "base_model_fingerprint": plan.model.fingerprint,
        "digest": job.digest,
        "crossinit": plan.version,
    }
    receipt_name = f"{folder}/{layout.RECEIPT_FILE}"
    context.store.remove(receipt_name)  # one that stood here is of other bytes from now on
    data = dump_learned_embeds(embedding.v, job.identity, metadata, embedding.stand_in)
    contents = {layout.EMBEDDING_FILE: data, **extra}
    files = {}
    for name, content in contents.items():
        stored = context.store.write(f"{folder}/{name}", content)
        files[name] = ReceiptFile(size=stored.size, sha256=stored.sha256)
    receipt = Receipt(
        kind="embedding",
        method=job.method,
        identity=job.identity,
        digest=job.digest,
        files=files,
        facts={**facts, "decided": decided_parts(plan, job)},
        run=run,
    )
    write_receipt(context.store, receipt_name, receipt)
    context.report(EmbeddingDone(*job.key, run["seconds"]))


def import_batch(context: RunContext, model: BaseModel, batch: JobBatch) -> None:
    """Copy given embeddings into the output folder, so that it holds all that its pictures were made from."""
    for job in context.jobs_of(batch):
        if context.inventory.states[job.key].has_embedding:
            continue
        began = time.monotonic()
        try:
            given = _given_embedding(context, model, job)
        except JobError as error:
            context.report(JobFailed(*job.key, "embedding", error.message, error.hint))
            continue
        facts: dict[str, object] = {"norm": [float(row.norm()) for row in given.v]}
        _store_embedding(context, job, given, facts, {}, context.run_facts(time.monotonic() - began))


def _given_embedding(context: RunContext, model: BaseModel, job: Job) -> EmbeddingFile:
    """The embedding in a job's source file; EmbeddingError where it can't be used with this model."""
    assert job.source is not None
    try:
        data = read_source(job.source)
    except OSError as error:
        raise EmbeddingError(f"{job.source}: cannot be read: {reason_of(error)}", "Put it back, then resume.") from None
    given = read_embedding(data, job.source, allow_pickle=context.allow_pickle)
    if given.v.shape[1] != model.width:
        raise EmbeddingError(
            f"{job.source}: its vectors are {given.v.shape[1]} wide, the model's token embeddings {model.width}",
            "Use the base model that it was learned on: 768 is Stable Diffusion 1.x, 1024 is 2.x.",
        )
    return given
