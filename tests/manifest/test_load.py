from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossinit_batch.errors import ManifestError
from crossinit_batch.manifest.load import Identity, Manifest, load_manifest
from crossinit_batch.manifest.schema import manifest_file
from crossinit_batch.methods.planned import LearnedMethod
from crossinit_batch.methods.registry import presets
from crossinit_batch.prompts import PROMPT_SETS, Prompt
from crossinit_batch.settings import DEFAULT_MODEL, ComputeSettings, ModelSettings, RenderSettings
from tests.helpers import manifest_folder
from tests.helpers.manifest_folder import ADA, check_mistake, ids, load, problems

folder = manifest_folder.folder


def test_one_picture_is_enough(folder: Path) -> None:
    assert load(folder, ADA, "my run.yaml") == Manifest(
        text=ADA,
        name="my-run",
        model=ModelSettings.model_validate({"id": DEFAULT_MODEL}),
        output=str(folder / "out" / "my-run"),
        seed=0,
        identities=(Identity("ada", (str(folder / "photos" / "ada.jpg"),)),),
        methods=(LearnedMethod("cross-init", "cross-init", presets()["cross-init"]),),
        prompts=PROMPT_SETS["paper"],
        render=RenderSettings.model_validate({}),
        compute=ComputeSettings.model_validate({}),
    )


def test_byte_order_mark_and_carriage_returns_are_accepted(folder: Path) -> None:
    manifest = load(folder, "\ufeffversion: 1\r\nname: no\r\nidentities:\r\n  - photos/ada.jpg\r\n")
    assert manifest.name == "no" and manifest.text.startswith("version: 1")


@pytest.mark.parametrize("name", ["007", "no", "null", "1e3", "0x1F", "true", "2024-01-01"])
def test_names_and_ids_are_the_source_text(folder: Path, name: str) -> None:
    manifest = load(folder, f"name: {name}\nidentities: [{{id: {name}, images: photos/ada.jpg}}]")
    assert manifest.name == name and ids(manifest) == [name]


def test_prompts_and_paths_are_the_source_text(folder: Path) -> None:
    (folder / "12:30:45").touch()
    manifest = load(folder, "identities: [{images: 12:30:45, id: x}]\nprompts:\n- no {}\n- 12:30 {}\n")
    assert manifest.identities[0].photographs == (str(folder / "12:30:45"),)
    assert manifest.prompts == (Prompt("no {}"), Prompt("12:30 {}"))


def test_a_model_is_a_hub_id_a_folder_or_demo(folder: Path) -> None:
    (folder / "models" / "sd").mkdir(parents=True)
    (folder / "demo").mkdir()
    for text, name in (
        ("demo", "demo"),
        ("org/name", "org/name"),
        ("models/sd", str(folder / "models" / "sd")),
        ("./models/sd/", str(folder / "models" / "sd")),
        ("{id: ./models/sd, dtype: float32}", str(folder / "models" / "sd")),
    ):
        assert load(folder, f"model: {text}\n{ADA}").model.id == name
    assert load(folder, f"model: {{id: a/b, revision: 007, variant: null}}\n{ADA}").model.revision == "007"


def test_prompts_are_a_set_a_file_or_a_list(folder: Path) -> None:
    assert load(folder, ADA + "prompts: paper").prompts == PROMPT_SETS["paper"]
    assert load(folder, ADA + "prompts: mine.txt").prompts == (Prompt("a {} b"),)
    listed = load(folder, ADA + 'prompts:\n- a {} b\n- {prompt: "{} c", category: d}').prompts
    assert listed == (Prompt("a {} b"), Prompt("{} c", "d"))


def test_problems_of_a_prompts_file_stand_in_that_file(folder: Path) -> None:
    (folder / "mine.txt").write_text("ok {}\nbad\n")
    found = problems(folder, "nam: x\n" + ADA + "prompts: mine.txt")
    assert [(Path(problem.file).name, problem.line) for problem in found] == [("m.yaml", 1), ("mine.txt", 2)]


