"""Storing pictures: encoded and written by threads while the device draws the next.

First the pictures of a group are taken out of the receipts that list older ones, then written, then entered: so a
receipt never lists other bytes than are stored, wherever the process ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from crossinit_batch import __version__, layout
from crossinit_batch.errors import JobError
from crossinit_batch.events import ImagesDone, JobFailed
from crossinit_batch.images.encode import encode_picture
from crossinit_batch.images.infotext import SAMPLER_NAMES, PictureFacts
from crossinit_batch.model.device_speed import cores
from crossinit_batch.plan.digests import picture_digest
from crossinit_batch.plan.plan import Job, Plan, PlannedPicture
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.receipts import Receipt, ReceiptFile, read_receipt, write_receipt
from crossinit_batch.worker.context import RunContext

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_THREADS = 8
_GROUPS_AHEAD = 2
"""Groups that may wait to be saved before drawing waits for them: what bounds the memory."""


@dataclass(frozen=True, eq=False)
class DrawnPicture:
    """A picture that was drawn: its pixels (height, width, 3), its seed, and the person's placeholder in its prompt."""

    planned: PlannedPicture
    seed: int
    pixels: NDArray[np.uint8]
    placeholder: str


class PictureSaver:
    """Saves groups of pictures in the order they come; leaving it waits until all are stored.

    It holds the receipts of its jobs' pictures, each read once: nobody else writes them meanwhile.

    A job whose pictures cannot be written is reported and joins `failed`. Any other error of a thread comes out of the
    next `save`, or on leaving, once what could be saved is saved.
    """

    def __init__(self, context: RunContext, jobs: Sequence[Job]) -> None:
        self.context = context
        self._receipts = {job: read_receipt(context.store, _receipt_name(job)) for job in jobs}
        self._encoders = ThreadPoolExecutor(min(cores(), _MOST_THREADS), "encode-picture")
        self._recorder = ThreadPoolExecutor(1, "save-pictures")
        self._waiting: deque[Future[None]] = deque()
        self.failed: set[Job] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._recorder.shutdown()
        self._encoders.shutdown()
        if error is None:
            self._wait(0)

    def save(self, pictures: Sequence[DrawnPicture], seconds: float, facts: dict[str, object]) -> None:
        """Have a group saved, each picture of which took `seconds`; `facts` are more for the receipts."""
        self._wait(_GROUPS_AHEAD - 1)
        self._waiting.append(self._recorder.submit(self._save_group, pictures, seconds, facts))

    def _wait(self, most: int) -> None:
        """Until at most so many groups are not saved yet."""
        while len(self._waiting) > most:
            self._waiting.popleft().result()

    def _save_group(self, pictures: Sequence[DrawnPicture], seconds: float, facts: dict[str, object]) -> None:
        """Save a group job by job; a job whose pictures cannot be saved fails, and the others go on."""
        groups: dict[Job, dict[DrawnPicture, Future[bytes]]] = {}
        for picture in pictures:
            encoded = self._encoders.submit(self._encode, picture)
            groups.setdefault(picture.planned.job, {})[picture] = encoded
        for job, own in groups.items():
            if job in self.failed:
                continue
            try:
                self._forget(job, [picture.planned.name for picture in own])
                stored = self._encoders.map(self._store, own, own.values())
                files = {picture.planned.name: file for picture, file in zip(own, stored, strict=True)}
                self._enter(job, files, seconds * len(own), facts)
            except JobError as error:
                self.failed.add(job)
                self.context.report(JobFailed(*job.key, "render", error.message, error.hint))
            except OSError as error:
                self.failed.add(job)
                reason = f"pictures cannot be saved: {reason_of(error)}"
                self.context.report(JobFailed(*job.key, "render", reason, "Mend that, then `crossinit resume`."))
            else:
                self.context.report(ImagesDone(*job.key, len(own)))

    def _encode(self, picture: DrawnPicture) -> bytes:
        plan = self.context.plan
        return encode_picture(picture.pixels, facts_of(plan, picture), plan.render.format, plan.render.quality)

    def _store(self, picture: DrawnPicture, encoded: Future[bytes]) -> ReceiptFile:
        """Publish one picture."""
        planned = picture.planned
        name = f"{layout.images_folder(*planned.job.key)}/{planned.name}"
        stored = self.context.store.write(name, encoded.result())
        return ReceiptFile(size=stored.size, sha256=stored.sha256, digest=picture_digest(self.context.plan, planned))

    def _forget(self, job: Job, names: Sequence[str]) -> None:
        """Take pictures out of a receipt that lists them, and the same pictures in other formats altogether."""
        receipt = self._receipts[job]
        if receipt is None:
            return
        others = {other for name in names for other in layout.other_kinds(name)} & receipt.files.keys()
        going = others | (receipt.files.keys() & set(names))
        if going:
            self._write(job, receipt.without(going))
        for name in others:
            self.context.store.remove(f"{layout.images_folder(*job.key)}/{name}")

    def _enter(self, job: Job, files: dict[str, ReceiptFile], seconds: float, facts: dict[str, object]) -> None:
        """Add pictures that are stored to the receipt of their folder."""
        before = self._receipts[job]
        known = before.files if before else {}
        spent = seconds + (before.run.get("seconds", 0.0) if before else 0.0)
        receipt = Receipt(
            kind="images",
            method=job.method,
            identity=job.identity,
            digest=job.digest,
            files=dict(sorted({**known, **files}.items())),
            run={**self.context.run_facts(spent), **facts},
        )
        self._write(job, receipt)

    def _write(self, job: Job, receipt: Receipt) -> None:
        write_receipt(self.context.store, _receipt_name(job), receipt)
        self._receipts[job] = receipt


def _receipt_name(job: Job) -> str:
    return f"{layout.images_folder(*job.key)}/{layout.RECEIPT_FILE}"


def facts_of(plan: Plan, picture: DrawnPicture) -> PictureFacts:
    """The facts in a picture's metadata."""
    planned, render = picture.planned, plan.render
    return PictureFacts(
        prompt=planned.prompt.fill(picture.placeholder),
        negative_prompt=render.negative_prompt,
        steps=render.steps,
        sampler=SAMPLER_NAMES[render.scheduler],
        guidance=render.guidance,
        guidance_until=render.guidance_until,
        seed=picture.seed,
        width=picture.pixels.shape[1],
        height=picture.pixels.shape[0],
        model=plan.model.label,
        model_hash=plan.model.fingerprint[:10],
        identity=planned.job.identity,
        method=planned.job.method,
        template=planned.prompt.text,
        image_index=planned.index,
        version=f"crossinit {__version__}",
    )
