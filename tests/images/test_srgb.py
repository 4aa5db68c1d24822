from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from crossinit_batch.images.photograph import open_photograph
from crossinit_batch.images.srgb import as_srgb
from tests.helpers import picture_samples
from tests.helpers.picture_samples import (
    BLUE,
    CORNERS,
    GREEN,
    GREY,
    RED,
    SRGB,
    colours,
    encoded,
    near,
    noise,
    png,
    quarters,
    refusal,
)

nothing_leaks = picture_samples.nothing_leaks


def test_transparency_lies_over_white() -> None:
    alpha = Image.new("L", (96, 72), 255)
    alpha.paste(0, (48, 0, 96, 36))
    alpha.paste(128, (0, 36, 48, 72))
    rgba = quarters()
    rgba.putalpha(alpha)
    expected = (RED, (255, 255, 255), (127, 127, 255), GREY)
    for data in (encoded(rgba), encoded(rgba, "TIFF"), encoded(rgba, "WEBP", lossless=True)):
        assert near(open_photograph(data, "a"), expected)
    assert near(as_srgb(rgba.convert("RGBa")), expected, tolerance=2)


def test_grey_with_transparency() -> None:
    image = Image.new("LA", (96, 72), (0, 255))
    image.paste((0, 51), (48, 0, 96, 72))
    expected = ((0, 0, 0), (204, 204, 204)) * 2
    assert near(open_photograph(encoded(image), "a"), expected)
    assert near(as_srgb(image.convert("La")), expected)


def test_palette_with_and_without_transparency() -> None:
    palette = quarters().quantize(4)
    assert near(open_photograph(encoded(palette), "a"), (RED, GREEN, BLUE, GREY))
    assert near(open_photograph(encoded(palette, "GIF"), "a"), (RED, GREEN, BLUE, GREY))
    green = palette.getpixel(CORNERS[1])
    white_for_green = (RED, (255, 255, 255), BLUE, GREY)
    assert near(open_photograph(encoded(palette, transparency=green), "a"), white_for_green)
    assert near(open_photograph(encoded(palette, "GIF", transparency=green), "a"), white_for_green)
    alphas = bytes(51 if index == green else 255 for index in range(4))
    assert near(open_photograph(encoded(palette, transparency=alphas), "a"), (RED, (204, 255, 204), BLUE, GREY))


def test_palette_and_alpha_in_one_mode() -> None:
    assert near(as_srgb(quarters().quantize(4).convert("PA")), (RED, GREEN, BLUE, GREY))


def test_one_transparent_colour() -> None:
    assert near(open_photograph(encoded(quarters(), transparency=BLUE), "a"), (RED, GREEN, (255, 255, 255), GREY))
    grey = Image.new("L", (96, 72), 10)
    grey.paste(200, (48, 0, 96, 72))
    seen = open_photograph(encoded(grey, transparency=10), "a")
    assert near(seen, ((255, 255, 255), (200, 200, 200)) * 2)


def test_one_transparent_colour_of_16_bits() -> None:
    grey = np.full((72, 96), 10 * 257, np.uint16)
    grey[:, 48:] = 200 * 257
    seen = open_photograph(encoded(Image.fromarray(grey), transparency=10 * 257), "a")
    assert near(seen, ((255, 255, 255), (200, 200, 200)) * 2)
    rows = (b"\0" + struct.pack(">HHH", 10 << 8, 20 << 8, 30 << 8) * 96) * 72
    header = struct.pack(">IIBBBBB", 96, 72, 16, 2, 0, 0, 0)
    body = (b"IDAT", zlib.compress(rows))
    assert colours(open_photograph(png(header, body), "a"))[0] == (10, 20, 30)
    key = (b"tRNS", struct.pack(">HHH", 10 << 8, 20 << 8, 30 << 8))
    assert colours(open_photograph(png(header, key, body), "a"))[0] == (255, 255, 255)


def test_black_and_white_and_grey() -> None:
    image = Image.new("1", (96, 72), 0)
    image.paste(1, (48, 0, 96, 72))
    expected = ((0, 0, 0), (255, 255, 255)) * 2
    for kind in ("PNG", "TIFF", "BMP", "PPM"):
        assert near(open_photograph(encoded(image, kind), "a"), expected)
    grey = open_photograph(encoded(Image.new("L", (96, 72), 77), "JPEG"), "a")
    assert near(grey, ((77, 77, 77),) * 4)


def ramp(dtype: str) -> np.ndarray:
    """Columns 0, 257, 514, … 65535: the 256 greys, exactly."""
    return np.repeat((np.arange(256) * 257)[None], 64, axis=0).astype(dtype)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_files_are_scaled_and_not_clipped(kind: str) -> None:
    seen = np.asarray(open_photograph(encoded(Image.fromarray(ramp("uint16")), kind), "a"))
    assert np.array_equal(seen, np.repeat(np.tile(np.arange(256), (64, 1))[..., None], 3, axis=2))


