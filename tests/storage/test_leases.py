from __future__ import annotations

import json
import os
import threading
import time
import uuid
from dataclasses import asdict, replace
from typing import Any

import pytest

from crossinit_batch import layout
from crossinit_batch.errors import OutputError, OutputLost
from crossinit_batch.storage import leases
from crossinit_batch.storage.leases import Holder
from crossinit_batch.storage.store import Store


@pytest.fixture(params=["memory", "s3", "azure"])
def place(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/out"
    return f"{request.getfixturevalue(request.param)}/out"


@pytest.fixture
def far() -> str:
    return f"memory://{uuid.uuid4().hex}/out"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(leases, "_POLL_SECONDS", 0.02)


def a_holder(**changes: Any) -> Holder:
    return replace(Holder.this_process(), **changes)


def leave(place: str, holder: Holder, name: str = "run", number: int = 1) -> None:
    """A lease as a killed run leaves it."""
    Store(place).write(f"{layout.LEASES}/{name}.{number}.json", json.dumps(asdict(holder)).encode())


def test_one_run_at_a_time_and_nothing_left(place: str) -> None:
    first, second = Store(place), Store(place)
    with first.locked():
        with pytest.raises(OutputError, match=f"in use by process {os.getpid()} on "), second.locked():
            pass
        assert list(first.listing()) == [f"{layout.LEASES}/run.1.json"]
    with second.locked():
        pass
    assert second.listing() == {}


def test_one_of_many_that_start_at_once_gets_it(place: str) -> None:
    got, refused, start = [], [], threading.Barrier(4)
    over = threading.Event()

    def try_it() -> None:
        store = Store(place)
        start.wait()
        try:
            with store.locked():
                got.append(store)
                over.wait(20)
        except OutputError as error:
            refused.append(error)

    threads = [threading.Thread(target=try_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 30
    while len(got) + len(refused) < 4 and time.monotonic() < end:
        time.sleep(0.05)
    over.set()
    for thread in threads:
        thread.join()
    assert len(got) <= 1 and len(got) + len(refused) == 4


def test_a_lease_of_a_process_that_was_killed_here_is_taken_at_once(place: str) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    leave(place, a_holder(process=child))
    store, told = Store(place), []
    with store.locked(tell=told.append):
        assert f"{layout.LEASES}/run.2.json" in store.listing()
    assert store.listing() == {} and told == []


def test_a_process_number_that_is_used_again_is_another_process(far: str) -> None:
    leave(far, a_holder(started=1.0))
    told: list[str] = []
    with Store(far).locked(tell=told.append):
        assert told == []
    assert Store(far).listing() == {}


@pytest.mark.usefixtures("quick")
def test_a_holder_elsewhere_that_does_not_tell_is_taken_over_after_a_while(far: str) -> None:
    leave(far, a_holder(machine="another", host="node7", process=1))
    told: list[str] = []
    began = time.monotonic()
    with Store(far).locked(tell=told.append):
        assert time.monotonic() - began >= 0.6
    assert "in use by process 1 on node7" in told[0]


@pytest.mark.usefixtures("quick")
def test_a_holder_elsewhere_that_tells_is_left_alone(far: str, monkeypatch: pytest.MonkeyPatch) -> None:
    holding, over = threading.Event(), threading.Event()
    elsewhere = a_holder(machine="another", host="node7")

    def hold() -> None:
        monkeypatch.setattr(Holder, "this_process", classmethod(lambda _cls: elsewhere))
        with Store(far).locked():
            monkeypatch.undo()
            holding.set()
            over.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(20)
    try:
        leases.BEAT_SECONDS, leases.LEASE_SECONDS, leases._POLL_SECONDS = 0.05, 5.0, 0.02
        with pytest.raises(OutputError, match="in use by process .* on node7"), Store(far).locked():
            pass
    finally:
        over.set()
        thread.join()
        leases.BEAT_SECONDS, leases.LEASE_SECONDS, leases._POLL_SECONDS = 10.0, 60.0, 0.5


@pytest.mark.usefixtures("quick")
def test_a_run_that_was_frozen_while_another_took_over_writes_nothing_more(
    far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 1000.0)  # frozen: it does not tell that it lives
    frozen = Store(far)
    with frozen.locked():
        frozen.write("a", b"1")
        leave(far, a_holder(machine="another", host="node7"), number=2)
        time.sleep(0.4)  # more than half of a lease
        with pytest.raises(OutputLost, match="another run has taken this output folder over"):
            frozen.write("a", b"2")
        with pytest.raises(OutputLost):
            frozen.remove("a")
    assert frozen.read("a") == b"1"
    assert f"{layout.LEASES}/run.2.json" in frozen.listing()  # the other's is left


def test_parts_of_the_work_go_side_by_side_and_the_whole_alone(far: str) -> None:
    with Store(far).locked("shard-1-of-2"), Store(far).locked("shard-2-of-2"):
        with pytest.raises(OutputError, match=r"in use by .* \(shard-1-of-2\)"), Store(far).locked("shard-1-of-2"):
            pass
        with pytest.raises(OutputError, match=r"in use by .* \(shard-"), Store(far).locked():
            pass
    with Store(far).locked(), pytest.raises(OutputError, match="in use by"), Store(far).locked("shard-1-of-2"):
        pass


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"machine": 1}', b"\xff"])
def test_a_damaged_lease_is_nobodys(far: str, data: bytes) -> None:
    Store(far).write(f"{layout.LEASES}/run.1.json", data)
    Store(far).write(f"{layout.LEASES}/strange", data)
    told: list[str] = []
    with Store(far).locked(tell=told.append):
        assert told == []
