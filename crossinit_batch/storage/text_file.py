"""A text file that a user wrote: its bytes or its UTF-8 text, or a ManifestError that names the file."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path

from crossinit_batch.errors import ManifestError, Problem
from crossinit_batch.storage.failures import UnfitFile
from crossinit_batch.storage.reading import read_file

MAX_BYTES = 16 * 2**20
"""The largest file in bytes: a list of 100,000 pictures stays below; a larger one is no text that a user wrote."""


def read_bytes(path: Path, file: str) -> bytes:
    """The bytes of a file of at most 16 MiB; `file` is its name in messages."""
    try:
        return read_file(path, MAX_BYTES)
    except UnfitFile as error:
        raise _refusal(file, f"it {error.strerror}") from None
    except IsADirectoryError:
        raise _refusal(file, "this is a folder, not a file") from None
    except FileNotFoundError:
        raise _refusal(file, "there is no such file") from None
    except (OSError, ValueError) as error:
        raise _refusal(file, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def read_text(path: Path, file: str) -> str:
    """The text of a UTF-8 file (byte-order mark accepted, at most 16 MiB); `file` is its name in messages."""
    data = read_bytes(path, file).removeprefix(BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        utf16 = data[:2] in (BOM_UTF16_LE, BOM_UTF16_BE)
        kind = "UTF-16" if utf16 else f"byte 0x{data[error.start]:02x}"
        message = f"the file is not UTF-8 ({kind}): save it as UTF-8"
        raise _refusal(file, message, *position(before, len(before))) from None


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of an offset in a text."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _refusal(file: str, message: str, line: int = 1, column: int = 1) -> ManifestError:
    return ManifestError([Problem(file, line, column, "", message)])
