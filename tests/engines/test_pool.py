"""Workers that die, hang or cannot start: nothing is lost, nothing is done for ever, and everybody else goes on."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from crossinit_batch.engines import pool
from crossinit_batch.engines.messages import Brief
from crossinit_batch.errors import Interrupted, ModelError
from crossinit_batch.events import ArtifactDone, JobFailed, Warned
from crossinit_batch.model.counters import Counters
from crossinit_batch.model.source import ModelSource
from crossinit_batch.plan.batches import with_batches
from crossinit_batch.plan.inventory import take_inventory
from crossinit_batch.plan.plan import Plan, PlannedIdentity
from crossinit_batch.storage.store import Store
from crossinit_batch.worker.context import RunContext
from tests.end_to_end.small_run import Recorder
from tests.engines import fake_worker
from tests.helpers.results import a_plan


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossinit_batch.engines.worker_process.SERVE", f"{fake_worker.__name__}:serve")


def plan_for(names: tuple[str, ...]) -> Plan:
    """One method, a batch for each name."""
    plan = a_plan()
    person, job = plan.identities[0], plan.jobs[0]
    people = tuple(PlannedIdentity(id=name, photographs=person.photographs) for name in names)
    jobs = tuple(job.model_copy(update={"identity": name, "digest": name}) for name in names)
    compute = plan.compute.model_copy(update={"identities_per_batch": 1})
    plan = plan.model_copy(update={"identities": people, "jobs": jobs, "compute": compute})
    return with_batches(plan, [(job, True) for job in jobs], None)


class Run:
    """A pool's run over batches with these names, and what came of it."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.diary, self.plan = folder / "diary", plan_for(names)
        store = Store(str(folder / "out"))
        self.record = Recorder()
        self.inventory = take_inventory(store, self.plan)
        self.context = RunContext(self.plan, store, self.record, self.record.stop)

    def go(self, *devices: str, worker_timeout: float = 60) -> Counters:
        source = ModelSource("some/model", Path("nowhere"), None, None, {})
        facts = {"diary": str(self.diary)}
        briefs = [
            Brief(self.plan, self.context.store.address, None, source, device, False, facts) for device in devices
        ]
        tasks = [self.inventory.task(batch) for batch in self.plan.batches]
        return pool.run_pool(self.context, self.inventory, briefs, tasks, worker_timeout)

    @property
    def begun(self) -> Counter[str]:
        return Counter(self.diary.read_text().split())

    @property
    def done(self) -> set[str]:
        return {event.identity for event in self.record.of(ArtifactDone)}

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.record.of(Warned)]


def test_two_workers_do_every_batch_once_and_say_things_once(tmp_path: Path) -> None:
    run = Run(tmp_path, "ada", "bob", "cy", "dee", "eve")
    counters = run.go("cpu", "cpu")
    assert run.begun == Counter(["ada", "bob", "cy", "dee", "eve"])
    assert run.done == {"ada", "bob", "cy", "dee", "eve"}
    assert counters.model_loads in (1, 2) and counters.unet_forwards == 50
    assert run.warnings == ["every worker says this"]


def test_no_more_workers_start_than_there_are_batches(tmp_path: Path) -> None:
    assert Run(tmp_path, "ada").go("cpu", "cpu", "cpu").model_loads == 1


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("once", "was killed by SIGKILL"),
        ("lost", r"gave up \(CUDA error: device-side assert\)"),
        ("stuck", "said nothing for 5 s and was ended"),
    ],
)
def test_a_worker_that_ends_is_replaced_and_its_batch_done_again(tmp_path: Path, name: str, how: str) -> None:
    run = Run(tmp_path, name, "ada")
    counters = run.go("cpu", worker_timeout=5)  # starting up, which says nothing, has to take less
    assert run.begun == Counter({name: 2, "ada": 1})
    assert run.done == {name, "ada"}
    assert counters.model_loads == 2
    (warning,) = [text for text in run.warnings if name in text]
    assert re.fullmatch(f"the worker on cpu {how} over cross-init: {name}; another one does it again", warning)


def test_a_batch_that_kills_its_workers_is_set_aside(tmp_path: Path) -> None:
    run = Run(tmp_path, "poison", "ada", "bob")
    run.go("cpu")
    assert run.begun == Counter({"poison": pool.MOST_ATTEMPTS, "ada": 1, "bob": 1})
    assert run.done == {"ada", "bob"}
    (failure,) = run.record.of(JobFailed)  # what it said before it died is told once, and stands
    assert (failure.method, failure.identity) == ("cross-init", "poison")


def test_a_device_whose_workers_never_start_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    run = Run(tmp_path, "ada", "bob", "cy")
    run.go("broken", "cpu")
    assert run.done == {"ada", "bob", "cy"}
    assert run.record.of(JobFailed) == []


def test_with_no_device_left_what_waits_has_failed(tmp_path: Path) -> None:
    run = Run(tmp_path, "ada", "bob")
    run.go("broken")
    failures = {failure.identity: failure.reason for failure in run.record.of(JobFailed)}
    assert failures.keys() == {"ada", "bob"}
    assert all("no device is left to do it; the last worker ended with exit code 3" in why for why in failures.values())
    assert f"broken is given up: {pool.MOST_DEATHS} workers in a row died there" in run.warnings[-1]


def test_what_no_worker_could_do_ends_the_run_with_its_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the model is damaged"):
        Run(tmp_path, "ada").go("refused")


@pytest.fixture
def stop_once_begun(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Ask to stop as soon as a worker has begun something."""

    def arrange(run: Run) -> None:
        listen = pool._Pool._listen

        def listen_and_ask(self: pool._Pool, seconds: float) -> None:
            listen(self, seconds)
            if run.diary.exists() and run.begun:
                run.record.stop.ask(signal.SIGTERM)

        monkeypatch.setattr(pool._Pool, "_listen", listen_and_ask)

    return arrange


def test_asked_to_stop_every_worker_says_where_it_was(tmp_path: Path, stop_once_begun: Callable[[Run], None]) -> None:
    run = Run(tmp_path, "slow")
    stop_once_begun(run)
    with pytest.raises(Interrupted, match="stopped at step 3 of 9"):
        run.go("cpu")


def test_a_worker_that_does_not_stop_in_time_is_ended(
    tmp_path: Path, stop_once_begun: Callable[[Run], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "STOP_TIMEOUT", 0.5)
    run = Run(tmp_path, "deaf")
    stop_once_begun(run)
    with pytest.raises(Interrupted, match="the worker on cpu had to be ended; its last checkpoint stands"):
        run.go("cpu")
