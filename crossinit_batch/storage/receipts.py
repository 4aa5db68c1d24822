"""Receipts: what was made, byte for byte, and from what; written last, so what has a valid one is whole.

`facts` are decided by the job alone; `run` holds what differs from run to run: seconds, device, versions, time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crossinit_batch import layout
from crossinit_batch.record import sealed, unsealed
from crossinit_batch.storage.store import Store, StoredFile, is_inside

SCHEMA = 1


class ReceiptFile(BaseModel):
    """One file of a receipt, its name relative to the receipt's folder; `digest` is set for pictures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    sha256: str
    digest: str | None = None

    @property
    def stored(self) -> StoredFile:
        return StoredFile(self.size, self.sha256)


class Receipt(BaseModel):
    """What a job left in its folder. `digest` is the job's, or the judges'.

    The pictures of one folder have a digest each, the cells of scores too, in `facts`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    receipt: int = SCHEMA
    kind: Literal["embedding", "images", "scores"]
    method: str
    identity: str
    digest: str
    files: dict[str, ReceiptFile]
    facts: dict[str, Any] = Field(default_factory=dict)
    run: dict[str, Any] = Field(default_factory=dict)

    def without(self, names: Collection[str]) -> Self:
        """The same receipt for all other files."""
        kept = {name: file for name, file in self.files.items() if name not in names}
        return self.model_copy(update={"files": kept})

    @model_validator(mode="after")
    def _names_its_files(self) -> Self:
        if self.kind == "embedding" and layout.EMBEDDING_FILE not in self.files:
            raise ValueError("the receipt of an embedding does not name its file")
        if any(not is_inside(name) for name in self.files):
            raise ValueError("the receipt names a file outside its folder")
        return self


def read_receipt(store: Store, name: str) -> Receipt | None:
    """The receipt in a file, or None where there is none, it is damaged, or this version does not understand it."""
    value = unsealed(store.read_json(name) or {})
    if value is None or value.get("receipt") != SCHEMA:
        return None
    try:
        return Receipt.model_validate(value)
    except ValidationError:
        return None


def write_receipt(store: Store, name: str, receipt: Receipt) -> None:
    """Publish a receipt; the files it names must stand already."""
    store.write_json(name, sealed(receipt.model_dump(mode="json", exclude_none=True)))
