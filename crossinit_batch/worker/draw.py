"""Drawing a batch of jobs' pictures: artifacts x prompts x indices → picture files with their receipts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from crossinit_batch import layout
from crossinit_batch.digest import image_seed
from crossinit_batch.errors import Interrupted, JobError
from crossinit_batch.events import DenoiseStepDone, JobFailed
from crossinit_batch.methods.artifact import Artifact, Conditioner, stored_artifact
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.compilation import keep_compiled
from crossinit_batch.model.conditioning import Conditioning, encode_plain
from crossinit_batch.model.sampling import denoise
from crossinit_batch.plan.batches import balanced
from crossinit_batch.plan.estimate import DECODING, drawing
from crossinit_batch.plan.plan import Job, JobBatch, PlannedPicture
from crossinit_batch.plan.task import Task
from crossinit_batch.prompts import SLOT
from crossinit_batch.storage.receipts import read_receipt
from crossinit_batch.worker.context import RunContext
from crossinit_batch.worker.save import DrawnPicture, PictureSaver
from crossinit_batch.worker.timings import Timings


@dataclass
class Drawing:
    """Draws the batches of a run; what is encoded once a worker is kept here."""

    context: RunContext
    model: BaseModel

    def draw(self, task: Task) -> None:
        """Draw and store every picture of a task that is missing; Interrupted where asked to stop."""
        PictureBatch(self.context, self.model, task, self.empty).draw()

    @cached_property
    def empty(self) -> Conditioning:
        """The negative prompt's conditioning."""
        return encode_plain(self.model, self.context.plan.render.negative_prompt.replace(SLOT, ""))


