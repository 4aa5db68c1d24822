"""Counts and the time left, against a clock that the test turns."""

import pytest

from crossinit_batch.console.tally import ProgressTally, TimeLeft
from crossinit_batch.events import (
    ArtifactDone,
    DenoiseStepDone,
    ImagesDone,
    ImagesJudged,
    JobFailed,
    RunFinished,
    RunStarted,
    ScoresDone,
    StepDone,
)
from crossinit_batch.messages import duration


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def started(embeddings: int = 4, images: int = 0, steps: int = 40, done: int = 0) -> RunStarted:
    return RunStarted("n", "o", "demo", "cpu", "float32", embeddings, done, images, 0, steps)


def steps(tally: ProgressTally, clock: Clock, identities: tuple[str, ...], first: int, last: int, each: float) -> None:
    for step in range(first, last + 1):
        clock.now += each
        tally.take(StepDone("m", identities, step, 10, 0.5))


def test_steps_of_a_batch_count_for_each_identity() -> None:
    clock = Clock()
    tally = ProgressTally(clock)
    tally.take(started(embeddings=4, steps=40))
    assert tally.left is None
    clock.now += 500  # the model loads: no pace of any work
    steps(tally, clock, ("a", "b"), 1, 5, 2.0)
    # 10 of 40 identity-steps are done, 2 s for every 2 of them.
    assert tally.left == TimeLeft(pytest.approx(30.0), False)
    assert tally.elapsed == pytest.approx(510.0)


def test_steps_that_are_told_of_together_all_count() -> None:
    """On a GPU every tenth is."""
    clock = Clock()
    tally = ProgressTally(clock)
    tally.take(started(embeddings=2, steps=200))
    for step in (10, 20):
        clock.now += 5
        tally.take(StepDone("m", ("a", "b"), step, 100, 0.5, since=10))
    assert tally.left == TimeLeft(pytest.approx(80 * 0.5), False)


def test_the_estimate_is_a_lower_bound_until_all_kinds_are_timed() -> None:
    clock = Clock()
    tally = ProgressTally(clock)
    tally.take(started(embeddings=2, images=16, steps=20))
    steps(tally, clock, ("a", "b"), 1, 9, 1.0)
    assert tally.left == TimeLeft(pytest.approx(1.0), True)
    steps(tally, clock, ("a", "b"), 10, 10, 1.0)
    assert tally.left is None  # only pictures are left, and none was timed
    for name in ("a", "b"):
        tally.take(ArtifactDone("m", name, 10.0))
    for step in range(1, 5):
        clock.now += 3.0
        tally.take(DenoiseStepDone("m", 8, step, 4))
    # All four denoising steps of 8 pictures took 12 s: 1.5 s a picture, 8 pictures left.
    assert tally.left == TimeLeft(pytest.approx(12.0), False)
    tally.take(ImagesDone("m", "a", 8))
    assert tally.left == TimeLeft(pytest.approx(12.0), False)
    assert tally.images == 8


def test_images_without_denoising_events_are_timed_by_storing() -> None:
    clock = Clock()
    tally = ProgressTally(clock)
    tally.take(started(embeddings=2, images=30, steps=0, done=2))
    for _ in range(2):
        clock.now += 5.0
        tally.take(ImagesDone("m", "a", 10))
    assert tally.left == TimeLeft(pytest.approx(5.0), False)


def test_a_lost_identity_takes_its_steps_and_images_along() -> None:
    clock = Clock()
    tally = ProgressTally(clock)
    tally.take(started(embeddings=4, images=0, steps=40))
    steps(tally, clock, ("a", "b"), 1, 5, 2.0)
    tally.take(JobFailed("m", "a", "personalize", "NaN", ""))
    assert tally.left == TimeLeft(pytest.approx(25.0), False)
    assert list(tally.batches) == [("m", ("b",))]
    tally.take(JobFailed("m", "c", "photograph", "unreadable", ""))
    assert tally.left is not None
    assert tally.left.seconds == pytest.approx(25.0 - 25.0 / 3)
    steps(tally, clock, ("b",), 6, 10, 1.0)
    tally.take(ArtifactDone("m", "b", 1.0))
    tally.take(JobFailed("m", "d", "personalize", "x", ""))
    assert tally.left == TimeLeft(0.0, False)
    assert (tally.artifacts, tally.failed, tally.batches) == (1, 3, {})


