"""What a CPU does for others does not count as its pace."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from crossinit_batch.model.device_speed import Device, observed
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.storage.store import Store
from crossinit_batch.worker import start_clock
from crossinit_batch.worker import timings as pace
from crossinit_batch.worker.context import RunContext
from crossinit_batch.worker.start_clock import Beginning
from crossinit_batch.worker.stopping import StopRequest
from crossinit_batch.worker.timings import Timings, keep_start
from tests.helpers.results import a_plan


@pytest.fixture
def context(tmp_path: Path) -> RunContext:
    plan = a_plan()
    return RunContext(plan, Store(str(tmp_path)), Inventory(plan, {}), lambda _event: None, StopRequest())


def test_waiting_is_no_work_of_a_cpu(context: RunContext) -> None:
    clock = Timings(context, torch.device("cpu")).clock
    began, worked = time.monotonic(), clock()
    time.sleep(0.2)
    assert clock() - worked < (time.monotonic() - began) / 2
    elsewhere = Timings(context, torch.device("meta")).clock
    began = elsewhere()
    time.sleep(0.2)
    assert elsewhere() - began >= 0.2


def test_the_pace_of_a_work_is_kept_for_the_next_plan(context: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device("cpu", "Some Processor")
    monkeypatch.setattr(pace, "described_device", lambda _device, _threads: device)
    kept = Timings(context, torch.device("cpu"))
    kept.add("learning", 3.0, 10)
    kept.add("learning", 5.0, 30)
    kept.add("judging", 1.0, 4)
    kept.keep()
    model = context.plan.model
    assert observed(device, model.fingerprint, model.dtype) == {"learning": 0.2, "judging": 0.25}


@pytest.mark.parametrize(("kind", "expected"), [("cpu", 7.0), ("meta", 9.0)])
def test_a_start_is_kept_once_and_only_of_a_process_that_said_when_it_began(
    context: RunContext, monkeypatch: pytest.MonkeyPatch, kind: str, expected: float
) -> None:
    device, model = Device(kind, "Some Processor"), context.plan.model
    monkeypatch.setattr(pace, "described_device", lambda _device, _threads: device)
    start_clock.take()
    keep_start(context, torch.device(kind))
    assert observed(device, model.fingerprint, model.dtype) == {}
    monkeypatch.setattr(start_clock, "_beginning", Beginning(time.monotonic() - 9, time.process_time() - 7))
    for _ in range(2):
        keep_start(context, torch.device(kind))
        assert observed(device, model.fingerprint, model.dtype) == {"start": pytest.approx(expected, abs=0.5)}
