from __future__ import annotations

from pathlib import Path

import pytest

from crossinit_batch.errors import ManifestError
from crossinit_batch.storage import text_file
from crossinit_batch.storage.text_file import position, read_bytes, read_text


@pytest.mark.parametrize(
    ("data", "line", "column", "part"),
    [
        (b"a: 1\nb: \xe9", 2, 4, "not UTF-8 (byte 0xe9)"),
        ("a: 1".encode("utf-16"), 1, 1, "UTF-16"),
        (b"\xef\xbb\xbfa: \xff", 1, 4, "not UTF-8 (byte 0xff)"),
        (b"\xef\xbb\xbfa: 1\nb: \xe9", 2, 4, "not UTF-8 (byte 0xe9)"),
        ("\ufeffé: 人 ".encode() + b"\xe9", 1, 6, "not UTF-8 (byte 0xe9)"),
        (b"\xef\xbb\xbf\xff", 1, 1, "not UTF-8 (byte 0xff)"),
    ],
)
def test_other_encodings_are_refused_at_their_place(
    tmp_path: Path, data: bytes, line: int, column: int, part: str
) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(data)
    with pytest.raises(ManifestError) as caught:
        read_text(path, "m.yaml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (line, column) and part in problem.message


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, part in (
        (tmp_path, "folder"),
        (tmp_path / "no", "no such file"),
        (Path("a\0b"), "cannot be read"),
    ):
        with pytest.raises(ManifestError, match=part):
            read_text(path, "m")
    monkeypatch.setattr(text_file, "MAX_BYTES", 10)
    (tmp_path / "big").write_bytes(b"x" * 11)
    with pytest.raises(ManifestError, match="it is too large"):
        read_text(tmp_path / "big", "m")


def test_bytes_come_as_they_are_and_text_without_its_mark(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa\r\n")
    assert read_bytes(tmp_path / "a", "a") == b"\xef\xbb\xbfa\r\n"
    assert read_text(tmp_path / "a", "a") == "a\r\n"


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(ManifestError, match=r"^zero:1:1: it is a device, not a file$"):
        read_bytes(Path("/dev/zero"), "zero")


def test_positions_count_from_one() -> None:
    assert [position("ab\nc", offset) for offset in range(5)] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
