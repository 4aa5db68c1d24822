"""All that decides a result, in one module: the digests of artifacts, pictures, scores, batches and judges.

Two results with one digest are the same result. Every key here is older than the code around it: digests of what is
stored must stay equal, so artifacts are still called embeddings in them. A change of code that changes results raises
`CODE_SCHEMA` in `digest` instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crossinit_batch.digest import digest_of

if TYPE_CHECKING:
    from crossinit_batch.methods.planned import LearnedMethod
    from crossinit_batch.plan.plan import Job, Plan, PlannedIdentity, PlannedJudges, PlannedModel, PlannedPicture
    from crossinit_batch.prompts import Prompt
    from crossinit_batch.settings import RenderSettings
    from crossinit_batch.storage.receipts import Receipt, ReceiptFile


def method_parts(method: LearnedMethod, model: PlannedModel, seed: int) -> dict[str, Any]:
    """What decides an artifact besides the identity."""
    return {**method.decides, "model": model.fingerprint, "dtype": model.dtype, "seed": seed}


def identity_parts(identity: PlannedIdentity) -> dict[str, Any]:
    """What decides an artifact besides the method: the id, which keys the draws, and the photographs' bytes."""
    return {"identity": identity.id, "photographs": _photographs(identity)}


def artifact_digest(identity: PlannedIdentity, method_parts: Mapping[str, Any]) -> str:
    """The digest of an identity's artifact by a method."""
    return digest_of("embedding", {**identity_parts(identity), **method_parts})


def imported_digest(sha256: str) -> str:
    """The digest of an artifact that is imported: that of its content."""
    return digest_of("given", {"content": sha256})


def decided_parts(plan: Plan, job: Job) -> dict[str, Any]:
    """What decides a job's artifact, kept in its receipt so that a later plan can say what has changed."""
    if job.source is not None:
        return {"identity": job.identity, "source": job.digest}
    return {
        **identity_parts(plan.identity(job.identity)),
        **method_parts(plan.learned_method(job.method), plan.model, plan.seed),
    }


def batch_digest(work: str, jobs: Sequence[str]) -> str:
    """The digest of a batch by its work and its jobs' digests: batch mates decide the last bits."""
    return digest_of("batch", {"work": work, "jobs": list(jobs)})


def render_digest(render: RenderSettings, model: PlannedModel, seed: int) -> str:
    """The digest of all that decides pictures besides artifact, prompt and index."""
    return digest_of(
        "render",
        {
            "render": render.model_dump(mode="json", exclude={"images_per_prompt"}),
            "model": model.fingerprint,
            "dtype": model.dtype,
            "seed": seed,
        },
    )


def picture_digest(plan: Plan, picture: PlannedPicture) -> str:
    """The digest of one picture: its artifact, prompt, index and all settings, not its number among prompts."""
    return digest_of(
        "picture",
        {
            "embedding": picture.job.digest,
            "prompt": picture.prompt.text,
            "index": picture.index,
            "render": plan.render_digest,
        },
    )


def judges_digest(judges: PlannedJudges) -> str:
    """The digest of all in the judges that decides a score; scores of two digests are never compared."""
    identity, template = judges.settings.identity, None
    if identity is not None:
        from crossinit_batch.evaluation.alignment import TEMPLATE_DIGEST

        template = TEMPLATE_DIGEST
    return digest_of(
        "judges",
        {
            "detector": judges.detector,
            "recogniser": judges.recogniser,
            "layout": identity.layout if identity else None,
            "confidence": identity.confidence if identity else None,
            "template": template,
            "clip": judges.clip,
        },
    )


def cell_digests(plan: Plan, job: Job, pictures: Receipt | None) -> dict[int, str]:
    """What decides the scores of each prompt of a job, by its number; only prompts whose pictures all exist."""
    if plan.judges is None or pictures is None:
        return {}
    digests = {}
    for number, prompt in enumerate(plan.prompts):
        hashes = _hashes(plan, list(plan.pictures_of_prompt(job, number)), pictures.files)
        if hashes is not None:
            digests[number] = _cell_digest(plan, plan.judges, job, prompt, hashes)
    return digests


def _cell_digest(plan: Plan, judges: PlannedJudges, job: Job, prompt: Prompt, hashes: list[str]) -> str:
    return digest_of(
        "scores",
        {
            "pictures": hashes,
            "prompt": prompt.text,
            "identity": judges.judges_identity(prompt),
            "photographs": _photographs(plan.identity(job.identity)),
            "judges": judges.digest,
        },
    )


def _hashes(plan: Plan, pictures: list[PlannedPicture], files: Mapping[str, ReceiptFile]) -> list[str] | None:
    """The SHA-256 of each picture's bytes; None where one is missing or is another than planned."""
    hashes = []
    for picture in pictures:
        file = files.get(picture.name)
        if file is None or file.digest != picture_digest(plan, picture):
            return None
        hashes.append(file.sha256)
    return hashes


def _photographs(identity: PlannedIdentity) -> list[str]:
    return [photograph.sha256 or photograph.path for photograph in identity.photographs]
