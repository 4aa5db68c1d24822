"""S3 over real HTTP behind a proxy that spoils answers: what may pass is tried again, and the rest fails at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossinit_batch.cli import main
from crossinit_batch.errors import OutputError, OutputLost
from crossinit_batch.events import Event, StorageRetried
from crossinit_batch.storage import addresses, retry
from crossinit_batch.storage.failures import Kind, StorageFailure
from crossinit_batch.storage.retry import RetryPolicy, retries_told
from crossinit_batch.storage.store import Store, read_source
from tests.end_to_end.small_run import SmallRun, small_values
from tests.helpers.buckets import S3_SECRET, new_bucket, s3_environment, use
from tests.helpers.fault_proxy import FaultProxy


@pytest.fixture
def proxy(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    monkeypatch.setattr(retry, "POLICY", RetryPolicy(attempts=4, first=0.02, longest=0.1))
    monkeypatch.setattr(addresses, "READ_SECONDS", 1)
    with FaultProxy(s3_server).running() as proxy:
        use(s3_environment(proxy.url), monkeypatch)
        yield proxy


@pytest.fixture
def bucket(proxy: FaultProxy) -> str:
    return new_bucket()


@pytest.fixture
def store(bucket: str) -> Store:
    return Store(f"s3://{bucket}/out")


@pytest.fixture
def told() -> Iterator[list[StorageRetried]]:
    events: list[StorageRetried] = []

    def keep(event: Event) -> None:
        assert isinstance(event, StorageRetried)
        events.append(event)

    with retries_told(keep, bool):
        yield events


@pytest.mark.parametrize("fault", ["500", "503", "reset", "lost", "hang"])
def test_a_put_that_fails_for_a_while_is_done_again_and_told(
    proxy: FaultProxy, store: Store, told: list[StorageRetried], fault: str
) -> None:
    proxy.spoil(fault, times=2, method="PUT")
    store.write("a.bin", b"x" * 1000)
    assert store.read("a.bin") == b"x" * 1000
    assert proxy.spoiled == 2
    # aiohttp itself sends a request again that met a kept connection just as it was cut
    assert [(event.attempt, event.attempts) for event in told] in ([(2, 4), (3, 4)], [(2, 4)])
    assert len(told) == 2 or fault in ("reset", "lost")
    assert all(event.place == f"{store}/a.bin" and event.reason for event in told)


@pytest.mark.parametrize("fault", ["500", "503", "reset", "cut", "hang"])
def test_a_read_that_fails_for_a_while_is_done_again(
    proxy: FaultProxy, store: Store, told: list[StorageRetried], fault: str
) -> None:
    store.write("a.bin", b"x" * 1000)
    proxy.spoil(fault, times=2, method="GET")
    assert store.read("a.bin") == b"x" * 1000
    proxy.spoil(fault, method="GET")
    assert read_source(f"{store}/a.bin") == b"x" * 1000
    proxy.spoil(fault, method="GET")
    assert store.listing() == {"a.bin": 1000}
    assert proxy.spoiled == 4
    assert len(told) == 4 or (told and fault == "reset")


def test_a_slow_answer_is_waited_for(proxy: FaultProxy, store: Store, told: list[StorageRetried]) -> None:
    store.write("a.bin", b"x" * 1000)
    proxy.spoil("slow", method="GET")
    assert store.read("a.bin") == b"x" * 1000
    assert told == []


def test_retries_end_and_the_next_file_is_tried_once(
    proxy: FaultProxy, store: Store, told: list[StorageRetried]
) -> None:
    store.write("before", b"1")
    proxy.spoil("503", times=10**6)
    with pytest.raises(StorageFailure) as caught:
        store.write("a", b"1")
    assert caught.value.kind is Kind.PASSING and len(told) == 3 and proxy.spoiled == 4
    with pytest.raises(OutputLost, match="what is done is kept"):  # nothing else can be stored either
        store.write("b", b"1")
    assert proxy.spoiled == 5
    proxy.mend()
    store.write("a", b"1")
    proxy.spoil("503", times=3)
    store.write("b", b"1")  # it works again, so that patience is back
    assert set(store.listing()) == {"before", "a", "b"}


@pytest.mark.parametrize(("fault", "words"), [("403", "access was denied"), ("expired", "credentials have expired")])
def test_what_no_retry_mends_fails_at_once_with_what_to_set(
    proxy: FaultProxy, store: Store, told: list[StorageRetried], fault: str, words: str
) -> None:
    proxy.spoil(fault, times=10**6)
    with pytest.raises(OutputError, match=words) as before:
        store.prepare()
    assert "AWS_PROFILE" in before.value.hint and before.value.exit_code == 2
    assert proxy.spoiled == 1
    proxy.mend()
    store.prepare()
    proxy.spoil(fault, times=10**6)
    with pytest.raises(OutputLost, match=words) as later:
        store.write("a", b"1")
    assert "AWS_PROFILE" in later.value.hint and later.value.exit_code == 1
    assert proxy.spoiled == 2 and told == []
    assert S3_SECRET not in f"{before.value} {later.value}"


def test_a_bucket_that_is_not_there_is_named(proxy: FaultProxy, told: list[StorageRetried]) -> None:
    store = Store("s3://no-such-bucket/out")
    with pytest.raises(OutputError, match="s3://no-such-bucket/out.*there is no such bucket"):
        store.prepare()
    with pytest.raises(OutputError, match="no such bucket"):
        store.read("plan.json")
    with pytest.raises(OSError, match="no such bucket"):
        read_source("s3://no-such-bucket/a.png")
    assert told == []


def test_a_server_that_is_not_there_is_given_up(monkeypatch: pytest.MonkeyPatch, told: list[StorageRetried]) -> None:
    monkeypatch.setattr(retry, "POLICY", RetryPolicy(attempts=3, first=0.01))
    use(s3_environment("http://127.0.0.1:1"), monkeypatch)
    with pytest.raises(OutputError, match="cannot be written"):
        Store("s3://bucket/out").prepare()
    assert [event.attempt for event in told] == [2, 3]


def test_missing_credentials_are_named(proxy: FaultProxy, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nothing")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nothing")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(OutputError, match="access was denied") as caught:
        Store(f"s3://{bucket}/out").prepare()
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_a_stop_ends_retries(proxy: FaultProxy, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "POLICY", RetryPolicy(attempts=50, first=60, longest=60, total=10**6))
    store.write("before", b"1")
    proxy.spoil("503", times=10**6)
    asked: list[bool] = []
    began = time.monotonic()
    with retries_told(lambda event: asked.append(True), lambda: bool(asked)), pytest.raises(StorageFailure):
        store.write("a", b"1")
    assert time.monotonic() - began < 30 and proxy.spoiled == 2  # the pause of a minute was not slept out


def test_a_storage_that_overwrites_what_it_should_create_is_noticed(proxy: FaultProxy, store: Store) -> None:
    store.prepare()
    assert store.keeps_runs_apart
    proxy.ignore_conditions = True
    store.prepare()
    assert not store.keeps_runs_apart
    assert store.no_locks == "its storage overwrites what is there"
    assert store.listing() == {}
    with store.locked():
        assert store.listing() == {}


def test_locks_that_are_required_and_not_there_stop_the_command(
    proxy: FaultProxy, store: Store, photographs: Path, pipeline_folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    proxy.ignore_conditions = True
    small = SmallRun(photographs.parent, small_values(pipeline_folder, output=store.address))
    monkeypatch.setenv("CROSSINIT_REQUIRE_LOCKS", "1")  # as for array tasks, whose command lines somebody else writes
    monkeypatch.setattr("sys.argv", ["crossinit", "run", str(small.save()), "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "cannot be locked, as its storage overwrites what is there" in capsys.readouterr().err
    assert store.listing() == {}


def test_a_listing_is_one_request_whoever_else_writes(proxy: FaultProxy, store: Store, bucket: str) -> None:
    other = Store(f"s3://{bucket}/out")
    for number in range(5):
        store.write(f"paper/p{number}/receipt.json", b"{}")
        assert len(other.listing()) == number + 1  # nothing stale
    before = proxy.requests["GET"]
    other.listing()
    assert proxy.requests["GET"] == before + 1
