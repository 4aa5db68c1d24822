"""Train the small world from nothing: data, text encoder, autoencoder, U-Net, in stages that can be cut and resumed."""

from __future__ import annotations

import functools
import json
import platform
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import PNDMScheduler, StableDiffusionPipeline
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossinit_batch.demo import train_autoencoder, train_text_encoder, train_unet
from crossinit_batch.demo.dataset import Dataset, make_dataset
from crossinit_batch.demo.team import ALONE, Team
from crossinit_batch.demo.training_loop import Report, Schedule, Trained
from crossinit_batch.demo.vocabulary import demo_tokenizer
from crossinit_batch.errors import RequestError
from crossinit_batch.libraries import quiet_libraries

STAGES = ("data", "text-encoder", "autoencoder", "unet", "pipeline")
HELD_OUT = 500
"""Examples at the end of the data set that nothing is trained on."""


@dataclass(frozen=True)
class Recipe:
    """The sizes of a training; `scaled` makes a short one of the same shape."""

    pictures: int = 24_000
    text_encoder: Schedule = train_text_encoder.SCHEDULE
    autoencoder_crops: Schedule = train_autoencoder.CROPS
    autoencoder: Schedule = train_autoencoder.WHOLE
    unet: Schedule = train_unet.SCHEDULE

    def scaled(self, share: float) -> Recipe:
        """The recipe with this share of the pictures and steps."""

        def fewer(schedule: Schedule) -> Schedule:
            return replace(schedule, steps=max(1, round(schedule.steps * share)))

        return Recipe(
            pictures=max(2 * HELD_OUT, round(self.pictures * share)),
            text_encoder=fewer(self.text_encoder),
            autoencoder_crops=fewer(self.autoencoder_crops),
            autoencoder=fewer(self.autoencoder),
            unet=fewer(self.unet),
        )


