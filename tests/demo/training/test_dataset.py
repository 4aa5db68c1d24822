"""The data set of the small world: decided by its seed, shard by shard."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from crossinit_batch.demo.drawing.person import person_of_name
from crossinit_batch.demo.drawing.picture import draw
from crossinit_batch.demo.training import dataset
from crossinit_batch.demo.training.dataset import famous_names, make_dataset, random_example


def test_names_decide_persons_and_pictures_show_them(tmp_path: Path) -> None:
    data = make_dataset(tmp_path, 12, seed=3)
    assert data.pictures.shape == (12, 64, 64, 3) and len(data.examples) == 12
    for picture, example in zip(data.pictures, data.examples, strict=True):
        assert np.array_equal(picture, np.asarray(draw(example.person, example.scene, 64)))
        if example.name is not None:
            assert example.person == person_of_name(*example.name.split())
            assert all(example.name in caption for caption in example.captions)


def test_a_stored_data_set_is_read_back(tmp_path: Path) -> None:
    first = make_dataset(tmp_path / "data", 6, seed=1)
    again = make_dataset(tmp_path / "data", 6, seed=1)
    assert np.array_equal(first.pictures, again.pictures) and first.examples == again.examples


def test_shards_do_not_depend_on_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "SHARD", 3)
    first = make_dataset(tmp_path / "data", 6, seed=1)
    (tmp_path / "data" / "shard-0001-3.json").unlink()
    again = make_dataset(tmp_path / "data", 6, seed=1)
    assert np.array_equal(first.pictures, again.pictures) and first.examples == again.examples
    assert len(list((tmp_path / "data").glob("*.npy"))) == 2


def test_another_seed_draws_other_pictures(tmp_path: Path) -> None:
    first, second = (make_dataset(tmp_path / str(seed), 2, seed=seed) for seed in (1, 2))
    assert not np.array_equal(first.pictures, second.pictures)


def test_most_are_famous_some_are_mixed_and_some_are_strangers() -> None:
    rng = random.Random(0)
    famous = {" ".join(name) for name in famous_names()}
    names = [random_example(rng).name for _ in range(600)]
    assert 0.5 < sum(name in famous for name in names) / 600 < 0.7
    assert 0.05 < names.count(None) / 600 < 0.16
