from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossinit_batch.errors import PhotographError
from crossinit_batch.images.photograph import open_photograph
from tests.helpers import picture_samples
from tests.helpers.picture_samples import LOSSLESS, LOSSY, SRGB, encoded, noise, png, quarters, refusal

nothing_leaks = picture_samples.nothing_leaks


@pytest.mark.parametrize(("kind", "options"), [*LOSSLESS, *LOSSY, ("GIF", {})])
def test_truncated_files_are_refused(kind: str, options: dict[str, object]) -> None:
    data = encoded(noise(), kind, **options)
    open_photograph(data, "a")
    for length in (len(data) - 1, len(data) - 2, len(data) * 3 // 4, len(data) // 2, 40):
        error = refusal(data[:length])
        assert "cut short" in error.message or "damaged" in error.message
        assert "copy or download the file again" in error.hint


def test_a_truncated_jpeg_is_called_cut_short() -> None:
    data = encoded(noise(), "JPEG")
    assert refusal(data[:-2]).message == "faces/ada.jpg: the file is cut short: the end of its JPEG picture is missing"


def test_no_flipped_bit_in_a_png_goes_unseen() -> None:
    sound = encoded(noise((12, 9)).resize((96, 72)), compress_level=9)
    places = np.random.default_rng(0).integers(33, len(sound) - 12, 600)
    for place in places:
        data = bytearray(sound)
        data[place] ^= 1 << (place % 8)
        message = refusal(bytes(data)).message
        assert "damaged PNG" in message or "cut short" in message


@pytest.mark.parametrize("count", [1, 80])
def test_text_bombs_are_refused(count: int) -> None:
    size = 2_000_000 if count == 1 else 1_000_000
    text = (b"zTXt", b"k\0\0" + zlib.compress(b"\0" * size))
    header = struct.pack(">IIBBBBB", 96, 72, 8, 0, 0, 0, 0)
    body = (b"IDAT", zlib.compress(b"\0" * 97 * 72))
    for data in (png(header, *[text] * count, body), png(header, body, *[text] * count)):
        error = refusal(data)
        assert "unpacks to more than Pillow allows" in error.message
        assert error.hint == "save it without metadata"


def opens_or_is_refused(data: bytes) -> bool:
    """Whether it is a picture to learn from, or an error that names the file and says what to do."""
    try:
        image = open_photograph(data, "x")
    except PhotographError as error:
        return error.message.startswith("x: ") and bool(error.hint)
    return image.mode == "RGB" and min(image.size) >= 64


MAGICS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"P6 ",
    b"BM",
    b"\0\0\0\x1cftyp",
]


SOUND = {
    "JPEG": encoded(quarters(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0", icc_profile=SRGB),
    "PNG": encoded(quarters().quantize(4), transparency=1, icc_profile=SRGB),
    "GIF": encoded(quarters(), "GIF"),
    "TIFF": encoded(quarters(), "TIFF"),
    "WEBP": encoded(quarters(), "WEBP"),
}


@given(st.sampled_from(MAGICS), st.binary(max_size=300))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_arbitrary_bytes(magic: bytes, rest: bytes) -> None:
    assert opens_or_is_refused(magic + rest)


@given(st.sampled_from(sorted(SOUND)), st.floats(0, 1), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7))))
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_truncated_and_flipped_pictures(kind: str, keep: float, flips: list[tuple[float, int]]) -> None:
    data = bytearray(SOUND[kind])
    for place, bit in flips:
        data[min(int(place * len(data)), len(data) - 1)] ^= 1 << bit
    assert opens_or_is_refused(bytes(data))
    assert opens_or_is_refused(bytes(data[: int(keep * len(data))]))
