"""Pixels and facts → the bytes of a PNG, WebP or JPEG file, and the facts back out of one.

A PNG holds the facts in its text chunks. WebP and JPEG hold them in EXIF: A1111's line as UserComment, where web UIs
look for it, and the exact JSON as ImageDescription.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

from PIL import ExifTags, Image, PngImagePlugin

from crossinit_batch.images.infotext import PictureFacts, PictureTextError, facts_json, facts_of, infotext

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PictureFormat = Literal["png", "webp", "jpeg"]

DEFAULT_QUALITY = 90
"""The quality of WebP and JPEG where none is given."""

_CHUNK = "crossinit"
_WEBUI_CHUNK = "parameters"
_PNG_LEVEL = 1
"""Of zlib: level 1 makes files a tenth larger than level 6, in a quarter of the time."""
_WEBP_METHOD = 2
_UNICODE = b"UNICODE\0"
"""The prefix of a UserComment in UTF-16."""


def encode_picture(
    pixels: NDArray[np.uint8], facts: PictureFacts, kind: PictureFormat = "png", quality: int | None = None
) -> bytes:
    """A file of pixels (height, width, 3) that holds the facts; equal arguments give equal bytes.

    `quality`, 1 to 100, applies to WebP and JPEG; PNG is lossless.
    """
    if pixels.shape != (facts.height, facts.width, 3) or pixels.dtype.name != "uint8":
        raise PictureTextError(
            f"pixels of shape {pixels.shape} and type {pixels.dtype}, "
            f"where ({facts.height}, {facts.width}, 3) of uint8 were said"
        )
    image, file, quality = Image.fromarray(pixels), io.BytesIO(), quality or DEFAULT_QUALITY
    if kind == "png":
        image.save(file, "PNG", pnginfo=_png_text(facts), compress_level=_PNG_LEVEL)
    elif kind == "webp":
        image.save(file, "WEBP", exif=_exif(facts), quality=quality, method=_WEBP_METHOD)
    else:
        image.save(file, "JPEG", exif=_exif(facts), quality=quality, subsampling=0)
    return file.getvalue()


def read_facts(data: bytes, name: str = "the picture") -> PictureFacts:
    """The facts in a picture that this program wrote; `name` is the file's, for messages."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "WEBP", "JPEG"]) as picture:
            text = picture.info.get(_CHUNK) or picture.getexif().get(ExifTags.Base.ImageDescription)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureTextError(f"{name}: not a picture that can be read", "Make the picture again.") from error
    if not isinstance(text, str):
        raise PictureTextError(
            f"{name}: no {_CHUNK} text in this picture",
            "It is not from crossinit, or was saved again by a program that drops text.",
        )
    try:
        return facts_of(text)
    except PictureTextError as error:
        raise PictureTextError(f"{name}: {error.message}", error.hint) from error


def _png_text(facts: PictureFacts) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    # Pillow makes a tEXt chunk of Latin-1 and an iTXt chunk of all other text.
    text.add_text(_WEBUI_CHUNK, infotext(facts))
    text.add_text(_CHUNK, facts_json(facts))
    return text


def _exif(facts: PictureFacts) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = facts_json(facts)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = _UNICODE + infotext(facts).encode("utf-16-be")
    return exif
