"""Picture files of every format: pixels, facts, and the same bytes for the same picture."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import ExifTags, Image

from crossinit_batch.images.encode import PictureFormat, encode_picture, read_facts
from crossinit_batch.images.infotext import PictureTextError, infotext
from tests.images.test_infotext import FACTS, PIXELS, PROMPTS, a1111_reader

KINDS: tuple[PictureFormat, ...] = ("png", "webp", "jpeg")
Y, X = np.mgrid[0:64, 0:96]
SMOOTH = np.stack([Y * 3, X * 2, (X + Y) % 256], axis=2).astype(np.uint8)
SMOOTH_FACTS = replace(FACTS, width=96, height=64)


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", PROMPTS)
def test_facts_come_back_exactly_from_every_format(kind: PictureFormat, case: str) -> None:
    facts = replace(FACTS, prompt=PROMPTS[case], guidance=0.1 + 0.2, seed=2**63, guidance_until=0.6)
    data = encode_picture(PIXELS, facts, kind)
    assert opened(data).format == kind.upper()
    assert read_facts(data) == facts


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
@pytest.mark.parametrize("case", PROMPTS)
def test_web_uis_find_their_line_in_the_user_comment(kind: PictureFormat, case: str) -> None:
    facts = replace(FACTS, prompt=PROMPTS[case])
    exif = opened(encode_picture(PIXELS, facts, kind)).getexif().get_ifd(ExifTags.IFD.Exif)
    comment = exif[ExifTags.Base.UserComment]
    assert comment[:8] == b"UNICODE\0"
    text = comment[8:].decode("utf-16-be")
    assert text == infotext(facts) and a1111_reader(text)["Prompt"] == PROMPTS[case]


def test_png_keeps_every_pixel_and_the_others_nearly() -> None:
    png = np.asarray(opened(encode_picture(PIXELS, FACTS)))
    assert np.array_equal(png, PIXELS)
    for kind in ("webp", "jpeg"):
        near = np.asarray(opened(encode_picture(SMOOTH, SMOOTH_FACTS, kind)).convert("RGB")).astype(int)
        assert np.abs(near - SMOOTH).mean() < 3, kind


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
def test_quality_decides_the_size(kind: PictureFormat) -> None:
    sizes = [len(encode_picture(PIXELS, FACTS, kind, quality)) for quality in (10, 50, 90, 100)]
    assert sizes == sorted(set(sizes))
    assert encode_picture(PIXELS, FACTS, kind) == encode_picture(PIXELS, FACTS, kind, 90)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_arguments_give_equal_bytes(kind: PictureFormat) -> None:
    assert encode_picture(PIXELS, FACTS, kind) == encode_picture(PIXELS.copy(), replace(FACTS), kind)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((24, 16, 3), np.uint8), np.zeros((16, 24), np.uint8), np.zeros((16, 24, 3), np.float32)],
)
def test_pixels_that_are_not_what_the_facts_say_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(PictureTextError, match=r"where \(16, 24, 3\) of uint8 were said"):
        encode_picture(pixels, FACTS)


def test_a_picture_of_another_program_has_no_facts() -> None:
    for kind in ("WEBP", "JPEG"):
        file = BytesIO()
        Image.fromarray(PIXELS).save(file, kind)
        with pytest.raises(PictureTextError, match="no crossinit text"):
            read_facts(file.getvalue())
