from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.helpers import manifest_folder
from tests.helpers.manifest_folder import check_mistake, ids, load, problems

folder, memory = manifest_folder.folder, manifest_folder.memory


def test_a_pattern_takes_pictures_in_natural_order(folder: Path) -> None:
    assert ids(load(folder, "identities: [photos/*]")) == ["ada", "eve", "p2", "p10"]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(folder: Path) -> None:
    (folder / "[1].jpg").touch()
    assert load(folder, "identities: [{images: '[1].jpg', id: a}]").identities[0].photographs == (
        str(folder / "[1].jpg"),
    )


def test_a_url_that_is_missing_or_a_folder(folder: Path, memory: Any) -> None:
    found = problems(folder, "identities:\n- memory://bucket/z.jpg\n- memory://bucket/more\n- memory://bucket/*.gif")
    assert [problem.line for problem in found] == [2, 3, 4]
    assert "there is no file" in found[0].message
    assert "is a folder" in found[1].message and "matches no file" in found[2].message


def test_a_file_name_that_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / "q").mkdir()
    Path(str(folder / "q") + "/a\udcff.jpg").touch()
    (found,) = problems(folder, "identities: [q/*.jpg]")
    assert "not UTF-8" in found.message
    str(found).encode()


MISTAKES = [
    ("identities: [photos]", 1, 14, "is a folder: write 'photos/*' for its pictures"),
    ("identities: [photos/nope.jpg]", 1, 14, "there is no file 'photos/nope.jpg'"),
    ("identities: ['nope/*.jpg']", 1, 14, "there is no folder"),
    ("identities: ['photos/z*']", 1, 14, "matches no file"),
    ("identities: ['photos/*.txt']", 1, 14, "matches 1 files, none of them a picture"),
    ("identities: ['a\\b\\0']", 1, 14, "there is no file"),
    (f"identities: [{'x' * 300}]", 1, 14, "there is no file"),
    (f"identities: ['{'x' * 300}*']", 1, 14, "matches no file"),
    ("identities: [/dev/null]", 1, 14, "is not a regular file"),
]


@pytest.mark.parametrize(("text", "line", "column", "part"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_at_its_place(folder: Path, text: str, line: int, column: int, part: str) -> None:
    check_mistake(folder, text, line, column, part)
