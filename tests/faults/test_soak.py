"""`make soak`: one run after another is killed at random times and run again, until so many kills are dealt.

Nothing is lost, and the tree is the one of a run that nobody disturbed. Battery rows 6 and 8.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossinit_batch import layout
from crossinit_batch.report.verify import verify
from crossinit_batch.storage.store import Store
from tests.end_to_end.small_run import SmallRun, small_values
from tests.faults.warm import Warm
from tests.helpers.buckets import s3_environment
from tests.helpers.tree import tree_of

KILLS = int(os.environ.get("CROSSINIT_SOAK_KILLS", "200"))
SEED = int(os.environ.get("CROSSINIT_SOAK_SEED", "0"))


class Soak:
    """Kills a run at random times, and runs it again, until it is through; then another."""

    def __init__(self, warm: Warm, small: SmallRun, environment: dict[str, str], options: list[str]) -> None:
        self.warm, self.small, self.environment, self.options = warm, small, environment, options
        self.draw = random.Random(SEED)
        self.kills = self.rounds = 0
        for name in ("first", "whole"):  # the first one fills the caches
            whole, began = small.at(f"{small.values['output']}-{name}"), time.monotonic()
            self.run(whole)
            self.seconds = time.monotonic() - began
        self.expected = content(whole.store)

    def run(self, run: SmallRun, kill_after: float | None = None) -> bool:
        """Whether the run came to its end; otherwise it was killed."""
        command = ["run", str(run.save()), *self.options]
        ended = self.warm.run(*command, environment=self.environment, kill_after=kill_after)
        assert ended.killed or ended.code == 0, (self.rounds, self.kills, ended.text)
        return not ended.killed

    def until(self, kills: int) -> None:
        """Deal so many kills, and bring the last run through."""
        began = time.monotonic()
        while self.kills < kills:
            self.rounds += 1
            run = self.small.at(f"{self.small.values['output']}-{self.rounds}")
            while not self.run(run, self.when() if self.kills < kills else None):
                self.kills += 1
                self.check(run.store)
                if self.kills % 10 == 0:
                    print(f"  {self.kills} of {kills} kills, {self.rounds - 1} runs through", flush=True)
            assert content(run.store) == self.expected, (self.rounds, self.kills)
            assert verify(run.store).findings == ()
            if run.store.is_local:
                assert not [path for path in Path(run.output).rglob("*") if ".tmp-" in path.name]
        minutes = (time.monotonic() - began) / 60
        print(f"{self.kills} kills, {self.rounds} runs through, all trees the same; {minutes:.1f} min, seed {SEED}")

    def when(self) -> float:
        """Seconds until the kill: anywhere in a run."""
        return self.draw.uniform(0, 1) * self.seconds

    def check(self, store: Store) -> None:
        """What holds at any time: whatever has a receipt is whole."""
        assert verify(store).findings == (), (self.rounds, self.kills)


def content(store: Store) -> dict[str, str]:
    """The whole tree; the manifest's own copy names the output."""
    return {**tree_of(store), layout.MANIFEST: ""}


@pytest.fixture
def small(photographs: Path, pipeline_folder: Path) -> SmallRun:
    """Four people, two methods, two prompts."""
    return SmallRun(photographs.parent, small_values(pipeline_folder))


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, str]]]:
    """Where the runs go, and the environment that they need for it."""
    if request.param == "disk":
        yield "out", {}
    else:
        yield f"{request.getfixturevalue('s3')}/out", s3_environment(request.getfixturevalue("s3_server"))


def test_a_few_kills(warm: Warm, small: SmallRun) -> None:
    soak = Soak(warm, small, {}, ["--device", "cpu"])
    soak.until(4)
    assert soak.kills == 4 and soak.rounds >= 1


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize(
    "options", [["--device", "cpu"], ["--devices", "cpu", "--workers", "2"]], ids=["one-worker", "two-workers"]
)
def test_many_kills(warm: Warm, small: SmallRun, place: tuple[str, dict[str, str]], options: list[str]) -> None:
    url, environment = place
    print(f"\nsoak: {KILLS} kills, {url}, {' '.join(options)}", flush=True)
    soak = Soak(warm, small.at(url), environment, options)
    soak.until(KILLS)
    assert soak.kills == KILLS and soak.rounds >= 1
