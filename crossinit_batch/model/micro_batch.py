"""How many samples pass through the device at once: as many as are there, until its memory runs out.

Then the number halves and stays so. What is computed is the same, since samples do not depend on each other.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate.utils.memory import should_reduce_batch_size

Part = TypeVar("Part")


class MicroBatch:
    """The samples of one kind of work that fit into memory: `size`, of `wanted` that were to go together.

    `size` is None for all of them; `on_halved(size, wanted)` is called whenever memory has run out.
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size
        self.wanted = 0
        self.on_halved: Callable[[int, int], None] = lambda _size, _wanted: None
        self._halved = False

    @property
    def reduced(self) -> dict[str, int] | None:
        """The receipt's entry where memory ran out, else None."""
        return {"samples": self.size or 0, "wanted": self.wanted} if self._halved else None

    def run(self, count: int, do: Callable[[slice, int], Part], like: int = 0) -> list[Part]:
        """`do(part, size)` for one part of range(count) after the other, all of `size` but the last, which may be less.

        The size is what so many samples need, or `like` where that is more, so that others find the same shape. Where
        memory runs out, the part is done again in halves; the error is raised where one sample is too much.
        """
        done: list[Part] = []
        start = 0
        while start < count:
            size = self._even(max(count, like))
            part = slice(start, min(start + size, count))
            try:
                done.append(do(part, size))
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
            else:
                start = part.stop
                continue
            # Here, where the error and all that its frames held is gone.
            self._halve(size)
        return done

    def _even(self, count: int) -> int:
        """The size of the parts of range(count): as few parts as fit, as even as can be."""
        parts = -(-count // min(self.size or count, count))
        return -(-count // parts)

    def _halve(self, failed: int) -> None:
        self.wanted = max(self.wanted, failed)
        self.size, self._halved = failed // 2, True
        release_memory()
        self.on_halved(self.size, self.wanted)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of any device means that its memory is full."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, Exception) and bool(should_reduce_batch_size(error))


def release_memory() -> None:
    """Give back to the device what nothing holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
