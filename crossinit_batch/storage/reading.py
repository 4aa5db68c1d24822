"""How every file that a user or a folder names is opened: regular ones only, at once, none larger than is said.

A file is looked at before it is opened, opened so that nothing can hang, looked at again, and read no further than
its limit. Below a root that came from somebody else no symbolic link is followed: folders are opened one in another.
Where a system cannot do that (Windows), links are looked for before each opening instead.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from crossinit_batch.storage.failures import UnfitFile

MOST_BYTES = 2**30
"""The largest file in bytes that is read where nothing smaller is said; the largest results are some MB."""
JSON_BYTES = 2**28
"""The same of JSON: a plan of 100,000 people stays below."""

LINK = "is a symbolic link, which is never followed"
_KINDS = {
    stat.S_IFLNK: LINK,
    stat.S_IFIFO: "is a named pipe, not a file",
    stat.S_IFSOCK: "is a socket, not a file",
    stat.S_IFCHR: "is a device, not a file",
    stat.S_IFBLK: "is a device, not a file",
}
MOVE = "Move it away, and put a file of its own there if one belongs there."
_SMALLER = "Check that it is the file that you mean."

STEPS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
"""Whether files can be opened in an open folder, without following links."""
_NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_CAREFULLY: int = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
_FOLDER: int = sum(getattr(os, name, 0) for name in ("O_DIRECTORY", "O_CLOEXEC"))
_AT_ONCE = 2**30
"""The most bytes that are asked for in one request: systems give no more than 2 GB."""


@dataclass(slots=True)
class Place:
    """A folder: open, by its descriptor, or by its path where the system has no `dir_fd`."""

    path: str
    descriptor: int | None

    def at(self, name: str) -> str:
        """What to call a file of this folder, beside `dir_fd=place.descriptor`."""
        return name if self.descriptor is not None else f"{self.path}/{name}"

    def look(self, name: str) -> os.stat_result | None:
        """What is there under a name, of a link the link itself; None where there is nothing."""
        try:
            return os.stat(self.at(name), dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """All that is in it, sorted."""
        with os.scandir(self.path if self.descriptor is None else self.descriptor) as found:
            return sorted(entry.name for entry in found)

    def open(self, name: str, flags: int) -> int:
        """The descriptor of a regular file of this folder; UnfitFile for anything else, IsADirectoryError for a folder.

        A new file is made where `flags` say so.
        """
        return _open(self.at(name), flags | _NOFOLLOW, f"{self.path}/{name}", self.descriptor)

    def enter(self, name: str, *, make: bool = False) -> Place:
        """A folder of this folder, which is made where it is missing and `make` says so."""
        path, shown = self.at(name), f"{self.path}/{name}"
        try:
            if self.descriptor is None:
                facts = Path(path).lstat()
                if not stat.S_ISDIR(facts.st_mode):
                    raise _no_folder(facts, shown)
                return Place(shown, None)
            return Place(shown, os.open(path, _FOLDER | _NOFOLLOW, dir_fd=self.descriptor))
        except FileNotFoundError:
            if not make:
                raise
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, dir_fd=self.descriptor)
            return self.enter(name)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP) and (found := self.look(name)) is not None:
                raise _no_folder(found, shown) from None
            raise

    def name(self, error: OSError) -> None:
        """Have an error name the whole path of a file of this folder."""
        if isinstance(error.filename, str) and not Path(error.filename).is_absolute():
            error.filename = f"{self.path}/{error.filename}"

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)


def descend(root: str, folders: Sequence[str], *, make: bool = False) -> Place:
    """A folder below a root, which may be a link itself, opened; UnfitFile where there is a link on the way from it."""
    place = _opened_root(root, make)
    try:
        for name in folders:
            below = place.enter(name, make=make)
            place.close()
            place = below
    except BaseException as error:
        place.close()
        if isinstance(error, OSError):
            place.name(error)
        raise
    return place


@contextlib.contextmanager
def beneath(root: str, folders: Sequence[str], *, make: bool = False) -> Iterator[Place]:
    """The same while the block lasts."""
    place = descend(root, folders, make=make)
    try:
        yield place
    except OSError as error:
        place.name(error)
        raise
    finally:
        place.close()


def _opened_root(root: str, make: bool) -> Place:
    try:
        if not STEPS:
            Path(root).stat()
        return Place(root, os.open(root, _FOLDER) if STEPS else None)
    except FileNotFoundError:
        if not make:
            raise
    Path(root).mkdir(parents=True, exist_ok=True)
    return _opened_root(root, make=False)


def read_beneath(root: str, parts: Sequence[str], limit: int = MOST_BYTES) -> bytes:
    """The bytes of a file below a root, without following a link below it."""
    place = descend(root, parts[:-1])
    try:
        return _content(place.open(parts[-1], os.O_RDONLY), f"{place.path}/{parts[-1]}", limit)
    except OSError as error:
        place.name(error)
        raise
    finally:
        place.close()


def read_file(path: str | Path, limit: int = MOST_BYTES) -> bytes:
    """The bytes of a file that the user named, links followed; UnfitFile for what is none, or larger than `limit`."""
    return _content(_open(str(path), os.O_RDONLY, str(path)), str(path), limit)


@contextlib.contextmanager
def opened_file(path: str | Path, limit: int) -> Iterator[BufferedReader]:
    """A file that the user named, opened for reading piece by piece; UnfitFile as from `read_file`."""
    with open(path, "rb", opener=lambda name, _: _open(name, os.O_RDONLY, name)) as file:
        check_size(os.fstat(file.fileno()).st_size, str(path), limit)
        yield file


def check_size(size: int, path: str, limit: int) -> None:
    """UnfitFile for a file that is larger than its limit in bytes."""
    if size > limit:
        reason = f"is too large: {size / 1e6:,.1f} MB, at most {limit / 1e6:,.1f} MB are read"
        raise UnfitFile(reason, path, _SMALLER)


def _open(path: str, flags: int, shown: str, folder: int | None = None) -> int:
    """The descriptor of a regular file, opened so that nothing can hang; a path may be relative to an open folder."""
    follow = not flags & _NOFOLLOW
    if not flags & os.O_EXCL:
        with contextlib.suppress(FileNotFoundError):  # before it is opened, as some devices do something then
            _check(os.stat(path, dir_fd=folder, follow_symlinks=follow), shown)
    try:
        descriptor = os.open(path, flags | _CAREFULLY, 0o666, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise UnfitFile(LINK, shown, MOVE) from None
        raise
    try:
        _check(os.fstat(descriptor), shown)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _content(descriptor: int, path: str, limit: int) -> bytes:
    """What is in an open file, which is closed then. What says that it is empty, as /proc does, is not read at all."""
    pieces: list[bytes] = []
    total = 0
    try:
        size = os.fstat(descriptor).st_size
        check_size(size, path, limit)
        while size:
            asked = min(max(size, total) + 1 - total, _AT_ONCE)
            pieces.append(os.read(descriptor, asked))
            total += len(pieces[-1])
            check_size(total, path, limit)
            if len(pieces[-1]) < asked:
                break
        return b"".join(pieces)
    except BlockingIOError:
        raise UnfitFile("gives nothing to read", path, _SMALLER) from None
    except MemoryError:
        raise UnfitFile(f"does not fit into the memory: {size / 1e6:,.0f} MB", path, _SMALLER) from None
    finally:
        os.close(descriptor)


def problem_of(facts: os.stat_result) -> str | None:
    """What is wrong with something that is neither a regular file nor a folder, as the rest of a sentence."""
    if stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode):
        return None
    return _KINDS.get(stat.S_IFMT(facts.st_mode), "is not a file")


def _check(facts: os.stat_result, path: str) -> None:
    if problem := problem_of(facts):
        raise UnfitFile(problem, path, MOVE)
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)


def _no_folder(facts: os.stat_result, path: str) -> OSError:
    """Why something is no folder that is entered."""
    if stat.S_ISLNK(facts.st_mode):
        return UnfitFile(LINK, path, MOVE)
    return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
