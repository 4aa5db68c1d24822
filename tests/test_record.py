"""Objects that carry their own digest."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossinit_batch import record
from crossinit_batch.record import verified, with_checksum

keys = st.text(max_size=4)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | keys
objects = st.dictionaries(keys, scalars | st.lists(scalars, max_size=3), max_size=4)


@settings(max_examples=50)
@given(objects)
def test_what_was_sealed_comes_back_through_a_file(value: dict[str, object]) -> None:
    assert verified(json.loads(json.dumps(with_checksum(value)))) == value


@settings(max_examples=50)
@given(objects, keys)
def test_a_change_breaks_the_seal(value: dict[str, object], key: str) -> None:
    assert verified({**with_checksum(value), key: [value.get(key)]}) is None
    assert verified({**with_checksum(value), record.CHECKSUM: "0" * 64}) is None


def test_what_has_no_seal_is_of_an_earlier_version() -> None:
    assert verified({"one": 1}) == {"one": 1}


def test_not_a_number_is_neither_written_nor_believed() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        with_checksum({"loss": float("nan")})
    assert verified({"loss": float("nan"), record.CHECKSUM: "0" * 64}) is None
