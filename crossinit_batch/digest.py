"""Digests: two results with the same digest are the same result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

CODE_SCHEMA = 1
"""Counts changes of the code that change results; raising it makes every stored result stale."""


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: object) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes. Not-a-number is a ValueError."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest_of(kind: str, parts: Mapping[str, object]) -> str:
    """The digest of a result of this kind, from all that decides it (`parts`) and the code's schema."""
    return sha256(canonical({"kind": kind, "schema": CODE_SCHEMA, **parts}))


def seed_of(*key: str | int, bits: int = 63) -> int:
    """A seed that depends on every element of its key and on nothing else."""
    return int.from_bytes(hashlib.sha256(canonical(list(key))).digest()[:8], "big") >> (64 - bits)


def image_seed(seed: int, prompt: str, index: int) -> int:
    """The seed of a prompt's picture, the same for all identities and methods, of 32 bits as tools expect."""
    return seed_of("render", seed, prompt, index, bits=32)
