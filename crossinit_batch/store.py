"""The output folder through fsspec: the only module that reads or writes it, and that reads what a user names.

Bytes come first, under a temporary name in the same folder, flushed to disk and then renamed; on storage without
folders one put, which is atomic there. The receipt comes last. So a reader never meets half a file, and whatever
has a valid receipt is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.errors import OutputError, RequestError
from crossinit_batch.redact import redact_url

_TEMPORARY = ".tmp-"

_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
}


@dataclass(frozen=True)
class StoredFile:
    """Size in bytes and SHA-256 of a file as it was written."""

    size: int
    sha256: str


def open_filesystem(url: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path within it; RequestError where an extra is missing."""
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        scheme = url.partition("://")[0]
        if scheme not in _EXTRAS:
            raise RequestError(
                f"{redact_url(url)}: {scheme}:// is not read or written here",
                "Name a local folder, or a URL with s3, gs, az or abfs.",
            ) from None
        extra = _EXTRAS[scheme]
        raise RequestError(
            f"{redact_url(url)}: {scheme}:// needs a package that is not installed ({error})",
            f"Install it with: pip install 'crossinit-batch[{extra}]'",
        ) from None
    except ValueError as error:
        raise RequestError(f"{redact_url(url)}: this kind of address is not known ({error})") from None
    return filesystem, path


def is_inside(name: str) -> bool:
    """Whether a relative path stays in the folder that it is relative to."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\0" not in name


def read_source(url: str) -> bytes:
    """The bytes of a file that the user named, local or not; OSError where it cannot be read."""
    if "://" not in url:
        return Path(url).read_bytes()
    filesystem, path = open_filesystem(url)
    data: bytes = filesystem.cat_file(path)
    return data


class Store:
    """One output folder. Paths are relative to it; they come from `layout` and never leave it."""

    def __init__(self, url: str) -> None:
        self.filesystem, root = open_filesystem(url)
        self.root = root.rstrip("/") or "/"
        self.is_local = isinstance(self.filesystem, LocalFileSystem)
        self.url = self.root if self.is_local else redact_url(url)

    def __str__(self) -> str:
        return self.url

    def path_of(self, name: str) -> str:
        """The full path of a file of this folder; ValueError for a name that would leave it."""
        if not is_inside(name):
            raise ValueError(f"not a path inside the output folder: {name!r}")
        return f"{self.root}/{name}"

    def prepare(self) -> None:
        """Make the folder, and find out before any work whether it can be written."""
        probe = f"_state/probe-{uuid.uuid4().hex}"
        try:
            self.write(probe, b"crossinit")
            self.remove(probe)
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{self.url}: this output folder cannot be written ({reason_of(error)})",
                "Name another folder under `output:`, or make this one writable.",
            ) from None

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, or None where there is none."""
        path = self.path_of(name)
        try:
            if self.is_local:
                return Path(path).read_bytes()
            data: bytes = self.filesystem.cat_file(path)
            return data
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The JSON object in a file; None where there is no file or no JSON object in it."""
        data = self.read(name)
        if data is None:
            return None
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def write(self, name: str, data: bytes) -> StoredFile:
        """Publish a file all at once; what stood there before stands until then."""
        path = self.path_of(name)
        if self.is_local:
            _write_local(Path(path), data)
        else:
            self.filesystem.pipe_file(path, data)
        return StoredFile(len(data), sha256(data))

    def write_json(self, name: str, value: object) -> StoredFile:
        """Publish an object as indented JSON, keys in the order given; NaN is a ValueError."""
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        return self.write(name, text.encode())

    def remove(self, name: str) -> None:
        """Remove a file, and the folders that it leaves empty; no error where there is none."""
        path = self.path_of(name)
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.rm_file(path)
        if self.is_local:
            with contextlib.suppress(OSError):
                for parent in Path(path).parents:
                    if str(parent) == self.root:
                        break
                    parent.rmdir()

    def set_aside(self, name: str) -> None:
        """Move a file that does not match its receipt out of the way, keeping it for the curious."""
        data = self.read(name)
        if data is not None:
            self.write(f"{layout.ASIDE}/{uuid.uuid4().hex[:8]}-{name.replace('/', '__')}", data)
            self.remove(name)

    def listing(self) -> dict[str, int]:
        """Every file of the folder with its size in bytes, in one sweep; temporary ones left out."""
        if self.is_local:
            return dict(sorted(_walk(self.root, len(self.root) + 1)))
        self.filesystem.invalidate_cache()
        try:
            found = self.filesystem.find(self.root, detail=True)
        except FileNotFoundError:
            return {}
        prefix = len(self.root.rstrip("/")) + 1
        return {path[prefix:]: int(facts["size"] or 0) for path, facts in sorted(found.items())}

    def sweep(self) -> int:
        """Remove temporary files that a killed run left behind; how many there were."""
        if not self.is_local or not Path(self.root).is_dir():
            return 0
        left = [path for path in Path(self.root).rglob(f".*{_TEMPORARY}*") if path.is_file()]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this folder for one run; OutputError naming the holder where another run has it.

        The lock is the operating system's and ends with the process, however that ends; its empty file stays,
        since removing it would let two runs lock two files. Folders that are not local are not locked.
        """
        if not self.is_local or os.name != "posix":
            yield
            return
        import fcntl

        path = Path(self.path_of(layout.LOCK))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read(200).strip() or "another process"
                raise OutputError(
                    f"{self.url}: this output folder is in use by {holder}",
                    "Wait for it to end, stop it, or name another output folder.",
                ) from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {os.uname().nodename}")
            lock.flush()
            try:
                yield
            finally:
                lock.truncate(0)


def _walk(folder: str, prefix: int) -> Iterator[tuple[str, int]]:
    """Files below a local folder with their sizes; os.scandir, since a run has as many files as pictures.

    Links to files are followed, as the hub's cache is made of them; links to folders, which may go in circles, not.
    """
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, prefix)
        elif _TEMPORARY not in entry.name and entry.is_file():
            yield entry.path[prefix:], entry.stat().st_size


def _write_local(path: Path, data: bytes) -> None:
    """Write beside the target, flush to disk, rename, and flush the folder so that a power cut undoes nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:80]}{_TEMPORARY}{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def reason_of(error: BaseException) -> str:
    """An operating system's error in its own words, without paths, numbers or class names where it has words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
