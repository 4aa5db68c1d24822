"""A photograph: bytes in, an upright 8-bit sRGB picture out, or one sentence about why it cannot be used."""

from __future__ import annotations

import importlib
import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, JpegImagePlugin, features

from crossinit_batch.errors import PhotographError

MAX_BYTES = 100_000_000
"""The largest file in bytes: a 50 megapixel PNG of 16 bits stays below; more is a film or a mistake."""
MAX_PIXELS = 50_000_000
"""The largest picture in pixels: what today's cameras take; decoding one needs about half a GB."""
MIN_SIDE = 64
"""The shortest side in pixels: below, a face enlarged to 512 is a blur of eight-fold interpolation."""
MAX_ASPECT = 4
"""The largest ratio of the sides: beyond, the middle square is a sliver, and stretching ruins the face."""
THUMBNAIL_QUALITY = 88
"""JPEG quality of a thumbnail: no artefacts to see in a gallery, a third of the bytes of 95."""

_HEAD = 4096  # bytes that tell what a file is: HTML and SVG may start with long comments
_READ = "JPEG, PNG, WEBP, GIF, TIFF, BMP, PPM, JPEG 2000, AVIF or HEIC"
_SAVE = "save it as JPEG or PNG and use that"
_AGAIN = "copy or download the file again"
_SMALLER = "make it smaller; 1024 pixels a side are plenty"
_ALONE = "save the one you want as its own JPEG or PNG file"

# Pillow's name of a format → the first bytes of its files. A short list, since Pillow also opens what runs
# other programs (EPS starts Ghostscript) or is no photograph (icons, fonts, cursors).
_PICTURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF.{4}WEBP",
    "TIFF": rb"II[*+]\0(?!.{4}CR)|MM\0[*+]",
    "BMP": rb"BM.{12}[\x0c-\x7c]\0\0\0",
    "PPM": rb"P[1-6][\s#]",
    "JPEG2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
    "AVIF": rb".{4}ftyp(?:avi[fs]|(?:mi[af][1f]|msf1).{4}(?:.{4}){0,12}?avi[fs])",
    "HEIF": rb".{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)",
}
_BOM = rb"(?:\xef\xbb\xbf)?\s*"
# The first bytes of what people hand over instead of a picture, in order → what it is, what to do.
_OTHERS = (
    (rb"version https://git-lfs",
     "a git-lfs pointer, not the picture", "run 'git lfs pull' where the file is"),
    (rb"\S*annex/objects/", "a git-annex pointer, not the picture", "run 'git annex get' where the file is"),
    (_BOM + rb"(?:<\?xml[^>]*>\s*)?(?:<!--.{0,2000}?-->\s*)?"
     rb"<(?:!doctype\s+html|html|head|body|title|meta|script)\b",
     "an HTML page, not a picture", "download the picture itself, not the page around it"),
    (_BOM + rb"<(?:.*?<)?svg\b", "an SVG drawing, not a photograph", "export it as PNG"),
    (_BOM + rb"<\?xml", "an XML document, often a server's error message, not a picture", _AGAIN),
    (rb"%PDF-", "a PDF document, not a picture", "export the picture in it as JPEG or PNG"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript document, not a picture", "export it as PNG"),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
     "a JPEG XL picture, which Pillow cannot read", "turn it into PNG, for example: djxl in.jxl out.png"),
    (rb"II\*\0.{4}CR|.{4}ftypcrx|FUJIFILMCCD-RAW|II(?:U\0|RO|RS)",
     "a camera raw file", f"develop it, {_SAVE}"),
    (rb"8BPS", "a Photoshop document", _SAVE),
    (rb"\0.{3}(?:ftyp|moov|mdat|wide)|\x1a\x45\xdf\xa3|RIFF.{4}AVI |FLV\x01|OggS|\0\0\x01[\xb3\xba]",
     "a video, not a picture", "save one frame of it as JPEG or PNG"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!|BZh[1-9]|\xfd7zXZ|\x28\xb5\x2f\xfd|.{257}ustar",
     "an archive, not a picture", "unpack it and name the pictures in it"),
)  # fmt: skip
_CODEC = {"AVIF": "avif", "WEBP": "webp", "JPEG2000": "jpg_2000"}
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION, _SUBFILE, _DNG_VERSION = 0x0112, 0x00FE, 0xC612  # EXIF and TIFF tags
# Values that count as white in modes wider than 8 bits: the first that no pixel exceeds.
_WHITES = {"I": (255, 65535), "F": (1, 255, 65535)}
_PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_warnings_lock = threading.Lock()