def test_16_bit_grey_tiff_of_the_other_byte_order() -> None:
    image = Image.frombytes("I;16B", (256, 64), ramp(">u2").tobytes())
    data = encoded(image, "TIFF")
    assert Image.open(io.BytesIO(data)).mode == "I;16B"
    assert np.array_equal(np.asarray(open_photograph(data, "a"))[0, :, 0], np.arange(256))


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N"])
def test_every_16_bit_mode(mode: str) -> None:
    image = Image.new(mode, (2, 1))
    image.putpixel((0, 0), 65535)
    image.putpixel((1, 0), 12850)
    assert [as_srgb(image).getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (50, 50, 50)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 128, 255], [0, 128, 255]),
        ([0, 32896, 65535], [0, 128, 255]),
        ([0, 256, 514], [0, 1, 2]),
        ([-100, -60, 100], [0, 51, 255]),
        ([0, 400_000, 2_000_000], [0, 51, 255]),
        ([-7, -7, -7], [0, 0, 0]),
    ],
)
def test_32_bit_integers(values: list[int], expected: list[int]) -> None:
    image = Image.fromarray(np.array([values], dtype=np.int32))
    assert image.mode == "I"
    assert np.asarray(as_srgb(image))[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.2, 1], [0, 51, 255]),
        ([0, 51, 255], [0, 51, 255]),
        ([0, 13107, 65535], [0, 51, 255]),
        ([-1, -0.6, 1], [0, 51, 255]),
        ([0, 1e6, 5e6], [0, 51, 255]),
    ],
)
def test_floats(values: list[float], expected: list[int]) -> None:
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert np.asarray(as_srgb(image))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_refused(bad: float) -> None:
    pixels = np.zeros((72, 96), np.float32)
    pixels[3, 5] = bad
    assert "infinite or not a number" in refusal(encoded(Image.fromarray(pixels), "TIFF")).message


def test_cmyk_in_both_polarities() -> None:
    cmyk = quarters().convert("CMYK")
    tiff = open_photograph(encoded(cmyk, "TIFF"), "a")
    assert near(tiff, (RED, GREEN, BLUE, GREY))
    jpeg = encoded(cmyk, "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in jpeg  # which means that the inks are stored inverted
    assert near(open_photograph(jpeg, "a"), (RED, GREEN, BLUE, GREY), tolerance=3)


def test_ycck_jpeg() -> None:
    # Adobe stores inks inverted, so what libjpeg sees as R, G, B is the negative.
    ycc = ImageOps.invert(quarters()).convert("YCbCr").split()
    inks = Image.merge("CMYK", [Image.eval(band, lambda v: 255 - v) for band in ycc] + [Image.new("L", (96, 72))])
    data = bytearray(encoded(inks, "JPEG", quality=100, subsampling=0))
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    data[transform] = 2  # YCCK
    assert near(open_photograph(bytes(data), "a"), (RED, GREEN, BLUE, GREY), tolerance=4)


def test_lab_and_hsv_and_ycbcr() -> None:
    lab = Image.merge("LAB", [Image.new("L", (96, 72), value) for value in (255, 128, 128)])
    data = encoded(lab, "TIFF")
    assert b"\xff\0\0" * 96 in data  # L* = 100 and signed a* = b* = 0
    assert near(open_photograph(data, "a"), ((255, 255, 255),) * 4, tolerance=1)
    for mode in ("HSV", "YCbCr", "RGBX"):
        assert near(as_srgb(quarters().convert(mode)), (RED, GREEN, BLUE, GREY), tolerance=2)


def swapped_profile() -> bytes:
    """sRGB with its red and green primaries exchanged, so that applying it cannot go unseen."""
    data = bytearray(SRGB)
    tags = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * struct.unpack_from(">I", data, 128)[0], 12)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_embedded_profiles_are_applied(kind: str) -> None:
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}.get(kind, {"quality": 100, "subsampling": 0})
    data = encoded(quarters(), kind, icc_profile=swapped_profile(), **options)
    assert near(open_photograph(data, "a"), (GREEN, RED, BLUE, GREY), tolerance=3)


def test_profiles_keep_transparency_and_apply_to_palettes() -> None:
    rgba = quarters()
    rgba.putalpha(Image.new("L", (96, 72), 128))
    seen = open_photograph(encoded(rgba, icc_profile=swapped_profile()), "a")
    assert near(seen, ((127, 255, 127), (255, 127, 127), (127, 127, 255), (191, 191, 191)), tolerance=2)
    palette = encoded(quarters().quantize(4), icc_profile=swapped_profile())
    assert near(open_photograph(palette, "a"), (GREEN, RED, BLUE, GREY), tolerance=2)


def test_an_srgb_profile_changes_nothing() -> None:
    data = encoded(noise(), icc_profile=SRGB)
    assert np.array_equal(np.asarray(open_photograph(data, "a")), np.asarray(noise()))


@pytest.mark.parametrize("profile", [b"nonsense", SRGB[:200], SRGB[:64] + b"\xff" * 300])
def test_broken_profiles_are_ignored(profile: bytes) -> None:
    data = encoded(quarters(), icc_profile=profile)
    assert near(open_photograph(data, "a"), (RED, GREEN, BLUE, GREY))


def test_profiles_of_another_colour_space_are_ignored() -> None:
    cmyk = quarters().convert("CMYK")
    assert near(open_photograph(encoded(cmyk, "TIFF", icc_profile=swapped_profile()), "a"), (RED, GREEN, BLUE, GREY))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert near(open_photograph(encoded(quarters(), icc_profile=lab), "a"), (RED, GREEN, BLUE, GREY))


def test_a_grey_picture_with_an_rgb_profile() -> None:
    data = encoded(Image.new("L", (96, 72), 77), icc_profile=SRGB)
    assert near(open_photograph(data, "a"), ((77, 77, 77),) * 4)
