"""Files on a disk, published atomically: written beside their target, flushed, renamed."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from crossinit_batch.storage.fault_points import Point, reach
from crossinit_batch.storage.process_mark import has_ended, mark

TEMPORARY = ".tmp-"

_STALE_SECONDS = 3600.0
"""The age in seconds at which a temporary file is stale, even where other runs may be at work in the folder."""


class LocalFiles:
    """The files of a local file system, by absolute paths. `root` is never removed."""

    def __init__(self, root: str) -> None:
        self.root = root

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        """Write beside the target, flush to disk, rename, and flush the folder, so that a power cut undoes nothing."""
        self._publish(Path(path), data, Path.replace)

    def create(self, path: str, data: bytes) -> None:
        """Write a file that does not exist yet; FileExistsError, and nothing is changed, where it does."""
        self._publish(Path(path), data, _link)

    def _publish(self, target: Path, data: bytes, rename: Callable[[Path, Path], object]) -> None:
        reach(Point.BEFORE_WRITE)
        temporary = target.with_name(f".{target.name[:80]}{TEMPORARY}{mark()}-{uuid.uuid4().hex[:8]}")
        try:
            with _opened(temporary) as file:
                half = memoryview(data)[: len(data) // 2]
                file.write(half)
                reach(Point.HALF_WRITTEN, file.flush)
                file.write(memoryview(data)[len(half) :])
                reach(Point.BEFORE_FLUSH, file.flush)
                file.flush()
                os.fsync(file.fileno())
            reach(Point.BEFORE_RENAME)
            rename(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        reach(Point.BEFORE_FOLDER_FLUSH)
        _flush_folder(target.parent)
        reach(Point.AFTER_WRITE)

    def remove(self, path: str) -> None:
        """Remove a file, and the folders that it leaves empty; no error where there is none."""
        reach(Point.BEFORE_REMOVE)
        Path(path).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            for parent in Path(path).parents:
                if str(parent) == self.root:
                    break
                parent.rmdir()
        reach(Point.AFTER_REMOVE)

    def listing(self) -> dict[str, int]:
        """Every file below the root, relative to it, with its size in bytes."""
        return dict(_walk(self.root, len(self.root.rstrip("/")) + 1))

    def sweep(self, alone: bool) -> int:
        """Remove temporary files of killed processes, and count them; where this process is not `alone` in the folder,
        only those whose process is known to have ended, and stale ones."""
        swept = 0
        for entry in _entries(self.root):
            _, is_temporary, owner = entry.name.partition(TEMPORARY)
            if not is_temporary or not entry.name.startswith("."):
                continue
            with contextlib.suppress(FileNotFoundError):
                facts = entry.stat(follow_symlinks=False)
                if alone or has_ended(owner) or time.time() - facts.st_mtime > _STALE_SECONDS:
                    Path(entry.path).unlink()
                    swept += 1
        return swept


def _link(temporary: Path, target: Path) -> None:
    """Name a file where no file has that name, which a rename cannot; without hard links, check and rename."""
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        if target.exists():
            raise FileExistsError(target) from None
        temporary.replace(target)
    else:
        temporary.unlink()


def _opened(path: Path) -> BinaryIO:
    """Create a file and its folder, again where another worker has just removed that folder as empty."""
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb")


def _walk(folder: str, prefix: int) -> Iterator[tuple[str, int]]:
    """Files below a local folder with their sizes.

    Links to files are followed, as the hub's cache consists of them. A file that is removed meanwhile is left out.
    """
    for entry in _entries(folder):
        if TEMPORARY not in entry.name and entry.is_file():
            with contextlib.suppress(FileNotFoundError):
                yield entry.path[prefix:], entry.stat().st_size


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """Everything below a local folder except folders; os.scandir, since a run has as many files as pictures.

    Links to folders, which may be circular, are not followed; a folder that is removed meanwhile counts as empty.
    """
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(entry.path)
        else:
            yield entry


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
