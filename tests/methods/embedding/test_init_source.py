from __future__ import annotations

from pathlib import Path

import pytest

from crossinit_batch.errors import ManifestError
from crossinit_batch.methods.embedding.names import bundled_names, init_parts, texts_of
from crossinit_batch.methods.embedding.settings import InitSettings
from crossinit_batch.storage import text_file


def test_texts_are_words_or_the_users_names_or_the_bundled_ones(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(b"\xef\xbb\xbf# ours\nAda  Lovelace\n")
    assert texts_of(InitSettings(words=("person",))) == ("person",)
    assert texts_of(InitSettings(names=str(path))) == ("Ada Lovelace",)
    assert texts_of(InitSettings()) == bundled_names()


def test_the_same_names_in_another_file_decide_the_same(tmp_path: Path) -> None:
    for name, text in (("a.txt", "Ada L\n"), ("b.txt", "# b\nAda  L\n"), ("c.txt", "Eve L\n")):
        (tmp_path / name).write_text(text)
    a, b, c = (init_parts(InitSettings(names=str(tmp_path / f"{name}.txt"))) for name in "abc")
    assert a == b != c and a["source"] == "names"
    words = init_parts(InitSettings(words=("person",), vectors=3))
    assert words == init_parts(InitSettings(words=("person",))) and words["vectors"] is None


@pytest.mark.parametrize(("name", "part"), [("no.txt", "there is no such file"), (".", "this is a folder")])
def test_a_names_file_that_is_not_there_is_named(tmp_path: Path, name: str, part: str) -> None:
    path = str(tmp_path / name)
    with pytest.raises(ManifestError) as caught:
        texts_of(InitSettings(names=path))
    assert str(caught.value).startswith(f"{path}:1:1: {part}")


def test_a_names_file_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(ManifestError, match=r"a/names\.txt:1:1: cannot be read: Not a directory"):
        texts_of(InitSettings(names=str(tmp_path / "a" / "names.txt")))


def test_a_names_file_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:  # by hand, since root may read everything
        patch.setattr("os.open", denied)
        with pytest.raises(ManifestError, match=r"mine\.txt:1:1: cannot be read: Permission denied"):
            texts_of(InitSettings(names=str(tmp_path / "mine.txt")))


def test_a_huge_names_file_is_named_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "MAX_BYTES", 100)
    path = tmp_path / "huge.txt"
    path.write_bytes(b"Ada Lovelace\n" * 8)
    with pytest.raises(ManifestError, match=r"huge\.txt:1:1: it is too large"):
        texts_of(InitSettings(names=str(path)))
