from __future__ import annotations

import errno
import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from crossinit_batch.errors import OutputError, RequestError
from crossinit_batch.storage.object_files import ObjectFiles
from crossinit_batch.storage.store import Store, StoredFile, given_folder, read_source


class Killed(BaseException):
    """Stands for the end of the process: nothing in the program catches it."""


@pytest.fixture
def store(anywhere: str) -> Store:
    """An output folder on every kind of storage, its path with what URLs trip over."""
    return Store(f"{anywhere}/a b/é/out")


def test_what_is_written_is_read_listed_and_removed(store: Store) -> None:
    data = b"\0\xff" * 700
    stored = store.write("a/b/c.bin", data)
    assert stored == StoredFile(1400, hashlib.sha256(data).hexdigest())
    assert store.read("a/b/c.bin") == data
    assert store.listing() == {"a/b/c.bin": 1400}
    store.remove("a/b/c.bin")
    assert store.read("a/b/c.bin") is None
    assert store.listing() == {}
    store.remove("a/b/c.bin")


def test_a_second_write_takes_the_place_of_the_first(store: Store) -> None:
    store.write("x.txt", b"long before")
    store.write("x.txt", b"now")
    assert store.read("x.txt") == b"now"
    assert store.listing() == {"x.txt": 3}


def test_nothing_is_there_before_the_first_write(store: Store) -> None:
    assert store.listing() == {}
    assert store.read("a") is None
    assert store.read_json("a") is None
    assert store.sweep() == 0


def test_names_with_spaces_and_letters_of_all_kinds(store: Store) -> None:
    names = ["a b.txt", "é/ü.txt", "50%.txt", "q?x=1.txt", "#1.txt", "[a]*.txt"]
    for name in names:
        store.write(name, name.encode())
    assert sorted(store.listing()) == sorted(names)
    assert [store.read(name) for name in names] == [name.encode() for name in names]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a\0b", ".."])
def test_no_path_leaves_the_folder(store: Store, name: str) -> None:
    for use in (store.read, store.remove, store.path_of, lambda there: store.write(there, b"")):
        with pytest.raises(ValueError, match="not a path inside"):
            use(name)
    assert store.listing() == {}


def test_json_goes_in_and_out_and_nan_is_refused(store: Store) -> None:
    store.write_json("a.json", {"b": [1, None], "é": "ü"})
    assert store.read_json("a.json") == {"b": [1, None], "é": "ü"}
    with pytest.raises(ValueError, match="NaN|nan|Out of range"):
        store.write_json("a.json", {"loss": float("nan")})
    assert store.read_json("a.json") == {"b": [1, None], "é": "ü"}


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe", b'"text"', b"[" * 100_000])
def test_what_is_no_json_object_reads_as_none(store: Store, data: bytes) -> None:
    store.write("a.json", data)
    assert store.read_json("a.json") is None


def test_set_aside_keeps_the_bytes_under_another_name(store: Store) -> None:
    store.write("paper/ada/x.png", b"broken")
    store.set_aside("paper/ada/x.png")
    ((name, size),) = store.listing().items()
    assert name.startswith("_state/aside/") and name.endswith("-paper__ada__x.png") and size == 6
    store.set_aside("paper/ada/missing.png")
    assert len(store.listing()) == 1


@pytest.mark.parametrize("point", ["write", "fsync", "replace"])
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_write_that_is_cut_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, before: bytes | None
) -> None:
    store = Store(str(tmp_path))
    if before is not None:
        store.write("a.txt", before)

    def cut(*_arguments: Any, **_folders: Any) -> None:
        raise Killed

    target = {"write": "os.fdopen", "fsync": "os.fsync", "replace": "os.rename"}[point]
    with monkeypatch.context() as patch:
        patch.setattr(target, cut)
        with pytest.raises(Killed):
            store.write("a.txt", b"new and longer")
    assert store.read("a.txt") == before
    assert store.listing() == ({} if before is None else {"a.txt": 3})
    assert [path.name for path in tmp_path.iterdir()] == ([] if before is None else ["a.txt"])


