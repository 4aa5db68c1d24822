"""Styles: what turns a photograph into a sketch, pixels, a print, a painting or a coffee."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from crossinit_batch.demo.drawing.palette import Colour

Pixels = NDArray[np.float32]
Style = Callable[[Image.Image, np.random.Generator], Image.Image]


@lru_cache(maxsize=16)
def _plane(side: int) -> tuple[Pixels, Pixels]:
    """Coordinates of a square picture's pixels: x in a row, y in a column, from -1 to 1."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    return axis[None, :], axis[:, None]


@lru_cache(maxsize=32)
def _grain(side: int, smooth: float, key: int) -> Pixels:
    """A fixed texture of mean 0 and deviation 1; `smooth` is its blur in fractions of the side."""
    noise = np.random.default_rng(key).random((side, side), dtype=np.float32)
    soft = Image.fromarray(np.round(noise * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(smooth * side))
    values = np.asarray(soft, dtype=np.float32)
    texture: Pixels = (values - values.mean()) / max(1.0, float(values.std()))
    return texture


def _image(pixels: NDArray[np.floating[Any]]) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _photo(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A slight vignette and sensor noise."""
    pixels = np.asarray(image, dtype=np.float32)
    x, y = _plane(image.width)
    noise = rng.standard_normal((image.height, image.width, 1), dtype=np.float32) * 1.4
    return _image(pixels * (1.02 - 0.09 * (x * x + y * y))[..., None] + noise + 0.5)


def _pencil_sketch(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Graphite on paper: edges by colour dodge, tone by hatching."""
    side = image.width
    grey = ImageOps.autocontrast(image.convert("L"), cutoff=1)
    soft = np.asarray(grey.filter(ImageFilter.GaussianBlur(max(1.1, side * 0.016))), dtype=np.float32)
    tone = np.asarray(grey, dtype=np.float32)
    lines = np.clip(tone / np.maximum(soft, 24), 0, 1.0) ** 1.7
    x, y = _plane(side)
    hatch = 0.5 + 0.5 * np.sin((x + y) * (26 if side < 200 else 60) * np.pi / 2)
    wash = 1 - 0.55 * (1 - tone / 255) * (0.74 + 0.26 * hatch)
    sheet = 246 + 2.5 * _grain(side, 0.006, 1)
    paper = np.array([1.0, 0.985, 0.95], dtype=np.float32)
    return _image((sheet * lines * wash)[..., None] * paper)


def _pixel_art(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Few large pixels of few colours."""
    side = image.width
    cells = 32 if side < 128 else 48
    small = (
        ImageEnhance.Color(image.resize((cells, cells), Image.Resampling.BOX))
        .enhance(1.3)
        .filter(ImageFilter.UnsharpMask(1, 35, 0))
    )
    few = small.quantize(20, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    return few.resize((side, side), Image.Resampling.NEAREST)


def _pop_art(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Loud flat colours, ink in the shadows and a screen of dots in the half-tones."""
    side = image.width
    loud = ImageOps.posterize(ImageEnhance.Color(ImageEnhance.Contrast(image).enhance(1.25)).enhance(1.55), 3)
    pixels = np.asarray(loud.filter(ImageFilter.MedianFilter(3)), dtype=np.float32) * 1.1 + 8
    tone = np.asarray(image.convert("L").filter(ImageFilter.GaussianBlur(side * 0.008)), dtype=np.float32)
    x, y = _plane(side)
    dots = 22 if side < 128 else 40
    screen = np.sin((x + y) * dots * np.pi / 1.41) * np.sin((x - y) * dots * np.pi / 1.41)
    printed = np.where(((tone > 60) & (tone < 140) & (screen > 0.42))[..., None], pixels * 0.7, pixels)
    ink = np.clip((tone - 40) / 24, 0.08, 1)[..., None]
    return _image(printed * ink)


def _oil_painting(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brush marks: each pixel takes a nearby colour along the stroke, on a canvas that shows through."""
    side = image.width
    rich = ImageEnhance.Color(ImageEnhance.Contrast(image).enhance(1.08)).enhance(1.3)
    pixels = np.asarray(rich.filter(ImageFilter.MedianFilter(3 if side < 200 else 5)))
    reach = side * 0.0065
    x, y = np.arange(side)[None, :], np.arange(side)[:, None]
    first, second = _grain(side, 0.022, 2), _grain(side, 0.022, 3)
    column = np.clip(np.round(x + reach * first), 0, side - 1).astype(np.intp)
    row = np.clip(np.round(y + reach * second), 0, side - 1).astype(np.intp)
    relief = np.diff(first, axis=0, prepend=first[:1]) * side * 0.13 + 3.0 * second
    return _image(pixels[row, column].astype(np.float32) + np.clip(relief, -22, 22)[..., None])


def _watercolor(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Thin washes that pool at their rims, fading out towards the paper's edge."""
    side = image.width
    soft = image.filter(ImageFilter.MedianFilter(3 if side < 200 else 7))
    rims = ImageChops.difference(soft, image.filter(ImageFilter.GaussianBlur(side * 0.022))).convert("L")
    pixels = np.asarray(ImageEnhance.Color(soft).enhance(1.4), dtype=np.float32)
    bloom = 0.08 * _grain(side, 0.05, 4)[..., None]
    wash = 255 - (255 - pixels) * np.clip(0.88 + bloom, 0.6, 1.0)
    wash -= 0.55 * np.asarray(rims, dtype=np.float32)[..., None]
    x, y = _plane(side)
    border = np.maximum(np.abs(x), np.abs(y)) + 0.045 * _grain(side, 0.03, 5)
    cover = np.clip((0.97 - border) / 0.12, 0, 1)[..., None]
    paper = np.array([252, 249, 241], dtype=np.float32)
    return _image(paper + (wash - paper) * cover + 2.2 * _grain(side, 0.007, 6)[..., None])


@lru_cache(maxsize=8)
def _dot_positions(side: int) -> tuple[tuple[float, float, float], ...]:
    """Centres and radii in pixels of dots that cover a picture, in a fixed shuffled order."""
    rng = np.random.default_rng(7)
    count = 40 if side < 128 else 84
    step = side / count
    positions = (np.indices((count + 1, count + 1)).reshape(2, -1).T + rng.random(((count + 1) ** 2, 2)) - 0.25) * step
    radii = step * (0.62 + 0.2 * rng.random(len(positions)))
    order = rng.permutation(len(positions))
    return tuple((float(x), float(y), float(r)) for (x, y), r in zip(positions[order], radii[order], strict=True))


def _pointillism(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Dots of pure colour, each a little off the colour it replaces."""
    side = image.width
    zoom = 3 if side < 128 else 2
    pixels = np.asarray(ImageEnhance.Color(image).enhance(1.5), dtype=np.int16)
    positions = _dot_positions(side)
    sheet = ImageEnhance.Brightness(image).enhance(1.05).resize((side * zoom, side * zoom), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(sheet)
    last = side - 1
    where = np.clip(np.array(positions)[:, :2], 0, last).astype(np.intp)
    off = rng.integers(-14, 15, size=(len(positions), 3), dtype=np.int16)
    colours = np.clip(pixels[where[:, 1], where[:, 0]] + off, 0, 255).tolist()
    for (x, y, r), colour in zip(positions, colours, strict=True):
        pen.ellipse(((x - r) * zoom, (y - r) * zoom, (x + r) * zoom, (y + r) * zoom), fill=tuple(colour))
    return sheet.reduce(zoom)


_COFFEE: tuple[Colour, ...] = ((62, 30, 16), (122, 66, 32), (188, 122, 70), (240, 214, 176), (255, 246, 230))


def _latte_art(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Milk foam on coffee, in a cup that is seen from above."""
    side = image.width
    grey = ImageOps.autocontrast(image.convert("L").filter(ImageFilter.GaussianBlur(side * 0.006)), cutoff=1)
    tone = (np.asarray(grey, dtype=np.float32) / 255) ** 0.72
    x, y = _plane(side)
    radius = np.sqrt(x * x + y * y)
    swirl = tone + 0.035 * _grain(side, 0.02, 8)
    levels = np.clip(swirl * swirl * (3 - 2 * swirl), 0, 1) * (len(_COFFEE) - 1)
    table = np.array(_COFFEE, dtype=np.float32)
    coffee = np.stack([np.interp(levels, np.arange(len(_COFFEE)), table[:, k]) for k in range(3)], axis=2)
    cup = np.clip((radius - 1.0) * side * 0.25, 0, 1)[..., None]
    rim = np.clip((radius - 1.14) * side * 0.25, 0, 1)[..., None]
    coffee += (np.array([250, 247, 242], dtype=np.float32) - coffee) * cup
    coffee += (np.array([150, 104, 72], dtype=np.float32) - coffee) * rim
    return _image(coffee)


# fmt: off
_STYLES: dict[str, Style] = {
    "photo": _photo, "pencil sketch": _pencil_sketch, "pixel art": _pixel_art, "pop art": _pop_art,
    "oil painting": _oil_painting, "watercolor": _watercolor, "pointillism": _pointillism,
    "latte art": _latte_art,
}
# fmt: on


def render_style(name: str, image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The finished picture in a style, of the same size."""
    return _STYLES[name](image, rng)
