"""A shard: one of the equal divisions of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from crossinit_batch.errors import RequestError


@dataclass(frozen=True)
class Shard:
    """Shard `index` (from 0) of `count` equal parts of a run."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"

    @property
    def name(self) -> str:
        """Its name in the output folder."""
        return f"shard-{self.index + 1}-of-{self.count}"

    def split(self, index: int, count: int) -> Shard:
        """Shard `index` of `count` equal parts of this one."""
        return Shard(self.index * count + index, self.count * count)


def parse_shard(text: str) -> Shard:
    """The shard of an option like 3/16; RequestError for anything else."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip(), re.ASCII)
    number, count = (int(part) for part in match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise RequestError(f"--shard {text!r} is no part of a whole", "Write it like 3/16: the third of sixteen.")
    return Shard(number - 1, count)
