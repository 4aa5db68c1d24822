from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from crossinit_batch.manifest.paths import Refused, local_path, location
from tests.helpers import manifest_folder
from tests.helpers.manifest_folder import ADA, check_mistake, ids, load, problems

folder = manifest_folder.folder


def test_variables_stand_in_output_and_picture_paths_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


MISTAKES = [
    (ADA + "output: ${NOT_SET_AT_ALL}/x", 2, 9, "no variable NOT_SET_AT_ALL"),
    (ADA + "output: a${x", 2, 9, "without a variable's name"),
    (ADA + "output: ftp://x/y", 2, 9, "ftp:// is not read here"),
    (ADA + "output: file://x/y", 2, 9, "write file:///folder/name"),
    (ADA + "output: s3://", 2, 9, "names no bucket"),
    (ADA + "output: s3://k:sec/ret@b/x", 2, 9, "credentials"),
    (ADA + "output: az://c/x?sv=1&sig=abc", 2, 9, "a query"),
    (ADA + "output: memory://a/../b", 2, 9, "has .. in it"),
    ("identities: ['']", 1, 14, "it is empty"),
    ('identities: ["a\\x07"]', 1, 14, "a control character"),
    ("identities: [https://u:tok@x/a.jpg]", 1, 14, "download it first"),
    ("identities: ['zip://*.png::s3://b/x.zip']", 1, 14, "a chain of URLs"),
    ("identities: ['simplecache::http://169.254.169.254/x']", 1, 14, "a chain of URLs"),
]


@pytest.mark.parametrize(("text", "line", "column", "part"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_at_its_place(folder: Path, text: str, line: int, column: int, part: str) -> None:
    check_mistake(folder, text, line, column, part)


def test_a_path_is_relative_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    places = {"a/../b": f"{tmp_path}/b", "/a": "/a", "~/x": "/home/ada/x", "~eve": f"{tmp_path}/~eve"}
    for text, path in places.items():
        assert location(text, tmp_path) == local_path(text, tmp_path) == path


def test_a_url_keeps_its_place_and_gets_a_lower_scheme(tmp_path: Path) -> None:
    assert location("MEMORY://Bucket/A b/", tmp_path) == "memory://Bucket/A b"
    assert location("memory:///a", tmp_path) == "memory:///a"
    assert location("FILE:///a/../b", tmp_path) == "/b"


def test_a_variable_may_hold_a_whole_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "memory://b/x")
    assert location("${PLACE}/y", tmp_path) == "memory://b/x/y"
    monkeypatch.setenv("PLACE", "a\x1b")
    with pytest.raises(Refused, match="'\\$\\{PLACE\\}': it has a control character"):
        location("${PLACE}", tmp_path)
    monkeypatch.setenv("PLACE", "zip://a::s3://b")
    with pytest.raises(Refused, match="a chain of URLs"):
        location("${PLACE}", tmp_path)
