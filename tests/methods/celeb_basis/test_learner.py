"""Coefficients are learned on the unit sphere, averaged, and end as an embedding; cut or alone, the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from crossinit_batch.errors import JobError
from crossinit_batch.methods.celeb_basis.learner import CelebBasisLearner, CelebBasisTrainer
from crossinit_batch.methods.celeb_basis.method import CelebBasisSettings
from crossinit_batch.methods.denoising import Subject
from crossinit_batch.methods.embedding.artifact import Embedding
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.source import fetched_model
from crossinit_batch.settings import ModelSettings

NAMES = ("ada", "bob", "cy")


@pytest.fixture(scope="module")
def model(pipeline_folder: Path) -> BaseModel:
    source = fetched_model(ModelSettings(id=str(pipeline_folder)))
    return BaseModel.load(source, torch.device("cpu"), "float32")


def subject(name: str) -> Subject:
    generator = torch.Generator().manual_seed(NAMES.index(name))
    mean = torch.randn(1, 2, 4, 8, 8, generator=generator)
    return Subject(name, mean, 0.1 + torch.rand(mean.shape, generator=generator))


def learner(model: BaseModel, **changes: object) -> CelebBasisLearner:
    settings = CelebBasisSettings(**{"steps": 5, **changes})  # type: ignore[arg-type]
    return CelebBasisLearner(model, settings, "celeb", 3, lambda _event: None)


def trained(model: BaseModel, *names: str, **changes: object) -> CelebBasisTrainer:
    trainer = learner(model, **changes).trainer([subject(name) for name in names], None, 0)
    assert trainer.run(lambda _step, _loss: True)
    return trainer


def v_of(trainer: CelebBasisTrainer, number: int = 0) -> Tensor:
    artifact = trainer.result(number).artifact
    assert isinstance(artifact, Embedding)
    return artifact.file.v


def test_the_average_is_updated_once_a_sample(model: BaseModel) -> None:
    made = learner(model, batch_size=3, ema=0.9)
    trainer = made.trainer([subject("ada")], None, 0)
    start = trainer.state()
    x = start["u"] / start["u"].norm(dim=-1, keepdim=True)
    trainer.run(lambda _step, _loss: False)
    expected = start["ema"]
    for _ in range(3):
        expected = 0.9 * expected + 0.1 * x
    torch.testing.assert_close(trainer.state()["ema"], expected, rtol=0, atol=1e-6)


def test_without_an_average_the_result_is_at_distance_one_from_the_mean(model: BaseModel) -> None:
    trainer = trained(model, "ada", ema=0.0)
    facts = trainer.result(0).facts
    assert facts["distance_to_mean"] == pytest.approx([1.0, 1.0], abs=1e-4)
    assert facts["components"] == 32 and facts["steps"] == 5


def test_learning_moves_and_the_loss_is_kept(model: BaseModel) -> None:
    trainer = trained(model, "ada", ema=0.0)
    start = learner(model).trainer([subject("ada")], None, 0).state()["u"]
    assert (trainer.state()["u"] - start).abs().max() > 1e-3
    rows = trainer.result(0).files["losses.csv"].decode().splitlines()
    assert rows[0] == "step,denoising_loss" and len(rows) == 6


def test_alone_and_among_others_it_is_the_same(model: BaseModel) -> None:
    together = trained(model, *NAMES)
    torch.testing.assert_close(v_of(together, 1), v_of(trained(model, "bob")), rtol=0, atol=1e-5)


def test_a_run_that_is_cut_ends_bit_for_bit_as_one_that_is_not(model: BaseModel) -> None:
    expected = trained(model, "ada", "bob").state()
    made = learner(model)
    first = made.trainer([subject("ada"), subject("bob")], None, 0)
    assert not first.run(lambda step, _loss: step < 2)
    second = made.trainer([subject("ada"), subject("bob")], first.state(), 0)
    assert second.step == 2 and second.run(lambda _step, _loss: True)
    found = second.state()
    assert found.keys() == set(CelebBasisTrainer.STATE)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_one_whose_numbers_are_lost_fails_alone(model: BaseModel) -> None:
    sick = Subject("ada", subject("ada").mean * torch.nan, subject("ada").std)
    trainer = learner(model).trainer([sick, subject("bob")], None, 0)
    assert trainer.run(lambda _step, _loss: True)
    with pytest.raises(JobError, match="not finite at step 1"):
        trainer.result(0)
    assert v_of(trainer, 1).isfinite().all()
