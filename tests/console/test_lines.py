"""Plain lines and JSON, against a clock that the test turns."""

import io
import json
import re
from datetime import UTC, datetime

import pytest

from crossinit_batch.console.lines import JsonLines, Lines
from crossinit_batch.console.safe_stream import SafeStream
from crossinit_batch.events import (
    ArtifactDone,
    CheckpointSaved,
    DenoiseStepDone,
    Event,
    ImagesDone,
    ImagesJudged,
    JobFailed,
    Note,
    RunFinished,
    RunInterrupted,
    RunStarted,
    ScoresDone,
    StepDone,
    Warned,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)
START = RunStarted("celeba", "s3://k:SECRET@b/out?x=SECRET", "demo", "cuda:0", "bfloat16", 12, 4, 240, 80, 320)


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


class Flushed(io.StringIO):
    """Keeps only what was flushed, as a pipe's reader would see it."""

    seen = ""

    def flush(self) -> None:
        self.seen = self.getvalue()


def lines_of(*events: Event, quiet: bool = False, clock: Clock | None = None) -> list[str]:
    stream = Flushed()
    lines = Lines(SafeStream(stream), quiet, clock or Clock(), lambda: NOW)
    for event in events:
        lines.take(event)
    assert stream.seen == stream.getvalue()
    return stream.seen.splitlines()


def json_of(*events: Event, quiet: bool = False) -> list[dict[str, object]]:
    stream = Flushed()
    lines = JsonLines(SafeStream(stream), quiet, lambda: NOW)
    for event in events:
        lines.take(event)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return [json.loads(line, parse_constant=refuse) for line in stream.seen.splitlines()]


def test_the_start_says_what_is_to_do_and_where_without_secrets() -> None:
    lines = lines_of(START)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  celeba: 8 of 12 embeddings, 160 of 240 images, .*320 .*", lines[0])
    assert lines[1:] == ["          model demo on cuda:0 in bfloat16", "          output s3://b/out"]


def test_steps_make_at_most_a_line_every_ten_seconds() -> None:
    clock = Clock()
    stream = io.StringIO()
    lines = Lines(SafeStream(stream), False, clock, lambda: NOW)
    lines.take(START)
    written = []
    for step in range(1, 321):
        clock.now += 0.5
        before = stream.tell()
        lines.take(StepDone("cross-init", ("ada", "bob"), step, 320, 0.25))
        written += [step] if stream.tell() > before else []
    assert written == list(range(20, 321, 20))
    assert "cross-init: ada, bob: step 40/320, loss 0.2500; 4/12 embeddings, 80/240 images" in stream.getvalue()
    assert "at least " in stream.getvalue()


def test_denoising_and_optimisation_share_the_throttle() -> None:
    clock = Clock()
    stream = io.StringIO()
    lines = Lines(SafeStream(stream), False, clock, lambda: NOW)
    for step in range(1, 13):
        clock.now += 1
        lines.take(StepDone("m", ("a",), step, 50, 1.0))
        lines.take(DenoiseStepDone("m", 8, step, 50))
    assert len(stream.getvalue().splitlines()) == 1


def test_what_completes_or_goes_wrong_is_written_at_once() -> None:
    lines = lines_of(
        START,
        ArtifactDone("cross-init", "ada", 34.2),
        ImagesDone("cross-init", "ada", 8),
        CheckpointSaved("cross-init", ("a", "b", "c", "d", "e"), 50),
        JobFailed("cross-init", "bob", "photograph", "no such picture", "check the path"),
        Warned("small picture"),
        Note("hello"),
        RunFinished("out/x", 1, 8, 1, 4, 723.0),
    )
    assert [line[10:] for line in lines[3:]] == [
        "cross-init: ada: embedding done in 34 s (5/12 embeddings)",
        "cross-init: ada: 8 images done (88/240 images)",
        "cross-init: a, b, c +2: checkpoint at step 50",
        "failed: cross-init: bob: photograph: no such picture",
        "check the path",
        "warning: small picture",
        "hello",
        "finished in 12 min 3 s: 1 embedding, 8 images, 1 failed, 4 already done; out/x",
    ]


