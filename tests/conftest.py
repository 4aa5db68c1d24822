"""What the tests share: a small random-weight pipeline of Stable Diffusion 2.1's structure, and drawn pictures."""

from __future__ import annotations

import gc
import hashlib
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two busy processes with two threads each crawl
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest

from tests.helpers.buckets import anywhere, azure, azure_server, s3, s3_server  # noqa: F401
from tests.helpers.picture_samples import picture_bytes


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CROSSINIT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pipeline with noise prediction, 64-pixel pictures and 32-wide embeddings."""
    from tests.helpers.random_pipeline import make_pipeline

    return make_pipeline(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="session")
def velocity_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with v-prediction and another width."""
    from tests.helpers.random_pipeline import make_pipeline

    return make_pipeline(tmp_path_factory.mktemp("model") / "velocity", width=48, prediction_type="v_prediction")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder with four pictures, ada, bob, cy and dee."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(("ada", "bob", "cy", "dee")):
        (folder / f"{name}.png").write_bytes(picture_bytes(number))
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose bytes are digested from here on."""
    names: list[Path] = []
    digest = hashlib.file_digest

    def watched(file: Any, kind: str) -> Any:
        names.append(Path(file.name))
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", watched)
    return names


def pytest_collection_finish() -> None:
    """What was imported stays: full collections, which a batch that does not fit asks for, need not walk it."""
    gc.collect()
    gc.freeze()