class Training:
    """A folder in which a small world grows; each stage is done once, and goes on where it was cut."""

    def __init__(
        self, folder: Path, *, seed: int, report: Report, recipe: Recipe | None = None, processes: int = 1
    ) -> None:
        self.folder, self.seed, self.report, self.recipe = folder, seed, report, recipe or Recipe()
        self.processes = processes
        self.tokenizer = demo_tokenizer()
        self._data: Dataset | None = None
        self._claim()

    def do(self, stage: str) -> None:
        """One stage, after the stages it needs; nothing where it is done."""
        if stage not in STAGES:
            raise RequestError(f"no stage {stage!r}", f"The stages are {', '.join(STAGES)}.")
        stages = {
            "data": self.data,
            "text-encoder": self._text_encoder,
            "autoencoder": self._autoencoder,
            "unet": self._unet,
            "pipeline": self._pipeline,
        }
        stages[stage]()

    @property
    def pipeline_folder(self) -> Path:
        """Where the finished pipeline is."""
        return self.folder / "pipeline"

    def facts(self) -> dict[str, Any]:
        """What is known of the stages that are done: seconds, steps, losses, figures."""
        files = sorted(self.folder.glob("done-*.json"))
        return {file.stem.removeprefix("done-"): json.loads(file.read_text()) for file in files}

    def data(self) -> tuple[Dataset, Dataset]:
        """The examples to train on, and the held-out ones."""
        if self._data is None:
            self._data = make_dataset(
                self.folder / "data",
                self.recipe.pictures,
                seed=self.seed,
                on_shard=lambda done, count: self.report(f"data: {done} of {count} pictures"),
            )
        whole, cut = self._data, len(self._data.examples) - HELD_OUT
        return (
            Dataset(whole.pictures[:cut], whole.examples[:cut]),
            Dataset(whole.pictures[cut:], whole.examples[cut:]),
        )

    def _text_encoder(self) -> None:
        if self._done("text-encoder"):
            return
        known, unseen = self.data()
        pair, trained = train_text_encoder.train_text_encoder(
            known,
            self.tokenizer,
            self.folder / "text-encoder.pt",
            schedule=self.recipe.text_encoder,
            seed=self.seed,
            report=self.report,
        )
        save_file(pair.state_dict(), self.folder / "clip-pair.safetensors")
        self._note("text-encoder", trained, matched=train_text_encoder.matched(pair, unseen, self.tokenizer))

    def _autoencoder(self) -> None:
        if self._done("autoencoder"):
            return
        known, unseen = self.data()
        autoencoder, trained = train_autoencoder.train_autoencoder(
            known,
            self.folder,
            crops=self.recipe.autoencoder_crops,
            whole=self.recipe.autoencoder,
            seed=self.seed,
            report=self.report,
        )
        autoencoder.save_pretrained(self.folder / "vae")
        mean, std = train_autoencoder.moments(autoencoder, known)
        save_file({"mean": mean, "std": std}, self.folder / "moments.safetensors")
        error = train_autoencoder.reconstruction_error(autoencoder, unseen)
        self._note("autoencoder", trained, reconstruction_error=error)

    def _unet(self) -> None:
        if self._done("unet"):
            return
        self._text_encoder()
        self._autoencoder()
        self.captions()
        if self.processes == 1:
            self.train_unet(ALONE)
            return
        with tempfile.TemporaryDirectory(dir=self.folder) as meeting:
            given = (self.processes, Path(meeting) / "meeting", self.folder, self.seed, self.recipe)
            torch.multiprocessing.start_processes(_unet_rank, given, nprocs=self.processes, start_method="spawn")

    def captions(self) -> tuple[NDArray[np.float16], Tensor]:
        """Hidden states of every caption and of the empty one."""
        text_encoder = self.clip_pair().text_encoder.eval().requires_grad_(False)
        captions = [entry.captions[0] for entry in self.data()[0].examples]
        states = train_unet.encode_captions(text_encoder, self.tokenizer, captions, self.folder / "captions.npy")
        with torch.no_grad():
            ids = train_text_encoder.tokenize(self.tokenizer, [""])
            return states, text_encoder(input_ids=ids).last_hidden_state[0]

    def train_unet(self, team: Team) -> None:
        """Train the U-Net, alone or as one of several processes."""
        stored = load_file(self.folder / "moments.safetensors")
        scale = json.loads((self.folder / "vae/config.json").read_text())["scaling_factor"]
        unet, trained = train_unet.train_unet(
            (stored["mean"], stored["std"]),
            scale,
            *self.captions(),
            self.folder / "unet.pt",
            schedule=self.recipe.unet,
            seed=self.seed,
            report=self.report,
            team=team,
        )
        if team.rank == 0:
            unet.save_pretrained(self.folder / "unet")
            self._note("unet", trained)

    def _pipeline(self) -> None:
        from diffusers import AutoencoderKL, UNet2DConditionModel

        if (self.pipeline_folder / "model_index.json").is_file():
            return
        self._unet()
        unet = UNet2DConditionModel.from_pretrained(self.folder / "unet")
        vae = AutoencoderKL.from_pretrained(self.folder / "vae")
        save_pipeline(self.pipeline_folder, self.tokenizer, self.clip_pair().text_encoder, vae, unet)

    def clip_pair(self) -> train_text_encoder.ClipPair:
        """The trained text encoder and picture tower."""
        pair = train_text_encoder.ClipPair(train_text_encoder.build_text_encoder(self.tokenizer))
        pair.load_state_dict(load_file(self.folder / "clip-pair.safetensors"))
        return pair

    def _claim(self) -> None:
        """RequestError where the folder holds a training of another seed or recipe."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = {"seed": self.seed, "recipe": asdict(self.recipe)}
        file = self.folder / "training.json"
        if file.is_file() and json.loads(file.read_text()) != wanted:
            raise RequestError(f"{self.folder} holds a training of another seed or length", "Name another folder.")
        file.write_text(json.dumps(wanted, indent=2) + "\n")

    def _done(self, stage: str) -> bool:
        return stage in self.facts()

    def _note(self, stage: str, trained: Trained, **figures: float) -> None:
        """Write down what a finished stage cost and reached."""
        machine = f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads"
        text = json.dumps({**asdict(trained), **figures, "machine": machine}, indent=2)
        (self.folder / f"done-{stage}.json").write_text(text + "\n")


def _unet_rank(rank: int, size: int, meeting: Path, folder: Path, seed: int, recipe: Recipe) -> None:
    """One of several processes that train the U-Net."""
    torch.set_num_threads(1)
    team = Team.join(rank, size, meeting)
    report: Report = functools.partial(print, flush=True) if rank == 0 else lambda line: None
    Training(folder, seed=seed, report=report, recipe=recipe).train_unet(team)
    team.leave()


def save_pipeline(folder: Path, tokenizer: Any, text_encoder: Any, vae: Any, unet: Any) -> None:
    """Write a pipeline in diffusers' layout, weights in float16."""
    pipeline = StableDiffusionPipeline(
        vae=vae.half().eval(),
        text_encoder=text_encoder.half().eval(),
        tokenizer=tokenizer,
        unet=unet.half().eval(),
        scheduler=PNDMScheduler(**train_unet.NOISE, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with quiet_libraries():
        pipeline.save_pretrained(folder, safe_serialization=True)
