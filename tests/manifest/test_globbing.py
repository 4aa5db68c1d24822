from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crossinit_batch.manifest import globbing as listings
from tests.helpers import manifest_folder
from tests.helpers.manifest_folder import ids, load, problems

folder, memory = manifest_folder.folder, manifest_folder.memory


def test_two_stars_are_any_number_of_folders_and_links_are_not_followed(folder: Path) -> None:
    (folder / "photos" / "sub" / "loop").symlink_to(folder / "photos")
    manifest = load(folder, "identities: [{images: 'photos/**/*.jpg', id: all}, 'photos/**/*.webp']")
    names = [Path(path).relative_to(folder).as_posix() for path in manifest.identities[0].photographs]
    assert names == ["photos/ada.jpg", "photos/p2.jpg", "photos/p10.jpg", "photos/sub/deep/ada.jpg"]
    assert ids(manifest) == ["all", "x"]


def test_patterns_match_folders_too_and_a_last_star_star_all_below(folder: Path) -> None:
    manifest = load(folder, "identities: [{images: 'ph*/s?b/**', id: a}]")
    assert [Path(path).name for path in manifest.identities[0].photographs] == ["ada.jpg", "x.webp"]


def test_many_named_files_of_one_folder_are_found(folder: Path) -> None:
    entries = "".join(f"- {{id: a{i}, images: photos/ada.jpg}}\n" for i in range(20))
    assert len(load(folder, f"identities:\n{entries}").identities) == 20
    found = problems(folder, f"identities:\n{entries}- photos/nope.jpg\n- photos/folder.jpg")
    assert [(problem.line, problem.column) for problem in found] == [(22, 3), (23, 3)]


def test_urls_are_listed_by_their_file_system(folder: Path, memory: Any) -> None:
    text = "output: memory://bucket/out/\nidentities: ['memory://bucket/*', {images: 'MEMORY://bucket/**/d.jpg'}]"
    manifest = load(folder, text)
    assert manifest.output == "memory://bucket/out"
    assert [identity.photographs for identity in manifest.identities] == [
        ("memory://bucket/a.jpg",),
        ("memory://bucket/b.png",),
        ("memory://bucket/more/d.jpg",),
    ]


def test_many_named_urls_are_found_by_one_listing(folder: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = []
    ask = listings._ask

    def noted(url: str, question: str, **options: object) -> Any:
        questions.append(question)
        return ask(url, question, **options)

    monkeypatch.setattr(listings, "_ask", noted)
    entries = "".join(f"- {{id: a{i}, images: 'memory://bucket/a.jpg'}}\n" for i in range(50))
    assert len(load(folder, f"identities:\n{entries}").identities) == 50
    assert questions.count("ls") == 1 and len(questions) < 10


def test_a_storage_that_fails_is_an_error_at_its_place(
    folder: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no credentials for s3://k:secret@b/x")

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "info", refuse)
        (found,) = problems(folder, "identities: ['memory://bucket/a.jpg']")
    assert "no credentials" in found.message and "secret" not in found.message
