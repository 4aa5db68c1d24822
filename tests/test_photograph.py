from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile, ImageOps, PngImagePlugin, features

from crossinit_batch import photograph
from crossinit_batch.errors import PhotographError
from crossinit_batch.photograph import as_srgb, open_photograph, square, thumbnail, to_samples

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)
CORNERS = ((4, 4), (91, 4), (4, 67), (91, 67))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


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


# Pictures that are read


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


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
def test_lossless_formats_keep_every_pixel(kind: str, options: dict[str, object]) -> None:
    image = open_photograph(encoded(quarters(), kind, **options), "a")
    assert image.mode == "RGB"
    assert image.info == {}
    assert np.array_equal(np.asarray(image), np.asarray(quarters()))


@pytest.mark.parametrize(("kind", "options"), LOSSY)
def test_lossy_formats_keep_the_colours(kind: str, options: dict[str, object]) -> None:
    image = open_photograph(encoded(quarters(), kind, **options), "a")
    assert image.size == (96, 72)
    assert near(image, (RED, GREEN, BLUE, GREY), tolerance=4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_all_eight_orientations_give_the_same_picture(kind: str, orientation: int) -> None:
    # How a camera stores an upright picture under each orientation: the inverse of what a viewer does to it.
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](np.asarray(quarters()))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = (
        {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    )
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options)
    image = open_photograph(data, "a")
    assert image.size == (96, 72)
    assert near(image, (RED, GREEN, BLUE, GREY), tolerance=2 if kind == "JPEG" else 0)


def test_unreadable_exif_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for broken in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense", exif.tobytes()[:12]):
        for kind in ("JPEG", "PNG", "WEBP"):
            assert open_photograph(encoded(quarters(), kind, exif=broken), "a").size == (96, 72)


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
    assert near(
        open_photograph(encoded(palette, transparency=alphas), "a"), (RED, (204, 255, 204), BLUE, GREY)
    )


def test_palette_and_alpha_in_one_mode() -> None:
    assert near(as_srgb(quarters().quantize(4).convert("PA")), (RED, GREEN, BLUE, GREY))


def test_one_transparent_colour() -> None:
    assert near(
        open_photograph(encoded(quarters(), transparency=BLUE), "a"), (RED, GREEN, (255, 255, 255), GREY)
    )
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
    inks = Image.merge(
        "CMYK", [Image.eval(band, lambda v: 255 - v) for band in ycc] + [Image.new("L", (96, 72))]
    )
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
    tags = {
        bytes(data[at : at + 4]): at
        for at in range(132, 132 + 12 * struct.unpack_from(">I", data, 128)[0], 12)
    }
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_embedded_profiles_are_applied(kind: str) -> None:
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}.get(
        kind, {"quality": 100, "subsampling": 0}
    )
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
    assert near(
        open_photograph(encoded(cmyk, "TIFF", icc_profile=swapped_profile()), "a"), (RED, GREEN, BLUE, GREY)
    )
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert near(open_photograph(encoded(quarters(), icc_profile=lab), "a"), (RED, GREEN, BLUE, GREY))


def test_a_grey_picture_with_an_rgb_profile() -> None:
    data = encoded(Image.new("L", (96, 72), 77), icc_profile=SRGB)
    assert near(open_photograph(data, "a"), ((77, 77, 77),) * 4)


def test_a_phone_jpeg_with_a_second_picture_gives_its_first() -> None:
    data = encoded(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (96, 72))], quality=95)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert near(open_photograph(data, "a"), (RED, GREEN, BLUE, GREY), tolerance=12)


