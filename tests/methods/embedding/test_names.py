"""The bundled names against CLIP's real vocabulary, and names files as users write them."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from crossinit_batch.errors import ManifestError
from crossinit_batch.methods.embedding.names import LONGEST, MOST_PROBLEMS, bundled_names, read_names
from tests.helpers.clip_vocabulary import INSTALL, VOCABULARY_SIZE, clip_vocabulary_path, real_clip_tokenizer


@pytest.fixture(scope="module")
def clip() -> CLIPTokenizer:
    if clip_vocabulary_path() is None:
        pytest.skip(f"CLIP's vocabulary is not installed: {INSTALL}")
    return real_clip_tokenizer()


def problems_of(data: bytes) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read_names(data, "mine.txt")
    return [str(problem) for problem in caught.value.problems]


def test_the_vocabulary_is_that_of_clip(clip: CLIPTokenizer) -> None:
    assert len(clip) == VOCABULARY_SIZE
    assert (clip.bos_token_id, clip.eos_token_id, clip.pad_token_id) == (49406, 49407, 49407)
    assert clip("A photo of  a CAT").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert clip.tokenize("Saoirse") == ["sa", "oir", "se</w>"]


def test_every_word_of_the_bundled_names_is_one_token(clip: CLIPTokenizer) -> None:
    vocabulary = clip.get_vocab()
    wrong = {}
    for name in bundled_names():
        expected = [f"{word.lower()}</w>" for word in name.split()]
        ids = clip(name, add_special_tokens=False).input_ids
        if clip.tokenize(name) != expected or ids != [vocabulary.get(token) for token in expected]:
            wrong[name] = clip.tokenize(name)
    assert wrong == {}


def test_the_bundled_list() -> None:
    names = bundled_names()
    assert len(names) == 691
    assert len({name.casefold() for name in names}) == 691
    assert {len(name.split(" ")) for name in names} == {2}
    assert all(word.isalpha() and word[0].isupper() for name in names for word in name.split(" "))
    assert list(names) == sorted(names)
    assert bundled_names() is names


def test_the_bundled_list_leans_on_no_single_word() -> None:
    columns = list(zip(*(name.split() for name in bundled_names()), strict=True))
    assert all(max(map(words.count, set(words))) <= 7 for words in columns)
    assert all(len(set(words)) >= 500 for words in columns)


def test_reading_names_needs_no_torch() -> None:
    code = (
        "import sys, crossinit_batch.methods.embedding.names as n; n.bundled_names(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_users_file() -> None:
    data = "# ours\n\n  Ada \t Lovelace \r\nZoë Kravitz\r  # none\n\u00a0\n유나 김\nPelé".encode()
    expected = ("Ada Lovelace", "Zoë Kravitz", "유나 김", "Pelé")
    assert read_names(data, "mine.txt") == expected
    assert read_names(b"\xef\xbb\xbf" + data, "mine.txt") == expected


def test_joined_files_with_marks_inside() -> None:
    part = "\ufeffAda Lovelace\n".encode()
    assert read_names(part + part, "mine.txt") == ("Ada Lovelace", "Ada Lovelace")


def test_repeats_and_order_are_kept() -> None:
    assert read_names(b"B C\nA B\nB C\n", "mine.txt") == ("B C", "A B", "B C")


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n \r\n\t\n", b"# only\n#a comment\n"])
def test_a_file_without_names(data: bytes) -> None:
    assert problems_of(data) == ["mine.txt:1:1: the file has no names: write one name a line"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_that_is_not_utf8(mark: bytes) -> None:
    latin = mark + "Ada Lovelace\r\nÉé Zoë".encode()[:-1] + b"\xeb Kravitz\n"
    assert problems_of(latin) == ["mine.txt:2:6: the file is not UTF-8 (byte 0xc3): save it as UTF-8"]
    assert problems_of(mark + b"Zo\xeb\n") == ["mine.txt:1:3: the file is not UTF-8 (byte 0xeb): save it as UTF-8"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_utf16_file_is_refused(encoding: str) -> None:
    message = problems_of("Ada Lovelace\n".encode(encoding))[0]
    expected = "not UTF-8 (UTF-16)" if encoding == "utf-16" else "control character (U+0000)"
    assert message.startswith("mine.txt:1:")
    assert expected in message


def test_bad_lines_are_told_all_at_once_with_their_places() -> None:
    data = f"Ada Lovelace\n Bob\x1b[2J Dylan\n\x1c\x1d\n  {'x' * (LONGEST + 1)}\n---\n".encode()
    assert problems_of(data) == [
        "mine.txt:2:5: a control character (U+001B) is in the name: remove it",
        "mine.txt:3:1: a control character (U+001C) is in the name: remove it",
        "mine.txt:4:3: the line has 201 characters, more than 200: write one name a line",
        "mine.txt:5:1: '---' has no letter: write a name, or begin a comment with #",
    ]


def test_the_longest_name_and_an_absurd_line() -> None:
    assert read_names(b"x" * LONGEST, "mine.txt") == ("x" * LONGEST,)
    (message,) = problems_of(b"Ada Lovelace, " * 100_000)
    assert len(message) < 200


def test_a_flood_of_bad_lines_is_cut() -> None:
    messages = problems_of(b"\x00\n" * 1000)
    assert len(messages) == MOST_PROBLEMS + 1
    assert messages[-1] == f"mine.txt:21:1: {1000 - MOST_PROBLEMS} more bad lines from here on"


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore")))
def test_any_bytes_are_names_or_a_manifest_error(data: bytes) -> None:
    try:
        names = read_names(data, "mine.txt")
    except ManifestError as error:
        assert error.problems
        assert all(problem.line >= 1 and problem.column >= 1 for problem in error.problems)
    else:
        assert names
        assert all(name == " ".join(name.split()) and 0 < len(name) <= LONGEST for name in names)
        assert read_names("\n".join(names).encode(), "again.txt") == names
