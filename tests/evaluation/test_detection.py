from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crossinit_batch.errors import RequestError
from crossinit_batch.evaluation.detection import FaceDetector
from crossinit_batch.evaluation.networks import Network
from tests.helpers.judges import make_detector, make_recogniser


class Recorded:
    """A network that answers what it was told, and keeps what it was shown."""

    name = "recorded.onnx"

    def __init__(self, strides: tuple[int, ...], size: tuple[int, int] | None, side: int = 64) -> None:
        self.size, self.outputs = size, tuple(f"{part}_{s}" for s in strides for part in ("cls", "obj", "bbox", "kps"))
        self.answers = {
            f"{part}_{stride}": np.zeros((1, (side // stride) ** 2, width), dtype=np.float32)
            for stride in strides
            for part, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        }
        self.shown: list[np.ndarray] = []

    def __call__(self, samples: np.ndarray) -> dict[str, Any]:
        self.shown.append(samples)
        return self.answers

    def put(self, stride: int, anchor: int, cls: float, obj: float, box: tuple[float, ...]) -> None:
        """A face at an anchor; its landmarks a fifth of a stride apart."""
        for part, values in (("cls", [cls]), ("obj", [obj]), ("bbox", box), ("kps", np.arange(10) / 5)):
            self.answers[f"{part}_{stride}"][0, anchor] = values


def detector(network: Any, confidence: float = 0.6) -> FaceDetector:
    return FaceDetector(network, confidence)


def test_a_face_is_decoded_as_yunet_writes_it() -> None:
    network = Recorded((8,), (64, 64))
    network.put(8, 19, 0.81, 0.64, (0.5, 0.25, math.log(3), math.log(2)))  # row 2, column 3 of 8
    (face,) = detector(network).find(Image.new("RGB", (64, 64)))
    assert face.confidence == pytest.approx(math.sqrt(0.81 * 0.64))
    assert face.box == pytest.approx([(3 + 0.5) * 8 - 12, (2 + 0.25) * 8 - 8, 24, 16])
    assert face.landmarks[0] == pytest.approx([3 * 8, (2 + 0.2) * 8])
    assert face.landmarks[4] == pytest.approx([(3 + 1.6) * 8, (2 + 1.8) * 8])
    assert face.area == pytest.approx(24 * 16)


def test_every_stride_is_read_and_the_largest_face_comes_first() -> None:
    network = Recorded((8, 16, 32), (64, 64))
    network.put(8, 0, 1, 1, (0.5, 0.5, 0, 0))
    network.put(32, 3, 0.7, 0.8, (0.5, 0.5, 0, 0))
    network.put(16, 3, 0.9, 0.9, (0.5, 0.5, 0, 0))
    faces = detector(network).find(Image.new("RGB", (64, 64)))
    assert [face.box[2] for face in faces] == pytest.approx([32, 16, 8])


def test_one_face_seen_twice_is_one_and_the_surer_box_stays() -> None:
    network = Recorded((8,), (64, 64))
    network.put(8, 9, 0.7, 0.7, (0.5, 0.5, 1.5, 1.5))
    network.put(8, 10, 0.9, 0.9, (0.0, 0.5, 1.5, 1.5))
    network.put(8, 54, 0.8, 0.8, (0.5, 0.5, 1.5, 1.5))
    faces = detector(network).find(Image.new("RGB", (64, 64)))
    assert sorted(face.confidence for face in faces) == pytest.approx([0.8, 0.9])


@pytest.mark.parametrize(("cls", "obj", "found"), [(0.6, 0.6, 1), (0.59, 0.6, 0), (1.7, 0.36, 1), (-1.0, 1.0, 0)])
def test_how_sure_a_face_must_be(cls: float, obj: float, found: int) -> None:
    network = Recorded((8,), (64, 64))
    network.put(8, 0, cls, obj, (0, 0, 0, 0))
    assert len(detector(network, 0.599).find(Image.new("RGB", (64, 64)))) == found


def test_a_picture_is_fitted_into_a_network_of_fixed_size_and_faces_are_led_back() -> None:
    network = Recorded((8,), (64, 64))
    network.put(8, 1, 1, 1, (0, 0, 0, 0))
    picture = Image.new("RGB", (256, 128), (10, 20, 30))
    (face,) = detector(network).find(picture)
    (samples,) = network.shown
    assert samples.shape == (1, 3, 64, 64) and samples.dtype == np.float32
    assert samples[0, :, 0, 0].tolist() == [30, 20, 10]  # BGR, 0 to 255
    assert samples[0, :, 32:].max() == 0  # nothing below the picture
    assert face.box == pytest.approx([4 * (8 - 4), 4 * -4, 32, 32])


def test_a_network_of_any_size_is_shown_whole_strides_and_no_enlarged_picture() -> None:
    network = Recorded((8, 32), None, side=0)
    network.answers = {f"{part}_{s}": np.zeros((1, (96 // s) * (64 // s), w)) for s in (8, 32)
                       for part, w in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))}  # fmt: skip
    assert detector(network).find(Image.new("RGB", (90, 50), "white")) == []
    assert network.shown[0].shape == (1, 3, 64, 96)
    assert network.shown[0][0, 0, 49, 89] == 255 and network.shown[0][0, 0, 50:].max() == 0


@pytest.mark.parametrize("side", [64, None])
def test_a_real_file_is_found_to_see_a_bright_spot(tmp_path: Path, side: int | None) -> None:
    network = Network(make_detector(tmp_path / "detector.onnx", side).read_bytes(), "detector.onnx")
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    picture[24:32, 40:48] = (255, 0, 0)
    (face,) = FaceDetector(network, 0.6).find(Image.fromarray(picture))
    assert face.box[:2] + face.box[2:] / 2 == pytest.approx([44, 28])
    assert FaceDetector(network, 0.6).find(Image.new("RGB", (64, 64), "blue")) == []


def test_what_is_no_detector_is_refused(tmp_path: Path) -> None:
    path = make_recogniser(tmp_path / "recogniser.onnx")
    with pytest.raises(RequestError, match="no face detector in YuNet's layout: its outputs are embedding"):
        FaceDetector(Network(path.read_bytes(), path.name), 0.6)
