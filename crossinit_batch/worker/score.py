"""A batch of jobs' scores: pictures x judges → one CSV a job with its receipt."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.errors import Interrupted, JobError
from crossinit_batch.evaluation.alignment import TEMPLATE_DIGEST
from crossinit_batch.evaluation.judges import Judges
from crossinit_batch.events import ImagesJudged, JobFailed, ScoresDone, Warned
from crossinit_batch.model.counters import Counters
from crossinit_batch.plan.digests import cell_digests
from crossinit_batch.plan.estimate import judging
from crossinit_batch.plan.judges import files_of
from crossinit_batch.plan.photographs import opened_photograph
from crossinit_batch.plan.plan import Job
from crossinit_batch.plan.scores import PictureScore, dump_scores, load_scores, prompt_key, prompts_scored
from crossinit_batch.plan.task import Task
from crossinit_batch.storage.receipts import Receipt, ReceiptFile, read_receipt, write_receipt
from crossinit_batch.worker.context import RunContext
from crossinit_batch.worker.timings import Timings

_AT_ONCE = 16
"""Pictures that CLIP looks at together; fixed, since batch mates decide the last bits."""

Vector = NDArray[np.float32]


class Scoring:
    """Scores the pictures of a run's jobs; judges are loaded, and faces of photographs found, once a worker."""

    def __init__(self, context: RunContext, device: torch.device, counters: Counters) -> None:
        self.context, self.device, self.counters = context, device, counters
        self.timings = Timings(context, device)
        self._sources: dict[str, list[Vector]] = {}

    @cached_property
    def judges(self) -> Judges:
        """The judges, loaded when something is to be scored."""
        planned = self.context.plan.judges
        assert planned is not None
        return Judges.load(planned.settings, files_of(planned), self.device)

    def score(self, task: Task) -> None:
        """Score what is drawn of a task and not scored yet; Interrupted where asked to stop."""
        self.timings = Timings(self.context, self.device)
        for job in task.jobs:
            try:
                self._score_job(job)
            except JobError as error:
                self.context.report(JobFailed(*job.key, "evaluate", error.message, error.hint))
        self.timings.keep()

    def _score_job(self, job: Job) -> None:
        """Score the cells of a job that need it, and store them with those that are valid."""
        plan, store = self.context.plan, self.context.store
        folder = layout.scores_folder(*job.key)
        images = read_receipt(store, f"{layout.images_folder(*job.key)}/{layout.RECEIPT_FILE}")
        before = read_receipt(store, f"{folder}/{layout.RECEIPT_FILE}")
        wanted = cell_digests(plan, job, images)
        rows = self._valid_rows(job, images, before)
        missing = [number for number in wanted if number not in rows]
        if images is None or not missing:
            return
        began, stood = time.monotonic(), len(rows)
        stopped: Interrupted | JobError | None = None
        try:
            for number in missing:
                if self.context.stop:
                    raise Interrupted("stopped between two prompts' scores")
                rows[number] = self._score_cell(job, number, images)
                self.context.report(ImagesJudged(*job.key, len(rows[number])))
        except (Interrupted, JobError) as error:
            stopped = error
        if len(rows) > stood:
            spent = time.monotonic() - began + (before.run.get("seconds", 0.0) if before else 0.0)
            self._store(job, rows, wanted, spent)
            count = (len(rows) - stood) * plan.render.images_per_prompt
            self.context.report(ScoresDone(*job.key, count))
        if stopped:
            raise stopped

    def _valid_rows(self, job: Job, images: Receipt | None, receipt: Receipt | None) -> dict[int, list[PictureScore]]:
        """The stored scores of the cells that are valid, by prompt number."""
        plan = self.context.plan
        done = prompts_scored(plan, job, images, receipt)
        data = self.context.store.read(f"{layout.scores_folder(*job.key)}/{layout.SCORES_FILE}") if done else None
        if receipt is None or data is None or sha256(data) != receipt.files[layout.SCORES_FILE].sha256:
            return {}
        known = {score.picture: score for score in load_scores(data)}
        cells = {number: [picture.name for picture in plan.pictures_of_prompt(job, number)] for number in done}
        return {number: [known[name] for name in names] for number, names in cells.items()}

    def _score_cell(self, job: Job, number: int, images: Receipt) -> list[PictureScore]:
        """The scores of all pictures of one prompt of a job."""
        plan = self.context.plan
        prompt, judges = plan.prompts[number], plan.judges
        assert judges is not None
        began = self.timings.clock()
        names = [picture.name for picture in plan.pictures_of_prompt(job, number)]
        sources = self._source_vectors(job) if judges.judges_identity(prompt) else []
        scores = []
        for first in range(0, len(names), _AT_ONCE):
            chunk = names[first : first + _AT_ONCE]
            pictures = [self._picture(job, name, images) for name in chunk]
            cosines: Sequence[float | None] = [None] * len(chunk)
            if self.judges.prompt is not None:
                cosines = self.judges.prompt.similarities(pictures, prompt)
            for name, picture, cosine in zip(chunk, pictures, cosines, strict=True):
                faces, largest, best = self._likeness(picture, sources) if sources else (None, None, None)
                self.counters.pictures_judged += 1
                scores.append(PictureScore(name, faces, largest, best, cosine))
        self.timings.add(judging(judges), self.timings.clock() - began, len(names))
        return scores

    def _picture(self, job: Job, name: str, images: Receipt) -> Image.Image:
        """One drawn picture; JobError where it is not what its receipt says."""
        path = f"{layout.images_folder(*job.key)}/{name}"
        data = self.context.store.read(path)
        if data is None or sha256(data) != images.files[name].sha256:
            raise JobError(
                f"{path} does not match its receipt",
                "`crossinit verify --repair` sets it aside, then `crossinit resume` makes it again.",
            )
        return Image.open(io.BytesIO(data)).convert("RGB")

    def _likeness(self, picture: Image.Image, sources: list[Vector]) -> tuple[int, float | None, float | None]:
        """How many faces a picture has, and the largest face's and the most similar one's cosine with the source."""
        vectors = self._face_vectors(picture)
        cosines = [float(np.mean([vector @ source for source in sources])) for vector in vectors]
        return len(cosines), cosines[0] if cosines else None, max(cosines, default=None)

    def _face_vectors(self, picture: Image.Image) -> list[Vector]:
        """The unit vector of every face that is found, the largest face first."""
        assert self.judges.faces is not None
        return self.judges.faces.vectors(picture)

    def _source_vectors(self, job: Job) -> list[Vector]:
        """The unit vectors of an identity's photographs, of each its largest face; none where no face is found."""
        if job.identity not in self._sources:
            vectors = []
            for photograph in self.context.plan.identity(job.identity).photographs:
                faces = self._face_vectors(opened_photograph(photograph))
                self.counters.photographs_judged += 1
                vectors += faces[:1]
                if not faces:
                    message = f"{photograph.path}: no face is found in it, so it gives no identity score"
                    self.context.report(Warned(message))
            self._sources[job.identity] = vectors
        return self._sources[job.identity]

    def _store(self, job: Job, rows: dict[int, list[PictureScore]], digests: dict[int, str], seconds: float) -> None:
        """Publish a job's scores, then their receipt."""
        plan, store, folder = self.context.plan, self.context.store, layout.scores_folder(*job.key)
        judges = plan.judges
        assert judges is not None
        name = f"{folder}/{layout.RECEIPT_FILE}"
        store.remove(name)  # an old one would list other bytes
        content = dump_scores(score for number in sorted(rows) for score in rows[number])
        stored = store.write(f"{folder}/{layout.SCORES_FILE}", content)
        receipt = Receipt(
            kind="scores",
            method=job.method,
            identity=job.identity,
            digest=judges.digest,
            files={layout.SCORES_FILE: ReceiptFile(size=stored.size, sha256=stored.sha256)},
            facts={
                "pictures": sum(len(scores) for scores in rows.values()),
                "cells": {prompt_key(plan, number): digests[number] for number in sorted(rows)},
                "judges": {"detector": judges.detector, "recogniser": judges.recogniser, "clip": judges.clip},
                "template": TEMPLATE_DIGEST,
            },
            run=self.context.run_facts(seconds),
        )
        write_receipt(store, name, receipt)
