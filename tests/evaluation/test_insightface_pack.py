"""Packs of the package insightface: on a stand-in with its interface, and on the package itself where it is there."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from crossinit_batch.errors import RequestError
from crossinit_batch.evaluation.alignment import TEMPLATE, aligned
from crossinit_batch.evaluation.insightface_pack import InsightFacePack, pack_identity
from crossinit_batch.evaluation.judges import check_judges
from crossinit_batch.evaluation.networks import Network
from crossinit_batch.evaluation.recognition import Recogniser
from crossinit_batch.plan.judges import files_of, planned_judges
from crossinit_batch.report.scores.provenance import judges_of
from crossinit_batch.settings import EvaluationSettings, IdentitySettings
from tests.helpers import insightface_stand_in
from tests.helpers.insightface_stand_in import StandInAnalysis, StandInFace
from tests.helpers.judges import MeanColors, export, make_recogniser
from tests.helpers.results import a_plan

stand_in = insightface_stand_in.stand_in
VERSION = importlib.metadata.version


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A folder with files where a pack's networks are."""
    folder = tmp_path / "buffalo_l"
    folder.mkdir()
    for name in ("w600k_r50.onnx", "det_10g.onnx", "readme.txt"):
        (folder / name).write_bytes(name.encode())
    return folder


def settings_of(pack: Path) -> EvaluationSettings:
    return EvaluationSettings(identity=IdentitySettings(weights=f"insightface:{pack}", confidence=0.7), prompt=None)


