"""The identities of a manifest: its entries → identities, each with an id that nobody else has."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossinit_batch.manifest.naming import id_of, problem_of_id
from crossinit_batch.manifest.paths import Refused
from crossinit_batch.manifest.pictures import PictureFiles
from crossinit_batch.manifest.reader import BAD, Reader
from crossinit_batch.manifest.schema import IdentityEntry
from crossinit_batch.manifest.yaml_tree import ListNode, MapNode, Node
from crossinit_batch.messages import quoted

_MOST_TROUBLES = 5
"""Problems of one entry that are said in full; a pattern may match 100,000 files."""


@dataclass(frozen=True)
class Identity:
    """An identity: the id as written (or made from a file's stem), photographs as absolute paths or URLs."""

    id: str
    photographs: tuple[str, ...]


def read_identities(reader: Reader, node: ListNode, entries: list[Any], folder: Path) -> tuple[Identity, ...]:
    """The identities of a list, given its entries as read; paths are relative to `folder`."""
    if not entries:
        reader.report(node, "identities", "the list is empty: name at least one picture")
    found = _Identities(reader, folder)
    for i, (item, entry) in enumerate(zip(node.items, entries, strict=True)):
        if entry is not BAD:
            found.add(item, entry, f"identities[{i}]")
    return tuple(found.identities)


class _Identities:
    """Collects identities, and where each id came from."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder, self.pictures = reader, folder, PictureFiles(folder)
        self.identities: list[Identity] = []
        self.taken: dict[str, tuple[str, int, str]] = {}

    def add(self, item: Node, entry: str | IdentityEntry, key: str) -> None:
        """Add the identities of an entry."""
        if isinstance(entry, str):
            self.one_a_file(self.files(entry, item, key), item, key)
            return
        assert isinstance(item, MapNode)
        at, here = item.values["images"], f"{key}.images"
        files = self.files(entry.images, at, here)
        named = item.values.get("id")
        if named is None:
            self.one_a_file(files[: entry.limit], at, here)
        elif not self.reader.bad(named):
            if trouble := problem_of_id(entry.id) or self.claim(entry.id, named.line, ""):
                self.reader.report(named, f"{key}.id", trouble)
            self.identities.append(Identity(entry.id, tuple(dict.fromkeys(files))[: entry.limit]))

    def files(self, images: str | list[str], node: Node, key: str) -> list[str]:
        """The files of a path or pattern, or of a list of them; those that cannot be used are reported."""
        if isinstance(images, list):
            assert isinstance(node, ListNode)
            each = enumerate(zip(images, node.items, strict=True))
            return [file for i, (image, item) in each for file in self.files(image, item, f"{key}[{i}]")]
        try:
            return self.pictures.find(images)
        except Refused as error:
            self.reader.report(node, key, str(error))
            return []

    def one_a_file(self, files: list[str], node: Node, key: str) -> None:
        """Add an identity for each file, its id made of the file's name."""
        troubles = []
        for file in files:
            name = id_of(file)
            if trouble := problem_of_id(name):
                why = f": {trouble}" if name else ""
                troubles.append(f"no id can be made of {quoted(self.short(file))}{why}: give id:")
            elif trouble := self.claim(name, node.line, file):
                troubles.append(trouble)
            self.identities.append(Identity(name, (file,)))
        for trouble in troubles[:_MOST_TROUBLES]:
            self.reader.report(node, key, trouble)
        if left := len(troubles[_MOST_TROUBLES:]):
            self.reader.report(node, key, f"and {left:,} more files of this entry have such problems")

    def claim(self, name: str, line: int, file: str) -> str | None:
        """Take an id; what is wrong when another has it, also when only case or Unicode form differ."""
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded not in self.taken:
            self.taken[folded] = (name, line, file)
            return None
        other, first, source = self.taken[folded]
        who = f"{quoted(self.short(file))} gives the id {quoted(name)}" if file else f"the id {quoted(name)}"
        whose = f" (from {quoted(self.short(source))})" if source else ""
        same = "is also used" if other == name else f"differs only in case from {quoted(other)}"
        link = ", which" if file else ""
        return f"{who}{link} {same} on line {first}{whose}: give one of them another id"

    def short(self, file: str) -> str:
        """A file's path as a user would write it in this manifest."""
        return file.removeprefix(str(self.folder) + os.sep)
