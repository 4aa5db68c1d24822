"""The basis of names: orthonormal, around the mean, the same for equal names, and as large as its columns allow."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from crossinit_batch.errors import RequestError
from crossinit_batch.methods.celeb_basis.basis import NameBasis, name_basis
from crossinit_batch.methods.celeb_basis.method import CELEB_BASIS_DIRECT, CelebBasisSettings
from crossinit_batch.methods.embedding.initial_vector import mean_embedding, name_columns
from crossinit_batch.methods.embedding.settings import InitSettings
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.source import fetched_model
from crossinit_batch.settings import ModelSettings


@pytest.fixture(scope="module")
def model(pipeline_folder: Path) -> BaseModel:
    source = fetched_model(ModelSettings(id=str(pipeline_folder)))
    return BaseModel.load(source, torch.device("cpu"), "float32")


@pytest.fixture(scope="module")
def basis(model: BaseModel) -> NameBasis:
    return name_basis(model, CelebBasisSettings())


def test_components_are_orthonormal_and_the_mean_is_the_plain_mean(model: BaseModel, basis: NameBasis) -> None:
    assert basis.components.shape == (2, 32, 32), "no more components than the width"
    for rows in basis.components:
        torch.testing.assert_close(rows @ rows.T, torch.eye(32), rtol=0, atol=1e-5)
    torch.testing.assert_close(basis.mean, mean_embedding(model, InitSettings()), rtol=0, atol=1e-6)


def test_the_first_component_varies_most_and_signs_are_fixed(model: BaseModel, basis: NameBasis) -> None:
    for column, mean, rows in zip(name_columns(model, InitSettings()), basis.mean, basis.components, strict=True):
        spread = ((column - mean) @ rows.T).var(dim=0)
        assert (spread[:-1] >= spread[1:] - 1e-7).all() and spread[0] > 2 * spread[-1]
        largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
        assert (largest > 0).all()


def test_coefficients_on_the_unit_sphere_are_at_distance_one_from_the_mean(basis: NameBasis) -> None:
    x = torch.randn(3, 2, 32, generator=torch.Generator().manual_seed(0))
    z = basis.vectors(x / x.norm(dim=-1, keepdim=True))
    assert z.shape == (3, 2, 32)
    torch.testing.assert_close((z - basis.mean).norm(dim=-1), torch.ones(3, 2), rtol=0, atol=1e-4)


def test_few_names_give_few_components_and_one_gives_none(model: BaseModel, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("Ada Lovelace\nTom Hanks\nAnne Hathaway\n")
    columns = [len(column) for column in name_columns(model, InitSettings(names=str(names)))]
    settings = CelebBasisSettings(names=str(names))
    assert name_basis(model, settings).components.shape[1] == min(columns) - 1
    assert name_basis(model, CelebBasisSettings(names=str(names), components=1)).components.shape[1] == 1
    one = tmp_path / "one.txt"
    one.write_text("Tom Hanks\n")
    with pytest.raises(RequestError, match="a basis needs two"):
        name_basis(model, CelebBasisSettings(names=str(one)))


def test_the_names_decide_the_digest_and_not_where_they_are(tmp_path: Path) -> None:
    decided = []
    for folder, text in (("a", "Tom Hanks\n"), ("b", "Tom Hanks\n"), ("c", "Anne Hathaway\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "names.txt").write_text(text)
        settings = CelebBasisSettings(names=str(tmp_path / folder / "names.txt"))
        decided.append(CELEB_BASIS_DIRECT.decides(settings))
    assert decided[0] == decided[1] != decided[2]
