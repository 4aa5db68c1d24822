"""Means over identities with their uncertainty: bootstrap intervals that resample identities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DRAWS = 2000
LEVEL = 95
"""Per cent of the draws that an interval holds."""
_ROWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A mean, the ends of its 95 % interval (None of fewer than two identities), and over how many identities it is."""

    value: float
    low: float | None
    high: float | None
    persons: int


@dataclass(frozen=True, eq=False)
class Ratio:
    """A mean as a ratio of sums over identities: that of `above` (identities,) by that of `below` (identities,)."""

    above: Array
    below: Array

    @property
    def value(self) -> float | None:
        total = float(self.below.sum())
        return float(self.above.sum()) / total if total else None


def estimates(ratios: Sequence[Ratio], seed: int = 0) -> list[Estimate | None]:
    """Each ratio with its interval, all from the same draws of identities; None where nothing was counted."""
    drawn = _drawn(ratios, seed)
    return [_estimate(ratio.value, column, _identities(ratio)) for ratio, column in zip(ratios, drawn.T, strict=True)]


def differences(pairs: Sequence[tuple[Ratio, Ratio]], seed: int = 0) -> list[Estimate | None]:
    """Of each pair the first minus the second, drawn together, so that common variation cancels."""
    ratios = [ratio for pair in pairs for ratio in pair]
    drawn = _drawn(ratios, seed)
    found = []
    for number, (one, other) in enumerate(pairs):
        values = (one.value, other.value)
        value = None if values[0] is None or values[1] is None else values[0] - values[1]
        common = min(_identities(one), _identities(other))
        found.append(_estimate(value, drawn[:, 2 * number] - drawn[:, 2 * number + 1], common))
    return found


def _identities(ratio: Ratio) -> int:
    return int((ratio.below > 0).sum())


def _drawn(ratios: Sequence[Ratio], seed: int) -> Array:
    """The value of each ratio in each draw of as many identities, (draws, ratios)."""
    if not ratios:
        return np.zeros((DRAWS, 0))
    identities = len(ratios[0].above)
    above = np.stack([ratio.above for ratio in ratios], axis=1)
    below = np.stack([ratio.below for ratio in ratios], axis=1)
    generator = np.random.default_rng(seed)
    step = max(1, _ROWS_AT_ONCE // max(identities, 1))
    parts = []
    for first in range(0, DRAWS, step):
        weights = np.stack(
            [
                np.bincount(generator.integers(identities, size=identities), minlength=identities)
                for _ in range(min(step, DRAWS - first))
            ]
        ).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            parts.append((weights @ above) / (weights @ below))
    return np.concatenate(parts)


def _estimate(value: float | None, drawn: Array, persons: int) -> Estimate | None:
    if value is None:
        return None
    finite = drawn[np.isfinite(drawn)]
    if persons < 2 or not len(finite):
        return Estimate(value, None, None, persons)
    low, high = np.percentile(finite, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), persons)
