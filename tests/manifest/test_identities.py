from __future__ import annotations

from pathlib import Path

import pytest

from crossinit_batch.errors import ManifestError
from tests.helpers import manifest_folder
from tests.helpers.manifest_folder import check_mistake, ids, load, problems

folder = manifest_folder.folder


def test_with_an_id_all_files_are_one_person_each_once(folder: Path) -> None:
    manifest = load(folder, "identities:\n- id: ada\n  images: [photos/p10.jpg, photos/p*.jpg]\n")
    assert [Path(path).name for path in manifest.identities[0].photographs] == ["p10.jpg", "p2.jpg"]


def test_limit_takes_the_first_of_an_entry(folder: Path) -> None:
    text = "identities:\n- {images: [photos/p*, photos/ada.jpg], limit: 2}\n"
    text += "- {images: photos/*, id: x, limit: 1}\n"
    manifest = load(folder, text)
    assert ids(manifest) == ["p2", "p10", "x"]
    assert len(manifest.identities[-1].photographs) == 1


MISTAKES = [
    ("identities: [{images: photos/ada.jpg, id: ../x}]", 1, 43, "must begin with"),
    ("identities: [{images: photos/ada.jpg, id: a/b}]", 1, 43, "must begin with"),
    ("identities: [{images: photos/ada.jpg, id: -rf}]", 1, 43, "must begin with"),
    ("identities: [{images: photos/ada.jpg, id: x.}]", 1, 43, "ends with a dot"),
    ("identities: [{images: photos/ada.jpg, id: con}]", 1, 43, "a device on Windows"),
    ("identities: [{images: photos/ada.jpg, id: COM1.x}]", 1, 43, "a device on Windows"),
    (f"identities: [{{images: photos/ada.jpg, id: {'a' * 65}}}]", 1, 43, "64 at most"),
    (
        "identities:\n- photos/ada.jpg\n- {images: photos/p2.jpg, id: ADA}",
        3,
        31,
        "differs only in case from 'ada' on line 2",
    ),
    (
        "identities:\n- photos/ada.jpg\n- photos/sub/deep/ada.jpg",
        3,
        3,
        "is also used on line 2 (from 'photos/ada.jpg')",
    ),
    (
        "identities:\n- {images: photos/p2.jpg, id: a}\n- {images: photos/p2.jpg, id: a}",
        3,
        31,
        "is also used on line 2",
    ),
]


@pytest.mark.parametrize(("text", "line", "column", "part"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_at_its_place(folder: Path, text: str, line: int, column: int, part: str) -> None:
    check_mistake(folder, text, line, column, part)


def test_many_repeated_ids_of_one_entry_are_summed_up(folder: Path) -> None:
    (folder / "many").mkdir()
    for number in range(20):
        (folder / "many" / f"{number}.jpg").touch()
    found = problems(folder, "identities: ['many/*', 'many/*']")
    assert len(found) == 6 and "and 15 more files" in str(ManifestError(found))


def test_a_file_name_that_gives_no_id_asks_for_one(folder: Path) -> None:
    (folder / "人.jpg").touch()
    (found,) = problems(folder, "identities: [人.jpg]")
    assert found.message.endswith("give id:")


def test_a_bad_id_is_no_reason_to_doubt_the_next(folder: Path) -> None:
    text = "identities:\n- {images: photos/ada.jpg, id: CON}\n- photos/eve.PNG\n- photos/p2.jpg\n"
    assert [problem.line for problem in problems(folder, text)] == [2]
