"""The naming of identities and methods: names that are folders on every system, and ids made of file names."""

from __future__ import annotations

import os
import re
import unicodedata

from crossinit_batch.layout import RESERVED_NAMES
from crossinit_batch.messages import quoted

ID_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
METHOD_PATTERN = "^[a-z0-9][a-z0-9._-]{0,63}$"

_ID = re.compile(ID_PATTERN)
_METHOD = re.compile(METHOD_PATTERN)
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def problem_of_id(text: str) -> str | None:
    """Why a text cannot be an id, and so a folder's name on every system, or None."""
    if not text:
        return "it is empty"
    if not _ID.fullmatch(text):
        return f"{quoted(text)} must begin with a letter or digit and have only A-Z a-z 0-9 . _ -, 64 at most"
    if text.endswith("."):
        return f"{quoted(text)} ends with a dot, which Windows folders cannot"
    if _DEVICE.fullmatch(text):
        return f"{quoted(text)} is the name of a device on Windows"
    return None


def problem_of_method_name(text: str) -> str | None:
    """Why a text cannot be a method's name, and so its folder in the output, or None."""
    if trouble := problem_of_id(text):
        return trouble
    if not _METHOD.fullmatch(text):
        return f"{quoted(text)} must be lower case: {text.lower()}"
    return f"{quoted(text)} is a name that the output folder needs itself" if text in RESERVED_NAMES else None


def id_of(path: str) -> str:
    """The id that a file's name gives: its stem, other characters as hyphens; empty if nothing is left."""
    name = path.replace(os.sep, "/").rpartition("/")[2]
    stem = unicodedata.normalize("NFC", name.rpartition(".")[0] or name)
    return stem if _ID.fullmatch(stem) else re.sub(r"[^A-Za-z0-9._-]", "-", stem).lstrip("._-")
