"""What will be done, as types: every job with the digest of all that decides its result, and the batches of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pydantic import Field

from crossinit_batch import __version__, layout
from crossinit_batch.images.infotext import model_label
from crossinit_batch.methods.planned import LearnedMethod, PlannedMethod
from crossinit_batch.plan import digests
from crossinit_batch.prompts import Prompt
from crossinit_batch.record import Record
from crossinit_batch.settings import ComputeSettings, EvaluationSettings, ModelSettings, RenderSettings

SCHEMA = 1


class Photograph(Record):
    """A source picture: its path or URL and the SHA-256 of its bytes; `problem` instead where it can't be read."""

    path: str
    sha256: str = ""
    problem: str = ""


class PlannedModel(Record):
    """The base model and what was found under its name."""

    settings: ModelSettings
    revision: str | None
    fingerprint: str
    dtype: str

    @property
    def pinned(self) -> ModelSettings:
        """The settings with the commit that was found, so that later commits of a branch do not matter."""
        return self.settings.model_copy(update={"revision": self.revision or self.settings.revision})

    @property
    def label(self) -> str:
        """The model's name in results: a hub id, or a folder's last name, never a path."""
        return model_label(self.settings.id)


class PlannedJudges(Record):
    """By which judges pictures are scored: the SHA-256 of their files, for CLIP the digest of its files."""

    settings: EvaluationSettings
    detector: str = ""
    recogniser: str = ""
    clip: str = ""

    @cached_property
    def digest(self) -> str:
        """The digest of all in the judges that decides a score; scores of two digests are never compared."""
        return digests.judges_digest(self)

    def judges_identity(self, prompt: Prompt) -> bool:
        """Whether a likeness is expected in pictures of this prompt."""
        return self.settings.identity is not None and prompt.category not in self.settings.identity.without

    def has_second_person(self, prompt: Prompt) -> bool:
        """Whether a second person is meant to be in pictures of this prompt."""
        return self.settings.identity is not None and prompt.category in self.settings.identity.second_person


class Job(Record):
    """One identity by one method: its artifact (`digest`), then its pictures.

    `source` is the artifact's file where it is imported instead of learned.
    """

    method: str
    identity: str
    digest: str
    source: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.identity


class JobBatch(Record):
    """Identities of one method that share U-Net batches; batch mates decide the last bits, so they are frozen."""

    work: Literal["learn", "import", "render"]
    method: str
    identities: tuple[str, ...]
    digest: str


class PlannedIdentity(Record):
    """An identity with the photographs that were found."""

    id: str
    photographs: tuple[Photograph, ...] = ()

    @property
    def thumbnail(self) -> str | None:
        """The file of the small copy of the first photograph; None where none could be read when it was planned."""
        if not self.photographs or self.photographs[0].problem:
            return None
        return layout.source_thumbnail(self.id, self.photographs[0].sha256)


class Plan(Record):
    """What will be done; `resume`, `status`, `verify`, engines and reports read it from the output folder."""

    plan: int = SCHEMA
    version: str = __version__
    name: str
    seed: int
    model: PlannedModel
    methods: tuple[PlannedMethod, ...]
    prompts: tuple[Prompt, ...]
    render: RenderSettings
    compute: ComputeSettings
    identities: tuple[PlannedIdentity, ...]
    jobs: tuple[Job, ...]
    batches: tuple[JobBatch, ...] = Field(default=())
    judges: PlannedJudges | None = None

    def method(self, name: str) -> PlannedMethod:
        return self._methods[name]

    def learned_method(self, name: str) -> LearnedMethod:
        """A method that learns; ValueError where its artifacts are imported."""
        method = self._methods[name]
        if not isinstance(method, LearnedMethod):
            raise ValueError(f"method {name} learns nothing")
        return method

    @cached_property
    def _methods(self) -> dict[str, PlannedMethod]:
        return {method.name: method for method in self.methods}

    def identity(self, id: str) -> PlannedIdentity:
        return self._identities[id]

    @cached_property
    def _identities(self) -> dict[str, PlannedIdentity]:
        return {identity.id: identity for identity in self.identities}

    @property
    def artifact(self) -> str:
        """What the methods make, in a word for display: embedding, say, or artifact where kinds differ."""
        kinds = {method.artifact.name for method in self.methods}
        return kinds.pop() if len(kinds) == 1 else "artifact"

    @cached_property
    def render_digest(self) -> str:
        """The digest of all that decides pictures besides artifact, prompt and index."""
        return digests.render_digest(self.render, self.model, self.seed)

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