def test_scoring_is_counted_at_the_start_on_the_way_and_at_the_end() -> None:
    clock = Clock()
    stream = io.StringIO()
    lines = Lines(SafeStream(stream), False, clock, lambda: NOW)
    lines.take(RunStarted("n", "out", "demo", "cpu", "float32", 2, 2, 16, 16, 0, scores=16, scores_done=4))
    for _ in range(3):
        clock.now += 6.0
        lines.take(ImagesJudged("m", "ada", 2))
    lines.take(ScoresDone("m", "ada", 6))
    lines.take(RunFinished("out", 0, 0, 0, 2, 20.0, scores=6))
    assert [line[10:] for line in stream.getvalue().splitlines()] == [
        "n: 0 of 2 embeddings, 0 of 16 images, 12 of 16 images to judge",
        "model demo on cpu in float32",
        "output out",
        "m: ada: 2 images judged; 2/2 embeddings, 16/16 images, 8/16 scores, 24 s left",
        "m: ada: 6 images scored (10/16 scores)",
        "finished in 20 s: 6 images scored, 2 already done; out",
    ]


def test_where_only_scores_are_asked_for_nothing_else_is_counted() -> None:
    lines = lines_of(RunStarted("n", "out", "demo", "cpu", "float32", 0, 0, 0, 0, 0, scores=16, scores_done=4))
    assert lines[0][10:] == "n: 12 of 16 images to judge"


def test_quiet_leaves_warnings_failures_and_the_end() -> None:
    events = (
        START,
        Note("n"),
        ArtifactDone("m", "a", 1.0),
        Warned("w"),
        JobFailed("m", "b", "render", "r", ""),
        RunInterrupted("my out", "SIGTERM", "everything up to step 50 is saved"),
    )
    assert [line[10:] for line in lines_of(*events, quiet=True)] == [
        "warning: w",
        "failed: m: b: render: r",
        "stopped by SIGTERM: everything up to step 50 is saved",
        "go on with: crossinit resume 'my out'",
    ]
    assert [line["event"] for line in json_of(*events, quiet=True)] == [
        "warned",
        "job-failed",
        "run-interrupted",
    ]


HOSTILE = "[red]\x1b[2J\r\u202e\udc80"


def test_foreign_text_cannot_move_the_cursor_or_forge_a_line() -> None:
    events = (
        ArtifactDone("m", f"id\n12:00:00  finished{HOSTILE}", 1.0),
        JobFailed("m", HOSTILE, "s", f"why\n12:00:00  finished {HOSTILE} https://u:SECRET@h/x?y", HOSTILE),
        Warned(HOSTILE),
        Note(HOSTILE),
        StepDone(HOSTILE, (HOSTILE,), 1, 2, 1.0),
    )
    text = "\n".join(lines_of(*events))
    assert "\x1b" not in text and "\r" not in text and "\u202e" not in text and "SECRET" not in text
    assert "[red]\\x1b[2J\\r\\u202e\\udc80" in text
    assert "\n12:00:00" not in text


def test_json_is_one_object_a_line_with_a_utc_time() -> None:
    assert json_of(StepDone("m", ("Zoë",), 1, 320, 0.5)) == [
        {
            "time": "2026-01-02T03:04:05.678Z",
            "event": "step-done",
            "method": "m",
            "identities": ["Zoë"],
            "step": 1,
            "steps": 320,
            "loss": 0.5,
            "since": 1,
        }
    ]


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_json_has_null_for_numbers_that_are_not_finite(loss: float) -> None:
    assert json_of(StepDone("m", ("a",), 1, 2, loss))[0]["loss"] is None
    clock = Clock()
    lines = Lines(SafeStream(io.StringIO()), False, clock, lambda: NOW)
    clock.now += 60
    lines.take(StepDone("m", ("a",), 1, 2, loss))


def test_json_keeps_ids_and_drops_secrets() -> None:
    failed, started = json_of(JobFailed("m", HOSTILE, "s", "at https://u:SECRET@h/x?SECRET", ""), START)
    assert failed["identity"] == HOSTILE.replace("\udc80", "\\udc80")
    assert failed["reason"] == "at https://h/x"
    assert started["output"] == "s3://b/out"
