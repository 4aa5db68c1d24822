from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossinit_batch.errors import ManifestError, RequestError
from crossinit_batch.manifest.prompts import load_prompts
from crossinit_batch.prompts import PROMPT_SETS, Prompt


def problems(folder: Path, name: str, text: str) -> list[str]:
    (folder / name).write_bytes(text.encode())
    with pytest.raises(ManifestError) as caught:
        load_prompts(name, folder)
    return [str(problem) for problem in caught.value.problems]


def test_a_built_in_set_goes_by_its_name(tmp_path: Path) -> None:
    assert load_prompts("paper", tmp_path) == PROMPT_SETS["paper"]


@pytest.mark.parametrize("name", ["p.yaml", "p.YML"])
def test_yaml_has_strings_and_categories(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('- a {} b\n- {prompt: "{} c", category: style}\n- 100% {} [red]\n')
    assert load_prompts(name, tmp_path) == (
        Prompt("a {} b"),
        Prompt("{} c", "style"),
        Prompt("100% {} [red]"),
    )


def test_text_has_a_prompt_a_line(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes("\ufeff# mine\r\n\r\n a {} b \r\n  # no\r\n{} c: {x}".encode())
    assert load_prompts(str(tmp_path / "p.txt"), Path("/nowhere")) == (Prompt("a {} b"), Prompt("{} c: {x}"))


def test_every_bad_line_of_a_text_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path, "p.txt", "a\n{} b\n  {} {}\n\n{} b\n{} \x07\n") == [
        "p.txt:1:1: no {} in 'a': write {} where the person belongs",
        "p.txt:3:3: 2 times {} in '{} {}': one person fills one {}",
        "p.txt:5:1: the prompt '{} b' is the same as on line 2",
        "p.txt:6:1: the prompt has a control character or a line break",
    ]


def test_every_bad_item_of_yaml_is_named(tmp_path: Path) -> None:
    text = '- a\n- "{} b"\n- {prompt: "{} b"}\n- {promt: x}\n- [x]\n- {prompt: "{} c", category: "a\\tb"}\n-\n'
    found = problems(tmp_path, "p.yaml", text)
    assert [line.split(":")[1:3] for line in found] == [
        ["1", "3"],
        ["3", "12"],
        ["4", "4"],
        ["5", "3"],
        ["6", "3"],
        ["7", "2"],
    ]
    assert "same as on line 2" in found[1] and "did you mean prompt?" in found[2]


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("p.txt", "# nothing\n", "no prompts"),
        ("p.yaml", "[]", "the list of prompts is empty"),
        ("p.yaml", "a: b", "expected a list of prompts, found a mapping"),
        ("p.yaml", "a {} b", "expected a list of prompts, found 'a {} b'"),
        ("p.yaml", "", "the file is empty"),
        ("p.yaml", "- [", "the file ends where"),
    ],
)
def test_files_without_prompts(tmp_path: Path, name: str, text: str, part: str) -> None:
    (line,) = problems(tmp_path, name, text)
    assert part in line and line.startswith(name)


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("papr", "did you mean paper?"),
        ("zzz", "unknown set of prompts 'zzz'"),
        ("no.txt", "there is no prompts file"),
        ("prompts.json", "must end in .yaml, .yml, .txt"),
        ("a photo of {}", "write a list"),
        ("https://x/p.txt", "is a URL"),
        ("x" * 5000 + ".txt", "cannot be read"),
        ("", "unknown set"),
    ],
)
def test_specs_that_name_nothing(tmp_path: Path, spec: str, part: str) -> None:
    with pytest.raises(RequestError) as caught:
        load_prompts(spec, tmp_path)
    assert part in str(caught.value) and "paper" in caught.value.hint


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(), st.sampled_from(["p.txt", "p.yaml"]))
def test_any_bytes_are_prompts_or_a_manifest_error(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    try:
        assert load_prompts(name, tmp_path)
    except ManifestError as error:
        assert error.problems
