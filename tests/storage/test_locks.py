from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crossinit_batch.errors import OutputError
from crossinit_batch.store import Store


def test_parts_of_the_work_go_side_by_side_and_the_whole_alone(tmp_path: Path) -> None:
    place = str(tmp_path)
    with Store(place).locked("shard-1-of-2"), Store(place).locked("shard-2-of-2"):
        with (
            pytest.raises(OutputError, match=r"in use by process .* \(shard-1-of-2\)"),
            Store(place).locked("shard-1-of-2"),
        ):
            pass
        with pytest.raises(OutputError, match=r"in use by process .* \(shard-"), Store(place).locked():
            pass
    with Store(place).locked(), pytest.raises(OutputError, match="in use by"), Store(place).locked("shard-1-of-2"):
        pass


def test_a_part_leaves_fresh_temporary_files_of_others_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    fresh, old = tmp_path / ".a.tmp-1-x", tmp_path / ".b.tmp-1-x"
    for path in (fresh, old):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert store.sweep(alone=False) == 1
    assert fresh.exists() and not old.exists()
    assert store.sweep() == 1


def test_a_folder_that_is_removed_as_empty_while_another_writes_into_it(tmp_path: Path) -> None:
    """As the checkpoints' is, by the worker that ends its batch while another saves."""
    stores = [Store(str(tmp_path)) for _ in range(4)]

    def come_and_go(number: int) -> None:
        for turn in range(100):
            stores[number].write(f"_state/checkpoints/{number}", bytes([turn]))
            stores[number].remove(f"_state/checkpoints/{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, range(4)))
    assert stores[0].listing() == {}
