"""A stand-in for the package insightface with its interface: what of it we call, as versions 0.7 and 2.1 have it."""

from __future__ import annotations

import importlib.metadata
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

VERSION = importlib.metadata.version


class StandInFace(dict[str, Any]):
    """As insightface's Face: keys are attributes, and what it has not is None."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)

    @property
    def normed_embedding(self) -> Any:
        return None if self.embedding is None else self.embedding / np.linalg.norm(self.embedding)


class StandInAnalysis:
    """FaceAnalysis as far as we call it; it finds two faces, the smaller one first."""

    opened: Any = None
    tasks: tuple[str, ...] = ("detection", "recognition")

    def __init__(self, name: str, root: str = "~/.insightface", allowed_modules: Any = None, **kwargs: Any) -> None:
        print("find model:", name)  # as 0.7 does
        self.name, self.allowed, self.kwargs = name, allowed_modules, kwargs
        self.models = {task: object() for task in self.tasks}
        if "detection" not in self.models:
            raise AssertionError  # its bare assert
        type(self).opened = self

    def prepare(self, ctx_id: int, det_thresh: float = 0.5, det_size: Any = None) -> None:
        self.prepared = {"ctx_id": ctx_id, "det_thresh": det_thresh, "det_size": det_size}

    def get(self, img: np.ndarray, max_num: int = 0) -> list[StandInFace]:
        self.shown = img
        small = StandInFace(bbox=np.array([0.0, 0, 10, 10]), embedding=np.array([0.0, 2.0]))
        large = StandInFace(bbox=np.array([20.0, 20, 60, 70]), embedding=np.array([3.0, 4.0]))
        return [small, large]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandInAnalysis]:
    """The package insightface, installed in its version 2.1."""
    package, app = ModuleType("insightface"), ModuleType("insightface.app")
    kind = type("FaceAnalysis", (StandInAnalysis,), {})
    app.FaceAnalysis = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "insightface", package)
    monkeypatch.setitem(sys.modules, "insightface.app", app)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.1" if name == "insightface" else VERSION(name))
    return kind
