"""Two ways of doing the same, measured in turns, so that a machine which slows down or warms up is fair to both."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from timed_process import Cost


@dataclass(frozen=True)
class Ratio:
    """Of peer to crossinit over all pairs: median and range."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, ratios: list[float]) -> Ratio:
        return cls(statistics.median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


@dataclass(frozen=True)
class Comparison:
    """The costs of every pair, for equal work; the peer's first."""

    pairs: list[tuple[Cost, Cost]]

    @property
    def wall(self) -> Ratio:
        return Ratio.of([peer.wall / ours.wall for peer, ours in self.pairs])

    @property
    def cpu(self) -> Ratio:
        return Ratio.of([peer.cpu / ours.cpu for peer, ours in self.pairs])

    def medians(self) -> tuple[Cost, Cost]:
        """The median cost of the peer's way and of ours."""
        peer, ours = (
            Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs))
            for costs in zip(*self.pairs, strict=True)
        )
        return peer, ours

    def as_dict(self) -> dict[str, Any]:
        rows = [{"peer": asdict(peer), "crossinit": asdict(ours)} for peer, ours in self.pairs]
        return {"pairs": rows, "ratio": {"wall": asdict(self.wall), "cpu": asdict(self.cpu)}}


def in_turns(peer: Callable[[], Cost], ours: Callable[[], Cost], pairs: int, tell: Callable[[str], None]) -> Comparison:
    """Measure pairs in the order peer, ours, ours, peer, peer, …"""
    found: list[tuple[Cost, Cost]] = []
    for number in range(pairs):
        costs = {}
        for way in (peer, ours) if number % 2 == 0 else (ours, peer):
            costs[way] = way()
        found.append((costs[peer], costs[ours]))
        tell(f"pair {number + 1} of {pairs}: peer {costs[peer].wall:.2f} s, crossinit {costs[ours].wall:.2f} s")
    return Comparison(found)
