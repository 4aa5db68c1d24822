from __future__ import annotations

from pathlib import Path

import pytest

from crossinit_batch.errors import RequestError
from crossinit_batch.evaluation.judges import bundled_judge
from crossinit_batch.manifest.evaluation import evaluation_of_options
from crossinit_batch.plan.judges import planned_judges
from crossinit_batch.settings import DEFAULT_CLIP, DEMO_EVALUATION, EvaluationSettings
from tests.helpers import manifest_folder
from tests.helpers.manifest_folder import ADA, check_mistake, load

folder = manifest_folder.folder


@pytest.fixture
def nets(folder: Path) -> Path:
    """The folder with files in the places of judges."""
    for name in ("arc.onnx", "yunet.onnx", "arc.pt"):
        (folder / name).write_bytes(b"net")
    (folder / "clip").mkdir()
    return folder


def evaluation(folder: Path, text: str) -> EvaluationSettings | None:
    return load(folder, ADA + text).evaluate


def test_files_and_folders_are_beside_the_manifest(nets: Path) -> None:
    text = "evaluate: {identity: {weights: arc.onnx, layout: sface, detector: yunet.onnx}, prompt: {model: clip}}"
    found = evaluation(nets, text)
    assert found is not None and found.identity is not None and found.prompt is not None
    assert found.identity.weights == str(nets / "arc.onnx") and found.identity.detector == str(nets / "yunet.onnx")
    assert found.identity.layout == "sface" and found.identity.confidence == 0.6
    assert found.prompt.model == str(nets / "clip")


def test_an_insightface_pack_is_a_folder_beside_the_manifest_or_where_insightface_keeps_them(
    nets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = nets / "home"
    (home / "models/buffalo_l").mkdir(parents=True)
    (nets / "packs/own").mkdir(parents=True)
    monkeypatch.setenv("INSIGHTFACE_HOME", str(home))
    for name, folder in (("buffalo_l", home / "models/buffalo_l"), ("packs/own", nets / "packs/own")):
        found = evaluation(nets, f"evaluate: {{identity: {{weights: insightface:{name}}}}}")
        assert found is not None and found.identity is not None
        assert (found.identity.pack, found.identity.detector) == (str(folder), "")
    option = evaluation_of_options("insightface:buffalo_l", None, None, "arcface")
    assert option is not None and option.identity is not None
    assert option.identity.weights == f"insightface:{home}/models/buffalo_l"
    with pytest.raises(RequestError, match="packs are never downloaded"):
        evaluation_of_options("insightface:antelopev2", None, None, "arcface")


def test_what_is_not_named_is_clip_or_the_small_worlds(nets: Path) -> None:
    assert evaluation(nets, "model: demo") is None
    named = evaluation(nets, "evaluate: {}")
    assert named is not None and named.identity is None
    assert named.prompt is not None and named.prompt.model == DEFAULT_CLIP
    assert evaluation(nets, "model: demo\nevaluate: {}") == DEMO_EVALUATION
    assert evaluation(nets, "model: {id: demo}\nevaluate: {}") == DEMO_EVALUATION
    assert evaluation(nets, "evaluate: demo") == DEMO_EVALUATION
    likeness = evaluation(nets, "model: demo\nevaluate: {prompt: null}")
    assert likeness is not None and likeness.identity == DEMO_EVALUATION.identity and likeness.prompt is None


def test_the_bundled_judges_are_there_and_have_digests() -> None:
    planned = planned_judges(DEMO_EVALUATION, fetch=False)
    assert planned is not None
    assert len({planned.detector, planned.recogniser, planned.clip}) == 3 and planned.clip != "unknown"
    assert bundled_judge("detector.onnx").is_file()
    assert planned_judges(None) is None and planned_judges(EvaluationSettings(prompt=None)) is None


FACE = "evaluate: {identity: {detector: yunet.onnx, weights: "
MISTAKES = [
    ("evaluate: dmo", 11, "expected"),
    ("evaluate: [demo]", 11, "expected"),
    ("evaluate: {identty: {}}", 12, "did you mean identity?"),
    ("evaluate: {identity: {weights: arc.onnx}}", 22, "the key detector is required"),
    ("evaluate: {identity: {detector: yunet.onnx}}", 22, "the key weights is required"),
    (FACE + "none.onnx}}", 54, "there is no file"),
    (FACE + "arc.pt}}", 54, "is no .onnx file"),
    (FACE + "'https://x.org/a.onnx'}}", 54, "weights are never downloaded"),
    (FACE + "arc.onnx, layout: facenet}}", 72, "expected one of arcface, adaface, sface"),
    (FACE + "arc.onnx, confidence: 0}}", 76, "at least 0.05"),
    ("evaluate: {identity: {weights: insightface:none}}", 32, "packs are never downloaded"),
    ("evaluate: {identity: {weights: 'insightface:'}}", 32, "it is empty"),
    (FACE + "'insightface:x'}}", 22, "leave the key detector out"),
    ("evaluate: {prompt: {model: ./none}}", 28, "there is no folder"),
    ("evaluate: {prompt: {model: 'https://x.org'}}", 28, "a URL is no model"),
    ("evaluate: {prompt: clip}", 20, "expected a mapping"),
]


@pytest.mark.parametrize(("text", "column", "part"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_at_its_place(nets: Path, text: str, column: int, part: str) -> None:
    check_mistake(nets, ADA + text, 2, column, part)


def test_options_name_judges(nets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(nets)
    assert evaluation_of_options(None, None, None, "arcface") is None
    found = evaluation_of_options("arc.onnx", "yunet.onnx", None, "adaface")
    assert found is not None and found.identity is not None and found.identity.weights == str(nets / "arc.onnx")
    assert found.identity.layout == "adaface" and found.prompt is not None and found.prompt.model == DEFAULT_CLIP
    alone = evaluation_of_options(None, None, "clip", "arcface")
    assert alone is not None and alone.identity is None


@pytest.mark.parametrize(
    ("recogniser", "detector", "clip", "layout", "part"),
    [
        ("arc.onnx", None, None, "arcface", "belong together"),
        ("none.onnx", "yunet.onnx", None, "arcface", "there is no file"),
        ("arc.onnx", "yunet.onnx", None, "facenet", "--layout"),
        (None, None, "./none", "arcface", "there is no folder"),
    ],
)
def test_options_that_cannot_be_are_refused(
    nets: Path,
    monkeypatch: pytest.MonkeyPatch,
    recogniser: str | None,
    detector: str | None,
    clip: str | None,
    layout: str,
    part: str,
) -> None:
    monkeypatch.chdir(nets)
    with pytest.raises(RequestError, match=part):
        evaluation_of_options(recogniser, detector, clip, layout)
