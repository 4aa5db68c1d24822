"""Tensor files: the same bytes everywhere, readable by the library, one clear error for each damage."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossinit_batch.storage.tensor_file import TensorFileError, dump_tensors, load_tensors

TENSORS = {
    "v": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
    "flags": torch.tensor([True, False, True]),
    "step": torch.tensor(320),
    "brain": torch.tensor([0.5], dtype=torch.bfloat16),
}
METADATA = {key: f"value of {key}" for key in "zyxwvutsrq"} | {"person": "Renée 👩‍🚀", "quote": 'a "b" \\ c'}

_DUMP = """
import hashlib, torch
from crossinit_batch.storage.tensor_file import dump_tensors
tensors = {name: torch.full((2, 3), float(i)) for i, name in enumerate("cab")}
print(hashlib.sha256(dump_tensors(tensors, {key: key for key in "zyxwvutsrqponm"})).hexdigest())
"""


def raw_file(header: object, data: bytes) -> bytes:
    """A safetensors file put together by hand; a bytes header is taken as it is."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_the_library_reads_back_what_was_written() -> None:
    data = dump_tensors(TENSORS, METADATA)
    theirs = safetensors.torch.load(data)
    ours, metadata = load_tensors(data, "a.safetensors")
    assert metadata == METADATA
    assert theirs.keys() == ours.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        for back in (theirs[name], ours[name]):
            assert back.dtype == tensor.dtype and back.shape == tensor.shape
            assert torch.equal(back, tensor)


def test_the_library_reads_our_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(dump_tensors(TENSORS, METADATA))
    with safetensors.safe_open(path, framework="pt") as opened:
        assert opened.metadata() == METADATA


def test_the_header_is_sorted_and_the_data_begins_at_a_multiple_of_eight() -> None:
    for metadata in ({"k": "v" * n} for n in range(9)):
        data = dump_tensors({"b": torch.zeros(1), "a": torch.zeros(1)}, metadata)
        length = struct.unpack_from("<Q", data)[0]
        assert length % 8 == 0
        assert list(json.loads(data[8 : 8 + length])) == ["__metadata__", "a", "b"]


def test_bytes_do_not_depend_on_the_order_of_insertion() -> None:
    backwards = dump_tensors(dict(reversed(TENSORS.items())), dict(reversed(METADATA.items())))
    assert dump_tensors(TENSORS, METADATA) == backwards


def test_bytes_do_not_depend_on_the_process() -> None:
    environment = os.environ | {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-c", _DUMP]
    there = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    tensors = {name: torch.full((2, 3), float(i)) for i, name in enumerate("cab")}
    here = hashlib.sha256(dump_tensors(tensors, {key: key for key in "zyxwvutsrqponm"})).hexdigest()
    assert there == here


def test_bytes_do_not_depend_on_memory_layout_gradients_or_sharing() -> None:
    v = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    plain = dump_tensors({"v": v, "w": v.clone()}, {})
    transposed = v.T.contiguous().T
    assert dump_tensors({"v": transposed, "w": v.clone().requires_grad_()}, {}) == plain
    assert dump_tensors({"v": v, "w": v}, {}) == plain


def test_a_loaded_tensor_can_be_written_to() -> None:
    tensors, _ = load_tensors(dump_tensors({"v": torch.zeros(3)}, {}), "a")
    tensors["v"] += 1
    assert tensors["v"].tolist() == [1, 1, 1]


def test_no_tensors_and_empty_tensors() -> None:
    tensors, metadata = load_tensors(dump_tensors({}, {"a": "b"}), "a")
    assert tensors == {} and metadata == {"a": "b"}
    tensors, metadata = load_tensors(dump_tensors({"e": torch.zeros(0, 4)}, {}), "a")
    assert tensors["e"].shape == (0, 4) and metadata == {}


def test_absent_metadata_may_be_written_as_null() -> None:
    assert load_tensors(raw_file({"__metadata__": None}, b""), "a") == ({}, {})


def test_a_reserved_name_and_metadata_that_is_not_text_are_refused() -> None:
    with pytest.raises(ValueError, match="__metadata__"):
        dump_tensors({"__metadata__": torch.zeros(1)}, {})
    with pytest.raises(TypeError):
        dump_tensors({"v": torch.zeros(1)}, {"steps": 320})  # type: ignore[dict-item]


GOOD = dump_tensors({"v": torch.ones(2, 3)}, {"a": "b"})

BROKEN = {
    "empty": (b"", "the file is empty"),
    "seven bytes": (GOOD[:7], "cut short: 7 bytes"),
    "only a length": (GOOD[:8], "cut short, or not safetensors"),
    "half a header": (GOOD[:40], "cut short, or not safetensors"),
    "half the data": (GOOD[:-5], "not a valid safetensors file"),
    "trailing bytes": (GOOD + b"\0", "not a valid safetensors file"),
    "header of 2^40": (struct.pack("<Q", 2**40) + GOOD[8:], "its header claims 1099511627776 bytes"),
    "header of 2^64-1": (b"\xff" * 8 + GOOD[8:], "its header claims 18446744073709551615 bytes"),
    "text": (b"<!DOCTYPE html><html>not found</html>", "not a safetensors file"),
    "zeros": (b"\0" * 64, "not a safetensors file"),
    "header is a list": (raw_file([], b""), "not a safetensors file"),
    "header is no JSON": (raw_file(b"{oh no}", b""), "invalid JSON"),
    "header is not UTF-8": (raw_file(b'{"\xff":1}', b""), "invalid UTF-8"),
    "header is deep": (raw_file(b'{"a":' * 100_000, b""), "invalid JSON"),
    "metadata is a number": (raw_file({"__metadata__": {"a": 1}}, b""), "invalid JSON"),
    "offsets overlap": (
        raw_file({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, bytes(12)),
        "invalid offset",
    ),
    "offsets leave a hole": (
        raw_file({"a": entry(0, 8, [2]), "b": entry(12, 20, [2])}, bytes(20)),
        "invalid offset",
    ),
    "shape does not fit": (raw_file({"a": entry(0, 8, [3])}, bytes(8)), "not a valid safetensors file"),
    "shape overflows": (raw_file({"a": entry(0, 4, [2**40, 2**40])}, bytes(4)), "overflow"),
    "shape beyond PyTorch": (raw_file({"a": entry(0, 0, [0, 2**63])}, b""), "PyTorch cannot hold"),
    "type beyond PyTorch": (raw_file({"a": entry(0, 1, [2], "F4")}, b"\0"), "type F4"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_error_with_its_name_and_reason(case: str) -> None:
    data, reason = BROKEN[case]
    with pytest.raises(TensorFileError) as caught:
        load_tensors(data, "out/ada.safetensors")
    assert caught.value.message.startswith("out/ada.safetensors: ")
    assert reason in caught.value.message


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, len(GOOD) - 1), junk=st.binary(max_size=40))
def test_damage_never_raises_anything_else(cut: int, junk: bytes) -> None:
    for damaged in (GOOD[:cut], GOOD[:cut] + junk, junk + GOOD[cut:], junk):
        try:
            tensors, metadata = load_tensors(damaged, "x")
        except TensorFileError as error:
            assert error.message.startswith("x: ")
        else:
            assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())
            assert all(isinstance(value, str) for value in metadata.values())
