"""A folder with pictures, local and in memory, and what loads a manifest there or tells its mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from crossinit_batch.errors import ManifestError, Problem
from crossinit_batch.manifest.load import Manifest, load_manifest

ADA = "identities: [photos/ada.jpg]\n"
FILES = (
    "ada.jpg",
    "eve.PNG",
    "p2.jpg",
    "p10.jpg",
    ".hidden.jpg",
    "notes.txt",
    "sub/deep/ada.jpg",
    "sub/x.webp",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with photos/, a names file and a prompts file."""
    for name in FILES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "photos" / "folder.jpg").mkdir()
    (tmp_path / "names.txt").write_text("Ada Lovelace\n")
    (tmp_path / "mine.txt").write_text("a {} b\n")
    return tmp_path


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    for name in ("a.jpg", "b.png", ".c.jpg", "notes.txt", "more/d.jpg"):
        system.pipe(f"/bucket/{name}", b"x")
    yield system
    system.rm("/bucket", recursive=True)


def load(folder: Path, text: str, name: str = "m.yaml") -> Manifest:
    (folder / name).write_bytes(text.encode())
    return load_manifest(folder / name)


def problems(folder: Path, text: str) -> tuple[Problem, ...]:
    with pytest.raises(ManifestError) as caught:
        load(folder, text)
    return caught.value.problems


def ids(manifest: Manifest) -> list[str]:
    return [identity.id for identity in manifest.identities]


def check_mistake(folder: Path, text: str, line: int, column: int, part: str) -> None:
    """The text has one mistake, and its message names file and place."""
    found = problems(folder, text)
    assert [(problem.line, problem.column) for problem in found] == [(line, column)]
    assert part in str(found[0])
    assert str(found[0]).startswith(f"{folder / 'm.yaml'}:{line}:{column}: ")