def open_photograph(data: bytes, name: str) -> Image.Image:
    """The upright 8-bit sRGB picture (mode RGB, no metadata) in the bytes of the file `name`.

    Transparency lies over white, wider pixels are scaled to 8 bits, an embedded colour profile is applied.
    Raises PhotographError for all that is not one sound, still picture of a sensible size.
    """
    kind = _kind(data, name)
    with _no_warnings():
        try:
            Image.init()
            _check_complete(data, kind)
            image = _header(data, kind, name)
            _check_header(image, kind, name)
            image.load()
            return as_srgb(_upright(image))
        except PhotographError:
            raise
        except Exception as error:  # on damaged bytes, codecs raise nearly every type there is
            raise _damaged(error, kind, name) from error


def as_srgb(image: Image.Image) -> Image.Image:
    """A picture of any Pillow mode as 8-bit sRGB: profile applied, transparency over white, no metadata."""
    colour, alpha = _colour_and_alpha(image)
    result = _apply_profile(colour, image.info.get("icc_profile"))
    if alpha is not None:
        result = Image.composite(result, Image.new("RGB", result.size, "white"), alpha)
    result.info = {}
    return result


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
    """Silence Pillow's warnings about odd metadata; a lock, since the filters belong to the whole process."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _kind(data: bytes, name: str) -> str:
    """Pillow's name of the format of `data`, told by its first bytes alone."""
    if not data:
        raise PhotographError(f"{name}: the file is empty (0 bytes)", _AGAIN)
    if len(data) > MAX_BYTES:
        size = f"{len(data) / 1e6:.0f} MB, at most {MAX_BYTES / 1e6:.0f} MB can be read"
        raise PhotographError(f"{name}: the file is too large: {size}", "save it smaller, as JPEG")
    head = data[:_HEAD]
    for kind, magic in _PICTURES.items():
        if re.match(magic, head, re.DOTALL):
            return kind
    for magic, what, hint in _OTHERS:
        if re.match(magic, head, re.DOTALL | re.IGNORECASE):
            raise PhotographError(f"{name}: {what}", hint)
    if not data.strip(b"\0"):
        raise PhotographError(f"{name}: the file holds nothing but zero bytes", _AGAIN)
    text = head.decode("utf-8", "ignore")
    if len(text.encode()) > len(head) - 4 and re.fullmatch(r"[^\0-\x08\x0e-\x1f\x7f]+", text):
        raise PhotographError(
            f"{name}: plain text, not a picture: {text.strip()[:40]!r}", f"give a picture: {_READ}"
        )
    raise PhotographError(f"{name}: not a kind of picture that can be read", f"give a picture: {_READ}")


def _check_complete(data: bytes, kind: str) -> None:
    """Find cut or damaged files that Pillow would decode without a word."""
    if (kind == "PNG" and b"IEND\xaeB`\x82" not in data) or (kind == "GIF" and b"\0;" not in data[-1024:]):
        raise OSError("truncated")
    if kind == "PNG":  # decoding skips the checksums, and so misses one flipped bit in a hundred
        Image.OPEN[kind][0](io.BytesIO(data), "").verify()


def _header(data: bytes, kind: str, name: str) -> Any:
    """The picture with nothing but its header read.

    Through the format's own class and not Image.open, which judges the size by a limit of the whole process;
    and for JPEG not as a series of pictures, since phones put a second, private one behind the photograph.
    """
    if kind == "HEIF" and not _heif():
        message = f"{name}: a HEIC picture, which cannot be read without pillow-heif"
        raise PhotographError(message, "install pillow-heif: pip install 'crossinit-batch[heif]'")
    if kind in _CODEC and not features.check(_CODEC[kind]):
        message = f"{name}: the installed Pillow cannot read {kind} pictures"
        raise PhotographError(message, f"upgrade it: pip install -U pillow; or {_SAVE}")
    factory = JpegImagePlugin.JpegImageFile if kind == "JPEG" else Image.OPEN[kind][0]
    return factory(io.BytesIO(data), "")


def _heif() -> bool:
    """Whether pillow-heif is installed; makes it known to Pillow when it is."""
    if "HEIF" not in Image.OPEN:
        try:
            importlib.import_module("pillow_heif").register_heif_opener()
        except ImportError:
            return False
    return True


