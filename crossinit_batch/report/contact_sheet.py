"""A labelled grid of pictures as one picture, for a README or a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

_PAPER = (255, 255, 255)
_INK = (28, 30, 36)
_EMPTY = (240, 241, 243)
_EMPTY_MARK = (205, 208, 214)

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class _Text:
    """A wrapped label: its lines and their common height in pixels."""

    lines: tuple[str, ...]
    line_height: int

    @property
    def height(self) -> int:
        return self.line_height * len(self.lines)


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[Image.Image | None]]], headings: Sequence[str], *, cell: int
) -> Image.Image:
    """Rows of (label, pictures) under column headings as one picture; `cell` is a side in pixels.

    A picture keeps its proportions and is centred in its cell; None, or a row that ends early, leaves a pale
    cell. The same input gives the same pixels. ValueError if there is nothing to show, a row outruns the
    headings, or the cell is too small.
    """
    columns = _columns(rows, headings, cell)
    gap = max(2, cell // 24)
    font = ImageFont.load_default(size=max(10, cell // 10))
    labels = [_wrap(label, font, cell * 3 // 2) for label, _ in rows]
    titles = [_wrap(heading, font, cell) for heading in headings]
    left = gap + max((_width(line, font) for label in labels for line in label.lines), default=0)
    left += gap if left > gap else 0
    top = gap + max((title.height for title in titles), default=0)
    top += gap if titles else 0
    heights = [max(cell, label.height) for label in labels]
    size = (left + columns * (cell + gap), top + sum(heights) + gap * len(heights))
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        x = left + column * (cell + gap)
        _write(draw, title, font, (x, top - gap - title.height), cell, centred=True)
    y = top
    for (_, pictures), label, height in zip(rows, labels, heights, strict=True):
        _write(draw, label, font, (gap, y + (height - label.height) // 2), 0, centred=False)
        for column in range(columns):
            picture = pictures[column] if column < len(pictures) else None
            position = (left + column * (cell + gap), y + (height - cell) // 2)
            _paste(sheet, draw, picture, position, cell)
        y += height + gap
    return sheet


def _columns(rows: Sequence[tuple[str, Sequence[Image.Image | None]]], headings: Sequence[str], cell: int) -> int:
    """How many columns the sheet has, after checking that rows, headings and cell size agree."""
    longest = max((len(pictures) for _, pictures in rows), default=0)
    if longest == 0 and not (rows and headings):
        raise ValueError("a contact sheet needs at least one row and one column")
    if headings and longest > len(headings):
        raise ValueError(f"a row has {longest} pictures, but there are {len(headings)} headings")
    if cell < 16:
        raise ValueError(f"a cell of {cell} pixels is too small: 16 or more")
    return len(headings) or longest


def _width(text: str, font: _Font) -> int:
    return round(font.getlength(text) + 0.5)


def _wrap(text: str, font: _Font, width: int) -> _Text:
    """Break at spaces, and inside a word only where the word alone is wider than `width` pixels."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        candidate = f"{line} {word}" if line else word
        if _width(candidate, font) <= width:
            line = candidate
            continue
        if line:
            lines.append(line)
        *full, line = _broken(word, font, width)
        lines.extend(full)
    if line:
        lines.append(line)
    box = font.getbbox("Ag|")
    return _Text(tuple(lines), round(box[3] * 1.2))


def _broken(word: str, font: _Font, width: int) -> list[str]:
    """A word cut into pieces of at most `width` pixels, of one character at least."""
    pieces = [""]
    for character in word:
        if pieces[-1] and _width(pieces[-1] + character, font) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _write(
    draw: ImageDraw.ImageDraw, text: _Text, font: _Font, position: tuple[int, int], width: int, *, centred: bool
) -> None:
    x, y = position
    for line in text.lines:
        indent = max(0, (width - _width(line, font)) // 2) if centred else 0
        draw.text((x + indent, y), line, fill=_INK, font=font)
        y += text.line_height


def _paste(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    picture: Image.Image | None,
    position: tuple[int, int],
    cell: int,
) -> None:
    x, y = position
    if picture is None:
        draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill=_EMPTY)
        dash = cell // 12
        middle = y + cell // 2
        draw.line((x + cell // 2 - dash, middle, x + cell // 2 + dash, middle), fill=_EMPTY_MARK, width=2)
        return
    scale = cell / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    clear = picture.convert("RGBA").resize(size, Image.Resampling.LANCZOS)
    sheet.paste(clear, (x + (cell - size[0]) // 2, y + (cell - size[1]) // 2), clear)
