from __future__ import annotations

import io
import sys

import pytest
from PIL import Image

from crossinit_batch.images import kind as picture_kind
from crossinit_batch.images.photograph import open_photograph
from tests.helpers import picture_samples
from tests.helpers.picture_samples import BLUE, GREEN, GREY, RED, near, quarters, refusal

nothing_leaks = picture_samples.nothing_leaks


@pytest.mark.parametrize(
    ("data", "reason", "hint"),
    [
        (b"", "empty (0 bytes)", "download"),
        (b"\0" * 5000, "nothing but zero bytes", "download"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            "git-lfs pointer",
            "git lfs pull",
        ),
        (b"/annex/objects/SHA256E-s9--00.jpg\n", "git-annex pointer", "git annex get"),
        (b"<!DOCTYPE html><html><svg></svg></html>", "HTML page", "picture itself"),
        (b"\xef\xbb\xbf\n <HTML><body>Sign in", "HTML page", "picture itself"),
        (b"<!-- cached --><html>", "HTML page", "picture itself"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">', "HTML page", "picture itself"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing", "PNG"),
        (b"<?xml version='1.0'?>\n<!-- made by hand -->\n<svg/>", "SVG drawing", "PNG"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML document", "download"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "PDF document", "export"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript", "PNG"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2mp41", "a video", "one frame"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0qt  ", "a video", "one frame"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88webm", "a video", "one frame"),
        (b"RIFF\0\0\0\0AVI LIST", "a video", "one frame"),
        (b"\xff\x0a\xfa\x7f\x01", "JPEG XL", "djxl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n\0\0", "JPEG XL", "djxl"),
        (b"II*\0\x10\0\0\0CR\2\0", "camera raw", "develop it"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw", "develop it"),
        (b"8BPS\0\1", "Photoshop document", "JPEG or PNG"),
        (b"PK\3\4\x14\0", "an archive", "unpack"),
        (b"\x1f\x8b\x08\0", "an archive", "unpack"),
        (b"404: Not Found", "plain text, not a picture: '404: Not Found'", "JPEG, PNG"),
        ("The wide façade".encode(), "plain text", "JPEG, PNG"),
        (("é" * 3000).encode()[:4097], "plain text", "JPEG, PNG"),
        (bytes(range(256)), "not a kind of picture", "JPEG, PNG"),
        (b"\0\0\1\0\1\0\x10\x10", "not a kind of picture", "JPEG, PNG"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, reason: str, hint: str) -> None:
    error = refusal(data)
    assert reason in error.message
    assert hint in error.hint


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1"])
def test_heic_without_the_plugin(brand: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    error = refusal(b"\0\0\0\x1cftyp" + brand + b"\0\0\0\0mif1heicmiaf", "ada.heic")
    assert "HEIC picture" in error.message
    assert error.hint == "install pillow-heif: pip install 'crossinit-batch[heif]'"


def test_heic_with_the_plugin() -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(quarters()).save(buffer, quality=-1)
    assert near(open_photograph(buffer.getvalue(), "a"), (RED, GREEN, BLUE, GREY), tolerance=3)


def test_avif_without_the_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_kind.features, "check", lambda codec: False)
    error = refusal(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf")
    assert "cannot read AVIF" in error.message
    assert "pip install -U pillow" in error.hint
