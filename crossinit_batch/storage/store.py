"""The output folder: the only module that reads or writes it, and that reads what a user names.

Bytes come first, under a temporary name in the same folder, flushed to disk and then renamed; on storage without
folders one put, which is atomic there. The receipt comes last. So a reader never meets half a file, and whatever
has a valid receipt is whole. What may pass is tried again, and told (`storage/retry.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.errors import OutputError, OutputLost, RefusedFile
from crossinit_batch.messages import redact_url
from crossinit_batch.storage.addresses import open_filesystem, scheme_of
from crossinit_batch.storage.failures import Kind, StorageFailure, UnfitFile, reason_of
from crossinit_batch.storage.leases import Claim, Lease, Leases
from crossinit_batch.storage.local_files import TEMPORARY, LocalFiles
from crossinit_batch.storage.locks import InUse, has_locks, locked_folder, part_at_work
from crossinit_batch.storage.object_files import ObjectFiles
from crossinit_batch.storage.reading import JSON_BYTES, MOST_BYTES, read_file
from crossinit_batch.storage.retry import Retries, source_retries

Result = TypeVar("Result")


@dataclass(frozen=True)
class StoredFile:
    """Size in bytes and SHA-256 of a file as it was written."""

    size: int
    sha256: str


def is_inside(name: str) -> bool:
    """Whether a relative path stays in the folder that it is relative to."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\0" not in name


def json_bytes(value: object) -> bytes:
    """An object as an indented JSON file, keys in the order given; NaN is a ValueError."""
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_source(url: str, limit: int = MOST_BYTES) -> bytes:
    """The bytes of a file that the user named, local or not; OSError where it cannot be read, which UnfitFile is where
    it is no file or larger than `limit`."""
    scheme = scheme_of(url)
    if scheme is None:
        return source_retries(None).do(lambda: read_file(url, limit), url)
    filesystem, path = open_filesystem(url)
    if scheme == "file":
        return source_retries(None).do(lambda: read_file(path, limit), path)
    return source_retries(scheme).do(lambda: ObjectFiles(filesystem, "").read(path, limit), redact_url(url))


def given_folder(url: str) -> Store:
    """A folder that is only read: links to files are followed in it, as the hub's cache is made of them, unless it is
    an output folder of ours."""
    store = Store(url)
    if isinstance(store.files, LocalFiles) and not os.path.lexists(store.path_of(layout.PLAN)):
        store.files = LocalFiles(store.root, follow=True)
    return store


