"""A batch of jobs' pictures: embeddings x prompts x indices → PNG files with their receipts."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from crossinit_batch import __version__, layout
from crossinit_batch.base_model import BaseModel
from crossinit_batch.context import RunContext
from crossinit_batch.digest import image_seed, sha256
from crossinit_batch.errors import EmbeddingError, Interrupted, JobError
from crossinit_batch.events import DenoiseStepDone, ImagesDone, JobFailed
from crossinit_batch.formats import read_embedding, token_of
from crossinit_batch.picture_text import SAMPLER_NAMES, PictureFacts, png_bytes
from crossinit_batch.plan import Job, JobBatch, PlannedPicture, balanced, picture_digest
from crossinit_batch.receipts import Receipt, ReceiptFile, read_receipt, write_receipt
from crossinit_batch.render import denoise, encode_prompt


class PictureBatch:
    """Draws the pictures of one batch of jobs; a fixed list cut into fixed chunks, so that a resumed run repeats it."""

    def __init__(self, context: RunContext, model: BaseModel, batch: JobBatch, empty: Tensor) -> None:
        self.context, self.model, self.batch, self.empty = context, model, batch, empty
        self.embeddings: dict[tuple[str, str], Tensor] = {}
        self.states: dict[tuple[tuple[str, str], int], Tensor] = {}

    def draw(self) -> None:
        """Draw and store every picture that is missing; Interrupted where asked to stop."""
        plan = self.context.plan
        jobs = self.context.jobs_of(self.batch)
        done = {job.key: self.context.inventory.states[job.key].pictures for job in jobs}
        if all(len(done[job.key]) == plan.pictures_a_job for job in jobs):
            return
        self._load_embeddings(jobs)
        chunks = balanced([picture for job in jobs for picture in plan.pictures(job)], plan.compute.images_per_batch)
        size = max(len(chunk) for chunk in chunks)
        for chunk in chunks:
            missing = [
                picture
                for picture in chunk
                if picture.job.key in self.embeddings and picture.name not in done[picture.job.key]
            ]
            if missing:
                self._draw_chunk(chunk, missing, size)

    def _load_embeddings(self, jobs: Sequence[Job]) -> None:
        """Read the embeddings of the jobs that have one; those that have none failed before."""
        for job in jobs:
            folder = layout.embedding_folder(*job.key)
            receipt = read_receipt(self.context.store, f"{folder}/{layout.RECEIPT_FILE}")
            if receipt is None or receipt.digest != job.digest:
                continue
            try:
                self.embeddings[job.key] = self._embedding(f"{folder}/{layout.EMBEDDING_FILE}", receipt)
            except JobError as error:
                self.context.report(JobFailed(*job.key, "render", error.message, error.hint))

    def _embedding(self, name: str, receipt: Receipt) -> Tensor:
        data = self.context.store.read(name)
        if data is None or sha256(data) != receipt.files[layout.EMBEDDING_FILE].sha256:
            raise EmbeddingError(
                f"{name} does not match its receipt",
                "`crossinit verify --repair` sets it aside, then `crossinit resume` makes it again.",
            )
        return read_embedding(data, name).v

    def _draw_chunk(self, chunk: Sequence[PlannedPicture], missing: Sequence[PlannedPicture], size: int) -> None:
        """Denoise a chunk together, filled up to `size`, and store the pictures that are missing."""
        if self.context.stop:
            raise Interrupted("stopped between two groups of pictures")
        began = time.monotonic()
        plan, model = self.context.plan, self.model
        states = self._chunk_states(chunk)
        missing = [picture for picture in missing if picture.job.key in self.embeddings]
        if not missing:
            return
        seeds = [image_seed(plan.seed, picture.prompt.text, picture.index) for picture in chunk]
        states += [self.empty] * (size - len(chunk))
        seeds += [0] * (size - len(chunk))

        def on_step(step: int) -> bool:
            self.context.report(DenoiseStepDone(self.batch.method, len(missing), step, plan.render.steps))
            return not self.context.stop or step == plan.render.steps

        latents = denoise(model, torch.cat(states), self.empty, seeds, plan.render, on_step)
        if latents is None:
            raise Interrupted("stopped while drawing")
        self._forget(missing)
        drawn: dict[Job, dict[str, ReceiptFile]] = {}
        for picture, seed, latent in zip(chunk, seeds, latents, strict=False):
            if picture not in missing or picture.job.key not in self.embeddings:
                continue
            if bool(torch.isfinite(latent).all()):
                drawn.setdefault(picture.job, {})[picture.name] = self._store(picture, seed, latent)
            else:
                self._give_up(picture.job, "what was denoised is not a finite number", "Use another `dtype:`.")
        seconds = (time.monotonic() - began) / len(missing)
        for job, files in drawn.items():
            self._add_to_receipt(job, files, seconds * len(files))
            self.context.report(ImagesDone(*job.key, len(files)))

    def _chunk_states(self, chunk: Sequence[PlannedPicture]) -> list[Tensor]:
        """The text states of each picture of a chunk; each text is encoded once, and kept for the next chunk."""
        states: dict[tuple[tuple[str, str], int], Tensor] = {}
        for picture in chunk:
            key = (picture.job.key, picture.number)
            v = self.embeddings.get(picture.job.key)
            if v is None:
                states[key] = self.empty
            elif key not in states:
                try:
                    states[key] = (
                        self.states[key] if key in self.states else encode_prompt(self.model, picture.prompt.text, v)
                    )
                except JobError as error:
                    self._give_up(picture.job, error.message, error.hint)
                    states[key] = self.empty
        self.states = states
        return [states[picture.job.key, picture.number] for picture in chunk]

    def _give_up(self, job: Job, reason: str, hint: str) -> None:
        """Report a job as failed and draw no more of its pictures."""
        self.context.report(JobFailed(*job.key, "render", reason, hint))
        del self.embeddings[job.key]

    def _store(self, picture: PlannedPicture, seed: int, latent: Tensor) -> ReceiptFile:
        """Decode one picture and publish it."""
        plan = self.context.plan
        pixels = self.model.decode(latent[None])
        facts = PictureFacts(
            prompt=picture.prompt.fill(token_of(picture.job.identity)),
            negative_prompt=plan.render.negative_prompt,
            steps=plan.render.steps,
            sampler=SAMPLER_NAMES[plan.render.scheduler],
            guidance=plan.render.guidance,
            seed=seed,
            width=pixels.shape[1],
            height=pixels.shape[0],
            model=plan.model.label,
            model_hash=plan.model.fingerprint[:10],
            identity=picture.job.identity,
            method=picture.job.method,
            template=picture.prompt.text,
            image_index=picture.index,
            version=f"crossinit {__version__}",
        )
        folder = layout.images_folder(*picture.job.key)
        stored = self.context.store.write(f"{folder}/{picture.name}", png_bytes(pixels, facts))
        return ReceiptFile(size=stored.size, sha256=stored.sha256, digest=picture_digest(plan, picture))

    def _forget(self, pictures: Sequence[PlannedPicture]) -> None:
        """Take pictures out of the receipts that list them: their files will be of other bytes from now on."""
        for job in dict.fromkeys(picture.job for picture in pictures):
            name = f"{layout.images_folder(*job.key)}/{layout.RECEIPT_FILE}"
            receipt = read_receipt(self.context.store, name)
            going = {picture.name for picture in pictures if picture.job == job}
            if receipt is not None and going & receipt.files.keys():
                kept = {file: facts for file, facts in receipt.files.items() if file not in going}
                write_receipt(self.context.store, name, receipt.model_copy(update={"files": kept}))

    def _add_to_receipt(self, job: Job, files: dict[str, ReceiptFile], seconds: float) -> None:
        """Add pictures that stand to the receipt of their folder."""
        name = f"{layout.images_folder(*job.key)}/{layout.RECEIPT_FILE}"
        before = read_receipt(self.context.store, name)
        known = before.files if before else {}
        spent = seconds + (before.run.get("seconds", 0.0) if before else 0.0)
        receipt = Receipt(
            kind="images",
            method=job.method,
            identity=job.identity,
            digest=job.digest,
            files=dict(sorted({**known, **files}.items())),
            run=self.context.run_facts(spent),
        )
        write_receipt(self.context.store, name, receipt)