def test_bytes_are_flushed_before_the_name_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power-cut model: a published name whose bytes or folder entry were not flushed may be lost."""
    happened = []
    fsync, rename = os.fsync, os.rename

    def record_fsync(descriptor: int) -> None:
        happened.append(("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        fsync(descriptor)

    def record_rename(source: str, target: str, **folders: int) -> None:
        happened.append(("rename", source))
        rename(source, target, **folders)

    monkeypatch.setattr("os.fsync", record_fsync)
    monkeypatch.setattr("os.rename", record_rename)
    Store(str(tmp_path)).write("folder/a.txt", b"x")
    temporary = happened[0][1]
    assert temporary.startswith(".a.txt.tmp-")
    assert happened == [("fsync", temporary), ("rename", temporary), ("fsync", "folder")]


def test_temporary_files_of_a_killed_process_are_not_listed_and_are_swept(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("paper/ada/x.png", b"x")
    (tmp_path / "paper/ada/.x.png.tmp-1-abcd").write_bytes(b"half")
    (tmp_path / ".plan.json.tmp-1-abcd").write_bytes(b"half")
    assert store.listing() == {"paper/ada/x.png": 1}
    assert store.sweep() == 2
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["x.png"]
    assert store.sweep() == 0


def test_in_a_given_folder_links_to_files_are_listed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/1").write_bytes(b"four")
    (tmp_path / "names").mkdir()
    (tmp_path / "names/a.safetensors").symlink_to(tmp_path / "blobs/1")
    (tmp_path / "names/gone").symlink_to(tmp_path / "nothing")
    (tmp_path / "names/circle").symlink_to(tmp_path / "names")
    store = given_folder(str(tmp_path / "names"))
    assert store.listing() == {"a.safetensors": 4} and store.read("a.safetensors") == b"four"


def test_one_listing_asks_remote_storage_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"memory://{uuid.uuid4().hex}")
    for number in range(5):
        store.write(f"paper/p{number}/receipt.json", b"{}")
    asked = []
    assert isinstance(store.files, ObjectFiles)
    find = store.files.filesystem.find
    monkeypatch.setattr(store.files.filesystem, "find", lambda *a, **k: asked.append(a) or find(*a, **k))
    assert len(store.listing()) == 5
    assert len(asked) == 1


def test_prepare_makes_the_folder_and_leaves_nothing(store: Store) -> None:
    store.prepare()
    assert store.listing() == {}


def test_prepare_names_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in ("file", "file/below"):
        with pytest.raises(OutputError, match=f"{place}: this output folder cannot be written"):
            Store(str(tmp_path / place)).prepare()


def test_prepare_says_why_a_folder_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="no space left on device"):
        Store(str(tmp_path)).prepare()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_lock_keeps_a_second_run_out_and_ends_with_the_first(tmp_path: Path) -> None:
    first, second = Store(str(tmp_path)), Store(str(tmp_path))
    with first.locked():
        with pytest.raises(OutputError, match=rf"in use by process {os.getpid()} on "), second.locked():
            pass
        with pytest.raises(OutputError, match="in use by process"), second.locked():
            pass
    with second.locked():
        pass


def test_the_lock_ends_when_a_run_fails(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(RuntimeError, match="boom"), store.locked():
        raise RuntimeError("boom")
    with store.locked():
        assert store.read("_state/run.lock") == f"process {os.getpid()} on {os.uname().nodename}".encode()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense://x/y", "nonsense:// is not read here"),
        ("https://example.org/x", "is a web address"),
        ("zip://a.png::s3://b/x.zip", "a chain of URLs"),
        ("simplecache::http://169.254.169.254/latest", "a chain of URLs"),
        ("memory://bucket/out?token=hush", "had a query"),
        ("s3://key:hush@bucket/out", "had credentials"),
        ("s3://bucket/../other", "has .. in it"),
    ],
)
def test_an_address_that_is_not_for_us_is_a_request_error_without_its_secret(url: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        Store(url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(("url", "extra"), [("s3://bucket/x", "s3"), ("abfs://bucket/x", "azure"), ("gs://b/x", "gcs")])
def test_a_scheme_without_its_package_names_the_extra(url: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(RequestError, match=f"pip install 'crossinit-batch\\[{extra}\\]'"):
        Store(url)


def test_a_local_path_is_never_taken_for_a_chain_of_urls(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "a::b"))
    store.write("x", b"1")
    assert (tmp_path / "a::b/x").read_bytes() == b"1"


def test_a_source_is_read_from_a_path_or_a_url(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"local")
    assert read_source(str(tmp_path / "a.png")) == b"local"
    Store("memory://sources").write("a.png", b"remote")
    assert read_source("memory://sources/a.png") == b"remote"
    for missing in (str(tmp_path / "b.png"), "memory://sources/b.png"):
        with pytest.raises(FileNotFoundError):
            read_source(missing)