class Store:
    """One output folder. Paths are relative to it; they come from `layout` and never leave it."""

    def __init__(self, url: str) -> None:
        filesystem, root = open_filesystem(url)
        scheme = scheme_of(url)
        self.root = root.rstrip("/") or "/"
        self.is_local = scheme in (None, "file")
        self.url = self.root if self.is_local else redact_url(url)
        self.files = LocalFiles(self.root) if self.is_local else ObjectFiles(filesystem, self.root)
        self.retries = Retries(None if self.is_local else scheme)
        self.address = url
        self.no_locks = ""
        self._lease: Lease | None = None

    def __str__(self) -> str:
        return self.url

    def path_of(self, name: str) -> str:
        """The full path of a file of this folder; ValueError for a name that would leave it."""
        if not is_inside(name):
            raise ValueError(f"not a path inside the output folder: {name!r}")
        return f"{self.root}/{name}"

    def prepare(self) -> None:
        """Make the folder, and find out before any work whether it can be written, and whether it can be locked."""
        name = f"_state/.probe{TEMPORARY}{uuid.uuid4().hex}"
        probe = self.path_of(name)
        try:
            if isinstance(self.files, ObjectFiles) and not self._creates_only(self.files, probe):
                self.no_locks = "its storage overwrites what is there"
            self.retries.do(lambda: self.files.write(probe, b"crossinit"), self.url)
            if isinstance(self.files, LocalFiles) and not has_locks(self.root, name):
                self.no_locks = "its file system has no locks"
            self.retries.do(lambda: self.files.remove(probe), self.url)
        except FileNotFoundError:  # gcsfs says no more
            problem = f"{self.url}: this output folder cannot be written (there is no such bucket or folder)"
            raise OutputError(problem, "Make it, or name another one under `output:`.") from None
        except (OSError, ValueError) as error:
            hint = getattr(error, "hint", "") or "Name another folder under `output:`, or make this one writable."
            raise OutputError(f"{self.url}: this output folder cannot be written ({reason_of(error)})", hint) from None

    @property
    def keeps_runs_apart(self) -> bool:
        """Whether two runs cannot work in this folder at once; `no_locks` says why not, once it is prepared."""
        return not self.no_locks

    def read(self, name: str, limit: int = MOST_BYTES) -> bytes | None:
        """The bytes of a file, or None where there is none; RefusedFile for one that is never read."""
        path = self.path_of(name)
        try:
            return self._do(lambda: self.files.read(path, limit), name)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The JSON object in a file; None where there is no file or no JSON object in it."""
        try:
            data = self.read(name, JSON_BYTES)
        except RefusedFile:  # who cannot do without it reads it and is told
            return None
        if data is None:
            return None
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def write(self, name: str, data: bytes) -> StoredFile:
        """Publish a file all at once; what stood there before stands until then.

        OutputLost where no other file could be written either, OSError where it is this one's trouble.
        """
        path = self.path_of(name)
        self.check_lease()
        self._do(lambda: self.files.write(path, data), name, writing=True)
        return StoredFile(len(data), sha256(data))

    def create(self, name: str, data: bytes) -> bool:
        """Publish a file where there is none; False, and nothing is changed, where there is one.

        Where storage cannot tell (`keeps_runs_apart` is False) the last one stays.
        """
        path = self.path_of(name)
        self.check_lease()
        try:
            self._do(lambda: self.files.create(path, data), name, writing=True)
        except FileExistsError:
            return self.read(name) == data  # also our own put, whose answer was lost
        return True

    def write_json(self, name: str, value: object) -> StoredFile:
        """Publish an object as JSON."""
        return self.write(name, json_bytes(value))

    def remove(self, name: str) -> None:
        """Remove a file, and the folders that it leaves empty; no error where there is none."""
        path = self.path_of(name)
        self.check_lease()
        self._do(lambda: self.files.remove(path), name, writing=True)

    def set_aside(self, name: str) -> None:
        """Move a file that does not match its receipt out of the way, keeping it for the curious."""
        aside = f"{layout.ASIDE}/{uuid.uuid4().hex[:8]}-{name.replace('/', '__')[-200:]}"
        files, path, to = self.files, self.path_of(name), self.path_of(aside)
        if isinstance(files, LocalFiles):
            self.check_lease()
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._do(lambda: files.move(path, to), name, writing=True)
        elif (data := self.read(name)) is not None:
            self.write(aside, data)
            self.remove(name)

    def listing(self) -> dict[str, int]:
        """Every file of the folder with its size in bytes, asked anew; temporary ones left out."""
        return dict(sorted(self._do(self.files.listing, "").items()))

    def unfit(self) -> dict[str, str]:
        """What in the folder is never read or written, links and pipes, each with what is wrong with it."""
        files = self.files
        return dict(sorted(self._do(files.unfit, "").items())) if isinstance(files, LocalFiles) else {}

    def sweep(self, alone: bool = True) -> int:
        """Remove temporary files that killed processes left; where we are not `alone` in the folder, those only whose
        process is known to be gone, and old ones."""
        return self._do(lambda: self.files.sweep(alone), "")

    @contextlib.contextmanager
    def locked(self, part: str | None = None, tell: Callable[[str], None] = lambda _message: None) -> Iterator[None]:
        """Hold this folder for one run, or one named part of it; OutputError naming the holder if others have it.

        Holders of different parts work side by side; one of the whole is alone. Where storage has no locks nothing is
        held (`keeps_runs_apart` is False). `tell` hears why it takes long.
        """
        with contextlib.ExitStack() as stack:
            try:
                if not self.keeps_runs_apart:
                    pass
                elif isinstance(self.files, LocalFiles):
                    stack.enter_context(locked_folder(self.root, part))
                else:
                    lease = Leases(self.files, self.retries, tell).take(part)
                    self._lease = stack.enter_context(lease.held())
            except InUse as error:
                raise OutputError(
                    f"{self.url}: this output folder is in use by {error.holder}",
                    "Wait for it to end, stop it, or name another output folder.",
                ) from None
            except UnfitFile as error:
                raise RefusedFile(f"{error.filename} {error.strerror}", error.hint) from None
            stack.callback(setattr, self, "_lease", None)
            yield

    def part_at_work(self, matters: Callable[[str], bool]) -> tuple[str, str] | None:
        """A part of the work on this folder that `matters` and that somebody holds, with the holder."""
        if not self.keeps_runs_apart:
            return None
        if isinstance(self.files, LocalFiles):
            return part_at_work(self.root, matters)
        return Leases(self.files, self.retries, lambda _message: None).part_at_work(matters)

    @property
    def claim(self) -> Claim | None:
        """The lease that this process holds, for its worker processes to write under; None on a disk."""
        return self._lease.claim if self._lease is not None else None

    def work_under(self, claim: Claim | None) -> None:
        """Write for the process that holds the folder, until another one does."""
        if claim is not None and isinstance(self.files, ObjectFiles):
            self._lease = Lease.claimed(Leases(self.files, self.retries, lambda _message: None), claim)

    def check_lease(self) -> None:
        """Fencing: a run that was frozen while another took its folder over leaves it alone from then on."""
        if self._lease is not None and not self._lease.is_ours():
            reason = "another run has taken this output folder over"
            raise OutputLost(f"{self.url}: {reason}", reason, "Let that one go on; it has all that was done here.")

    def _do(self, action: Callable[[], Result], name: str, *, writing: bool = False) -> Result:
        """The action, tried again where that may help. Trouble that is not this file's alone is an OutputError where
        it is met in reading, as commands begin with that, and OutputLost where it is met in writing."""
        place = f"{self.url}/{name}".rstrip("/")
        try:
            return self.retries.do(action, place)
        except UnfitFile as error:
            raise RefusedFile(f"{error.filename if self.is_local else place} {error.strerror}", error.hint) from None
        except StorageFailure as error:
            if error.kind in (Kind.OTHER, Kind.PASSING) and self.retries.given_up < 2:
                raise
            reason = str(error.strerror)
            if error.kind is Kind.FULL:
                reason += self._space_left()
            if not writing:
                raise OutputError(f"{place}: {reason}", error.hint) from None
            hint = error.hint or "Mend that."
            raise OutputLost(
                f"{place}: {reason}", reason, f"{hint} Then `crossinit resume`; what is done is kept."
            ) from None

    def _space_left(self) -> str:
        """How much space is free where the folder is, as an addition to a sentence."""
        with contextlib.suppress(OSError):
            usage = shutil.disk_usage(self.root)
            return f" ({usage.free / 1e6:,.1f} MB of {usage.total / 1e6:,.1f} MB free)"
        return ""

    def _creates_only(self, files: ObjectFiles, probe: str) -> bool:
        """Whether this storage refuses to create a file that is there: a lock is worth nothing where it does not."""
        try:
            for _ in range(2):
                self.retries.do(lambda: files.create(probe, b"crossinit"), self.url)
        except FileExistsError:
            return True
        except StorageFailure as error:
            if error.kind is not Kind.OTHER:
                raise
        return False
