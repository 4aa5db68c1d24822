from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from crossinit_batch.errors import PhotographError
from crossinit_batch.plan.photographs import hashed, photograph_bytes
from crossinit_batch.storage.store import Store


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("sparse", "too large: 42,949.7 MB"),
        ("pipe", "it is a named pipe, not a file"),
        ("link to /dev/zero", "it is a device, not a file"),
        ("folder", "is a directory"),
        ("link to itself", "too many levels"),
        ("just too large", "too large: 100.0 MB"),
    ],
)
def test_what_is_no_photograph_is_said_at_once_and_fails_alone(tmp_path: Path, kind: str, words: str) -> None:
    path, good = tmp_path / "a.jpg", tmp_path / "b.jpg"
    good.write_bytes(b"b")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind.startswith("link"):
        path.symlink_to("/dev/zero" if "zero" in kind else path)
    else:
        with path.open("wb") as file:
            file.truncate(40 * 2**30 if kind == "sparse" else 100_000_001)
    began = time.monotonic()
    found = hashed([str(path), str(good)])
    assert time.monotonic() - began < 1
    assert words in (found[str(path)].problem or "") and not found[str(good)].problem
    with pytest.raises(PhotographError, match=r"a\.jpg: cannot be read: "):
        photograph_bytes(found[str(path)])


def test_a_photograph_in_a_bucket_has_the_same_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossinit_batch.images.photograph.MAX_BYTES", 10)
    Store("memory://large").write("a.jpg", b"x" * 11)
    (found,) = hashed(["memory://large/a.jpg"]).values()
    assert "it is too large" in found.problem
