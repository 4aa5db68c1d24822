"""Faces in a picture with five landmarks each, by a detector in YuNet's ONNX layout (Wu et al., 2023)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crossinit_batch.errors import RequestError
from crossinit_batch.evaluation.networks import Network

_LONGEST = 640
"""The longest input side in pixels for a network of no fixed size."""
_OVERLAP = 0.3
"""Two boxes with a larger intersection over union are one face."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face in pixels of the picture: box (left, top, width, height), confidence in [0, 1], landmarks (5, 2).

    Landmarks: eyes, nose tip, corners of the mouth; left ones first as a viewer sees them.
    """

    box: NDArray[np.float64]
    confidence: float
    landmarks: NDArray[np.float64]

    @property
    def area(self) -> float:
        return float(self.box[2] * self.box[3])


class FaceDetector:
    """Finds faces: outputs cls_S, obj_S, bbox_S and kps_S for each stride S that the network has."""

    def __init__(self, network: Network, confidence: float) -> None:
        """RequestError where the network has other outputs."""
        self.network, self.confidence = network, confidence
        found = [re.fullmatch(r"cls_(\d+)", name) for name in network.outputs]
        self.strides = sorted(int(match[1]) for match in found if match)
        needed = [f"{part}_{stride}" for stride in self.strides for part in ("cls", "obj", "bbox", "kps")]
        if not self.strides or set(needed) - set(network.outputs):
            raise RequestError(
                f"{network.name} is no face detector in YuNet's layout: its outputs are {', '.join(network.outputs)}",
                "A detector has outputs cls_8, obj_8, bbox_8, kps_8 and so on, as YuNet of 2022 and later has.",
            )

    def find(self, image: Image.Image) -> list[Face]:
        """The faces of an RGB picture of at least the asked confidence, the largest first."""
        samples, scale = self._samples(image)
        outputs = self.network(samples)
        height, width = samples.shape[2:]
        faces = [
            face
            for stride in self.strides
            for face in self._decoded(outputs, stride, height // stride, width // stride, scale)
        ]
        return sorted(_distinct(faces), key=lambda face: -face.area)

    def _samples(self, image: Image.Image) -> tuple[NDArray[np.float32], float]:
        """BGR samples (1, 3, height, width) of 0 to 255, scaled to fit, padded black below and right, and the scale."""
        if self.network.size:
            height, width = self.network.size
            scale = min(width / image.width, height / image.height)
        else:
            step, scale = self.strides[-1], min(1.0, _LONGEST / max(image.size))
            width, height = (-(-round(side * scale) // step) * step for side in image.size)
        fitted = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        small = image if fitted == image.size else image.resize(fitted, Image.Resampling.BILINEAR, reducing_gap=None)
        canvas = np.zeros((height, width, 3), dtype=np.float32)
        canvas[: fitted[1], : fitted[0]] = np.asarray(small)
        return np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None]), scale

    def _decoded(self, outputs: dict[str, Any], stride: int, rows: int, columns: int, scale: float) -> list[Face]:
        """The confident faces of one stride's grid of anchors, row by row."""
        cls, obj, box, points = (
            np.asarray(outputs[f"{part}_{stride}"], dtype=np.float64).reshape(rows * columns, -1)
            for part in ("cls", "obj", "bbox", "kps")
        )
        sure = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
        faces = []
        for anchor in np.flatnonzero(sure >= self.confidence):
            cell = np.array([anchor % columns, anchor // columns], dtype=np.float64)
            centre = (cell + box[anchor, :2]) * stride
            size = np.exp(box[anchor, 2:4]) * stride
            landmarks = (cell + points[anchor].reshape(5, 2)) * stride
            corner = np.concatenate([centre - size / 2, size])
            faces.append(Face(corner / scale, float(sure[anchor]), landmarks / scale))
        return faces


def _distinct(faces: list[Face]) -> list[Face]:
    """Of boxes that overlap, the most confident alone."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda one: -one.confidence):
        if all(_overlap(face, other) <= _OVERLAP for other in kept):
            kept.append(face)
    return kept


def _overlap(one: Face, other: Face) -> float:
    """Intersection over union of two boxes."""
    low = np.maximum(one.box[:2], other.box[:2])
    high = np.minimum(one.box[:2] + one.box[2:], other.box[:2] + other.box[2:])
    intersection = float(np.prod(np.clip(high - low, 0, None)))
    return intersection / (one.area + other.area - intersection) if intersection else 0.0
