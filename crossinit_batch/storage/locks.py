"""The lock of a local output folder: the operating system's, released when the process ends or is killed; and the mark
of a process on the files that it makes, so that others can see whether it still runs."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.storage.failures import UnfitFile
from crossinit_batch.storage.reading import Place, beneath

_MARK = re.compile(r"([0-9a-f]{8})-(\d+)")
_HOLDER = "process "
_ELSEWHERE = "Move it away, or name another output folder."


class InUse(Exception):
    """Another run holds the folder; `holder` names it."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})


def has_locks(root: str, probe: str) -> bool:
    """Whether the file system of a file that only this process uses supports locks; network file systems may not."""
    if os.name != "posix":
        return False
    import fcntl

    *folders, name = probe.split("/")
    with beneath(root, folders) as place, os.fdopen(place.open(name, os.O_RDONLY)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            raise
    return True


@contextlib.contextmanager
def locked_folder(root: str, part: str | None) -> Iterator[None]:
    """Hold the exclusive lock of a local folder, or of one `part` of the work on it with a shared lock of the folder;
    InUse where another process holds it, UnfitFile where a lock is no file of ours.

    The lock's empty file remains, since removing it would let two runs lock two files.
    """
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(beneath(root, [layout.STATE], make=True))
        stack.enter_context(_locked(place, _name_of(layout.LOCK), part, shared=part is not None))
        if part is not None:
            stack.enter_context(_locked(place, _name_of(layout.part_lock(part)), part, shared=False))
        yield


def _name_of(lock: str) -> str:
    return lock.removeprefix(f"{layout.STATE}/")


@contextlib.contextmanager
def _locked(place: Place, name: str, part: str | None, *, shared: bool) -> Iterator[None]:
    """Hold the lock of one file, in which the holder is named while it is held."""
    import fcntl

    with os.fdopen(place.open(name, os.O_RDWR | os.O_CREAT), "r+", errors="replace") as lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(lock.read(200).strip() or "another process") from None
        if lock.read(len(_HOLDER)) not in ("", _HOLDER):
            raise UnfitFile("is no lock of crossinit, so it is not written", f"{place.path}/{name}", _ELSEWHERE)
        lock.truncate(0)
        lock.seek(0)
        lock.write(f"{_HOLDER}{os.getpid()} on {os.uname().nodename}" + (f" ({part})" if part else ""))
        lock.flush()
        try:
            yield
        finally:
            if not shared:
                lock.truncate(0)


def part_at_work(root: str, matters: Callable[[str], bool]) -> tuple[str, str] | None:
    """A part that `matters` and is locked, with its holder; None where there is none."""
    import fcntl

    with contextlib.suppress(FileNotFoundError, NotADirectoryError), beneath(root, [layout.STATE]) as place:
        for name in place.names():
            part, _, ending = name.rpartition(".")
            if ending != "lock" or name == _name_of(layout.LOCK) or not matters(part):
                continue
            try:
                descriptor = place.open(name, os.O_RDONLY)
            except (UnfitFile, IsADirectoryError):
                continue  # no lock that anybody could hold
            with os.fdopen(descriptor, errors="replace") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return part, lock.read(200).strip() or "another process"
    return None


@cache
def machine() -> str:
    """A name of the running system and its process namespace, as each container has its own.

    It is the same for two processes exactly when they can see each other's process numbers.
    """
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return f"{platform.node()} {uuid.getnode():x}"


def mark() -> str:
    """The mark of this process: eight hexadecimal digits of its machine's digest, and its process number."""
    return f"{sha256(machine().encode())[:8]}-{os.getpid()}"


def has_ended(text: str) -> bool:
    """Whether a text begins with the mark of a process of this machine that has ended."""
    import psutil

    found = _MARK.match(text)
    return found is not None and mark().startswith(f"{found[1]}-") and not psutil.pid_exists(int(found[2]))