class PictureBatch:
    """Draws the pictures of one batch of jobs; a fixed list cut into fixed chunks, so that a resumed run repeats it."""

    def __init__(self, context: RunContext, model: BaseModel, task: Task, empty: Conditioning) -> None:
        self.context, self.model, self.task, self.empty = context, model, task, empty
        self.batch: JobBatch = task.batch
        self.kind = context.plan.method(task.batch.method).artifact
        self.artifacts: dict[Job, Artifact] = {}
        self.conditioners: dict[Job, Conditioner] = {}
        self.rows: dict[tuple[Job, int], Conditioning] = {}
        self.timings = Timings(context, model.device)

    def draw(self) -> None:
        """Draw and store every picture that is missing; Interrupted where asked to stop."""
        plan, task = self.context.plan, self.task
        done = {state.job: state.pictures for state in task.states}
        if all(len(pictures) == plan.pictures_a_job for pictures in done.values()):
            return
        self._load_artifacts(task.jobs)
        chunks = self._chunks()
        # A compiled U-Net is made for one shape, so every batch of the run has it.
        size = plan.compute.pictures if plan.compute.compiles("drawing") else max(len(chunk) for chunk in chunks)
        with PictureSaver(self.context, task.jobs) as saver:
            for chunk in chunks:
                missing = [
                    picture
                    for picture in chunk
                    if picture.name not in done[picture.job] and picture.job not in saver.failed
                ]
                began = time.monotonic()
                if drawn := self._draw_chunk(chunk, missing, size):
                    seconds = (time.monotonic() - began) / len(drawn)
                    saver.save(drawn, seconds, self.model.reduced("drawing", "decoding"))
        self.timings.keep()
        if self.model.compiled_drawing is not None and self.kind.shares_unet:
            keep_compiled(self.model, plan.model.dtype, "drawing")

    def _chunks(self) -> list[Sequence[PlannedPicture]]:
        """All pictures of the batch in groups denoised together: of one identity where the U-Net is changed."""
        plan, jobs = self.context.plan, self.task.jobs
        groups = [jobs] if self.kind.shares_unet else [[job] for job in jobs]
        return [
            chunk
            for group in groups
            for chunk in balanced([picture for job in group for picture in plan.pictures(job)], plan.compute.pictures)
        ]

    def _load_artifacts(self, jobs: Sequence[Job]) -> None:
        """Read the artifacts of the jobs that have one; those that have none failed before."""
        for job in jobs:
            receipt = read_receipt(self.context.store, f"{layout.artifact_folder(*job.key)}/{layout.RECEIPT_FILE}")
            if receipt is None or receipt.digest != job.digest:
                continue
            try:
                artifact = stored_artifact(self.context.store, receipt, self.kind)
                self.conditioners[job] = artifact.conditioner(self.model)
                self.artifacts[job] = artifact
            except JobError as error:
                self.context.report(JobFailed(*job.key, "render", error.message, error.hint))

    def _draw_chunk(
        self, chunk: Sequence[PlannedPicture], missing: Sequence[PlannedPicture], size: int
    ) -> list[DrawnPicture]:
        """Denoise and decode a chunk together, filled up to `size`: those of its pictures that are missing."""
        missing = self._drawable(missing)
        if not missing:
            return []
        if self.context.stop:
            raise Interrupted("stopped between two groups of pictures")
        plan, model = self.context.plan, self.model
        rows = self._chunk_rows(chunk)
        missing = self._drawable(missing)
        if not missing:
            return []
        seeds = [image_seed(plan.seed, picture.prompt.text, picture.index) for picture in chunk]
        padding = size - len(chunk)
        model.counters.padding += padding * plan.render.evaluations

        def on_step(step: int) -> bool:
            self.context.report(DenoiseStepDone(self.batch.method, len(missing), step, plan.render.steps))
            return not self.context.stop or step == plan.render.steps

        conditioning = Conditioning.stack(rows + [self.empty] * padding)
        began = self.timings.clock()
        with self._attached(missing[0].job):
            latents = denoise(model, conditioning, self.empty, seeds + [0] * padding, plan.render, on_step)
        if latents is None:
            raise Interrupted("stopped while drawing")
        finite = torch.isfinite(latents).flatten(1).all(dim=1).tolist()
        denoised = self.timings.clock()
        pixels = model.decode(latents)
        self.timings.add(drawing(plan), denoised - began, size * plan.render.evaluations)
        self.timings.add(DECODING, self.timings.clock() - denoised, size)
        for picture, is_finite in zip(chunk, finite, strict=False):
            if not is_finite and picture in self._drawable(missing):
                self._give_up(picture.job, "what was denoised is not a finite number", "Use another `dtype:`.")
        kept = self._drawable(missing)
        return [
            DrawnPicture(picture, seed, pixels[number], self.artifacts[picture.job].placeholder(picture.job.identity))
            for number, (picture, seed) in enumerate(zip(chunk, seeds, strict=True))
            if picture in kept
        ]

    @contextlib.contextmanager
    def _attached(self, job: Job) -> Iterator[None]:
        """While open a job's artifact is attached to the U-Net, where its kind changes the U-Net."""
        if self.kind.shares_unet:
            yield
            return
        with self.model.plain_unet(), self.conditioners[job].attached():
            yield

    def _drawable(self, pictures: Sequence[PlannedPicture]) -> list[PlannedPicture]:
        """The pictures whose job has an artifact and has not failed."""
        return [picture for picture in pictures if picture.job in self.conditioners]

    def _chunk_rows(self, chunk: Sequence[PlannedPicture]) -> list[Conditioning]:
        """The conditioning of each picture of a chunk; each text is encoded once, and kept for the next chunk."""
        rows: dict[tuple[Job, int], Conditioning] = {}
        for picture in chunk:
            key = (picture.job, picture.number)
            conditioner = self.conditioners.get(picture.job)
            if conditioner is None:
                rows[key] = self.empty
            elif key not in rows:
                try:
                    rows[key] = self.rows[key] if key in self.rows else conditioner.conditioning(picture.prompt.text)
                except JobError as error:
                    self._give_up(picture.job, error.message, error.hint)
                    rows[key] = self.empty
        self.rows = rows
        return [rows[picture.job, picture.number] for picture in chunk]

    def _give_up(self, job: Job, reason: str, hint: str) -> None:
        """Report a job as failed and draw no more of its pictures."""
        self.context.report(JobFailed(*job.key, "render", reason, hint))
        del self.conditioners[job]
