"""Events are frozen, and turn into plain JSON-able dictionaries."""

import dataclasses
import json
from typing import get_args

import pytest

from crossinit_batch import events
from crossinit_batch.events import ArtifactDone, CheckpointSaved, Event, JobFailed, RunStarted, StepDone

SAMPLES = {"str": "x", "int": 3, "float": 0.5, "tuple[str, ...]": ("ada", "bob")}


def sample(kind: type) -> Event:
    return kind(**{field.name: SAMPLES[str(field.type)] for field in dataclasses.fields(kind)})


@pytest.mark.parametrize("kind", get_args(Event))
def test_every_event_is_frozen_and_survives_json(kind: type) -> None:
    event = sample(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(event, dataclasses.fields(kind)[0].name, "other")
    as_dict = event.as_dict()
    assert json.loads(json.dumps(as_dict)) == as_dict
    names = [event.OLD_FIELDS.get(field.name, field.name) for field in dataclasses.fields(kind)]
    assert list(as_dict) == ["event", *names]


def test_machines_read_the_names_that_they_always_read() -> None:
    start = RunStarted("n", "o", "demo", "cpu", "float32", 4, 1, 8, 2, 40).as_dict()
    assert (start["embeddings"], start["embeddings_done"]) == (4, 1)
    assert ArtifactDone("m", "ada", 1.5).as_dict()["event"] == "embedding-done"


def test_the_union_has_every_event_of_the_module() -> None:
    kinds = {
        thing
        for thing in vars(events).values()
        if dataclasses.is_dataclass(thing) and not thing.__name__.startswith("_")
    }
    assert set(get_args(Event)) == kinds


def test_names_are_kebab_case_and_distinct() -> None:
    names = [sample(kind).as_dict()["event"] for kind in get_args(Event)]
    assert "run-started" in names and "denoise-step-done" in names and "note" in names
    assert len(set(names)) == len(names)


def test_as_dict_has_lists_for_tuples() -> None:
    assert CheckpointSaved("cross-init", ("ada", "bob"), 50).as_dict() == {
        "event": "checkpoint-saved",
        "method": "cross-init",
        "identities": ["ada", "bob"],
        "step": 50,
    }


def test_equal_events_are_equal_and_can_be_keys() -> None:
    assert len({StepDone("m", ("a",), 1, 2, 0.5), StepDone("m", ("a",), 1, 2, 0.5)}) == 1
    assert JobFailed("m", "a", "render", "r", "h") != JobFailed("m", "b", "render", "r", "h")


def test_run_started_takes_its_fields_by_name() -> None:
    start = RunStarted(
        name="n",
        output="o",
        model="demo",
        device="cpu",
        dtype="float32",
        artifacts=2,
        artifacts_done=1,
        images=8,
        images_done=4,
        steps=320,
    )
    assert start.as_dict()["steps"] == 320
