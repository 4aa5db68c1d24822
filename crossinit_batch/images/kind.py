"""A picture's file format, recognised by its first bytes, or what else the file is and what the user can do."""

from __future__ import annotations

import importlib
import re
from typing import Any

from PIL import Image, JpegImagePlugin, features

from crossinit_batch.errors import PhotographError

SAVE = "save it as JPEG or PNG and use that"
AGAIN = "copy or download the file again"

_HEAD = 4096  # bytes that show what a file is: HTML and SVG may start with long comments
_READ = "JPEG, PNG, WEBP, GIF, TIFF, BMP, PPM, JPEG 2000, AVIF or HEIC"
_GIVE = f"give a picture: {_READ}"
_CODEC = {"AVIF": "avif", "WEBP": "webp", "JPEG2000": "jpg_2000"}

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
# The first bytes of what users give instead of a picture, in order → what it is, what to do.
_OTHERS = (
    (rb"version https://git-lfs",
     "a git-lfs pointer, not the picture", "run 'git lfs pull' where the file is"),
    (rb"\S*annex/objects/", "a git-annex pointer, not the picture", "run 'git annex get' where the file is"),
    (_BOM + rb"(?:<\?xml[^>]*>\s*)?(?:<!--.{0,2000}?-->\s*)?"
     rb"<(?:!doctype\s+html|html|head|body|title|meta|script)\b",
     "an HTML page, not a picture", "download the picture itself, not the page around it"),
    (_BOM + rb"<(?:.*?<)?svg\b", "an SVG drawing, not a photograph", "export it as PNG"),
    (_BOM + rb"<\?xml", "an XML document, often a server's error message, not a picture", AGAIN),
    (rb"%PDF-", "a PDF document, not a picture", "export the picture in it as JPEG or PNG"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript document, not a picture", "export it as PNG"),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
     "a JPEG XL picture, which Pillow cannot read", "turn it into PNG, for example: djxl in.jxl out.png"),
    (rb"II\*\0.{4}CR|.{4}ftypcrx|FUJIFILMCCD-RAW|II(?:U\0|RO|RS)",
     "a camera raw file", f"develop it, {SAVE}"),
    (rb"8BPS", "a Photoshop document", SAVE),
    (rb"\0.{3}(?:ftyp|moov|mdat|wide)|\x1a\x45\xdf\xa3|RIFF.{4}AVI |FLV\x01|OggS|\0\0\x01[\xb3\xba]",
     "a video, not a picture", "save one frame of it as JPEG or PNG"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!|BZh[1-9]|\xfd7zXZ|\x28\xb5\x2f\xfd|.{257}ustar",
     "an archive, not a picture", "unpack it and name the pictures in it"),
)  # fmt: skip


def kind_of(data: bytes, name: str) -> str:
    """Pillow's name of the format of `data`; PhotographError, naming the file, where it is not a picture."""
    head = data[:_HEAD]
    for kind, magic in _PICTURES.items():
        if re.match(magic, head, re.DOTALL):
            return kind
    for magic, what, hint in _OTHERS:
        if re.match(magic, head, re.DOTALL | re.IGNORECASE):
            raise PhotographError(f"{name}: {what}", hint)
    if not data.strip(b"\0"):
        raise PhotographError(f"{name}: the file holds nothing but zero bytes", AGAIN)
    text = head.decode("utf-8", "ignore")
    if len(text.encode()) > len(head) - 4 and re.fullmatch(r"[^\0-\x08\x0e-\x1f\x7f]+", text):
        raise PhotographError(f"{name}: plain text, not a picture: {text.strip()[:40]!r}", _GIVE)
    raise PhotographError(f"{name}: not a kind of picture that can be read", _GIVE)


def reader_of(kind: str, name: str) -> Any:
    """The Pillow class that reads this format; PhotographError where the installed Pillow cannot.

    The class itself and not Image.open, whose size limit is global to the process; and for JPEG the class that reads
    one picture and not a series, since phones append a second, private one to the photograph.
    """
    if kind == "HEIF" and not _heif():
        message = f"{name}: a HEIC picture, which cannot be read without pillow-heif"
        raise PhotographError(message, "install pillow-heif: pip install 'crossinit-batch[heif]'")
    if kind in _CODEC and not features.check(_CODEC[kind]):
        message = f"{name}: the installed Pillow cannot read {kind} pictures"
        raise PhotographError(message, f"upgrade it: pip install -U pillow; or {SAVE}")
    return JpegImagePlugin.JpegImageFile if kind == "JPEG" else Image.OPEN[kind][0]


def _heif() -> bool:
    """Whether pillow-heif is installed; registers it with Pillow where it is."""
    if "HEIF" not in Image.OPEN:
        try:
            importlib.import_module("pillow_heif").register_heif_opener()
        except ImportError:
            return False
    return True
