"""Receipts: what was made, byte for byte, and from what; written last, so what has a valid one is complete.

`facts` are decided by the job alone; `run` holds what differs from run to run: seconds, device, versions, time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.errors import EmbeddingError
from crossinit_batch.record import Record, read_record, with_checksum
from crossinit_batch.storage.store import Store, StoredFile, is_inside

SCHEMA = 1


class ReceiptFile(Record):
    """One file of a receipt, its name relative to the receipt's folder; `digest` is set for pictures."""

    size: int
    sha256: str
    digest: str | None = None

    @property
    def stored(self) -> StoredFile:
        return StoredFile(self.size, self.sha256)


class Receipt(Record):
    """What a job left in its folder. `digest` is the job's, or the judges'.

    The pictures of one folder have a digest each, the cells of scores too, in `facts`. An artifact's receipt is of the
    kind `embedding` where it is one, else `artifact`.
    """

    model_config = ConfigDict(ser_json_inf_nan="constants")

    receipt: int = SCHEMA
    kind: Literal["embedding", "artifact", "images", "scores"]
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

    @property
    def prepared(self) -> str | None:
        """The published file that an artifact started from, None where it started from none."""
        name = self.facts.get(layout.PREPARED_FACT)
        return str(name) if name is not None else None

    @model_validator(mode="after")
    def _names_its_files(self) -> Self:
        if self.kind in ("embedding", "artifact") and not self.files:
            raise ValueError("the receipt of an artifact names no file")
        if any(not is_inside(name) for name in self.files):
            raise ValueError("the receipt names a file outside its folder")
        return self


def read_receipt(store: Store, name: str) -> Receipt | None:
    """The receipt in a file, or None where there is none, it is damaged, or this version does not understand it."""
    return read_record(Receipt, store.read_json(name), "receipt", SCHEMA)


def write_receipt(store: Store, name: str, receipt: Receipt) -> None:
    """Publish a receipt; the files it names must exist already."""
    store.write_json(name, with_checksum(receipt.model_dump(mode="json", exclude_none=True)))


def stored_file(store: Store, receipt: Receipt, file: str) -> bytes:
    """A file that an artifact's receipt names; EmbeddingError where it is not the one that was written."""
    name = f"{layout.artifact_folder(receipt.method, receipt.identity)}/{file}"
    data = store.read(name)
    if data is None or file not in receipt.files or sha256(data) != receipt.files[file].sha256:
        raise EmbeddingError(
            f"{store}/{name} does not match its receipt",
            "`crossinit verify --repair` sets it aside, then `crossinit resume` makes it again.",
        )
    return data
