"""The lock of an output folder in a bucket: a lease, since a bucket does not notice that its holder has died.

A lease is an object `<name>.<n>.json`, created only where there is none; its number n, a fencing token, only grows. Its
holder rewrites it every few seconds, its heartbeat. A process that sees no heartbeat for a minute, by its own clock,
takes over with n+1. A holder that was frozen meanwhile finds the higher number, and writes nothing more. Clocks of
different machines are never compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from crossinit_batch import layout
from crossinit_batch.storage.locks import InUse, machine
from crossinit_batch.storage.object_files import ObjectFiles
from crossinit_batch.storage.retry import Retries

BEAT_SECONDS = 10.0
LEASE_SECONDS = 60.0
_POLL_SECONDS = 0.5
_WHOLE = "run"


@dataclass(frozen=True)
class Holder:
    """Who holds a lease: a process (and its start, as process numbers are reused) on a machine, and its heartbeats."""

    machine: str
    host: str
    process: int
    started: float
    token: str
    beat: int = 0

    @classmethod
    def this_process(cls) -> Holder:
        import psutil

        started = psutil.Process().create_time()
        return cls(machine(), platform.node(), os.getpid(), started, uuid.uuid4().hex)

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    def is_known_to_be_gone(self) -> bool:
        """Whether it was a process of this machine and has ended; False where that cannot be known."""
        import psutil

        if self.machine != machine():
            return False
        try:
            return bool(abs(psutil.Process(self.process).create_time() - self.started) > 0.01)
        except psutil.NoSuchProcess:
            return True


@dataclass(frozen=True)
class Claim:
    """A lease as its holder passes it to its worker processes: its name, number and holder."""

    name: str
    number: int
    holder: Holder


class Leases:
    """The leases of one folder in a bucket."""

    def __init__(self, files: ObjectFiles, retries: Retries, report: Callable[[str], None]) -> None:
        self.files, self.retries, self.report = files, retries, report

    def take(self, part: str | None) -> Lease:
        """Acquire the lease of the folder, or of one part of the work on it; InUse where another run holds it."""
        name, me = part or _WHOLE, Holder.this_process()
        for _ in range(20):
            numbers = self.numbers()
            self._check_unused(name, numbers, me)
            lease = Lease(self, name, numbers.get(name, 0) + 1, me)
            if lease.create():
                with lease.released_on_error():
                    self._check_unused(name, {**self.numbers(), name: 0}, me)  # others may have started with us
                return lease
            time.sleep(_POLL_SECONDS)  # another process was quicker, and holds the lease now
        raise InUse("runs that start all the time")

    def part_at_work(self, matters: Callable[[str], bool]) -> tuple[str, str] | None:
        """A part that `matters` and whose holder is running, with the holder; None where there is none."""
        for name, number in self.numbers().items():
            holder = self.holder(name, number) if name != _WHOLE and matters(name) else None
            if holder is not None and self._is_running(name, number, holder):
                return name, str(holder)
        return None

    def numbers(self) -> dict[str, int]:
        """The highest number of every lease in the bucket, by its name."""
        found: dict[str, int] = {}
        for path in self.retries.do(lambda: self.files.listing(layout.LEASES), f"{self.files.root}/{layout.LEASES}"):
            name, number, kind = f"{path.removeprefix(layout.LEASES + '/')}..".split(".")[:3]
            if number.isdigit() and kind == "json":
                found[name] = max(found.get(name, 0), int(number))
        return found

    def holder(self, name: str, number: int) -> Holder | None:
        """The holder of a lease; None where there is no such lease, or it is damaged."""
        path = self.path_of(name, number)
        try:
            value = json.loads(self.retries.do(lambda: self.files.read(path), path))
            return Holder(**{field.name: value[field.name] for field in fields(Holder)})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def path_of(self, name: str, number: int) -> str:
        return f"{self.files.root}/{layout.LEASES}/{name}.{number}.json"

    def _check_unused(self, name: str, numbers: dict[str, int], me: Holder) -> None:
        """InUse, naming the holder, where another running process holds a lease that excludes this one."""
        for other, number in numbers.items():
            holder = self.holder(other, number) if number and (_WHOLE in (name, other) or name == other) else None
            if holder is not None and holder.token != me.token and self._is_running(other, number, holder):
                raise InUse(f"{holder} ({other})" if other != _WHOLE else str(holder))

    def _is_running(self, name: str, number: int, holder: Holder) -> bool:
        """Whether a holder is running: known at once on this machine, by watching its heartbeat on others."""
        if holder.machine == machine():
            return not holder.is_known_to_be_gone()
        self.report(f"the folder was in use by {holder}; looking whether it still is, for up to {LEASE_SECONDS:.0f} s")
        end = time.monotonic() + LEASE_SECONDS
        while time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
            now = self.holder(name, number)
            if now is None:
                return False
            if now.beat != holder.beat:
                return True
        return False


class Lease:
    """A lease that this process holds, renewed by a thread while the run lasts."""

    def __init__(self, leases: Leases, name: str, number: int, holder: Holder) -> None:
        self.leases, self.name, self.number, self.me = leases, name, number, holder
        self.lost = False
        self._confirmed = time.monotonic()
        self._released = threading.Event()
        self._writing = threading.Lock()

    @classmethod
    def claimed(cls, leases: Leases, claim: Claim) -> Lease:
        """The lease of the process that started this one, which renews it; this process only checks it."""
        return cls(leases, claim.name, claim.number, claim.holder)

    @property
    def claim(self) -> Claim:
        return Claim(self.name, self.number, self.me)

    @property
    def path(self) -> str:
        return self.leases.path_of(self.name, self.number)

    def create(self) -> bool:
        """Create the object; whether the lease is ours now, also where the answer to our put was lost."""
        data = self._text()
        try:
            self.leases.retries.do(lambda: self.leases.files.create(self.path, data), self.path)
        except FileExistsError:
            found = self.leases.holder(self.name, self.number)
            return found is not None and found.token == self.me.token
        return True

    @contextlib.contextmanager
    def held(self) -> Iterator[Lease]:
        """Renew the lease while open, then release it."""
        thread = threading.Thread(target=self._renew, name="crossinit-lease", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._released.set()
            thread.join(timeout=5)
            if not self.lost:
                self.release()

    @contextlib.contextmanager
    def released_on_error(self) -> Iterator[None]:
        """Release the lease where the block fails."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Remove the lease and older ones of its name."""
        with contextlib.suppress(OSError), self._writing:
            for number in range(max(1, self.number - 20), self.number + 1):
                self.leases.files.remove(self.leases.path_of(self.name, number))

    def is_ours(self) -> bool:
        """Whether no other run has taken over; asks the storage where the last check is older than half a lease."""
        if not self.lost and time.monotonic() - self._confirmed > LEASE_SECONDS / 2:
            self._confirm()
        return not self.lost

    def _confirm(self) -> None:
        asked = time.monotonic()
        if self.leases.numbers().get(self.name, 0) > self.number:
            self.lost = True
        else:
            self._confirmed = asked

    def _renew(self) -> None:
        """Write a heartbeat every few seconds. Where the storage cannot be reached, `is_ours` checks before a write."""
        while not self._released.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError), self._writing:
                self._confirm()
                if self.lost:
                    return
                self.me = replace(self.me, beat=self.me.beat + 1)
                self.leases.files.write(self.path, self._text())

    def _text(self) -> bytes:
        value: dict[str, Any] = asdict(self.me)
        return json.dumps(value).encode()
