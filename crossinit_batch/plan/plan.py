"""Manifest → Plan: every job with the digest of all that decides its result, frozen in the output folder."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crossinit_batch import __version__, layout
from crossinit_batch import record as seal
from crossinit_batch.digest import digest_of, sha256
from crossinit_batch.errors import OutputError
from crossinit_batch.images.infotext import model_label
from crossinit_batch.manifest.load import Manifest
from crossinit_batch.methods import Method
from crossinit_batch.methods.embedding.init_source import init_parts
from crossinit_batch.model.source import ModelSource
from crossinit_batch.prompts import Prompt
from crossinit_batch.record import sealed, unsealed
from crossinit_batch.settings import ComputeSettings, EvaluationSettings, ModelSettings, RenderSettings
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.store import Store, json_bytes, read_source

SCHEMA = 1


class DamagedPlan(OutputError):
    """The frozen plan cannot be read, but it was ours: planning anew mends it."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Photograph(_Record):
    """A source picture: its path or URL and the SHA-256 of its bytes; `problem` instead where it can't be read."""

    path: str
    sha256: str = ""
    problem: str = ""


class PlannedModel(_Record):
    """The base model and what was found under its name."""

    settings: ModelSettings
    revision: str | None
    fingerprint: str
    dtype: str

    @property
    def pinned(self) -> ModelSettings:
        """The settings with the commit that was found, so that a branch which moves on does not matter."""
        return self.settings.model_copy(update={"revision": self.revision or self.settings.revision})

    @property
    def label(self) -> str:
        """What results say they were made with: a hub id, or a folder's last name, never a path."""
        return model_label(self.settings.id)


class PlannedJudges(_Record):
    """By which judges pictures are scored: the SHA-256 of their files, for CLIP the digest of its files."""

    settings: EvaluationSettings
    detector: str = ""
    recogniser: str = ""
    clip: str = ""

    @property
    def digest(self) -> str:
        """The digest of all in the judges that decides a score; scores of two digests are never compared."""
        identity, template = self.settings.identity, None
        if identity is not None:
            from crossinit_batch.evaluation.alignment import TEMPLATE_DIGEST

            template = TEMPLATE_DIGEST
        return digest_of(
            "judges",
            {
                "detector": self.detector,
                "recogniser": self.recogniser,
                "layout": identity.layout if identity else None,
                "confidence": identity.confidence if identity else None,
                "template": template,
                "clip": self.clip,
            },
        )

    def judges_identity(self, prompt: Prompt) -> bool:
        """Whether a likeness is expected in pictures of this prompt."""
        return self.settings.identity is not None and prompt.category not in self.settings.identity.without

    def has_second_person(self, prompt: Prompt) -> bool:
        """Whether somebody else is meant to be in pictures of this prompt."""
        return self.settings.identity is not None and prompt.category in self.settings.identity.second_person


class Job(_Record):
    """One identity by one method: its embedding (`digest`), then its pictures.

    `source` is the embedding's file where it is given instead of learned.
    """

    method: str
    identity: str
    digest: str
    source: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.identity


class JobBatch(_Record):
    """Identities of one method that share U-Net batches; who shares one decides the last bits, so it is frozen."""

    work: Literal["learn", "import", "render"]
    method: str
    identities: tuple[str, ...]
    digest: str


class PlannedIdentity(_Record):
    id: str
    photographs: tuple[Photograph, ...] = ()


class Plan(_Record):
    """What will be done; `resume`, `status`, `verify`, engines and reports read it from the output folder."""

    plan: int = SCHEMA
    version: str = __version__
    name: str
    seed: int
    model: PlannedModel
    methods: tuple[Method, ...]
    prompts: tuple[Prompt, ...]
    render: RenderSettings
    compute: ComputeSettings
    identities: tuple[PlannedIdentity, ...]
    jobs: tuple[Job, ...]
    batches: tuple[JobBatch, ...] = Field(default=())
    judges: PlannedJudges | None = None

    def method(self, name: str) -> Method:
        return next(method for method in self.methods if method.name == name)

    @cached_property
    def people(self) -> dict[str, PlannedIdentity]:
        """The identities by their ids."""
        return {identity.id: identity for identity in self.identities}

    @cached_property
    def render_digest(self) -> str:
        """The digest of all that decides pictures besides embedding, prompt and index."""
        return digest_of(
            "render",
            {
                "render": self.render.model_dump(mode="json", exclude={"images_per_prompt"}),
                "model": self.model.fingerprint,
                "dtype": self.model.dtype,
                "seed": self.seed,
            },
        )

    def pictures(self, job: Job) -> Iterator[PlannedPicture]:
        """Every picture of a job, in the order of prompts and indices."""
        for number in range(len(self.prompts)):
            yield from self.pictures_of_prompt(job, number)

    def pictures_of_prompt(self, job: Job, number: int) -> Iterator[PlannedPicture]:
        """The pictures of one prompt of a job, in the order of indices."""
        for index in range(self.render.images_per_prompt):
            yield PlannedPicture(job, number, self.prompts[number], index, self.render.format)

    @property
    def pictures_a_job(self) -> int:
        return len(self.prompts) * self.render.images_per_prompt