def test_a_fresh_process_reads_a_picture_without_a_warning() -> None:
    code = (
        "import sys, crossinit_batch.photograph as p; from PIL import Image, ImageFile;"
        "assert 'torch' not in sys.modules; before = Image.MAX_IMAGE_PIXELS;"
        "image = p.open_photograph(sys.stdin.buffer.read(), 'a');"
        "assert before == Image.MAX_IMAGE_PIXELS and not ImageFile.LOAD_TRUNCATED_IMAGES;"
        "print(image.size)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=encoded(quarters()),
        capture_output=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (b"(96, 72)", b"")


# Pictures that are refused


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
    monkeypatch.setattr(photograph.features, "check", lambda codec: False)
    error = refusal(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf")
    assert "cannot read AVIF" in error.message
    assert "pip install -U pillow" in error.hint


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
    assert (
        refusal(data[:-2]).message
        == "faces/ada.jpg: the file is cut short: the end of its JPEG picture is missing"
    )


def test_no_flipped_bit_in_a_png_goes_unseen() -> None:
    sound = encoded(noise((12, 9)).resize((96, 72)), compress_level=9)
    places = np.random.default_rng(0).integers(33, len(sound) - 12, 600)
    for place in places:
        data = bytearray(sound)
        data[place] ^= 1 << (place % 8)
        message = refusal(bytes(data)).message
        assert "damaged PNG" in message or "cut short" in message


@pytest.mark.parametrize(
    ("kind", "what"), [("GIF", "frames"), ("WEBP", "frames"), ("PNG", "frames"), ("TIFF", "pages")]
)
def test_several_frames_are_refused(kind: str, what: str) -> None:
    more = [Image.new("RGB", (96, 72), colour) for colour in (RED, BLUE)]
    error = refusal(encoded(quarters(), kind, save_all=True, append_images=more))
    assert error.message.endswith(f"not one photograph: 3 {what}")
    assert error.hint == "save the one you want as its own JPEG or PNG file"


@pytest.mark.parametrize("side", [7072, 10000, 14000, 40000])
def test_bombs_are_refused_by_their_header(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(image: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    data = png(struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0), (b"IDAT", zlib.compress(b"\0" * 100)))
    error = refusal(data)
    assert (
        f"too many pixels: {side}x{side} is {side * side / 1e6:.1f} megapixels, at most 50" in error.message
    )
    assert "smaller" in error.hint


def test_the_pixel_limit_does_not_depend_on_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(quarters())
    monkeypatch.setattr(photograph, "MAX_PIXELS", 96 * 72 - 1)
    assert "too many pixels: 96x72" in refusal(data).message
    monkeypatch.setattr(photograph, "MAX_PIXELS", 96 * 72)
    assert open_photograph(data, "a").size == (96, 72)


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


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((1, 1), "too small: 1x1, at least 64 pixels a side are needed"),
        ((63, 200), "too small: 63x200, at least 64 pixels a side are needed"),
        ((4096, 16), "too small: 4096x16, at least 64 pixels a side are needed"),
        ((64, 257), "too narrow: 64x257, one side may be at most 4 times the other"),
        ((1025, 256), "too narrow: 1025x256, one side may be at most 4 times the other"),
    ],
)
def test_sizes_that_are_refused(size: tuple[int, int], reason: str) -> None:
    assert refusal(encoded(Image.new("RGB", size))).message == f"faces/ada.jpg: {reason}"


def test_an_error_reads_as_a_sentence_and_a_hint() -> None:
    text = str(refusal(b"", "photos/ada 1.jpg"))
    assert text == "photos/ada 1.jpg: the file is empty (0 bytes)\n  copy or download the file again"


def test_sizes_at_the_limit_are_read() -> None:
    for size in ((64, 64), (64, 256), (256, 64)):
        assert open_photograph(encoded(Image.new("RGB", size)), "a").size == size


def test_files_over_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(quarters())
    monkeypatch.setattr(photograph, "MAX_BYTES", len(data) - 1)
    error = refusal(data)
    assert "the file is too large" in error.message
    assert "smaller" in error.hint


def test_previews_in_camera_raw_files_are_refused() -> None:
    for tag, value in ((254, 1), (50706, b"\1\4\0\0")):
        error = refusal(encoded(quarters(), "TIFF", tiffinfo={tag: value}))
        assert "camera raw" in error.message
        assert "develop" in error.hint


# Whatever the bytes


def picture_or_refusal(data: bytes) -> None:
    try:
        image = open_photograph(data, "x")
    except PhotographError as error:
        assert error.message.startswith("x: ")
        assert error.hint
    else:
        assert image.mode == "RGB"
        assert min(image.size) >= 64


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
    picture_or_refusal(magic + rest)


@given(
    st.sampled_from(sorted(SOUND)), st.floats(0, 1), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)))
)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_truncated_and_flipped_pictures(kind: str, keep: float, flips: list[tuple[float, int]]) -> None:
    data = bytearray(SOUND[kind])
    for place, bit in flips:
        data[min(int(place * len(data)), len(data) - 1)] ^= 1 << bit
    picture_or_refusal(bytes(data))
    picture_or_refusal(bytes(data[: int(keep * len(data))]))


