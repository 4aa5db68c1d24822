"""The geometry of the report's charts: values → positions in a drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from crossinit_batch.report.scores.bootstrap import Estimate


@dataclass(frozen=True)
class Axis:
    """A scale from values to positions; called with a value, it returns its position."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Positions and labels of round values, about five."""
        step = round_step((self.high - self.low) / 5)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(self(number * step), f"{number * step + 0.0:.{digits}f}") for number in range(first, last + 1)]


def round_step(rough: float) -> float:
    """The smallest of 1, 2, 5, 10 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def axis_over(values: Iterable[float], start: float, end: float, margin: float = 0.08) -> Axis:
    """An axis that has room for all the values, and a margin beyond them; one over nothing goes from 0 to 1."""
    known = [value for value in values if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low < 1e-3:
        low, high = low - 0.05, high + 0.05
    room = (high - low) * margin
    return Axis(low - room, high + room, start, end)


def ends(estimates: Iterable[Estimate | None]) -> Iterable[float]:
    """Every value and both ends of every interval."""
    for estimate in estimates:
        if estimate is not None:
            yield from (one for one in (estimate.low, estimate.value, estimate.high) if one is not None)
