"""Photographs by their bytes: hashed when a plan is made, and read again only as the ones that were planned."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from crossinit_batch.digest import sha256
from crossinit_batch.errors import PhotographError
from crossinit_batch.plan.plan import Photograph, PlannedIdentity
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.store import read_source

if TYPE_CHECKING:
    from PIL import Image

_THUMBNAIL_SIDE = 512
_READERS = 8


def hashed(paths: Sequence[str]) -> dict[str, Photograph]:
    """Each photograph with its SHA-256, or with the problem of one that cannot be read; every one is read once."""
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        return dict(zip(paths, pool.map(_hash, paths), strict=True))


def _hash(path: str) -> Photograph:
    from crossinit_batch.images.photograph import MAX_BYTES

    try:
        return Photograph(path=path, sha256=sha256(read_source(path, MAX_BYTES)))
    except OSError as error:
        return Photograph(path=path, problem=f"cannot be read: {reason_of(error)}")


def photograph_bytes(photograph: Photograph) -> bytes:
    """The bytes of a planned photograph; PhotographError where they are not the ones that were planned."""
    if photograph.problem:
        raise PhotographError(
            f"{photograph.path}: {photograph.problem}", "Check the file, then run the manifest again."
        )
    from crossinit_batch.images.photograph import MAX_BYTES

    try:
        data = read_source(photograph.path, MAX_BYTES)
    except OSError as error:
        raise PhotographError(
            f"{photograph.path}: cannot be read: {reason_of(error)}", "Put it back, then `crossinit resume`."
        ) from None
    if sha256(data) != photograph.sha256:
        raise PhotographError(
            f"{photograph.path}: has changed since the plan was made",
            "Run the manifest again to plan with the picture as it is now.",
        )
    return data


def opened_photograph(photograph: Photograph) -> Image.Image:
    """A planned photograph, upright; PhotographError where it has changed or cannot be used."""
    from crossinit_batch.images.photograph import open_photograph

    return open_photograph(photograph_bytes(photograph), photograph.path)


def small_photograph(identity: PlannedIdentity) -> bytes | None:
    """A small copy of an identity's first photograph as a JPEG; None where it cannot be made."""
    from crossinit_batch.images.photograph import thumbnail

    if not identity.photographs:
        return None
    try:
        return thumbnail(opened_photograph(identity.photographs[0]), _THUMBNAIL_SIDE)
    except PhotographError:
        return None
