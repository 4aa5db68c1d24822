"""Links in a folder that came from somebody else: nothing is read, written, removed or moved through one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from crossinit_batch.errors import JobError, OutputError, RefusedFile
from crossinit_batch.storage import reading
from crossinit_batch.storage.locks import part_at_work
from crossinit_batch.storage.store import Store, given_folder


@pytest.fixture(params=[True, False], ids=["by descriptor", "by path"])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With and without `dir_fd`, which Windows does not have."""
    monkeypatch.setattr(reading, "STEPS", request.param)
    return bool(request.param)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the output folder, with a file that nothing may touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_bytes(b"precious")
    return folder


LINKS: dict[str, Callable[[Path, Path], Path]] = {
    "file": lambda out, outside: link(out / "a/b", outside / "precious"),
    "folder": lambda out, outside: link(out / "a", outside).parent / "a/precious",
    "folder above": lambda out, outside: link(out / "a", outside.parent).parent / "a/outside/precious",
    "relative": lambda out, _: link(out / "a/b", Path("../../outside/precious")),
    "chain": lambda out, outside: link(out / "a/b", link(out / "c", outside / "precious")),
    "inside": lambda out, outside: link(out / "a/b", kept(out / "own", outside)),
    "dangling": lambda out, outside: link(out / "a/b", outside / "nothing"),
    "itself": lambda out, _: link(out / "a/b", out / "a/b"),
    "dangling folder": lambda out, outside: link(out / "a", outside / "nowhere").parent / "a/precious",
    "the root": lambda out, _: link(out / "a", out).parent / "a/own",
}


def link(path: Path, target: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def kept(path: Path, _outside: Path) -> Path:
    path.write_bytes(b"own")
    return path


@pytest.mark.parametrize("kind", LINKS)
def test_nothing_is_done_through_a_link(tmp_path: Path, outside: Path, kind: str, steps: bool) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "own").write_bytes(b"own")
    name = LINKS[kind](out, outside).relative_to(out).as_posix()
    store = Store(str(out))
    uses: list[Callable[[], object]] = [
        lambda: store.read(name),
        lambda: store.write(name, b"new"),
        lambda: store.create(name, b"new"),
        lambda: store.remove(name),
        lambda: store.set_aside(name),
    ]
    before = tree(tmp_path)
    for use in uses:
        with pytest.raises(RefusedFile, match="is a symbolic link, which is never followed") as caught:
            use()
        assert str(out) in caught.value.message and "Move it away" in caught.value.hint
    assert store.read_json(name) is None
    assert store.listing() == {"own": 3}
    assert "is a symbolic link, which is never followed" in store.unfit().values()
    store.sweep()
    after = tree(tmp_path)
    assert {path: what for path, what in after.items() if "_state" not in path} == before
    assert [path for path in after if "_state" in path and not path.endswith(("_state", "aside"))] == []


