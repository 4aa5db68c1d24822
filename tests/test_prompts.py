from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossinit_batch.prompts import PROMPT_SETS, SLOT, TRAINING_TEMPLATES, Prompt, problem_of


def test_the_paper_has_twenty_prompts_five_a_category() -> None:
    prompts = PROMPT_SETS["paper"]
    assert len(set(prompts)) == 20
    assert Counter(prompt.category for prompt in prompts) == dict.fromkeys(
        ("expression", "background", "interaction", "style"), 5
    )


def test_built_in_prompts_and_templates_are_sound() -> None:
    texts = [prompt.text for prompts in PROMPT_SETS.values() for prompt in prompts]
    texts += [template for templates in TRAINING_TEMPLATES.values() for template in templates]
    assert [text for text in texts if problem_of(text)] == []


def test_training_templates_have_the_released_counts() -> None:
    assert len(TRAINING_TEMPLATES["object"]) == len(set(TRAINING_TEMPLATES["object"])) == 27
    assert len(TRAINING_TEMPLATES["face"]) == 81
    assert len(set(TRAINING_TEMPLATES["face"])) == 57
    assert all("face of {} person" in template for template in TRAINING_TEMPLATES["face"])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty"),
        (" \u3000 ", "empty"),
        ("a person", "no {}"),
        ("{name} and {0.__class__}", "no {}"),
        ("{} and {}", "2 times {}"),
        ("a {}\nb", "line break"),
        ("a \x1b[31m {}", "control character"),
        ("{}" + "x" * 2000, "2002 characters"),
    ],
)
def test_problem_of_says_what_is_wrong(text: str, part: str) -> None:
    assert part in (problem_of(text) or "")


@pytest.mark.parametrize("text", ["{}", "100% {} {name} { }", "ein Foto von {} – schön", "[red] {} <b>"])
def test_problem_of_accepts_other_braces_and_scripts(text: str) -> None:
    assert problem_of(text) is None


def test_fill_replaces_the_slot_literally() -> None:
    assert Prompt("{x} {} {0} %s").fill("<ada> {}") == "{x} <ada> {} {0} %s"


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("a photo of a {} person", "a-photo-of-a-person"),
        ("{} on the Beach, RAW!", "on-the-beach-raw"),
        ("schöne {}", "schone"),
        ("{} 人", "prompt"),
        ("{} ../../etc/passwd", "etc-passwd"),
    ],
)
def test_slug_is_a_file_name(text: str, slug: str) -> None:
    assert Prompt(text).slug == slug


@given(st.text())
def test_slug_is_always_a_short_file_name(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?", Prompt(text).slug)


@given(st.text())
def test_a_prompt_without_problem_has_one_slot(text: str) -> None:
    if problem_of(text) is None:
        assert text.count(SLOT) == 1 and Prompt(text).fill("x").count(SLOT) <= 1
