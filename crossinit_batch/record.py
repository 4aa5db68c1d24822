"""Stored JSON records: frozen types with a schema number, and a checksum of all else under one key.

The checksum detects a flipped digit, which the schema alone would accept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from crossinit_batch.digest import canonical, sha256

CHECKSUM = "content"


class Record(BaseModel):
    """The base of what is stored as JSON: frozen, unknown keys forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other values, without the original's cached properties."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


Kind = TypeVar("Kind", bound=Record)


def with_checksum(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its checksum; ValueError for what JSON does not have, such as not-a-number."""
    return {**value, CHECKSUM: sha256(canonical(value))}


def verified(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """The object without its checksum, None where it does not match; files of earlier versions may have none."""
    content = {key: item for key, item in value.items() if key != CHECKSUM}
    try:
        return content if value.get(CHECKSUM) in (None, sha256(canonical(content))) else None
    except ValueError:  # NaN, which Python's JSON reader accepts and our writer never wrote
        return None


def read_record(kind: type[Kind], value: Mapping[str, Any] | None, key: str, schema: int) -> Kind | None:
    """A record of this schema, whose number is under `key`; None where missing, damaged, or of another version."""
    content = verified(value or {})
    if content is None or content.get(key) != schema:
        return None
    try:
        return kind.model_validate(content)
    except ValidationError:
        return None
