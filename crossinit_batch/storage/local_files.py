"""Files on a disk, published atomically: written beside their target, flushed, renamed.

Symbolic links below the root are never followed, written over or removed (`storage/reading.py`): a folder may come from
somebody else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator

from crossinit_batch.storage.failures import UnfitFile
from crossinit_batch.storage.fault_points import Point, reach
from crossinit_batch.storage.locks import has_ended, mark
from crossinit_batch.storage.reading import (
    LINK,
    MOST_BYTES,
    MOVE,
    Place,
    beneath,
    descend,
    problem_of,
    read_beneath,
    read_file,
)

TEMPORARY = ".tmp-"

_STALE_SECONDS = 3600.0
"""The age in seconds at which a temporary file is stale, even where other runs may be at work in the folder."""
_DEEPEST = 60
"""Folders within folders that are looked through: nothing of ours lies so deep, and somebody else's may have no end."""


class LocalFiles:
    """The files of a local file system, by absolute paths. `root` is never removed.

    Of a folder that is not ours, as the hub's cache, links to files are read: `follow`.
    """

    def __init__(self, root: str, follow: bool = False) -> None:
        self.root, self.follow = root, follow

    def read(self, path: str, limit: int = MOST_BYTES) -> bytes:
        """The bytes of a file; UnfitFile for what is none, and for one that is larger than `limit`."""
        return read_file(path, limit) if self.follow else read_beneath(self.root, self._parts(path), limit)

    def write(self, path: str, data: bytes) -> None:
        """Write beside the target, flush to disk, rename, and flush the folder, so that a power cut undoes nothing."""
        self._publish(path, data, _rename)

    def create(self, path: str, data: bytes) -> None:
        """Write a file that does not exist yet; FileExistsError, and nothing is changed, where it does."""
        self._publish(path, data, _link)

    def _publish(self, path: str, data: bytes, rename: Callable[[Place, str, str], None]) -> None:
        reach(Point.BEFORE_WRITE)
        *folders, name = self._parts(path)
        temporary = f".{name[:80]}{TEMPORARY}{mark()}-{uuid.uuid4().hex[:8]}"
        place, descriptor = self._opened(folders, temporary)
        try:
            with os.fdopen(descriptor, "wb") as file:
                half = memoryview(data)[: len(data) // 2]
                file.write(half)
                reach(Point.HALF_WRITTEN, file.flush)
                file.write(memoryview(data)[len(half) :])
                reach(Point.BEFORE_FLUSH, file.flush)
                file.flush()
                os.fsync(file.fileno())
            reach(Point.BEFORE_RENAME)
            _refuse_link(place, name)
            rename(place, temporary, name)
            reach(Point.BEFORE_FOLDER_FLUSH)
            if place.descriptor is not None:
                os.fsync(place.descriptor)
        except BaseException as error:
            with contextlib.suppress(OSError):
                _unlink(place, temporary)
            if isinstance(error, OSError):
                place.name(error)
            raise
        finally:
            place.close()
        reach(Point.AFTER_WRITE)

    def _opened(self, folders: list[str], name: str) -> tuple[Place, int]:
        """Create a file and its folder, again where another worker has just removed that folder as empty."""
        for attempt in range(101):
            try:
                place = descend(self.root, folders, make=True)
                try:
                    return place, place.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                except BaseException:
                    place.close()
                    raise
            except (FileNotFoundError, FileExistsError):
                if attempt == 100:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def remove(self, path: str) -> None:
        """Remove a file, and the folders that it leaves empty; no error where there is none."""
        reach(Point.BEFORE_REMOVE)
        *folders, name = self._parts(path)
        with contextlib.suppress(FileNotFoundError), beneath(self.root, folders) as place:
            _refuse_link(place, name)
            _unlink(place, name)
        self._remove_empty(folders)
        reach(Point.AFTER_REMOVE)

    def _remove_empty(self, folders: list[str]) -> None:
        """Remove a folder that is empty, and then the one that it is in."""
        with contextlib.suppress(OSError):
            while folders:
                *folders, name = folders
                with beneath(self.root, folders) as place:
                    os.rmdir(place.at(name), dir_fd=place.descriptor)

    def move(self, path: str, to: str) -> None:
        """Give a file another name, whatever it is, but for a link; FileNotFoundError where there is none."""
        reach(Point.BEFORE_WRITE)
        *folders, name = self._parts(path)
        *others, new = self._parts(to)
        with beneath(self.root, folders) as place, beneath(self.root, others, make=True) as other:
            _refuse_link(place, name)
            os.rename(place.at(name), other.at(new), src_dir_fd=place.descriptor, dst_dir_fd=other.descriptor)
            if other.descriptor is not None:
                os.fsync(other.descriptor)
        self._remove_empty(folders)
        reach(Point.AFTER_WRITE)

    def listing(self) -> dict[str, int]:
        """Every regular file below the root, relative to it, with its size in bytes."""
        found, follow = {}, self.follow
        for _, above, entries in self._folders():
            for entry in entries:
                if entry.is_file(follow_symlinks=follow) and TEMPORARY not in entry.name:
                    try:
                        found[above + entry.name] = entry.stat(follow_symlinks=follow).st_size
                    except FileNotFoundError:  # it was removed meanwhile
                        continue
        return found

    def unfit(self) -> dict[str, str]:
        """What is below the root and is neither a regular file nor a folder, with what is wrong with it."""
        found = {}
        for _, above, entries in self._folders():
            for entry in entries:
                if not entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        if problem := problem_of(entry.stat(follow_symlinks=False)):
                            found[above + entry.name] = problem
        return found

    def _parts(self, path: str) -> list[str]:
        """The names on the way from the root to a file."""
        parts = [part for part in path[len(self.root) :].split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            raise ValueError(f"not a path inside {self.root}: {path!r}")
        return parts

    def _folders(self) -> Iterator[tuple[Place, str, list[os.DirEntry[str]]]]:
        """The root and all folders below it, open, each with its path below the root and what is in it but folders."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), beneath(self.root, []) as place:
            yield from _walk(place, "", _DEEPEST)

    def sweep(self, alone: bool) -> int:
        """Remove temporary files of killed processes, and count them; where this process is not `alone` in the folder,
        only those whose process is known to have ended, and stale ones."""
        swept = 0
        found = ((place, entry) for place, _, entries in self._folders() for entry in entries)
        for place, entry in found:
            _, is_temporary, owner = entry.name.partition(TEMPORARY)
            if not is_temporary or not entry.name.startswith(".") or entry.is_symlink():
                continue
            with contextlib.suppress(FileNotFoundError):
                facts = entry.stat(follow_symlinks=False)
                if alone or has_ended(owner) or time.time() - facts.st_mtime > _STALE_SECONDS:
                    _unlink(place, entry.name)
                    swept += 1
        return swept


def _rename(place: Place, temporary: str, name: str) -> None:
    os.rename(place.at(temporary), place.at(name), src_dir_fd=place.descriptor, dst_dir_fd=place.descriptor)


def _link(place: Place, temporary: str, name: str) -> None:
    """Name a file where no file has that name, which a rename cannot; without hard links, check and rename."""
    try:
        os.link(place.at(temporary), place.at(name), src_dir_fd=place.descriptor, dst_dir_fd=place.descriptor)
    except FileExistsError:
        raise
    except OSError:
        if place.look(name) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), f"{place.path}/{name}") from None
        _rename(place, temporary, name)
    else:
        _unlink(place, temporary)


def _unlink(place: Place, name: str) -> None:
    os.unlink(place.at(name), dir_fd=place.descriptor)


def _refuse_link(place: Place, name: str) -> None:
    """UnfitFile where a link has this name. A rename or a removal would not follow it, but end it."""
    found = place.look(name)
    if found is not None and stat.S_ISLNK(found.st_mode):
        raise UnfitFile(LINK, f"{place.path}/{name}", MOVE)


def _walk(place: Place, above: str, depth: int) -> Iterator[tuple[Place, str, list[os.DirEntry[str]]]]:
    """An open folder and those below it; os.scandir, since a run has as many files as pictures.

    Links to folders are not followed; a folder that is removed meanwhile counts as empty.
    """
    with os.scandir(place.path if place.descriptor is None else place.descriptor) as found:
        entries = list(found)
    folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    if len(folders) < len(entries):
        yield place, above, [entry for entry in entries if not entry.is_dir(follow_symlinks=False)]
    for folder in folders if depth else ():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, UnfitFile):
            below = place.enter(folder.name)
            try:
                yield from _walk(below, f"{above}{folder.name}/", depth - 1)
            finally:
                below.close()
