from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from crossinit_batch.errors import PhotographError
from crossinit_batch.images import photograph
from crossinit_batch.images.photograph import open_photograph, square, thumbnail, to_samples
from tests.helpers import picture_samples
from tests.helpers.picture_samples import (
    BLUE,
    GREEN,
    GREY,
    LOSSLESS,
    LOSSY,
    RED,
    SRGB,
    encoded,
    near,
    noise,
    png,
    quarters,
    refusal,
)

nothing_leaks = picture_samples.nothing_leaks


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
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
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


def test_an_orientation_counts_though_another_tag_cannot_be_rewritten() -> None:
    description_that_is_a_rational = struct.pack("<HHII", 0x010E, 5, 1, 8)
    orientation = struct.pack("<HHII", 0x0112, 3, 1, 6)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + description_that_is_a_rational + orientation + bytes(4)
    data = encoded(quarters(), "JPEG", exif=exif, quality=95)
    assert open_photograph(data, "a").size == (72, 96)  # ImageOps.exif_transpose alone raises AttributeError here


def test_a_phone_jpeg_with_a_second_picture_gives_its_first() -> None:
    data = encoded(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (96, 72))], quality=95)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert near(open_photograph(data, "a"), (RED, GREEN, BLUE, GREY), tolerance=12)


def test_a_fresh_process_reads_a_picture_without_a_warning() -> None:
    code = (
        "import sys, crossinit_batch.images.photograph as p; from PIL import Image, ImageFile;"
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
    assert f"too many pixels: {side}x{side} is {side * side / 1e6:.1f} megapixels, at most 50" in error.message
    assert "smaller" in error.hint


def test_the_pixel_limit_does_not_depend_on_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(quarters())
    monkeypatch.setattr(photograph, "MAX_PIXELS", 96 * 72 - 1)
    assert "too many pixels: 96x72" in refusal(data).message
    monkeypatch.setattr(photograph, "MAX_PIXELS", 96 * 72)
    assert open_photograph(data, "a").size == (96, 72)


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


def jpeg_of_scans(times: int, side: int = 512, tail: bytes = b"", before: bytes = b"") -> bytes:
    """A progressive JPEG whose last scan comes so many more times, which changes nothing of the picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(buffer, "JPEG", progressive=True, quality=1)
    data = buffer.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:2] + before + data[2:-2] + last * times + data[-2:] + tail


@pytest.mark.parametrize(("times", "side"), [(3000, 512), (200, 64), (91, 64), (40, 7000), (100_000, 64)])
def test_a_jpeg_of_scans_without_end_is_refused_at_once(times: int, side: int) -> None:
    data = jpeg_of_scans(times, side)
    began = time.monotonic()
    with pytest.raises(PhotographError, match=r"a\.jpg: decoding would take too long: \d+x\d+ in .*\d+ scans"):
        open_photograph(data, "a.jpg")
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "data",
    [
        jpeg_of_scans(0),
        jpeg_of_scans(60),
        jpeg_of_scans(0, tail=b"\xff\xda" * 1000),  # a phone's second picture or film after the first
        jpeg_of_scans(0, before=b"\xff\xe2\x0f\xa2" + b"\xff\xda" * 2000),  # a profile
        jpeg_of_scans(0, before=b"\xff" * 50 + b"\xfe\0\x04\xff\xda"),  # a comment after filling
    ],
)
def test_what_only_looks_like_many_scans_is_read(data: bytes) -> None:
    assert open_photograph(data, "a.jpg").size == (512, 512)


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_frames_without_end_are_not_counted(kind: str) -> None:
    buffer = io.BytesIO()
    frames = [Image.new("L", (64, 64), number % 200) for number in range(300)]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    data = buffer.getvalue()
    if kind == "GIF":
        data = data[:-1] + data[data.index(b"!\xf9") : -1] * (40_000_000 // len(data)) + b";"
    began = time.monotonic()
    with pytest.raises(PhotographError, match="not one photograph: more than 1"):
        open_photograph(data, "a")
    assert time.monotonic() - began < 2