MISTAKES = [
    ("", 1, 1, "the file is empty"),
    ("# only a comment\n", 1, 1, "the file is empty"),
    ("- a", 1, 1, "this is a list"),
    ("just words", 1, 1, "this is a single value"),
    ("a: [", 2, 1, "the file ends where"),
    ("name: x", 1, 1, "identities: the key identities is required"),
    ("identities: []", 1, 13, "the list is empty"),
    (ADA + "seed: 1\nseed: 2", 3, 1, "first on line 2"),
    (ADA + "name: ../x", 2, 7, "must begin with a letter or digit"),
    (ADA + "model: ''", 2, 8, "it is empty"),
    (ADA + "model: ./nope", 2, 8, "there is no folder"),
    (ADA + "model: https://x/y", 2, 8, "a URL is no model"),
    (ADA + "output: ''", 2, 9, "it is empty"),
    (ADA + "output: names.txt", 2, 9, "is a file, not a folder"),
    (ADA + "output: names.txt/x", 2, 9, "is a file, not a folder"),
    ("identities: [*.jpg]", 1, 15, "needs quotes"),
    (ADA + "prompts: papr", 2, 10, "did you mean paper?"),
    (ADA + "prompts: nope.txt", 2, 10, "there is no prompts file"),
    (ADA + "prompts: a photo of {}", 2, 10, "write a list"),
    (ADA + "prompts: []", 2, 10, "the list of prompts is empty"),
    (ADA + "prompts: [a]", 2, 11, "no {} in 'a'"),
    (ADA + "prompts: ['{} a', '{} a']", 2, 19, "the same as on line 2"),
]


@pytest.mark.parametrize(("text", "line", "column", "part"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_at_its_place(folder: Path, text: str, line: int, column: int, part: str) -> None:
    check_mistake(folder, text, line, column, part)


ONE_OF_EACH = [
    "zzzz: 1",
    "version: true",
    "seed: 1.5",
    "name: [x]",
    "model: {dtype: float31}",
    "output: memory://a/../b",
    "methods: [{name: x, use: cross-init, init: {words: []}}]",
    "prompts: {a: b}",
    "render:",
    "compute: {checkpoint_every: 0}",
]


def test_all_mistakes_come_at_once_in_the_order_of_the_file(folder: Path) -> None:
    found = problems(folder, ADA + "\n".join(ONE_OF_EACH))
    assert [problem.line for problem in found] == list(range(2, 2 + len(ONE_OF_EACH)))
    assert len(ONE_OF_EACH) == 10


def test_no_message_has_a_secret(folder: Path) -> None:
    text = "output: s3://key:topsecret@b/x\nseed: s3://key:topsecret@b\nidentities: ['gs://b/x?sig=topsecret']\n"
    found = problems(folder, text)
    assert len(found) == 3 and "topsecret" not in str(ManifestError(found))


def test_a_manifest_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.yaml", Path("a\0b")):
        with pytest.raises(ManifestError):
            load_manifest(path)


def test_a_relative_manifest_means_its_own_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "m.yaml").write_text(ADA)
    monkeypatch.chdir(folder / "photos")
    manifest = load_manifest("../m.yaml")
    assert manifest.output == str(folder / "out" / "m")
    assert manifest.identities[0].photographs == (str(folder / "photos" / "ada.jpg"),)


def test_loading_needs_no_torch() -> None:
    code = "import sys, crossinit_batch.manifest.load, crossinit_batch.manifest.starter; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "diffusers", "transformers"} & set(done.stdout.split())


TEXT = """a : - [ ] { } & * ! | > ' " % # , ? ~ {} << ${X} s3://b :: é 1e5 null photos/*.jpg photos/ada.jpg
identities images id limit methods cross-init init name use names words prompts prompt paper render steps
model output seed"""
WORDS = st.sampled_from([*TEXT.split(), "\n", "\t", " ", "\n  ", "\n- ", ": "])
NODES = st.recursive(
    st.text(max_size=6) | st.integers() | st.floats() | st.none() | st.booleans() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


def loads_or_is_refused(folder: Path, data: bytes) -> bool:
    """Whether it is a manifest, or an error whose problems have a position and can be printed."""
    (folder / "any.yaml").write_bytes(data)
    try:
        return isinstance(load_manifest(folder / "any.yaml"), Manifest)
    except ManifestError as error:
        placed = all(problem.line >= 1 and problem.column >= 1 for problem in error.problems)
        return bool(error.problems and placed and str(error).encode())


FEW = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(st.binary())
def test_any_bytes_are_a_manifest_or_an_error(folder: Path, data: bytes) -> None:
    assert loads_or_is_refused(folder, data)


@FEW
@given(st.lists(WORDS, max_size=30))
def test_any_words_are_a_manifest_or_an_error(folder: Path, words: list[str]) -> None:
    assert loads_or_is_refused(folder, "".join(words).encode())


@FEW
@given(st.dictionaries(st.sampled_from(list(manifest_file().model_fields)), NODES))
def test_any_values_are_a_manifest_or_an_error(folder: Path, values: dict[str, Any]) -> None:
    assert loads_or_is_refused(folder, yaml.safe_dump(values, allow_unicode=True).encode("utf-8", "surrogatepass"))
