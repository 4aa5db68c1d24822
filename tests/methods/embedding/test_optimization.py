"""The denoising-loss loop: losses by hand, identities that do not feel each other, and runs that are cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from crossinit_batch.methods.denoising import Subject
from crossinit_batch.methods.embedding.optimization import STATE, Optimization, Progress, regularizer
from crossinit_batch.methods.embedding.settings import EmbeddingSettings
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.micro_batch import MicroBatch
from crossinit_batch.model.source import locate_model
from crossinit_batch.prompts import TRAINING_TEMPLATES
from crossinit_batch.settings import ModelSettings
from crossinit_batch.storage.tensor_file import TensorFileError
from crossinit_batch.worker.checkpoint import dump_checkpoint, load_checkpoint

NAMES = ("ada", "bob", "cy", "dee", "eve", "fay", "gus", "hal")


@pytest.fixture(scope="module")
def model(pipeline_folder: Path) -> BaseModel:
    return _loaded(pipeline_folder)


def _loaded(folder: Path) -> BaseModel:
    source = locate_model(ModelSettings(id=str(folder)))
    assert source is not None
    return BaseModel.load(source, torch.device("cpu"), "float32")


def _subject(name: str, photographs: int = 1) -> Subject:
    """Made-up moments, another for each name."""
    generator = torch.Generator().manual_seed(NAMES.index(name))
    mean = torch.randn(photographs, 2, 4, 8, 8, generator=generator)
    return Subject(name, mean, 0.1 + torch.rand(mean.shape, generator=generator))


def _start(tokens: int = 2, width: int = 32) -> Tensor:
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(99))


def _settings(**changes: object) -> EmbeddingSettings:
    return EmbeddingSettings(**{"steps": 6, "batch_size": 2, **changes})  # type: ignore[arg-type]


def _learned(
    model: BaseModel, subjects: Sequence[Subject], settings: EmbeddingSettings, anchor: Tensor | None = None
) -> Progress:
    optimization = Optimization(model, subjects, _start(), settings, seed=3, anchor=anchor)
    assert optimization.run(lambda _step, _loss: True)
    return optimization.snapshot()


# --- losses ---


def test_the_squared_regularizer_and_its_gradient_by_hand() -> None:
    v_init = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    v = torch.tensor([[[1.5, 2.0], [3.0, 3.0]], [[1.0, 2.0], [0.0, -1.0]]], requires_grad=True)
    distance = regularizer(v, v_init, "squared-l2")
    assert distance.tolist() == [0.25 + 9 + 16, 0.0]
    (gradient,) = torch.autograd.grad(distance.sum(), v)
    assert gradient.tolist() == [[[1.0, 0.0], [6.0, 8.0]], [[0.0, 0.0], [0.0, 0.0]]]


def test_the_unsquared_regularizer_and_its_gradient_by_hand() -> None:
    v_init = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    v = torch.tensor([[[1.0, 4.0], [3.0, 3.0]]], requires_grad=True)
    distance = regularizer(v, v_init, "l2")
    assert distance.tolist() == pytest.approx([(2 + 5) / 2], abs=1e-5)
    (gradient,) = torch.autograd.grad(distance.sum(), v)
    assert gradient.flatten().tolist() == pytest.approx([0, 0.5, 0.3, 0.4], abs=1e-5)


def test_the_unsquared_regularizer_is_pytorchs_pairwise_distance_and_has_a_gradient_at_the_start() -> None:
    v_init = _start(3, 16)
    v = (v_init + 0.3).expand(2, -1, -1).clone()
    expected = functional.pairwise_distance(v[0], v_init, p=2).mean()
    assert torch.equal(regularizer(v, v_init, "l2"), expected.expand(2))
    at_start = v_init[None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(regularizer(at_start, v_init, "l2").sum(), at_start)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("folder", ["pipeline_folder", "velocity_folder"])
def test_the_denoising_loss_by_hand(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """A U-Net that answers 0.5 everywhere makes Eq. 1 a mean of squares that a loop over samples can take."""
    model = _loaded(request.getfixturevalue(folder))
    assert model.prediction_type == ("epsilon" if folder == "pipeline_folder" else "v_prediction")
    seen: list[tuple[Tensor, Tensor]] = []

    def half(latents: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
        seen.append((latents, timesteps))
        return torch.full_like(latents, 0.5) + 0 * states.sum()

    monkeypatch.setattr(model, "predict_noise", half)
    subjects = [_subject("ada"), _subject("bob", photographs=3)]
    optimization = Optimization(model, subjects, _start(2, model.width), _settings(), seed=3)
    draws = optimization.denoising.draws(4)
    loss, gradient = optimization.denoising.loss_and_gradient(optimization.v, draws)

    alphas = model.noise_scheduler.alphas_cumprod
    noisy = []
    for number, (subject, draw) in enumerate(zip(subjects, draws, strict=True)):
        squares = []
        for sample in range(2):
            place = int(draw.photograph[sample]), int(draw.mirrored[sample])
            z = (subject.mean[place] + subject.std[place] * draw.posterior[sample]) * 0.18215
            alpha = math.sqrt(alphas[draw.timestep[sample]])
            sigma = math.sqrt(1 - alphas[draw.timestep[sample]])
            epsilon = draw.noise[sample]
            noisy.append(alpha * z + sigma * epsilon)
            target = epsilon if folder == "pipeline_folder" else alpha * epsilon - sigma * z
            squares.append((0.5 - target).square())
        assert float(loss[number]) == pytest.approx(float(torch.stack(squares).mean()), rel=1e-5)
    assert not gradient.any()
    torch.testing.assert_close(seen[0][0], torch.stack(noisy), rtol=0, atol=1e-6)
    assert seen[0][1].tolist() == [int(one) for draw in draws for one in draw.timestep]


def test_only_v_moves_and_nothing_else_has_a_gradient(model: BaseModel) -> None:
    before = {name: one.clone() for name, one in model.text_encoder.state_dict().items()}
    final = _learned(model, [_subject("ada")], _settings())
    assert (final.v - _start()).abs().max() > 1e-3
    assert all(torch.equal(one, before[name]) for name, one in model.text_encoder.state_dict().items())
    for module in (model.text_encoder, model.unet, model.vae):
        assert all(not one.requires_grad and one.grad is None for one in module.parameters())


def test_the_losses_of_every_step_are_kept(model: BaseModel) -> None:
    told: list[tuple[int, float]] = []
    optimization = Optimization(model, [_subject("ada"), _subject("bob")], _start(), _settings(), seed=3)
    optimization.run(lambda step, loss: not told.append((step, loss())))  # type: ignore[func-returns-value]
    losses = optimization.snapshot().losses
    assert losses.shape == (6, 2, 2)
    assert [step for step, _ in told] == [1, 2, 3, 4, 5, 6]
    assert [loss for _, loss in told] == pytest.approx(losses[:, :, 0].mean(dim=1).tolist())
    assert losses[0, :, 1].tolist() == [0.0, 0.0]
    assert (losses[1:, :, 1] > 0).all()


# --- identities ---


def test_an_identity_learns_the_same_alone_and_among_eight(model: BaseModel) -> None:
    settings = _settings(steps=10)
    together = _learned(model, [_subject(name) for name in NAMES], settings)
    alone = _learned(model, [_subject("dee")], settings)
    torch.testing.assert_close(alone.v[0], together.v[NAMES.index("dee")], rtol=0, atol=1e-5)
    torch.testing.assert_close(alone.losses[:, 0], together.losses[:, NAMES.index("dee")], rtol=1e-5, atol=1e-5)
    assert (together.v[0] - together.v[3]).abs().max() > 1e-3


def test_identities_may_have_different_numbers_of_photographs(model: BaseModel) -> None:
    settings = _settings()
    many = _learned(model, [_subject("ada", 4), _subject("bob"), _subject("cy", 2)], settings)
    alone = _learned(model, [_subject("ada", 4)], settings)
    one_only = _learned(model, [Subject("ada", *(part[:1] for part in _moments("ada", 4)))], settings)
    torch.testing.assert_close(alone.v[0], many.v[0], rtol=0, atol=1e-5)
    assert (one_only.v[0] - alone.v[0]).abs().max() > 1e-4


def _moments(name: str, photographs: int) -> tuple[Tensor, Tensor]:
    subject = _subject(name, photographs)
    return subject.mean, subject.std


@pytest.mark.parametrize("regularization", [0.0, 1e-5])
def test_a_picture_that_gives_no_number_stops_its_identity_alone(model: BaseModel, regularization: float) -> None:
    settings = _settings(regularization=regularization)
    healthy = [_subject(name) for name in ("ada", "bob", "cy")]
    sick = [healthy[0], Subject("bob", healthy[1].mean * math.nan, healthy[1].std), healthy[2]]
    told: list[float] = []
    optimization = Optimization(model, sick, _start(), settings, seed=3)
    optimization.run(lambda _step, loss: not told.append(loss()))  # type: ignore[func-returns-value]
    final, reference = optimization.snapshot(), _learned(model, healthy, settings)
    assert final.failed_at.tolist() == [-1, 0, -1]
    assert torch.equal(final.v[0], reference.v[0])
    assert torch.equal(final.v[2], reference.v[2])
    assert torch.isfinite(final.v).all()
    assert all(math.isfinite(loss) for loss in told)


def test_an_identity_that_fails_later_keeps_the_step_where_it_failed(
    model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimization = Optimization(model, [_subject("ada"), _subject("bob")], _start(), _settings(), seed=3)
    predict = model.predict_noise

    def failing(latents: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
        scale = torch.ones(len(latents))
        scale[2:] = math.inf if optimization.step == 2 else 1.0
        return predict(latents, timesteps, states) * scale[:, None, None, None]

    monkeypatch.setattr(model, "predict_noise", failing)
    optimization.run(lambda _step, _loss: True)
    monkeypatch.undo()
    final = optimization.snapshot()
    assert final.failed_at.tolist() == [-1, 2]
    reference = _learned(model, [_subject("ada"), _subject("bob")], _settings())
    assert torch.equal(final.v[0], reference.v[0])


def test_when_all_identities_have_failed_the_loss_is_not_a_number(model: BaseModel) -> None:
    sick = Subject("ada", _subject("ada").mean * math.nan, _subject("ada").std)
    told: list[float] = []
    optimization = Optimization(model, [sick], _start(), _settings(steps=2), seed=3)
    assert optimization.run(lambda _step, loss: not told.append(loss()))  # type: ignore[func-returns-value]
    assert all(math.isnan(loss) for loss in told)
    assert optimization.snapshot().failed_at.tolist() == [0]


# --- in the text encoder's output ---


def test_in_the_output_the_encoder_reads_every_caption_once_however_many_steps(model: BaseModel) -> None:
    captions = len(TRAINING_TEMPLATES["face"])
    for steps in (1, 40):
        before = replace(model.counters)
        final = _learned(model, [_subject("ada"), _subject("bob")], _settings(steps=steps), _anchor())
        assert model.counters.text_encodes - before.text_encodes == captions
        assert model.counters.unet_forwards - before.unet_forwards == steps * 4
    assert (final.v - _start()).abs().max() > 1e-3
    assert final.trajectory[:, :, 2:].isnan().all() and not final.trajectory[:, :, :2].isnan().any()


def test_in_the_output_what_stands_in_matters_and_the_start_is_v_init(model: BaseModel) -> None:
    """The same start and draws: another stand-in is another context for v, and none at all another method."""
    before, steps = _start(), _settings()
    ours = _learned(model, [_subject("ada")], steps, _anchor())
    assert ours.losses[0, 0, 1] == 0 and (ours.v[0] - before).norm() > 0
    assert (ours.v - _learned(model, [_subject("ada")], steps, 2 * _anchor()).v).abs().max() > 1e-6
    assert (ours.v - _learned(model, [_subject("ada")], steps).v).abs().max() > 1e-4


def test_in_the_output_an_identity_learns_the_same_alone_among_eight_and_in_parts(model: BaseModel) -> None:
    settings, people = _settings(steps=10), [_subject(name) for name in NAMES]
    together = _learned(model, people, settings, _anchor())
    alone = _learned(model, [_subject("dee")], settings, _anchor())
    torch.testing.assert_close(alone.v[0], together.v[NAMES.index("dee")], rtol=0, atol=1e-5)
    parts = _learned(replace(model, learning=MicroBatch(3)), people, settings, _anchor())
    torch.testing.assert_close(parts.v, together.v, rtol=0, atol=1e-5)


def test_in_the_output_a_run_that_is_cut_ends_bit_for_bit_as_one_that_is_not(model: BaseModel) -> None:
    subjects, settings = [_subject("ada"), _subject("bob", 2)], _settings(steps=12)
    whole = _learned(model, subjects, settings, _anchor())
    first = Optimization(model, subjects, _start(), settings, seed=3, anchor=_anchor())
    first.run(lambda step, _loss: step < 5)
    progress = _restored(_dumped(first.snapshot(), ["a", "b"]), ["a", "b"])
    second = Optimization(model, subjects, _start(), settings, 3, progress, _anchor())
    assert second.run(lambda _step, _loss: True)
    assert _parts(second.snapshot()) == _parts(whole)


def _anchor() -> Tensor:
    return 0.1 * torch.randn(2, 32, generator=torch.Generator().manual_seed(98))


# --- parts that memory allows ---


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_samples_that_pass_in_parts_give_the_same_result(model: BaseModel, size: int) -> None:
    """Three identities of two samples: some parts cut through an identity."""
    subjects, settings = [_subject(name) for name in ("ada", "bob", "cy")], _settings(steps=10)
    whole = _learned(model, subjects, settings)
    forwards = model.counters.unet_forwards
    parts = _learned(replace(model, learning=MicroBatch(size)), subjects, settings)
    torch.testing.assert_close(parts.v, whole.v, rtol=0, atol=1e-5)
    torch.testing.assert_close(parts.losses, whole.losses, rtol=1e-5, atol=1e-5)
    assert model.counters.unet_forwards - forwards == 10 * 6


def test_running_out_of_memory_halves_what_passes_and_changes_no_result(
    model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects, settings = [_subject(name) for name in ("ada", "bob", "cy", "dee")], _settings(steps=10)
    whole = _learned(model, subjects, settings)
    tight = replace(model, learning=MicroBatch())
    predict = BaseModel.predict_noise
    asked = []

    def small(self: BaseModel, latents: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
        asked.append(len(latents))
        prediction = predict(self, latents, timesteps, states)
        if len(latents) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return prediction

    monkeypatch.setattr(BaseModel, "predict_noise", small)
    halved = _learned(tight, subjects, settings)
    assert asked == [8, 4, *[2] * 40]
    torch.testing.assert_close(halved.v, whole.v, rtol=0, atol=1e-5)
    assert tight.reduced("learning") == {"micro_batch": {"learning": {"samples": 2, "wanted": 8}}}
    assert model.reduced("learning") == {}


# --- runs that are cut ---


def test_a_run_that_is_cut_and_goes_on_ends_bit_for_bit_as_one_that_is_not(model: BaseModel) -> None:
    subjects, settings = [_subject("ada"), _subject("bob", 2)], _settings(steps=30)
    whole = _learned(model, subjects, settings)
    first = Optimization(model, subjects, _start(), settings, seed=3)
    assert not first.run(lambda step, _loss: step < 11)
    assert first.step == 11
    data = _dumped(first.snapshot(), ["a", "b"])
    progress = _restored(data, ["a", "b"])
    assert progress is not None
    assert progress.step == 11
    second = Optimization(model, subjects, _start(), settings, seed=3, progress=progress)
    assert second.run(lambda _step, _loss: True)
    assert second.step == 30
    assert _parts(second.snapshot()) == _parts(whole)


def _dumped(progress: Progress, jobs: list[str]) -> bytes:
    return dump_checkpoint(progress.tensors(), STATE, jobs)


def _restored(data: bytes, jobs: list[str]) -> Progress | None:
    tensors = load_checkpoint(data, "checkpoint", STATE, jobs)
    return Progress(**tensors) if tensors is not None else None


def _parts(progress: Progress) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in vars(progress).items()}


def test_a_snapshot_does_not_move_with_the_steps_after_it(model: BaseModel) -> None:
    optimization = Optimization(model, [_subject("ada")], _start(), _settings(), seed=3)
    optimization.run(lambda step, _loss: step < 2)
    early = optimization.snapshot()
    kept = _parts(early)
    optimization.run(lambda _step, _loss: True)
    assert _parts(early) == kept
    assert early.step == 2


def test_a_failure_outlives_a_cut(model: BaseModel) -> None:
    sick = Subject("ada", _subject("ada").mean * math.nan, _subject("ada").std)
    first = Optimization(model, [sick, _subject("bob")], _start(), _settings(), seed=3)
    first.run(lambda step, _loss: step < 3)
    progress = _restored(_dumped(first.snapshot(), ["a", "b"]), ["a", "b"])
    second = Optimization(model, [sick, _subject("bob")], _start(), _settings(), seed=3, progress=progress)
    second.run(lambda _step, _loss: True)
    assert second.snapshot().failed_at.tolist() == [0, -1]


def test_progress_before_the_first_step_can_be_stored_too() -> None:
    start = Progress.start(_start(), 3)
    found = _restored(_dumped(start, ["a"]), ["a"])
    assert found is not None
    assert found.step == 0
    assert _parts(found) == _parts(start)


def test_progress_of_other_jobs_is_not_taken_and_damaged_progress_is_refused() -> None:
    data = _dumped(Progress.start(_start(), 2), ["a", "b"])
    assert _restored(data, ["b", "a"]) is None
    assert _restored(data, ["a"]) is None
    with pytest.raises(TensorFileError, match="checkpoint"):
        _restored(data[:-7], ["a", "b"])


def test_a_finished_optimization_does_no_step(model: BaseModel) -> None:
    optimization = Optimization(model, [_subject("ada")], _start(), _settings(steps=1), seed=3)
    optimization.run(lambda _step, _loss: True)
    forwards = model.counters.unet_forwards
    assert optimization.run(lambda _step, _loss: pytest.fail("a step was done"))
    assert model.counters.unet_forwards == forwards