def tree(folder: Path) -> dict[str, str]:
    """Everything below a folder: links by where they lead, files by their content."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_a_refusal_stops_a_command_and_fails_one_job(tmp_path: Path) -> None:
    assert issubclass(RefusedFile, OutputError) and issubclass(RefusedFile, JobError)
    assert RefusedFile("x").exit_code == 2


def test_the_root_may_be_a_link(tmp_path: Path, steps: bool) -> None:
    (tmp_path / "real").mkdir()
    store = Store(str(link(tmp_path / "out", tmp_path / "real")))
    store.prepare()
    with store.locked():
        store.write("a/b", b"x")
    assert store.read("a/b") == b"x" and (tmp_path / "real/a/b").read_bytes() == b"x"
    store.remove("a/b")
    assert not (tmp_path / "real/a").exists()


def test_a_link_named_like_a_temporary_file_is_not_swept(tmp_path: Path, outside: Path) -> None:
    link(tmp_path / "out/.a.tmp-1-x", outside / "precious")
    link(tmp_path / "out/sub", outside)
    (outside / ".b.tmp-1-x").write_bytes(b"half")
    store = Store(str(tmp_path / "out"))
    assert store.sweep() == 0
    assert (outside / ".b.tmp-1-x").exists() and (tmp_path / "out/.a.tmp-1-x").is_symlink()


@pytest.mark.parametrize("what", ["lock", "part", "state", "dangling"])
def test_no_lock_is_taken_through_a_link(tmp_path: Path, outside: Path, what: str, steps: bool) -> None:
    out = tmp_path / "out"
    if what == "state":
        (outside / "run.lock").write_bytes(b"precious")
        link(out / "_state", outside)
    else:
        target = outside / ("nothing" if what == "dangling" else "precious")
        link(out / "_state" / ("shard-1-of-2.lock" if what == "part" else "run.lock"), target)
    before = tree(tmp_path)
    with pytest.raises(RefusedFile, match="is a symbolic link"), Store(str(out)).locked("shard-1-of-2"):
        pass
    after = tree(tmp_path)
    after.pop("out/_state/run.lock", None), before.pop("out/_state/run.lock", None)
    assert after == before
    assert part_at_work(str(out), lambda _part: True) is None if what != "state" else True


@pytest.mark.parametrize("content", [b"precious key material", b"proces", b"\xff\xfe", b"Process 1 on x", b"\n"])
def test_a_lock_with_somebody_elses_words_is_not_emptied(tmp_path: Path, content: bytes) -> None:
    """As a hard link to another file, which no opening tells from a file of the folder's own."""
    (tmp_path / "precious").write_bytes(content)
    (tmp_path / "out/_state").mkdir(parents=True)
    (tmp_path / "out/_state/run.lock").hardlink_to(tmp_path / "precious")
    with pytest.raises(RefusedFile, match="is no lock of crossinit"), Store(str(tmp_path / "out")).locked():
        pass
    assert (tmp_path / "precious").read_bytes() == content


def test_the_lock_that_a_killed_run_left_is_taken(tmp_path: Path) -> None:
    (tmp_path / "_state").mkdir()
    (tmp_path / "_state/run.lock").write_text("process 1 on elsewhere, which has a long name")
    with Store(str(tmp_path)).locked():
        assert (tmp_path / "_state/run.lock").read_text() == f"process {os.getpid()} on {os.uname().nodename}"
    assert (tmp_path / "_state/run.lock").read_bytes() == b""


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_lock_that_is_no_file_is_named_at_once(tmp_path: Path, kind: str) -> None:
    lock = tmp_path / "_state/run.lock"
    lock.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(lock)
    elif kind == "folder":
        lock.mkdir()
    else:
        pytest.importorskip("socket").socket(1).bind(str(lock))
    with pytest.raises((OutputError, IsADirectoryError), match="run.lock"), Store(str(tmp_path)).locked():
        pass


def test_a_folder_that_becomes_a_link_while_it_is_looked_through_is_not_entered(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checked and opened at once: between a look and an opening there is always time."""
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "a/x").write_bytes(b"x")
    enter = reading.Place.enter

    def late(self: reading.Place, name: str, *, make: bool = False) -> reading.Place:
        if name == "a" and not (out / "a").is_symlink():
            (out / "a").rename(out / "b")
            (out / "a").symlink_to(outside)
        return enter(self, name, make=make)

    monkeypatch.setattr(reading.Place, "enter", late)
    store = Store(str(out))
    assert "a/precious" not in store.listing()
    with pytest.raises(RefusedFile):
        store.write("a/precious", b"new")
    assert (outside / "precious").read_bytes() == b"precious"


def test_links_are_followed_in_a_given_folder_and_not_in_ours(tmp_path: Path, outside: Path) -> None:
    link(tmp_path / "given/a", outside / "precious")
    assert given_folder(str(tmp_path / "given")).read("a") == b"precious"
    (tmp_path / "given/plan.json").write_bytes(b"{}")
    ours = given_folder(str(tmp_path / "given"))
    assert ours.listing() == {"plan.json": 2}
    with pytest.raises(RefusedFile):
        ours.read("a")


def test_folders_without_end_are_looked_through_to_a_depth(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(80):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "x").write_bytes(b"x")
    (tmp_path / "d/y").write_bytes(b"y")
    assert Store(str(tmp_path)).listing() == {"d/y": 1}
