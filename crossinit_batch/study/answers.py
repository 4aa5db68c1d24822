"""Files of answers as the page saves them, checked against the study's key; all that is wrong with them at once."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crossinit_batch.errors import RequestError
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.store import read_source
from crossinit_batch.study.key import Key

_MOST_BYTES = 16 << 20

In = TypeVar("In")
Out = TypeVar("Out")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Given(_Record):
    """One answer: the pictures as they were shown, and the one chosen, None for no difference."""

    item: str
    question: str
    left: str
    right: str
    chosen: str | None


class AnswerFile(_Record):
    """The answers of one participant; `check` is the CRC-32 of them, in hexadecimal."""

    kind: Literal["crossinit study answers"]
    schema_number: Literal[1]
    study: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    participant: Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,40}$")]
    answers: list[Given]
    check: str

    @property
    def is_whole(self) -> bool:
        """Whether the checksum matches, so that nothing has changed since the page wrote it."""
        content: list[str | None] = [self.study, self.participant]
        content += [part for one in self.answers for part in (one.item, one.question, one.left, one.right, one.chosen)]
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        return self.check == f"{zlib.crc32(text.encode()):08x}"


@dataclass(frozen=True)
class Preference:
    """One answer in terms of methods: `winner` is one of `methods`, or None for no difference."""

    participant: str
    item: str
    question: str
    methods: tuple[str, str]
    winner: str | None


def read_answers(paths: Sequence[str]) -> dict[str, AnswerFile]:
    """The files by their names; RequestError with a sentence for each that cannot be read or is damaged."""
    return _all_or_nothing({path: path for path in paths}, lambda _, path: _read(path))


def preferences(files: Mapping[str, AnswerFile], key: Key) -> list[Preference]:
    """All answers in terms of methods; RequestError with a sentence for each file that is not one of this study's.

    So is a second file of the same participant.
    """
    seen: dict[str, str] = {}

    def checked(name: str, file: AnswerFile) -> list[Preference]:
        if file.study != key.study:
            raise ValueError(f"these are answers to another study ({file.study}, not {key.study})")
        if file.participant in seen:
            raise ValueError(f"participant {file.participant} has answered in {seen[file.participant]} already")
        seen[file.participant] = name
        return _in_methods(file, key)

    return [one for found in _all_or_nothing(files, checked).values() for one in found]


def _all_or_nothing(files: Mapping[str, In], check: Callable[[str, In], Out]) -> dict[str, Out]:
    """What `check` makes of every file, or a RequestError with the message of every ValueError."""
    results, problems = {}, []
    for name, file in files.items():
        try:
            results[name] = check(name, file)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise RequestError("\n".join(problems), "Nothing was counted; leave these files out and tally again.")
    return results


def _read(path: str) -> AnswerFile:
    try:
        data = read_source(path, _MOST_BYTES)
    except OSError as error:
        raise ValueError(f"cannot be read: {reason_of(error)}") from None
    try:
        file = AnswerFile.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(map(str, first["loc"]))
        where = f" at {location}" if location else ""
        raise ValueError(f"not a whole file of answers as the study's page saves them{where}") from None
    if not file.is_whole:
        raise ValueError("damaged: it is not what the study's page saved")
    return file


def _in_methods(file: AnswerFile, key: Key) -> list[Preference]:
    """A file's answers; ValueError for one to what the study has not asked or not shown, or a second to the same."""
    asked: set[tuple[str, str]] = set()
    found = []
    for one in file.answers:
        item = key.items.get(one.item)
        if item is None or one.question not in item.questions or {one.left, one.right} != item.pictures.keys():
            raise ValueError(f"damaged: this study has not asked question {one.item!r} ({one.question!r}) like this")
        if one.chosen is not None and one.chosen not in item.pictures:
            raise ValueError(f"damaged: the answer to question {one.item!r} is a picture that was not shown")
        if (one.item, one.question) in asked:
            raise ValueError(f"damaged: question {one.item!r} ({one.question!r}) is answered twice")
        asked.add((one.item, one.question))
        winner = item.pictures[one.chosen] if one.chosen else None
        found.append(Preference(file.participant, one.item, one.question, item.methods, winner))
    return found