def _check_header(image: Any, kind: str, name: str) -> None:
    """Refuse by what the header says, before anything is decoded."""
    width, height = image.size
    size = f"{width}x{height}"
    if width * height > MAX_PIXELS:
        limit = f"{width * height / 1e6:.1f} megapixels, at most {MAX_PIXELS / 1e6:.0f} can be read"
        raise PhotographError(f"{name}: too many pixels: {size} is {limit}", _SMALLER)
    if kind == "TIFF" and (image.tag_v2.get(_SUBFILE, 0) & 1 or _DNG_VERSION in image.tag_v2):
        raise PhotographError(
            f"{name}: a camera raw file, only its preview can be read", f"develop it, {_SAVE}"
        )
    frames = 1 if kind == "HEIF" else getattr(image, "n_frames", 1)  # HEIF names the one that counts
    if frames > 1:
        what = "several pages" if kind == "TIFF" else "an animation"
        unit = "pages" if kind == "TIFF" else "frames"
        raise PhotographError(f"{name}: {what}, not one photograph: {frames} {unit}", _ALONE)
    if min(width, height) < MIN_SIDE:
        need = f"at least {MIN_SIDE} pixels a side are needed"
        raise PhotographError(f"{name}: too small: {size}, {need}", "give a larger picture of the face")
    if max(width, height) > MAX_ASPECT * min(width, height):
        need = f"one side may be at most {MAX_ASPECT} times the other"
        raise PhotographError(f"{name}: too narrow: {size}, {need}", "crop it to the face")


def _damaged(error: Exception, kind: str, name: str) -> PhotographError:
    """What a codec's error means to the owner of the file."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        limit = f"at most {MAX_PIXELS / 1e6:.0f} megapixels can be read"
        return PhotographError(f"{name}: too many pixels: {limit}", _SMALLER)
    if "MAX_TEXT" in text:
        return PhotographError(
            f"{name}: a text or profile inside unpacks to more than Pillow allows", "save it without metadata"
        )
    if re.search("truncated|not processed|unexpected end|reached EOF", text, re.IGNORECASE):
        return PhotographError(
            f"{name}: the file is cut short: the end of its {kind} picture is missing", _AGAIN
        )
    return PhotographError(f"{name}: damaged {kind} picture: {text[:120]}", f"{_AGAIN}, or {_SAVE}")


def _upright(image: Image.Image) -> Image.Image:
    """The loaded picture turned as its EXIF orientation says; unreadable EXIF says nothing."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # parsing damaged EXIF raises nearly every type there is
        orientation = 1
    method = _TRANSPOSE.get(orientation)
    return image if method is None else image.transpose(method)


def _colour_and_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The picture as L, RGB, CMYK or LAB without transparency, and its alpha channel (mode L), if any."""
    key = image.info.get("transparency")
    if image.mode in _WHITES or image.mode.startswith("I;16"):
        pixels = np.asarray(image)
        alpha = None if key is None else Image.fromarray(np.where(pixels == key, 0, 255).astype(np.uint8))
        return _eight_bit(pixels, _WHITES.get(image.mode, (65535,))), alpha
    if image.has_transparency_data:
        if (
            isinstance(key, tuple) and max(key) > 255
        ):  # a 16-bit PNG's transparent colour; its pixels are 8-bit now
            image = image.copy()
            image.info["transparency"] = tuple(value >> 8 for value in key)
        layered = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return layered.convert("RGB"), layered.getchannel("A")
    return (image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB")), None


def _eight_bit(pixels: NDArray[Any], whites: tuple[int, ...]) -> Image.Image:
    """Numbers (height, width) as an 8-bit grey picture: black is 0, white the first of `whites` none exceeds.

    Numbers beyond all of them are stretched from their least to their greatest, so nothing is ever clipped.
    """
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some of its pixels are infinite or not a number")
    white = next((white for white in whites if low >= 0 and high <= white), None)
    low, high = (low, high) if white is None else (0.0, float(white))
    scaled = (pixels.astype(np.float32) - low) * (255 / ((high - low) or 1))
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _apply_profile(colour: Image.Image, profile: bytes | None) -> Image.Image:
    """An L, RGB, CMYK or LAB picture in sRGB; a profile that is broken or of another kind is ignored."""
    if profile and colour.mode != "LAB":
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            mode = _PROFILE_MODES.get(source.profile.xcolor_space.strip())
            if mode is not None and (mode == "CMYK") == (colour.mode == "CMYK"):
                return _transform(colour.convert(mode), source)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # the picture is worth more than its profile: most broken ones once said sRGB
    return colour.convert("RGB")


def _transform(colour: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    """Colours from a profile to sRGB as Photoshop does it: relative, with black point compensation."""
    result = ImageCms.profileToProfile(
        colour,
        source,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert result is not None  # None only when working in place
    return result
