"""A picture to paint a background in, in fractions of its side."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from crossinit_batch.demo.drawing.canvas import Controls, Points, path
from crossinit_batch.demo.drawing.palette import Colour


class View:
    """A picture to paint in fractions of its side: (0, 0) top left, (1, 1) bottom right."""

    def __init__(self, side: int, rng: np.random.Generator) -> None:
        self.side, self.rng = side, rng
        self.image = Image.new("RGB", (side, side))
        self._pen = ImageDraw.Draw(self.image, "RGBA")

    def sky(self, *stops: Colour) -> None:
        """Colours from top to bottom, evenly spread."""
        rows = np.linspace(0, len(stops) - 1, self.side)
        table = np.array(stops, dtype=np.float64)
        column = np.stack([np.interp(rows, np.arange(len(stops)), table[:, k]) for k in range(3)], axis=1)
        strip = Image.fromarray(np.round(column)[:, None].astype(np.uint8))
        self.image.paste(strip.resize((self.side, self.side), Image.Resampling.NEAREST))

    def fill(self, points: Controls, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a polygon."""
        flat: list[float] = (np.asarray(points, dtype=np.float64) * self.side).ravel().tolist()
        self._pen.polygon(flat, fill=(*colour, round(255 * alpha)))

    def disc(self, x: float, y: float, radius: float, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a circle."""
        r, middle_x, middle_y = radius * self.side, x * self.side, y * self.side
        box = (middle_x - r, middle_y - r, middle_x + r, middle_y + r)
        self._pen.ellipse(box, fill=(*colour, round(255 * alpha)))

    def box(self, x: float, y: float, width: float, height: float, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a rectangle."""
        self.fill([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], colour, alpha)

    def ground(self, heights: list[float], colour: Colour) -> None:
        """Everything below a smooth line, whose heights are spread evenly from left to right."""
        positions = np.linspace(-0.05, 1.05, len(heights)).tolist()
        line: Points = path(list(zip(positions, heights, strict=True)))
        self.fill([*line.tolist(), (1.05, 1.1), (-0.05, 1.1)], colour)

    def draws(self, *shape: int) -> list[list[float]]:
        """Uniform random numbers, rows of a table."""
        numbers: list[list[float]] = self.rng.random(shape).tolist()
        return numbers
