from __future__ import annotations

import os
import resource
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from crossinit_batch.storage.failures import UnfitFile, reason_of
from crossinit_batch.storage.reading import opened_file, read_file
from crossinit_batch.storage.store import Store, read_source


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def a_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return path


def sparse(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(40 * 2**30)
    return path


def link_to(target: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.symlink_to(target)
        return path

    return make


UNFIT: dict[str, tuple[Callable[[Path], Path], str]] = {
    "pipe": (pipe, "is a named pipe, not a file"),
    "socket": (a_socket, "is a socket, not a file"),
    "/dev/zero": (lambda _: Path("/dev/zero"), "is a device, not a file"),
    "/dev/random": (lambda _: Path("/dev/random"), "is a device, not a file"),
    "/dev/tty": (lambda _: Path("/dev/tty"), "is a device, not a file"),
    "link to a device": (link_to("/dev/zero"), "is a device, not a file"),
    "link to a pipe": (lambda path: link_to(str(pipe(path.with_name("p"))))(path), "is a named pipe, not a file"),
    "sparse": (sparse, r"is too large: 42,949\.7 MB, at most 1,073\.7 MB are read"),
    "/proc/kcore": (lambda _: Path("/proc/kcore"), "is too large|not permitted|denied"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_is_no_file_or_has_no_end_is_named_at_once(tmp_path: Path, kind: str) -> None:
    make, words = UNFIT[kind]
    path = make(tmp_path / "given")
    if not path.exists():
        pytest.skip("not on this system")
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(OSError, match=words):
        read_source(str(path))
    with pytest.raises(OSError, match=words), opened_file(path, 2**30):
        pass
    assert time.monotonic() - began < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize("name", ["/proc/kmsg", "/proc/self/mem", "/proc/version", "/proc/self/environ"])
def test_what_says_that_it_is_empty_is_not_read(name: str) -> None:
    if not os.access(name, os.R_OK):
        pytest.skip("not on this system")
    assert read_file(name) == b""


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 70_000])
def test_a_file_is_read_whole_up_to_its_limit(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)
    assert read_file(tmp_path / "a") == read_file(tmp_path / "a", size) == data
    if size:
        with pytest.raises(UnfitFile, match="is too large"):
            read_file(tmp_path / "a", size - 1)


def test_a_file_that_grows_while_it_is_read_is_read_to_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = tmp_path / "a", os.read
    path.write_bytes(b"x" * 10)

    def growing(descriptor: int, count: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"y" * 100)
        return read(descriptor, count)

    monkeypatch.setattr("os.read", growing)
    with pytest.raises(UnfitFile, match="is too large"):
        read_file(path, 1000)


def test_a_folder_and_nothing_are_what_they_were(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "nothing")
    with pytest.raises(ValueError, match="null"):
        read_file("a\0b")


def test_what_does_not_fit_into_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _count: int) -> bytes:
        raise MemoryError

    (tmp_path / "a").write_bytes(b"x" * 2_000_000)
    monkeypatch.setattr("os.read", full)
    with pytest.raises(UnfitFile, match="does not fit into the memory: 2 MB") as caught:
        read_file(tmp_path / "a")
    assert reason_of(caught.value) == "it does not fit into the memory: 2 MB"


def test_remote_objects_have_the_same_limits(anywhere: str) -> None:
    store = Store(f"{anywhere}/{uuid.uuid4().hex}")
    for size in (0, 1, 5000):
        store.write(f"{size}.bin", os.urandom(size))
    again = Store(store.address)
    for size in (0, 1, 5000):
        assert again.read(f"{size}.bin") == store.read(f"{size}.bin")
        assert read_source(f"{store.address}/{size}.bin", size) == store.read(f"{size}.bin")
    with pytest.raises(UnfitFile, match="is too large"):
        read_source(f"{store.address}/5000.bin", 4999)
    assert again.read("5000.bi") is None and again.read("nothing") is None


def test_an_object_that_is_another_by_now_is_read_no_further_than_its_limit() -> None:
    url = f"memory://{uuid.uuid4().hex}"
    first, second = Store(url), Store(url)
    first.write("a", b"x")
    assert second.listing() == {"a": 1}
    first.write("a", b"x" * 100)
    with pytest.raises(UnfitFile, match="is too large"):
        second.files.read(second.path_of("a"), 50)
    assert second.files.read(second.path_of("a"), 100) == b"x" * 100
