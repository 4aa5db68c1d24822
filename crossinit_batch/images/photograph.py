"""A photograph: bytes in, an upright 8-bit sRGB picture out, or one sentence about why it cannot be used."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from crossinit_batch.errors import PhotographError
from crossinit_batch.images.kind import AGAIN, SAVE, kind_of, reader_of
from crossinit_batch.images.srgb import as_srgb

MAX_BYTES = 100_000_000
"""The largest file in bytes: a 50 megapixel PNG of 16 bits stays below; a larger one is a film or a mistake."""
MAX_PIXELS = 50_000_000
"""The largest picture in pixels: what today's cameras take; decoding one needs about half a GB."""
MIN_SIDE = 64
"""The shortest side in pixels: below, a face enlarged to 512 is a blur of eight-fold interpolation."""
MAX_ASPECT = 4
"""The largest ratio of the sides: beyond, the middle square is a sliver, and stretching ruins the face."""
THUMBNAIL_QUALITY = 88
"""JPEG quality of a thumbnail: no artefacts to see in a gallery, a third of the bytes of 95."""

_SMALLER = "make it smaller; 1024 pixels a side are plenty"
_ALONE = "save the one you want as its own JPEG or PNG file"

MAX_SCANS = 100
"""The most scans of a JPEG: a progressive one has about 10, and each takes as long as a whole sequential picture."""
MAX_SCANNED = 1_500_000_000
"""The most pixels of all scans of a JPEG together: 30 scans of the largest picture, some ten seconds."""

_COUNTED_BYTES = 2**20
_MARKER = re.compile(rb"\xff[^\0\xd0-\xd7\xff]")  # within a scan, 0xff is followed by 0 or a restart marker
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_SUBFILE, _DNG_VERSION = 0x00FE, 0xC612  # TIFF tags
_warnings_lock = threading.Lock()


def open_photograph(data: bytes, name: str) -> Image.Image:
    """The upright 8-bit sRGB picture (mode RGB, no metadata) in the bytes of the file `name`.

    Transparency lies over white, wider pixels are scaled to 8 bits, an embedded colour profile is applied.
    Raises PhotographError for anything but one intact, still picture within the size limits.
    """
    _check_bytes(data, name)
    kind = kind_of(data, name)
    with _no_warnings():
        try:
            Image.init()
            _check_complete(data, kind)
            image = reader_of(kind, name)(io.BytesIO(data), "")
            _check_header(image, kind, name, len(data))
            if kind == "JPEG":
                _check_scans(data, image.size, name)
            image.load()
            _turn_upright(image)
            return as_srgb(image)
        except PhotographError:
            raise
        except Exception as error:  # on damaged bytes, codecs raise nearly every type there is
            raise _damaged(error, kind, name) from error


def square(image: Image.Image, size: int, crop: Literal["center", "stretch"]) -> Image.Image:
    """The picture as size x size pixels, bicubic, antialiased: its middle square, or all of it stretched."""
    if crop == "center":
        width, height = image.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return image.resize((size, size), Image.Resampling.BICUBIC)


def to_samples(image: Image.Image) -> NDArray[np.float32]:
    """An RGB picture as float32 samples (3, height, width) in [-1, 1]."""
    pixels = np.asarray(image, dtype=np.float32)
    return np.ascontiguousarray((pixels / np.float32(127.5) - np.float32(1)).transpose(2, 0, 1))


def thumbnail(image: Image.Image, side: int) -> bytes:
    """A JPEG that fits into side x side pixels without metadata; the same picture gives the same bytes."""
    small = as_srgb(image)
    small.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=None)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=THUMBNAIL_QUALITY, optimize=True)
    return buffer.getvalue()


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Suppress Pillow's warnings about odd metadata; under a lock, since the filters are global to the process."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_bytes(data: bytes, name: str) -> None:
    """PhotographError for an empty file or one with too many bytes."""
    if not data:
        raise PhotographError(f"{name}: the file is empty (0 bytes)", AGAIN)
    if len(data) > MAX_BYTES:
        size = f"{len(data) / 1e6:.0f} MB, at most {MAX_BYTES / 1e6:.0f} MB can be read"
        raise PhotographError(f"{name}: the file is too large: {size}", "save it smaller, as JPEG")


