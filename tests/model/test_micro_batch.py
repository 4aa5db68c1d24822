"""Parts that halve when memory runs out, and results that do not care."""

from __future__ import annotations

import pytest
import torch

from crossinit_batch.model.micro_batch import MicroBatch, is_out_of_memory


class Device:
    """Squares numbers, at most `room` at once; remembers how many were asked of it."""

    def __init__(self, room: int, error: Exception | None = None) -> None:
        self.room, self.asked = room, list[int]()
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    def square(self, part: slice, size: int) -> list[int]:
        numbers = list(range(part.start, part.stop))
        assert len(numbers) <= size
        self.asked.append(size)
        if size > self.room:
            raise self.error
        return [number**2 for number in numbers]


def squares(parts: list[list[int]]) -> list[int]:
    return [number for part in parts for number in part]


@pytest.mark.parametrize("count", [1, 2, 7, 8, 13])
@pytest.mark.parametrize("room", [1, 3, 8, 100])
@pytest.mark.parametrize("size", [None, 1, 4, 16])
def test_everything_is_done_once_in_order_however_little_fits(count: int, room: int, size: int | None) -> None:
    micro, device = MicroBatch(size), Device(room)
    assert squares(micro.run(count, device.square)) == [number**2 for number in range(count)]
    assert micro.run(0, device.square) == []


def test_parts_are_as_even_as_can_be() -> None:
    device = Device(100)
    MicroBatch(8).run(10, device.square)
    assert device.asked == [5, 5]


def test_a_device_is_asked_for_too_much_only_once() -> None:
    micro, device, told = MicroBatch(), Device(3), list[tuple[int, int]]()
    micro.on_halved = lambda size, wanted: told.append((size, wanted))
    assert micro.reduced is None
    micro.run(8, device.square)
    assert device.asked == [8, 4, 2, 2, 2, 2] and told == [(4, 8), (2, 8)]
    assert micro.reduced == {"samples": 2, "wanted": 8}
    device.asked.clear()
    micro.run(4, device.square)
    assert device.asked == [2, 2]


def test_one_sample_that_does_not_fit_is_an_error_and_other_errors_pass_at_once() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        MicroBatch().run(4, Device(0).square)
    device = Device(0, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        MicroBatch().run(4, device.square)
    device = Device(2, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        MicroBatch().run(4, device.square)
    assert device.asked == [4]


def test_full_memory_is_known_on_every_device() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("a bug")) and not is_out_of_memory(OSError("full"))
