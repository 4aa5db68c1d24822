from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossinit_batch.layout import RESERVED_NAMES
from crossinit_batch.manifest.naming import id_of, problem_of_id, problem_of_method_name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a/b.jpg", "b"),
        ("a/b.v2.jpg", "b.v2"),
        ("Zoë K..jpg", "Zo--K."),
        ("Zoe\u0308.jpg", "Zo-"),
        ("_-.x.jpg", "x"),
        ("s3://b/c d.png", "c-d"),
        ("人.jpg", ""),
        ("..jpg", ""),
    ],
)
def test_the_id_that_a_file_name_gives(file: str, name: str) -> None:
    assert id_of(file) == name


@given(st.text(min_size=1))
def test_an_id_is_a_folder_name_on_every_system(text: str) -> None:
    made = id_of(text)
    assert made == "" or made[0].isalnum()
    if problem_of_id(made) is None:
        assert made.isascii() and len(made) <= 64 and not set(made) & set('/\\:*?"<>| \0') and made[-1] != "."


@pytest.mark.parametrize("text", ["a", "0", "A.b_c-D", "a" * 64, "console", "com10", "nul-1"])
def test_names_that_can_be_ids(text: str) -> None:
    assert problem_of_id(text) is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "it is empty"),
        ("a\n", "must begin with a letter or digit"),
        (".a", "must begin with a letter or digit"),
        ("é", "must begin with a letter or digit"),
        ("a" * 65, "64 at most"),
        ("a.", "ends with a dot"),
        ("CON", "a device on Windows"),
        ("lpt9.txt", "a device on Windows"),
    ],
)
def test_names_that_can_be_no_ids(text: str, part: str) -> None:
    assert part in str(problem_of_id(text))
    assert problem_of_method_name(text) == problem_of_id(text)


def test_a_method_is_lower_case_and_not_a_name_of_the_output_folder() -> None:
    assert problem_of_method_name("no-reg.2") is None
    assert "must be lower case: no-reg" in str(problem_of_method_name("No-Reg"))
    named = [problem_of_method_name(name) for name in sorted(RESERVED_NAMES) if name[0] != "_"]
    assert named and all("the output folder needs itself" in str(problem) for problem in named)
