"""The judges of a trained world, as evaluation reads judges: who is in a picture, and what is seen in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from crossinit_batch.demo.judges.album import ATTRIBUTES
from crossinit_batch.demo.judges.export import CLASSIFIERS, DETECTOR, RECOGNISER
from crossinit_batch.demo.judges.recogniser import EMBEDDING
from crossinit_batch.errors import RequestError
from crossinit_batch.evaluation.alignment import aligned
from crossinit_batch.evaluation.detection import FaceDetector
from crossinit_batch.evaluation.networks import Network
from crossinit_batch.evaluation.recognition import Recogniser
from crossinit_batch.storage.reading import read_file

_CONFIDENCE = 0.5


@dataclass(frozen=True)
class DemoJudges:
    """Three judges; the fourth, CLIP, is asked by evaluation alone."""

    detector: FaceDetector
    recogniser: Recogniser
    classifiers: Network

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The judges in a folder; RequestError where one is missing."""

        def network(name: str) -> Network:
            try:
                return Network(read_file(folder / name), name)
            except FileNotFoundError:
                raise RequestError(
                    f"{folder} holds no {name}", "Train the judges first: crossinit demo train"
                ) from None

        return cls(
            FaceDetector(network(DETECTOR), _CONFIDENCE),
            Recogniser(network(RECOGNISER), "arcface"),
            network(CLASSIFIERS),
        )

    def who(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Unit vectors (N, 128) of the largest face in each of pictures (N, 64, 64, 3), NaN where there is none."""
        vectors = torch.full((len(pictures), EMBEDDING), torch.nan)
        for row, pixels in zip(vectors, pictures, strict=True):
            image = Image.fromarray(pixels)
            if faces := self.detector.find(image):
                row[:] = torch.from_numpy(self.recogniser.embed(aligned(image, faces[0].landmarks)))
        return vectors

    def what(self, pictures: NDArray[np.uint8]) -> Tensor:
        """The number of each attribute's likeliest word, (N, attributes)."""
        samples = (pictures.astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2)
        numbers = []
        for sample in samples:
            scores = self.classifiers(np.ascontiguousarray(sample[None]))
            numbers.append([int(scores[name].argmax()) for name in ATTRIBUTES])
        return torch.tensor(numbers)
