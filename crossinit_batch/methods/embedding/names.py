"""Well-known names, which the initial vector is the mean of: the bundled list, users' files, or words; no torch."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from pathlib import Path

from crossinit_batch.digest import canonical, sha256
from crossinit_batch.errors import ManifestError, Problem
from crossinit_batch.messages import quoted
from crossinit_batch.methods.embedding.settings import InitSettings
from crossinit_batch.storage.text_file import read_bytes

BUNDLED = "names.txt"
LONGEST = 200
"""Characters of a name; a longer line is a paragraph or a whole list in one line."""
MOST_PROBLEMS = 20

_LINE_END = re.compile(r"\r\n|\r|\n")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")  # all but the tab, which is a blank
_COMMENT = "#"


@lru_cache(maxsize=1)
def bundled_names() -> tuple[str, ...]:
    """The bundled 691 names, "First Last", each word one byte-pair token of CLIP, in alphabetical order."""
    return read_names(resources.files("crossinit_batch.methods.embedding").joinpath(BUNDLED).read_bytes(), BUNDLED)


def read_names(data: bytes, file: str) -> tuple[str, ...]:
    """The names of a UTF-8 text in its order, one a line, repeats kept; ManifestError, `file` its name there.

    Blank lines and lines that begin with # are skipped, and runs of blanks inside a name become one space.
    """
    names = []
    problems = []
    for number, line in enumerate(_LINE_END.split(_decoded(data, file)), 1):
        blank = not line.strip() and not _CONTROL.search(line)
        if blank or line.lstrip().startswith(_COMMENT):
            continue
        if trouble := _trouble(line):
            offset, message = trouble
            problems.append(Problem(file, number, offset + 1, "", message))
        names.append(" ".join(line.split()))
    if problems:
        raise ManifestError(_first(problems))
    if not names:
        raise ManifestError([Problem(file, 1, 1, "", "the file has no names: write one name a line")])
    return tuple(names)


def _trouble(line: str) -> tuple[int, str] | None:
    """The offset in a line, from 0, and the reason why it is no name, or None."""
    name = line.strip()
    start = len(line) - len(line.lstrip())
    if bad := _CONTROL.search(line):
        return bad.start(), f"a control character (U+{ord(bad[0]):04X}) is in the name: remove it"
    if len(name) > LONGEST:
        return start, f"the line has {len(name)} characters, more than {LONGEST}: write one name a line"
    if not any(character.isalnum() for character in name):
        return start, f"{quoted(name)} has no letter: write a name, or begin a comment with {_COMMENT}"
    return None


def _first(problems: list[Problem]) -> list[Problem]:
    """The first problems, the last one with how many more there are."""
    if len(problems) <= MOST_PROBLEMS:
        return problems
    left = problems[MOST_PROBLEMS:]
    more = Problem(left[0].file, left[0].line, left[0].column, "", f"{len(left)} more bad lines from here on")
    return [*problems[:MOST_PROBLEMS], more]


def _decoded(data: bytes, file: str) -> str:
    """The text without byte-order marks, which joined files have inside too."""
    try:
        return data.decode("utf-8-sig").replace("\ufeff", "")
    except UnicodeDecodeError as error:
        # The codec counts from behind a first mark: its offset is one into `error.object`, not into `data`.
        bad = error.object[error.start]
        lines = _LINE_END.split(error.object[: error.start].decode("utf-8"))
        kind = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else f"byte 0x{bad:02x}"
        message = f"the file is not UTF-8 ({kind}): save it as UTF-8"
        raise ManifestError([Problem(file, len(lines), len(lines[-1]) + 1, "", message)]) from None


@lru_cache(maxsize=32)
def texts_of(init: InitSettings) -> tuple[str, ...]:
    """The words, or the names of the user's file or the bundled list; ManifestError for a bad names file."""
    if init.words is not None:
        return init.words
    if init.names is not None:
        return read_names(read_bytes(Path(init.names), init.names), init.names)
    return bundled_names()


def init_parts(init: InitSettings) -> dict[str, object]:
    """What decides an initial vector besides the model: the texts themselves, not their file's path."""
    by_words = init.words is not None
    return {
        "texts": sha256(canonical(texts_of(init))),
        "source": "words" if by_words else "names",
        "columns": None if by_words else init.columns,
        "vectors": None if by_words else init.vectors,
        "encoder": init.encoder,
    }
