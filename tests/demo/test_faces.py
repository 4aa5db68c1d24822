"""Faces on disk: pictures of strangers, and the truth about them."""

from __future__ import annotations

import json
import random
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossinit_batch.demo.drawing.person import Person, distance
from crossinit_batch.demo.drawing.picture import draw
from crossinit_batch.demo.drawing.scene import Scene
from crossinit_batch.demo.faces import strangers, write_faces
from crossinit_batch.errors import OutputError, RequestError


def test_pictures_and_truth_agree(tmp_path: Path) -> None:
    paths = write_faces(3, tmp_path / "a" / "faces", seed=5, size=64)
    assert [path.name for path in paths] == ["person-000.png", "person-001.png", "person-002.png"]
    truth = json.loads((tmp_path / "a" / "faces" / "persons.json").read_text())
    assert list(truth) == ["person-000", "person-001", "person-002"]
    for path in paths:
        entry = truth[path.stem]
        person, scene = Person.from_dict(entry["person"]), Scene.from_dict(entry["scene"])
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("RGB", (64, 64))
            assert np.array_equal(np.asarray(image), np.asarray(draw(person, scene, 64)))
        assert (scene.background, scene.accessory, scene.style) == ("plain", "none", "photo")
        assert scene.expression == "neutral" or scene.intensity < 0.5


def test_more_faces_begin_with_the_same_ones_and_a_seed_changes_them(tmp_path: Path) -> None:
    few = [path.read_bytes() for path in write_faces(2, tmp_path / "few", size=32)]
    more = [path.read_bytes() for path in write_faces(4, tmp_path / "more", size=32)]
    other = [path.read_bytes() for path in write_faces(2, tmp_path / "other", seed=1, size=32)]
    assert more[:2] == few
    assert not set(few) & set(other)


def test_strangers_are_unlike_each_other() -> None:
    chosen = strangers(16, seed=0)
    gaps = [distance(a, b) for a, b in combinations(chosen, 2)]
    assert min(gaps) > 1.5
    rng = random.Random(0)
    usual = [distance(Person.random(rng), Person.random(rng)) for _ in range(200)]
    assert min(gaps) > min(usual)


def test_the_usual_size_is_512(tmp_path: Path) -> None:
    with Image.open(write_faces(1, tmp_path)[0]) as image:
        assert image.size == (512, 512)


@pytest.mark.parametrize(("count", "size"), [(0, 64), (-1, 64), (1, 8)])
def test_a_wrong_wish_writes_nothing(tmp_path: Path, count: int, size: int) -> None:
    with pytest.raises(RequestError, match="asked for"):
        write_faces(count, tmp_path / "faces", size=size)
    assert not (tmp_path / "faces").exists()


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write faces to .*file"):
        write_faces(1, tmp_path / "file" / "faces", size=32)


def test_faces_can_be_jpeg_files_as_a_starter_manifest_wants_them(tmp_path: Path) -> None:
    (path,) = write_faces(1, tmp_path, size=64, jpeg=True)
    assert path.name == "person-000.jpg" and path.read_bytes().startswith(b"\xff\xd8")
