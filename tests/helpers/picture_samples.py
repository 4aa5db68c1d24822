"""Pictures to be tested with, and how they are encoded, compared and refused."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, PngImagePlugin, features

from crossinit_batch.errors import PhotographError
from crossinit_batch.images.photograph import open_photograph

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)
CORNERS = ((4, 4), (91, 4), (4, 67), (91, 67))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOSSLESS = [
    ("PNG", {}),
    ("BMP", {}),
    ("PPM", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ("WEBP", {"lossless": True}),
    ("JPEG2000", {}),
]
LOSSY = [
    ("JPEG", {"quality": 95, "subsampling": 0}),
    ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}),
    ("WEBP", {"quality": 95}),
]
if features.check("avif"):
    LOSSY.append(("AVIF", {"quality": 95}))


def picture_bytes(number: int, side: int = 96, kind: str = "PNG") -> bytes:
    """A smooth coloured picture; each number gives another one."""
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [np.sin((number + 2) * (x + 1) + channel * (y + number)) for channel in range(3)]
    pixels = ((np.stack(waves, axis=2) + 1) * 127.5).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def pillow_settings() -> tuple[object, ...]:
    return (
        Image.MAX_IMAGE_PIXELS,
        Image.WARN_POSSIBLE_FORMATS,
        ImageFile.LOAD_TRUNCATED_IMAGES,
        ImageFile.MAXBLOCK,
        ImageFile.SAFEBLOCK,
        PngImagePlugin.MAX_TEXT_CHUNK,
        PngImagePlugin.MAX_TEXT_MEMORY,
    )


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Every test: warnings are errors, and neither warning filters nor Pillow's settings are changed."""
    before = pillow_settings()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filters = list(warnings.filters)
        yield
        assert list(warnings.filters) == filters
    assert pillow_settings() == before
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def quarters(size: tuple[int, int] = (96, 72)) -> Image.Image:
    """Red, green / blue, grey."""
    width, height = size
    image = Image.new("RGB", size, RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(GREY, (width // 2, height // 2, width, height))
    return image


def noise(size: tuple[int, int] = (80, 72)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def colours(image: Image.Image) -> tuple[object, ...]:
    return tuple(image.getpixel(corner) for corner in CORNERS)


def near(image: Image.Image, expected: tuple[tuple[int, ...], ...], tolerance: int = 0) -> bool:
    return bool(np.abs(np.array(colours(image), dtype=int) - np.array(expected)).max() <= tolerance)


def png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG from the 13 bytes of its IHDR and further chunks."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, body in ((b"IHDR", header), *chunks, (b"IEND", b"")):
        parts += [struct.pack(">I", len(body)), name, body, struct.pack(">I", zlib.crc32(name + body))]
    return b"".join(parts)


def refusal(data: bytes, name: str = "faces/ada.jpg") -> PhotographError:
    with pytest.raises(PhotographError) as caught:
        open_photograph(data, name)
    assert caught.value.message.startswith(f"{name}: ")
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value
