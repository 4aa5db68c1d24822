"""The faces in a picture as identity vectors, the largest face first: found, aligned, recognised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crossinit_batch.evaluation.alignment import aligned
from crossinit_batch.evaluation.detection import FaceDetector
from crossinit_batch.evaluation.recognition import Recogniser


class FaceJudge(Protocol):
    """Finds and recognises the faces in a picture."""

    def vectors(self, picture: Image.Image) -> list[NDArray[np.float32]]:
        """A unit vector (width,) for every face of an RGB picture, the largest face first."""
        ...


@dataclass(frozen=True)
class NetworkPair:
    """A detector and a recogniser in files of their own."""

    detector: FaceDetector
    recogniser: Recogniser

    def vectors(self, picture: Image.Image) -> list[NDArray[np.float32]]:
        return [self.recogniser.embed(aligned(picture, face.landmarks)) for face in self.detector.find(picture)]
