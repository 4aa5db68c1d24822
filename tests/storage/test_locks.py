from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crossinit_batch.engines.placement import RunOptions
from crossinit_batch.errors import Interrupted, OutputError
from crossinit_batch.events import Warned
from crossinit_batch.manifest.load import load_manifest
from crossinit_batch.runner.run import run_manifest
from crossinit_batch.storage.locks import mark
from crossinit_batch.storage.object_files import ObjectFiles
from crossinit_batch.storage.store import Store
from tests.end_to_end.small_run import Recorder, SmallRun, small_values


@pytest.fixture
def small(photographs: Path, pipeline_folder: Path) -> SmallRun:
    return SmallRun(photographs.parent, small_values(pipeline_folder))


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


def test_what_a_process_wrote_that_is_known_to_be_gone_is_swept_by_others(tmp_path: Path) -> None:
    """Not what a living one writes, nor what one of another machine does, whose processes nobody here sees."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    here = mark().partition("-")[0]
    names = {"gone": f"{here}-{ended.pid}", "lives": mark(), "elsewhere": f"{'0' * 8}-{ended.pid}"}
    for name, owner in names.items():
        (tmp_path / f".{name}.tmp-{owner}-abcd").write_bytes(b"half")
    assert Store(str(tmp_path)).sweep(alone=False) == 1
    assert {path.name.split(".")[1] for path in tmp_path.iterdir()} == {"lives", "elsewhere"}


def test_a_temporary_file_bears_the_mark_of_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: str, _target: str, **_folders: int) -> None:
        names.append(source)
        raise OSError(errno.EACCES, "refused")

    names: list[str] = []
    monkeypatch.setattr("os.rename", fail)
    with pytest.raises(OSError):
        Store(str(tmp_path)).write("a", b"x")
    assert names[0].startswith(f".a.tmp-{mark()}-")


def test_a_file_system_without_locks_is_noticed_and_refused_where_asked(
    small: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a network's file system whose server keeps none."""

    def no_locks(_file: object, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    manifest, record = load_manifest(small.save()), Recorder()
    with pytest.raises(OutputError, match="cannot be locked, as its file system has no locks") as caught:
        run_manifest(manifest, record, record.stop, RunOptions("cpu", require_locks=True))
    assert caught.value.exit_code == 2 and "--require-locks" in caught.value.hint
    assert small.store.listing() == {} and record.events == []
    stopped = Recorder(when=lambda event, _count: isinstance(event, Warned))
    with pytest.raises(Interrupted):
        run_manifest(manifest, stopped, stopped.stop, RunOptions("cpu"))
    assert "start one run at a time" in stopped.of(Warned)[0].message


def test_a_put_that_finds_no_place_says_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As gcsfs answers where the bucket is not there, with nothing but a URL of its own."""

    def lost(_self: ObjectFiles, _path: str, _data: bytes) -> None:
        raise FileNotFoundError("https://storage.googleapis.com/upload/storage/v1/b/x/o")

    monkeypatch.setattr(ObjectFiles, "write", lost)
    with pytest.raises(OutputError, match=r"cannot be written \(there is no such bucket") as caught:
        Store("memory://nowhere/out").prepare()
    assert "upload" not in caught.value.message


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
