"""Digests and seeds: equal for equal content, different for any difference, and the same in every release."""

from __future__ import annotations

import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossinit_batch import digest
from crossinit_batch.digest import canonical, digest_of, image_seed, seed_of, sha256

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "\\ud" not in repr(value))


def test_sha256_of_a_known_text() -> None:
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_canonical_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical({"b": 1, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1}'.encode()
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})


def test_tuples_and_lists_are_the_same_content() -> None:
    assert canonical(("a", 1)) == canonical(["a", 1])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_has_no_digest(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"learning_rate": value})


@given(JSON)
def test_a_value_read_back_has_the_same_digest(value: object) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)


def test_a_digest_depends_on_kind_parts_and_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest_of("job", {"a": 1})
    assert first == digest_of("job", {"a": 1})
    assert first != digest_of("batch", {"a": 1})
    assert first != digest_of("job", {"a": 1.5})
    assert first != digest_of("job", {"a": 1, "b": None})
    monkeypatch.setattr(digest, "CODE_SCHEMA", digest.CODE_SCHEMA + 1)
    assert first != digest_of("job", {"a": 1})


def test_a_seed_is_the_head_of_the_keys_hash() -> None:
    whole = hashlib.sha256(b'["optimize",0,"ada",3]').digest()
    assert seed_of("optimize", 0, "ada", 3) == int.from_bytes(whole[:8], "big") >> 1
    assert seed_of("optimize", 0, "ada", 3, bits=32) == int.from_bytes(whole[:4], "big")


def test_keys_that_look_alike_when_joined_have_different_seeds() -> None:
    keys = [("a", "b"), ("ab",), ("a", "b", ""), ("a,b",), ("a", 1), ("a", "1"), ("a1",), ('a","b',)]
    assert len({seed_of(*key) for key in keys}) == len(keys)


def test_seeds_fit_into_what_takes_them() -> None:
    assert all(0 <= seed_of("x", number) < 2**63 for number in range(200))
    seeds = [image_seed(0, "a {} person", number) for number in range(2000)]
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert len(set(seeds)) == 2000
    assert max(seeds) > 2**31


def test_a_pictures_seed_depends_on_seed_prompt_and_index() -> None:
    keys = [(0, "a {}", 0), (1, "a {}", 0), (0, "b {}", 0), (0, "a {}", 1)]
    assert len({image_seed(*key) for key in keys}) == 4
    assert image_seed(0, "a {}", 0) == 1303796879
