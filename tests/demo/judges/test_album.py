"""What judges learn from: the truth beside each picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crossinit_batch.demo.drawing.scene import Scene
from crossinit_batch.demo.judges.album import ATTRIBUTES, labels_of, make_album


def test_an_album_is_drawn_once_and_knows_every_face(tmp_path: Path) -> None:
    album = make_album(tmp_path, 12, seed=4)
    assert album.pictures.shape == (12, 2, 64, 64, 3) and album.empty.shape == (1, 64, 64, 3)
    again = make_album(tmp_path, 12, seed=4)
    assert np.array_equal(again.labels, album.labels) and np.array_equal(again.pictures, album.pictures)
    in_company = album.labels[..., -1] == 1
    assert in_company.any() and not in_company.all()
    assert np.array_equal(~np.isnan(album.faces[:, :, 1]).any(axis=-1), in_company)
    assert not np.isnan(album.faces[:, :, 0]).any()
    assert len(list(tmp_path.iterdir())) == 1


def test_labels_are_the_words_of_a_scene() -> None:
    scene = Scene(expression="angry", background="space", accessory="crown", style="pop art")
    words = [names[number] for names, number in zip(ATTRIBUTES.values(), labels_of(scene), strict=True)]
    assert words == ["angry", "space", "crown", "pop art", "alone"]
