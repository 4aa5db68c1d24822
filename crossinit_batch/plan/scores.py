"""The scores of one identity by one method: a row a picture, as CSV, and which prompts of a job are scored.

All pictures of a prompt are scored together or not at all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from crossinit_batch import layout
from crossinit_batch.plan.digests import cell_digests
from crossinit_batch.plan.plan import Job, Plan
from crossinit_batch.storage.receipts import Receipt

_COLUMNS = ("picture", "faces", "identity", "identity_best", "prompt")


@dataclass(frozen=True)
class PictureScore:
    """The judges' scores of one picture; None where a judge was not asked or there was nothing to judge.

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


def prompts_scored(plan: Plan, job: Job, pictures: Receipt | None, scores: Receipt | None) -> frozenset[int]:
    """The prompts of a job whose scores exist as planned."""
    stored = scores.facts.get("cells") if scores else None
    if not isinstance(stored, dict):
        return frozenset()
    wanted = cell_digests(plan, job, pictures)
    return frozenset(number for number, digest in wanted.items() if stored.get(prompt_key(plan, number)) == digest)


def prompt_key(plan: Plan, number: int) -> str:
    """The key of a prompt's scores in receipts: the folder of its pictures."""
    return layout.prompt_folder(number, plan.prompts[number])