def _check_complete(data: bytes, kind: str) -> None:
    """OSError for truncated or damaged files that Pillow would decode without an error."""
    if (kind == "PNG" and b"IEND\xaeB`\x82" not in data) or (kind == "GIF" and b"\0;" not in data[-1024:]):
        raise OSError("truncated")
    if kind == "PNG":  # decoding skips the checksums, and so misses one flipped bit in a hundred
        Image.OPEN[kind][0](io.BytesIO(data), "").verify()


def _check_header(image: Any, kind: str, name: str, size_in_bytes: int) -> None:
    """PhotographError for a picture whose header alone rules it out, before anything is decoded."""
    width, height = image.size
    size = f"{width}x{height}"
    if width * height > MAX_PIXELS:
        limit = f"{width * height / 1e6:.1f} megapixels, at most {MAX_PIXELS / 1e6:.0f} can be read"
        raise PhotographError(f"{name}: too many pixels: {size} is {limit}", _SMALLER)
    if kind == "TIFF" and (image.tag_v2.get(_SUBFILE, 0) & 1 or _DNG_VERSION in image.tag_v2):
        raise PhotographError(f"{name}: a camera raw file, only its preview can be read", f"develop it, {SAVE}")
    frames = _frames(image, kind, size_in_bytes)
    if frames != "1":
        what = "several pages" if kind == "TIFF" else "an animation"
        unit = "pages" if kind == "TIFF" else "frames"
        raise PhotographError(f"{name}: {what}, not one photograph: {frames} {unit}", _ALONE)
    if min(width, height) < MIN_SIDE:
        need = f"at least {MIN_SIDE} pixels a side are needed"
        raise PhotographError(f"{name}: too small: {size}, {need}", "give a larger picture of the face")
    if max(width, height) > MAX_ASPECT * min(width, height):
        need = f"one side may be at most {MAX_ASPECT} times the other"
        raise PhotographError(f"{name}: too narrow: {size}, {need}", "crop it to the face")


def _frames(image: Any, kind: str, size: int) -> str:
    """How many pictures are in a file of this size in bytes, for people: "more than 1" where counting takes long."""
    if kind == "HEIF":  # its files name their primary picture
        return "1"
    if size > _COUNTED_BYTES and kind in ("GIF", "TIFF"):  # which are counted by going from one to the next
        return "more than 1" if (image.tag_v2.next if kind == "TIFF" else image.is_animated) else "1"
    return str(getattr(image, "n_frames", 1))


def _check_scans(data: bytes, size: tuple[int, int], name: str) -> None:
    """PhotographError for a JPEG that goes over its pixels so often that decoding it would hardly end."""
    scans = _scans(data)
    if scans > MAX_SCANS or scans * size[0] * size[1] > MAX_SCANNED:
        often = f"more than {MAX_SCANS}" if scans > MAX_SCANS else str(scans)
        raise PhotographError(f"{name}: decoding would take too long: {size[0]}x{size[1]} in {often} scans", SAVE)


def _scans(data: bytes) -> int:
    """How many scans a JPEG has before its end; no more than one above the limit are counted."""
    scans, place = 0, 2
    while scans <= MAX_SCANS and (found := _MARKER.search(data, place)):
        marker = found[0][-1]
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        alone = marker in (0x01, 0xD8)  # markers that no length follows
        place = found.end() + (0 if alone else max(2, int.from_bytes(data[found.end() : found.end() + 2], "big")))
    return scans


def _damaged(error: Exception, kind: str, name: str) -> PhotographError:
    """A codec's error as a PhotographError that says what the user can do."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        limit = f"at most {MAX_PIXELS / 1e6:.0f} megapixels can be read"
        return PhotographError(f"{name}: too many pixels: {limit}", _SMALLER)
    if "MAX_TEXT" in text:
        return PhotographError(
            f"{name}: a text or profile inside unpacks to more than Pillow allows", "save it without metadata"
        )
    if re.search("truncated|not processed|unexpected end|reached EOF", text, re.IGNORECASE):
        return PhotographError(f"{name}: the file is cut short: the end of its {kind} picture is missing", AGAIN)
    return PhotographError(f"{name}: damaged {kind} picture: {text[:120]}", f"{AGAIN}, or {SAVE}")


def _turn_upright(image: Image.Image) -> None:
    """Turn the loaded picture in place by its EXIF orientation; unreadable EXIF is ignored."""
    # Damaged EXIF raises nearly every type there is. Pillow turns the pixels before it rewrites the tags, so that a
    # readable orientation counts whatever the other tags are.
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