def test_a_failure_in_evaluation_takes_nothing() -> None:
    clock = Clock()
    tally = ProgressTally(clock)
    tally.take(started(steps=40))
    steps(tally, clock, ("a", "b"), 1, 5, 2.0)
    tally.take(JobFailed("m", "z", "evaluate", "no face", ""))
    assert tally.left == TimeLeft(pytest.approx(30.0), False)


def test_scoring_is_timed_by_what_is_judged_and_counted_by_what_is_stored_too() -> None:
    clock = Clock()
    tally = ProgressTally(clock)
    tally.take(RunStarted("n", "o", "demo", "cpu", "float32", 2, 0, 16, 0, 0, scores=16, scores_done=4))
    for _ in range(2):
        clock.now += 2.0
        tally.take(ImagesDone("m", "a", 8))
    assert (tally.scores, tally.left) == (4, None)  # how long judging takes is not known yet
    for judged in range(1, 4):
        clock.now += 6.0
        tally.take(ImagesJudged("m", "a", 2))
        assert (tally.scores, tally.judged) == (4, 4 + 2 * judged)
    # 12 are left, 6 of them judged, 3 s each.
    assert tally.left == TimeLeft(pytest.approx(18.0), False)
    tally.take(ScoresDone("m", "a", 6))
    assert (tally.scores, tally.judged, tally.left) == (10, 10, TimeLeft(pytest.approx(18.0), False))


def test_a_job_that_fails_takes_its_scores_along() -> None:
    clock = Clock()
    tally = ProgressTally(clock)
    tally.take(RunStarted("n", "o", "demo", "cpu", "float32", 4, 4, 0, 0, 0, scores=40))
    for _ in range(2):
        clock.now += 5.0
        tally.take(ImagesJudged("m", "a", 5))
    tally.take(ScoresDone("m", "a", 10))
    assert tally.left == TimeLeft(pytest.approx(30.0), False)
    tally.take(JobFailed("m", "b", "evaluate", "damaged", ""))
    assert tally.left == TimeLeft(pytest.approx(20.0), False)
    tally.take(JobFailed("m", "c", "render", "damaged", ""))
    assert tally.left == TimeLeft(pytest.approx(10.0), False)


def test_a_machine_that_slept_does_not_spoil_the_estimate() -> None:
    clock = Clock()
    tally = ProgressTally(clock)
    tally.take(started(steps=40))
    steps(tally, clock, ("a", "b"), 1, 4, 2.0)
    steps(tally, clock, ("a", "b"), 5, 5, 7200.0)
    assert tally.left == TimeLeft(pytest.approx(30.0), False)


def test_the_estimate_is_stable_when_phases_alternate_and_exact_in_the_middle() -> None:
    clock = Clock()
    tally = ProgressTally(clock)
    tally.take(started(embeddings=100, images=800, steps=1000))
    truth = 100 * (10 * 2.0 + 4 * 3.0)
    for number in range(100):
        name = str(number)
        steps(tally, clock, (name,), 1, 10, 2.0)
        tally.take(ArtifactDone("m", name, 20.0))
        for step in range(1, 5):
            clock.now += 3.0
            tally.take(DenoiseStepDone("m", 8, step, 4))
        tally.take(ImagesDone("m", name, 8))
        assert tally.left is not None
        remaining = truth - (number + 1) * 32.0
        assert tally.left.seconds == pytest.approx(remaining, rel=0.02, abs=1.0)


def test_several_workers_are_seen_as_their_throughput() -> None:
    clock = Clock()
    tally = ProgressTally(clock)
    tally.take(started(embeddings=4, steps=40))
    for step in range(1, 6):
        for name in ("a", "b"):  # two workers, each a step in 2 s
            clock.now += 1.0
            tally.take(StepDone("m", (name,), step, 10, 0.5))
    assert tally.left == TimeLeft(pytest.approx(30.0), False)
    assert len(tally.batches) == 2


def test_the_end_clears_what_was_going_on() -> None:
    tally = ProgressTally(Clock())
    tally.take(started())
    tally.take(StepDone("m", ("a",), 1, 10, 0.5))
    tally.take(DenoiseStepDone("m", 8, 1, 4))
    tally.take(RunFinished("o", 1, 1, 0, 0, 1.0))
    assert tally.finished and not tally.batches and tally.drawing is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (34.4, "34 s"),
        (59.6, "1 min"),
        (723, "12 min 3 s"),
        (3599.7, "1 h"),
        (4320, "1 h 12 min"),
        (3605, "1 h"),
        (86400 * 3 + 4 * 3600 + 5, "3 d 4 h"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
