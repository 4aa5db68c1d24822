"""Which device and which precision."""

from __future__ import annotations

import os

import pytest
import torch

from crossinit_batch.errors import RequestError
from crossinit_batch.model import device
from crossinit_batch.model.device import DTYPES, choose_device, repeating_exactly, resolve_dtype, to_device


def test_a_device_that_is_named_is_taken() -> None:
    assert choose_device("cpu") == torch.device("cpu")


def test_without_a_name_accelerate_chooses_one_that_works() -> None:
    chosen = choose_device()
    assert torch.ones(1, device=chosen).item() == 1


@pytest.mark.parametrize("asked", ["cuda:99", "gpu", "", "cpu:x", "cuda:-1", "xpu:7"])
def test_a_device_that_is_not_there_is_an_error_in_one_line(asked: str) -> None:
    with pytest.raises(RequestError, match=f"device '{asked}' cannot be used: .") as caught:
        choose_device(asked)
    assert "\n" not in caught.value.message
    assert "cpu" in caught.value.hint


@pytest.mark.parametrize("asked", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_precision_that_is_asked_for_is_taken(asked: str, kind: str) -> None:
    assert resolve_dtype(asked, torch.device(kind)) == asked
    assert DTYPES[asked] is getattr(torch, asked)


def test_auto_is_float32_where_bfloat16_would_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch emulates bfloat16 on older GPUs and says that it is supported."""
    asked: list[bool] = []

    def supported(including_emulation: bool = True) -> bool:
        asked.append(including_emulation)
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert resolve_dtype("auto", torch.device("cuda")) == "float32"
    assert asked == [False]
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert resolve_dtype("auto", torch.device("cuda", 1)) == "bfloat16"
    assert resolve_dtype("auto", torch.device("cpu")) == "float32"
    assert resolve_dtype("auto", torch.device("mps")) == "float32"
    monkeypatch.setattr(device, "is_bf16_available", lambda: True)
    assert resolve_dtype("auto", torch.device("xpu")) == "bfloat16"


def test_under_a_launcher_no_process_group_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """accelerate would join one and wait for the other processes."""
    seen = []

    class State:
        def __init__(self) -> None:
            seen.append(os.environ.get("LOCAL_RANK"))
            self.device = torch.device("cpu")

    monkeypatch.setattr(device, "PartialState", State)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device.all_devices() == ("cpu",)
    assert seen == [None] and os.environ["LOCAL_RANK"] == "1"


def test_a_device_is_known_without_being_used() -> None:
    assert device.known_device("cpu") == "cpu"
    with pytest.raises(RequestError, match="cannot be used"):
        device.known_device("cuda:99")
    with pytest.raises(RequestError, match="cannot be used"):
        device.known_device("nonsense")


def test_threads_are_as_planned_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    with device.computing_with(before + 1):  # tests run with OMP_NUM_THREADS=1
        assert torch.get_num_threads() == before
    monkeypatch.delenv("OMP_NUM_THREADS")
    with device.computing_with(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_gpu_repeats_exactly_only_while_it_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with pytest.raises(ZeroDivisionError), repeating_exactly(torch.device("cuda")):
        assert (
            torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
        )
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        raise ZeroDivisionError
    assert not torch.are_deterministic_algorithms_enabled()
    with repeating_exactly(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()


def test_what_is_on_the_device_is_not_copied() -> None:
    there = torch.ones(2)
    assert to_device(there, torch.device("cpu")) is there
