"""The classifiers of what is seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import torch

from crossinit_batch.demo.judges.album import ATTRIBUTES, make_album
from crossinit_batch.demo.judges.attributes import Classifiers, attribute_accuracy, seen_by
from crossinit_batch.demo.judges.export import export_classifiers
from crossinit_batch.demo.training.train_text_encoder import to_samples


def test_the_likeliest_word_of_each_attribute_is_named(tmp_path: Path) -> None:
    album = make_album(tmp_path, 3, seed=4)
    torch.manual_seed(0)
    classifiers = Classifiers()
    pictures = album.pictures.reshape(-1, 64, 64, 3)
    seen = seen_by(classifiers, pictures)
    with torch.no_grad():
        scores = classifiers(to_samples(pictures[:1]))
    assert seen.shape == (6, len(ATTRIBUTES))
    assert seen[0].tolist() == [int(score.argmax()) for score in scores]
    accuracy = attribute_accuracy(classifiers, album)
    truth = album.labels.reshape(6, -1)
    assert accuracy["style"] == np.float32((seen.numpy()[:, 3] == truth[:, 3]).mean())


def test_its_file_names_the_words(tmp_path: Path) -> None:
    model = onnx.load(export_classifiers(Classifiers(), tmp_path))
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert {name: tuple(words) for name, words in json.loads(facts["words"]).items()} == ATTRIBUTES
    assert [output.name for output in model.graph.output] == list(ATTRIBUTES)
