from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from crossinit_batch.report.contact_sheet import contact_sheet

RED, GREEN, BLUE = (200, 0, 0), (0, 160, 0), (0, 0, 220)


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (20, 20)) -> Image.Image:
    return Image.new("RGB", size, colour)


def boxes(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int] | None:
    """The box around every pixel of exactly this colour."""
    return Image.fromarray((np.asarray(sheet) == colour).all(axis=2)).getbbox()


def test_pictures_stand_in_their_cells() -> None:
    sheet = contact_sheet([("ada", [plain(RED), plain(GREEN)]), ("bob", [plain(BLUE)])], ["one", "two"], cell=64)
    red, green, blue = boxes(sheet, RED), boxes(sheet, GREEN), boxes(sheet, BLUE)
    assert red is not None and green is not None and blue is not None
    assert [(box[2] - box[0], box[3] - box[1]) for box in (red, green, blue)] == [(64, 64)] * 3
    assert red[1] == green[1] and green[0] >= red[2]
    assert red[0] == blue[0] and blue[1] >= red[3]


def test_proportions_are_kept_and_the_picture_is_centred() -> None:
    tall = boxes(contact_sheet([("", [plain(RED, (10, 40))])], [], cell=64), RED)
    square = boxes(contact_sheet([("", [plain(RED)])], [], cell=64), RED)
    assert tall is not None and square is not None
    assert (tall[2] - tall[0], tall[3] - tall[1]) == (16, 64)
    assert tall[0] - square[0] == square[2] - tall[2] == 24


def test_same_input_gives_same_pixels() -> None:
    def draw() -> Image.Image:
        return contact_sheet([("ada", [plain(RED), None])], ["a photo", "a painting"], cell=80)

    assert draw().tobytes() == draw().tobytes()
    assert draw().mode == "RGB"


def test_labels_are_drawn_and_headings_wrap() -> None:
    def sheet(label: str, heading: str) -> Image.Image:
        return contact_sheet([(label, [plain(RED)])], [heading], cell=96)

    short, long = sheet("ada", "photo"), sheet("ada", "a photo of a person on the beach with a backpack")
    assert long.height > short.height and long.width == short.width
    assert sheet("a longer name", "photo").width > short.width
    assert sheet("ada", "photo").tobytes() != sheet("bob", "photo").tobytes()
    unbroken = sheet("ada", "x" * 60)
    assert unbroken.width == short.width and unbroken.height > short.height


def test_missing_picture_is_a_pale_cell() -> None:
    sheet = contact_sheet([("", [None])], ["a"], cell=64)
    assert boxes(sheet, (240, 241, 243)) is not None
    by_end = contact_sheet([("", [])], ["a"], cell=64)
    assert sheet.tobytes() == by_end.tobytes()


def test_transparent_picture_lies_on_paper() -> None:
    sheet = contact_sheet([("", [Image.new("RGBA", (20, 20), (255, 0, 0, 0))])], [], cell=64)
    assert sheet.getcolors() == [(sheet.width * sheet.height, (255, 255, 255))]


def test_metadata_of_a_photograph_stays_behind() -> None:
    photograph = plain(RED)
    photograph.info["exif"] = b"Exif\x00\x00where I live"
    assert contact_sheet([("", [photograph])], [], cell=64).info == {}


@pytest.mark.parametrize(
    ("rows", "headings", "cell", "message"),
    [
        ([], [], 64, "at least one row"),
        ([("a", [])], [], 64, "at least one row"),
        ([("a", [None, None])], ["one"], 64, "2 pictures, but there are 1 headings"),
        ([("a", [None])], ["one"], 8, "too small"),
    ],
)
def test_impossible_sheets_are_refused(
    rows: list[tuple[str, list[Image.Image | None]]], headings: list[str], cell: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        contact_sheet(rows, headings, cell=cell)
