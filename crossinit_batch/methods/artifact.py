"""What a method learns of an identity, as the rest of the program sees it: files, facts, and a way to draw it.

Only `ArtifactKind` is known without torch; the class that it names is imported where an artifact is read or drawn.
"""

from __future__ import annotations

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from crossinit_batch.errors import EmbeddingError
from crossinit_batch.messages import plural
from crossinit_batch.storage.receipts import Receipt, stored_file

if TYPE_CHECKING:
    from crossinit_batch.model.base_model import BaseModel
    from crossinit_batch.model.conditioning import Conditioning
    from crossinit_batch.storage.store import Store


@dataclass(frozen=True)
class ArtifactKind:
    """A kind of artifact: its name, the files that it is made of (the first its main one), and who reads them.

    `shares_unet`: several identities may be drawn in one U-Net batch, since the U-Net is unchanged. `formats` are
    the names that `export` knows it by.
    """

    name: str
    files: tuple[str, ...]
    reader: str
    formats: tuple[str, ...]
    shares_unet: bool = True

    @property
    def plural(self) -> str:
        return plural(self.name)

    @property
    def main_file(self) -> str:
        return self.files[0]

    def load(self, files: Mapping[str, bytes], name: str, *, allow_pickle: bool = False) -> Artifact:
        """The artifact in these files, which messages call `name`; JobError where it cannot be used."""
        reader: type[Artifact] = pkgutil.resolve_name(self.reader)
        return reader.load(files, name, allow_pickle=allow_pickle)


class Unexportable(Exception):
    """No other tool can load this artifact: the reason, as the end of a sentence, and what to do instead."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


class Artifact(ABC):
    """One identity's learned result, in memory."""

    kind: ClassVar[ArtifactKind]

    @classmethod
    @abstractmethod
    def load(cls, files: Mapping[str, bytes], name: str, *, allow_pickle: bool = False) -> Artifact:
        """From the bytes of its files; JobError where they cannot be used."""

    @abstractmethod
    def dump(self, identity: str, metadata: Mapping[str, str]) -> dict[str, bytes]:
        """The bytes of its files by their names."""

    @abstractmethod
    def facts(self) -> dict[str, object]:
        """Numbers for the receipt, from the artifact alone."""

    @abstractmethod
    def check(self, model: BaseModel, name: str) -> None:
        """JobError where it was not made for this base model."""

    @abstractmethod
    def placeholder(self, identity: str) -> str:
        """The placeholder for the person in a prompt that is displayed."""

    @abstractmethod
    def conditioner(self, model: BaseModel) -> Conditioner:
        """The artifact on a base model, ready to condition prompts."""

    @abstractmethod
    def export(self, form: str, identity: str) -> dict[str, bytes]:
        """Files for other tools in one of its kind's formats, by path; Unexportable where there can be none."""


class Conditioner(ABC):
    """An artifact applied to a base model: turns prompts into what the U-Net is conditioned on."""

    @abstractmethod
    def conditioning(self, prompt: str) -> Conditioning:
        """One row for a prompt with the person in its slot, encoded alone; JobError where the slot does not fit."""

    @abstractmethod
    def attached(self) -> AbstractContextManager[None]:
        """While open the base model draws this person; needed where the artifact's kind does not share the U-Net."""


def stored_artifact(store: Store, receipt: Receipt, kind: ArtifactKind) -> Artifact:
    """The artifact that a receipt of an output folder lists; EmbeddingError where it is not the one that was stored."""
    files = {name: stored_file(store, receipt, name) for name in kind.files}
    return kind.load(files, f"{receipt.method}/{receipt.identity}")


def lists_artifact(receipt: Receipt, kind: ArtifactKind) -> bool:
    """Whether a receipt names all files that an artifact of this kind is made of."""
    return all(name in receipt.files for name in kind.files)


def missing_of(kind: ArtifactKind, name: str) -> EmbeddingError:
    """The error for files of an artifact that are not where they should be."""
    return EmbeddingError(f"{name}: not all files of {kind.name} are there", "Copy or download it again, complete.")
