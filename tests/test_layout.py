from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossinit_batch import layout
from crossinit_batch.methods.registry import presets
from crossinit_batch.prompts import PROMPT_SETS, Prompt


def test_the_places_of_the_output_folder() -> None:
    prompt = Prompt("a {} person on the Beach, 8K!")
    assert layout.artifact_folder("paper", "ada") == "paper/ada"
    assert layout.images_folder("paper", "ada") == "paper/ada/images"
    assert layout.image_name(3, prompt, 12) == "03-a-person-on-the-beach-8k/012.png"
    assert layout.prepared_file("ab" * 32) == "initial/abababababababab.safetensors"
    assert layout.checkpoint("cd" * 32) == "_state/checkpoints/cdcdcdcdcdcdcdcd.safetensors"
    assert layout.source_thumbnail("ada", "0123456789") == "gallery/sources/ada-01234567.jpg"


@given(st.text().map(lambda text: f"{{}} {text}"), st.integers(0, 5000), st.integers(0, 999))
def test_a_picture_of_any_prompt_has_a_plain_short_name(text: str, number: int, index: int) -> None:
    name = layout.image_name(number, Prompt(text), index)
    assert re.fullmatch(r"\d{2,4}-[a-z0-9][a-z0-9-]{0,47}/\d{3}\.png", name)


def test_pictures_of_the_paper_have_names_of_their_own() -> None:
    names = {layout.image_name(n, prompt, i) for n, prompt in enumerate(PROMPT_SETS["paper"]) for i in range(32)}
    assert len(names) == 20 * 32


@pytest.mark.parametrize(
    "name", [layout.MANIFEST, layout.PLAN, layout.FAILURES, layout.REPORT, layout.GALLERY, layout.ANALYSIS,
             layout.STUDY, layout.STUDY_TALLY, layout.study_key("0"), layout.LOCK,
             layout.figure("words", "png"),
             layout.CHECKPOINTS, layout.ASIDE, layout.prepared_file("0" * 64)]
)  # fmt: skip
def test_no_method_can_take_the_place_of_a_file_of_ours(name: str) -> None:
    assert PurePosixPath(name).parts[0] in layout.RESERVED_NAMES
    assert not layout.RESERVED_NAMES & presets().keys()
