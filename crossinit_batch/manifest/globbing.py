"""Listings of folders, local and behind URLs: what is at a path, and which files match a pattern."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection
from fnmatch import translate
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from crossinit_batch.errors import RequestError
from crossinit_batch.manifest.paths import Refused
from crossinit_batch.messages import quoted, redact_url
from crossinit_batch.storage.addresses import open_filesystem, scheme_of
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.retry import source_retries

_FEW = 4
"""Paths of one folder that are looked up one by one; from the next on, all are looked up in one listing."""


class Listings(ABC):
    """What paths are (file, folder, link to one, other), by a folder's listing if several are asked for."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, str]] = {}
        self._asked: Counter[str] = Counter()

    @abstractmethod
    def scan(self, folder: str) -> dict[str, str]:
        """Names and kinds in a folder, asked anew; none where it cannot be listed."""

    @abstractmethod
    def look(self, path: str) -> str | None:
        """What is at a path, asked anew; None where nothing is."""

    @abstractmethod
    def glob(self, pattern: str) -> list[str]:
        """Files that match; ** is any number of folders; names with a leading dot are out."""

    def of(self, folder: str) -> dict[str, str]:
        """Names and kinds in a folder, asked once."""
        if folder not in self._folders:
            self._folders[folder] = self.scan(folder)
        return self._folders[folder]

    def kind(self, path: str) -> str | None:
        """What is at a path; a name that a listing lacks is looked up, as a file system may fold its case."""
        folder, name = os.path.split(path)
        self._asked[folder] += 1
        known = self.of(folder) if folder in self._folders or self._asked[folder] > _FEW else {}
        return known.get(name) or self.look(path)


class LocalListings(Listings):
    """Listings of this machine's folders, by absolute paths."""

    def scan(self, folder: str) -> dict[str, str]:
        try:
            with os.scandir(folder) as entries:
                return {entry.name: _kind_of_entry(entry) for entry in entries}
        except OSError:
            return {}

    def look(self, path: str) -> str | None:
        try:
            mode = Path(path).stat().st_mode
        except OSError:
            return None
        return "file" if S_ISREG(mode) else "folder" if S_ISDIR(mode) else "other"

    def glob(self, pattern: str) -> list[str]:
        """Files that match, as in the base; ** follows no links."""
        first, *middle, last = Path(pattern).parts
        if last == "**":
            middle, last = [*middle, "**"], "*"
        folders = [first]
        for part in middle:
            if part == "**":
                folders = list(dict.fromkeys(below for folder in folders for below in self._tree(folder)))
            elif is_pattern(part):
                folders = self._matches(folders, part, ("folder", "link"))
            else:
                folders = [_join(folder, part) for folder in folders]
        return self._matches(folders, last, ("file",))

    def _matches(self, folders: list[str], pattern: str, kinds: Collection[str]) -> list[str]:
        """What in these folders is of one of these kinds and matches a pattern without separators."""
        match = _matcher(pattern)
        return [
            _join(folder, name)
            for folder in folders
            for name, kind in self.of(folder).items()
            if kind in kinds and match(name)
        ]

    def _tree(self, folder: str) -> list[str]:
        """A folder and all below it."""
        tree = [folder]
        for parent in tree:
            children = self.of(parent).items()
            tree += [_join(parent, name) for name, kind in children if kind == "folder" and name[0] != "."]
        return tree


class UrlListings(Listings):
    """Listings of what fsspec reads; Refused, with the reason, where a storage fails."""

    def scan(self, folder: str) -> dict[str, str]:
        infos = _ask(folder, "ls", detail=True) or []
        return {info["name"].rstrip("/").rsplit("/", 1)[-1]: _kind_of_info(info) for info in infos}

    def look(self, path: str) -> str | None:
        info = _ask(path, "info")
        return info and _kind_of_info(info)

    def glob(self, pattern: str) -> list[str]:
        """Files that match, as in the base, under the URL's own scheme and bucket."""
        scheme, rest = pattern.split("://", 1)
        authority = rest.split("/", 1)[0]
        splits = 1 if authority else 0  # the file system's paths begin with the bucket where there is one
        return [
            f"{scheme}://{authority}/{path.strip('/').split('/', splits)[-1]}"
            for path, info in (_ask(pattern, "glob", detail=True) or {}).items()
            if info["type"] == "file" and ("/." not in path or "/." in pattern)
        ]


def is_pattern(text: str) -> bool:
    """Whether a path has wildcards."""
    return "*" in text or "?" in text or "[" in text


def _kind_of_entry(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_file():
            return "file"
        return ("link" if entry.is_symlink() else "folder") if entry.is_dir() else "other"
    except OSError:
        return "other"


def _kind_of_info(info: dict[str, Any]) -> str:
    return "folder" if info["type"] == "directory" else "file"


def _ask(url: str, question: str, **options: object) -> Any:
    """An answer of the URL's file system, None where nothing is; Refused with the reason when it fails."""
    try:
        system, path = open_filesystem(url)
        return source_retries(scheme_of(url)).do(lambda: getattr(system, question)(path, **options), redact_url(url))
    except FileNotFoundError:
        return None
    except RequestError as error:
        raise Refused(error.message) from error
    except Exception as error:  # whatever it is, the URL is of no use
        raise Refused(f"{quoted(url)} cannot be reached: {reason_of(error)}") from error


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip(os.sep)}{os.sep}{name}"


def _matcher(pattern: str) -> Callable[[str], bool]:
    match = re.compile(translate(pattern)).match
    return lambda name: (name[0] != "." or pattern[0] == ".") and match(name) is not None
