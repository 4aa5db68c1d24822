"""Values are quoted, words that were meant are suggested, and no credential and no control character gets through."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from crossinit_batch.messages import (
    complaint,
    did_you_mean,
    printable,
    printable_lines,
    quoted,
    redact_url,
    redact_urls,
    unknown,
    visible,
)


def test_shown_hides_credentials_and_cuts() -> None:
    assert "secret" not in quoted("s3://key:secret@bucket/x")
    assert len(quoted("x" * 1000)) < 100


def test_a_word_that_is_near_is_suggested() -> None:
    assert did_you_mean("Papr", ("paper", "other")) == "paper"
    assert did_you_mean("zzz", ("paper",)) is None and did_you_mean("paper" * 13, ("paper" * 13,)) is None
    assert unknown("papr", ("paper",), "set") == "unknown set 'papr': did you mean paper?"
    assert unknown("zzz", ("paper", "x"), "set") == "unknown set 'zzz': there are paper, x"


class Settings(BaseModel):
    number: Annotated[int, Field(ge=1, multiple_of=2)] = 2
    mode: Literal["fast", "slow"] = "fast"
    words: tuple[str, ...] = Field(("a",), min_length=1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"number": "x"}, "expected a whole number, found IT"),
        ({"number": 0}, "expected at least 1, found IT"),
        ({"number": 3}, "expected a multiple of 2, found IT"),
        ({"mode": "fsat"}, "expected one of fast, slow, found IT: did you mean fast?"),
        ({"mode": "zzz"}, "expected one of fast, slow, found IT"),
        ({"words": []}, "the list is empty"),
        ({"words": 3}, "Input should be a valid tuple, found IT"),
    ],
)
def test_complaints_of_pydantic_are_said_in_our_words(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(values)
    assert [complaint(detail, "IT") for detail in caught.value.errors()] == [words]


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("s3://key:SECRET@bucket/out/a", "s3://bucket/out/a"),
        ("s3://key:SEC/RET@bucket/out", "s3://bucket/out"),
        ("s3://key:SEC?R#ET@bucket/out", "s3://bucket/out"),
        ("s3://key:SEC@RET@bucket/out", "s3://bucket/out"),
        ("https://user:SECRET@host:8443/a?X-Amz-Signature=SECRET#SECRET", "https://host:8443/a"),
        ("https://SECRET@github.com/org/repo.git", "https://github.com/org/repo.git"),
        ("https://[::1]:9000/bucket?token=SECRET", "https://[::1]:9000/bucket"),
        ("https://user:SECRET", "https://user"),
        ("zip://*.png::https://u:SECRET@host/x.zip?s=SECRET", "zip://*.png::https://host/x.zip"),
        ("simplecache::s3://k:SECRET@b/x", "simplecache::s3://b/x"),
        (
            "abfs://container@account.dfs.core.windows.net/x",
            "abfs://container@account.dfs.core.windows.net/x",
        ),
        ("s3://bucket/a@b/c", "s3://bucket/a@b/c"),
        ("http://localhost:9000/a@b", "http://localhost:9000/a@b"),
        ("memory://x", "memory://x"),
        ("out/celeba #1?", "out/celeba #1?"),
        ("/data/me@home/out", "/data/me@home/out"),
        ("", ""),
    ],
)
def test_user_info_query_and_fragment_go(url: str, redacted: str) -> None:
    assert redact_url(url) == redacted
    assert "SECRET" not in redact_url(url)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("could not read 'https://h/x?sig=SECRET', try again", "could not read 'https://h/x', try again"),
        ("from s3://k:SECRET@b/x to (s3://k:SECRET@c/y).", "from s3://b/x to (s3://c/y)."),
        ("s3://k:SECRET@a,s3://v:SECRET@b", "s3://a,s3://b"),
        ("a {} person: 3 of 4?", "a {} person: 3 of 4?"),
    ],
)
def test_urls_in_a_sentence_are_redacted(text: str, redacted: str) -> None:
    assert redact_urls(text) == redacted


secrets = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=12).map("QQ".__add__)


@given(secrets, st.sampled_from(["{s}", "a/{s}", "{s}+/=", "a?{s}", "a#{s}", "{s}@", "a:{s}"]))
def test_no_password_survives_wherever_its_odd_characters_stand(secret: str, form: str) -> None:
    url = f"https://user:{form.format(s=secret)}@host/path?key={secret}#{secret}"
    assert secret not in redact_url(url)
    assert secret not in redact_urls(f"error: {url}: no such file")
    assert redact_url(url) == "https://host/path"


@given(st.text())
def test_redaction_and_escapes_never_raise_and_settle(text: str) -> None:
    assert redact_urls(redact_urls(text)) == redact_urls(text)
    assert visible(visible(text)) == visible(text)
    assert "\n" not in printable(text) and "\x1b" not in printable(text)


def test_a_long_word_without_a_url_takes_no_long() -> None:
    word = "a" * 200_000
    assert redact_urls(word) == word


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp", "\\u202egnp"),
        ("\u2028", "\\u2028"),
        ("\udc80", "\\udc80"),
        ("Zoë 👩‍🔬 [red]", "Zoë 👩‍🔬 [red]"),
    ],
)
def test_control_characters_become_visible(text: str, escaped: str) -> None:
    assert visible(text) == escaped
    visible(text).encode("utf-8")


def test_lines_of_foreign_text_lose_blank_ones_only() -> None:
    assert printable_lines("out of memory\r\n\n  at s3://k:S@b/x\x07\n") == [
        "out of memory",
        "  at s3://b/x\\x07",
    ]
    assert printable_lines(" \n") == []
