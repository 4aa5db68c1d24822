"""A batch of jobs' pictures: embeddings x prompts x indices → picture files with their receipts."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from crossinit_batch import layout
from crossinit_batch.digest import image_seed
from crossinit_batch.errors import Interrupted, JobError
from crossinit_batch.events import DenoiseStepDone, JobFailed
from crossinit_batch.methods.embedding.formats import EmbeddingFile
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.compilation import keep_compiled
from crossinit_batch.model.sampling import denoise, encode_prompt
from crossinit_batch.plan.batches import balanced
from crossinit_batch.plan.estimate import DECODING, drawing
from crossinit_batch.plan.plan import Job, JobBatch, PlannedPicture
from crossinit_batch.report.stored_embedding import stored_embedding
from crossinit_batch.storage.receipts import read_receipt
from crossinit_batch.worker.context import RunContext
from crossinit_batch.worker.save import DrawnPicture, PictureSaver
from crossinit_batch.worker.timings import Pace


class PictureBatch:
    """Draws the pictures of one batch of jobs; a fixed list cut into fixed chunks, so that a resumed run repeats it."""

    def __init__(self, context: RunContext, model: BaseModel, batch: JobBatch, empty: Tensor) -> None:
        self.context, self.model, self.batch, self.empty = context, model, batch, empty
        self.embeddings: dict[tuple[str, str], EmbeddingFile] = {}
        self.states: dict[tuple[tuple[str, str], int], Tensor] = {}
        self.pace = Pace(context, model.device)

    def draw(self) -> None:
        """Draw and store every picture that is missing; Interrupted where asked to stop."""
        plan = self.context.plan
        jobs = self.context.jobs_of(self.batch)
        done = {job.key: self.context.inventory.states[job.key].pictures for job in jobs}
        if all(len(done[job.key]) == plan.pictures_a_job for job in jobs):
            return
        self._load_embeddings(jobs)
        chunks = balanced([picture for job in jobs for picture in plan.pictures(job)], plan.compute.pictures)
        # A compiled U-Net is made for one shape, so every batch of the run has it.
        size = plan.compute.pictures if plan.compute.compiles("drawing") else max(len(chunk) for chunk in chunks)
        with PictureSaver(self.context) as saver:
            for chunk in chunks:
                missing = [
                    picture
                    for picture in chunk
                    if picture.name not in done[picture.job.key] and picture.job not in saver.failed
                ]
                began = time.monotonic()
                if drawn := self._draw_chunk(chunk, missing, size):
                    seconds = (time.monotonic() - began) / len(drawn)
                    saver.save(drawn, seconds, self.model.reduced("drawing", "decoding"))
        self.pace.keep()
        if self.model.compiled_drawing is not None:
            keep_compiled(self.model, plan.model.dtype, "drawing")

    def _load_embeddings(self, jobs: Sequence[Job]) -> None:
        """Read the embeddings of the jobs that have one; those that have none failed before."""
        for job in jobs:
            folder = layout.embedding_folder(*job.key)
            receipt = read_receipt(self.context.store, f"{folder}/{layout.RECEIPT_FILE}")
            if receipt is None or receipt.digest != job.digest:
                continue
            try:
                self.embeddings[job.key] = stored_embedding(self.context.store, receipt)
            except JobError as error:
                self.context.report(JobFailed(*job.key, "render", error.message, error.hint))

    def _draw_chunk(
        self, chunk: Sequence[PlannedPicture], missing: Sequence[PlannedPicture], size: int
    ) -> list[DrawnPicture]:
        """Denoise and decode a chunk together, filled up to `size`: those of its pictures that are missing."""
        missing = self._wearable(missing)
        if not missing:
            return []
        if self.context.stop:
            raise Interrupted("stopped between two groups of pictures")
        plan, model = self.context.plan, self.model
        states = self._chunk_states(chunk)
        missing = self._wearable(missing)
        if not missing:
            return []
        seeds = [image_seed(plan.seed, picture.prompt.text, picture.index) for picture in chunk]
        places = size - len(chunk)
        model.counters.padding += places * plan.render.evaluations

        def on_step(step: int) -> bool:
            self.context.report(DenoiseStepDone(self.batch.method, len(missing), step, plan.render.steps))
            return not self.context.stop or step == plan.render.steps

        rows = torch.cat(states + [self.empty] * places)
        began = self.pace.clock()
        latents = denoise(model, rows, self.empty, seeds + [0] * places, plan.render, on_step)
        if latents is None:
            raise Interrupted("stopped while drawing")
        finite = torch.isfinite(latents).flatten(1).all(dim=1).tolist()
        denoised = self.pace.clock()
        pixels = model.decode(latents)
        self.pace.add(drawing(plan), denoised - began, size * plan.render.evaluations)
        self.pace.add(DECODING, self.pace.clock() - denoised, size)
        for picture, is_finite in zip(chunk, finite, strict=False):
            if not is_finite and picture in self._wearable(missing):
                self._give_up(picture.job, "what was denoised is not a finite number", "Use another `dtype:`.")
        kept = self._wearable(missing)
        return [
            DrawnPicture(picture, seed, pixels[number])
            for number, (picture, seed) in enumerate(zip(chunk, seeds, strict=True))
            if picture in kept
        ]

    def _wearable(self, pictures: Sequence[PlannedPicture]) -> list[PlannedPicture]:
        """The pictures whose job has an embedding and has not been given up."""
        return [picture for picture in pictures if picture.job.key in self.embeddings]

    def _chunk_states(self, chunk: Sequence[PlannedPicture]) -> list[Tensor]:
        """The text states of each picture of a chunk; each text is encoded once, and kept for the next chunk."""
        states: dict[tuple[tuple[str, str], int], Tensor] = {}
        for picture in chunk:
            key = (picture.job.key, picture.number)
            embedding = self.embeddings.get(picture.job.key)
            if embedding is None:
                states[key] = self.empty
            elif key not in states:
                try:
                    states[key] = self.states[key] if key in self.states else self._encoded(picture, embedding)
                except JobError as error:
                    self._give_up(picture.job, error.message, error.hint)
                    states[key] = self.empty
        self.states = states
        return [states[picture.job.key, picture.number] for picture in chunk]

    def _encoded(self, picture: PlannedPicture, embedding: EmbeddingFile) -> Tensor:
        return encode_prompt(self.model, picture.prompt.text, embedding.v, embedding.stand_in)

    def _give_up(self, job: Job, reason: str, hint: str) -> None:
        """Report a job as failed and draw no more of its pictures."""
        self.context.report(JobFailed(*job.key, "render", reason, hint))
        del self.embeddings[job.key]