def test_it_is_opened_on_the_folder_that_is_there_and_shown_bgr(
    stand_in: type[StandInAnalysis], pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = InsightFacePack(pack, 0.7)
    opened = stand_in.opened
    assert (opened.name, opened.allowed) == (str(pack), ["detection", "recognition"])
    assert opened.kwargs == {"providers": ["CPUExecutionProvider"]}
    assert opened.prepared == {"ctx_id": -1, "det_thresh": 0.7, "det_size": (640, 640)}
    vectors = judge.vectors(Image.new("RGB", (90, 80), (255, 51, 0)))
    assert opened.shown.shape == (80, 90, 3) and opened.shown[0, 0].tolist() == [0, 51, 255]
    assert opened.shown.flags.c_contiguous
    assert [vector.tolist() for vector in vectors] == [pytest.approx([0.6, 0.8]), pytest.approx([0.0, 1.0])]
    assert capsys.readouterr().out == ""


def test_the_report_names_version_and_digest_of_every_file(stand_in: type[StandInAnalysis], pack: Path) -> None:
    judges = planned_judges(settings_of(pack))
    assert judges is not None
    check_judges(judges.settings, files_of(judges))
    digests = [f"{name} {hashlib.sha256(name.encode()).hexdigest()}" for name in ("det_10g.onnx", "w600k_r50.onnx")]
    (_, said), (_, template) = judges_of(a_plan().model_copy(update={"judges": judges}))
    assert said == f"pack buffalo_l, sure by 0.7, sha256 with insightface 2.1, {', '.join(digests)}"
    assert "as insightface aligns" in template


def test_another_file_or_another_version_makes_other_judges(
    stand_in: type[StandInAnalysis], pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = planned_judges(settings_of(pack))
    assert first is not None
    (pack / "det_10g.onnx").write_bytes(b"another")
    second = planned_judges(settings_of(pack))
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "2.2")
    third = planned_judges(settings_of(pack))
    assert second is not None and third is not None
    assert len({first.digest, second.digest, third.digest}) == 3
    with pytest.raises(RequestError, match="has changed since the plan was made"):
        check_judges(first.settings, files_of(first))


@pytest.mark.parametrize(
    ("tasks", "words"),
    [((), "no network for detection"), (("detection",), "no network for recognition")],
)
def test_half_a_pack_is_refused(
    stand_in: type[StandInAnalysis], pack: Path, tasks: tuple[str, ...], words: str
) -> None:
    stand_in.tasks = tasks
    with pytest.raises(RequestError, match=words) as caught:
        InsightFacePack(pack, 0.5)
    assert "buffalo_l" in caught.value.hint


def test_an_empty_folder_is_refused(stand_in: type[StandInAnalysis], tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="has no .onnx file"):
        pack_identity(tmp_path)


def test_a_face_without_direction_is_refused(
    stand_in: type[StandInAnalysis], pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = StandInFace(bbox=np.array([0.0, 0, 1, 1]), embedding=np.array([np.nan, 1.0]))
    monkeypatch.setattr(stand_in, "get", lambda _self, _img: [face])
    with pytest.raises(RequestError, match="no direction"):
        InsightFacePack(pack, 0.5).vectors(Image.new("RGB", (9, 9)))


def test_without_the_package_it_is_said_what_to_install(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setitem(sys.modules, "insightface", None)
    for use in (lambda: pack_identity(pack), lambda: InsightFacePack(pack, 0.5)):
        with pytest.raises(RequestError, match="insightface is not installed") as caught:
            use()
        assert "pip install 'crossinit-batch[insightface]'" in caught.value.hint


class RedSpots(nn.Module):
    """A detector in SCRFD's layout that takes bright red for a face; the finest of its three strides alone is sure."""

    points: Tensor

    def __init__(self) -> None:
        super().__init__()
        # The template, three cells wide, around the middle of the cell whose corner is the anchor.
        self.register_buffer("points", torch.tensor(((TEMPLATE - 56) / 112 * 3 + 0.5).flatten().tolist()))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        scores, boxes, points = [], [], []
        for stride in (8, 16, 32):
            red = nn.functional.avg_pool2d(pixels[:, :1], stride).reshape(-1, 1).repeat_interleave(2, dim=0)
            sure = torch.sigmoid((red - 0.6) * 30)
            scores.append(sure if stride == 8 else sure * 0)
            boxes.append(torch.ones_like(red) * torch.tensor([[1.0, 1.0, 2.0, 2.0]]))
            points.append(torch.ones_like(red) * self.points)
        return (*scores, *boxes, *points)


@pytest.mark.skipif(importlib.util.find_spec("insightface") is None, reason="insightface is not installed")
def test_the_package_itself_finds_aligns_and_recognises_as_we_do(tmp_path: Path) -> None:
    """A pack made here, of networks whose answers are known, through insightface's own code."""
    folder = tmp_path / "made"
    folder.mkdir()
    names = [f"{part}_{stride}" for part in ("score", "bbox", "kps") for stride in (8, 16, 32)]
    export(RedSpots(), folder / "det.onnx", None, names)
    recogniser = make_recogniser(folder / "rec.onnx")
    pixels = np.random.default_rng(3).integers(0, 120, (640, 640, 3), dtype=np.uint8)
    pixels[160:168, 240:248] = (255, 20, 60)
    pixels[320:328, 80:88] = (255, 90, 10)
    picture = Image.fromarray(pixels)
    found = InsightFacePack(folder, 0.5).vectors(picture)
    ours = Recogniser(Network(recogniser.read_bytes(), "rec.onnx"), "arcface")
    points = ((TEMPLATE - 56) / 112 * 3 + 0.5) * 8
    expected = [ours.embed(aligned(picture, points + corner)) for corner in ((240, 160), (80, 320))]
    assert len(found) == 2 and all(np.linalg.norm(vector) == pytest.approx(1) for vector in found)
    cosines = np.stack(found) @ np.stack(expected).T
    assert np.sort(cosines.max(axis=1)) == pytest.approx([1, 1], abs=2e-3) and np.linalg.matrix_rank(cosines) == 2
    assert MeanColors().mixture.shape[1] == len(found[0])
    assert pack_identity(folder).startswith(f"insightface {VERSION('insightface')}, det.onnx ")
