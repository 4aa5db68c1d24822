"""The lock of a local output folder: the operating system's, released when the process ends or is killed."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from crossinit_batch import layout


class InUse(Exception):
    """Another run holds the folder; `holder` names it."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})


def has_locks(path: str) -> bool:
    """Whether the file system of a file that only this process uses supports locks; network file systems may not."""
    if os.name != "posix":
        return False
    import fcntl

    with Path(path).open("rb") as file:
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
    InUse where another process holds it.

    The lock's empty file remains, since removing it would let two runs lock two files.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locked(Path(root) / layout.LOCK, part, shared=part is not None))
        if part is not None:
            stack.enter_context(_locked(Path(root) / layout.part_lock(part), part, shared=False))
        yield


@contextlib.contextmanager
def _locked(path: Path, part: str | None, *, shared: bool) -> Iterator[None]:
    """Hold the lock of one file, in which the holder is named while it is held."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise InUse(lock.read(200).strip() or "another process") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {os.uname().nodename}" + (f" ({part})" if part else ""))
        lock.flush()
        try:
            yield
        finally:
            if not shared:
                lock.truncate(0)


def part_at_work(root: str, matters: Callable[[str], bool]) -> tuple[str, str] | None:
    """A part that `matters` and is locked, with its holder; None where there is none."""
    import fcntl

    for path in sorted((Path(root) / layout.part_lock("*")).parent.glob("*.lock")):
        part = path.name.removesuffix(".lock")
        if path == Path(root) / layout.LOCK or not matters(part):
            continue
        with path.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return part, lock.read(200).strip() or "another process"
    return None
