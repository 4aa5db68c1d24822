"""Backgrounds: a plain wall, a beach, a library and others, painted a little out of focus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from crossinit_batch.demo.drawing.canvas import ellipse, mix, path
from crossinit_batch.demo.drawing.palette import BACKDROPS, Colour
from crossinit_batch.demo.drawing.view import View

_BLUR = 0.008


def _plain(view: View, backdrop: float) -> None:
    position = backdrop * len(BACKDROPS)
    kind = min(int(position), len(BACKDROPS) - 1)
    wall = mix(BACKDROPS[kind], BACKDROPS[(kind + 1) % len(BACKDROPS)], 0.4 * (position - kind))
    view.sky(mix(wall, (255, 255, 255), 0.25), wall, mix(wall, (90, 70, 90), 0.18))


def _sunburst(view: View, backdrop: float) -> None:
    """The wall of a pop-art print: rays of two loud colours."""
    pairs: tuple[tuple[Colour, Colour], ...] = (
        *(
            ((255, 214, 40), (255, 150, 40)),
            ((60, 200, 220), (30, 140, 210)),
            ((255, 120, 170), (236, 60, 130)),
        ),
        *(((150, 220, 90), (60, 180, 110)), ((180, 130, 240), (120, 80, 210))),
    )
    pale, loud = pairs[min(int(backdrop * len(pairs)), len(pairs) - 1)]
    view.sky(pale, pale)
    for k in range(12):
        angle = k * np.pi / 6 + backdrop
        rays = [(0.5 + 1.2 * np.cos(angle + turn), 0.5 + 1.2 * np.sin(angle + turn)) for turn in (0, np.pi / 12)]
        view.fill([(0.5, 0.5), *rays], loud)


def _beach(view: View, backdrop: float) -> None:
    view.sky((92, 184, 236), (188, 228, 246), (255, 240, 208))
    view.disc(0.86, 0.15, 0.085, (255, 246, 190))
    view.box(0, 0.46, 1, 0.2, (30, 148, 190))
    view.box(0, 0.56, 1, 0.12, (72, 190, 208))
    view.ground([0.67, 0.64, 0.66, 0.63, 0.66], (250, 252, 250))
    view.ground([0.69, 0.66, 0.68, 0.65, 0.68], (244, 212, 148))
    view.fill([(0.06, 0.7), (0.1, 0.28), (0.135, 0.28), (0.11, 0.7)], (140, 94, 56))
    for dx, dy in ((-0.16, -0.02), (-0.11, 0.12), (0.17, 0.0), (0.13, 0.13), (0.03, -0.11), (-0.06, -0.1)):
        view.fill(path([(0.115, 0.26), (0.115 + dx * 0.6, 0.21 + dy * 0.5), (0.115 + dx, 0.28 + dy)]), (50, 140, 70))


def _snow(view: View, backdrop: float) -> None:
    view.sky((158, 188, 216), (206, 222, 236), (236, 240, 246))
    view.ground([0.5, 0.42, 0.52, 0.4, 0.5], (198, 214, 232))
    for x, y, size in view.draws(11, 3):
        _fir(view, x * 1.04 - 0.02, 0.52 + 0.14 * y, 0.18 + 0.14 * size, (72, 110, 118), (240, 246, 250))
    view.ground([0.66, 0.62, 0.67, 0.63, 0.66], (246, 249, 253))
    for x, y, size in view.draws(64, 3):
        view.disc(x, y, 0.007 + 0.013 * size, (255, 255, 255), 0.95)


def _fir(view: View, x: float, foot: float, height: float, colour: Colour, cap: Colour | None = None) -> None:
    for k in range(3):
        top, half = foot - height + k * height * 0.22, height * (0.18 + 0.1 * k)
        view.fill([(x, top), (x + half, top + height * 0.5), (x - half, top + height * 0.5)], colour)
        if cap:
            view.fill([(x, top), (x + half * 0.5, top + height * 0.24), (x - half * 0.5, top + height * 0.24)], cap)


def _forest(view: View, backdrop: float) -> None:
    view.sky((196, 226, 168), (120, 176, 104), (60, 116, 66))
    for depth in range(3):
        tone = mix((112, 160, 96), (30, 66, 44), depth / 2)
        for x, width, _ in view.draws(6, 3):
            view.box(x * 1.1 - 0.05, 0, 0.02 + 0.03 * width + 0.012 * depth, 0.9, mix(tone, (70, 46, 32), 0.35))
        for x, y, size in view.draws(11, 3):
            view.disc(x, (0.02 + 0.24 * y) * (1 + 0.2 * depth), 0.05 + 0.07 * size, tone, 0.85)
    view.ground([0.8, 0.76, 0.8, 0.77, 0.8], (36, 84, 46))
    view.fill([(0.62, 0), (0.8, 0), (0.5, 1), (0.2, 1)], (255, 250, 190), 0.16)


def _city_at_night(view: View, backdrop: float) -> None:
    view.sky((34, 30, 92), (84, 56, 140), (196, 98, 146))
    view.disc(0.82, 0.14, 0.07, (250, 240, 206))
    heights = view.draws(11, 2)
    for k, (height, width) in enumerate(heights):
        x, top = k / 10.5 - 0.03, 0.28 + 0.3 * height
        view.box(x, top, 0.085 + 0.03 * width, 1, mix((20, 22, 54), (46, 44, 98), width))
        for row in range(8):
            for column in range(2):
                if (row * 7 + column * 3 + k * 5) % 3:
                    view.box(x + 0.016 + 0.042 * column, top + 0.03 + 0.062 * row, 0.022, 0.026, (255, 208, 104))


def _desert(view: View, backdrop: float) -> None:
    view.sky((250, 150, 92), (255, 196, 124), (255, 226, 168))
    view.disc(0.16, 0.2, 0.09, (255, 240, 190))
    view.ground([0.52, 0.44, 0.54, 0.46, 0.4], (232, 152, 86))
    view.ground([0.62, 0.68, 0.58, 0.66, 0.6], (214, 122, 62))
    for x, foot, size in ((0.9, 0.72, 1.0), (0.07, 0.7, 0.8)):
        green: Colour = (70, 122, 74)
        view.box(x - 0.025 * size, foot - 0.36 * size, 0.05 * size, 0.36 * size, green)
        view.disc(x, foot - 0.36 * size, 0.025 * size, green)
        for side, height in ((-1, 0.2), (1, 0.26)):
            view.box(
                x - 0.016 + side * 0.055 * size,
                foot - (height + 0.1) * size,
                0.032 * size,
                0.12 * size,
                green,
            )
            view.box(min(x, x + side * 0.06 * size), foot - height * size, 0.065 * size, 0.032 * size, green)
    view.ground([0.8, 0.74, 0.8, 0.72, 0.8], (196, 104, 54))


def _library(view: View, backdrop: float) -> None:
    view.sky((94, 58, 36), (78, 46, 30))
    spines: tuple[Colour, ...] = (
        *((176, 54, 46), (38, 92, 104), (214, 160, 66), (60, 96, 62), (126, 66, 96), (226, 212, 182)),
    )
    numbers = view.draws(60, 2)
    for shelf in range(5):
        x, foot = 0.005, 0.2 * (shelf + 1) - 0.02
        for height, tone in numbers[12 * shelf :]:
            width = 0.04 + 0.045 * ((tone * 7) % 1)
            if x + width > 1.02:
                break
            tall = 0.115 + 0.05 * height
            view.box(x, foot - tall, width * 0.92, tall, spines[int(tone * len(spines))])
            view.box(x, foot - tall + 0.03, width * 0.92, 0.014, (244, 214, 140), 0.8)
            x += width
        view.box(0, foot, 1, 0.026, (140, 92, 54))


def _space(view: View, backdrop: float) -> None:
    view.sky((12, 8, 34), (24, 14, 62), (10, 10, 40))
    for x, y, size in ((0.2, 0.72, 0.3), (0.34, 0.62, 0.22), (0.86, 0.56, 0.26)):
        for ring in (1.0, 0.75, 0.5):
            view.disc(x, y, size * ring, (126, 58, 168), 0.16)
    for x, y, size in view.draws(60, 3):
        view.disc(x, y, 0.003 + 0.007 * size**3, (255, 250, 230))
    view.disc(0.15, 0.2, 0.115, (238, 146, 86))
    view.disc(0.12, 0.17, 0.07, (255, 190, 124), 0.7)
    view.fill((ellipse(0.15, 0.2, 0.19, 0.035, -0.35)), (250, 222, 160), 0.8)
    view.disc(0.9, 0.32, 0.05, (126, 206, 226))


def _mountains(view: View, backdrop: float) -> None:
    view.sky((120, 176, 226), (196, 218, 236), (250, 226, 206))
    for x, top, half in ((0.16, 0.22, 0.36), (0.86, 0.14, 0.42), (0.52, 0.34, 0.34)):
        view.fill([(x, top), (x + half, 0.75), (x - half, 0.75)], (108, 124, 160))
        view.fill([(x, top), (x + half, 0.75), (x + 0.06, 0.75)], (80, 92, 132))
        cap = [(x, top), (x + half * 0.3, top + 0.17), (x + 0.03, top + 0.12), (x - 0.02, top + 0.18)]
        view.fill([*cap, (x - half * 0.24, top + 0.14)], (250, 250, 252))
    view.ground([0.66, 0.6, 0.66, 0.58, 0.64], (96, 148, 92))
    view.ground([0.8, 0.74, 0.78, 0.72, 0.78], (66, 118, 74))


def _underwater(view: View, backdrop: float) -> None:
    view.sky((92, 214, 222), (22, 140, 184), (8, 62, 116))
    for x in (0.1, 0.4, 0.72):
        view.fill([(x, 0), (x + 0.1, 0), (x + 0.3, 1), (x + 0.02, 1)], (210, 255, 250), 0.13)
    shoal: tuple[Colour, ...] = ((255, 150, 60), (255, 214, 80), (246, 104, 120))
    for u, v, turn in view.draws(6, 3):
        x, y, scales = 0.05 + 0.9 * u, 0.1 + 0.6 * v, shoal[int(turn * 3)]
        view.fill(ellipse(x, y, 0.05, 0.028), scales)
        view.fill([(x + 0.035, y), (x + 0.08, y - 0.03), (x + 0.08, y + 0.03)], scales)
    for x, height, hue in view.draws(10, 3):
        view.disc(x, 1.0, 0.06 + 0.1 * height, mix((226, 92, 108), (120, 66, 140), hue))
    for x, y, size in view.draws(18, 3):
        view.disc(x, y, 0.006 + 0.014 * size, (226, 255, 255), 0.6)


def _garden(view: View, backdrop: float) -> None:
    view.sky((170, 216, 240), (214, 236, 210), (120, 178, 92))
    view.ground([0.36, 0.3, 0.34, 0.28, 0.35], (108, 166, 84))
    view.ground([0.5, 0.46, 0.52, 0.47, 0.5], (84, 144, 70))
    petals: tuple[Colour, ...] = ((240, 92, 116), (255, 206, 84), (250, 246, 250), (178, 112, 206))
    for x, y, tone in sorted(view.draws(44, 3), key=lambda row: row[1]):
        size, height = 0.02 + 0.022 * y, 0.34 + 0.6 * y
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            view.disc(x + dx * size * 0.7, height + dy * size * 0.7, size * 0.75, petals[int(tone * 4)])
        view.disc(x, height, size * 0.5, (250, 186, 50))


def _stage(view: View, backdrop: float) -> None:
    view.sky((92, 10, 34), (150, 22, 50), (70, 8, 28))
    for k in range(9):
        view.fill([(k / 8 - 0.09, 0), (k / 8 - 0.02, 0), (k / 8 - 0.01, 1), (k / 8 - 0.08, 1)], (52, 4, 22), 0.55)
        view.fill([(k / 8, 0), (k / 8 + 0.02, 0), (k / 8 + 0.025, 1), (k / 8, 1)], (206, 52, 76), 0.5)
    for x, foot in ((0.04, 0.4), (0.96, 0.6)):
        view.fill([(x - 0.03, 0), (x + 0.03, 0), (foot + 0.34, 1), (foot - 0.34, 1)], (255, 236, 180), 0.24)


# fmt: off
_BACKGROUNDS: dict[str, Callable[[View, float], None]] = {
    "plain": _plain, "sunburst": _sunburst, "beach": _beach, "snow": _snow,
    "forest": _forest, "city at night": _city_at_night,
    "desert": _desert, "library": _library, "space": _space, "mountains": _mountains,
    "underwater": _underwater, "garden": _garden, "stage": _stage,
}
# fmt: on


def paint_background(name: str, backdrop: float, side: int, sharp: int, rng: np.random.Generator) -> Image.Image:
    """A square picture of a background, `side` pixels; it is painted at `sharp` pixels, blurred and enlarged."""
    view = View(sharp, rng)
    _BACKGROUNDS[name](view, backdrop)
    image = view.image if name == "plain" else view.image.filter(ImageFilter.GaussianBlur(_BLUR * sharp))
    return image.resize((side, side), Image.Resampling.BILINEAR)
