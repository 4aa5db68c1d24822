from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossinit_batch import manifest as module
from crossinit_batch.errors import ManifestError, Problem
from crossinit_batch.manifest import Identity, Manifest, id_of, load_manifest, problem_of_id
from crossinit_batch.methods import PRESETS
from crossinit_batch.prompts import PROMPT_SETS, Prompt
from crossinit_batch.settings import (
    DEFAULT_MODEL,
    ComputeSettings,
    InitSettings,
    ModelSettings,
    RenderSettings,
)

FILES = (
    "ada.jpg",
    "eve.PNG",
    "p2.jpg",
    "p10.jpg",
    ".hidden.jpg",
    "notes.txt",
    "sub/deep/ada.jpg",
    "sub/x.webp",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with photos/, a names file and a prompts file."""
    for name in FILES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "photos" / "folder.jpg").mkdir()
    (tmp_path / "names.txt").write_text("Ada Lovelace\n")
    (tmp_path / "mine.txt").write_text("a {} b\n")
    return tmp_path


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    for name in ("a.jpg", "b.png", ".c.jpg", "notes.txt", "more/d.jpg"):
        system.pipe(f"/bucket/{name}", b"x")
    yield system
    system.rm("/bucket", recursive=True)


def load(folder: Path, text: str, name: str = "m.yaml") -> Manifest:
    (folder / name).write_bytes(text.encode())
    return load_manifest(folder / name)


def problems(folder: Path, text: str) -> tuple[Problem, ...]:
    with pytest.raises(ManifestError) as caught:
        load(folder, text)
    return caught.value.problems


def ids(manifest: Manifest) -> list[str]:
    return [identity.id for identity in manifest.identities]


ADA = "identities: [photos/ada.jpg]\n"


def test_one_picture_is_enough(folder: Path) -> None:
    assert load(folder, ADA, "my run.yaml") == Manifest(
        text=ADA,
        name="my-run",
        model=ModelSettings.model_validate({"id": DEFAULT_MODEL}),
        output=str(folder / "out" / "my-run"),
        seed=0,
        identities=(Identity("ada", (str(folder / "photos" / "ada.jpg"),)),),
        methods=(module.Method("cross-init", "cross-init", PRESETS["cross-init"]),),
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


def test_numbers_are_read_as_people_write_them(folder: Path) -> None:
    method = (
        "{name: x, use: cross-init, learning_rate: 8e-5, regularization: 1e-5, weight_decay: 0, flip: no}"
    )
    manifest = load(folder, ADA + f"methods: [{method}]\nrender: {{guidance: 7, steps: 20, size: null}}")
    chosen = manifest.methods[0].settings
    assert (chosen.learning_rate, chosen.regularization, chosen.weight_decay, chosen.flip) == (
        8e-5,
        1e-5,
        0,
        False,
    )
    assert (manifest.render.guidance, manifest.render.steps, manifest.render.size) == (7.0, 20, None)


# --- identities ---


def test_a_pattern_takes_pictures_in_natural_order(folder: Path) -> None:
    assert ids(load(folder, "identities: [photos/*]")) == ["ada", "eve", "p2", "p10"]


def test_two_stars_are_any_number_of_folders_and_links_are_not_followed(folder: Path) -> None:
    (folder / "photos" / "sub" / "loop").symlink_to(folder / "photos")
    manifest = load(folder, "identities: [{images: 'photos/**/*.jpg', id: all}, 'photos/**/*.webp']")
    names = [Path(path).relative_to(folder).as_posix() for path in manifest.identities[0].photographs]
    assert names == ["photos/ada.jpg", "photos/p2.jpg", "photos/p10.jpg", "photos/sub/deep/ada.jpg"]
    assert ids(manifest) == ["all", "x"]


def test_patterns_match_folders_too_and_a_last_star_star_all_below(folder: Path) -> None:
    manifest = load(folder, "identities: [{images: 'ph*/s?b/**', id: a}]")
    assert [Path(path).name for path in manifest.identities[0].photographs] == ["ada.jpg", "x.webp"]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(folder: Path) -> None:
    (folder / "[1].jpg").touch()
    assert load(folder, "identities: [{images: '[1].jpg', id: a}]").identities[0].photographs == (
        str(folder / "[1].jpg"),
    )


def test_with_an_id_all_files_are_one_person_each_once(folder: Path) -> None:
    manifest = load(folder, "identities:\n- id: ada\n  images: [photos/p10.jpg, photos/p*.jpg]\n")
    assert [Path(path).name for path in manifest.identities[0].photographs] == ["p10.jpg", "p2.jpg"]


def test_limit_takes_the_first_of_an_entry(folder: Path) -> None:
    text = "identities:\n- {images: [photos/p*, photos/ada.jpg], limit: 2}\n"
    text += "- {images: photos/*, id: x, limit: 1}\n"
    manifest = load(folder, text)
    assert ids(manifest) == ["p2", "p10", "x"]
    assert len(manifest.identities[-1].photographs) == 1


def test_many_named_files_of_one_folder_are_found(folder: Path) -> None:
    entries = "".join(f"- {{id: a{i}, images: photos/ada.jpg}}\n" for i in range(20))
    assert len(load(folder, f"identities:\n{entries}").identities) == 20
    found = problems(folder, f"identities:\n{entries}- photos/nope.jpg\n- photos/folder.jpg")
    assert [(problem.line, problem.column) for problem in found] == [(22, 3), (23, 3)]


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


def test_variables_stand_in_output_and_picture_paths_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTOS_HERE", str(folder / "photos"))
    text = "output: ${PHOTOS_HERE}/../o\nidentities: ['${PHOTOS_HERE}/ada.jpg']\nprompts: ['${NOPE} {}']"
    manifest = load(folder, text)
    assert manifest.output == str(folder / "o")
    assert manifest.identities[0].photographs == (str(folder / "photos" / "ada.jpg"),)
    assert manifest.prompts[0].text == "${NOPE} {}"


def test_home_and_file_urls_are_local_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    text = f"output: file://{folder}/o\nidentities: ['~/photos/ada.jpg', 'file://{folder}/photos/p*.jpg']"
    manifest = load(folder, text)
    assert manifest.output == f"{folder}/o" and ids(manifest) == ["ada", "p2", "p10"]


def test_urls_are_listed_by_their_file_system(folder: Path, memory: Any) -> None:
    text = "output: memory://bucket/out/\nidentities: ['memory://bucket/*', {images: 'MEMORY://bucket/**/d.jpg'}]"
    manifest = load(folder, text)
    assert manifest.output == "memory://bucket/out"
    assert [identity.photographs for identity in manifest.identities] == [
        ("memory://bucket/a.jpg",),
        ("memory://bucket/b.png",),
        ("memory://bucket/more/d.jpg",),
    ]


def test_many_named_urls_are_found_by_one_listing(
    folder: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = []
    ask = module._ask
    monkeypatch.setattr(
        module, "_ask", lambda url, question: questions.append(question) or ask(url, question)
    )
    entries = "".join(f"- {{id: a{i}, images: 'memory://bucket/a.jpg'}}\n" for i in range(50))
    assert len(load(folder, f"identities:\n{entries}").identities) == 50
    assert questions.count("ls") == 1 and len(questions) < 10


def test_a_url_that_is_missing_or_a_folder(folder: Path, memory: Any) -> None:
    found = problems(
        folder, "identities:\n- memory://bucket/z.jpg\n- memory://bucket/more\n- memory://bucket/*.gif"
    )
    assert [problem.line for problem in found] == [2, 3, 4]
    assert "there is no file" in found[0].message
    assert "is a folder" in found[1].message and "matches no file" in found[2].message


def test_a_storage_that_fails_is_an_error_at_its_place(
    folder: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no credentials for s3://k:secret@b/x")

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "info", refuse)
        (found,) = problems(folder, "identities: ['memory://bucket/a.jpg']")
    assert "RuntimeError: no credentials" in found.message and "secret" not in found.message


@pytest.mark.parametrize(
    ("url", "extra"),
    [("s3://b/*.jpg", "s3"), ("gs://b/a.jpg", "gcs"), ("gcs://b/a", "gcs"), ("abfs://c@a.x/p", "azure")],
)
def test_a_scheme_without_its_package_names_the_extra(
    folder: Path, url: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (found,) = problems(folder, f"identities: ['{url}']")
    assert f"pip install 'crossinit-batch[{extra}]'" in found.message


def test_a_file_name_that_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / "q").mkdir()
    Path(str(folder / "q") + "/a\udcff.jpg").touch()
    (found,) = problems(folder, "identities: [q/*.jpg]")
    assert "not UTF-8" in found.message
    str(found).encode()


# --- model, methods, prompts ---


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


def test_methods_vary_presets(folder: Path) -> None:
    text = """methods:
  - textual-inversion
  - {name: no-reg, use: cross-init, regularization: 0}
  - {name: cross-init-fast, init: {names: names.txt, vectors: 3}}
  - {name: ti-names, use: textual-inversion, init: names}
"""
    methods = load(folder, ADA + text).methods
    assert [(method.name, method.preset) for method in methods] == [
        ("textual-inversion", "textual-inversion"),
        ("no-reg", "cross-init"),
        ("cross-init-fast", "cross-init-fast"),
        ("ti-names", "textual-inversion"),
    ]
    assert methods[1].settings == PRESETS["cross-init"].model_copy(update={"regularization": 0.0})
    assert methods[2].settings.steps == 25
    assert (
        methods[2].settings.init.names == str(folder / "names.txt") and methods[2].settings.init.vectors == 3
    )
    assert methods[3].settings.init == InitSettings.model_validate({}) and methods[3].settings.steps == 5000
    assert type(methods[1].settings) is type(PRESETS["cross-init"])


def test_prompts_are_a_set_a_file_or_a_list(folder: Path) -> None:
    assert load(folder, ADA + "prompts: paper").prompts == PROMPT_SETS["paper"]
    assert load(folder, ADA + "prompts: mine.txt").prompts == (Prompt("a {} b"),)
    listed = load(folder, ADA + 'prompts:\n- a {} b\n- {prompt: "{} c", category: d}').prompts
    assert listed == (Prompt("a {} b"), Prompt("{} c", "d"))


def test_problems_of_a_prompts_file_stand_in_that_file(folder: Path) -> None:
    (folder / "mine.txt").write_text("ok {}\nbad\n")
    found = problems(folder, "nam: x\n" + ADA + "prompts: mine.txt")
    assert [(Path(problem.file).name, problem.line) for problem in found] == [("m.yaml", 1), ("mine.txt", 2)]


# --- what is wrong ---

BAD = [
    ("", 1, 1, "the file is empty"),
    ("# only a comment\n", 1, 1, "the file is empty"),
    ("- a", 1, 1, "this is a list"),
    ("just words", 1, 1, "this is a single value"),
    ("a: [", 2, 1, "the file ends where"),
    ("name: x", 1, 1, "identities: the key identities is required"),
    ("identities:", 1, 12, "expected a list, found nothing"),
    ("identities: []", 1, 13, "the list is empty"),
    ("identities: photos/ada.jpg", 1, 13, "write [photos/ada.jpg]"),
    ("identities: {a: b}", 1, 13, "expected a list, found a mapping"),
    ("identitys: [photos/ada.jpg]", 1, 1, "did you mean identities?"),
    (ADA + "zzzz: 1", 2, 1, "there are version, name, model"),
    (ADA + "seed: 1\nseed: 2", 3, 1, "first on line 2"),
    (ADA + "version: 2", 2, 10, "this program reads version 1, found 2"),
    (ADA + "version: true", 2, 10, "expected a whole number, found 'true'"),
    (ADA + "seed: -1", 2, 7, "expected at least 0"),
    (ADA + "seed: 9223372036854775808", 2, 7, "expected a number below 9223372036854775808"),
    (ADA + "seed: 1" + "0" * 5000, 2, 7, "expected a whole number"),
    (ADA + "seed: 1.5", 2, 7, "expected a whole number, found '1.5'"),
    (ADA + "name: ../x", 2, 7, "must begin with a letter or digit"),
    (ADA + "name: [x]", 2, 7, "expected text, found a list"),
    (ADA + "model: ''", 2, 8, "it is empty"),
    (ADA + "model: ./nope", 2, 8, "there is no folder"),
    (ADA + "model: https://x/y", 2, 8, "a URL is no model"),
    (ADA + "model: {dtype: float31}", 2, 16, "did you mean float32?"),
    (ADA + "output: ''", 2, 9, "it is empty"),
    (ADA + "output: names.txt", 2, 9, "is a file, not a folder"),
    (ADA + "output: names.txt/x", 2, 9, "is a file, not a folder"),
    (ADA + "output: ${NOT_SET_AT_ALL}/x", 2, 9, "no variable NOT_SET_AT_ALL"),
    (ADA + "output: a${x", 2, 9, "without a variable's name"),
    (ADA + "output: ftp://x/y", 2, 9, "ftp:// is not read here"),
    (ADA + "output: file://x/y", 2, 9, "write file:///folder/name"),
    (ADA + "output: s3://", 2, 9, "names no bucket"),
    (ADA + "output: s3://k:sec/ret@b/x", 2, 9, "credentials"),
    (ADA + "output: az://c/x?sv=1&sig=abc", 2, 9, "a query"),
    (ADA + "output: memory://a/../b", 2, 9, "has .. in it"),
    ("identities: [photos]", 1, 14, "is a folder: write 'photos/*.jpg'"),
    ("identities: [photos/nope.jpg]", 1, 14, "there is no file 'photos/nope.jpg'"),
    ("identities: ['nope/*.jpg']", 1, 14, "there is no folder"),
    ("identities: ['photos/z*']", 1, 14, "matches no file"),
    ("identities: ['photos/*.txt']", 1, 14, "matches 1 files, none of them a picture"),
    ("identities: [*.jpg]", 1, 15, "needs quotes"),
    ("identities: ['']", 1, 14, "it is empty"),
    ("identities: ['a\\b\\0']", 1, 14, "there is no file"),
    ('identities: ["a\\x07"]', 1, 14, "a control character"),
    (f"identities: [{'x' * 300}]", 1, 14, "there is no file"),
    (f"identities: ['{'x' * 300}*']", 1, 14, "matches no file"),
    ("identities: [/dev/null]", 1, 14, "is not a regular file"),
    ("identities: [https://u:tok@x/a.jpg]", 1, 14, "download it first"),
    ("identities: ['zip://*.png::s3://b/x.zip']", 1, 14, "a chain of URLs"),
    ("identities: ['simplecache::http://169.254.169.254/x']", 1, 14, "a chain of URLs"),
    ("identities: [{images: []}]", 1, 23, "the list is empty"),
    ("identities: [{id: a}]", 1, 14, "the key images is required"),
    ("identities: [{image: photos/ada.jpg}]", 1, 15, "did you mean images?"),
    ("identities: [{images: {a: b}}]", 1, 23, "expected text or a list, found a mapping"),
    ("identities: [{images: photos/ada.jpg, limit: 0}]", 1, 46, "expected at least 1"),
    ("identities: [{images: photos/ada.jpg, id: }]", 1, 43, "expected text, found nothing"),
    ("identities: [{images: photos/ada.jpg, id: ../x}]", 1, 43, "must begin with"),
    ("identities: [{images: photos/ada.jpg, id: a/b}]", 1, 43, "must begin with"),
    ("identities: [{images: photos/ada.jpg, id: -rf}]", 1, 43, "must begin with"),
    ("identities: [{images: photos/ada.jpg, id: x.}]", 1, 43, "ends with a dot"),
    ("identities: [{images: photos/ada.jpg, id: con}]", 1, 43, "a device on Windows"),
    ("identities: [{images: photos/ada.jpg, id: COM1.x}]", 1, 43, "a device on Windows"),
    (f"identities: [{{images: photos/ada.jpg, id: {'a' * 65}}}]", 1, 43, "64 at most"),
    (
        "identities:\n- photos/ada.jpg\n- {images: photos/p2.jpg, id: ADA}",
        3,
        31,
        "differs only in case from 'ada' on line 2",
    ),
    (
        "identities:\n- photos/ada.jpg\n- photos/sub/deep/ada.jpg",
        3,
        3,
        "is also used on line 2 (from 'photos/ada.jpg')",
    ),
    (
        "identities:\n- {images: photos/p2.jpg, id: a}\n- {images: photos/p2.jpg, id: a}",
        3,
        31,
        "is also used on line 2",
    ),
    (ADA + "methods: []", 2, 10, "the list is empty"),
    (ADA + "methods: cross-init", 2, 10, "write [cross-init]"),
    (ADA + "methods: [cros-init]", 2, 11, "did you mean cross-init?"),
    (ADA + "methods: [{use: cross-init}]", 2, 11, "the key name is required"),
    (ADA + "methods: [{name: x}]", 2, 18, "say which one it varies"),
    (ADA + "methods: [{name: x, use: zzz}]", 2, 26, "unknown preset 'zzz'"),
    (ADA + "methods: [{name: Xy, use: cross-init}]", 2, 18, "must be lower case: xy"),
    (ADA + "methods: [{name: gallery, use: cross-init}]", 2, 18, "the output folder needs itself"),
    (ADA + "methods: [{name: plan.json, use: cross-init}]", 2, 18, "the output folder needs itself"),
    (ADA + "methods: [cross-init, cross-init]", 2, 23, "is also used on line 2"),
    (
        ADA + "methods: [{name: x, use: cross-init, steps: true}]",
        2,
        45,
        "expected a whole number, found 'true'",
    ),
    (ADA + "methods: [{name: x, use: cross-init, learning_rate: 0}]", 2, 53, "above 0"),
    (ADA + "methods: [{name: x, use: cross-init, flip: 3}]", 2, 44, "expected true or false"),
    (ADA + "methods: [{name: x, use: cross-init, init: nams}]", 2, 44, "expected names, found 'nams'"),
    (ADA + "methods: [{name: x, use: cross-init, init: {names: nope.txt}}]", 2, 52, "there is no file"),
    (ADA + "methods: [{name: x, use: cross-init, init: {names: photos}}]", 2, 52, "there is no file"),
    (ADA + "methods: [{name: x, use: cross-init, init: {words: [a], names: names.txt}}]", 2, 44, "not both"),
    (ADA + "methods: [{name: x, use: cross-init, init: {words: []}}]", 2, 52, "the list is empty"),
    (ADA + "prompts: papr", 2, 10, "did you mean paper?"),
    (ADA + "prompts: nope.txt", 2, 10, "there is no prompts file"),
    (ADA + "prompts: a photo of {}", 2, 10, "write a list"),
    (ADA + "prompts: []", 2, 10, "the list of prompts is empty"),
    (ADA + "prompts: [a]", 2, 11, "no {} in 'a'"),
    (ADA + "prompts: ['{} a', '{} a']", 2, 19, "the same as on line 2"),
    (ADA + "prompts: {a: b}", 2, 10, "expected text or a list, found a mapping"),
    (ADA + "render: {steps: 1e3}", 2, 17, "expected a whole number, found '1e3'"),
    (ADA + "render: {guidance: .inf}", 2, 20, "expected a number"),
    (ADA + "render: {guidance: nan}", 2, 20, "expected a"),
    (ADA + "render: {size: 65}", 2, 16, "a multiple of 8"),
    (ADA + "render: {scheduler: dimm}", 2, 21, "did you mean ddim?"),
    (ADA + "render:", 2, 8, "found nothing"),
    (ADA + "compute: 4", 2, 10, "expected a mapping (identities_per_batch"),
    (ADA + "compute: {checkpoint_every: 0}", 2, 29, "expected at least 1"),
]


@pytest.mark.parametrize(("text", "line", "column", "part"), BAD, ids=range(len(BAD)))
def test_a_mistake_is_named_at_its_place(folder: Path, text: str, line: int, column: int, part: str) -> None:
    found = problems(folder, text)
    assert [(problem.line, problem.column) for problem in found] == [(line, column)]
    assert part in str(found[0])
    assert str(found[0]).startswith(f"{folder / 'm.yaml'}:{line}:{column}: ")


def test_all_mistakes_come_at_once_in_the_order_of_the_file(folder: Path) -> None:
    bad = [case for case in BAD if case[0].startswith(ADA) and "\n" not in case[0][len(ADA) :]]
    one_of_each = {case[0][len(ADA) :].split(":")[0]: case for case in bad}
    text = ADA + "".join(case[0][len(ADA) :] + "\n" for case in one_of_each.values())
    found = problems(folder, text)
    assert [problem.line for problem in found] == list(range(2, 2 + len(one_of_each)))
    assert len(one_of_each) == 10


def test_a_bad_key_does_not_hide_the_rest_of_its_entry(folder: Path) -> None:
    text = "identities:\n- {images: [nope.jpg, photos/ada.jpg, no2.jpg], id: CON, limit: x, extra: 1}\n"
    assert [problem.key for problem in problems(folder, text)] == [
        "identities[0].images[0]",
        "identities[0].images[2]",
        "identities[0].id",
        "identities[0].limit",
        "identities[0].extra",
    ]


def test_many_repeated_ids_of_one_entry_are_summed_up(folder: Path) -> None:
    (folder / "many").mkdir()
    for number in range(20):
        (folder / "many" / f"{number}.jpg").touch()
    found = problems(folder, "identities: ['many/*', 'many/*']")
    assert len(found) == 6 and "and 15 more files" in str(ManifestError(found))


def test_a_file_name_that_gives_no_id_asks_for_one(folder: Path) -> None:
    (folder / "人.jpg").touch()
    (found,) = problems(folder, "identities: [人.jpg]")
    assert found.message.endswith("give id:")


def test_a_bad_id_is_no_reason_to_doubt_the_next(folder: Path) -> None:
    text = "identities:\n- {images: photos/ada.jpg, id: CON}\n- photos/eve.PNG\n- photos/p2.jpg\n"
    assert [problem.line for problem in problems(folder, text)] == [2]


def test_no_message_has_a_secret(folder: Path) -> None:
    text = (
        "output: s3://key:topsecret@b/x\nseed: s3://key:topsecret@b\nidentities: ['gs://b/x?sig=topsecret']\n"
    )
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
    code = "import sys, crossinit_batch.manifest, crossinit_batch.starter; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "diffusers", "transformers"} & set(done.stdout.split())


# --- anything at all ---

TEXT = """a : - [ ] { } & * ! | > ' " % # , ? ~ {} << ${X} s3://b :: é 1e5 null photos/*.jpg photos/ada.jpg
identities images id limit methods cross-init init name use names words prompts prompt paper render steps
model output seed"""
WORDS = st.sampled_from([*TEXT.split(), "\n", "\t", " ", "\n  ", "\n- ", ": "])
NODES = st.recursive(
    st.text(max_size=6) | st.integers() | st.floats() | st.none() | st.booleans() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


def loads_or_refuses(folder: Path, data: bytes) -> None:
    (folder / "any.yaml").write_bytes(data)
    try:
        assert isinstance(load_manifest(folder / "any.yaml"), Manifest)
    except ManifestError as error:
        assert error.problems and all(problem.line >= 1 and problem.column >= 1 for problem in error.problems)
        str(error).encode()


FEW = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(st.binary())
def test_any_bytes_are_a_manifest_or_an_error(folder: Path, data: bytes) -> None:
    loads_or_refuses(folder, data)


@FEW
@given(st.lists(WORDS, max_size=30))
def test_any_words_are_a_manifest_or_an_error(folder: Path, words: list[str]) -> None:
    loads_or_refuses(folder, "".join(words).encode())


@FEW
@given(st.dictionaries(st.sampled_from(list(module.ManifestFile.model_fields)), NODES))
def test_any_values_are_a_manifest_or_an_error(folder: Path, values: dict[str, Any]) -> None:
    import yaml

    loads_or_refuses(folder, yaml.safe_dump(values, allow_unicode=True).encode("utf-8", "surrogatepass"))