# What is made of a picture


def test_center_cuts_the_middle_square() -> None:
    image = Image.new("RGB", (201, 100), RED)
    image.paste(noise((100, 100)), (50, 0))
    assert np.array_equal(np.asarray(square(image, 100, "center")), np.asarray(noise((100, 100))))
    tall = image.transpose(Image.Transpose.TRANSPOSE)
    assert np.array_equal(
        np.asarray(square(tall, 100, "center")),
        np.asarray(noise((100, 100)).transpose(Image.Transpose.TRANSPOSE)),
    )
    expected = noise((100, 100)).resize((64, 64), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(square(image, 64, "center")), np.asarray(expected))


def test_stretch_keeps_all_of_the_picture() -> None:
    image = square(quarters((300, 100)), 64, "stretch")
    assert image.size == (64, 64)
    corners = [image.getpixel(place) for place in ((2, 2), (61, 2), (2, 61), (61, 61))]
    assert corners == [RED, GREEN, BLUE, GREY]


@pytest.mark.parametrize("crop", ["center", "stretch"])
@pytest.mark.parametrize("size", [(64, 64), (65, 255), (1200, 900)])
def test_squares_are_exactly_square(crop: str, size: tuple[int, int]) -> None:
    assert square(Image.new("RGB", size), 96, crop).size == (96, 96)  # type: ignore[arg-type]


def test_reducing_averages_and_does_not_skip() -> None:
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    small = np.asarray(square(Image.fromarray(stripes), 64, "center")).astype(int)
    assert np.abs(small[:, 4:-4] - 127.5).max() <= 2


def test_samples() -> None:
    image = Image.new("RGB", (3, 3), (0, 255, 51))
    image.putpixel((2, 0), (255, 0, 102))
    samples = to_samples(image)
    assert samples.shape == (3, 3, 3)
    assert samples.dtype == np.float32
    assert samples.flags.c_contiguous
    assert samples[:, 0, 0] == pytest.approx([-1, 1, -0.6], abs=1e-6)
    assert samples[:, 0, 2] == pytest.approx([1, -1, -0.2], abs=1e-6)
    grey = to_samples(Image.fromarray(np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 1, 3))))
    assert np.array_equal(np.rint((grey[0, :, 0] + 1) * 127.5), np.arange(256))


def test_thumbnails_fit_and_carry_nothing() -> None:
    image = quarters((400, 300))
    image.info = {"comment": b"secret", "exif": b"Exif\0\0secret", "icc_profile": SRGB, "dpi": (7, 7)}
    data = thumbnail(image, 96)
    seen = Image.open(io.BytesIO(data))
    assert seen.size == (96, 72)
    assert set(seen.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert b"secret" not in data
    assert seen.info["jfif_unit"] == 0
    assert not seen.getexif()
    assert near(seen.convert("RGB"), (RED, GREEN, BLUE, GREY), tolerance=6)
    assert data == thumbnail(image, 96)
    assert image.size == (400, 300)
    assert image.info["comment"] == b"secret"


def test_thumbnails_are_never_enlarged() -> None:
    assert Image.open(io.BytesIO(thumbnail(quarters(), 500))).size == (96, 72)
