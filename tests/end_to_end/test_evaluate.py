"""`evaluate:` and `crossinit evaluate` from the outside, on small judges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from crossinit_batch import layout
from crossinit_batch.engines.placement import RunOptions
from crossinit_batch.errors import Interrupted
from crossinit_batch.evaluation.alignment import aligned
from crossinit_batch.evaluation.detection import FaceDetector
from crossinit_batch.evaluation.networks import Network
from crossinit_batch.events import ImagesJudged, RunFinished, RunStarted, ScoresDone, Warned
from crossinit_batch.plan.frozen import read_plan
from crossinit_batch.plan.inventory import take_inventory
from crossinit_batch.plan.scores import PictureScore, load_scores
from crossinit_batch.report.verify import verify
from crossinit_batch.runner.run import evaluate
from crossinit_batch.settings import EvaluationSettings
from crossinit_batch.storage.store import Store
from tests.helpers import insightface_stand_in
from tests.helpers.judges import MeanColors, make_clip, make_judges, make_recogniser
from tests.helpers.tree import tree_of

from .small_run import Ask, Recorder, SmallRun, small_values

stand_in = insightface_stand_in.stand_in

PROMPTS = [
    {"prompt": "a photo of a {} person", "category": "expression"},
    {"prompt": "a {} person and Anne Hathaway sit on a sofa", "category": "interaction"},
    {"prompt": "cubism painting of a {} person", "category": "style"},
]


@pytest.fixture(scope="session")
def judges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_judges(tmp_path_factory.mktemp("judges"))


@pytest.fixture
def small(photographs: Path, pipeline_folder: Path, judges: dict[str, Any]) -> SmallRun:
    values = small_values(pipeline_folder, ("ada", "cy"), prompts=PROMPTS, evaluate={**judges})
    values["render"] = {"images_per_prompt": 2, "steps": 2}
    return SmallRun(photographs.parent, values)


def scores_of(run: SmallRun, method: str, identity: str) -> list[PictureScore]:
    data = run.store.read(f"{layout.scores_folder(method, identity)}/{layout.SCORES_FILE}")
    assert data is not None
    return load_scores(data)


def scored(record: Recorder) -> int:
    return sum(event.images for event in record.of(ScoresDone))


def expected_score(small: SmallRun, judges: Any, identity: str, picture: str) -> tuple[int, list[float]]:
    """Faces, and the cosine of each with the photograph, by networks that are not those of the program."""
    detector = FaceDetector(Network(Path(judges["identity"]["detector"]).read_bytes(), "d"), 0.6)
    recogniser = MeanColors()

    def vectors(image: Image.Image) -> list[torch.Tensor]:
        faces = [aligned(image, face.landmarks) for face in detector.find(image)]
        samples = [torch.from_numpy(face.astype(np.float32).transpose(2, 0, 1)) / 127.5 - 1 for face in faces]
        return [torch.nn.functional.normalize(recogniser(sample[None])[0], dim=0) for sample in samples]

    source = vectors(Image.open(small.folder / f"photos/{identity}.png").convert("RGB"))[0]
    drawn = Path(small.output) / layout.images_folder("paper", identity) / picture
    found = vectors(Image.open(drawn).convert("RGB"))
    return len(found), [float(source @ vector) for vector in found]


def test_a_run_scores_what_it_draws(small: SmallRun, judges: dict[str, Any]) -> None:
    result, record = small.run()
    assert result.exit_code == 0 and scored(record) == 2 * 2 * 6
    (start,), (end,) = record.of(RunStarted), record.of(RunFinished)
    assert (start.scores, start.scores_done, end.scores) == (24, 0, 24)
    assert [event.images for event in record.of(ImagesJudged)] == [2] * 12  # one event a prompt
    for identity in ("ada", "cy"):
        scores = scores_of(small, "paper", identity)
        assert len(scores) == 6 and all(-1 <= score.prompt <= 1 for score in scores if score.prompt is not None)
        for score in scores[:4]:
            faces, cosines = expected_score(small, judges, identity, score.picture)
            assert score.faces == faces
            if faces:
                assert score.identity == pytest.approx(cosines[0], abs=1e-5)
                assert score.identity_best == pytest.approx(max(cosines), abs=1e-5)
        for style in scores[4:]:
            assert style.faces is None and style.identity is None and style.prompt is not None
    assert verify(small.store).findings == ()


def test_prompt_scores_are_transformers_own_cosines(small: SmallRun, judges: dict[str, Any]) -> None:
    import transformers

    small.run()
    folder = judges["prompt"]["model"]
    model = transformers.CLIPModel.from_pretrained(folder)
    processor = transformers.CLIPProcessor.from_pretrained(folder)
    score = scores_of(small, "paper", "ada")[0]
    picture = Image.open(Path(small.output) / layout.images_folder("paper", "ada") / score.picture).convert("RGB")
    inputs = processor(text=["a photo of a person"], images=[picture], return_tensors="pt", padding=True)
    with torch.no_grad():
        outputs = model(**inputs)
    expected = float(torch.nn.functional.cosine_similarity(outputs.text_embeds, outputs.image_embeds))
    assert score.prompt == pytest.approx(expected, abs=1e-5)


def test_nothing_is_scored_twice_and_only_what_changed_is_scored_again(small: SmallRun, tmp_path: Path) -> None:
    small.run()
    before = tree_of(small.store)
    result, record = small.run()
    assert scored(record) == 0 and result.exit_code == 0 and tree_of(small.store) == before

    small.values["prompts"] = [*PROMPTS, "a {} person on the beach"]
    _, record = small.run()
    assert scored(record) == 2 * 2 * 2  # the new prompt alone

    other = make_clip(tmp_path / "other-clip", seed=5)
    small.values["evaluate"] = {**small.values["evaluate"], "prompt": {"model": str(other)}}
    _, record = small.run()
    assert scored(record) == 2 * 2 * 8  # other judges: everything


def test_stopped_while_scoring_it_goes_on_where_it_was(small: SmallRun) -> None:
    small.run()
    whole = tree_of(small.store)
    cut = small.at("cut")
    with pytest.raises(Interrupted):
        cut.run(Recorder(when=lambda event, number: isinstance(event, ScoresDone) and number == 3))
    _, resumed = cut.resume()
    assert scored(resumed) == 6  # of the fourth job
    assert (resumed.of(RunStarted)[0].scores, resumed.of(RunStarted)[0].scores_done) == (24, 18)
    assert {**tree_of(cut.store), layout.MANIFEST: ""} == {**whole, layout.MANIFEST: ""}


def test_a_photograph_is_judged_once_for_all_methods_and_prompts(small: SmallRun) -> None:
    small.run()
    report = (small.store.read(layout.REPORT) or b"").decode()
    assert "2 photographs judged" in report and "24 pictures judged" in report


def test_evaluate_scores_a_folder_without_its_model(small: SmallRun, judges: dict[str, Any], monkeypatch: Any) -> None:
    evaluated = small.at("whole")
    evaluated.run()
    del small.values["evaluate"]
    small.run()
    assert not [name for name in small.store.listing() if "/scores/" in name]
    monkeypatch.setattr("crossinit_batch.worker.worker.BaseModel", None)
    settings = EvaluationSettings.model_validate(judges)
    record = Recorder()
    result = evaluate(small.store, settings, record, record.stop, RunOptions("cpu"))
    assert result.exit_code == 0 and scored(record) == 24
    (start,) = record.of(RunStarted)
    assert (start.artifacts, start.images, start.steps, start.scores) == (0, 0, 0, 24)
    for name in ("paper/ada", "quick/cy"):
        assert small.store.read(f"{name}/scores/scores.csv") == evaluated.store.read(f"{name}/scores/scores.csv")
    plan = read_plan(small.store)
    assert plan is not None and plan.judges is not None and take_inventory(small.store, plan).finished


def test_evaluate_draws_nothing_and_keeps_what_failed_before(small: SmallRun, judges: dict[str, Any]) -> None:
    (small.folder / "photos/bad.png").write_bytes(b"no picture")
    small.values["identities"].append("photos/bad.png")
    del small.values["evaluate"]
    assert small.run()[0].exit_code == 1
    before = small.store.read(layout.FAILURES)
    record = Recorder()
    settings = EvaluationSettings.model_validate(judges)
    result = evaluate(small.store, settings, record, record.stop, RunOptions("cpu"))
    assert scored(record) == 24 and result.exit_code == 1
    assert record.of(RunStarted)[0].scores == 24  # nothing of the person who could not be drawn
    assert small.store.read(layout.FAILURES) == before


def test_a_run_scores_by_an_insightface_pack(small: SmallRun, stand_in: type, tmp_path: Path) -> None:
    pack = tmp_path / "packs/buffalo_l"
    pack.mkdir(parents=True)
    for name in ("det_10g.onnx", "w600k_r50.onnx"):
        (pack / name).write_bytes(name.encode())
    small.values["evaluate"] = {"identity": {"weights": f"insightface:{pack}"}, "prompt": None}
    result, record = small.run()
    assert result.exit_code == 0 and scored(record) == 24
    for score in scores_of(small, "paper", "ada")[:4]:
        assert (score.faces, score.identity, score.identity_best) == (2, pytest.approx(1), pytest.approx(1))
    report = (small.store.read(layout.REPORT) or b"").decode().replace("\\_", "_")
    assert "pack buffalo_l, sure by 0.6, sha256 with insightface 2.1, det_10g.onnx " in report
    assert scored(small.run()[1]) == 0
    (pack / "det_10g.onnx").write_bytes(b"another")
    assert scored(small.run()[1]) == 24


def test_a_photograph_without_a_face_gives_no_identity_score(small: SmallRun) -> None:
    Image.new("RGB", (96, 96), "blue").save(small.folder / "photos/ada.png")
    result, record = small.run()
    assert result.exit_code == 0
    (warning,) = record.of(Warned)
    assert "ada.png: no face is found in it" in warning.message
    assert all(score.identity is None and score.prompt is not None for score in scores_of(small, "paper", "ada"))


def test_a_recogniser_that_changes_under_a_run_is_refused(small: SmallRun, tmp_path: Path) -> None:
    own = make_recogniser(tmp_path / "own.onnx")
    small.values["evaluate"]["identity"] = {**small.values["evaluate"]["identity"], "weights": str(own)}
    small.run()
    for name in [name for name in small.store.listing() if "/scores/" in name]:
        small.store.remove(name)
    own.write_bytes(own.read_bytes() + b"\0")
    result, _ = small.resume()
    assert {failure.stage for failure in result.failures} == {"evaluate"}
    assert all("has changed since the plan was made" in failure.reason for failure in result.failures)
    assert json.loads(small.store.read(layout.FAILURES) or b"{}")["failures"]


def test_a_picture_that_is_damaged_is_not_scored(small: SmallRun) -> None:
    small.run()
    picture = Path(small.output) / "paper/ada/images" / layout.image_name(0, read_prompts(small.store)[0], 0)
    picture.write_bytes(picture.read_bytes()[:-1] + b"\0")
    small.store.remove("paper/ada/scores/receipt.json")
    result, _ = small.resume()
    (failure,) = result.failures
    assert (failure.identity, failure.stage) == ("ada", "evaluate") and "does not match its receipt" in failure.reason


def read_prompts(store: Store) -> Any:
    plan = read_plan(store)
    assert plan is not None
    return plan.prompts


def test_the_command_evaluates_and_plan_and_status_count_it(ask: Ask, small: SmallRun, judges: dict[str, Any]) -> None:
    def command(*arguments: str) -> tuple[int, str]:
        code, *said = ask(*arguments)
        return code, "".join(said)

    code, said = command("plan", str(small.save()))
    assert code == 0 and "24 pictures to judge" in said and "face recogniser" in said
    del small.values["evaluate"]
    small.run()
    identity = judges["identity"]
    options = [
        "--recogniser",
        identity["weights"],
        "--detector",
        identity["detector"],
        "--clip",
        judges["prompt"]["model"],
    ]
    code, said = command("evaluate", small.output, *options, "--device", "cpu")
    assert code == 0 and "paper: ada: 6 images scored" in said and "report.html" in said
    code, said = command("evaluate", small.output)  # the judges are the plan's by now
    assert code == 0 and "scored" not in said
    code, said = command("status", small.output, "--json")
    assert code == 0 and json.loads(said)["methods"]["paper"]["scored"] == 12
    for name in (layout.SCORES, layout.SUMMARY, layout.REPORT_PAGE):
        assert small.store.read(name)
    code, said = command("evaluate", str(small.folder))
    assert code == 2 and "is not an output folder of crossinit" in said
