"""The basis that well-known names span: for each column of their tokens the mean and the principal components."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crossinit_batch.digest import digest_of
from crossinit_batch.errors import RequestError
from crossinit_batch.methods.celeb_basis.method import CelebBasisSettings
from crossinit_batch.methods.embedding.initial_vector import name_columns
from crossinit_batch.methods.embedding.names import init_parts
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.storage.tensor_file import dump_tensors


@dataclass(frozen=True, eq=False)
class NameBasis:
    """`mean` (columns, width) and orthonormal rows `components` (columns, k, width), float32 on the CPU."""

    mean: Tensor
    components: Tensor
    digest: str

    def vectors(self, coefficients: Tensor) -> Tensor:
        """z = mean + sum_k x_k B_k: (N, columns, width) of coefficients (N, columns, k)."""
        mean, components = self.mean.to(coefficients.device), self.components.to(coefficients.device)
        return mean + torch.einsum("nck,ckd->ncd", coefficients, components)

    def dump(self) -> bytes:
        """As a safetensors file."""
        return dump_tensors({"mean": self.mean, "components": self.components}, {"digest": self.digest})


def name_basis(model: BaseModel, settings: CelebBasisSettings) -> NameBasis:
    """Mean and the first principal components of each column of the names' token embeddings.

    k is the number asked for, or as many as every column has: its width, or its names less one. The decomposition is in
    float64 and each component's largest entry positive, since signs of singular vectors are arbitrary.
    """
    parts = {**init_parts(settings.init), "components": settings.components}
    encoder = {part: model.source.components[part] for part in ("tokenizer", "text_encoder")}
    columns = name_columns(model, settings.init)
    rows = min(len(column) for column in columns)
    if rows < 2:
        raise RequestError(
            "celeb-basis-direct: a column of the names has a single token, and a basis needs two",
            "Give more names, or lower `vectors`.",
        )
    k = min(settings.components, columns[0].shape[1], rows - 1)
    means, components = [], []
    for column in columns:
        exact = column.double()
        mean = exact.mean(dim=0)
        _, _, vh = torch.linalg.svd(exact - mean, full_matrices=False)
        chosen = vh[:k]
        largest = chosen.abs().argmax(dim=1, keepdim=True)
        means.append(mean.float())
        components.append((chosen * chosen.gather(1, largest).sign()).float())
    return NameBasis(torch.stack(means), torch.stack(components), digest_of("name-basis", {**parts, **encoder}))