@dataclass(frozen=True)
class PlannedPicture:
    """Picture `index` of prompt `number` (both from 0) of a job."""

    job: Job
    number: int
    prompt: Prompt
    index: int
    kind: str = "png"

    @property
    def name(self) -> str:
        """Its file, relative to the job's images folder."""
        return layout.image_name(self.number, self.prompt, self.index, self.kind)


def make_plan(manifest: Manifest, source: ModelSource | None, dtype: str, judges: PlannedJudges | None = None) -> Plan:
    """The plan of a manifest on this model in this precision, without batches; reads every photograph once.

    `source` None stands for a model that is not on this machine yet: then no digest can match a stored result.
    """
    paths = [path for identity in manifest.identities for path in identity.photographs]
    with ThreadPoolExecutor(max_workers=8) as pool:
        hashed = dict(zip(paths, pool.map(_hash, paths), strict=True))
    identities = tuple(
        PlannedIdentity(id=identity.id, photographs=tuple(hashed[path] for path in identity.photographs))
        for identity in manifest.identities
    )
    fingerprint = source.fingerprint if source else "unknown"
    model = PlannedModel(
        settings=manifest.model,
        revision=source.revision if source else None,
        fingerprint=fingerprint,
        dtype=dtype,
    )
    jobs = []
    for method in manifest.methods:
        decided = method_parts(method, model, manifest.seed)
        jobs += [
            Job(
                method=method.name,
                identity=identity.id,
                digest=digest_of("embedding", {**identity_parts(identity), **decided}),
            )
            for identity in identities
        ]
    return Plan(
        name=manifest.name,
        seed=manifest.seed,
        model=model,
        methods=manifest.methods,
        prompts=manifest.prompts,
        render=manifest.render,
        compute=manifest.compute,
        identities=identities,
        jobs=tuple(jobs),
        judges=judges,
    )


def _hash(path: str) -> Photograph:
    try:
        return Photograph(path=path, sha256=sha256(read_source(path)))
    except OSError as error:
        return Photograph(path=path, problem=f"cannot be read: {reason_of(error)}")


def method_parts(method: Method, model: PlannedModel, seed: int) -> dict[str, Any]:
    """What decides an embedding besides the identity."""
    settings = method.learned.model_dump(mode="json", exclude={"init"})
    if settings["place"] == "input":
        del settings["place"]  # it was the only one once, and what was made then stands
    return {
        "settings": settings,
        "init": init_parts(method.learned.init),
        "model": model.fingerprint,
        "dtype": model.dtype,
        "seed": seed,
    }


def identity_parts(identity: PlannedIdentity) -> dict[str, Any]:
    """What decides an embedding besides the method: the id, which keys the draws, and the pictures' bytes."""
    photographs = [photograph.sha256 or photograph.path for photograph in identity.photographs]
    return {"identity": identity.id, "photographs": photographs}


def picture_digest(plan: Plan, picture: PlannedPicture) -> str:
    """The digest of one picture: its embedding, prompt, index and all settings, not its number among prompts."""
    return digest_of(
        "picture",
        {
            "embedding": picture.job.digest,
            "prompt": picture.prompt.text,
            "index": picture.index,
            "render": plan.render_digest,
        },
    )


def dump_plan(plan: Plan) -> bytes:
    """The plan as the JSON file that stands in the output folder; it says what it is, since runs go by it."""
    return json_bytes(sealed(plan.model_dump(mode="json")))


def write_plan(store: Store, plan: Plan) -> None:
    """Freeze the plan in the output folder."""
    store.write(layout.PLAN, dump_plan(plan))


def frozen_plan(store: Store) -> Plan:
    """The frozen plan of an output folder that must have one; OutputError where it has none that we can read."""
    plan = read_plan(store)
    if plan is None:
        raise OutputError(
            f"{store} has no {layout.PLAN}, so it is not an output folder of crossinit",
            "Name the folder that a manifest's `output:` names.",
        )
    return plan


def read_plan(store: Store) -> Plan | None:
    """The frozen plan of an output folder, None where there is none; OutputError for one that we cannot read."""
    value = store.read_json(layout.PLAN)
    if value is None:
        if store.read(layout.PLAN) is not None:
            raise DamagedPlan(f"{store}/{layout.PLAN} is damaged", "Run the manifest again; what is done is kept.")
        return None
    if value.get("plan") != SCHEMA:
        raise OutputError(
            f"{store}/{layout.PLAN} is of schema {value.get('plan')!r}, this crossinit writes {SCHEMA}",
            "Use the version of crossinit that made this folder, or another output folder.",
        )
    try:
        plan = Plan.model_validate({key: item for key, item in value.items() if key != seal.KEY})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DamagedPlan(
            f"{store}/{layout.PLAN} is damaged at {place}: {first['msg']}",
            "Run the manifest again; what is done is kept.",
        ) from None
    if unsealed(value) is None:
        raise DamagedPlan(
            f"{store}/{layout.PLAN} is damaged: its content is not what was written",
            "Run the manifest again; what is done is kept.",
        )
    return plan
