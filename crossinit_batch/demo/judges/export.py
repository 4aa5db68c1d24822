"""Judges as ONNX files: the detector in YuNet's layout, the recogniser in ArcFace's; weights in half precision.

These are the layouts that judges of real faces have, so evaluation reads both alike.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossinit_batch.demo.judges.album import ATTRIBUTES
from crossinit_batch.demo.judges.attributes import Classifiers
from crossinit_batch.demo.judges.detector import STRIDE, Detector
from crossinit_batch.demo.judges.recogniser import Recogniser
from crossinit_batch.demo.training.dataset import SIDE
from crossinit_batch.errors import RequestError
from crossinit_batch.evaluation import alignment

DETECTOR, RECOGNISER, CLASSIFIERS, CLIP = "detector.onnx", "recogniser.onnx", "attributes.onnx", "clip"
"""What the judges are called in their folder."""

_SMALL = 64
"""Initial values of fewer numbers stay as they are; they may be shapes or indices."""


class YuNetLayout(nn.Module):
    """Pictures (B, 3, 64, 64), BGR, 0 to 255 → cls (B, 64, 1), obj (B, 64, 1), bbox (B, 64, 4), kps (B, 64, 10)."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        cells = self.detector(pictures.flip(1) / 127.5 - 1)
        return cells[..., :1].sigmoid(), cells[..., 1:2].sigmoid(), cells[..., 2:6], cells[..., 6:]


def export_detector(detector: Detector, folder: Path) -> Path:
    """Write the detector; RequestError where the package onnx is missing."""
    outputs = [f"{name}_{STRIDE}" for name in ("cls", "obj", "bbox", "kps")]
    return _export(YuNetLayout(detector), (1, 3, SIDE, SIDE), outputs, folder / DETECTOR, {})


def export_recogniser(recogniser: Recogniser, folder: Path) -> Path:
    """Write the recogniser; RequestError where the package onnx is missing."""
    return _export(recogniser, (1, 3, alignment.SIDE, alignment.SIDE), ["embedding"], folder / RECOGNISER, {})


def export_classifiers(classifiers: Classifiers, folder: Path) -> Path:
    """Write the classifiers with their words; RequestError where the package onnx is missing."""
    words = {"words": json.dumps(ATTRIBUTES)}
    return _export(classifiers, (1, 3, SIDE, SIDE), list(ATTRIBUTES), folder / CLASSIFIERS, words)


def _export(network: nn.Module, shape: tuple[int, ...], outputs: list[str], file: Path, facts: dict[str, str]) -> Path:
    """Write a network for any number of pictures at a time."""
    try:
        import onnx
    except ImportError:
        raise RequestError(
            f"{file} cannot be written: the package onnx is not installed", "Install it with: pip install onnx"
        ) from None
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        network.eval(),
        (torch.zeros(shape),),
        file,
        input_names=["input"],
        output_names=outputs,
        dynamic_axes={entry: {0: "batch"} for entry in ("input", *outputs)},
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(file)
    _halve(model.graph)
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return file


def _halve(graph: Any) -> None:
    """Keep the graph's large weights in half precision; they are widened again when the model is loaded."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for number, weight in enumerate(graph.initializer):
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _SMALL:
            continue
        narrow = numpy_helper.from_array(values.astype(np.float16), f"{weight.name}_half")
        casts.append(helper.make_node("Cast", [narrow.name], [weight.name], to=TensorProto.FLOAT))
        graph.initializer[number].CopyFrom(narrow)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
