"""Persons: chance, names, halves of a blend, JSON and distance."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from crossinit_batch.demo.drawing.person import (
    CHOICES,
    FIRST_NAME_FIELDS,
    LAST_NAME_FIELDS,
    Person,
    distance,
    person_of_name,
)
from crossinit_batch.errors import RequestError


def crowd(count: int, seed: int = 0) -> list[Person]:
    rng = random.Random(seed)
    return [Person.random(rng) for _ in range(count)]


def test_the_two_names_decide_every_parameter_and_share_none() -> None:
    assert sorted(FIRST_NAME_FIELDS + LAST_NAME_FIELDS) == sorted(crowd(1)[0].to_dict())


def test_a_blend_takes_each_half_from_its_parent() -> None:
    first, last = crowd(2)
    child = Person.blend(first, last)
    for name in FIRST_NAME_FIELDS:
        assert getattr(child, name) == getattr(first, name)
    for name in LAST_NAME_FIELDS:
        assert getattr(child, name) == getattr(last, name)
    assert child not in (first, last)
    assert Person.blend(first, first) == first


def test_the_same_seed_gives_the_same_crowd_from_either_kind_of_generator() -> None:
    assert crowd(5) == crowd(5)
    assert crowd(5) != crowd(5, seed=1)
    one, two = np.random.default_rng(3), np.random.default_rng(3)
    assert Person.random(one) == Person.random(two)


def test_every_word_occurs_and_numbers_spread() -> None:
    persons = crowd(3000)
    for name, words in CHOICES.items():
        assert {getattr(person, name) for person in persons} == set(words)
    for name in set(persons[0].to_dict()) - set(CHOICES):
        values = np.array([getattr(person, name) for person in persons])
        assert values.std() > 0.1, name


def test_hair_goes_with_skin_and_beards_with_brows() -> None:
    persons = crowd(3000)
    pale = [person.hair_color == "blond" for person in persons if person.skin < 0.3]
    dark = [person.hair_color == "blond" for person in persons if person.skin > 0.7]
    assert np.mean(pale) > 3 * np.mean(dark) > 0
    bearded = [person.brow_thickness for person in persons if person.beard != "none"]
    shaven = [person.brow_thickness for person in persons if person.beard == "none"]
    assert np.mean(bearded) > np.mean(shaven) + 0.05


def test_a_name_decides_by_halves_whatever_its_case_and_spacing() -> None:
    ada = person_of_name("Ada", "Lovelace")
    assert person_of_name(" ADA ", "lovelace") == ada
    grace = person_of_name("Grace", "Lovelace")
    assert all(getattr(grace, name) == getattr(ada, name) for name in LAST_NAME_FIELDS)
    assert any(getattr(grace, name) != getattr(ada, name) for name in FIRST_NAME_FIELDS)
    assert person_of_name("Lovelace", "Ada") != ada


def test_a_name_means_the_same_person_in_a_fresh_process() -> None:
    code = (
        "import json; from crossinit_batch.demo.drawing.person import person_of_name as p;"
        "print(json.dumps(p('Ada', 'Lovelace').to_dict()))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert Person.from_dict(json.loads(said)) == person_of_name("Ada", "Lovelace")


def test_json_round_trip() -> None:
    for person in crowd(20):
        assert Person.from_dict(json.loads(json.dumps(person.to_dict()))) == person


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hair_style": "mullet"}, "hair_style is 'mullet', not one of bald"),
        ({"skin": 1.5}, "skin is 1.5, not a number from 0 to 1"),
        ({"skin": float("nan")}, "skin is nan"),
        ({"skin": True}, "skin is True"),
        ({"shoe_size": 43}, "shoe_size is unknown"),
    ],
)
def test_a_wrong_parameter_is_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match="not a drawn person") as caught:
        Person.from_dict({**crowd(1)[0].to_dict(), **change})
    assert said in str(caught.value)


def test_a_missing_parameter_is_named() -> None:
    parameters = crowd(1)[0].to_dict()
    del parameters["jaw"]
    with pytest.raises(RequestError, match="jaw is missing"):
        Person.from_dict(parameters)


def test_distance_is_a_metric_that_knows_what_is_seen() -> None:
    persons = crowd(12)
    for a, b, c in zip(persons, persons[1:], persons[2:], strict=False):
        assert distance(a, a) == 0
        assert distance(a, b) == distance(b, a) > 0
        assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-12
    bald = replace(persons[0], hair_style="bald", hair_color="black", undertone=0.2)
    assert distance(bald, replace(bald, hair_color="white")) > distance(bald, replace(bald, undertone=0.8))
    assert distance(bald, replace(bald, hair_color="dark brown")) < distance(bald, replace(bald, hair_color="blond"))
