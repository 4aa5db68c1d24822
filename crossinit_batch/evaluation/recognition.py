"""A face → a unit identity vector, by a recognition network in one of the field's three ONNX layouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crossinit_batch.errors import RequestError
from crossinit_batch.evaluation.alignment import SIDE
from crossinit_batch.evaluation.networks import Network

LayoutName = Literal["arcface", "adaface", "sface"]


@dataclass(frozen=True)
class InputLayout:
    """How a network takes pixels of 0 to 255: the order of its channels, and (x - mean) / scale."""

    channels: Literal["RGB", "BGR"]
    mean: float
    scale: float


LAYOUTS: dict[LayoutName, InputLayout] = {
    "arcface": InputLayout("RGB", 127.5, 127.5),
    "adaface": InputLayout("BGR", 127.5, 127.5),
    "sface": InputLayout("RGB", 0.0, 1.0),  # it scales by itself
}
"""The inputs of insightface's ArcFace files, of AdaFace, and of OpenCV's SFace."""


class Recogniser:
    """Embeds aligned faces one at a time, so that none depends on its batch mates."""

    def __init__(self, network: Network, layout: LayoutName) -> None:
        """RequestError where the network takes pictures of another size."""
        self.network, self.layout = network, LAYOUTS[layout]
        if network.size not in (None, (SIDE, SIDE)):
            raise RequestError(
                f"{network.name} takes pictures of {network.size}, a face recognition network takes ({SIDE}, {SIDE})",
                "Name a network in the layout of ArcFace, AdaFace or SFace.",
            )

    def embed(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The unit vector (width,) of an aligned face (112, 112, 3) in RGB; RequestError for a zero vector."""
        pixels = face if self.layout.channels == "RGB" else face[..., ::-1]
        samples = (pixels.astype(np.float32) - self.layout.mean) / self.layout.scale
        outputs = self.network(np.ascontiguousarray(samples.transpose(2, 0, 1)[None], dtype=np.float32))
        vector = np.asarray(outputs[self.network.outputs[0]], dtype=np.float64).reshape(-1)
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            raise RequestError(
                f"{self.network.name} gave a face no direction", "Check its layout: arcface, adaface, sface."
            )
        return (vector / length).astype(np.float32)
