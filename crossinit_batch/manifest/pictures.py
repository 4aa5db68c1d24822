"""The picture files that a path, a pattern or a URL of a manifest means."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from crossinit_batch.manifest.globbing import LocalListings, UrlListings, is_pattern
from crossinit_batch.manifest.paths import Refused, location, problem_of_text
from crossinit_batch.messages import quoted

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".avif", ".jxl")
_DIGITS = re.compile(r"([0-9]+)")


class PictureFiles:
    """Finds files by what a manifest in `folder` says, listing no folder twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.local, self.remote = LocalListings(), UrlListings()

    def find(self, text: str) -> list[str]:
        """Absolute paths or URLs, a pattern's in natural order; Refused where there is nothing to use."""
        path = location(text, self.folder)
        listings = self.remote if "://" in path else self.local
        if is_pattern(path) and (listings is self.remote or self.local.look(path) != "file"):
            return self._matches(text, path)
        kind = listings.kind(path)
        if kind is None:
            raise Refused(f"there is no file {quoted(text)}: {quoted(path)}")
        if kind in ("folder", "link"):
            pattern = quoted(text.rstrip("/") + "/*")
            raise Refused(f"{quoted(text)} is a folder: write {pattern} for its pictures")
        if kind == "other":
            raise Refused(f"{quoted(text)} is not a regular file")
        return [path]

    def _matches(self, text: str, pattern: str) -> list[str]:
        """The pictures that a pattern matches; Refused if none."""
        listings = self.remote if "://" in pattern else self.local
        matched = listings.glob(pattern)
        pictures = [file for file in matched if file.lower().endswith(_SUFFIXES)]
        if not pictures:
            if matched:
                raise Refused(f"{quoted(text)} matches {len(matched)} files, none of them a picture by its name")
            base = re.split(r"[*?\[]", pattern, maxsplit=1)[0].rpartition(os.sep)[0]
            if listings is self.local and self.local.look(base or os.sep) != "folder":
                raise Refused(f"{quoted(text)} matches nothing: there is no folder {quoted(base)}")
            raise Refused(f"{quoted(text)} matches no file")
        for file in pictures:
            if trouble := None if file.isascii() else problem_of_text(file):
                raise Refused(f"the name of {quoted(file)} cannot be used: {trouble}")
        return sorted(pictures, key=_natural)


def _natural(path: str) -> tuple[list[Any], str]:
    """A key that puts face-2 before face-10."""
    parts: list[Any] = _DIGITS.split(path)
    parts[1::2] = [int(digits[:4000]) for digits in parts[1::2]]
    return parts, path
