"""Our optimisation beside an independent one, written as diffusers' Textual Inversion script does it.

The script adds placeholder tokens to the tokenizer, grows the embedding table, gives the whole table to AdamW
and puts every other row back after each step. Our code does none of that, and the numbers must be the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from crossinit_batch.methods.denoising import Subject
from crossinit_batch.methods.draws import StepDraws, draw_step
from crossinit_batch.methods.embedding.conditioning import anchor_of
from crossinit_batch.methods.embedding.initial_vector import InitialVector, initial_vector
from crossinit_batch.methods.embedding.optimization import Optimization
from crossinit_batch.methods.embedding.settings import EmbeddingSettings
from crossinit_batch.methods.registry import presets
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.source import locate_model
from crossinit_batch.prompts import TRAINING_TEMPLATES
from crossinit_batch.settings import ModelSettings

STEPS = 30
SEED = 7
IDENTITY = "ada"


def _pixels(number: int) -> np.ndarray:
    """A smooth picture, float32 (64, 64, 3) from -1 to 1, nowhere its own mirror image."""
    y, x = np.mgrid[0:64, 0:64].astype(np.float32) / 64
    return np.stack([np.sin((number + 2 + channel) * x + 3 * y * y) for channel in range(3)], axis=2)


def _view(picture: np.ndarray, mirrored: int) -> np.ndarray:
    return picture[:, ::-1] if mirrored else picture


class ScriptTrainer:
    """examples/textual_inversion of diffusers, without its data loader: the draws come from outside."""

    def __init__(self, folder: Path, settings: EmbeddingSettings, start: Tensor, encode_together: bool) -> None:
        self.settings, self.encode_together = settings, encode_together
        self.known: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self.tokenizer = CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder")
        self.vae = AutoencoderKL.from_pretrained(folder, subfolder="vae")
        self.unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
        self.noise_scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
        names = ["<x>", *(f"<x>_{number}" for number in range(1, len(start)))]
        assert self.tokenizer.add_tokens(names) == len(names)
        self.person = " ".join(names)
        self.rows = self.tokenizer.convert_tokens_to_ids(names)
        self.text_encoder.resize_token_embeddings(len(self.tokenizer), mean_resizing=False)
        self.table = self.text_encoder.get_input_embeddings().weight
        self.start = start
        with torch.no_grad():
            self.table[self.rows] = start
        for module in (self.vae, self.unet, self.text_encoder):
            module.requires_grad_(False)
        self.table.requires_grad_(True)
        self.original = self.table.detach().clone()
        self.optimizer = torch.optim.AdamW(
            [self.table],
            lr=settings.learning_rate,
            betas=(0.9, 0.999),
            eps=1e-8,
            weight_decay=settings.weight_decay,
        )

    def train(self, pictures: list[np.ndarray], templates: list[str], draws: list[StepDraws]) -> Tensor:
        """The placeholder rows (tokens, width) after a step for each of these draws."""
        for draw in draws:
            loss = self._loss(pictures, templates, draw)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            others = torch.ones(len(self.tokenizer), dtype=torch.bool)
            others[self.rows] = False
            with torch.no_grad():
                self.table[others] = self.original[others]
        return self.learned().detach()

    def learned(self) -> Tensor:
        return self.table[self.rows]

    def encoded(self, input_ids: Tensor) -> Tensor:
        hidden: Tensor = self.text_encoder(input_ids)[0]
        return hidden

    def _loss(self, pictures: list[np.ndarray], templates: list[str], draw: StepDraws) -> Tensor:
        mean, std = self._moments(pictures, draw)
        latents = (mean + std * draw.posterior) * self.vae.config.scaling_factor
        noisy = self.noise_scheduler.add_noise(latents, draw.noise, draw.timestep)
        captions = [templates[number].replace("{}", self.person) for number in draw.template.tolist()]
        input_ids = self.tokenizer(
            captions, padding="max_length", truncation=True, max_length=77, return_tensors="pt"
        ).input_ids
        assert all(sum(int(row == one) for one in ids) == 1 for ids in input_ids for row in self.rows)
        hidden = self.encoded(input_ids)
        prediction = self.unet(noisy, draw.timestep, hidden).sample
        if self.noise_scheduler.config.prediction_type == "epsilon":
            target = draw.noise
        else:
            target = self.noise_scheduler.get_velocity(latents, draw.noise, draw.timestep)
        return functional.mse_loss(prediction, target) + self.settings.regularization * self._distance()

    def _moments(self, pictures: list[np.ndarray], draw: StepDraws) -> tuple[Tensor, Tensor]:
        """Of the latents of the batch: encoded together as in the script, or each alone and once."""
        chosen = list(zip(draw.photograph.tolist(), draw.mirrored.tolist(), strict=True))
        if self.encode_together:
            return self._encoded([_view(pictures[number], mirrored) for number, mirrored in chosen])
        for number, mirrored in set(chosen) - set(self.known):
            self.known[number, mirrored] = self._encoded([_view(pictures[number], mirrored)])
        mean, std = (torch.cat(parts) for parts in zip(*(self.known[one] for one in chosen), strict=True))
        return mean, std

    def _encoded(self, views: list[np.ndarray]) -> tuple[Tensor, Tensor]:
        pixel_values = torch.from_numpy(np.stack(views).transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            posterior = self.vae.encode(pixel_values).latent_dist
        return posterior.mean, posterior.std

    def _distance(self) -> Tensor:
        learned = self.learned()
        if self.settings.regularizer == "squared-l2":
            return sum(((one - start) ** 2).sum() for one, start in zip(learned, self.start, strict=True))  # type: ignore[return-value]
        return functional.pairwise_distance(learned, self.start, p=2).mean()


class OutputTrainer(ScriptTrainer):
    """The same script with the ablation: the encoder reads the mean name, and its output there is what is trained."""

    def __init__(self, folder: Path, settings: EmbeddingSettings, start: Tensor, mean: Tensor) -> None:
        super().__init__(folder, settings, mean, encode_together=False)
        self.start = start
        self.output = torch.nn.Parameter(start.clone())
        self.table.requires_grad_(False)
        self.optimizer = torch.optim.AdamW([self.output], lr=settings.learning_rate, weight_decay=settings.weight_decay)

    def learned(self) -> Tensor:
        return self.output

    def encoded(self, input_ids: Tensor) -> Tensor:
        hidden = self.text_encoder(input_ids)[0].clone()
        for sample, ids in enumerate(input_ids.tolist()):
            for row, vector in zip(self.rows, self.output, strict=True):
                hidden[sample, ids.index(row)] = vector
        return hidden


def _ours(folder: Path, settings: EmbeddingSettings, pictures: list[np.ndarray]) -> tuple[Tensor, InitialVector]:
    """v (tokens, width) after the steps of our optimisation, and where it started."""
    source = locate_model(ModelSettings(id=str(folder)))
    assert source is not None
    model = BaseModel.load(source, torch.device("cpu"), "float32")
    start = initial_vector(model, settings.init)[0]
    views = [_view(picture, mirrored) for picture in pictures for mirrored in (0, 1)]
    moments = [model.encode_image(torch.from_numpy(view.transpose(2, 0, 1).copy())[None]) for view in views]
    mean, std = (torch.cat(parts).unflatten(0, (-1, 2)) for parts in zip(*moments, strict=True))
    subjects, anchor = [Subject(IDENTITY, mean, std)], anchor_of(settings, start)
    optimization = Optimization(model, subjects, start.v_init, settings, SEED, anchor=anchor)
    assert optimization.run(lambda _step, _loss: True)
    return optimization.snapshot().v[0], start


def _theirs(
    folder: Path,
    settings: EmbeddingSettings,
    pictures: list[np.ndarray],
    start: InitialVector,
    *,
    encode_together: bool = False,
) -> Tensor:
    """v (tokens, width) after the same steps of the script, from the same start and with the same draws."""
    templates = list(TRAINING_TEMPLATES[settings.templates])
    draws = [
        draw_step(
            SEED,
            IDENTITY,
            step,
            batch_size=settings.batch_size,
            photographs=len(pictures),
            templates=len(templates),
            flip=settings.flip,
            latent_shape=(4, 8, 8),
        )
        for step in range(settings.steps)
    ]
    if settings.place == "output":
        return OutputTrainer(folder, settings, start.v_init, start.v_bar).train(pictures, templates, draws)
    return ScriptTrainer(folder, settings, start.v_init, encode_together).train(pictures, templates, draws)


def _variant(preset: str, **changes: object) -> EmbeddingSettings:
    return presets()[preset].model_copy(update={"steps": STEPS, "batch_size": 4, **changes})


@pytest.mark.parametrize(
    ("folder", "settings", "photographs"),
    [
        pytest.param("pipeline_folder", _variant("cross-init"), 1, id="cross-init"),
        pytest.param("pipeline_folder", _variant("cross-init-fast", regularization=1e-3), 2, id="fast"),
        pytest.param(
            "pipeline_folder", _variant("cross-init-released", batch_size=2, regularization=5e-4), 1, id="released"
        ),
        pytest.param("pipeline_folder", _variant("textual-inversion", batch_size=2), 1, id="textual-inversion"),
        pytest.param("velocity_folder", _variant("cross-init", batch_size=2, flip=False), 1, id="v-prediction"),
        pytest.param("pipeline_folder", _variant("cross-init", place="output"), 2, id="in-the-output"),
    ],
)
def test_thirty_steps_equal_the_script_of_diffusers(
    request: pytest.FixtureRequest, folder: str, settings: EmbeddingSettings, photographs: int
) -> None:
    """Pictures are encoded one at a time on both sides, so that both start from the very same latents."""
    pipeline: Path = request.getfixturevalue(folder)
    pictures = [_pixels(number) for number in range(photographs)]
    ours, start = _ours(pipeline, settings, pictures)
    theirs = _theirs(pipeline, settings, pictures, start)
    assert (ours - start.v_init).abs().max() > settings.learning_rate
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_the_script_with_pictures_encoded_together_differs_by_rounding_only(pipeline_folder: Path) -> None:
    """The autoencoder rounds a batch otherwise by some 1e-7, and AdamW divides by small gradients."""
    settings = _variant("cross-init", steps=15)
    ours, start = _ours(pipeline_folder, settings, [_pixels(0)])
    theirs = _theirs(pipeline_folder, settings, [_pixels(0)], start, encode_together=True)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)


def test_the_comparison_feels_every_part(pipeline_folder: Path) -> None:
    """What any one of these changes does is far above the tolerance, which so hides no mistake in one."""
    plain = _variant("cross-init", steps=4, batch_size=2)
    before, _ = _ours(pipeline_folder, plain, [_pixels(0)])
    for change in (
        {"flip": False},
        {"weight_decay": 0.0},
        {"regularization": 1e-2},
        {"templates": "object"},
        {"place": "output"},
    ):
        after, _ = _ours(pipeline_folder, plain.model_copy(update=change), [_pixels(0)])
        assert (after - before).abs().max() > 1e-4, change
