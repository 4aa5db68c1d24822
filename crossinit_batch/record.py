"""JSON files that say what they are: under one key stands the digest of all the others.

A flipped digit in such a file is noticed, where a schema would take it for another fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossinit_batch.digest import canonical, sha256

KEY = "content"


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its digest; ValueError for what JSON does not have, such as not-a-number."""
    return {**value, KEY: sha256(canonical(value))}


def unsealed(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """The object without its digest, None where that is of another; what earlier versions wrote may have none."""
    content = {key: item for key, item in value.items() if key != KEY}
    try:
        return content if value.get(KEY) in (None, sha256(canonical(content))) else None
    except ValueError:  # a not-a-number, which JSON's reader takes and its writer did not write
        return None
