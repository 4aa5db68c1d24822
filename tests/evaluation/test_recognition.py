from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crossinit_batch.errors import RequestError
from crossinit_batch.evaluation.networks import Network
from crossinit_batch.evaluation.recognition import LayoutName, Recogniser
from tests.helpers.judges import MeanColors, export, make_detector, make_recogniser


class Recorded:
    """A network that keeps what it is shown and answers (3, 4)."""

    name, outputs, size = "recorded.onnx", ("embedding",), (112, 112)
    answer = np.array([[3.0, 4.0]], dtype=np.float32)

    def __call__(self, samples: np.ndarray) -> dict[str, Any]:
        self.shown = samples
        return {"embedding": self.answer}


def face(red: int = 255, green: int = 51, blue: int = 0) -> np.ndarray:
    return np.broadcast_to(np.array([red, green, blue], dtype=np.uint8), (112, 112, 3))


@pytest.mark.parametrize(
    ("layout", "expected"),
    [("arcface", [1, -0.6, -1]), ("adaface", [-1, -0.6, 1]), ("sface", [255, 51, 0])],
)
def test_each_layout_is_shown_pixels_its_way(layout: LayoutName, expected: list[float]) -> None:
    network: Any = Recorded()
    vector = Recogniser(network, layout).embed(face())
    assert network.shown.shape == (1, 3, 112, 112) and network.shown.dtype == np.float32
    assert network.shown[0, :, 50, 50] == pytest.approx(expected)
    assert vector == pytest.approx([0.6, 0.8])  # of length 1


def test_a_file_in_arcface_layout_computes_as_its_network_does(tmp_path: Path) -> None:
    path = make_recogniser(tmp_path / "recogniser.onnx")
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)
    vector = Recogniser(Network(path.read_bytes(), path.name), "arcface").embed(pixels)
    samples = torch.from_numpy(pixels.astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 127.5
    expected = torch.nn.functional.normalize(MeanColors()(samples)[0], dim=0).numpy()
    assert vector == pytest.approx(expected, abs=1e-5)
    assert np.linalg.norm(vector) == pytest.approx(1)


@pytest.mark.parametrize("answer", [[[0.0, 0.0]], [[np.nan, 1.0]]])
def test_a_vector_without_direction_is_refused(answer: list[list[float]]) -> None:
    network: Any = Recorded()
    network.answer = np.array(answer)
    with pytest.raises(RequestError, match="gave a face no direction"):
        Recogniser(network, "arcface").embed(face())


def test_a_network_for_another_size_is_refused(tmp_path: Path) -> None:
    path = export(MeanColors(), tmp_path / "large.onnx", 64, ["embedding"])
    with pytest.raises(RequestError, match=r"takes pictures of \(64, 64\)"):
        Recogniser(Network(path.read_bytes(), path.name), "arcface")


def test_bytes_that_are_no_network_are_refused() -> None:
    with pytest.raises(RequestError, match="face.onnx is no network that onnxruntime reads"):
        Network(b"no network", "face.onnx")


def test_a_network_that_does_not_take_one_picture_is_refused(tmp_path: Path) -> None:
    torch.onnx.export(
        torch.nn.Linear(4, 2), (torch.zeros(1, 4),), tmp_path / "linear.onnx", dynamo=False, input_names=["x"]
    )
    with pytest.raises(RequestError, match="does not take one picture"):
        Network((tmp_path / "linear.onnx").read_bytes(), "linear.onnx")


def test_a_picture_that_the_network_cannot_take_is_told(tmp_path: Path) -> None:
    network = Network(make_detector(tmp_path / "detector.onnx").read_bytes(), "detector.onnx")
    with pytest.raises(RequestError, match="cannot judge a picture of"):
        network(np.zeros((1, 3, 32, 32), dtype=np.float32))


def test_without_onnxruntime_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(RequestError) as caught:
        Network(b"", "face.onnx")
    assert "crossinit-batch[metrics]" in caught.value.hint
