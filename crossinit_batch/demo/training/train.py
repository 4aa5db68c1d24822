"""Train the small world from nothing: data, text encoder, autoencoder, U-Net, in stages that can be cut and resumed."""

from __future__ import annotations

import functools
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, multiprocessing

from crossinit_batch.demo.judges import training as judges
from crossinit_batch.demo.training import train_autoencoder, train_text_encoder, train_unet
from crossinit_batch.demo.training.dataset import SIDE, Dataset, make_dataset
from crossinit_batch.demo.training.loop import CPU, Report
from crossinit_batch.demo.training.pipeline import save_pipeline
from crossinit_batch.demo.training.pool import ALONE, Pool
from crossinit_batch.demo.training.recipe import EXTENDABLE, Recipe
from crossinit_batch.demo.training.stage_notes import StageNotes
from crossinit_batch.demo.training.vocabulary import demo_tokenizer
from crossinit_batch.errors import RequestError

STAGES = ("data", "text-encoder", "autoencoder", "decoder", "unet", "pipeline", *judges.STAGES)


class Training:
    """The folder of one training; each stage is done once, and goes on where it was cut."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        report: Report,
        recipe: Recipe | None = None,
        device: torch.device = CPU,
        processes: int = 1,
        compiled: bool = False,
    ) -> None:
        self.folder, self.seed, self.report, self.recipe = folder, seed, report, recipe or Recipe()
        self.device, self.processes, self.compiled = device, processes, compiled
        self.tokenizer = demo_tokenizer()
        self.notes = StageNotes(folder)
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
            "decoder": self._decoder,
            "unet": self._unet,
            "pipeline": self._pipeline,
        }
        if stage in stages:
            stages[stage]()
        else:
            self._judges().do(stage)

    @property
    def pipeline_folder(self) -> Path:
        """Where the finished pipeline is."""
        return self.folder / "pipeline"

    @property
    def judges_folder(self) -> Path:
        """Where the finished judges are."""
        return self.folder / "judges"

    def data(self) -> tuple[Dataset, Dataset]:
        """The examples to train on, and the held-out ones."""
        if self._data is None:
            self._data = make_dataset(
                self.folder / "data",
                self.recipe.pictures,
                seed=self.seed,
                on_shard=lambda done, count: self.report(f"data: {done} of {count} pictures"),
            )
        data, cut = self._data, len(self._data.examples) - self.recipe.held_out
        return (
            Dataset(data.pictures[:cut], data.examples[:cut]),
            Dataset(data.pictures[cut:], data.examples[cut:]),
        )

    def _text_encoder(self) -> None:
        if self.notes.is_done("text-encoder", self.recipe.text_encoder):
            return
        known, unseen = self.data()
        pair, trained = train_text_encoder.train_text_encoder(
            known,
            self.tokenizer,
            self.folder / "text-encoder.pt",
            schedule=self.recipe.text_encoder,
            seed=self.seed,
            report=self.report,
            device=self.device,
        )
        save_file(pair.state_dict(), self.folder / "clip-pair.safetensors")
        self.notes.add("text-encoder", trained, {"matched": train_text_encoder.matched(pair, unseen, self.tokenizer)})

    def _autoencoder(self) -> None:
        if self.notes.is_done("autoencoder", self.recipe.whole):
            return
        known, _ = self.data()
        torch.manual_seed(self.seed)
        autoencoder = train_autoencoder.build_autoencoder(train_text_encoder.to_samples(known.pictures[:64]))
        rounds = (("pieces", train_autoencoder.PIECE, self.recipe.autoencoder), ("whole", SIDE, self.recipe.whole))
        for name, side, schedule in rounds:
            trained = train_autoencoder.train_autoencoder(
                autoencoder,
                known,
                self.folder / f"autoencoder-{name}.pt",
                side=side,
                schedule=schedule,
                seed=self.seed,
                report=self.report,
                device=self.device,
            )
            self.notes.add(f"autoencoder-{name}", trained, {})
        autoencoder.save_pretrained(self.folder / "vae")
        mean, std = train_autoencoder.moments(autoencoder, known)
        save_file({"mean": mean, "std": std}, self.folder / "moments.safetensors")
        self.notes.add("autoencoder", trained, {})

    def _decoder(self) -> None:
        if self.notes.is_done("decoder", self.recipe.decoder):
            return
        self._autoencoder()
        known, unseen = self.data()
        autoencoder = AutoencoderKL.from_pretrained(self.folder / "vae")
        trained = train_autoencoder.train_decoder(
            autoencoder,
            known,
            self.moments(),
            self.folder / "decoder.pt",
            schedule=self.recipe.decoder,
            seed=self.seed,
            report=self.report,
            device=self.device,
        )
        autoencoder.save_pretrained(self.folder / "vae-finished")
        error = train_autoencoder.reconstruction_error(autoencoder, unseen)
        self.notes.add("decoder", trained, {"reconstruction_error": error})

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation (N, channels, 16, 16) of every training picture's latents."""
        stored = load_file(self.folder / "moments.safetensors")
        return stored["mean"], stored["std"]

    def _unet(self) -> None:
        if self.notes.is_done("unet", self.recipe.unet):
            return
        self._text_encoder()
        self._autoencoder()
        self.captions()
        if self.processes == 1:
            self.train_unet(ALONE)
            return
        with tempfile.TemporaryDirectory(dir=self.folder) as shared:
            arguments = (self.processes, Path(shared) / "file", self.folder, self.seed, self.recipe, self.compiled)
            multiprocessing.spawn(_unet_rank, arguments, nprocs=self.processes)  # type: ignore[attr-defined, no-untyped-call]

    def captions(self) -> tuple[NDArray[np.float16], Tensor]:
        """Hidden states of every caption and of the empty one."""
        text_encoder = self.clip_pair().text_encoder.eval().requires_grad_(False)
        file = self.folder / "captions.npy"
        texts = [] if file.is_file() else [entry.captions for entry in self.data()[0].examples]
        states = train_unet.encode_captions(text_encoder, self.tokenizer, texts, file)
        with torch.no_grad():
            ids = train_text_encoder.tokenize(self.tokenizer, [""])
            return states, text_encoder(input_ids=ids).last_hidden_state[0]

    def train_unet(self, pool: Pool) -> None:
        """Train the U-Net, alone or as one of several processes."""
        scale = json.loads((self.folder / "vae/config.json").read_text())["scaling_factor"]
        unet, trained = train_unet.train_unet(
            self.moments(),
            scale,
            *self.captions(),
            self.folder / "unet.pt",
            schedule=self.recipe.unet,
            seed=self.seed,
            report=self.report,
            pool=pool,
            device=self.device,
            compiled=self.compiled,
        )
        if pool.rank == 0:
            unet.save_pretrained(self.folder / "unet")
            self.notes.add("unet", trained, {})

    def _pipeline(self) -> None:
        self._decoder()
        self._unet()
        unet = UNet2DConditionModel.from_pretrained(self.folder / "unet")
        vae = AutoencoderKL.from_pretrained(self.folder / "vae-finished")
        text_encoder = self.clip_pair().text_encoder
        scheduler = PNDMScheduler(**train_unet.NOISE, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
        save_pipeline(self.pipeline_folder, self.tokenizer, text_encoder.half(), vae.half(), unet.half(), scheduler)

    def _judges(self) -> judges.JudgesTraining:
        return judges.JudgesTraining(
            folder=self.folder / "judges-training",
            finished=self.judges_folder,
            notes=self.notes,
            recipe=self.recipe,
            tokenizer=self.tokenizer,
            seed=self.seed,
            report=self.report,
            device=self.device,
        )

    def clip_pair(self) -> train_text_encoder.ClipPair:
        """The trained text encoder and picture tower."""
        pair = train_text_encoder.ClipPair(train_text_encoder.build_text_encoder(self.tokenizer))
        pair.load_state_dict(load_file(self.folder / "clip-pair.safetensors"))
        return pair

    def _claim(self) -> None:
        """RequestError where the folder holds a training of another seed or recipe; what others build on is fixed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted: dict[str, Any] = {"seed": self.seed, "recipe": asdict(self.recipe)}
        file = self.folder / "training.json"
        found = json.loads(file.read_text()) if file.is_file() else wanted
        extended = {**found, "recipe": {**found["recipe"], **{name: wanted["recipe"][name] for name in EXTENDABLE}}}
        if extended != wanted:
            raise RequestError(
                f"{self.folder} holds a training of another seed or size",
                f"Name another folder; only the steps of {', '.join(EXTENDABLE)} can be changed in one.",
            )
        file.write_text(json.dumps(wanted, indent=2) + "\n")


def _unet_rank(rank: int, size: int, file: Path, folder: Path, seed: int, recipe: Recipe, compiled: bool) -> None:
    """One of several processes that train the U-Net."""
    torch.set_num_threads(1)
    pool = Pool.join(rank, size, file)
    report: Report = functools.partial(print, flush=True) if rank == 0 else lambda line: None
    Training(folder, seed=seed, report=report, recipe=recipe, compiled=compiled).train_unet(pool)
    pool.leave()
