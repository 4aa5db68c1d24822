"""The people of a manifest: its entries → identities, each with an id that nobody else has."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossinit_batch.manifest_reader import BAD, Reader
from crossinit_batch.manifest_schema import IdentityEntry
from crossinit_batch.naming import id_of, problem_of_id
from crossinit_batch.picture_files import PictureFiles
from crossinit_batch.places import Refused
from crossinit_batch.wording import shown
from crossinit_batch.yaml_nodes import ListNode, MapNode, Node

_MOST_TROUBLES = 5
"""Problems of one entry that are said in full; a pattern may match 100,000 files."""


@dataclass(frozen=True)
class Identity:
    """A person: the id as written (or made from a file's stem), photographs as absolute paths or URLs."""

    id: str
    photographs: tuple[str, ...]


def read_people(reader: Reader, node: ListNode, entries: list[Any], folder: Path) -> tuple[Identity, ...]:
    """The identities of a list and of its entries as read, paths relative to `folder`; problems go to the reader."""
    if not entries:
        reader.report(node, "identities", "the list is empty: name at least one picture")
    people = _People(reader, folder)
    for i, (item, entry) in enumerate(zip(node.items, entries, strict=True)):
        if entry is not BAD:
            people.add(item, entry, f"identities[{i}]")
    return tuple(people.identities)


class _People:
    """Collects identities, and knows where each id came from."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder, self.pictures = reader, folder, PictureFiles(folder)
        self.identities: list[Identity] = []
        self.taken: dict[str, tuple[str, int, str]] = {}

    def add(self, item: Node, entry: str | IdentityEntry, key: str) -> None:
        """Add the identities of an entry."""
        if isinstance(entry, str) or not isinstance(item, MapNode):
            self.one_a_file(self.files(entry, item, key), item, key)
            return
        place, here = item.values["images"], f"{key}.images"
        files = self.files(entry.images, place, here)
        named = item.values.get("id")
        if named is None:
            self.one_a_file(files[: entry.limit], place, here)
        elif not self.reader.bad(named):
            if trouble := problem_of_id(entry.id) or self.claim(entry.id, named.line, ""):
                self.reader.report(named, f"{key}.id", trouble)
            self.identities.append(Identity(entry.id, tuple(dict.fromkeys(files))[: entry.limit]))
