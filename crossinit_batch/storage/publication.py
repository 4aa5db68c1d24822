"""Files of the output folder that no job has made: pages, tables, initial vectors, in groups that are written together.

A group has a receipt of its own. It goes before its files change and comes back after them, so that whatever it lists
is as it says, wherever a run is cut.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, Self

from pydantic import model_validator

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.record import Record, read_record, with_checksum
from crossinit_batch.storage.receipts import ReceiptFile
from crossinit_batch.storage.store import Store, is_inside

SCHEMA = 1


class Publication(Record):
    """The receipt of a group: its files by their names in the output folder."""

    receipt: int = SCHEMA
    kind: Literal["published"] = "published"
    files: dict[str, ReceiptFile]

    @model_validator(mode="after")
    def _stays_in_the_folder(self) -> Self:
        if any(not is_inside(name) for name in self.files):
            raise ValueError("the receipt names a file outside the output folder")
        return self


class Publishing:
    """A group while it is written: what is written or kept is what its receipt will list."""

    def __init__(self, store: Store, before: Mapping[str, ReceiptFile]) -> None:
        self.store, self.before = store, before
        self.files: dict[str, ReceiptFile] = {}

    def write(self, name: str, data: bytes) -> None:
        """Publish a file of the group."""
        stored = self.store.write(name, data)
        self.files[name] = ReceiptFile(size=stored.size, sha256=stored.sha256)

    def keep(self, name: str) -> bool:
        """Keep a file that stands from before; False where there is none, or one that the receipt does not know so."""
        data = self.store.read(name)
        if data is None:
            return False
        found, known = ReceiptFile(size=len(data), sha256=sha256(data)), self.before.get(name)
        if known is not None and known != found:
            return False
        self.files[name] = found
        return True


@contextlib.contextmanager
def publishing(store: Store, group: str) -> Iterator[Publishing]:
    """Write a group's files; its receipt is published when all of them are."""
    name = layout.publication(group)
    pages = Publishing(store, published_files(store, name) or {})
    store.remove(name)
    yield pages
    _write_publication(store, name, pages.files)


def forget_published(store: Store, name: str, lost: Collection[str]) -> None:
    """Take files that are lost out of a group's receipt."""
    files = published_files(store, name) or {}
    kept = {file: facts for file, facts in files.items() if file not in lost}
    if files and not kept:
        store.remove(name)
    elif len(kept) < len(files):
        _write_publication(store, name, kept)


def _write_publication(store: Store, name: str, files: Mapping[str, ReceiptFile]) -> None:
    """Publish a group's receipt, unless it would list nothing."""
    if files:
        store.write_json(name, with_checksum(Publication(files=dict(files)).model_dump(mode="json", exclude_none=True)))


def published_files(store: Store, name: str) -> dict[str, ReceiptFile] | None:
    """The files that a group's receipt lists; None where there is none, or it is not understood."""
    found = read_record(Publication, store.read_json(name), "receipt", SCHEMA)
    return found.files if found is not None else None


def is_published(store: Store, group: str, name: str) -> bool:
    """Whether a file stands as its group's receipt says."""
    known = (published_files(store, layout.publication(group)) or {}).get(name)
    data = store.read(name) if known is not None else None
    return known is not None and data is not None and sha256(data) == known.sha256
