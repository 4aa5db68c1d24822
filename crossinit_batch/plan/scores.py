"""The scores of one identity by one method: a row a picture, as CSV, and what decides each cell of them.

A cell is one prompt of one job; all its pictures are scored together or not at all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crossinit_batch import layout
from crossinit_batch.digest import digest_of
from crossinit_batch.plan.plan import Job, Plan, PlannedPicture, picture_digest
from crossinit_batch.storage.receipts import Receipt, ReceiptFile

_COLUMNS = ("picture", "faces", "identity", "identity_best", "prompt")


@dataclass(frozen=True)
class PictureScore:
    """What the judges say of one picture; None where a judge was not asked or there was nothing to judge.

    `identity` is the cosine of the largest face with the source photograph, `identity_best` that of the most similar
    face, `prompt` CLIP's cosine with the prompt; `faces` how many faces were found.
    """

    picture: str
    faces: int | None
    identity: float | None
    identity_best: float | None
    prompt: float | None


def dump_scores(scores: Iterable[PictureScore]) -> bytes:
    """The scores as CSV, six decimals: more is noise of the arithmetic."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for score in scores:
        cosines = (score.identity, score.identity_best, score.prompt)
        texts = ("" if value is None else f"{value:.6f}" for value in cosines)
        writer.writerow([score.picture, "" if score.faces is None else score.faces, *texts])
    return file.getvalue().encode()


def load_scores(data: bytes) -> list[PictureScore]:
    """The rows of such a file; ValueError for another one."""
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"))))
    if not rows or tuple(rows[0]) != _COLUMNS or any(len(row) != len(_COLUMNS) for row in rows):
        raise ValueError("not a file of scores")
    return [
        PictureScore(name, int(faces) if faces else None, *(float(text) if text else None for text in cosines))
        for name, faces, *cosines in rows[1:]
    ]


def cell_digests(plan: Plan, job: Job, pictures: Receipt | None) -> dict[int, str]:
    """What decides the scores of each cell of a job, by prompt number; only cells whose pictures all stand."""
    if plan.judges is None or pictures is None:
        return {}
    judges, digests = plan.judges.digest, {}
    for number, prompt in enumerate(plan.prompts):
        hashes = _hashes(plan, list(plan.pictures_of_prompt(job, number)), pictures.files)
        if hashes is not None:
            digests[number] = digest_of(
                "scores",
                {
                    "pictures": hashes,
                    "prompt": prompt.text,
                    "identity": plan.judges.judges_identity(prompt),
                    "photographs": _photographs(plan, job),
                    "judges": judges,
                },
            )
    return digests


def _hashes(plan: Plan, pictures: list[PlannedPicture], files: Mapping[str, ReceiptFile]) -> list[str] | None:
    """The SHA-256 of each picture's bytes; None where one is missing or is another than planned."""
    hashes = []
    for picture in pictures:
        file = files.get(picture.name)
        if file is None or file.digest != picture_digest(plan, picture):
            return None
        hashes.append(file.sha256)
    return hashes


def _photographs(plan: Plan, job: Job) -> list[str]:
    """The source photographs that a likeness is measured with."""
    return [photograph.sha256 or photograph.path for photograph in plan.people[job.identity].photographs]


def cells_done(plan: Plan, job: Job, pictures: Receipt | None, scores: Receipt | None) -> frozenset[int]:
    """The prompts of a job whose scores stand as planned."""
    stored = scores.facts.get("cells") if scores else None
    if not isinstance(stored, dict):
        return frozenset()
    wanted = cell_digests(plan, job, pictures)
    return frozenset(number for number, digest in wanted.items() if stored.get(cell_name(plan, number)) == digest)


def cell_name(plan: Plan, number: int) -> str:
    """What a cell is called in receipts: the folder of its pictures."""
    return layout.prompt_folder(number, plan.prompts[number])
